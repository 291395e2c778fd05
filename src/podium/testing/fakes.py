"""A family that fails on demand: it raises, diverges, or kills its process."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from podium.families._base import DivergedError, Family, Keep, Model, Report
from podium.prediction import Prediction
from podium.space import Choice, ConfigDict, Space
from podium.split import Windows
from podium.trial import Epoch, Fitted, Stopped
from podium.view import View

NAME = "misbehaving"
FITS, RAISES, DIVERGES, DIES, SLEEPS = "fits", "raises", "diverges", "dies", "sleeps"
PREDICT_RAISES, NOT_FINITE, FORGETS = "predict raises", "forecasts nan", "forgets"
HANGS, SWELLS = "hangs", "swells"
# Trains two epochs and reports the number of epochs before the start.
TRAINS = "trains"
REASON = "the fake fails on demand"
NAP = 0.5
# Longer than any time limit, and larger than any memory limit.
LONG, LARGE = 600.0, 2**29


class Constant(Model):
    """Forecasts the number of the process of its training."""

    def __init__(self, does: str, value: float) -> None:
        self.does, self.value = does, value

    def predict(self, windows: Windows) -> Prediction:
        """The same number for every window."""
        if self.does == PREDICT_RAISES:
            raise RuntimeError(REASON)
        return Prediction.of(windows, np.full(len(windows), self.value))

    def save(self, folder: Path) -> None:
        """Write the number."""
        (folder / "value.txt").write_text(str(self.value))


class MisbehavingFamily(Family):
    """Family whose config sets its behaviour."""

    name = NAME
    resumable = True

    def space(self, view: View) -> Space:
        """The known behaviours."""
        del view
        known = (FITS, RAISES, DIVERGES, DIES, SLEEPS, PREDICT_RAISES, NOT_FINITE, FORGETS)
        return Space({"does": Choice((*known, HANGS, SWELLS, TRAINS))})

    def fit(
        self,
        config: ConfigDict,
        train: Windows,
        validation: Windows | None,
        *,
        seed: int,
        report: Report,
        keep: Keep | None = None,
        parent: Model | None = None,
    ) -> Constant:
        """Behave as configured."""
        self.refuse_parent(parent)
        del train, validation, seed
        does = str(config["does"])
        if does == RAISES:
            raise RuntimeError(REASON)
        if does == DIVERGES:
            raise DivergedError(REASON)
        if does == DIES:
            os.kill(os.getpid(), signal.SIGKILL)
        if does == SLEEPS:
            time.sleep(NAP)
        if does == SWELLS:
            swollen = bytearray(b"x") * LARGE
            time.sleep(LONG)
            del swollen
        if does == HANGS:
            time.sleep(LONG)
        if does == TRAINS:
            state = None if keep is None else keep.last()
            had = 0 if state is None else int(state)
            for epoch in (1, 2):
                report(epoch, {"had": float(had)})
                if keep is not None and epoch > had and keep.wants(epoch):
                    keep.put(epoch, str(epoch).encode(), best=True)
        return Constant(does, float("nan") if does == NOT_FINITE else float(os.getpid()))

    def fit_many(
        self,
        configs: Sequence[ConfigDict],
        train: Windows,
        validation: Windows | None,
        *,
        seeds: Sequence[int],
        keeps: Sequence[Keep | None] | None = None,
        parent: Model | None = None,
    ) -> Iterator[Epoch | Fitted | Stopped]:
        """Events of ``fit``, except for configs that it forgets."""
        self.refuse_parent(parent)
        for event in super().fit_many(configs, train, validation, seeds=seeds, keeps=keeps):
            if configs[event.trial]["does"] != FORGETS:
                yield event

    def load(self, read: Callable[[str], bytes]) -> Constant:
        """Model with the saved number."""
        return Constant(FITS, float(read("value.txt")))


FAMILY = MisbehavingFamily


@contextmanager
def installed() -> Iterator[str]:
    """Register the family like an installed package, in this process and its children.

    Yields
    ------
    str
        Name of the family in the registry.
    """
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / "podium_fakes-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: podium-fakes\nVersion: 1\n")
        entry = f"[podium.families]\n{NAME} = {__name__}\n"
        (info / "entry_points.txt").write_text(entry)
        # Worker processes inherit the path of their parent.
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        try:
            yield NAME
        finally:
            sys.path.remove(folder)
            importlib.invalidate_caches()
