"""A pandas frame of bars as one more table, its rows counted as pandas counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from podium.errors import UsageError
from podium.readers._head import different
from podium.readers._table import Loaded, TableSource, loaded


@dataclass(frozen=True)
class FrameTable:
    """A frame whose index, where it holds names or times, is among its columns.

    Parameters
    ----------
    frame : DataFrame
        Columns are found by their place: their names need not be texts, or different ones.
    """

    source: TableSource
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
        return cls(TableSource(name, "row", 0), different([str(c) for c in frame.columns]), frame)

    def load(self, times: Sequence[str], ticker: str, numbers: Sequence[str]) -> Loaded:
        """The columns of these names."""
        wanted = {*times, *numbers, ticker}
        columns = {
            name: self.frame.iloc[:, place]
            for place, name in enumerate(self.names)
            if name in wanted
        }
        return loaded(columns, times, ticker, numbers, np.arange(len(self.frame)))
