"""Every choice of validation blocks, purged and embargoed, and the backtest paths they make."""

from __future__ import annotations

from math import comb

from podium.errors import Problem
from podium.samples import HasSamples
from podium.split import Split
from podium.splitters._base import at_least, combinations, require

# Training lies on both sides of validation: good for choosing a config and for the spread over
# paths, not a record of how a config would have done.
ORDERED = False
MOST_SPLITS = 1000


def split(
    data: HasSamples,
    *,
    folds: int = 6,
    test_folds: int = 2,
    embargo: int | None = None,
    purge: int | None = None,
) -> Split:
    """Combinatorial purged cross-validation: 6 blocks of which 2 validate give 15 splits, 5 paths.

    Block by block, ``Split.paths`` names the split each path takes it from, and ``Split.along``
    puts a path together, so every path covers all bars out of sample.

    Parameters
    ----------
    folds : int, >= 2
        Blocks of bars.
    test_folds : int, >= 1, below ``folds``
        Blocks that validate in each split.
    embargo : int, >= 0, optional
        Bars after each validation label that are not trained on. Default: as many as a window, so
        that no training input holds a bar that a validation label is made of.
    purge : int, optional
        Bars that labels are taken to be long; default: as long as they are.

    Raises
    ------
    DataError
        Too few bars, with the number of folds that would do.
    UsageError
        A purge shorter than a label, numbers out of bounds, too many splits, with what would do.

    Notes
    -----
    Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 12.

    Examples
    --------
    >>> from podium.testing.series import bars, view
    >>> found = split(view(bars(400)))
    >>> len(found.folds), len(found.paths)
    (15, 5)
    """
    require(
        at_least("folds", folds, 2),
        at_least("test_folds", test_folds, 1),
        at_least("embargo", embargo, 0),
        Problem(f"test_folds is {test_folds} of {folds} folds", f"at most {folds - 1}")
        if test_folds >= folds >= 2
        else None,
    )
    # comb() of thousands is a number nobody can read, and never below the folds themselves.
    splits = comb(folds, test_folds) if folds <= MOST_SPLITS else 0
    if not 0 < splits <= MOST_SPLITS:
        possible = range(test_folds + 1, min(folds, MOST_SPLITS + 1))
        fitting = [n for n in possible if comb(n, test_folds) <= MOST_SPLITS]
        require(
            Problem(
                f"{test_folds} of {folds} folds give {splits or 'too many'} splits",
                f"at most {MOST_SPLITS}, each trains a model",
                f"use at most {fitting[-1]} folds" if fitting else "use fewer test_folds",
            )
        )
    return combinations(
        "combinatorial",
        data,
        {"folds": folds, "test_folds": test_folds},
        folds=folds,
        test_folds=test_folds,
        purge=purge,
        embargo=embargo,
    )
