"""Train every config of a grid once, store each model and log each run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from podium import registry
from podium.hashing import new_id
from podium.ledger import reads, writes
from podium.ledger.projections._active import GRID
from podium.ledger.reads import TrialRow
from podium.registry import Direction
from podium.space import Choice, Space, Value
from podium.steps.data.sequences import task_data
from podium.steps.search.results import SearchResult, result_of
from podium.steps.search.tune import space_of, validation_split
from podium.steps.trials import baselines, driver, execute, schedule
from podium.steps.trials.context import StudyContext, begin_study
from podium.steps.trials.driver import SearchRun
from podium.steps.trials.execute import Planned
from podium.steps.workspace.project import Project
from podium.steps.workspace.user_files import catch_up
from podium.steps.workspace.verb import on_slot
from podium.tasks._base import TaskData
from podium.trial import State, trial_seed

# Searches draw the seeds of their trials from the numbers 0, 1, ...; a grid's seed is none of them.
SEED = -1


@on_slot("grid")
def grid(
    project: Project,
    slot: str,
    values: Mapping[str, Sequence[Value]] | None = None,
    *,
    family: str = "",
    budget: str = schedule.NONE,
) -> SearchResult:
    """Train every combination of some values, with one seed, to its full epochs.

    Each model is stored and logged in ``experiments/experiments_log.jsonl``; the best one of all
    comparable grids becomes the active model. The same grid again trains nothing new; an
    interrupted one continues.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot.
    values : mapping of parameter to values, optional
        Values to combine; other parameters have the project's or the family's default.
        Default: the family's own grid.
    family : str, optional
        Default: the slot's first one.
    budget : str, optional
        A schedule (``podium list schedules``) that prunes trials. Default: none.

    Returns
    -------
    SearchResult
        ``trained`` is the number of new trials.

    Raises
    ------
    UsageError
        Parameters or values outside of the family's space, all at once; nothing is trained.
    NotFoundError
        No such family, or every trial failed.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.slot("us4/D/return").grid({"lstm_units": [16, 32]}).best.config
    {'lstm_units': 16, ...}
    """
    data = task_data(project.config, slot)
    split = validation_split(project, data)
    name = family or data.section.families[0]
    space = grid_space(project, data, name, values or {})
    context = begin_study(
        project,
        data,
        split,
        {name: space},
        search=GRID,
        seed=project.config.tune.seed,
        **schedule.schedule_question(project, budget),
    )
    baselines.run(context)
    seed, configs = trial_seed(project.config.tune.seed, SEED), list(space.grid())
    plans = [Planned(GRID, 0, config, 0, seed) for config in configs]
    keys = [execute.key_of(data, split, name, plan).hash for plan in plans]
    before = project.ledger.read(reads.count_ended, keys)
    search = registry.load("searches", GRID).SEARCH(space, seed)
    with driver.work_folder(project, slot, GRID) as work:
        label, numbers = f"{slot}: grid {name}", range(len(configs))
        run = SearchRun(name, search, GRID, numbers, len(numbers), lambda _: seed, label, work)
        rows = driver.run_search(context, run)
    trained = len(rows) - before
    _summarize(context, rows, trained)
    catch_up(project)
    return replace(result_of(context, GRID, rows), trained=trained)


def grid_space(
    project: Project, data: TaskData, name: str, values: Mapping[str, Sequence[Value]]
) -> Space:
    """Space of a grid: its parameters have lists, the others one value.

    Raises
    ------
    UsageError
        Parameters or values outside of the family's space, all at once.
    """
    family = data.family(name)
    theirs = project.config.space.get(name, {})
    space = space_of(project, data, name)
    chosen = values or default_grid(family.grid(data.tuning), theirs, space)
    # By name, so that flags in another order are the same grid.
    lists = {k: list(dict.fromkeys(v)) for k, v in sorted(chosen.items())}
    return space.narrowed(lists, "grid").only(chosen)


def default_grid(
    family: Mapping[str, Sequence[Value]], theirs: Mapping[str, Any], narrowed: Space
) -> dict[str, Sequence[Value]]:
    """A family's grid; the project's lists and ranges precede its values."""
    grid = {name: values for name, values in family.items() if name not in theirs}
    for name, parameter in narrowed.parameters.items():
        if name not in theirs:
            continue
        if isinstance(parameter, Choice):
            grid[name] = parameter.options
        elif inside := [v for v in family.get(name, ()) if parameter.holds(v)]:
            grid[name] = inside
    return grid


def _summarize(context: StudyContext, rows: Sequence[TrialRow], trained: int) -> None:
    """Put the outcome of this call on record, for the users' log."""
    ledger, data = context.project.ledger, context.data
    complete = [r for r in rows if r.state is State.COMPLETE and math.isfinite(r.score)]
    way, falls = data.direction, data.direction is Direction.MIN
    best = min(complete, key=lambda row: way.sign * row.score, default=None)
    loss = best and best.score
    if best and not falls:
        # A score that is maximized is no loss.
        rows_of_loss = ledger.read(reads.results, [best.id], ["val_loss"])
        loss = rows_of_loss[0][2] if rows_of_loss else None
    summary = {
        "id": new_id("g"),
        "slot": data.slot,
        "study": context.study.id,
        "dataset": data.dataset.fingerprint,
        "task": data.task_hash,
        "split": context.split.hash,
        "metric": data.section.metric,
        "num_runs": len(rows),
        "num_trained": trained,
        "num_failed": sum(row.state is not State.PRUNED for row in rows) - len(complete),
        "best": best and best.id,
        "best_final_val_loss": loss,
        **({} if falls else {"best_score": best and best.score}),
        "best_config": best and best.config,
        "best_checkpoint": best and best.checkpoint,
    }
    with ledger.transaction(durable=True) as tx:
        writes.put_receipt(tx, data.slot, GRID, str(summary["id"]), summary)
        writes.announce(tx, GRID, [str(summary["id"])])
