"""``best_config.json`` and ``analysis_plots/``: the chosen config, why, and what it was held to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from podium import registry
from podium.errors import MissingExtraError
from podium.files import full_disk_explained, write_atomic
from podium.hashing import json_file
from podium.index import Index
from podium.ledger import reads, trial_facts
from podium.ledger.reads import TrialRow
from podium.ledger.runs import Observation
from podium.prediction import Prediction
from podium.report import analysis_plots as plots
from podium.report.blocks import short
from podium.report.history import history_png
from podium.split import Split
from podium.steps.search.extended_files import tuned_order
from podium.steps.search.impact import LUCK, ranked
from podium.steps.search.results import Analysis, Extended, Tuned
from podium.steps.search.tuning_files import TuningFiles
from podium.steps.trials import baselines
from podium.steps.workspace.moments import day_of
from podium.steps.workspace.owned_folder import OwnedFolder, output_folder, put_text
from podium.steps.workspace.project import Project
from podium.trial import State, config_hash

RESULTS = "analysis.json"
HISTORY, IMPORTANCE, PARALLEL, FOLDS, CURVES = (
    "optimization_history.png",
    "parameter_importance.png",
    "parallel_coordinates.png",
    "fold_scores.png",
    "learning_curves.png",
)
PICTURES = (HISTORY, IMPORTANCE, PARALLEL, FOLDS, CURVES)
SCHEMA = 1


def compared(project: Project, analysis: Analysis) -> list[dict[str, Any]]:
    """The extended configs, best first: what the search saw of each, and what the folds say.

    ``accuracy_improvement`` is how much better the folds' mean is than the search's score: of a
    target that goes either way, in shares of windows whose direction is forecast right; else as
    the part of the score by which the metric is better. Negative where the search saw it too well.
    """
    extension = analysis.extension
    metric = extension.tuned.data.section.metric
    sign = registry.direction(metric).sign
    order = tuned_order(extension)
    found = []
    for rank, config in enumerate(extension.configs, 1):
        gain = sign * (config.tuning_score - config.mean) / abs(config.tuning_score or math.nan)
        right = _directions(project, analysis, config)
        found.append(
            {
                "rank": rank,
                "family": config.family,
                "config": config.config,
                "chosen": config is analysis.chosen,
                "tuned_score": config.tuning_score,
                "tuned_rank": order.index(config) + 1,
                "rank_change": order.index(config) + 1 - rank,
                "mean": config.mean,
                "std": float(np.std(config.scores, ddof=1)),
                "standard_error": config.standard_error,
                "folds": config.scores,
                "accuracy_improvement": right["extended"] - right["tuned"] if right else gain,
                "directional_accuracy": right,
            }
        )
    return found


def _directions(project: Project, analysis: Analysis, config: Extended) -> dict[str, float] | None:
    """Share of windows whose direction is forecast right, in the search and over the folds.

    None where a target has no direction, or the forecasts were not kept.
    """
    extension = analysis.extension
    tuned, data = extension.tuned, extension.tuned.forecast
    if not registry.load("targets", data.section.target).CENTERED:
        return None
    row = _trial_of(tuned, config)
    if row is None:
        return None

    def share(rows: list[TrialRow], split: Split) -> float:
        # Of each fold by itself, as the metric is averaged too.
        return float(np.mean([_right(project, one, split, tuned) for one in rows]))

    found = {
        "tuned": share([row], tuned.split),
        "extended": share([*config.folds], extension.split),
    }
    return found if all(map(math.isfinite, found.values())) else None


def _trial_of(tuned: Tuned, config: Extended) -> TrialRow | None:
    """The search's trial of a config."""
    same = config_hash(config.family, config.config)
    mine = [row for row in tuned.trials if row.config_hash == same]
    return next((row for row in mine if row.score == config.tuning_score), None)


def _right(project: Project, row: TrialRow, split: Split, tuned: Tuned) -> float:
    if row.prediction_hash is None or row.index_hash is None:
        return math.nan
    with project.ledger.reading() as tx:
        values = reads.array(project.ledger, tx, row.prediction_hash)
        index = Index.unpack(reads.array(project.ledger, tx, row.index_hash))
    fold = next(fold for fold in split.folds if fold.number == row.fold)
    _, windows = fold.windows(tuned.forecast.tuning)
    truth = windows.truth()
    moved = truth != 0
    if len(index) != len(windows) or not moved.any():
        return math.nan
    forecast = Prediction.read(values, index, windows.view.tickers).mean
    return float(np.mean(np.sign(forecast[moved]) == np.sign(truth[moved])))


def write(project: Project, analysis: Analysis) -> list[Path]:
    """Write the slot's files where they say something else by now; returns those it has.

    Raises
    ------
    DataError
        No room is left.
    """
    paths, slot = project.config.paths, analysis.extension.tuned.data.slot
    if not (paths.best_config or paths.plots):
        return []
    told = compared(project, analysis)
    written: list[Path] = []
    with full_disk_explained(project.root):
        # First, since files that go aside lie in their folder.
        plotted = output_folder(project, slot, paths.plots) if paths.plots else None
        if plotted is not None:
            written.append(_put_plots(project, analysis, told, plotted))
        if paths.best_config:
            place = output_folder(project, slot, paths.best_config)
            best = _best(project, analysis, told)
            written.insert(0, put_best(project, place, best, plotted or place.parent))
    return written


def put_best(project: Project, place: Path, best: Mapping[str, Any], aside: Path) -> Path:
    """Write ``best_config.json``; another study's goes aside, and what podium did not write stays.

    A file of podium's whose config was changed since is somebody's own.
    """
    before, study = _read(place), best["metadata"]["study"]
    owner = _owner(before)
    if place.exists() and owner is None:
        mine = aside / study / place.name
        project.reporter.say(
            f"{project.shown(place)} was not written, or was changed, by somebody else than "
            f"podium; it stays, and the config of this search is in {project.shown(mine)}"
        )
        place = mine
    else:
        # It has its place back.
        (aside / study / place.name).unlink(missing_ok=True)
        with suppress(OSError):
            (aside / study).rmdir()
    if owner not in (None, study):
        kept = aside / str(owner) / place.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        place.replace(kept)
        project.reporter.say(
            f"the config of the search before, {owner}, is in {project.shown(kept)}"
        )
    if put_text(place, json_file(best)):
        project.reporter.say(f"the chosen config is in {project.shown(place)}")
    return place


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _owner(found: Any) -> str | None:
    """Study that a config file of podium's is of; None: it is not one any more."""
    try:
        about = found["metadata"]
        same = about["config_hash"] == config_hash(found["family"], found["config"])
        return str(about["study"]) if about["podium"] and same else None
    except (TypeError, KeyError):
        return None


def _best(project: Project, analysis: Analysis, told: list[dict[str, Any]]) -> dict[str, Any]:
    extension, chosen = analysis.extension, analysis.chosen
    tuned, reference = extension.tuned, analysis.reference
    data, metric = tuned.forecast, tuned.data.section.metric
    place = extension.configs.index(chosen)
    row = _trial_of(tuned, chosen)
    mine = told[place]
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
            "direction": registry.direction(metric).verb,
            "folds": chosen.scores,
            "mean": chosen.mean,
            "std": mine["std"],
            "standard_error": chosen.standard_error,
            "tuned_score": chosen.tuning_score,
            "rank": mine["rank"],
            "tuned_rank": mine["tuned_rank"],
            "accuracy_improvement": mine["accuracy_improvement"],
            "accuracy_improvement_of": f"{metric}, as a part of the search's score"
            if mine["directional_accuracy"] is None
            else "directional accuracy, as a share of windows",
            "directional_accuracy": mine["directional_accuracy"],
            "epochs": chosen.epochs,
            "naive": {**baselines.described(reference), "mean": reference.mean},
            "p_value_against_naive": analysis.against_naive.p_value,
            "p_value_against_naive_corrected": float(analysis.ranking.corrected[place]),
            "looked_at": analysis.looked_at,
            "trials": {
                "tuned": None if row is None else row.id,
                "folds": [row.id for row in chosen.folds],
            },
            "split": extension.split.hash,
            "dataset_fingerprint": data.dataset.fingerprint,
        },
    }


def _put_plots(
    project: Project, analysis: Analysis, told: list[dict[str, Any]], place: Path
) -> Path:
    """The comparison as JSON, and the pictures of it, drawn only where it changed."""
    tuned, reference = analysis.extension.tuned, analysis.reference
    owned = OwnedFolder(project, place, (RESULTS, *PICTURES), "study", "search")
    header = {"podium": SCHEMA, "study": tuned.study.id, "slot": tuned.data.slot}
    folder = owned.claim(tuned.study.id, lambda: json_file(header))
    results = json_file(
        {
            **header,
            "metric": tuned.data.section.metric,
            "direction": registry.direction(tuned.data.section.metric).verb,
            "trials": len(tuned.trials),
            "naive": {**baselines.described(reference), "folds": reference.scores},
            "chosen": analysis.extension.configs.index(analysis.chosen) + 1,
            "why": analysis.reason,
            "against_the_next": analysis.distinguishable,
            "configs": told,
        }
    )
    drawn = all((folder / name).is_file() for name in PICTURES)
    before = folder / RESULTS
    if drawn and before.is_file() and before.read_text(encoding="utf-8") == results:
        return folder
    try:
        for name, draw in _pictures(project, analysis).items():
            write_atomic(folder / name, draw())
    except MissingExtraError as error:
        project.reporter.say(f"{folder.name}/ has no pictures: {error}")
    # Last, since it tells whether the pictures are up to date.
    put_text(before, results)
    project.reporter.say(f"{tuned.data.slot}: the analysis is in {project.shown(folder)}/")
    return folder


def _pictures(project: Project, analysis: Analysis) -> dict[str, Callable[[], bytes]]:
    extension, chosen, reference = analysis.extension, analysis.chosen, analysis.reference
    tuned, data = extension.tuned, extension.tuned.forecast
    slot, metric = data.slot, data.section.metric
    way = registry.direction(metric)
    better = f"{metric}, {'higher' if way == 'max' else 'lower'} is better"
    unit = registry.load("targets", data.section.target).UNIT
    measured = f"{metric} of {data.section.target} ({unit})"

    files = TuningFiles(project, tuned.study, data, tuned.split)
    rows = tuned.trials
    facts = {one["id"]: one for one in trial_facts.trials(project.door, [row.id for row in rows])}
    told = [files.told(row, row.id in tuned.feasible, facts[row.id]) for row in rows]

    def history() -> bytes:
        naive = tuned.reference.score
        return history_png(told, metric, way, naive, f"{slot}: {len(told)} trials")

    named = _labels(extension.configs)
    # Another family has other hyperparameters.
    mine = [
        (row, one)
        for row, one in zip(rows, told, strict=True)
        if row.family == chosen.family and math.isfinite(one.value)
    ]
    varied = [
        name
        for name in (mine[0][0].config if mine else {})
        if len({str(row.config.get(name)) for row, _ in mine}) > 1
    ]

    def importance() -> bytes:
        # Trials that were given up are compared with the others where those were then.
        epochs = min((row.epochs for row, _ in mine if row.epochs), default=0)
        early = any(row.state is State.PRUNED for row, _ in mine)
        values = {
            row.id: files.shown(facts[row.id], epochs) if early else row.score for row, _ in mine
        }
        grounds = (data.dataset.fingerprint, data.task_hash, tuned.split.hash)
        runs = [
            Observation(row.id, row.family, {k: row.config[k] for k in varied}, grounds, value)
            for row, _ in mine
            if math.isfinite(value := values[row.id])
        ]
        found = ranked(runs, metric, {metric: way}) if runs else []
        bars = [
            plots.Bar(
                one.hyperparam,
                one.strength,
                one.sentence,
                one.strength >= 0 and LUCK not in one.sentence,
            )
            for one in found
        ]
        when = f" at epoch {epochs}" if early else ""
        title = f"{slot}: what {metric}{when} goes with, {len(runs)} trials of {chosen.family}"
        return plots.importance_png(bars, title)

    def parallel() -> bytes:
        row = _trial_of(tuned, chosen)
        place = next((n for n, (one, _) in enumerate(mine) if row and one.id == row.id), None)
        return plots.parallel_png(
            [row.config for row, _ in mine],
            [one.value for _, one in mine],
            [row.state is State.COMPLETE for row, _ in mine],
            varied,
            place,
            (f"{slot}: {len(mine)} trials of {chosen.family}", better),
        )

    def folds() -> bytes:
        times = data.tuning.times
        labels = [
            f"{n}\n{day_of(times[fold.validation.min()])}\nto "
            f"{day_of(times[fold.validation.max()])}"
            for n, fold in enumerate(extension.split.folds, 1)
        ]
        configs = [
            plots.Folds(label, c.scores, c.standard_error, c is chosen)
            for label, c in zip(named, extension.configs, strict=True)
        ]
        naive = plots.Folds("best naive", reference.scores, reference.standard_error)
        title = f"{slot}: scores on the {len(labels)} folds"
        direction = "higher" if way == "max" else "lower"
        return plots.folds_png(configs, naive, labels, title, f"{measured},\n{direction} is better")

    def curves() -> bytes:
        ids = [row.id for c in extension.configs for row in c.folds]
        with project.ledger.reading() as tx:
            validation, train = (
                reads.curves(project.ledger, tx, ids, part, "loss") for part in ("val", "train")
            )
        configs = [
            plots.Curves(
                label,
                [validation[row.id] for row in c.folds],
                [train[row.id] for row in c.folds if train[row.id]],
                c.epochs,
                c is chosen,
            )
            for label, c in zip(named, extension.configs, strict=True)
        ]
        loss = registry.family(chosen.family).loss or "loss"
        title = f"{slot}: loss after each epoch of the folds"
        return plots.curves_png(configs, title, f"{loss} of {data.section.target} ({unit})")

    return {
        HISTORY: history,
        IMPORTANCE: importance,
        PARALLEL: parallel,
        FOLDS: folds,
        CURVES: curves,
    }


def _labels(configs: Sequence[Extended]) -> list[str]:
    """Each config by what not all of them have."""
    first = configs[0].config
    same = {k for k, v in first.items() if all(c.config.get(k) == v for c in configs[1:])}
    if len(configs) == 1:
        same = set()
    told = [short({k: v for k, v in c.config.items() if k not in same}) for c in configs]
    return [f"{c.family} {t}".rstrip() for c, t in zip(configs, told, strict=True)]
