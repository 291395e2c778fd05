"""Studies as an Optuna journal, for its dashboards and users' notebooks; never read by podium."""

from __future__ import annotations

import datetime as dt
import json
import math
import warnings
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

_DIRECTIONS = {"minimize": StudyDirection.MINIMIZE, "maximize": StudyDirection.MAXIMIZE}
_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Exported:
    """A trial for a journal.

    Parameters
    ----------
    state : str
        ``complete``, ``pruned`` or ``failed``.
    values : sequence of float
        One an objective; a complete trial needs them, finite or not NaN.
    started, ended : str
        ISO 8601.
    curve : sequence of float
        Values of the first objective, one an epoch.
    distributions : mapping
        As Optuna's JSON, where the trial came from Optuna.
    attributes : mapping
        What else is known, as user attributes.
    """

    state: str
    config: Mapping[str, Any]
    values: Sequence[float]
    started: str
    ended: str
    curve: Sequence[float] = ()
    distributions: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


class _Collected(BaseJournalBackend):
    """A journal in memory, so that the file appears whole; a file is flushed for each operation."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Operations from that one on."""
        yield from self.logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Keep operations, as they will be read back."""
        self.logs += [json.loads(json.dumps(log)) for log in logs]


def journal(
    studies: Mapping[str, tuple[Mapping[str, str], Sequence[Exported]]],
) -> bytes:
    """A journal file.

    Parameters
    ----------
    studies : mapping
        By name: the direction of each objective, ``minimize`` or ``maximize``, by its metric's
        name; and the trials.

    Examples
    --------
    >>> one = Exported("complete", {"lr": 0.1}, [0.5], "2025-01-01T00:00:00", "2025-01-01T00:01:00")
    >>> lines = journal({"us4": ({"val_mse": "minimize"}, [one])}).splitlines()
    >>> json.loads(lines[0])["study_name"]
    'us4'
    """
    backend = _Collected()
    storage = JournalStorage(backend)
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        for name, (directions, trials) in studies.items():
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=[_DIRECTIONS[way] for way in directions.values()],
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names(list(directions))
            study.add_trials(_frozen(trials))
    finally:
        optuna.logging.set_verbosity(told)
    return "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in backend.logs).encode()


def _frozen(trials: Sequence[Exported]) -> list[FrozenTrial]:
    spaces = _spaces(trials)
    found = []
    for number, trial in enumerate(trials):
        params = {name: _plain(value) for name, value in trial.config.items()}
        own = {
            name: json_to_distribution(json.dumps(told))
            for name, told in trial.distributions.items()
        }
        ended = _STATES[trial.state]
        values = list(trial.values)
        if ended is TrialState.COMPLETE and (not values or any(map(math.isnan, values))):
            ended = TrialState.FAIL
        found.append(
            FrozenTrial(
                number=number,
                trial_id=number,
                state=ended,
                value=None,
                values=values if ended is TrialState.COMPLETE else None,
                datetime_start=_local(trial.started),
                datetime_complete=_local(trial.ended),
                params=params,
                distributions={name: own.get(name, spaces[name]) for name in params},
                user_attrs=dict(trial.attributes),
                system_attrs={},
                intermediate_values=dict(enumerate(trial.curve, 1)),
            )
        )
    return found


def _local(moment: str) -> dt.datetime:
    """Optuna's times have no zone; ours are UTC."""
    return dt.datetime.fromisoformat(moment).replace(tzinfo=None)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _spaces(trials: Sequence[Exported]) -> dict[str, BaseDistribution]:
    """What values each parameter had: a range of numbers, or the values themselves."""
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
