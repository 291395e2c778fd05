"""A slot's data as its task sees it: features, target, and the line before the sealed test."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from podium import registry
from podium.config import Config, SlotSection
from podium.dataset import Dataset, Floats, View
from podium.errors import DataError, Problem, UsageError
from podium.hashing import digest
from podium.split import Indices


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
    view = build_view(dataset.slice(0, stop), section)
    return SlotData(slot, section, dataset, view, view.until(start), start, task_hash(section))


def task_hash(section: SlotSection) -> str:
    """SHA-256 of what turns bars into samples."""
    versions = {
        f"{kind}/{name}": getattr(registry.load(kind, name), "VERSION", 1)
        for kind, names in (
            ("features", [spec.partition(":")[0] for spec in section.features]),
            ("targets", [section.target]),
        )
        for name in names
    }
    parts = [section.features, section.target, section.horizon, section.window, versions]
    return digest(parts)


def build_view(dataset: Dataset, section: SlotSection) -> View:
    """View of a dataset through a slot's features and target."""
    target = registry.load("targets", section.target)
    increments = target.increments(dataset)
    past = target.aggregate(_trailing_mean(increments, section.horizon), section.horizon)
    future = np.full_like(past, np.nan)
    future[: -section.horizon] = past[section.horizon :]
    columns = [compute(dataset) for compute in _features(section.features)]
    features = np.stack(columns, axis=-1).astype(np.float32)
    _require_finite(dataset, section.features, features)
    return View(
        tickers=dataset.tickers,
        times=dataset.times,
        feature_names=section.features,
        features=features,
        increments=increments,
        target=future,
        past=past,
        aggregate=target.aggregate,
        horizon=section.horizon,
        window=section.window,
        centered=target.CENTERED,
    )


def _features(specs: tuple[str, ...]) -> list[Callable[[Dataset], Floats]]:
    """Functions of feature specs such as ``log_return`` or ``log_volatility:21``."""
    found: list[Callable[[Dataset], Floats]] = []
    problems: list[Problem] = []
    for spec in specs:
        name, _, rest = spec.partition(":")
        compute = registry.load("features", name).compute
        numbers = rest.split(":") if rest else []
        takes = len(inspect.signature(compute).parameters) - 1
        if len(numbers) > takes or not all(n.isdigit() and int(n) > 0 for n in numbers):
            problems.append(
                Problem(
                    f"feature '{spec}'", f"'{name}' and at most {takes} whole number(s) above 0"
                )
            )
            continue
        found.append(_bound(compute, [int(n) for n in numbers]))
    if problems:
        raise UsageError.of(problems)
    return found


def _bound(compute: Callable[..., Any], numbers: list[int]) -> Callable[[Dataset], Floats]:
    return lambda dataset: compute(dataset, *numbers)


def _trailing_mean(values: Floats, bars: int) -> Floats:
    """Mean of each row and the ``bars - 1`` before it; NaN while there are too few."""
    means = np.full_like(values, np.nan)
    if len(values) >= bars:
        means[bars - 1 :] = sliding_window_view(values, bars, axis=0).mean(axis=-1)
    return means


def _require_finite(dataset: Dataset, names: tuple[str, ...], features: np.ndarray) -> None:
    """Refuse a feature that is unknown after its warm-up."""
    known = np.isfinite(features)
    started = np.maximum.accumulate(known, axis=0)
    bad = np.argwhere(started & ~known)
    if len(bad):
        bar, ticker, feature = bad[0]
        raise DataError(
            f"feature '{names[feature]}' of {dataset.tickers[ticker]} is not finite at "
            f"{dataset.times[bar]} ({len(bad)} such values)",
            "finite values after the warm-up",
            "correct the bars or leave the feature out",
        )
