"""A feature's or target's test calls ``check_feature(compute)`` or ``check_target(module)``.

>>> from podium.features import log_return as feature
>>> from podium.targets import log_return as target
>>> check_feature(feature.compute)
>>> check_target(target)
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.testing._base import SEED, require
from podium.testing.leak import probe
from podium.testing.series import bars


def check_feature(
    compute: Callable[[Dataset], Floats],
    made: Callable[[int], Dataset] = lambda length: bars(length, seed=SEED),
) -> None:
    """One causal column per ticker, finite after its warm-up, in the tickers' order.

    Tested on 120 bars, or on 600 if the warm-up is longer.

    Parameters
    ----------
    made : callable, optional
        Makes bars of a given number, with covariates of the feature; default: synthetic bars.
    """
    for length in (120, 600):
        dataset = made(length)
        values = compute(dataset)
        shape = (len(dataset), len(dataset.tickers))
        require(values.shape == shape, f"shape {values.shape}, expected {shape}")
        known = np.isfinite(values)
        if known[-1].all():
            break
    require(bool(known[-1].all()), "it is not finite at the last bar")
    warm = int(known.all(axis=1).argmax())
    started = np.maximum.accumulate(known, axis=0)
    require(bool((known == started).all()), "it is not finite somewhere after its warm-up")
    turned = compute(dataset.select(dataset.tickers[::-1]))
    same = np.array_equal(values, turned[:, ::-1], equal_nan=True)
    require(same, "another order of the tickers gives other values")
    before = {name: column.copy() for name, column in dataset.fields.items()}
    compute(dataset)
    same = all(np.array_equal(before[name], dataset[name]) for name in before)
    require(same, "it changed its dataset")
    for at in sorted({max(40, warm), max(77, warm), len(dataset) - 2}):
        leak = probe(compute, dataset, at, seed=at)
        require(leak is None, f"it reads the future: {leak}")


def check_target(module: ModuleType) -> None:
    """Increments and level are causal, UNIT is a text, aggregates are finite where means are."""
    check_feature(module.increments)
    if hasattr(module, "level"):
        check_feature(module.level)
    require(isinstance(module.UNIT, str) and bool(module.UNIT), "UNIT is not a text")
    require(isinstance(module.CENTERED, bool), "CENTERED is neither True nor False")
    mean = module.increments(bars(120, seed=SEED))[1:]
    for horizon in (1, 5):
        result = module.aggregate(mean, horizon)
        require(result.shape == mean.shape, "aggregate changes the shape")
        require(bool(np.isfinite(result).all()), "aggregate is not finite")
        unknown = module.aggregate(np.full_like(mean, np.nan), horizon)
        require(bool(np.isnan(unknown).all()), "aggregate of an unknown mean is not NaN")
