"""Running steps of a project, and stopping them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from podium.errors import NotFoundError
from podium.steps.workspace import activity
from podium.steps.workspace.activity import STOP, STOP_NOW

# Seconds between two checks of a step that is to stop.
LOOK = 0.1


def status(root: Path) -> list[dict[str, Any]]:
    """Running steps of a project, one a slot.

    Parameters
    ----------
    root : Path
        The project's folder; its record is not opened.

    Returns
    -------
    list of dict
        ``slot verb pid host since``; of a search also ``what done total best failed pruned``, ids
        of ``running`` trials, and ``left``: seconds, None where unknown.
    """
    steps = []
    for facts in activity.at_work(root / ".podium"):
        written = facts.pop("written", 0.0)
        if facts.get("left") is not None:
            facts["left"] = max(0.0, facts["left"] - (time.time() - written))
        steps.append(facts)
    return steps


def stop(
    root: Path,
    slot: str = "",
    *,
    at_once: bool = False,
    patience: float,
    say: Callable[[str], None],
) -> Sequence[Mapping[str, Any]]:
    """Stop running steps and wait for their end.

    Parameters
    ----------
    slot : str
        Default: all slots.
    at_once : bool
        Interrupt the running trials, which are trained again later, in place of waiting for them.
    patience : float
        Maximum seconds to wait.
    say : callable
        Receives a message when a step is to stop, and when it has stopped.

    Returns
    -------
    sequence of mapping
        Steps that still run.

    Raises
    ------
    NotFoundError
        No step runs.
    """
    state = root / ".podium"
    left = [facts for facts in status(root) if slot in ("", facts["slot"])]
    if not left:
        where = f" on {slot}" if slot else ""
        raise NotFoundError(f"nothing is running{where}", fix="run: podium status")
    for facts in left:
        activity.ask(state, facts["slot"], STOP_NOW if at_once else STOP)
        running = len(facts.get("running", []))
        waits = f", after {running} running trials" if running and not at_once else ""
        say(f"{facts['slot']}: podium {facts['verb']} is to stop{waits}")
    end = time.monotonic() + patience
    while left and time.monotonic() < end:
        time.sleep(LOOK)
        alive = {(facts["slot"], facts["since"]) for facts in status(root)}
        for facts in [f for f in left if (f["slot"], f["since"]) not in alive]:
            left.remove(facts)
            say(f"{facts['slot']}: podium {facts['verb']} has stopped")
    return left
