"""Candidates by id, by slot, or by timeframe and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium.config import Config
from podium.errors import NotFoundError, UsageError, suggest

if TYPE_CHECKING:
    # Imported here: the name of a slot needs no opened project.
    from podium.steps.workspace.project import Project


def newest(project: Project, what: str) -> dict[str, Any]:
    """Row of the candidate with that id, or of a slot's newest candidate.

    Raises
    ------
    NotFoundError
    """
    if what in project.config.slots:
        return _of_slot(project, what, None)
    kind, row = project.reader.find(what)
    if kind != "candidates":
        raise NotFoundError(f"'{what}' is one of the {kind}", "a candidate's id or a slot")
    return row


# Evidence of judged candidates: on the test, on evaluation data, or by their parent.
JUDGED = ("test", "evaluation", "with_test")


def chosen(
    project: Project,
    what: str | None = None,
    *,
    slot: str | None = None,
    timeframe: str | None = None,
    version: int | None = None,
    judged: bool = False,
) -> dict[str, Any]:
    """Row of a candidate by its id, or by its slot and version.

    Parameters
    ----------
    what : str, optional
        Id of a candidate, or a slot.
    slot : str, optional
        In place of ``what``.
    timeframe : str, optional
        Timeframe of the slot's data, where one slot has it; in place of ``what``.
    version : int, optional
        Version in the slot. Default: the newest.
    judged : bool
        Prefer the newest judged candidate of the slot to a newer one without judgement.

    Raises
    ------
    NotFoundError
        There is no such slot, candidate or version.
    UsageError
        No slot is named, two are, or several slots have the timeframe.
    """
    if what and (slot or timeframe):
        raise UsageError(f"'{what}' is named, and a slot or timeframe too", "one of them")
    if what and what not in project.config.slots:
        if version is not None:
            raise UsageError(f"'{what}' is one candidate", "a slot where a version is given")
        return newest(project, what)
    name = what or slot or (slot_of(project.config, timeframe) if timeframe else None)
    row = _of_slot(project, project.default_slot(name), version)
    return _newest_judged(project, row) if judged and version is None else row


def _newest_judged(project: Project, newest: dict[str, Any]) -> dict[str, Any]:
    """Newest judged candidate of a slot, or the newest one where none is judged."""
    slot, reader = newest["slot"], project.reader
    judged = {row["candidate_id"] for row in reader.select("evidence", "candidate_id", kind=JUDGED)}
    candidates = reader.select("candidate", order="version DESC", slot=slot)
    row = next((row for row in candidates if row["id"] in judged), None)
    if row is None or row["id"] == newest["id"]:
        return newest
    project.reporter.say(
        f"{slot}: candidate {row['id']} (version {row['version']}) is the newest judged one; "
        f"version {newest['version']} is newer and was not judged"
    )
    return row


def slot_of(config: Config, timeframe: str) -> str:
    """Slot whose data have a timeframe.

    Raises
    ------
    UsageError
        Several slots have it; they are listed.
    NotFoundError
        No slot has it.
    """
    timeframes = {
        name: config.datasets[section.dataset].timeframe for name, section in config.slots.items()
    }
    matches = [name for name, of_slot in timeframes.items() if of_slot == timeframe]
    if len(matches) > 1:
        raise UsageError(
            f"{len(matches)} slots have timeframe {timeframe}",
            "one of " + ", ".join(matches),
            "add --slot SLOT",
        )
    if not matches:
        raise NotFoundError(
            f"no slot has timeframe {timeframe}", fix=suggest(timeframe, {*timeframes.values()})
        )
    return matches[0]


def _of_slot(project: Project, slot: str, version: int | None) -> dict[str, Any]:
    rows = project.reader.rows("candidates", slot=slot)
    if not rows:
        raise NotFoundError(f"{slot} has no candidate yet", fix=f"run: podium finalize {slot}")
    for row in rows:
        if version in (None, row["version"]):
            return row
    raise NotFoundError(
        f"{slot} has no version {version}", "one of " + ", ".join(str(r["version"]) for r in rows)
    )
