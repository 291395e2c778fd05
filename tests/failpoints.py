"""A program that fills a record through podium, and the places where it can be made to die.

The places are patched into the dying process; podium itself knows nothing of them.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import brisk
import quick
from nursery import die, tell
from podium.cli.main import run as command_line
from podium.errors import PodiumError
from podium.evidence import Scalar
from podium.ledger import decisions, outbox, reads, writes
from podium.ledger.ledger import Ledger
from podium.runners._paused import Pause
from podium.runners.local import LocalRunner
from podium.searches._phases import PhasedSearch
from podium.steps.archive.doctor import doctor
from podium.steps.evidence.evidence import evidence_about
from podium.steps.pipeline import run as run_step
from podium.steps.pipeline import stages
from podium.steps.pipeline.run import run
from podium.steps.pipeline.slot_pipeline import PipelineStage, SlotPipeline
from podium.steps.search.grid import grid
from podium.steps.search.tune import tune
from podium.steps.search.tuning_files import TuningFiles
from podium.steps.workspace import output_folder, sync
from podium.steps.workspace.session import open_project
from podium.tracker import HyperparamTracker
from projects import SLOT, new_candidate

# What a process that forks those that die here has loaded; with torch, for networks.
WARM = (
    __name__,
    "podium.steps.workspace.sync",
    "podium.searches.three_phase",
    "podium.families.naive",
    "podium.readers.csv",
    "scipy.stats",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)
WITH_TORCH = (*WARM, "podium.families.lstm", "torch._dynamo")
LOGGED = 6
# More than an end has: what is beyond them is the commit.
STATEMENTS = 8
GRID = {"factor": [0.8, 0.9, 1.0, 1.1], "level": [1, 2, 3]}
SETTINGS: dict[str, Any] = {
    "slots": {SLOT: {"families": [quick.NAME]}},
    "tune": {"trials": 8, "generation": 4, "epochs": 3, "search": "random"},
    "space": {},
}


def work(root: str, where: str = "", turn: int = 0) -> None:
    """A search, a grid that keeps its models, a script that logs runs; what is done is not redone.

    Tells each end and each logged run once it is acknowledged.

    Parameters
    ----------
    where : str
        Name of a place in :data:`PLACES`; empty: live.
    turn : int
        How often that place is passed before this process dies there.
    """
    _acknowledge()
    if where:
        PLACES[where](turn)
    with open_project(Path(root)) as project:
        tune(project, SLOT)
        grid(project, SLOT, GRID)
    with HyperparamTracker(Path(root) / "hyperparams" / "sweep_results.json") as tracker:
        logged = {run.hyperparams.get("n") for run in tracker.runs if run.model_name == "toto"}
        for n in range(LOGGED):
            if n not in logged:
                tell(f"logged {tracker.log_run('toto', {'n': n}, {'val_pct_mae': 1 / (n + 1)})}")


# A search in three phases that keeps its best models and leaves its files.
SEARCH: dict[str, Any] = {
    "slots": {SLOT: {"families": [quick.NAME]}},
    "tune": {
        "trials": 12,
        "generation": 4,
        "epochs": 3,
        "search": "three_phase",
        "keep_checkpoints": 3,
    },
    "paths": {"tuning": "hyperparameter_tuning_results"},
    "space": {},
}


# The same with trials that pause, are given up, or go on with further seeds.
SCHEDULED: dict[str, Any] = {
    **SEARCH,
    "tune": {**SEARCH["tune"], "epochs": 6, "schedule": "halving", "finalists": 2, "seeds": 2},
}


def search(root: str, told: str, round_: int, where: str = "", turn: int = 0) -> None:
    """Go on with a search; each training is told in a file, as one of this round.

    Parameters
    ----------
    where : str
        Name of a place in :data:`SEARCH_PLACES`; empty: live.
    """
    os.environ.update({quick.TRAININGS: told, quick.ROUND: str(round_)})
    if where:
        SEARCH_PLACES[where](turn)
    with open_project(Path(root)) as project:
        tune(project, SLOT)


def search_with_a_worker_dying(root: str, told: str, moment: str, number: int) -> None:
    """A whole search by two workers, one of which dies at a moment of its n-th training."""
    _with_workers()
    os.environ[quick.DIES] = f"{moment} {number}"
    search(root, told, 0)


def or_say(function: str, *arguments: Any) -> None:
    """Call a function of this file; what stops it is told: exit code and sentences."""
    try:
        globals()[function](*arguments)
    except PodiumError as error:
        tell(f"stopped {error.exit_code} {error}")


def _acknowledge() -> None:
    """Tell which trials have ended, each as soon as its transaction has returned."""
    ended: list[str] = []
    end, transaction = writes.end_trial, Ledger.transaction

    def told_end(tx: Any, one: Any, **rest: Any) -> None:
        end(tx, one, **rest)
        ended.append(f"ended {one.task.trial_id} {one.score!r}")

    @contextmanager
    def told_transaction(self: Ledger, **how: Any) -> Iterator[Any]:
        ended.clear()
        with transaction(self, **how) as tx:
            yield tx
        for one in ended:
            tell(one)

    writes.end_trial = told_end
    Ledger.transaction = told_transaction  # type: ignore[method-assign]


class _Countdown:
    """Dies when it is passed for the n-th time."""

    def __init__(self, turn: int) -> None:
        self.left = turn

    def step(self, *_: object) -> None:
        if self.left == 0:
            die()
        self.left -= 1


def _around(holder: Any, name: str, count: _Countdown, *, after: bool = True) -> None:
    """Pass a place before, and after, each call of a function."""
    call = getattr(holder, name)

    @wraps(call)
    def patched(*arguments: Any, **named: Any) -> Any:
        count.step()
        result = call(*arguments, **named)
        if after:
            count.step()
        return result

    setattr(holder, name, patched)


def _before_a_start(turn: int) -> None:
    _around(writes, "start_trials", _Countdown(turn))


def _in_training(turn: int) -> None:
    """Before and after a training, or, of a network, a step of it."""
    count = _Countdown(turn)
    _around(quick.QuickFamily, "fit", count)
    if "torch" in sys.modules:
        from torch.optim import AdamW

        _around(AdamW, "step", count)


def _with_workers() -> None:
    """Let two other processes train."""
    os.environ.update(PODIUM_RUNNER_NAME="local", PODIUM_RUNNER_JOBS="2")
    begin = LocalRunner.__init__

    @wraps(begin)
    def patched(self: LocalRunner, jobs: int) -> None:
        begin(self, jobs)
        # To load torch takes longer than all these trainings; most of them do not need it.
        trained = WITH_TORCH[-2:] if "torch" in sys.modules else [quick.__name__]
        self._context.set_forkserver_preload(["podium.runners.local", *trained])

    LocalRunner.__init__ = patched  # type: ignore[method-assign]


def _worker_busy(turn: int) -> None:
    """The driver dies while its worker processes train."""
    _with_workers()
    _around(LocalRunner, "_receive", _Countdown(turn), after=False)


def _in_an_end(turn: int) -> None:
    """After one of an end's statements, or when all are done and only the commit is left."""
    end, place = divmod(turn, STATEMENTS)
    call = writes.end_trial

    def patched(tx: Any, one: Any, **rest: Any) -> None:
        nonlocal end
        if end == 0:
            count = _Countdown(place)
            sa.event.listen(tx.ledger.engine, "after_cursor_execute", count.step)
            sa.event.listen(tx.ledger.engine, "commit", die)
        end -= 1
        call(tx, one, **rest)

    writes.end_trial = patched


def _before_a_projection(turn: int) -> None:
    """Between a commit and the files that show it: before and after each step of writing them."""
    count, write = _Countdown(turn), os.write
    _around(sync, "sync_files", count, after=False)
    _around(outbox, "advance", count)
    _around(Path, "replace", count)

    def torn(descriptor: int, data: bytes) -> int:
        if not data.lstrip().startswith(b'{"podium"'):
            return write(descriptor, data)
        # A line of the users' log is cut in the middle by a machine that dies.
        if count.left == 0:
            write(descriptor, data[: len(data) // 2])
        count.step()
        return write(descriptor, data)

    os.write = torn


def _in_a_rename(turn: int) -> None:
    """Before and after an artefact gets its name."""
    count, rename = _Countdown(turn), Path.rename

    @wraps(rename)
    def patched(self: Path, target: Path) -> Path:
        if "registry" not in self.parts:
            return rename(self, target)
        count.step()
        renamed = rename(self, target)
        count.step()
        return renamed

    Path.rename = patched  # type: ignore[method-assign, assignment]


PLACES: dict[str, Callable[[int], None]] = {
    "before a start is written": _before_a_start,
    "in training": _in_training,
    "while a worker is busy": _worker_busy,
    "inside an end": _in_an_end,
    "between commit and files": _before_a_projection,
    "in an artefact's rename": _in_a_rename,
}


def _between_generations(turn: int) -> None:
    _around(PhasedSearch, "ask", _Countdown(turn))


def _keeping_a_model(turn: int) -> None:
    """Before and after a model gets its place beside the others."""
    _around(shutil, "move", _Countdown(turn))


def _writing_results(turn: int) -> None:
    """Before and after each of the files a search leaves, and before its folder is claimed."""
    count = _Countdown(turn)
    _around(output_folder, "write_atomic", count)
    _around(TuningFiles, "write", count, after=False)


def _inside(name: str, statements: int) -> Callable[[int], None]:
    """After one of the statements of a write, or when all are done and only the commit is left."""

    def arm(turn: int) -> None:
        which, place = divmod(turn, statements)
        call = getattr(writes, name)

        def patched(tx: Any, *given: Any, **rest: Any) -> Any:
            nonlocal which
            if which == 0:
                sa.event.listen(tx.ledger.engine, "after_cursor_execute", _Countdown(place).step)
                sa.event.listen(tx.ledger.engine, "commit", die)
            which -= 1
            return call(tx, *given, **rest)

        setattr(writes, name, patched)

    return arm


def _putting_a_state_away(turn: int) -> None:
    """Before and after the state of a paused training is a file."""
    _around(Pause, "write", _Countdown(turn))


# A new place of a search is one line here and one in the kills of test_search_crash.py.
SEARCH_PLACES: dict[str, Callable[[int], None]] = {
    "before a start is written": _before_a_start,
    "in training": _in_training,
    "while a worker is busy": _worker_busy,
    "inside an end": _in_an_end,
    "between generations": _between_generations,
    "while a model is kept": _keeping_a_model,
    "while the results are written": _writing_results,
    "while a state is put away": _putting_a_state_away,
    "inside a pause": _inside("pause_trial", 5),
    "inside a decision": _inside("prune_trials", 4),
}


# A run over two families, whose best configs go all the way.
RUN: dict[str, Any] = {
    "slots": {SLOT: {"families": [quick.NAME, brisk.NAME]}},
    "tune": {"trials": 4, "generation": 2, "epochs": 3, "search": "random", "keep_checkpoints": 2},
    "paths": {"tuning": "hyperparameter_tuning_results"},
    "space": {},
}


def whole_run(root: str, jobs: int, step: str = "", where: str = "", turn: int = 0) -> None:
    """Take the project's slot to its decision, or as far as a place inside one of the steps.

    Parameters
    ----------
    step : str
        Step that is to have begun when the place is first passed.
    where : str
        Name of a place in :data:`RUN_PLACES`, or :data:`WRITES`; empty: live.
    """
    if jobs == 1:
        os.environ.update(PODIUM_RUNNER_NAME="inline", PODIUM_RUNNER_JOBS="1")
    else:
        _with_workers()

    def armed(one: PipelineStage) -> PipelineStage:
        class Armed(type(one)):  # type: ignore[misc]
            def make(self, slot: SlotPipeline) -> Any:
                RUN_PLACES[where](turn)
                return super().make(slot)

        return Armed()

    if where == WRITES:
        _before_a_write(Path(root), turn)
    elif where:
        found = stages.stages_of("forecast")
        run_step.stages_of = lambda task: tuple(
            armed(one) if one.name == step else one for one in found
        )
    with open_project(Path(root)) as project:
        run(project)


# Before the n-th file of the project that is opened for writing, renamed or removed.
WRITES = "before a write"
WRITING = ("open", "os.rename", "os.rmdir", "shutil.rmtree")


def _before_a_write(root: Path, turn: int, events: Sequence[str] = WRITING) -> None:
    count = _Countdown(turn)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in events or not str(arguments[0]).startswith(str(root)):
            return
        if event == "open" and not (isinstance(arguments[1], str) and arguments[1][0] in "wax"):
            return
        count.step()

    sys.addaudithook(hear)


def _in_a_fit(turn: int) -> None:
    """In this process, or, where others train, once they are at work."""
    if os.environ["PODIUM_RUNNER_NAME"] == "inline":
        _in_training(turn)
    else:
        _around(LocalRunner, "_receive", _Countdown(turn), after=False)


def _writing_a_report(turn: int) -> None:
    _around(run_step, "write_atomic", _Countdown(turn))


def _deciding(turn: int) -> None:
    _around(decisions, "decide", _Countdown(turn))


RUN_PLACES: dict[str, Callable[[int], None]] = {
    "before a start is written": _before_a_start,
    "in training": _in_a_fit,
    "inside an end": _in_an_end,
    "while the results are written": _writing_results,
    "in an artefact's rename": _in_a_rename,
    "inside the evidence": _inside("put_evidence", 2),
    "inside a receipt": _inside("put_receipt", 2),
    "before or after a decision": _deciding,
    "while the report is written": _writing_a_report,
}


def examine(root: str) -> None:
    """Tell everything that is not as it should be after the work is done."""
    for check in doctor(Path(root)):
        # A disk that is small is not what is examined.
        if not check.ok and check.check != "disk":
            tell(f"{check.check}: {check.finding}")
    with open_project(Path(root)) as project:
        for name in sync.sync_files(project):
            tell(f"{name} was not up to date")


def archive(arguments: list[str], folder: str, turn: int | None = None) -> None:
    """One command line; tells its exit code.

    Parameters
    ----------
    turn : int, optional
        Number of changes to files below the folder before the process dies at the next one.
    """
    if turn is not None:
        _before_a_write(Path(folder), turn, (*WRITING, "os.link", "os.mkdir", "os.remove"))
    tell(f"exit {command_line(arguments)}")


# What people decide, as the command line does it; beside it, making candidates to decide about.


def decide(root: str, arguments: list[str], where: str = "", turn: int = 0) -> None:
    """One command line; tells its exit code.

    Parameters
    ----------
    where : str
        Name of a place in :data:`DECISION_PLACES`; empty: live.
    """
    if where:
        DECISION_PLACES[where](turn)
    tell(f"exit {command_line([*arguments, '--project', root])}")


def enhance(
    root: str,
    name: str,
    model_type: str,
    parent: str | None,
    artifact: list[str],
    where: str = "",
    turn: int = 0,
) -> None:
    """Register a candidate, made of another one where ``parent`` names one, and what it lost."""
    if where:
        DECISION_PLACES[where](turn)
    with open_project(Path(root)) as project:
        made = replace(
            new_candidate(name.removeprefix("c-"), SLOT, model_type),
            artifact_hash=artifact[0],
            artifact_path=artifact[1],
            parent_id=parent,
            root_id=parent or name,
        )
        scalars = {"candidate:max_drawdown": Scalar(-0.1, "fraction", "max")}
        lost = evidence_about(made, "backtest", "test", dataset="d" * 64, notes={}, scalars=scalars)
        with project.ledger.transaction(durable=True) as tx:
            found = decisions.register(tx, made, "tester")
            if not reads.evidence_of(tx, found.id):
                writes.put_evidence(tx, lost)
    tell("exit 0")


def _before_a_decision(turn: int) -> None:
    _patch_transaction(before=_Countdown(turn).step)


def _in_a_decision(turn: int) -> None:
    """After one of its statements, or when all are done and only the commit is left."""

    def arm(ledger: Ledger) -> None:
        sa.event.listen(ledger.engine, "after_cursor_execute", _Countdown(turn).step)
        sa.event.listen(ledger.engine, "commit", die)

    _patch_transaction(inside=arm)


def _after_a_decision(turn: int) -> None:
    _patch_transaction(after=_Countdown(turn).step)


def _nothing(*_: object) -> None:
    pass


def _patch_transaction(
    before: Callable[..., None] = _nothing,
    inside: Callable[[Ledger], None] = _nothing,
    after: Callable[..., None] = _nothing,
) -> None:
    transaction = Ledger.transaction

    @contextmanager
    def patched(self: Ledger, *, durable: bool = False) -> Iterator[Any]:
        if not durable:
            with transaction(self) as tx:
                yield tx
            return
        before()
        with transaction(self, durable=True) as tx:
            inside(self)
            yield tx
        after()

    Ledger.transaction = patched  # type: ignore[method-assign]


def _writing_who_serves(turn: int) -> None:
    """Before and after each file that a decision changes gets its name."""
    _around(Path, "replace", _Countdown(turn))


DECISION_PLACES: dict[str, Callable[[int], None]] = {
    "before the transaction": _before_a_decision,
    "in the transaction": _in_a_decision,
    "after the transaction": _after_a_decision,
    "while files are written": _writing_who_serves,
}
