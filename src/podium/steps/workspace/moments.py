"""Dates and times as people give and read them."""

from __future__ import annotations

import datetime as dt

import numpy as np

from podium.errors import UsageError


def day_of(moment: object) -> str:
    """The date of a moment, as ``2026-11-21``."""
    return str(moment)[:10]


def without_midnight(moment: object) -> str:
    """A moment as text; a day's bar is stamped with its date alone."""
    return str(moment).replace("T00:00:00", "")


def moment_of(text: str) -> dt.datetime:
    """A date or time, in UTC; so it is where it names no zone.

    Raises
    ------
    UsageError
        It is none.

    Examples
    --------
    >>> str(moment_of("2026-11-21T14:30+02:00"))
    '2026-11-21 12:30:00+00:00'
    """
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"'{text}' is no date or time", "2026-11-21 or 2026-11-21T14:30") from None
    return found.replace(tzinfo=found.tzinfo or dt.UTC).astimezone(dt.UTC)


def stamp_of(text: str) -> np.datetime64:
    """The same as bars are stamped: to the second, UTC without saying so."""
    return np.datetime64(moment_of(text).replace(tzinfo=None), "s")
