"""A slot's data as its task sees it: features, target, and the line before the sealed test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from podium import registry
from podium.config import Config, SlotSection
from podium.dataset import Dataset
from podium.errors import DataError
from podium.hashing import digest
from podium.split import Indices
from podium.view import View


@dataclass(frozen=True, eq=False)
class SlotData:
    """A slot's dataset, its view, and where the sealed test begins and ends.

    Parameters
    ----------
    view : View
        All bars up to the end of the test.
    tuning : View
        The bars before the test, and nothing else: what searches and training are given.
    test_start : int
        First decision bar of the test.
    task_hash : str
        What the view was made by: features, target, horizon, window and their versions.
    """

    slot: str
    section: SlotSection
    dataset: Dataset
    view: View
    tuning: View
    test_start: int
    task_hash: str

    @property
    def test_bars(self) -> Indices:
        """Decision bars of the test whose target is known."""
        return np.arange(self.test_start, self.view.last_labelled + 1, dtype=np.int64)

    @property
    def test_interval(self) -> tuple[str, str]:
        """First and last bar of the sealed test, ISO 8601."""
        return str(self.view.times[self.test_start]), str(self.view.times[-1])


def load_dataset(config: Config, name: str) -> Dataset:
    """Dataset of that name, read and checked."""
    section = config.datasets[name]
    dataset: Dataset = registry.load("readers", section.reader).read(
        config.root / section.path,
        name=name,
        tickers=section.tickers,
        timeframe=section.timeframe,
        adjust=section.adjust,
    )
    return dataset


def slot_data(config: Config, slot: str, dataset: Dataset | None = None) -> SlotData:
    """Data of a slot, ready for its splitters and families.

    Raises
    ------
    DataError
        The files are wrong, a feature is not finite where it should be, or the test is too short
        to judge anything.
    """
    section = config.slot(slot)
    dataset = dataset or load_dataset(config, section.dataset)
    stop = len(dataset)
    if section.test_to:
        stop = int(np.searchsorted(dataset.times, np.datetime64(section.test_to, "s"), "right"))
    start = dataset.bar_at_or_after(section.test_from)
    needed = 30 + section.horizon
    if stop - start < needed:
        raise DataError(
            f"slot {slot}: the test from {section.test_from} has {max(0, stop - start)} bars",
            f"at least {needed}",
            f"set an earlier test_from; the data end at {dataset.times[-1]}",
        )
    view = view_of(dataset.slice(0, stop), section)
    return SlotData(slot, section, dataset, view, view.until(start), start, task_hash(section))


def task_hash(section: SlotSection) -> str:
    """SHA-256 of what turns bars into samples."""
    return digest(list(task_spec(section).values()))


def task_spec(section: SlotSection) -> dict[str, Any]:
    """What turns bars into samples: the section's settings, and versions of what they name."""
    versions = {
        f"{kind}/{name}": getattr(registry.load(kind, name), "VERSION", 1)
        for kind, names in (
            ("features", [spec.partition(":")[0] for spec in section.features]),
            ("targets", [section.target]),
        )
        for name in names
    }
    # The order of these is part of the hash.
    return {
        "features": section.features,
        "target": section.target,
        "horizon": section.horizon,
        "window": section.window,
        "versions": versions,
    }


def view_of(dataset: Dataset, section: SlotSection) -> View:
    """A dataset as a slot's task sees it."""
    return View.of(
        dataset,
        features=section.features,
        target=section.target,
        horizon=section.horizon,
        window=section.window,
    )
