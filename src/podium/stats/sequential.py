"""Correction of p-values that come one after another, in an unknown number."""

from __future__ import annotations

from podium.errors import UsageError


def p_value_of_look(p_value: float, look: int) -> float:
    """One-sided p-value of a test that is one of several on the same data, adjusted for its place.

    Parameters
    ----------
    p_value : float in [0, 1]
        One-sided. NaN stays NaN.
    look : int, >= 1
        Place of the test in the order in which the tests were made.

    Returns
    -------
    float in [0, 1]
        ``p_value * look * (look + 1)``, at most 1.

    Raises
    ------
    UsageError
        A look below 1.

    Notes
    -----
    The k-th test has the level a / (k (k + 1)), as in alpha spending [1]_. The levels of all tests
    add up to a, so the probability of any false positive is at most a for every number of tests,
    dependent or not, and the number need not be known in advance. A factor of k in place of
    k (k + 1) does not bound it: of 1,000 independent looks at a null, 17 % have a false positive.
    The first factor is 2: for a smaller loss the result is the two-sided p-value.

    Examples
    --------
    >>> [round(p_value_of_look(0.004, look), 3) for look in (1, 2, 10)]
    [0.008, 0.024, 0.44]

    References
    ----------
    .. [1] Foster & Stine (2008), Alpha-investing: a procedure for sequential control of expected
       false discoveries, J. Royal Statistical Society B 70(2).
    """
    if look < 1:
        raise UsageError(f"look {look}", "a look of at least 1")
    return p_value if p_value != p_value else min(1.0, p_value * look * (look + 1))
