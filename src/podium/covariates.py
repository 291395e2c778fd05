"""Covariate: values joined to each bar as they were known at its close."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Floats, Times
from podium.errors import DataError, Problem, Problems, suggest
from podium.hashing import canonical
from podium.timeframe import whole_seconds

KINDS = ("static", "known_ahead", "dated")
# Ticker of rows that hold for every ticker.
EVERY = ""
# Bars ahead up to which known values are part of a dataset, so that extending a calendar by a year
# does not change the fingerprint of old bars.
MOST_LEAD = 100


@dataclass(frozen=True, eq=False)
class Covariate:
    """Rows of values; :meth:`of` makes and sorts them.

    Parameters
    ----------
    kind : {"static", "known_ahead", "dated"}
        Constants of a ticker; values whose time is known long before (a calendar); values that
        are known from their publication on.
    tickers : (n,) str
        Ticker of each row, in alphabetical order; all empty if the rows hold for every ticker.
    values : mapping of column to (n,) float
        NaN where a row has no value.
    moments : (n,) datetime64[s] or None
        UTC. When each dated row became known, or when a row known ahead takes effect; None for
        static rows.
    periods : (n,) datetime64[s] or None
        Period that each dated row describes; rows of a ticker are sorted by period, then by
        ``moments``.
    """

    kind: str
    tickers: NDArray[np.str_]
    values: Mapping[str, Floats]
    moments: Times | None = None
    periods: Times | None = None

    @classmethod
    def of(
        cls,
        kind: str,
        values: Mapping[str, ArrayLike],
        *,
        moments: ArrayLike | None = None,
        periods: ArrayLike | None = None,
        tickers: Sequence[str] | None = None,
        place: Callable[[int], str] = "row {}".format,
    ) -> Covariate:
        """Covariate from rows in any order; duplicates are dropped.

        Parameters
        ----------
        tickers : sequence of str, optional
            Ticker of each row; default: rows hold for every ticker.
        place : callable
            Location of a row by its number, for messages.

        Raises
        ------
        DataError
            Missing ``moments``, different lengths, infinite values, or rows of one ticker, period
            and moment with different values.

        Examples
        --------
        >>> days = np.array(["2001-02-10", "2001-05-10"], dtype="datetime64[s]")
        >>> eps = Covariate.of("dated", {"eps": [1.0, 2.0]}, moments=days)
        >>> at = np.array(["2001-02-09", "2001-02-10", "2001-06-01"], dtype="datetime64[s]")
        >>> eps.at("eps", ("AAA",), at).ravel().tolist()
        [nan, 1.0, 2.0]
        """
        # Adding 0.0 turns -0.0 into 0.0.
        columns = {n: np.asarray(column, dtype=np.float64) + 0.0 for n, column in values.items()}
        rows = max(map(len, columns.values()), default=0)
        names = np.asarray([EVERY] * rows if tickers is None else list(tickers), dtype=np.str_)
        when, about = (None if part is None else whole_seconds(part) for part in (moments, periods))
        _require_rows(kind, rows, {**columns, "tickers": names, "moments": when, "periods": about})
        DataError.raise_for(
            Problem(f"{place(int(row))} has {columns[name][row]} in '{name}'", "a finite number")
            for name in columns
            for row in np.flatnonzero(np.isinf(columns[name]))[:1]
        )
        stamps = [part for part in (when, about) if part is not None]
        # lexsort: the last key is the primary one; values make the order of equal rows unique.
        keys: list[NDArray[Any]] = [*(columns[name] for name in sorted(columns)), *stamps, names]
        order = np.lexsort(keys)
        has_value = np.any([np.isfinite(column) for column in columns.values()], axis=0)
        order = order[has_value[order]]
        covariate = cls(
            kind,
            names[order],
            {name: column[order] for name, column in columns.items()},
            None if when is None else when[order],
            None if about is None else about[order],
        )
        return covariate._once(lambda row: place(int(order[row])))

    def __len__(self) -> int:
        return len(self.tickers)

    @property
    def by_ticker(self) -> bool:
        """Whether the rows name tickers."""
        return bool(len(self) and self.tickers[-1] != EVERY)

    def at(self, column: str, tickers: Sequence[str], times: Times) -> Floats:
        """Value in force at each moment, (T, S); NaN before a ticker's first value.

        Of dated rows it is the last known row of the latest known period: a revision replaces the
        value of its period, never that of a newer period.

        Parameters
        ----------
        times : (T,) datetime64
        """
        result = np.full((len(times), len(tickers)), np.nan)
        for place, ticker in enumerate(tickers):
            rows = self._rows_of(ticker if self.by_ticker else EVERY)
            values = self.values[column][rows]
            known = np.isfinite(values)
            values = values[known]
            if not len(values):
                continue
            if self.moments is None:
                result[:, place] = values[0]
                continue
            moments = self.moments[rows][known]
            # Rows are sorted by period, so the latest period is the highest row.
            order = np.argsort(moments, kind="stable")
            best = np.maximum.accumulate(order)
            last = np.searchsorted(moments[order], times, side="right") - 1
            result[:, place] = np.where(last >= 0, values[best[last]], np.nan)
        return result

    def known_by(self, tickers: Sequence[str], last: np.datetime64 | None, bar: int) -> Covariate:
        """Rows of these tickers that are known by the bars up to ``last``.

        Parameters
        ----------
        last : datetime64 or None
            Time of the last bar; None if there is no bar.
        bar : int
            Length of a bar, seconds.
        """
        keep = np.zeros(len(self), dtype=bool)
        for name in (*tickers, EVERY):
            keep[self._rows_of(name)] = True
        if self.moments is not None:
            ahead = np.timedelta64(MOST_LEAD * bar if self.kind == "known_ahead" else 0, "s")
            keep &= False if last is None else self.moments <= last + ahead
        return self if keep.all() else self._take(keep)

    def with_values(self, rows: NDArray[np.bool_], new: Mapping[str, Floats]) -> Covariate:
        """Copy with other values in some rows; unknown values stay NaN."""
        values = {
            name: np.where(rows & np.isfinite(column), new[name], column)
            for name, column in self.values.items()
        }
        return replace(self, values=values)

    def content(self) -> list[bytes]:
        """Content for the fingerprint, as byte strings."""
        names, counts = np.unique(self.tickers, return_counts=True)
        head = [self.kind, sorted(self.values), names.tolist(), counts.tolist()]
        stamps = [part for part in (self.moments, self.periods) if part is not None]
        return [
            canonical([*head, self.periods is not None]).encode(),
            *(part.astype("int64").tobytes() for part in stamps),
            *(self.values[name].tobytes() for name in sorted(self.values)),
        ]

    def _rows_of(self, name: str) -> slice:
        start, stop = (np.searchsorted(self.tickers, name, side=side) for side in ("left", "right"))
        return slice(int(start), int(stop))

    def _take(self, rows: NDArray[Any]) -> Covariate:
        return replace(
            self,
            tickers=self.tickers[rows],
            values={name: column[rows] for name, column in self.values.items()},
            moments=None if self.moments is None else self.moments[rows],
            periods=None if self.periods is None else self.periods[rows],
        )

    def _once(self, place: Callable[[int], str]) -> Covariate:
        """Copy without duplicates; rows with different values for one moment are refused."""
        stamps = [part for part in (self.moments, self.periods) if part is not None]
        same = self.tickers[1:] == self.tickers[:-1]
        for part in stamps:
            same &= part[1:] == part[:-1]
        group = np.concatenate([[0], np.cumsum(~same)]) if len(self) else np.zeros(0, np.int64)
        problems = Problems()
        repeated = np.ones(len(same), dtype=bool)
        for name, column in self.values.items():
            repeated &= (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1]))
            rows = np.flatnonzero(np.isfinite(column))
            clash = np.flatnonzero((np.diff(group[rows]) == 0) & (np.diff(column[rows]) != 0))
            if len(clash):
                one, two = rows[clash[0]], rows[clash[0] + 1]
                whose = f" of {self.tickers[one]}" if self.by_ticker else ""
                when = "" if self.moments is None else f" at {self.moments[one]}"
                about = "" if self.periods is None else f" about {str(self.periods[one])[:10]}"
                problems.add(
                    f"{place(int(two))} has {column[two]:g} in '{name}'{whose}{about}{when}, "
                    f"{place(int(one))} has {column[one]:g} ({len(clash)} such)",
                    "one value",
                    "remove one of the rows, or name when each became known"
                    if self.kind == "dated"
                    else "remove one of the rows",
                )
        DataError.raise_for(problems)
        first = np.concatenate([[True], ~(same & repeated)]) if len(self) else np.zeros(0, bool)
        return self if first.all() else self._take(first)


def _require_rows(kind: str, rows: int, parts: Mapping[str, NDArray[Any] | None]) -> None:
    """Refuse an unknown kind, columns of different lengths, and missing moments."""
    problems = Problems()
    if kind not in KINDS:
        problems.add(f"a covariate of kind '{kind}'", fix=suggest(kind, KINDS))
    elif (parts["moments"] is None) != (kind == "static"):
        problems.add(f"moments of a {kind} covariate", "none for static, one per row otherwise")
    for name, part in parts.items():
        if part is not None and part.shape != (rows,):
            problems.add(f"'{name}' has shape {part.shape}", f"one per row: ({rows},)")
        elif part is not None and part.dtype.kind == "M" and np.isnat(part).any():
            problems.add(f"'{name}' has a row without a date", "a date in every row")
    DataError.raise_for(problems)
