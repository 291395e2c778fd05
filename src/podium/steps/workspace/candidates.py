"""Which candidate is meant: by its id, by its slot, or by a timeframe and a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium.config import Config
from podium.errors import NotFoundError, UsageError, suggest

if TYPE_CHECKING:
    # Who asks for a slot's name alone needs no opened project.
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


# Evidence of those that were judged: on the test, on evaluation data, or by their parent.
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
    """Row of the candidate that is meant.

    Parameters
    ----------
    what : str, optional
        A candidate's id, or a slot; the rest is for who knows neither.
    slot : str, optional
    timeframe : str, optional
        Of the slot's data; enough alone where one slot has it.
    version : int, optional
        The slot's own counter; default: the newest.
    judged : bool
        Whether the newest judged candidate of a slot comes before newer ones that are not.

    Raises
    ------
    NotFoundError
        No such slot, or no such version of it.
    UsageError
        Nothing was named, two things were, or several slots have the timeframe.
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
    """The newest judged candidate of a slot; the newest one where none is judged."""
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
    """The one slot whose data have a timeframe.

    Raises
    ------
    UsageError
        Several have it; they are listed.
    NotFoundError
        None has it.
    """
    of = {
        name: config.datasets[section.dataset].timeframe for name, section in config.slots.items()
    }
    found = [name for name, its in of.items() if its == timeframe]
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} slots have timeframe {timeframe}",
            "one of " + ", ".join(found),
            "say which: --slot SLOT",
        )
    if not found:
        raise NotFoundError(
            f"no slot has timeframe {timeframe}", fix=suggest(timeframe, {*of.values()})
        )
    return found[0]


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
