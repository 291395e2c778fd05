"""What every splitter shares: building purged folds over the labelled bars of a view."""

from __future__ import annotations

import numpy as np

from podium.errors import DataError
from podium.split import Fold, Indices, Split, purged, require_folds
from podium.view import View

MINIMUM_BARS = 30


def labelled(view: View) -> Indices:
    """Decision bars with a whole window before and a known label after them.

    Raises
    ------
    DataError
        There are none, with the number of bars that would do.
    """
    first, last = view.first_bar, view.last_labelled
    if last < first:
        raise DataError(
            f"{len(view)} bars leave no sample",
            f"at least {first + view.horizon + 1} for this window, these features and this horizon",
            "use more bars or a shorter window",
        )
    return np.arange(first, last + 1, dtype=np.int64)


def build(
    name: str, view: View, parameters: dict[str, float], cuts: list[tuple[Indices, Indices]]
) -> Split:
    """Split of (training, validation) candidates, purged and checked for size."""
    folds = tuple(
        Fold(number, purged(train, validation, view.horizon), validation)
        for number, (train, validation) in enumerate(cuts)
    )
    require_folds(folds, MINIMUM_BARS)
    return Split(name, parameters, folds, view.times, view.horizon)
