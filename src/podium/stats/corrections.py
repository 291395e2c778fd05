"""Corrections of the p-values of several tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.errors import DataError
from podium.stats._checks import whole


def holm(p_values: ArrayLike, of: int | None = None) -> Floats:
    """p-values adjusted to bound the probability of any false positive among several tests.

    Parameters
    ----------
    p_values : (M,) float in [0, 1]
        One per test, in any order; the tests may depend on each other. NaN for an undecidable test:
        it stays NaN and counts as a test.
    of : int, optional
        Number of tests from which these were selected; fewer than M count as M.

    Returns
    -------
    (M,) float in [0, 1]
        In the same order. Rejecting those of at most 0.05 gives any false positive with a
        probability of at most 0.05.

    Raises
    ------
    DataError
        A p-value outside 0 to 1, or p-values that are not one-dimensional.

    Notes
    -----
    The smallest is multiplied by the number of tests, the next by one less and so on, none above 1
    nor below the one before it. This is conservative for tests selected from more, as the true rank
    of a p-value among all of them is at least its rank here.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    >>> holm([0.001, 0.02], of=24).round(4).tolist()
    [0.024, 0.46]

    References
    ----------
    .. [1] Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian J.
       Statistics 6(2).
    """
    values = _p_values(p_values)
    tests = values.size if of is None else max(values.size, whole("of", of, 1))
    order = np.argsort(values)
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(values[order] * (tests - np.arange(values.size)))
    return np.minimum(adjusted, 1.0)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """p-values adjusted to bound the false discovery rate.

    Parameters
    ----------
    p_values : (M,) float in [0, 1]
        One per test, in any order; independent of each other, or positively dependent. NaN for an
        undecidable test: it stays NaN and counts as a test.

    Returns
    -------
    (M,) float in [0, 1]
        In the same order. Of those at most 0.05, one in twenty is false on average.

    Raises
    ------
    DataError
        A p-value outside 0 to 1, or p-values that are not one-dimensional.

    Notes
    -----
    The i-th smallest is multiplied by M / i, none above the one after it.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.04, 0.04]

    References
    ----------
    .. [1] Benjamini & Hochberg (1995), Controlling the false discovery rate, J. Royal
       Statistical Society B 57(1).
    """
    values = _p_values(p_values)
    # An undecidable test comes last and counts as 1.
    order = np.argsort(values)
    scaled = np.nan_to_num(values[order], nan=1.0) * values.size / np.arange(1, values.size + 1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.where(np.isnan(values), np.nan, np.minimum(adjusted, 1.0))


def _p_values(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"p_values have shape {array.shape}", "one per test, (M,)")
    wrong = (array < 0.0) | (array > 1.0)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(f"p_values[{at}] is {array[at]}", "a probability, 0 to 1, or NaN")
    return array
