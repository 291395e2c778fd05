"""The portfolio kernel and bt in one run: the same weights, the same orders, the same equity.

Run with ``make bench``, or directly (a minute; ``--bars 1000`` is shorter). bt includes the fee in
the amounts it trades, so the kernel does too (``costs="within"``); its default convention is timed
as well. Neither time includes the generation of data; bt's includes the setup of its tree.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from podium.portfolio import Backtest, simulate, simulate_stack

ITEMS, BARS, EVERY, BEST = 500, 5_000, 5, 50
FEE_BPS = 10.0
CASH = 1e6
TARGET_MS, TARGET_RATIO, TARGET_AGREEMENT = 50.0, 100.0, 1e-6
SETS = 200
REPEATS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=BARS, help="bars of the comparison with bt")
    bars = parser.parse_args().bars
    prices, weights = _market(bars)
    orders = len(range(0, bars - 1, EVERY))
    print(
        f"{ITEMS} tickers x {bars:,} bars, best {BEST} every {EVERY} bars ({orders:,} orders of a "
        f"portfolio), {FEE_BPS:g} bps; median of {REPEATS}, load {os.getloadavg()[0]:.1f}"
    )
    spent, ours = _timed(
        lambda: simulate(prices, weights, fee_bps=FEE_BPS, initial_cash=CASH, costs="within")
    )
    plain, _ = _timed(lambda: simulate(prices, weights, fee_bps=FEE_BPS, initial_cash=CASH))
    theirs, (equity, positions) = _timed(lambda: _bt(prices, weights), repeats=1, warm=False)
    print(f"kernel, costs on top: {1e3 * plain:.1f} ms, {_verdict(1e3 * plain <= TARGET_MS)}")
    print(
        f"kernel, costs within: {1e3 * spent:.1f} ms (target {TARGET_MS:g} ms, "
        f"{_verdict(1e3 * spent <= TARGET_MS)}), {len(ours.trades):,} trades"
    )
    print(f"bt: {theirs:.2f} s, one run")
    ratio = theirs / spent
    print(
        f"ratio: {ratio:.0f} times faster (target {TARGET_RATIO:g}, "
        f"{_verdict(ratio >= TARGET_RATIO)})"
    )
    apart = float(np.abs(ours.equity / equity - 1.0).max())
    orders_apart = _orders_apart(ours, positions)
    print(
        f"largest relative difference of equity: {apart:.1e} (target {TARGET_AGREEMENT:g}, "
        f"{_verdict(apart <= TARGET_AGREEMENT)}); {orders_apart}"
    )
    _stacks()


def _stacks() -> None:
    """Time many sets of weights in one call, and in as many calls."""
    rng = np.random.default_rng(1)
    for items, bars, every in ((5, 2_500, 5), (5, 2_500, 1), (50, 1_000, 5)):
        prices = _prices(rng, bars, items)
        weights = np.full((SETS, bars, items), np.nan)
        weights[:, ::every] = rng.uniform(-1.0, 1.0, (SETS, len(range(0, bars, every)), items))
        weights /= items
        many, stack = _timed(_stacked(prices, weights), repeats=3)
        single, alone = _timed(_one_by_one(prices, weights), repeats=1, warm=False)
        same = all(np.array_equal(one.equity, stack.equity[at]) for at, one in enumerate(alone))
        print(
            f"{SETS} sets of {items} tickers x {bars:,} bars, every {every}: {many:.3f} s in one "
            f"call, {single:.2f} s in {SETS} ({single / many:.0f} times), "
            f"{'equal to the bit' if same else 'NOT EQUAL'}"
        )


def _stacked(prices: np.ndarray, weights: np.ndarray) -> Callable[[], Any]:
    return lambda: simulate_stack(prices, weights, fee_bps=FEE_BPS)


def _one_by_one(prices: np.ndarray, weights: np.ndarray) -> Callable[[], list[Backtest]]:
    return lambda: [simulate(prices, one, fee_bps=FEE_BPS) for one in weights]


def _prices(rng: np.random.Generator, bars: int, items: int) -> np.ndarray:
    return 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal((bars, items)), axis=0))


def _market(bars: int) -> tuple[np.ndarray, np.ndarray]:
    """Prices of noise, and the weights of the best by a random score."""
    rng = np.random.default_rng(0)
    prices = _prices(rng, bars, ITEMS)
    weights = np.full(prices.shape, np.nan)
    weights[::EVERY] = 0.0
    for bar in range(0, bars, EVERY):
        weights[bar, rng.choice(ITEMS, BEST, replace=False)] = 0.98 / BEST
    return prices, weights


def _bt(prices: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equity and positions of bt; weights are a bar later, since bt fills them on their date."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import bt
        import pandas as pd

        index = pd.bdate_range("2000-01-03", periods=len(prices))
        names = [f"t{item}" for item in range(prices.shape[1])]
        targets = pd.DataFrame(weights, index, names).shift(1).dropna(how="all")
        strategy = bt.Strategy(
            "s", [bt.algos.WeighTarget(targets), bt.algos.Rebalance()], children=names
        )
        test = bt.Backtest(
            strategy,
            pd.DataFrame(prices, index, names),
            initial_capital=CASH,
            commissions=lambda quantity, price: abs(quantity) * price * FEE_BPS / 1e4,
            integer_positions=False,
            progress_bar=False,
        )
        bt.run(test)
        positions = test.strategy.positions.reindex(index).reindex(columns=names).fillna(0.0)
        return test.strategy.values.reindex(index).to_numpy(), positions.to_numpy()


def _orders_apart(ours: Backtest, positions: np.ndarray) -> str:
    """Compare the orders with bt's: items, bars and sizes."""
    theirs = np.diff(positions, axis=0, prepend=np.zeros((1, positions.shape[1])))
    mine = np.zeros_like(theirs)
    np.add.at(mine, (ours.trades.bar, ours.trades.item), ours.trades.quantity)
    size = np.abs(theirs).max()
    same = np.array_equal(np.abs(mine) > 1e-9 * size, np.abs(theirs) > 1e-9 * size)
    apart = np.abs(mine - theirs).max() / size
    return f"{'the same' if same else 'DIFFERENT'} orders, quantities differ by {apart:.1e}"


def _verdict(reached: bool) -> str:
    return "reached" if reached else "missed"


def _timed(
    work: Callable[[], Any], repeats: int = REPEATS, *, warm: bool = True
) -> tuple[float, Any]:
    result = work() if warm else None
    spent = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = work()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent), result


if __name__ == "__main__":
    main()
