"""The MLflow store and experiment that show the record, resolved without importing MLflow."""

from __future__ import annotations

import socket
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from podium.config import FILE, Config, without_password
from podium.errors import DataError, MissingExtraError, UsageError, suggest

STORE = "mlflow.db"
ARTIFACTS = "mlartifacts"
# Prefix of all MLflow targets in the record.
PREFIX = "mlflow "
# Not a target: the store and experiment that a flag turned on.
REMEMBERED = "remembered"
LOCK = Path(".podium", "locks", "mlflow.lock")
LOG = Path(".podium", "mlflow.log")
# Parts of a run name's template.
NAMES = ("data_version", "window_size", "model_tag", "run_id", "slot", "trial_id", "fold", "seed")
# Characters that MLflow or its searches do not take in the name of a registered model.
_NOT_IN_MODELS = "/:'\"@"
_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_ACCEPTED = "http://..., https://..., sqlite:///file, postgresql://..., or nothing: own store"


@dataclass(frozen=True)
class Target:
    """One experiment of one MLflow store.

    Parameters
    ----------
    uri : str
        For MLflow; without user and password if MLflow takes them from the environment.
    experiment : str
    run_name : str
        Template of the runs' names.
    key : str
        Name of this target in the record: place and experiment, without secrets.
    shown : str
        The place in messages, without secrets.
    file : Path or None
        The store's SQLite file.
    artifacts : str or None
        Folder of artefacts of a new experiment; None if the server decides.
    environment : mapping
        Secrets, for MLflow's process.
    setting : str
        The URI as set, with secrets, for a process that resolves it again.
    source : str
        Environment variable that named this store; empty for a setting of podium.
    registered_model : str
        Template of the names of registered models.
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
    source: str = ""
    registered_model: str = "{slot}"

    def model_of(self, slot: str) -> str:
        """Name of a slot's registered model, with dots for slashes; slots have no dots."""
        return self.registered_model.format(slot=slot.replace("/", "."))

    def clean(self, text: str) -> str:
        """Message of MLflow or a driver, without secrets."""
        parts = urlsplit(self.uri)
        password = self.environment.get("MLFLOW_TRACKING_PASSWORD")
        secrets = (password, parts.netloc.rpartition("@")[0], parts.password)
        for secret in filter(None, secrets):
            for form in (secret, unquote(secret)):
                text = text.replace(form, "***")
        return without_password(text)


def resolve(config: Config, fallback: str = "") -> Target:
    """Resolve the store and experiment of a project.

    ``mlflow.tracking_uri`` decides; if empty, the project's own store is used. MLflow's default,
    which depends on the current folder, is never used.

    Parameters
    ----------
    fallback : str
        Value of ``MLFLOW_TRACKING_URI``, used if a flag turned MLflow on and no setting names a
        store.

    Raises
    ------
    UsageError
        The URI is a folder of MLflow's older file store, which MLflow no longer opens (the message
        has the migration command), or no URI that MLflow accepts; or the template of names has an
        unknown part.
    MissingExtraError
        MLflow is not installed.
    """
    section = config.mlflow
    uri, source = section.tracking_uri, ""
    if not uri and fallback:
        uri, source = fallback, "MLFLOW_TRACKING_URI"
    _require_names("run_name", section.run_name, NAMES, "{data_version}-{run_id}, for example")
    _require_model_name(config)
    setting = uri = uri or f"sqlite:///{STORE}"
    scheme = urlsplit(uri).scheme.partition("+")[0].lower()
    if scheme not in (*_SERVERS, *_DATABASES):
        raise _no_store(config, uri, scheme, source or "mlflow.tracking_uri")
    if find_spec("mlflow") is None:
        raise MissingExtraError(
            "MLflow is turned on but not installed",
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
        source=source,
        registered_model=section.registered_model,
    )


def zip_of(timeframe: str) -> str:
    """Path of a candidate's model file in its run.

    Examples
    --------
    >>> zip_of("1H"), zip_of("")
    ('models/1H/model.zip', 'models/model.zip')
    """
    return "/".join(filter(None, ["models", timeframe, "model.zip"]))


def _file(config: Config, uri: str) -> Path:
    """File of an SQLite URI; relative paths start at the project's folder."""
    name = uri.partition(":///")[2].partition("?")[0]
    if not name:
        raise UsageError("mlflow.tracking_uri names no file", f"sqlite:///{STORE}")
    return (config.root / name).resolve()


def _place(config: Config, file: Path) -> str:
    """A store's file in the target's key: relative, so that a moved project keeps its store.

    If the record is on a server, the host is added, as several machines may have such a file.
    """
    if not config.ledger.url.startswith("sqlite"):
        return f"sqlite://{socket.gethostname()}{file}"
    return f"sqlite:///{file.relative_to(config.root) if config.root in file.parents else file}"


def _require_names(key: str, template: str, names: Sequence[str], example: str) -> None:
    """Refuse a template of ``[mlflow]`` that is empty or has unknown parts."""
    try:
        parts = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        unknown = [name for name in parts if name not in names]
        if unknown:
            message = f"mlflow.{key} has '{{{unknown[0]}}}'"
            raise UsageError(message, fix=suggest(unknown[0], names))
        name = template.format(**dict.fromkeys(names, "x"))
    except (ValueError, LookupError) as error:
        raise UsageError(f"mlflow.{key} is '{template}': {error}", example) from None
    if not name.strip():
        raise UsageError(f"mlflow.{key} is empty", example)


def _require_model_name(config: Config) -> None:
    """Refuse a name of registered models that MLflow does not take, or that slots would share."""
    key, name = "registered_model", config.mlflow.registered_model
    _require_names(key, name, ["slot"], "{slot}, the default, or volatility-{slot}")
    if wrong := sorted(set(name) & set(_NOT_IN_MODELS)):
        raise UsageError(f"mlflow.{key} is '{name}', which has {' '.join(wrong)}", "-, _ or a dot")
    if len(config.slots) > 1 and name == name.format(slot=""):
        raise UsageError(
            f"mlflow.{key} is '{name}' for {len(config.slots)} slots",
            "a registered model for each slot",
            f'set registered_model = "{name}-{{slot}}" in {FILE}',
        )


def has_file_store(folder: Path) -> bool:
    """Whether a folder holds runs of MLflow's older file store.

    Examples
    --------
    >>> has_file_store(Path("no/such/folder"))
    False
    """
    return any(folder.glob("[0-9]*/meta.yaml"))


def migration(source: Path, target: Path) -> str:
    """Command that migrates an older file store to a database."""
    return f"mlflow migrate-filestore --source {source} --target sqlite:///{target}"


def _no_store(config: Config, uri: str, scheme: str, origin: str) -> UsageError:
    if scheme not in ("", "file"):
        return UsageError(f"{origin}: MLflow has no stores at {scheme}://", _ACCEPTED)
    folder = Path(config.root / unquote(urlsplit(uri).path or uri)).resolve()
    if not has_file_store(folder):
        return UsageError(f"{origin}: MLflow no longer opens a folder ({folder})", _ACCEPTED)
    own = config.root / STORE
    target = own.with_name("mlflow-before.db") if own.exists() else own
    change = (
        f'set tracking_uri = "sqlite:///{target.name}"' if own.exists() else "remove the setting"
    )
    return UsageError(
        f"{origin}: {folder} holds runs in files, which MLflow no longer opens",
        _ACCEPTED,
        f"migrate the runs with: {migration(folder, target)}   then {change} in {FILE}",
    )


def _require_no_older_store(config: Config) -> None:
    """Refuse to make the project's store while an older one could still be migrated to it."""
    folder, own = config.root / "mlruns", config.root / STORE
    if not own.exists() and has_file_store(folder):
        raise DataError(
            f"{folder} holds runs in files, which MLflow no longer opens",
            f"{STORE}, or no older runs",
            f"migrate them with: {migration(folder, own)}   "
            "(or move that folder away to start without them)",
        )
