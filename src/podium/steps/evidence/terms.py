"""Prices and terms of trading a slot's forecasts, in the backtest and for selection bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.portfolio import Impact, Limits, Rates
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData

PRICES = ("close", "open")


def trading_terms(project: Project, data: SlotData, bars: slice) -> dict[str, Any]:
    """Arguments of ``simulate`` and ``simulate_stack`` from ``[backtest]``, without the weights."""
    settings = project.config.backtest
    closes, opens = (tradable(data.dataset, data.dataset[name])[bars] for name in PRICES)
    impact = limits = rates = None
    if settings.impact_bps:
        impact = Impact(data.dataset["volume"][bars], settings.impact_bps)
    most = [settings.max_weight, settings.max_leverage, settings.max_turnover]
    if any(most):
        weight, leverage, turnover = (limit or None for limit in most)
        limits = Limits(weight=weight, leverage=leverage, turnover=turnover)
    if settings.cash_rate or settings.debt_rate or settings.borrow_rate:
        times, cash, debt = data.view.times[bars], settings.cash_rate, settings.debt_rate
        rates = Rates(times, cash=cash, debt=debt, borrow=settings.borrow_rate)
    return {
        "prices": closes,
        "open_prices": opens,
        "execution": settings.execution,
        "fee_bps": settings.fee_bps,
        "slippage_bps": settings.slippage_bps,
        "spread_bps": settings.spread_bps,
        "initial_cash": settings.initial_cash,
        "impact": impact,
        "limits": limits,
        "rates": rates,
    }


def tradable(dataset: Dataset, prices: Floats) -> Floats:
    """Prices of each ticker while it can be held; NaN afterwards, so that it is sold.

    A ticker that leaves the universe has a price until the bar after its departure is known, where
    it is sold like an order of that bar. A delisted one is sold at its last price.
    """
    if dataset.members is None:
        return prices
    held = dataset.members.copy()
    held[1:] |= dataset.members[:-1]
    held[2:] |= dataset.members[:-2]
    return np.where(held, prices, np.nan)
