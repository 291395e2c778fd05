"""Train the best configs again over folds, walk-forward by default, beside the baselines."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from podium import registry
from podium.arrays import Floats
from podium.errors import NotFoundError, Problem, Problems, UsageError
from podium.hashing import digest
from podium.ledger import reads, writes
from podium.ledger.reads import TrialRow
from podium.prediction import ClassPrediction
from podium.registry import Direction
from podium.samples import HasSamples
from podium.sections import ExtendSection
from podium.space import ConfigDict
from podium.split import Split
from podium.stats.class_figures import confusion, rates
from podium.steps.search import extended_files
from podium.steps.search.handover import (
    SETTINGS,
    STUDY,
    settings_of,
)
from podium.steps.search.results import ClassScores, CrossValidation, FoldScores, SearchResult
from podium.steps.search.tune import OVERRIDES, search_left
from podium.steps.trials import execute
from podium.steps.trials.context import StudyContext
from podium.steps.trials.execute import Planned
from podium.steps.trials.once import once
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_slot
from podium.tasks._base import TaskData
from podium.trial import EXTEND_BASELINE, State, trial_seed

PHASE = "extend"


@on_slot("extend")
def extend(project: Project, slot: str, *, study: str = "") -> CrossValidation:
    """Cross-validate the best configs of the newest finished search, or what is left of that.

    By default each fold trains on all that ended before its validation part begins; with any
    splitter no training label meets a validation label.

    Parameters
    ----------
    study : str, optional
        Id of another finished search of the slot.

    Raises
    ------
    NotFoundError
        No search is finished, or every config failed on some fold.
    DataError
        Too few bars for the folds.
    UsageError
        A splitter that cannot cross-validate, or numbers that it does not take.
    """
    with search_left(project, slot, study) as (found, other):
        which = "chosen by its id" if study else "the newest finished one"
        project.reporter.say(
            f"{slot}: the configs are those of search {found.study.id}, {which}: "
            f"{len(found.trials)} trials, best {found.data.section.metric} "
            f"{found.best.score:.4g}{other}"
        )
        return cross_validate(project, found)


@contextmanager
def extension_left(project: Project, slot: str) -> Iterator[CrossValidation]:
    """The slot's newest cross-validation as it is, under the settings it had; trains nothing.

    Raises
    ------
    NotFoundError
        There is none, or the slot asks another question by now.
    """
    with search_left(project, slot, step=PHASE) as (found, other):
        extension, done, total = load(project, found)
        if extension is None:
            raise NotFoundError(
                f"{slot}: {done} of {total} folds are on record", fix=f"run: podium extend {slot}"
            )
        project.reporter.say(
            f"{slot}: the folds are those of search {found.study.id}, the newest ones{other}"
        )
        yield extension


def cross_validate(project: Project, found: SearchResult) -> CrossValidation:
    """Cross-validate the best configs of a finished search, or what is left of that.

    All folds of a family's configs are one batch, so that no worker waits for the slowest fold of
    each config. Numbers and keys of trials say nothing of batches.
    """
    split = folds_of(project.config.extend, found.data.tuning, found.data.splitter)
    project.ledger.write(writes.put_split, split)
    context = StudyContext(project, found.study, found.data, split)
    asked = planned(project, found, split)
    total = sum(len(one.plans) for one in asked if one.phase == PHASE)
    label, way = f"{found.data.slot}: extend", found.data.direction
    callback = execute.Progress(project, label, total, way)
    rows: dict[int, list[TrialRow]] = {}
    with extended_files.keeping(project, found.data.slot) as place:
        for phase, family in dict.fromkeys((one.phase, one.row.family) for one in asked):
            mine = [
                n for n, one in enumerate(asked) if (one.phase, one.row.family) == (phase, family)
            ]
            searched = phase == PHASE
            job = execute.job_of(found.data, split, family)
            ended = execute.run(
                context,
                replace(job, save_to=place) if searched else job,
                [plan for n in mine for plan in asked[n].plans],
                callback if searched else execute.no_callback,
                store_model=extended_files.Stay(place, split) if searched else None,
            )
            folds = len(split.folds)
            rows |= {n: ended[k * folds : (k + 1) * folds] for k, n in enumerate(mine)}
    extension = _extension(project, found, split, asked, [rows[n] for n in range(len(asked))])
    if len(extension.configs) < project.config.extend.top:
        project.reporter.say(
            f"{found.data.slot}: {len(extension.configs)} configs are cross-validated, "
            f"{project.config.extend.top} were asked for (extend.top): the search has no more"
        )
    return write_files(project, extension)


def write_files(project: Project, extension: CrossValidation) -> CrossValidation:
    """The same with its receipt and files, written where they are not what they should be."""
    outputs = {
        STUDY: extension.tuned.study.id,
        OVERRIDES: extension.tuned.overrides,
        SETTINGS: settings_of(project, "tune", "space", "extend"),
    }
    slot = extension.tuned.data.slot
    once(project, slot, PHASE, inputs(project, extension.tuned), lambda: lambda tx: outputs)
    return replace(extension, folder=extended_files.write(project, extension))


def inputs(project: Project, found: SearchResult | None) -> dict[str, Any]:
    """Everything that the folds depend on, by name; None where it is not known yet.

    Parameters
    ----------
    found : SearchResult, optional
        The finished search, if it is.
    """
    settings = asdict(project.config.extend)
    configs = None
    if found is not None:
        split = folds_of(project.config.extend, found.data.tuning, found.data.splitter)
        asked = planned(project, found, split)
        configs = digest([_key(found, split, one, plan) for one in asked for plan in one.plans])
    return {
        **{f"extend.{name}": value for name, value in settings.items()},
        "tune.seed": project.config.tune.seed,
        "search": None if found is None else found.study.id,
        "configs and folds": configs,
    }


def load(project: Project, found: SearchResult) -> tuple[CrossValidation | None, int, int]:
    """The extension where all of it is on record; how many of how many folds are.

    Nothing is written.
    """
    split = folds_of(project.config.extend, found.data.tuning, found.data.splitter)
    asked = planned(project, found, split)
    keys = [[_key(found, split, one, plan) for plan in one.plans] for one in asked]
    with project.ledger.reading() as tx:
        known = reads.trials_by_key(project.ledger, tx, [key for of in keys for key in of])
        linked = reads.trials_of(project.ledger, tx, found.study.id, PHASE, EXTEND_BASELINE)
    there = {(row.phase, row.number, row.id) for row in linked}
    rows = [
        [
            replace(known[key], phase=plan.phase, number=plan.number)
            for key, plan in zip(of, one.plans, strict=True)
            if key in known
            and known[key].state in (State.COMPLETE, State.FAILED)
            and (plan.phase, plan.number, known[key].id) in there
        ]
        for of, one in zip(keys, asked, strict=True)
    ]
    searched = [n for n, one in enumerate(asked) if one.phase == PHASE]
    done = sum(len(rows[n]) for n in searched)
    total = sum(len(asked[n].plans) for n in searched)
    if any(len(has) < len(one.plans) for has, one in zip(rows, asked, strict=True)):
        return None, done, total
    return _extension(project, found, split, asked, rows), done, total


def folds_of(settings: ExtendSection, samples: HasSamples, usual: str = "walk_forward") -> Split:
    """Folds as ``[extend]`` asks for them; ``usual`` is the splitter where it names none.

    Raises
    ------
    DataError
        Too few bars for the folds.
    UsageError
        A splitter that cannot cross-validate, or numbers that it does not take.
    """
    splitter = settings.splitter or usual
    split = registry.load("splitters", splitter).split
    takes = inspect.signature(split).parameters
    unset = {"train_bars": 0, "test_folds": 0, "purge": 0, "embargo": -1}
    chosen = {
        name: value
        for name, default in unset.items()
        if (value := getattr(settings, name)) != default
    }
    problems = Problems(
        Problem(
            f"extend.{name} is {value}, and {splitter} takes no {name}",
            fix="leave it out or choose another splitter",
        )
        for name, value in chosen.items()
        if name not in takes
    )
    if "folds" not in takes:
        problems.add(f"extend.splitter is '{splitter}'", "a splitter that makes folds")
    UsageError.raise_for(problems)
    found: Split = split(samples, folds=settings.folds, **chosen)
    return found


def _top(
    finalists: Sequence[TrialRow], trials: Sequence[TrialRow], count: int, way: Direction
) -> list[TrialRow]:
    """Best trials of different configs: finalists as they were ranked, then by the score."""
    best: dict[str, TrialRow] = {}
    others = sorted(
        (r for r in trials if r.state is State.COMPLETE),
        key=lambda r: (way.sign * r.score, r.number),
    )
    for row in (*finalists, *others):
        best.setdefault(row.config_hash, row)
    return list(best.values())[:count]


@dataclass(frozen=True, eq=False)
class FoldPlan:
    """One config that is to be trained on every fold: the search's trial of it, and the plans."""

    phase: str
    row: TrialRow
    config: ConfigDict
    plans: Sequence[Planned]


def planned(project: Project, found: SearchResult, split: Split) -> list[FoldPlan]:
    """Every config with its trainings: the best of the search, then the baselines."""
    settings, n_folds = project.config.extend, len(split.folds)
    top = _top(
        [one.row for one in found.finalists], found.eligible, settings.top, found.data.direction
    )
    chosen = [
        (PHASE, rank, row, execute.with_epochs(row.config, settings.epochs))
        for rank, row in enumerate(top)
    ]
    beside = [(EXTEND_BASELINE, row.number, row, row.config) for row in found.baselines]
    return [
        FoldPlan(
            phase,
            row,
            config,
            [
                Planned(
                    phase,
                    number=rank * n_folds + fold.number,
                    config=config,
                    fold=fold.number,
                    seed=0
                    if phase == EXTEND_BASELINE
                    else trial_seed(project.config.tune.seed, fold.number),
                )
                for fold in split.folds
            ],
        )
        for phase, rank, row, config in [*chosen, *beside]
    ]


def _key(found: SearchResult, split: Split, one: FoldPlan, plan: Planned) -> str:
    return execute.key_of(found.data, split, one.row.family, plan).hash


def _extension(
    project: Project,
    found: SearchResult,
    split: Split,
    asked: Sequence[FoldPlan],
    rows: Sequence[Sequence[TrialRow]],
) -> CrossValidation:
    made: dict[str, list[FoldScores]] = {PHASE: [], EXTEND_BASELINE: []}
    for one, folds in zip(asked, rows, strict=True):
        losses, units = _losses(project, found.data, folds)
        made[one.phase].append(
            FoldScores(
                one.row.family,
                one.config,
                one.row.score,
                folds,
                losses,
                units,
                _best_epoch(project, found.data, folds),
                max(1, len(split.paths)),
                _class_scores(project, found.data, split, folds),
            )
        )
    configs, beside = (_ranked(made[phase], found.data) for phase in (PHASE, EXTEND_BASELINE))
    return CrossValidation(found, split, configs, beside)


def _best_epoch(project: Project, data: TaskData, rows: Sequence[TrialRow]) -> int:
    """Epoch with the best mean over the folds; one fold's own best is mostly luck."""
    *_, (part, name, way) = data.curves()
    found = project.ledger.read(reads.curves, [row.id for row in rows], part, name)
    shortest = min(len(curve) for curve in found.values())
    if not shortest:
        return 0
    mean = way.sign * np.mean([curve[:shortest] for curve in found.values()], axis=0)
    return int(np.nanargmin(mean)) + 1 if np.isfinite(mean).any() else 0


def _losses(project: Project, data: TaskData, rows: Sequence[TrialRow]) -> tuple[Floats, Floats]:
    losses, units = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
    with project.ledger.reading() as tx:
        for row in rows:
            if row.loss_hash and row.index_hash:
                losses.append(reads.array(project.ledger, tx, row.loss_hash))
                units.append(data.units(reads.array(project.ledger, tx, row.index_hash)))
    return np.concatenate(losses), np.concatenate(units)


def _class_scores(
    project: Project, data: TaskData, split: Split, rows: Sequence[TrialRow]
) -> list[ClassScores]:
    """F1 and recall of each class on each fold, from the probabilities on record."""
    names, scores = data.class_names, []
    if not names:
        return []
    folds = {fold.number: fold for fold in split.folds}
    for row in rows:
        figures = np.full((2, len(names)), np.nan)
        if row.prediction_hash is not None:
            values = project.ledger.read(reads.array, row.prediction_hash)
            _, validation = data.task.parts(data.tuning, folds[row.fold])
            found = data.task.read(values, data.tuning, folds[row.fold])
            assert isinstance(found, ClassPrediction)
            counts = confusion(validation.truth(), found.chosen, len(names))
            _, recall, f1 = rates(counts)
            figures = np.where(counts.sum(axis=1) > 0, [f1, recall], np.nan)
        scores.append(figures)
    by_class = np.array(scores)
    return [ClassScores(name, *by_class[:, :, k].T) for k, name in enumerate(names)]


def _ranked(configs: Sequence[FoldScores], data: TaskData) -> list[FoldScores]:
    whole = [c for c in configs if math.isfinite(c.mean)]
    if not whole:
        reason = next((r.reason for c in configs for r in c.folds if r.reason), "no reason kept")
        raise NotFoundError(
            f"{data.slot}: every config failed on some fold; {reason.strip().splitlines()[-1]}",
            fix=f"run: podium show {configs[0].folds[0].id}" if configs else "",
        )
    return sorted(whole, key=lambda c: data.direction.sign * c.mean)
