"""Covariate: figures beside the bars, joined to each bar as they were known there."""

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
# Rows that hold for every ticker.
EVERY = ""
# Bars ahead that a known value may be asked for: what lies further is no part of a dataset, so that
# next year's calendar does not make other data of old bars.
MOST_LEAD = 100


@dataclass(frozen=True, eq=False)
class Covariate:
    """Rows of figures; made by :meth:`of`, which puts them in order.

    Parameters
    ----------
    kind : {"static", "known_ahead", "dated"}
        Constants of a ticker; values of moments that are known long before (a calendar); figures
        that are known from their publication on.
    tickers : (n,) str
        Whose figure each row is, in alphabetical order; all empty: rows hold for every ticker.
    values : mapping of column to (n,) float
        NaN where a row says nothing.
    moments : (n,) datetime64[s] or None
        UTC. Of dated rows when each became known, of rows known ahead what moment they begin to
        hold at; None for static ones.
    periods : (n,) datetime64[s] or None
        What each dated figure is about; the rows of a ticker are in the order of these, then of
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
        """Covariate of rows in any order; rows that are there twice count once.

        Parameters
        ----------
        tickers : sequence of str, optional
            Of each row; without it the rows hold for every ticker.
        place : callable
            Where a row of that number stands, for messages.

        Raises
        ------
        DataError
            No ``moments`` where the kind needs some, other lengths, infinite values, or rows of one
            ticker, period and moment that disagree.

        Examples
        --------
        >>> days = np.array(["2001-02-10", "2001-05-10"], dtype="datetime64[s]")
        >>> eps = Covariate.of("dated", {"eps": [1.0, 2.0]}, moments=days)
        >>> at = np.array(["2001-02-09", "2001-02-10", "2001-06-01"], dtype="datetime64[s]")
        >>> eps.at("eps", ("AAA",), at).ravel().tolist()
        [nan, 1.0, 2.0]
        """
        # Adding nothing makes one zero of two.
        figures = {n: np.asarray(column, dtype=np.float64) + 0.0 for n, column in values.items()}
        rows = max(map(len, figures.values()), default=0)
        names = np.asarray([EVERY] * rows if tickers is None else list(tickers), dtype=np.str_)
        when, about = (None if part is None else whole_seconds(part) for part in (moments, periods))
        _require_rows(kind, rows, {**figures, "tickers": names, "moments": when, "periods": about})
        DataError.raise_for(
            Problem(f"{place(int(row))} has {figures[name][row]} in '{name}'", "a finite number")
            for name in figures
            for row in np.flatnonzero(np.isinf(figures[name]))[:1]
        )
        told = [part for part in (when, about) if part is not None]
        # The last key counts most; values only make the order of equal rows their own.
        keys: list[NDArray[Any]] = [*(figures[name] for name in sorted(figures)), *told, names]
        order = np.lexsort(keys)
        said = np.any([np.isfinite(column) for column in figures.values()], axis=0)
        order = order[said[order]]
        found = cls(
            kind,
            names[order],
            {name: column[order] for name, column in figures.items()},
            None if when is None else when[order],
            None if about is None else about[order],
        )
        return found._once(lambda row: place(int(order[row])))

    def __len__(self) -> int:
        return len(self.tickers)

    @property
    def by_ticker(self) -> bool:
        """Whether the rows name tickers."""
        return bool(len(self) and self.tickers[-1] != EVERY)

    def at(self, column: str, tickers: Sequence[str], times: Times) -> Floats:
        """Value that is in force at each moment, (T, S); NaN before a ticker's first one.

        Of the dated rows known by then it is the one of the latest period, and of that period's
        rows the last one: a revision replaces what it revises, and never a newer period.

        Parameters
        ----------
        times : (T,) datetime64
        """
        found = np.full((len(times), len(tickers)), np.nan)
        for place, ticker in enumerate(tickers):
            rows = self._rows_of(ticker if self.by_ticker else EVERY)
            values = self.values[column][rows]
            known = np.isfinite(values)
            values = values[known]
            if not len(values):
                continue
            if self.moments is None:
                found[:, place] = values[0]
                continue
            moments = self.moments[rows][known]
            # Rows lie in the order of their periods, so the best known is the furthest known.
            order = np.argsort(moments, kind="stable")
            best = np.maximum.accumulate(order)
            last = np.searchsorted(moments[order], times, side="right") - 1
            found[:, place] = np.where(last >= 0, values[best[last]], np.nan)
        return found

    def known_by(self, tickers: Sequence[str], last: np.datetime64 | None, bar: int) -> Covariate:
        """The rows of these tickers that bars up to ``last`` may know.

        Parameters
        ----------
        last : datetime64 or None
            Stamp of the last bar; None: there is no bar.
        bar : int
            Its length, seconds.
        """
        keep = np.zeros(len(self), dtype=bool)
        for name in (*tickers, EVERY):
            keep[self._rows_of(name)] = True
        if self.moments is not None:
            ahead = np.timedelta64(MOST_LEAD * bar if self.kind == "known_ahead" else 0, "s")
            keep &= False if last is None else self.moments <= last + ahead
        return self if keep.all() else self._take(keep)

    def with_values(self, rows: NDArray[np.bool_], new: Mapping[str, Floats]) -> Covariate:
        """The same rows, some of them with other figures; what was unknown stays so."""
        return replace(
            self,
            values={
                name: np.where(rows & np.isfinite(column), new[name], column)
                for name, column in self.values.items()
            },
        )

    def content(self) -> list[bytes]:
        """All that makes it what it is, as byte strings."""
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
        """Every row once; rows that say different things of one moment are refused."""
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
                    "leave one of the rows out, or say when each became known"
                    if self.kind == "dated"
                    else "leave one of the rows out",
                )
        DataError.raise_for(problems)
        first = np.concatenate([[True], ~(same & repeated)]) if len(self) else np.zeros(0, bool)
        return self if first.all() else self._take(first)


def _require_rows(kind: str, rows: int, parts: Mapping[str, NDArray[Any] | None]) -> None:
    """Refuse an unknown kind, columns of several lengths, and moments that are none."""
    problems = Problems()
    if kind not in KINDS:
        problems.add(f"a covariate of kind '{kind}'", fix=suggest(kind, KINDS))
    elif (parts["moments"] is None) != (kind == "static"):
        told = f"moments of a covariate of kind '{kind}'"
        problems.add(told, "none for static ones, one a row for all others")
    for name, part in parts.items():
        if part is not None and part.shape != (rows,):
            problems.add(f"'{name}' has shape {part.shape}", f"one a row: ({rows},)")
        elif part is not None and part.dtype.kind == "M" and np.isnat(part).any():
            problems.add(f"'{name}' has a row without a date", "one in every row")
    DataError.raise_for(problems)
