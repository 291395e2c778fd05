"""A classifier's test calls ``check_classifier(CLASSIFIER, folder)``: its class, an empty folder.

Each promise is a function of its own too, of a classifier's object.

>>> import tempfile
>>> from podium.families.naive import CLASSIFIER
>>> with tempfile.TemporaryDirectory() as folder:
...     check_save_load(CLASSIFIER(), Path(folder))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.errors import DataError
from podium.families._base import Classifier, ClassModel
from podium.prediction import ClassPrediction
from podium.sequences import Sequences, Subset
from podium.space import ConfigDict
from podium.stats.class_figures import log_losses
from podium.testing._base import SEED, refusal, require
from podium.testing._spaces import (
    check_each_call_makes_a_family,
    check_parent_refused,
    check_refusals,
    check_space,
    configs,
)
from podium.testing._states import Memory, paused_everywhere
from podium.testing.pickles import check_no_pickled_object
from podium.trial import Epoch, Fitted

EPOCHS, LONG = 2, 20
CURVE = {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_macro_f1"}
# Sums in another order differ in their last bits.
TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Case:
    """Samples of three classes with a planted rule, and the parts to learn and to judge from."""

    train: Subset
    validation: Subset

    @classmethod
    def planted(cls, n: int = 180) -> Case:
        """Samples of 3 to 8 steps; two thirds are to learn from.

        The first feature is a random walk, the second noise; a few values are missing. The class
        says whether the walk, drawn out by as much as its last step, ends below -1.5, above 1.5 or
        between them.
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
            "planted",
            x,
            y,
            lengths=lengths,
            feature_names=("walk", "noise"),
            class_names=("falls", "stays", "rises"),
        )
        return cls(Subset(made, rows[: n * 2 // 3]), Subset(made, rows[n * 2 // 3 :]))

    def on(self, other: Sequences) -> Case:
        """The same rows of other sequences."""
        return Case(replace(self.train, sequences=other), replace(self.validation, sequences=other))


def check_classifier(kind: Callable[[], Classifier], folder: Path) -> None:
    """Everything a classifier promises.

    Parameters
    ----------
    kind : class
        Makes a new classifier when it is called without arguments.
    folder : Path
        An empty folder for the classifier's files.
    """
    check_each_call_makes_a_family(kind)
    family = kind()
    check_name_and_space(family)
    check_wrong_config_refused(family)
    check_every_sample_gets_probabilities(family)
    check_save_load(family, folder)
    check_same_seed(family)
    check_many_like_one(family)
    check_padding_is_ignored(family)
    check_samples_do_not_know_each_other(family)
    check_labels_are_ignored(family)
    check_fitted_on_training_only(family)
    check_strangers_refused(family)
    check_useless_samples_refused(family)
    check_curve(family)
    check_resumed_like_uninterrupted(family)
    check_paused_like_uninterrupted(family)
    check_parent_refused_unless_it_continues(family)
    check_learns(family)


def check_name_and_space(family: Classifier) -> None:
    """It has a name, a whole VERSION, and a space whose draws fit it and can be recorded."""
    check_space(family, Case.planted().train.sequences)


def check_wrong_config_refused(family: Classifier) -> None:
    """Unknown, missing and impossible values are refused by name before anything is trained."""
    check_refusals(family.space(Case.planted().train.sequences))


def check_every_sample_gets_probabilities(family: Classifier) -> None:
    """One of each class, from 0 to 1, their sum 1; in the order asked; none for no sample."""
    case = Case.planted()
    for config, model in _fitted(family, case):
        asked = case.validation.blind()
        found = model.predict(asked)
        require(
            np.array_equal(found.rows, asked.rows)
            and found.class_names == asked.sequences.class_names,
            f"the prediction is not of the samples or classes asked for ({config})",
        )
        values = found.probabilities
        require(
            bool(((values >= 0) & (values <= 1)).all())
            and np.allclose(values.sum(axis=1), 1, atol=1e-9),
            f"a sample's probabilities are not from 0 to 1 with the sum 1 ({config})",
        )
        none = model.predict(replace(asked, rows=asked.rows[:0]))
        require(none.probabilities.shape == (0, 3), "no sample was asked for, and there is one")


def check_save_load(family: Classifier, folder: Path) -> None:
    """A model written and read again predicts the same to the bit; no file holds an object."""
    case = Case.planted()
    for number, (config, model) in enumerate(_fitted(family, case)):
        place = folder / f"model-{number}"
        place.mkdir(parents=True)
        model.save(place)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        require(bool(files), "save() wrote no file")
        for path in files:
            check_no_pickled_object(path)

        def read(name: str, place: Path = place) -> bytes:
            return (place / name).read_bytes()

        again = family.load(read)
        asked = case.validation.blind()
        _same(model.predict(asked), again.predict(asked), f"after save and load ({config})")
        require(model.epochs == again.epochs, "the number of epochs is lost on save")
        _refuses_strangers(again, asked, "after save and load")


def check_same_seed(family: Classifier) -> None:
    """The same seed gives the same probabilities to the bit, whatever was drawn in between."""
    case = Case.planted()
    asked = case.validation.blind()
    for config, model in _fitted(family, case):
        _fit(family, config, case.train, None, seed=SEED + 1)
        again = _fit(family, config, case.train, case.validation)
        _same(model.predict(asked), again.predict(asked), f"with the same seed ({config})")


def check_other_seed_differs(family: Classifier) -> None:
    """Another seed gives another model; only for families that draw random numbers."""
    case = Case.planted()
    config = _configs(family, case)[0]
    one, two = (_fit(family, config, case.train, None, seed=SEED + k) for k in (0, 1))
    asked = case.validation.blind()
    require(
        not np.array_equal(one.predict(asked).probabilities, two.predict(asked).probabilities),
        f"two seeds give the same model ({config}), so the seed is not used",
    )


def check_many_like_one(family: Classifier) -> None:
    """``fit_many`` gives what ``fit`` gives one by one; epochs count up, then comes the model."""
    case = Case.planted()
    chosen = _configs(family, case)
    chosen = [*chosen, chosen[0]]
    seeds = [SEED + n for n in range(len(chosen))]
    models: dict[int, ClassModel] = {}
    epochs = dict.fromkeys(range(len(chosen)), 0)
    for event in family.fit_many(chosen, case.train, case.validation, seeds=seeds):
        require(event.trial in epochs, f"an event of trial {event.trial}, which was not asked for")
        require(event.trial not in models, f"trial {event.trial} goes on after its model")
        if isinstance(event, Epoch):
            epochs[event.trial] += 1
            require(event.epoch == epochs[event.trial], f"epoch {event.epoch} came out of order")
        elif isinstance(event, Fitted):
            require(event.model is not None, f"trial {event.trial} failed: {event.reason}")
            models[event.trial] = event.model
    require(sorted(models) == list(range(len(chosen))), "fit_many gave not one model a config")
    asked = case.validation.blind()
    for n, (config, seed) in enumerate(zip(chosen, seeds, strict=True)):
        alone = _fit(family, config, case.train, case.validation, seed=seed)
        _same(alone.predict(asked), models[n].predict(asked), f"one by one ({config})")


def check_padding_is_ignored(family: Classifier) -> None:
    """More room behind the samples, and whatever stands there, changes no bit of any number."""
    case = Case.planted()
    data = case.train.sequences
    roomy = replace(data, x=np.pad(data.x, ((0, 0), (0, 5), (0, 0))))
    behind = ~roomy.mask
    dirty = [np.where(behind[:, :, None], np.float32(v), roomy.x) for v in (1e6, np.nan)]
    for config, model in _fitted(family, case):
        honest = model.predict(case.validation.blind())
        for how, other in (
            ("padding is longer", roomy),
            *(("something stands behind the samples", replace(roomy, x=x)) for x in dirty),
        ):
            asked = case.on(other)
            when = f"where {how} ({config})"
            _same(honest, model.predict(asked.validation.blind()), when)
            fitted = _fit(family, config, asked.train, asked.validation)
            _same(honest, fitted.predict(asked.validation.blind()), f"{when}, fitted on them")


def check_samples_do_not_know_each_other(family: Classifier) -> None:
    """A sample gets the same probabilities alone, in another order and beside other samples."""
    case = Case.planted()
    asked = case.validation.blind()
    for config, model in _fitted(family, case):
        whole = model.predict(asked).probabilities
        turned = model.predict(replace(asked, rows=asked.rows[::-1])).probabilities[::-1]
        alone = np.concatenate(
            [model.predict(replace(asked, rows=asked.rows[[k]])).probabilities for k in range(9)]
        )
        for found, how in ((turned, "in another order"), (alone, "alone")):
            require(
                np.allclose(found, whole[: len(found)], atol=TOLERANCE),
                f"samples asked {how} get other probabilities ({config})",
            )


def check_labels_are_ignored(family: Classifier) -> None:
    """What the asked samples' classes are changes no bit of their probabilities."""
    case = Case.planted()
    for config, model in _fitted(family, case):
        told, blind = (model.predict(part) for part in (case.validation, case.validation.blind()))
        _same(told, blind, f"although only the labels of the asked samples differ ({config})")


def check_fitted_on_training_only(family: Classifier) -> None:
    """Fitted without validation, a model does not know of samples it was not given.

    All other rows of the same sequences are replaced: a scaler fitted on more than the training
    samples moves, and the probabilities with it.
    """
    case = Case.planted()
    data = case.train.sequences
    x, y = data.x.copy(), data.y.copy()
    x[case.validation.rows] *= -7
    y[case.validation.rows] = 0
    other = case.on(replace(data, x=x, y=y))
    for config in _configs(family, case):
        one, two = (_fit(family, config, part.train, None) for part in (case, other))
        asked = case.train.blind()
        when = f"although only samples it was not given differ ({config})"
        _same(one.predict(asked), two.predict(asked), when)


def check_strangers_refused(family: Classifier) -> None:
    """Features or classes of other names, or in another order, are refused by name."""
    case = Case.planted()
    for _, model in _fitted(family, case):
        _refuses_strangers(model, case.validation.blind(), "")


def check_useless_samples_refused(family: Classifier) -> None:
    """What nobody can learn from is refused before training, with the feature or class named."""
    case = Case.planted()
    data = case.train.sequences
    config = _configs(family, case)[0]
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
        act = partial(_fit, family, config, train, validation)
        told = refusal(DataError, act, f"samples to be told of '{named}' were not refused")
        require(named in told, f"the refusal does not say '{named}': {told}")


def check_curve(family: Classifier) -> None:
    """An iterative family tells the usual scores of every epoch, of validation only with one."""
    case = Case.planted()
    config = _configs(family, case)[0]
    for validation in (case.validation, None):
        told = list(_curve(family, config, case.train, validation))
        wanted = {n for n in CURVE if validation is not None or n.startswith("train_")}
        for scores in told:
            missing = sorted((wanted | {"learning_rate"}) - set(scores))
            require(not missing, f"an epoch has no {', '.join(missing)}")
            extra = [n for n in scores if n.startswith("val_") and validation is None]
            require(not extra, f"without validation an epoch has {', '.join(extra)}")


def check_resumed_like_uninterrupted(family: Classifier) -> None:
    """Where a family keeps states: gone on from any of them, curve and model are the same ones."""
    case = Case.planted()
    asked = case.validation.blind()
    for config in _configs(family, case, epochs=4):
        states = Memory()
        curve = list(_curve(family, config, case.train, case.validation))
        whole = _fit(family, config, case.train, case.validation, keep=states)
        for epoch, state in states.kept.items():
            told: list[Mapping[str, float]] = []
            again = family.fit(
                config,
                case.train,
                case.validation,
                seed=SEED,
                report=lambda _, scores, told=told: told.append(dict(scores)),  # type: ignore[misc]
                keep=Memory(state),
            )
            require(told == curve, f"gone on from epoch {epoch}, the curve differs ({config})")
            when = f"gone on from epoch {epoch} ({config})"
            _same(whole.predict(asked), again.predict(asked), when)
            require(whole.epochs == again.epochs, f"another epoch is best, {when}")


def check_paused_like_uninterrupted(family: Classifier) -> None:
    """A resumable family paused after every epoch gives the model of one that never was."""
    if not family.resumable:
        return
    case = Case.planted()
    for config in _configs(family, case, epochs=4):
        whole, again = paused_everywhere(family, config, case.train, case.validation, 4)
        asked = case.validation.blind()
        _same(whole.predict(asked), again.predict(asked), f"paused after every epoch ({config})")
        require(whole.epochs == again.epochs, "another epoch is best after pauses")


def check_parent_refused_unless_it_continues(family: Classifier) -> None:
    """A family that cannot go on from another model refuses one by name."""
    if family.continues:
        return
    case = Case.planted()
    config = _configs(family, case)[0]
    parent = _fit(family, config, case.train, case.validation)
    check_parent_refused(family, config, case.train, case.validation, parent)


def check_learns(family: Classifier, *, share: float = 0.35, tries: int = 5) -> None:
    """On samples with a planted rule one of a few configs finds a part of what is to be found.

    Class frequencies alone have a certain log loss; at least ``share`` of it must be gone on
    samples the family was not fitted on. This holds for a trained network and for a rule alike.
    """
    case = Case.planted(450)
    space = family.space(case.train.sequences)
    truth = case.validation.truth().astype(np.int64)
    counts = np.bincount(case.train.truth().astype(np.int64))
    prior = np.broadcast_to(counts / counts.sum(), (len(truth), len(counts)))
    wanted = (1 - share) * float(np.mean(log_losses(truth, prior)))
    losses = []
    for config in [*configs(space.only([]), LONG, 1), *configs(space, LONG, tries)]:
        model = _fit(family, config, case.train, case.validation)
        found = model.predict(case.validation.blind()).probabilities
        losses.append(float(np.mean(log_losses(truth, found))))
        if losses[-1] <= wanted:
            return
    raise AssertionError(
        f"on samples with a planted rule the best of {len(losses)} configs has a log loss of "
        f"{min(losses):.3g}; at most {wanted:.3g} shows that it learns"
    )


def is_iterative(family: Classifier) -> bool:
    """Whether the family trains in epochs, and so is expected to use its seed."""
    case = Case.planted()
    return bool(list(_curve(family, _configs(family, case)[0], case.train, None)))


def _configs(
    family: Classifier, case: Case, *, epochs: int = EPOCHS, count: int = 2
) -> list[ConfigDict]:
    return configs(family.space(case.train.sequences), epochs, count)


def _fitted(family: Classifier, case: Case) -> Iterator[tuple[ConfigDict, ClassModel]]:
    for config in _configs(family, case):
        yield config, _fit(family, config, case.train, case.validation)


def _fit(
    family: Classifier,
    config: ConfigDict,
    train: Subset,
    validation: Subset | None,
    *,
    seed: int = SEED,
    keep: Memory | None = None,
) -> ClassModel:
    def report(epoch: int, scores: Mapping[str, float]) -> None:
        del epoch, scores

    return family.fit(config, train, validation, seed=seed, report=report, keep=keep)


def _curve(
    family: Classifier, config: ConfigDict, train: Subset, validation: Subset | None
) -> Iterator[Mapping[str, float]]:
    """Scores of every epoch."""
    for event in family.fit_many([config], train, validation, seeds=[SEED]):
        if isinstance(event, Epoch):
            yield event.scores


def _refuses_strangers(model: ClassModel, asked: Subset, when: str) -> None:
    data = asked.sequences
    turned = replace(data, feature_names=data.feature_names[::-1], x=data.x[:, :, ::-1])
    renamed = replace(data, class_names=("falls", "stays", "jumps"))
    for other, name in ((turned, "noise, walk"), (renamed, "jumps")):
        act = partial(model.predict, replace(asked, sequences=other))
        told = refusal(DataError, act, f"samples with '{name}' were not refused {when}")
        require(name in told, f"the refusal does not name '{name}': {told}")


def _same(one: ClassPrediction, other: ClassPrediction, when: str) -> None:
    pair: tuple[Floats, Floats] = (one.probabilities, other.probabilities)
    unlike: NDArray[np.int64] = np.flatnonzero((pair[0] != pair[1]).any(axis=1))
    if len(unlike):
        n = int(unlike[0])
        raise AssertionError(
            f"{len(unlike)} of {len(one)} samples get other probabilities {when}; the first, row "
            f"{one.rows[n]}: {pair[0][n].tolist()} and {pair[1][n].tolist()}"
        )
