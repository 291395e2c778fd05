"""What the checks of every kind share: one seed, and how a broken promise is told."""

from __future__ import annotations

from collections.abc import Callable

from podium.errors import PodiumError

SEED = 11


def require(holds: bool, otherwise: str) -> None:
    """Raise AssertionError with what broke the contract, also where ``assert`` is compiled away."""
    if not holds:
        raise AssertionError(otherwise)


def refusal(error: type[PodiumError], act: Callable[[], object], otherwise: str) -> str:
    """What an act was refused with; AssertionError when it was not refused."""
    try:
        act()
    except error as told:
        return str(told)
    raise AssertionError(otherwise)
