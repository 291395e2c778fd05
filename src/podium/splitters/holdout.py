"""One fold: the last bars validate, samples that end before them train."""

from __future__ import annotations

from podium.errors import DataError, Problem
from podium.samples import HasSamples
from podium.split import Split
from podium.splitters._base import MINIMUM_BARS, build, drop_none, require, timed_samples

# Training ends before validation begins.
ORDERED = True


def split(data: HasSamples, *, fraction: float, purge: int | None = None) -> Split:
    """Train on the first bars, validate on the last ``fraction`` of them.

    Parameters
    ----------
    fraction : float between 0 and 1
        Share of the labelled bars for validation.
    purge : int, optional
        Length of training labels in bars; default: their actual length.

    Raises
    ------
    DataError
        Too few bars for either part.
    UsageError
        A fraction outside 0 to 1, or a purge shorter than a label.
    """
    wrong = None if 0 < fraction < 1 else Problem(f"fraction is {fraction}", "between 0 and 1")
    require(wrong)
    samples = timed_samples(data, purge)
    n = len(samples.moments)
    cut = n - round(fraction * n)
    if n - cut < MINIMUM_BARS:
        fix = "use more bars or a larger validation_fraction"
        what = f"{n - cut} of {n} {samples.unit} would validate"
        raise DataError(what, f"at least {MINIMUM_BARS}", fix)
    parts = (samples.between(0, cut), samples.between(cut, n))
    parameters = drop_none(fraction=fraction, purge=purge)
    return build("holdout", data, parameters, [parts], purge=purge)
