"""Dated target weights of a model, as its backtest trades them; nothing is trained."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from podium import artifact
from podium.arrays import Floats, Mask, Times
from podium.artifact import LoadedModel, Place
from podium.candidate import Candidate
from podium.config import FILE
from podium.errors import NotFoundError, UsageError
from podium.files import csv_text
from podium.hashing import json_file
from podium.render.answer import Answer
from podium.render.table import counted
from podium.split import Windows
from podium.steps.candidates.register import candidate_of
from podium.steps.data.bars import slot_data
from podium.steps.data.tickers import bars_of
from podium.steps.decisions.backtest_files import SIGNALS, files_of
from podium.steps.evidence.drift import warn_of_drift
from podium.steps.evidence.trading import order_bars, target_weights
from podium.steps.serving.predict import chosen_model
from podium.steps.workspace import recorded
from podium.steps.workspace.moments import stamp_of, without_midnight
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData

COLUMNS = (
    "as_of", "valid_for", "ticker", "weight", "forecast", "order", "candidate", "artifact_hash",
    "signal",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Signals(Answer):
    """Target weights of a model.

    Parameters
    ----------
    times : (T,) datetime64[s]
        Bars at whose close the weights are decided.
    weights, forecasts : (T, S) float
        A row of weights without any forecast is NaN: no order.
    order : (T,) bool
        Whether the backtest gives an order at the bar: at the test's first bar and every
        ``horizon`` bars from it.
    candidate : str
        Id; empty where the model is no candidate yet.
    signal, execution : str
        Rule from forecasts to weights; price of the next bar at which orders are filled.
    rule : str
        The model and the rule that chose it.
    """

    times: Times
    tickers: tuple[str, ...]
    weights: Floats
    forecasts: Floats
    order: Mask
    slot: str
    candidate: str
    artifact_hash: str
    signal: str
    execution: str
    rule: str

    @property
    def as_of(self) -> str:
        """Close of the newest bar."""
        return str(self.times[-1])

    @property
    def sentence(self) -> str:
        """Number of bars and tickers, newest bar, rule, execution, and the model."""
        order = "an order is due" if self.order[-1] else "no order is due"
        return (
            f"Target weights of {counted(len(self.tickers), 'ticker')} at "
            f"{counted(len(self.times), 'bar')} until {without_midnight(self.times[-1])} "
            f"({order} there) by '{self.signal}', filled at the "
            f"{self.execution.replace('_', ' ')}: {self.rule}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a bar and ticker; unknown values are None."""
        rows = []
        after = [*(str(moment) for moment in self.times[1:]), "the next bar"]
        for t, (moment, valid) in enumerate(zip(self.times, after, strict=True)):
            for n, ticker in enumerate(self.tickers):
                values = (
                    str(moment), valid, ticker, _known(self.weights[t, n]),
                    _known(self.forecasts[t, n]), bool(self.order[t]), self.candidate,
                    self.artifact_hash, self.signal,
                )  # fmt: skip
                rows.append(dict(zip(COLUMNS, values, strict=True)))
        return rows


@dataclass(frozen=True)
class Written:
    """Newest bar and path of written signals."""

    as_of: str
    place: str


def signals(
    project: Project,
    slot: str | None = None,
    *,
    since: str | None = None,
    candidate: str | None = None,
    model_path: Path | str | None = None,
) -> Signals:
    """Target weights of every bar since a date, by a champion; nothing is trained.

    Weights exist from the first bar of the slot's test, where they are those of its backtest, to
    the newest bar. The model was trained on the bars before.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot.
    since : str, optional
        ISO 8601 date or time. Default: the newest bar alone.
    candidate : str, optional
        Id of a candidate, in place of the champion.
    model_path : path, optional
        Any path into a model's folder, in place of the champion.

    Returns
    -------
    Signals

    Raises
    ------
    NotFoundError
        There is no such candidate or model, no champion, or no bar since that date.
    UsageError
        ``since`` is no date, or before the first bar with weights.
    DataError
        A ticker of the training is missing, the slot's settings differ from those of the model, or
        the artefact was changed.
    """
    if candidate is None and model_path is None:
        slot = project.default_slot(slot)
    place, rule = chosen_model(project, slot, candidate, model_path)
    return _since(project, place, rule, None if since is None else stamp_of(since))


def _since(project: Project, place: Place, rule: str, since: np.datetime64 | None) -> Signals:
    model = artifact.forecaster(place.folder, place.artifact_hash, place.checkpoint)
    data = _to_the_newest(project, place, model)
    first = data.test_start
    times = data.view.times[first:]
    trained = np.datetime64(str(place.manifest["trained_until"]))
    if trained >= times[-1]:
        raise NotFoundError(
            f"no bar of dataset '{data.dataset.name}' is newer than {trained}, until when "
            f"{place.folder.name} was trained",
            "newer bars",
        )
    clean = int(np.searchsorted(times, trained, "right"))
    row = len(times) - 1 if since is None else int(np.searchsorted(times, since))
    if row >= len(times):
        raise NotFoundError(f"the newest bar is of {times[-1]}, none is since {since}")
    if since is not None and since < times[0] and data.view.times[first - 1] >= since:
        raise UsageError(
            f"since is {since}, and signals of {data.slot} begin at {times[0]}, with its test",
            "a later date: the model was trained or chosen on the bars before",
        )
    if row < clean:
        raise UsageError(
            f"since is {since}, and the model was trained on bars until {trained}", "a later date"
        )
    windows = Windows.of(data.view, np.arange(first, len(data.view), dtype=np.int64))
    forecast = model.predict(windows)
    warn_of_drift(project, place.artifact_hash, model.manifest, data.view)
    if data.view.left_out():
        project.reporter.say(data.view.left_out())
    shown = slice(row, None)
    return Signals(
        times=times[shown],
        tickers=data.view.tickers,
        weights=target_weights(data, forecast)[shown],
        forecasts=forecast.grid(times, data.view.tickers)[shown],
        order=order_bars(len(times), data.view.horizon)[shown],
        slot=data.slot,
        candidate=candidate_of(project, data.slot, place.artifact_hash) or "",
        artifact_hash=place.artifact_hash,
        signal=data.section.signal,
        execution=project.config.backtest.execution,
        rule=rule,
    )


def _to_the_newest(project: Project, place: Place, model: LoadedModel) -> SlotData:
    """The slot's data with the model's tickers, beyond the test's end too."""
    slot, section = str(place.manifest["slot"]), model.section
    own = project.config.slot(slot)
    dataset, realigned = bars_of(project.config, section.dataset, model.tickers)
    if realigned:
        project.reporter.say(realigned)
    # Features and target are those of the model; test_from and signal are those of the slot.
    open_ended = replace(section, test_from=own.test_from, test_to="", signal=own.signal)
    slots = {**project.config.slots, slot: open_ended}
    return slot_data(replace(project.config, slots=slots), slot, dataset)


def write_newest(project: Project, candidate: Candidate) -> Written:
    """Write the newest bar's target weights beside the candidate's backtest.

    Raises
    ------
    UsageError
        ``paths.backtesting`` is empty.
    """
    out = files_of(project, candidate)
    if out is None:
        raise UsageError(
            "signals have no folder: paths.backtesting is empty",
            "the name of a folder",
            f"set it in {FILE}, or run: podium signals",
        )
    newest = _since(project, recorded.place(project, candidate), f"candidate {candidate.id}", None)
    rows = newest.rows()
    head = {
        "podium": 1,
        "kind": "signals",
        "slot": newest.slot,
        "candidate": newest.candidate,
        "artifact_hash": newest.artifact_hash,
        "as_of": newest.as_of,
        "valid_for": f"the next bar, filled at its {newest.execution.removeprefix('next_')}",
        "order": bool(newest.order[-1]),
        "signal": newest.signal,
        "weights": {row["ticker"]: row["weight"] for row in rows},
        "forecasts": {row["ticker"]: row["forecast"] for row in rows},
    }
    out.put(f"{SIGNALS}.csv", csv_text([COLUMNS, *([row[n] for n in COLUMNS] for row in rows)]))
    out.put(f"{SIGNALS}.json", json_file(head))
    return Written(newest.as_of, os.path.relpath(out.folder / f"{SIGNALS}.csv", project.root))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
