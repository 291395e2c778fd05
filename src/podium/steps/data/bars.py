"""Bars of podium.toml's datasets, and the data of forecast slots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from podium import registry
from podium.config import FILE, Config, holds_sequences
from podium.dataset import Dataset
from podium.errors import DataError, NotFoundError, UsageError, suggest
from podium.readers._members import with_members
from podium.resample import resample
from podium.sections import DatasetSection, SlotSection
from podium.tasks import forecast
from podium.tasks.forecast import SlotData
from podium.timeframe import is_dated

# Stages that are verbs of the same name.
_VERBS = ("tune", "extend", "analyze", "finalize", "backtest", "evaluate", "promote")
# Keys of a dataset's table that apply after reading.
_AFTER_READING = (
    "members", "resample", "day_starts_at", "week_ends", "validation", "evaluation", "covariates",
)  # fmt: skip


def reading_options(section: DatasetSection) -> dict[str, Any]:
    """Return the keys of a dataset's table that are arguments of its reader."""
    names = {key.name for key in fields(section)} - {"path", "reader", *_AFTER_READING}
    options, defaults = {name: getattr(section, name) for name in names}, DatasetSection(path="")
    # A plugin reader need not accept other keys that are unset.
    return {
        name: value
        for name, value in options.items()
        if name in ("tickers", "timeframe", "adjust") or value != getattr(defaults, name)
    }


def load_dataset(config: Config, name: str, *, say: Callable[[str], None] | None = None) -> Dataset:
    """Load a dataset of bars with its covariates: read, checked, repaired and resampled.

    Parameters
    ----------
    say : callable, optional
        Receives a message about each repair.

    Raises
    ------
    DataError
        Every error of the files.
    UsageError
        The dataset holds sequences.
    """
    section = dataset_section(config, name)
    if holds_sequences(section.reader):
        raise UsageError(f"dataset '{name}' holds sequences", "a dataset of bars")
    dataset: Dataset = registry.load("readers", section.reader).read(
        config.root / section.path, name=name, **reading_options(section)
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
    # Imported here: the readers import pandas.
    from podium.readers._findings import has_errors, problems
    from podium.steps.data.covariates import LEFT_OUT, with_covariates

    made, findings = with_covariates(config.root, section, dataset)
    if has_errors(findings):
        raise DataError.of(problems(findings))
    left_out = [one.found for one in findings if one.what == LEFT_OUT]
    return replace(made, notes=(*made.notes, *left_out))


def resampled(dataset: Dataset, section: DatasetSection) -> Dataset:
    """Return the bars in the ``resample`` timeframe of their table."""
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
    """Return a dataset's table; NotFoundError suggests near names."""
    if name not in config.datasets:
        raise NotFoundError(f"no dataset '{name}' in {FILE}", fix=suggest(name, config.datasets))
    return config.datasets[name]


def require_task(config: Config, slot: str) -> SlotSection:
    """Return the section of a slot that forecasts.

    Raises
    ------
    UsageError
        The slot has another task.
    """
    section = config.slot(slot)
    if registry.holds(section.task) != forecast.HOLDS:
        fix = f"the stages of this one: podium {', '.join(verbs_of(section.task))}"
        raise UsageError(f"slot {slot} is a {section.task} slot", "a slot that forecasts", fix)
    return section


def verbs_of(task: str) -> list[str]:
    """Return the verbs of a task's pipeline in order."""
    return [name for name in registry.constant("tasks", task, "STAGES") if name in _VERBS]


def slot_data(
    config: Config,
    slot: str,
    dataset: Dataset | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> SlotData:
    """Return the data of a slot for its splitters and families.

    Parameters
    ----------
    say : callable, optional
        Receives a message about each repair.

    Raises
    ------
    DataError
        The files have errors, a feature is not finite after its warm-up, or the test is too short.
    """
    section = require_task(config, slot)
    dataset = dataset or load_dataset(config, section.dataset, say=say)
    return forecast.TASK.open(config, slot, dataset)
