"""Backtest of a portfolio: prices and target weights in, equity and measures out."""

from podium.portfolio.kernel import simulate, simulate_stack
from podium.portfolio.measures import (
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
from podium.portfolio.result import Backtest, Backtests, Trades
from podium.portfolio.terms import Impact, Limits, Rates

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
