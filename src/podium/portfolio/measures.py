"""Measures of a return series; NaN, never infinity, where one is undefined."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.errors import DataError, UsageError
from podium.portfolio.result import Backtest, Trades

DAYS_PER_YEAR = 365.25


def periods_per_year(times: ArrayLike) -> float:
    """Bars in a year of 365.25 days, from the calendar of the bars themselves.

    Parameters
    ----------
    times : (T,) datetime64, T >= 2
        Time of each bar, strictly ascending.

    Returns
    -------
    float > 0
        Bar intervals over the years they span: about 252 for trading days, 365.25 for all days.

    Raises
    ------
    DataError
        Fewer than two times, a NaT, times out of order or of another type.

    Examples
    --------
    >>> periods_per_year(np.arange("2020-01-01", "2024-01-02", dtype="datetime64[D]"))
    365.25
    """
    stamps = require_times(times)
    days = float((stamps[-1] - stamps[0]) / np.timedelta64(1, "D"))
    return (stamps.size - 1) / (days / DAYS_PER_YEAR)


def require_times(times: ArrayLike) -> NDArray[np.datetime64]:
    """Times of bars as an array; DataError unless two or more, strictly ascending."""
    stamps: NDArray[np.datetime64] = np.asarray(times)
    if stamps.ndim != 1 or stamps.dtype.kind != "M":
        raise DataError(
            f"times are of type {stamps.dtype} and shape {stamps.shape}", "a list of datetime64"
        )
    if stamps.size < 2:
        raise DataError(f"{stamps.size} bars span no time", "at least two")
    if np.isnat(stamps).any():
        raise DataError(f"times[{int(np.isnat(stamps).argmax())}] is NaT", "a time for every bar")
    late = stamps[1:] <= stamps[:-1]
    if late.any():
        at = int(late.argmax()) + 1
        raise DataError(
            f"times[{at}], {stamps[at]}, is not after {stamps[at - 1]}",
            "times in strictly ascending order",
        )
    return stamps


def sharpe(returns: ArrayLike, periods_per_year: float) -> float:
    """Mean over standard deviation of the returns, a year; NaN if they never vary.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction, in excess of any rate to beat.
    periods_per_year : float, > 0
        Bars in a year.

    Returns
    -------
    float
        Standard deviation with T - 1; scaled by the square root of `periods_per_year`.

    Raises
    ------
    DataError
        A return that is NaN or infinite.
    UsageError
        `periods_per_year` not above 0.

    Examples
    --------
    >>> round(sharpe([0.01, -0.01, 0.02], 252), 4)
    6.9282
    """
    series, scale = _series(returns, periods_per_year)
    if not _varies(series):
        return math.nan
    return _ratio(float(series.mean()), float(series.std(ddof=1))) * math.sqrt(scale)


def sortino(returns: ArrayLike, periods_per_year: float) -> float:
    """Mean return over downside deviation, a year; NaN without a loss.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction, in excess of any rate to beat.
    periods_per_year : float, > 0
        Bars in a year.

    Returns
    -------
    float
        The downside deviation is the root mean square of min(return, 0) over all T bars.

    Raises
    ------
    DataError
        A return that is NaN or infinite.
    UsageError
        `periods_per_year` not above 0.

    Examples
    --------
    >>> round(sortino([0.01, -0.01, 0.02], 252), 4)
    18.3303
    """
    series, scale = _series(returns, periods_per_year)
    if not series.size:
        return math.nan
    downside = math.sqrt(float(np.mean(np.minimum(series, 0.0) ** 2)))
    return _ratio(float(series.mean()), downside) * math.sqrt(scale)


def volatility(returns: ArrayLike, periods_per_year: float) -> float:
    """Standard deviation of the returns, a year; NaN for fewer than two.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, > 0
        Bars in a year.

    Returns
    -------
    float >= 0
        With T - 1; exactly 0 for returns that never vary.

    Raises
    ------
    DataError
        A return that is NaN or infinite.
    UsageError
        `periods_per_year` not above 0.

    Examples
    --------
    >>> round(volatility([0.01, -0.01, 0.02], 252), 4)
    0.2425
    """
    series, scale = _series(returns, periods_per_year)
    if series.size < 2:
        return math.nan
    return float(series.std(ddof=1)) * math.sqrt(scale) if _varies(series) else 0.0


def cagr(returns: ArrayLike, periods_per_year: float) -> float:
    """Compound growth a year, as a fraction; -1 if everything was lost.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, > 0
        Bars in a year.

    Returns
    -------
    float >= -1
        NaN for no returns, or for a few so large that a year of them has no number.

    Raises
    ------
    DataError
        A return that is NaN or infinite.
    UsageError
        `periods_per_year` not above 0.

    Examples
    --------
    >>> round(cagr([0.1, 0.1], 1), 4)
    0.1
    """
    series, scale = _series(returns, periods_per_year)
    if not series.size:
        return math.nan
    if (series <= -1.0).any():
        return -1.0
    try:
        return math.expm1(float(np.log1p(series).sum()) * scale / series.size)
    except OverflowError:
        return math.nan


def max_drawdown(returns: ArrayLike, periods_per_year: float = math.nan) -> float:
    """Deepest fall of wealth from its peak so far, as a fraction, 0 or negative.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, optional
        Not used; taken so that every measure is called alike.

    Returns
    -------
    float <= 0
        The initial capital is the first peak; below -1 if shorts lost more than there was.

    Raises
    ------
    DataError
        A return that is NaN or infinite.

    Examples
    --------
    >>> round(max_drawdown([-0.1, 0.2, -0.5]), 4)
    -0.5
    """
    fall = _falls(returns)
    return float(fall.min()) if fall.size > 1 else math.nan


def max_drawdown_bars(returns: ArrayLike, periods_per_year: float = math.nan) -> float:
    """Length of the deepest fall, from its peak until wealth is back there.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, optional
        Not used; taken so that every measure is called alike.

    Returns
    -------
    float >= 0
        A whole number of bars; up to the last bar if wealth never came back, 0 without a fall.

    Raises
    ------
    DataError
        A return that is NaN or infinite.

    Examples
    --------
    >>> max_drawdown_bars([0.1, -0.5, 0.5, 0.5, 0.0])
    3.0
    """
    fall = _falls(returns)
    if fall.size < 2:
        return math.nan
    deepest = int(fall.argmin())
    if fall[deepest] == 0.0:
        return 0.0
    peak = int((fall[:deepest] == 0.0).nonzero()[0][-1])
    back = (fall[deepest:] == 0.0).nonzero()[0]
    end = deepest + int(back[0]) if back.size else fall.size - 1
    return float(end - peak)


def calmar(returns: ArrayLike, periods_per_year: float) -> float:
    """Compound growth a year over the deepest fall; NaN without a fall.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, > 0
        Bars in a year.

    Returns
    -------
    float
        `cagr` over the absolute `max_drawdown`.

    Raises
    ------
    DataError
        A return that is NaN or infinite.
    UsageError
        `periods_per_year` not above 0.

    Examples
    --------
    >>> round(calmar([0.2, -0.1], 2), 4)
    0.8
    """
    return _ratio(cagr(returns, periods_per_year), -max_drawdown(returns))


def hit_rate(returns: ArrayLike, periods_per_year: float = math.nan) -> float:
    """Share of gains among the bars that gained or lost; NaN without any.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction. Bars of exactly 0, such as those without a position,
        do not count.
    periods_per_year : float, optional
        Not used; taken so that every measure is called alike.

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    DataError
        A return that is NaN or infinite.

    Examples
    --------
    >>> hit_rate([0.01, 0.0, -0.02, 0.03, 0.01])
    0.75
    """
    series = _finite(returns)
    moved = np.count_nonzero(series)
    return float(np.count_nonzero(series > 0.0) / moved) if moved else math.nan


def tail_ratio(returns: ArrayLike, periods_per_year: float = math.nan) -> float:
    """A good bar over a bad one: the 95th percentile over the 5th, both absolute.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, optional
        Not used; taken so that every measure is called alike.

    Returns
    -------
    float >= 0
        Percentiles are interpolated linearly. NaN without returns, or if the 5th is 0.

    Raises
    ------
    DataError
        A return that is NaN or infinite.

    Examples
    --------
    >>> round(tail_ratio([-0.01, 0.0, 0.02]), 4)
    2.0
    """
    series = _finite(returns)
    if not series.size:
        return math.nan
    bad, good = np.abs(np.percentile(series, [5.0, 95.0])).tolist()
    return _ratio(good, bad)


def exposure(gross: ArrayLike, periods_per_year: float = math.nan) -> float:
    """Mean of the sum of absolute weights that was held.

    Parameters
    ----------
    gross : (T,) float, >= 0
        Exposure of each bar, as in `Backtest.exposure`.
    periods_per_year : float, optional
        Not used; taken so that every measure is called alike.

    Returns
    -------
    float >= 0
        1 is fully invested throughout. NaN for no bars.

    Raises
    ------
    DataError
        An exposure that is NaN or infinite.

    Examples
    --------
    >>> exposure([0.0, 1.0, 0.5])
    0.5
    """
    series = _finite(gross)
    return float(series.mean()) if series.size else math.nan


def closed_profits(trades: Trades) -> NDArray[np.float64]:
    """What each closed trade earned, costs taken off.

    Parameters
    ----------
    trades : Trades
        Fills of one portfolio, as in `Backtest.trades`.

    Returns
    -------
    (M,) float
        In the currency of the prices, item by item in the order of opening. A trade lasts from no
        position in an item to none again; a fill that turns a long into a short (or back) closes
        one and opens the next, its cash and fee shared by quantity. Open ones are left out, and
        interest is no part of it.

    Examples
    --------
    >>> from podium.portfolio import simulate
    >>> result = simulate([[1.0], [1.0], [1.5], [1.0]], [[1.0], [-1.0], [0.0], [0.0]])
    >>> closed_profits(result.trades).tolist()
    [0.5, 0.5]
    """
    if not len(trades):
        return np.empty(0)
    order = np.argsort(trades.item, kind="stable")
    item, quantity, after = trades.item[order], trades.quantity[order], trades.held[order]
    before = np.concatenate([[0.0], after[:-1]])
    before[1:][item[1:] != item[:-1]] = 0.0
    flow = -quantity * trades.price[order] - trades.fee[order]
    turned = before * after < 0.0
    number = np.cumsum((before == 0.0) | turned) - 1
    # What a turn brings in for the old position belongs to the trade before it.
    closing = np.where(turned, flow * before / np.where(turned, -quantity, 1.0), 0.0)
    earned = np.zeros(int(number[-1]) + 1)
    np.add.at(earned, number, flow - closing)
    np.add.at(earned, number[turned] - 1, closing[turned])
    closed = np.zeros(earned.size, dtype=bool)
    closed[number[after == 0.0]] = True
    closed[number[turned] - 1] = True
    return earned[closed]


def win_rate(trades: Trades) -> float:
    """Share of closed trades that earned something, costs taken off; NaN without any.

    Parameters
    ----------
    trades : Trades
        Fills of one portfolio; what a closed trade is: `closed_profits`.

    Returns
    -------
    float in [0, 1]

    Examples
    --------
    >>> from podium.portfolio import simulate
    >>> result = simulate([[1.0], [1.0], [1.5], [2.0]], [[1.0], [-1.0], [0.0], [0.0]])
    >>> win_rate(result.trades)
    0.5
    """
    profits = closed_profits(trades)
    return float(np.count_nonzero(profits > 0.0) / profits.size) if profits.size else math.nan


def turnover(traded: ArrayLike, periods_per_year: float) -> float:
    """Bought plus sold notional a year, in multiples of equity.

    Parameters
    ----------
    traded : (T,) float, >= 0
        Turnover of each bar, as in `Backtest.turnover`.
    periods_per_year : float, > 0
        Bars in a year.

    Returns
    -------
    float >= 0
        Swapping the whole portfolio once a year is 2. NaN for no bars.

    Raises
    ------
    DataError
        A turnover that is NaN or infinite.
    UsageError
        `periods_per_year` not above 0.

    Examples
    --------
    >>> turnover([0.5, 0.0, 0.0, 0.5], 12)
    3.0
    """
    series, scale = _series(traded, periods_per_year)
    return float(series.mean()) * scale if series.size else math.nan


def summary(backtest: Backtest, periods: float) -> dict[str, float]:
    """Every measure of a backtest by its name.

    Parameters
    ----------
    backtest : Backtest
        As `simulate` gives it. Its first bar, where nothing can be held, is no period.
    periods : float, > 0
        Bars in a year, see `periods_per_year`.

    Returns
    -------
    dict
        sharpe, sortino, volatility, cagr, max_drawdown, max_drawdown_bars, calmar, hit_rate,
        turnover, total_return, win_rate, tail_ratio, exposure. NaN where undefined.

    Raises
    ------
    UsageError
        `periods` not above 0.

    Examples
    --------
    >>> from podium.portfolio import simulate
    >>> result = simulate([[1.0], [1.0], [1.1]], [[1.0], [1.0], [1.0]])
    >>> round(summary(result, 252)["total_return"], 4)
    0.1
    """
    returns = backtest.returns[1:]
    growth = float(backtest.equity[-1] / backtest.equity[0]) if backtest.equity.size else math.nan
    return {
        **{measure.__name__: measure(returns, periods) for measure in OF_RETURNS},
        "turnover": turnover(backtest.turnover[1:], periods),
        "total_return": growth - 1.0,
        "win_rate": win_rate(backtest.trades),
        "tail_ratio": tail_ratio(returns),
        "exposure": exposure(backtest.exposure[1:]),
    }


OF_RETURNS = (
    sharpe, sortino, volatility, cagr, max_drawdown, max_drawdown_bars, calmar, hit_rate,
)  # fmt: skip


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    series: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise DataError(f"returns have shape {series.shape}", "one number a bar")
    wrong = ~np.isfinite(series)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"the return at bar {at} is {series[at]}, one of {int(wrong.sum())} not finite",
            "a finite return for every bar",
        )
    return series


def _series(values: ArrayLike, periods: float) -> tuple[NDArray[np.float64], float]:
    if not 0.0 < periods < math.inf:
        raise UsageError(f"periods_per_year is {periods}", "a number above 0")
    return _finite(values), float(periods)


def _varies(series: NDArray[np.float64]) -> bool:
    # Asked of the values: the standard deviation of a constant may be a rounding error, not 0.
    return series.size > 1 and float(series.min()) != float(series.max())


def _ratio(above: float, below: float) -> float:
    # A divisor that vanishes next to the dividend would overflow to infinity.
    value = above / below if below > 0.0 else math.nan
    return value if math.isfinite(value) else math.nan


def _falls(returns: ArrayLike) -> NDArray[np.float64]:
    """Wealth over its peak so far, less one; the initial capital comes first."""
    with np.errstate(over="ignore", invalid="ignore"):
        wealth = np.cumprod(np.concatenate([[1.0], 1.0 + _finite(returns)]))
        falls: NDArray[np.float64] = wealth / np.maximum.accumulate(wealth) - 1.0
    return falls
