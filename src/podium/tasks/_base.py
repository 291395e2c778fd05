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
    """Task of a slot; ``tasks/<name>.py`` holds one as ``TASK``.

    The file also has these constants:

    ========= ==========================================================================
    ROLE      Name of the family class in its module: ``FAMILY``.
    USUAL     Default ``families``, ``metric`` and ``policy`` of a slot.
    HOLDS     Type of its datasets: ``bars`` or ``sequences``. Without it no slot of
              podium.toml can have this task.
    NEEDS     Required settings of ``[slots]``.
    TAKES     Optional settings; others are refused.
    STAGES    Stages of ``podium run`` in their order.
    POLICIES  Policies by name: gates and limits of each stage of a candidate.
    BASELINES Families whose configs all run with each search; new ones are appended.
    WORDS     A verb and its object, with parts of a spec in braces, for a lineage.
    ========= ==========================================================================

    Attributes
    ----------
    name : str
        As in ``task`` of a slot.
    """

    name: ClassVar[str]
    # Whether trials record predictions, from which other metrics are computed.
    predicts: ClassVar[bool] = True
    # Name of the loss of each row, if it is not the slot's metric.
    loss: ClassVar[str] = ""
    # Whether a signal turns its predictions into weights for trading.
    trades: ClassVar[bool] = False

    @abc.abstractmethod
    def open(self, config: Config, slot: str, samples: Any) -> TaskData:
        """Validated data of a slot.

        Parameters
        ----------
        samples : Dataset, or Sequences for training and for validation (None: no such file)
            Content of the slot's dataset.

        Raises
        ------
        DataError, UsageError
            Too few data to train or to evaluate.
        """

    def require_metric(self, metric: str) -> None:
        """Refuse a metric that does not score this task's predictions.

        Raises
        ------
        UsageError
        """
        del metric

    @abc.abstractmethod
    def parts(self, view: Any, fold: Fold) -> tuple[Any, Any]:
        """Training and validation part of a fold, as input of families."""

    @abc.abstractmethod
    def score(self, metric: str, truth: NDArray[Any], prediction: Any) -> tuple[float, Floats]:
        """Value of a metric, and the loss of every row, (N,), for statistical tests."""

    @abc.abstractmethod
    def read(self, values: Floats, view: Any, fold: Fold) -> Prediction | ClassPrediction:
        """Prediction of a fold's validation part, from its recorded series."""


class TaskData(abc.ABC):
    """Data of one slot, and the properties that identify its trainings.

    Attributes
    ----------
    slot : str
    section : SlotSection
        Settings of the slot; own code has another class.
    dataset : Dataset, Sequences or Files
        The data; their ``fingerprint`` is part of every trial's key.
    """

    # Folder of a trial's model in its artefact; empty: the artefact itself.
    checkpoint: ClassVar[str] = "best_model"

    slot: str
    section: Any
    dataset: Any

    @property
    @abc.abstractmethod
    def tuning(self) -> Any:
        """Data for search and training, without the sealed part."""

    @property
    @abc.abstractmethod
    def spec(self) -> Mapping[str, Any]:
        """Settings that turn the dataset into samples; their order is part of the hash."""

    @cached_property
    def task_hash(self) -> str:
        """SHA-256 of the spec."""
        return digest(list(self.spec.values()))

    @property
    def task(self) -> SlotTask:
        """The slot's task."""
        task: SlotTask = registry.load("tasks", self.section.task).TASK
        return task

    @property
    def direction(self) -> Direction:
        """Direction of the slot's metric."""
        return registry.direction(self.section.metric)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; empty if numbers are predicted."""
        return ()

    @property
    def horizon(self) -> int:
        """Steps of a label, at least 1; labels of neighbouring samples overlap."""
        return 1

    @property
    def loss(self) -> str:
        """Name of the loss of each row, if it is not the slot's metric."""
        return self.task.loss

    def family(self, name: str) -> Any:
        """A new object of a family for this task."""
        return registry.family(name, self.section.task, path=self.section.path)

    def version(self, family: str) -> int:
        """VERSION of a family."""
        return int(self.family(family).VERSION)

    def same_target(self, spec: Mapping[str, Any]) -> bool:
        """Whether another task has the same target, so that its configs count as looks at it."""
        return dict(spec) == dict(self.spec)

    def shares_data(self, fingerprint: str, timeframe: str, tickers: Sequence[str]) -> bool:
        """Whether another dataset holds some of the same samples."""
        del timeframe, tickers
        return bool(fingerprint == self.dataset.fingerprint)

    def asks_alike(self, tickers: Sequence[str], spec: Mapping[str, Any]) -> bool:
        """Whether results in another task are comparable: it has the same target and series."""
        del tickers
        return self.same_target(spec)

    def resumable(self, family: str) -> bool:
        """Whether trainings can pause, so that a schedule may prune them."""
        return bool(getattr(self.family(family), "resumable", False))

    def metric_of_loss(self, family: str) -> str:
        """Metric in the curve ``val_loss`` of a family; empty if it is none."""
        return str(self.family(family).loss)

    def space_place(self, family: str) -> str:
        """Location of the search space's settings, for messages."""
        return f"[space.{family}] of podium.toml"

    @property
    def splitter(self) -> str:
        """Default splitter of the cross-validation; empty if there is none."""
        return ""

    @abc.abstractmethod
    def held_out(self, fraction: float) -> Split:
        """Split with the single fold of a search."""

    @abc.abstractmethod
    def whole(self) -> Fold:
        """All samples for the training of a final model, as fold 1 without validation."""

    def index(self, fold: Fold) -> NDArray[Any] | None:
        """Index of the rows of a fold's losses, for the record; None if there are no rows."""
        del fold
        return None

    def units(self, index: NDArray[Any]) -> NDArray[Any]:
        """Independent unit of each row of an index: a moment, a group, or a sample."""
        return index

    @abc.abstractmethod
    def facts(self, config: Config) -> Mapping[str, Any]:
        """Properties of the data for a model's manifest."""

    def errors(self, split: Split, ended: Ended) -> dict[str, float]:
        """More errors of a trial's predictions on its validation part, named ``val_<name>``."""
        del split, ended
        return {}

    def curves(self) -> Sequence[tuple[str, str, Direction]]:
        """Part, name and direction of progress curves; the first reported one counts."""
        return [("val", self.section.metric, self.direction)]

    @property
    def unit(self) -> str:
        """Name of the independent units of :meth:`units`."""
        return "samples"

    def seen(self) -> Mapping[str, NDArray[np.int64]]:
        """Hashes of the final model's training samples, by kind, to detect overlaps with a test."""
        return {}

    def span(self, rows: NDArray[np.int64]) -> list[str]:
        """Description of samples for files: first and last moment, or names of groups."""
        return [f"{len(rows)} samples"]

    def label(self, rows: NDArray[np.int64]) -> str:
        """Description of samples for a plot."""
        return f"{len(rows)} samples"

    @property
    def subject(self) -> str:
        """Target with its unit: ``volatility (log return)``."""
        return self.slot

    @property
    def n_features(self) -> int:
        """Number of features of a step; 0 if unknown."""
        return 0

    @property
    def size(self) -> str:
        """Size in words: ``4,031 bars of 5 tickers``."""
        return ""

    @property
    def sealed(self) -> list[str]:
        """The sealed test: first and last moment, or the name of a file."""
        return []

    @property
    def series(self) -> int:
        """Number of parallel series in a fold's validation part."""
        return 1

    @property
    def trained_until(self) -> str:
        """Last moment in the training of a final model; empty if samples have no order."""
        return ""
