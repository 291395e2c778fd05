"""Times of the record's writes and queries compared with MLflow's store; ratios of one run.

Run with ``make bench``. A podium record and an MLflow SQLite store have the same invented runs (20
parameters, 10 metrics) and answer the same queries. Then one fully recorded trial is written to
both, and a training is timed beside the process that feeds MLflow.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from _stores import (
    EXPERIMENT,
    METRIC,
    METRICS,
    MODELS,
    PARAMETER,
    START,
    forget_statistics,
    gather_statistics,
    mlflow_client,
    mlflow_store,
    podium_store,
)

QUIET = 0.5
BEST_MS, CLI_MS, TIMES_LESS = 20.0, 500.0, 20.0
COUNTS, QUICK = (1_000, 20_000, 100_000), (1_000, 20_000)
# Without statistics MLflow's search for the best compares every run with every run.
MOST_WITHOUT_STATISTICS = 20_000
# MLflow reads every parameter, metric and tag of every run for a comparison.
MOST_COMPARED = 20_000
PARAMETERS, EPOCHS = 20, 50
CURVES = ("train_loss", "val_loss", "train_mae", "val_mae")
TAGS = {"data_version": "v7", "model_tag": "nightly", "owner": "ann"}
# Pending runs while a training is timed; rounds with and without; steps of the training.
WAITING, PAIRS, STEPS = 3_000, 5, 40_000
FLUENT, ROUNDS = "MLflow fluent, a call an epoch (log_metrics)", 7
FILES = {"model.pt": 2048, "curve.png": 4096}


def main() -> None:
    # Libraries that start threads would train on the other processor.
    os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--quick", action="store_true", help="only 1,000 and 20,000 runs")
    words.add_argument("--keep", type=Path, help="folder that keeps the stores for the next run")
    args = words.parse_args()
    if (load := os.getloadavg()[0]) > QUIET:
        print(
            f"the machine is busy (load {load:.1f}): ignore milliseconds, read ratios with care\n"
        )
    with tempfile.TemporaryDirectory() as name:
        place = args.keep or Path(name)
        place.mkdir(parents=True, exist_ok=True)
        for count in QUICK if args.quick else COUNTS:
            _queries(place, count)
        _one_trial(Path(name))
        _beside_the_feeder(Path(name))


def _queries(place: Path, count: int) -> None:
    root, uri = podium_store(place, count), mlflow_store(place, count)
    print(f"{count:,} runs", flush=True)
    ours = _ask_podium(root)
    times = {"podium": ours, "podium's HyperparamTracker": _ask_tracker(root)}
    if count <= MOST_WITHOUT_STATISTICS:
        forget_statistics(uri)
        times["MLflow"] = _ask_mlflow(uri, compared=False, repeats=3 if count <= 1_000 else 1)
    seconds = gather_statistics(uri)
    print(f"  (ANALYZE of MLflow's store took {seconds:.2f} s)")
    times["MLflow after ANALYZE"] = _ask_mlflow(uri, compared=count <= MOST_COMPARED)
    print(f"  {'':<30}" + "".join(f"{what:>18}" for what in ours))
    for who, measured in times.items():
        line = "".join(f"{_ms_text(measured.get(what)):>18}" for what in ours)
        print(f"  {who:<30}{line}")
    for who in [w for w in times if w.startswith("MLflow")]:
        line = "".join(
            f"{f'{times[who][what] / ours[what]:,.0f} x' if what in times[who] else '-':>18}"
            for what in ours
        )
        print(f"  {who + ' / podium':<30}{line}")
    command = _cli(root)
    print(
        f"  best of {count:,}: {ours['best']:.1f} ms in process, target {BEST_MS:.0f} "
        f"({_met(ours['best'], BEST_MS)}); as a command {command:.0f} ms, target {CLI_MS:.0f} "
        f"({_met(command, CLI_MS)})\n",
        flush=True,
    )


def _ask_podium(root: Path) -> dict[str, float]:
    """Milliseconds of each query."""
    from podium.config import load
    from podium.ledger import runs
    from podium.ledger.record_reader import RecordReader

    config = load(root)

    def reader() -> RecordReader:
        return RecordReader(config.ledger.url, root, config.project.id)

    return {
        "best": _ms(lambda: runs.top(reader(), METRIC, 1, minimize=True), 9),
        "top 5": _ms(lambda: runs.top(reader(), METRIC, 5, minimize=True), 9),
        "compare": _ms(lambda: runs.table(reader(), METRICS[:3]), 5),
        "impact": _ms(lambda: runs.impact(reader(), MODELS[0], PARAMETER, METRIC), 5),
    }


def _ask_tracker(root: Path) -> dict[str, float]:
    from podium import HyperparamTracker

    # The constructor updates its JSON file, which is not timed.
    with HyperparamTracker(root) as tracker:
        return {
            "best": _ms(lambda: tracker.get_best_model(METRIC), 9),
            "top 5": _ms(lambda: tracker.get_top_k_models(5, METRIC), 9),
            "compare": _ms(lambda: tracker.compare_models(METRICS[:3]), 5),
            "impact": _ms(
                lambda: tracker.get_hyperparameter_impact(MODELS[0], PARAMETER, METRIC), 5
            ),
        }


def _ask_mlflow(uri: str, *, compared: bool, repeats: int = 3) -> dict[str, float]:
    client = mlflow_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    order = [f"metrics.{METRIC} ASC"]

    def top(k: int) -> Any:
        return client.search_runs([experiment], order_by=order, max_results=k)

    def everything(where: str = "") -> list[Any]:
        runs, token = [], None
        while True:
            page = client.search_runs([experiment], where, max_results=50_000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def compare() -> list[Any]:
        return [
            (run.info.run_id, run.data.tags["model_name"], *map(run.data.metrics.get, METRICS[:3]))
            for run in everything()
        ]

    def impact() -> list[Any]:
        return sorted(
            (float(run.data.params[PARAMETER]), run.data.metrics[METRIC])
            for run in everything(f"tags.model_name = '{MODELS[0]}'")
        )

    times = {what: _ms(partial(top, k), repeats) for what, k in (("best", 1), ("top 5", 5))}
    if compared:
        times |= {"compare": _ms(compare, 1), "impact": _ms(impact, 1)}
    return times


def _cli(root: Path) -> float:
    words = ["list", "trials", "--sort", METRIC, "--limit", "1", "-o", "json"]
    command = [str(Path(sys.executable).parent / "podium"), *words, "--project", str(root)]
    return _ms(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), 7)


def _one_trial(place: Path) -> None:
    """Milliseconds that a training process spends on recording one trial."""
    folder = place / "model"
    folder.mkdir()
    for name, size in FILES.items():
        (folder / name).write_bytes(os.urandom(size))
    with ExitStack() as stack:
        flush = _flush(place, stack)
        ours = _podium_trial(place, folder, stack)
        logged = _logged_run(place, stack)
        theirs = _mlflow_trials(place, folder)
        # In turns: a flush may take thirty times as long a minute later.
        works = {"flush": (flush, 10), "ours": (ours, 6), "logged": (logged, 6)}
        cost = _in_turns({**works, **{what: (work, 1) for what, work in theirs.items()}})
    print(
        f"one recorded trial: {PARAMETERS} parameters, {EPOCHS} epochs of {len(CURVES)} metrics, "
        f"{len(TAGS)} tags, 2 files; a bare flush of 4 KiB takes {cost['flush']:.2f} ms"
    )
    print(f"  {'podium, flushed to the disk, files too':<46}{cost['ours']:8.1f} ms")
    for what in theirs:
        times = cost[what] / cost["ours"]
        met = f" (target {TIMES_LESS:.0f} x: {_met(TIMES_LESS, times)})" if what == FLUENT else ""
        print(f"  {what:<46}{cost[what]:8.1f} ms, {times:6.1f} x{met}")
    logged_ms = f"{cost['logged']:8.1f} ms"
    print(f"  {'HyperparamTracker.log_run, flushed, no files':<46}{logged_ms}\n", flush=True)


def _in_turns(works: dict[str, tuple[Callable[[], object], int]]) -> dict[str, float]:
    """Median milliseconds of each function, in rounds, so that load affects all equally."""
    times: dict[str, list[float]] = {what: [] for what in works}
    for turn in range(ROUNDS + 1):
        for what, (work, repeats) in works.items():
            spent = [_ms(work, 1) for _ in range(repeats)]
            times[what] += spent if turn else []
    return {what: statistics.median(all_) for what, all_ in times.items()}


def _podium_trial(place: Path, folder: Path, stack: ExitStack) -> Callable[[], object]:
    """A trial's start, its end with every epoch, its files and three notes; each flushed."""
    import numpy as np

    from podium import artifact
    from podium.ledger import writes
    from podium.ledger.ledger import Ledger
    from podium.trial import Ended, Epoch, Key, State, Task

    ledger = Ledger("sqlite:///trial.db", place, "p-bench", "bench")
    stack.callback(ledger.close)
    with ledger.transaction() as tx:
        study = writes.put_study(tx, "bench", {"question": "bench"})
    epochs = tuple(Epoch(0, n, dict.fromkeys(CURVES, 1.0 / n)) for n in range(1, EPOCHS + 1))
    losses = np.linspace(0, 1, 300, dtype=np.float32)
    numbers = itertools.count()

    def once() -> None:
        config = {f"p{n}": float(n) for n in range(PARAMETERS - 1)} | {"number": next(numbers)}
        key = Key("lstm", 1, config, "d" * 64, "t" * 64, "s" * 64, 0, 0)
        new = writes.NewTrial(key, "tune", config["number"], "mse", named=True)
        with ledger.transaction() as tx:
            [id_] = writes.start_trials(tx, study, [new], "e" * 64)
        task = Task(id_, config, 0, 0)
        ended = Ended(task, State.COMPLETE, 0.5, losses, epochs=epochs, best_epoch=EPOCHS)
        made = {"family": "lstm", "config": config}
        kept, path = artifact.store(place / "store", {"best_model": folder}, made, writer="bench")
        with ledger.transaction(durable=True) as tx:
            writes.end_trial(tx, ended, metric="mse", index_hash=None)
            writes.set_artifact(tx, id_, kept, f"{path}/best_model/model.pt")
            for name, value in TAGS.items():
                writes.put_note(tx, id_, f"{name}: {value}", "bench")

    return once


def _logged_run(place: Path, stack: ExitStack) -> Callable[[], object]:
    """Log a run of 20 parameters and 10 metrics as a user's script does."""
    from podium import HyperparamTracker

    tracker = stack.enter_context(HyperparamTracker(podium_store(place, 1)))
    parameters = {f"p{n}": float(n) for n in range(PARAMETERS)}
    return lambda: tracker.log_run("toto", parameters, dict.fromkeys(METRICS, 1.0))


def _mlflow_trials(place: Path, folder: Path) -> dict[str, Callable[[], object]]:
    """The same trial in three ways of MLflow."""
    import mlflow
    from mlflow.entities import Metric, Param, RunTag

    uri = f"sqlite:///{place / 'trial-mlflow.db'}"
    client = mlflow_client(uri)
    artifacts = str(place / "mlflow-artifacts")
    experiment = client.create_experiment(EXPERIMENT, artifact_location=artifacts)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=experiment)
    parameters = {f"p{n}": float(n) for n in range(PARAMETERS)}

    def fluent(*, each: bool) -> None:
        with mlflow.start_run():
            mlflow.log_params(parameters)
            for epoch in range(1, EPOCHS + 1):
                values = dict.fromkeys(CURVES, 1.0 / epoch)
                if each:
                    for name, value in values.items():
                        mlflow.log_metric(name, value, step=epoch)
                else:
                    mlflow.log_metrics(values, step=epoch)
            mlflow.set_tags(TAGS)
            for name in FILES:
                mlflow.log_artifact(str(folder / name))

    def batch() -> None:
        run = client.create_run(experiment).info.run_id
        metrics = [
            Metric(name, 1.0 / epoch, START, epoch)
            for epoch in range(1, EPOCHS + 1)
            for name in CURVES
        ]
        params = [Param(name, str(value)) for name, value in parameters.items()]
        tags = [RunTag(name, value) for name, value in TAGS.items()]
        client.log_batch(run, metrics, params, tags)
        for name in FILES:
            client.log_artifact(run, str(folder / name))
        client.set_terminated(run)

    return {
        FLUENT: partial(fluent, each=False),
        "MLflow fluent, a call a metric (log_metric)": partial(fluent, each=True),
        "MLflow client, everything in one log_batch": batch,
    }


def _beside_the_feeder(place: Path) -> None:
    """The same training with and without the process that feeds MLflow."""
    root = podium_store(place, WAITING)
    feeder = subprocess.Popen(
        [sys.executable, "-P", "-m", "podium.steps.workspace.feeder", str(root)],
        stdin=subprocess.PIPE,
        env={**os.environ, "PODIUM_MLFLOW_ENABLED": "true"},
        start_new_session=True,
    )
    try:
        started = _waiting(root, below=WAITING)
        print(f"a training beside the process that feeds MLflow ({os.cpu_count()} cores)")
        for workers in (1, 2):
            with multiprocessing.get_context("spawn").Pool(workers) as pool:
                times: dict[int, list[float]] = {signal.SIGSTOP: [], signal.SIGCONT: []}
                pool.map(_train, [1] * workers, 1)
                for _ in range(PAIRS):
                    for how, spent in times.items():
                        os.killpg(feeder.pid, how)
                        spent.append(_ms(partial(pool.map, _train, [STEPS] * workers, 1), 1))
                alone, beside = (statistics.median(spent) for spent in times.values())
            print(
                f"  on {workers} of them: {alone:.0f} ms alone, {beside:.0f} ms beside it: "
                f"{100 * (beside / alone - 1):+.1f} per cent"
            )
        left = _waiting(root)
        if not left:
            raise SystemExit("the feeder had nothing left to do before the last training ended")
        print(f"  it sent {started - left} of {started} waiting runs meanwhile\n", flush=True)
    finally:
        os.killpg(feeder.pid, signal.SIGKILL)


def _waiting(root: Path, below: int = sys.maxsize) -> int:
    """Wait until fewer than ``below`` items are pending for MLflow; return their number."""
    from podium.config import load
    from podium.ledger.record_reader import RecordReader
    from podium.steps.workspace.projections import standings

    config = load(root)
    reader = RecordReader(config.ledger.url, root, config.project.id)
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        states = standings(reader)
        if states and states[0].waiting < below:
            return states[0].waiting
        time.sleep(0.1)
    raise SystemExit("the feeder did not start to send")


def _train(steps: int) -> float:
    """Arithmetic on one processor, like the training of a small model."""
    import numpy as np

    weights = np.full((96, 96), 1e-3)
    for _ in range(steps):
        weights = np.tanh(weights @ weights + 1e-3)
    return float(weights.sum())


def _flush(place: Path, stack: ExitStack) -> Callable[[], object]:
    handle = stack.enter_context((place / "flush").open("ab"))

    def once() -> None:
        handle.write(b"x" * 4096)
        handle.flush()
        os.fsync(handle.fileno())

    return once


def _ms(work: Callable[[], object], repeats: int) -> float:
    """Median milliseconds of a function; the first call of a cheap one is not counted."""
    if repeats > 1:
        work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def _ms_text(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"


def _met(value: float, limit: float) -> str:
    return "met" if value <= limit else "MISSED"


if __name__ == "__main__":
    main()
