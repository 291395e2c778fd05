"""A pandas frame of bars as one more table, its rows counted as pandas counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from podium.errors import UsageError
from podium.readers._head import different
from podium.readers._table import Codes, Loaded, Numbers, Source, to_codes, to_numbers


@dataclass(frozen=True)
class FrameTable:
    """A frame whose index, where it holds names or times, is among its columns.

    Parameters
    ----------
    frame : DataFrame
        Columns are found by their place: their names need not be texts, or different ones.
    """

    source: Source
    names: tuple[str, ...]
    frame: pd.DataFrame

    @classmethod
    def of(cls, frame: pd.DataFrame, name: str) -> FrameTable:
        """The table of a frame that messages call by this name.

        Raises
        ------
        UsageError
            It is another library's.
        """
        if not isinstance(frame, pd.DataFrame):
            library = type(frame).__module__.partition(".")[0]
            raise UsageError(
                f"{name} is a frame of {library}", "a pandas frame", "call its to_pandas() first"
            )
        if isinstance(frame.index, pd.DatetimeIndex) and frame.index.name is None:
            frame = frame.rename_axis("date")
        inside = [level for level in frame.index.names if level is not None]
        if any(level not in frame.columns for level in inside):
            frame = frame.reset_index()
        return cls(Source(name, "row", 0), different([str(c) for c in frame.columns]), frame)

    def load(self, times: Sequence[str], ticker: str, numbers: Sequence[str]) -> Loaded:
        """The columns of these names."""
        stamps = [_times(self._column(name)) for name in times]
        known: dict[str, int] = {}
        texts: dict[str, dict[int, str]] = {name: {} for name in numbers}
        codes = to_codes(self._column(ticker).astype("str"), known) if ticker else None
        return Loaded(
            positions=np.arange(len(self.frame)),
            times=[values for values, _ in stamps],
            aware=all(aware for _, aware in stamps),
            ticker=None if codes is None else Codes(codes, list(known)),
            numbers={
                name: Numbers(to_numbers(self._column(name), 0, texts[name]), texts[name])
                for name in numbers
            },
        )

    def _column(self, name: str) -> pd.Series[Any]:
        return self.frame.iloc[:, self.names.index(name)]


def _times(column: pd.Series[Any]) -> tuple[Any, bool]:
    """Stamps as ``datetime64``, numbers or text, and whether they are in UTC."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), True
    if column.dtype.kind in "Miuf":
        return column.to_numpy(), False
    return column.astype("str").reset_index(drop=True), False
