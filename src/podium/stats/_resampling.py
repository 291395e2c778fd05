"""Drawing samples, and blocks of periods, in which what follows on one another stays together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.errors import UsageError
from podium.stats._checks import number, one_of
from podium.stats.block_length import optimal_block_length
from podium.stats.diebold_mariano import FEWEST_PERIODS

Method = Literal["stationary", "circular"]

CELLS_AT_ONCE = 1_000_000
"""Drawn periods held at once, 8 MB an array."""

NUMBERS_AT_ONCE = 4_000_000
"""How often samples were drawn, of the resamples that are held at once."""


def block_length(block: float | None, n: int, columns: Floats, method: Method) -> float:
    """The block length asked for, or what the columns need on average; 1 to n."""
    if block is not None:
        found = number("block", block, 1.0)
        if found > n:
            raise UsageError(f"block is {block}", f"at most the {n} periods there are")
    else:
        # The longest of many is mostly noise: with 50 columns a test of 5 per cent rejected 9.7 per
        # cent by it and 6.8 by their mean; with one persistent column of ten, both rejected 10.
        found = float(optimal_block_length(columns, method).mean())
    return found if method == "stationary" else float(round(found))


def checked_method(method: object) -> Method:
    """The name of a way to draw blocks."""
    one_of("method", method, Method)
    return "stationary" if method == "stationary" else "circular"


def too_short(n: int) -> str | None:
    """Why so few periods cannot be resampled."""
    if n < FEWEST_PERIODS:
        return f"{n} periods, at least {FEWEST_PERIODS} are needed"
    return None


def draws(
    n: int, repeats: int, block: float, method: Method, seed: int
) -> Iterator[NDArray[np.intp]]:
    """Indices of resampled periods, (some of the repeats, n) at a time, the same for one seed."""
    rng = np.random.default_rng(seed)
    step = max(1, CELLS_AT_ONCE // n)
    for begin in range(0, repeats, step):
        size = min(step, repeats - begin)
        draw = _stationary if method == "stationary" else _circular
        yield draw(n, size, block, rng)


def resampled_means(columns: Floats, repeats: int, block: float, seed: int) -> Floats:
    """Means of stationary resamples of (T, M) columns, (repeats, M); periods stay together."""
    n = len(columns)
    means = []
    for drawn in draws(n, repeats, block, "stationary", seed):
        # How often each period was drawn, times the columns: one product instead of a gather.
        rows = n * np.arange(len(drawn))[:, None]
        counts = np.bincount((drawn + rows).ravel(), minlength=drawn.size)
        means.append(counts.reshape(drawn.shape).astype(np.float64) @ columns / n)
    return np.concatenate(means)


def resampled_sums(rows: Floats, times: NDArray[np.int64], repeats: int, seed: int) -> Floats:
    """Sums over samples drawn with replacement, (repeats, C).

    Parameters
    ----------
    rows : (U, C) float
        Different samples.
    times : (U,) int
        How often each of them occurs.
    """
    rng, n = np.random.default_rng(seed), int(times.sum())
    step = max(1, NUMBERS_AT_ONCE // max(rows.shape))
    found = []
    for begin in range(0, repeats, step):
        drawn = rng.multinomial(n, times / n, size=min(step, repeats - begin))
        found.append(drawn.astype(np.float64) @ rows)
    return np.concatenate(found)


def _stationary(n: int, size: int, block: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Blocks of geometric length, `block` on average, wrapping at the end."""
    starts = rng.integers(n, size=(size, n))
    begins = rng.random((size, n)) < 1.0 / block
    begins[:, 0] = True
    places = np.arange(n)
    latest = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    drawn: NDArray[np.intp] = np.take_along_axis(starts, latest, axis=1) + places - latest
    drawn[drawn >= n] -= n
    return drawn


def _circular(n: int, size: int, block: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Blocks of one length, the last cut short, wrapping at the end."""
    length = int(block)
    starts = rng.integers(n, size=(size, -(-n // length)))
    drawn: NDArray[np.intp] = (starts[:, :, None] + np.arange(length)).reshape(size, -1)[:, :n]
    return drawn % n
