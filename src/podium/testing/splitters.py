"""A splitter's test calls ``check_splitter(module)``, for a few horizons.

>>> from podium.splitters import holdout
>>> check_splitter(holdout, horizon=5)
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from podium.errors import DataError
from podium.split import Split
from podium.testing._base import SEED, refusal, require
from podium.testing.leak import probe_split
from podium.testing.series import bars, view


def check_splitter(module: ModuleType, *, horizon: int = 5, **parameters: Any) -> None:
    """Folds inside the labelled bars, purged, the same every time, refused when too short.

    A splitter whose module says ``ORDERED = True`` also ends training before validation begins.

    Parameters
    ----------
    horizon : int, >= 1
        Length of the labels.
    **parameters
        For the splitter; those without a value here get one by their type.
    """
    chosen = {**_arguments(module.split), **parameters}
    seen = view(bars(420, seed=SEED), horizon=horizon)
    split: Split = module.split(seen, **chosen)
    name = module.__name__.rpartition(".")[2]
    require(split.name == name, f"the split calls itself '{split.name}', its file '{name}'")
    require(split.horizon == horizon, "the split forgets the horizon")
    numbers = [fold.number for fold in split.folds]
    require(numbers == list(range(len(numbers))), "folds are not numbered from 0")
    for fold in split.folds:
        for part in (fold.train, fold.validation):
            require(bool((np.diff(part) > 0).all()), "bars of a fold are not in order")
            inside = part[0] >= seen.first_bar and part[-1] <= seen.last_labelled
            require(bool(inside), "a fold has bars without a whole window or a label")
    leak = probe_split(split, ordered=getattr(module, "ORDERED", False))
    require(leak is None, f"labels overlap: {leak}")
    require(module.split(seen, **chosen).hash == split.hash, "two calls give two splits")
    json.dumps(split.spec(), allow_nan=False)
    longer = view(bars(430, seed=SEED), horizon=horizon)
    require(module.split(longer, **chosen).hash != split.hash, "other bars, the same hash")
    # Splits are made of bars, never of what happened at them.
    other = view(bars(420, seed=SEED + 1), horizon=horizon)
    require(module.split(other, **chosen).hash == split.hash, "the split depends on prices")
    short = seen.until(seen.first_bar + horizon + 3)
    refusal(DataError, lambda: module.split(short, **chosen), "too few bars are not refused")


def _arguments(function: Callable[..., Any]) -> dict[str, Any]:
    """A value for every keyword without a default, by its annotation."""
    typical = {"float": 0.25, "int": 3, "bool": True, "str": ""}
    return {
        name: typical[str(parameter.annotation)]
        for name, parameter in list(inspect.signature(function).parameters.items())[1:]
        if parameter.default is inspect.Parameter.empty
    }
