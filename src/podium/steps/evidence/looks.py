"""Selection bias over every config that a slot scored on its validation samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from podium import registry
from podium.arrays import Floats
from podium.index import Index
from podium.ledger import reads
from podium.ledger.ledger import Transaction
from podium.ledger.reads import TrialRow
from podium.portfolio import simulate_stack
from podium.prediction import Prediction
from podium.steps.evidence import selection_bias
from podium.steps.evidence.comparison import by_period
from podium.steps.evidence.selection_bias import SelectionBias
from podium.steps.evidence.terms import trading_terms
from podium.steps.workspace.project import Project
from podium.tasks._base import TaskData
from podium.tasks.forecast import SlotData

# Target weights in memory at a time, 32 MB.
CELLS_AT_ONCE = 4_000_000


def selection_bias_of(
    project: Project, data: TaskData, tx: Transaction, chosen: str, naive: TrialRow, n_trials: int
) -> SelectionBias:
    """Selection bias of one config among all that were ever scored.

    Parameters
    ----------
    chosen : str
        Hash of the chosen config.
    naive : TrialRow
        The best naive config on the validation windows of the search.
    n_trials : int
        Distinct configs ever scored, on overlapping windows too.
    """
    index_hash = naive.index_hash
    if index_hash is None:
        return selection_bias.no_bias(n_trials, "no losses are stored")
    sign, metric = data.direction.sign, data.section.metric
    tested = reads.tested_configs(tx, data.slot, index_hash, data.task_hash, sign)
    trials = [trial for trial in tested if data.asks_alike(trial.tickers, trial.task)]
    with_forecasts = [trial for trial in trials if trial.prediction_hash and data.task.trades]
    scored = [trial for trial in trials if trial.metric == metric and math.isfinite(trial.score)]
    with_losses = [trial for trial in scored if trial.loss_hash]
    hashes = [index_hash, naive.loss_hash, *(trial.prediction_hash for trial in with_forecasts)]
    hashes += [trial.loss_hash for trial in with_losses]
    arrays = reads.arrays(tx, [name for name in hashes if name])
    place = {trial.config_hash: n for n, trial in enumerate(with_forecasts)}
    if chosen in place:
        assert isinstance(data, SlotData)
        forecasts = [arrays[str(trial.prediction_hash)] for trial in with_forecasts]
        returns = _returns(project, data, Index.unpack(arrays[index_hash]), forecasts)
        pruned = reads.count_pruned_configs(tx, data.slot)
        return selection_bias.bias_of_returns(returns, place[chosen], n_trials, pruned)
    if chosen not in {trial.config_hash for trial in with_losses} or naive.loss_hash is None:
        return selection_bias.no_bias(n_trials, "the chosen config has no losses on these windows")
    units = data.units(arrays[index_hash])
    baseline = by_period(arrays[naive.loss_hash], units)
    gains = [baseline - by_period(arrays[str(trial.loss_hash)], units) for trial in with_losses]
    return selection_bias.bias_of_losses(np.column_stack(gains), n_trials)


def _returns(project: Project, data: SlotData, index: Index, forecasts: Sequence[Floats]) -> Floats:
    """Return per bar of each config's forecasts, (T, N), from its first decision to the test."""
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
        parts.append(simulate_stack(weights=weights, **terms).returns)
    # Nothing can be held in the first bar.
    returns: Floats = np.concatenate(parts)[:, 1:].T
    return returns
