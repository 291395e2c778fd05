"""``final_model/``: a candidate's artefact, its config and its trainings as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from podium import artifact
from podium.artifact import CHECKPOINTS
from podium.candidate import Candidate
from podium.errors import PodiumError
from podium.files import full_disk_explained
from podium.hashing import json_file
from podium.ledger import reads, trial_facts
from podium.ledger.reads import TrialRow
from podium.manifest import MANIFEST, require_hash
from podium.split import Split
from podium.steps.candidates.final_training import PHASE
from podium.steps.workspace.output_folder import OutputFolder, described, put_artifact
from podium.steps.workspace.project import Project
from podium.tasks._base import TaskData
from podium.trial import config_hash

CONFIG, RESULTS = "config.json", "training_results.json"
PARTS = (CONFIG, RESULTS, MANIFEST, *CHECKPOINTS)
MOMENTS = ("started_at", "ended_at")
SCHEMA = 1


def write(
    project: Project,
    data: TaskData,
    split: Split,
    candidate: Candidate,
    *,
    replace_newer: bool = False,
    suffix: str = "",
) -> Path | None:
    """Write the slot's ``final_model/`` where it is missing or outdated.

    Parameters
    ----------
    replace_newer : bool
        Whether it replaces a later candidate of the slot.
    suffix : str
        Suffix of the folder's name.

    Returns
    -------
    Path or None
        The folder; None where ``paths.final`` is empty, or a later candidate has it.

    Raises
    ------
    DataError
        The artefact has changed since its registration, or the disk is full.
    """
    if not project.config.paths.final:
        return None
    source = project.store / candidate.artifact_path
    manifest = json.loads(require_hash(source, candidate.artifact_hash))
    facts = _facts(data, split, candidate, manifest)
    name = project.config.paths.final + suffix
    out = OutputFolder(project, data.slot, name, PARTS, "candidate")
    if not replace_newer and _is_later(project, out.owner(), candidate):
        return None
    out.claim(candidate.id, facts)
    with full_disk_explained(project.root):
        fresh = put_artifact(source, candidate.artifact_hash, out.folder)
    fresh |= out.put(RESULTS, json_file(_results(project, data, split, candidate, manifest)))
    # Last, as a new scaler needs the model to be loaded.
    before = json.loads(out.marker.read_text(encoding="utf-8"))
    scaler = before["scaler"] if "scaler" in before else _scaler(source, candidate)
    if out.put(CONFIG, json_file({**facts, "scaler": scaler})) or fresh:
        out.tell(f"candidate {candidate.id} is")
    return out.folder


def _is_later(project: Project, owner: str | None, candidate: Candidate) -> bool:
    if owner is None:
        return False
    rows = project.reader.rows("candidates", slot=candidate.slot)
    return any(row["id"] == owner and row["version"] > candidate.version for row in rows)


def _facts(
    data: TaskData, split: Split, candidate: Candidate, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Facts that are known without loading the model."""
    # A model trained on its test too has only the served checkpoint and no slice held out.
    whole = not any(name.startswith("best_model/") for name in manifest["files"])
    return {
        "podium": SCHEMA,
        **described(manifest),
        "config": candidate.config,
        "candidate": candidate.id,
        "version": candidate.version,
        "parent": candidate.parent_id,
        "study": candidate.study_id,
        "artifact_hash": candidate.artifact_hash,
        "split": {
            "hash": split.hash,
            "validation": None if whole else data.span(split.folds[0].validation),
            "sealed_test": None if "includes_test" in manifest else data.sealed,
        },
    }


def _scaler(source: Path, candidate: Candidate) -> dict[str, Any] | None:
    """Scaler of the served model; None where its family has none."""
    try:
        model = artifact.load(source, candidate.artifact_hash).model
    except PodiumError:
        # The family may have changed since the registration.
        return None
    scaler: dict[str, Any] | None = getattr(model, "scaler", None)
    return scaler


def _results(
    project: Project,
    data: TaskData,
    split: Split,
    candidate: Candidate,
    manifest: Mapping[str, Any],
) -> dict[str, Any]:
    rows = _trainings(project, split, candidate, manifest.get("seeds", [manifest["seed"]]))
    facts = {one["id"]: one for one in trial_facts.trials(project.reader, [row.id for row in rows])}
    trainings = [
        {
            "checkpoint": "final_model" if row.fold else "best_model",
            "trial": row.id,
            "seed": row.seed,
            "config": row.config,
            **{name: facts[row.id][name] for name in ("epochs", "best_epoch")},
            # NaN for a model trained on all data.
            "score": row.score,
            "metrics": facts[row.id]["results"],
            **{name: facts[row.id][name] for name in ("curves", "seconds", *MOMENTS)},
        }
        for row in rows
    ]
    return {
        "podium": SCHEMA,
        "candidate": candidate.id,
        "slot": candidate.slot,
        "study": candidate.study_id,
        "metric": data.section.metric,
        "direction": data.direction.verb,
        "seconds": sum(each["seconds"] or 0.0 for each in trainings),
        "trainings": trainings,
    }


def _trainings(
    project: Project, split: Split, candidate: Candidate, seeds: Sequence[int]
) -> list[TrialRow]:
    """Trials of the artefact: one for each checkpoint and seed, in the order of training."""
    rows = project.ledger.read(reads.trials_of, candidate.study_id or "", PHASE)
    same = config_hash(candidate.family, candidate.config)
    alike = [row for row in rows if row.config_hash == same and row.split_hash == split.hash]
    mine = [row for row in alike if row.seed in seeds]
    # Candidates may share a training, which names the artefact of the first; but not all trainings
    # of one config are of this candidate.
    mine.sort(key=lambda row: row.artifact_hash == candidate.artifact_hash)
    last = {(row.fold, row.seed): row for row in mine}
    return [last[key] for key in sorted(last, key=lambda key: (key[0], seeds.index(key[1])))]
