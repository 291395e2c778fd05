"""One ticker's bars, each row with its file and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podium.arrays import Floats, Mask
from podium.dataset import FIELDS
from podium.readers._columns import Layout
from podium.readers._findings import ERROR, DataIssue
from podium.readers._table import Loaded, Positions, TableSource
from podium.readers._times import Stamps
from podium.timeframe import DAY, SECONDS, Seconds, is_dated

# A row's origin packs the number of its file and its position in it.
_FILE = 40
Rows = Mask | NDArray[np.intp] | slice
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Series:
    """Bars of one ticker in the order of the files.

    Parameters
    ----------
    sources : sequence of TableSource
        All files of the dataset.
    origin : (N,) int64
        File and position of each row.
    times : (N,) int64
        Seconds; UTC and the bar's close after :func:`to_utc`.
    values : mapping of role to (N,) float
        ``open high low close volume`` and, for adjustment, ``adj_close`` or ``factor``.
    columns : mapping of role to str
        Name of the column; without roles that the files lack.
    texts : mapping of role to mapping of origin to str
        Cells that are no numbers.
    """

    ticker: str
    sources: Sequence[TableSource]
    origin: Positions
    times: Seconds
    aware: bool
    values: Mapping[str, Floats]
    columns: Mapping[str, str]
    texts: Mapping[str, Mapping[int, str]]

    def __len__(self) -> int:
        return len(self.times)

    def take(self, rows: Mask | NDArray[np.intp]) -> Series:
        """Return the series with these rows, in their order."""
        values = {role: column[rows] for role, column in self.values.items()}
        return replace(self, origin=self.origin[rows], times=self.times[rows], values=values)

    def place(self, row: int) -> str:
        """Return file and line of a row."""
        origin = int(self.origin[row])
        return self.sources[origin >> _FILE].place(origin & ((1 << _FILE) - 1))

    def stamp(self, row: int) -> str:
        """Return the time of a row in ISO 8601."""
        return iso(int(self.times[row]))

    def places(self, rows: NDArray[np.intp]) -> str:
        """Return the place of the first of some rows and the number of others."""
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        return f"{self.place(rows[0])}{more}"

    def where(self, rows: NDArray[np.intp]) -> str:
        """Return the places of rows and the stamp of the first one."""
        return f"{self.places(rows)} ({self.stamp(rows[0])})"

    def issue(
        self, rows: NDArray[np.intp], what: str, found: str, expected: str = "", fix: str = "",
        repair: str = "", *, severity: str = ERROR,
    ) -> DataIssue:  # fmt: skip
        """Return an issue of some rows."""
        first = self.stamp(rows[0])
        return DataIssue(
            severity, what, found, expected, fix, self.ticker, len(rows), first, repair
        )


def iso(seconds: int) -> str:
    """Return a stamp in ISO 8601, a date if it is midnight.

    Examples
    --------
    >>> iso(86_400), iso(3600)
    ('1970-01-02', '1970-01-01T01:00:00')
    """
    moment = str(np.datetime64(seconds, "s"))
    return moment[:10] if seconds % DAY == 0 else moment


def split(
    loaded: Loaded,
    stamps: Stamps,
    layout: Layout,
    sources: Sequence[TableSource],
    *,
    ticker: str,
    tickers: Sequence[str],
    absent: Sequence[str],
) -> list[Series]:
    """Return the series of one table without rows of unreadable stamps.

    Parameters
    ----------
    sources : sequence of TableSource
        Sources of the dataset so far; the last one is this table.
    ticker : str
        Ticker of the bars if the table has no ticker column.
    tickers : sequence of str
        Tickers to return; empty: all.
    """
    first = (len(sources) - 1) << _FILE
    origin = loaded.positions + first

    def series(name: str, roles: Mapping[str, str], rows: Rows) -> Series:
        if isinstance(rows, np.ndarray) and rows.dtype == bool and rows.all():
            rows = slice(None)
        values = {role: loaded.numbers[column].values[rows] for role, column in roles.items()}
        for role in absent:
            values[role] = np.zeros(len(values["close"])) if role == "volume" else values["close"]
        texts = {
            role: {first + at: text for at, text in loaded.numbers[column].texts.items()}
            for role, column in roles.items()
            if loaded.numbers[column].texts
        }
        times = stamps.values[rows]
        return Series(name, sources, origin[rows], times, stamps.aware, values, dict(roles), texts)

    if layout.kind == "wide":
        all_series = []
        for name, roles in layout.fields.items():
            one = series(name, roles, stamps.known)
            # In a wide table an empty row of a ticker is no bar.
            there = np.zeros(len(one), dtype=bool)
            for role in roles:
                there |= ~np.isnan(one.values[role])
                there |= np.isin(one.origin, list(one.texts.get(role, {})))
            all_series.append(one if there.all() else one.take(there))
        return all_series
    roles = layout.fields[""]
    if loaded.ticker is None:
        return [series(ticker, roles, stamps.known)]
    codes, names = loaded.ticker.codes, loaded.ticker.names
    # A stable order by ticker keeps the order of the file; small numbers sort by radix.
    if len(names) < 2**15:
        codes = codes.astype(np.int16)
    order = None if (np.diff(codes) >= 0).all() else np.argsort(codes, kind="stable")
    ranked = codes if order is None else codes[order]
    # Same type as the codes: else numpy converts all of them for every search.
    edges = np.searchsorted(ranked, np.arange(len(names) + 1, dtype=ranked.dtype))
    number = {name: code for code, name in enumerate(names)}
    all_series = []
    for name in tickers or sorted(names):
        if name not in number:
            continue
        start, stop = edges[number[name]], edges[number[name] + 1]
        rows: Rows = slice(int(start), int(stop)) if order is None else order[start:stop]
        if not stamps.known.all():
            rows = np.arange(len(codes))[rows]
            rows = rows[stamps.known[rows]]
        all_series.append(series(name, roles, rows))
    return all_series


def concatenated(parts: Sequence[Series]) -> Series:
    """Concatenate the parts of one ticker from several files."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    texts: dict[str, dict[int, str]] = {}
    for part in parts:
        for role, cells in part.texts.items():
            texts.setdefault(role, {}).update(cells)
    origin, times = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("origin", "times")
    )
    values = {role: np.concatenate([p.values[role] for p in parts]) for role in first.values}
    return replace(first, origin=origin, times=times, values=values, texts=texts)


def to_utc(series: Series, timeframe: str, timezone: str, stamp: str) -> tuple[Series, Mask]:
    """Return the series with stamps in UTC at the close of each bar, and its doubtful rows, (N,).

    Dates of days and weeks are unchanged. A local time is doubtful if it is ambiguous or
    nonexistent (daylight saving). An ambiguous hour is resolved by the order of the rows if both
    occurrences have rows.
    """
    times, doubtful = series.times, np.zeros(len(series), dtype=bool)
    dated = is_dated(timeframe)
    dates = dated and not series.aware and not (times % DAY).any()
    if stamp == "open" and dated:
        # In local time, where a day has 24 hours despite daylight saving.
        times = times + SECONDS[timeframe]
    if not series.aware and timezone != "UTC" and (not dates or stamp):
        times, doubtful = _localized(times, timezone)
    if stamp == "open" and not dated:
        times = times + SECONDS[timeframe]
    return replace(series, times=times, aware=True), doubtful


def _localized(walls: Seconds, timezone: str) -> tuple[Seconds, Mask]:
    shown = pd.DatetimeIndex(walls.view("datetime64[s]"))
    placed = shown.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
    if placed.hasnans:
        # Fails unless both occurrences of the hour have rows.
        with suppress(ValueError):
            placed = shown.tz_localize(timezone, ambiguous="infer", nonexistent="NaT")
    doubtful = placed.isna()
    utc = placed.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[s]")
    return np.where(doubtful, walls, utc.astype(np.int64)), np.asarray(doubtful)


def adjusted(series: Series) -> Series:
    """Return prices times the adjustment and volume divided by it."""
    if "adj_close" in series.values:
        factor = series.values["adj_close"] / series.values["close"]
    elif "factor" in series.values:
        factor = series.values["factor"]
    else:
        return series
    with np.errstate(over="ignore", under="ignore"):  # non-finite values are an error later
        values: dict[str, Floats] = {role: series.values[role] * factor for role in PRICES}
        values["volume"] = series.values["volume"] / factor
    columns = {role: name for role, name in series.columns.items() if role in FIELDS}
    return replace(series, values={role: values[role] for role in FIELDS}, columns=columns)
