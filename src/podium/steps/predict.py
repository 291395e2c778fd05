"""Forecast the newest bars with a slot's champion or a named candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from podium import artifact, registry
from podium.errors import NotFoundError, UsageError
from podium.ledger import reads
from podium.prediction import Prediction
from podium.resolve import champion
from podium.split import Windows
from podium.steps._project import Project
from podium.steps._task import load_dataset, view_of


@dataclass(frozen=True, eq=False)
class Forecast:
    """Forecasts with what made them.

    Parameters
    ----------
    rule : str
        Which rule chose the model.
    unit : str
        Unit of the values.
    """

    prediction: Prediction
    candidate_id: str
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
    project: Project, slot: str, *, candidate: str | None = None, bars: int = 1
) -> Forecast:
    """Forecast the newest bars of a slot's dataset.

    A named candidate wins; else the slot's champion answers. The tickers are those of the
    training, found by name; features and target are the model's own, whatever podium.toml says by
    now.

    Raises
    ------
    NotFoundError
        No such candidate, or nobody holds the slot.
    DataError
        A training ticker is missing, the data are too short, or the artefact was changed.
    """
    if bars < 1:
        raise UsageError(f"bars is {bars}", "1 or more")
    if candidate is None:
        holder = champion(slot, project.root)
        model, name = holder.load(), holder.champion.candidate_id
        rule = f"champion of {slot} ({name}, version {holder.champion.version})"
    else:
        with project.ledger.reading() as tx:
            row = reads.candidate_by_id(project.ledger, tx, candidate)
        if row.slot != slot:
            raise NotFoundError(
                f"candidate {candidate} belongs to {row.slot}",
                fix=f"run: podium predict {row.slot} --candidate {candidate}",
            )
        model = artifact.load(project.store / row.artifact_path, row.artifact_hash)
        name, rule = row.id, f"candidate {row.id}, named explicitly"
    section = model.section
    dataset, realigned = load_dataset(project.config, section.dataset).realign(model.tickers)
    if realigned:
        project.reporter.say(realigned)
    view = view_of(dataset, section)
    first = max(view.first_bar, len(view) - bars)
    if first >= len(view):
        raise NotFoundError(
            f"{len(view)} bars leave no whole window", f"at least {view.first_bar + 1}"
        )
    prediction = model.predict(Windows.of(view, np.arange(first, len(view), dtype=np.int64)))
    return Forecast(
        prediction,
        name,
        rule,
        section.target,
        section.horizon,
        registry.load("targets", section.target).UNIT,
    )
