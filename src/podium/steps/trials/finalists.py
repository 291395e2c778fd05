"""The best few configs of a search, trained with further seeds before one is chosen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from podium.errors import TimeOverError
from podium.hashing import canonical
from podium.ledger.reads import TrialRow
from podium.ledger.warm_start import FINALISTS
from podium.registry import Direction
from podium.steps.trials import driver, execute
from podium.steps.trials.context import StudyContext
from podium.steps.trials.execute import Planned
from podium.steps.workspace.project import Project
from podium.trial import State, trial_seed

PHASE = FINALISTS
# Number of the first further seed; a search uses numbers from 0 up, a grid -1.
FIRST_SEED = -2


@dataclass(frozen=True)
class Finalist:
    """One config with several seeds.

    Parameters
    ----------
    row : TrialRow
        Its trial in the search.
    scores : tuple of float
        Its score, then those of the further seeds; NaN for a failed one.
    """

    row: TrialRow
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds; NaN if one failed."""
        return math.fsum(self.scores) / len(self.scores)

    @property
    def sd(self) -> float:
        """Standard deviation between the seeds; NaN if one failed."""
        return statistics.stdev(self.scores) if math.isfinite(self.mean) else math.nan


def best_configs(rows: Sequence[TrialRow], count: int, direction: str) -> list[TrialRow]:
    """The best complete trials of different configs, best first; of equal ones the earlier."""
    sign = Direction(direction).sign
    complete = [row for row in rows if row.state is State.COMPLETE and math.isfinite(row.score)]
    best: dict[str, TrialRow] = {}
    for row in sorted(complete, key=lambda row: sign * row.score):
        best.setdefault(row.config_hash, row)
    return list(best.values())[:count]


def planned(
    project: Project, rows: Sequence[TrialRow], direction: str
) -> list[tuple[TrialRow, list[Planned]]]:
    """Finalists among some trials, each with its further trainings."""
    settings = project.config.tune
    further = settings.seeds - 1
    chosen = best_configs(rows, settings.finalists, direction) if further else []
    plans: list[tuple[TrialRow, list[Planned]]] = [(row, []) for row in chosen]
    for rank, (row, trainings) in enumerate(plans):
        for k in range(further):
            seed = trial_seed(settings.seed, FIRST_SEED - k)
            trainings.append(Planned(PHASE, rank * further + k, row.config, row.fold, seed))
    return plans


def train(context: StudyContext, rows: Sequence[TrialRow]) -> list[Finalist]:
    """Finalists among some trials, trained with further seeds unless these are on record.

    The list is empty if the time of ``--max-time`` is over before all are trained.
    """
    slot, direction = context.slot, context.data.direction
    chosen = planned(context.project, rows, direction)
    total = sum(len(plans) for _, plans in chosen)
    callback = execute.Progress(context.project, f"{slot}: finalists", total, direction)
    try:
        for family in sorted({row.family for row, _ in chosen}):
            plans = [plan for row, of in chosen if row.family == family for plan in of]
            job = execute.job_of(context.data, context.split, family)
            execute.run(context, job, plans, callback)
    except TimeOverError:
        driver.cut(context, f"{slot}: the finalists have one seed each")
        return []
    finalists = on_record(context, rows) or []
    if summary := describe(slot, finalists, context.data.section.metric, direction):
        context.project.reporter.say(summary)
    return finalists


def on_record(context: StudyContext, rows: Sequence[TrialRow]) -> list[Finalist] | None:
    """Finalists that :func:`train` has trained; None: one of them is not trained yet."""
    trained = {
        (row.family, canonical(row.config), row.seed): row
        for row in context.rows(PHASE)
        if row.state in (State.COMPLETE, State.FAILED)
    }
    finalists = []
    for row, plans in planned(context.project, rows, context.data.direction):
        keys = [(row.family, canonical(plan.config), plan.seed) for plan in plans]
        if not trained.keys() >= {*keys}:
            return None
        others = context.scored([trained[key] for key in keys])
        finalists.append(Finalist(row, (row.score, *(one.score for one in others))))
    return ranked(finalists, context.data.direction)


def ranked(finalists: Sequence[Finalist], direction: str) -> list[Finalist]:
    """Best mean first; finalists with a failed seed last."""
    sign = Direction(direction).sign
    return sorted(finalists, key=lambda one: (math.isnan(one.mean), sign * one.mean))


def winner(finalists: Sequence[Finalist]) -> Finalist | None:
    """The finalist with the best mean; None if each has a failed seed."""
    return next((one for one in finalists if math.isfinite(one.mean)), None)


def describe(slot: str, finalists: Sequence[Finalist], metric: str, direction: str) -> str:
    """Result of the finals in a sentence; empty without a winner."""
    best = winner(finalists)
    if best is None:
        return ""
    single = best_configs([one.row for one in finalists], 1, direction)[0]
    its = next(one for one in finalists if one.row is single)
    return (
        f"{slot}: best of {len(finalists)} finalists over {len(best.scores)} seeds: {metric} "
        f"{best.mean:.4g} (sd {best.sd:.2g}); the best single score was {single.score:.4g}, "
        f"{its.mean:.4g} over the seeds"
    )
