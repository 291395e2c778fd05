"""Configs that were looked at on the validation samples of a slot, and their selection bias."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from podium import registry
from podium.arrays import Floats
from podium.index import Index
from podium.ledger import reads
from podium.ledger.ledger import Transaction
from podium.ledger.reads import TestedConfig, TestedTrial, TrialRow
from podium.portfolio import simulate_stack
from podium.prediction import Prediction
from podium.stats import sharpe_ratio
from podium.steps.evidence import selection_bias
from podium.steps.evidence.comparison import by_period
from podium.steps.evidence.selection_bias import SelectionBias
from podium.steps.evidence.terms import trading_terms
from podium.steps.workspace.project import Project
from podium.tasks._base import TaskData
from podium.tasks.forecast import SlotData

# Target weights in memory at a time, 32 MB.
CELLS_AT_ONCE = 4_000_000


def count_configs(tx: Transaction, data: TaskData, interval: tuple[str, str]) -> int:
    """Number of distinct configs, each in its task, that were looked at for a slot.

    A config counts once for every task in which it was tested on an overlapping validation
    interval: features, window, target and horizon are chosen too. Of other slots, and of other
    projects of the record, those count whose data and target are the same.

    Parameters
    ----------
    interval : (str, str)
        First and last validation decision of the search.
    """
    tested = [one for one in reads.tested_configs(tx, interval) if _counts(tx, data, one)]
    known = {(one.config_hash, one.task_hash) for one in tested if one.task_hash}
    # An imported run names no task; it is not counted again if its config was tested.
    configs = {config for config, _ in known}
    return len(known) + len({one.config_hash for one in tested} - configs)


def _counts(tx: Transaction, data: TaskData, one: TestedConfig) -> bool:
    """Whether a config was tested for a slot, or for another one with its data and target."""
    if (one.project_id, one.slot) == (tx.project_id, data.slot):
        return True
    same_data = data.shares_data(one.dataset_fingerprint, one.timeframe, one.tickers)
    return same_data and data.same_target(one.task)


def selection_bias_of(
    project: Project,
    data: TaskData,
    tx: Transaction,
    chosen: str,
    naive: TrialRow,
    n_trials: int,
    n_baselines: int = 0,
) -> SelectionBias:
    """Selection bias of one config among all that were ever scored.

    Parameters
    ----------
    chosen : str
        Hash of the chosen config, in the slot's task.
    naive : TrialRow
        The best baseline on the validation windows of the search.
    n_trials : int
        Of :func:`count_configs`.
    n_baselines : int
        Number of baselines, if one is chosen: they were alternatives too.
    """
    n_trials, index_hash = n_trials + n_baselines, naive.index_hash
    if index_hash is None:
        return selection_bias.no_bias(n_trials, "no losses are stored")
    metric, key = data.section.metric, (chosen, data.task_hash)
    tested = reads.tested_trials(tx, index_hash, with_baselines=n_baselines > 0)
    tested = [one for one in tested if _counts(tx, data, one)]
    alike = [one for one in tested if data.asks_alike(one.tickers, one.task)]
    trials = _best_of_each(alike, data)
    with_forecasts = [trial for trial in trials if trial.prediction_hash and data.task.trades]
    scored = [trial for trial in trials if trial.metric == metric and math.isfinite(trial.score)]
    with_losses = [trial for trial in scored if trial.loss_hash]
    hashes = [index_hash, naive.loss_hash, *(trial.prediction_hash for trial in with_forecasts)]
    hashes += [trial.loss_hash for trial in with_losses]
    arrays = reads.arrays(tx, [name for name in hashes if name])
    place = {(trial.config_hash, trial.task_hash): n for n, trial in enumerate(with_forecasts)}
    if key in place:
        assert isinstance(data, SlotData)
        forecasts = [arrays[str(trial.prediction_hash)] for trial in with_forecasts]
        returns, equal = _returns(project, data, Index.unpack(arrays[index_hash]), forecasts)
        bias = selection_bias.bias_of_returns(returns, place[key], n_trials)
        return replace(bias, equal_weight_sharpe=sharpe_ratio(equal))
    losing = {(trial.config_hash, trial.task_hash) for trial in with_losses}
    if key not in losing or naive.loss_hash is None:
        return selection_bias.no_bias(n_trials, "the chosen config has no losses on these windows")
    units = data.units(arrays[index_hash])
    baseline = by_period(arrays[naive.loss_hash], units)
    gains = [baseline - by_period(arrays[str(trial.loss_hash)], units) for trial in with_losses]
    return selection_bias.bias_of_losses(np.column_stack(gains), n_trials, data.horizon)


def _best_of_each(trials: Iterable[TestedTrial], data: TaskData) -> list[TestedTrial]:
    """The best trial of each config and task, as in a selection; NaN is the worst score."""

    def preference(one: TestedTrial) -> tuple[bool, bool, float]:
        other = one.metric != data.section.metric
        return other, math.isnan(one.score), data.direction.sign * one.score

    best: dict[tuple[str, str], TestedTrial] = {}
    for one in trials:
        key = (one.config_hash, one.task_hash)
        if key not in best or preference(one) < preference(best[key]):
            best[key] = one
    return list(best.values())


def _returns(
    project: Project, data: SlotData, index: Index, forecasts: Sequence[Floats]
) -> tuple[Floats, Floats]:
    """Excess returns of each config's forecasts, (T, N), from the first decision to the test.

    The second array, (T,), is of equal weights at the decisions of the last config.
    """
    at = np.searchsorted(data.tuning.times, index.decided_at)
    first, stop = int(at.min()), len(data.tuning)
    on_time = np.arange(stop - first) % data.view.horizon == 0
    weights_of = registry.load("signals", data.section.signal).weights
    terms = trading_terms(project, data, slice(first, stop))
    parts = []
    size = max(1, CELLS_AT_ONCE // ((stop - first) * len(data.dataset.tickers)))
    for begin in range(0, len(forecasts), size):
        batch = forecasts[begin : begin + size]
        weights = np.empty((len(batch), stop - first, len(data.dataset.tickers)))
        for plan, values in zip(weights, batch, strict=True):
            mean = Prediction.read(values, index, data.dataset.tickers).mean
            grid = np.full(plan.shape, np.nan)
            # An infinite forecast is no forecast.
            grid[at - first, index.item] = np.where(np.isfinite(mean), mean, np.nan)
            plan[:] = np.where(on_time[:, None], weights_of(grid), np.nan)
        parts.append(simulate_stack(weights=weights, **terms).excess)
    equal = np.where(on_time[:, None], registry.load("signals", "equal").weights(grid), np.nan)
    parts.append(simulate_stack(weights=equal[np.newaxis], **terms).excess)
    # Nothing can be held in the first bar.
    returns: Floats = np.concatenate(parts)[:, 1:].T
    return returns[:, :-1], returns[:, -1]
