"""``final_model/``: a candidate's artefact beside what people and scripts ask of it, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from podium import artifact
from podium.artifact import CHECKPOINTS
from podium.candidate import Candidate
from podium.errors import DataError, PodiumError
from podium.files import full_disk_explained, write_atomic
from podium.ledger import reads
from podium.ledger.reads import TrialRow
from podium.manifest import MANIFEST, read_checked, require_hash
from podium.split import Fold, Split
from podium.steps.archive import export
from podium.steps.candidates.final_training import PHASE
from podium.steps.data.bars import SlotData
from podium.steps.workspace.owned_folder import OwnedFolder, json_text, output_folder
from podium.steps.workspace.project import Project
from podium.trial import config_hash

CONFIG, RESULTS = "config.json", "training_results.json"
PARTS = (CONFIG, RESULTS, MANIFEST, *CHECKPOINTS)
SCHEMA = 1


def write(
    project: Project,
    data: SlotData,
    split: Split,
    candidate: Candidate,
    *,
    take: bool = False,
    suffix: str = "",
) -> Path | None:
    """Write the slot's ``final_model/`` where it says something else by now.

    Parameters
    ----------
    take : bool
        Have the folder where a later candidate of the slot has it.
    suffix : str
        Of the folder's name.

    Returns
    -------
    Path or None
        The folder; None where ``paths.final`` is empty, or a later candidate has it.

    Raises
    ------
    DataError
        The artefact is not what was registered; or no room is left.
    """
    if not project.config.paths.final:
        return None
    source = project.store / candidate.artifact_path
    manifest = json.loads(require_hash(source, candidate.artifact_hash))
    described = _described(data, split, candidate, manifest)
    place = output_folder(project, data.slot, project.config.paths.final + suffix)
    with full_disk_explained(project.root):
        owned = OwnedFolder(project, place, PARTS, "candidate", "model")
        if not take and _is_later(project, owned.owner(place), candidate):
            return None
        folder = owned.claim(candidate.id, lambda: json_text(described))
        fresh = put_artifact(source, candidate.artifact_hash, folder)
        told = json_text(_results(project, data, split, candidate, manifest))
        fresh |= put_text(folder / RESULTS, told)
        # Last, since it takes opening the model, which an up to date one need not be.
        before = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        scaler = before["scaler"] if "scaler" in before else _scaler(source, candidate)
        fresh |= put_text(folder / CONFIG, json_text({**described, "scaler": scaler}))
    if fresh:
        shown = folder.relative_to(project.root).as_posix()
        project.reporter.say(f"{data.slot}: candidate {candidate.id} is in {shown}/")
    return folder


def _is_later(project: Project, owner: str | None, candidate: Candidate) -> bool:
    if owner is None:
        return False
    rows = project.door.rows("candidates", slot=candidate.slot)
    return any(row["id"] == owner and row["version"] > candidate.version for row in rows)


def put_artifact(source: Path, artifact_hash: str, target: Path) -> bool:
    """Copy what a folder lacks of an artefact, every byte checked; False: it had all of it.

    Parameters
    ----------
    target : Path
        May hold other files too.
    """
    data, fresh = require_hash(source, artifact_hash), False
    files = json.loads(data)["files"]
    for name in files:
        try:
            read_checked(target, files, name)
        except DataError:
            write_atomic(target / name, read_checked(source, files, name))
            fresh = True
    if not (target / MANIFEST).is_file() or (target / MANIFEST).read_bytes() != data:
        write_atomic(target / MANIFEST, data)
        fresh = True
    return fresh


def put_text(path: Path, text: str) -> bool:
    """Write a file unless it says that already; whether it was written."""
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    write_atomic(path, text)
    return True


def told_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says that people and scripts ask for; tickers in the order of training."""
    task = manifest["task"]
    return {
        "tickers": manifest["tickers"],
        "slot": manifest["slot"],
        "family": manifest["family"],
        **{name: task[name] for name in ("features", "target", "horizon", "window", "metric")},
        "timeframe": manifest["timeframe"],
        "dataset_fingerprint": manifest["dataset_fingerprint"],
        "trained_from": manifest["trained_from"],
        "trained_until": manifest["trained_until"],
        "seeds": manifest.get("seeds", [manifest["seed"]]),
        "members": manifest.get("members", []),
    }


def _described(
    data: SlotData, split: Split, candidate: Candidate, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """What is known without opening the model."""
    # Trained on its test too it has only what is served, and nothing was held out for it.
    whole = not any(name.startswith("best_model/") for name in manifest["files"])
    return {
        "podium": SCHEMA,
        **told_of(manifest),
        "config": candidate.config,
        "candidate": candidate.id,
        "version": candidate.version,
        "parent": candidate.parent_id,
        "study": candidate.study_id,
        "artifact_hash": candidate.artifact_hash,
        "split": {
            "hash": split.hash,
            "validation": None if whole else _interval(data, split.folds[0]),
            "sealed_test": None if "includes_test" in manifest else [*data.test_interval],
        },
    }


def _interval(data: SlotData, fold: Fold) -> list[str]:
    bars = np.sort(fold.validation)
    return [str(data.tuning.times[bars[0]]), str(data.tuning.times[bars[-1]])]


def _scaler(source: Path, candidate: Candidate) -> dict[str, Any] | None:
    """What the served model scales by; None where its family scales nothing, or does not tell."""
    try:
        model = artifact.load(source, candidate.artifact_hash).model
    except PodiumError:
        # It was whole when it was registered; the family may be another by now.
        return None
    found: dict[str, Any] | None = getattr(model, "scaler", None)
    return found


def _results(
    project: Project,
    data: SlotData,
    split: Split,
    candidate: Candidate,
    manifest: Mapping[str, Any],
) -> dict[str, Any]:
    rows = _trainings(project, split, candidate, manifest.get("seeds", [manifest["seed"]]))
    facts = {one["id"]: one for one in export.trials(project.door, [row.id for row in rows])}
    trainings = []
    for row in rows:
        fact = facts[row.id]
        trainings.append(
            {
                "checkpoint": "final_model" if row.fold else "best_model",
                "trial": row.id,
                "seed": row.seed,
                "config": row.config,
                "epochs": fact["epochs"],
                "best_epoch": fact["best_epoch"],
                # What is trained on everything has nothing left to be scored on.
                "score": row.score,
                "metrics": fact["results"],
                "curves": fact["curves"],
                "seconds": fact["seconds"],
                "started_at": fact["started_at"],
                "ended_at": fact["ended_at"],
            }
        )
    return {
        "podium": SCHEMA,
        "candidate": candidate.id,
        "slot": candidate.slot,
        "study": candidate.study_id,
        "metric": data.section.metric,
        "direction": export.direction(data.section.metric),
        "seconds": sum(each["seconds"] or 0.0 for each in trainings),
        "trainings": trainings,
    }


def _trainings(
    project: Project, split: Split, candidate: Candidate, seeds: Sequence[int]
) -> list[TrialRow]:
    """Trials that the artefact is of: one a checkpoint and seed, in the order they were trained."""
    with project.ledger.reading() as tx:
        rows = reads.trials_of(project.ledger, tx, candidate.study_id, PHASE)
    same = config_hash(candidate.family, candidate.config)
    mine = [
        row
        for row in rows
        if row.config_hash == same and row.split_hash == split.hash and row.seed in seeds
    ]
    # Candidates may share a training, which names the artefact of the first; but not all trainings
    # of one config are of this candidate.
    mine.sort(key=lambda row: row.artifact_hash == candidate.artifact_hash)
    found = {(row.fold, row.seed): row for row in mine}
    return [found[key] for key in sorted(found, key=lambda key: (key[0], seeds.index(key[1])))]
