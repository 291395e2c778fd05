"""A splitter's test calls ``check_splitter(module)``, for a few horizons.

>>> from podium.splitters import holdout
>>> check_splitter(holdout, horizon=5)
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from podium.errors import DataError, UsageError
from podium.samples import HasSamples, Samples, row_digests
from podium.split import Split
from podium.testing._base import SEED, refusal, require
from podium.testing.leak import probe_split
from podium.testing.series import TICKERS, bars, view

BARS = 420


def check_splitter(module: ModuleType, *, horizon: int = 5, **parameters: Any) -> None:
    """A splitter separates training and validation, reproducibly, or refuses.

    The module's ``APART`` sets the criterion: ``"groups"`` (no group both trains and validates),
    ``"sources"`` (one file trains, the other validates), ``"contents"`` (no copy of a training
    sample validates; samples have neither times nor groups); default: label spans. With
    ``ORDERED = True`` training also ends before validation begins. ``purge`` must be refused below
    the longest label, ``embargo`` must be respected.

    Parameters
    ----------
    module
        Its ``split(data, **parameters)`` accepts objects with ``samples()``.
    horizon : int, >= 1
        Length of the labels.
    **parameters
        Arguments of the splitter; missing ones get a value by their type.

    Raises
    ------
    AssertionError
        Names the violation.
    """
    checks = {"groups": _check_groups, "sources": _check_sources, "contents": _check_contents}
    check = checks.get(getattr(module, "APART", ""), _check_spans)
    check(module, horizon, {**_arguments(module.split), **parameters})


def check_split(
    split: Split, data: HasSamples, *, ordered: bool = False, embargo: int | None = None
) -> None:
    """A split has existing samples, no leaks, and the promised coverage.

    Validation parts are disjoint; with ``paths`` each path has every sample exactly once, and the
    paths together are the validation parts.

    Parameters
    ----------
    ordered, embargo
        As for ``probe_split``.
    """
    samples = data.samples()
    require(split.horizon == samples.horizon, "the split has another horizon")
    numbers = [fold.number for fold in split.folds]
    require(numbers == list(range(len(numbers))), "folds are not numbered from 0")
    require(bool(numbers), "the split has no fold")
    for fold in split.folds:
        for part in (fold.train, fold.validation):
            require(len(part) > 0, "a fold has no training or no validation samples")
            require(bool((np.diff(part) > 0).all()), "bars of a fold are not in order")
            inside = np.isin(part, samples.index).all()
            require(bool(inside), "a fold has bars without a full window or a label")
    leak = probe_split(split, samples=compared_by(split, samples), ordered=ordered, embargo=embargo)
    require(leak is None, f"training and validation are not separate: {leak}")
    validated = np.concatenate([fold.validation for fold in split.folds])
    if split.paths:
        for path in split.paths:
            along = np.sort(np.concatenate([piece.samples for piece in path]))
            require(np.array_equal(along, samples.index), "a path misses or repeats a sample")
        pieces = [(p.fold, number) for path in split.paths for p in path for number in p.samples]
        parts = [(f.number, number) for f in split.folds for number in f.validation]
        require(sorted(pieces) == sorted(parts), "the paths are not the validation parts")
    else:
        require(len(np.unique(validated)) == len(validated), "folds validate the same bars")
    json.dumps(split.spec(), allow_nan=False)


def compared_by(split: Split, samples: Samples) -> Samples:
    """Samples to test a split with: those of the splitter if it made the groups."""
    made = split.samples
    if samples.groups is None and made is not None and made.groups is not None:
        return made
    return samples


def events(n: int = 400, longest: int = 30, seed: int = 0) -> Samples:
    """Samples in random order, with labels of different lengths and some equal decision times.

    Examples
    --------
    >>> len(events(50)), events(50).longest > 1
    (50, True)
    """
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 3 * n // 4, n) * 3600
    lengths = 1 + rng.integers(0, 3600 * longest, n)
    begin = np.datetime64("2001-01-01T00:00:00", "s")
    return Samples.timed(begin + starts, begin + starts + lengths, window=4)


def cohort(patients: int = 24, seed: int = 0) -> Samples:
    """Samples of patients in random order, of three classes, one of them rare."""
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"p{number}" for number in range(patients)], rng.integers(6, 14, patients))
    rng.shuffle(groups)
    labels = rng.choice(3, len(groups), p=[0.6, 0.3, 0.1])
    return Samples(np.arange(len(groups), dtype=np.int64), groups=groups, labels=labels)


def two_files(sizes: tuple[int, int] = (60, 40), seed: int = 0, copies: int = 0) -> Samples:
    """Rows of two files; the last ``copies`` rows of the second are rows of the first."""
    values = np.random.default_rng(seed).standard_normal((sum(sizes), 4))
    values[len(values) - copies :] = values[:copies]
    first, second = np.split(row_digests(values), [sizes[0]])
    return Samples.joined(*(Samples(np.arange(len(p)), contents=p) for p in (first, second)))


def copied(n: int = 120, copies: int = 20, seed: int = 0) -> Samples:
    """Samples of three classes in random order; the last ``copies`` are copies of others."""
    rng = np.random.default_rng(seed)
    values, labels = rng.standard_normal((n, 4)), rng.choice(3, n, p=[0.5, 0.3, 0.2])
    first = rng.integers(0, n - copies, copies)
    values[n - copies :], labels[n - copies :] = values[first], labels[first]
    index = np.arange(n, dtype=np.int64)
    return Samples(index, labels=labels, contents=row_digests(values))


def _check_spans(module: ModuleType, horizon: int, chosen: dict[str, Any]) -> None:
    ordered = getattr(module, "ORDERED", False)
    seen = view(bars(BARS, seed=SEED), horizon=horizon)
    split = _twice(module, seen, chosen)
    check_split(split, seen, ordered=ordered)
    longer = view(bars(BARS + 10, seed=SEED), horizon=horizon)
    require(module.split(longer, **chosen).hash != split.hash, "other bars have the same hash")
    # Splits depend on bars, not on prices or the order of tickers.
    other = view(bars(BARS, seed=SEED + 1), horizon=horizon)
    require(module.split(other, **chosen).hash == split.hash, "the split depends on prices")
    turned = view(bars(BARS, TICKERS[::-1], seed=SEED), horizon=horizon)
    require(module.split(turned, **chosen).hash == split.hash, "the order of tickers matters")
    takes = inspect.signature(module.split).parameters
    if "purge" in takes:
        wider = module.split(seen, **{**chosen, "purge": horizon + 3})
        check_split(wider, seen, ordered=ordered)
        require(wider.hash != split.hash, "another purge has the same hash")
        attempt = partial(module.split, seen, **{**chosen, "purge": horizon - 1})
        message = refusal(UsageError, attempt, "a purge shorter than the horizon is not refused")
        require(str(horizon) in message, "the refusal does not name the required purge")
    if "embargo" in takes:
        for bars_after in (0, 1, 17):
            kept = module.split(seen, **{**chosen, "embargo": bars_after})
            check_split(kept, seen, ordered=ordered, embargo=bars_after)
    happened = events(BARS, seed=SEED)
    check_split(_twice(module, happened, chosen), happened, ordered=ordered)
    short = seen.until(seen.first_bar + horizon + 3)
    refusal(DataError, lambda: module.split(short, **chosen), "too few bars are not refused")
    for stop in (1, *range(seen.first_bar, BARS // 2, 9)):
        _check_few(module, seen.until(stop), chosen, ordered=ordered)


def _check_groups(module: ModuleType, horizon: int, chosen: dict[str, Any]) -> None:
    everyone = cohort(seed=SEED + horizon)
    split = _twice(module, everyone, chosen)
    check_split(split, everyone)
    order = np.random.default_rng(SEED).permutation(len(everyone))
    groups, labels = np.asarray(everyone.groups)[order], np.asarray(everyone.labels)[order]
    turned = Samples(everyone.index, groups=groups, labels=labels)
    same = _validated(module.split(turned, **chosen), turned) == _validated(split, everyone)
    require(same, "the split depends on the order of the samples")
    alone = Samples(everyone.index, groups=np.full(len(everyone), "p0"), labels=everyone.labels)
    refusal(DataError, lambda: module.split(alone, **chosen), "a single group is not refused")
    ungrouped = Samples(everyone.index, labels=everyone.labels)
    refusal(DataError, lambda: module.split(ungrouped, **chosen), "missing groups are not refused")
    for patients in range(1, 12):
        _check_few(module, cohort(patients, seed=SEED), chosen)


def _check_sources(module: ModuleType, horizon: int, chosen: dict[str, Any]) -> None:
    both = two_files(seed=SEED + horizon)
    split = _twice(module, both, chosen)
    check_split(split, both)
    attempt = partial(module.split, two_files(copies=1), **chosen)
    refusal(DataError, attempt, "a row that is in both files is not refused")
    for empty in (two_files((0, 4)), two_files((4, 0))):
        attempt = partial(module.split, empty, **chosen)
        refusal(DataError, attempt, "an empty file is not refused")


def _check_contents(module: ModuleType, horizon: int, chosen: dict[str, Any]) -> None:
    everyone = copied(seed=SEED + horizon)
    split = _twice(module, everyone, chosen)
    check_split(split, everyone)
    contents = np.asarray(everyone.contents)
    for fold in split.folds:
        shared = np.isin(contents[fold.train], contents[fold.validation]).any()
        require(not shared, "a copy of a training sample validates")
    refusal(DataError, lambda: module.split(cohort(), **chosen), "groups are not refused")
    for n in range(3, 30):
        _check_few(module, copied(n, copies=1), chosen)


def _check_few(
    module: ModuleType, data: HasSamples, chosen: dict[str, Any], *, ordered: bool = False
) -> None:
    """Few samples are refused, or give a valid split."""
    try:
        split = module.split(data, **chosen)
    except DataError:
        return
    check_split(split, data, ordered=ordered)


def _twice(module: ModuleType, data: HasSamples, chosen: dict[str, Any]) -> Split:
    split: Split = module.split(data, **chosen)
    name = module.__name__.rpartition(".")[2]
    require(split.name == name, f"the split has the name '{split.name}', its file '{name}'")
    require(module.split(data, **chosen).hash == split.hash, "two calls give two splits")
    return split


def _validated(split: Split, samples: Samples) -> list[list[str]]:
    """Validation groups of each fold."""
    groups = np.asarray(samples.groups)
    return [sorted(set(groups[fold.validation].tolist())) for fold in split.folds]


def _arguments(function: Callable[..., Any]) -> dict[str, Any]:
    """A value for every keyword without a default, by its annotation."""
    typical = {"float": 0.25, "int": 3, "bool": True, "str": ""}
    return {
        name: typical[getattr(parameter.annotation, "__name__", str(parameter.annotation))]
        for name, parameter in list(inspect.signature(function).parameters.items())[1:]
        if parameter.default is inspect.Parameter.empty
    }
