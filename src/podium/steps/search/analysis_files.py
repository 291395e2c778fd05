"""``best_config.json`` and ``analysis_plots/``: the chosen config, the reasons and the pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from podium import registry
from podium.hashing import json_file
from podium.index import Index
from podium.ledger import reads
from podium.ledger.reads import TrialRow
from podium.ledger.runs import Observation
from podium.prediction import Prediction
from podium.record import finite_or_none
from podium.render import analysis_plots as plots
from podium.split import Split
from podium.steps.search.impact import fair_epoch, ranked
from podium.steps.search.results import Analysis, FoldScores, SearchResult
from podium.steps.search.tuning_files import TuningFiles
from podium.steps.trials import baselines
from podium.steps.workspace.output_folder import Content, OutputFolder, output_folder
from podium.steps.workspace.project import Project
from podium.trial import State, config_hash

RESULTS = "analysis.json"
PICTURES = (
    "optimization_history.png",
    "parameter_importance.png",
    "parallel_coordinates.png",
    "fold_scores.png",
    "learning_curves.png",
)
# Scores of the chosen config in its file, of those of the comparison.
SCORES = ("folds", "mean", "std", "standard_error", "tuned_score", "rank", "tuned_rank")
SCHEMA = 1


def compared(project: Project, analysis: Analysis) -> list[dict[str, Any]]:
    """The extended configs and the ladder, with their scores in the search and over the folds.

    Baselines have no rank.

    ``accuracy_improvement`` is the gain of the folds' mean over the search's score: for a target
    with a direction as a share of windows whose direction is forecast right, else relative to the
    score. It is negative where the search was too optimistic.
    """
    extension = analysis.extension
    metric = extension.tuned.data.section.metric
    sign = registry.direction(metric).sign
    rows = []
    for config in extension.entries:
        rank = tuned_rank = None
        if config in extension.configs:
            rank, tuned_rank = extension.configs.index(config) + 1, extension.tuned_rank(config)
        gain = sign * (config.tuning_score - config.mean) / abs(config.tuning_score or math.nan)
        right = _directions(project, analysis, config)
        rows.append(
            {
                "rank": rank,
                "family": config.family,
                "config": config.config,
                "chosen": config is analysis.chosen,
                "tuned_score": config.tuning_score,
                "tuned_rank": tuned_rank,
                "rank_change": tuned_rank - rank if rank and tuned_rank else None,
                "mean": config.mean,
                "std": config.std,
                "standard_error": config.standard_error,
                "folds": config.scores,
                "accuracy_improvement": right["extended"] - right["tuned"] if right else gain,
                "directional_accuracy": right,
            }
        )
    return rows


def _directions(
    project: Project, analysis: Analysis, config: FoldScores
) -> dict[str, float] | None:
    """Share of windows whose direction is forecast right, in the search and over the folds.

    None where a target has no direction, or the forecasts are not stored.
    """
    extension = analysis.extension
    tuned, target = extension.tuned, extension.tuned.data.section.target
    if not target or not registry.load("targets", target).CENTERED:
        return None
    row = _trial_of(tuned, config)
    if row is None:
        return None

    def share(rows: list[TrialRow], split: Split) -> float:
        # Each fold separately, as for the metric.
        return float(np.mean([_right(project, one, split, tuned) for one in rows]))

    before, after = share([row], tuned.split), share([*config.folds], extension.split)
    shares = {"tuned": before, "extended": after}
    return shares if all(map(math.isfinite, shares.values())) else None


def _trial_of(tuned: SearchResult, config: FoldScores) -> TrialRow | None:
    """The search's trial of a config."""
    same = config_hash(config.family, config.config)
    mine = [row for row in (*tuned.trials, *tuned.baselines) if row.config_hash == same]
    return next((row for row in mine if row.score == config.tuning_score), None)


def _right(project: Project, row: TrialRow, split: Split, tuned: SearchResult) -> float:
    if row.prediction_hash is None or row.index_hash is None:
        return math.nan
    with project.ledger.reading() as tx:
        values = reads.array(tx, row.prediction_hash)
        index = Index.unpack(reads.array(tx, row.index_hash))
    fold = next(fold for fold in split.folds if fold.number == row.fold)
    _, windows = fold.windows(tuned.forecast.tuning)
    truth = windows.truth()
    moved = truth != 0
    if len(index) != len(windows) or not moved.any():
        return math.nan
    forecast = Prediction.read(values, index, windows.view.tickers).mean
    return float(np.mean(np.sign(forecast[moved]) == np.sign(truth[moved])))


def write(project: Project, analysis: Analysis) -> list[Path]:
    """Write the slot's files where they are missing or outdated; returns their paths.

    Raises
    ------
    DataError
        The disk is full.
    """
    paths, tuned = project.config.paths, analysis.extension.tuned
    if not (paths.best_config or paths.plots):
        return []
    slot, study, comparison = tuned.data.slot, tuned.study.id, compared(project, analysis)
    written: list[Path] = []
    place = Path(paths.best_config)
    aside = output_folder(project, slot, str(place.parent))
    # First, since moved files lie in this folder.
    if paths.plots:
        out = OutputFolder(project, slot, paths.plots, (RESULTS, *PICTURES), "study")
        aside = out.place
        header = {"podium": SCHEMA, "study": study, "slot": slot}
        out.claim(study, header)
        results = {**header, **_results(analysis, comparison)}
        pictures = partial(_pictures, project, analysis)
        out.fill(results, "the analysis is", PICTURES, pictures)
        written = [out.folder]
    if paths.best_config:
        # A file of another search is moved; a changed one, or one that is not podium's, stays.
        out = OutputFolder(
            project, slot, str(place.parent), (place.name,), "study", aside=aside, about=_unchanged
        )
        out.claim(study)
        if out.put(place.name, json_file(_best(project, analysis, comparison))):
            project.reporter.say(f"the chosen config is in {project.shown(out.marker)}")
        written.insert(0, out.marker)
    return written


def _unchanged(best: Any) -> Mapping[str, Any]:
    """Metadata of a config file of podium; empty where its config was changed."""
    about: dict[str, Any] = best["metadata"]
    same = about["config_hash"] == config_hash(best["family"], best["config"])
    return about if same else {}


def _best(project: Project, analysis: Analysis, comparison: list[dict[str, Any]]) -> dict[str, Any]:
    extension, chosen = analysis.extension, analysis.chosen
    tuned, reference = extension.tuned, analysis.reference
    data, metric = tuned.data, tuned.data.section.metric
    place = extension.entries.index(chosen)
    row = _trial_of(tuned, chosen)
    mine = comparison[place]
    return {
        "family": chosen.family,
        "config": chosen.config,
        "metadata": {
            "podium": SCHEMA,
            "slot": data.slot,
            "study": tuned.study.id,
            "config_hash": config_hash(chosen.family, chosen.config),
            "why": analysis.reason,
            "against_the_next": analysis.distinguishable,
            "metric": metric,
            "direction": data.direction.verb,
            **{name: mine[name] for name in SCORES},
            "accuracy_improvement": mine["accuracy_improvement"],
            "accuracy_improvement_of": f"{metric}, as a part of the search's score"
            if mine["directional_accuracy"] is None
            else "directional accuracy, as a share of windows",
            "directional_accuracy": mine["directional_accuracy"],
            "epochs": chosen.epochs,
            "naive": {**baselines.to_dict(reference), "mean": reference.mean},
            "p_value_against_naive": finite_or_none(analysis.against_naive.p_value),
            "p_value_against_naive_corrected": finite_or_none(
                float(analysis.ranking.corrected[place])
            ),
            "looked_at": analysis.looked_at,
            "trials": {"tuned": row and row.id, "folds": [one.id for one in chosen.folds]},
            "split": extension.split.hash,
            "dataset_fingerprint": data.dataset.fingerprint,
        },
    }


def _results(analysis: Analysis, comparison: list[dict[str, Any]]) -> dict[str, Any]:
    tuned, reference = analysis.extension.tuned, analysis.reference
    return {
        "metric": tuned.data.section.metric,
        "direction": tuned.data.direction.verb,
        "trials": len(tuned.trials),
        "naive": {**baselines.to_dict(reference), "folds": reference.scores},
        "chosen": [row["chosen"] for row in comparison].index(True) + 1,
        "why": analysis.reason,
        "against_the_next": analysis.distinguishable,
        "configs": comparison,
    }


def _pictures(project: Project, analysis: Analysis) -> dict[str, Content]:
    extension, chosen, reference = analysis.extension, analysis.chosen, analysis.reference
    tuned, data = extension.tuned, extension.tuned.data
    slot, metric, way = data.slot, data.section.metric, data.direction
    better = f"{'higher' if way == 'max' else 'lower'} is better"
    files = TuningFiles(project, tuned.study, data, tuned.split)
    trials = files.trials(tuned.trials, tuned.feasible)
    # A chosen baseline was not searched.
    searched = chosen if chosen in extension.configs else extension.configs[0]
    of_family = [one for one in trials if one.row.family == searched.family]
    mine = [one for one in of_family if math.isfinite(one.shown.value)]
    configs = [one.row.config for one in mine]
    names = configs[0] if configs else {}
    varied = [name for name in names if len({str(c.get(name)) for c in configs}) > 1]

    history = partial(files.picture, trials, tuned.reference_score)

    def importance() -> bytes:
        # With pruned trials, all are compared at the same epoch.
        reached = [(one.row.epochs, one.row.state is State.COMPLETE) for one in of_family]
        epoch = fair_epoch(reached)
        grounds = (data.dataset.fingerprint, data.task_hash, tuned.split.hash)
        runs = []
        for row, _, facts in of_family:
            far = row.state is State.COMPLETE or (epoch and row.epochs >= epoch)
            value = files.best_shown(facts, epoch) if epoch else row.score
            if far and math.isfinite(value):
                config = {name: row.config[name] for name in varied}
                runs.append(Observation(row.id, row.family, config, grounds, value))
        bars = [
            plots.Bar(i.hyperparam, i.strength, i.finding, i.is_evident)
            for i in (ranked(runs, metric, {metric: way}) if runs else [])
        ]
        title = f"{slot}: association with {metric}, {len(runs)} of {len(of_family)} trials of "
        title += searched.family
        title += f",\nat epoch {epoch}, the last that enough of them reached" if epoch else ""
        return plots.importance_png(bars, title)

    def parallel() -> bytes:
        rows, best = [one.row for one in mine], _trial_of(tuned, searched)
        return plots.parallel_png(
            [row.config for row in rows],
            [one.shown.value for one in mine],
            [row.state is State.COMPLETE for row in rows],
            varied,
            next((n for n, row in enumerate(rows) if best and row.id == best.id), None),
            (f"{slot}: {len(rows)} trials of {searched.family}", f"{metric}, {better}"),
        )

    def folds() -> bytes:
        numbered = enumerate(extension.split.folds, 1)
        labels = [f"{n}\n{data.label(fold.validation)}" for n, fold in numbered]
        configs = [
            plots.Folds(label, c.scores, c.standard_error, c is chosen)
            for label, c in extension.labelled
            if c is not reference
        ]
        naive = plots.Folds(
            baselines.label_of(reference),
            reference.scores,
            reference.standard_error,
            reference is chosen,
        )
        title = f"{slot}: scores on the {len(labels)} folds"
        measured = f"{metric} of {data.subject},\n{better}"
        return plots.folds_png(configs, naive, labels, title, measured)

    def curves() -> bytes:
        ids = [row.id for c in extension.configs for row in c.folds]
        with project.ledger.reading() as tx:
            validation, train = (reads.curves(tx, ids, part, "loss") for part in ("val", "train"))
        configs = [
            plots.Curves(
                label,
                [validation[row.id] for row in c.folds],
                [train[row.id] for row in c.folds if train[row.id]],
                c.epochs,
                c is chosen,
            )
            for label, c in zip(extension.labels, extension.configs, strict=True)
        ]
        loss = data.metric_of_loss(searched.family) or "loss"
        title = f"{slot}: loss after each epoch of the folds"
        return plots.curves_png(configs, title, f"{loss} of {data.subject}")

    return dict(zip(PICTURES, (history, importance, parallel, folds, curves), strict=True))
