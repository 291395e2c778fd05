"""A pandas frame as a table of bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from podium.errors import UsageError
from podium.readers._head import unique_names
from podium.readers._table import Loaded, TableSource, loaded


@dataclass(frozen=True)
class FrameTable:
    """A frame; named levels of its index and dates are columns.

    Parameters
    ----------
    frame : DataFrame
        Columns are addressed by position: their names need not be texts or unique.
    """

    source: TableSource
    names: tuple[str, ...]
    frame: pd.DataFrame

    @classmethod
    def of(cls, frame: pd.DataFrame, name: str) -> FrameTable:
        """Return the table of a frame; ``name`` is its name in messages.

        Raises
        ------
        UsageError
            The frame is not a pandas frame.
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
        names = unique_names([str(column) for column in frame.columns])
        return cls(TableSource(name, "row", 0), names, frame)

    def load(self, times: Sequence[str], ticker: str, numbers: Sequence[str]) -> Loaded:
        """Return the columns of these names."""
        selected = {*times, *numbers, ticker}
        places = {name: place for place, name in enumerate(self.names) if name in selected}
        columns = {name: self.frame.iloc[:, place] for name, place in places.items()}
        return loaded(columns, times, ticker, numbers, np.arange(len(self.frame)))
