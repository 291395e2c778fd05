"""Sweep: a family's usual configs, then a small grid, then every combination; models are stored."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from podium import registry
from podium.errors import Problem, UsageError, suggest
from podium.hashing import canonical, digest
from podium.ledger.reads import TrialRow
from podium.searches._base import Search
from podium.searches._phases import Phase, PhasedSearch
from podium.space import Choice, ConfigDict, Space
from podium.steps.data.sequences import task_data
from podium.steps.search.focus import Focus, focus_of
from podium.steps.search.grid import SEED, default_grid
from podium.steps.search.results import SearchResult, result_of
from podium.steps.search.tune import Settings, spaces_of, validation_split
from podium.steps.trials import baselines, driver, finalists, schedule
from podium.steps.trials.context import StudyContext, begin_study
from podium.steps.trials.driver import SearchRun
from podium.steps.workspace.project import Project
from podium.steps.workspace.user_files import catch_up
from podium.steps.workspace.verb import on_slot
from podium.tasks._base import TaskData
from podium.trial import trial_seed

PHASE = "sweep"
# Each mode includes those before it.
MODES = ("priority", "quick", "full")
REFINE = "refine"
REFINED = f"{PHASE}/{REFINE}"
# Numbers of refinements are beyond those of any list; each focus has a thousand of a million.
BEYOND, STEPS, FOCUSES = 1_000_000_000, 1_000, 1_000_000
# Larger grids need --max-runs.
MANY = 10_000


class _Listed(Search):
    """Search over a list of configs, each with its mode."""

    seeded = False
    learns = False

    def __init__(self, space: Space, seed: int, configs: Sequence[tuple[str, ConfigDict]]) -> None:
        super().__init__(space, seed)
        self.configs = configs

    def phase(self, number: int) -> str:
        """Mode of a config."""
        return self.configs[number][0]

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Configs at these places."""
        return [self.configs[number][1] for number in numbers]

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Do nothing: the list is fixed."""


class _SpreadThenSteps(PhasedSearch):
    """Half of the configs spread evenly, the other half in small steps from the best."""

    phases = (Phase("spread", "qmc", 0.5), Phase("steps", "local", 0.5))


class _Refining(Search):
    """Search in a focus, with numbers from `first`."""

    def __init__(self, space: Space, seed: int, first: int, count: int) -> None:
        super().__init__(space, seed)
        self.first = first
        self.inner: Search = _SpreadThenSteps(space, seed)
        self.inner.begin(count, 1, {})

    def phase(self, number: int) -> str:
        """Phase of every refinement."""
        return REFINE

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Configs of the focus."""
        return self.inner.ask([number - self.first for number in numbers])

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Pass a score on; negative numbers are trials on record."""
        self.inner.tell(number - self.first if number >= 0 else number, config, score)


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
    """Train a list of configs, one family after another, and store each model.

    All families' ``priority`` configs come first, then their ``quick`` grids, then the ``full``
    ones (ends and middle of ranges). Configs that a grid or a sweep trained before are not trained
    again, so a larger mode continues after a smaller one.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot.
    mode : {"priority", "quick", "full"}
        Each includes those before it.
    families : sequence of str, optional
        Default: the slot's.
    space : mapping of parameter to setting, optional
        Settings as in ``[space.<family>]``, which they precede; a parameter that is set there or
        here has no other values in any mode.
    max_runs : int, optional
        Maximum number of configs, including those on record and refinements.
    refine : bool
        Then search around the best configs on record (of any sweep, grid or tune on the same data,
        task, split and metric), in the best family with untried configs there: as many configs as
        `max_runs` leaves, else one generation of ``[tune]``. The focus is printed and on record.

    Returns
    -------
    SearchResult

    Raises
    ------
    UsageError
        Unknown modes, families, parameters or values; nothing is trained.
    NotFoundError
        Every trial failed.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.slot("us4/D/return").sweep("quick", max_runs=20).best_score
    0.003156
    """
    if mode not in MODES:
        raise UsageError(f"no mode '{mode}'", fix=suggest(mode, MODES))
    data = task_data(project.config, slot, say=project.reporter.say)
    names = list(families) or list(data.section.families)
    if unknown := [name for name in names if not registry.exists("families", name)]:
        known = registry.families_of(data.section.task)
        UsageError.raise_for(Problem(f"no family '{n}'", fix=suggest(n, known)) for n in unknown)
    split = validation_split(project, data)
    spaces = spaces_of(project, data, space or {}, names)
    given = {name: {**project.config.space.get(name, {}), **(space or {})} for name in names}
    lists = {
        name: _Lists(data, name, spaces[name], given[name], max_runs).up_to(mode) for name in names
    }
    settings = project.config.tune
    question = {"search": PHASE, "seed": settings.seed, **schedule.schedule_question(project)}
    context = begin_study(project, data, split, spaces, **question)
    baselines.run(context)
    seed = trial_seed(settings.seed, SEED)
    trials: dict[str, list[TrialRow]] = {name: [] for name in names}
    left = math.inf if max_runs is None else max_runs
    with driver.work_folder(project, slot, PHASE) as work:
        for level, name in itertools.product(MODES[: MODES.index(mode) + 1], names):
            numbers = [n for n, (its, _) in enumerate(lists[name]) if its == level]
            numbers = numbers[: int(min(left, len(numbers)))]
            left -= len(numbers)
            search, size = _Listed(spaces[name], seed, lists[name]), settings.generation
            label = f"{slot}: sweep {name} {level}"
            run = SearchRun(name, search, PHASE, numbers, size, lambda _: seed, label, work)
            trials[name] += driver.run_search(context, run)
        left = settings.generation if max_runs is None else left
        if refine and (steps := int(min(left, STEPS))):
            focus = focus_of(context, spaces, PHASE, [REFINED])
            if focus is not None:
                trials[focus.family] += _refine(context, focus, steps, work)
    result = result_of(context, PHASE, [row for name in names for row in trials[name]])
    result = result.with_finals(finalists.train(context, result.trials))
    catch_up(project)
    return result


def _refine(context: StudyContext, focus: Focus, steps: int, work: str) -> list[TrialRow]:
    """Search a focus, which is put on record and printed; returns the trials."""
    settings, family, space = context.project.config.tune, focus.family, focus.space
    say = context.project.reporter.say
    outputs = {
        "family": family,
        "best": [row.id for row in focus.best],
        "trials": len(focus.trials),
        "space": space.spec(),
    }
    say(f"{context.slot}: refine {focus.sentence}")
    # Contents in place of ids, so that the same trials of another project give the same configs.
    tried = sorted(row.config_hash for row in focus.trials)
    inputs = digest([context.study.key, family, outputs["space"], tried])
    if context.receipt(REFINE, inputs) is None:
        context.put_receipt(REFINE, inputs, outputs)
    steps = focus.untried(steps)
    if not steps:
        say(
            f"{context.slot}: every config around the best of {family} is on record; --mode full, "
            f"or a wider space, has more: {context.data.space_place(family)}"
        )
    first = BEYOND + STEPS * (int(inputs[:12], 16) % FOCUSES)
    search = _Refining(space, trial_seed(settings.seed, first), first, max(1, steps))
    for number, row in enumerate(focus.trials):
        search.tell(number - len(focus.trials), row.config, context.data.direction.sign * row.score)
    run = SearchRun(
        family,
        search,
        PHASE,
        range(first, first + steps),
        # The second half starts from the best of the first.
        max(1, steps // 2),
        lambda _: trial_seed(settings.seed, SEED),
        f"{context.slot}: refine {family}",
        work,
    )
    return driver.run_search(context, run)


@dataclass(frozen=True)
class _Lists:
    """Configs of a family in each mode: its lists, narrowed by the project's settings."""

    data: TaskData
    family: str
    space: Space
    settings: Settings
    max_runs: int | None

    def up_to(self, mode: str) -> list[tuple[str, ConfigDict]]:
        """Distinct configs up to a mode, each with its mode."""
        configs: dict[str, tuple[str, ConfigDict]] = {}
        for level in MODES[: MODES.index(mode) + 1]:
            for config in self._of(level):
                if self.max_runs is not None and len(configs) >= self.max_runs:
                    break
                configs.setdefault(canonical(config), (level, config))
        return list(configs.values())

    def _of(self, level: str) -> Iterator[ConfigDict]:
        name, space = self.family, self.space
        family: Any = self.data.family(name)
        if level == "priority":
            for config in family.priority(self.data.tuning):
                mine = {k: v for k, v in config.items() if k not in self.settings}
                yield from space.narrowed(mine, f"priority of {name}").only([]).grid()
            return
        if level == "quick":
            lists = default_grid(family.quick(self.data.tuning), self.settings, space)
            space = space.narrowed({k: list(v) for k, v in lists.items()}, f"quick of {name}")
            space = space.only(lists)
        else:
            space = space.lists()
        sizes = [len(p.options) for p in space.parameters.values() if isinstance(p, Choice)]
        if self.max_runs is None and (count := math.prod(sizes)) > MANY:
            raise UsageError(
                f"{level} of {name} has {count:,} configs", f"at most {MANY:,}", "set --max-runs"
            )
        yield from space.grid()
