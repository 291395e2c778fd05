"""The best few configs of a search, trained with further seeds, so that luck does not choose."""

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
# Seeds of the k-th further training; a search draws its own from 0 up, and a grid's is -1.
FURTHER = -2


@dataclass(frozen=True)
class Finalist:
    """One config with several seeds.

    Parameters
    ----------
    row : TrialRow
        The search's own trial of it.
    scores : tuple of float
        Its score, then those of the further seeds; NaN where one failed.
    """

    row: TrialRow
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the seeds; NaN where one failed."""
        return math.fsum(self.scores) / len(self.scores)

    @property
    def sd(self) -> float:
        """Standard deviation between the seeds."""
        return statistics.stdev(self.scores) if math.isfinite(self.mean) else math.nan


def best_configs(rows: Sequence[TrialRow], count: int, way: str) -> list[TrialRow]:
    """The best complete trials of different configs, best first; of equal ones the earlier."""
    sign = Direction(way).sign
    whole = [row for row in rows if row.state is State.COMPLETE and math.isfinite(row.score)]
    found: dict[str, TrialRow] = {}
    for row in sorted(whole, key=lambda row: sign * row.score):
        found.setdefault(row.config_hash, row)
    return list(found.values())[:count]


def wanted(
    project: Project, rows: Sequence[TrialRow], way: str
) -> list[tuple[TrialRow, list[Planned]]]:
    """Finalists among some trials, with the trainings that each needs beside its own."""
    settings = project.config.tune
    further = settings.seeds - 1
    chosen = best_configs(rows, settings.finalists, way) if further else []
    return [
        (
            row,
            [
                Planned(
                    PHASE,
                    rank * further + k,
                    row.config,
                    fold=row.fold,
                    seed=trial_seed(settings.seed, FURTHER - k),
                )
                for k in range(further)
            ],
        )
        for rank, row in enumerate(chosen)
    ]


def train(context: StudyContext, rows: Sequence[TrialRow]) -> list[Finalist]:
    """Finalists among some trials, trained with further seeds where they are not on record yet.

    There are none where the time given by ``--max-time`` was over before.
    """
    slot, way = context.slot, context.data.direction
    chosen = wanted(context.project, rows, way)
    callback = execute.Progress(
        context.project, f"{slot}: finalists", sum(len(plans) for _, plans in chosen), way
    )
    try:
        for family in sorted({row.family for row, _ in chosen}):
            plans = [plan for row, of in chosen if row.family == family for plan in of]
            job = execute.job_of(context.data, context.split, family)
            execute.run(context, job, plans, callback)
    except TimeOverError:
        driver.cut(context, f"{slot}: the finalists have one seed each")
        return []
    finalists = on_record(context, rows) or []
    if said := told(slot, finalists, context.data.section.metric, way):
        context.project.reporter.say(said)
    return finalists


def on_record(context: StudyContext, rows: Sequence[TrialRow]) -> list[Finalist] | None:
    """Finalists among some trials as :func:`train` left them; None: one is not trained yet."""
    there = {
        (row.family, canonical(row.config), row.seed): row
        for row in context.rows(PHASE)
        if row.state in (State.COMPLETE, State.FAILED)
    }
    found = []
    for row, plans in wanted(context.project, rows, context.data.direction):
        keys = [(row.family, canonical(plan.config), plan.seed) for plan in plans]
        if not there.keys() >= {*keys}:
            return None
        others = context.scored([there[key] for key in keys])
        found.append(Finalist(row, (row.score, *(one.score for one in others))))
    return ranked(found, context.data.direction)


def ranked(finalists: Sequence[Finalist], way: str) -> list[Finalist]:
    """Best mean first; those one of whose seeds failed last."""
    sign = Direction(way).sign
    return sorted(finalists, key=lambda one: (math.isnan(one.mean), sign * one.mean))


def winner(finalists: Sequence[Finalist]) -> Finalist | None:
    """The best mean; None where no finalist is whole."""
    return next((one for one in finalists if math.isfinite(one.mean)), None)


def told(slot: str, finalists: Sequence[Finalist], metric: str, way: str) -> str:
    """What the finals came to, in a sentence; empty where there were none."""
    best = winner(finalists)
    if best is None:
        return ""
    single = best_configs([one.row for one in finalists], 1, way)[0]
    its = next(one for one in finalists if one.row is single)
    return (
        f"{slot}: best of {len(finalists)} finalists over {len(best.scores)} seeds: {metric} "
        f"{best.mean:.4g} (sd {best.sd:.2g}); the best single score was {single.score:.4g}, "
        f"{its.mean:.4g} over the seeds"
    )
