"""Set of models that are not distinguishable from the best."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Floats
from podium.stats._checks import EPSILON, share, table, unit, whole
from podium.stats._resampling import block_length, resampled_means, too_short


@dataclass(frozen=True, slots=True, eq=False)
class ModelConfidenceSet:
    """Set of models that contains the best one with a given confidence.

    Parameters
    ----------
    included : (M,) bool
        Whether each model is in the set; all are if undecidable.
    p_values : (M,) float in [0, 1]
        Largest `alpha` at which each model is still in the set; 1 for the last one left. NaN if
        undecidable.
    alpha : float in (0, 1)
        Probability that the set misses the best model.
    n : int
        Periods.
    block : float
        Mean length of the blocks, in periods; NaN if undecidable.
    reason : str or None
        Why it is undecidable.
    """

    included: NDArray[np.bool_]
    p_values: Floats
    alpha: float
    n: int
    block: float
    reason: str | None = None


def model_confidence_set(
    losses: ArrayLike,
    alpha: float = 0.1,
    *,
    horizon: int = 1,
    block: float | None = None,
    repeats: int = 1000,
    seed: int = 0,
) -> ModelConfidenceSet:
    """Set of models that contains the best with confidence 1 - alpha.

    Parameters
    ----------
    losses : (T, M) float
        Loss per period (row), in time order, and model (column), smaller is better. Several series
        of the same period are averaged first, see `panel_loss`.
    alpha : float in (0, 1)
        Models with a smaller p-value are left out.
    horizon : int, >= 1
        Periods that a loss covers: neighbours overlap by ``horizon - 1`` periods.
    block : float in [1, T], optional
        Mean length of the blocks, for the plain test. By default the mean `optimal_block_length` of
        the models' losses, each less the median of all models, at least ``2 * horizon - 1``, and
        resamples are widened as in `block_bootstrap`.
    repeats : int, >= 100
        Resamples.
    seed : int, >= 0
        The same seed gives the same set.

    Returns
    -------
    ModelConfidenceSet
        With all models, NaN and a `reason` for fewer than 30 periods.

    Raises
    ------
    DataError
        A loss that is NaN or infinite, or losses that are not two-dimensional.
    UsageError
        An option outside its bounds.

    Notes
    -----
    Models are removed one at a time. The mean loss of each remaining model less the mean of all of
    them is divided by its standard deviation over resamples (t). The largest t is compared with the
    largest of each resample (Tmax), and its model is removed. A model's p-value is the largest of
    the tests up to its removal. Copies of a model count once and share its p-value. A model whose
    loss exceeds another's by a constant has a p-value of 0.

    At alpha 0.1 the set contains all of 10 equal models of 250 independent periods in 90 % of
    simulations, in 80 % with an autocorrelation of 0.5, and in 83 and 81 % of losses that are sums
    of 5 and 20 periods (75 and 54 % without `horizon` and widening): the set is somewhat too small
    for few periods of strongly autocorrelated losses.

    Short or noisy losses usually give a large set: its models are not distinguishable, which does
    not mean that they are equal.

    Examples
    --------
    >>> losses = np.random.default_rng(0).standard_normal((500, 4)) ** 2
    >>> losses[:, 3] += 0.5
    >>> result = model_confidence_set(losses)
    >>> result.included.tolist()
    [True, True, True, False]

    References
    ----------
    .. [1] Hansen, Lunde & Nason (2011), The model confidence set, Econometrica 79(2).
    """
    values, _ = unit(table("losses", losses, "models"))
    level, count = share("alpha", alpha), whole("repeats", repeats, 100)
    start = whole("seed", seed, 0)
    n, models = values.shape
    reason = too_short(n)
    if reason:
        unknown = np.full(models, math.nan)
        return ModelConfidenceSet(np.ones(models, bool), unknown, level, n, math.nan, reason)
    representative = _representatives(values)
    tested = np.unique(representative[representative >= 0])
    rivals = values[:, tested]
    # The median, since a diverged model would distort the mean of all.
    against = rivals - np.median(rivals, axis=1, keepdims=True)
    length, widening = block_length(block, n, against, "stationary", horizon)
    means = resampled_means(rivals, count, length, widening, start)
    of_model = np.zeros(models)
    of_model[tested] = _eliminated(rivals, means)
    p_values = np.where(representative >= 0, of_model[representative], 0.0)
    return ModelConfidenceSet(p_values >= level, p_values, level, n, length)


def _eliminated(values: Floats, means: Floats) -> Floats:
    """p-value of each model, from its losses and their resampled means."""
    average, size = values.mean(axis=0), np.abs(values).max(axis=0)
    noise = means - average
    p_values = np.ones(average.size)
    left = np.arange(average.size)
    so_far = 0.0
    while left.size > 1:
        # The unit of the remaining models: a diverged one may be larger by orders of magnitude.
        unit_left = float(size[left].max()) or 1.0
        excess = average[left] / unit_left
        excess -= excess.mean()
        drawn = noise[:, left] / unit_left
        drawn -= drawn.mean(axis=1, keepdims=True)
        deviation = np.sqrt(np.mean(drawn * drawn, axis=0))
        # A constant distance from the others' mean makes a model worse or better with certainty.
        certain = deviation <= 4 * EPSILON
        deviation[certain] = 1.0
        t = np.where(certain, np.sign(excess) * (np.abs(excess) > 4 * EPSILON), excess / deviation)
        if np.any(certain & (t > 0)):
            worst, p_value = int(np.where(certain, excess, -1.0).argmax()), 0.0
        else:
            t[certain], drawn[:, certain] = -math.inf, -math.inf
            worst = int(t.argmax())
            drawn /= deviation
            above = int(np.count_nonzero(drawn.max(axis=1) >= t[worst]))
            p_value = (1.0 + above) / (1.0 + len(drawn))
        so_far = max(so_far, p_value)
        p_values[left[worst]] = so_far
        left = np.delete(left, worst)
    return p_values


def _representatives(values: Floats) -> NDArray[np.intp]:
    """For each model the first of its copies; -1 where another is better by a constant."""
    n, models = values.shape
    # Losses less the first one: equal for models that differ by a constant.
    shape = values - values[0]
    size = np.abs(values).max(axis=0)
    result = np.full(models, -2, np.intp)
    for model in range(models):
        if result[model] != -2:
            continue
        open_ = np.flatnonzero(result == -2)
        rounding = 8 * EPSILON * np.maximum(size, size[model])
        # The last period separates most models before all periods are compared.
        near = open_[np.abs(shape[n - 1, open_] - shape[n - 1, model]) <= rounding[open_]]
        apart = np.abs(shape[:, near] - shape[:, [model]]).max(axis=0)
        alike = near[apart <= rounding[near]]
        distance = np.mean(values[:, alike] - values[:, [model]], axis=0)
        best = alike[distance <= distance.min() + rounding[alike].max()]
        result[alike] = -1
        result[best] = best[0]
    return result
