"""Cache of the last whole run's answer, used while nothing has changed.

The file ``.podium/unchanged.json`` may be deleted at any time. It is valid while the bytes of the
data, podium.toml, the plugins and podium's own code, the newest rows of the record and the files of
the steps are the same; else every step is compared with the record. An unchanged run is answered
without importing anything that trains.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import podium
from podium import plugin, registry
from podium.errors import NotFoundError
from podium.files import is_locked, write_atomic
from podium.hashing import digest, digest_bytes
from podium.render.answer import Answer
from podium.render.table import plain
from podium.sections import DatasetSection, PathsSection
from podium.steps.workspace import projections
from podium.steps.workspace.activity import lock_of
from podium.steps.workspace.environment import WRITTEN
from podium.steps.workspace.project import Project

FILE = "unchanged.json"
# Folder of trainings and evaluations of classifiers.
OUTPUTS = "artifacts"
# Tables that every step reads.
_TABLES = ("outbox", "trial", "study_trial", "evidence", "receipt", "candidate", "decision")


@dataclass(frozen=True)
class KnownRun(Answer):
    """Answer of a whole run that is up to date, as values of JSON.

    Parameters
    ----------
    items : list
        Report of each slot.
    summary, table
        Sentence and rows of the run.
    steps : list
        Outcome of each step.
    page : str
        Path of the report, relative to the project.
    artifacts : list
        Folder, below the store, and hash of each slot's candidate.
    """

    items: list[dict[str, Any]]
    summary: str
    table: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    lines: list[str]
    next: list[str]
    page: str
    artifacts: list[list[str]]

    @property
    def sentence(self) -> str:
        """Verdict on the slot, or the number of slots by verdict."""
        return self.summary

    def rows(self) -> list[dict[str, Any]]:
        """One row a slot."""
        return self.table


def inputs(project: Project, slots: Sequence[str]) -> str:
    """Hash of a run's inputs other than the record; ``""`` where code outside has a part in it."""
    config = project.config
    chosen = dict.fromkeys(slots or config.slots)
    if not _all_ours(project, chosen):
        # Code elsewhere may have changed.
        return ""
    settings = asdict(config)
    for unimportant in ("root", "origins", "runner"):
        del settings[unimportant]
    datasets = sorted({config.slot(name).dataset for name in chosen} & {*config.datasets})
    read = [project.root / plugin.FOLDER]
    read += [project.root / path for name in datasets for path in _paths_of(config.datasets[name])]
    contents = [
        [os.path.relpath(path, project.root), digest_bytes(path.read_bytes())]
        for place in read
        for path in _files(place)
    ]
    own = Path(podium.__file__).parent
    code = digest_bytes(*(path.read_bytes() for path in sorted(own.rglob("*.py"))))
    return digest([code, settings, list(chosen), contents])


def _all_ours(project: Project, slots: Sequence[str] | dict[str, None]) -> bool:
    config = project.config
    named = [("searches", config.tune.search)]
    if config.extend.splitter:
        named.append(("splitters", config.extend.splitter))
    for section in (config.slot(name) for name in slots):
        named += [("families", name) for name in section.families]
        named += [("features", spec.partition(":")[0]) for spec in section.features]
        named += [("targets", section.target), ("metrics", section.metric)]
        named += [("signals", section.signal)]
        if section.dataset in config.datasets:
            named.append(("readers", config.datasets[section.dataset].reader))
    return all(name in registry.names(kind) for kind, name in named if name)


def _paths_of(section: DatasetSection) -> list[str]:
    others = (one.path for one in section.covariates.values())
    paths = (section.path, section.members, section.validation, section.evaluation, *others)
    return [path for path in paths if path]


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    elif place.is_dir():
        yield from sorted(
            path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )


def load(project: Project, slots: Sequence[str], started_from: str) -> KnownRun | None:
    """Answer of the last run, or None where something has changed.

    Parameters
    ----------
    started_from : str
        Present value of :func:`inputs`.

    Raises
    ------
    DataError
        A candidate's artefact is not the one that was judged.
    """
    path = project.state / FILE
    chosen = list(slots or project.config.slots)
    if not started_from or any(is_locked(lock_of(project.state, slot)) for slot in chosen):
        return None
    if not _is_sent(project):
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        known = KnownRun(**stored["known"])
        same = stored["inputs"] == started_from and stored["left"] == _state(project)
    except (OSError, ValueError, KeyError, TypeError, NotFoundError):
        return None
    if not same:
        return None
    # Imported here: only an unchanged run needs it now.
    from podium import artifact

    for folder, name in known.artifacts:
        artifact.verify(project.store / folder, name)
    return known


def _is_sent(project: Project) -> bool:
    """Whether MLflow, where it is on, has everything on record."""
    target = projections.target_of(project)
    if target is None:
        return True
    if target.file is not None and not target.file.exists():
        return False
    state = projections.standings(project.reader).get(target.key)
    return state is not None and not (state.waiting or state.refused)


def save(project: Project, started_from: str, slots: Sequence[str], known: KnownRun) -> None:
    """Store the answer of a whole run, unless its inputs have changed meanwhile."""
    if started_from and inputs(project, slots) == started_from:
        stored = {"inputs": started_from, "left": _state(project), "known": asdict(known)}
        write_atomic(project.state / FILE, json.dumps(plain(stored)))


def _state(project: Project) -> dict[str, Any]:
    """Newest row numbers of the record, and size and time of each file written by steps."""
    reader = project.reader
    rows = [reader.first(table, "seq", order="seq DESC") for table in _TABLES]
    paths = project.config.paths
    names = [getattr(paths, one.name) for one in fields(PathsSection) if one.name != "registry"]
    names.append(OUTPUTS)
    homes = [project.root, *(project.root / "slots" / slot for slot in project.config.slots)]
    places = [home / name for home in homes for name in names if name]
    files = {
        os.path.relpath(path, project.root): [path.stat().st_size, path.stat().st_mtime_ns]
        for place in [*places, *(project.root / name for name in WRITTEN)]
        for path in _files(place)
    }
    return {"record": [row["seq"] if row else None for row in rows], "files": files}
