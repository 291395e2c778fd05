"""Tables: column names at once, columns on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podium.arrays import Floats

Positions = NDArray[np.int64]
# Text cells of number columns that are stored for messages.
MAX_TEXTS = 1000


@dataclass(frozen=True)
class TableSource:
    """Name of a table in messages, and numbering of its rows.

    Parameters
    ----------
    name : str
        A file's path.
    unit : str
        ``line`` or ``row``.
    first : int
        Number of the first row of data.
    separators : str
        Other separators, which reveal rows not separated like the header.
    """

    name: str
    unit: str
    first: int
    separators: str = ""

    def place(self, position: int) -> str:
        """Return the place of a row as an editor or a data frame counts."""
        return f"{self.name} {self.unit} {position + self.first}"


@dataclass
class Numbers:
    """A column of numbers; other cells are NaN, with their texts by position."""

    values: Floats
    texts: dict[int, str] = field(default_factory=dict)


@dataclass
class Codes:
    """A column of names: each row's index into ``names``, -1 for an empty cell."""

    codes: NDArray[np.int32]
    names: list[str]


@dataclass
class Loaded:
    """Columns of one table.

    Parameters
    ----------
    positions : (N,) int64
        Position of each row in the table; blank lines are omitted.
    times : list of array
        Unconverted stamps: text (pandas), whole numbers or ``datetime64``.
    aware : bool
        Whether ``datetime64`` stamps are in UTC.
    """

    positions: Positions
    times: list[Any]
    aware: bool
    ticker: Codes | None
    numbers: Mapping[str, Numbers]

    def missing_ticker(self, source: TableSource) -> str:
        """Return the place of the first row with an empty ticker; empty if there is none."""
        if self.ticker is None or (self.ticker.codes >= 0).all():
            return ""
        rows = np.flatnonzero(self.ticker.codes < 0)
        return f"{source.place(int(self.positions[rows[0]]))} has no ticker ({len(rows)} such)"


class Table(Protocol):
    """A table of named columns."""

    @property
    def source(self) -> TableSource: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def load(self, times: Sequence[str], ticker: str, numbers: Sequence[str]) -> Loaded:
        """Return the columns of these names, and no others."""
        ...


def loaded(
    columns: Mapping[str, pd.Series[Any]],
    times: Sequence[str],
    ticker: str,
    numbers: Sequence[str],
    positions: Positions,
) -> Loaded:
    """Return columns of a frame in the form common to all formats."""
    stamps = [_times(columns[name]) for name in times]
    aware = all(aware for _, aware in stamps)
    codes = _codes(columns[ticker]) if ticker else None
    converted = {name: _numbers(columns[name], positions) for name in numbers}
    return Loaded(positions, [values for values, _ in stamps], aware, codes, converted)


def _times(column: pd.Series[Any]) -> tuple[Any, bool]:
    """Return stamps as ``datetime64``, numbers or text, and whether they are in UTC."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), True
    if column.dtype.kind in "Miuf":
        return column.to_numpy(), False
    return column.astype("str").reset_index(drop=True), False


def _numbers(column: pd.Series[Any], positions: Positions) -> Numbers:
    """Convert a column of any type to numbers; other cells become NaN and keep their text."""
    if column.dtype.kind in "fiu":
        return Numbers(column.to_numpy(np.float64))
    if column.dtype.kind in "bO":
        # pandas reads true and false; as prices they would be 1 and 0.
        column = column.map(lambda cell: str(cell) if isinstance(cell, bool) else cell)
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    invalid = np.flatnonzero(np.isnan(values) & column.notna().to_numpy())[:MAX_TEXTS]
    return Numbers(values, {int(positions[row]): str(column.iloc[row]) for row in invalid})


def _codes(column: pd.Series[Any]) -> Codes:
    """Return the code of each cell's name in order of appearance; -1 for an empty cell."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        # Names of a dictionary column are converted once, not for every row.
        codes, categories = column.cat.codes.to_numpy(), column.cat.categories
    else:
        codes, categories = pd.factorize(column.astype("string").str.strip())
    names = [str(name).strip() for name in categories]
    known = {name: place for place, name in enumerate(dict.fromkeys(filter(None, names)))}
    # The last one is for empty cells, which have code -1.
    table = np.asarray([*(known.get(name, -1) for name in names), -1], dtype=np.int32)
    return Codes(table[codes], list(known))
