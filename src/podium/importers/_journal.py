"""Studies in Optuna's formats, for its dashboards and notebooks; podium does not read them."""

from __future__ import annotations

import datetime as dt
import json
import math
import pickle
import tempfile
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

_DIRECTIONS = {"minimize": StudyDirection.MINIMIZE, "maximize": StudyDirection.MAXIMIZE}
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass(frozen=True)
class Exported:
    """A trial for a journal.

    Parameters
    ----------
    state : str
        ``complete``, ``pruned`` or ``failed``.
    values : sequence of float
        One per objective; a complete trial needs them, without NaN.
    started, ended : str
        ISO 8601.
    curve : sequence of float
        Values of the first objective, one per epoch.
    distributions : mapping
        Optuna's JSON, if the trial came from Optuna.
    attributes : mapping
        User attributes.
    feasible : bool
        Whether the trial met the study's constraint; others are never Optuna's best.
    """

    state: str
    config: Mapping[str, Any]
    values: Sequence[float]
    started: str
    ended: str
    curve: Sequence[float] = ()
    distributions: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    feasible: bool = True


# By name: directions of objectives, ``minimize`` or ``maximize``, by metric; and the trials.
Studies = Mapping[str, tuple[Mapping[str, str], Sequence[Exported]]]


class _Collected(BaseJournalBackend):
    """A journal in memory: a file would be flushed after each operation."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the operations from a number on."""
        yield from self.logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations in the form in which they are read."""
        self.logs += [json.loads(json.dumps(log)) for log in logs]


def journal(studies: Studies) -> bytes:
    """Return a journal file.

    Examples
    --------
    >>> one = Exported("complete", {"lr": 0.1}, [0.5], "2025-01-01T00:00:00", "2025-01-01T00:01:00")
    >>> lines = journal({"us4": ({"val_mse": "minimize"}, [one])}).splitlines()
    >>> json.loads(lines[0])["study_name"]
    'us4'
    """
    backend = _Collected()
    with _quiet():
        _fill(JournalStorage(backend), studies)
    return "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in backend.logs).encode()


def database(studies: Studies) -> bytes:
    """Return an SQLite file, written to a temporary folder."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "study.db"
        storage = RDBStorage(f"sqlite:///{path}")
        try:
            _fill(storage, studies)
        finally:
            storage.remove_session()
            storage.engine.dispose()
        return path.read_bytes()


def pickled(studies: Studies) -> dict[str, bytes]:
    """Return each study as a pickle with in-memory storage, which includes the trials.

    A pickle depends on Optuna's version and runs code when loaded: not for exchange.
    """
    with _quiet():
        return {
            name: pickle.dumps(_fill(InMemoryStorage(), {name: study})[0])
            for name, study in studies.items()
        }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's log and experimental warnings."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _fill(storage: BaseStorage, studies: Studies) -> list[optuna.Study]:
    created = []
    for name, (directions, trials) in studies.items():
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=[_DIRECTIONS[direction] for direction in directions.values()],
        )
        study.set_metric_names(list(directions))
        study.add_trials(_frozen(trials))
        created.append(study)
    return created


def distributions(spec: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the parameters of a study's space in Optuna's JSON.

    Examples
    --------
    >>> distributions({"lr": ["Float", 0.001, 0.1, True]})["lr"]["attributes"]["log"]
    True
    """
    forms = {"Float": FloatDistribution, "Int": IntDistribution}
    made: dict[str, BaseDistribution] = {}
    for name, (kind, *settings) in spec.items():
        if kind == "Choice":
            made[name] = CategoricalDistribution([_plain(value) for value in settings[0]])
        else:
            made[name] = forms[kind](*settings)
    return {name: json.loads(distribution_to_json(one)) for name, one in made.items()}


def _frozen(trials: Sequence[Exported]) -> list[FrozenTrial]:
    spaces = _spaces(trials)
    frozen = []
    for number, trial in enumerate(trials):
        params = {name: _plain(value) for name, value in trial.config.items()}
        known = {
            name: json_to_distribution(json.dumps(distribution))
            for name, distribution in trial.distributions.items()
        }
        state = _STATES[trial.state]
        values = list(trial.values)
        if state is TrialState.COMPLETE and (not values or any(map(math.isnan, values))):
            state = TrialState.FAIL
        frozen.append(
            FrozenTrial(
                number=number,
                trial_id=number,
                state=state,
                value=None,
                values=values if state is TrialState.COMPLETE else None,
                datetime_start=_local(trial.started),
                datetime_complete=_local(trial.ended),
                params=params,
                distributions={name: known.get(name, spaces[name]) for name in params},
                user_attrs=dict(trial.attributes),
                # Optuna's key: a value above 0 is a violated constraint.
                system_attrs={} if trial.feasible else {"constraints": [1.0]},
                intermediate_values=dict(enumerate(trial.curve, 1)),
            )
        )
    return frozen


def _local(moment: str) -> dt.datetime:
    """Return a time without a zone, as Optuna expects."""
    return dt.datetime.fromisoformat(moment).replace(tzinfo=None)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _spaces(trials: Sequence[Exported]) -> dict[str, BaseDistribution]:
    """Infer the distribution of each parameter from its values."""
    seen: dict[str, list[Any]] = {}
    for trial in trials:
        for name, value in trial.config.items():
            if (plain := _plain(value)) not in seen.setdefault(name, []):
                seen[name].append(plain)
    return {name: _space(values) for name, values in seen.items()}


def _space(values: Sequence[Any]) -> BaseDistribution:
    whole = [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values) or not all(map(math.isfinite, numbers)):
        return CategoricalDistribution(values)
    if len(whole) == len(values):
        return IntDistribution(min(whole), max(whole))
    return FloatDistribution(float(min(numbers)), float(max(numbers)))
