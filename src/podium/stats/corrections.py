"""p-values of several tests that were looked at together."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.errors import DataError


def holm(p_values: ArrayLike) -> Floats:
    """p-values that keep the chance of any false alarm among several tests.

    Parameters
    ----------
    p_values : (M,) float in [0, 1]
        One a test, in any order, however the tests depend on each other. NaN for a test that could
        not decide: it stays NaN and still counts as a test that was made.

    Returns
    -------
    (M,) float in [0, 1]
        In the same order. Rejecting those at most 0.05 is wrong about any with a chance of 0.05
        at most.

    Raises
    ------
    DataError
        A p-value outside 0 to 1, or p-values that are not one-dimensional.

    Notes
    -----
    The smallest is multiplied by M, the next by M - 1 and so on, none above 1 nor below the one
    before it.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]

    References
    ----------
    .. [1] Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian J.
       Statistics 6(2).
    """
    found = _p_values(p_values)
    order = np.argsort(found)
    adjusted = np.empty_like(found)
    adjusted[order] = np.maximum.accumulate(found[order] * np.arange(found.size, 0, -1))
    return np.minimum(adjusted, 1.0)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """p-values that keep the share of false alarms among the alarms.

    Parameters
    ----------
    p_values : (M,) float in [0, 1]
        One a test, in any order; independent of each other, or positively dependent. NaN for a
        test that could not decide: it stays NaN and still counts as a test that was made.

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
    found = _p_values(p_values)
    # An undecided test comes last and counts as 1; only decided ones are adjusted by it.
    order = np.argsort(found)
    scaled = np.nan_to_num(found[order], nan=1.0) * found.size / np.arange(1, found.size + 1)
    adjusted = np.empty_like(found)
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.where(np.isnan(found), np.nan, np.minimum(adjusted, 1.0))


def _p_values(values: ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise DataError(f"p_values have shape {found.shape}", "one a test, (M,)")
    wrong = (found < 0.0) | (found > 1.0)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(f"p_values[{at}] is {found[at]}", "a probability, 0 to 1, or NaN")
    return found
