"""Forecasts of a candidate for the bars after its training: recorded ones and present ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from podium.arrays import Floats, Mask
from podium.artifact import LoadedModel
from podium.candidate import Candidate
from podium.errors import NotFoundError
from podium.evidence import Evidence
from podium.ledger import forecasts
from podium.ledger.forecasts import CHAMPION, SHADOW, Place, StoredForecast
from podium.split import Windows
from podium.steps.data.bars import require_task
from podium.steps.data.tickers import bars_of
from podium.steps.workspace import recorded
from podium.steps.workspace.project import Project
from podium.tasks.forecast import view_of
from podium.view import View

# Relative difference between forecasts of the same bars in batches of different sizes.
SAME = 1e-5


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A candidate with its model and the present bars.

    Parameters
    ----------
    candidate : Candidate
    role : {"champion", "shadow"}
    model : LoadedModel
    view : View
        All present bars, with the model's features.
    judged : mapping of kind to Evidence
        Newest evidence of each kind.
    """

    candidate: Candidate
    role: str
    model: LoadedModel
    view: View
    judged: Mapping[str, Evidence]

    @property
    def trained_until(self) -> np.datetime64:
        """Newest bar of the training."""
        return np.datetime64(self.model.trained_until, "s")

    @property
    def tested_until(self) -> np.datetime64:
        """Last bar of its test, else of its training."""
        if "test" not in self.judged:
            return self.trained_until
        return max(self.trained_until, np.datetime64(self.judged["test"].notes["to"], "s"))

    def windows(self, since: np.datetime64 | None = None) -> Windows:
        """Windows of bars after the training, from a time on if one is given."""
        times = self.view.times
        first = int(np.searchsorted(times, self.trained_until, side="right"))
        if since is not None:
            first = max(first, int(np.searchsorted(times, since)))
        first = max(first, self.view.first_bar)
        return Windows.of(self.view, np.arange(first, len(times), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Live:
    """Forecasts of one candidate for every bar after its training.

    Parameters
    ----------
    windows : Windows
        N of them, by bar, then ticker.
    forecast : (N,) float
        Stored forecasts; where none is stored, present ones.
    stored : (N,) bool
    early : (N,) bool
        Stored before the outcome was known.
    other : int
        Number of stored forecasts that differ from present ones, as their bars were revised.
    """

    served: ServedModel
    windows: Windows
    forecast: Floats
    stored: Mask
    early: Mask
    other: int

    @property
    def known(self) -> Mask:
        """Windows with a known outcome, (N,)."""
        known: Mask = np.isfinite(self.windows.truth())
        return known


def served_models(project: Project, slot: str) -> list[ServedModel]:
    """A slot's champion and its shadow, if any, each with its own view of the bars.

    Raises
    ------
    UsageError
        The slot does not forecast.
    NotFoundError
        The slot has no champion.
    DataError
        The bars lack what the model needs, or its artefact was changed.
    """
    require_task(project.config, slot)
    champion = recorded.champion(project, slot)
    if champion is None:
        raise NotFoundError(f"slot {slot} has no champion", fix=f"run: podium run {slot}")
    shadow = project.ledger.read(forecasts.shadow_of, slot)
    candidates = [(champion, CHAMPION)]
    if shadow is not None and shadow.candidate_id != champion.id:
        candidates.append((recorded.candidate(project, shadow.candidate_id), SHADOW))
    models: list[ServedModel] = []
    for candidate, role in candidates:
        model = recorded.forecaster(project, candidate)
        dataset, _ = bars_of(project.config, model.section.dataset, model.tickers)
        view, judged = view_of(dataset, model.section), recorded.evidence(project, candidate.id)
        models.append(ServedModel(candidate, role, model, view, judged))
    return models


def store(project: Project, served: ServedModel, since: str = "") -> int:
    """Store a candidate's forecasts of bars that have none on record.

    Parameters
    ----------
    since : str
        ISO 8601 time. Default: the newest stored forecast, or the first bar newer than those of its
        test.

    Returns
    -------
    int
        Number of stored forecasts.
    """
    ledger, candidate = project.ledger, served.candidate
    with ledger.reading() as tx:
        start = since or forecasts.last_decided(tx, candidate.id)
        known = forecasts.stored_forecasts(tx, candidate.id, since=start)
    moment = served.tested_until + 1 if not start else np.datetime64(start, "s")
    windows = served.windows(moment)
    new = np.array([place not in known for place in places(windows)], dtype=bool)
    if not new.any():
        return 0
    windows = windows.take(new)
    prediction = served.model.predict(windows)
    about = {
        "slot": candidate.slot,
        "candidate_id": candidate.id,
        "artifact_hash": candidate.artifact_hash,
        "role": served.role,
        "data_until": str(served.view.times[-1]),
    }
    values = dict(zip(places(windows), prediction.mean.tolist(), strict=True))
    return ledger.write_durably(forecasts.put_forecasts, about, values)


def live(project: Project, served: ServedModel) -> Live:
    """Stored forecasts of the bars after the training, and present ones where none is stored."""
    windows, candidate = served.windows(), served.candidate
    on_record = project.ledger.read(forecasts.stored_forecasts, candidate.id)
    now = served.model.predict(windows).mean if len(windows) else np.empty(0)
    known = [on_record.get(place) for place in places(windows)]
    stored = np.array([one is not None for one in known], dtype=bool)
    values = np.array([now[n] if one is None else one.value for n, one in enumerate(known)])
    spread = float(np.abs(now).mean()) if len(now) else 0.0
    other = stored & ~np.isclose(values, now, rtol=SAME, atol=SAME * spread, equal_nan=True)
    early = np.array([_is_early(one, windows, n) for n, one in enumerate(known)], dtype=bool)
    return Live(served, windows, values, stored, early, int(other.sum()))


def _is_early(stored: StoredForecast | None, windows: Windows, row: int) -> bool:
    """Whether a forecast was stored before its outcome was known."""
    times = windows.view.times
    end = int(windows.at[row]) + windows.view.horizon
    return stored is not None and (end >= len(times) or stored.data_until < str(times[end]))


def places(windows: Windows) -> list[Place]:
    """Ticker and time of each window, in the record's form."""
    moments = windows.decided_at.astype("datetime64[s]")
    return [(str(t), str(at)) for t, at in zip(windows.tickers, moments, strict=True)]
