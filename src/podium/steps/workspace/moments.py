"""Conversion of dates and times from and to text."""

from __future__ import annotations

import datetime as dt

import numpy as np

from podium.errors import UsageError


def day_of(moment: object) -> str:
    """Date of a time, as ``2026-11-21``."""
    return str(moment)[:10]


def without_midnight(moment: object) -> str:
    """A time as text; midnight, the stamp of daily bars, is omitted."""
    return str(moment).replace("T00:00:00", "")


def moment_of(text: str) -> dt.datetime:
    """Date or time of a text, in UTC, which is also the zone of a text without one.

    Raises
    ------
    UsageError
        The text is no date or time.

    Examples
    --------
    >>> str(moment_of("2026-11-21T14:30+02:00"))
    '2026-11-21 12:30:00+00:00'
    """
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"'{text}' is no date or time", "2026-11-21 or 2026-11-21T14:30") from None
    return moment.replace(tzinfo=moment.tzinfo or dt.UTC).astimezone(dt.UTC)


def stamp_of(text: str) -> np.datetime64:
    """Date or time of a text as a bar's stamp: seconds, in UTC."""
    return np.datetime64(moment_of(text).replace(tzinfo=None), "s")
