"""The contract of a task, and of the data of a slot that has it."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from podium import registry
from podium.arrays import Floats
from podium.config import Config
from podium.hashing import digest
from podium.prediction import ClassPrediction, Prediction
from podium.registry import Direction
from podium.split import Fold, Split
from podium.trial import Ended


class SlotTask(abc.ABC):
    """What a slot asks of its models: ``tasks/<name>.py`` holds one as ``TASK``.

    Beside it the file has plain values at its top:

    ========= ==========================================================================
    ROLE      What a family for this task is called in its module: ``FAMILY``.
    USUAL     A slot's ``families``, ``metric`` and ``policy`` where podium.toml has none.
    HOLDS     Datasets it takes: ``bars`` or ``sequences``. Without it no slot of
              podium.toml can have this task.
    NEEDS     Settings of ``[slots]`` that it cannot do without.
    TAKES     Settings that it takes besides; others are refused.
    STAGES    Stages of ``podium run`` in their order.
    POLICIES  Policies by name: gates and limits of each stage of a candidate.
    BASELINES Families whose every config runs beside a search; a new one goes to the end.
    WORDS     A verb and what follows it, with the parts of a spec in braces, for a lineage.
    ========= ==========================================================================

    Attributes
    ----------
    name : str
        As in ``task`` of a slot.
    """

    name: ClassVar[str]
    # Whether trials leave predictions, from which other metrics follow.
    predicts: ClassVar[bool] = True
    # What each row loses, where that is not the slot's metric.
    loss: ClassVar[str] = ""
    # Whether a signal makes weights of its predictions, which are traded on bars.
    trades: ClassVar[bool] = False

    @abc.abstractmethod
    def open(self, config: Config, slot: str, samples: Any) -> TaskData:
        """Data of a slot, checked.

        Parameters
        ----------
        samples : Dataset, or Sequences that train and those that validate (None: no such file)
            What the slot's dataset holds.

        Raises
        ------
        DataError, UsageError
            Data that leave nothing to train on or to judge by.
        """

    @abc.abstractmethod
    def parts(self, view: Any, fold: Fold) -> tuple[Any, Any]:
        """Training and validation part of a fold, as families take them."""

    @abc.abstractmethod
    def score(self, metric: str, truth: NDArray[Any], prediction: Any) -> tuple[float, Floats]:
        """A metric of a prediction, and the loss of every row, (N,), which judgements rest on."""

    @abc.abstractmethod
    def read(self, values: Floats, view: Any, fold: Fold) -> Prediction | ClassPrediction:
        """The prediction of a fold's validation part, from the series that the record keeps."""


class TaskData(abc.ABC):
    """Data of one slot, with what two trainings must share to be the same.

    Attributes
    ----------
    slot : str
    section : SlotSection
        What the slot asks; own code has a section of its own.
    dataset : Dataset, Sequences or Files
        What was read; its ``fingerprint`` is part of every trial's key.
    """

    # Name of a trial's model inside its artefact; empty: its files are the artefact.
    checkpoint: ClassVar[str] = "best_model"

    slot: str
    section: Any
    dataset: Any

    @property
    @abc.abstractmethod
    def tuning(self) -> Any:
        """What searches and training are given; the sealed part is not in it."""

    @property
    @abc.abstractmethod
    def spec(self) -> Mapping[str, Any]:
        """What turns the dataset into samples; the order is part of its hash."""

    @cached_property
    def task_hash(self) -> str:
        """SHA-256 of the spec."""
        return digest(list(self.spec.values()))

    @property
    def task(self) -> SlotTask:
        """The task, which scores and splits."""
        found: SlotTask = registry.load("tasks", self.section.task).TASK
        return found

    @property
    def direction(self) -> Direction:
        """Which way the slot's metric is better."""
        return registry.direction(self.section.metric)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes; empty where numbers are predicted."""
        return ()

    @property
    def horizon(self) -> int:
        """Steps that the labels of neighbouring samples share, at least 1."""
        return 1

    def family(self, name: str) -> Any:
        """A new object of a family for this task."""
        return registry.family(name, self.section.task)

    def version(self, family: str) -> int:
        """VERSION of a family."""
        return int(self.family(family).VERSION)

    def asks_alike(self, tickers: Sequence[str], spec: Mapping[str, Any]) -> bool:
        """Whether another task predicts the same thing, so that its trials count as looks at it."""
        del tickers
        return dict(spec) == dict(self.spec)

    def resumable(self, family: str) -> bool:
        """Whether its training can pause, so that a schedule may give it up."""
        return bool(getattr(self.family(family), "resumable", False))

    def metric_of_loss(self, family: str) -> str:
        """Metric that the curve ``val_loss`` of a family is, where it is one."""
        return str(self.family(family).loss)

    def space_place(self, family: str) -> str:
        """Where the user writes what is searched, for messages."""
        return f"[space.{family}] of podium.toml"

    @property
    def splitter(self) -> str:
        """Splitter of the cross-validation where podium.toml names none; empty: there is none."""
        return ""

    @abc.abstractmethod
    def held_out(self, fraction: float) -> Split:
        """The one fold that configs are compared on in a search."""

    @abc.abstractmethod
    def whole(self) -> Fold:
        """All samples that a served model may be trained on, as fold 1 without validation."""

    def index(self, fold: Fold) -> NDArray[Any] | None:
        """Which row each of a fold's losses belongs to, as the record keeps it; None: no rows."""
        del fold
        return None

    def units(self, index: NDArray[Any]) -> NDArray[Any]:
        """Which independent unit each row of an index belongs to: a moment, a group, a sample."""
        return index

    @abc.abstractmethod
    def facts(self, config: Config) -> Mapping[str, Any]:
        """What a model's manifest says of the data, for whoever asks the model later."""

    def errors(self, split: Split, ended: Ended) -> dict[str, float]:
        """More errors of a trial's predictions on its validation part, named ``val_<name>``."""
        del split, ended
        return {}

    def curves(self) -> Sequence[tuple[str, str, Direction]]:
        """Curves a trial's progress is read from, the first that was reported: part, name, way."""
        return [("val", self.section.metric, self.direction)]

    @property
    def unit(self) -> str:
        """Independent units, as :meth:`units` tells them apart, in words."""
        return "samples"

    def seen(self) -> Mapping[str, NDArray[np.int64]]:
        """Marks of what a served model is trained on, by kind, to refuse to judge it on that."""
        return {}

    def span(self, rows: NDArray[np.int64]) -> list[str]:
        """Which samples these are, for files: first and last moment, or names of groups."""
        return [f"{len(rows)} samples"]

    def label(self, rows: NDArray[np.int64]) -> str:
        """Which samples these are, for a picture."""
        return f"{len(rows)} samples"

    @property
    def subject(self) -> str:
        """What is predicted, with its unit: ``volatility (log return)``."""
        return self.slot

    @property
    def n_features(self) -> int:
        """Features of a sample's step; 0: not known."""
        return 0

    @property
    def size(self) -> str:
        """How much there is, in words: ``4,031 bars of 5 tickers``."""
        return ""

    @property
    def sealed(self) -> list[str]:
        """What is kept apart for the last judgement: first and last moment, or a file's name."""
        return []

    @property
    def series(self) -> int:
        """Losses of one number of a fold's validation part."""
        return 1

    @property
    def trained_until(self) -> str:
        """Last moment that a served model was trained on; empty where samples have no order."""
        return ""
