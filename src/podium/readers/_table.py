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
class Source:
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
    """A column of numbers; cells that hold something else are NaN and remembered."""

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


class Table(Protocol):
    """What has columns that can be asked for."""

    @property
    def source(self) -> Source: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def load(self, times: Sequence[str], ticker: str, numbers: Sequence[str]) -> Loaded:
        """The columns of these names, and no others."""
        ...


def to_numbers(column: pd.Series[Any], start: int, texts: dict[int, str]) -> Floats:
    """Numbers of a column that came as anything; other cells become NaN and are remembered."""
    if column.dtype.kind in "fiu":
        return column.to_numpy(np.float64)
    if column.dtype.kind == "b":
        # pandas reads true and false; as prices they would be 1 and 0.
        column = column.astype(str)
    found = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    for row in np.flatnonzero(np.isnan(found) & column.notna().to_numpy()):
        if len(texts) >= MOST_TEXTS:
            break
        texts[start + int(row)] = str(column.iloc[row])
    return found


def to_codes(column: pd.Series[Any], known: dict[str, int]) -> NDArray[np.int32]:
    """Number of each cell's name; names that are new get the next one."""
    local, names = pd.factorize(column.str.strip())
    table = [known.setdefault(str(name), len(known)) if name else -1 for name in names]
    # The last one is for cells that hold nothing.
    return np.asarray([*table, -1], dtype=np.int32)[local]
