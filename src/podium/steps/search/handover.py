"""What the verb before left, with the settings it had: flags of one verb hold for the next ones.

A verb records the sections of the configuration that its result depends on. The next verb works
under them, so ``extend --folds 8`` followed by ``analyze`` chooses from these eight folds, whatever
podium.toml says. ``podium run`` never comes here: it answers podium.toml's question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from podium.errors import NotFoundError
from podium.ledger import reads
from podium.ledger.reads import Receipt
from podium.steps.workspace.project import Project

SETTINGS, STUDY = "settings", "study"


def settings_of(project: Project, *sections: str) -> dict[str, Any]:
    """Sections of the configuration as they hold now, for the receipt of a verb."""
    found = {}
    for name in sections:
        section = getattr(project.config, name)
        found[name] = dict(section) if isinstance(section, Mapping) else asdict(section)
    return found


def left_by(project: Project, slot: str, step: str, study: str = "") -> Receipt | None:
    """Newest receipt of a verb, or the newest one about a study; None: there is none.

    Raises
    ------
    NotFoundError
        No finished search has that id; those there are, are listed.
    """
    found = project.ledger.read(reads.newest_receipts, slot, step, None if study else 1)
    if not study:
        return next(iter(found), None)
    for one in found:
        if one.outputs[STUDY] == study:
            return one
    known = dict.fromkeys(str(one.outputs[STUDY]) for one in found)
    raise NotFoundError(
        f"no finished search of {slot} has the id '{study}'",
        f"one of {', '.join(known)}" if known else "a finished search",
        f"run: podium tune {slot}",
    )


@contextmanager
def under(project: Project, left: Receipt | None) -> Iterator[str]:
    """Work under the settings that a verb left; without a receipt, under those of the project.

    Yields
    ------
    str
        Settings that differ from podium.toml and the flags, as the end of a sentence.
    """
    before = project.config
    other: list[str] = []
    if left is not None:
        there: Mapping[str, Any] = left.outputs[SETTINGS]
        other = _other_settings(project, there)
        project.config = replace(before, **{n: _section(project, n, v) for n, v in there.items()})
    try:
        yield f"; its settings: {', '.join(other)}" if other else ""
    finally:
        project.config = before


def _section(project: Project, name: str, values: Mapping[str, Any]) -> Any:
    section = getattr(project.config, name)
    return values if isinstance(section, Mapping) else type(section)(**values)


def _other_settings(project: Project, there: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = []
    for name, values in there.items():
        now = settings_of(project, name)[name]
        found += [
            f"{name}.{key} {value} (podium.toml: {now.get(key)})"
            for key, value in values.items()
            if now.get(key) != value
        ]
    return found
