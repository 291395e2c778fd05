"""A slot's data as its task sees it: features, target, and the line before the sealed test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from podium import plugin, registry
from podium.config import FILE, Config, DatasetSection, SlotSection, holds_sequences
from podium.dataset import Dataset
from podium.errors import DataError, NotFoundError, UsageError, suggest
from podium.hashing import digest
from podium.readers._members import with_members
from podium.resample import resample
from podium.split import Indices, Windows
from podium.timeframe import is_dated
from podium.view import View

# Keys of a dataset's table that concern what was read.
_AFTER_READING = (
    "members", "resample", "day_starts_at", "week_ends", "validation", "evaluation", "covariates",
)  # fmt: skip


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
    def test_windows(self) -> Windows:
        """What the sealed test asks: every window of it that has an outcome."""
        return Windows.of(self.view, self.test_bars).labelled()

    @property
    def test_interval(self) -> tuple[str, str]:
        """First and last bar of the sealed test, ISO 8601."""
        return str(self.view.times[self.test_start]), str(self.view.times[-1])


def reading_options(section: DatasetSection) -> dict[str, Any]:
    """What a dataset's table says to its reader beyond what every reader is told."""
    told = {
        key.name: getattr(section, key.name)
        for key in fields(section)
        if key.name not in ("path", "reader", "tickers", "timeframe", "adjust", *_AFTER_READING)
    }
    # A reader of another package need not know the keys that nobody set.
    bare = DatasetSection(path="")
    return {name: value for name, value in told.items() if value != getattr(bare, name)}


def load_dataset(config: Config, name: str, *, say: Callable[[str], None] | None = None) -> Dataset:
    """Bars of that name: read, checked, repaired and resampled as their table says, covariates too.

    Parameters
    ----------
    say : callable, optional
        Hears what was repaired.

    Raises
    ------
    DataError
        With everything that is wrong in the files.
    UsageError
        The dataset holds sequences.
    """
    section = dataset_section(config, name)
    if holds_sequences(section.reader):
        raise UsageError(f"dataset '{name}' holds sequences", "a dataset of bars")
    dataset: Dataset = registry.load("readers", section.reader).read(
        config.root / section.path,
        name=name,
        tickers=section.tickers,
        timeframe=section.timeframe,
        adjust=section.adjust,
        **reading_options(section),
    )
    if section.members:
        dataset = with_members(dataset, config.root / section.members)
    for note in dataset.notes:
        if say:
            say(f"dataset '{name}' repaired: {note}")
    return _with_covariates(config, section, resampled(dataset, section))


def _with_covariates(config: Config, section: DatasetSection, dataset: Dataset) -> Dataset:
    if not section.covariates:
        return dataset
    # pandas comes with the readers, and only to who reads.
    from podium.readers._findings import has_errors, problems
    from podium.steps.data.covariates import LEFT_OUT, with_covariates

    made, findings = with_covariates(config.root, section, dataset)
    if has_errors(findings):
        raise DataError.of(problems(findings))
    left_out = [one.found for one in findings if one.what == LEFT_OUT]
    return replace(made, notes=(*made.notes, *left_out))


def resampled(dataset: Dataset, section: DatasetSection) -> Dataset:
    """The bars in the timeframe their table asks for."""
    if not section.resample:
        return dataset
    return resample(
        dataset,
        section.resample,
        timezone=section.exchange_timezone or section.timezone,
        day_starts_at=section.day_starts_at,
        week_ends=section.week_ends,
        dated=is_dated(section.timeframe) and not section.stamp,
    )


def dataset_section(config: Config, name: str) -> DatasetSection:
    """A dataset's table, or NotFoundError with near names."""
    if name not in config.datasets:
        raise NotFoundError(f"no dataset '{name}' in {FILE}", fix=suggest(name, config.datasets))
    return config.datasets[name]


def require_task(config: Config, slot: str) -> SlotSection:
    """Section of a slot that forecasts.

    Raises
    ------
    UsageError
        It does something else.
    """
    section = config.slot(slot)
    if section.task != "forecast":
        raise UsageError(
            f"slot {slot} is there to {section.task}",
            "a slot that forecasts",
            "the road of a slot that classifies: podium tune, train, evaluate, sign, promote",
        )
    return section


def slot_data(
    config: Config,
    slot: str,
    dataset: Dataset | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> SlotData:
    """Data of a slot, ready for its splitters and families.

    Parameters
    ----------
    say : callable, optional
        Hears what was repaired in the files.

    Raises
    ------
    DataError
        The files are wrong, a feature is not finite where it should be, or the test is too short
        to judge anything.
    """
    section = require_task(config, slot)
    dataset = dataset or load_dataset(config, section.dataset, say=say)
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
    data = SlotData(slot, section, dataset, view, view.until(start), start, task_hash(section))
    if view.members is not None and not len(data.test_windows):
        raise DataError(
            f"slot {slot}: no member has a whole window and a label in the test from "
            f"{section.test_from}",
            "members with bars in the test",
            "look at their lives: podium check " + section.dataset,
        )
    return data


def plugin_versions(section: SlotSection) -> dict[str, str]:
    """Content of the plugins that turn bars into samples, by kind and name."""
    used = [("features", spec.partition(":")[0]) for spec in section.features]
    return plugin.versions([*used, ("targets", section.target)])


def task_hash(section: SlotSection) -> str:
    """SHA-256 of what turns bars into samples, and of a metric that is a plugin."""
    return digest(list(task_spec(section).values()))


def task_spec(section: SlotSection) -> dict[str, Any]:
    """What turns bars into samples: the section's settings, and versions of what they name."""
    versions = {
        f"{kind}/{name}": registry.version(kind, name)
        for kind, names in (
            ("features", [spec.partition(":")[0] for spec in section.features]),
            ("targets", [section.target]),
        )
        for name in names
    }
    # A trial's score is its metric's; podium's own are not in the hashes of records there are.
    metric = registry.versioned("metrics", section.metric)
    if metric != section.metric:
        versions["metrics"] = metric
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
