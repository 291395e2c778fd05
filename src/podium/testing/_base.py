"""Common parts of the checks: a seed, and errors for violations."""

from __future__ import annotations

from collections.abc import Callable

from podium.errors import PodiumError

SEED = 11


def require(holds: bool, otherwise: str) -> None:
    """Raise AssertionError with the violation, also under ``python -O``."""
    if not holds:
        raise AssertionError(otherwise)


def refusal(error: type[PodiumError], act: Callable[[], object], otherwise: str) -> str:
    """Message of a refusal; AssertionError if the call was not refused."""
    try:
        act()
    except error as refused:
        return str(refused)
    raise AssertionError(otherwise)
