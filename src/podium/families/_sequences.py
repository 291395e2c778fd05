"""What classifying families share: samples nobody can learn from, scaling, and strange samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from podium.errors import DataError, Problem, Problems
from podium.feature_stats import FeatureStats, without_value
from podium.sequences import Sequences, Subset


def stats_for(train: Subset, validation: Subset | None = None) -> FeatureStats:
    """What the features are scaled by, once it is sure that the samples can be learned from.

    Those that were handed in with the samples, else those of the training samples.

    Raises
    ------
    DataError
        Numbers in place of classes, no sample, a class that training has no sample of, labels that
        are none of the classes, a feature without any value, a validation part of other features
        or classes, stats of other features: every problem at once, before anything is trained.
    """
    data = train.sequences
    problems = [] if validation is None else _differences(data, validation.sequences)
    problems += _problems(train, "training")
    if validation is not None:
        problems += _problems(validation, "validation")
    if not problems:
        counts = np.bincount(train.truth().astype(np.int64), minlength=len(data.class_names))
        problems += [
            Problem(
                f"no training sample is of class '{name}'",
                "at least one of each class",
                "add samples of it, or leave it out of class_names",
            )
            for name, count in zip(data.class_names, counts.tolist(), strict=True)
            if not count
        ]
    if data.stats is not None:
        try:
            data.stats.require(data.feature_names, "the scaling given with the samples")
        except DataError as error:
            problems += error.problems
    DataError.raise_for(problems)
    return data.stats or FeatureStats.of(*train.inputs(), data.feature_names)


def require_kin(features: Sequence[str], classes: Sequence[str], asked: Sequences) -> None:
    """Refuse samples of other features or classes than a model was fitted on.

    Raises
    ------
    DataError
    """
    problems = [
        Problem(
            f"the model was fitted on the {what} {', '.join(fitted)}",
            f"the same ones in the samples, in the same order; they have {', '.join(found)}",
        )
        for what, fitted, found in (
            ("features", features, asked.feature_names),
            ("classes", classes, asked.class_names),
        )
        if tuple(fitted) != tuple(found)
    ]
    DataError.raise_for(problems)


def _differences(train: Sequences, validation: Sequences) -> list[Problem]:
    """In what the two parts are not of one kind."""
    return [
        Problem(
            f"the training samples have {len(one)} {what} ({', '.join(one)}), "
            f"the validation samples {len(two)} ({', '.join(two)})",
            "the same ones in the same order",
        )
        for what, one, two in (
            ("features", train.feature_names, validation.feature_names),
            ("classes", train.class_names, validation.class_names),
        )
        if one != two
    ]


def _problems(part: Subset, name: str) -> list[Problem]:
    """What makes one part useless."""
    if not part.sequences.classifies:
        return [Problem(f"y of the {name} samples holds numbers", "classes, from 0 on")]
    if not len(part):
        return [Problem(f"there is no {name} sample", "at least one")]
    truth, classes = part.truth(), part.sequences.class_names
    problems = Problems()
    strange = np.flatnonzero((truth < 0) | (truth >= len(classes)))
    if len(strange):
        problems.add(
            f"y is {truth[strange[0]]} for {name} sample {strange[0]} ({len(strange)} such)",
            f"classes 0 to {len(classes) - 1} ({', '.join(classes)})",
        )
    return problems + without_value(*part.inputs(), part.sequences.feature_names, name)
