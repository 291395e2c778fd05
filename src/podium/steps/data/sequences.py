"""A classifying slot's data: sequences, which of them validate, and what they are judged on."""

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
    """Data of a slot, whatever its task is; ``say`` hears what was repaired in its files."""
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
    """Samples of a slot that classifies, ready for its families.

    Parameters
    ----------
    training, validation : Path, optional
        Files in place of the dataset's own.
    stats : FeatureStats, optional
        Scaling in place of that of the training samples.

    Raises
    ------
    DataError
        A file is not what it must be; files differ in features or classes; nothing says which
        samples may validate.
    UsageError
        The slot forecasts, or its metric is one of forecasts.
    """
    section = config.slot(slot)
    if registry.holds(section.task) != classify.HOLDS:
        raise UsageError(f"slot {slot} is a {section.task} slot", "a slot that classifies")
    # Before any file is read.
    classify.require_metric(section.metric)
    train, held_out = load_sequences(
        config, section.dataset, training=training, validation=validation
    )
    if stats is not None:
        stats.require(train.feature_names, "the given feature stats")
        train = replace(train, stats=stats)
    return classify.TASK.open(config, slot, (train, held_out))


def read_stats(path: Path) -> FeatureStats:
    """Feature stats of a JSON file.

    Raises
    ------
    DataError
        It cannot be read, or holds no mean and spread of each feature.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "feature stats") from None
    return FeatureStats.parse(text, str(path))


def load_sequences(
    config: Config,
    name: str,
    *,
    training: Path | None = None,
    validation: Path | None = None,
) -> tuple[Sequences, Sequences | None]:
    """Sequences of that name: those to train on, and those to validate on when they have a file.

    Raises
    ------
    DataError
        A file is not what it must be, or the two differ in features or classes.
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
    told = str(training or section.path), str(validation or section.validation)
    return agreeing(name, [(told[0], train), (told[1], read(other, name=name))])


def evaluation_data(config: Config, slot: str, like: Sequences) -> Sequences | None:
    """What candidates of a slot are judged on where that is a file of its own; None: there is none.

    Raises
    ------
    DataError
        It has other features or classes than the slot's samples.
    """
    section = dataset_section(config, config.slot(slot).dataset)
    if not section.evaluation:
        return None
    return read_like(config.root / section.evaluation, like, section.reader)


def read_like(path: Path, like: Sequences, reader: str = "npz") -> Sequences:
    """Samples of a file that must have the features and classes of others.

    Raises
    ------
    DataError
    """
    found: Sequences = registry.load("readers", reader).read(path, name=like.name)
    return agreeing(like.name, [("the slot's samples", like), (str(path), found)])[1]


def agreeing(name: str, files: Sequence[tuple[str, Sequences]]) -> tuple[Sequences, Sequences]:
    """Samples of two files under one list of classes.

    Raises
    ------
    DataError
        They differ in features or classes, all told at once.
    """
    (path, train), (other, validation) = files
    # Numbered classes have no names in the files; the last ones may be missing in one of them.
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
