"""Every bar validates once: blocks in time order, training on both sides, purged and embargoed."""

from __future__ import annotations

from podium.samples import HasSamples
from podium.split import Split
from podium.splitters._base import at_least, combinations, require

# Training lies on both sides of validation: good for choosing a config, not a record of how it
# would have done, because some of what it trained on came later.
ORDERED = False


def split(
    data: HasSamples, *, folds: int, embargo: int | None = None, purge: int | None = None
) -> Split:
    """Purged k-fold: ``folds`` blocks, each validates while the rest trains.

    Parameters
    ----------
    folds : int, >= 2
    embargo : int, >= 0, optional
        Bars after the last validation label that are not trained on. Default: as many as a window,
        so that no training input holds a bar that a validation label is made of. A feature with a
        longer memory than the window wants a longer one.
    purge : int, optional
        Bars that labels are taken to be long; default: as long as they are.

    Raises
    ------
    DataError
        Too few bars, with the number of folds that would do.
    UsageError
        A purge shorter than a label, or numbers below their bounds, with what would do.

    Notes
    -----
    Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 7.
    """
    require(at_least("folds", folds, 2), at_least("embargo", embargo, 0))
    return combinations(
        "purged_kfold",
        data,
        {"folds": folds},
        folds=folds,
        test_folds=1,
        purge=purge,
        embargo=embargo,
    )
