"""Files of covariates: roles of columns, availability of rows, and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from podium.arrays import Floats, Times
from podium.covariates import Covariate
from podium.errors import PodiumError
from podium.readers._bars import Open
from podium.readers._columns import USUAL as BARS
from podium.readers._columns import choose_column, named_columns, normal
from podium.readers._findings import DataIssue, error, has_errors, warning
from podium.readers._options import ReadOptions
from podium.readers._table import Loaded, Table
from podium.readers._times import Stamps, parse
from podium.sections import CovariateSection
from podium.timeframe import DAY, Seconds, instants, zone

USUAL = {
    "ticker": BARS["ticker"],
    "time": (*BARS["time"], "valid_from", "effective_date"),
    "available_at": (
        "available_at", "available", "available_from", "known_at", "published", "published_at",
        "publication_date", "publish_date", "release_date", "released", "released_at",
        "announced", "announced_at", "announcement_date", "filed", "filed_at", "filing_date",
        "accepted", "accepted_date", "acceptance_datetime", "reported_date", "reporteddate",
        "realtime_start", "vintage_date",
    ),
    "period": (
        "period", "period_end", "period_ending", "period_of_report", "reference_period",
        "observation_date", "fiscal_period_end", "fiscal_date_ending", "fiscaldateending",
        "quarter_end",
    ),
}  # fmt: skip
# The first role of each kind is required.
ROLES = {
    "static": ("ticker",),
    "known_ahead": ("time", "ticker"),
    "dated": ("available_at", "period", "ticker"),
}
_NEEDED = {
    "static": "a column of tickers: a value that is the same for all tickers and bars is a "
    "constant without information",
    "known_ahead": "the moment from which on each value holds",
    "dated": "when each row became known: a period is not a publication, and a figure joined at "
    "its period is known before its publication",
}
# Names that pandas gives to an unnamed index.
_INDEX = ("", "unnamed_0", "index")
_TRUTH = {"true": 1.0, "false": 0.0}


def read(
    path: Path, opening: Open, section: CovariateSection
) -> tuple[Covariate | None, list[DataIssue]]:
    """Return the covariate of a file, None if there are errors, and the issues.

    Parameters
    ----------
    opening : callable
        Opens a file of the format.
    section : CovariateSection
        Settings: ``columns`` maps a role, or the name of a value, to its column; other roles are
        inferred from usual names. If a value is named, only the named ones are read.

    Raises
    ------
    UsageError
        An unknown time zone.

    Notes
    -----
    A stamp of publication at midnight without a zone is a date, known at the end of that day. A
    stamp at another time of day, or with a zone, is an instant.
    """
    kind, timezone = section.kind, section.timezone
    zone(timezone)
    try:
        table = opening(path, ReadOptions())
        roles, values, findings = _columns(table.names, kind, section.columns, str(path))
        if has_errors(findings):
            return None, findings
        timed = [role for role in ("available_at", "time", "period") if role in roles]
        times, numbers = [roles[role] for role in timed], list(values.values())
        loaded = table.load(times, roles.get("ticker", ""), numbers)
        if not len(loaded.positions):
            return None, [error("covariates", f"{path} has a header and no rows", "rows")]
        figures, findings = _figures(table, loaded, values, roles)
        names, errors = _tickers(table, loaded)
        findings += errors
        stamps = {
            role: _stamps(table, loaded, place, roles[role], section.date_format, findings)
            for place, role in enumerate(timed)
        }
        if has_errors(findings):
            return None, findings
        utc = {role: _utc(one, timezone) for role, one in stamps.items()}
        known, about = utc.get("time"), utc.get("period")
        if kind == "dated":
            published = stamps["available_at"]
            known = _utc(published, timezone, known_at_end=True)
            findings += _midnights(path, published)
            if about is not None:
                findings += _impossible(table, loaded, utc["available_at"], about)
        made = Covariate.of(
            kind,
            figures,
            moments=None if known is None else known.astype("datetime64[s]"),
            periods=None if about is None else about.astype("datetime64[s]"),
            tickers=names,
            place=lambda row: table.source.place(int(loaded.positions[row])),
        )
    except PodiumError as refused:
        return None, [error("covariates", *problem) for problem in refused.problems]
    return made, findings


def _columns(
    names: Sequence[str], kind: str, columns: Mapping[str, str], where: str
) -> tuple[dict[str, str], dict[str, str], list[DataIssue]]:
    """Return the column of each role and of each value, and the errors."""
    given, findings = named_columns(names, columns, where)
    for role, column in given.items():
        if role in USUAL and role not in ROLES[kind]:
            what = f"{where}: columns names '{column}' as {role}, and the kind is {kind}"
            expected = f"roles of this kind: {', '.join(ROLES[kind])}"
            findings.append(error("columns", what, expected))
    roles = {role: column for role, column in given.items() if role in ROLES[kind]}
    values = {name: column for name, column in given.items() if name not in USUAL}
    rest = [name for name in names if name not in given.values()]
    for role in ROLES[kind]:
        some = [name for name in rest if normal(name) in USUAL[role]]
        if some and role not in roles:
            roles[role] = choose_column(role, some, where, findings)
    needed = ROLES[kind][0]
    if needed not in roles and needed not in columns:
        what = f"{where} has no column {needed} (found: {', '.join(names[:20])})"
        fix = f'name it: columns = {{{needed} = "..."}}'
        findings.append(error("columns", what, _NEEDED[kind], fix))
    values = values or {
        name: name for name in rest if name not in roles.values() and normal(name) not in _INDEX
    }
    if not values and not findings:
        findings.append(error("columns", f"{where} has no column of values", "numbers"))
    return roles, values, findings


def _figures(
    table: Table, loaded: Loaded, values: Mapping[str, str], roles: Mapping[str, str]
) -> tuple[dict[str, Floats], list[DataIssue]]:
    """Return the numbers of each value; true and false are 1 and 0, other texts an error."""
    figures, invalid = {}, []
    for name, column in values.items():
        numbers = loaded.numbers[column]
        figures[name] = numbers.values
        if not numbers.texts:
            continue
        # Loaded as names, a column keeps all of its texts.
        codes = table.load([*roles.values()], column, []).ticker
        assert codes is not None
        truth = [_TRUTH[word.lower()] for word in codes.names if word.lower() in _TRUTH]
        if len(truth) < len(codes.names):
            row, text = next(iter(numbers.texts.items()))
            invalid.append(f"'{column}' ({text!r} in {table.source.place(row)})")
            continue
        figures[name] = np.asarray([*truth, np.nan], dtype=np.float64)[codes.codes]
    if not invalid:
        return figures, []
    more = f" and {len(invalid) - 5} more" if len(invalid) > 5 else ""
    what = f"{table.source.name}: no numbers in column {', '.join(invalid[:5])}{more}"
    fix = 'name the columns of values: columns = {eps = "reportedEPS"}, for example'
    roles_left = [role for role in USUAL if role not in roles]
    expected = "numbers, or true and false, in all columns but those of stamps and tickers"
    if roles_left:
        fix += f"; or the column's role: {', '.join(roles_left)}"
    return figures, [error("columns", what, expected, fix)]


def _tickers(table: Table, loaded: Loaded) -> tuple[list[str] | None, list[DataIssue]]:
    if loaded.ticker is None:
        return None, []
    if problem := loaded.missing_ticker(table.source):
        fix = "remove the column of tickers if the values hold for all of them"
        return None, [error("covariates", problem, "a ticker in every row", fix)]
    return np.asarray(loaded.ticker.names, dtype=np.str_)[loaded.ticker.codes].tolist(), []


def _stamps(
    table: Table,
    loaded: Loaded,
    place: int,
    column: str,
    date_format: str,
    findings: list[DataIssue],
) -> Stamps:
    """Return the unconverted stamps of one column."""
    values = loaded.times[place]
    aware = loaded.aware
    if not aware and isinstance(values, np.ndarray) and values.dtype.kind == "M":
        # A load of several columns reports only whether all of them are aware.
        aware = table.load([column], "", []).aware
    stamps = parse(replace(loaded, times=[values], aware=aware), table.source, date_format)
    findings += [
        error("covariates", f"column '{column}': {one.found}", one.expected, one.fix)
        for one in stamps.findings
    ]
    return stamps


def _utc(stamps: Stamps, timezone: str, *, known_at_end: bool = False) -> Seconds:
    """Return seconds since 1970 UTC; dates of publication count from the end of their day."""
    if stamps.aware:
        return stamps.values
    walls = stamps.values
    if known_at_end:
        walls = np.where(walls % DAY == 0, walls + DAY, walls)
    shown, back = np.unique(walls, return_inverse=True)
    return instants(shown, timezone)[back]


def _impossible(table: Table, loaded: Loaded, when: Seconds, about: Seconds) -> list[DataIssue]:
    """Return a warning about rows published before the end of their period."""
    rows = np.flatnonzero(when < about)
    if not len(rows):
        return []
    first = int(rows[0])
    place = table.source.place(int(loaded.positions[first]))
    moments: Times = np.asarray([when[first], about[first]]).astype("datetime64[s]")
    what = f"{place} was available at {moments[0]}, before the end of its period {moments[1]} "
    what += f"({len(rows)} such)"
    expected = "figures that are published after the end of their period"
    fix = "use the end of the period, not its start; or check whether the columns are swapped"
    return [warning("published early", what, expected, fix, count=len(rows), first=place)]


def _midnights(path: Path, when: Stamps) -> list[DataIssue]:
    """Return a warning if all instants are midnights: likely dates with an added zone."""
    if not when.aware or len(when.values) < 2 or (when.values % DAY).any():
        return []
    what = f"{path}: every row became known at midnight UTC, which is read as an instant"
    expected = "instants, or dates, which count from the end of their day"
    fix = "write dates without a time and a zone if they are dates"
    return [warning("available_at", what, expected, fix, count=len(when.values))]
