"""Search for a config on a validation slice before the sealed test, beside the baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from podium import registry
from podium.errors import NotFoundError, Problems, UsageError
from podium.hashing import digest
from podium.ledger import reads
from podium.ledger.reads import Receipt
from podium.space import Space
from podium.split import Split
from podium.steps.data.sequences import task_data
from podium.steps.search.handover import SETTINGS, STUDY, left_by, settings_of, under
from podium.steps.search.results import SearchResult, result_of, searched
from podium.steps.search.tuning_files import TuningFiles
from podium.steps.trials import baselines, driver, execute, finalists
from podium.steps.trials.context import StudyContext, begin_study, question_of
from podium.steps.trials.driver import SearchRun, nothing_complete
from podium.steps.trials.objectives import objectives, scores, with_metric
from podium.steps.trials.once import differences, once
from podium.steps.trials.schedule import pruned_by
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_slot
from podium.study import Study
from podium.tasks._base import TaskData
from podium.trial import BASELINE, BUDGET, State, trial_seed

PHASE = "tune"
# Key of the settings of --set in the receipt of a search.
OVERRIDES = "set"
# Settings by parameter, as in [space.FAMILY] of podium.toml.
Settings = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class SearchProgress:
    """Progress of the search that podium.toml describes.

    Parameters
    ----------
    study : Study, or None
        None before its first trial.
    question : mapping
        Inputs that define the study.
    done, wanted : mapping of family to int
        Number of trials that have ended, and of all trials.
    baselines : bool
        Whether every baseline is on record.
    cut : bool
        Whether ``--max-time`` ended it; the next verbs then use the trials there are.
    """

    study: Study | None
    question: Mapping[str, Any]
    done: Mapping[str, int]
    wanted: Mapping[str, int]
    baselines: bool
    cut: bool

    @property
    def left(self) -> dict[str, int]:
        """Number of missing trials of each family whose search is not complete."""
        if self.cut:
            return {}
        lacking = {name: self.wanted[name] - self.done[name] for name in self.wanted}
        return {name: n for name, n in lacking.items() if n}


@on_slot("tune")
def tune(
    project: Project, slot: str, space: Settings | None = None, only: Collection[str] = ()
) -> SearchResult:
    """Search a slot's config, scored by its metric on the validation slice before the sealed test.

    The same command again trains nothing new; after a kill it continues with the same configs and
    ends with the same result. Results do not depend on the number of jobs: the search proposes
    generations of a fixed size, and scores reach it in the order of trials.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot.
    space : mapping of parameter to setting, optional
        Settings as in ``[space.<family>]``, which they precede, for every family that has them.
    only : collection of str
        Families of the slot to search now; empty: all. The study and its trials are the same; the
        trials of the other families stay, and the finalists are trained after the last family.

    Returns
    -------
    SearchResult

    Raises
    ------
    DataError, UsageError
        The data or the settings have problems; nothing is trained.
    NotFoundError
        Every trial failed.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.slot("us4/D/return").tune(trials=8).best.config
    {'lstm_units': 16, 'learning_rate': 0.0028, ...}
    """
    data = search_data(project, slot, say=project.reporter.say)
    problems = Problems()
    for name in only:
        families = data.section.families
        problems.require_known(name, families, f"only has '{name}', no family of {slot}")
    UsageError.raise_for(problems)
    split = validation_split(project, data)
    spaces = spaces_of(project, data, space or {})
    context = begin_study(project, data, split, spaces, **_way(project))
    files = TuningFiles(project, context.study, data, split)
    with files.claimed():
        baselines.run(context)
        for family in data.section.families:
            if not only or family in only:
                _search_family(context, family, spaces[family], files)
        result = _result(context)
        if not only or not _counted(context).left:
            result = result.with_finals(finalists.train(context, result.eligible))
    files.write(result.trials, result.reference, result.feasible, result.best.id)
    if not _counted(context).left:
        _complete(project, context.study, data, space or {})
    return result


def rewritten(project: Project, result: SearchResult) -> None:
    """Write the missing or outdated files of a finished search."""
    _complete(project, result.study, result.data, result.overrides)
    files = TuningFiles(project, result.study, result.data, result.split)
    with files.claimed():
        files.write(result.trials, result.reference, result.feasible, result.best.id)


def _complete(project: Project, study: Study, data: TaskData, space: Settings) -> None:
    """Put the receipt of a finished search on record, which the next verb reads."""
    outputs = {STUDY: study.id, OVERRIDES: space, SETTINGS: settings_of(project, "tune", "space")}
    once(
        project, data.slot, PHASE, inputs(project, study.question, data), lambda: lambda tx: outputs
    )


def inputs(project: Project, question: Mapping[str, Any], data: TaskData) -> dict[str, Any]:
    """Inputs of the search of a slot by name.

    Parameters
    ----------
    question : mapping
        ``question`` of :func:`reach`.
    """
    parts = {**question}
    families = parts.pop("families")
    settings = ("search", "generation", "seed", "where", "schedule", "finalists")
    return {
        "data": parts["dataset"],
        **{name: value for name, value in data.spec.items() if name != "versions"},
        "metric": parts["metric"],
        "families": ", ".join(families),
        **{f"version of {name}": version for name, (version, _) in families.items()},
        **{f"space of {name}": digest(space) for name, (_, space) in families.items()},
        "tune.trials": project.config.tune.trials,
        **{f"tune.{name}": parts[name] for name in settings if name in parts},
        "distinct": bool(parts.get("distinct")),
        # These follow from others, but for the versions of features and targets.
        "task": parts["task"],
        "validation slice": parts["split"],
    }


@contextmanager
def search_left(
    project: Project, slot: str, study: str = "", step: str = PHASE
) -> Iterator[tuple[SearchResult, str]]:
    """The slot's newest finished search, or the one of a study, with the settings that it had.

    Yields
    ------
    SearchResult, str
        The search, and how its settings differ from podium.toml, as the end of a sentence.

    Raises
    ------
    NotFoundError
        No search is finished, or the slot's data or settings have changed since.
    """
    left = left_by(project, slot, step, study)
    with under(project, left) as other:
        try:
            result = tuned(project, slot, overrides=left.outputs[OVERRIDES] if left else {})
        except NotFoundError as error:
            if left is None:
                raise
            why = "; ".join(_changes(project, slot, left)) or error.problems[0].found
            raise NotFoundError(
                f"{slot}: its newest search, {left.outputs[STUDY]}, "
                f"does not belong to the present data and settings: {why}",
                fix=f"run: podium tune {slot}",
            ) from None
        yield result, other


def _changes(project: Project, slot: str, left: Receipt) -> list[str]:
    """Inputs of a slot's search that differ from those of its newest one."""
    data = search_data(project, slot)
    split = validation_split(project, data)
    question, _ = _known(project, data, split, left.outputs[OVERRIDES])
    return differences(project, slot, PHASE, inputs(project, question, data))


def _search_family(context: StudyContext, family: str, space: Space, files: TuningFiles) -> None:
    settings = context.project.config.tune
    families = context.data.section.families
    position, stride = families.index(family), len(families)
    run = SearchRun(
        family,
        registry.load("searches", settings.search).SEARCH(
            space, trial_seed(settings.seed, position)
        ),
        PHASE,
        # Numbers of several families differ: family k has numbers k, k + n, k + 2n ...
        [position + stride * k for k in range(settings.trials)],
        settings.generation,
        lambda number: trial_seed(settings.seed, number),
        f"{context.slot}: tune {family}",
        save_to=files.save_to,
        where=settings.where,
        store_model=files.keep(family) if files.save_to else None,
    )
    driver.begin(context, run, stride)
    driver.run_search(context, run)


def tuned(
    project: Project, slot: str, data: TaskData | None = None, overrides: Settings | None = None
) -> SearchResult:
    """Result of ``tune``, read from the record; nothing is written.

    Parameters
    ----------
    data : TaskData, optional
        Data of the slot as :func:`search_data` reads it.
    overrides : mapping of parameter to setting, optional
        Settings of ``--set`` of the search.

    Raises
    ------
    NotFoundError
        The search is not finished.
    """
    data = data or search_data(project, slot)
    split = validation_split(project, data)
    study = _known(project, data, split, overrides or {})[1]
    if study is None:
        raise nothing_complete(slot, "tune")
    context = StudyContext(project, study, data, split)
    result, progress = _result(context), _counted(context)
    done, wanted = sum(progress.done.values()), sum(progress.wanted.values())
    if progress.left:
        raise NotFoundError(
            f"the search of {slot} has {done} of {wanted} trials", fix=f"run: podium tune {slot}"
        )
    if done < wanted:
        project.reporter.say(
            f"{slot}: --max-time ended the search with {done} of {wanted} trials; the best of "
            "these are used"
        )
    finals = finalists.on_record(context, result.eligible)
    if finals is None and not progress.cut:
        lacking = f"the finalists of {slot} are not trained with every seed"
        raise NotFoundError(lacking, fix=f"run: podium tune {slot}")
    return replace(result.with_finals(finals or []), overrides=overrides or {})


def reach(project: Project, data: TaskData) -> SearchProgress:
    """Progress of the search of a slot; nothing is written."""
    split = validation_split(project, data)
    question, study = _known(project, data, split)
    if study is None:
        wanted = dict.fromkeys(data.section.families, project.config.tune.trials)
        none = dict.fromkeys(wanted, 0)
        return SearchProgress(None, question, none, wanted, baselines=False, cut=False)
    return _counted(StudyContext(project, study, data, split))


def _counted(context: StudyContext) -> SearchProgress:
    project, study, data, split = context.project, context.study, context.data, context.split
    dropped = pruned_by(context)
    trials, wanted = project.config.tune.trials, {}
    for family in data.section.families:
        most = driver.exhausted(context, family)
        wanted[family] = trials if most is None else min(most, trials)
    ended = Counter(
        row.family
        for row in context.rows(PHASE)
        # Trials that another study pruned do not count here.
        if row.id in dropped or row.state in (State.COMPLETE, State.FAILED)
    )
    done = {name: min(ended[name], count) for name, count in wanted.items()}
    planned = [(name, plan) for name, of in baselines.planned(data).items() for plan in of]
    wanted_keys = {execute.key_of(data, split, name, plan).hash for name, plan in planned}
    known = project.ledger.read(reads.trials_by_key, [*wanted_keys])
    linked = {row.id for row in context.rows(BASELINE) if row.state.ended}
    whole = known.keys() == wanted_keys and {row.id for row in known.values()} <= linked
    return SearchProgress(study, study.question, done, wanted, whole, driver.was_cut(context))


def search_data(project: Project, slot: str, say: Callable[[str], None] | None = None) -> TaskData:
    """Data of a slot with the metric that its search optimizes."""
    metric = objectives(project.config, slot)[0]
    return task_data(with_metric(project.config, slot, metric), slot, say=say)


def validation_split(project: Project, data: TaskData) -> Split:
    """The validation slice before the sealed test, or the slot's own split."""
    return data.held_out(project.config.tune.validation_fraction)


def space_of(project: Project, data: TaskData, name: str) -> Space:
    """A family's space with the project's ``[space]`` and the epochs of this step."""
    family = data.family(name)
    settings = {**project.config.space.get(name, {})}
    space: Space = family.space(data.tuning)
    if BUDGET in space.constants:
        settings.setdefault(BUDGET, project.config.tune.epochs)
    return space.narrowed(settings, f"[space.{name}] of podium.toml")


def spaces_of(
    project: Project, data: TaskData, settings: Settings, families: Sequence[str] = ()
) -> dict[str, Space]:
    """Space of each family (default: the slot's), narrowed by the settings that it has.

    Raises
    ------
    UsageError
        A setting that no family has, or a value outside of a family's space.
    """
    families = families or data.section.families
    spaces = {name: space_of(project, data, name) for name in families}
    known = {name: {**s.bounds, **s.parameters, **s.constants} for name, s in spaces.items()}
    everything = {parameter for names in known.values() for parameter in names}
    problems = Problems()
    for name in settings:
        problems.require_known(name, everything, f"unknown parameter '{name}' in --set")
    UsageError.raise_for(problems)
    if not settings:
        return spaces
    return {
        name: space.narrowed({k: v for k, v in settings.items() if k in known[name]}, "--set")
        for name, space in spaces.items()
    }


def _known(
    project: Project, data: TaskData, split: Split, overrides: Settings | None = None
) -> tuple[dict[str, Any], Study | None]:
    spaces = spaces_of(project, data, overrides or {})
    with project.ledger.reading() as tx:
        return question_of(project, tx, data, split, spaces, _way(project))


def _way(project: Project) -> dict[str, str | int]:
    """Settings of ``[tune]`` that belong to a study's question."""
    # The search receives infeasible configs as bad ones, so the filter decides its proposals.
    where = project.config.tune.where
    return driver.search_question(project) | ({"where": where} if where else {})


def _result(context: StudyContext) -> SearchResult:
    project, trials = context.project, searched(context, PHASE)
    result = result_of(context, PHASE, trials, project.config.tune.where)
    metrics = objectives(project.config, context.slot)
    if len(metrics) == 1:
        return result
    return replace(result, values=scores(project, context.data, context.split, trials, metrics))
