"""Focus of a refinement: the part of a space around the best configs on record."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from podium.ledger import reads, warm_start
from podium.ledger.reads import TrialRow
from podium.space import Choice, ConfigDict, Float, Int, Space, Value, When
from podium.steps.trials.context import StudyContext
from podium.trial import State, config_hash

# At most this many configs, and at most this share of a family's configs, are the best ones.
MOST, SHARE = 5, 0.25
# Margins around the best values on a parameter's scale from 0 to 1: without a neighbour, and the
# smallest one.
MARGIN, LEAST = 0.15, 0.02


@dataclass(frozen=True)
class Focus:
    """Part of a family's space around its best configs.

    Parameters
    ----------
    family : str
    space : Space
        Ranges are narrowed and choices restricted; other parameters are constant.
    best : sequence of TrialRow
        Best first.
    trials : sequence of TrialRow
        All trials that the best ones were chosen from, refinements excluded.
    """

    family: str
    space: Space
    best: Sequence[TrialRow]
    trials: Sequence[TrialRow]

    def untried(self, most: int) -> int:
        """Number of configs of the space that are not on record, at most `most`."""
        if not self.space.is_finite:
            return most
        tried = {row.config_hash for row in self.trials}
        grid = self.space.lists(points=2**31).grid()
        new = (config for config in grid if config_hash(self.family, config) not in tried)
        return sum(1 for _ in itertools.islice(new, most))

    @property
    def sentence(self) -> str:
        """The family, the best configs and the values that are searched around them."""
        count = "best config" if len(self.best) == 1 else f"{len(self.best)} best configs"
        ids = ", ".join(row.id for row in self.best)
        searched = "; ".join(f"{name}: {p}" for name, p in self.space.parameters.items())
        around = f"around the {count} of {len(self.trials)} ({ids})"
        return f"{self.family} {around}: {searched or 'no parameter varies'}"


def focus_of(
    context: StudyContext, spaces: Mapping[str, Space], phase: str, without: Collection[str]
) -> Focus | None:
    """Focus around the best configs on record, in the best family that has untried ones there.

    Every complete trial of a search or grid counts that has the data, task, split and metric of
    the study, and the trials of the study's own phase with configs outside of the space.

    Parameters
    ----------
    phase : str
        Phase of the study's own trials.
    without : collection of str
        Phases that do not count: with those of refinements, a refinement would move the focus
        of the next one.

    Returns
    -------
    Focus or None
        None if no trial is complete.
    """
    versions = {name: context.data.version(name) for name in spaces}
    own = {row.id for row in context.rows(phase) if row.phase not in without}
    with context.project.ledger.reading() as tx:
        question = context.study.question
        known = warm_start.searched_trials(
            tx, question, versions, [State.COMPLETE], without=without
        )
        ids = [id_ for id_, name, config in known if id_ in own or spaces[name].contains(config)]
        by_id = reads.trials_by_id(tx, ids)
    rows = [row for row in context.scored([by_id[id_] for id_ in ids]) if math.isfinite(row.score)]
    ranked = sorted(rows, key=lambda row: context.data.direction.sign * row.score)
    foci = [
        _around([row for row in ranked if row.family == family], spaces[family])
        for family in dict.fromkeys(row.family for row in ranked)
    ]
    return next((focus for focus in foci if focus.untried(1)), next(iter(foci), None))


def _around(ranked: Sequence[TrialRow], space: Space) -> Focus:
    """Focus around the best of a family's trials."""
    best = ranked[: min(MOST, math.ceil(SHARE * len(ranked)))]
    near = focused(space, [row.config for row in best], [row.config for row in ranked])
    return Focus(ranked[0].family, near, best, ranked)


def focused(space: Space, best: Sequence[ConfigDict], tried: Sequence[ConfigDict]) -> Space:
    """The part of a space around some of its configs.

    A range ends half way between the outermost value of the best configs and the next one that
    was tried. Choices and constants have the values of the best configs.

    Parameters
    ----------
    best, tried : sequence of config
        The best configs, best first, and all of them.

    Examples
    --------
    >>> space = Space({"lr": Float(0.0, 1.0), "units": Choice((16, 32, 64))})
    >>> tried = [{"lr": lr, "units": 32} for lr in (0.2, 0.4, 0.8)]
    >>> near = focused(space, tried[1:2], tried)
    >>> [near.parameters["lr"].at(end) for end in (0, 1)], near.constants
    ([0.30000000000000004, 0.6000000000000001], {'units': 32})
    """
    parameters: dict[str, Float | Int | Choice] = {}
    constants = {n: v for n, v in space.constants.items() if all(n in c for c in best)}
    always = When({})
    for name in dict.fromkeys([*space.parameters, *(n for config in best for n in config)]):
        when = space.conditions.get(name, always)
        having = [config for config in best if name in config]
        # In a config where it is inactive a parameter has a value that was not chosen.
        active = [config for config in having if when.holds(config)] or having
        values = list(dict.fromkeys(config[name] for config in active))
        parameter = space.parameters.get(name)
        if values and isinstance(parameter, Float | Int):
            others = [config[name] for config in tried if name in config and when.holds(config)]
            parameters[name] = _narrowed(parameter, values, others)
        elif values:
            parameters[name] = Choice(tuple(values))
    for name, parameter in [*parameters.items()]:
        if parameter.at(0.0) == parameter.at(1.0):
            constants[name] = parameters.pop(name).at(0.0)
    return replace(space, parameters=parameters, constants=constants)


def _narrowed(parameter: Float | Int, best: Sequence[Value], tried: Sequence[Value]) -> Float | Int:
    """Range around the best values, half way to the next ones that were tried."""
    # A family's lists may hold values beyond the searched range.
    ends: Any = {"low": min(parameter.low, *best), "high": max(parameter.high, *best)}
    wide = replace(parameter, **ends)
    places, others = [wide.place(v) for v in best], [wide.place(v) for v in tried]
    low, high = min(places), max(places)
    below = max((place for place in others if place < low), default=low - 2 * MARGIN)
    above = min((place for place in others if place > high), default=high + 2 * MARGIN)
    low -= max(LEAST, (low - below) / 2)
    high += max(LEAST, (above - high) / 2)
    ends = {"low": wide.at(max(0.0, low)), "high": wide.at(min(1.0, high))}
    return replace(wide, **ends)
