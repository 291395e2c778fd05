"""Models that a search kept beside its files: checked by their manifest, then made artefacts.

The manifest is the ``config.json`` that the search wrote with the model: the trial, what it was
trained on, and the hash of every file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from podium import artifact, registry
from podium.artifact import Place
from podium.errors import DataError, NotFoundError
from podium.hashing import canonical, digest_bytes
from podium.ledger import reads, writes
from podium.runners._files import write_folder
from podium.steps.candidates.register import OtherQuestionError, require_fit
from podium.steps.search.tune import validation_split
from podium.steps.search.tuning_files import CHECKPOINTS
from podium.steps.trials import execute
from podium.steps.trials.driver import work_folder
from podium.steps.workspace.project import Project
from podium.trial import Task

CONFIG = "config.json"


def searched_folder(path: Path) -> Path | None:
    """Folder of a search's checkpoint that a path leads into; None: it leads elsewhere."""
    path = path.resolve()
    for folder in (path, *path.parents)[:3]:
        if folder.parent.name == CHECKPOINTS and (folder / CONFIG).is_file():
            return folder
    return None


def by_score(folder: Path) -> list[Path]:
    """A search's checkpoints, the best first, as their files tell; unreadable ones last."""
    return sorted(
        (path for path in folder.glob("*") if (path / CONFIG).is_file()),
        key=lambda path: (_value(path), path.name),
    )


def _value(folder: Path) -> float:
    try:
        told = facts_of(folder)
        value = float(told["value"])
        return -value if registry.direction(str(told["metric"])) == "max" else value
    except (DataError, NotFoundError, KeyError, TypeError, ValueError):
        return math.inf


def facts_of(folder: Path) -> dict[str, Any]:
    """What a search's checkpoint says of itself, unchecked.

    Raises
    ------
    DataError
        It is not readable, or not podium's.
    """
    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        whole = isinstance(told["files"], dict)
        if not whole or not all(isinstance(told[key], str) for key in ("id", "slot")):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{folder / CONFIG} does not say which trial left the model, and which files",
            "what podium tune wrote",
            "run: podium tune",
        ) from None
    found: dict[str, Any] = told
    return found


def stored(project: Project, folder: Path, slot: str | None) -> Place:
    """Artefact of a search's checkpoint, in the store from now on.

    What ``config.json`` says must be what the record has of the trial, and the files those whose
    hashes it holds.

    Raises
    ------
    DataError
        No trial on record left it, it was changed, or it answers another question than its slot.
    """
    facts = facts_of(folder)
    row = project.ledger.read(reads.trials_by_id, [facts["id"]]).get(facts["id"])
    if row is None:
        raise DataError(
            f"no trial on record left {folder}",
            "a model of this project",
            "bring its record in as well: podium import",
        )
    try:
        data, _ = require_fit(project, Place(folder, "", facts, execute.CHECKPOINT), slot)
        task = Task(row.id, row.config, row.fold, row.seed)
        version, epochs = int(facts["family_version"]), int(facts["epochs"])
        described = execute.manifest(project, data, row.family, version, task, epochs)
        # Whether the data fit is a question of its own.
        described["dataset_fingerprint"] = facts["dataset_fingerprint"]
    except (KeyError, TypeError, ValueError) as error:
        raise _changed(folder, f"{CONFIG} lacks {error}") from None
    wrong = [n for n, value in described.items() if _json(facts.get(n)) != _json(value)]
    if wrong:
        raise _changed(folder, f"{CONFIG} says something else of {', '.join(wrong)}")
    split = validation_split(project, data)
    if split.hash != row.split_hash:
        raise OtherQuestionError(
            f"{folder} was compared with others on other bars than podium.toml asks for by now",
            "the validation slice of its trial",
            f"run: podium tune {data.slot}",
        )
    files = _files(folder, facts["files"])
    with work_folder(project, data.slot, "checkpoint") as work:
        write_folder(files, Path(work))
        opened = artifact.opened_file(Path(work))
        name, kept = artifact.store(
            project.store,
            {execute.CHECKPOINT: Path(work)},
            {**described, "split": row.split_hash, "fold": row.fold},
            writer=f"checkpoint-{row.id}",
        )
    if row.artifact_hash != name:
        at = Path(project.config.paths.registry) / kept / execute.CHECKPOINT / opened
        project.ledger.write_durably(writes.set_artifact, row.id, name, at.as_posix())
    last = data.tuning.times[split.folds[row.fold].train[-1]]
    project.reporter.say(
        f"{folder.name} was trained on {data.slot}'s bars until {last} only, to be compared with "
        "other configs; podium finalize trains on all before the test"
    )
    return artifact.place_of(project.store / kept, name)


def _files(folder: Path, hashes: Mapping[str, str]) -> dict[str, bytes]:
    """The model's files, which have these hashes and hold no code."""
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CONFIG
    }
    found = {name: digest_bytes(content) for name, content in files.items()}
    changed = sorted(n for n in {**hashes, **found} if hashes.get(n) != found.get(n))
    if changed:
        raise _changed(folder, f"{', '.join(changed[:3])} was changed, added or removed")
    artifact.require_no_pickle(folder, files.items())
    return files


def _json(value: Any) -> str:
    return canonical(json.loads(json.dumps(value, default=list)))


def _changed(folder: Path, found: str) -> DataError:
    return DataError(
        f"{folder} is not what its trial left: {found}",
        "what podium tune wrote",
        "let podium tune write it again, or train the config: podium finalize",
    )
