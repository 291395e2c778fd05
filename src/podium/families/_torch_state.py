"""A training's state as bytes: all that the next epoch depends on, in plain tensors and values."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch

from podium.errors import DataError, Problems, UsageError
from podium.trial import BUDGET

FORMAT = 1
# Parts of a state that say what was trained, not how far it came.
QUESTION = ("family", "version", "seed", "data")


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
        A value for each of ``QUESTION``, and ``config``.

    Raises
    ------
    UsageError
        With everything that differs.
    """
    anew = "give what it was trained with, or begin a training of its own elsewhere"
    old, new = state.get("config", {}), question["config"]
    rest = sorted({*old, *new} - {BUDGET})
    problems = Problems()
    for before, now, names in ((state, question, QUESTION), (old, new, rest)):
        for name in names:
            one, other = before.get(name), now.get(name)
            if one != other:
                found, wanted = f"{name} {one!r}", f"{other!r}"
                if name == "data":
                    found, wanted = "other samples", "the same samples"
                found = f"the training to go on with has {found}"
                problems.add(found, wanted, anew)
    if old.get(BUDGET) != new[BUDGET] and new.get("scheduler") == "cosine":
        problems.add(
            f"the training to go on with has {BUDGET} {old.get(BUDGET)!r}, "
            f"and {new[BUDGET]!r} are asked for",
            "the same number, because a cosine's learning rate depends on it from the first "
            "epoch on",
        )
    elif state["epoch"] > new[BUDGET]:
        problems.add(
            f"the training to go on with has had {state['epoch']} epochs",
            f"{BUDGET} of at least as many; it is {new[BUDGET]}",
        )
    UsageError.raise_for(problems)
