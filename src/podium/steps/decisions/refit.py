"""Refits: a model trained again every so many bars of its test, beside the frozen one."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from podium import registry
from podium.arrays import Floats
from podium.artifact import LoadedModel
from podium.candidate import Candidate
from podium.errors import DataError, UsageError
from podium.evidence import Evidence, Scalar
from podium.index import Index
from podium.ledger import reads, writes
from podium.ledger.ledger import Transaction
from podium.portfolio import summary
from podium.prediction import Prediction
from podium.sections import BacktestSection
from podium.split import Fold, Split, Windows
from podium.steps.candidates.register import JudgedModel
from podium.steps.evidence.comparison import compare_forecasts
from podium.steps.evidence.evidence import evidence_of_test
from podium.steps.evidence.trading import measure_scalars, order_bars, run_backtest, target_weights
from podium.steps.trials import execute
from podium.steps.trials.context import StudyContext, begin_study
from podium.steps.trials.driver import work_folder
from podium.steps.trials.execute import Planned, with_epochs
from podium.steps.trials.once import evidence_once
from podium.steps.workspace import recorded
from podium.steps.workspace.project import Project
from podium.study import Study
from podium.tasks.forecast import SlotData
from podium.trial import BUDGET, Ended, State
from podium.view import View

KIND, FROZEN = "refit", "frozen"
# Receipts of the forecasts of each refit.
FORECAST = "refit_forecast"
# Minimum training bars of the first refit.
MINIMUM_BARS = 30


def refit(project: Project, entry: JudgedModel) -> bool:
    """Put evidence of refits during the test on record, each on the labels known by then.

    Every ``backtest.refit_every`` bars a model is trained on the labels that have ended, or on the
    last ``refit_window`` bars of them, and forecasts until the next refit. The frozen model
    forecasts before the first. Each refit is a trial on record, so a kill loses at most one. The
    test evidence does not change: it is about the served artefact.

    Returns
    -------
    bool
        Whether the evidence is new.

    Raises
    ------
    UsageError
        The test is over before the first refit; the window is too short to train on.
    DataError
        A refit failed.
    """
    return evidence_once(
        project, entry.candidate, KIND, inputs(project, entry), lambda: _evidence(project, entry)
    )


def _evidence(project: Project, entry: JudgedModel) -> Callable[[Transaction], list[Evidence]]:
    settings, data, candidate = project.config.backtest, entry.data, entry.candidate
    split = refits_of(data, settings)
    model = recorded.forecaster(project, candidate)
    frozen = model.predict(_decisions(data, data.test_start, len(data.view)))
    renewed = _forecasts(project, entry, split, model, frozen)
    windows, metric = data.test_windows, data.section.metric
    pair = compare_forecasts(metric, windows, renewed.on(windows), frozen.on(windows))
    times = data.view.times[data.test_start :]
    scalars = {
        **pair.scalars(FROZEN),
        "refits": Scalar(len(split.folds), "trainings"),
        "windows": Scalar(len(windows), "windows"),
    }
    curves: dict[str, np.ndarray] = {"times": times}
    for name, forecast in ((KIND, renewed), (FROZEN, frozen)):
        weights = target_weights(data, forecast)
        on_time = order_bars(len(weights), data.view.horizon)[:, None]
        result = run_backtest(project, data, np.where(on_time, weights, np.nan))
        curves[name] = result.equity / result.equity[0]
        scalars |= measure_scalars(name, summary(result, data.periods_per_year))
    curves |= {"loss": pair.losses.astype(np.float32), "index": Index.of(windows).pack()}
    notes = {
        "metric": pair.metric,
        "every": f"{settings.refit_every} bars",
        "window": f"{settings.refit_window} bars" if settings.refit_window else "all before",
        "first": str(data.view.times[_starts(data, settings)[0]]),
        "dm_reason": pair.test.reason or "",
    }

    return lambda tx: [evidence_of_test(project, tx, data, candidate, KIND, scalars, notes, curves)]


def fits(evidence: Evidence, trading: Evidence) -> bool:
    """Whether evidence is of the same bars as that of a backtest."""
    same_data = evidence.dataset_fingerprint == trading.dataset_fingerprint
    return same_data and evidence.split_hash == trading.split_hash


def refits_of(data: SlotData, settings: BacktestSection) -> Split:
    """A fold for every refit with its training bars, whose labels have all ended by then.

    The last label ends one bar before the refit, as that of the frozen model ends one bar before
    the test.
    """
    folds = []
    for number, bar in enumerate(_starts(data, settings)):
        train = np.arange(data.view.first_bar, bar - data.view.horizon, dtype=np.int64)
        if settings.refit_window:
            train = train[-settings.refit_window :]
        folds.append(Fold(number, train, train[:0]))
    if len(folds[0].train) < MINIMUM_BARS:
        raise UsageError(
            f"the first refit would train on {len(folds[0].train)} bars",
            f"at least {MINIMUM_BARS}",
            "set a longer backtest.refit_window (--window)",
        )
    parameters = {"every": settings.refit_every, "window": settings.refit_window}
    return Split(KIND, parameters, tuple(folds), data.view.times, data.view.horizon)


def recorded_refits(layout: Mapping[str, Any], view: View) -> Split:
    """Folds of refits from their layout on record."""
    folds = []
    for spans in layout["folds"]:
        first, last = np.searchsorted(view.times, np.array(spans["train"], dtype="datetime64[s]"))
        train = np.arange(first, last + 1, dtype=np.int64)
        folds.append(Fold(spans["fold"], train, train[:0]))
    return Split(KIND, layout["parameters"], tuple(folds), view.times, view.horizon)


def _starts(data: SlotData, settings: BacktestSection) -> list[int]:
    """Bars of the refits; each model decides at the close of its bar."""
    every = settings.refit_every
    starts = list(range(data.test_start + every, len(data.view), every))
    if not starts:
        raise UsageError(
            f"backtest.refit_every is {every}, and the test of {data.slot} has "
            f"{len(data.view) - data.test_start} bars",
            "fewer bars than the test has",
        )
    return starts


def inputs(project: Project, entry: JudgedModel) -> dict[str, Any]:
    """Inputs of the evidence by name."""
    data, settings = entry.data, project.config.backtest
    return {
        "candidate": entry.candidate.artifact_hash,
        "data": data.dataset.fingerprint,
        "refits": refits_of(data, settings).hash,
        "task": data.task_hash,
        "test": [*data.test_interval],
        "signal": registry.versioned("signals", data.section.signal),
        "metric": registry.versioned("metrics", data.section.metric),
        **{f"backtest.{name}": value for name, value in vars(settings).items()},
    }


def _decisions(data: SlotData, start: int, stop: int) -> Windows:
    return Windows.of(data.view, np.arange(start, stop, dtype=np.int64)).blind()


def _forecasts(
    project: Project, entry: JudgedModel, split: Split, model: LoadedModel, frozen: Prediction
) -> Prediction:
    """The frozen model's forecasts up to the first refit, then those of each, in their order."""
    settings, candidate = project.config.backtest, entry.candidate
    starts = _starts(entry.data, settings)
    # Workers get no bar after the last refit.
    data = replace(entry.data, train_stop=starts[-1])
    family = registry.family(candidate.family, path=data.section.path)
    # A grid's model has its best epoch, and a refit has no validation part to choose one.
    epochs = int(model.manifest["epochs"]) or int(candidate.config.get(BUDGET, 0))
    config = with_epochs(candidate.config, epochs)
    seeds = [int(seed) for seed in model.manifest.get("seeds", [model.manifest["seed"]])]
    plans = [
        Planned(KIND, fold.number * len(seeds) + n, config, fold.number, seed)
        for fold in split.folds
        for n, seed in enumerate(seeds)
    ]
    keys = [execute.key_of(data, split, family.name, plan).hash for plan in plans]
    stops = [*starts[1:], len(data.view)]
    parts = [_decisions(data, *span) for span in zip(starts, stops, strict=True)]
    progress = execute.Progress(project, f"{data.slot}: refit", len(plans))
    ledger = project.ledger
    with work_folder(project, data.slot, KIND) as work:

        def forecast_and_delete(plan: Planned, ended: Ended) -> None:
            """Store the forecasts of the model, flushed before the end of its trial."""
            folder = Path(work) / ended.task.trial_id
            if ended.state is State.COMPLETE:
                refitted = family.load(lambda name: (folder / name).read_bytes())
                values = refitted.predict(parts[plan.fold]).values
                with ledger.transaction(durable=True) as tx:
                    outputs = {"forecast": writes.put_array(tx, values)}
                    writes.put_receipt(tx, data.slot, FORECAST, keys[plan.number], outputs)
            shutil.rmtree(folder, ignore_errors=True)

        job = replace(execute.job_of(data, split, family.name), save_to=work)
        with ledger.transaction() as tx:
            writes.put_dataset(tx, data.dataset)
            writes.put_split(tx, split)
        context = _context(project, data, split, candidate)
        rows = execute.run(context, job, plans, progress, store_model=forecast_and_delete)
    failed = [row for row in rows if row.state is not State.COMPLETE]
    if failed:
        raise DataError(
            f"{len(failed)} of {len(rows)} refits failed: "
            f"{(failed[0].reason.strip() or failed[0].state).splitlines()[-1]}",
            "a config that trains to the end",
            f"run: podium show {failed[0].id}",
        )
    stored = iter(_stored(project, data.slot, keys))
    renewed = []
    for part in parts:
        # Refits have as many seeds as the frozen model.
        index, each = Index.of(part), itertools.islice(stored, len(seeds))
        members = [Prediction.read(values, index, part.view.tickers) for values in each]
        renewed.append(Prediction.averaged(members))
    first = frozen.take(frozen.decided_at < data.view.times[starts[0]])
    return Prediction.joined([first, *renewed])


def _context(project: Project, data: SlotData, split: Split, candidate: Candidate) -> StudyContext:
    """Context of the candidate's study, or of a new one for its refits."""
    if candidate.study_id is not None:
        return StudyContext(project, Study(candidate.study_id, data.slot, {}), data, split)
    spaces = {candidate.family: registry.family(candidate.family).space(data.tuning)}
    return begin_study(project, data, split, spaces, search=KIND)


def _stored(project: Project, slot: str, keys: Sequence[str]) -> list[Floats]:
    """Stored forecasts of every refit, in the order of the keys."""
    with project.ledger.reading() as tx:
        receipts = [reads.receipt(tx, slot, FORECAST, key) for key in keys]
        names = [str(one["forecast"]) for one in receipts if one is not None]
        arrays = reads.arrays(tx, names)
    return [arrays[name] for name in names]
