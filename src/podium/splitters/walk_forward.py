"""Walk-forward folds in time order: each trains on samples that end before its validation."""

from __future__ import annotations

import numpy as np

from podium.errors import DataError
from podium.samples import HasSamples, Indices, Samples
from podium.split import Split, purged
from podium.splitters._base import MINIMUM_BARS, at_least, build, drop_none, require, timed_samples

# Training ends before validation begins.
ORDERED = True


def split(
    data: HasSamples, *, folds: int, train_bars: int | None = None, purge: int | None = None
) -> Split:
    """Split the bars into ``folds + 1`` equal blocks: all but the first validate.

    Training expands: all samples that end before the block. With ``train_bars`` it rolls: the last
    ``train_bars`` of them. Validation is the same in both, so the two are comparable.

    Parameters
    ----------
    folds : int, >= 1
    train_bars : int, optional
        Fixed length of training.
    purge : int, optional
        Length of training labels in bars; default: their actual length.

    Raises
    ------
    DataError
        Blocks too small for training, or fewer bars before the first validation block than
        ``train_bars``; the message gives the limit.
    UsageError
        A purge shorter than a label, or numbers below their bounds.
    """
    require(at_least("folds", folds, 1), at_least("train_bars", train_bars, MINIMUM_BARS))
    samples = timed_samples(data, purge)
    n, longest = len(samples.moments), samples.longest
    size = n // (folds + 1)
    if size - longest < MINIMUM_BARS:
        possible = n // (MINIMUM_BARS + longest) - 1
        fix = f"use at least {2 * (MINIMUM_BARS + longest)} {samples.unit}"
        if possible > 0:
            fix = f"use at most {possible} folds or more bars"
        what = f"{n} {samples.unit} in {folds + 1} blocks leave {size} {samples.unit} per block"
        raise DataError(what, f"at least {MINIMUM_BARS + longest}", fix)
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
    parameters = drop_none(folds=folds, train_bars=train_bars, purge=purge)
    return build("walk_forward", data, parameters, cuts, purge=purge)


def _last(
    samples: Samples, train: Indices, validation: Indices, train_bars: int, folds: int
) -> Indices:
    """Return the rows of the last ``train_bars`` training moments of a block."""
    starts, ends = samples.spans
    rows = purged(train, validation, ends, starts=starts)
    moments = np.unique(starts[rows])
    if len(moments) < train_bars:
        n = len(moments)
        what = f"{n} {samples.unit} end before the first validation block of {folds} folds"
        fix = f"set train_bars to at most {n} or use fewer folds"
        raise DataError(what, f"train_bars = {train_bars} of them", fix)
    last: Indices = rows[starts[rows] >= moments[-train_bars]]
    return last
