"""State of a training as bytes of plain tensors and values."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch

from podium.errors import DataError, Problems, UsageError
from podium.trial import BUDGET

FORMAT = 1
# Keys of a state that identify the training, not its progress.
QUESTION = ("family", "version", "seed", "data")


def written(state: Mapping[str, Any]) -> bytes:
    """Bytes of ``torch.save``; ``torch.load(..., weights_only=True)`` opens them."""
    # In memory: torch's error does not show a full disk when it writes a file.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def packed(state: Mapping[str, Any]) -> bytes:
    """A state as bytes, for :func:`unpacked`."""
    return written({"format": FORMAT, **state})


def unpacked(content: bytes, what: str) -> dict[str, Any]:
    """State from its bytes; only tensors and plain values are unpickled.

    Raises
    ------
    DataError
        The bytes are not a state.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises many types for invalid bytes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"{what} cannot be read: {reason:.200}"
        raise DataError(message, "a file written by podium") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise DataError(f"{what} was not written by podium", f"a file of format {FORMAT}")
    return state


def require_same(state: Mapping[str, Any], question: Mapping[str, Any]) -> None:
    """Refuse the state of another training; more epochs than before are allowed.

    Parameters
    ----------
    question : mapping
        A value for each of ``QUESTION``, and ``config``.

    Raises
    ------
    UsageError
        Lists all differences.
    """
    fix = "use its settings, or start a new training elsewhere"
    old, new = state.get("config", {}), question["config"]
    rest = sorted({*old, *new} - {BUDGET})
    problems = Problems()
    for before, now, names in ((state, question, QUESTION), (old, new, rest)):
        for name in names:
            one, other = before.get(name), now.get(name)
            if one != other:
                has, expected = f"{name} {one!r}", f"{other!r}"
                if name == "data":
                    has, expected = "other samples", "the same samples"
                problems.add(f"the training to resume has {has}", expected, fix)
    if old.get(BUDGET) != new[BUDGET] and new.get("scheduler") == "cosine":
        problems.add(
            f"the training to resume has {BUDGET} {old.get(BUDGET)!r}, the config {new[BUDGET]!r}",
            "the same number: with a cosine schedule every learning rate depends on it",
        )
    elif state["epoch"] > new[BUDGET]:
        expected = f"{BUDGET} of at least as many; it is {new[BUDGET]}"
        problems.add(f"the training to resume has {state['epoch']} epochs", expected)
    UsageError.raise_for(problems)
