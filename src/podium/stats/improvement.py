"""Improvement of a model over its parent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.errors import UsageError
from podium.stats._checks import one_of, same_length, series
from podium.stats.block_bootstrap import block_bootstrap, block_bootstrap_mean

Direction = Literal["min", "max"]


@dataclass(frozen=True, slots=True)
class Improvement:
    """Change of one metric from a parent to its child.

    Parameters
    ----------
    delta : float
        Child minus parent, in the metric's unit. NaN where either figure is.
    percent : float
        The change in percent of the parent's absolute value, above 0 where the child is better. NaN
        where it is undefined, see `reason`.
    low, high : float
        Interval of `percent`; NaN without losses, or see `interval_reason`.
    sign_changes : bool
        Whether parent and child have different signs, which makes `percent` misleading.
    reason : str or None
        Why there is no `percent`.
    interval_reason : str or None
        Why there is no interval.
    """

    delta: float
    percent: float
    low: float = math.nan
    high: float = math.nan
    sign_changes: bool = False
    reason: str | None = None
    interval_reason: str | None = None


def improvement(
    parent: float, child: float, direction: Direction, *, standard_error: float = math.nan
) -> Improvement:
    """Change of a metric from a parent to its child, signed by the metric's direction.

    Parameters
    ----------
    parent, child : float
        The metric of both on the same data, in the same unit.
    direction : {"min", "max"}
        Direction in which the metric is better.
    standard_error : float, optional
        Standard error of the parent's figure.

    Returns
    -------
    Improvement
        ``percent = 100 x sign x (child - parent) / |parent|``; NaN with a `reason` where the parent
        is 0, NaN, infinite or smaller than its standard error.

    Raises
    ------
    UsageError
        Another direction, or a standard error below 0.

    Examples
    --------
    >>> improvement(0.5, 0.25, "min").percent, improvement(-0.5, 0.5, "max").percent
    (50.0, 200.0)
    >>> change = improvement(0.01, 0.4, "max", standard_error=0.1)
    >>> change.delta, change.reason
    (0.39, 'the parent, 0.01, is smaller than its standard error, 0.1')
    """
    one_of("direction", direction, Direction)
    if standard_error < 0.0:
        raise UsageError(f"standard_error is {standard_error!r}", "at least 0")
    known = math.isfinite(parent) and math.isfinite(child)
    delta = child - parent if known else math.nan
    reason = None
    if not math.isfinite(parent):
        reason = f"the parent is {parent}"
    elif not known:
        reason = f"the child is {child}"
    elif parent == 0.0:
        reason = "the parent is 0"
    elif abs(parent) < standard_error:
        reason = (
            f"the parent, {parent:.4g}, is smaller than its standard error, {standard_error:.4g}"
        )
    sign = 1.0 if direction == "max" else -1.0
    percent = math.nan if reason else 100.0 * sign * (delta / abs(parent))
    if math.isinf(percent):
        percent, reason = math.nan, f"the parent, {parent:.4g}, is too small for a percentage"
    return Improvement(delta, percent, sign_changes=known and parent * child < 0.0, reason=reason)


def improvement_of_losses(
    parent: ArrayLike,
    child: ArrayLike,
    *,
    horizon: int = 1,
    confidence: float = 0.95,
    seed: int = 0,
) -> Improvement:
    """Change of a mean loss, with its bootstrap interval.

    Parameters
    ----------
    parent, child : (T,) float
        Loss of each in the same periods, in time order; smaller is better.
    horizon : int, >= 1
        Periods that a loss covers: neighbours overlap by ``horizon - 1`` periods.
    confidence : float in (0, 1)
        Share of the resampled improvements inside the interval.
    seed : int, >= 0
        The same seed gives the same interval.

    Returns
    -------
    Improvement
        The same periods are drawn for both, in blocks as in `block_bootstrap`.

    Raises
    ------
    DataError
        Losses of different lengths, not one-dimensional, NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> losses = np.random.default_rng(0).exponential(size=400)
    >>> change = improvement_of_losses(losses, 0.9 * losses)
    >>> [round(x, 6) for x in (change.low, change.percent, change.high)]
    [10.0, 10.0, 10.0]
    """
    before, after = series("parent", parent), series("child", child)
    same_length("child", after, "parent", before.size)

    def percent(first: Floats, second: Floats) -> float:
        return improvement(float(first.mean()), float(second.mean()), "min").percent

    if not before.size:
        return improvement(math.nan, math.nan, "min")
    # The central 68.27 % of the resampled means span a standard error on each side.
    around = block_bootstrap_mean(before, horizon=horizon, confidence=0.6827, seed=seed)
    spread = (around.high - around.low) / 2.0
    change = improvement(around.estimate, float(after.mean()), "min", standard_error=spread)
    if change.reason:
        return change
    drawn = block_bootstrap(
        percent, before, after, horizon=horizon, confidence=confidence, seed=seed
    )
    return replace(change, low=drawn.low, high=drawn.high, interval_reason=drawn.reason)
