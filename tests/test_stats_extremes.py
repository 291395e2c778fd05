"""Whatever numbers come in, no statistic is infinite, none warns, and none breaks."""

import dataclasses
import itertools
import math

import numpy as np

from looped import looped
from podium import stats

RNG = np.random.default_rng(0)
KINDS = {
    "noise": lambda n: RNG.standard_normal((n, 4)),
    "nothing": lambda n: np.zeros((n, 4)),
    "huge": lambda n: RNG.choice([-1.7e308, 1.7e308], (n, 4)),
    "hardly there": lambda n: 5e-324 * RNG.integers(0, 3, (n, 4)),
    "rounding": lambda n: RNG.choice([1.0, 1.0 + 2.3e-16], (n, 4)),
    "of all sizes": lambda n: RNG.standard_cauchy((n, 4)) * 10.0 ** RNG.integers(-150, 150, (n, 4)),
    "multiples": lambda n: RNG.standard_normal((n, 1)) * np.arange(4),
}
CALLS = {
    "diebold_mariano": lambda x, y: stats.diebold_mariano(x[:, 0], y[:, 0]),
    "model_confidence_set": lambda x, y: stats.model_confidence_set(np.c_[x, y], repeats=100),
    "superior": lambda x, y: stats.superior_predictive_ability(x[:, 0], y, repeats=100),
    "sharpe_ratios": lambda x, y: stats.sharpe_ratios(np.c_[x, y]),
    "probabilistic_sharpe": lambda x, _: stats.probabilistic_sharpe(x[:, 1], 0.1),
    "overfitting": lambda x, y: stats.probability_of_backtest_overfitting(np.c_[x, y], 4),
    "overfitting by mean": lambda x, y: stats.probability_of_backtest_overfitting(
        np.c_[x, y], 4, score="mean"
    ),
    "block_bootstrap_mean": lambda x, _: stats.block_bootstrap_mean(x[:, 0], repeats=100),
    "block_bootstrap": lambda x, _: stats.block_bootstrap(stats.sharpe_ratio, x[:, 1], repeats=100),
    "optimal_block_length": lambda x, y: stats.optimal_block_length(np.c_[x, y]),
    "crps_from_samples": lambda x, y: stats.crps_from_samples(x[:, 0], y),
    "pinball": lambda x, y: stats.pinball(x[:, 0], y[:, 0], 0.3),
    "paired_bootstrap": lambda x, y: stats.paired_bootstrap(
        lambda real, said: float(np.mean(real > said)), x[:, 0], x[:, 1], y[:, 0], repeats=100
    ),
}


def numbers(result):
    if dataclasses.is_dataclass(result):
        for part in dataclasses.fields(result):
            yield from numbers(getattr(result, part.name))
    elif isinstance(result, np.ndarray):
        yield from result.astype(float).ravel().tolist()
    elif isinstance(result, float):
        yield result


@looped("name", CALLS)
def test_no_input_of_finite_numbers_gives_an_infinity_a_warning_or_a_crash(name):
    # Warnings are errors in these tests.
    for first, second in itertools.product(KINDS, KINDS):
        for n in (0, 1, 2, 3, 30, 64):
            found = CALLS[name](KINDS[first](n), KINDS[second](n))
            assert not any(map(math.isinf, numbers(found))), (first, second, n)
