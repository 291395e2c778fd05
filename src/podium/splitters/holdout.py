"""One fold: the last part of the bars validates, what ends before it trains."""

from __future__ import annotations

from podium.errors import DataError
from podium.split import Split
from podium.splitters._base import MINIMUM_BARS, build, labelled
from podium.view import View

# Training ends before validation begins.
ORDERED = True


def split(view: View, *, fraction: float) -> Split:
    """Train on the first bars, validate on the last ``fraction`` of them.

    Parameters
    ----------
    fraction : float between 0 and 1
        Share of the labelled bars that validates.

    Raises
    ------
    DataError
        Too few bars for either part.
    """
    bars = labelled(view)
    cut = len(bars) - round(fraction * len(bars))
    if len(bars) - cut < MINIMUM_BARS:
        raise DataError(
            f"{len(bars) - cut} of {len(bars)} bars would validate",
            f"at least {MINIMUM_BARS}",
            "use more bars or a larger validation_fraction",
        )
    return build("holdout", view, {"fraction": fraction}, [(bars[:cut], bars[cut:])])
