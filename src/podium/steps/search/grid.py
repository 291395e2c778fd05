"""Train every config of a grid once, keep each model, log each run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podium import registry
from podium.hashing import new_id
from podium.ledger import reads, writes
from podium.ledger.projections._active import GRID
from podium.ledger.reads import TrialRow
from podium.space import Choice, Space, Value
from podium.split import Split
from podium.steps.data.sequences import TaskData, task_data
from podium.steps.search.tune import (
    put_question,
    space_of,
    validation_split,
)
from podium.steps.trials import baselines, driver, execute, schedule
from podium.steps.trials.driver import Walk, best_of
from podium.steps.trials.execute import Planned
from podium.steps.trials.objectives import scored_alike
from podium.steps.workspace.project import Project
from podium.steps.workspace.user_files import catch_up
from podium.study import Study
from podium.trial import State, trial_seed

# A search draws the seeds of its trials by their numbers, from 0: a grid's is none of them.
SEED = -1


@dataclass(frozen=True, eq=False)
class Grid:
    """A finished grid.

    Parameters
    ----------
    trials : sequence of TrialRow
        One a config, in the grid's order; failed ones are among them.
    baselines : sequence of TrialRow
        Every baseline on the same windows.
    best, reference : TrialRow
        Best trial and best baseline: the best score on validation, in the metric's direction.
    trained : int
        How many trials are new; the others were on record.
    """

    study: Study
    data: TaskData
    split: Split
    trials: Sequence[TrialRow]
    baselines: Sequence[TrialRow]
    best: TrialRow
    reference: TrialRow
    trained: int


def grid(
    project: Project,
    slot: str,
    values: Mapping[str, Sequence[Value]] | None = None,
    *,
    family: str = "",
    budget: str = schedule.NONE,
) -> Grid:
    """Train every combination of some values, with one seed, to its full epochs.

    Each model is kept, and logged in ``experiments/experiments_log.jsonl``; the best one of all
    comparable grids becomes the active model. The same grid again trains nothing new; after a
    kill it goes on.

    Parameters
    ----------
    slot : str
    values : mapping of parameter to values, optional
        What to combine; other parameters stay at the project's, else at the family's usual value.
        Default: the family's own grid.
    family : str, optional
        Default: the slot's first one.
    budget : str, optional
        A schedule (``podium list schedules``) that gives up what shows little; default: none.

    Raises
    ------
    UsageError
        Parameters or values the family cannot take, all at once, before anything is trained.
    NotFoundError
        No such family, or every trial failed.
    """
    data = task_data(project.config, slot)
    split = validation_split(project, data)
    name = family or data.section.families[0]
    kind = data.family(name)
    space = grid_space(project, data, name, values or {})
    study = put_question(
        project,
        data,
        split,
        {name: space},
        search=GRID,
        seed=project.config.tune.seed,
        **schedule.asked(project, budget),
    )
    baselines.run(project, study, data, split)
    seed = trial_seed(project.config.tune.seed, SEED)
    plans = [
        Planned(GRID, number, config, fold=0, seed=seed, named=True)
        for number, config in enumerate(space.grid())
    ]
    keys = [execute.key_of(data, split, name, kind.VERSION, plan).hash for plan in plans]
    before = project.ledger.read(reads.count_ended, keys)
    search = registry.load("searches", GRID).SEARCH(space, seed)
    with driver.workplace(project, slot, GRID) as work:
        walk = Walk(
            GRID, range(len(plans)), len(plans), lambda _: seed, f"{slot}: grid {name}", work
        )
        rows = driver.go(project, study, data, split, name, search, walk)
    # One that was found may have been trained for another metric.
    rows = scored_alike(project, data, split, rows)
    beside = baselines.rows_of(project, study.id, data, split)
    trained = len(rows) - before
    _summarize(project, study, data, split, rows, trained)
    catch_up(project)
    best = best_of(rows, slot, "grid", data.direction)
    reference = baselines.best(beside, data, "grid")
    return Grid(study, data, split, rows, beside, best, reference, trained)


def grid_space(
    project: Project, data: TaskData, name: str, values: Mapping[str, Sequence[Value]]
) -> Space:
    """Space whose every parameter is a list: those of a grid, the others at one value.

    Raises
    ------
    UsageError
        Parameters or values the family cannot take, all at once.
    """
    family = data.family(name)
    theirs = project.config.space.get(name, {})
    space = space_of(project, data, name)
    asked = values or default_grid(family.grid(data.tuning), theirs, space)
    # By name, so that flags in another order are the same grid.
    lists = {k: list(dict.fromkeys(v)) for k, v in sorted(asked.items())}
    return space.narrowed(lists, "grid").only(asked)


def default_grid(
    family: Mapping[str, Sequence[Value]], theirs: Mapping[str, Any], narrowed: Space
) -> dict[str, Sequence[Value]]:
    """A family's grid, where the project's own lists and ranges come first."""
    found = {name: values for name, values in family.items() if name not in theirs}
    for name, parameter in narrowed.parameters.items():
        if name not in theirs:
            continue
        if isinstance(parameter, Choice):
            found[name] = parameter.options
        elif inside := [v for v in family.get(name, ()) if parameter.holds(v)]:
            found[name] = inside
    return found


def _summarize(
    project: Project,
    study: Study,
    data: TaskData,
    split: Split,
    rows: Sequence[TrialRow],
    trained: int,
) -> None:
    """Put the outcome of this invocation on record, for the users' log."""
    complete = [r for r in rows if r.state is State.COMPLETE and math.isfinite(r.score)]
    falls = data.direction == "min"
    best = min(complete, key=lambda row: row.score if falls else -row.score, default=None)
    loss = best.score if best else None
    if best and not falls:
        # A score that is to be high is no loss, whoever compares the log's lines.
        found = project.ledger.read(reads.results, [best.id], ["val_loss"])
        loss = found[0][2] if found else None
    summary = {
        "id": new_id("g"),
        "slot": data.slot,
        "study": study.id,
        "dataset": data.dataset.fingerprint,
        "task": data.task_hash,
        "split": split.hash,
        "metric": data.section.metric,
        "num_runs": len(rows),
        "num_trained": trained,
        "num_failed": sum(row.state is not State.PRUNED for row in rows) - len(complete),
        "best": best.id if best else None,
        "best_final_val_loss": loss,
        **({} if falls else {"best_score": best.score if best else None}),
        "best_config": best.config if best else None,
        "best_checkpoint": best.checkpoint if best else None,
    }
    ledger = project.ledger
    with ledger.transaction(durable=True) as tx:
        writes.put_receipt(ledger, tx, data.slot, GRID, str(summary["id"]), summary)
        writes.announce(ledger, tx, GRID, [str(summary["id"])])
