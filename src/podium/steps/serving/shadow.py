"""Let a challenger forecast beside a slot's champion, or end that."""

from __future__ import annotations

from typing import Any

from podium.candidate import Candidate
from podium.errors import NotFoundError, Problem, Problems, UsageError
from podium.ledger import forecasts
from podium.ledger.forecasts import Shadow
from podium.steps.data.bars import require_task
from podium.steps.workspace import recorded
from podium.steps.workspace.candidates import newest
from podium.steps.workspace.project import Project

# What two models must agree on before their errors can be held against each other.
_SAME = ("target", "horizon", "metric")


def shadow(
    project: Project,
    slot: str | None,
    candidate: str | None = None,
    *,
    end: bool = False,
    reason: str = "",
) -> Shadow:
    """Let a candidate forecast beside a slot's champion, end that, or return who does.

    Parameters
    ----------
    candidate : str, optional
        A candidate's id, or a slot: its newest candidate. Without one, nothing is changed.
    end : bool
        Let nobody forecast there from now on.
    reason : str
        Kept on record.

    Raises
    ------
    NotFoundError
        No such candidate; or no shadow where none is named.
    UsageError
        A candidate of another slot, the champion itself, or a candidate beside `end`.
    """
    slot = project.default_slot(slot)
    if end and candidate:
        raise UsageError("a candidate and --end", "one of them")
    if end:
        return stop(project, slot, reason)
    if candidate:
        return put(project, slot, newest(project, candidate)["id"], reason)
    return shadow_of(project, slot)


def put(project: Project, slot: str, candidate_id: str, reason: str = "") -> Shadow:
    """Let a candidate forecast in the shadow of a slot's champion, in place of whoever did.

    It is put on record with who asked for it, when and why. Nothing of it is served: its forecasts
    are stored beside the champion's, and ``podium check SLOT`` compares them.

    Parameters
    ----------
    candidate_id : str
        A candidate of the slot in any stage.
    reason : str, optional

    Raises
    ------
    NotFoundError
        No such candidate.
    UsageError
        It belongs to another slot, is the champion, or answers another question.
    """
    require_task(project.config, slot)
    ledger = project.ledger
    known = ledger.read(forecasts.shadow_of, slot)
    candidate = recorded.candidate(project, candidate_id)
    champion = recorded.champion(project, slot)
    if candidate.slot != slot:
        raise UsageError(
            f"candidate {candidate_id} belongs to {candidate.slot}",
            f"a candidate of {slot}",
            f"run: podium list candidates --slot {slot}",
        )
    if champion is not None:
        if champion.id == candidate.id:
            raise UsageError(f"{candidate_id} is the champion of {slot}", "another candidate")
        _require_same(*(_asked(project, one) for one in (champion, candidate)))
    if known is not None and known.candidate_id == candidate_id:
        return known
    ledger.write_durably(forecasts.put_shadow, slot, candidate_id, project.actor, reason)
    return shadow_of(project, slot)


def stop(project: Project, slot: str, reason: str = "") -> Shadow:
    """Let nobody forecast in the shadow of a slot's champion any more; returns who did.

    Raises
    ------
    NotFoundError
        Nobody does.
    """
    known = shadow_of(project, slot)
    project.ledger.write_durably(forecasts.put_shadow, slot, "", project.actor, reason)
    return known


def shadow_of(project: Project, slot: str) -> Shadow:
    """Who forecasts in the shadow of a slot's champion.

    Raises
    ------
    NotFoundError
        Nobody does.
    """
    project.config.slot(slot)
    known = project.ledger.read(forecasts.shadow_of, slot)
    if known is None:
        raise NotFoundError(
            f"nobody forecasts in the shadow of {slot}", fix=f"run: podium shadow {slot} CANDIDATE"
        )
    return known


def _asked(project: Project, candidate: Candidate) -> dict[str, Any]:
    """What a model answers."""
    manifest = recorded.place(project, candidate).manifest
    return {**manifest["task"], "tickers": list(manifest["tickers"])}


def _require_same(champion: dict[str, Any], candidate: dict[str, Any]) -> None:
    problems = Problems(
        Problem(f"the candidate's {name} is {candidate[name]}", f"{champion[name]}, the champion's")
        for name in _SAME
        if candidate[name] != champion[name]
    )
    if set(champion["tickers"]) != set(candidate["tickers"]):
        problems.add("the candidate forecasts other tickers", "those of the champion")
    UsageError.raise_for(problems)
