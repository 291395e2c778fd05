"""The leak probe: change the future and see whether anything before it moves by a bit.

A probe first proves that it can see: it changes the past and demands that the output moves. Only
then does an unmoved output say something about the future.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.dataset import Dataset, Floats
from podium.errors import PodiumError
from podium.space import ConfigDict
from podium.split import Split, Windows
from podium.view import View

Compute = Callable[[Dataset], NDArray[Any]]
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Leak:
    """Where the future was read.

    Parameters
    ----------
    bar : int
        First bar whose value knows the future.
    column : tuple of int
        Its place in the output: ticker, or ticker and feature; for a split the fold.
    how : str
        What was changed after the bar, or which labels meet.
    """

    bar: int
    column: tuple[int, ...]
    how: str

    def __str__(self) -> str:
        return f"bar {self.bar}, column {self.column}: {self.how}"


def probe(compute: Compute, dataset: Dataset, at: int, *, seed: int = 0) -> Leak | None:
    """First value at or before bar ``at`` that depends on what comes after it; None: it is causal.

    Parameters
    ----------
    compute : callable
        Dataset in, array out whose first axis is bars: (T, S) or (T, S, F). A feature, the
        increments of a target, a signal's weights, a family's forecasts.
    at : int
        Last bar that counts as past; bars on both sides of it are needed.
    seed : int
        Of the random factors.

    Raises
    ------
    PodiumError
        The probe is blind: not even the past moves the output up to ``at``.

    Examples
    --------
    >>> from podium.testing.series import bars
    >>> probe(lambda d: np.diff(d["close"], axis=0, append=np.nan), bars(60), at=30).bar
    30
    """
    if not 0 < at < len(dataset) - 1:
        raise PodiumError(
            f"the probe was put at bar {at} of {len(dataset)}", "bars on both sides of it"
        )
    rng = np.random.default_rng(seed)
    honest = _up_to(compute(dataset), at)
    moved = [
        _first_difference(honest, _up_to(compute(changed), at))
        for _, changed in _rewritten(dataset, 0, at + 1, rng)
    ]
    if not any(moved):
        raise PodiumError(
            f"the probe is blind: changing every bar up to {at} moves nothing up to there",
            "an output that depends on the bars before it",
            "probe at a later bar, after the warm-up",
        )
    variants = [
        *_rewritten(dataset, at + 1, len(dataset), rng),
        ("every bar after it was cut off", dataset.slice(0, at + 1)),
    ]
    leaks = [
        Leak(*place, how)
        for how, changed in variants
        if (place := _first_difference(honest, _up_to(compute(changed), at)))
    ]
    return min(leaks, key=lambda leak: (leak.bar, leak.column), default=None)


def probe_split(split: Split, *, ordered: bool = False) -> Leak | None:
    """First training bar whose label shares a bar with a validation label; None: there is none.

    A label decided at ``t`` is made of the bars ``t + 1 .. t + horizon``.

    Parameters
    ----------
    ordered : bool
        Also demand that every training label has ended when the first validation decision is made,
        as in a holdout or a walk-forward.

    Raises
    ------
    PodiumError
        The probe is blind: a fold has nothing to train or to validate on.
    """
    if not split.folds or any(not (len(f.train) and len(f.validation)) for f in split.folds):
        raise PodiumError("the probe is blind: a fold is empty", "bars to train and to validate on")
    for fold in split.folds:
        train, validation = np.sort(fold.train), np.sort(fold.validation)
        # Two labels of h bars share one exactly when they were decided less than h bars apart.
        right = np.searchsorted(validation, train)
        after = validation[np.minimum(right, len(validation) - 1)]
        before = validation[np.maximum(right - 1, 0)]
        gap = np.minimum(np.abs(after - train), np.abs(before - train))
        meets = gap < split.horizon
        if meets.any():
            bar = int(train[meets][0])
            return Leak(bar, (fold.number,), "its label shares a bar with a validation label")
        late = train + split.horizon > validation[0]
        if ordered and late.any():
            bar = int(train[late][0])
            how = f"its label is not known at the first validation decision, bar {validation[0]}"
            return Leak(bar, (fold.number,), how)
    return None


def probe_family(
    family: Any,
    config: ConfigDict,
    dataset: Dataset,
    at: int,
    *,
    view_of: Callable[[Dataset], View],
    seed: int = 0,
) -> Leak | None:
    """First forecast up to bar ``at`` that depends on bars after it; None: there is none.

    Each time the family is fitted anew, on the windows whose label is known at ``at``, so a scaler
    fitted on everything is found as well as a forecast that looks ahead.

    Parameters
    ----------
    family : Family
    config : dict
        A small one: it is fitted once a variant.
    view_of : callable
        How a dataset becomes a view.

    Raises
    ------
    PodiumError
        The probe is blind: the forecasts do not depend on the past (a constant).
    """
    first, horizon = view_of(dataset).first_bar, view_of(dataset).horizon

    def forecasts(changed: Dataset) -> Floats:
        seen = view_of(changed)
        train = Windows.of(seen, np.arange(first, at - horizon + 1))
        model = family.fit(config, train, None, seed=seed, report=lambda epoch, scores: None)
        asked = Windows.of(seen.blind(), np.arange(first, at + 1))
        grid: Floats = model.predict(asked).grid(seen.times, seen.tickers)
        return grid

    return probe(forecasts, dataset, at, seed=seed)


def poisoned(seen: View, at: int, *, seed: int = 0) -> Iterator[tuple[str, View]]:
    """The view with all that is known only after bar ``at`` replaced, and how; also by NaN.

    For what was fitted already: nothing it forecasts up to the bar may move.
    """
    rng = np.random.default_rng(seed)
    poisons: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "multiplied by 50": lambda rest: rest * 50,
        "replaced": lambda rest: rng.permutation(rest) + 1,
        "NaN": lambda rest: np.full_like(rest, np.nan),
    }
    starts = dict.fromkeys(("features", "increments", "past"), at + 1)
    starts["target"] = max(0, at + 1 - seen.horizon)
    for how, poison in poisons.items():
        changed: dict[str, Any] = {
            name: np.concatenate([(values := getattr(seen, name))[:start], poison(values[start:])])
            for name, start in starts.items()
        }
        yield how, replace(seen, **changed)


def _rewritten(
    dataset: Dataset, start: int, stop: int, rng: np.random.Generator
) -> Iterator[tuple[str, Dataset]]:
    """Datasets whose bars in a range are others; all are possible bars, no value is NaN."""
    shape = (stop - start, len(dataset.tickers))
    part = {name: values[start:stop] for name, values in dataset.fields.items()}

    def with_part(**new: Floats) -> Dataset:
        fields: dict[str, Floats] = {}
        for name, values in dataset.fields.items():
            fields[name] = values.copy()
            fields[name][start:stop] = new.get(name, part[name])
        return replace(dataset, fields=fields)

    # One factor a bar keeps each bar's shape; one a price does not: a feature may read either.
    for _ in range(2):
        level, flow = np.exp(rng.standard_normal((2, *shape)))
        scaled = {name: part[name] * level for name in PRICES}
        yield "bars after it were scaled", with_part(**scaled, volume=part["volume"] * flow)
        yield "bars after it were redrawn", with_part(**_redrawn(part, rng, shape))
    # One factor for all moves what a mean over everything would hide.
    jump = {name: part[name] * 50.0 for name in (*PRICES, "volume")}
    yield "everything after it was multiplied by 50", with_part(**jump)


def _redrawn(
    part: Mapping[str, Floats], rng: np.random.Generator, shape: tuple[int, int]
) -> dict[str, Floats]:
    factors = np.exp(rng.standard_normal((5, *shape)))
    start, close = part["open"] * factors[0], part["close"] * factors[1]
    return {
        "open": start,
        "close": close,
        "high": np.maximum(start, close) * (1 + factors[2]),
        "low": np.minimum(start, close) / (1 + factors[3]),
        "volume": part["volume"] * factors[4],
    }


def _up_to(values: NDArray[Any], at: int) -> NDArray[Any]:
    return np.asarray(values)[: at + 1]


def _first_difference(one: NDArray[Any], other: NDArray[Any]) -> tuple[int, tuple[int, ...]] | None:
    """Place of the first value that is not the same to the bit; NaN is the same as NaN."""
    if one.shape != other.shape:
        bar = min(len(one), len(other))
        return bar, ()
    unlike = np.argwhere((one != other) & ~((one != one) & (other != other)))
    if not len(unlike):
        return None
    bar, *column = (int(index) for index in unlike[0])
    return bar, tuple(column)
