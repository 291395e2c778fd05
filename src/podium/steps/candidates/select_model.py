"""Select the model of a backtest: the named one, else the newest result of the verbs before."""

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
from podium.resolve import find_model, grid_model_path
from podium.steps.candidates.final_model import STEP as FINALIZE
from podium.steps.candidates.register import (
    JudgedModel,
    OtherQuestionError,
    judged_model,
    not_on_record,
    register,
)
from podium.steps.candidates.verify_checkpoint import by_score, facts_of, searched_folder, stored
from podium.steps.evidence.evidence import evidence_about
from podium.steps.evidence.leak_probe import ensure_leak_probe
from podium.steps.search.tuning_files import CHECKPOINTS as SEARCH_CHECKPOINTS
from podium.steps.trials.once import newest
from podium.steps.workspace import recorded
from podium.steps.workspace.output_folder import output_folder
from podium.steps.workspace.project import Project
from podium.trial import BUDGET

NAMES = {"best": "best_model", "final": "final_model"}


def named_model(
    project: Project, path: Path, slot: str | None = None, checkpoint: str | None = None
) -> JudgedModel:
    """Candidate of the model, or of the copy of a model, at a path.

    The hash of its manifest identifies the project's artefact, which is judged; the files of a copy
    are checked. A checkpoint of a search is checked by its ``config.json`` and becomes an artefact.

    Parameters
    ----------
    path : Path
        Folder of a model, of a checkpoint in it, or a file in that.
    slot : str, optional
        Expected slot.
    checkpoint : {"best", "final"}, optional
        Default: the one at the path, else the served one.

    Raises
    ------
    NotFoundError
        No such path or checkpoint.
    DataError
        The model is of another project, has changed, or cannot be judged on the slot's test.
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
        return judged_model(project, served, slot)
    return _apart(project, artifact.place_of(place.folder, place.artifact_hash, wanted), slot)


def slot_of(path: Path) -> str:
    """Slot of the model at a path."""
    folder = searched_folder(path)
    return str((find_model(path).manifest if folder is None else facts_of(folder))["slot"])


def _in_store(project: Project, place: Place) -> Place:
    """The project's artefact of a model or of a copy of it."""
    if place.folder.parent == project.store.resolve():
        return place
    for name in place.manifest["files"]:
        read_checked(place.folder, place.manifest["files"], name)
    mine = project.store / artifact.folder_of(place.artifact_hash)
    if not (mine / MANIFEST).is_file():
        raise DataError(
            f"{place.folder} is no copy of a model in {project.config.paths.registry}/: "
            f"it has no {place.artifact_hash[:12]}",
            "a model of this project",
            "train it again, or import it with its record: podium import",
        )
    return artifact.place_of(mine, place.artifact_hash, place.checkpoint)


def _apart(project: Project, place: Place, slot: str | None) -> JudgedModel:
    """Candidate of a checkpoint that its artefact does not serve.

    It is another model, so it becomes a separate artefact and candidate with the same evidence
    from validation.
    """
    ledger, reader = project.ledger, project.reader
    whole = judged_model(project, artifact.place_of(place.folder, place.artifact_hash), slot)
    fold = CHECKPOINTS[::-1].index(place.checkpoint)
    row = reader.first(
        "trial", "id", order="created_at, id", artifact_hash=place.artifact_hash, fold=fold
    )
    if row is None:
        raise not_on_record(f"{place.checkpoint} of {place.folder}")
    with ledger.reading() as tx:
        trial = reads.trials_by_id(tx, [row["id"]])[row["id"]]
        validation = reads.evidence_of(tx, whole.candidate.id).get("validation")
    description = {k: v for k, v in place.manifest.items() if k not in ("files", "podium")}
    epochs, origin = int(trial.config.get(BUDGET, 0)), place.artifact_hash
    description |= {"config": trial.config, "epochs": epochs, "checkpoint_of": origin}
    folders = {place.checkpoint: place.folder / place.checkpoint}
    name, folder = artifact.store(
        project.store, folders, description, writer=f"checkpoint-{trial.id}"
    )
    alone = artifact.place_of(project.store / folder, name)
    with ledger.transaction(durable=True) as tx:
        study_id = whole.candidate.study_id
        candidate = register(project, tx, alone, study_id, trial.id).candidate
        known = "validation" in reads.evidence_of(tx, candidate.id)
        if validation is not None and not known:
            reason = f"{validation.notes.get('reason', '')}; {place.checkpoint} of that training"
            copy = evidence_about(
                candidate,
                "validation",
                validation.producer,
                dataset=validation.dataset_fingerprint,
                split=validation.split_hash,
                scalars=validation.scalars,
                series=validation.series,
                notes={**validation.notes, "reason": reason},
            )
            writes.put_evidence(tx, copy)
    ensure_leak_probe(project, whole.data, candidate)
    return replace(whole, candidate=candidate)


def found_model(
    project: Project, slot: str, checkpoint: str | None = None
) -> tuple[JudgedModel, str]:
    """The model to judge by default, and the rule that chose it; trains nothing.

    The first of: ``final_model/``, or without ``paths.final`` the newest candidate; the best of
    ``extended_training_results/``; the best of the search's ``checkpoints/``; the grids' active
    model. Models of an earlier task or of earlier data are skipped with a message.

    Raises
    ------
    NotFoundError
        There is no model; the message lists every searched place and the command that fills it.
    DataError
        The first model has changed.
    """
    missing, searched = list[str](), list[str]()
    for what, where, paths in _places(project, slot):
        because = f", because there is no {' and no '.join(missing)}" if missing else ""
        missing.append(what)
        searched += [where] if where else []
        for path in paths:
            try:
                entry = named_model(project, path, slot, checkpoint)
            except OtherQuestionError as error:
                project.reporter.say(f"{_shown(project, path)} is skipped: {error}")
                continue
            return entry, f"the {what}: {_shown(project, path)}{because}"
    try:
        path = grid_model_path(project.root, slot=slot)
    except NotFoundError as error:
        raise NotFoundError(
            f"{slot} has nothing to judge: {error.problems[0].found}; no model in "
            + ", ".join(searched),
            "a finished search, a grid, or --model-path",
            f"run: podium finalize {slot}, or: podium grid {slot}",
        ) from None
    entry = named_model(project, path, slot, checkpoint)
    return entry, f"the grids' active model: {os.path.relpath(path, project.root)}"


def _places(project: Project, slot: str) -> Iterator[tuple[str, str, list[Path]]]:
    """Places of models: the name, the folder with the command that fills it, and the best path."""
    paths = project.config.paths
    if paths.final:
        folder = output_folder(project, slot, paths.final)
        models = [folder] if (folder / MANIFEST).is_file() else []
        yield "final model", f"{paths.final}/ (podium finalize fills it)", models
    else:
        left = newest(project, slot, FINALIZE)
        ids = [] if left is None else [left.outputs["candidate"]]
        models = [project.store / recorded.candidate(project, id_).artifact_path for id_ in ids]
        yield "newest final model", "", models
    if paths.extended:
        folder = output_folder(project, slot, paths.extended)
        models = [p for p in folder.glob("extended_model_*") if (p / MANIFEST).is_file()]
        where = f"{paths.extended}/extended_model_* (podium extend fills it)"
        yield "best extended model", where, sorted(models, key=_rank)[:1]
    if paths.tuning:
        folder = output_folder(project, slot, paths.tuning) / SEARCH_CHECKPOINTS
        where = f"{paths.tuning}/{SEARCH_CHECKPOINTS}/* (podium tune fills it)"
        yield "best checkpoint of the search", where, by_score(folder)[:1]


def _rank(path: Path) -> tuple[float, str]:
    number = re.search(r"\d+$", path.name)
    return (int(number[0]) if number else math.inf, path.name)


def _shown(project: Project, path: Path) -> str:
    """A path relative to the project."""
    relative = os.path.relpath(path, project.root)
    return f"{relative}/" if path.is_dir() else relative
