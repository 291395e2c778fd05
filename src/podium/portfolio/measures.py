"""Measures of a return series; an undefined one is NaN, never infinite."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import least_deviation
from podium.errors import DataError, UsageError
from podium.portfolio.result import Backtest, Trades

DAYS_PER_YEAR = 365.25
WORKDAYS = 5
# A median gap of more days between bars is that of weeks or months.
LONGEST_DAILY_GAP = 4
# Fewer dates of a weekday do not show that an exchange is closed on it: they may be holidays.
FEW = 3


def periods_per_year(times: ArrayLike) -> float:
    """Bars in a year, from the calendar that the times of the bars imply.

    Parameters
    ----------
    times : (T,) datetime64, T >= 2
        Time of each bar, strictly ascending; best all bars of a dataset, since a few days may lack
        a weekend.

    Returns
    -------
    float > 0
        Bars in the usual week x 252 / 5 if at most five weekdays have bars, else x 365 / 7: 252
        for trading days, 365 for all days, 252 x 7 for seven bars a day. The usual week has the
        weekdays of which more than half have bars, and Monday to Friday if there are fewer than
        three of them. A weekday has the median number of bars of its dates. Bars of more than
        four days: intervals over the years of 365.25 days that they span.

    Raises
    ------
    DataError
        Fewer than two times, a NaT, times out of order or of another type.

    Examples
    --------
    >>> periods_per_year(np.arange("2020-01-06", "2020-01-11", dtype="datetime64[D]"))
    252.0
    >>> periods_per_year(np.arange("2020-01-01", "2020-02-01", dtype="datetime64[D]"))
    365.0
    """
    stamps = require_times(times)
    gaps = np.diff(stamps) / np.timedelta64(1, "D")
    if np.median(gaps) > LONGEST_DAILY_GAP:
        return float(gaps.size / (gaps.sum() / DAYS_PER_YEAR))
    dates, counts = np.unique(stamps.astype("datetime64[D]"), return_counts=True)
    weekdays = _weekdays(dates)
    in_span = np.bincount(_weekdays(np.arange(dates[0], dates[-1] + 1)), minlength=7)
    usual = 2 * np.bincount(weekdays, minlength=7) > in_span
    usual |= (np.arange(7) < WORKDAYS) & (in_span < FEW)
    of_day = [counts[weekdays == k] for k in np.flatnonzero(usual)]
    # A weekday without any date has the bars of the others.
    bars_per_week = sum(float(np.median(known if known.size else counts)) for known in of_day)
    return bars_per_week * (252 / 5 if len(of_day) <= WORKDAYS else 365 / 7)


def _weekdays(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Weekday of each date, 0 for Monday; 1970-01-01 was a Thursday."""
    weekdays: NDArray[np.int64] = (dates.astype(np.int64) + 3) % 7
    return weekdays


def require_times(times: ArrayLike) -> NDArray[np.datetime64]:
    """Return the times of bars as an array; DataError unless two or more, strictly ascending."""
    stamps: NDArray[np.datetime64] = np.asarray(times)
    if stamps.ndim != 1 or stamps.dtype.kind != "M":
        raise DataError(
            f"times are of type {stamps.dtype} and shape {stamps.shape}", "a list of datetime64"
        )
    if stamps.size < 2:
        raise DataError(f"{stamps.size} bars have no interval", "at least two")
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
    """Sharpe ratio per year: mean over standard deviation; NaN for constant returns.

    Returns within rounding of each other, such as interest alone, are constant.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction, in excess of any risk-free rate.
    periods_per_year : float, > 0
        Bars in a year.

    Returns
    -------
    float
        The standard deviation divides by T - 1; scaled by the square root of `periods_per_year`.

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
    """Sortino ratio per year: mean return over downside deviation; NaN without a loss.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction, in excess of any risk-free rate.
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
    # Below this, losses are rounding.
    known = downside > least_deviation(series)
    return _ratio(float(series.mean()), downside if known else 0.0) * math.sqrt(scale)


def volatility(returns: ArrayLike, periods_per_year: float) -> float:
    """Standard deviation of the returns per year; NaN for fewer than two.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, > 0
        Bars in a year.

    Returns
    -------
    float >= 0
        Divides by T - 1; exactly 0 for constant returns.

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
    """Compound annual growth rate, as a fraction; -1 after a total loss.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, > 0
        Bars in a year.

    Returns
    -------
    float >= -1
        NaN without returns, or on overflow.

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
    """Largest drawdown of wealth from its running peak, as a fraction, 0 or negative.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, optional
        Not used; for a common signature of all measures.

    Returns
    -------
    float <= 0
        The initial capital is the first peak; below -1 if shorts lose more than the equity.

    Raises
    ------
    DataError
        A return that is NaN or infinite.

    Examples
    --------
    >>> round(max_drawdown([-0.1, 0.2, -0.5]), 4)
    -0.5
    """
    fall = _drawdowns(returns)
    return float(fall.min()) if fall.size > 1 else math.nan


def max_drawdown_bars(returns: ArrayLike, periods_per_year: float = math.nan) -> float:
    """Length of the largest drawdown, from its peak until wealth is back there.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, optional
        Not used; for a common signature of all measures.

    Returns
    -------
    float >= 0
        A whole number of bars; until the last bar without a recovery, 0 without a drawdown.

    Raises
    ------
    DataError
        A return that is NaN or infinite.

    Examples
    --------
    >>> max_drawdown_bars([0.1, -0.5, 0.5, 0.5, 0.0])
    3.0
    """
    fall = _drawdowns(returns)
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
    """Compound annual growth rate over the largest drawdown; NaN without a drawdown.

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
    fall = -max_drawdown(returns)
    known = fall > least_deviation(_finite(returns))
    return _ratio(cagr(returns, periods_per_year), fall if known else 0.0)


def hit_rate(returns: ArrayLike, periods_per_year: float = math.nan) -> float:
    """Share of gains among the bars with a non-zero return; NaN without any.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction. Returns of exactly 0, as without a position, do not
        count.
    periods_per_year : float, optional
        Not used; for a common signature of all measures.

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
    """Absolute 95th percentile of the returns over the absolute 5th.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction.
    periods_per_year : float, optional
        Not used; for a common signature of all measures.

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
    """Mean sum of absolute weights held.

    Parameters
    ----------
    gross : (T,) float, >= 0
        Exposure of each bar, as in `Backtest.exposure`.
    periods_per_year : float, optional
        Not used; for a common signature of all measures.

    Returns
    -------
    float >= 0
        1 is fully invested throughout. NaN without bars.

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
    """Profit of each closed trade after costs.

    Parameters
    ----------
    trades : Trades
        Fills of one portfolio, as in `Backtest.trades`.

    Returns
    -------
    (M,) float
        In the currency of the prices, by item and in the order of opening. A trade lasts from no
        position in an item to none again; a fill that turns a long into a short (or back) closes
        one and opens the next, with its cash and fee split by quantity. Open trades and interest
        are left out.

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
    cash = -quantity * trades.price[order] - trades.fee[order]
    reverses = before * after < 0.0
    number = np.cumsum((before == 0.0) | reverses) - 1
    # The part of a reversal that closes the old position belongs to the previous trade.
    closing = np.where(reverses, cash * before / np.where(reverses, -quantity, 1.0), 0.0)
    earned = np.zeros(int(number[-1]) + 1)
    np.add.at(earned, number, cash - closing)
    np.add.at(earned, number[reverses] - 1, closing[reverses])
    closed = np.zeros(earned.size, dtype=bool)
    closed[number[after == 0.0]] = True
    closed[number[reverses] - 1] = True
    return earned[closed]


def win_rate(trades: Trades) -> float:
    """Share of closed trades with a profit after costs; NaN without any.

    Parameters
    ----------
    trades : Trades
        Fills of one portfolio; see `closed_profits` for the closed trades.

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
    """Bought plus sold notional per year, in multiples of equity.

    Parameters
    ----------
    traded : (T,) float, >= 0
        Turnover of each bar, as in `Backtest.turnover`.
    periods_per_year : float, > 0
        Bars in a year.

    Returns
    -------
    float >= 0
        2 for one full exchange of the portfolio per year. NaN without bars.

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
        Result of `simulate`. Its first bar, without a holding, is left out.
    periods : float, > 0
        Bars in a year, see `periods_per_year`.

    Returns
    -------
    dict
        sharpe, sortino, volatility, cagr, max_drawdown, max_drawdown_bars, calmar, hit_rate,
        turnover, total_return, win_rate, tail_ratio, exposure. NaN where undefined. Sharpe and
        Sortino ratio are of the returns in excess of the interest of cash.

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
    returns, excess = backtest.returns[1:], backtest.excess[1:]
    growth = float(backtest.equity[-1] / backtest.equity[0]) if backtest.equity.size else math.nan
    return {
        **{measure.__name__: measure(returns, periods) for measure in OF_RETURNS},
        **{measure.__name__: measure(excess, periods) for measure in (sharpe, sortino)},
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
        raise DataError(f"returns have shape {series.shape}", "one number per bar")
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
    return series.size > 1 and bool(series.std(ddof=1) > least_deviation(series))


def _ratio(above: float, below: float) -> float:
    # A divisor close to 0 overflows to infinity.
    value = above / below if below > 0.0 else math.nan
    return value if math.isfinite(value) else math.nan


def _drawdowns(returns: ArrayLike) -> NDArray[np.float64]:
    """Drawdown of wealth from its running peak at each bar; the initial capital comes first."""
    with np.errstate(over="ignore", invalid="ignore"):
        wealth = np.cumprod(np.concatenate([[1.0], 1.0 + _finite(returns)]))
        falls: NDArray[np.float64] = wealth / np.maximum.accumulate(wealth) - 1.0
    return falls
