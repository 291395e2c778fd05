"""On what prices and terms a slot's forecasts are traded, in the backtest and to judge luck."""

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
    """Arguments of ``simulate`` and ``simulate_stack`` but the weights, as ``[backtest]`` says."""
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
        rates = Rates(
            data.view.times[bars],
            cash=settings.cash_rate,
            debt=settings.debt_rate,
            borrow=settings.borrow_rate,
        )
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
    """Prices as long as a ticker can be held: the portfolio sells what has no price any more.

    One that leaves the universe has a price until the bar after that at which it is known to have
    left; there it is sold, as an order of that bar would be. One that is delisted is sold at its
    last price.
    """
    if dataset.members is None:
        return prices
    held = dataset.members.copy()
    held[1:] |= dataset.members[:-1]
    held[2:] |= dataset.members[:-2]
    return np.where(held, prices, np.nan)
