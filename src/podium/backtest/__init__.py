"""What a portfolio would have earned: prices and weights in, equity and measures out."""

from podium.backtest.kernel import simulate, simulate_stack
from podium.backtest.measures import (
    cagr,
    calmar,
    closed_profits,
    exposure,
    hit_rate,
    max_drawdown,
    max_drawdown_bars,
    periods_per_year,
    sharpe,
    sortino,
    summary,
    tail_ratio,
    turnover,
    volatility,
    win_rate,
)
from podium.backtest.result import Backtest, Backtests, Trades
from podium.backtest.terms import Impact, Limits, Rates

__all__ = [
    "Backtest",
    "Backtests",
    "Impact",
    "Limits",
    "Rates",
    "Trades",
    "cagr",
    "calmar",
    "closed_profits",
    "exposure",
    "hit_rate",
    "max_drawdown",
    "max_drawdown_bars",
    "periods_per_year",
    "sharpe",
    "simulate",
    "simulate_stack",
    "sortino",
    "summary",
    "tail_ratio",
    "turnover",
    "volatility",
    "win_rate",
]
