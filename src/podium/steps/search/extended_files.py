"""``extended_training_results/``: scores of the cross-validation, and each config's last model."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from podium import artifact
from podium.errors import DataError
from podium.files import full_disk_explained
from podium.hashing import digest_bytes, json_file
from podium.manifest import MANIFEST, require_hash
from podium.split import Fold, Split
from podium.steps.search.results import CrossValidation, FoldScores
from podium.steps.trials import driver
from podium.steps.trials.execute import Planned
from podium.steps.workspace.output_folder import OutputFolder, described, put_artifact
from podium.steps.workspace.project import Project
from podium.trial import Ended, State

RESULTS, MODEL, CONFIG = "extended_training_results.json", "extended_model_", "config.json"
PARTS = (RESULTS, f"{MODEL}*")
SCHEMA = 1


def model_folder(project: Project, slot: str) -> AbstractContextManager[str]:
    """Folder of models while folds are trained; empty: no models are stored."""
    wanted = bool(project.config.paths.extended)
    return driver.work_folder(project, slot, "extend") if wanted else nullcontext("")


class LastFoldModels:
    """Stores the model of each config's last fold, the newest bars, and deletes the others.

    Parameters
    ----------
    save_to : str
        Folder of the job.
    """

    def __init__(self, save_to: str, split: Split) -> None:
        self.save_to, self.last = save_to, split.folds[-1].number

    def __call__(self, plan: Planned, ended: Ended) -> bool:
        """Whether the model of a training is stored."""
        stays = ended.state is State.COMPLETE and plan.fold == self.last
        if not stays and self.save_to:
            shutil.rmtree(Path(self.save_to) / ended.task.trial_id, ignore_errors=True)
        return stays


def write(project: Project, extension: CrossValidation) -> Path | None:
    """Write the slot's folder where it is missing or outdated; None without ``paths.extended``."""
    if not project.config.paths.extended:
        return None
    slot, study = extension.tuned.data.slot, extension.tuned.study
    out = OutputFolder(project, slot, project.config.paths.extended, PARTS, "study")
    header = {"podium": SCHEMA, "study": study.id, "slot": slot}
    out.claim(study.id, header)
    with full_disk_explained(project.root):
        models = [
            _put_model(out, extension, config, rank)
            for rank, config in enumerate(extension.configs, 1)
        ]
        names = {f"{MODEL}{rank}" for rank in range(1, len(models) + 1)}
        for path in out.folder.glob(f"{MODEL}*"):
            # Left by a cross-validation of more configs.
            if path.name not in names and (path / CONFIG).is_file():
                shutil.rmtree(path)
    out.fill({**header, **_results(project, extension, models)}, "the cross-validation is")
    return out.folder


def _put_model(
    out: OutputFolder, extension: CrossValidation, config: FoldScores, rank: int
) -> str | None:
    """Name of the folder of a config's last model; None where it is not stored."""
    row, name = config.folds[-1], f"{MODEL}{rank}"
    source = out.project.store / artifact.folder_of(row.artifact_hash or "")
    try:
        content = require_hash(source, row.artifact_hash or "")
    except DataError:
        # It was not stored, or podium gc removed it.
        shutil.rmtree(out.folder / name, ignore_errors=True)
        return None
    manifest = out.folder / name / MANIFEST
    if manifest.is_file() and manifest.read_bytes() != content:
        # The model of another config with this rank.
        shutil.rmtree(manifest.parent)
    facts = {
        "podium": SCHEMA,
        **described(json.loads(content)),
        "config": config.config,
        "rank": rank,
        "study": extension.tuned.study.id,
        "trial": row.id,
        "artifact_hash": row.artifact_hash,
        "score": row.score,
        "split": {"hash": extension.split.hash, **_bars(extension, extension.split.folds[-1])},
    }
    out.put(f"{name}/{CONFIG}", json_file(facts))
    put_artifact(source, digest_bytes(content), out.folder / name)
    return name


def _results(
    project: Project, extension: CrossValidation, models: list[str | None]
) -> dict[str, Any]:
    metric = extension.tuned.data.section.metric
    return {
        "metric": metric,
        "direction": extension.tuned.data.direction.verb,
        "splitter": extension.split.name,
        "split": extension.split.hash,
        "epochs": project.config.extend.epochs,
        "folds": [
            {"fold": fold.number, **_bars(extension, fold)} for fold in extension.split.folds
        ],
        "configs": [
            {
                "rank": rank,
                **_scores(config),
                "tuned_score": config.tuning_score,
                "tuned_rank": extension.tuned_rank(config),
                "best_epoch": config.epochs,
                "model": model,
            }
            for rank, (config, model) in enumerate(zip(extension.configs, models, strict=True), 1)
        ],
        "naive": _scores(extension.baselines[0]),
    }


def _scores(config: FoldScores) -> dict[str, Any]:
    return {
        "family": config.family,
        "config": config.config,
        "folds": config.scores,
        "mean": config.mean,
        "std": config.std,
        "standard_error": config.standard_error,
        "trials": [row.id for row in config.folds],
        **config.class_figures,
    }


def _bars(extension: CrossValidation, fold: Fold) -> dict[str, list[str]]:
    """Span of the samples of each part of a fold."""
    span = extension.tuned.data.span
    parts = {"train": fold.train, "validation": fold.validation}
    return {part: span(bars) for part, bars in parts.items() if len(bars)}
