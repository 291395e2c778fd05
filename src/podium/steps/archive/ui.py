"""MLflow's own pages on the store this project is shown in."""

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
    """What to start, and where to look then.

    Parameters
    ----------
    url : str
        The experiment's page.
    shown : str
        The store, for people.
    command : sequence of str
        Starts the pages; empty where a server has them already.
    environment : mapping
        For that command, secrets among it.
    """

    url: str
    shown: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)


def ui(project: Project, port: int) -> Pages:
    """What opens MLflow's pages on the experiment of this project.

    Raises
    ------
    NotFoundError
        Nothing was sent to it yet.
    ConflictError
        The port is taken.
    UsageError, DataError, MissingExtraError
        MLflow cannot be used as it is set.
    """
    target = projections.target_of(project)
    known = {one.target: one for one in projections.standings(project.reader)}
    if target is None or target.key not in known:
        place = f"{target.shown}, experiment {target.experiment}" if target else "MLflow"
        raise NotFoundError(f"nothing was sent to {place} yet", fix="run: podium sync --mlflow")
    page = f"#/experiments/{known[target.key].mark}"
    if target.artifacts is None:
        return Pages(f"{target.shown.rstrip('/')}/{page}", target.shown, (), {})
    _require_free(port)
    # The URI may hold a password, so it is no argument: those are for all to see.
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
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind((HOST, port))
        except OSError as error:
            raise ConflictError(
                f"port {port} of {HOST} cannot be used: {(error.strerror or '').lower()}",
                "a free port",
                f"choose another one: podium ui --port {port + 1}",
            ) from None
