"""Shadow of a slot: a challenger whose forecasts are stored beside the champion's."""

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

# Settings that two models must share for their errors to be comparable.
_SAME = ("target", "horizon", "metric")


def shadow(
    project: Project,
    slot: str | None,
    candidate: str | None = None,
    *,
    end: bool = False,
    reason: str = "",
) -> Shadow:
    """Set, end or return the shadow of a slot.

    Parameters
    ----------
    candidate : str, optional
        Id of a candidate, or a slot for its newest candidate. None returns the shadow.
    end : bool
        End the shadow.
    reason : str
        Put on record.

    Returns
    -------
    Shadow

    Raises
    ------
    NotFoundError
        There is no such candidate, or no shadow to return or to end.
    UsageError
        The candidate belongs to another slot or is the champion, or ``end`` has a candidate too.
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
    """Make a candidate the shadow of a slot, in place of an earlier one.

    The record has the actor, the time and the reason. A shadow is not served: its forecasts are
    stored beside the champion's, and ``podium check SLOT`` compares them.

    Parameters
    ----------
    candidate_id : str
        A candidate of the slot in any stage.
    reason : str, optional

    Raises
    ------
    NotFoundError
        There is no such candidate.
    UsageError
        The candidate belongs to another slot, is the champion, or has another target, horizon,
        metric or tickers.
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
        _require_same(*(_question(project, one) for one in (champion, candidate)))
    if known is not None and known.candidate_id == candidate_id:
        return known
    ledger.write_durably(forecasts.put_shadow, slot, candidate_id, project.actor, reason)
    return shadow_of(project, slot)


def stop(project: Project, slot: str, reason: str = "") -> Shadow:
    """End the shadow of a slot and return it.

    Raises
    ------
    NotFoundError
        The slot has no shadow.
    """
    known = shadow_of(project, slot)
    project.ledger.write_durably(forecasts.put_shadow, slot, "", project.actor, reason)
    return known


def shadow_of(project: Project, slot: str) -> Shadow:
    """Shadow of a slot.

    Raises
    ------
    NotFoundError
        The slot has no shadow.
    """
    project.config.slot(slot)
    known = project.ledger.read(forecasts.shadow_of, slot)
    if known is None:
        raise NotFoundError(
            f"slot {slot} has no shadow", fix=f"run: podium shadow {slot} CANDIDATE"
        )
    return known


def _question(project: Project, candidate: Candidate) -> dict[str, Any]:
    """Task and tickers of a model."""
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
