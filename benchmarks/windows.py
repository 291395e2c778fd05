"""Speed and memory of podium's windows, of materialised ones and of torch's DataLoader.

Run with ``make bench``, or directly. Each way serves windows of the same bars in a random order, in
batches. It runs in a separate process, which reports the growth of its peak memory since its
libraries were loaded and warm. The time to materialise windows is not included.

Then one epoch of the lstm family over those windows, compared with the memory of the bars plus one
batch: counted in bytes, and measured as the same training on a single batch, so that both sides
include the network's memory for a batch.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

# This process stays small, since a child's peak is at least its parent's size.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from podium.split import Windows

TICKERS, BARS, LENGTH, FEATURES = 50, 5_000, 128, 16
BATCH = 256
# Slow ways serve only a part of the windows; their rates are compared.
FEW = 40_000
# A network that is small beside the bars.
CONFIG = {
    "lstm_units": 16,
    "learning_rate": 1e-3,
    "batch_size": BATCH,
    "dropout": 0.0,
    "weight_decay": 1e-4,
    "layers": 1,
    "max_epochs": 1,
}
TARGET = 1.5
MIB = 2**20


def main() -> None:
    n = TICKERS * (BARS - LENGTH)
    print(
        f"{TICKERS} tickers x {BARS:,} bars x length {LENGTH} x {FEATURES} features: {n:,} windows "
        f"in batches of {BATCH}; load before the run {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} cores"
    )
    ways = {
        "podium, for torch": "gather",
        "podium, numpy": "numpy",
        "materialised": "materialised",
        "DataLoader, in process": "loader",
        "DataLoader, 2 workers": "workers",
    }
    results = {name: _child(way) for name, way in ways.items()}
    best = results["podium, for torch"]
    for name, one in results.items():
        rate, peak = one["windows"] / one["seconds"], one["peak"]
        print(
            f"{name:<24} {rate:>12,.0f} windows/s ({rate * best['seconds'] / best['windows']:.2f} "
            f"of podium's)   peak {peak:>7,.0f} MiB ({peak / best['peak']:.1f} x podium's)"
        )
    print("(2 workers: peak of the parent and of one worker together, shared pages counted twice)")
    epoch, batch = _child("train"), _child("train_one")
    print(
        f"one epoch of lstm over {epoch['windows']:,} windows: {epoch['seconds']:.0f} s, peak "
        f"{epoch['peak']:,.0f} MiB"
    )
    _verdict("bars plus one batch, measured by training on one batch", epoch, batch["peak"])
    _verdict("bars plus the inputs of one batch, counted in bytes", epoch, epoch["bytes"])


def _verdict(what: str, epoch: dict[str, Any], base: float) -> None:
    ratio = epoch["peak"] / base
    verdict = "met" if ratio <= TARGET else "MISSED"
    print(f"  against {what}: {base:.0f} MiB, ratio {ratio:.2f} (target {TARGET:g}, {verdict})")


def _child(way: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, way], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


# ------------------------------------------------------------------ in a child


def measure(way: str) -> None:
    import torch

    from podium.families import _torch_forecaster

    # A trial has one thread, and so has each way.
    torch.set_num_threads(1)
    if way.startswith("train"):
        from podium.families.lstm import FAMILY

        _fit(FAMILY(), _windows(2, LENGTH + 40))
    else:
        _torch_forecaster.gather(_windows(2, LENGTH + 2), torch.arange(2))
    before = _peak()
    windows = _windows(TICKERS, BARS)
    if way == "train_one":
        windows = type(windows)(windows.view, windows.item[:BATCH], windows.at[:BATCH])
    if way.startswith("train"):
        started = time.perf_counter()
        _fit(FAMILY(), windows)
        served = len(windows)
    else:
        serve = WAYS[way](windows)
        started = time.perf_counter()
        served = sum(serve)
    seconds = time.perf_counter() - started
    view = windows.view
    arrays = (view.features, view.increments, view.target, view.past, view.times)
    held = sum(array.nbytes for array in arrays) + BATCH * LENGTH * FEATURES * 4
    answer = {
        "windows": served,
        "seconds": seconds,
        "peak": _peak() - before,
        "bytes": held / MIB,
    }
    print(json.dumps(answer))


def _peak() -> float:
    """Peak memory of this process and of its largest child, MiB."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(one).ru_maxrss for one in whose) / 1024


def _windows(tickers: int, bars: int) -> Windows:
    """Every window with a label; the features are noise."""
    import numpy as np

    from podium.split import Windows
    from podium.view import View

    rng = np.random.default_rng(0)
    target = rng.standard_normal((bars, tickers))
    target[-1] = np.nan
    view = View(
        tickers=tuple(f"T{number:03d}" for number in range(tickers)),
        times=np.datetime64("2000-01-01", "s") + np.arange(bars) * np.timedelta64(1, "h"),
        feature_names=tuple(f"f{number}" for number in range(FEATURES)),
        features=rng.standard_normal((bars, tickers, FEATURES), dtype=np.float32),
        increments=np.zeros_like(target),
        target=target,
        past=np.zeros_like(target),
        aggregate=lambda mean, horizon: mean * horizon,
        horizon=1,
        window=LENGTH,
        centered=True,
    )
    # Untouched zeros take no memory yet.
    view.increments.fill(0.5)
    view.past.fill(0.5)
    return Windows.of(view, np.arange(LENGTH - 1, bars - 1))


def _fit(family: Any, windows: Windows) -> None:
    family.fit(CONFIG, windows, None, seed=0, report=lambda epoch, scores: None)


def _order(windows: Windows, most: int | None = None) -> Iterator[NDArray[np.int64]]:
    import numpy as np

    order = np.random.default_rng(1).permutation(len(windows))[:most]
    return iter(np.split(order, np.arange(BATCH, len(order), BATCH)))


def gather(windows: Windows) -> Iterator[int]:
    import torch

    from podium.families._torch_forecaster import gather

    return (len(gather(windows, torch.from_numpy(rows))) for rows in _order(windows))


def numpy(windows: Windows) -> Iterator[int]:
    return (len(_touched(windows.inputs(rows))) for rows in _order(windows))


def materialised(windows: Windows) -> Iterator[int]:
    import numpy as np
    import torch

    copies = np.empty((len(windows), LENGTH, FEATURES), dtype=np.float32)
    for start in range(0, len(windows), 4096):
        copies[start : start + 4096] = windows.inputs(slice(start, start + 4096))
    laid_out = torch.from_numpy(copies)
    return (len(laid_out[torch.from_numpy(rows)]) for rows in _order(windows))


def loader(windows: Windows, workers: int = 0) -> Iterator[int]:
    import torch
    from torch.utils.data import DataLoader, Dataset

    features = torch.from_numpy(windows.view.features)

    class Each(Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return FEW

        def __getitem__(self, row: int) -> torch.Tensor:
            at = int(windows.at[row])
            return features[at - LENGTH + 1 : at + 1, int(windows.item[row])]

    for batch in DataLoader(Each(), batch_size=BATCH, shuffle=True, num_workers=workers):
        yield len(batch)


def workers(windows: Windows) -> Iterator[int]:
    return loader(windows, workers=2)


def _touched(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """The batch in one array, as a network receives it."""
    import numpy as np

    return np.ascontiguousarray(batch)


WAYS: dict[str, Callable[[Windows], Iterator[int]]] = {
    "gather": gather,
    "numpy": numpy,
    "materialised": materialised,
    "loader": loader,
    "workers": workers,
}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        main()
