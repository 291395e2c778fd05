"""Checks of families that classify sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np

from podium.errors import DataError
from podium.families._base import Classifier
from podium.prediction import ClassPrediction
from podium.sequences import Sequences, Subset
from podium.stats.class_figures import log_losses
from podium.testing import _fits
from podium.testing._base import SEED, refusal, require
from podium.testing._fits import configs, fit, fitted, require_same
from podium.trial import Epoch

FEATURES, CLASSES = ("walk", "noise"), ("falls", "stays", "rises")
CURVE = {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_macro_f1"}
# Sums in another order differ in their last bits.
TOLERANCE = 1e-5
# Required reduction of the log loss of the class frequencies.
SHARE = 0.35


@dataclass(frozen=True, eq=False)
class Case(_fits.KnownTask):
    """Samples of three classes with a planted rule, as training and validation parts."""

    train: Subset
    validation: Subset

    @classmethod
    def planted(cls, n: int = 180) -> Self:
        """Samples of 3 to 8 steps; two thirds are for training.

        The first feature is a random walk, the second noise; a few values are missing. The class
        is whether the walk, extrapolated by its last step, ends below -1.5, above 1.5 or between.
        """
        rng = np.random.default_rng(SEED)
        lengths = rng.integers(3, 9, n)
        walk = np.cumsum(rng.normal(size=(n, 8)), axis=1)
        x = np.stack([walk, rng.normal(50, 10, (n, 8))], axis=2)
        rows = np.arange(n)
        end = 2 * walk[rows, lengths - 1] - walk[rows, lengths - 2]
        y = np.where(end < -1.5, 0, np.where(end > 1.5, 2, 1))
        x[rows[::7], 0, 0] = np.nan
        x[rows[::5], 1, 1] = np.nan
        made = Sequences.of(
            "planted", x, y, lengths=lengths, feature_names=FEATURES, class_names=CLASSES
        )
        return cls(Subset(made, rows[: n * 2 // 3]), Subset(made, rows[n * 2 // 3 :]))

    @property
    def data(self) -> Sequences:
        """All samples."""
        return self.train.sequences

    def on(self, other: Sequences) -> Case:
        """The same rows of other sequences."""
        return Case(replace(self.train, sequences=other), replace(self.validation, sequences=other))

    @classmethod
    def learnable(cls) -> Self:
        """The same with more samples."""
        return cls.planted(450)

    def loss(self, prediction: ClassPrediction) -> float:
        """Log loss."""
        truth = self.validation.truth().astype(np.int64)
        return float(np.mean(log_losses(truth, prediction.probabilities)))

    def wanted(self) -> float:
        """A share of the log loss of the training samples' class frequencies."""
        counts = np.bincount(self.train.truth().astype(np.int64))
        prior = np.broadcast_to(counts / counts.sum(), (len(self.validation), len(counts)))
        blind = ClassPrediction(self.validation.rows, prior, self.data.class_names)
        return (1 - SHARE) * self.loss(blind)

    def others_replaced(self) -> Iterator[tuple[str, Subset]]:
        """All other rows of the same sequences."""
        x, y = self.data.x.copy(), self.data.y.copy()
        x[self.validation.rows] *= -7
        y[self.validation.rows] = 0
        yield "replaced", self.on(replace(self.data, x=x, y=y)).train


def check_every_sample_gets_probabilities(family: Classifier) -> None:
    """Probabilities are from 0 to 1 with sum 1, in the order of the samples."""
    case = Case.planted()
    for config, model in fitted(family, case):
        samples = case.validation.blind()
        prediction = model.predict(samples)
        same = np.array_equal(prediction.rows, samples.rows)
        same &= prediction.class_names == samples.sequences.class_names
        require(same, f"the prediction has other samples or classes ({config})")
        values = prediction.probabilities
        inside = bool(((values >= 0) & (values <= 1)).all())
        inside &= np.allclose(values.sum(axis=1), 1, atol=1e-9)
        require(inside, f"a sample's probabilities are not from 0 to 1 with sum 1 ({config})")
        none = model.predict(replace(samples, rows=samples.rows[:0]))
        require(none.probabilities.shape == (0, 3), "there is a prediction without a sample")


def check_padding_is_ignored(family: Classifier) -> None:
    """Length and content of the padding change no bit of a prediction."""
    case = Case.planted()
    data = case.data
    roomy = replace(data, x=np.pad(data.x, ((0, 0), (0, 5), (0, 0))))
    behind = ~roomy.mask
    dirty = [np.where(behind[:, :, None], np.float32(v), roomy.x) for v in (1e6, np.nan)]
    for config, model in fitted(family, case):
        honest = model.predict(case.validation.blind())
        for how, other in (
            ("the padding is longer", roomy),
            *(("the padding is not zero", replace(roomy, x=x)) for x in dirty),
        ):
            other_case = case.on(other)
            when = f"where {how} ({config})"
            validation = other_case.validation.blind()
            require_same(honest, model.predict(validation), when)
            again = fit(family, config, other_case.train, other_case.validation)
            require_same(honest, again.predict(validation), f"{when}, fitted on them")


def check_samples_do_not_know_each_other(family: Classifier) -> None:
    """A sample has the same probabilities alone, in another order and with other samples."""
    case = Case.planted()
    samples = case.validation.blind()
    for config, model in fitted(family, case):
        whole, turned, *alone = (
            model.predict(replace(samples, rows=rows)).probabilities
            for rows in (samples.rows, samples.rows[::-1], *samples.rows[:9, np.newaxis])
        )
        for values, how in ((turned[::-1], "in another order"), (np.concatenate(alone), "alone")):
            same = np.allclose(values, whole[: len(values)], atol=TOLERANCE)
            require(same, f"samples {how} have other probabilities ({config})")


def check_labels_are_ignored(family: Classifier) -> None:
    """Classes of the samples change no bit of their probabilities."""
    case = Case.planted()
    for config, model in fitted(family, case):
        parts = (case.validation, case.validation.blind())
        labelled, blind = (model.predict(part) for part in parts)
        require_same(labelled, blind, f"although only the labels of the samples differ ({config})")


def check_strangers_refused(family: Classifier) -> None:
    """Other features or classes, or another order, are refused by name, also after loading."""
    case = Case.planted()
    samples, data = case.validation.blind(), case.data
    turned = replace(data, feature_names=data.feature_names[::-1], x=data.x[:, :, ::-1])
    renamed = replace(data, class_names=("falls", "stays", "jumps"))
    for _, model in fitted(family, case):
        with TemporaryDirectory() as folder:
            model.save(Path(folder))
            again = family.load(lambda name, place=folder: Path(place, name).read_bytes())  # type: ignore[misc]
        for when, one in (("", model), ("after save and load", again)):
            for other, name in ((turned, "noise, walk"), (renamed, "jumps")):
                act = partial(one.predict, replace(samples, sequences=other))
                message = refusal(DataError, act, f"samples with '{name}' were not refused {when}")
                require(name in message, f"the refusal does not name '{name}': {message}")


def check_useless_samples_refused(family: Classifier) -> None:
    """Unusable samples are refused before training, with the name of the feature or class."""
    case = Case.planted()
    data = case.data
    config = configs(family.space(case.data))[0]
    empty, beyond = data.x.copy(), data.y.copy()
    empty[:, :, 1] = np.nan
    beyond[case.train.rows[4]] = 3
    few = replace(case.train, rows=case.train.rows[data.y[case.train.rows] != 2])
    other = replace(data, feature_names=("walk", "pulse"))
    none = replace(case.train, rows=case.train.rows[:0])
    for train, validation, named in (
        (few, case.validation, "rises"),
        (none, case.validation, "no training sample"),
        (case.train, none, "no validation sample"),
        (case.on(replace(data, x=empty)).train, None, "noise"),
        (case.on(replace(data, y=beyond)).train, None, "y is 3"),
        (case.train, case.on(other).validation, "pulse"),
    ):
        act = partial(fit, family, config, train, validation)
        message = refusal(DataError, act, f"samples with the problem '{named}' were not refused")
        require(named in message, f"the refusal does not name '{named}': {message}")


def check_curve(family: Classifier) -> None:
    """An iterative family reports the usual scores of every epoch."""
    case = Case.planted()
    config = configs(family.space(case.data))[0]
    for validation in (case.validation, None):
        expected = {n for n in CURVE if validation is not None or n.startswith("train_")}
        for event in family.fit_many([config], case.train, validation, seeds=[SEED]):
            if isinstance(event, Epoch):
                missing = sorted((expected | {"learning_rate"}) - set(event.scores))
                require(not missing, f"an epoch has no {', '.join(missing)}")
                extra = [n for n in event.scores if n.startswith("val_") and validation is None]
                require(not extra, f"without validation an epoch has {', '.join(extra)}")


CHECKS = (
    check_every_sample_gets_probabilities,
    check_padding_is_ignored,
    check_samples_do_not_know_each_other,
    check_labels_are_ignored,
    check_strangers_refused,
    check_useless_samples_refused,
    check_curve,
)
