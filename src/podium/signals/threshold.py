"""Long or short where the forecast is beyond a threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.errors import UsageError
from podium.signals._base import checked, evenly, sides

__all__ = ["weights"]


def weights(
    forecast: ArrayLike,
    *,
    enter: float = 0.001,
    leave: float | None = None,
    held: ArrayLike | None = None,
    gross: float = 1.0,
) -> Floats:
    """Target weights of equal size for the items with a forecast beyond a threshold.

    Parameters
    ----------
    forecast : (T, S) float
        Forecast return of S items over T bars. NaN: no forecast.
    enter : float, >= 0
        An item is bought above it and sold short below its negative. Default 0.001, the cost of a
        round trip at 5 basis points per trade.
    leave : float in [-enter, enter], optional
        A position is kept while its forecast, times its sign, is above this. Default: `enter`, so
        that positions held do not matter.
    held : (S,) float, optional
        Positions before the first row; only their signs matter.
    gross : float, > 0
        Sum of absolute weights of a row if every item with a forecast has a position.

    Returns
    -------
    (T, S) float
        A row without any forecast is NaN, no order. An item without a forecast has a weight of 0,
        which ends its position. The gross is divided among the items with a forecast; the part of
        those without a position stays in cash.

    Raises
    ------
    DataError
        A forecast that is not a matrix, or a wrong number of positions.
    UsageError
        `gross` not above 0, `enter` below 0, `leave` out of its bounds.

    Examples
    --------
    >>> weights([[0.02, -0.004], [0.004, -0.02]], enter=0.01, leave=0.0).tolist()
    [[0.5, 0.0], [0.5, -0.5]]
    """
    values = checked(forecast, gross)
    leave = enter if leave is None else leave
    if not 0.0 <= enter < np.inf or not -enter <= leave <= enter:
        raise UsageError(
            f"enter is {enter} and leave {leave}", "enter of at least 0, leave from -enter to enter"
        )
    missing = np.isnan(values)
    known = np.where(missing, 0.0, values)
    side = np.where(np.abs(known) > enter, np.sign(known), 0.0)
    if leave < enter:
        now = sides(held, values.shape[1])
        for bar in np.flatnonzero(~missing.all(axis=1)):
            stays = (side[bar] == 0.0) & (now * known[bar] > leave) & ~missing[bar]
            now = np.where(stays, now, side[bar])
            side[bar] = now
    return evenly(side, missing, gross)
