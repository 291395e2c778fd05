"""McNemar's test of two classifiers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, chdtrc

from podium.errors import DataError
from podium.stats._checks import one_of, same_length

Method = Literal["exact", "continuity"]


@dataclass(frozen=True, slots=True)
class McNemar:
    """Outcome of McNemar's test, decidable or not.

    Parameters
    ----------
    only_a, only_b : int
        Samples that only the first, or only the second, has right.
    statistic : float
        The smaller of the two ("exact"), or chi-squared with 1 degree of freedom ("continuity").
        NaN if undecidable.
    p_value : float in [0, 1]
        Two-sided. NaN if undecidable.
    n : int
        Samples.
    method : {"exact", "continuity"}
        Binomial, or chi-squared with a correction for continuity.
    reason : str or None
        Why the test is undecidable.
    """

    only_a: int
    only_b: int
    statistic: float
    p_value: float
    n: int
    method: Method
    reason: str | None = None


def mcnemar(
    truth: ArrayLike, prediction_a: ArrayLike, prediction_b: ArrayLike, method: Method = "exact"
) -> McNemar:
    """Test of equal accuracy of two classifiers on the same samples.

    Parameters
    ----------
    truth : (N,) labels
        True class of each sample: whole numbers, booleans or strings.
    prediction_a, prediction_b : (N,) labels
        Predicted class of each classifier.
    method : {"exact", "continuity"}
        "exact" is valid for any number of samples; "continuity" is the usual approximation, for at
        least 25 samples that only one of them has right.

    Returns
    -------
    McNemar
        With NaN and a `reason` where both are right on the same samples.

    Raises
    ------
    DataError
        Different lengths, arrays that are not one-dimensional, or labels of another type.
    UsageError
        An unknown method.

    Notes
    -----
    Only samples that exactly one of them has right count; with equal accuracy each is a fair coin.
    Samples must be independent: for overlapping windows, or many samples of one patient, use
    `paired_bootstrap` with groups. Accuracy is a poor measure for rare classes.

    Examples
    --------
    >>> truth = [1] * 12
    >>> result = mcnemar(truth, [1] * 9 + [0] * 3, [0] * 8 + [1] * 4)
    >>> result.only_a, result.only_b, round(result.p_value, 4)
    (8, 3, 0.2266)

    References
    ----------
    .. [1] McNemar (1947), Note on the sampling error of the difference between correlated
       proportions, Psychometrika 12(2).
    .. [2] Edwards (1948), Note on the correction for continuity, Psychometrika 13(3).
    """
    one_of("method", method, Method)
    labels = np.asarray(truth)
    right = []
    for name, values in (("prediction_a", prediction_a), ("prediction_b", prediction_b)):
        chosen = np.asarray(values)
        for label, array in (("truth", labels), (name, chosen)):
            if array.ndim != 1 or (array.size and array.dtype.kind not in "biuUS"):
                raise DataError(
                    f"{label} has type {array.dtype} and shape {array.shape}",
                    "a label per sample: whole numbers, booleans or strings, (N,)",
                )
        same_length(name, chosen, "truth", labels.size)
        if labels.size and (labels.dtype.kind in "US") != (chosen.dtype.kind in "US"):
            raise DataError(
                f"{name} has type {chosen.dtype} and truth {labels.dtype}", "the same labels"
            )
        right.append(chosen == labels)
    only_a = int(np.count_nonzero(right[0] & ~right[1]))
    only_b = int(np.count_nonzero(right[1] & ~right[0]))
    differ = only_a + only_b
    if not differ:
        reason = "both are right on the same samples"
        return McNemar(0, 0, math.nan, math.nan, labels.size, method, reason)
    if method == "exact":
        statistic = float(min(only_a, only_b))
        p_value = min(1.0, 2.0 * float(bdtr(statistic, differ, 0.5)))
    else:
        statistic = max(0, abs(only_a - only_b) - 1) ** 2 / differ
        p_value = float(chdtrc(1, statistic))
    return McNemar(only_a, only_b, statistic, p_value, labels.size, method)
