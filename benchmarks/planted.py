"""Power and size of the gates: planted effects are accepted, noise is refused.

The null is noise searched by 200 configs. The effect is an AR(1) process whose coefficient gives an
oracle, which trades the sign of the best forecast after costs, a yearly Sharpe ratio of 2, 1 or
0.5. Both are searched by ridge regressions on 1 to 20 lags and judged by ``deflated_sharpe`` and
``overfitting`` with their default limits.

``python benchmarks/planted.py [SEEDS] [PROJECTS]`` prints the table: on arrays, refitted every 50
bars, with the config of the best Sharpe ratio (the strongest selection); and end to end, with a
project and a plugin family through ``podium run``. "free" is noise traded without costs, which
losses alone do not reveal.
"""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from podium import registry
from podium.decision import Result
from podium.gates._base import verdict
from podium.stats import sharpe_ratios
from podium.steps.evidence.selection_bias import SelectionBias, bias_of_returns
from podium.steps.pipeline.run import run
from podium.steps.workspace.session import open_project
from podium.testing.gates import evidence

BARS, CONFIGS, LAGS = 2_500, 200, 20
# Bars of the first fit on arrays, and bars between two fits.
WARM, EVERY = 250, 50
VOLATILITY, YEAR = 0.01, 252.0
FEE = 5e-4
GATES = ("deflated_sharpe", "overfitting")
SHARPES = (None, 0.5, 1.0, 2.0)
# End to end, the last bars are the sealed test; most of the others validate.
TEST, VALIDATION_FRACTION = 250, 0.8


def oracle_sharpe(coefficient: float, fee: float = FEE) -> float:
    """Yearly Sharpe ratio of trading the sign of the best forecast of an AR(1) process.

    The sign of one bar's return earns the coefficient times the mean absolute return in the next;
    it changes with a probability of arccos(coefficient) / pi, and a change trades twice.
    """
    gross = coefficient * VOLATILITY * math.sqrt(2.0 / math.pi)
    net = gross - fee * 2.0 * math.acos(coefficient) / math.pi
    return net / math.sqrt(VOLATILITY**2 - gross**2) * math.sqrt(YEAR)


def coefficient_for(sharpe: float | None, fee: float = FEE) -> float:
    """Coefficient for a Sharpe ratio of the oracle; None: 0, pure noise."""
    if sharpe is None:
        return 0.0
    low, high = 0.0, 0.9
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if oracle_sharpe(middle, fee) < sharpe else (low, middle)
    return high


def returns_of(coefficient: float, seed: int, bars: int = BARS) -> np.ndarray:
    """Logarithmic returns, (bars,), with the same volatility for each coefficient."""
    rng = np.random.default_rng([seed, 17])
    shocks = rng.normal(0.0, VOLATILITY * math.sqrt(1.0 - coefficient**2), bars + 100)
    return lfilter([1.0], [1.0, -coefficient], shocks)[100:]


def searched(returns: np.ndarray, seed: int, fee: float = FEE) -> np.ndarray:
    """Return per bar after costs of every config's forecasts, (T, CONFIGS)."""
    rng = np.random.default_rng([seed, 18])
    lagged = np.zeros((len(returns), LAGS))
    for lag in range(LAGS):
        lagged[lag:, lag] = returns[: len(returns) - lag] / VOLATILITY
    ahead = np.append(returns[1:], 0.0) / VOLATILITY
    # Cumulative sums, so that a fit on all bars before one is a look-up.
    squares = np.cumsum(lagged[:, :, None] * lagged[:, None, :], axis=0)
    products = np.cumsum(lagged * ahead[:, None], axis=0)
    # The last known label at a bar belongs to the bar before it.
    fitted_at = np.arange(WARM, len(returns), EVERY) - 1
    block = (np.arange(WARM, len(returns)) - WARM) // EVERY
    forecasts = np.empty((len(returns) - WARM, CONFIGS))
    for config in range(CONFIGS):
        lags, penalty = int(rng.integers(1, LAGS + 1)), 10.0 ** rng.uniform(-2.0, 4.0)
        gram = squares[fitted_at][:, :lags, :lags] + penalty * np.eye(lags)
        weights = np.linalg.solve(gram, products[fitted_at][:, :lags, None])[..., 0]
        forecasts[:, config] = np.einsum("tl,tl->t", lagged[WARM:, :lags], weights[block])
    held = np.sign(forecasts[:-1])
    traded = np.abs(np.diff(held, axis=0, prepend=0.0))
    return held * returns[WARM + 1 :, None] - fee * traded


def passes(bias: SelectionBias) -> dict[str, Result]:
    """Result of each gate with the default limits."""
    kinds = {"validation": evidence("validation", bias.scalars(), bias.notes())}
    return {
        name: verdict(name, registry.load("gates", name), kinds, None, {}).result for name in GATES
    }


def on_arrays(sharpe: float | None, seeds: int, fee: float = FEE) -> Iterator[SelectionBias]:
    """Yield the judgement of each seed's search."""
    coefficient = coefficient_for(sharpe, fee)
    for seed in range(seeds):
        returns = searched(returns_of(coefficient, seed), seed, fee)
        yield bias_of_returns(returns, int(np.nanargmax(sharpe_ratios(returns))), CONFIGS)


RIDGE = '''"""Ridge regression on the last values of every feature."""

import json

import numpy as np

from podium.families._base import Family, Model
from podium.prediction import Prediction
from podium.space import Float, Int, Space


class Ridge(Model):
    def __init__(self, lags, weights):
        self.lags, self.weights = lags, np.asarray(weights)

    def predict(self, windows):
        return Prediction.of(windows, inputs(windows, self.lags) @ self.weights)

    def save(self, folder):
        (folder / "ridge.json").write_text(json.dumps([self.lags, self.weights.tolist()]))


class RidgeFamily(Family):
    name = "lagged"
    each_alone = True

    def space(self, view):
        return Space({"lags": Int(1, view.window), "penalty": Float(1e-2, 1e4, log=True)})

    def fit(self, config, train, validation, *, seed, report):
        x = inputs(train, config["lags"])
        gram = x.T @ x + config["penalty"] * np.eye(x.shape[1])
        return Ridge(config["lags"], np.linalg.solve(gram, x.T @ train.truth()))

    def load(self, read):
        return Ridge(*json.loads(read("ridge.json")))


def inputs(windows, lags):
    """A return of one per cent is one."""
    return 100.0 * windows.inputs()[:, -lags:, :].reshape(len(windows), -1).astype(float)


FAMILY = RidgeFamily
'''
PROJECT = """[project]
name = "planted"
id = "p-planted-{seed}"

[datasets.bars]
path = "bars"
tickers = ["PLT"]
timeframe = "D"
adjust = false

[slots."plt/D/return"]
dataset = "bars"
target = "log_return"
horizon = 1
window = 20
features = ["log_return"]
families = ["lagged"]
signal = "sign"
policy = "trading"
test_from = "{test_from}"

[tune]
search = "random"
trials = {configs}
generation = {configs}
seed = {seed}
validation_fraction = {fraction}

[backtest]
fee_bps = {fee_bps}
execution = "next_open"

[runner]
name = "inline"
jobs = 1
"""


def write_project(root: Path, sharpe: float | None, seed: int) -> None:
    """Create a project of planted bars, each of which opens at the previous close."""
    close = 100.0 * np.exp(np.cumsum(returns_of(coefficient_for(sharpe), seed)))
    opened = np.append(100.0, close[:-1])
    days = np.busday_offset("2010-01-04", np.arange(BARS))
    rows = [
        f"{day},{first},{max(first, last)},{min(first, last)},{last},1000"
        for day, first, last in zip(days, opened, close, strict=True)
    ]
    (root / "bars").mkdir(parents=True)
    (root / "bars" / "PLT.csv").write_text(
        "\n".join(["date,open,high,low,close,volume", *rows, ""])
    )
    (root / "plugins" / "families").mkdir(parents=True)
    (root / "plugins" / "families" / "lagged.py").write_text(RIDGE)
    (root / "podium.toml").write_text(
        PROJECT.format(
            seed=seed,
            test_from=days[BARS - TEST],
            configs=CONFIGS,
            fraction=VALIDATION_FRACTION,
            fee_bps=FEE * 1e4,
        )
    )


def end_to_end(sharpe: float | None, seed: int) -> dict[str, Result]:
    """Result of each gate for the candidate of a whole run."""
    root = Path(tempfile.mkdtemp(prefix="podium-planted-"))
    try:
        write_project(root, sharpe, seed)
        with open_project(root) as project:
            [slot] = run(project).report.slots
    finally:
        shutil.rmtree(root)
    return {gate.name: Result(gate.result) for gate in slot.gates if gate.name in GATES}


def accepted(verdicts: Mapping[str, Result]) -> bool:
    """Whether all gates pass."""
    return set(verdicts) == set(GATES) and all(v is Result.PASS for v in verdicts.values())


def wilson_lower(hits: int, n: int, z: float = 1.96) -> float:
    """Lower end of Wilson's 95 per cent interval of a share.

    >>> round(wilson_lower(285, 300), 3)
    0.919
    """
    share = hits / n
    centre = share + z * z / (2.0 * n)
    spread = z * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    return (centre - spread) / (1.0 + z * z / n)


def main(seeds: int = 300, projects: int = 20) -> None:
    print(f"{BARS:,} bars, {CONFIGS} ridge configs, fee {FEE * 1e4:g} bps, {seeds} seeds on arrays")
    print("arm        deflated  loss<=0.1  PBO<=0.2  both gates         mean loss  mean PBO")
    arms = [(sharpe, FEE) for sharpe in SHARPES] + [(None, 0.0)]
    for sharpe, fee in arms:
        judged = list(on_arrays(sharpe, seeds, fee))
        verdicts = [passes(one) for one in judged]
        deflated = np.mean([v["deflated_sharpe"] is Result.PASS for v in verdicts])
        losses = np.array([one.probability_of_loss for one in judged])
        pbo = np.array([one.pbo for one in judged])
        hits = sum(map(accepted, verdicts))
        print(
            f"{_arm(sharpe, fee):<10} {deflated:>8.1%} {np.mean(losses <= 0.1):>10.1%} "
            f"{np.mean(pbo <= 0.2):>9.1%}  {_share(sharpe, hits, seeds):<26} "
            f"{losses.mean():>5.2f} {pbo.mean():>9.2f}",
            flush=True,
        )
    for sharpe in (None, 2.0) if projects else ():
        began = time.perf_counter()
        hits = sum(accepted(end_to_end(sharpe, seed)) for seed in range(projects))
        spent = (time.perf_counter() - began) / projects
        share = _share(sharpe, hits, projects)
        print(f"end to end, {_arm(sharpe, FEE)}: {share}; {projects} projects, {spent:.1f} s each")


def _arm(sharpe: float | None, fee: float) -> str:
    name = "noise" if sharpe is None else f"Sharpe {sharpe:g}"
    return name if fee else f"{name}, free"


def _share(sharpe: float | None, hits: int, n: int) -> str:
    """Share of right verdicts: effects accepted, noise refused."""
    right, word = (n - hits, "refused") if sharpe is None else (hits, "accepted")
    return f"{word} {right / n:.1%} (at least {wilson_lower(right, n):.1%})"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
