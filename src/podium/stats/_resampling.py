"""Draws of samples, and of blocks of consecutive periods."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from podium.arrays import Floats
from podium.errors import UsageError
from podium.stats._checks import number, one_of, whole
from podium.stats.block_length import Method, optimal_block_length
from podium.stats.diebold_mariano import FEWEST_PERIODS

CELLS_AT_ONCE = 1_000_000
"""Drawn periods in memory at a time, 8 MB per array."""

NUMBERS_AT_ONCE = 4_000_000
"""Counts of drawn samples in memory at a time."""


def block_length(
    block: float | None,
    n: int,
    columns: Floats,
    method: Method,
    horizon: int,
    level: float = 0.95,
) -> tuple[float, float]:
    """Length of the blocks, 1 to n, and the factor of the resamples' distance from the estimate.

    A configured length has the factor 1. Otherwise the length is the mean optimal one of the
    columns, at least 2h - 1 for periods that overlap by h - 1.
    """
    steps = whole("horizon", horizon, 1)
    if block is not None:
        length = number("block", block, 1.0)
        if length > n:
            raise UsageError(f"block is {block}", f"at most {n}, the number of periods")
    else:
        # The longest of many is mostly noise: with 50 columns a test at 5 % rejects 9.7 % with it
        # and 6.8 % with the mean; with one persistent column of ten, both reject 10 %.
        automatic = float(optimal_block_length(columns, method).mean())
        length = min(max(automatic, 2.0 * steps - 1.0), n / 3.0)
    length = length if method == "stationary" else float(round(length))
    return length, 1.0 if block is not None else _widening(n, length, level)


def _widening(n: int, length: float, level: float) -> float:
    """Factor that makes up for the small number of independent blocks.

    Resamples of blocks of length L have a variance that is too small by about 2 L / n, and are as
    uncertain as n / L observations: a quantile of Student's t instead of the normal.
    """
    tail = (1.0 + level) / 2.0
    quantiles = float(stdtrit(n / length, tail) / ndtri(tail))
    return quantiles / math.sqrt(max(1.0 - 2.0 * length / n, 1.0 / 3.0))


def checked_method(method: object) -> Method:
    """Valid name of a method of drawing blocks."""
    one_of("method", method, Method)
    return "stationary" if method == "stationary" else "circular"


def too_short(n: int) -> str | None:
    """Reason why the periods are too few to resample, or None."""
    if n < FEWEST_PERIODS:
        return f"{n} periods, at least {FEWEST_PERIODS} are needed"
    return None


def draws(
    n: int, repeats: int, block: float, method: Method, seed: int
) -> Iterator[NDArray[np.intp]]:
    """Indices of resampled periods in batches, (repeats of the batch, n); fixed by the seed."""
    rng = np.random.default_rng(seed)
    step = max(1, CELLS_AT_ONCE // n)
    for begin in range(0, repeats, step):
        size = min(step, repeats - begin)
        draw = _stationary if method == "stationary" else _circular
        yield draw(n, size, block, rng)


def resampled_means(
    columns: Floats, repeats: int, block: float, widening: float, seed: int
) -> Floats:
    """Means of stationary resamples of (T, M) columns, (repeats, M); rows are drawn whole."""
    n = len(columns)
    means = []
    for drawn in draws(n, repeats, block, "stationary", seed):
        # Draw counts of the periods times the columns: a product is faster than a gather.
        rows = n * np.arange(len(drawn))[:, None]
        counts = np.bincount((drawn + rows).ravel(), minlength=drawn.size)
        means.append(counts.reshape(drawn.shape).astype(np.float64) @ columns / n)
    average = columns.mean(axis=0)
    return np.asarray(average + widening * (np.concatenate(means) - average))


def resampled_sums(rows: Floats, times: NDArray[np.int64], repeats: int, seed: int) -> Floats:
    """Sums over samples drawn with replacement, (repeats, C).

    Parameters
    ----------
    rows : (U, C) float
        Distinct samples.
    times : (U,) int
        Number of occurrences of each.
    """
    rng, n = np.random.default_rng(seed), int(times.sum())
    step = max(1, NUMBERS_AT_ONCE // max(rows.shape))
    sums = []
    for begin in range(0, repeats, step):
        drawn = rng.multinomial(n, times / n, size=min(step, repeats - begin))
        sums.append(drawn.astype(np.float64) @ rows)
    return np.concatenate(sums)


def _stationary(n: int, size: int, block: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Blocks of geometric length with mean ``block``, wrapping at the end."""
    starts = rng.integers(n, size=(size, n))
    begins = rng.random((size, n)) < 1.0 / block
    begins[:, 0] = True
    places = np.arange(n)
    latest = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    drawn: NDArray[np.intp] = np.take_along_axis(starts, latest, axis=1) + places - latest
    drawn[drawn >= n] -= n
    return drawn


def _circular(n: int, size: int, block: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Blocks of equal length, the last cut short, wrapping at the end."""
    length = int(block)
    starts = rng.integers(n, size=(size, -(-n // length)))
    drawn: NDArray[np.intp] = (starts[:, :, None] + np.arange(length)).reshape(size, -1)[:, :n]
    return drawn % n
