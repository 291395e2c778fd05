"""What torch families share: gathering windows, one thread a trial, prediction in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from podium.dataset import Floats
from podium.errors import UsageError
from podium.split import Windows

BATCH = 1024


DEVICES = ("cpu", "cuda", "mps", "auto")


def device_of(name: str) -> torch.device:
    """The device of that name; ``auto`` is the fastest that is there.

    Raises
    ------
    UsageError
        There is none of that name, or not on this machine.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, found in there.items() if found)
    if not there.get(name, False):
        found = ", ".join(device for device, usable in there.items() if usable)
        raise UsageError(
            f"device is '{name}'" + (", and this machine has none" if name in there else ""),
            f"one of {', '.join(DEVICES)}; usable here: {found}",
        )
    return torch.device(name)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, then give the caller's setting back.

    Sums over several threads differ in the last bit with their number; with one, a trial gives
    the same numbers whatever runs beside it. Small models gain nothing from a second.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def gather(windows: Windows) -> Callable[[Tensor], Tensor]:
    """Function that gathers the (B, L, F) inputs of some rows; the features are not copied."""
    # Over such strides numpy gathers several times faster than torch does.
    return lambda rows: torch.from_numpy(windows.inputs(rows.numpy()))


def predict_in_batches(forecast: Callable[[Tensor], Tensor], windows: Windows) -> Floats:
    """Forecasts (N,) of all windows, without gradients."""
    batch = gather(windows)
    with one_thread(), torch.inference_mode():
        parts = [forecast(batch(rows)) for rows in torch.split(torch.arange(len(windows)), BATCH)]
    return torch.cat(parts).double().numpy() if parts else np.empty(0)
