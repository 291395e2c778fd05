"""Files of covariates: which column is what, when each row counts, and what cannot be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from podium.arrays import Floats, Times
from podium.covariates import Covariate
from podium.errors import PodiumError
from podium.readers._bars import Open
from podium.readers._columns import USUAL as BARS
from podium.readers._columns import named, normal, pick
from podium.readers._findings import ERROR, WARNING, DataIssue, error, has_errors
from podium.readers._options import ReadOptions
from podium.readers._table import Loaded, Table
from podium.readers._times import Stamps, parse
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
# The first column of each kind's is one that it must have.
ROLES = {
    "static": ("ticker",),
    "known_ahead": ("time", "ticker"),
    "dated": ("available_at", "period", "ticker"),
}
_NEEDED = {
    "static": "a column of tickers: a value that is the same for all tickers and bars is a "
    "constant, and tells a model nothing",
    "known_ahead": "the moment from which on each value holds",
    "dated": "when each row became known: a period is not a publication, and a figure joined at "
    "its period is known before anybody could know it",
}
# What pandas calls an index that was written without a name.
_INDEX = ("", "unnamed_0", "index")
_TRUTH = {"true": 1.0, "false": 0.0}


def read(
    path: Path,
    *,
    opening: Open,
    kind: str,
    columns: Mapping[str, str],
    timezone: str,
    date_format: str,
) -> tuple[Covariate | None, list[DataIssue]]:
    """Covariate of a file, None when it has to be refused, and what was found in it.

    Parameters
    ----------
    opening : callable
        Of the file's format.
    kind : {"static", "known_ahead", "dated"}
    columns : mapping of role, or of name of a value, to column
        Roles that are not named are found by usual names. Once a value is named, only those that
        are named are taken.
    timezone : str
        Zone of stamps that name none.
    date_format : str
        Of all stamps, empty: found out.

    Notes
    -----
    A stamp of publication without a zone at midnight is a date: what is known on that day is known
    when it ends. A stamp at another time of day, or with a zone, is an instant.

    Raises
    ------
    UsageError
        A time zone that is none.
    """
    zone(timezone)
    try:
        table = opening(path, ReadOptions())
        roles, values, findings = _columns(table.names, kind, columns, str(path))
        if has_errors(findings):
            return None, findings
        timed = [role for role in ("available_at", "time", "period") if role in roles]
        loaded = table.load(
            [roles[role] for role in timed], roles.get("ticker", ""), list(values.values())
        )
        if not len(loaded.positions):
            return None, [error("covariates", f"{path} has a header and no rows", "rows")]
        figures, findings = _figures(table, loaded, values, roles)
        names, nameless = _tickers(table, loaded)
        findings += nameless
        stamps = {
            role: _stamps(table, loaded, place, roles[role], date_format, findings)
            for place, role in enumerate(timed)
        }
        if has_errors(findings):
            return None, findings
        utc = {role: _utc(one, timezone) for role, one in stamps.items()}
        known, about = utc.get("time"), utc.get("period")
        if kind == "dated":
            published = stamps["available_at"]
            known = _utc(published, timezone, known_at_end=True)
            findings += _dates_after_all(path, published)
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
        return None, [DataIssue(ERROR, "covariates", *problem) for problem in refused.problems]
    return made, findings


def _columns(
    names: Sequence[str], kind: str, columns: Mapping[str, str], where: str
) -> tuple[dict[str, str], dict[str, str], list[DataIssue]]:
    """Column of each role and of each value."""
    told, findings = named(names, columns, where)
    strange = [role for role in told if role in USUAL and role not in ROLES[kind]]
    findings += [
        error(
            "columns",
            f"{where}: columns names '{told[role]}' as {role}, and the kind is {kind}",
            f"of roles, those of this kind: {', '.join(ROLES[kind])}",
        )
        for role in strange
    ]
    roles = {role: column for role, column in told.items() if role in ROLES[kind]}
    values = {name: column for name, column in told.items() if name not in USUAL}
    rest = [name for name in names if name not in told.values()]
    for role in ROLES[kind]:
        some = [name for name in rest if normal(name) in USUAL[role]]
        if some and role not in roles:
            roles[role] = pick(role, some, where, findings)
    needed = ROLES[kind][0]
    if needed not in roles and needed not in columns:
        findings.append(
            error(
                "columns",
                f"{where} has no column {needed} (found: {', '.join(names[:20])})",
                _NEEDED[kind],
                f'name it: columns = {{{needed} = "..."}}',
            )
        )
    values = values or {
        name: name for name in rest if name not in roles.values() and normal(name) not in _INDEX
    }
    if not values and not findings:
        findings.append(error("columns", f"{where} has no column of values", "numbers"))
    return roles, values, findings


def _figures(
    table: Table, loaded: Loaded, values: Mapping[str, str], roles: Mapping[str, str]
) -> tuple[dict[str, Floats], list[DataIssue]]:
    """Numbers of every value; true and false are 1 and 0, other texts are refused."""
    found, strange = {}, []
    for name, column in values.items():
        numbers = loaded.numbers[column]
        found[name] = numbers.values
        if not numbers.texts:
            continue
        # Loaded as names, a column keeps all of its texts.
        codes = table.load([*roles.values()], column, []).ticker
        assert codes is not None
        truth = [_TRUTH[word.lower()] for word in codes.names if word.lower() in _TRUTH]
        if len(truth) < len(codes.names):
            row, text = next(iter(numbers.texts.items()))
            strange.append(f"'{column}' ({text!r} in {table.source.place(row)})")
            continue
        found[name] = np.asarray([*truth, np.nan], dtype=np.float64)[codes.codes]
    if not strange:
        return found, []
    more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
    what = f"{table.source.name}: no numbers in column {', '.join(strange[:5])}{more}"
    fix = 'say which columns count: columns = {eps = "reportedEPS"}, for example'
    roles_left = [role for role in USUAL if role not in roles]
    expected = "numbers, or true and false, in all columns but those of stamps and tickers"
    if roles_left:
        fix += f"; or what the column is: {', '.join(roles_left)}"
    return found, [error("columns", what, expected, fix)]


def _tickers(table: Table, loaded: Loaded) -> tuple[list[str] | None, list[DataIssue]]:
    if loaded.ticker is None:
        return None, []
    if nameless := loaded.nameless(table.source):
        fix = "leave the column of tickers out where values hold for all of them"
        return None, [error("covariates", nameless, "one in every row", fix)]
    return np.asarray(loaded.ticker.names, dtype=np.str_)[loaded.ticker.codes].tolist(), []


def _stamps(
    table: Table,
    loaded: Loaded,
    place: int,
    column: str,
    date_format: str,
    findings: list[DataIssue],
) -> Stamps:
    """Stamps of one column as they stand there."""
    values = loaded.times[place]
    aware = loaded.aware
    if not aware and isinstance(values, np.ndarray) and values.dtype.kind == "M":
        # Of several columns the table says only whether all of them are.
        aware = table.load([column], "", []).aware
    stamps = parse(
        [values],
        aware=aware,
        date_format=date_format,
        source=table.source,
        positions=loaded.positions,
    )
    findings += [
        DataIssue(ERROR, "covariates", f"column '{column}': {one.found}", one.expected, one.fix)
        for one in stamps.findings
    ]
    return stamps


def _utc(stamps: Stamps, timezone: str, *, known_at_end: bool = False) -> Seconds:
    """Seconds since 1970 UTC; dates of publication count from the end of their day."""
    if stamps.aware:
        return stamps.values
    walls = stamps.values
    if known_at_end:
        walls = np.where(walls % DAY == 0, walls + DAY, walls)
    shown, back = np.unique(walls, return_inverse=True)
    return instants(shown, timezone)[back]


def _impossible(table: Table, loaded: Loaded, when: Seconds, about: Seconds) -> list[DataIssue]:
    """Figures that were published before what they are about."""
    rows = np.flatnonzero(when < about)
    if not len(rows):
        return []
    first = int(rows[0])
    place = table.source.place(int(loaded.positions[first]))
    moments: Times = np.asarray([when[first], about[first]]).astype("datetime64[s]")
    return [
        DataIssue(
            WARNING,
            "published early",
            f"{place} was available at {moments[0]}, before its period {moments[1]} was over "
            f"({len(rows)} such)",
            "figures that are published after the end of their period",
            "take the end of the period, not its begin; or look whether the two are exchanged",
            count=len(rows),
            first=place,
        )
    ]


def _dates_after_all(path: Path, when: Stamps) -> list[DataIssue]:
    """Instants that are all midnights: likely dates to which a program added a zone."""
    if not when.aware or len(when.values) < 2 or (when.values % DAY).any():
        return []
    return [
        DataIssue(
            WARNING,
            "available_at",
            f"{path}: every row became known at midnight UTC, and is taken at its word",
            "instants, or dates, which count from the end of their day",
            "write dates without a time and a zone if that is what they are",
            count=len(when.values),
        )
    ]
