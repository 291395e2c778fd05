"""Several folds in time order; each trains on all that ended before its validation part."""

from __future__ import annotations

from podium.errors import DataError
from podium.split import Split
from podium.splitters._base import MINIMUM_BARS, build, labelled
from podium.view import View

# Training ends before validation begins.
ORDERED = True


def split(view: View, *, folds: int) -> Split:
    """Expanding walk-forward: the bars in ``folds + 1`` equal blocks, each but the first validates.

    Parameters
    ----------
    folds : int, >= 1

    Raises
    ------
    DataError
        Blocks too small to train on, with the number of folds that would do.
    """
    bars = labelled(view)
    size = len(bars) // (folds + 1)
    if size - view.horizon < MINIMUM_BARS:
        possible = len(bars) // (MINIMUM_BARS + view.horizon) - 1
        raise DataError(
            f"{len(bars)} bars in {folds + 1} blocks leave {size} bars a block",
            f"at least {MINIMUM_BARS + view.horizon}",
            f"use at most {max(possible, 1)} folds or more bars",
        )
    # The remainder goes to the first block, which only trains.
    start = len(bars) - folds * size
    cuts = [
        (bars[: start + k * size], bars[start + k * size : start + (k + 1) * size])
        for k in range(folds)
    ]
    return build("walk_forward", view, {"folds": folds}, cuts)
