"""Loaded once by the fork server, so that every worker starts with torch in memory."""

import contextlib

import podium.runners._base

with contextlib.suppress(ImportError):
    import podium.families.lstm  # noqa: F401
