"""Time to judge many configs: overfitting, confidence set, superior ability, deflated Sharpe.

Run with ``make bench``, or directly. Only the first has a target. Two are compared with the
reference libraries of the tests on the same numbers; overfitting on few configs and blocks, since
purgedcv needs a minute for 50 configs and 16 blocks.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np

from podium.stats import (
    deflated_sharpe,
    model_confidence_set,
    probability_of_backtest_overfitting,
    superior_predictive_ability,
)

BARS, CONFIGS, FEW = 1_000, 1_000, 20
TARGET_SECONDS = 1.0
REPEATS = 5


def main() -> None:
    returns = 0.01 * np.random.default_rng(0).standard_normal((BARS, CONFIGS))
    few = returns[:, :FEW]
    print(f"{BARS:,} bars of noise; median of {REPEATS}")

    spent = _timed(lambda: probability_of_backtest_overfitting(returns, n_blocks=16))
    verdict = "reached" if spent <= TARGET_SECONDS else "missed"
    print(
        f"PBO of {CONFIGS:,} configs, 16 blocks: {spent:.3f} s "
        f"(target {TARGET_SECONDS:g} s, {verdict})"
    )
    print(f"PBO of {FEW} configs, 8 blocks: {_milli(lambda: _pbo(few))}", end="; ")
    print(f"purgedcv {_milli(lambda: _purgedcv(few), 1)}")
    print(f"confidence set of {FEW}: {_milli(lambda: model_confidence_set(few))}", end="; ")
    print(f"arch {_milli(lambda: _arch(few), 1)}")
    print(f"confidence set of 200: {_milli(lambda: model_confidence_set(returns[:, :200]), 1)}")
    ability = _milli(lambda: superior_predictive_ability(returns[:, 0], returns[:, 1:201]))
    print(f"superior predictive ability of 200: {ability}")
    sharpe = _milli(lambda: deflated_sharpe(returns[:, 0], n_trials=1000, trial_sharpe_std=0.03))
    print(f"deflated Sharpe: {sharpe}")


def _pbo(returns: np.ndarray) -> object:
    return probability_of_backtest_overfitting(returns, n_blocks=8)


def _purgedcv(returns: np.ndarray) -> object:
    import purgedcv

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return purgedcv.probability_of_backtest_overfitting(returns.T, n_splits=8)


def _arch(losses: np.ndarray) -> None:
    from arch.bootstrap import MCS

    MCS(losses, 0.1, reps=1000, block_size=2, method="max", seed=0).compute()


def _milli(work: Callable[[], object], repeats: int = REPEATS) -> str:
    return f"{1000 * _timed(work, repeats):.3g} ms"


def _timed(work: Callable[[], object], repeats: int = REPEATS) -> float:
    work()
    spent = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent)


if __name__ == "__main__":
    main()
