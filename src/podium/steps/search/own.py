"""Search with code of the user's own: a command or a function is a trial, as a family's fit is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from podium import registry
from podium.config import find_root
from podium.errors import UsageError
from podium.ledger import reads
from podium.own import TASK, Code
from podium.runners._base import Runner
from podium.space import Space
from podium.steps.data import own_code
from podium.steps.search.results import SearchResult, result_of, searched
from podium.steps.trials import driver
from podium.steps.trials import schedule as _schedule
from podium.steps.trials.context import begin_study
from podium.steps.trials.driver import SearchRun
from podium.steps.workspace.project import Project, Stderr
from podium.steps.workspace.session import open_project
from podium.tasks.own import OwnData, OwnSection
from podium.trial import BUDGET, State

PHASE = "sweep"
Settings = Mapping[str, Any]


def sweep_command(
    project: Project,
    command: str,
    space: Settings,
    metric: str,
    *,
    direction: str = "",
    name: str = "",
    version: int = 1,
    files: Sequence[str] = (),
    schedule: str = "",
) -> SearchResult:
    """Search with a command; trials, search and seed are those of ``[tune]``.

    The command is run without a shell in the project's folder, each trial in a process group of its
    own. The same search again trains nothing new; after a kill it goes on with the same configs.

    Parameters
    ----------
    command : str
        ``python train.py {args}``: placeholders are ``{args}``, ``{config}`` (a file), ``{seed}``,
        ``{trial}``, ``{folder}`` and every parameter.
    space : mapping of parameter to setting
        A list, ``{low, high, log}``, or one value.
    metric : str
        What is reported and looked for.
    direction : str, optional
        ``min`` or ``max``; default: as its name, or ``[metrics]`` of podium.toml, tells.
    name : str, optional
        The slot is ``own/<name>``; default: the script's.
    version : int
        Another one trains everything anew.
    files : sequence of str
        What the training reads; other content is another training.
    schedule : str, optional
        Which trials are given up early, by what they report; default: none. It needs
        ``max_epochs`` in the space.

    Raises
    ------
    UsageError, NotFoundError
        Before anything is started; with everything that is wrong. NotFoundError too where every
        trial failed.
    """
    found = own_code.space_of(space, "--set")
    words = own_code.command_of(command, [*_names(found)], project.root, project.reporter.say)
    slot = own_code.slot_of(project.config, name or own_code.name_of(words, project.root))
    direction = own_code.direction_of(project.config, metric, direction)
    data = OwnData(
        slot,
        OwnSection(metric, direction),
        own_code.files_of(files, project.root),
        version,
        {"task": TASK, "command": list(words)},
        Code(direction, str(project.root), words=words, environment=own_code.threads()),
        own_code.scripts_of(words, project.root),
    )
    return _sweep(project, data, found, schedule=schedule)


def search(
    function: Callable[..., Any],
    space: Settings,
    *,
    metric: str = "score",
    direction: str = "",
    trials: int | None = None,
    name: str = "",
    search: str | None = None,
    seed: int | None = None,
    jobs: int | None = None,
    version: int = 1,
    files: Sequence[str] = (),
    project: str | Path = ".",
) -> SearchResult:
    """Search with a function: called with each config as keyword arguments.

    It runs in worker processes where they can import it: defined at the top of a module other than
    the program itself. Else it runs here, one trial after another, and a sentence says why.

    Parameters
    ----------
    function : callable
        ``function(lr=..., units=...)`` returns the metric or a dict of metrics, or nothing where it
        calls ``podium.report(epoch, **metrics)``. What it prints is kept. It finds a seed in the
        environment (``PODIUM_SEED``) and a folder for what is to be kept (``PODIUM_FOLDER``).
    space : mapping of parameter to setting
        A list of values, ``(low, high)``, ``(low, high, "log")``, one value, or Float, Int and
        Choice of :mod:`podium.space`.
    metric, direction : str
        What is looked for, and whether ``min`` or ``max`` is better; the direction may be left out
        where the name tells (``val_loss``) or ``[metrics]`` of podium.toml does.
    trials, search, seed, jobs : optional
        As ``podium sweep`` takes them; default: those of podium.toml.
    name : str, optional
        The slot is ``own/<name>``; default: the function's.
    version : int
        Another one trains everything anew.
    files : sequence of str
        What the training reads; other content is another training.
    project : path
        Folder in or below the project.

    Returns
    -------
    SearchResult
        ``best.config``, ``best.score``, all ``trials``, and ``frame()`` with a row for each.

    Raises
    ------
    UsageError, NotFoundError
        Before anything is started. NotFoundError too where every trial failed.
    """
    given = {
        "tune.trials": trials,
        "tune.search": search,
        "tune.seed": seed,
        "runner.jobs": jobs,
    }
    flags = {key: value for key, value in given.items() if value is not None}
    found = own_code.space_of(space, "space")
    own_code.require_callable(function, [*_names(found)])
    with open_project(find_root(Path(project)), settings=flags, reporter=Stderr()) as opened:
        told, why_here = own_code.function_of(function)
        runner: Runner | None = None
        if why_here:
            opened.reporter.say(f"{told} runs here, one trial after another: {why_here}")
            runner = registry.load("runners", "inline").RUNNER(1)
        slot = own_code.slot_of(opened.config, name or told.rpartition(":")[2].rpartition(".")[2])
        direction = own_code.direction_of(opened.config, metric, direction)
        data = OwnData(
            slot,
            OwnSection(metric, direction),
            own_code.files_of(files, opened.root),
            version,
            {"task": TASK, "function": told},
            Code(direction, str(opened.root), function=told, here=function if why_here else None),
            own_code.source_of(function, opened.root),
        )
        return _sweep(opened, data, found, runner)


def _names(space: Space) -> list[str]:
    return [*space.parameters, *space.constants]


def _sweep(
    project: Project,
    data: OwnData,
    space: Space,
    runner: Runner | None = None,
    schedule: str = "",
) -> SearchResult:
    settings = project.config.tune
    if schedule not in ("", _schedule.NONE) and BUDGET not in _names(space):
        raise UsageError(
            f"schedule {schedule} cannot know how many epochs a trial has",
            f"{BUDGET} in the space",
            f"--set {BUDGET}=20; the program is given it as any other parameter",
        )
    # The schedule of podium.toml is for families.
    asked = driver.search_question(project, schedule or _schedule.NONE)
    with project.locked(data.slot, PHASE):
        context = begin_study(
            project,
            data,
            data.split,
            {data.name: space},
            direction=data.section.direction,
            **asked,
        )
        _tell_of_changes(project, data)
        with driver.work_folder(project, data.slot, TASK) as work:
            run = SearchRun(
                data.name,
                registry.load("searches", settings.search).SEARCH(space, settings.seed),
                PHASE,
                range(settings.trials),
                settings.generation,
                # One for all: a config is found again whoever asked for it first, and differences
                # between configs are not those between seeds.
                lambda _: settings.seed,
                f"{data.slot}: sweep",
                work,
                extras={"code": dict(data.code_hashes)} if data.code_hashes else None,
                runner=runner,
            )
            driver.begin(context, run)
            driver.run_search(context, run)
        found = result_of(context, PHASE, searched(context, PHASE))
        return replace(found, epochs=_epochs(project, found))


def _tell_of_changes(project: Project, data: OwnData) -> None:
    """Say where trials on record were trained by a script that was another then."""
    rows = project.reader.select(
        "trial",
        "said",
        task_hash=data.task_hash,
        family=data.name,
        family_version=data.code_version,
        dataset_fingerprint=data.dataset.fingerprint,
        state=State.COMPLETE,
    )
    then = [row["said"].get("code", {}) for row in rows if row["said"]]
    for file, hash_ in data.code_hashes.items():
        older = sum(code.get(file, hash_) != hash_ for code in then)
        if older:
            project.reporter.say(
                f"{file} has changed since {older} of the {len(rows)} trials on record were "
                f"trained; they are taken as they are, --version {data.code_version + 1} "
                "trains anew"
            )


def _epochs(project: Project, found: SearchResult) -> dict[str, int]:
    """Epoch that each score was reported in; nothing of those printed at the end."""
    metric, epochs = found.metric, dict[str, int]()
    for row in found.trials:
        if row.state is State.COMPLETE:
            curve = project.ledger.read(reads.epochs_of, row.id)
            equal = [e for e, values in curve.items() if values.get(metric) == row.score]
            if equal:
                epochs[row.id] = equal[0]
    return epochs
