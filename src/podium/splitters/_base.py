"""Purged folds with a minimum size, for all splitters.

A splitter cuts rows, the positions 0 to N - 1 in ``Samples``; :func:`build` maps them to the
indices of folds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations as choices
from itertools import pairwise
from math import comb

import numpy as np

from podium.errors import DataError, Problem, UsageError
from podium.samples import HasSamples, Indices, Samples
from podium.split import Fold, Piece, Split, purged, require_folds

MINIMUM_BARS = 30
Cut = tuple[Indices, Indices]
Parameters = dict[str, float | str]


def timed_samples(data: HasSamples, purge: int | None = None) -> Samples:
    """Return samples with times and with labels of at least ``purge`` positions.

    Raises
    ------
    DataError
        There are no samples, they have no times, or they have groups.
    UsageError
        ``purge`` is shorter than the longest label; the message gives the minimum.
    """
    samples = data.samples().purging(purge)
    if samples.groups is not None:
        what = f"the samples have {len(np.unique(samples.groups))} groups, and a cut in time puts "
        what += "a group into training and validation"
        fix = "use the splitter group, or remove the groups if they may be shared"
        raise DataError(what, "samples without groups", fix)
    if not len(samples.moments):
        raise DataError("there are no samples to split", f"at least {2 * MINIMUM_BARS}")
    return samples


def require(*problems: Problem | None) -> None:
    """Raise a UsageError of the problems that are not None."""
    UsageError.raise_for([problem for problem in problems if problem is not None])


def at_least(name: str, value: int | None, low: int) -> Problem | None:
    """Return a problem if a number is below its minimum; None is valid."""
    if value is None or value >= low:
        return None
    return Problem(f"{name} is {value}", f"at least {low}")


def drop_none(**parameters: float | str | None) -> Parameters:
    """Return the set parameters: defaults are not part of a split's key."""
    return {name: value for name, value in parameters.items() if value is not None}


def build(
    name: str,
    data: HasSamples,
    parameters: Parameters,
    cuts: Sequence[Cut],
    *,
    purge: int | None = None,
    embargo: int = 0,
    paths: Sequence[Sequence[tuple[int, Indices]]] = (),
    minimum: int = MINIMUM_BARS,
) -> Split:
    """Build a split from (training, validation) rows; training is purged if samples have times.

    ``paths`` has the fold and the rows of every piece.

    Raises
    ------
    DataError
        A fold has fewer than ``minimum`` samples to train or to validate on.
    """
    samples = data.samples()
    longer = samples.purging(purge)
    folds = []
    for number, (train, validation) in enumerate(cuts):
        if longer.starts is not None:
            starts, ends = longer.spans
            train = purged(train, validation, ends, starts=starts, embargo=embargo)
        folds.append(Fold(number, samples.index[train], samples.index[validation]))
    require_folds(folds, minimum, "bars" if samples.horizon else "samples")
    pieces: tuple[tuple[Piece, ...], ...] = tuple(
        tuple(Piece(fold, samples.index[rows]) for fold, rows in path) for path in paths
    )
    return Split(name, parameters, tuple(folds), samples.times, samples.horizon, samples, pieces)


def build_assigned(
    name: str, samples: Samples, parameters: Parameters, fold_of: Indices, embargo: int = 0
) -> Split:
    """Build a split from the fold that each sample validates, (N,); raises as :func:`build`."""
    numbers = range(int(fold_of.max()) + 1)
    cuts = [(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in numbers]
    path = [(fold, validation) for fold, (_, validation) in enumerate(cuts)]
    return build(name, samples, parameters, cuts, embargo=embargo, paths=[path], minimum=1)


def blocks(samples: Samples, folds: int) -> list[Indices]:
    """Return rows of consecutive blocks of moments; sizes differ by one at most.

    Raises
    ------
    DataError
        A block has too few moments; the message gives the largest number of folds.
    """
    n = len(samples.moments)
    if n // folds < MINIMUM_BARS:
        possible = n // MINIMUM_BARS
        fix = f"use at least {2 * MINIMUM_BARS} {samples.unit}"
        if possible > 1:
            fix = f"use at most {possible} folds"
        what = f"{n} {samples.unit} in {folds} folds leave {n // folds} per fold"
        raise DataError(what, f"at least {MINIMUM_BARS}", fix)
    bounds = np.cumsum([0, *(n // folds + (k < n % folds) for k in range(folds))]).tolist()
    return [samples.between(a, b) for a, b in pairwise(bounds)]


def combinations(
    name: str,
    data: HasSamples,
    folds: int,
    test_folds: int | None,
    purge: int | None,
    embargo: int | None,
) -> Split:
    """Return the split over all combinations of ``test_folds`` of ``folds`` blocks, with paths.

    Without ``test_folds`` each block validates alone. Block ``b`` validates in
    ``comb(folds - 1, test_folds - 1)`` splits; path ``p`` takes it from the ``p``-th of them.
    """
    samples = timed_samples(data, purge)
    embargo_bars = samples.window if embargo is None else embargo
    parameters = drop_none(folds=folds, test_folds=test_folds, purge=purge)
    parts = blocks(samples, folds)
    tested = list(choices(range(folds), test_folds or 1))
    everything = np.arange(len(samples), dtype=np.int64)
    cuts = []
    for chosen in tested:
        validation = np.sort(np.concatenate([parts[block] for block in chosen]))
        cuts.append((np.setdiff1d(everything, validation, assume_unique=True), validation))
    in_splits = [[fold for fold, chosen in enumerate(tested) if b in chosen] for b in range(folds)]
    paths = [
        [(in_splits[block][number], parts[block]) for block in range(folds)]
        for number in range(comb(folds - 1, (test_folds or 1) - 1))
    ]

    def with_embargo(embargo_bars: int) -> Split:
        full = {**parameters, "embargo": embargo_bars}
        return build(name, data, full, cuts, purge=purge, embargo=embargo_bars, paths=paths)

    try:
        return with_embargo(embargo_bars)
    except DataError as error:
        limit = _largest(with_embargo, embargo_bars)
        problem = error.problems[0]
        fix = "use more bars, fewer test_folds or a shorter window"
        if limit is not None:
            fix = f"use more bars or an embargo of at most {limit} (it is {embargo_bars})"
        raise DataError(problem.found, problem.expected, fix) from None


def _largest(attempt: Callable[[int], object], below: int) -> int | None:
    """Return the largest integer under ``below`` that succeeds; None if 0 fails too."""
    low, high = -1, below
    while high - low > 1:
        middle = (low + high) // 2
        try:
            attempt(middle)
        except DataError:
            high = middle
        else:
            low = middle
    return None if low < 0 else low
