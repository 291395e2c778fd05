"""Planted effects on arrays: a nonlinear process searched by regressions on products of returns.

The next return is a multiple of the one before the last, with the sign of the last one, plus noise;
no baseline reads such a product. The multiple gives an oracle, which trades the sign of the best
forecast after costs, a yearly Sharpe ratio. Ridge regressions on 1 to 20 such products are refitted
every 50 bars before the test, and once at its begin; their returns and losses are the evidence that
the gates judge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from _bars import VOLATILITY, Bars, simulated, write_project
from podium import registry
from podium.decision import Result
from podium.evidence import Evidence, Scalar
from podium.gates._base import verdict
from podium.stats import diebold_mariano, sharpe_ratios
from podium.steps.evidence.comparison import dm_scalars
from podium.steps.evidence.selection_bias import bias_of_returns, ranking
from podium.testing.gates import evidence

LAGS = 20
# Bars of the first fit on arrays, and bars between two fits.
WARM, EVERY = 250, 50
YEAR = 252.0
FEE = 5e-4
TRADING_GATES = ("deflated_sharpe", "overfitting")
BASELINE_GATE = "beats_baseline"
# Gates of the policy "trading" that depend on figures; the others concern files and the champion.
POLICY_GATES = (*TRADING_GATES, "in_confidence_set", BASELINE_GATE)
# Configs that are compared in the confidence set, as by ``extend.top``.
TOP = 3


def oracle_sharpe(coefficient: float, fee: float = FEE) -> float:
    """Yearly Sharpe ratio of trading the sign of the best forecast.

    It earns the coefficient times the mean absolute return. Its sign changes at every second bar,
    and a change trades twice.
    """
    gross = coefficient * VOLATILITY * math.sqrt(2.0 / math.pi)
    return (gross - fee) / math.sqrt(VOLATILITY**2 - gross**2) * math.sqrt(YEAR)


def coefficient_for(sharpe: float, fee: float = FEE) -> float:
    """Coefficient for a Sharpe ratio of the oracle; 0 without one."""
    if sharpe == 0.0:
        return 0.0
    low, high = 0.0, 0.9
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if oracle_sharpe(middle, fee) < sharpe else (low, middle)
    return high


def returns_of(coefficient: float, seed: int, bars: int) -> np.ndarray:
    """Logarithmic returns of one ticker, (bars,), with the same volatility for each coefficient."""
    rng = np.random.default_rng([seed, 34])
    scale = VOLATILITY * math.sqrt(1.0 - coefficient**2)
    before, last = rng.normal(0.0, VOLATILITY, 2)
    returns = []
    for shock in rng.normal(0.0, scale, bars + 100):
        before, last = last, coefficient * math.copysign(before, before * last) + shock
        returns.append(last)
    return np.array(returns[100:])


def forecasts(returns: np.ndarray, seed: int, configs: int, stop: int) -> np.ndarray:
    """Forecast of the next return at each bar from ``WARM`` on, (T - WARM, configs).

    Parameters
    ----------
    stop : int
        First bar of the test; later bars are forecast by the last fit before it.
    """
    rng = np.random.default_rng([seed, 18])
    lagged = np.zeros((len(returns), LAGS))
    for lag in range(1, LAGS + 1):
        lagged[lag:, lag - 1] = np.sign(returns[lag:]) * returns[:-lag] / VOLATILITY
    ahead = np.append(returns[1:], 0.0) / VOLATILITY
    # Cumulative sums, so that a fit on all bars before one is a look-up.
    squares = np.cumsum(lagged[:, :, None] * lagged[:, None, :], axis=0)
    products = np.cumsum(lagged * ahead[:, None], axis=0)
    # The last known label at a bar belongs to the bar before it.
    fitted_at = np.append(np.arange(WARM, stop, EVERY), stop) - 1
    at = np.arange(WARM, len(returns))
    block = np.where(at < stop, (at - WARM) // EVERY, len(fitted_at) - 1)
    made = np.empty((len(at), configs))
    for config in range(configs):
        lags, penalty = int(rng.integers(1, LAGS + 1)), 10.0 ** rng.uniform(-2.0, 4.0)
        gram = squares[fitted_at][:, :lags, :lags] + penalty * np.eye(lags)
        weights = np.linalg.solve(gram, products[fitted_at][:, :lags, None])[..., 0]
        made[:, config] = np.einsum("tl,tl->t", lagged[WARM:, :lags], weights[block])
    return VOLATILITY * made


def traded(held: np.ndarray, ahead: np.ndarray, fee: float) -> np.ndarray:
    """Return per bar after costs of positions, (T, N), that earn the next bar's return."""
    return held * ahead[:, None] - fee * np.abs(np.diff(held, axis=0, prepend=0.0))


@dataclass(frozen=True)
class Search:
    """Configs searched on validation bars, and their forecasts of a test.

    Parameters
    ----------
    returns : (T, N) float
        Return per validation bar and config, after costs.
    losses, test_losses : (T, N) float
        Squared error per bar of validation and test.
    naive, test_naive : (T,) float
        Squared error of the forecast zero, the best constant forecast of these series.
    """

    returns: np.ndarray
    losses: np.ndarray
    naive: np.ndarray
    test_losses: np.ndarray
    test_naive: np.ndarray

    @classmethod
    def of(
        cls, sharpe: float, seed: int, *, configs: int, bars: int, test: int, fee: float = FEE
    ) -> Search:
        """Search a process whose oracle has a yearly Sharpe ratio."""
        series = returns_of(coefficient_for(sharpe), seed, bars + test + 1)
        made = forecasts(series, seed, configs, bars)[:-1]
        ahead = series[WARM + 1 :]
        errors, naive = (ahead[:, None] - made) ** 2, ahead**2
        cut = bars - WARM
        # The outcome of the last decision before the test belongs to the test.
        before, after = slice(0, cut - 1), slice(cut, None)
        returns = traded(np.sign(made[before]), ahead[before], fee)
        return cls(returns, errors[before], naive[before], errors[after], naive[after])

    def first(self, configs: int) -> Search:
        """The search as it is with fewer configs."""
        return Search(
            self.returns[:, :configs],
            self.losses[:, :configs],
            self.naive,
            self.test_losses[:, :configs],
            self.test_naive,
        )

    @property
    def best(self) -> int:
        """Config with the lowest loss, as ``analyze`` chooses."""
        return int(self.losses.mean(axis=0).argmin())

    @property
    def luckiest(self) -> int:
        """Config with the highest Sharpe ratio: the strongest selection."""
        return int(np.nanargmax(sharpe_ratios(self.returns)))

    def validation(self, chosen: int) -> Evidence:
        """Validation evidence of a config."""
        bias = bias_of_returns(self.returns, chosen, self.returns.shape[1])
        order = np.argsort(self.losses.mean(axis=0), kind="stable")[:TOP]
        top = list(dict.fromkeys([chosen, *map(int, order)]))[:TOP]
        ranked = ranking(self.losses[:, top], self.naive[:, None], 1, self.losses.shape[1])
        scalars = {**bias.scalars(), **ranked.scalars(0)}
        return evidence("validation", scalars, {**bias.notes(), **ranked.notes()})

    def test(self, chosen: int, bars: int) -> Evidence:
        """Evidence of a config on the first bars of the test, of the first look at it."""
        mine, naive = self.test_losses[:bars, chosen], self.test_naive[:bars]
        outcome = diebold_mariano(mine, naive)
        scalars = {
            "loss": Scalar(float(mine.mean())),
            "naive_loss": Scalar(float(naive.mean())),
            "looks": Scalar(1),
            **dm_scalars(outcome),
            "dm_p_value_one_sided": Scalar(outcome.one_sided),
        }
        notes = {"metric": "mse", "naive_method": "zero", "dm_reason": outcome.reason or ""}
        return evidence("test", scalars, notes)


def passes(gates: tuple[str, ...], *kinds: Evidence) -> bool:
    """Whether all gates pass, with their default limits."""
    given: Mapping[str, Any] = {one.kind: one for one in kinds}
    return all(
        verdict(name, registry.load("gates", name), given, None, {}).result is Result.PASS
        for name in gates
    )


LAGGED = '''"""Ridge regression on earlier values, with the sign of the last return."""

import json

import numpy as np

from podium.families._base import Family, Model
from podium.prediction import Prediction
from podium.space import Float, Int, Space


class Lagged(Model):
    def __init__(self, lags, weights):
        self.lags, self.weights = lags, np.asarray(weights)

    def predict(self, windows):
        return Prediction.of(windows, inputs(windows, self.lags) @ self.weights)

    def save(self, folder):
        (folder / "lagged.json").write_text(json.dumps([self.lags, self.weights.tolist()]))


class LaggedFamily(Family):
    name = "lagged"
    each_alone = True

    def space(self, view):
        return Space({"lags": Int(1, view.window - 1), "penalty": Float(1e-2, 1e4, log=True)})

    def fit(self, config, train, validation, *, seed, report):
        x = inputs(train, config["lags"])
        gram = x.T @ x + config["penalty"] * np.eye(x.shape[1])
        return Lagged(config["lags"], np.linalg.solve(gram, x.T @ train.truth()))

    def load(self, read):
        return Lagged(*json.loads(read("lagged.json")))


def inputs(windows, lags):
    """A return of one per cent is one."""
    newest_first = 100.0 * windows.inputs()[:, ::-1, :].astype(float)
    products = np.sign(newest_first[:, :1, :1]) * newest_first[:, 1 : lags + 1, :]
    return products.reshape(len(windows), -1)


FAMILY = LaggedFamily
'''
SLOT = "plt/D/return"


def write_planted(
    root: Path, sharpe: float, seed: int, *, configs: int = 200, bars: int = 2_500, test: int = 250
) -> None:
    """Create a project of one ticker that the arrays' ridge regressions search.

    Parameters
    ----------
    bars, test : int
        Bars before the test, the first of which only train, and bars of the test.
    """
    returns = returns_of(coefficient_for(sharpe), seed, bars + test)[:, None]
    [frame] = simulated(returns, seed).frames.values()
    days = frame.index
    settings = {
        "project": {"name": "planted", "id": f"p-planted-{seed}"},
        "datasets": {"bars": Bars({"PLT": frame}).section()},
        "slots": {
            SLOT: {
                "dataset": "bars",
                "target": "log_return",
                "horizon": 1,
                "window": LAGS + 1,
                "features": ["log_return"],
                "families": ["lagged"],
                "signal": "sign",
                "policy": "trading",
                "test_from": str(days[bars])[:10],
            }
        },
        "tune": {
            "search": "random",
            "trials": configs,
            "generation": configs,
            "seed": seed,
            "validation_fraction": round(1.0 - WARM / bars, 3),
        },
        "backtest": {"fee_bps": FEE * 1e4, "execution": "next_open"},
        "runner": {"name": "inline", "jobs": 1},
        "paths": dict.fromkeys(
            ("tuning", "extended", "best_config", "plots", "final", "backtesting"), ""
        ),
    }
    write_project(root, Bars({"PLT": frame}), settings)
    (root / "plugins" / "families").mkdir(parents=True)
    (root / "plugins" / "families" / "lagged.py").write_text(LAGGED)
