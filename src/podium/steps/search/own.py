"""Search with the user's own code: each trial runs a command or a function."""

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

    The command runs without a shell in the project's folder, each trial in a separate process
    group. The same search again trains nothing new; after a kill it continues with the same
    configs.

    Parameters
    ----------
    command : str
        ``python train.py {args}``: placeholders are ``{args}``, ``{config}`` (a file), ``{seed}``,
        ``{trial}``, ``{folder}`` and every parameter.
    space : mapping of parameter to setting
        A list, ``{low, high, log}``, or one value.
    metric : str
        The reported metric that is optimized.
    direction : str, optional
        ``min`` or ``max``. Default: by its name, or ``[metrics]`` of podium.toml.
    name : str, optional
        The slot is ``own/<name>``. Default: the name of the script.
    version : int
        A new version trains everything again.
    files : sequence of str
        Files that the training reads; new content is a new training.
    schedule : str, optional
        Schedule that prunes trials by their reports. Default: none. It needs ``max_epochs`` in the
        space.

    Returns
    -------
    SearchResult

    Raises
    ------
    UsageError, NotFoundError
        Every problem of the arguments at once; nothing is started. NotFoundError also if every
        trial failed.
    """
    parameters = own_code.space_of(space, "--set")
    words = own_code.command_of(command, _names(parameters), project.root, project.reporter.say)
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
    return _sweep(project, data, parameters, schedule=schedule)


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
    """Search with a function that is called with each config as keyword arguments.

    It runs in worker processes if they can import it, that is from the top of a module other than
    the main program. Otherwise it runs in this process, one trial after another, with a message.

    Parameters
    ----------
    function : callable
        ``function(lr=..., units=...)`` returns the metric or a dict of metrics, or nothing if it
        calls ``podium.report(epoch, **metrics)``. Its prints are stored. The environment has a
        seed (``PODIUM_SEED``) and a folder for files to store (``PODIUM_FOLDER``).
    space : mapping of parameter to setting
        A list of values, ``(low, high)``, ``(low, high, "log")``, one value, or Float, Int and
        Choice of :mod:`podium.space`.
    metric, direction : str
        The metric to optimize and its direction, ``min`` or ``max``. Default of the direction: by
        the name (``val_loss``), or ``[metrics]`` of podium.toml.
    trials, search, seed, jobs : optional
        As of ``podium sweep``. Default: those of podium.toml.
    name : str, optional
        The slot is ``own/<name>``. Default: the function's name.
    version : int
        A new version trains everything again.
    files : sequence of str
        Files that the training reads; new content is a new training.
    project : path
        Folder in or below the project.

    Returns
    -------
    SearchResult
        ``best.config``, ``best.score``, all ``trials``, and ``frame()`` with a row for each.

    Raises
    ------
    UsageError, NotFoundError
        Problems of the arguments; nothing is started. NotFoundError also if every trial failed.
    """
    settings = {
        "tune.trials": trials,
        "tune.search": search,
        "tune.seed": seed,
        "runner.jobs": jobs,
    }
    flags = {key: value for key, value in settings.items() if value is not None}
    parameters = own_code.space_of(space, "space")
    own_code.require_callable(function, _names(parameters))
    with open_project(find_root(Path(project)), settings=flags, reporter=Stderr()) as opened:
        path, why_here = own_code.function_of(function)
        runner: Runner | None = None
        if why_here:
            opened.reporter.say(f"{path} runs here, one trial after another: {why_here}")
            runner = registry.load("runners", "inline").RUNNER(1)
        slot = own_code.slot_of(opened.config, name or path.rpartition(":")[2].rpartition(".")[2])
        direction = own_code.direction_of(opened.config, metric, direction)
        data = OwnData(
            slot,
            OwnSection(metric, direction),
            own_code.files_of(files, opened.root),
            version,
            {"task": TASK, "function": path},
            Code(direction, str(opened.root), function=path, here=function if why_here else None),
            own_code.source_of(function, opened.root),
        )
        return _sweep(opened, data, parameters, runner)


def _names(space: Space) -> list[str]:
    return [*space.parameters, *space.constants]


def _sweep(
    project: Project, data: OwnData, space: Space, runner: Runner | None = None, schedule: str = ""
) -> SearchResult:
    settings = project.config.tune
    if schedule not in ("", _schedule.NONE) and BUDGET not in _names(space):
        raise UsageError(
            f"schedule {schedule} cannot know how many epochs a trial has",
            f"{BUDGET} in the space",
            f"--set {BUDGET}=20; the program is given it as any other parameter",
        )
    # The schedule of podium.toml is for families.
    question = driver.search_question(project, schedule or _schedule.NONE)
    with project.locked(data.slot, PHASE):
        context = begin_study(
            project,
            data,
            data.split,
            {data.name: space},
            direction=data.section.direction,
            **question,
        )
        _report_changes(project, data)
        project.add_scripts(data.code_hashes)
        with driver.work_folder(project, data.slot, TASK) as work:
            run = SearchRun(
                data.name,
                registry.load("searches", settings.search).SEARCH(space, settings.seed),
                PHASE,
                range(settings.trials),
                settings.generation,
                # One seed for all trials, so that a config has one trial in every search and scores
                # of configs do not differ by their seeds.
                lambda _: settings.seed,
                f"{data.slot}: sweep",
                work,
                extras={"code": dict(data.code_hashes)} if data.code_hashes else None,
                runner=runner,
            )
            driver.begin(context, run)
            driver.run_search(context, run)
        result = result_of(context, PHASE, searched(context, PHASE))
        return replace(result, epochs=_epochs(project, result))


def _report_changes(project: Project, data: OwnData) -> None:
    """Report files that changed since trials on record were trained."""
    rows = project.reader.select(
        "trial",
        "extras",
        task_hash=data.task_hash,
        family=data.name,
        family_version=data.code_version,
        dataset_fingerprint=data.dataset.fingerprint,
        state=State.COMPLETE,
    )
    then = [row["extras"].get("code", {}) for row in rows if row["extras"]]
    for file, hash_ in data.code_hashes.items():
        older = sum(code.get(file, hash_) != hash_ for code in then)
        if older:
            project.reporter.say(
                f"{file} has changed since {older} of the {len(rows)} trials on record were "
                f"trained; these are used, --version {data.code_version + 1} trains them again"
            )


def _epochs(project: Project, result: SearchResult) -> dict[str, int]:
    """Epoch of each reported score; scores printed at the end have none."""
    metric, epochs = result.metric, dict[str, int]()
    for row in result.trials:
        if row.state is State.COMPLETE:
            curve = project.ledger.read(reads.epochs_of, row.id)
            equal = [e for e, values in curve.items() if values.get(metric) == row.score]
            if equal:
                epochs[row.id] = equal[0]
    return epochs
