"""Data of a slot that classifies: training, validation and evaluation samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from podium import registry
from podium.config import Config, holds_sequences
from podium.errors import DataError, Problem, UsageError
from podium.feature_stats import FeatureStats
from podium.sequences import Sequences
from podium.steps.data.bars import dataset_section, slot_data
from podium.tasks import classify
from podium.tasks.classify import ClassData
from podium.tasks.forecast import SlotData

# Data of a slot of podium.toml.
TaskData = SlotData | ClassData


def task_data(config: Config, slot: str, *, say: Callable[[str], None] | None = None) -> TaskData:
    """Return the data of a slot of any task; ``say`` receives a message about each repair."""
    if registry.holds(config.slot(slot).task) == classify.HOLDS:
        return class_data(config, slot)
    return slot_data(config, slot, say=say)


def class_data(
    config: Config,
    slot: str,
    *,
    training: Path | None = None,
    validation: Path | None = None,
    stats: FeatureStats | None = None,
) -> ClassData:
    """Return the samples of a slot that classifies.

    Parameters
    ----------
    training, validation : Path, optional
        Files that replace those of the dataset.
    stats : FeatureStats, optional
        Scaling that replaces that of the training samples.

    Raises
    ------
    DataError
        A file is invalid, the files differ in features or classes, or there are no validation
        samples.
    UsageError
        The slot has another task, or its metric is one of forecasts.
    """
    section = config.slot(slot)
    if registry.holds(section.task) != classify.HOLDS:
        raise UsageError(f"slot {slot} is a {section.task} slot", "a slot that classifies")
    # Before any file is read.
    classify.TASK.require_metric(section.metric)
    files = {"training": training, "validation": validation}
    train, held_out = load_sequences(config, section.dataset, **files)
    if stats is not None:
        stats.require(train.feature_names, "the given feature stats")
        train = replace(train, stats=stats)
    return classify.TASK.open(config, slot, (train, held_out))


def read_stats(path: Path) -> FeatureStats:
    """Read feature stats from a JSON file.

    Raises
    ------
    DataError
        The file is unreadable, or lacks the mean and spread of a feature.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "feature stats") from None
    return FeatureStats.parse(text, str(path))


def load_sequences(
    config: Config, name: str, *, training: Path | None = None, validation: Path | None = None
) -> tuple[Sequences, Sequences | None]:
    """Return training samples, and validation samples if the dataset has a file of them.

    Raises
    ------
    DataError
        A file is invalid, or the two differ in features or classes.
    UsageError
        The dataset holds bars.
    """
    section = dataset_section(config, name)
    if not holds_sequences(section.reader):
        raise UsageError(f"dataset '{name}' holds bars", "a dataset of sequences (reader npz)")
    read = registry.load("readers", section.reader).read
    path = training or config.root / section.path
    other = validation or (config.root / section.validation if section.validation else None)
    train: Sequences = read(path, name=name)
    if other is None:
        return train, None
    names = str(training or section.path), str(validation or section.validation)
    return agreeing(name, [(names[0], train), (names[1], read(other, name=name))])


def evaluation_data(config: Config, slot: str, like: Sequences) -> Sequences | None:
    """Return the samples of a slot's evaluation file, None if it has none.

    Raises
    ------
    DataError
        The file has other features or classes than the slot's samples.
    """
    section = dataset_section(config, config.slot(slot).dataset)
    if not section.evaluation:
        return None
    return read_like(config.root / section.evaluation, like, section.reader)


def read_like(path: Path, like: Sequences, reader: str = "npz") -> Sequences:
    """Read samples with the features and classes of others.

    Raises
    ------
    DataError
        The file has other features or classes.
    """
    samples: Sequences = registry.load("readers", reader).read(path, name=like.name)
    return agreeing(like.name, [("the slot's samples", like), (str(path), samples)])[1]


def agreeing(name: str, files: Sequence[tuple[str, Sequences]]) -> tuple[Sequences, Sequences]:
    """Return the samples of two files with one list of classes.

    Raises
    ------
    DataError
        Every difference in features or classes.
    """
    (path, train), (other, validation) = files
    # Numbered classes have no names, and one file may lack the last ones.
    classes = max(train.class_names, validation.class_names, key=len)
    train, validation = (
        replace(part, class_names=classes)
        if part.class_names and classes[: len(part.class_names)] == part.class_names
        else part
        for part in (train, validation)
    )
    problems = [
        Problem(
            f"dataset '{name}': {what} of {other} are "
            f"{', '.join(getattr(validation, key)) or 'none'}",
            f"those of {path}: {', '.join(getattr(train, key)) or 'none'}",
        )
        for key, what in (("feature_names", "features"), ("class_names", "classes"))
        if getattr(validation, key) != getattr(train, key)
    ]
    DataError.raise_for(problems)
    return train, validation
