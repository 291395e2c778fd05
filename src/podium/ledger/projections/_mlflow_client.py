"""Talking to MLflow: one experiment, its runs, and what an error of it means."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from podium.errors import DataError
from podium.files import NO_ROOM
from podium.ledger.projections import _mlflow_store
from podium.ledger.projections._mlflow_runs import Content
from podium.ledger.projections._mlflow_target import ARTIFACTS, Target

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Settings of MLflow that would bring in runs, models or stores nobody asked podium for.
_STRAY = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_ACTIVE_MODEL_ID",
)
# MLflow would try a server that is down for minutes; what waits here is tried again later anyway.
# What a user sets wins.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Models need podium; the files of uv where a command happens to run are nothing of theirs.
    "MLFLOW_UV_AUTO_DETECT": "false",
}
# Answers of HTTP that are about the request itself; others are about the server or the way to it.
_ABOUT_THE_REQUEST = (400, 413, 422)
_UNUSABLE = (
    "disk is full",
    "readonly database",
    "unable to open",
    "is malformed",
    "not a database",
)
_PAGE = 1000
# What is behind the long texts of HTTP libraries.
_IN_WORDS = (
    (r"\[Errno -?\d+\] ([^'\")\]]+)", "{0}"),
    (r"too many (\d+) error responses", "it answers with error {0}"),
    (r"[Tt]imed out", "no answer in time"),
    (
        r"error code (40[13]) != 200",
        "it answers with error {0}; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
    (r"error code (\d+) != 200", "it answers with error {0}; is it an MLflow server?"),
    (r"not in a valid JSON format", "it answers, but not as an MLflow server"),
    (r"No module named ('\w+')", "the package {0} is not installed"),
)


class MlflowStoppedError(DataError):
    """MLflow takes nothing at the moment; what waits stays."""


class MlflowRefusedError(Exception):
    """MLflow will not take this one thing, however often it is sent."""


class NoRegistryError(MlflowRefusedError):
    """A server that takes runs has no registry of models."""


class StumbledError(Exception):
    """MLflow failed over one thing while it answers otherwise."""


@dataclass(frozen=True)
class Found:
    """A run that is in MLflow."""

    run_id: str
    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    deleted: bool


@contextmanager
def environment(target: Target) -> Iterator[None]:
    """MLflow's settings while podium uses it; afterwards as before."""
    before = dict(os.environ)
    try:
        for name in _STRAY:
            os.environ.pop(name, None)
        os.environ.update({**_SETTINGS, **os.environ, **target.environment})
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Experiment:
    """One experiment, made when it is not there.

    Parameters
    ----------
    target : Target
    user : str
        Whom MLflow shows as the user of the runs.
    only_look : bool
        Make nothing; what is not there is empty.

    Raises
    ------
    StoppedError
        The store or server cannot be used now; says why.
    """

    def __init__(self, target: Target, user: str, *, only_look: bool = False) -> None:
        self.target, self.user = target, user
        self.id = ""
        # Whether it was made just now, so that nothing can be in it.
        self.is_new = False
        made = False
        if only_look and target.file is not None and not target.file.exists():
            return
        with self._explained():
            if target.file is not None:
                made = _mlflow_store.make(target.file, target.artifacts or "")
            from mlflow import MlflowClient

            self.client: MlflowClient = MlflowClient(target.uri, registry_uri=target.uri)
            if made:
                self._drop_connections()
            self._find(make=not only_look)
        self.is_new |= made

    def _drop_connections(self) -> None:
        """Let go of a file that was replaced: MLflow keeps one store a URI for the process."""
        engine = getattr(self.client._tracking_client.store, "engine", None)
        if engine is not None:
            engine.dispose()

    def _find(self, *, make: bool) -> None:
        found = self.client.get_experiment_by_name(self.target.experiment)
        if found is None:
            if not make:
                return
            with ignored("RESOURCE_ALREADY_EXISTS"):
                self.id = str(
                    self.client.create_experiment(self.target.experiment, self.target.artifacts)
                )
                self.is_new = True
                return
            # Another project made it a moment ago.
            found = self.client.get_experiment_by_name(self.target.experiment)
        if found is None or found.lifecycle_stage != "active":
            number = found.experiment_id if found else "ID"
            raise MlflowStoppedError(
                f"the experiment '{self.target.experiment}' was deleted in MLflow",
                "an experiment that takes runs",
                f"restore it with: mlflow experiments restore --experiment-id {number}, or name "
                "another: mlflow.experiment",
            )
        self._require_place(found.artifact_location)
        self.id = str(found.experiment_id)

    def _require_place(self, location: str) -> None:
        """Refuse to put artefacts where the project was before it was moved."""
        old = Path(unquote(urlsplit(location).path))
        if self.target.artifacts in (None, location) or old.name != ARTIFACTS or old.exists():
            return
        raise MlflowStoppedError(
            f"{self.target.shown} has its artefacts at {old}, which is gone",
            f"{self.target.artifacts}, as in a project that was not moved",
            f"remove {self.target.file or 'the experiment'} and {ARTIFACTS}, then run: podium sync "
            "(it sends everything again)",
        )

    def find(self, kind: str, subject_id: str) -> Found | None:
        """Run of a trial or study, by its tag."""
        where = f"tags.`podium.{kind}_id` = '{subject_id}' and tags.`podium.kind` = '{kind}'"
        with self.judged():
            runs = self.client.search_runs([self.id], where, run_view_type=3, max_results=1)
        return _found(runs[0]) if runs else None

    def get(self, run_id: str) -> Found | None:
        """Run by its id; None when it is gone for good."""
        with self.judged(), ignored("RESOURCE_DOES_NOT_EXIST"):
            return _found(self.client.get_run(run_id))
        return None

    def create(self, content: Content, name: str, parent: str | None) -> str:
        """Id of a new run with its tags, and nothing else yet."""
        tags = {**content.tags, "mlflow.user": self.user}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        with self.judged():
            run = self.client.create_run(
                self.id, start_time=content.start, tags=tags, run_name=name
            )
        return str(run.info.run_id)

    def write(
        self, run_id: str, content: Content, known: Mapping[str, str], folder: Path | None
    ) -> None:
        """Everything of a run, then its end; what it has already stays as it is.

        Parameters
        ----------
        known : mapping
            Params it has: MLflow lets nobody change one.
        folder : Path, optional
            Files to put into it.
        """
        from mlflow.entities import Metric, Param, RunTag

        with self.judged():
            self.client.log_batch(
                run_id,
                metrics=[Metric(p.name, p.value, p.moment, p.step) for p in content.points],
                params=[Param(k, v) for k, v in content.params.items() if k not in known],
                tags=[RunTag(name, value) for name, value in content.tags.items()],
            )
            if folder is not None:
                self.client.log_artifacts(run_id, str(folder))
        self.end(run_id, content)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Tags of a run, the last word of each."""
        from mlflow.entities import RunTag

        with self.judged():
            self.client.log_batch(run_id, tags=[RunTag(k, v) for k, v in tags.items()])

    def untag(self, run_id: str, names: Iterable[str]) -> None:
        """Remove tags of a run."""
        with self.judged():
            for name in names:
                self.client.delete_tag(run_id, name)

    def end(self, run_id: str, content: Content) -> None:
        """How and when a run ended."""
        with self.judged():
            self.client.set_terminated(run_id, content.status, content.end)

    def runs(self, project_id: str) -> dict[str, Found]:
        """All runs of a project by their ids, those that a person deleted too."""
        where = f"tags.`podium.project_id` = '{project_id}'"
        if not self.id:
            return {}
        search = partial(self.client.search_runs, [self.id], where, run_view_type=3)
        with self._explained():
            return {run.info.run_id: _found(run) for run in paged(search)}

    def answers(self) -> bool:
        """Whether MLflow answers the simplest question at all."""
        try:
            self.client.get_experiment(self.id)
        except Exception:  # noqa: BLE001 - whatever it is, it is no answer
            return False
        return True

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Sort what goes wrong with one thing: is it the thing, or is it MLflow?"""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            status = error.get_http_status_code()  # type: ignore[no-untyped-call]
            missing = status == 404 and error.error_code != "ENDPOINT_NOT_FOUND"
            if status in _ABOUT_THE_REQUEST or missing:
                raise MlflowRefusedError(self._told(error)) from error
            raise self._stumble_or_stop(error) from error
        except OSError as error:
            if error.errno in NO_ROOM:
                raise self._stopped(error) from error
            raise self._stumble_or_stop(error) from error
        except Exception as error:
            raise self._stumble_or_stop(error) from error

    def _stumble_or_stop(self, error: Exception) -> Exception:
        if not _is_about_the_store(error) and self.answers():
            return StumbledError(self._told(error))
        return self._stopped(error)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except Exception as error:
            raise self._stopped(error) from error

    def _stopped(self, error: Exception) -> MlflowStoppedError:
        return MlflowStoppedError(
            f"MLflow at {self.target.shown} takes nothing: {self._told(error)}",
            "a store or server that answers",
            "what waits is kept; when it answers again: podium sync",
        )

    def _told(self, error: Exception) -> str:
        """An error in few words, without secrets."""
        text = str(error).strip() or type(error).__name__
        for found, words in _IN_WORDS:
            if match := re.search(found, text):
                told = words.format(*(part.strip() for part in match.groups()))
                return told[:1].lower() + told[1:]
        return self.target.clean(text.splitlines()[0])[:500]


@contextmanager
def ignored(code: str) -> Iterator[None]:
    """Go on after an error of MLflow that has this code."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise


def paged(search: Callable[..., Any]) -> Iterator[Any]:
    """Everything a search of MLflow finds, page after page."""
    token: str | None = None
    while token != "":
        page = search(max_results=_PAGE, page_token=token)
        yield from page
        token = page.token or ""


def _found(run: Run) -> Found:
    info: Any = run.info
    return Found(
        run_id=str(info.run_id),
        name=info.run_name or "",
        params=run.data.params,
        tags=run.data.tags,
        metrics=run.data.metrics,
        deleted=info.lifecycle_stage == "deleted",
    )


def _is_about_the_store(error: Exception) -> bool:
    """Whether a database says that nothing at all can be written to it."""
    return any(words in str(error) for words in _UNUSABLE)
