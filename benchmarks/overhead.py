"""Overhead of podium: a trial without training, a reported epoch, the start of the command.

Run with ``make bench``. Each figure has a baseline from the same run: a bare flush to the same
disk, the same loop without podium, a bare interpreter.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

FAMILY = '''
"""Fits nothing, so that only podium's overhead is left."""
import time
from podium.families._base import Family, Model
from podium.prediction import Prediction
from podium.space import Float, Space

class Nothing(Model):
    def predict(self, windows):
        return Prediction.of(windows, windows.view.past[windows.at, windows.item])
    def save(self, folder):
        (folder / "nothing.txt").write_text("nothing")

class NothingFamily(Family):
    name = "nothing"
    def space(self, view):
        return Space({f"p{i}": Float(0.0, 1.0) for i in range(5)}, {"max_epochs": 1},
                     {"max_epochs": Float(0, 1e6)})
    def fit(self, config, train, validation, *, seed, report):
        for epoch in range(1, int(config["max_epochs"]) + 1):
            report(epoch, {"train_loss": 1.0 / epoch, "val_loss": 2.0 / epoch,
                           "train_mae": 1.0, "val_mae": 2.0})
        return Nothing()
    def load(self, read):
        return Nothing()

FAMILY = NothingFamily
'''


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        _install_family(place / "site")
        flush = _flush(place)
        print(f"bare flush of a 4 KiB append: {flush:.3f} ms (median of 50)")
        print()
        limit = 3 + 2 * flush
        print(
            f"one trial without training (5 parameters); target 3 ms + 2 flushes = {limit:.2f} ms"
        )
        for search, trials in (("random", 400), ("tpe", 48), ("tpe", 400)):
            alone = _optuna(trials) if search == "tpe" else 0.0
            for runner in ("inline", "local"):
                place_here = place / f"{search}-{trials}-{runner}"
                ms = _trial(place_here, search, runner, trials=trials, epochs=1)
                print(
                    f"  {search:<6} {trials:>3} trials, {runner:<6} {ms:5.2f} ms a trial, of which"
                    f" Optuna alone {alone:.2f}, podium {ms - alone:.2f}"
                    f" ({'met' if ms <= limit else 'MISSED'})"
                )
        print()
        few = _trial(place / "few", "random", "inline", trials=64, epochs=1)
        many = _trial(place / "many", "random", "inline", trials=64, epochs=1000)
        each = (many - few) / 999
        print(
            f"one reported epoch (4 metrics) over the bare loop: {each:.4f} ms; target 0.05 ms"
            f" ({'met' if each <= 0.05 else 'MISSED'})"
        )
        print()
        print(
            f"a trial's end in the log: {_log_line(place / 'logged'):.1f} us, part of the figures "
            "above (not flushed to the disk)"
        )
        print()
        bare = _command([sys.executable, "-c", "pass"])
        start = _command([str(Path(sys.executable).parent / "podium"), "--help"])
        print(
            f"podium --help {start:.0f} ms, bare interpreter {bare:.0f} ms: {start / bare:.1f} "
            f"times; target at most 5 ({'met' if start <= 5 * bare else 'MISSED'})"
        )


def _install_family(site: Path) -> None:
    """Register the family as an installed package does: by an entry point."""
    info = site / "podium_bench-0.dist-info"
    info.mkdir(parents=True)
    (site / "podium_bench.py").write_text(FAMILY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: podium-bench\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[podium.families]\nnothing = podium_bench\n")
    sys.path.insert(0, str(site))


def _flush(place: Path) -> float:
    path, times = place / "flush", []
    with path.open("ab") as handle:
        for _ in range(50):
            started = time.perf_counter()
            handle.write(b"x" * 4096)
            handle.flush()
            os.fsync(handle.fileno())
            times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def _log_line(root: Path) -> float:
    """Median time of one line of a trial's end over batches, in microseconds."""
    from podium.steps.archive.init import init
    from podium.steps.workspace.session import open_project
    from podium.trial import Ended, Epoch, State, Task

    init(root, demo=True)
    task = Task("t-0123456789abc", {"learning_rate": 0.001}, 0, 7)
    epochs = tuple(Epoch(0, n, {"val_loss": 0.5}) for n in range(1, 13))
    ended = Ended(task, State.COMPLETE, score=0.1797, epochs=epochs, seconds=1.5, best_epoch=7)
    times = []
    with open_project(root) as project, project.locked("us4/D/volatility", "tune"):
        for _ in range(50):
            started = time.perf_counter()
            for number in range(100):
                project.log.trial_ended("us4/D/volatility", "tune/tpe", number, "mse", ended)
            times.append((time.perf_counter() - started) / 100)
    return 1e6 * statistics.median(times)


def _trial(root: Path, search: str, runner: str, *, trials: int, epochs: int) -> float:
    """Median time from one generation to the next, in ms a trial."""
    from podium.steps.archive.init import init
    from podium.steps.search import tune
    from podium.steps.workspace.session import open_project

    init(root, demo=True)
    toml = (root / "podium.toml").read_text().replace('["lstm"]', '["nothing"]')
    (root / "podium.toml").write_text(toml)
    stamps: list[float] = []

    class Clock:
        def say(self, text: str) -> None: ...

        def progress(self, label: str, done: int, total: int, note: str = "") -> None:
            stamps.append(time.perf_counter())

    flags = {
        "tune.trials": trials,
        "tune.search": search,
        "tune.epochs": epochs,
        "runner.name": runner,
        "runner.jobs": 2,
    }
    slot = "us4/D/volatility"
    with (
        open_project(root, settings=flags, reporter=Clock()) as project,
        project.locked(slot, "tune"),
    ):
        tune.tune(project, slot)
        size = project.config.tune.generation
    # From the last trial of a generation to the last of the next: ask, start, run, end, tell.
    ends = stamps[size - 1 :: size]
    return 1000 * statistics.median(b - a for a, b in itertools.pairwise(ends)) / size


def _optuna(trials: int) -> float:
    """Time of Optuna's ask and tell in the same generations, in ms a trial."""
    from podium.searches.tpe import TPESearch
    from podium.space import Float, Space

    search = TPESearch(Space({f"p{i}": Float(0.0, 1.0) for i in range(5)}), seed=7)
    times = []
    for start in range(0, trials, 8):
        numbers = range(start, start + 8)
        started = time.perf_counter()
        for number, config in zip(numbers, search.ask(numbers), strict=True):
            search.tell(number, config, float(number % 7))
        times.append((time.perf_counter() - started) / 8)
    return 1000 * statistics.median(times)


def _command(words: list[str], repeats: int = 21) -> float:
    def once() -> float:
        started = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started

    return 1000 * _median(once, repeats)


def _median(measure: Callable[[], float], repeats: int) -> float:
    measure()
    return statistics.median(measure() for _ in range(repeats))


if __name__ == "__main__":
    main()
