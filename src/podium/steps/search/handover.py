"""Receipts of the previous verb with its settings: flags of one verb hold for the next ones.

A verb records the sections of the configuration that its result depends on, and the next verb uses
them: after ``extend --folds 8``, ``analyze`` chooses from these eight folds, whatever podium.toml
has. ``podium run`` does not use this module; it follows podium.toml.
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
    """Present values of sections of the configuration, for the receipt of a verb."""
    settings = {}
    for name in sections:
        section = getattr(project.config, name)
        settings[name] = dict(section) if isinstance(section, Mapping) else asdict(section)
    return settings


def section_inputs(project: Project, name: str) -> dict[str, Any]:
    """Settings of a section and the seed, as inputs of a step by name."""
    settings = {f"{name}.{key}": value for key, value in settings_of(project, name)[name].items()}
    return {**settings, "tune.seed": project.config.tune.seed}


def left_by(project: Project, slot: str, step: str, study: str = "") -> Receipt | None:
    """Newest receipt of a verb, or the newest one of a study; None without any.

    Raises
    ------
    NotFoundError
        No finished search has that id; the message lists the known ones.
    """
    receipts = project.ledger.read(reads.newest_receipts, slot, step, None if study else 1)
    if not study:
        return next(iter(receipts), None)
    for one in receipts:
        if one.outputs[STUDY] == study:
            return one
    known = dict.fromkeys(str(one.outputs[STUDY]) for one in receipts)
    raise NotFoundError(
        f"no finished search of {slot} has the id '{study}'",
        f"one of {', '.join(known)}" if known else "a finished search",
        f"run: podium tune {slot}",
    )


@contextmanager
def under(project: Project, left: Receipt | None) -> Iterator[str]:
    """Use the settings of a receipt; without one, those of the project.

    Yields
    ------
    str
        Settings that differ from podium.toml and the flags, as the end of a sentence.
    """
    before = project.config
    differing: list[str] = []
    if left is not None:
        sections: Mapping[str, Any] = left.outputs[SETTINGS]
        differing = _differing_settings(project, sections)
        changes = {n: _section(project, n, v) for n, v in sections.items()}
        project.config = replace(before, **changes)
    try:
        yield f"; its settings: {', '.join(differing)}" if differing else ""
    finally:
        project.config = before


def _section(project: Project, name: str, values: Mapping[str, Any]) -> Any:
    section = getattr(project.config, name)
    return values if isinstance(section, Mapping) else type(section)(**values)


def _differing_settings(project: Project, sections: Mapping[str, Mapping[str, Any]]) -> list[str]:
    differing = []
    for name, values in sections.items():
        now = settings_of(project, name)[name]
        differing += [
            f"{name}.{key} {value} (podium.toml: {now.get(key)})"
            for key, value in values.items()
            if now.get(key) != value
        ]
    return differing
