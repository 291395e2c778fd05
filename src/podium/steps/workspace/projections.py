"""The process that sends the record to MLflow; it neither delays nor fails a step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from podium import config as configuration
from podium.config import Config
from podium.errors import PodiumError
from podium.ledger.projections import _mlflow_target
from podium.ledger.projections._mlflow_target import Target
from podium.ledger.record_reader import RecordReader
from podium.steps.workspace.project import Project

if TYPE_CHECKING:
    from podium.ledger.ledger import Ledger


def target_of(project: Project) -> Target | None:
    """MLflow experiment of the project; None where MLflow is off.

    Raises
    ------
    UsageError, DataError, MissingExtraError
        MLflow is on and cannot be used as it is set.
    """
    config = with_remembered(project.config, project.reader)
    if not config.mlflow.enabled:
        return None
    if not project.config.mlflow.enabled:
        try:
            return _mlflow_target.resolve(config)
        except PodiumError as error:
            # A command without a flag of MLflow does not fail because of it.
            project.reporter.say(f"warning: nothing is sent to MLflow: {error}")
            return None
    fallback = os.environ.get("MLFLOW_TRACKING_URI", "")
    by_flag = config.origins["mlflow.enabled"] == "flag"
    # A flag that repeats podium.toml must not select another store.
    if not by_flag or configuration.load(project.root).mlflow.enabled:
        fallback = ""
    return _mlflow_target.resolve(config, fallback)


def with_remembered(config: Config, reader: RecordReader) -> Config:
    """Config with the MLflow store that a flag once turned on, unless a setting decides."""
    if config.origins["mlflow.enabled"] != "default":
        return config
    columns = "remote_id, remote_name"
    try:
        row = reader.exists and reader.first(
            "projected", columns, order="subject_id", target=_mlflow_target.REMEMBERED
        )
    except PodiumError:
        # The command that opens the record reports it.
        return config
    if not row:
        return config
    section = replace(
        config.mlflow,
        enabled=True,
        tracking_uri=config.mlflow.tracking_uri or row["remote_id"],
        experiment=config.mlflow.experiment or row["remote_name"],
    )
    return replace(config, mlflow=section)


def remember(project: Project, target: Target, ledger: Ledger) -> None:
    """Store a target that a flag turned on, without secrets, so that later commands send to it."""
    if project.config.origins["mlflow.enabled"] == "flag":
        # Imported here: most commands never open the record.
        from podium.ledger.projections._mlflow_pass import remember_target

        uri = target.shown if target.file is None else target.setting
        ledger.write(remember_target, target.key, uri, target.experiment)


def state_line(ledger: Ledger, target: Target) -> str:
    """State of MLflow at the end of a command; what waits is sent afterwards."""
    from podium.ledger import outbox

    waiting = ledger.read(outbox.count_waiting, target.key)
    stuck = ledger.read(outbox.stuck, target.key)
    parts = [f"{waiting} waiting"] if waiting else []
    parts += [f"refused: {stuck[-1].error}"] if stuck else []
    return f"MLflow: {'; '.join(parts) or 'sent'}"


def start_feeder(project: Project, target: Target, ledger: Ledger) -> Callable[[], None]:
    """Start a process that sends changes of the record to MLflow.

    It has a low priority. When the pipe to it closes it sends the rest and ends; nothing waits for
    it. Unsent items wait in the outbox for the next process.

    Returns
    -------
    callable
        Call it at the end of the step.
    """
    # Imported here: most commands never open the record.
    from podium.ledger.projections import _mlflow_live

    if target.source:
        project.reporter.say(f"MLflow: {target.shown} (set by {target.source})")
    remember(project, target, ledger)
    # The environment of a process is not readable by other users of the machine.
    settings = {
        "PODIUM_MLFLOW_ENABLED": "true",
        "PODIUM_MLFLOW_TRACKING_URI": target.setting,
        "PODIUM_MLFLOW_EXPERIMENT": target.experiment,
        "PODIUM_MLFLOW_REGISTERED_MODEL": target.registered_model,
    }
    # -P: no modules from the current folder.
    command = [sys.executable, "-P", "-m", "podium.steps.workspace.feeder", str(project.root)]
    try:
        project.state.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **settings},
            # Files that libraries write to the working directory stay out of the project.
            cwd=project.state,
            # Ctrl-C at the terminal is for the step.
            start_new_session=True,
        )
    except OSError as error:
        project.reporter.say(f"warning: nothing is sent to MLflow: {error}; run: podium sync")
        return lambda: None

    curves = project.root / _mlflow_live.FOLDER / str(os.getpid())
    with suppress(OSError):
        curves.mkdir(parents=True, exist_ok=True)
        project.live_to = str(curves)

    def end() -> None:
        """Signal the end of the step to the sending process."""
        shutil.rmtree(curves, ignore_errors=True)
        project.closing_line = state_line(ledger, target)
        if process.stdin is not None:
            process.stdin.close()
        # The started process ends at once: it only forks the detached one that sends.
        process.wait()

    return end


@dataclass(frozen=True)
class SyncState:
    """State of one MLflow experiment.

    Parameters
    ----------
    target : str
        Name in the record: store and experiment.
    waiting, refused : int
        Number of items not sent yet, and of items that MLflow refused.
    mark : str
        MLflow's id of the experiment.
    """

    target: str
    waiting: int
    refused: int
    mark: str


def standings(reader: RecordReader) -> dict[str, SyncState]:
    """States of all MLflow experiments that items were sent to, by target."""
    states = {row["target"]: SyncState(**row) for row in reader.targets()}
    return {key: one for key, one in states.items() if key.startswith(_mlflow_target.PREFIX)}
