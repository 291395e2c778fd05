"""Sweep: what most people try first, then a small grid, then everything; models are kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from podium import registry
from podium.errors import Problem, UsageError, suggest
from podium.hashing import canonical
from podium.ledger.reads import TrialRow
from podium.searches._base import Search
from podium.space import Choice, ConfigDict, Space
from podium.steps.data.sequences import task_data
from podium.steps.search.grid import SEED, default_grid
from podium.steps.search.results import SearchResult, result_of
from podium.steps.search.tune import Settings, spaces_of, validation_split
from podium.steps.trials import baselines, driver, finalists, schedule
from podium.steps.trials.context import StudyContext, begin_study
from podium.steps.trials.driver import SearchRun, best_of
from podium.steps.workspace.project import Project
from podium.steps.workspace.user_files import catch_up
from podium.steps.workspace.verb import on_slot
from podium.tasks._base import TaskData
from podium.trial import trial_seed

PHASE = "sweep"
# Each has those before it in it.
MODES = ("priority", "quick", "full")
REFINE = "refine"
# Numbers of refinements are beyond those of any list, and tell how much was known when they began.
BEYOND, STEPS = 1_000_000_000, 1_000
# A grid that is larger than this is a mistake unless somebody says how much of it is wanted.
MANY = 10_000


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


@on_slot("sweep")
def sweep(
    project: Project,
    slot: str,
    mode: str = "priority",
    *,
    families: Sequence[str] = (),
    space: Settings | None = None,
    max_runs: int | None = None,
    refine: bool = False,
) -> SearchResult:
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
    UsageError.raise_for(unknown)
    split = validation_split(project, data)
    spaces = spaces_of(project, data, space or {}, names)
    given = {name: {**project.config.space.get(name, {}), **(space or {})} for name in names}
    lists = {
        name: _Lists(data, name, spaces[name], given[name], max_runs).up_to(mode) for name in names
    }
    settings = project.config.tune
    scheduled = schedule.schedule_question(project)
    context = begin_study(
        project, data, split, spaces, search=PHASE, seed=settings.seed, **scheduled
    )
    baselines.run(context)
    seed = trial_seed(settings.seed, SEED)
    found: dict[str, list[TrialRow]] = {name: [] for name in names}
    left = math.inf if max_runs is None else max_runs
    with driver.work_folder(project, slot, PHASE) as work:
        for level, name in itertools.product(MODES[: MODES.index(mode) + 1], names):
            numbers = [n for n, (its, _) in enumerate(lists[name]) if its == level]
            numbers = numbers[: int(min(left, len(numbers)))]
            left -= len(numbers)
            run = SearchRun(
                name,
                _Listed(spaces[name], seed, lists[name]),
                PHASE,
                numbers,
                settings.generation,
                lambda _: seed,
                f"{slot}: sweep {name} {level}",
                work,
            )
            found[name] += driver.run_search(context, run)
        if refine and (steps := int(min(left, settings.generation))):
            rows = [row for name in names for row in found[name]]
            best = best_of(rows, slot, PHASE, context.data.direction)
            run = _refinement(context, best, spaces[best.family], rows, steps, work)
            found[best.family] += driver.run_search(context, run)
    result = result_of(context, PHASE, [row for name in names for row in found[name]])
    result = result.with_finals(finalists.train(context, result.trials))
    catch_up(project)
    return result


def _refinement(
    context: StudyContext,
    best: TrialRow,
    space: Space,
    rows: Sequence[TrialRow],
    steps: int,
    work: str,
) -> SearchRun:
    """Small steps from the best config there is, in its own family."""
    settings, family = context.project.config.tune, best.family
    first = BEYOND + STEPS * len(rows)
    search = _Refining(space, trial_seed(settings.seed, first), first, steps)
    for row in rows:
        if row.family == family:
            search.tell(row.number, row.config, context.data.direction.sign * row.score)
    return SearchRun(
        family,
        search,
        PHASE,
        range(first, first + steps),
        # Each half starts from what the one before found.
        max(1, steps // 2),
        lambda _: trial_seed(settings.seed, SEED),
        f"{context.slot}: refine {family}",
        work,
    )


@dataclass(frozen=True)
class _Lists:
    """Where the configs of a family come from: its own lists, and what the project sets."""

    data: TaskData
    family: str
    space: Space
    given: Settings
    max_runs: int | None

    def up_to(self, mode: str) -> list[tuple[str, ConfigDict]]:
        """Configs up to a mode, each once, with the mode that it belongs to."""
        found: dict[str, tuple[str, ConfigDict]] = {}
        for level in MODES[: MODES.index(mode) + 1]:
            for config in self._of(level):
                if self.max_runs is not None and len(found) >= self.max_runs:
                    break
                found.setdefault(canonical(config), (level, config))
        return list(found.values())

    def _of(self, level: str) -> Iterator[ConfigDict]:
        name, space = self.family, self.space
        family: Any = self.data.family(name)
        if level == "priority":
            for config in family.priority(self.data.tuning):
                mine = {k: v for k, v in config.items() if k not in self.given}
                yield from space.narrowed(mine, f"priority of {name}").only([]).grid()
            return
        if level == "quick":
            lists = default_grid(family.quick(self.data.tuning), self.given, space)
            space = space.narrowed({k: list(v) for k, v in lists.items()}, f"quick of {name}")
            space = space.only(lists)
        else:
            space = space.lists()
        sizes = [len(p.options) for p in space.parameters.values() if isinstance(p, Choice)]
        if self.max_runs is None and (count := math.prod(sizes)) > MANY:
            raise UsageError(
                f"{level} of {name} has {count:,} configs", f"at most {MANY:,}", "say --max-runs"
            )
        yield from space.grid()
