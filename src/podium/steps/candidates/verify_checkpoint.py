"""Models that a search kept beside its files: held against their trials, then made artefacts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from podium import artifact, registry
from podium.artifact import Place
from podium.errors import DataError, NotFoundError
from podium.hashing import canonical, digest_bytes
from podium.ledger import reads, writes
from podium.ledger.reads import TrialRow
from podium.steps.candidates.register import OtherQuestionError, require_fit
from podium.steps.data.bars import SlotData
from podium.steps.search.tune import validation_split
from podium.steps.search.tuning_files import CHECKPOINTS
from podium.steps.trials import execute
from podium.steps.trials.driver import workplace
from podium.steps.workspace.project import Project
from podium.tasks import forecast
from podium.trial import Task

CONFIG = "config.json"
# Losses of the same model on another machine; those of another model are nowhere near.
TOLERANCE = 1e-3


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
        if not isinstance(told, dict) or not all(
            isinstance(told[key], str) for key in ("id", "slot")
        ):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{folder / CONFIG} does not say which trial left the model",
            "what podium tune wrote",
            "run: podium tune",
        ) from None
    return told


def stored(project: Project, folder: Path, slot: str | None) -> Place:
    """Artefact of a search's checkpoint, in the store from now on.

    Nothing but its trial vouches for it: what ``config.json`` says must be what the record has,
    and the model's losses on the trial's validation windows those on record.

    Raises
    ------
    DataError
        No trial on record left it, it was changed, or it answers another question than its slot.
    """
    facts = facts_of(folder)
    with project.ledger.reading() as tx:
        row = reads.trials_by_id(project.ledger, tx, [facts["id"]]).get(facts["id"])
    if row is None:
        raise DataError(
            f"no trial on record left {folder}",
            "a model of this project",
            "bring its record in as well: podium import",
        )
    place = Place(folder, "", facts, execute.KEPT)
    try:
        data, _ = require_fit(project, place, slot)
        described = _described(project, data, row, facts)
    except (KeyError, TypeError, ValueError) as error:
        raise _changed(folder, f"{CONFIG} lacks {error}") from None
    # What an earlier podium did not say yet is taken from the record as well.
    wrong = [n for n, value in described.items() if n in facts and _json(facts[n]) != _json(value)]
    if wrong:
        raise _changed(folder, f"{CONFIG} says something else of {', '.join(wrong)}")
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CONFIG
    }
    _require_same_files(project, folder, facts, row, files)
    artifact.require_no_pickle(folder, files)
    _require_same_losses(project, data, row, folder, files)
    with workplace(project, data.slot, "checkpoint") as work:
        for name, content in files.items():
            target = Path(work) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        opened = artifact.opened_file(Path(work))
        name, kept = artifact.store(
            project.store,
            {execute.KEPT: Path(work)},
            {**described, "split": row.split_hash, "fold": row.fold},
            writer=f"checkpoint-{row.id}",
        )
    if row.artifact_hash != name:
        at = Path(project.config.paths.registry) / kept / execute.KEPT / opened
        with project.ledger.transaction(durable=True) as tx:
            writes.set_artifact(project.ledger, tx, row.id, name, at.as_posix())
    project.reporter.say(
        f"{folder.name} was trained on {data.slot}'s bars until "
        f"{_last_trained(project, data, row)} only, to be compared with other configs; "
        "podium finalize trains on all before the test"
    )
    return artifact.place_of(project.store / kept, name)


def _described(
    project: Project, data: SlotData, row: TrialRow, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What the file must say, by the record; of the data it is asked whether they fit elsewhere."""
    task = Task(row.id, row.config, row.fold, row.seed)
    version = int(facts["family_version"])
    found = execute.manifest(project, data, row.family, version, task, int(facts["epochs"]))
    return {**found, "dataset_fingerprint": facts["dataset_fingerprint"]}


def _require_same_files(
    project: Project,
    folder: Path,
    facts: Mapping[str, Any],
    row: TrialRow,
    files: Mapping[str, bytes],
) -> None:
    """Refuse files that are not what was written, as far as something tells.

    What an earlier podium kept says nothing of its files before it was judged once.
    """
    found = {name: digest_bytes(content) for name, content in files.items()}
    told = [facts["files"]] if "files" in facts else []
    if row.artifact_hash and (project.store / artifact.folder_of(row.artifact_hash)).is_dir():
        mine = artifact.place_of(
            project.store / artifact.folder_of(row.artifact_hash), row.artifact_hash
        )
        begins = f"{execute.KEPT}/"
        told.append(
            {
                n.removeprefix(begins): h
                for n, h in mine.manifest["files"].items()
                if n.startswith(begins)
            }
        )
    for one in told:
        changed = sorted(n for n in {*one, *found} if one.get(n) != found.get(n))
        if changed:
            raise _changed(folder, f"{', '.join(changed[:3])} was changed, added or removed")


def _require_same_losses(
    project: Project, data: SlotData, row: TrialRow, folder: Path, files: Mapping[str, bytes]
) -> None:
    split = validation_split(project, data)
    if split.hash != row.split_hash or row.loss_hash is None:
        raise OtherQuestionError(
            f"{folder} was compared with others on other bars than podium.toml asks for by now",
            "the validation slice of its trial",
            f"run: podium tune {data.slot}",
        )
    with project.ledger.reading() as tx:
        told = reads.array(project.ledger, tx, row.loss_hash)
    _, windows = split.folds[row.fold].windows(data.tuning)
    try:
        model = registry.family(row.family).load(lambda name: files[name])
        _, losses = forecast.TASK.score(row.metric, windows.truth(), model.predict(windows.blind()))
    except Exception as error:
        raise _changed(folder, f"{row.family} cannot open it: {error}") from error
    near = TOLERANCE * float(np.mean(np.abs(told)))
    if losses.shape != told.shape or not np.allclose(losses, told, rtol=TOLERANCE, atol=near):
        raise _changed(folder, "its losses on the validation slice are not those on record")


def _last_trained(project: Project, data: SlotData, row: TrialRow) -> str:
    return str(data.tuning.times[validation_split(project, data).folds[row.fold].train[-1]])


def _json(value: Any) -> str:
    return canonical(json.loads(json.dumps(value, default=list)))


def _changed(folder: Path, found: str) -> DataError:
    return DataError(
        f"{folder} is not what its trial left: {found}",
        "what podium tune wrote",
        "let podium tune write it again, or train the config: podium finalize",
    )
