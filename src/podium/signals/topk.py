"""Long the items with the highest forecasts, optionally short those with the lowest."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Floats, Mask
from podium.errors import UsageError
from podium.signals._base import checked, finite, sides, silenced

__all__ = ["weights"]


def weights(
    forecast: ArrayLike,
    *,
    k: int | None = None,
    short: bool = False,
    buffer: int = 0,
    held: ArrayLike | None = None,
    gross: float = 1.0,
) -> Floats:
    """Equal target weights of the k items with the highest forecasts of each row.

    Parameters
    ----------
    forecast : (T, S) float
        Forecast of S items over T bars; only its rank in the row matters. NaN: no forecast.
        Of equal forecasts the leftmost ranks first.
    k : int, >= 1, optional
        Default: a fifth of the items with a forecast in the row, rounded up.
    short : bool
        Whether to short the k lowest too; each side is half the gross. With fewer than 2 k
        forecasts, k is half of them, rounded down.
    buffer : int, >= 0
        An item that is held is kept until it falls ``buffer`` ranks below the k best, in place of a
        new one. This reduces trades for a slightly lower forecast.
    held : (S,) float, optional
        Positions before the first row; only their signs matter, and only with a buffer.
    gross : float, > 0
        Sum of absolute weights of each row.

    Returns
    -------
    (T, S) float
        A row without any forecast is NaN, no order. An item without a forecast has a weight of 0;
        fewer than k items share the gross.

    Raises
    ------
    DataError
        A forecast that is not a matrix, or that is infinite; a wrong number of positions.
    UsageError
        `gross` not above 0, `k` below 1, `buffer` below 0.

    Examples
    --------
    >>> weights([[0.1, 0.3, np.nan, 0.2]], k=2).tolist()
    [[0.0, 0.5, 0.0, 0.5]]
    >>> weights([[0.1, 0.3, np.nan, 0.2]], k=1, short=True).tolist()
    [[-0.5, 0.5, 0.0, 0.0]]
    """
    values = finite(checked(forecast, gross), "a finite number, or NaN for no forecast")
    if (k is not None and k < 1) or buffer < 0:
        raise UsageError(f"k is {k} and buffer {buffer}", "k of at least 1, buffer of at least 0")
    missing = np.isnan(values)
    present = (~missing).sum(axis=1, keepdims=True)
    most = -(-present // 5) if k is None else np.minimum(k, present)
    if short:
        most = np.minimum(most, present // 2)
    # Rank 0 is the best; items without a forecast come last.
    order = np.argsort(np.where(missing, np.inf, -values), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(values.shape[1])[np.newaxis, :], axis=1)
    from_end = present - 1 - rank
    if buffer:
        side = _buffered(rank, from_end, missing, most[:, 0], buffer, short, held)
    else:
        side = ((rank < most) & ~missing).astype(np.float64)
        if short:
            side -= (from_end < most) & ~missing
    each = gross / np.maximum(most, 1) / (2 if short else 1)
    return silenced(side * each, missing)


def _buffered(
    rank: NDArray[np.int64],
    from_end: NDArray[np.int64],
    missing: Mask,
    most: NDArray[np.int64],
    buffer: int,
    short: bool,
    held: ArrayLike | None,
) -> Floats:
    """Side of each item, kept while its rank is within the buffer."""
    now = sides(held, rank.shape[1])
    result = np.zeros(rank.shape)
    for bar in np.flatnonzero(~missing.all(axis=1)):
        chosen = np.zeros(rank.shape[1])
        for side, ranks in ((1.0, rank[bar]), (-1.0, from_end[bar]))[: 1 + short]:
            kept = (now == side) & (ranks < most[bar] + buffer)
            free = ~missing[bar] & (chosen == 0.0)
            # Kept positions come first, then by rank.
            first = np.lexsort((ranks, ~kept, ~free))[: most[bar]]
            chosen[first[free[first]]] = side
        result[bar] = now = chosen
    return result
