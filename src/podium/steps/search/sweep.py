"""Sweep: what most people try first, then a small grid, then everything; models are kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podium import registry
from podium.errors import Problem, UsageError, suggest
from podium.hashing import canonical
from podium.ledger.reads import TrialRow
from podium.searches._base import Search
from podium.space import Choice, ConfigDict, Space
from podium.split import Split
from podium.steps.data.sequences import TaskData, task_data
from podium.steps.search.grid import SEED, default_grid
from podium.steps.search.tune import (
    Settings,
    put_question,
    spaces_of,
    validation_split,
)
from podium.steps.trials import baselines, driver, schedule
from podium.steps.trials.driver import Walk, best_of
from podium.steps.trials.finalists import Finalist, train, winner
from podium.steps.trials.objectives import scored_alike
from podium.steps.workspace.project import Project
from podium.steps.workspace.user_files import catch_up
from podium.study import Study
from podium.trial import trial_seed

PHASE = "sweep"
# Each has those before it in it.
MODES = ("priority", "quick", "full")
REFINE = "refine"
# Numbers of refinements are beyond those of any list, and tell how much was known when they began.
BEYOND, STEPS = 1_000_000_000, 1_000
# A grid that is larger than this is a mistake unless somebody says how much of it is wanted.
MANY = 10_000


@dataclass(frozen=True, eq=False)
class Sweep:
    """A finished sweep.

    Parameters
    ----------
    trials : list of TrialRow
        Of all families, in the order trained; failed ones are among them.
    best, reference : TrialRow
        Best trial and best baseline on validation, in the metric's direction; the trial by the mean
        over the seeds where there are finalists, else by the score.
    finalists : list of Finalist
        Best mean first.
    """

    study: Study
    data: TaskData
    trials: Sequence[TrialRow]
    best: TrialRow
    reference: TrialRow
    finalists: Sequence[Finalist] = ()


class _Listed(Search):
    """Configs somebody wrote down, each with the mode it belongs to."""

    seeded = False
    learns = False

    def __init__(self, space: Space, seed: int, configs: Sequence[tuple[str, ConfigDict]]) -> None:
        super().__init__(space, seed)
        self.configs = configs

    def phase(self, number: int) -> str:
        """Mode of a config."""
        return self.configs[number][0]

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """The configs at these places."""
        return [self.configs[number][1] for number in numbers]

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Nothing to learn."""


class _Refining(Search):
    """Small steps from the best one, under numbers of their own."""

    def __init__(self, space: Space, seed: int, first: int, count: int) -> None:
        super().__init__(space, seed)
        self.first = first
        self.inner: Search = registry.load("searches", "local").SEARCH(space, seed)
        self.inner.begin(count, 1, {})

    def phase(self, number: int) -> str:
        """Always the same."""
        return REFINE

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Steps from the best config told."""
        return self.inner.ask([number - self.first for number in numbers])

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """How one did."""
        self.inner.tell(number - self.first, config, score)


def sweep(
    project: Project,
    slot: str,
    mode: str = "priority",
    *,
    families: Sequence[str] = (),
    space: Settings | None = None,
    max_runs: int | None = None,
    refine: bool = False,
) -> Sweep:
    """Train a list of configs, one family after another, and keep each model.

    All families' ``priority`` configs come first, then their ``quick`` grids, then everything
    (``full``, ranges cut into their ends and middle). What a grid or a sweep trained already is
    found by its key, so a larger mode goes on where a smaller one ended.

    Parameters
    ----------
    mode : str
        ``priority``, ``quick`` (which has priority in it) or ``full`` (which has both).
    families : sequence of str, optional
        Default: the slot's.
    space : mapping of parameter to setting, optional
        As in ``[space.<family>]``, which they come before; a parameter that is set there or here
        has no other values in any mode.
    max_runs : int, optional
        At most so many configs, those on record and refinements among them.
    refine : bool
        Then go on from the best one in small steps, as many as a generation of ``[tune]`` has.

    Raises
    ------
    UsageError
        Unknown modes, families, parameters or values, before anything is trained.
    NotFoundError
        Every trial failed.
    """
    if mode not in MODES:
        raise UsageError(f"no mode '{mode}'", fix=suggest(mode, MODES))
    data = task_data(project.config, slot, say=project.reporter.say)
    names = list(families) or list(data.section.families)
    unknown = [
        Problem(f"no family '{name}'", fix=suggest(name, registry.names("families")))
        for name in names
        if not registry.exists("families", name)
    ]
    if unknown:
        raise UsageError.of(unknown)
    split = validation_split(project, data)
    spaces = spaces_of(project, data, space or {}, names)
    lists = {
        name: _listed(project, data, name, spaces[name], space or {}, mode, max_runs)
        for name in names
    }
    settings = project.config.tune
    scheduled = schedule.asked(project)
    study = put_question(
        project, data, split, spaces, search=PHASE, seed=settings.seed, **scheduled
    )
    baselines.run(project, study, data, split)
    seed = trial_seed(settings.seed, SEED)
    found: dict[str, list[TrialRow]] = {name: [] for name in names}
    left = math.inf if max_runs is None else max_runs
    with driver.workplace(project, slot, PHASE) as work:
        for level, name in itertools.product(MODES[: MODES.index(mode) + 1], names):
            numbers = [n for n, (its, _) in enumerate(lists[name]) if its == level]
            numbers = numbers[: int(min(left, len(numbers)))]
            left -= len(numbers)
            search = _Listed(spaces[name], seed, lists[name])
            walk = Walk(
                PHASE,
                numbers,
                settings.generation,
                lambda _: seed,
                f"{slot}: sweep {name} {level}",
                work,
            )
            rows = driver.go(project, study, data, split, name, search, walk)
            # One that was found may have been trained for another metric.
            found[name] += scored_alike(project, data, split, rows)
        if refine and (steps := int(min(left, settings.generation))):
            _refine(project, study, data, split, spaces, found, steps, work)
    way = data.direction
    rows = [row for name in names for row in found[name]]
    beside = baselines.rows_of(project, study.id, data, split)
    best = best_of(rows, slot, PHASE, way)
    finalists = train(project, study, data, split, rows)
    first = winner(finalists)
    best = first.row if first else best
    catch_up(project)
    return Sweep(study, data, rows, best, baselines.best(beside, data, PHASE), finalists)


def _refine(
    project: Project,
    study: Study,
    data: TaskData,
    split: Split,
    spaces: Mapping[str, Space],
    found: Mapping[str, list[TrialRow]],
    steps: int,
    work: str,
) -> None:
    """Small steps from the best config there is, in its own family."""
    rows = [row for family in found.values() for row in family]
    best = best_of(rows, data.slot, PHASE, data.direction)
    family, settings = best.family, project.config.tune
    first = BEYOND + STEPS * len(rows)
    seed = trial_seed(settings.seed, first)
    search = _Refining(spaces[family], seed, first, steps)
    sign = data.direction.sign
    for row in found[family]:
        search.tell(row.number, row.config, sign * row.score)
    walk = Walk(
        PHASE,
        range(first, first + steps),
        # Each half starts from what the one before found.
        max(1, steps // 2),
        lambda _: trial_seed(settings.seed, SEED),
        f"{data.slot}: refine {family}",
        work,
    )
    rows = driver.go(project, study, data, split, family, search, walk)
    found[family].extend(scored_alike(project, data, split, rows))


def _listed(
    project: Project,
    data: TaskData,
    name: str,
    space: Space,
    settings: Settings,
    mode: str,
    max_runs: int | None,
) -> list[tuple[str, ConfigDict]]:
    """Configs of a family up to a mode, each once, with the mode that it belongs to."""
    found: dict[str, tuple[str, ConfigDict]] = {}
    for level in MODES[: MODES.index(mode) + 1]:
        for config in _of_mode(project, data, name, space, settings, level, max_runs):
            if max_runs is not None and len(found) >= max_runs:
                break
            found.setdefault(canonical(config), (level, config))
    return list(found.values())


def _of_mode(
    project: Project,
    data: TaskData,
    name: str,
    space: Space,
    settings: Settings,
    level: str,
    max_runs: int | None,
) -> Iterator[ConfigDict]:
    family: Any = data.family(name)
    theirs = {**project.config.space.get(name, {}), **settings}
    if level == "priority":
        for config in family.priority(data.tuning):
            mine = {k: v for k, v in config.items() if k not in theirs}
            yield from space.narrowed(mine, f"priority of {name}").only([]).grid()
        return
    if level == "quick":
        lists = default_grid(family.quick(data.tuning), theirs, space)
        space = space.narrowed({k: list(v) for k, v in lists.items()}, f"quick of {name}").only(
            lists
        )
    else:
        space = space.lists()
    sizes = [len(p.options) for p in space.parameters.values() if isinstance(p, Choice)]
    if max_runs is None and (count := math.prod(sizes)) > MANY:
        raise UsageError(
            f"{level} of {name} has {count:,} configs", f"at most {MANY:,}", "say --max-runs"
        )
    yield from space.grid()
