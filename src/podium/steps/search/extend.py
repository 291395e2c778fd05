"""Cross-validate the best configs of a search beside the baselines, by default walk-forward."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from podium import registry
from podium.arrays import Floats
from podium.errors import NotFoundError, Problems, UsageError
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
from podium.steps.search.handover import SETTINGS, STUDY, section_inputs, settings_of
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
    """Cross-validate the best configs of the newest finished search, beside the baselines.

    By default each fold trains on all bars before its validation part; with every splitter the
    training labels end before or begin after the validation labels. An interrupted
    cross-validation continues.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot.
    study : str, optional
        Id of another finished search of the slot.

    Returns
    -------
    CrossValidation

    Raises
    ------
    NotFoundError
        No search is finished, or every config failed on some fold.
    DataError
        Too few bars for the folds.
    UsageError
        A splitter without folds, or settings that it does not have.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.slot("us4/D/return").extend(folds=8).configs[0].mean
    0.002339
    """
    with search_left(project, slot, study) as (search, other):
        which = "chosen by its id" if study else "the newest finished one"
        project.reporter.say(
            f"{slot}: the configs are those of search {search.study.id}, {which}: "
            f"{len(search.trials)} trials, best {search.metric} {search.best.score:.4g}{other}"
        )
        return cross_validate(project, search)


@contextmanager
def extension_left(project: Project, slot: str) -> Iterator[CrossValidation]:
    """The slot's newest cross-validation with the settings that it had; trains nothing.

    Raises
    ------
    NotFoundError
        Nothing is cross-validated, or the slot's data or settings have changed since.
    """
    with search_left(project, slot, step=PHASE) as (search, other):
        extension, done, total = load(project, search)
        if extension is None:
            raise NotFoundError(
                f"{slot}: {done} of {total} folds are on record", fix=f"run: podium extend {slot}"
            )
        project.reporter.say(
            f"{slot}: the folds are those of search {search.study.id}, the newest ones{other}"
        )
        yield extension


def cross_validate(project: Project, search: SearchResult) -> CrossValidation:
    """Cross-validate the best configs of a finished search; folds on record are not repeated.

    All folds of a family's configs are one batch, so that no worker waits for the slowest fold of
    each config. Numbers and keys of trials do not depend on batches.
    """
    split = folds_of(project.config.extend, search.data.tuning, search.data.splitter)
    project.ledger.write(writes.put_split, split)
    context = StudyContext(project, search.study, search.data, split)
    configs = planned(project, search, split)
    total = sum(len(one.plans) for one in configs if one.phase == PHASE)
    label, way = f"{search.data.slot}: extend", search.data.direction
    callback = execute.Progress(project, label, total, way)
    rows: dict[int, list[TrialRow]] = {}
    with extended_files.model_folder(project, search.data.slot) as place:
        for phase, family in dict.fromkeys((one.phase, one.row.family) for one in configs):
            mine = [
                n for n, one in enumerate(configs) if (one.phase, one.row.family) == (phase, family)
            ]
            searched = phase == PHASE
            job = execute.job_of(search.data, split, family)
            ended = execute.run(
                context,
                replace(job, save_to=place) if searched else job,
                [plan for n in mine for plan in configs[n].plans],
                callback if searched else execute.no_callback,
                store_model=extended_files.LastFoldModels(place, split) if searched else None,
            )
            folds = len(split.folds)
            rows |= {n: ended[k * folds : (k + 1) * folds] for k, n in enumerate(mine)}
    ordered = [rows[n] for n in range(len(configs))]
    extension = _extension(project, search, split, configs, ordered)
    if len(extension.configs) < project.config.extend.top:
        project.reporter.say(
            f"{search.data.slot}: {len(extension.configs)} configs are cross-validated, not "
            f"{project.config.extend.top} (extend.top), as the search has no more"
        )
    return write_files(project, extension)


def write_files(project: Project, extension: CrossValidation) -> CrossValidation:
    """Write the receipt and the files of a cross-validation where missing or outdated."""
    outputs = {
        STUDY: extension.tuned.study.id,
        OVERRIDES: extension.tuned.overrides,
        SETTINGS: settings_of(project, "tune", "space", "extend"),
    }
    slot = extension.tuned.data.slot
    once(project, slot, PHASE, inputs(project, extension.tuned), lambda: lambda tx: outputs)
    return replace(extension, folder=extended_files.write(project, extension))


def inputs(project: Project, search: SearchResult | None) -> dict[str, Any]:
    """Inputs of the folds by name; None where a value is not known yet.

    Parameters
    ----------
    search : SearchResult, optional
        None while the search is not finished.
    """
    configs = None
    if search is not None:
        split = folds_of(project.config.extend, search.data.tuning, search.data.splitter)
        plans = planned(project, search, split)
        configs = digest([_key(search, split, one, plan) for one in plans for plan in one.plans])
    return {
        **section_inputs(project, "extend"),
        "search": None if search is None else search.study.id,
        "configs and folds": configs,
    }


def load(project: Project, search: SearchResult) -> tuple[CrossValidation | None, int, int]:
    """Read a cross-validation from the record; None where folds are missing.

    Returns
    -------
    CrossValidation or None, int, int
        Then the numbers of folds on record and of all folds.
    """
    split = folds_of(project.config.extend, search.data.tuning, search.data.splitter)
    configs = planned(project, search, split)
    keys = [[_key(search, split, one, plan) for plan in one.plans] for one in configs]
    with project.ledger.reading() as tx:
        known = reads.trials_by_key(tx, [key for of in keys for key in of])
        linked = reads.trials_of(tx, search.study.id, PHASE, EXTEND_BASELINE)
    links = {(row.phase, row.number, row.id) for row in linked}
    rows = [
        [
            replace(known[key], phase=plan.phase, number=plan.number)
            for key, plan in zip(of, one.plans, strict=True)
            if key in known
            and known[key].state in (State.COMPLETE, State.FAILED)
            and (plan.phase, plan.number, known[key].id) in links
        ]
        for of, one in zip(keys, configs, strict=True)
    ]
    searched = [n for n, one in enumerate(configs) if one.phase == PHASE]
    done = sum(len(rows[n]) for n in searched)
    total = sum(len(configs[n].plans) for n in searched)
    if any(len(has) < len(one.plans) for has, one in zip(rows, configs, strict=True)):
        return None, done, total
    return _extension(project, search, split, configs, rows), done, total


def folds_of(settings: ExtendSection, samples: HasSamples, usual: str = "walk_forward") -> Split:
    """Folds of ``[extend]``.

    Parameters
    ----------
    usual : str
        Splitter where ``extend.splitter`` is empty.

    Raises
    ------
    DataError
        Too few bars for the folds.
    UsageError
        A splitter without folds, or settings that it does not have.
    """
    splitter = settings.splitter or usual
    split = registry.load("splitters", splitter).split
    takes = inspect.signature(split).parameters
    unset = {"train_bars": 0, "test_folds": 0, "purge": 0, "embargo": -1}
    values = {name: getattr(settings, name) for name in unset}
    chosen = {name: value for name, value in values.items() if value != unset[name]}
    problems, fix = Problems(), "leave it out or choose another splitter"
    for name in [name for name in chosen if name not in takes]:
        problems.add(f"extend.{name} is {chosen[name]}, but {splitter} has no {name}", "", fix)
    if "folds" not in takes:
        problems.add(f"extend.splitter is '{splitter}'", "a splitter that makes folds")
    UsageError.raise_for(problems)
    folds: Split = split(samples, folds=settings.folds, **chosen)
    return folds


def _top(
    finalists: Sequence[TrialRow], trials: Sequence[TrialRow], count: int, way: Direction
) -> list[TrialRow]:
    """Best trials of different configs: finalists in their order, then by the score."""
    best: dict[str, TrialRow] = {}
    others = [row for row in trials if row.state is State.COMPLETE]
    others.sort(key=lambda row: (way.sign * row.score, row.number))
    for row in (*finalists, *others):
        best.setdefault(row.config_hash, row)
    return list(best.values())[:count]


@dataclass(frozen=True, eq=False)
class FoldPlan:
    """One config for every fold: its trial in the search and its planned trainings."""

    phase: str
    row: TrialRow
    config: ConfigDict
    plans: Sequence[Planned]


def planned(project: Project, search: SearchResult, split: Split) -> list[FoldPlan]:
    """Planned trainings of the best configs of the search, then of the baselines."""
    settings, n_folds = project.config.extend, len(split.folds)
    finalists = [one.row for one in search.finalists]
    top = _top(finalists, search.eligible, settings.top, search.data.direction)

    def plan(phase: str, rank: int, row: TrialRow, config: ConfigDict) -> FoldPlan:
        plans = []
        for fold in (one.number for one in split.folds):
            seed = trial_seed(project.config.tune.seed, fold) if phase == PHASE else 0
            plans.append(Planned(phase, rank * n_folds + fold, config, fold, seed))
        return FoldPlan(phase, row, config, plans)

    configs = [execute.with_epochs(row.config, settings.epochs) for row in top]
    chosen = [plan(PHASE, n, row, configs[n]) for n, row in enumerate(top)]
    return chosen + [plan(EXTEND_BASELINE, r.number, r, r.config) for r in search.baselines]


def _key(search: SearchResult, split: Split, one: FoldPlan, plan: Planned) -> str:
    return execute.key_of(search.data, split, one.row.family, plan).hash


def _extension(
    project: Project,
    search: SearchResult,
    split: Split,
    planned_configs: Sequence[FoldPlan],
    rows: Sequence[Sequence[TrialRow]],
) -> CrossValidation:
    scores: dict[str, list[FoldScores]] = {PHASE: [], EXTEND_BASELINE: []}
    for one, folds in zip(planned_configs, rows, strict=True):
        losses, units = _losses(project, search.data, folds)
        epoch = _best_epoch(project, search.data, folds)
        classes = _class_scores(project, search.data, split, folds)
        facts = (one.row.family, one.config, one.row.score, folds, losses, units, epoch)
        scores[one.phase].append(FoldScores(*facts, max(1, len(split.paths)), classes))
    configs, references = (_ranked(scores[n], search.data) for n in (PHASE, EXTEND_BASELINE))
    return CrossValidation(search, split, configs, references)


def _best_epoch(project: Project, data: TaskData, rows: Sequence[TrialRow]) -> int:
    """Epoch with the best mean over the folds; the best one of a single fold is mostly noise."""
    *_, (part, name, way) = data.curves()
    curves = project.ledger.read(reads.curves, [row.id for row in rows], part, name)
    shortest = min(len(curve) for curve in curves.values())
    if not shortest:
        return 0
    mean = way.sign * np.mean([curve[:shortest] for curve in curves.values()], axis=0)
    return int(np.nanargmin(mean)) + 1 if np.isfinite(mean).any() else 0


def _losses(project: Project, data: TaskData, rows: Sequence[TrialRow]) -> tuple[Floats, Floats]:
    losses, units = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
    with project.ledger.reading() as tx:
        for row in rows:
            if row.loss_hash and row.index_hash:
                losses.append(reads.array(tx, row.loss_hash))
                units.append(data.units(reads.array(tx, row.index_hash)))
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
            prediction = data.task.read(values, data.tuning, folds[row.fold])
            assert isinstance(prediction, ClassPrediction)
            counts = confusion(validation.truth(), prediction.chosen, len(names))
            _, recall, f1 = rates(counts)
            figures = np.where(counts.sum(axis=1) > 0, [f1, recall], np.nan)
        scores.append(figures)
    by_class = np.array(scores)
    return [ClassScores(name, *by_class[:, :, k].T) for k, name in enumerate(names)]


def _ranked(configs: Sequence[FoldScores], data: TaskData) -> list[FoldScores]:
    whole = [c for c in configs if math.isfinite(c.mean)]
    if not whole:
        reason = next((r.reason for c in configs for r in c.folds if r.reason), "no reason")
        raise NotFoundError(
            f"{data.slot}: every config failed on some fold; {reason.strip().splitlines()[-1]}",
            fix=f"run: podium show {configs[0].folds[0].id}" if configs else "",
        )
    return sorted(whole, key=lambda c: data.direction.sign * c.mean)
