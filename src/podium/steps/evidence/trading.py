"""Portfolios of forecasts and benchmarks on the terms of a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from podium import registry
from podium.arrays import Floats, Mask, Times
from podium.evidence import Scalar
from podium.portfolio import Backtest, simulate, summary
from podium.prediction import Prediction
from podium.steps.evidence.terms import trading_terms
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData

CANDIDATE, NAIVE = "candidate", "naive"
BENCHMARKS = ("equal weight", "buy and hold")
# Recorded columns of the candidate's trades, and the prefix of their names.
FILLS, TRADES = ("bar", "item", "quantity", "price", "fee"), "trades:"

_MEASURES = {
    "sharpe": ("a year", "max"),
    "sortino": ("a year", "max"),
    "cagr": ("a year", "max"),
    "volatility": ("a year", "min"),
    "max_drawdown": ("fraction", "max"),
    "max_drawdown_bars": ("bars", "min"),
    "calmar": ("a year", "max"),
    "hit_rate": ("fraction", "max"),
    "turnover": ("a year", "min"),
    "total_return": ("fraction", "max"),
    "win_rate": ("fraction", "max"),
    "tail_ratio": ("ratio", "max"),
    "exposure": ("of equity", "none"),
}


@dataclass(frozen=True, eq=False)
class PortfolioBacktests:
    """Backtests of portfolios over the bars of a test.

    Parameters
    ----------
    times : (T,) datetime64[s]
    results : mapping of name to Backtest
    periods : float
        Bars in a year.
    """

    times: Times
    results: Mapping[str, Backtest]
    periods: float

    def scalars(self) -> dict[str, Scalar]:
        """Every measure of every portfolio, such as ``candidate:sharpe``."""
        scalars: dict[str, Scalar] = {}
        for name, result in self.results.items():
            scalars |= measure_scalars(name, summary(result, self.periods))
        return scalars

    def curves(self) -> dict[str, np.ndarray]:
        """Equity of every portfolio in multiples of the initial capital, and ``times``."""
        curves: dict[str, np.ndarray] = {"times": self.times}
        for name, result in self.results.items():
            curves[name] = result.equity / result.equity[0]
        return curves

    def fills(self) -> dict[str, np.ndarray]:
        """Columns of the candidate's trades, in the order of the fills."""
        trades = self.results[CANDIDATE].trades
        return {f"{TRADES}{name}": getattr(trades, name) for name in FILLS}


def measure_scalars(portfolio: str, measures: Mapping[str, float]) -> dict[str, Scalar]:
    """Scalars of the measures of a portfolio."""
    return {
        f"{portfolio}:{name}": Scalar(value, *_MEASURES.get(name, ("", "none")))
        for name, value in measures.items()
    }


def target_weights(data: SlotData, forecast: Prediction) -> Floats:
    """Target weights at every bar of the test, (T, S); NaN in a row without any forecast."""
    grid = forecast.grid(data.view.times[data.test_start :], data.view.tickers)
    weights: Floats = registry.load("signals", data.section.signal).weights(grid)
    return weights


def order_bars(bars: int, horizon: int) -> Mask:
    """Mask of the bars of a test with an order: the first and every ``horizon`` after it."""
    return np.asarray(np.arange(bars) % horizon == 0)


def trade(
    project: Project, data: SlotData, forecast: Prediction, naive: Prediction
) -> PortfolioBacktests:
    """Backtests of a candidate's forecasts, its baseline's, and benchmarks without forecasts.

    Orders are given every ``horizon`` bars, with the costs of ``[backtest]``; buy and hold is one
    order at the first bar with a forecast.
    """
    grid = forecast.grid(data.view.times[data.test_start :], data.view.tickers)
    equal = registry.load("signals", "equal").weights(grid)
    bought = np.arange(len(equal)) == int(np.isfinite(equal).any(axis=1).argmax())
    on_time = order_bars(len(equal), data.view.horizon)
    plans = {
        CANDIDATE: (on_time, target_weights(data, forecast)),
        BENCHMARKS[0]: (on_time, equal),
        BENCHMARKS[1]: (bought, equal),
        NAIVE: (on_time, target_weights(data, naive)),
    }
    results = {
        name: run_backtest(project, data, np.where(when[:, None], weights, np.nan))
        for name, (when, weights) in plans.items()
    }
    return PortfolioBacktests(data.view.times[data.test_start :], results, data.periods_per_year)


def run_backtest(project: Project, data: SlotData, weights: Floats) -> Backtest:
    """Backtest of weights (T, S) over the test, on the terms of the project."""
    bars = slice(data.test_start, len(data.view))
    return simulate(weights=weights, **trading_terms(project, data, bars))
