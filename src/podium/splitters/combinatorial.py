"""Combinatorial purged cross-validation: all combinations of blocks, and backtest paths."""

from __future__ import annotations

from math import comb

from podium.errors import Problem, UsageError
from podium.samples import HasSamples
from podium.split import Split
from podium.splitters._base import at_least, combinations, require

# Training lies on both sides of validation: for the choice of a config and the spread over paths,
# not for a record of past performance.
ORDERED = False
MAX_SPLITS = 1000


def split(
    data: HasSamples,
    *,
    folds: int = 6,
    test_folds: int = 2,
    embargo: int | None = None,
    purge: int | None = None,
) -> Split:
    """Combinatorial purged cross-validation: 6 blocks of which 2 validate give 15 splits, 5 paths.

    ``Split.paths`` has the split of each block of a path, and ``Split.along`` assembles a path, so
    every path covers all bars out of sample.

    Parameters
    ----------
    folds : int, >= 2
        Blocks of bars.
    test_folds : int, >= 1, below ``folds``
        Blocks that validate in each split.
    embargo : int, >= 0, optional
        Bars after each validation label without training. Default: the window, so that no training
        input contains a bar of a validation label.
    purge : int, optional
        Length of labels in bars; default: their actual length.

    Raises
    ------
    DataError
        Too few bars; the message gives the largest number of folds.
    UsageError
        A purge shorter than a label, numbers out of bounds, or too many splits.

    Notes
    -----
    Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 12.

    Examples
    --------
    >>> from podium.testing.series import bars, view
    >>> cross_validation = split(view(bars(400)))
    >>> len(cross_validation.folds), len(cross_validation.paths)
    (15, 5)
    """
    most = None
    if test_folds >= folds >= 2:
        most = Problem(f"test_folds is {test_folds} of {folds} folds", f"at most {folds - 1}")
    bounds = (("folds", folds, 2), ("test_folds", test_folds, 1), ("embargo", embargo, 0))
    require(*(at_least(*bound) for bound in bounds), most)
    # comb() is never below the number of folds, and unreadably long for thousands of them.
    splits = comb(folds, test_folds) if folds <= MAX_SPLITS else 0
    if not 0 < splits <= MAX_SPLITS:
        possible = range(test_folds + 1, min(folds, MAX_SPLITS + 1))
        fitting = [n for n in possible if comb(n, test_folds) <= MAX_SPLITS]
        what = f"{test_folds} of {folds} folds give {splits or 'too many'} splits"
        fix = f"use at most {fitting[-1]} folds" if fitting else "use fewer test_folds"
        raise UsageError(what, f"at most {MAX_SPLITS}: each trains a model", fix)
    return combinations("combinatorial", data, folds, test_folds, purge, embargo)
