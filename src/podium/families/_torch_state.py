"""A training's state as bytes: all that the next epoch depends on, in plain tensors and values."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch

from podium.errors import DataError, Problem, UsageError
from podium.trial import BUDGET

FORMAT = 1
# Parts of a state that say what was trained, not how far it came.
QUESTION = ("family", "version", "seed", "data", "config")


def written(state: Mapping[str, Any]) -> bytes:
    """The bytes torch writes; ``torch.load(..., weights_only=True)`` opens them."""
    # Through memory: torch does not name a full disk when it writes a file itself.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def packed(state: Mapping[str, Any]) -> bytes:
    """A state as bytes, for :func:`unpacked`."""
    return written({"format": FORMAT, **state})


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


def require_same(state: Mapping[str, Any], question: Mapping[str, Any]) -> None:
    """Refuse to go on from the state of another training; more epochs than before are allowed.

    Parameters
    ----------
    question : mapping
        A value for each of ``QUESTION``.

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
    for name in sorted({*before, *now} - {BUDGET}):
        if before.get(name) != now.get(name):
            found = f"the training to go on with has {name} {before.get(name)!r}"
            problems.append(Problem(found, repr(now.get(name)), anew))
    if before.get(BUDGET) != now[BUDGET] and now.get("scheduler") == "cosine":
        problems.append(
            Problem(
                f"the training to go on with has {BUDGET} {before.get(BUDGET)!r}, "
                f"and {now[BUDGET]!r} are asked for",
                "the same number, because a cosine's learning rate depends on it from the first "
                "epoch on",
            )
        )
    elif state["epoch"] > now[BUDGET]:
        problems.append(
            Problem(
                f"the training to go on with has had {state['epoch']} epochs",
                f"{BUDGET} of at least as many; it is {now[BUDGET]}",
            )
        )
    if problems:
        raise UsageError.of(problems)
