"""What the checks of families fit and compare, whatever their task is."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Self

import numpy as np

from podium.families._base import AnyFamily
from podium.space import Choice, ConfigDict, Space
from podium.testing._base import SEED
from podium.testing.leak import first_difference
from podium.trial import BUDGET

EPOCHS = 2

AFamily = AnyFamily[Any, Any, Any]


class Case(abc.ABC):
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


def fitted(family: AFamily, case: Case) -> Iterator[tuple[ConfigDict, Any]]:
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
