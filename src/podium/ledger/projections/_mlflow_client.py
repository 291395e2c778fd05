"""Access to MLflow: one experiment, its runs, and the classification of its errors."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from podium.errors import DataError
from podium.files import NO_ROOM
from podium.ledger.projections import _mlflow_store
from podium.ledger.projections._mlflow_runs import Content, Point
from podium.ledger.projections._mlflow_target import ARTIFACTS, Target

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Settings of MLflow that would redirect podium to other runs, models or stores.
_STRAY = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_ACTIVE_MODEL_ID",
)
# By default MLflow retries a server that is down for minutes, while podium retries anyway.
# A user's setting takes precedence.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Models need podium, not the uv project of the current folder.
    "MLFLOW_UV_AUTO_DETECT": "false",
}
# Error codes of a server that lacks a part of MLflow.
NO_ENDPOINT = ("ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED")
# HTTP codes about the request itself; others concern the server or the connection.
_ABOUT_THE_REQUEST = (400, 413, 422)
_UNUSABLE = (
    "disk is full",
    "readonly database",
    "unable to open",
    "is malformed",
    "not a database",
)
_PAGE = 1000
# Short messages for the long texts of HTTP libraries.
_MESSAGES = (
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
    """MLflow is unavailable; pending items are kept."""


class MlflowRefusedError(Exception):
    """MLflow rejects one item, and will reject it again."""


class NoRegistryError(MlflowRefusedError):
    """The server has no model registry."""


class MlflowFailedError(Exception):
    """MLflow failed on one item but is available."""


@dataclass(frozen=True)
class LoggedModel:
    """Fields of MLflow's model of a candidate."""

    name: str
    type: str
    params: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class RemoteRun:
    """A run in MLflow."""

    run_id: str
    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    deleted: bool
    status: str = ""


@contextmanager
def environment(target: Target) -> Iterator[None]:
    """Set podium's settings of MLflow, and restore the environment afterwards."""
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
    """One experiment, made if it does not exist.

    Parameters
    ----------
    target : Target
    user : str
        User of the runs in MLflow.
    read_only : bool
        Make nothing; a missing experiment is empty.

    Raises
    ------
    MlflowStoppedError
        The store or server is unavailable.
    """

    def __init__(self, target: Target, user: str, *, read_only: bool = False) -> None:
        self.target, self.user = target, user
        self.id = ""
        # Whether it was made just now, and is therefore empty.
        self.is_new = False
        made = False
        if read_only and target.file is not None and not target.file.exists():
            return
        with self._explained():
            if target.file is not None:
                made = _mlflow_store.make(target.file, target.artifacts or "")
            from mlflow import MlflowClient

            self.client: MlflowClient = MlflowClient(target.uri, registry_uri=target.uri)
            if made:
                self._drop_connections()
            self._find(make=not read_only)
        self.is_new |= made

    def _drop_connections(self) -> None:
        """Close a replaced file, because MLflow caches one store per URI and process."""
        engine = getattr(self.client._tracking_client.store, "engine", None)
        if engine is not None:
            engine.dispose()

    def _find(self, *, make: bool) -> None:
        experiment = self.client.get_experiment_by_name(self.target.experiment)
        if experiment is None:
            if not make:
                return
            with ignored("RESOURCE_ALREADY_EXISTS"):
                self.id = str(
                    self.client.create_experiment(self.target.experiment, self.target.artifacts)
                )
                self.is_new = True
                return
            # Another project made it a moment ago.
            experiment = self.client.get_experiment_by_name(self.target.experiment)
        if experiment is None or experiment.lifecycle_stage != "active":
            number = experiment.experiment_id if experiment else "ID"
            raise MlflowStoppedError(
                f"the experiment '{self.target.experiment}' was deleted in MLflow",
                "an active experiment",
                f"restore it with: mlflow experiments restore --experiment-id {number}, or set "
                "another one: mlflow.experiment",
            )
        self._require_place(experiment.artifact_location)
        self.id = str(experiment.experiment_id)

    def _require_place(self, location: str) -> None:
        """Refuse an artefact folder in the project's place before a move."""
        old = Path(unquote(urlsplit(location).path))
        if self.target.artifacts in (None, location) or old.name != ARTIFACTS or old.exists():
            return
        raise MlflowStoppedError(
            f"{self.target.shown} has its artefacts at {old}, which does not exist",
            f"{self.target.artifacts}, as in a project that was not moved",
            f"remove {self.target.file or 'the experiment'} and {ARTIFACTS}, then run: podium sync "
            "(it sends everything again)",
        )

    def find(self, kind: str, subject_id: str) -> RemoteRun | None:
        """Run of a trial or study, found by its tag."""
        where = f"tags.`podium.{kind}_id` = '{subject_id}' and tags.`podium.kind` = '{kind}'"
        with self.errors_classified():
            runs = self.client.search_runs([self.id], where, run_view_type=3, max_results=1)
        return _remote_run(runs[0]) if runs else None

    def get(self, run_id: str) -> RemoteRun | None:
        """Run by its id; None if it does not exist."""
        with self.errors_classified(), ignored("RESOURCE_DOES_NOT_EXIST"):
            return _remote_run(self.client.get_run(run_id))
        return None

    def create(self, content: Content, name: str, parent: str | None) -> str:
        """Make a run with its tags and its dataset; returns its id."""
        tags = {**content.tags, "mlflow.user": self.user}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        with self.errors_classified():
            run = self.client.create_run(
                self.id, start_time=content.start, tags=tags, run_name=name
            )
            self._add_dataset(run.info.run_id, content)
        return str(run.info.run_id)

    def _add_dataset(self, run_id: str, content: Content) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if content.dataset:
            tags = [InputTag("mlflow.data.context", "training and validation")]
            dataset = Dataset(**content.dataset)
            self.client.log_inputs(run_id, [DatasetInput(dataset, tags)])

    def add_points(self, run_id: str, points: Sequence[Point]) -> None:
        """Add points to a run that has not ended."""
        from mlflow.entities import Metric

        with self.errors_classified():
            for n in range(0, len(points), _PAGE):
                some = [Metric(p.name, p.value, p.moment, p.step) for p in points[n : n + _PAGE]]
                self.client.log_batch(run_id, metrics=some)

    def last_steps(self, run_id: str, names: Iterable[str]) -> dict[str, int]:
        """Last step of each metric of a run; 0 for one without points."""
        with self.errors_classified():
            return {
                name: max((p.step for p in self.client.get_metric_history(run_id, name)), default=0)
                for name in names
            }

    def set_status(self, run_id: str, status: str) -> None:
        """Set the status of a run, without an end time where it is running."""
        with self.errors_classified():
            if status == "RUNNING":
                self.client.update_run(run_id, status)
            else:
                self.client.set_terminated(run_id, status)

    def write(
        self, run_id: str, content: Content, known: Mapping[str, str], folder: Path | None
    ) -> None:
        """Write the content of a run, then its end.

        Parameters
        ----------
        known : mapping
            Params that the run has; MLflow does not allow changes of params.
        folder : Path, optional
            Files to add.
        """
        from mlflow.entities import Metric, Param, RunTag

        with self.errors_classified():
            self.client.log_batch(
                run_id,
                metrics=[Metric(p.name, p.value, p.moment, p.step) for p in content.points],
                params=[Param(k, v) for k, v in content.params.items() if k not in known],
                tags=[RunTag(name, value) for name, value in content.tags.items()],
            )
        if folder is not None:
            self.add_files(run_id, folder)
        if content.status != "RUNNING":
            self.end(run_id, content)

    def add_files(self, run_id: str, folder: Path) -> None:
        """Add the files of a folder to the artefacts of a run."""
        with self.errors_classified():
            self.client.log_artifacts(run_id, str(folder))

    def log_model(self, run_id: str, model: LoggedModel, content: Content, folder: Path) -> str:
        """Make MLflow's model of a candidate, with files and results; returns its artefacts' place.

        A model that a killed pass completed is used again. Empty where the server has no models.
        """
        from mlflow.entities import LoggedModelOutput, Metric
        from mlflow.exceptions import MlflowException

        results = [point for point in content.points if point.is_result]
        name, digest = (content.dataset.get(part) for part in ("name", "digest"))
        with self.errors_classified():
            try:
                made = self._logged_model(run_id, model.tags)
                if made is None:
                    made = self.client.create_logged_model(
                        self.id,
                        re.sub(r"""[/:.%"']""", "-", model.name),
                        run_id,
                        dict(model.tags),
                        dict(model.params),
                        model.type,
                    )
                    self.client.log_model_artifacts(made.model_id, str(folder))
                    self.client.log_batch(
                        run_id,
                        metrics=[
                            Metric(p.name, p.value, p.moment, p.step, made.model_id, name, digest)
                            for p in results
                        ],
                    )
                    self.client.log_outputs(run_id, [LoggedModelOutput(made.model_id, 0)])
                    self.client.finalize_logged_model(made.model_id, "READY")
            except MlflowException as error:
                if error.error_code not in NO_ENDPOINT:
                    raise
                return ""
        return str(made.artifact_location)

    def _logged_model(self, run_id: str, tags: Mapping[str, str]) -> Any:
        """Complete model of a candidate's run; None if there is none."""
        where = f"tags.`podium.candidate_id` = '{tags['podium.candidate_id']}'"
        for model in self.client.search_logged_models([self.id], where):
            if model.source_run_id == run_id and str(model.status) == "READY":
                return model
        return None

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        from mlflow.entities import RunTag

        with self.errors_classified():
            self.client.log_batch(run_id, tags=[RunTag(k, v) for k, v in tags.items()])

    def untag(self, run_id: str, names: Iterable[str]) -> None:
        """Remove tags of a run."""
        with self.errors_classified():
            for name in names:
                self.client.delete_tag(run_id, name)

    def end(self, run_id: str, content: Content) -> None:
        """Set status and end time of a run."""
        with self.errors_classified():
            self.client.set_terminated(run_id, content.status, content.end)

    def runs(self, project_id: str) -> dict[str, RemoteRun]:
        """All runs of a project by id, including deleted ones."""
        where = f"tags.`podium.project_id` = '{project_id}'"
        if not self.id:
            return {}
        search = partial(self.client.search_runs, [self.id], where, run_view_type=3)
        with self._explained():
            return {run.info.run_id: _remote_run(run) for run in paged(search)}

    def is_reachable(self) -> bool:
        """Whether MLflow answers a simple request."""
        try:
            self.client.get_experiment(self.id)
        except Exception:  # noqa: BLE001 - any error means that it is unavailable
            return False
        return True

    @contextmanager
    def errors_classified(self) -> Iterator[None]:
        """Raise errors of one item as refused, failed or stopped."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            status = error.get_http_status_code()  # type: ignore[no-untyped-call]
            missing = status == 404 and error.error_code != "ENDPOINT_NOT_FOUND"
            if status in _ABOUT_THE_REQUEST or missing:
                raise MlflowRefusedError(self._message(error)) from error
            raise self._classified(error) from error
        except OSError as error:
            if error.errno in NO_ROOM:
                raise self._stopped(error) from error
            raise self._classified(error) from error
        except Exception as error:
            raise self._classified(error) from error

    def _classified(self, error: Exception) -> Exception:
        if not _is_about_the_store(error) and self.is_reachable():
            return MlflowFailedError(self._message(error))
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
            f"MLflow at {self.target.shown} is unavailable: {self._message(error)}",
            "a store or server that answers",
            "pending items are kept; once it answers again, run: podium sync",
        )

    def _message(self, error: Exception) -> str:
        """Short message of an error, without secrets."""
        text = str(error).strip() or type(error).__name__
        for pattern, template in _MESSAGES:
            if match := re.search(pattern, text):
                message = template.format(*(part.strip() for part in match.groups()))
                return message[:1].lower() + message[1:]
        return self.target.clean(text.splitlines()[0])[:500]


@contextmanager
def ignored(code: str) -> Iterator[None]:
    """Suppress errors of MLflow with this code."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise


def paged(search: Callable[..., Any]) -> Iterator[Any]:
    """All results of a search of MLflow, page by page."""
    token: str | None = None
    while token != "":
        page = search(max_results=_PAGE, page_token=token)
        yield from page
        token = page.token or ""


def _remote_run(run: Run) -> RemoteRun:
    info: Any = run.info
    return RemoteRun(
        run_id=str(info.run_id),
        name=info.run_name or "",
        params=run.data.params,
        tags=run.data.tags,
        metrics=run.data.metrics,
        deleted=info.lifecycle_stage == "deleted",
        status=str(info.status),
    )


def _is_about_the_store(error: Exception) -> bool:
    """Whether an error means that the whole database is not writable."""
    return any(words in str(error) for words in _UNUSABLE)
