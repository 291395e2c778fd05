"""Verbs: functions that lock their slot and keep a log, from the command line and from Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

from podium.steps.workspace.candidates import chosen
from podium.steps.workspace.project import LOCK_SECONDS, Project

P = ParamSpec("P")
R = TypeVar("R")
# A function on a slot or a candidate, and a verb that also takes None, the default slot.
Step = Callable[Concatenate[Project, str, P], R]
SlotVerb = Callable[Concatenate[Project, str | None, P], R]


def on_slot(name: str) -> Callable[[Step[P, R]], SlotVerb[P, R]]:
    """Verb on a slot: None is the default slot, whose lock is held and whose log is kept.

    Parameters
    ----------
    name : str
        Of the verb, in the lock and the log.
    """

    def decorate(function: Step[P, R]) -> SlotVerb[P, R]:
        @wraps(function)
        def verb(project: Project, slot: str | None = None, *args: P.args, **kwargs: P.kwargs) -> R:
            slot = project.default_slot(slot)
            with project.locked(slot, name):
                return function(project, slot, *args, **kwargs)

        # The type of a verb has no names of arguments, so that P can have any.
        return cast("SlotVerb[P, R]", verb)

    return decorate


def on_candidate(
    name: str, *, judged: bool = False, patience: float = LOCK_SECONDS
) -> Callable[[Step[P, R]], Step[P, R]]:
    """Verb on a candidate, named by its id or by its slot; the slot's lock is held.

    Parameters
    ----------
    name : str
        Of the verb, in the lock and the log.
    judged : bool
        Whether a slot means its newest judged candidate, in place of its newest one.
    patience : float
        Seconds to wait for the slot's lock.
    """

    def decorate(function: Step[P, R]) -> Step[P, R]:
        @wraps(function)
        def verb(project: Project, candidate_id: str, *args: P.args, **kwargs: P.kwargs) -> R:
            # An exact id is one look-up; a beginning of one, or a slot, takes several.
            reader = project.reader
            row = reader.exists and reader.first("candidate", "id, slot", id=candidate_id)
            row = row or chosen(project, candidate_id, judged=judged)
            with project.locked(row["slot"], name, patience):
                return function(project, row["id"], *args, **kwargs)

        return cast("Step[P, R]", verb)

    return decorate
