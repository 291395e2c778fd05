"""From tables to bars: layouts, stamps, repairs, checks, alignment; the same for every format."""

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
from podium.readers._align import cut_off, side_by_side, union
from podium.readers._columns import Layout, find_layout, stamp_told, zone_told
from podium.readers._findings import ERROR, NOTE, DataIssue, error, has_errors, problems
from podium.readers._options import ReadOptions
from podium.readers._series import Series, Settled, adjusted, joined, settled, split
from podium.readers._table import Table, TableSource
from podium.readers._times import Stamps, parse
from podium.timeframe import is_dated, modal_gap, of_gap, zone

Open = Callable[[Path, ReadOptions], Table]


@dataclass(frozen=True)
class Unopened:
    """A table that was found and not read yet.

    Parameters
    ----------
    name : str
        What it is called in messages.
    ticker : str
        Whose bars it holds when it does not say.
    alone : bool
        Whether it was found by that ticker's name, and so holds no other's.
    """

    name: str
    ticker: str
    alone: bool
    open: Callable[[], Table]


Find = Callable[["Examined"], Sequence[Unopened]]


@dataclass(frozen=True)
class Format:
    """How bars of one file format are found and opened.

    Parameters
    ----------
    suffixes : tuple of str
        Lower case, the usual one first.
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
        """Aligned bars of the tickers in the order asked for.

        Bars start where the youngest ticker starts and end where the first one ends, or with
        ``align="union"`` where each starts and ends itself; inside that span every ticker must
        have every bar. Only the columns that are needed are read.

        Parameters
        ----------
        path : Path
            A folder with one file a ticker, a file, or a pattern such as ``data/*.csv``.
        adjust : bool
            Multiply prices by ``adj_close / close`` (or by ``factor``) and divide the volume by it,
            so that splits and dividends leave no jump.
        options
            Of :class:`podium.readers._options.Options`.

        Raises
        ------
        DataError
            With everything that is wrong in all files: missing files or columns, unreadable or
            repeated or unordered dates, NaN, prices at or below zero, impossible candles, a gap.
        """
        how = ReadOptions(**options)
        asked = Examined(name, tickers=tuple(tickers), timeframe=timeframe)
        return load(asked, partial(self._find, path, how), adjust, how)

    def examine(
        self,
        path: Path,
        *,
        name: str,
        tickers: Sequence[str] = (),
        timeframe: str = "",
        adjust: bool | None = None,
        **options: Any,
    ) -> Examined:
        """Everything that can be said about the files; nothing is raised for dirty ones.

        Parameters
        ----------
        tickers : sequence of str
            In the order wanted; empty: all that are found, by name.
        timeframe : str
            Empty: found out.
        adjust : bool or None
            None: when the files have what it takes.

        Raises
        ------
        UsageError
            A time zone or a repair that is none.
        """
        how = ReadOptions(**options)
        asked = Examined(name, tickers=tuple(tickers), timeframe=timeframe)
        return _examine(asked, partial(self._find, path, how), adjust, how, thorough=True)

    def _find(self, path: Path, options: ReadOptions, found: Examined) -> list[Unopened]:
        """Files of the path; what is wrong with them is written into ``found``."""
        tickers, named = found.tickers, None
        if not options.layout or options.layout == "files":
            named = _files.by_ticker(path, tickers, self.suffixes) if tickers else None
        if named is not None and "ticker" not in options.columns:
            files = [(file, ticker) for ticker, file in named[0].items()]
            found.findings += named[1]
        else:
            some = _files.matching(path, self.suffixes)
            files = [(file, _files.stem(file, self.suffixes)) for file in some]
            if len(some) == 1 and len(tickers) == 1:
                # One file without a ticker column is the one ticker's, whatever it is called.
                files = [(some[0], tickers[0])]
            if not some:
                found.findings.append(_nothing_there(found.name, path, self))
        found.files = [file for file, _ in files]
        found.findings += _files.too_many(found.files, options.limits)
        return [
            Unopened(str(file), ticker, named is not None, partial(self.open, file, options))
            for file, ticker in files[: options.limits.files]
        ]


@dataclass
class Examined:
    """What was found in the files of a dataset, loadable or not.

    Parameters
    ----------
    layout : str
        ``files``, ``long`` or ``wide``; empty when no file could be understood.
    timeframe : str
        As said, or as the most frequent gap tells; empty when it tells none.
    form : str
        The format of stamps that had to be found out.
    aware : bool
        Whether stamps name their zone.
    zone, stamp : str
        What the name of the time column tells of them; empty when it does not.
    named : dict of str
        Tickers that ticker columns name, in the order they come.
    dataset : Dataset or None
        None when something has to be refused.
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
        """Whether loading would be refused."""
        return has_errors(self.findings)


def load(found: Examined, find: Find, adjust: bool | None, options: ReadOptions) -> Dataset:
    """Aligned bars of the tables that ``find`` gives, or a DataError with all that is wrong.

    Parameters
    ----------
    found : Examined
        With the name, the tickers and the timeframe that are asked for.
    """
    _examine(found, find, adjust, options, thorough=False)
    if found.dataset is None:
        raise DataError.of(problems(found.findings))
    return found.dataset


def _examine(
    found: Examined, find: Find, adjust: bool | None, options: ReadOptions, *, thorough: bool
) -> Examined:
    """What is found; ``thorough`` also looks for what is remarkable without being wrong."""
    asked = _repair.steps(options.repair)
    zone(options.timezone)
    zone(options.exchange_timezone or "UTC")
    tables = find(found)
    series = _series(tables, adjust, options, found)
    if has_errors(found.findings) and not series:
        return found
    found.tickers = found.tickers or tuple(sorted(series))
    found.timeframe = found.timeframe or _timeframe(series, found)
    absent = [ticker for ticker in found.tickers if not len(series.get(ticker, ()))]
    if absent and not has_errors(found.findings):
        found.findings += [_nowhere(ticker, tables, found.named) for ticker in absent]
    clean, errors = _checks(series, found, options, asked)
    loadable = found.timeframe and not has_errors(found.findings)
    found.findings += errors
    if loadable and not errors:
        _align(clean, found, options, asked, thorough)
    return found


def _series(
    tables: Sequence[Unopened], adjust: bool | None, options: ReadOptions, found: Examined
) -> dict[str, Series]:
    """Every ticker's rows from all tables, as they stand there."""
    tickers = found.tickers
    sources: list[TableSource] = []
    parts: dict[str, list[Series]] = {}
    for one in tables:
        try:
            table = one.open()
            known = () if one.alone else tickers
            layout, missing = find_layout(
                table.names,
                options,
                tickers=known,
                adjust=adjust,
                where=one.name,
                wanted="files" if one.alone else "",
            )
            found.findings += missing
            if layout is None:
                continue
            rows = _parts(table, layout, one.ticker, known, sources, options, found)
            for part in rows:
                parts.setdefault(part.ticker, []).append(part)
        except MissingExtraError:
            raise
        except PodiumError as refused:
            found.findings += [DataIssue(ERROR, "files", *problem) for problem in refused.problems]
    for ticker, pieces in parts.items():
        if len({piece.aware for piece in pieces}) > 1:
            found.findings.append(
                error(
                    "times",
                    f"ticker '{ticker}': some files name a time zone in their stamps, others do "
                    "not",
                    "one or the other in every file",
                )
            )
    series = {ticker: joined(pieces) for ticker, pieces in parts.items()}
    return {ticker: series[ticker] for ticker in tickers or sorted(series) if ticker in series}


def _parts(
    table: Table,
    layout: Layout,
    ticker: str,
    tickers: Sequence[str],
    sources: list[TableSource],
    options: ReadOptions,
    found: Examined,
) -> list[Series]:
    """One table's rows by ticker; what it tells about the dataset is written into ``found``."""
    loaded = table.load(layout.times, layout.ticker, layout.numbers)
    if not len(loaded.positions):
        what = f"{table.source.name} has a header and no rows"
        found.findings.append(error("files", what, "one row a bar"))
        return []
    stamps: Stamps = parse(
        loaded.times,
        aware=loaded.aware,
        date_format=options.date_format,
        source=table.source,
        positions=loaded.positions,
    )
    found.findings += stamps.findings
    sources.append(table.source)
    found.layout = layout.kind
    found.form = found.form or stamps.form
    found.aware = found.aware and stamps.aware
    found.zone = found.zone or zone_told(layout.times[-1])
    found.stamp = found.stamp or stamp_told(layout.times[-1])
    roles = next(iter(layout.fields.values()))
    found.adjust = bool({"adj_close", "factor"} & set(roles))
    found.named.update(dict.fromkeys(loaded.ticker.names if loaded.ticker else ()))
    if nameless := loaded.nameless(table.source):
        found.findings.append(error("tickers", nameless, "one in every row"))
    return split(
        loaded, stamps, layout, sources, ticker=ticker, tickers=tickers, absent=options.absent
    )


def _timeframe(series: Mapping[str, Series], found: Examined) -> str:
    """Timeframe that the most frequent gap tells."""
    longest = max(series.values(), key=len, default=None)
    gap = modal_gap(longest.times) if longest else 0
    guess = of_gap(gap) if gap else None
    if guess is None and not has_errors(found.findings):
        what = f"most bars lie {gap} seconds apart" if gap else "there are fewer than two bars"
        found.findings.append(
            error("timeframe", what, "1M 5M 15M 30M 1H 4H D or W", "say it with --timeframe")
        )
    return guess or ""


def _checks(
    series: Mapping[str, Series], found: Examined, options: ReadOptions, asked: dict[str, int]
) -> tuple[dict[str, Series], list[DataIssue]]:
    """Settled, repaired series, and what is wrong with them even so."""
    clean: dict[str, Series] = {}
    errors: list[DataIssue] = []
    for ticker, one in series.items():
        ready = (
            settled(one, found.timeframe, options.timezone, options.stamp)
            if found.timeframe
            else Settled(one, np.zeros(len(one), dtype=bool))
        )
        ready = _repair.repaired(ready, asked, found.notes)
        doubtful = ready.doubtful
        filling = "forward_fill" in asked
        wrong = _inspect.errors(ready.series, options.timezone, doubtful)
        # What is missing is filled after the tickers are laid side by side.
        wrong = [one for one in wrong if not (filling and one.repair == "drop_nan")]
        errors += wrong
        clean[ticker] = ready.series
    if found.timeframe and not errors:
        errors += _calendar.timeframes(list(clean.values()), found.timeframe)
    return clean, [finding for finding in errors if finding.severity == ERROR]


def _align(
    series: dict[str, Series],
    found: Examined,
    options: ReadOptions,
    asked: dict[str, int],
    thorough: bool,
) -> None:
    """Lay the tickers side by side; the dataset, or why there is none, goes into ``found``."""
    ordered = [series[ticker] for ticker in found.tickers]
    cut, refused = side_by_side(found.name, ordered, asked, found.notes, options.align)
    found.findings += refused
    if thorough and options.align == "intersection" and all(map(len, ordered)):
        found.findings += cut_off(ordered)
    if refused:
        return
    done = [adjusted(one) for one in cut]
    if found.adjust:
        # An adjustment far out of proportion leaves numbers that are none.
        lost = [finding for one in done for finding in _inspect.errors(one, "UTC", _clear(one))]
        found.findings += lost
        if lost:
            return
    calendar = union(done)
    fields = {role: np.full((len(calendar), len(done)), np.nan) for role in FIELDS}
    for column, one in enumerate(done):
        # Inside its span a ticker has every bar.
        first = int(np.searchsorted(calendar, one.times[0]))
        for role in FIELDS:
            fields[role][first : first + len(one), column] = one.values[role]
    bars = Dataset(
        name=found.name,
        timeframe=found.timeframe,
        tickers=found.tickers,
        times=calendar.astype("datetime64[s]"),
        fields=fields,
        notes=tuple(found.notes),
    )
    # A ticker is a member while it has bars, unless a table of members says otherwise.
    found.dataset = bars.among(np.isfinite(fields["close"]))
    if thorough:
        found.findings += _remarks(done, found, options)


def _clear(series: Series) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.zeros(len(series), dtype=bool)


def _remarks(done: Sequence[Series], found: Examined, options: ReadOptions) -> list[DataIssue]:
    """What is remarkable about bars that can be loaded."""
    remarks = [finding for one in done for finding in _inspect.remarks(one)]
    # All have the same stamps by now, or those of a union each in its own span.
    longest = max(done, key=len)
    clock = replace(longest, ticker="every ticker") if len(done) > 1 else longest
    exchange = options.exchange_timezone or options.timezone
    remarks += _calendar.calendar(clock, found.timeframe, exchange)
    remarks += _calendar.timeframes(done, found.timeframe)
    if not found.aware and not is_dated(found.timeframe):
        remarks.append(
            DataIssue(
                NOTE,
                "time zone",
                f"the stamps name no time zone; they are taken as {options.timezone}",
                fix="set timezone if they are local times" if options.timezone == "UTC" else "",
            )
        )
    if options.absent:
        words = "prices are the close, the volume is 0"
        remarks.append(
            DataIssue(NOTE, "absent", f"not there: {', '.join(options.absent)}; {words}")
        )
    return remarks + [DataIssue(NOTE, "repaired", note) for note in found.notes]


def _nothing_there(name: str, path: Path, made: Format) -> DataIssue:
    usual = made.suffixes[0]
    if path.is_dir() or _files.is_pattern(path):
        what = f"dataset '{name}': no {usual} file in {path}"
    else:
        kind = "file" if path.suffix else "folder"
        what = f"dataset '{name}': no {kind} {path}"
    return error("files", what, f"one <ticker>{usual} a ticker in it, or a file with all of them")


def _nowhere(ticker: str, tables: Sequence[Unopened], named: Mapping[str, None]) -> DataIssue:
    there = f"in none of {len(tables)} files" if len(tables) > 1 else f"not in {tables[0].name}"
    what = f"ticker '{ticker}' is {there}"
    return error("tickers", what, "at least one row of it", suggest(ticker, named) if named else "")
