"""Results of verbs: one sentence and one table, for a terminal, a notebook and a program."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from podium.render.table import escape, html, number, percent

if TYPE_CHECKING:
    import pandas as pd

Config = Mapping[str, Any]


class Answer(ABC):
    """Result of a verb.

    Subclasses have a ``sentence`` with the result, a field or a property.
    """

    if TYPE_CHECKING:

        @property
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


def change(value: float, reference: float, *, lower_is_better: bool) -> str:
    """How much better or worse a figure is than a reference, in per cent of it where both are > 0.

    Examples
    --------
    >>> change(0.9, 1.0, lower_is_better=True), change(-0.5, 1.0, lower_is_better=False)
    ('10.0% better', '1.500 worse')
    """
    gain = reference - value if lower_is_better else value - reference
    if gain == 0:
        return "the same"
    # A share of a number that can be zero or negative (a Sharpe ratio) has no meaning.
    size = percent(abs(gain) / reference) if reference > 0 and value >= 0 else number(abs(gain))
    return f"{size} {'better' if gain > 0 else 'worse'}"


def against(
    value: float, reference: float, name: str, *, lower_is_better: bool, p: str = ""
) -> str:
    """A figure against that of a named reference, for the end of a sentence.

    Examples
    --------
    >>> against(0.9, 1.0, "naive zero", lower_is_better=True, p="p = 0.04")
    '0.9000 against 1.000 of naive zero, 10.0% better (p = 0.04)'
    """
    words = f"{number(value)} against {number(reference)} of {name}"
    if math.isfinite(value) and math.isfinite(reference):
        words += f", {change(value, reference, lower_is_better=lower_is_better)}"
    return f"{words} ({p})" if p else words


def differing(configs: Sequence[Config]) -> tuple[Config, list[Config]]:
    """The settings that all of several configs share, and the others of each; or cells of rows.

    Examples
    --------
    >>> differing([{"layers": 1, "units": 16}, {"layers": 1, "units": 32}])
    ({'layers': 1}, [{'units': 16}, {'units': 32}])
    """
    first, *others = configs
    shared = {k: v for k, v in first.items() if others and all(c.get(k) == v for c in others)}
    return shared, [{k: v for k, v in c.items() if k not in shared} for c in configs]


def varying(rows: Sequence[Mapping[str, Any]], *always: str) -> list[dict[str, Any]]:
    """Rows of a table without the columns that are the same in each.

    Parameters
    ----------
    always : str
        Columns that stay.

    Examples
    --------
    >>> varying([{"id": 1, "state": "complete"}, {"id": 2, "state": "complete"}])
    [{'id': 1}, {'id': 2}]
    """
    names = dict.fromkeys(name for row in rows for name in row)
    same = differing(rows)[0] if len(rows) > 1 else names
    kept = [name for name in names if name in always or name not in same]
    return [{name: row.get(name) for name in kept} for row in rows]
