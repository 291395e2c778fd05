"""Forecast errors in common units."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from podium.errors import DataError

ERRORS = ("mae", "r2", "price_mae", "pct_mae")


def forecast_errors(
    truth: ArrayLike,
    forecast: ArrayLike,
    *,
    price: ArrayLike | None = None,
    price_forecast: ArrayLike | None = None,
    last: ArrayLike | None = None,
) -> dict[str, float]:
    """Errors of forecasts, and of the prices that follow from them.

    Parameters
    ----------
    truth, forecast : (N,) float
        In the target's unit; finite.
    price, price_forecast, last : (N,) float, optional
        Price, its forecast, and the last price at the time of the forecast, above 0; all or none.

    Returns
    -------
    dict
        ``mae``, mean absolute error in the target's unit; ``r2``, one minus the sum of squared
        errors over that of the mean of the truth (NaN where the truth does not vary, below 0 where
        that mean is better). With prices ``price_mae`` in the price's unit and ``pct_mae``, mean
        absolute error of the price in percent of the last price.

    Raises
    ------
    DataError
        Different shapes, no forecast, or only some of the prices.

    Examples
    --------
    >>> errors = forecast_errors([0.1, -0.1], [0.0, 0.0], price=[11, 9], price_forecast=[10, 10],
    ...                          last=[10, 10])
    >>> {name: round(value, 6) for name, value in errors.items()}
    {'mae': 0.1, 'r2': 0.0, 'price_mae': 1.0, 'pct_mae': 10.0}
    """
    y, f = (np.asarray(values, dtype=np.float64) for values in (truth, forecast))
    if y.shape != f.shape or y.ndim != 1 or not len(y):
        raise DataError(f"truth has shape {y.shape}, forecast {f.shape}", "the same shape, (N,)")
    spread = float(np.sum((y - y.mean()) ** 2))
    errors = {
        "mae": float(np.mean(np.abs(y - f))),
        "r2": 1.0 - float(np.sum((y - f) ** 2)) / spread if spread > 0.0 else math.nan,
    }
    given = [values for values in (price, price_forecast, last) if values is not None]
    if not given:
        return errors
    prices = [np.asarray(values, dtype=np.float64) for values in given]
    if len(prices) < 3 or any(values.shape != y.shape for values in prices):
        raise DataError(
            f"{len(prices)} of three prices, of shapes {[v.shape for v in prices]}",
            f"price, price_forecast and last, each {y.shape}",
        )
    error = np.abs(prices[0] - prices[1])
    return {
        **errors,
        "price_mae": float(error.mean()),
        "pct_mae": float(np.mean(100.0 * error / prices[2])),
    }
