"""Forecast the newest bars with a champion, the active model, or one that is named."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium import artifact, registry
from podium.artifact import Place
from podium.errors import DataError, NotFoundError, UsageError, suggest
from podium.prediction import ClassPrediction, Prediction
from podium.resolve import champion, find_model, get_active_model_path
from podium.sequences import Sequences, Subset
from podium.split import Windows
from podium.steps.data.tickers import bars_of
from podium.steps.evidence.drift import warn_of_drift
from podium.steps.serving.forecast_log import served_models, store
from podium.steps.workspace import recorded
from podium.steps.workspace.best_file import own_slot
from podium.steps.workspace.moments import stamp_of, without_midnight
from podium.steps.workspace.project import Project
from podium.tasks.forecast import view_of


@dataclass(frozen=True, eq=False)
class Forecast:
    """Forecasts with what made them.

    Parameters
    ----------
    model : Path
        Folder of the artefact.
    rule : str
        Which rule chose the model.
    unit : str
        Unit of the values.
    """

    prediction: Prediction
    model: Path
    rule: str
    target: str
    horizon: int
    unit: str

    @property
    def forecasts_what(self) -> str:
        """What the numbers are, in words."""
        return f"{self.target} of the next {self.horizon} bars, in {self.unit}"

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a forecast."""
        found = self.prediction
        return [
            {"ticker": str(item), "decided_at": str(at), "forecast": float(mean)}
            for item, at, mean in zip(found.item, found.decided_at, found.mean, strict=True)
        ]


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

    A named candidate or model wins; a named slot means its champion; without any of them the
    active model answers, or where there is none, the default slot's champion. The tickers are
    those of the training, found by name; features and target are the model's own, whatever
    podium.toml says by now.

    Parameters
    ----------
    slot : str, optional
    candidate : str, optional
        A candidate's id.
    model_path : path, optional
        Any path into a model's folder.
    bars : int
        How many newest bars.
    since : str
        A date or moment (UTC) from which on all bars are forecast, however many.

    Raises
    ------
    NotFoundError
        No such candidate or model, or nobody holds the slot.
    DataError
        A training ticker is missing, the data are too short, or the artefact was changed.
    """
    if bars < 1:
        raise UsageError(f"bars is {bars}", "1 or more")
    place, rule = place_asked(project, slot, candidate, model_path)
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
    unit = registry.load("targets", section.target).UNIT
    return Forecast(prediction, place.folder, rule, section.target, section.horizon, unit)


@dataclass(frozen=True)
class Stored:
    """What was put on record of one candidate of a slot."""

    candidate_id: str
    role: str
    forecasts: int
    data_until: str

    @property
    def sentence(self) -> str:
        """The same in words."""
        said = (
            f"{self.forecasts} new forecasts stored" if self.forecasts else "nothing new to store"
        )
        return f"{self.role} {self.candidate_id}: {said}, bars until {self.data_until}"


def store_forecasts(project: Project, slot: str, since: str = "") -> list[Stored]:
    """Put on record what a slot's champion and its shadow say of bars they have not spoken of.

    Only those are forecast; what was said once is never changed, and saying it again adds nothing.
    Bars of a model's own training are left out.

    Parameters
    ----------
    since : str
        A date or moment (UTC); default: of each candidate the newest bar it has spoken of, and
        where it has of none, the first one newer than those it was judged on.

    Raises
    ------
    NotFoundError
        Nobody holds the slot.
    UsageError
        The slot does not forecast, or that is no date.
    """
    start = str(stamp_of(since)) if since else ""
    stored = []
    for one in served_models(project, slot):
        new, until = store(project, one, start), without_midnight(one.view.times[-1])
        stored.append(Stored(one.candidate.id, one.role, new, until))
    return stored


@dataclass(frozen=True, eq=False)
class Classified:
    """Classes of samples with what made them.

    Parameters
    ----------
    groups : (N,) str, or None
    model : Path
        Folder of the artefact.
    rule : str
        Which rule chose the model.
    """

    prediction: ClassPrediction
    groups: NDArray[np.str_] | None
    model: Path
    rule: str

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a sample."""
        found, names = self.prediction, self.prediction.class_names
        groups = [""] * len(found) if self.groups is None else self.groups.tolist()
        return [
            {"row": row, "group": group, "class": names[k], **dict(zip(names, p, strict=True))}
            for row, group, k, p in zip(
                found.rows.tolist(),
                groups,
                found.chosen.tolist(),
                found.probabilities.tolist(),
                strict=True,
            )
        ]


def classify(
    project: Project,
    slot: str | None,
    data: Path | str,
    *,
    candidate: str | None = None,
    model_path: Path | str | None = None,
) -> Classified:
    """Classes of a file's samples by a champion, or by a model that is named.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot where it classifies, else the only one that does.
    data : path
        An .npz file; its classes, if any, are ignored.

    Raises
    ------
    NotFoundError
        No such candidate or model, or nobody holds the slot.
    DataError
        The file has other features than the model, or the artefact was changed.
    UsageError
        The model forecasts.
    """
    if candidate is None and model_path is None:
        slot = slot or own_slot(project.config) or project.default_slot(None)
    data = Path(data)
    place, rule = place_asked(project, slot, candidate, model_path)
    model = artifact.classifier(place.folder, place.artifact_hash, place.checkpoint)
    samples: Sequences = registry.load("readers", "npz").read(data, name=data.name)
    if samples.feature_names != model.feature_names:
        raise DataError(
            f"{data} has the features {', '.join(samples.feature_names)}",
            f"those of the model, in their order: {', '.join(model.feature_names)}",
        )
    asked = replace(samples, class_names=model.class_names)
    found = model.predict(Subset(asked, np.arange(len(asked), dtype=np.int64)))
    return Classified(found, samples.groups, place.folder, rule)


def place_asked(
    project: Project, slot: str | None, candidate: str | None, model_path: Path | str | None
) -> tuple[Place, str]:
    """The model to ask, and which rule chose it."""
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
        path = get_active_model_path(project.root)
    except NotFoundError as error:
        name = project.default_slot(None)
        try:
            return _champion(project, name)
        except NotFoundError as other:
            raise NotFoundError(
                f"there is no model to ask: {other.problems[0].found}; {error.problems[0].found}",
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
    """The error that a slot has no champion; where its grids left a model, how to ask that."""
    try:
        path = get_active_model_path(project.root, slot=slot)
    except NotFoundError:
        return error
    command = f"podium predict --model-path {os.path.relpath(path, project.root)}"
    return NotFoundError(
        error.problems[0].found, "a champion", f"ask the best model of its grids: {command}"
    )
