"""What a whole run found, kept so that the next one need not look again while nothing changed.

A file beside the record, ``.podium/unchanged.json``: it may be deleted at any time, and decides
nothing. It is believed while the bytes of the data, podium.toml, the plugins and podium's own code,
the newest rows of the record and the files that steps left are what they were; else every step is
held against the record as always. So nothing that trains is imported to say that nothing is to do.
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
from podium.sections import DatasetSection, PathsSection
from podium.steps.workspace import projections
from podium.steps.workspace.activity import lock_of
from podium.steps.workspace.environment import WRITTEN
from podium.steps.workspace.project import Project

FILE = "unchanged.json"
# Where trainings and evaluations of classifiers leave theirs.
OUTPUTS = "artifacts"
# What moves whenever something that a step looks at is put on record.
_TABLES = ("outbox", "trial", "study_trial", "evidence", "receipt", "candidate", "decision")


@dataclass(frozen=True)
class KnownRun:
    """What a whole run came to, as JSON has it.

    Parameters
    ----------
    items : list
        Everything found, an item a slot.
    columns, rows : list
        Of the table that sums it up.
    steps : list
        What came of each step.
    page : str
        Relative to the project.
    artifacts : list
        Folder, below the store, and hash of each slot's candidate.
    """

    items: list[dict[str, Any]]
    columns: list[str]
    rows: list[list[Any]]
    steps: list[dict[str, Any]]
    sentences: list[str]
    next: list[str]
    page: str
    artifacts: list[list[str]]


def inputs(project: Project, slots: Sequence[str]) -> str:
    """Hash of all that a run of these slots starts from but the record; ``""``: not to be told."""
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
    """What the run before found, where nothing changed since.

    Parameters
    ----------
    started_from : str
        As :func:`inputs` gives it now.

    Raises
    ------
    DataError
        A candidate's artefact is not what was judged.
    """
    path = project.state / FILE
    chosen = list(slots or project.config.slots)
    if not started_from or any(is_locked(lock_of(project.state, slot)) for slot in chosen):
        return None
    if not _is_sent(project):
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        found = KnownRun(**kept["told"])
        same = kept["inputs"] == started_from and kept["left"] == _left(project)
    except (OSError, ValueError, KeyError, TypeError, NotFoundError):
        return None
    if not same:
        return None
    # Imported here: whoever has nothing kept needs it later, if at all.
    from podium import artifact

    for folder, name in found.artifacts:
        artifact.verify(project.store / folder, name)
    return found


def _is_sent(project: Project) -> bool:
    """Whether MLflow, where it is on, has everything that is on record."""
    target = projections.target_of(project)
    if target is None:
        return True
    if target.file is not None and not target.file.exists():
        return False
    found = [one for one in projections.standings(project.reader) if one.target == target.key]
    return bool(found) and not (found[0].waiting or found[0].refused)


def save(project: Project, started_from: str, slots: Sequence[str], found: KnownRun) -> None:
    """Keep what a whole run found, unless something that it started from changed meanwhile."""
    if started_from and inputs(project, slots) == started_from:
        told = {"inputs": started_from, "left": _left(project), "told": asdict(found)}
        write_atomic(project.state / FILE, json.dumps(told))


def _left(project: Project) -> dict[str, Any]:
    """Where the record ends, and the size and time of each file that steps left for people."""
    reader = project.reader
    rows = [reader.first(table, "seq", order="seq DESC") for table in _TABLES]
    paths = project.config.paths
    names = [getattr(paths, one.name) for one in fields(PathsSection) if one.name != "registry"]
    names.append(OUTPUTS)
    homes = [project.root, *(project.root / "slots" / slot for slot in project.config.slots)]
    places = [home / name for home in homes for name in names if name]
    found = {
        os.path.relpath(path, project.root): [path.stat().st_size, path.stat().st_mtime_ns]
        for place in [*places, *(project.root / name for name in WRITTEN)]
        for path in _files(place)
    }
    return {"record": [row["seq"] if row else None for row in rows], "files": found}
