"""A training's state as bytes: all that the next epoch depends on, in plain tensors and values."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch

from podium.errors import DataError, Problem, UsageError

FORMAT = 1
# Parts of a state that say what was trained, not how far it came.
QUESTION = ("family", "version", "seed", "data", "config")


def packed(state: Mapping[str, Any]) -> bytes:
    """The state as torch writes it; ``torch.load(..., weights_only=True)`` opens it."""
    # Through memory: torch does not name a full disk when it writes a file itself.
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    return buffer.getvalue()


def unpacked(content: bytes, what: str) -> dict[str, Any]:
    """A state from its bytes; only tensors and plain values are unpickled.

    Raises
    ------
    DataError
        The bytes are no state.
    """
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch has no one error for bytes not its own
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{what} cannot be read: {told:.200}", "a file that podium wrote") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(f"{what} is none of podium's", f"a file of format {FORMAT}")
    return found


def require_same(
    state: Mapping[str, Any], question: Mapping[str, Any], budget: str, fixed: str
) -> None:
    """Refuse to go on from the state of another training.

    Parameters
    ----------
    question : mapping
        A value for each of ``QUESTION``.
    budget : str
        Parameter that says how many epochs; more than before are allowed.
    fixed : str
        Why they are not allowed to differ after all; empty: they are.

    Raises
    ------
    UsageError
        With everything that differs.
    """
    anew = "give what it was trained with, or begin a training of its own elsewhere"
    problems = []
    for part in QUESTION[:-1]:
        if state.get(part) != question[part]:
            what = "other samples" if part == "data" else f"{part} {state.get(part)!r}"
            asked = "the same samples" if part == "data" else f"{question[part]!r}"
            problems.append(Problem(f"the training to go on with has {what}", asked, anew))
    before, now = state.get("config", {}), question["config"]
    for name in sorted({*before, *now} - {budget}):
        if before.get(name) != now.get(name):
            found = f"the training to go on with has {name} {before.get(name)!r}"
            problems.append(Problem(found, repr(now.get(name)), anew))
    if before.get(budget) != now[budget] and fixed:
        problems.append(
            Problem(
                f"the training to go on with has {budget} {before.get(budget)!r}, "
                f"and {now[budget]!r} are asked for",
                f"the same number, because {fixed}",
            )
        )
    elif state["epoch"] > now[budget]:
        problems.append(
            Problem(
                f"the training to go on with has had {state['epoch']} epochs",
                f"{budget} of at least as many; it is {now[budget]}",
            )
        )
    if problems:
        raise UsageError.of(problems)
