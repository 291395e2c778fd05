"""Several folds in time order; each trains on what ended before its validation part."""

from __future__ import annotations

import numpy as np

from podium.errors import DataError
from podium.samples import HasSamples, Indices, Samples
from podium.split import Split, purged
from podium.splitters._base import MINIMUM_BARS, at_least, build, require, spelled, timed

# Training ends before validation begins.
ORDERED = True


def split(
    data: HasSamples, *, folds: int, train_bars: int | None = None, purge: int | None = None
) -> Split:
    """Walk-forward: the bars in ``folds + 1`` equal blocks, each but the first validates.

    Training expands: all that ended before a block begins. With ``train_bars`` it rolls: the last
    so many bars of that. Either way the same bars validate, so the two can be compared.

    Parameters
    ----------
    folds : int, >= 1
    train_bars : int, optional
        Fixed length of training.
    purge : int, optional
        Bars that training labels are taken to be long; default: as long as they are.

    Raises
    ------
    DataError
        Blocks too small to train on, with the number of folds that would do; fewer bars before the
        first validation block than ``train_bars``, with the number there is.
    UsageError
        A purge shorter than a label, or numbers below their bounds, with what would do.
    """
    require(
        at_least("folds", folds, 1),
        at_least("train_bars", train_bars, MINIMUM_BARS),
    )
    samples = timed(data, purge)
    n, longest = len(samples.moments), samples.longest
    size = n // (folds + 1)
    if size - longest < MINIMUM_BARS:
        possible = n // (MINIMUM_BARS + longest) - 1
        raise DataError(
            f"{n} {samples.unit} in {folds + 1} blocks leave {size} {samples.unit} a block",
            f"at least {MINIMUM_BARS + longest}",
            f"use at most {possible} folds or more bars"
            if possible > 0
            else f"use at least {2 * (MINIMUM_BARS + longest)} {samples.unit}",
        )
    # The remainder goes to the first block, which only trains.
    start = n - folds * size
    cuts = []
    for k in range(folds):
        first = start + k * size
        validation = samples.between(first, first + size)
        train = samples.between(0, first)
        if train_bars is not None:
            train = _last(samples, train, validation, train_bars, folds)
        cuts.append((train, validation))
    parameters = {"folds": folds, **spelled(train_bars=train_bars, purge=purge)}
    return build("walk_forward", data, parameters, cuts, purge=purge)


def _last(
    samples: Samples, train: Indices, validation: Indices, train_bars: int, folds: int
) -> Indices:
    """Rows of the last moments that may train for a block."""
    starts, ends = samples.spans
    kept = purged(train, validation, ends, starts=starts)
    moments = np.unique(starts[kept])
    if len(moments) < train_bars:
        raise DataError(
            f"{len(moments)} {samples.unit} end before the first validation block of {folds} folds",
            f"train_bars = {train_bars} of them",
            f"set train_bars to at most {len(moments)} or use fewer folds",
        )
    found: Indices = kept[starts[kept] >= moments[-train_bars]]
    return found
