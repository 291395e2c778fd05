"""Every config a slot looked at on its validation samples; forecasts are traded there."""

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

# Target weights held at once, 32 MB.
CELLS_AT_ONCE = 4_000_000


def selection_bias_of(
    project: Project, data: TaskData, tx: Transaction, chosen: str, naive: TrialRow, n_trials: int
) -> SelectionBias:
    """How much of choosing one config among all that were ever looked at is luck.

    Parameters
    ----------
    chosen : str
        The config's hash.
    naive : TrialRow
        The best naive config on the windows the search was judged on; their index is its.
    n_trials : int
        Distinct configs ever looked at, on overlapping windows too.
    """
    ledger, index_hash = project.ledger, naive.index_hash
    if index_hash is None:
        return selection_bias.no_bias(n_trials, "no losses were kept")
    looked = [
        one
        for one in reads.looked_at(
            ledger, tx, data.slot, index_hash, data.task_hash, data.direction.sign
        )
        if data.asks_alike(one.tickers, one.task)
    ]
    traded = [one for one in looked if one.prediction_hash and data.task.trades]
    kept = [
        one
        for one in looked
        if one.loss_hash and one.metric == data.section.metric and math.isfinite(one.score)
    ]
    wanted = [index_hash, naive.loss_hash, *(one.prediction_hash for one in traded)]
    wanted += [one.loss_hash for one in kept]
    arrays = reads.arrays(ledger, tx, [name for name in wanted if name])
    place = {one.config_hash: n for n, one in enumerate(traded)}
    if chosen in place:
        assert isinstance(data, SlotData)
        forecasts = [arrays[str(one.prediction_hash)] for one in traded]
        returns = _returns(project, data, Index.unpack(arrays[index_hash]), forecasts)
        given_up = reads.given_up(ledger, tx, data.slot)
        return selection_bias.bias_of_returns(returns, place[chosen], n_trials, given_up)
    if chosen not in {one.config_hash for one in kept} or naive.loss_hash is None:
        return selection_bias.no_bias(n_trials, "the chosen config left no losses on these windows")
    units = data.units(arrays[index_hash])
    baseline = by_period(arrays[naive.loss_hash], units)
    gains = [baseline - by_period(arrays[str(one.loss_hash)], units) for one in kept]
    return selection_bias.bias_of_losses(np.column_stack(gains), n_trials)


def _returns(project: Project, data: SlotData, index: Index, forecasts: Sequence[Floats]) -> Floats:
    """Return per bar of each config's forecasts, (T, N), from its first decision to the test."""
    at = np.searchsorted(data.tuning.times, index.decided_at)
    first, stop = int(at.min()), len(data.tuning)
    every = np.arange(stop - first) % data.view.horizon == 0
    weights_of = registry.load("signals", data.section.signal).weights
    terms = trading_terms(project, data, slice(first, stop))
    parts = []
    size = max(1, CELLS_AT_ONCE // ((stop - first) * len(data.dataset.tickers)))
    for begin in range(0, len(forecasts), size):
        some = forecasts[begin : begin + size]
        weights = np.empty((len(some), stop - first, len(data.dataset.tickers)))
        for plan, values in zip(weights, some, strict=True):
            mean = Prediction.read(values, index, data.dataset.tickers).mean
            grid = np.full(plan.shape, np.nan)
            # What overflowed is no forecast.
            grid[at - first, index.item] = np.where(np.isfinite(mean), mean, np.nan)
            plan[:] = np.where(every[:, None], weights_of(grid), np.nan)
        parts.append(simulate_stack(weights=weights, **terms).returns)
    # Nothing can be held in the first bar.
    returns: Floats = np.concatenate(parts)[:, 1:].T
    return returns
