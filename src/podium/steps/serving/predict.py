"""Forecast the newest bars, or classify samples, with a champion or another model."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium import artifact, registry
from podium.arrays import Floats
from podium.artifact import LoadedModel, Place
from podium.errors import DataError, NotFoundError, UsageError, suggest
from podium.intervals import INTERVALS, LEVELS
from podium.portfolio import periods_per_year
from podium.prediction import ClassPrediction, Prediction
from podium.render.answer import Answer
from podium.render.table import counted
from podium.resolve import champion, find_model, grid_model_path
from podium.sequences import Sequences, Subset
from podium.split import Windows
from podium.steps.data.tickers import bars_of
from podium.steps.evidence.drift import warn_of_drift
from podium.steps.serving.forecast_log import served_models, store
from podium.steps.workspace import recorded
from podium.steps.workspace.best_file import own_slot
from podium.steps.workspace.moments import stamp_of, without_midnight
from podium.steps.workspace.project import Project
from podium.targets import volatility
from podium.tasks.forecast import view_of

# Most newest bars whose outcomes the intervals adapt to.
MEMORY = 500


@dataclass(frozen=True, eq=False)
class Forecast(Answer):
    """Forecasts of a model.

    Parameters
    ----------
    model : Path
        Folder of the artefact.
    rule : str
        The model and the rule that chose it.
    unit : str
        Unit of the values.
    bars_a_year : float
        Bars in a year of the dataset.
    quantiles : (N, Q) float, optional
        Calibrated quantiles at ``podium.intervals.LEVELS``, adapted to the outcomes known at each
        decision; None: the model has no calibration. (N, H, Q) for paths.
    """

    prediction: Prediction
    model: Path
    rule: str
    target: str
    horizon: int
    unit: str
    bars_a_year: float = math.nan
    quantiles: Floats | None = None

    @property
    def sentence(self) -> str:
        """Number, target, unit and newest bar of the forecasts, and the model."""
        count, newest = len(self.prediction), without_midnight(self.prediction.decided_at.max())
        bars = "bar" if self.horizon == 1 else f"{self.horizon} bars"
        bars = f"1 to {bars}" if self.prediction.is_path else bars
        return (
            f"{counted(count, 'forecast')} of {self.target} over the next {bars} ({self.unit}), "
            f"decided at {newest} by {self.rule}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a forecast with its intervals; one of volatility is in per cent a year too.

        A path has a row for each step, with its number of bars as ``bars_ahead``.
        """
        made, steps = self.prediction, self.prediction.steps
        items, moments = (np.repeat(part, steps) for part in (made.item, made.decided_at))
        rows: list[dict[str, Any]] = [
            {
                "ticker": str(item),
                "decided_at": str(at),
                **({"bars_ahead": n % steps + 1} if made.is_path else {}),
                "forecast": value,
            }
            for n, (item, at, value) in enumerate(
                zip(items, moments, made.path.ravel().tolist(), strict=True)
            )
        ]
        if self.quantiles is not None:
            quantiles = self.quantiles.reshape(len(rows), len(LEVELS))
            for row, values in zip(rows, quantiles.tolist(), strict=True):
                for nominal, bounds in INTERVALS.items():
                    low, high = (values[LEVELS.index(level)] for level in bounds)
                    row |= {f"low_{nominal}": low, f"high_{nominal}": high}
        if self.unit == volatility.UNIT:
            for row in rows:
                a_year = math.exp(row["forecast"]) * math.sqrt(self.bars_a_year)
                row["volatility a year, %"] = round(100 * a_year, 2)
        return rows


def predict(
    project: Project,
    slot: str | None = None,
    *,
    candidate: str | None = None,
    model_path: Path | str | None = None,
    bars: int = 1,
    since: str = "",
) -> Forecast:
    """Forecast the newest bars of a dataset.

    The model is the named candidate or model, else the champion of the named slot, else the active
    model, else the champion of the default slot. Its tickers are those of the training, matched by
    name; its features and its target are the model's, not those of podium.toml.

    Parameters
    ----------
    slot : str, optional
    candidate : str, optional
        Id of a candidate.
    model_path : path, optional
        Any path into a model's folder.
    bars : int
        Number of newest bars, 1 or more.
    since : str
        Date or time (UTC): forecast every bar since then, in place of ``bars``.

    Returns
    -------
    Forecast

    Raises
    ------
    NotFoundError
        There is no such candidate or model, or the slot has no champion.
    DataError
        A training ticker is missing, the data are too short, or the artefact was changed.
    """
    if bars < 1:
        raise UsageError(f"bars is {bars}", "1 or more")
    place, rule = chosen_model(project, slot, candidate, model_path)
    model = artifact.forecaster(place.folder, place.artifact_hash, place.checkpoint)
    section = model.section
    if section.dataset not in project.config.datasets:
        raise NotFoundError(
            f"the model was trained on dataset '{section.dataset}', which is not in [datasets]",
            fix=suggest(section.dataset, project.config.datasets),
        )
    dataset, realigned = bars_of(project.config, section.dataset, model.tickers)
    if realigned:
        project.reporter.say(realigned)
    view = view_of(dataset, section)
    first = max(view.first_bar, len(view) - bars)
    if since:
        first = max(view.first_bar, dataset.bar_at_or_after(str(stamp_of(since))))
    if view.first_bar >= len(view):
        raise NotFoundError(
            f"{len(view)} bars leave no whole window", f"at least {view.first_bar + 1}"
        )
    if first >= len(view):
        raise NotFoundError(f"no bar since {since}: the newest is of {dataset.times[-1]}")
    windows = Windows.of(view, np.arange(first, len(view), dtype=np.int64))
    if not len(windows):
        raise NotFoundError(view.left_out(), "at least one member with enough bars")
    if view.left_out():
        project.reporter.say(view.left_out())
    warn_of_drift(project, place.artifact_hash, model.manifest, view)
    prediction = model.predict(windows)
    quantiles = _quantiles(model, windows, prediction)
    unit = registry.load("targets", section.target).UNIT
    a_year = periods_per_year(dataset.times) if len(dataset) > 1 else math.nan
    shown = (section.target, section.horizon, unit, a_year, quantiles)
    return Forecast(prediction, place.folder, rule, *shown)


def _quantiles(model: LoadedModel, windows: Windows, prediction: Prediction) -> Floats | None:
    """Quantiles of windows that reach to the newest bar, adapted to outcomes after the training."""
    if model.calibration is None:
        return None
    view, quantiles = windows.view, model.calibration.quantiles(prediction)
    trained = int(np.searchsorted(view.times, np.datetime64(model.trained_until), "right"))
    first = int(windows.at.min())
    start = max(trained, view.first_bar, min(first, len(view) - MEMORY))
    later = Windows.of(view, np.arange(start, len(view), dtype=np.int64))
    if len(later):
        adaptive, _ = model.calibration.adaptive(model.predict(later), later.outcomes())
        quantiles[windows.at >= start] = adaptive[later.at >= first]
    return quantiles


@dataclass(frozen=True)
class Stored:
    """Number of forecasts of a champion or its shadow that were put on record."""

    candidate_id: str
    role: str
    forecasts: int
    data_until: str

    @property
    def sentence(self) -> str:
        """Role, candidate, number of forecasts and newest bar."""
        stored = f"{self.forecasts} new forecasts stored"
        count = stored if self.forecasts else "nothing new to store"
        return f"{self.role} {self.candidate_id}: {count}, bars until {self.data_until}"


def store_forecasts(project: Project, slot: str, since: str = "") -> list[Stored]:
    """Put forecasts of a slot's champion and its shadow on record, for bars that have none yet.

    A stored forecast never changes, and a second call adds nothing. Bars of a model's training are
    excluded.

    Parameters
    ----------
    since : str
        Date or time (UTC). Default: the candidate's newest stored forecast, or the first bar newer
        than those it was judged on.

    Raises
    ------
    NotFoundError
        The slot has no champion.
    UsageError
        The slot does not forecast, or ``since`` is no date.
    """
    start = str(stamp_of(since)) if since else ""
    stored = []
    for one in served_models(project, slot):
        new, until = store(project, one, start), without_midnight(one.view.times[-1])
        stored.append(Stored(one.candidate.id, one.role, new, until))
    return stored


@dataclass(frozen=True, eq=False)
class Classified(Answer):
    """Classes of samples by a model.

    Parameters
    ----------
    groups : (N,) str, or None
    model : Path
        Folder of the artefact.
    rule : str
        The model and the rule that chose it.
    """

    prediction: ClassPrediction
    groups: NDArray[np.str_] | None
    model: Path
    rule: str

    @property
    def sentence(self) -> str:
        """Number of samples of each class, and the model."""
        made = self.prediction
        counts = np.bincount(made.chosen, minlength=len(made.class_names)).tolist()
        classes = ", ".join(
            f"{n:,} {name}" for name, n in zip(made.class_names, counts, strict=True)
        )
        return f"{counted(len(made), 'sample')}: {classes}; by {self.rule}"

    def rows(self) -> list[dict[str, Any]]:
        """One row a sample: its class and the probability of every class."""
        made, names = self.prediction, self.prediction.class_names
        groups = [""] * len(made) if self.groups is None else self.groups.tolist()
        columns = (made.rows.tolist(), groups, made.chosen.tolist(), made.probabilities.tolist())
        return [
            {"row": row, "group": group, "class": names[k], **dict(zip(names, p, strict=True))}
            for row, group, k, p in zip(*columns, strict=True)
        ]


def classify(
    project: Project,
    slot: str | None,
    data: Path | str,
    *,
    candidate: str | None = None,
    model_path: Path | str | None = None,
) -> Classified:
    """Classify a file's samples with a champion or a named model.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot where it classifies, else the only one that does.
    data : path
        An .npz file; its classes, if any, are ignored.
    candidate, model_path
        As of :func:`predict`.

    Returns
    -------
    Classified

    Raises
    ------
    NotFoundError
        There is no such candidate or model, or the slot has no champion.
    DataError
        The file has other features than the model, or the artefact was changed.
    UsageError
        The model forecasts.
    """
    if candidate is None and model_path is None:
        slot = slot or own_slot(project.config) or project.default_slot(None)
    data = Path(data)
    place, rule = chosen_model(project, slot, candidate, model_path)
    model = artifact.classifier(place.folder, place.artifact_hash, place.checkpoint)
    samples: Sequences = registry.load("readers", "npz").read(data, name=data.name)
    if samples.feature_names != model.feature_names:
        raise DataError(
            f"{data} has the features {', '.join(samples.feature_names)}",
            f"those of the model, in their order: {', '.join(model.feature_names)}",
        )
    unlabelled = replace(samples, class_names=model.class_names)
    prediction = model.predict(Subset(unlabelled, np.arange(len(samples), dtype=np.int64)))
    return Classified(prediction, samples.groups, place.folder, rule)


def chosen_model(
    project: Project, slot: str | None, candidate: str | None, model_path: Path | str | None
) -> tuple[Place, str]:
    """Place of the model, and the rule that chose it."""
    if candidate is not None and model_path is not None:
        raise UsageError("both a candidate and a model are named", "one of them")
    if candidate is not None:
        row = recorded.candidate(project, candidate)
        if slot not in (None, row.slot):
            raise NotFoundError(
                f"candidate {candidate} belongs to {row.slot}",
                fix=f"run: podium predict {row.slot} --candidate {candidate}",
            )
        return recorded.place(project, row), f"candidate {row.id}, named explicitly"
    if model_path is not None:
        place = find_model(model_path)
        if slot not in (None, place.manifest["slot"]):
            raise UsageError(f"{model_path} is a model of {place.manifest['slot']}", slot or "")
        return place, f"model {model_path}, named explicitly"
    if slot is not None:
        try:
            return _champion(project, slot)
        except NotFoundError as error:
            raise _with_active(project, slot, error) from None
    try:
        path = grid_model_path(project.root)
    except NotFoundError as error:
        name = project.default_slot(None)
        try:
            return _champion(project, name)
        except NotFoundError as other:
            raise NotFoundError(
                f"no model to predict with: {other.problems[0].found}; {error.problems[0].found}",
                "a champion, or an active model",
                f"run: podium run, or: podium grid {name}",
            ) from None
    return find_model(path), f"active model {os.path.relpath(path, project.root)}"


def _champion(project: Project, slot: str) -> tuple[Place, str]:
    holder = champion(slot, project.root)
    facts = holder.champion
    rule = f"champion of {slot} ({facts.candidate_id}, version {facts.version})"
    return artifact.place_of(holder.path, facts.artifact_hash), rule


def _with_active(project: Project, slot: str, error: NotFoundError) -> NotFoundError:
    """Error of a slot without a champion, with the command for the best model of its grids."""
    try:
        path = grid_model_path(project.root, slot=slot)
    except NotFoundError:
        return error
    command = f"podium predict --model-path {os.path.relpath(path, project.root)}"
    return NotFoundError(
        error.problems[0].found, "a champion", f"use the best model of its grids: {command}"
    )
