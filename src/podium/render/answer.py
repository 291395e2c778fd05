"""Results of verbs: one sentence and one table, for a terminal, a notebook and a program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from podium.render.table import escape, html

if TYPE_CHECKING:
    import pandas as pd


class Answer(ABC):
    """Result of a verb."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """The result in one sentence."""

    @abstractmethod
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The result as a table: one mapping of column to value a row."""

    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame, one row for each of :meth:`rows`."""
        import pandas as pd

        return pd.DataFrame([dict(row) for row in self.rows()])

    def _repr_html_(self) -> str:
        """Sentence and table, as notebooks show them."""
        rows = [dict(row) for row in self.rows()]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[row.get(name) for name in columns] for row in rows]
        table = html(columns, cells) if rows else ""
        return f"<p>{escape(self.sentence)}</p>\n{table}"
