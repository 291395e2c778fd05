"""What torch families share: gathering windows, one thread a trial, prediction in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from podium.dataset import Floats
from podium.split import Windows

BATCH = 1024


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
