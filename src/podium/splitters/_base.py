"""What every splitter shares: purged folds, checked for size, with the samples they were made of.

A splitter cuts rows, that is places 0 to N - 1 in ``Samples``; :func:`build` turns them into the
numbers folds are made of.
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


def timed(data: HasSamples, purge: int | None = None) -> Samples:
    """Samples with times, their labels taken for at least ``purge`` positions long.

    Raises
    ------
    DataError
        There are none, they have no times, or they have groups that must not be shared.
    UsageError
        ``purge`` is shorter than the longest label, with the number that would do.
    """
    samples = data.samples().purging(purge)
    if samples.groups is not None:
        raise DataError(
            f"the samples are of {len(np.unique(samples.groups))} groups, and a cut in time would "
            "let them train and validate",
            "samples without groups",
            "use the splitter group, or leave the groups out if they may be shared",
        )
    if not len(samples.moments):
        raise DataError("there are no samples to split", f"at least {2 * MINIMUM_BARS}")
    return samples


def require(*problems: Problem | None) -> None:
    """Refuse parameters that cannot be used, all at once.

    Raises
    ------
    UsageError
        For what is not None.
    """
    found = [problem for problem in problems if problem is not None]
    UsageError.raise_for(found)


def at_least(name: str, value: int | None, low: int) -> Problem | None:
    """A problem where a given whole number is too small."""
    if value is None or value >= low:
        return None
    return Problem(f"{name} is {value}", f"at least {low}")


def spelled(**parameters: float | str | None) -> dict[str, float | str]:
    """Parameters that were given: one left at its default is no part of a split's name."""
    return {name: value for name, value in parameters.items() if value is not None}


def build(
    name: str,
    data: HasSamples,
    parameters: dict[str, float | str],
    cuts: Sequence[Cut],
    *,
    purge: int | None = None,
    embargo: int = 0,
    paths: Sequence[Sequence[tuple[int, Indices]]] = (),
    minimum: int = MINIMUM_BARS,
) -> Split:
    """Split of (training, validation) rows: training purged, folds checked for size.

    Where samples have no times nothing is purged. ``paths`` names the fold and the rows of every
    piece.

    Raises
    ------
    DataError
        A fold has fewer than ``minimum`` samples to train or to validate on.
    """
    samples = data.samples()
    longer = samples.purging(purge)
    folds = []
    for number, (train, validation) in enumerate(cuts):
        kept = train
        if longer.starts is not None:
            starts, ends = longer.spans
            kept = purged(train, validation, ends, starts=starts, embargo=embargo)
        folds.append(Fold(number, samples.index[kept], samples.index[validation]))
    require_folds(folds, minimum, "bars" if samples.horizon else "samples")
    whole: tuple[tuple[Piece, ...], ...] = tuple(
        tuple(Piece(fold, samples.index[rows]) for fold, rows in path) for path in paths
    )
    return Split(name, parameters, tuple(folds), samples.times, samples.horizon, samples, whole)


def blocks(samples: Samples, folds: int) -> list[Indices]:
    """Rows of consecutive blocks of moments, their sizes alike; the first ones are longer by one.

    Raises
    ------
    DataError
        A block has fewer than the smallest number of moments, with the number of folds that would
        do.
    """
    n = len(samples.moments)
    if n // folds < MINIMUM_BARS:
        possible = n // MINIMUM_BARS
        raise DataError(
            f"{n} {samples.unit} in {folds} folds leave {n // folds} a fold",
            f"at least {MINIMUM_BARS}",
            f"use at most {possible} folds"
            if possible > 1
            else f"use at least {2 * MINIMUM_BARS} {samples.unit}",
        )
    bounds = np.cumsum([0, *(n // folds + (k < n % folds) for k in range(folds))]).tolist()
    return [samples.between(a, b) for a, b in pairwise(bounds)]


def combinations(
    name: str,
    data: HasSamples,
    parameters: dict[str, float | str],
    *,
    folds: int,
    test_folds: int,
    purge: int | None,
    embargo: int | None,
) -> Split:
    """Split that validates every choice of ``test_folds`` of ``folds`` blocks, with its paths.

    Block ``b`` validates in ``comb(folds - 1, test_folds - 1)`` splits; path ``p`` takes it from
    the ``p``-th of them.
    """
    samples = timed(data, purge)
    waits = samples.window if embargo is None else embargo
    parts = blocks(samples, folds)
    tested = list(choices(range(folds), test_folds))
    everything = np.arange(len(samples), dtype=np.int64)
    cuts = []
    for chosen in tested:
        validation = np.sort(np.concatenate([parts[block] for block in chosen]))
        cuts.append((np.setdiff1d(everything, validation, assume_unique=True), validation))
    in_splits = [[fold for fold, chosen in enumerate(tested) if b in chosen] for b in range(folds)]
    paths = [
        [(in_splits[block][number], parts[block]) for block in range(folds)]
        for number in range(comb(folds - 1, test_folds - 1))
    ]

    def with_embargo(waits: int) -> Split:
        kept = {**parameters, **spelled(purge=purge), "embargo": waits}
        return build(name, data, kept, cuts, purge=purge, embargo=waits, paths=paths)

    try:
        return with_embargo(waits)
    except DataError as error:
        most = _largest(with_embargo, waits)
        problem = error.problems[0]
        fix = "use more bars, fewer test_folds or a shorter window"
        if most is not None:
            fix = f"use more bars or an embargo of at most {most} (it is {waits})"
        raise DataError(problem.found, problem.expected, fix) from None


def _largest(attempt: Callable[[int], object], below: int) -> int | None:
    """Largest whole number under ``below`` that is not refused; None where 0 is refused too."""
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
