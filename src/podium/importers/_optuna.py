"""Records of an Optuna study, for the importers of storages and pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from podium.importers._base import (
    Imported,
    UnusableError,
    checked,
    moment,
    number,
    skip_unusable,
    source_of,
)
from podium.record import Record

if TYPE_CHECKING:
    import optuna

_STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


def imported(study: optuna.Study, place: str) -> Imported:
    """Import the finished trials of a study: values, and reported steps as curves.

    Parameters
    ----------
    study : optuna.Study
    place : str
        Name of the storage, part of the source's name.
    """
    names = study.metric_names
    if names is None:
        several = len(study.directions) > 1
        names = [f"values_{n}" for n in range(len(study.directions))] if several else ["value"]
    ways = [direction.name.lower() for direction in study.directions]
    directions = dict(zip(names, ways, strict=True))
    records, problems = list[Record](), list[str]()
    for trial in study.get_trials(deepcopy=False):
        with skip_unusable(problems, f"trial {trial.number} of study {study.study_name} left out"):
            if trial.state.name not in _STATES:
                raise UnusableError(f"it is {trial.state.name.lower()}")
            records.append(checked(_record(study.study_name, directions, trial)))
    return Imported(source_of(f"{place}/{study.study_name}", records), records, problems)


def _record(study: str, directions: Mapping[str, str], trial: optuna.trial.FrozenTrial) -> Record:
    from optuna.distributions import distribution_to_json

    names = list(directions)
    values = [float(value) for value in trial.values or ()]
    steps = sorted(trial.intermediate_values)
    curve = [number(f"step {step}", trial.intermediate_values[step]) for step in steps]
    extra: dict[str, Any] = {
        "study": study,
        "number": trial.number,
        "directions": dict(directions),
        "distributions": {
            name: json.loads(distribution_to_json(distribution))
            for name, distribution in trial.distributions.items()
        },
    }
    if trial.user_attrs:
        extra["user_attrs"] = dict(trial.user_attrs)
    if steps not in (list(range(len(steps))), list(range(1, len(steps) + 1))):
        extra["steps"] = steps
    duration = trial.duration
    return Record(
        run_id="",
        model_name=study,
        timestamp=moment(trial.datetime_start.isoformat() if trial.datetime_start else None),
        hyperparams=dict(trial.params),
        metrics=dict(zip(names, values, strict=False)),
        training_time_seconds=None if duration is None else duration.total_seconds(),
        extras={"id": f"{study}/{trial.number}", "other": extra},
        curves={names[0]: curve} if curve else {},
        state=_STATES[trial.state.name],
    )
