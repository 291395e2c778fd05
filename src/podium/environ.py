"""Temporary environment variables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for this process and its children; restore them at the end.

    Examples
    --------
    >>> with variables({"PODIUM_EXAMPLE": "1"}):
    ...     os.environ["PODIUM_EXAMPLE"]
    '1'
    >>> "PODIUM_EXAMPLE" in os.environ
    False
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
