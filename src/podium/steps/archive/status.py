"""What is at work in a project, and asking it to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from podium.errors import NotFoundError
from podium.steps.workspace import activity
from podium.steps.workspace.activity import STOP, STOP_NOW

# How often a step that was asked to stop is looked at again, in seconds.
LOOK = 0.1


def status(root: Path) -> list[dict[str, Any]]:
    """What the steps at work on a project tell, one a slot; empty where nothing runs.

    Parameters
    ----------
    root : Path
        The project's folder; its record is not opened.

    Returns
    -------
    list of dict
        ``slot verb pid host since``; of a search also ``what done total best failed pruned``, ids
        of the trials that are ``running`` and ``left``, in seconds, None where nothing tells.
    """
    found = []
    for facts in activity.at_work(root / ".podium"):
        told = facts.pop("told", 0.0)
        if facts.get("left") is not None:
            facts["left"] = max(0.0, facts["left"] - (time.time() - told))
        found.append(facts)
    return found


def stop(
    root: Path,
    slot: str = "",
    *,
    at_once: bool = False,
    patience: float,
    say: Callable[[str], None],
) -> Sequence[Mapping[str, Any]]:
    """Ask what is at work to stop and wait until it has; what did not in time is returned.

    Parameters
    ----------
    slot : str
        Default: every one.
    at_once : bool
        Without waiting for the trials that are running; they are trained again later.
    patience : float
        Seconds to wait at most.

    Raises
    ------
    NotFoundError
        Nothing is at work there.
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
        say(f"{facts['slot']}: asked podium {facts['verb']} to stop{waits}")
    end = time.monotonic() + patience
    while left and time.monotonic() < end:
        time.sleep(LOOK)
        alive = {(facts["slot"], facts["since"]) for facts in status(root)}
        for facts in [f for f in left if (f["slot"], f["since"]) not in alive]:
            left.remove(facts)
            say(f"{facts['slot']}: podium {facts['verb']} has stopped")
    return left
