"""Trainings, pauses and comparisons for the checks of families of every task."""

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
    """A small problem with a known answer, as training and validation parts.

    Attributes
    ----------
    data : View, Sequences or the like
        Input of a family's space.
    train, validation : Windows, Subset or the like
        Their ``blind()`` is the input of predictions.
    """

    data: Any
    train: Any
    validation: Any

    @classmethod
    @abc.abstractmethod
    def planted(cls) -> Self:
        """The case of most checks."""

    @classmethod
    @abc.abstractmethod
    def learnable(cls) -> Self:
        """A larger case, for :meth:`wanted`."""

    @abc.abstractmethod
    def loss(self, prediction: Any) -> float:
        """Mean loss of a prediction of the validation part."""

    @abc.abstractmethod
    def wanted(self) -> float:
        """Largest loss of a family that learns; not reachable without the inputs."""

    @abc.abstractmethod
    def others_replaced(self) -> Iterator[tuple[str, Any]]:
        """Changes of all data but the training samples, and the training part on each."""


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
    """Model of a config, without its scores."""
    return family.fit(config, train, validation, seed=seed, report=lambda epoch, scores: None)


def fitted(family: AFamily, case: KnownTask) -> Iterator[tuple[ConfigDict, Any]]:
    """A few configs with their models."""
    for config in configs(family.space(case.data)):
        yield config, fit(family, config, case.train, case.validation)


def require_same(one: Any, other: Any, when: str) -> None:
    """Require equal predictions bit for bit, with their index; NaN equals NaN."""
    for field in fields(one):
        pair = [np.atleast_1d(getattr(each, field.name)) for each in (one, other)]
        place = first_difference(*pair)
        if place is not None:
            row = place[0]
            one_row, other_row = (values[row : row + 1].tolist() for values in pair)
            found = f"{field.name} of the predictions differ {when}, first in row {row}"
            raise AssertionError(f"{found}: {one_row} and {other_row}")


class Memory:
    """Stores states; training resumes from a given one.

    Parameters
    ----------
    last : bytes, optional
        State to resume from.
    until : int
        Epoch to pause after, the only state to save; 0: save every state, without a pause.
    """

    def __init__(self, last: bytes | None = None, until: int = 0) -> None:
        self.kept: dict[int, bytes] = {}
        self.best, self.until, self._last = 0, until, last

    def last(self) -> bytes | None:
        """The given state."""
        return self._last

    def wants(self, epoch: int) -> bool:
        """Every epoch, or the one to pause after."""
        return self.until in (0, epoch)

    def put(self, epoch: int, state: bytes, *, best: bool) -> None:
        """Store a state."""
        require(self.wants(epoch), f"the state after epoch {epoch} was made without a request")
        self.kept[epoch] = state
        self.best = epoch if best else self.best
        if epoch == self.until:
            raise TrainingPaused


def trainings(
    family: AFamily, config: ConfigDict, train: Any, validation: Any
) -> Iterator[tuple[str, Any]]:
    """Models of one training: uninterrupted, resumed from each state, and paused every epoch.

    Yields
    ------
    str
        Description of the interruptions.
    model
        Model of a training with the uninterrupted curve.
    """
    whole, curve = _trained(family, config, train, validation, None)
    require(isinstance(whole, Fitted) and whole.model is not None, f"it does not fit {config}")
    yield "without interruption", whole.model  # type: ignore[union-attr]

    def same(when: str, keep: Memory) -> tuple[str, Any]:
        end, scores = _trained(family, config, train, validation, keep)
        require(scores == curve, f"{when}, the curve differs ({config})")
        require(isinstance(end, Fitted), f"{when}, it gives no model")
        return when, end.model  # type: ignore[union-attr]

    states = Memory()
    yield same("with every state kept", states)
    for epoch, state in states.kept.items():
        yield same(f"resumed from epoch {epoch}", Memory(state))
    last: bytes | None = None
    for until in range(1, len(curve)):
        keep = Memory(last, until)
        end, scores = _trained(family, config, train, validation, keep)
        require(isinstance(end, Stopped), f"it did not pause after epoch {until}")
        require(scores == curve[:until], f"paused after epoch {until}, the curve differs")
        last = keep.kept[until]
    yield same("paused after every epoch", Memory(last))


def _trained(
    family: AFamily, config: ConfigDict, train: Any, validation: Any, keep: Memory | None
) -> tuple[Fitted | Stopped, list[Mapping[str, float]]]:
    """Last event, and the scores of every epoch."""
    *epochs, end = family.fit_many([config], train, validation, seeds=[SEED], keeps=[keep])
    require(not isinstance(end, Epoch), "the last event is an epoch")
    return end, [event.scores for event in epochs if isinstance(event, Epoch)]  # type: ignore[return-value]
