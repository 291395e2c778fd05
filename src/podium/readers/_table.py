"""A table in a file: its column names first, the columns that are needed after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podium.dataset import Floats

Positions = NDArray[np.int64]
# Text cells of number columns that are remembered for messages.
MOST_TEXTS = 1000


@dataclass(frozen=True)
class Source:
    """A file and how its rows are counted.

    Parameters
    ----------
    unit : str
        ``line`` or ``row``.
    first : int
        Number of the first row of data.
    """

    path: Path
    unit: str
    first: int

    def place(self, position: int) -> str:
        """Where a row stands, as an editor or a data frame counts."""
        return f"{self.path} {self.unit} {position + self.first}"


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
    """Columns of one file.

    Parameters
    ----------
    positions : (N,) int64
        Row of the file each row came from; blank lines are left out.
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
    """A file whose columns can be asked for."""

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
