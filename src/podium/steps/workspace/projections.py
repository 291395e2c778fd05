"""Beside a step and after it: what shows the record elsewhere; it delays and fails no step."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from podium import config as configuration
from podium.ledger.projections import _mlflow_target
from podium.ledger.projections._mlflow_target import Target
from podium.ledger.record_reader import RecordReader
from podium.steps.workspace.project import Project


def target_of(project: Project) -> Target | None:
    """The MLflow experiment this project is shown in; None where MLflow is off.

    Raises
    ------
    UsageError, DataError, MissingExtraError
        MLflow is on and cannot be used as it is set.
    """
    config = project.config
    if not config.mlflow.enabled:
        return None
    fallback = os.environ.get("MLFLOW_TRACKING_URI", "")
    by_flag = config.origins["mlflow.enabled"] == "flag"
    # A flag that says what podium.toml says already must not lead to another store.
    if not by_flag or configuration.load(project.root).mlflow.enabled:
        fallback = ""
    return _mlflow_target.resolve(config, fallback)


def start_feeder(project: Project, target: Target) -> Callable[[], None]:
    """Start a process that sends to MLflow what a step writes; returns what to call at its end.

    It has a low priority, lives as long as the pipe to it is open, then sends what is left and
    ends by itself. Nobody waits for it; what it cannot send waits in the outbox for the next one.
    """
    if target.source:
        project.reporter.say(f"MLflow: {target.shown} (set by {target.source})")
    # Secrets and settings go by the environment, which other users of a machine cannot read.
    settings = {
        "PODIUM_MLFLOW_ENABLED": "true",
        "PODIUM_MLFLOW_TRACKING_URI": target.setting,
        "PODIUM_MLFLOW_EXPERIMENT": target.experiment,
    }
    # Without the current folder among the places modules are looked for: it may hold anything.
    command = [sys.executable, "-P", "-m", "podium.steps.workspace.feeder", str(project.root)]
    try:
        project.state.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **settings},
            # What a library drops where it runs must not land among the user's files.
            cwd=project.state,
            # Ctrl-C at the terminal is meant for the step.
            start_new_session=True,
        )
    except OSError as error:
        project.reporter.say(f"warning: MLflow is not fed meanwhile: {error}; run: podium sync")
        return lambda: None
    return lambda: _let_go(process)


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Tell the feeder that the step is over."""
    if process.stdin is not None:
        process.stdin.close()
    # What was started ends at once; it only makes the process that sends, which is nobody's child.
    process.wait()


@dataclass(frozen=True)
class SyncState:
    """How far one MLflow experiment has come.

    Parameters
    ----------
    target : str
        The record's name for it: place and experiment.
    waiting, refused : int
        Things it has not seen yet, and things it did not take.
    mark : str
        MLflow's id of the experiment.
    """

    target: str
    waiting: int
    refused: int
    mark: str


def standings(reader: RecordReader) -> list[SyncState]:
    """Every MLflow experiment anything was ever sent to."""
    prefix = _mlflow_target.PREFIX
    return [SyncState(**row) for row in reader.targets() if row["target"].startswith(prefix)]
