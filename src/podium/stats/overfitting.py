"""Probability of backtest overfitting of a choice among many configs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Floats, least_deviation
from podium.errors import UsageError
from podium.stats._checks import one_of, table, whole

MOST_BLOCKS = 20
"""C(20, 10) = 184,756 combinations; two more blocks take four times as long."""

CELLS_AT_ONCE = 60_000
"""Scores in memory at a time: few enough for a processor's cache."""

Score = Literal["sharpe", "mean"]


@dataclass(frozen=True, slots=True, eq=False)
class BacktestOverfitting:
    """Performance, in the other half of the bars, of the config that is best in one half.

    Parameters
    ----------
    probability : float in [0, 1]
        Probability of backtest overfitting (PBO): share of combinations in which the best of a half
        is below the median of the other; exactly at the median counts half. About 0.5 means that
        the choice is no better than chance, as it also is among equally good configs.
    probability_of_loss : float in [0, 1]
        Share of combinations in which the best of a half scores below 0 in the other.
    logits : (K,) float
        For each of K combinations ln(w / (1 - w)) with w the chosen config's rank in the other
        half over N + 1, 1 being the worst; below 0 is below the median.
    in_sample, out_of_sample : (K,) float
        Score per bar of the chosen config in the half of the choice, and in the other.
    n_bars, n_configs, n_blocks : int
        Size of the input.
    reason : str or None
        Why it is undecidable; probabilities are then NaN and arrays empty.
    """

    probability: float
    probability_of_loss: float
    logits: Floats
    in_sample: Floats
    out_of_sample: Floats
    n_bars: int
    n_configs: int
    n_blocks: int
    reason: str | None = None


def probability_of_backtest_overfitting(
    performance: ArrayLike, n_blocks: int = 16, *, score: Score = "sharpe"
) -> BacktestOverfitting:
    """Combinatorially symmetric cross-validation (CSCV) of a choice among configs.

    Parameters
    ----------
    performance : (T, N) float
        Return per bar (row) and config (column), for every config that was tried; larger is better,
        so pass losses negated.
    n_blocks : int, even, 2 to 20
        Blocks of consecutive bars, whose lengths differ by one bar at most. Each combination of
        half of them is in-sample, the others are out-of-sample.
    score : {"sharpe", "mean"}
        Mean over standard deviation, or the mean alone (for losses).

    Returns
    -------
    BacktestOverfitting
        With NaN and a `reason` for fewer than two configs or two bars per block.

    Raises
    ------
    DataError
        Performance that is NaN or infinite, or not two-dimensional.
    UsageError
        A number of blocks that is odd or outside its bounds, or an unknown score.

    Notes
    -----
    Returns that do not vary within a half (a config that never trades there) have a Sharpe ratio
    of 0. Tied configs have the mean of their ranks. A single table of pure noise gives values from
    0.2 to 0.8, as the combinations share their bars. Equally good configs are ranked by chance:
    `probability` is about 0.5, but `probability_of_loss` is small. On noise both are about 0.5.

    Examples
    --------
    >>> noise = 0.01 * np.random.default_rng(1).standard_normal((1000, 20))
    >>> result = probability_of_backtest_overfitting(noise, n_blocks=10)
    >>> result.logits.size, result.probability > 0.3
    (252, True)
    >>> noise[:, 7] += 0.003
    >>> probability_of_backtest_overfitting(noise, n_blocks=10).probability
    0.0

    References
    ----------
    .. [1] Bailey, Borwein, Lopez de Prado & Zhu (2017), The probability of backtest overfitting,
       J. Computational Finance 20(4).
    """
    values = table("performance", performance, "configs")
    blocks = whole("n_blocks", n_blocks, 2)
    if blocks % 2 or blocks > MOST_BLOCKS:
        raise UsageError(f"n_blocks is {blocks}", f"an even number, 2 to {MOST_BLOCKS}")
    one_of("score", score, Score)
    bars, configs = values.shape
    reason = None
    if configs < 2:
        reason = f"{configs} configs, at least 2 are needed"
    elif bars < 2 * blocks:
        reason = f"{bars} bars, {blocks} blocks need at least {2 * blocks}"
    if reason:
        none = np.empty(0)
        return BacktestOverfitting(
            math.nan, math.nan, none, none, none, bars, configs, blocks, reason
        )

    ranks, inside, outside = _choices(values, blocks, score)
    share = ranks / (configs + 1)
    return BacktestOverfitting(
        probability=float(np.mean((share < 0.5) + 0.5 * (share == 0.5))),
        probability_of_loss=float(np.mean(outside < 0.0)),
        logits=np.log(share / (1.0 - share)),
        in_sample=inside,
        out_of_sample=outside,
        n_bars=bars,
        n_configs=configs,
        n_blocks=blocks,
    )


def _choices(values: Floats, blocks: int, score: Score) -> tuple[Floats, Floats, Floats]:
    """Rank out-of-sample of the chosen config, and its score in-sample and out-of-sample, (K,)."""
    size = np.abs(values).max(axis=0)
    if score == "mean":
        size[:] = size.max()
    size[size == 0.0] = 1.0
    scaled = values / size
    # Below this variance a column is constant.
    deviation = least_deviation(values)
    least = (deviation / np.maximum(deviation, size)) ** 2
    length, longer = divmod(len(values), blocks)
    counts = np.full(blocks, float(length))
    counts[:longer] += 1.0
    starts = np.concatenate([[0], counts[:-1].cumsum()]).astype(int)
    sums = np.add.reduceat(scaled, starts)
    squares = np.add.reduceat(scaled * scaled, starts) if score == "sharpe" else None

    # Halves with the first block, a bit per block; the complement of each is a combination too.
    rests = combinations(range(1, blocks), blocks // 2 - 1)
    chosen = np.array([1 + sum(1 << block for block in rest) for rest in rests])
    every = (1 << blocks) - 1
    totals = [_Sums(counts[:, None]), _Sums(sums)] + ([] if squares is None else [_Sums(squares)])
    step = max(1, CELLS_AT_ONCE // values.shape[1])
    parts: list[tuple[Floats, Floats, Floats]] = []
    for begin in range(0, len(chosen), step):
        half = chosen[begin : begin + step]
        scores = [
            _scores(least, *(total.of(side) for total in totals)) for side in (half, every - half)
        ]
        parts += [_judge(*scores), _judge(*reversed(scores))]
    ranks, inside, outside = (np.concatenate(part) for part in zip(*parts, strict=True))
    if score == "mean":
        inside, outside = inside * size[0], outside * size[0]
    return ranks, inside, outside


class _Sums:
    """Sums over sets of blocks: one addition of precomputed sums of subsets of both halves.

    No matrix product, as equal configs must tie to the last bit.
    """

    def __init__(self, rows: Floats) -> None:
        self.bits = len(rows) // 2
        self.low, self.high = _subset_sums(rows[: self.bits]), _subset_sums(rows[self.bits :])

    def of(self, sets: NDArray[np.intp]) -> Floats:
        """Sums over the sets given as bit masks, (sets, N)."""
        sums: Floats = self.low[sets & ((1 << self.bits) - 1)]
        sums += self.high[sets >> self.bits]
        return sums


def _subset_sums(rows: Floats) -> Floats:
    sums = np.zeros((1, rows.shape[1]))
    for row in rows:
        sums = np.concatenate([sums, sums + row])
    return sums


def _scores(least: Floats, n: Floats, sums: Floats, squares: Floats | None = None) -> Floats:
    """Score of each config in each half, (halves, N)."""
    mean = np.divide(sums, n, out=sums)
    if squares is None:
        return mean
    power = np.divide(squares, n, out=squares)
    variance = power - mean * mean
    # Below this the difference is rounding; a config that never trades has exactly 0.
    power *= 1e-12
    still = variance <= np.maximum(power, least)
    if still.any():
        variance[still] = 1.0
        mean[still] = 0.0
    np.sqrt(variance, out=variance)
    mean /= variance
    mean *= np.sqrt((n - 1.0) / n)
    return mean


def _judge(inside: Floats, outside: Floats) -> tuple[Floats, Floats, Floats]:
    rows = np.arange(len(inside))
    best = inside.argmax(axis=1)
    judged = outside[rows, best]
    below = np.count_nonzero(outside < judged[:, None], axis=1)
    level = np.count_nonzero(outside == judged[:, None], axis=1)
    return below + (level + 1.0) / 2.0, inside[rows, best], judged
