"""Which model a backtest judges: the one that is named, else what the verbs before left."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from podium import artifact
from podium.artifact import CHECKPOINTS, Place
from podium.errors import DataError, NotFoundError, UsageError
from podium.ledger import reads, writes
from podium.manifest import MANIFEST, read_checked
from podium.resolve import find_model, get_active_model_path
from podium.steps.candidates.final_model import STEP as FINALIZE
from podium.steps.candidates.register import KeptModel, OtherQuestionError, kept_candidate, register
from podium.steps.candidates.verify_checkpoint import by_score, facts_of, searched_folder, stored
from podium.steps.evidence.evidence import evidence_about
from podium.steps.evidence.leak_probe import ensure_leak_probe
from podium.steps.search.tuning_files import CHECKPOINTS as KEPT_BY_SEARCH
from podium.steps.trials.once import newest
from podium.steps.workspace import recorded
from podium.steps.workspace.output_folder import output_folder
from podium.steps.workspace.project import Project
from podium.trial import BUDGET

NAMES = {"best": "best_model", "final": "final_model"}


def named_model(
    project: Project, path: Path, slot: str | None = None, checkpoint: str | None = None
) -> KeptModel:
    """The candidate of a model that a path leads to, wherever a copy of it lies.

    It is known by its manifest's hash, and every file of the copy by the manifest; what is judged
    is the project's own artefact of that hash. What a search kept is checked by its own manifest,
    its ``config.json``, and becomes an artefact.

    Parameters
    ----------
    path : Path
        A model's folder, a checkpoint's in it, or a file in that.
    slot : str, optional
        The slot it must be of.
    checkpoint : {"best", "final"}, optional
        Default: the one the path leads to, else the one that is served.

    Raises
    ------
    NotFoundError
        There is no such path, or no such checkpoint.
    DataError
        Not this project's, changed, or not to be judged on the slot's test.
    """
    if checkpoint not in (None, *NAMES):
        raise UsageError(f"checkpoint is '{checkpoint}'", "best or final")
    folder = searched_folder(path)
    if folder is None:
        place = _in_store(project, find_model(path))
    else:
        place = stored(project, folder, slot)
    wanted = NAMES[checkpoint] if checkpoint else place.checkpoint
    served = artifact.place_of(place.folder, place.artifact_hash)
    if served.checkpoint == wanted:
        return kept_candidate(project, served, slot)
    return _apart(project, artifact.place_of(place.folder, place.artifact_hash, wanted), slot)


def slot_of(path: Path) -> str:
    """Slot of the model that a path leads to."""
    folder = searched_folder(path)
    return str((find_model(path).manifest if folder is None else facts_of(folder))["slot"])


def _in_store(project: Project, place: Place) -> Place:
    """The project's own artefact of a model, which may be a copy that lies elsewhere."""
    if place.folder.parent == project.store.resolve():
        return place
    for name in place.manifest["files"]:
        read_checked(place.folder, place.manifest["files"], name)
    mine = project.store / artifact.folder_of(place.artifact_hash)
    if not (mine / MANIFEST).is_file():
        raise DataError(
            f"{place.folder} is no copy of a model in {project.config.paths.registry}/: "
            f"{place.artifact_hash[:12]} is not there",
            "a model of this project, as podium wrote it",
            "train it again, or bring it in with its record: podium import",
        )
    return artifact.place_of(mine, place.artifact_hash, place.checkpoint)


def _apart(project: Project, place: Place, slot: str | None) -> KeptModel:
    """The candidate of a checkpoint that is not the one its artefact serves.

    It is another model, so it is an artefact and a candidate of its own, chosen for the same
    reasons.
    """
    ledger, reader = project.ledger, project.reader
    whole = kept_candidate(project, artifact.place_of(place.folder, place.artifact_hash), slot)
    fold = CHECKPOINTS[::-1].index(place.checkpoint)
    row = reader.first(
        "trial", "id", order="created_at, id", artifact_hash=place.artifact_hash, fold=fold
    )
    if row is None:
        raise DataError(
            f"no trial on record left {place.checkpoint} of {place.folder}",
            "a model of this project",
        )
    with ledger.reading() as tx:
        trial = reads.trials_by_id(ledger, tx, [row["id"]])[row["id"]]
        told = reads.evidence_of(ledger, tx, whole.candidate.id).get("validation")
    description = {k: v for k, v in place.manifest.items() if k not in ("files", "podium")}
    description |= {
        "config": trial.config,
        "epochs": int(trial.config.get(BUDGET, 0)),
        "checkpoint_of": place.artifact_hash,
    }
    name, folder = artifact.store(
        project.store,
        {place.checkpoint: place.folder / place.checkpoint},
        description,
        writer=f"checkpoint-{trial.id}",
    )
    alone = artifact.place_of(project.store / folder, name)
    with ledger.transaction(durable=True) as tx:
        study_id = whole.candidate.study_id
        candidate = register(project, tx, alone, study_id, trial.id).candidate
        known = "validation" in reads.evidence_of(ledger, tx, candidate.id)
        if told is not None and not known:
            why = f"{told.notes.get('reason', '')}; of that training its {place.checkpoint}"
            copy = evidence_about(
                candidate,
                "validation",
                told.producer,
                dataset=told.dataset_fingerprint,
                split=told.split_hash,
                scalars=told.scalars,
                series=told.series,
                notes={**told.notes, "reason": why},
            )
            writes.put_evidence(ledger, tx, copy)
    ensure_leak_probe(project, whole.data, candidate)
    return replace(whole, candidate=candidate)


def found_model(
    project: Project, slot: str, checkpoint: str | None = None
) -> tuple[KeptModel, str]:
    """The model to judge where nobody names one, and the rule that chose it; trains nothing.

    What the verbs before left, in this order: ``final_model/``, or the newest candidate where that
    folder is not wanted; the best of ``extended_training_results/``; the best of the search's
    ``checkpoints/``; the grids' active model. What answers another question by now is passed over
    with a sentence.

    Raises
    ------
    NotFoundError
        There is none, with every place that was searched and the command that fills it.
    DataError
        The first that is there was changed.
    """
    missing, searched = list[str](), list[str]()
    for what, where, paths in _places(project, slot):
        because = f", because there is no {' and no '.join(missing)}" if missing else ""
        missing.append(what)
        searched += [where] if where else []
        for path in paths:
            try:
                kept = named_model(project, path, slot, checkpoint)
            except OtherQuestionError as error:
                project.reporter.say(f"{_shown(project, path)} is passed over: {error}")
                continue
            return kept, f"the {what}: {_shown(project, path)}{because}"
    try:
        path = get_active_model_path(project.root, slot=slot)
    except NotFoundError as error:
        raise NotFoundError(
            f"{slot} has nothing to judge: {error.problems[0].found}; no model in "
            + ", ".join(searched),
            "a finished search, a grid, or --model-path",
            f"run: podium finalize {slot}, or: podium grid {slot}",
        ) from None
    kept = named_model(project, path, slot, checkpoint)
    return kept, f"the grids' active model: {os.path.relpath(path, project.root)}"


def _places(project: Project, slot: str) -> Iterator[tuple[str, str, list[Path]]]:
    """Models that the verbs left: what they are, where they lie and who fills it, the best path."""
    paths = project.config.paths
    if paths.final:
        folder = output_folder(project, slot, paths.final)
        there = [folder] if (folder / MANIFEST).is_file() else []
        yield "final model", f"{paths.final}/ (podium finalize fills it)", there
    else:
        left = newest(project, slot, FINALIZE)
        ids = [] if left is None else [left.outputs["candidate"]]
        there = [project.store / recorded.candidate(project, id_).artifact_path for id_ in ids]
        yield "newest final model", "", there
    if paths.extended:
        folder = output_folder(project, slot, paths.extended)
        there = [p for p in folder.glob("extended_model_*") if (p / MANIFEST).is_file()]
        where = f"{paths.extended}/extended_model_* (podium extend fills it)"
        yield "best extended model", where, sorted(there, key=_rank)[:1]
    if paths.tuning:
        folder = output_folder(project, slot, paths.tuning) / KEPT_BY_SEARCH
        where = f"{paths.tuning}/{KEPT_BY_SEARCH}/* (podium tune fills it)"
        yield "best model that the search kept", where, by_score(folder)[:1]


def _rank(path: Path) -> tuple[float, str]:
    number = re.search(r"\d+$", path.name)
    return (int(number[0]) if number else math.inf, path.name)


def _shown(project: Project, path: Path) -> str:
    """A path as people call it."""
    told = os.path.relpath(path, project.root)
    return f"{told}/" if path.is_dir() else told
