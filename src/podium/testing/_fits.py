"""What the checks of families train and compare, whatever their task is; pauses too."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Self

import numpy as np

from podium.families._base import AnyFamily
from podium.space import Choice, ConfigDict, Space
from podium.testing._base import SEED, require
from podium.testing.leak import first_difference
from podium.trial import BUDGET, Epoch, Fitted, Stopped, TrainingPaused

EPOCHS = 2

AFamily = AnyFamily[Any, Any, Any]


class KnownTask(abc.ABC):
    """A small task whose answer is known: parts to learn and to judge from.

    Attributes
    ----------
    data : View, Sequences or the like
        What a family's space depends on.
    train, validation : Windows, Subset or the like
        Their ``blind()`` is what a model is asked for.
    """

    data: Any
    train: Any
    validation: Any

    @classmethod
    @abc.abstractmethod
    def planted(cls) -> Self:
        """The case on which every promise is looked at."""

    @classmethod
    @abc.abstractmethod
    def learnable(cls) -> Self:
        """A larger one, for :meth:`wanted`."""

    @abc.abstractmethod
    def loss(self, prediction: Any) -> float:
        """Mean loss of a prediction of the validation part."""

    @abc.abstractmethod
    def wanted(self) -> float:
        """Loss that a family which learns goes below; knowing nothing of a sample, it cannot."""

    @abc.abstractmethod
    def others_replaced(self) -> Iterator[tuple[str, Any]]:
        """How all that is no training sample was changed, and the training part on that."""


def configs(space: Space, epochs: int = EPOCHS, count: int = 2) -> list[ConfigDict]:
    """The whole grid of a small discrete space, else a few draws; short training."""
    if BUDGET in {**space.parameters, **space.constants}:
        space = space.narrowed({BUDGET: epochs}, "the kit")
    options = [len(p.options) for p in space.parameters.values() if isinstance(p, Choice)]
    if len(options) == len(space.parameters) and math.prod(options) <= 32:
        return list(space.grid())
    return [space.sample(seed) for seed in range(count)]


def fit(
    family: AFamily, config: ConfigDict, train: Any, validation: Any, *, seed: int = SEED
) -> Any:
    """Model of a config; its scores are dropped."""
    return family.fit(config, train, validation, seed=seed, report=lambda epoch, scores: None)


def fitted(family: AFamily, case: KnownTask) -> Iterator[tuple[ConfigDict, Any]]:
    """A few configs, each with a model of it."""
    for config in configs(family.space(case.data)):
        yield config, fit(family, config, case.train, case.validation)


def require_same(one: Any, other: Any, when: str) -> None:
    """Two predictions are the same to the bit, with their index; NaN is the same as NaN."""
    for field in fields(one):
        pair = [np.atleast_1d(getattr(each, field.name)) for each in (one, other)]
        place = first_difference(*pair)
        if place is not None:
            rows = [values[place[0] : place[0] + 1].tolist() for values in pair]
            raise AssertionError(
                f"{field.name} of the predictions differ {when}, first in row {place[0]}: "
                f"{rows[0]} and {rows[1]}"
            )


class Memory:
    """Keeps states; goes on from the one it is given.

    Parameters
    ----------
    last : bytes, optional
        State to go on from.
    until : int
        Epoch to pause after, whose state is the only one wanted; 0: every state is, and no pause.
    """

    def __init__(self, last: bytes | None = None, until: int = 0) -> None:
        self.kept: dict[int, bytes] = {}
        self.best = 0
        self.until = until
        self._last = last

    def last(self) -> bytes | None:
        """The state it was given."""
        return self._last

    def wants(self, epoch: int) -> bool:
        """Every one, or that of the epoch to pause after."""
        return self.until in (0, epoch)

    def put(self, epoch: int, state: bytes, *, best: bool) -> None:
        """Keep it."""
        require(self.wants(epoch), f"the state after epoch {epoch} was made, and nobody wants it")
        self.kept[epoch] = state
        self.best = epoch if best else self.best
        if epoch == self.until:
            raise TrainingPaused


def trainings(
    family: AFamily, config: ConfigDict, train: Any, validation: Any
) -> Iterator[tuple[str, Any]]:
    """Models of one training: in one go; gone on with from each state; with a pause every epoch.

    Yields
    ------
    str
        When it was interrupted.
    model
        Of a training whose curve was the uninterrupted one.
    """
    whole, curve = _trained(family, config, train, validation, None)
    require(isinstance(whole, Fitted) and whole.model is not None, f"it does not fit {config}")
    yield "in one go", whole.model  # type: ignore[union-attr]

    def same(when: str, keep: Memory) -> tuple[str, Any]:
        end, scores = _trained(family, config, train, validation, keep)
        require(scores == curve, f"{when}, the curve differs ({config})")
        require(isinstance(end, Fitted), f"{when}, it gives no model")
        return when, end.model  # type: ignore[union-attr]

    states = Memory()
    yield same("with every state kept", states)
    for epoch, state in states.kept.items():
        yield same(f"gone on from epoch {epoch}", Memory(state))
    last: bytes | None = None
    for until in range(1, len(curve)):
        keep = Memory(last, until)
        end, scores = _trained(family, config, train, validation, keep)
        require(isinstance(end, Stopped), f"asked to pause after epoch {until}, it went on")
        require(scores == curve[:until], f"paused after epoch {until}, the curve differs")
        last = keep.kept[until]
    yield same("paused after every epoch", Memory(last))


def _trained(
    family: AFamily, config: ConfigDict, train: Any, validation: Any, keep: Memory | None
) -> tuple[Fitted | Stopped, list[Mapping[str, float]]]:
    """How it ended, and the scores of every epoch."""
    *epochs, end = family.fit_many([config], train, validation, seeds=[SEED], keeps=[keep])
    require(not isinstance(end, Epoch), "the last event is an epoch")
    return end, [event.scores for event in epochs if isinstance(event, Epoch)]  # type: ignore[return-value]
