"""MLflow's pages on the store of a project."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from podium.errors import ConflictError, NotFoundError
from podium.steps.workspace import projections
from podium.steps.workspace.project import Project

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Pages:
    """Address of MLflow's pages, and the command that starts them.

    Parameters
    ----------
    url : str
        Page of the experiment's runs.
    shown : str
        The store, without secrets.
    command : sequence of str
        Starts the pages; empty where a server has them.
    environment : mapping
        Environment of the command, with secrets.
    """

    url: str
    shown: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)


def ui(project: Project, port: int) -> Pages:
    """Find the command that starts MLflow's pages on the experiment of a project.

    Raises
    ------
    NotFoundError
        No item was sent to it.
    ConflictError
        The port is in use.
    UsageError, DataError, MissingExtraError
        MLflow cannot be used as it is set.
    """
    target = projections.target_of(project)
    if target is None:
        # The pages need MLflow, also where new runs are not sent.
        with project.using({"mlflow.enabled": True}):
            target = projections.target_of(project)
    known = projections.standings(project.reader)
    if target is None or target.key not in known or not known[target.key].mark:
        place = f"{target.shown}, experiment {target.experiment}" if target else "MLflow"
        raise NotFoundError(f"nothing was sent to {place} yet", fix="run: podium sync --mlflow")
    page = f"#/experiments/{known[target.key].mark}/runs"
    if target.artifacts is None:
        return Pages(f"{target.shown.rstrip('/')}/{page}", target.shown, (), {})
    _require_free(port)
    # Arguments are visible to other users, and the URI may hold a password.
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": target.uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-P", "-m", "mlflow", "ui"]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", target.artifacts]
    return Pages(f"http://{HOST}:{port}/{page}", target.shown, command, environment)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConflictError(
                f"port {port} of {HOST} cannot be used: {(error.strerror or '').lower()}",
                "a free port",
                f"choose another one: podium ui --port {port + 1}",
            ) from None
