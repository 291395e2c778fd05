"""Classify sequences: samples of several steps, disjoint groups, a sealed file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium import registry
from podium.arrays import Floats
from podium.config import Config, Policy
from podium.errors import DataError, UsageError
from podium.prediction import ClassPrediction
from podium.registry import Direction
from podium.sections import SlotSection
from podium.sequences import Sequences, Subset
from podium.split import Fold, Split
from podium.stats.class_figures import log_losses
from podium.tasks._base import SlotTask, TaskData

ROLE = "CLASSIFIER"
USUAL = {"families": ("bilstm",), "metric": "macro_f1", "policy": "classify"}
HOLDS = "sequences"
NEEDS = ()
TAKES = ("baselines",)
STAGES = ("tune", "extend", "analyze", "finalize", "validation", "evaluate", "promote")
BASELINES = ("naive", "logistic")
WORDS = ("classifies", "into {classes}, from up to {window} steps of {features}")
POLICIES: Mapping[str, Policy] = {
    "classify": {
        "beta": {"evaluation_bundle": {}},
        "champion": {"evaluation_bundle": {}, "macro_f1": {}, "minority_recall": {}, "signoff": {}},
    },
}


class ClassifyTask(SlotTask):
    """Probability of every class for each sample."""

    name = "classify"
    loss = "log loss"

    def open(
        self, config: Config, slot: str, samples: tuple[Sequences, Sequences | None]
    ) -> ClassData:
        """Samples for training and validation, and the split that separates them.

        Raises
        ------
        DataError
            Labels are numbers, or the dataset has neither a validation file nor groups.
        UsageError
            The metric is one of forecasts.
        """
        section = config.slot(slot)
        self.require_metric(section.metric)
        train, held_out = samples
        if not train.classifies:
            expected = "classes: whole numbers from 0"
            raise DataError(f"y of dataset '{section.dataset}' holds numbers", expected)
        if held_out is not None:
            whole = Sequences.joined(train, held_out)
            split = registry.load("splitters", "given").split(whole)
        elif train.groups is not None:
            whole = train
            folds = round(1 / config.tune.validation_fraction)
            split = registry.load("splitters", "group").split(train, folds=folds)
            # One fold is used; the split's hash covers its samples.
            split = replace(split, folds=split.folds[:1], paths=())
        else:
            found = f"dataset '{section.dataset}' has neither a validation file nor groups"
            expected = "validation samples without a patient, day or overlapping window of the "
            fix = "add a file (validation = ... in its table), or store groups in the .npz"
            raise DataError(found, f"{expected}training", fix)
        evaluation = config.datasets[section.dataset].evaluation
        return ClassData(slot, section, whole, split, evaluation)

    def require_metric(self, metric: str) -> None:
        """Refuse a metric that does not score classes.

        Raises
        ------
        UsageError
        """
        if not hasattr(registry.load("metrics", metric), "score"):
            expected = "a metric of classes, such as macro_f1"
            raise UsageError(
                f"metric {metric} scores forecasts", expected, "see: podium list metrics"
            )
        registry.require_direction(metric)

    def parts(self, view: Sequences, fold: Fold) -> tuple[Subset, Subset]:
        """Samples by their rows."""
        return fold.subsets(view)

    def score(
        self, metric: str, truth: NDArray[Any], prediction: ClassPrediction
    ) -> tuple[float, Floats]:
        """The metric of all samples, and the log loss of each."""
        probabilities = prediction.probabilities
        score = registry.load("metrics", metric).score(truth, probabilities)
        return score, log_losses(truth, probabilities)

    def read(self, values: Floats, view: Sequences, fold: Fold) -> ClassPrediction:
        """Probabilities by row."""
        return ClassPrediction.read(values, fold.validation, view.class_names)


@dataclass(frozen=True, eq=False)
class ClassData(TaskData):
    """A slot's samples and the split of its search.

    Parameters
    ----------
    dataset : Sequences
        Samples for training and validation; the split separates them.
    evaluation : str
        File of the samples for the evaluation of candidates; empty: the validation samples.
    """

    slot: str
    section: SlotSection
    dataset: Sequences
    split: Split
    evaluation: str = ""

    @property
    def tuning(self) -> Sequences:
        """All samples but the sealed ones."""
        return self.dataset

    @property
    def spec(self) -> Mapping[str, Any]:
        """Features, classes, steps, and the version of a metric that is a plugin."""
        return {
            "task": self.section.task,
            "features": list(self.dataset.feature_names),
            "classes": list(self.dataset.class_names),
            "window": self.dataset.x.shape[1],
            "versions": {"metrics": registry.versioned("metrics", self.section.metric)},
        }

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names of the samples."""
        return self.dataset.class_names

    def same_target(self, spec: Mapping[str, Any]) -> bool:
        """Whether the classes are the same; features may differ."""
        return list(spec.get("classes", ())) == list(self.dataset.class_names)

    @property
    def splitter(self) -> str:
        """``group`` for samples with groups, else ``stratified``."""
        return "stratified" if self.dataset.groups is None else "group"

    def held_out(self, fraction: float) -> Split:
        """The slot's split: by file, or by groups."""
        del fraction
        return self.split

    def whole(self) -> Fold:
        """All samples if a sealed file exists; else the training samples."""
        rows = np.arange(len(self.dataset), dtype=np.int64)
        return Fold(1, rows if self.evaluation else self.split.folds[0].train, rows[:0])

    def index(self, fold: Fold) -> NDArray[Any] | None:
        """Rows of the samples."""
        return fold.validation if len(fold.validation) else None

    def units(self, index: NDArray[Any]) -> NDArray[Any]:
        """Group of each sample, else the sample itself."""
        if self.dataset.groups is None:
            return index
        units: NDArray[Any] = np.unique(self.dataset.groups, return_inverse=True)[1][index]
        return units

    @property
    def unit(self) -> str:
        """``groups`` if samples have groups."""
        return "samples" if self.dataset.groups is None else "groups"

    def facts(self, config: Config) -> Mapping[str, Any]:
        """Features, classes and steps of the samples, and the range of lengths if they differ."""
        del config
        lengths, steps = self.dataset.lengths, self.dataset.x.shape[1]
        shortest = int(lengths.min())
        return {
            "feature_names": self.dataset.feature_names,
            "class_names": self.dataset.class_names,
            "steps": steps,
            # Later inputs need the steps of each sample.
            **({"lengths": [shortest, int(lengths.max())]} if shortest < steps else {}),
        }

    def seen(self) -> Mapping[str, NDArray[np.int64]]:
        """Hashes of the samples and groups in the training of a final model."""
        return Subset(self.dataset, self.whole().train).marks()

    def curves(self) -> Sequence[tuple[str, str, Direction]]:
        """The metric's curve if families report it, else macro-F1."""
        return [*super().curves(), ("val", "macro_f1", Direction.MAX)]

    def span(self, rows: NDArray[np.int64]) -> list[str]:
        """Groups, else the number of samples."""
        groups = self.dataset.groups
        return super().span(rows) if groups is None else np.unique(groups[rows]).tolist()

    @property
    def subject(self) -> str:
        """The classes."""
        return f"{len(self.dataset.class_names)} classes"

    @property
    def n_features(self) -> int:
        """Features of a step."""
        return len(self.dataset.feature_names)

    @property
    def sealed(self) -> list[str]:
        """File of the evaluation samples, else the validation samples."""
        return [self.evaluation or "the samples that validate"]

    @property
    def size(self) -> str:
        """Samples."""
        return f"{len(self.dataset)} samples"


TASK = ClassifyTask()
