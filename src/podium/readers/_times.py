"""Stamps of any usual format as seconds; ambiguous formats are refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podium.arrays import Mask
from podium.readers._findings import DataIssue, error
from podium.readers._table import Loaded, Positions, TableSource
from podium.timeframe import Seconds

UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# Numbers since 1970 from 1973 to 2200: the ranges of the units do not overlap.
_EPOCH = (100_000_000, 7_258_118_400)
_SAMPLE = 1000
_NUMERIC_DATE = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d\d)(?!\d)(.*)")
_NAMED_DATE = (
    (re.compile(r"\d{1,2}([ -])[A-Za-z]{3,9}\1\d{4}(.*)"), "%d{gap}%b{gap}%Y"),
    (re.compile(r"[A-Za-z]{3,9}( )\d{1,2}, \d{4}(.*)"), "%b{gap}%d, %Y"),
)
_CLOCK = re.compile(
    r"(?P<gap>[T ,]+)\d{1,2}:\d\d(?P<sec>:\d\d)?(?P<frac>\.\d+)?(?P<half>\s*[AaPp][Mm])?"
    r"(?P<zone>\s*(GMT|UTC)?\s*[+-]\d\d:?\d\d|Z|\s*(GMT|UTC))?"
)
_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)\s*$")


@dataclass(frozen=True)
class Stamps:
    """Stamps as seconds since 1970: UTC if ``aware``, else local time.

    Parameters
    ----------
    values : (N,) int64
    known : (N,) bool
        Whether a stamp is readable.
    form : str
        Format as for ``date_format``; empty for ISO 8601 and ``datetime64``.
    """

    values: Seconds
    known: Mask
    aware: bool
    form: str
    findings: tuple[DataIssue, ...]


def parse(loaded: Loaded, source: TableSource, date_format: str) -> Stamps:
    """Return the stamps of one column, or of a column of dates and one of times of day.

    Parameters
    ----------
    date_format : str
        Empty: inferred.
    """
    column, positions = loaded.times[0], loaded.positions
    if len(loaded.times) == 2:
        column = pd.Series(column).astype(str) + " " + pd.Series(loaded.times[1]).astype(str)
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        seconds, known = _of_datetimes(column)
        findings = _unreadable(known, column, source, positions)
        return Stamps(seconds, known, loaded.aware, "", findings)
    if column.dtype.kind in "iuf" or date_format in UNITS:
        return _of_numbers(np.asarray(column), date_format, source, positions)
    text = pd.Series(column).str.strip()
    if not date_format and text.iloc[:_SAMPLE].dropna().str.fullmatch(r"\d{9,20}").all():
        return _of_numbers(np.asarray(column), "", source, positions)
    return _of_text(text, date_format, source, positions)


def _of_text(
    text: pd.Series[str], date_format: str, source: TableSource, positions: Positions
) -> Stamps:
    findings: list[DataIssue] = []
    form = date_format or _form(text, source, findings)
    if form and form != "ISO8601":
        aware = "%z" in form or form.endswith(("GMT", "UTC"))
        parsed = pd.to_datetime(text, format=form, errors="coerce", utc="%z" in form)
    else:
        parsed, aware = _iso(text, source, positions, findings)
        form = ""
    seconds, known = _of_datetimes(parsed.to_numpy(dtype="datetime64[ns]"))
    if not findings:
        findings += _unreadable(known, text, source, positions, form)
    return Stamps(seconds, known, aware, form, tuple(findings))


def _iso(
    text: pd.Series[str], source: TableSource, positions: Positions, findings: list[DataIssue]
) -> tuple[pd.Series[Any], bool]:
    """Return ISO 8601 stamps, and whether they name their zone; mixed ones are an error."""
    try:
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce")
        aware = parsed.dt.tz is not None
        return (parsed.dt.tz_convert("UTC").dt.tz_localize(None) if aware else parsed), aware
    except ValueError:
        # Several offsets, or stamps with and without one.
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
        named = text.str.contains(_ZONE).to_numpy(bool, na_value=False)
        known = parsed.notna().to_numpy()
        bare = np.flatnonzero(known & ~named)
        if len(bare):
            what = (
                f"{source.place(int(positions[bare[0]]))} has {text.iloc[bare[0]]!r} without a "
                f"time zone ({len(bare)} such), other rows name one"
            )
            expected = "a time zone in every row or in none"
            findings.append(error("times", what, expected, count=len(bare)))
        return parsed.dt.tz_localize(None), True


def _form(text: pd.Series[str], source: TableSource, findings: list[DataIssue]) -> str:
    """Return the format of stamps that are not ISO 8601; empty if they are or no format fits."""
    sample = text.iloc[:_SAMPLE].dropna()
    if not len(sample):
        return ""
    if pd.to_datetime(sample, format="ISO8601", errors="coerce", utc=True).notna().mean() > 0.5:
        return ""
    first = str(sample.iloc[0])
    for pattern, form in _NAMED_DATE:
        match = pattern.fullmatch(first)
        clock = _clock(match.group(2)) if match else None
        if match and clock is not None:
            form = form.format(gap=match.group(1))
            long = pd.to_datetime(sample, format=form + clock, errors="coerce").isna().any()
            return (form.replace("%b", "%B") if long else form) + clock
    match = _NUMERIC_DATE.fullmatch(first)
    clock = _clock(match.group(5)) if match else None
    if not match or clock is None:
        return ""
    gap = match.group(2)
    forms = [f"%d{gap}%m{gap}%Y{clock}", f"%m{gap}%d{gap}%Y{clock}"]
    if len(match.group(4)) == 2:
        short = [form.replace("%Y", "%y") for form in forms]
        _ambiguous(f"{first!r}: a year of two digits", [*short, f"%y{gap}%m{gap}%d{clock}"],
                   source, findings)  # fmt: skip
        return short[0]
    day_first, month_first = (
        pd.to_datetime(text, format=form, errors="coerce", utc=True).notna() for form in forms
    )
    if day_first.all() and month_first.all():
        _ambiguous(f"{first!r}, and no day above 12", forms, source, findings)
    return forms[int(month_first.sum() > day_first.sum())]


def _ambiguous(
    what: str, forms: Sequence[str], source: TableSource, findings: list[DataIssue]
) -> None:
    choice = " or ".join(f"date_format = '{form}'" for form in forms)
    which = f"{source.name} has dates such as {what}: which is the day and which the month?"
    findings.append(error("times", which, "unambiguous dates", f"set {choice}"))


def _clock(rest: str) -> str | None:
    """Return the format of the text after a date, None if it is no time of day."""
    if not rest:
        return ""
    match = _CLOCK.fullmatch(rest)
    if not match:
        return None
    hours = "%I:%M" if match["half"] else "%H:%M"
    form = match["gap"] + hours + (":%S" if match["sec"] else "") + (".%f" if match["frac"] else "")
    if match["half"]:
        form += match["half"][: -len(match["half"].strip())] + "%p"
    if match["zone"]:
        form += re.sub(r"[+-]\d\d:?\d\d|Z", "%z", match["zone"])
    return form


def _of_numbers(values: Any, date_format: str, source: TableSource, positions: Positions) -> Stamps:
    exact = pd.to_numeric(pd.Series(values), errors="coerce")
    numbers = exact.to_numpy(np.float64)
    known = np.isfinite(numbers)
    if not known.any():
        return _unknown(values, source, positions)
    low, high = numbers[known].min(), numbers[known].max()
    whole = bool((numbers[known] == np.floor(numbers[known])).all())
    if not date_format and whole:
        for digits, form in ((8, "%Y%m%d"), (12, "%Y%m%d%H%M"), (14, "%Y%m%d%H%M%S")):
            if not 10 ** (digits - 1) <= low <= high < 10**digits:
                continue
            text = exact.astype("Int64").astype(str)
            parsed = pd.to_datetime(text, format=form, errors="coerce")
            if digits == 12 and parsed.notna().to_numpy()[known].all():
                what = f"{source.name} has stamps such as {int(low)}, which may be a date with "
                what += "hours and minutes or milliseconds since 1970"
                fix = f"set date_format = '{form}' or date_format = 'ms'"
                issue = error("times", what, fix=fix)
                return Stamps(np.zeros(len(known), np.int64), known, False, form, (issue,))
            if digits != 12 and parsed.notna().to_numpy()[known].mean() > 0.5:
                seconds, known = _of_datetimes(parsed.to_numpy(dtype="datetime64[ns]"))
                findings = _unreadable(known, values, source, positions, form)
                return Stamps(seconds, known, False, form, findings)
    units = [date_format] if date_format else list(UNITS)
    for unit in units:
        scale = UNITS[unit]
        if date_format or (_EPOCH[0] * scale <= low and high <= _EPOCH[1] * scale):
            if exact.dtype.kind in "iu":
                # A float holds nanoseconds to the microsecond only.
                seconds = -(-exact.to_numpy(np.int64) // scale)
            else:
                seconds = np.ceil(np.where(known, numbers, 0) / scale).astype(np.int64)
            findings = _unreadable(known, values, source, positions, unit)
            return Stamps(seconds, known, True, unit, findings)
    return _unknown(values, source, positions)


def _unknown(values: Any, source: TableSource, positions: Positions) -> Stamps:
    """Return stamps of which none is readable."""
    known = np.zeros(len(values), dtype=bool)
    findings = _unreadable(known, np.asarray(values), source, positions)
    return Stamps(np.zeros(len(values), np.int64), known, False, "", findings)


def _of_datetimes(values: NDArray[Any]) -> tuple[Seconds, Mask]:
    """Return whole seconds, rounded up: a bar that closes at 59.999 is not known at 59."""
    known = ~np.isnat(values)
    unit, step = np.datetime_data(values.dtype)
    if unit not in UNITS or step != 1:
        return np.where(known, values.astype("datetime64[s]").astype(np.int64), 0), known
    numbers = values.view(np.int64)
    scale = UNITS[unit]
    seconds = numbers if scale == 1 else -(-numbers // scale)
    return (seconds if known.all() else np.where(known, seconds, 0)), known


def _unreadable(
    known: Mask, values: Any, source: TableSource, positions: Positions, form: str = ""
) -> tuple[DataIssue, ...]:
    """Return an error about the unreadable stamps, if there are any."""
    rows = np.flatnonzero(~known)
    if not len(rows):
        return ()
    cell = values.iloc[rows[0]] if isinstance(values, pd.Series) else values[rows[0]]
    empty = cell is None or cell != cell or (isinstance(cell, str) and not cell)
    text = "" if empty else str(cell)
    place = source.place(int(positions[rows[0]]))
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    other = [sign for sign in source.separators if text.count(sign) >= 2]
    if other:
        kind, fix = "separators", ""
        what = f"{place}{more} is separated by {other[0]!r}, the header is not: {text[:40]!r}"
        expected = "comma separated values with a header, or one other separator throughout"
    else:
        kind, what = "times", f"{place}{more} has date {text!r}"
        if re.fullmatch(r"\d{1,6}(\.\d+)?", text):
            what += ", which may be a spreadsheet's day number"
        expected = f"a date of the form '{form}'" if form else "an ISO 8601 date"
        example = "set the format of the dates: date_format = '%d.%m.%Y', for example"
        fix = "" if form else example
    return (error(kind, what, expected, fix, count=len(rows), first=place),)
