"""Bars of podium.toml's datasets, and slots that forecast them."""

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

# Stages that are verbs of their own name.
_VERBS = ("tune", "extend", "analyze", "finalize", "backtest", "evaluate", "promote")
# Keys of a dataset's table that concern what was read.
_AFTER_READING = (
    "members", "resample", "day_starts_at", "week_ends", "validation", "evaluation", "covariates",
)  # fmt: skip


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
    if registry.holds(section.task) != forecast.HOLDS:
        raise UsageError(
            f"slot {slot} is a {section.task} slot",
            "a slot that forecasts",
            f"the stages of this one: podium {', '.join(verbs_of(section.task))}",
        )
    return section


def verbs_of(task: str) -> list[str]:
    """Verbs that are stages of a task's pipeline, in their order."""
    return [name for name in registry.constant("tasks", task, "STAGES") if name in _VERBS]


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
    require_task(config, slot)
    return forecast.TASK.open(
        config, slot, dataset or load_dataset(config, config.slot(slot).dataset, say=say)
    )
