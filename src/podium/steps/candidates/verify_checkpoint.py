"""Checkpoints of a search: checked by their manifest, then stored as artefacts.

The manifest is the ``config.json`` that the search wrote with the model: the trial, its training
data, and the hash of every file.
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
from podium.steps.candidates.register import OtherQuestionError, not_on_record, require_fit
from podium.steps.search.tune import validation_split
from podium.steps.search.tuning_files import CHECKPOINTS, checkpoint_hash
from podium.steps.trials import execute
from podium.steps.trials.driver import work_folder
from podium.steps.workspace.project import Project
from podium.trial import Task

CONFIG = "config.json"


def searched_folder(path: Path) -> Path | None:
    """Folder of the search's checkpoint that contains a path, or None."""
    path = path.resolve()
    for folder in (path, *path.parents)[:3]:
        if folder.parent.name == CHECKPOINTS and (folder / CONFIG).is_file():
            return folder
    return None


def by_score(folder: Path) -> list[Path]:
    """A search's checkpoints by the scores in their files, the best first; unreadable ones last."""
    checkpoints = [path for path in folder.glob("*") if (path / CONFIG).is_file()]
    return sorted(checkpoints, key=lambda path: (_value(path), path.name))


def _value(folder: Path) -> float:
    try:
        facts = facts_of(folder)
        value = float(facts["value"])
        return -value if registry.direction(str(facts["metric"])) == "max" else value
    except (DataError, NotFoundError, KeyError, TypeError, ValueError):
        return math.inf


def facts_of(folder: Path) -> dict[str, Any]:
    """Content of a checkpoint's ``config.json``, unchecked.

    Raises
    ------
    DataError
        The file cannot be read, or is not podium's.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        whole = isinstance(facts["files"], dict)
        if not whole or not all(isinstance(facts[key], str) for key in ("id", "slot")):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{folder / CONFIG} does not name the trial and the files of the model",
            "the file that podium tune wrote",
            "run: podium tune",
        ) from None
    return facts


def stored(project: Project, folder: Path, slot: str | None) -> Place:
    """Store a search's checkpoint as an artefact.

    Its ``config.json`` must agree with the record of the trial and have the hash on record, and its
    files must have the hashes in it.

    Raises
    ------
    DataError
        The trial is not on record, a file has changed, or the slot's task or data have changed.
    """
    facts = facts_of(folder)
    row = project.ledger.read(reads.trials_by_id, [facts["id"]]).get(facts["id"])
    if row is None:
        raise not_on_record(folder)
    try:
        data, _ = require_fit(project, Place(folder, "", facts, execute.CHECKPOINT), slot)
        task = Task(row.id, row.config, row.fold, row.seed)
        version, epochs = int(facts["family_version"]), int(facts["epochs"])
        described = execute.manifest(project, data, row.family, version, task, epochs)
        # The data are checked separately.
        described["dataset_fingerprint"] = facts["dataset_fingerprint"]
    except (KeyError, TypeError, ValueError) as error:
        raise _changed(folder, f"{CONFIG} lacks {error}") from None
    wrong = [n for n, value in described.items() if _json(facts.get(n)) != _json(value)]
    if wrong:
        raise _changed(folder, f"{CONFIG} differs from the record in {', '.join(wrong)}")
    content = (folder / CONFIG).read_bytes()
    recorded = project.ledger.read(reads.receipt, data.slot, CHECKPOINTS, row.id)
    if recorded != checkpoint_hash(content):
        raise _changed(folder, f"the hash of {CONFIG} is not the one on record")
    split = validation_split(project, data)
    if split.hash != row.split_hash:
        raise OtherQuestionError(
            f"{folder} was scored on other validation bars than those of podium.toml",
            "the validation slice of its trial",
            f"run: podium tune {data.slot}",
        )
    files = _files(folder, facts["files"])
    with work_folder(project, data.slot, "checkpoint") as work:
        write_folder(files, Path(work))
        opened = artifact.opened_file(Path(work))
        name, stored_folder = artifact.store(
            project.store,
            {execute.CHECKPOINT: Path(work)},
            {**described, "split": row.split_hash, "fold": row.fold},
            writer=f"checkpoint-{row.id}",
        )
    if row.artifact_hash != name:
        at = Path(project.config.paths.registry) / stored_folder / execute.CHECKPOINT / opened
        project.ledger.write_durably(writes.set_artifact, row.id, name, at.as_posix())
    last = data.tuning.times[split.folds[row.fold].train[-1]]
    project.reporter.say(
        f"{folder.name} was trained on the bars of {data.slot} until {last} only; podium finalize "
        "trains on all bars before the test"
    )
    return artifact.place_of(project.store / stored_folder, name)


def _files(folder: Path, hashes: Mapping[str, str]) -> dict[str, bytes]:
    """Files of the model, after a check of their hashes and for code."""
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CONFIG
    }
    actual = {name: digest_bytes(content) for name, content in files.items()}
    changed = sorted(n for n in {**hashes, **actual} if hashes.get(n) != actual.get(n))
    if changed:
        raise _changed(folder, f"{', '.join(changed[:3])} was changed, added or removed")
    artifact.require_no_pickle(folder, files.items())
    return files


def _json(value: Any) -> str:
    return canonical(json.loads(json.dumps(value, default=list)))


def _changed(folder: Path, what: str) -> DataError:
    return DataError(
        f"{folder} has changed since its trial: {what}",
        "the files that podium tune wrote",
        "write them again with podium tune, or train the config: podium finalize",
    )
