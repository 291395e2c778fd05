"""``extended_training_results/``: what cross-validation found, and each config's last model."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from podium import artifact, registry
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


def keeping(project: Project, slot: str) -> AbstractContextManager[str]:
    """Place for models while folds are trained; empty: none are kept."""
    wanted = bool(project.config.paths.extended)
    return driver.work_folder(project, slot, "extend") if wanted else nullcontext("")


class Stay:
    """Which models become artefacts: of each config the one of its last fold, the newest bars.

    Parameters
    ----------
    save_to : str
        As in the job.
    """

    def __init__(self, save_to: str, split: Split) -> None:
        self.save_to, self.last = save_to, split.folds[-1].number

    def __call__(self, plan: Planned, ended: Ended) -> bool:
        """Whether this one stays; the others are deleted."""
        stays = ended.state is State.COMPLETE and plan.fold == self.last
        if not stays and self.save_to:
            shutil.rmtree(Path(self.save_to) / ended.task.trial_id, ignore_errors=True)
        return stays


def write(project: Project, extension: CrossValidation) -> Path | None:
    """Write the slot's folder where it says something else by now; None where none is wanted."""
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
        named = {f"{MODEL}{rank}" for rank in range(1, len(models) + 1)}
        for path in out.folder.glob(f"{MODEL}*"):
            # Of a time when more configs were extended.
            if path.name not in named and (path / CONFIG).is_file():
                shutil.rmtree(path)
    out.fill({**header, **_results(project, extension, models)}, "what the folds found is")
    return out.folder


def _put_model(
    out: OutputFolder, extension: CrossValidation, config: FoldScores, rank: int
) -> str | None:
    """Name of the folder of a config's last model; None where no such model was kept."""
    row, name = config.folds[-1], f"{MODEL}{rank}"
    source = out.project.store / artifact.folder_of(row.artifact_hash or "")
    try:
        content = require_hash(source, row.artifact_hash or "")
    except DataError:
        # It was never kept, or podium gc was told to remove it; the trial's numbers are on record.
        shutil.rmtree(out.folder / name, ignore_errors=True)
        return None
    manifest = out.folder / name / MANIFEST
    if manifest.is_file() and manifest.read_bytes() != content:
        # Another model had this rank.
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
    order = tuned_order(extension)
    return {
        "metric": metric,
        "direction": registry.direction(metric).verb,
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
                "tuned_rank": order.index(config) + 1,
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
        "std": float(np.std(config.scores, ddof=1)),
        "standard_error": config.standard_error,
        "trials": [row.id for row in config.folds],
        **({"classes": {c.name: c.figures() for c in config.classes}} if config.classes else {}),
    }


def tuned_order(extension: CrossValidation) -> list[FoldScores]:
    """The extended configs, best first by what the search saw of them."""
    sign = extension.tuned.data.direction.sign
    return sorted(extension.configs, key=lambda config: sign * config.tuning_score)


def _bars(extension: CrossValidation, fold: Fold) -> dict[str, list[str]]:
    """Which samples a fold's parts hold."""
    span = extension.tuned.data.span
    return {
        part: span(bars)
        for part, bars in (("train", fold.train), ("validation", fold.validation))
        if len(bars)
    }
