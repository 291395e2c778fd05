"""Search for a config on a validation slice before the sealed test, beside the baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from podium import registry
from podium.errors import NotFoundError, Problem, UsageError, suggest
from podium.hashing import digest
from podium.ledger import kin, reads, writes
from podium.ledger.reads import Receipt
from podium.space import Space
from podium.split import Split
from podium.steps.data.own_code import SearchData
from podium.steps.data.sequences import TaskData, task_data
from podium.steps.search.handover import SETTINGS, STUDY, left_by, settings_of, under
from podium.steps.search.results import Tuned
from podium.steps.search.tuning_files import TuningFiles
from podium.steps.trials import baselines, driver, execute, schedule
from podium.steps.trials import finalists as _finalists
from podium.steps.trials.driver import Walk, best_of, nothing_complete
from podium.steps.trials.finalists import Finalist
from podium.steps.trials.objectives import feasible, judged_by, objectives, scored_alike, scores
from podium.steps.trials.once import differences, once
from podium.steps.trials.schedule import as_dropped, dropped_by
from podium.steps.workspace.project import Project
from podium.study import Study
from podium.trial import BASELINE, BUDGET, State, trial_seed

PHASE = "tune"
# What --set gave, in the receipt of a search.
GIVEN = "set"
# By parameter, as in [space.FAMILY] of podium.toml.
Settings = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Reach:
    """How far the search that podium.toml asks for has come.

    Parameters
    ----------
    study : Study, or None
        None where nobody asked this yet.
    question : mapping
        What is asked.
    done, wanted : mapping of family to int
        Trials that have ended, and how many there are to be.
    baselines : bool
        Whether every baseline is on record.
    cut : bool
        Whether ``--max-time`` ended it, so that what follows takes what there is.
    """

    study: Study | None
    question: Mapping[str, Any]
    done: Mapping[str, int]
    wanted: Mapping[str, int]
    baselines: bool
    cut: bool

    @property
    def left(self) -> dict[str, int]:
        """Families whose search is not complete, with how many trials they lack."""
        if self.cut:
            return {}
        lacking = {name: self.wanted[name] - self.done[name] for name in self.wanted}
        return {name: n for name, n in lacking.items() if n}


def tune(
    project: Project,
    slot: str,
    space: Settings | None = None,
    only: Collection[str] = (),
) -> Tuned:
    """Run the search of a slot, or what is left of it.

    The same command again trains nothing new; after a kill it goes on with the same configs, so it
    ends as if nothing had happened. Results do not depend on the number of jobs: the search asks in
    generations of a fixed size and is told in the order of trials.

    Parameters
    ----------
    space : mapping of parameter to setting, optional
        As in ``[space.<family>]``, which they come before, for every family that has them.
    only : collection of str
        Families of the slot to search now; empty: all. The study, and so every trial, is the same
        one; what the others have had stays, and the finals wait for them.

    Raises
    ------
    DataError, UsageError
        Before anything is trained.
    NotFoundError
        Every trial failed.
    """
    data = search_data(project, slot, say=project.reporter.say)
    split = validation_split(project, data)
    spaces = spaces_of(project, data, space or {})
    study = _study(project, data, split, spaces)
    files = TuningFiles(project, study, data, split)
    with files.claimed():
        baselines.run(project, study, data, split)
        _walk(project, study, data, split, spaces, files, only)
        found = _result(project, study, data, split)
        if not only or not _counted(project, study, data).left:
            found = _decided(found, _finalists.train(project, study, data, split, found.eligible))
    files.write(found.trials, found.reference, found.feasible, found.best.id)
    if not _counted(project, study, data).left:
        _complete(project, study, data, space or {})
    return found


def rewritten(project: Project, found: Tuned) -> None:
    """Write the files of a finished search again where they are gone or say something else."""
    _complete(project, found.study, found.data, found.given)
    files = TuningFiles(project, found.study, found.data, found.split)
    with files.claimed():
        files.write(found.trials, found.reference, found.feasible, found.best.id)


def _complete(project: Project, study: Study, data: TaskData, space: Settings) -> None:
    """The receipt of a finished search, which what follows goes on from."""
    outputs = {
        STUDY: study.id,
        GIVEN: space,
        SETTINGS: settings_of(project, "tune", "space"),
    }
    once(
        project, data.slot, PHASE, inputs(project, study.question, data), lambda: lambda tx: outputs
    )


def inputs(project: Project, question: Mapping[str, Any], data: TaskData) -> dict[str, Any]:
    """Everything that a search of a slot depends on, by name.

    Parameters
    ----------
    question : mapping
        As :func:`reach` has it.
    """
    told = {**question}
    families = told.pop("families")
    settings = ("search", "generation", "seed", "where", "schedule", "finalists")
    return {
        "data": told["dataset"],
        **{name: value for name, value in data.spec.items() if name != "versions"},
        "metric": told["metric"],
        "families": ", ".join(families),
        **{f"version of {name}": version for name, (version, _) in families.items()},
        **{f"space of {name}": digest(space) for name, (_, space) in families.items()},
        "tune.trials": project.config.tune.trials,
        **{f"tune.{name}": told[name] for name in settings if name in told},
        "distinct": bool(told.get("distinct")),
        # These follow from others, but for the versions of features and targets.
        "task": told["task"],
        "validation slice": told["split"],
    }


@contextmanager
def search_left(
    project: Project, slot: str, study: str = "", step: str = PHASE
) -> Iterator[tuple[Tuned, str]]:
    """The slot's newest finished search, or the one of that study, under the settings it had.

    Yields
    ------
    Tuned, str
        The search, and how its settings differ from podium.toml, as the end of a sentence.

    Raises
    ------
    NotFoundError
        There is none, or the slot asks another question by now.
    """
    left = left_by(project, slot, step, study)
    with under(project, left) as other:
        try:
            found = tuned(project, slot, given=left.outputs[GIVEN] if left else {})
        except NotFoundError as error:
            if left is None:
                raise
            why = "; ".join(_changes(project, slot, left)) or error.problems[0].found
            raise NotFoundError(
                f"{slot}: its newest search, {left.outputs[STUDY]}, "
                f"answers another question: {why}",
                fix=f"run: podium tune {slot}",
            ) from None
        yield found, other


def _changes(project: Project, slot: str, left: Receipt) -> list[str]:
    """What a slot's search asks by now that its newest one did not."""
    data = search_data(project, slot)
    split = validation_split(project, data)
    question, _ = _known(project, data, split, left.outputs[GIVEN])
    return differences(project, slot, PHASE, inputs(project, question, data))


def _walk(
    project: Project,
    study: Study,
    data: TaskData,
    split: Split,
    spaces: Mapping[str, Space],
    files: TuningFiles,
    only: Collection[str],
) -> None:
    """The search of each family, one after another."""
    settings, slot = project.config.tune, data.slot
    families = data.section.families
    for position, family in enumerate(families):
        if only and family not in only:
            continue
        # Numbers of several families do not meet: family k has numbers k, k + n, k + 2n ...
        search = registry.load("searches", settings.search).SEARCH(
            spaces[family], trial_seed(settings.seed, position)
        )
        driver.begin(project, study, family, search, settings.trials, len(families))
        walk = Walk(
            PHASE,
            [position + len(families) * k for k in range(settings.trials)],
            settings.generation,
            lambda number: trial_seed(settings.seed, number),
            f"{slot}: tune {family}",
            save_to=files.save_to,
            where=settings.where,
            leave=files.keep(family) if files.save_to else None,
        )
        driver.go(project, study, data, split, family, search, walk)


def tuned(
    project: Project, slot: str, data: TaskData | None = None, given: Settings | None = None
) -> Tuned:
    """What ``tune`` found, read from the record; nothing is written.

    Parameters
    ----------
    data : TaskData, optional
        The slot's, as :func:`search_data` reads it.
    given : mapping of parameter to setting, optional
        What the search was given beside ``[space]``.

    Raises
    ------
    NotFoundError
        The search is not finished.
    """
    data = data or search_data(project, slot)
    split = validation_split(project, data)
    study = _known(project, data, split, given or {})[1]
    if study is None:
        raise nothing_complete(slot, "tune")
    found = _result(project, study, data, split)
    far = _counted(project, study, data)
    done, wanted = sum(far.done.values()), sum(far.wanted.values())
    if far.left:
        raise NotFoundError(
            f"the search of {slot} has {done} of {wanted} trials", fix=f"run: podium tune {slot}"
        )
    if done < wanted:
        project.reporter.say(
            f"{slot}: --max-time ended the search with {done} of {wanted} trials; the best of "
            "these are taken"
        )
    further = driver.rows_of(project, study, _finalists.PHASE)
    finalists = _finalists.on_record(project, data, split, found.eligible, further)
    if finalists is None and not far.cut:
        raise NotFoundError(
            f"the finalists of {slot} are not trained with every seed",
            fix=f"run: podium tune {slot}",
        )
    return _decided(replace(found, given=given or {}), finalists or [])


def reach(project: Project, data: TaskData) -> Reach:
    """How far the search of a slot has come; nothing is written."""
    split = validation_split(project, data)
    question, study = _known(project, data, split)
    if study is None:
        wanted = dict.fromkeys(data.section.families, project.config.tune.trials)
        return Reach(None, question, dict.fromkeys(wanted, 0), wanted, baselines=False, cut=False)
    return _counted(project, study, data)


def _counted(project: Project, study: Study, data: TaskData) -> Reach:
    dropped = dropped_by(project, study)
    trials, wanted = project.config.tune.trials, {}
    split = validation_split(project, data)
    wanted_keys = {
        execute.key_of(data, split, name, data.version(name), plan).hash
        for name, plans in baselines.planned(data).items()
        for plan in plans
    }
    with project.ledger.reading() as tx:
        known = reads.trials_by_key(project.ledger, tx, [*wanted_keys])
        rows = reads.trials_of(project.ledger, tx, study.id, PHASE, BASELINE)
        for family in data.section.families:
            most = driver.exhausted(project, tx, study, family)
            wanted[family] = trials if most is None else min(most, trials)
    ended = Counter(
        row.family
        for row in rows
        if row.phase != BASELINE
        # What another study gave up is not what this one has.
        and (row.id in dropped or row.state in (State.COMPLETE, State.FAILED))
    )
    done = {name: min(ended[name], count) for name, count in wanted.items()}
    there = {row.id for row in rows if row.phase == BASELINE and row.state.ended}
    whole = known.keys() == wanted_keys and {row.id for row in known.values()} <= there
    return Reach(study, study.question, done, wanted, whole, driver.was_cut(project, study))


def _decided(found: Tuned, finalists: Sequence[Finalist]) -> Tuned:
    """With the winner of the finals, where there were any."""
    best = _finalists.winner(finalists)
    return replace(found, finalists=finalists, best=best.row if best else found.best)


def search_data(project: Project, slot: str, say: Callable[[str], None] | None = None) -> TaskData:
    """Data of a slot, judged by the metric that a search looks for."""
    metric = objectives(project.config, slot)[0]
    return task_data(judged_by(project.config, slot, metric), slot, say=say)


def validation_split(project: Project, data: TaskData) -> Split:
    """The slice before the sealed test that configs are compared on; or a slot's own split."""
    return data.held_out(project.config.tune.validation_fraction)


def space_of(project: Project, data: TaskData, name: str) -> Space:
    """A family's space with what the project narrows, and the epochs of this step."""
    family = data.family(name)
    settings = {**project.config.space.get(name, {})}
    space: Space = family.space(data.tuning)
    if BUDGET in space.constants:
        settings.setdefault(BUDGET, project.config.tune.epochs)
    return space.narrowed(settings, f"[space.{name}] of podium.toml")


def spaces_of(
    project: Project, data: TaskData, settings: Settings, families: Sequence[str] = ()
) -> dict[str, Space]:
    """Space of each family (default: the slot's), with settings for those that have them.

    Raises
    ------
    UsageError
        Settings no family has, or that one of them cannot take.
    """
    families = families or data.section.families
    spaces = {name: space_of(project, data, name) for name in families}
    known = {name: {**s.bounds, **s.parameters, **s.constants} for name, s in spaces.items()}
    everything = {parameter for names in known.values() for parameter in names}
    problems = [
        Problem(f"unknown parameter '{name}' in --set", fix=suggest(name, everything))
        for name in settings
        if name not in everything
    ]
    if problems:
        raise UsageError.of(problems)
    return {
        name: space.narrowed({k: v for k, v in settings.items() if k in known[name]}, "--set")
        if settings
        else space
        for name, space in spaces.items()
    }


def put_question(
    project: Project,
    data: SearchData,
    split: Split,
    spaces: Mapping[str, Space],
    **search: str | int,
) -> Study:
    """The study that looks for a config in these spaces; asked again, it is the same one.

    One that asks for generations of configs, and so can be told of trials, is told of those on
    record where it widens, or narrows, another one.
    """
    with project.ledger.transaction() as tx:
        if data.dataset.fingerprint:
            writes.put_dataset(project.ledger, tx, data.dataset)
        writes.put_split(project.ledger, tx, split)
        question, known = _asked(project, tx, data, split, spaces, search)
        study = writes.put_study(project.ledger, tx, data.slot, question)
        if known is None and "generation" in search:
            fits = {name: space.contains for name, space in spaces.items()}
            kin.adopt(project.ledger, tx, study, fits)
    return study


def _asked(
    project: Project,
    tx: Any,
    data: SearchData,
    split: Split,
    spaces: Mapping[str, Space],
    search: Mapping[str, str | int],
) -> tuple[dict[str, Any], Study | None]:
    """What is asked, and the study that asked it before."""
    question = {
        "dataset": data.dataset.fingerprint,
        "task": data.task_hash,
        "split": split.hash,
        "metric": data.section.metric,
        "families": {name: [data.version(name), space.spec()] for name, space in spaces.items()},
        **search,
    }
    known = kin.known(project.ledger, tx, data.slot, question)
    if known is None and "generation" in search and any(s.is_finite for s in spaces.values()):
        # Studies from before this go on repeating themselves.
        question["distinct"] = True
        known = kin.known(project.ledger, tx, data.slot, question)
    return question, known


def known_study(project: Project, data: TaskData, split: Split) -> Study | None:
    """The study of a slot's search, or None where it was not begun; nothing is written."""
    return _known(project, data, split)[1]


def _known(
    project: Project, data: TaskData, split: Split, given: Settings | None = None
) -> tuple[dict[str, Any], Study | None]:
    spaces = spaces_of(project, data, given or {})
    with project.ledger.reading() as tx:
        return _asked(project, tx, data, split, spaces, _way(project))


def _study(project: Project, data: TaskData, split: Split, spaces: Mapping[str, Space]) -> Study:
    return put_question(project, data, split, spaces, **_way(project))


def _way(project: Project) -> dict[str, str | int]:
    """How ``[tune]`` searches, as part of the question."""
    settings = project.config.tune
    if not registry.exists("searches", settings.search):
        raise UsageError.of(
            [Problem(f"tune.search is '{settings.search}'", ", ".join(registry.names("searches")))]
        )
    # What must not win is told to be bad, so it decides what is asked for.
    where = {"where": settings.where} if settings.where else {}
    return {
        "search": registry.versioned("searches", settings.search),
        "generation": settings.generation,
        "seed": settings.seed,
        **where,
        **schedule.asked(project),
    }


def _result(project: Project, study: Study, data: TaskData, split: Split) -> Tuned:
    rows = project.ledger.read(reads.trials_of, study.id, kin.KNOWN, PHASE, BASELINE)
    # Of a search that was ended early the others never began.
    rows = [row for row in rows if row.state.ended]
    beside = [row for row in rows if row.phase == BASELINE]
    # What was known and was asked for again is one trial.
    asked = {row.id for row in rows if row.phase != kin.KNOWN}
    trials = [
        row
        for row in rows
        if row.phase != BASELINE and (row.phase != kin.KNOWN or row.id not in asked)
    ]
    dropped = dropped_by(project, study)
    trials = [
        as_dropped(row, dropped[row.id]) if row.id in dropped and row.phase != kin.KNOWN else row
        for row in trials
    ]
    trials = scored_alike(project, data, split, trials)
    beside = scored_alike(project, data, split, beside)
    way, where = data.direction, project.config.tune.where
    good = feasible(project, where, trials)
    if trials and not good:
        raise NotFoundError(
            f"none of the {len(trials)} trials of {data.slot} meets '{where}'",
            fix="loosen --where, or search on; what they came to: podium list trials",
        )
    if len(good) < len(trials):
        told = f"{len(trials) - len(good)} of {len(trials)} trials do not meet '{where}'"
        project.reporter.say(f"{data.slot}: {told}; they are kept and cannot win")
    metrics = objectives(project.config, data.slot)
    values = scores(project, data, split, trials, metrics) if len(metrics) > 1 else {}
    best = best_of([row for row in trials if row.id in good], data.slot, "tune", way)
    reference = baselines.best(beside, data, "tune")
    return Tuned(study, data, split, trials, beside, best, reference, good, values)
