"""Search for a config on a validation slice before the sealed test, beside the naive family."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from podium import registry
from podium.errors import NotFoundError, Problem, UsageError
from podium.ledger import reads, writes
from podium.ledger.reads import TrialRow
from podium.space import Space
from podium.split import Split
from podium.steps import _trials
from podium.steps._project import Project
from podium.steps._task import SlotData, slot_data
from podium.steps._trials import Planned
from podium.study import Study
from podium.trial import BUDGET, State, trial_seed

PHASE, NAIVE = "tune", "naive"


@dataclass(frozen=True, eq=False)
class Tuned:
    """A finished search.

    Parameters
    ----------
    trials : list of TrialRow
        In the order asked; failed ones are among them.
    naive : list of TrialRow
        Every config of the naive family on the same windows.
    best, best_naive : TrialRow
        Lowest score on validation.
    """

    study: Study
    data: SlotData
    split: Split
    trials: Sequence[TrialRow]
    naive: Sequence[TrialRow]
    best: TrialRow
    best_naive: TrialRow


def tune(project: Project, slot: str) -> Tuned:
    """Run the search of a slot, or what is left of it.

    The same command again trains nothing new; after a kill it goes on with the same configs, so it
    ends as if nothing had happened. Results do not depend on the number of jobs: the search asks in
    generations of a fixed size and is told in the order of trials.

    Raises
    ------
    DataError, UsageError
        Before anything is trained.
    NotFoundError
        Every trial failed.
    """
    data = slot_data(project.config, slot, say=project.reporter.say)
    split = validation_split(project, data)
    settings = project.config.tune
    study = _study(project, data, split)
    run_naive(project, study, data, split)
    families = data.section.families
    for position, family in enumerate(families):
        # Numbers of several families do not meet: family k has numbers k, k + n, k + 2n ...
        _search(project, study, data, split, family, position, len(families), settings.trials)
    return _result(project, study, data, split)


def tuned(project: Project, slot: str) -> Tuned:
    """What ``tune`` found, read from the record.

    Raises
    ------
    NotFoundError
        The search is not finished.
    """
    data = slot_data(project.config, slot)
    split = validation_split(project, data)
    found = _result(project, _study(project, data, split), data, split)
    wanted = project.config.tune.trials * len(data.section.families)
    done = sum(row.state.ended for row in found.trials)
    if done < wanted:
        raise NotFoundError(
            f"the search of {slot} has {done} of {wanted} trials", fix=f"run: podium tune {slot}"
        )
    return found


def validation_split(project: Project, data: SlotData) -> Split:
    """The slice before the sealed test that configs are compared on."""
    fraction = project.config.tune.validation_fraction
    split: Split = registry.load("splitters", "holdout").split(data.tuning, fraction=fraction)
    return split


def space_of(project: Project, data: SlotData, name: str) -> Space:
    """A family's space with what the project narrows, and the epochs of this step."""
    family = registry.load("families", name).FAMILY
    settings = {**project.config.space.get(name, {})}
    space: Space = family.space(data.tuning)
    if BUDGET in space.constants:
        settings.setdefault(BUDGET, project.config.tune.epochs)
    return space.narrowed(settings, f"[space.{name}] of podium.toml")


def put_question(
    project: Project,
    data: SlotData,
    split: Split,
    spaces: Mapping[str, Space],
    **search: str | int,
) -> Study:
    """The study that looks for a config in these spaces; asked again, it is the same one."""
    question = {
        "dataset": data.dataset.fingerprint,
        "task": data.task_hash,
        "split": split.hash,
        "metric": data.section.metric,
        "families": {
            name: [registry.load("families", name).FAMILY.VERSION, space.spec()]
            for name, space in spaces.items()
        },
        **search,
    }
    with project.ledger.transaction() as tx:
        writes.put_dataset(project.ledger, tx, data.dataset)
        writes.put_split(project.ledger, tx, split)
        return writes.put_study(project.ledger, tx, data.slot, question)


def _study(project: Project, data: SlotData, split: Split) -> Study:
    settings = project.config.tune
    if not registry.exists("searches", settings.search):
        raise UsageError.of(
            [Problem(f"tune.search is '{settings.search}'", ", ".join(registry.names("searches")))]
        )
    spaces = {name: space_of(project, data, name) for name in data.section.families}
    return put_question(
        project,
        data,
        split,
        spaces,
        search=registry.versioned("searches", settings.search),
        generation=settings.generation,
        seed=settings.seed,
    )


def run_naive(project: Project, study: Study, data: SlotData, split: Split) -> None:
    """Every config of the naive family on the study's windows: the bar to beat."""
    family = registry.load("families", NAIVE).FAMILY
    plans = [
        Planned(NAIVE, number, config, fold=0, seed=0)
        for number, config in enumerate(family.space(data.tuning).grid())
    ]
    job = _trials.job_of(data, split, NAIVE)
    _trials.run(project, study, data, split, job, family.VERSION, plans)


def _search(
    project: Project,
    study: Study,
    data: SlotData,
    split: Split,
    name: str,
    position: int,
    stride: int,
    budget: int,
) -> None:
    settings = project.config.tune
    family = registry.load("families", name).FAMILY
    search = registry.load("searches", settings.search).SEARCH(
        space_of(project, data, name), trial_seed(settings.seed, position)
    )
    job = _trials.job_of(data, split, name)
    numbers = [position + stride * k for k in range(budget)]
    heard = _trials.progress(project, f"{data.slot}: tune {name}", budget)
    for start in range(0, budget, settings.generation):
        generation = numbers[start : start + settings.generation]
        plans = [
            Planned(
                PHASE, number, config, fold=0, seed=trial_seed(settings.seed, number), named=True
            )
            for number, config in zip(generation, search.ask(generation), strict=True)
        ]
        rows = _trials.run(project, study, data, split, job, family.VERSION, plans, heard)
        for row in rows:
            search.tell(row.number, row.config, row.score)


def _result(project: Project, study: Study, data: SlotData, split: Split) -> Tuned:
    with project.ledger.reading() as tx:
        rows = reads.trials_of(project.ledger, tx, study.id, PHASE, NAIVE)
    trials = [row for row in rows if row.phase == PHASE]
    naive = [row for row in rows if row.phase == NAIVE]
    return Tuned(
        study,
        data,
        split,
        trials,
        naive,
        best_of(trials, data.slot, "tune"),
        best_of(naive, data.slot, "tune"),
    )


def best_of(rows: Sequence[TrialRow], slot: str, verb: str) -> TrialRow:
    """Row with the lowest score; the earlier one when two are equal.

    Raises
    ------
    NotFoundError
        No trial is complete; the first reason is told.
    """
    complete = [row for row in rows if row.state is State.COMPLETE and math.isfinite(row.score)]
    if not complete:
        failed = next((row.reason for row in rows if row.reason), "")
        told = f"; the first failed with: {failed.strip().splitlines()[-1]}" if failed else ""
        raise NotFoundError(
            f"podium {verb} has no complete trial of {slot}{told}", fix=f"run: podium {verb} {slot}"
        )
    return min(complete, key=lambda row: row.score)
