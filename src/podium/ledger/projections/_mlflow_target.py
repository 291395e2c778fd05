"""Which MLflow store and experiment the record is shown in; nothing here imports MLflow."""

from __future__ import annotations

import socket
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from podium.config import FILE, Config, without_password
from podium.errors import DataError, MissingExtraError, UsageError, suggest

STORE = "mlflow.db"
ARTIFACTS = "mlartifacts"
# What the names of all targets in MLflow begin with in the record.
PREFIX = "mlflow "
LOCK = Path(".podium", "locks", "mlflow.lock")
LOG = Path(".podium", "mlflow.log")
# What a run's name may be made of.
NAMES = ("data_version", "window_size", "model_tag", "run_id", "slot", "trial_id", "fold", "seed")
_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_ACCEPTED = "http://..., https://..., sqlite:///file, postgresql://..., or nothing: the own store"


@dataclass(frozen=True)
class Target:
    """One experiment of one MLflow store.

    Parameters
    ----------
    uri : str
        For MLflow; without name and password where MLflow takes these from the environment.
    experiment : str
    run_name : str
        Template of the runs' names.
    key : str
        What the record calls this target: place and experiment, no secrets.
    shown : str
        The place, for people: no secrets.
    file : Path or None
        The store's SQLite file.
    artifacts : str or None
        Where a new experiment keeps its artefacts; None where the server knows.
    environment : mapping
        Secrets, for MLflow's process.
    setting : str
        The URI as it was set, secrets and all; for a process that resolves it again.
    said : str
        Who named this store, where no setting of podium did.
    """

    uri: str = field(repr=False)
    experiment: str
    run_name: str
    key: str
    shown: str
    file: Path | None
    artifacts: str | None
    environment: Mapping[str, str] = field(repr=False)
    setting: str = field(repr=False)
    said: str = ""

    def clean(self, text: str) -> str:
        """A message of MLflow or a driver, without what must not be told."""
        found = urlsplit(self.uri)
        password = self.environment.get("MLFLOW_TRACKING_PASSWORD")
        secrets = (password, found.netloc.rpartition("@")[0], found.password)
        for secret in filter(None, secrets):
            for form in (secret, unquote(secret)):
                text = text.replace(form, "***")
        return without_password(text)


def resolve(config: Config, fallback: str = "") -> Target:
    """Where the record is shown.

    ``mlflow.tracking_uri`` decides; empty, it is the project's own store. MLflow's own default,
    which depends on the current folder, never does.

    Parameters
    ----------
    fallback : str
        What ``MLFLOW_TRACKING_URI`` says, where a flag turned MLflow on and no setting names a
        store.

    Raises
    ------
    UsageError
        The URI is a folder of MLflow's older file store, which MLflow opens no more, or none that
        MLflow takes; or the template of names has an unknown part. Says how to bring runs over.
    MissingExtraError
        MLflow is not installed.
    """
    section = config.mlflow
    uri, said = section.tracking_uri, ""
    if not uri and fallback:
        uri, said = fallback, "MLFLOW_TRACKING_URI"
    _require_names(section.run_name)
    setting = uri = uri or f"sqlite:///{STORE}"
    scheme = urlsplit(uri).scheme.partition("+")[0].lower()
    if scheme not in (*_SERVERS, *_DATABASES):
        raise _no_store(config, uri, scheme, said or "mlflow.tracking_uri")
    if find_spec("mlflow") is None:
        raise MissingExtraError(
            "MLflow is turned on and not installed",
            fix="run: pip install 'podium[mlflow]', or turn it off with --no-mlflow",
        )
    experiment = section.experiment or config.project.name
    artifacts = None if scheme in _SERVERS else (config.root / ARTIFACTS).as_uri()
    file, environment = None, dict[str, str]()
    if scheme == "sqlite":
        file = _file(config, uri)
        uri, shown = f"sqlite:///{file}", _place(config, file)
        if file == config.root / STORE:
            _require_no_older_store(config)
    else:
        parts = urlsplit(uri)
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        shown = urlunsplit(plain._replace(query="", fragment=""))
        if scheme in _SERVERS and parts.username and parts.password:
            uri = urlunsplit(plain)
            environment["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
            environment["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password)
    return Target(
        uri=uri,
        experiment=experiment,
        run_name=section.run_name,
        key=f"{PREFIX}{shown} {experiment}",
        shown=shown,
        file=file,
        artifacts=artifacts,
        environment=environment,
        setting=setting,
        said=said,
    )


def model_of(slot: str) -> str:
    """Name of a slot's registered model; names of slots have no dots.

    Examples
    --------
    >>> model_of("us4/D/volatility")
    'us4.D.volatility'
    """
    return slot.replace("/", ".")


def zip_of(timeframe: str) -> str:
    """Where in its run a candidate's model lies as one file.

    Examples
    --------
    >>> zip_of("1H"), zip_of("")
    ('models/1H/model.zip', 'models/model.zip')
    """
    return "/".join(filter(None, ["models", timeframe, "model.zip"]))


def _file(config: Config, uri: str) -> Path:
    """The file of an SQLite URI; relative ones start at the project, wherever the command ran."""
    name = uri.partition(":///")[2].partition("?")[0]
    if not name:
        raise UsageError("mlflow.tracking_uri names no file", f"sqlite:///{STORE}")
    return (config.root / name).resolve()


def _place(config: Config, file: Path) -> str:
    """A store's file as the record knows it: a project that was moved keeps its own store.

    Where the record is on a server, several machines may each have a file of that name.
    """
    if not config.ledger.url.startswith("sqlite"):
        return f"sqlite://{socket.gethostname()}{file}"
    return f"sqlite:///{file.relative_to(config.root) if config.root in file.parents else file}"


def _require_names(template: str) -> None:
    example = "{data_version}-{run_id}, for example"
    try:
        parts = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        unknown = [name for name in parts if name not in NAMES]
        if unknown:
            found = f"mlflow.run_name has '{{{unknown[0]}}}'"
            raise UsageError(found, fix=suggest(unknown[0], NAMES))
        told = template.format(**dict.fromkeys(NAMES, "x"))
    except (ValueError, LookupError) as error:
        raise UsageError(f"mlflow.run_name is '{template}': {error}", example) from None
    if not told.strip():
        raise UsageError("mlflow.run_name is empty", example)


def has_file_store(folder: Path) -> bool:
    """Whether a folder holds runs of MLflow's older file store.

    Examples
    --------
    >>> has_file_store(Path("no/such/folder"))
    False
    """
    return any(folder.glob("[0-9]*/meta.yaml"))


def migration(source: Path, target: Path) -> str:
    """The command that brings an older file store over into a database."""
    return f"mlflow migrate-filestore --source {source} --target sqlite:///{target}"


def _no_store(config: Config, uri: str, scheme: str, origin: str) -> UsageError:
    if scheme not in ("", "file"):
        return UsageError(f"{origin}: MLflow stores at {scheme}:// are not known", _ACCEPTED)
    folder = Path(config.root / unquote(urlsplit(uri).path or uri)).resolve()
    if not has_file_store(folder):
        return UsageError(f"{origin}: {folder} is a folder, which MLflow opens no more", _ACCEPTED)
    own = config.root / STORE
    target = own.with_name("mlflow-before.db") if own.exists() else own
    leave = f'set tracking_uri = "sqlite:///{target.name}"' if own.exists() else "leave it out"
    return UsageError(
        f"{origin}: {folder} holds runs in files, which MLflow opens no more",
        _ACCEPTED,
        f"bring its runs over with: {migration(folder, target)}   then {leave} in {FILE}",
    )


def _require_no_older_store(config: Config) -> None:
    """Once the own store is there, its runs can not be brought over into it any more."""
    folder, own = config.root / "mlruns", config.root / STORE
    if not own.exists() and has_file_store(folder):
        raise DataError(
            f"{folder} holds runs in files, which MLflow opens no more",
            f"{STORE}, or no older runs",
            f"bring them over with: {migration(folder, own)}   "
            "(or move that folder away to start afresh)",
        )
