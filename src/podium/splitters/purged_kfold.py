"""Purged k-fold: every bar validates once, with training on both sides and an embargo."""

from __future__ import annotations

from podium.samples import HasSamples
from podium.split import Split
from podium.splitters._base import at_least, combinations, require

# Training lies on both sides of validation: for the choice of a config, not for a record of past
# performance.
ORDERED = False


def split(
    data: HasSamples, *, folds: int, embargo: int | None = None, purge: int | None = None
) -> Split:
    """Split into ``folds`` blocks: each validates while the others train.

    Parameters
    ----------
    folds : int, >= 2
    embargo : int, >= 0, optional
        Bars after the last validation label without training. Default: the window, so that no
        training input contains a bar of a validation label. A feature with a longer memory needs a
        longer embargo.
    purge : int, optional
        Length of labels in bars; default: their actual length.

    Raises
    ------
    DataError
        Too few bars; the message gives the largest number of folds.
    UsageError
        A purge shorter than a label, or numbers below their bounds.

    Notes
    -----
    Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 7.
    """
    require(at_least("folds", folds, 2), at_least("embargo", embargo, 0))
    return combinations("purged_kfold", data, folds, None, purge, embargo)
