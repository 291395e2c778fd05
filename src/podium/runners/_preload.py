"""Imported once by the fork server, so that every worker starts with torch in memory."""

import contextlib

import podium.runners._base
from podium import registry

for _name in registry.names("tasks"):
    registry.load("tasks", _name)
with contextlib.suppress(ImportError):
    import podium.families.lstm  # noqa: F401
