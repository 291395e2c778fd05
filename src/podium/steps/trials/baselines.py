"""Baselines of a task: families whose every config runs beside a search, and the best of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from podium import registry
from podium.errors import UsageError
from podium.hashing import canonical
from podium.ledger.reads import TrialRow
from podium.registry import Direction
from podium.render.blocks import short
from podium.space import ConfigDict
from podium.split import Windows
from podium.steps.trials import execute
from podium.steps.trials.context import StudyContext
from podium.steps.trials.driver import best_of
from podium.steps.trials.execute import Planned
from podium.tasks._base import TaskData
from podium.trial import BASELINE
from podium.view import View


class Configured(Protocol):
    """A config of a family: a trial, the trials of its folds, or a :class:`Reference`."""

    @property
    def family(self) -> str:
        """Name of the family."""

    @property
    def config(self) -> ConfigDict:
        """Values of its parameters."""


OneT = TypeVar("OneT", bound=Configured)


@dataclass(frozen=True)
class Reference:
    """A baseline by family and config."""

    family: str
    config: ConfigDict


def families(task: str) -> tuple[str, ...]:
    """Families whose every config is a baseline of a task."""
    return tuple(registry.constant("tasks", task, "BASELINES"))


def all_configs(data: Any, task: str = "forecast", more: Sequence[str] = ()) -> list[Reference]:
    """Every config of every baseline of a task.

    Parameters
    ----------
    data : View or Sequences
        Data of the search, on which the spaces depend.
    task : str
    more : sequence of str
        Families beside those of the task: the slot's ``baselines``.

    Returns
    -------
    list of Reference
        In the order of the task's ``BASELINES``, and of each family's grid.

    Raises
    ------
    UsageError
        The space of a family is not finite.
    """
    configs = []
    # A family named twice is one baseline.
    for name in dict.fromkeys((*families(task), *more)):
        space = registry.family(name, task).space(data)
        if not space.is_finite:
            raise UsageError(
                f"baseline '{name}' has an infinite search space",
                "a family with a finite space, since each of its configs runs",
                f"remove it from the slot's baselines, or search it: families = ['{name}']",
            )
        configs += [Reference(name, config) for config in space.grid()]
    return configs


def planned(data: TaskData) -> dict[str, list[Planned]]:
    """Trials of all baselines by family, numbered consecutively over all families."""
    plans: dict[str, list[Planned]] = {}
    more = getattr(data.section, "baselines", ())
    for number, one in enumerate(all_configs(data.tuning, data.section.task, more)):
        plan = Planned(BASELINE, number, one.config, fold=0, seed=0)
        plans.setdefault(one.family, []).append(plan)
    return plans


def run(context: StudyContext) -> None:
    """Train every baseline on the study's windows, unless it is on record."""
    for name, plans in planned(context.data).items():
        execute.run(context, execute.job_of(context.data, context.split, name), plans)


def rows_of(context: StudyContext) -> list[TrialRow]:
    """Trials of a study's baselines, scored by the slot's metric."""
    return context.scored(context.rows(BASELINE))


def best(rows: Sequence[TrialRow], data: TaskData, verb: str) -> TrialRow:
    """The reference on the validation slice: the baseline with the best score.

    Raises
    ------
    NotFoundError
        No baseline is complete; ``verb`` runs them.
    """
    return best_of(rows, data.slot, verb, data.direction)


def best_over_folds(rows: Sequence[TrialRow], direction: Direction) -> TrialRow | None:
    """The reference over folds: the baseline with the best mean score.

    Returns
    -------
    TrialRow or None
        The first fold of that baseline; None if each baseline failed on some fold.
    """
    folds: dict[str, list[TrialRow]] = {}
    for row in rows:
        folds.setdefault(row.config_hash, []).append(row)
    means = {name: float(np.mean([row.score for row in of])) for name, of in folds.items()}
    whole = [name for name, mean in means.items() if np.isfinite(mean)]
    return folds[min(whole, key=lambda name: direction.sign * means[name])][0] if whole else None


def rung_of(one: Configured, task: str) -> int:
    """Level of a config on the ladder, from 0 for a constant."""
    return int(registry.family(one.family, task).rung(one.config))


def simpler(one: Configured, rungs: Sequence[OneT], task: str) -> list[OneT]:
    """Baselines that a config must beat: all, or for a baseline those of lower levels.

    No baseline is simpler than a constant, which is its own reference.
    """
    itself = [rung for rung in rungs if same(rung, one)]
    if not itself:
        return [*rungs]
    level = rung_of(one, task)
    return [rung for rung in rungs if rung_of(rung, task) < level] or itself


def same(one: Configured, other: Configured) -> bool:
    """Whether two configs are equal."""
    return to_dict(one) == to_dict(other)


def ladder(rungs: Sequence[OneT], task: str) -> list[OneT]:
    """The first baseline of each family and level, in the order of the baselines."""
    first: dict[tuple[str, int], OneT] = {}
    for one in rungs:
        first.setdefault((one.family, rung_of(one, task)), one)
    return list(first.values())


def labelled(view: View) -> Windows:
    """Every window of a view with an outcome, on which a reference is fitted."""
    bars = np.arange(view.first_bar, view.last_labelled + 1, dtype=np.int64)
    return Windows.of(view, bars).labelled()


def fit(one: Configured, train: Any, task: str = "forecast") -> Any:
    """Fit a baseline without a validation part.

    Parameters
    ----------
    train : Windows or Subset
        All samples before the test.
    task : str

    Returns
    -------
    Model or ClassModel
    """
    path = isinstance(train, Windows) and train.view.path
    family = registry.family(one.family, task, path=path)
    return family.fit(one.config, train, None, seed=0, report=lambda epoch, scores: None)


def to_dict(one: Configured) -> dict[str, Any]:
    """Family and config, as inputs of receipts."""
    return {"family": one.family, "config": one.config}


def label_of(one: Configured) -> str:
    """Name of a baseline: family and config.

    Examples
    --------
    >>> label_of(Reference("naive", {"method": "ewma", "debias": True}))
    'naive ewma (debiased)'
    >>> label_of(Reference("drift", {})), label_of(Reference("ridge", {"alpha": 0.1}))
    ('drift', 'ridge (alpha 0.1)')
    >>> label_of(Reference("seasonal_naive", {"season": "week"}))
    'seasonal_naive (week)'
    >>> [label_of(Reference("logistic", {"class_weights": w})) for w in ("none", "balanced")]
    ['logistic', 'logistic (balanced)']
    """
    config = dict(one.config)
    method, debiased = config.pop("method", ""), config.pop("debias", False)
    values = [
        v if isinstance(v, str) else short({name: v}) for name, v in config.items() if v != "none"
    ]
    values += ["debiased"] * bool(debiased)
    return " ".join(
        filter(None, (one.family, str(method), f"({', '.join(values)})" * bool(values)))
    )


def notes(one: Configured) -> dict[str, str]:
    """Name, family and config of a baseline in evidence."""
    return {"naive_method": label_of(one), "reference": canonical(to_dict(one))}


def from_notes(notes: Mapping[str, str]) -> Reference | None:
    """Return the baseline named in the notes of evidence (:func:`notes`)."""
    return Reference(**json.loads(notes["reference"])) if "reference" in notes else None
