"""Dated membership of tickers in a universe."""

from __future__ import annotations

import csv
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from podium.arrays import Ints, Mask
from podium.dataset import Dataset
from podium.errors import DataError, suggest
from podium.readers._findings import DataIssue, error, has_errors, problems, warning
from podium.readers._options import ReadLimits, require_size
from podium.readers._series import iso
from podium.timeframe import DAY, Seconds, is_dated

COLUMNS = ("ticker", "from", "to")
_error = partial(error, "members")
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Span:
    """A ticker's membership from the first second to the last, both inclusive.

    Parameters
    ----------
    line : int
        Line of the file.
    """

    ticker: str
    first: int
    last: int
    line: int


def with_members(dataset: Dataset, path: Path) -> Dataset:
    """Return the dataset with the members of a table.

    Raises
    ------
    DataError
        Every error of the table, and every member without bars.
    """
    result, findings = check_members(dataset, path)
    if has_errors(findings):
        raise DataError.of(problems(findings))
    return result


def check_members(dataset: Dataset, path: Path) -> tuple[Dataset, list[DataIssue]]:
    """Return the dataset with its members, and the issues; errors are not raised.

    Parameters
    ----------
    path : Path
        CSV with columns ``ticker from to``: dates (days of UTC) or instants; an empty ``to`` is
        open. A ticker may have several rows.
    """
    spans, findings = _read(path, dated=is_dated(dataset.timeframe))
    if has_errors(findings):
        return dataset, findings
    members, more = _members(dataset, spans, path.name)
    result = dataset if has_errors(more) else dataset.among(members)
    return result, [*findings, *more]


def _read(path: Path, *, dated: bool) -> tuple[list[Span], list[DataIssue]]:
    try:
        require_size(path, ReadLimits())
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except OSError as failed:
        reason = (failed.strerror or str(failed)).lower()
        return [], [_error(f"{path} cannot be read: {reason}", "a CSV file of members")]
    except (UnicodeDecodeError, csv.Error) as failed:
        return [], [_error(f"{path}: {failed}", "a CSV file of members")]
    header = [name.strip().lower() for name in rows[0]] if rows else []
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        what = f"{path} has no column {', '.join(missing)} (found: {', '.join(header) or 'none'})"
        return [], [_error(what, "columns ticker, from, to separated by commas")]
    at = [header.index(name) for name in COLUMNS]
    spans: list[Span] = []
    findings: list[DataIssue] = []
    for line, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        ticker, since, until = (row[n].strip() if n < len(row) else "" for n in at)
        where = f"{path.name} line {line}"
        first = _moment(since, dated=dated, end=False)
        last = NEVER if not until else _moment(until, dated=dated, end=True)
        if not ticker:
            findings.append(_error(f"{where} has no ticker", "a ticker in every row"))
        for cell, moment, name in ((since, first, "from"), (until, last, "to")):
            if moment is None:
                findings.append(_error(f"{where} has {name} {cell!r}", "a date such as 2010-01-31"))
        if first is None or last is None or not ticker:
            continue
        if first > last:
            findings.append(_error(f"{where} ends at {until}, before it begins at {since}"))
        spans.append(Span(ticker, first, last, line))
    if not spans and not findings:
        findings.append(_error(f"{path} has a header and no rows", "one row per member"))
    return spans, findings


def _moment(text: str, *, dated: bool, end: bool) -> int | None:
    """Return seconds since 1970 of a date or an instant; the end of a date is its last second."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    seconds = int(aware.timestamp())
    # Bars of days and weeks are stamped with a date, so times of day are ignored.
    day = seconds - seconds % DAY
    if dated or len(text) <= len("2010-01-31"):
        return day + DAY - 1 if end else day
    return seconds


def _members(dataset: Dataset, spans: Sequence[Span], name: str) -> tuple[Mask, list[DataIssue]]:
    """Return the membership of each bar and ticker, and the issues."""
    times = dataset.times.astype("datetime64[s]").astype(np.int64)
    members = np.zeros((len(dataset), len(dataset.tickers)), dtype=bool)
    by_ticker: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        by_ticker[span.ticker].append(span)
    findings = _unlisted(dataset.tickers, by_ticker, name)
    for column, ticker in enumerate(dataset.tickers):
        alive = dataset.alive[:, column]
        for span in by_ticker.get(ticker, ()):
            first = int(np.searchsorted(times, span.first, side="left"))
            stop = int(np.searchsorted(times, span.last, side="right"))
            members[first:stop, column] = True
            lacking = np.flatnonzero(~alive[first:stop]) + first
            if len(lacking):
                findings.append(_without_bars(dataset, column, span, lacking, times, name))
    if not members.any() and not findings:
        period = " to ".join(iso(int(times[row])) for row in (0, -1))
        what = f"no ticker in {name} is a member from {period}"
        findings.append(_error(what, "a member at one bar or more"))
    return members, findings


def _unlisted(
    tickers: Sequence[str], named: Mapping[str, Sequence[Span]], name: str
) -> list[DataIssue]:
    issues = []
    for ticker in tickers:
        if ticker not in named:
            what = f"ticker '{ticker}' has no row in {name}"
            issues.append(_error(what, "a row for every ticker", suggest(ticker, named)))
    others = sorted(set(named) - set(tickers))
    if others:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        what = f"{name} names members that the dataset lacks: {shown}"
        expected = "bars of every member; missing ones are often those that failed"
        fix = "add their files and name them in tickers"
        issues.append(warning("members", what, expected, fix, count=len(others)))
    return issues


def _without_bars(
    dataset: Dataset, column: int, span: Span, lacking: Ints, times: Seconds, name: str
) -> DataIssue:
    ticker = dataset.tickers[column]
    alive = np.flatnonzero(dataset.alive[:, column])
    begins, ends, first = (iso(int(times[row])) for row in (*alive[[0, -1]], lacking[0]))
    what = (
        f"{name} line {span.line}: ticker '{ticker}' is a member and has no bar at {first} "
        f"({len(lacking)} such); its bars are {begins} to {ends}"
    )
    late = lacking[-1] > alive[-1]
    fix = f"add the bars, or write {ends if late else begins} as its '{'to' if late else 'from'}'"
    return _error(what, "a bar at every bar of a member", fix, ticker, len(lacking), first)
