"""From tables to bars: layouts, stamps, repairs, checks and alignment of every format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from podium.dataset import FIELDS, Dataset
from podium.errors import DataError, MissingExtraError, PodiumError, suggest
from podium.readers import _calendar, _files, _inspect, _repair
from podium.readers._align import align_series, short_histories, union
from podium.readers._columns import Layout, find_layout, stamp_in_name, zone_in_name
from podium.readers._findings import ERROR, DataIssue, error, has_errors, note, problems
from podium.readers._options import ReadOptions
from podium.readers._series import Series, adjusted, concatenated, split, to_utc
from podium.readers._table import Table, TableSource
from podium.readers._times import parse
from podium.timeframe import is_dated, modal_gap, of_gap, zone

Open = Callable[[Path, ReadOptions], Table]


@dataclass(frozen=True)
class LazyTable:
    """A table that is opened on request.

    Parameters
    ----------
    name : str
        Name in messages.
    ticker : str
        Ticker of the bars if the table has no ticker column.
    alone : bool
        Whether the file is named after the ticker and so holds no other.
    """

    name: str
    ticker: str
    alone: bool
    open: Callable[[], Table]


Find = Callable[["Inspection"], Sequence[LazyTable]]


@dataclass(frozen=True)
class Format:
    """A file format: its suffixes and how a file is opened.

    Parameters
    ----------
    suffixes : tuple of str
        Lower case, the usual suffix first.
    """

    suffixes: tuple[str, ...]
    open: Open

    def read(
        self,
        path: Path,
        *,
        name: str,
        tickers: Sequence[str],
        timeframe: str,
        adjust: bool,
        **options: Any,
    ) -> Dataset:
        """Read aligned bars of the tickers, in the given order.

        Bars span the latest first bar to the earliest last bar; with ``align="union"`` each ticker
        keeps its own span. Inside its span every ticker needs every bar. Only the required columns
        are read.

        Parameters
        ----------
        path : Path
            A folder with one file per ticker, a file, or a pattern such as ``data/*.csv``.
        adjust : bool
            Multiply prices by ``adj_close / close`` (or by ``factor``) and divide the volume by it,
            so that splits and dividends leave no jump.
        options
            Fields of :class:`podium.readers._options.ReadOptions`.

        Raises
        ------
        DataError
            Every error of all files: missing files or columns, unreadable or repeated or unordered
            dates, NaN, prices at or below zero, impossible candles, missing bars.
        """
        settings = ReadOptions(**options)
        request = Inspection(name, tickers=tuple(tickers), timeframe=timeframe)
        return load(request, partial(self._find, path, settings), adjust, settings)

    def examine(
        self,
        path: Path,
        *,
        name: str,
        tickers: Sequence[str] = (),
        timeframe: str = "",
        adjust: bool | None = None,
        **options: Any,
    ) -> Inspection:
        """Inspect the files; errors in them are part of the result and are not raised.

        Parameters
        ----------
        tickers : sequence of str
            In the order of the dataset; empty: all tickers, sorted by name.
        timeframe : str
            Empty: inferred from the stamps.
        adjust : bool or None
            None: adjust if the files have ``adj_close`` or ``factor``.

        Raises
        ------
        UsageError
            An unknown time zone or repair.
        """
        settings = ReadOptions(**options)
        request = Inspection(name, tickers=tuple(tickers), timeframe=timeframe)
        find = partial(self._find, path, settings)
        return _examine(request, find, adjust, settings, thorough=True)

    def _find(self, path: Path, options: ReadOptions, result: Inspection) -> list[LazyTable]:
        """Return the files of the path; issues are added to ``result``."""
        tickers, named = result.tickers, None
        if not options.layout or options.layout == "files":
            named = _files.by_ticker(path, tickers, self.suffixes) if tickers else None
        if named is not None and "ticker" not in options.columns:
            files = [(file, ticker) for ticker, file in named[0].items()]
            result.findings += named[1]
        else:
            some = _files.matching(path, self.suffixes)
            files = [(file, _files.stem(file, self.suffixes)) for file in some]
            if len(some) == 1 and len(tickers) == 1:
                # A single file holds the single ticker, whatever its name is.
                files = [(some[0], tickers[0])]
            if not some:
                result.findings.append(_no_files(result.name, path, self))
        result.files = [file for file, _ in files]
        result.findings += _files.too_many(result.files, options.limits)
        return [
            LazyTable(str(file), ticker, named is not None, partial(self.open, file, options))
            for file, ticker in files[: options.limits.files]
        ]


@dataclass
class Inspection:
    """Result of inspecting the files of a dataset.

    Parameters
    ----------
    layout : str
        ``files``, ``long`` or ``wide``; empty if no file is readable.
    timeframe : str
        As given, else inferred from the most frequent gap; empty if that fits no timeframe.
    form : str
        The inferred format of the stamps.
    aware : bool
        Whether stamps name their zone.
    zone, stamp : str
        Time zone and stamp in the name of the time column; empty if there is none.
    named : dict of str
        Tickers of the ticker columns, in order of appearance.
    dataset : Dataset or None
        None if there are errors.
    """

    name: str
    files: list[Path] = field(default_factory=list)
    layout: str = ""
    tickers: tuple[str, ...] = ()
    timeframe: str = ""
    adjust: bool = False
    form: str = ""
    aware: bool = True
    zone: str = ""
    stamp: str = ""
    findings: list[DataIssue] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    named: dict[str, None] = field(default_factory=dict)
    dataset: Dataset | None = None

    @property
    def refused(self) -> bool:
        """Whether there are errors, so that loading fails."""
        return has_errors(self.findings)


def load(result: Inspection, find: Find, adjust: bool | None, options: ReadOptions) -> Dataset:
    """Load aligned bars of the tables that ``find`` returns.

    Parameters
    ----------
    result : Inspection
        With the name, the tickers and the timeframe of the dataset.

    Raises
    ------
    DataError
        Every error of all tables.
    """
    _examine(result, find, adjust, options, thorough=False)
    if result.dataset is None:
        raise DataError.of(problems(result.findings))
    return result.dataset


def _examine(
    result: Inspection, find: Find, adjust: bool | None, options: ReadOptions, *, thorough: bool
) -> Inspection:
    """Complete the inspection; ``thorough`` adds warnings and notes."""
    repairs = _repair.parse_repairs(options.repair)
    zone(options.timezone)
    zone(options.exchange_timezone or "UTC")
    tables = find(result)
    series = _series(tables, adjust, options, result)
    if has_errors(result.findings) and not series:
        return result
    result.tickers = result.tickers or tuple(sorted(series))
    result.timeframe = result.timeframe or _timeframe(series, result)
    absent = [ticker for ticker in result.tickers if not len(series.get(ticker, ()))]
    if absent and not has_errors(result.findings):
        result.findings += [_ticker_without_rows(ticker, tables, result.named) for ticker in absent]
    clean, errors = _checks(series, result, options, repairs)
    loadable = result.timeframe and not has_errors(result.findings)
    result.findings += errors
    if loadable and not errors:
        _align(clean, result, options, repairs, thorough)
    return result


def _series(
    tables: Sequence[LazyTable], adjust: bool | None, options: ReadOptions, result: Inspection
) -> dict[str, Series]:
    """Return the unchanged rows of each ticker from all tables."""
    tickers = result.tickers
    sources: list[TableSource] = []
    parts: dict[str, list[Series]] = {}
    for one in tables:
        try:
            table = one.open()
            known, kind = ((), "files") if one.alone else (tickers, "")
            layout, missing = find_layout(
                table.names, options, tickers=known, adjust=adjust, where=one.name, kind=kind
            )
            result.findings += missing
            if layout is None:
                continue
            for part in _parts(table, layout, one.ticker, known, sources, options, result):
                parts.setdefault(part.ticker, []).append(part)
        except MissingExtraError:
            raise
        except PodiumError as refused:
            result.findings += [error("files", *problem) for problem in refused.problems]
    for ticker, pieces in parts.items():
        if len({piece.aware for piece in pieces}) > 1:
            what = f"ticker '{ticker}': some files have stamps with a time zone, others without"
            expected = "stamps with a time zone in all files or in none"
            result.findings.append(error("times", what, expected))
    series = {ticker: concatenated(pieces) for ticker, pieces in parts.items()}
    return {ticker: series[ticker] for ticker in tickers or sorted(series) if ticker in series}


def _parts(
    table: Table,
    layout: Layout,
    ticker: str,
    tickers: Sequence[str],
    sources: list[TableSource],
    options: ReadOptions,
    result: Inspection,
) -> list[Series]:
    """Return the rows of one table by ticker; its properties and issues are added to ``result``."""
    loaded = table.load(layout.times, layout.ticker, layout.numbers)
    if not len(loaded.positions):
        what = f"{table.source.name} has a header and no rows"
        result.findings.append(error("files", what, "one row per bar"))
        return []
    stamps = parse(loaded, table.source, options.date_format)
    result.findings += stamps.findings
    sources.append(table.source)
    result.layout = layout.kind
    result.form = result.form or stamps.form
    result.aware = result.aware and stamps.aware
    result.zone = result.zone or zone_in_name(layout.times[-1])
    result.stamp = result.stamp or stamp_in_name(layout.times[-1])
    roles = next(iter(layout.fields.values()))
    result.adjust = bool({"adj_close", "factor"} & set(roles))
    result.named.update(dict.fromkeys(loaded.ticker.names if loaded.ticker else ()))
    if problem := loaded.missing_ticker(table.source):
        result.findings.append(error("tickers", problem, "a ticker in every row"))
    return split(
        loaded, stamps, layout, sources, ticker=ticker, tickers=tickers, absent=options.absent
    )


def _timeframe(series: Mapping[str, Series], result: Inspection) -> str:
    """Infer the timeframe from the most frequent gap."""
    longest = max(series.values(), key=len, default=None)
    gap = modal_gap(longest.times) if longest else 0
    guess = of_gap(gap) if gap else None
    if guess is None and not has_errors(result.findings):
        what = f"most bars are {gap} seconds apart" if gap else "there are fewer than two bars"
        expected = "1M 5M 15M 30M 1H 4H D or W"
        result.findings.append(error("timeframe", what, expected, "set it with --timeframe"))
    return guess or ""


def _checks(
    series: Mapping[str, Series], result: Inspection, options: ReadOptions, repairs: dict[str, int]
) -> tuple[dict[str, Series], list[DataIssue]]:
    """Return repaired series in UTC, and the errors that remain."""
    clean: dict[str, Series] = {}
    errors: list[DataIssue] = []
    # Missing values are filled after the alignment.
    filled_later = "drop_nan" if "forward_fill" in repairs else None
    for ticker, one in series.items():
        doubtful = np.zeros(len(one), dtype=bool)
        if result.timeframe:
            one, doubtful = to_utc(one, result.timeframe, options.timezone, options.stamp)
        one, doubtful = _repair.apply_repairs(one, doubtful, repairs, result.notes)
        wrong = _inspect.errors(one, options.timezone, doubtful)
        errors += [issue for issue in wrong if issue.repair != filled_later]
        clean[ticker] = one
    if result.timeframe and not errors:
        errors += _calendar.check_timeframe(list(clean.values()), result.timeframe)
    return clean, [finding for finding in errors if finding.severity == ERROR]


def _align(
    series: dict[str, Series],
    result: Inspection,
    options: ReadOptions,
    repairs: dict[str, int],
    thorough: bool,
) -> None:
    """Align the tickers; the dataset or the errors are added to ``result``."""
    ordered = [series[ticker] for ticker in result.tickers]
    cut, refused = align_series(result.name, ordered, repairs, result.notes, options.align)
    result.findings += refused
    if thorough and options.align == "intersection" and all(map(len, ordered)):
        result.findings += short_histories(ordered)
    if refused:
        return
    done = [adjusted(one) for one in cut]
    if result.adjust:
        # An extreme adjustment overflows.
        lost = [finding for one in done for finding in _inspect.errors(one)]
        result.findings += lost
        if lost:
            return
    calendar = union(done)
    fields = {role: np.full((len(calendar), len(done)), np.nan) for role in FIELDS}
    for column, one in enumerate(done):
        # Inside its span a ticker has every bar.
        first = int(np.searchsorted(calendar, one.times[0]))
        for role in FIELDS:
            fields[role][first : first + len(one), column] = one.values[role]
    times, notes = calendar.astype("datetime64[s]"), tuple(result.notes)
    bars = Dataset(result.name, result.timeframe, result.tickers, times, fields, notes=notes)
    # A ticker is a member while it has bars, unless a table of members overrides it.
    result.dataset = bars.among(np.isfinite(fields["close"]))
    if thorough:
        result.findings += _remarks(done, result, options)


def _remarks(done: Sequence[Series], result: Inspection, options: ReadOptions) -> list[DataIssue]:
    """Return the warnings and notes about loadable bars."""
    remarks = [finding for one in done for finding in _inspect.find_warnings(one)]
    # All tickers share their stamps here; those of a union share them inside their span.
    longest = max(done, key=len)
    clock = replace(longest, ticker="every ticker") if len(done) > 1 else longest
    exchange = options.exchange_timezone or options.timezone
    remarks += _calendar.check_calendar(clock, result.timeframe, exchange)
    remarks += _calendar.check_timeframe(done, result.timeframe)
    if not result.aware and not is_dated(result.timeframe):
        what = f"the stamps name no time zone; they are read as {options.timezone}"
        fix = "set timezone if they are local times" if options.timezone == "UTC" else ""
        remarks.append(note("time zone", what, fix=fix))
    if options.absent:
        what = f"not in the files: {', '.join(options.absent)}"
        remarks.append(note("absent", f"{what}; prices are the close, the volume is 0"))
    return remarks + [note("repaired", repair) for repair in result.notes]


def _no_files(name: str, path: Path, made: Format) -> DataIssue:
    usual = made.suffixes[0]
    if path.is_dir() or _files.is_pattern(path):
        what = f"dataset '{name}': no {usual} file in {path}"
    else:
        kind = "file" if path.suffix else "folder"
        what = f"dataset '{name}': no {kind} {path}"
    return error("files", what, f"one <ticker>{usual} per ticker in it, or a file of all tickers")


def _ticker_without_rows(
    ticker: str, tables: Sequence[LazyTable], named: Mapping[str, None]
) -> DataIssue:
    there = f"in none of {len(tables)} files" if len(tables) > 1 else f"not in {tables[0].name}"
    what = f"ticker '{ticker}' is {there}"
    return error("tickers", what, "at least one row", suggest(ticker, named) if named else "")
