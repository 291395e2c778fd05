"""Promotions of models without skill, and acceptance of models with skill.

``python benchmarks/honest.py [PART ...] --out FILE`` runs whole projects in process and appends one
line of JSON a run to a file; runs in the file are not repeated, so a stopped benchmark continues.
``--shard 1/2`` runs every second one; several shards may share a file. ``--report`` prints the
tables of the file. Every run has a fixed seed, which its line names.

noise       Returns without structure. A third of the runs are one ``podium run``; a third try three
            lists of features in one slot and promote after each; a third search again near the
            winner, on a validation part one per cent longer. Target: at most 2 of 100 runs have
            a champion.
searched    The same without the choice of a baseline (``analyze.choose = "searched"``): the gates
            alone refuse the models.
planted     AR(1) returns, and AR(1) log volatility. Target: at least 36 of 40 have a champion.
holdout     Ten real data sets with five seeds each. The whole run uses the first four fifths of the
            bars; its champion and the best baseline on the folds are compared on the last fifth,
            which no gate reads. Target: at most 2 of 50 champions are worse (one-sided
            Diebold-Mariano test, p < 0.05).
acceptance  The gates on planted returns, as arrays: share accepted by true Sharpe ratio, number of
            configs and length of the test. "gates" are the two of the policy "trading" that judge
            selection bias; for "best Sharpe" the config of the best Sharpe ratio is chosen in place
            of that of the lowest loss; "policy" are all gates.
whole       Twenty whole runs of one of these cells.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import podium
from _bars import REAL, Bars, autoregressive, noise, simulated, volatile, write_project
from _planted import FEE, POLICY_GATES, TRADING_GATES, Search, passes, write_planted
from podium.errors import PodiumError
from podium.split import Windows
from podium.steps.data.bars import load_dataset
from podium.steps.evidence.comparison import compare_forecasts
from podium.steps.trials import baselines
from podium.tasks.forecast import view_of

Line = dict[str, Any]
SLOT = "bench/D/slot"
TARGETS = (("log_return", 1), ("log_return", 5), ("volatility", 5))
FEATURES = ["log_return", "log_volatility:21"]
FEATURE_LISTS = (
    FEATURES,
    ["log_return", "log_range", "momentum:10"],
    ["log_volatility:5", "log_volume", "rsi:14"],
)
LONGER = 1.01
# Effects of the part "planted".
COEFFICIENT = 0.25
PERSISTENCE, SPREAD = 0.99, 0.5
# Share of the bars in the sealed test: 500 of 1,500, as docs/judgement.md recommends.
PLANTED_TEST = 1.0 / 3.0
# Cells of the table of acceptance; without costs, losses alone do not reveal a search of noise.
SHARPES = ((0.0, 0.0), (0.0, FEE), (0.5, FEE), (1.0, FEE), (1.5, FEE), (2.0, FEE), (3.0, FEE))
CONFIGS, TESTS = (1, 16, 128), (250, 500, 1000)
VALIDATION = 2_500
# The cell that whole runs check: Sharpe ratio, configs, test.
CELL = (2.0, 16, 1000)


@dataclass(frozen=True)
class Size:
    """Size of a whole run."""

    bars: int = 1_500
    tickers: int = 4
    configs: int = 8
    epochs: int = 2
    batch: int = 512


FULL = Size()


def settings_of(
    bars: Bars, size: Size, *, seed: int, test: float = 0.2, **slot: Any
) -> dict[str, Any]:
    """Settings of a project with one slot, tested on the last share ``test`` of these bars."""
    epochs = {"epochs": size.epochs}
    return {
        "project": {"name": "honest", "id": f"p-honest-{seed}"},
        "datasets": {"bars": bars.section()},
        "slots": {
            SLOT: {
                "dataset": "bars",
                "window": 16,
                "features": FEATURES,
                "families": ["lstm"],
                "signal": "inverse_volatility" if slot["target"] == "volatility" else "sign",
                "test_from": str(bars.times[-round(test * len(bars))]),
                "test_to": str(bars.times[-1]),
                **slot,
            }
        },
        "tune": {
            **epochs,
            "trials": size.configs,
            "generation": size.configs,
            "search": "random",
            "schedule": "none",
            "finalists": 0,
            "keep_checkpoints": 0,
            "seed": seed,
        },
        "extend": {**epochs, "top": 2, "folds": 2},
        "finalize": epochs,
        "backtest": {"execution": "next_close" if "open" in bars.absent else "next_open"},
        "runner": {"name": "inline", "jobs": 1},
        # The files of a run take longer than its trainings.
        "paths": dict.fromkeys(
            ("tuning", "extended", "best_config", "plots", "final", "backtesting"), ""
        ),
        "space": {"lstm": {"lstm_units": [4, 8, 16], "batch_size": [size.batch]}},
    }


class Folder:
    """Temporary folder of a project, removed at the end."""

    def __enter__(self) -> Path:
        self.path = Path(tempfile.mkdtemp(prefix="podium-honest-"))
        return self.path

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.path)


def run(root: Path) -> Any:
    """Report of a whole run of the only slot."""
    with podium.open(root) as project:
        [slot] = project.run().report.slots
    return slot


def outcome(slots: Sequence[Any]) -> Line:
    """Verdicts of the runs of a slot in a row, and whether any model became champion."""
    last = slots[-1]
    return {
        "verdicts": [slot.verdict for slot in slots],
        "champion": any(slot.verdict == "promoted" for slot in slots),
        "family": last.family,
        "refused_by": [gate.name for gate in last.gates if gate.result != "pass"],
        "sentence": last.sentence,
    }


# Noise

HABITS = ("one run", "three feature lists", "refinement")


def run_noise(number: int, size: Size = FULL, choose: str = "simplest") -> Line:
    """A user without a signal: one run, several lists of features, or a refined search."""
    habit, policy = HABITS[number % 3], ("forecast", "trading")[number % 2]
    # A long-only signal has the market's return, so a policy for trading has another target.
    target, horizon = TARGETS[number // 6 % (3 if policy == "forecast" else 2)]
    bars = simulated(noise(number, size.bars, size.tickers), number)
    settings = settings_of(bars, size, seed=number, target=target, horizon=horizon, policy=policy)
    settings["analyze"] = {"choose": choose}
    with Folder() as root:
        slots = []
        for changed in _habit(habit, root, settings):
            write_project(root, bars, changed)
            slots.append(run(root))
    about = {"habit": habit, "policy": policy, "target": target, "horizon": horizon}
    return {**about, **outcome(slots)}


def _habit(habit: str, root: Path, settings: Line) -> Iterator[Line]:
    """Settings of one run after the other."""
    slot, tune = settings["slots"][SLOT], settings["tune"]
    if habit == "three feature lists":
        for features in FEATURE_LISTS:
            yield {**settings, "slots": {SLOT: {**slot, "features": features}}}
        return
    yield settings
    if habit == "refinement":
        with podium.open(root) as project:
            best = project.slot().tune().best.config
        fraction = round(0.25 * LONGER, 6)
        tune = {**tune, "seed": tune["seed"] + 1_000, "validation_fraction": fraction}
        yield {**settings, "tune": tune, "space": {"lstm": narrowed(best)}}


def narrowed(config: Mapping[str, Any]) -> Line:
    """Space of the LSTM near a config."""
    rate, decay, dropout = (config[n] for n in ("learning_rate", "weight_decay", "dropout"))
    return {
        "lstm_units": [config["lstm_units"]],
        "batch_size": [config["batch_size"]],
        "learning_rate": {"low": rate / 1.3, "high": rate * 1.3, "log": True},
        "weight_decay": {"low": decay / 2.0, "high": decay * 2.0, "log": True},
        "dropout": {"low": max(0.0, dropout - 0.05), "high": dropout + 0.05},
    }


# Planted effects


def run_planted(number: int, size: Size = FULL, coefficient: float = COEFFICIENT) -> Line:
    """AR(1) returns at even numbers, AR(1) log volatility at odd ones."""
    effect = ("returns", "volatility")[number % 2]
    shape = (number, size.bars, size.tickers)
    if effect == "returns":
        returns, (target, horizon) = autoregressive(*shape, coefficient), TARGETS[0]
    else:
        returns, (target, horizon) = volatile(*shape, PERSISTENCE, SPREAD), TARGETS[2]
    bars = simulated(returns, number)
    with Folder() as root:
        asked = {"target": target, "horizon": horizon, "test": PLANTED_TEST}
        settings = settings_of(bars, size, seed=number, **asked)
        write_project(root, bars, settings)
        return {"effect": effect, **outcome([run(root)])}


# A last part that no gate reads


@cache
def real(name: str, count: int) -> Bars:
    return REAL[name][0]().last(count)


def run_holdout(number: int, size: Size = FULL) -> Line:
    """Run on the first four fifths of real bars; compare champion and baseline on the last."""
    names = list(REAL)
    name, seed = names[number % len(names)], number // len(names)
    _, target, horizon = REAL[name]
    return holdout(real(name, size.bars), seed, size, data=name, target=target, horizon=horizon)


def holdout(
    bars: Bars, seed: int, size: Size = FULL, *, data: str, target: str, horizon: int
) -> Line:
    """The same of any bars."""
    seen = bars.first(len(bars) * 4 // 5)
    settings = settings_of(seen, size, seed=seed, target=target, horizon=horizon)
    with Folder() as root:
        write_project(root, seen, settings)
        slot = run(root)
        line = {"data": data, "seed": seed, **outcome([slot])}
        if line["champion"]:
            line |= _unread(root, bars, settings)
    return line


def _unread(root: Path, bars: Bars, settings: Line) -> Line:
    """Compare the champion with the best baseline of the folds on bars that no gate read."""
    with podium.open(root) as project:
        folds = project.slot().analyze().extension
    data, reference = folds.tuned.forecast, folds.baselines[0]
    model = baselines.fit(reference, baselines.labelled(data.tuning))
    write_project(root, bars, settings)
    with podium.open(root) as project:
        section = project.config.slot(SLOT)
        view = view_of(load_dataset(project.config, section.dataset), section)
        first = int(np.searchsorted(view.times, data.view.times[-1], "right"))
        forecast = project.slot().predict(since=str(view.times[first]))
    windows = Windows.of(view, np.arange(first, view.last_labelled + 1)).labelled()
    pair = compare_forecasts(
        section.metric,
        windows,
        forecast.prediction.on(windows),
        model.predict(windows.blind()).mean,
    )
    p_worse = 1.0 - pair.test.one_sided
    return {
        "baseline": baselines.label_of(reference),
        "loss": pair.loss,
        "baseline_loss": pair.other_loss,
        # Equal forecasts have no p-value.
        "p_worse": None if math.isnan(p_worse) else p_worse,
        "worse": bool(p_worse < 0.05),
        "bars": pair.bars,
    }


# Acceptance


def run_acceptance(number: int, configs: Sequence[int] = CONFIGS, bars: int = VALIDATION) -> Line:
    """Gates on the arrays of one seed: one Sharpe ratio, all numbers of configs and tests."""
    sharpe, fee = SHARPES[number % len(SHARPES)]
    seed = number // len(SHARPES)
    search = Search.of(sharpe, seed, configs=max(configs), bars=bars, test=max(TESTS), fee=fee)
    line: Line = {"sharpe": sharpe, "fee": fee, "seed": seed}
    for count in configs:
        part = search.first(count)
        best, luckiest = part.best, part.luckiest
        validation = part.validation(best)
        strongest = validation if luckiest == best else part.validation(luckiest)
        line[str(count)] = {
            "deflated": passes(TRADING_GATES[:1], validation),
            "gates": passes(TRADING_GATES, validation),
            "best Sharpe": passes(TRADING_GATES, strongest),
            **{
                f"policy, {test}": passes(POLICY_GATES, validation, part.test(best, test))
                for test in TESTS
            },
        }
    return line


def run_whole(number: int) -> Line:
    """A whole run of one cell of the table of acceptance."""
    sharpe, configs, test = CELL
    with Folder() as root:
        write_planted(root, sharpe, number, configs=configs, bars=VALIDATION, test=test)
        return outcome([run(root)])


@dataclass(frozen=True)
class Part:
    """Runs of a part, by number, and its table."""

    runs: int
    run: Callable[[int], Line]
    report: Callable[[list[Line]], None]


def report_noise(lines: list[Line]) -> None:
    for habit in HABITS:
        mine = [line for line in lines if line["habit"] == habit]
        print(f"  {habit:<20} {_share(mine)} have a champion")
    _target(sum(line["champion"] for line in lines), len(lines), most=2, of=100)


def report_planted(lines: list[Line]) -> None:
    for effect in ("returns", "volatility"):
        print(
            f"  {effect:<20} {_share([one for one in lines if one['effect'] == effect])} accepted"
        )
    refused = Counter(gate for one in lines if not one["champion"] for gate in one["refused_by"])
    print(f"  refused by: {dict(refused)}; families: {_families(lines)}")
    _target(sum(not line["champion"] for line in lines), len(lines), most=4, of=40)


def report_holdout(lines: list[Line]) -> None:
    for name in dict.fromkeys(line["data"] for line in lines):
        mine = [line for line in lines if line["data"] == name]
        worse = sum(line.get("worse", False) for line in mine)
        print(f"  {name:<22} {_share(mine)} have a champion, {worse} worse; {_families(mine)}")
    print(f"  {_share(lines)} have a champion")
    _target(sum(line.get("worse", False) for line in lines), len(lines), most=2, of=50)


def report_acceptance(lines: list[Line]) -> None:
    columns = list(lines[0][str(CONFIGS[0])])
    print("  Sharpe  costs  configs  " + "  ".join(f"{name:>12}" for name in columns) + "  seeds")
    for sharpe, fee in SHARPES:
        mine = [line for line in lines if (line["sharpe"], line["fee"]) == (sharpe, fee)]
        for count in CONFIGS if mine else ():
            shares = [np.mean([line[str(count)][name] for line in mine]) for name in columns]
            print(
                f"  {sharpe:>6g}  {'yes' if fee else 'no':>5}  {count:>7}  "
                + "  ".join(f"{share:>12.0%}" for share in shares)
                + f"  {len(mine):>5}"
            )


def report_whole(lines: list[Line]) -> None:
    sharpe, configs, test = CELL
    print(f"  Sharpe {sharpe:g}, {configs} configs, test of {test} bars: {_share(lines)} accepted")
    print(f"  families: {_families(lines)}")


def _share(lines: list[Line]) -> str:
    return f"{sum(line['champion'] for line in lines):>3} of {len(lines):>3}"


def _families(lines: list[Line]) -> dict[str, int]:
    """Families of the champions."""
    return dict(Counter(line["family"] for line in lines if line["champion"]))


def _target(bad: int, runs: int, *, most: int, of: int) -> None:
    met = "met" if bad <= most else "MISSED"
    print(f"  target: at most {most} of {of} wrong; {bad} of {runs}: {met}")


PARTS = {
    "noise": Part(100, run_noise, report_noise),
    "searched": Part(100, partial(run_noise, choose="searched"), report_noise),
    "planted": Part(40, run_planted, report_planted),
    "holdout": Part(50, run_holdout, report_holdout),
    "acceptance": Part(100 * len(SHARPES), run_acceptance, report_acceptance),
    "whole": Part(20, run_whole, report_whole),
}


def read(path: Path) -> list[Line]:
    """Lines of a file of results."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def perform(parts: Sequence[str], path: Path, shard: tuple[int, int], limit: int | None) -> int:
    """Run what is not in the file, and return the number of runs that failed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    finished = {(line["part"], line["number"]) for line in read(path)}
    mine, of = shard
    failed = 0
    for name in parts:
        runs = PARTS[name].runs if limit is None else min(limit, PARTS[name].runs)
        for number in range(mine - 1, runs, of):
            if (name, number) in finished:
                continue
            began = time.perf_counter()
            try:
                line = PARTS[name].run(number)
            except PodiumError:
                traceback.print_exc()
                failed += 1
                continue
            seconds = time.perf_counter() - began
            # A user's run after run is several; a run of arrays has no verdicts.
            seconds = round(seconds / len(line.get("verdicts", "1")), 2)
            text = json.dumps({"part": name, "number": number, "seconds_a_run": seconds, **line})
            with path.open("a") as file:
                file.write(text + "\n")
    return failed


def report(parts: Sequence[str], path: Path) -> None:
    """Print the tables of a file of results."""
    lines = read(path)
    for name in parts:
        part = PARTS[name]
        mine = sorted((x for x in lines if x["part"] == name), key=lambda line: line["number"])
        if mine:
            seconds = [line["seconds_a_run"] for line in mine]
            print(
                f"{name}: {len(mine)} of {part.runs} runs, seeds {mine[0]['number']} to "
                f"{mine[-1]['number']}; a run takes {np.median(seconds):.1f} s (median), "
                f"{max(seconds):.1f} s (longest)"
            )
            part.report(mine)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, default=Path("honest.jsonl"), metavar="FILE")
    parser.add_argument("--shard", default="1/1", metavar="K/N", help="every N-th run")
    parser.add_argument("--runs", type=int, metavar="COUNT", help="at most this many runs a part")
    parser.add_argument("--report", action="store_true", help="print the tables and run nothing")
    given = parser.parse_args(words)
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; parts: {', '.join(PARTS)}")
    parts, failed = given.parts or list(PARTS), 0
    if not given.report:
        torch.set_num_threads(1)
        mine, _, of = given.shard.partition("/")
        failed = perform(parts, given.out, (int(mine), int(of)), given.runs)
    report(parts, given.out)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
