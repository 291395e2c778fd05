"""Checks and scaling of samples for classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from podium.errors import DataError, Problem, Problems
from podium.feature_stats import FeatureStats, without_value
from podium.sequences import Sequences, Subset


def stats_for(train: Subset, validation: Subset | None = None) -> FeatureStats:
    """Scaling of the features: that of the samples, else that of the training samples.

    Raises
    ------
    DataError
        Numbers in place of classes, no samples, a class without training samples, unknown labels,
        a feature without any value, a validation part with other features or classes, or a scaling
        of other features; lists every problem.
    """
    data = train.sequences
    problems = Problems()
    if validation is not None:
        problems += _differences(data, validation.sequences)
    problems += _problems(train, "training")
    if validation is not None:
        problems += _problems(validation, "validation")
    if not problems:
        counts = np.bincount(train.truth().astype(np.int64), minlength=len(data.class_names))
        fix = "add samples of it, or remove it from class_names"
        for k in np.flatnonzero(counts == 0):
            found = f"no training sample is of class '{data.class_names[k]}'"
            problems.add(found, "at least one of each class", fix)
    if data.stats is not None:
        try:
            data.stats.require(data.feature_names, "the scaling of the samples")
        except DataError as error:
            problems += error.problems
    DataError.raise_for(problems)
    return data.stats or FeatureStats.of(*train.inputs(), data.feature_names)


def require_same_names(features: Sequence[str], classes: Sequence[str], samples: Sequences) -> None:
    """Refuse samples with other features or classes than those of the training.

    Raises
    ------
    DataError
    """
    problems = [
        Problem(
            f"the model was fitted on the {kind} {', '.join(fitted)}",
            f"samples with the same ones in the same order; they have {', '.join(names)}",
        )
        for kind, fitted, names in (
            ("features", features, samples.feature_names),
            ("classes", classes, samples.class_names),
        )
        if tuple(fitted) != tuple(names)
    ]
    DataError.raise_for(problems)


def _differences(train: Sequences, validation: Sequences) -> list[Problem]:
    """Differences in features and classes between the two parts."""
    return [
        Problem(
            f"the training samples have {len(one)} {kind} ({', '.join(one)}), "
            f"the validation samples {len(two)} ({', '.join(two)})",
            "the same ones in the same order",
        )
        for kind, one, two in (
            ("features", train.feature_names, validation.feature_names),
            ("classes", train.class_names, validation.class_names),
        )
        if one != two
    ]


def _problems(part: Subset, name: str) -> list[Problem]:
    """Problems of one part."""
    if not part.sequences.classifies:
        return [Problem(f"y of the {name} samples holds numbers", "classes from 0")]
    if not len(part):
        return [Problem(f"there is no {name} sample", "at least one")]
    truth, classes = part.truth(), part.sequences.class_names
    problems = Problems()
    unknown = np.flatnonzero((truth < 0) | (truth >= len(classes)))
    if len(unknown):
        problems.add(
            f"y is {truth[unknown[0]]} for {name} sample {unknown[0]} ({len(unknown)} such)",
            f"classes 0 to {len(classes) - 1} ({', '.join(classes)})",
        )
    return problems + without_value(*part.inputs(), part.sequences.feature_names, name)
