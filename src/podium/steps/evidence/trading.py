"""Forecasts traded on a project's terms, and the portfolios they are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from podium import registry
from podium.arrays import Floats, Mask, Times
from podium.evidence import Scalar
from podium.portfolio import Backtest, periods_per_year, simulate, summary
from podium.prediction import Prediction
from podium.steps.evidence.terms import trading_terms
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData

CANDIDATE, NAIVE = "candidate", "naive"
BENCHMARKS = ("equal weight", "buy and hold")
# Columns of the candidate's trades as the record keeps them, and what their names begin with.
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
class Traded:
    """What portfolios came to over the bars of a test.

    Parameters
    ----------
    times : (T,) datetime64[s]
    results : mapping of name to Backtest
    """

    times: Times
    results: Mapping[str, Backtest]

    def scalars(self) -> dict[str, Scalar]:
        """Every measure of every portfolio, as evidence has them: ``candidate:sharpe``."""
        periods = periods_per_year(self.times)
        found: dict[str, Scalar] = {}
        for name, result in self.results.items():
            found |= measured(name, summary(result, periods))
        return found

    def curves(self) -> dict[str, np.ndarray]:
        """Equity of every portfolio in multiples of the initial capital, beside ``times``."""
        found: dict[str, np.ndarray] = {"times": self.times}
        for name, result in self.results.items():
            found[name] = result.equity / result.equity[0]
        return found

    def fills(self) -> dict[str, np.ndarray]:
        """Columns of the candidate's trades, in the order of the fills."""
        trades = self.results[CANDIDATE].trades
        return {f"{TRADES}{name}": getattr(trades, name) for name in FILLS}


def measured(portfolio: str, measures: Mapping[str, float]) -> dict[str, Scalar]:
    """Measures of a portfolio with their units, as evidence has them."""
    return {
        f"{portfolio}:{name}": Scalar(value, *_MEASURES.get(name, ("", "none")))
        for name, value in measures.items()
    }


def targets(data: SlotData, forecast: Prediction) -> Floats:
    """Target weights at every bar of the test, (T, S); NaN in a row without any forecast."""
    grid = forecast.grid(data.view.times[data.test_start :], data.view.tickers)
    found: Floats = registry.load("signals", data.section.signal).weights(grid)
    return found


def due(bars: int, horizon: int) -> Mask:
    """Bars of a test at which an order is given: its first, and every ``horizon`` from there."""
    found: Mask = np.arange(bars) % horizon == 0
    return found


def trade(project: Project, data: SlotData, forecast: Prediction, naive: Prediction) -> Traded:
    """A candidate's forecasts and naive's, traded alike, beside portfolios that need none.

    Orders are given every ``horizon`` bars, with the costs of ``[backtest]``; to buy and hold is
    one order, at the first bar with a forecast.
    """
    grid = forecast.grid(data.view.times[data.test_start :], data.view.tickers)
    equal = registry.load("signals", "equal").weights(grid)
    bought = np.arange(len(equal)) == int(np.isfinite(equal).any(axis=1).argmax())
    on_time = due(len(equal), data.view.horizon)
    plans = {
        CANDIDATE: (on_time, targets(data, forecast)),
        BENCHMARKS[0]: (on_time, equal),
        BENCHMARKS[1]: (bought, equal),
        NAIVE: (on_time, targets(data, naive)),
    }
    results = {
        name: simulated(project, data, np.where(when[:, None], weights, np.nan))
        for name, (when, weights) in plans.items()
    }
    return Traded(data.view.times[data.test_start :], results)


def simulated(project: Project, data: SlotData, weights: Floats) -> Backtest:
    """A portfolio of weights (T, S) over the test, on the terms of the project."""
    bars = slice(data.test_start, len(data.view))
    return simulate(weights=weights, **trading_terms(project, data, bars))
