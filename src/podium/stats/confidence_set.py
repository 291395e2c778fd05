"""Which of many models cannot be told from the best."""

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
    """The models that hold the best one with a given confidence.

    Parameters
    ----------
    included : (M,) bool
        Whether each model is in the set; every one of them if undecidable.
    p_values : (M,) float in [0, 1]
        Largest `alpha` at which each model would still be in the set; 1 for the last one left.
        NaN if undecidable.
    alpha : float in (0, 1)
        Share of samples in which the set may miss the best model.
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
    block: float | None = None,
    repeats: int = 1000,
    seed: int = 0,
) -> ModelConfidenceSet:
    """Set of models that holds the best with confidence 1 - alpha.

    Parameters
    ----------
    losses : (T, M) float
        Loss per period (down), in time order, and model (across), smaller is better. Several
        series of the same period are averaged first, see `panel_loss`.
    alpha : float in (0, 1)
        Models whose p-value is below it are left out.
    block : float in [1, T], optional
        Mean length of the blocks. Without it the mean `optimal_block_length` of the models'
        losses, each less the median of all models.
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
    While models are left, each one's mean loss less the mean of all of them is divided by its
    standard deviation over resamples (t). The largest t is compared with the largest of each
    resample (Tmax); its model goes. A model's p-value is the largest of the tests up to the one
    that removed it. Copies of a model count once and share its p-value. A model that loses the
    same amount more than another in every period has a p-value of 0.

    All of 10 equal models of 250 independent periods were kept 89 times of 100 at alpha 0.1 (8,000
    simulations); 76 times where each period kept half of the one before (2,000): the set is too
    small for losses with a long memory and few periods.

    A set of many is the usual answer for short or noisy losses: it says that they cannot be told
    apart, not that they are equal.

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
    stands_for = _representatives(values)
    tested = np.unique(stands_for[stands_for >= 0])
    rivals = values[:, tested]
    # The median, since a model that went astray would be in the mean of all.
    against = rivals - np.median(rivals, axis=1, keepdims=True)
    length = block_length(block, n, against, "stationary")
    of_model = np.zeros(models)
    of_model[tested] = _eliminated(rivals, resampled_means(rivals, count, length, start))
    p_values = np.where(stands_for >= 0, of_model[stands_for], 0.0)
    return ModelConfidenceSet(p_values >= level, p_values, level, n, length)


def _eliminated(values: Floats, means: Floats) -> Floats:
    """p-value of each model, from its losses and their resampled means."""
    average, size = values.mean(axis=0), np.abs(values).max(axis=0)
    noise = means - average
    p_values = np.ones(average.size)
    left = np.arange(average.size)
    so_far = 0.0
    while left.size > 1:
        # The unit of those that are left: one that went astray may be larger by many digits.
        unit_left = float(size[left].max()) or 1.0
        excess = average[left] / unit_left
        excess -= excess.mean()
        drawn = noise[:, left] / unit_left
        drawn -= drawn.mean(axis=1, keepdims=True)
        deviation = np.sqrt(np.mean(drawn * drawn, axis=0))
        # A model always the same distance from the others' mean is certain to be worse or better.
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
    # What is left of a model after its first loss; equal for models a constant apart.
    shape = values - values[0]
    size = np.abs(values).max(axis=0)
    found = np.full(models, -2, np.intp)
    for model in range(models):
        if found[model] != -2:
            continue
        open_ = np.flatnonzero(found == -2)
        rounding = 8 * EPSILON * np.maximum(size, size[model])
        # The last period tells most models apart before all periods are looked at.
        near = open_[np.abs(shape[n - 1, open_] - shape[n - 1, model]) <= rounding[open_]]
        apart = np.abs(shape[:, near] - shape[:, [model]]).max(axis=0)
        alike = near[apart <= rounding[near]]
        distance = np.mean(values[:, alike] - values[:, [model]], axis=0)
        best = alike[distance <= distance.min() + rounding[alike].max()]
        found[alike] = -1
        found[best] = best[0]
    return found
