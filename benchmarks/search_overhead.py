"""Overhead of a search and its record without training, in milliseconds a trial.

Run with ``make bench``. A family that fits nothing, two years of four tickers; each epoch, forecast
and loss is recorded. Each search runs as it is, and once more with commits that are not flushed, as
on a disk with instant flushes. CPU time is that of the driver; on a shared machine wall time says
little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SLOT = "us4/D/volatility"
LIMIT_MS = 3.0
SEARCHES = ("random", "qmc", "tpe", "three_phase")
RUNNERS = ("inline", "local")
FAMILY = '''"""Forecasts a multiple of the last known value."""

import json

from podium.families._base import Family, Model
from podium.prediction import Prediction
from podium.space import Choice, Float, Int, Space


class Scaled(Model):
    @property
    def epochs(self):
        return 1

    def __init__(self, factor):
        self.factor = factor

    def predict(self, windows):
        return Prediction.of(windows, self.factor * windows.view.past[windows.at, windows.item])

    def save(self, folder):
        (folder / "model.json").write_text(json.dumps(self.factor))


class Nothing(Family):
    name = "nothing"

    def space(self, view):
        searched = {
            "factor": Float(0.5, 1.5),
            "rate": Float(1e-5, 1e-1, log=True),
            "decay": Float(1e-6, 1e-1, log=True),
            "units": Choice((16, 32, 64, 128)),
            "layers": Int(1, 4),
            "optimizer": Choice(("adamw", "sgd", "rmsprop")),
        }
        return Space(searched)

    def fit(self, config, train, validation, *, seed, report):
        report(1, {"train_loss": config["factor"], "val_loss": config["factor"]})
        return Scaled(config["factor"])

    def load(self, read):
        return Scaled(json.loads(read("model.json")))


FAMILY = Nothing
'''


def main() -> None:
    # Libraries that start threads would be counted as podium's.
    os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--trials", default="100,400", help="Numbers of trials, with commas.")
    words.add_argument("--only", default=",".join(SEARCHES), help="Searches, with commas.")
    words.add_argument("--runners", default=",".join(RUNNERS), help="Runners, with commas.")
    args = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        flush = _flush_ms(place)
        print(
            f"search and record without training; a flush takes {flush:.2f} ms, load "
            f"{os.getloadavg()[0]:.1f}"
        )
        print("milliseconds a trial (target: at most 3 without flushes)")
        print(f"{'':13}{'runner':>8}{'trials':>8}{'as it is':>10}{'unflushed':>11}", end="")
        print(f"{'CPU':>7}{'flushes a trial':>17}")
        _measure(_project(place / "warm", "random", "inline", 20), flushed=True)
        for trials in map(int, args.trials.split(",")):
            for runner in args.runners.split(","):
                for search in args.only.split(","):
                    _one(place / f"{search}-{runner}-{trials}", search, runner, trials)


def _one(place: Path, search: str, runner: str, trials: int) -> None:
    whole, _, flushes = _measure(_project(place, search, runner, trials), flushed=True)
    beside = place.with_name(f"{place.name}-unflushed")
    without, cpu, _ = _measure(_project(beside, search, runner, trials), flushed=False)
    verdict = "met" if min(without, cpu) / trials <= LIMIT_MS else "MISSED"
    print(
        f"{search:13}{runner:>8}{trials:>8}{whole / trials:>10.2f}{without / trials:>11.2f}"
        f"{cpu / trials:>7.2f}{flushes / trials:>17.2f}  {verdict}",
        flush=True,
    )


def _project(root: Path, search: str, runner: str, trials: int) -> Path:
    """Create a project whose only family fits nothing."""
    from podium.steps.archive import init

    init.init(root, demo=True)
    family = root / "plugins" / "families" / "nothing.py"
    family.parent.mkdir(parents=True)
    family.write_text(FAMILY)
    for path in (root / "data" / "us4").glob("*.csv"):
        head, *bars = path.read_text().splitlines(keepends=True)
        path.write_text(head + "".join(bar for bar in bars if "2006" <= bar < "2008-08"))
    (root / "podium.toml").write_text(f"""
[project]
name = "bench"
id = "p-bench"
[datasets.us4]
path = "data/us4"
tickers = ["AAPL", "GOOG", "IBM", "MSFT"]
timeframe = "D"
[slots."{SLOT}"]
dataset = "us4"
target = "volatility"
horizon = 5
window = 8
features = ["log_return"]
families = ["nothing"]
test_from = "2008-01-01"
[tune]
trials = {trials}
search = "{search}"
keep_checkpoints = 0
[paths]
tuning = ""
[runner]
name = "{runner}"
jobs = 2
""")
    return root


def _measure(root: Path, *, flushed: bool) -> tuple[float, float, int]:
    """Wall and CPU milliseconds of a search's trials, and the number of flushed commits.

    What comes before the first trial and after the last one is paid once a search and left out:
    reading bars, starting workers, naive, the answer.
    """
    from podium import registry
    from podium.ledger.ledger import Ledger
    from podium.steps.search import tune
    from podium.steps.trials import driver, execute
    from podium.steps.trials.context import StudyContext
    from podium.steps.workspace.session import open_project
    from podium.trial import Task

    count, transaction = 0, Ledger.transaction

    @contextmanager
    def counted(self: Ledger, *, durable: bool = False) -> Iterator[Any]:
        nonlocal count
        count += durable
        with transaction(self, durable=durable and flushed) as tx:
            yield tx

    spent: list[float] = []
    run_search = driver.run_search

    def timed(context: StudyContext, run: driver.SearchRun) -> Any:
        nonlocal count
        project, data = context.project, context.data
        if project.config.runner.name == "local":
            # Workers start with the first task, outside the timing.
            [config, *_] = registry.family("naive").space(data.tuning).grid()
            tasks = [Task(f"t-{n}", config, 0, 0) for n in range(4)]
            list(project.runner.run(execute.job_of(data, context.split, "naive"), tasks))
        count, started, cpu = 0, time.perf_counter(), time.process_time()
        rows = run_search(context, run)
        spent[:] = [1000 * (time.perf_counter() - started), 1000 * (time.process_time() - cpu)]
        return rows

    Ledger.transaction = counted  # type: ignore[method-assign, assignment]
    driver.run_search = timed
    try:
        with open_project(root) as project:
            tune.tune(project, SLOT)
        wall, cpu = spent
        return wall, cpu, count
    finally:
        Ledger.transaction = transaction  # type: ignore[method-assign]
        driver.run_search = run_search


def _flush_ms(place: Path) -> float:
    """Milliseconds of a flush of 4 KiB on this disk."""
    times = []
    with (place / "flush").open("ab") as handle:
        for _ in range(50):
            handle.write(b"x" * 4096)
            handle.flush()
            started = time.perf_counter()
            os.fsync(handle.fileno())
            times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
