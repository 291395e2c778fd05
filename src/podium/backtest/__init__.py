"""What a portfolio would have earned: prices and weights in, equity and measures out."""

from podium.backtest.kernel import Backtest, Trades, simulate
from podium.backtest.measures import (
    cagr,
    calmar,
    hit_rate,
    max_drawdown,
    max_drawdown_bars,
    periods_per_year,
    sharpe,
    sortino,
    summary,
    turnover,
    volatility,
)

__all__ = [
    "Backtest",
    "Trades",
    "cagr",
    "calmar",
    "hit_rate",
    "max_drawdown",
    "max_drawdown_bars",
    "periods_per_year",
    "sharpe",
    "simulate",
    "sortino",
    "summary",
    "turnover",
    "volatility",
]
