"""Regret of searches at equal budget, on standard functions and on a surface like an LSTM's.

``make bench`` runs a small form: a Gaussian process needs half an hour for 20 seeds.

Regret is the true value of the config with the best score minus the optimum: of Branin, Hartmann6,
Rosenbrock4 as log10(1 + f), Ackley5 with its minimum moved off the middle, and "mixed8", an
invented surface over the parameters of a network (steps, sizes, interacting choices) whose scores
have noise of 0.01.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium import registry
from podium.space import Choice, ConfigDict, Float, Int, Space
from podium.trial import trial_seed

SEARCHES = ("random", "qmc", "tpe", "gp", "random_bayesian_refine", "three_phase", "auto")
GENERATION = 8


@dataclass(frozen=True)
class Problem:
    """A function to minimize; ``least`` is its minimum."""

    space: Space
    value: Callable[[Mapping[str, Any]], float]
    least: float
    noise: float = 0.0


def branin(c: Mapping[str, Any]) -> float:
    bend = c["y"] - 5.1 / (4 * math.pi**2) * c["x"] ** 2 + 5 / math.pi * c["x"] - 6
    return float(bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(c["x"]) + 10)


# fmt: off
_A = np.array([
    [10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14],
    [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14],
])
_P = 1e-4 * np.array([
    [1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381],
])
# fmt: on


def hartmann6(c: Mapping[str, Any]) -> float:
    x = np.array([c[f"x{i}"] for i in range(6)])
    return -float(np.array([1.0, 1.2, 3.0, 3.2]) @ np.exp(-(_A * (x - _P) ** 2).sum(1)))


def rosenbrock4(c: Mapping[str, Any]) -> float:
    x = np.array([c[f"x{i}"] for i in range(4)])
    value = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
    return float(np.log10(1 + value))


def ackley5(c: Mapping[str, Any]) -> float:
    x = np.array([c[f"x{i}"] for i in range(5)]) - np.array([7.3, -11.1, 4.9, 13.7, -2.2])
    far = -20 * math.exp(-0.2 * math.sqrt((x**2).mean()))
    return float(far - math.exp(np.cos(2 * math.pi * x).mean()) + 20 + math.e)


def mixed8(c: Mapping[str, Any]) -> float:
    """The minimum is 0, at rate 3e-3 x 64 / units, decay 1e-3, dropout 0.2, 64 units, adamw ..."""
    rate = math.log10(c["rate"] / 3e-3) + math.log2(c["units"] / 64) / 4
    # Large batches need larger steps, plain gradient descent far larger ones.
    rate -= math.log2(c["batch"] / 64) / 6 + (1.0 if c["optimizer"] == "sgd" else 0.0)
    size = math.log2(c["units"] / 64)
    return (
        0.05 * rate**2
        + 0.01 * math.log10(c["decay"] / 1e-3) ** 2
        + 0.4 * (c["dropout"] - 0.2 - 0.04 * max(0, c["layers"] - 1)) ** 2
        + 0.006 * size**2
        + 0.01 * (c["layers"] - 1)
        + 0.02 * math.log(c["context"] / 40) ** 2
        + {"adamw": 0.0, "rmsprop": 0.006, "sgd": 0.02}[c["optimizer"]]
    )


def _cube(size: int, low: float, high: float) -> Space:
    return Space({f"x{i}": Float(low, high) for i in range(size)})


PROBLEMS = {
    "branin": Problem(
        Space({"x": Float(-5.0, 10.0), "y": Float(0.0, 15.0)}), branin, 0.39788735772973816
    ),
    "hartmann6": Problem(_cube(6, 0.0, 1.0), hartmann6, -3.322368011415515),
    "rosenbrock4": Problem(_cube(4, -5.0, 10.0), rosenbrock4, 0.0),
    "ackley5": Problem(_cube(5, -32.768, 32.768), ackley5, 0.0),
    "mixed8": Problem(
        Space(
            {
                "rate": Float(1e-5, 1e-1, log=True),
                "decay": Float(1e-6, 1e-1, log=True),
                "dropout": Float(0.0, 0.6),
                "units": Choice((16, 32, 64, 128, 256)),
                "layers": Int(1, 4),
                "batch": Choice((32, 64, 128, 256)),
                "context": Int(10, 200, log=True),
                "optimizer": Choice(("adamw", "sgd", "rmsprop")),
            }
        ),
        mixed8,
        0.0,
        noise=0.01,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--only", default="", help="Searches, with commas.")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else SEARCHES
    print(f"regret after {args.trials} trials in generations of {GENERATION}, {args.seeds} seeds:")
    print("median (lower and upper quartile); wins: share of runs better than tpe with that seed")
    print(f"{'':24}" + "".join(f"{name:>26}" for name in PROBLEMS) + f"{'wins':>7}{'ms/trial':>10}")
    against = _regrets("tpe", args.seeds, args.trials)[0]
    for name in names:
        regrets, spent = _regrets(name, args.seeds, args.trials)
        cells = "".join(f"{_quartiles(regrets[problem]):>26}" for problem in PROBLEMS)
        pairs = [
            (mine < other) + 0.5 * (mine == other)
            for problem in PROBLEMS
            for mine, other in zip(regrets[problem], against[problem], strict=True)
        ]
        wins = "-" if name == "tpe" else f"{statistics.mean(pairs):.0%}"
        print(f"{name:24}{cells}{wins:>7}{1000 * spent:>10.1f}", flush=True)


def _regrets(name: str, seeds: int, trials: int) -> tuple[dict[str, list[float]], float]:
    """Regrets on each problem by seed, and seconds a trial."""
    started = time.perf_counter()
    regrets = {
        problem: [regret(name, one, seed, trials) for seed in range(seeds)]
        for problem, one in PROBLEMS.items()
    }
    return regrets, (time.perf_counter() - started) / (seeds * trials * len(PROBLEMS))


def regret(name: str, problem: Problem, seed: int, trials: int) -> float:
    """True value of the config with the best score, minus the optimum."""
    search = registry.load("searches", name).SEARCH(problem.space, trial_seed(seed, 0))
    search.begin(trials, 1, {})
    seen: list[tuple[float, ConfigDict]] = []
    for start in range(0, trials, GENERATION):
        numbers = range(start, min(trials, start + GENERATION))
        for number, config in zip(numbers, search.ask(numbers), strict=True):
            rng = np.random.default_rng([seed, number])
            score = problem.value(config) + problem.noise * rng.standard_normal()
            search.tell(number, config, score)
            seen.append((score, config))
    _, best = min(seen, key=lambda pair: pair[0])
    return problem.value(best) - problem.least


def _quartiles(values: list[float]) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2g} ({low:.2g} {high:.2g})"


if __name__ == "__main__":
    main()
