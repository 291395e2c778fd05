"""Records with a way to MLflow, made in milliseconds, and MLflow as its own client sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import postgres
import projects
from podium.config import load
from podium.ledger import outbox, writes
from podium.ledger.ledger import Ledger
from podium.ledger.projections import _mlflow_client, _mlflow_store
from podium.ledger.projections._mlflow_target import resolve
from podium.ledger.projections.mlflow import Projection
from podium.study import Study


def new_store(folder: Path) -> None:
    """An empty store of a project, as the first process that sends makes it."""
    before = dict(os.environ)
    os.environ.update(_mlflow_client._SETTINGS)
    assert _mlflow_store.make(folder / "mlflow.db", (folder / "mlartifacts").as_uri())
    os.environ.clear()
    os.environ.update(before)


class Place:
    """A folder with a podium.toml, a record and a projection into MLflow."""

    def __init__(self, root: Path, record: str = "sqlite:///podium.db", **mlflow: Any) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        settings = {"ledger": {"url": record}, "mlflow": {"enabled": True, **mlflow}}
        projects.configure(root, **settings)
        self.config = load(root)
        section = self.config.project
        self.ledger = Ledger(self.config.ledger.url, root, section.id, section.name)
        self.target = resolve(self.config)
        self.projection = Projection(
            self.ledger,
            self.target,
            root=root,
            store=root / "models" / "registry",
            project=section.name,
            user="ann",
            write=self.ledger.write,
        )

    def close(self) -> None:
        self.ledger.close()

    def study(self, question: str = "q") -> Study:
        return projects.new_study(self.ledger, question=question)

    def trials(self, *numbers: int, study: Study | None = None, **how: Any) -> list[str]:
        """Trials of a study that ended, one after the other."""
        study = study or self.study()
        ids = []
        for number in numbers:
            with self.ledger.transaction() as tx:
                new = [projects.new_trial(number)]
                [id_] = writes.start_trials(tx, study, new, "e" * 64)
            with self.ledger.transaction() as tx:
                ended = projects.ended(id_, **how)
                writes.end_trial(tx, ended, metric="mse", index_hash=None)
            ids.append(id_)
        return ids

    def waiting(self) -> int:
        return self.projection.waiting()

    def remembered(self) -> dict[str, str]:
        sql = "SELECT subject_id, remote_name FROM projected WHERE target = ?"
        rows = projects.query(self.root, sql, self.target.key)
        return {row["subject_id"]: row["remote_name"] for row in rows}


@contextmanager
def served(store: str, folder: Path, seconds: float = 180, port: int = 0) -> Iterator[str]:
    """MLflow's own server on a store, whatever else it writes in a folder; yields its address."""
    port = port or postgres.free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", store]
    command += ["--artifacts-destination", f"{folder}/kept"]
    settings = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=settings, stdout=log, stderr=log, start_new_session=True
        )
        address = f"http://127.0.0.1:{port}"
        try:
            give_up = time.monotonic() + seconds
            while not _answers(f"{address}/health"):
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < give_up, "the server does not answer"
                time.sleep(0.2)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except OSError:
        return False
    return True


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri, registry_uri=uri)


def runs(uri: str, experiment: str = "small", *, deleted: bool = False) -> dict[str, Any]:
    """Every run of an experiment by the trial or study it shows; fails when one is there twice."""
    there = client(uri)
    number = there.get_experiment_by_name(experiment).experiment_id
    found: dict[str, Any] = {}
    for run in there.search_runs([number], run_view_type=3 if deleted else 1, max_results=1000):
        tags = run.data.tags
        subject = tags["podium.trial_id" if tags["podium.kind"] == "trial" else "podium.study_id"]
        assert subject not in found, f"{subject} is there twice"
        found[subject] = run
    return found


def everything(uri: str, experiment: str = "small") -> dict[str, Any]:
    """All that MLflow tells of an experiment, to be compared with what it tells later."""
    there = client(uri)
    return {
        subject: (
            run.info.run_name,
            run.info.status,
            run.info.start_time,
            run.info.end_time,
            run.data.params,
            run.data.tags,
            {
                name: [(p.step, p.timestamp, p.value) for p in history]
                for name in run.data.metrics
                for history in [there.get_metric_history(run.info.run_id, name)]
            },
            sorted(file.path for file in there.list_artifacts(run.info.run_id)),
        )
        for subject, run in runs(uri, experiment).items()
    }


def in_child(work: Callable[[], None]) -> int:
    """How a forked process ended that did this and nothing else; MLflow is imported already."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the child must not go on with pytest
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def position(place: Place) -> int:
    with place.ledger.reading() as tx:
        return outbox.position_of(tx, place.target.key)[0]
