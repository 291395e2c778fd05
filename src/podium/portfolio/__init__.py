"""Backtest of a portfolio: prices and target weights in, equity and measures out."""

from podium.portfolio.kernel import simulate as simulate
from podium.portfolio.kernel import simulate_stack as simulate_stack
from podium.portfolio.measures import cagr as cagr
from podium.portfolio.measures import calmar as calmar
from podium.portfolio.measures import closed_profits as closed_profits
from podium.portfolio.measures import exposure as exposure
from podium.portfolio.measures import hit_rate as hit_rate
from podium.portfolio.measures import max_drawdown as max_drawdown
from podium.portfolio.measures import max_drawdown_bars as max_drawdown_bars
from podium.portfolio.measures import periods_per_year as periods_per_year
from podium.portfolio.measures import sharpe as sharpe
from podium.portfolio.measures import sortino as sortino
from podium.portfolio.measures import summary as summary
from podium.portfolio.measures import tail_ratio as tail_ratio
from podium.portfolio.measures import turnover as turnover
from podium.portfolio.measures import volatility as volatility
from podium.portfolio.measures import win_rate as win_rate
from podium.portfolio.result import Backtest as Backtest
from podium.portfolio.result import Backtests as Backtests
from podium.portfolio.result import Trades as Trades
from podium.portfolio.terms import Impact as Impact
from podium.portfolio.terms import Limits as Limits
from podium.portfolio.terms import Rates as Rates
