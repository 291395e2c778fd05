"""A table of bars: its column names first, the columns that are needed after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podium.arrays import Floats

Positions = NDArray[np.int64]
# Text cells of number columns that are remembered for messages.
MOST_TEXTS = 1000


@dataclass(frozen=True)
class TableSource:
    """What a table is called in messages, and how its rows are counted.

    Parameters
    ----------
    name : str
        A file's path.
    unit : str
        ``line`` or ``row``.
    first : int
        Number of the first row of data.
    separators : str
        Signs that would tell of a row that is separated otherwise than the header.
    """

    name: str
    unit: str
    first: int
    separators: str = ""

    def place(self, position: int) -> str:
        """Where a row stands, as an editor or a data frame counts."""
        return f"{self.name} {self.unit} {position + self.first}"


@dataclass
class Numbers:
    """A column of numbers; cells that hold something else are NaN and remembered by position."""

    values: Floats
    texts: dict[int, str] = field(default_factory=dict)


@dataclass
class Codes:
    """A column of names: the position of each row's name in ``names``, -1 where there is none."""

    codes: NDArray[np.int32]
    names: list[str]


@dataclass
class Loaded:
    """Columns of one table.

    Parameters
    ----------
    positions : (N,) int64
        Row of the table each row came from; blank lines are left out.
    times : list of array
        Stamps as they stand there: text (pandas), whole numbers or ``datetime64``.
    aware : bool
        Whether ``datetime64`` stamps are in UTC.
    """

    positions: Positions
    times: list[Any]
    aware: bool
    ticker: Codes | None
    numbers: Mapping[str, Numbers]

    def nameless(self, source: TableSource) -> str:
        """Where a row has no ticker though there is a column of them; empty where all have one."""
        if self.ticker is None or (self.ticker.codes >= 0).all():
            return ""
        rows = np.flatnonzero(self.ticker.codes < 0)
        return f"{source.place(int(self.positions[rows[0]]))} has no ticker ({len(rows)} such)"


class Table(Protocol):
    """What has columns that can be asked for."""

    @property
    def source(self) -> TableSource: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def load(self, times: Sequence[str], ticker: str, numbers: Sequence[str]) -> Loaded:
        """The columns of these names, and no others."""
        ...


def loaded(
    columns: Mapping[str, pd.Series[Any]],
    times: Sequence[str],
    ticker: str,
    numbers: Sequence[str],
    positions: Positions,
) -> Loaded:
    """Columns of a frame, by their names, as every format gives them."""
    stamps = [_times(columns[name]) for name in times]
    return Loaded(
        positions=positions,
        times=[values for values, _ in stamps],
        aware=all(aware for _, aware in stamps),
        ticker=_codes(columns[ticker]) if ticker else None,
        numbers={name: _numbers(columns[name], positions) for name in numbers},
    )


def _times(column: pd.Series[Any]) -> tuple[Any, bool]:
    """Stamps as ``datetime64``, numbers or text, and whether they are in UTC."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), True
    if column.dtype.kind in "Miuf":
        return column.to_numpy(), False
    return column.astype("str").reset_index(drop=True), False


def _numbers(column: pd.Series[Any], positions: Positions) -> Numbers:
    """Numbers of a column that came as anything; other cells become NaN and are remembered."""
    if column.dtype.kind in "fiu":
        return Numbers(column.to_numpy(np.float64))
    if column.dtype.kind in "bO":
        # pandas reads true and false; as prices they would be 1 and 0.
        column = column.map(lambda cell: str(cell) if isinstance(cell, bool) else cell)
    found = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    strange = np.flatnonzero(np.isnan(found) & column.notna().to_numpy())[:MOST_TEXTS]
    return Numbers(found, {int(positions[row]): str(column.iloc[row]) for row in strange})


def _codes(column: pd.Series[Any]) -> Codes:
    """Number of each cell's name in the order in which names come; -1 where there is none."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        # Names of a dictionary are looked at once, and not with every row.
        codes, found = column.cat.codes.to_numpy(), column.cat.categories
    else:
        codes, found = pd.factorize(column.astype("string").str.strip())
    told = [str(name).strip() for name in found]
    known = {name: place for place, name in enumerate(dict.fromkeys(filter(None, told)))}
    # The last one is for cells that hold nothing.
    table = np.asarray([*(known.get(name, -1) for name in told), -1], dtype=np.int32)
    return Codes(table[codes], list(known))
