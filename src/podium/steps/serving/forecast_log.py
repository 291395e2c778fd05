"""What a candidate says of the bars after its training: what is on record, and what it says now."""

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

# As close as a model's forecast of the same bars is, whatever else was forecast with them.
SAME = 1e-5


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A candidate with its model, and the bars there are now as that model sees them.

    Parameters
    ----------
    candidate : Candidate
    role : {"champion", "shadow"}
    model : LoadedModel
    view : View
        Of all bars there are, through the model's features.
    judged : mapping of kind to Evidence
        What was found about it.
    """

    candidate: Candidate
    role: str
    model: LoadedModel
    view: View
    judged: Mapping[str, Evidence]

    @property
    def trained_until(self) -> np.datetime64:
        """The newest bar it was trained on."""
        return np.datetime64(self.model.manifest["trained_until"], "s")

    @property
    def tested_until(self) -> np.datetime64:
        """The last bar it was judged on before it could be chosen, else of its training."""
        if "test" not in self.judged:
            return self.trained_until
        return max(self.trained_until, np.datetime64(self.judged["test"].notes["to"], "s"))

    def windows(self, since: np.datetime64 | None = None) -> Windows:
        """What it can be asked: bars after its training, from a moment on if one is given."""
        times = self.view.times
        first = int(np.searchsorted(times, self.trained_until, side="right"))
        if since is not None:
            first = max(first, int(np.searchsorted(times, since)))
        first = max(first, self.view.first_bar)
        return Windows.of(self.view, np.arange(first, len(times), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Live:
    """What one candidate said of every bar after its training.

    Parameters
    ----------
    windows : Windows
        N of them, by bar, then ticker.
    forecast : (N,) float
        As stored; where nothing is stored, as the model forecasts now.
    stored : (N,) bool
    early : (N,) bool
        Stored before the bars knew the outcome.
    other : int
        Stored forecasts that the model would not make again: their bars were revised since.
    """

    served: ServedModel
    windows: Windows
    forecast: Floats
    stored: Mask
    early: Mask
    other: int

    @property
    def known(self) -> Mask:
        """Where the outcome is known by now, (N,)."""
        found: Mask = np.isfinite(self.windows.truth())
        return found


def served_models(project: Project, slot: str) -> list[ServedModel]:
    """A slot's champion and, where there is one, its shadow, each with its own view of the bars.

    Raises
    ------
    UsageError
        The slot does not forecast.
    NotFoundError
        Nobody holds it.
    DataError
        The bars are not what the model needs, or its artefact was changed.
    """
    require_task(project.config, slot)
    champion = recorded.champion(project, slot)
    if champion is None:
        raise NotFoundError(f"slot {slot} has no champion", fix=f"run: podium run {slot}")
    with project.ledger.reading() as tx:
        beside = forecasts.shadow_of(project.ledger, tx, slot)
    asked = [(champion, CHAMPION)]
    if beside is not None and beside.candidate_id != champion.id:
        asked.append((recorded.candidate(project, beside.candidate_id), SHADOW))
    found: list[ServedModel] = []
    for candidate, role in asked:
        model = recorded.forecaster(project, candidate)
        dataset, _ = bars_of(project.config, model.section.dataset, model.tickers)
        view, judged = view_of(dataset, model.section), recorded.evidence(project, candidate.id)
        found.append(ServedModel(candidate, role, model, view, judged))
    return found


def store(project: Project, served: ServedModel, since: str = "") -> int:
    """Append what a candidate says of the bars it has said nothing of; returns how many forecasts.

    Parameters
    ----------
    since : str
        A moment, ISO 8601; default: the newest bar it has spoken of, and where it has of none, the
        first one newer than those it was judged on.
    """
    ledger, candidate = project.ledger, served.candidate
    with ledger.reading() as tx:
        start = since or forecasts.last_decided(ledger, tx, candidate.id)
        known = forecasts.stored_forecasts(ledger, tx, candidate.id, since=start)
    moment = served.tested_until + 1 if not start else np.datetime64(start, "s")
    asked = served.windows(moment)
    new = np.array([place not in known for place in places(asked)], dtype=bool)
    if not new.any():
        return 0
    asked = asked.take(new)
    said = served.model.predict(asked)
    about = {
        "slot": candidate.slot,
        "candidate_id": candidate.id,
        "artifact_hash": candidate.artifact_hash,
        "role": served.role,
        "data_until": str(served.view.times[-1]),
    }
    values = dict(zip(places(asked), said.mean.tolist(), strict=True))
    return ledger.write_durably(forecasts.put_forecasts, about, values)


def live(project: Project, served: ServedModel) -> Live:
    """Everything a candidate said of bars after its training, and says now where it had not."""
    windows, candidate = served.windows(), served.candidate
    kept = project.ledger.read(forecasts.stored_forecasts, candidate.id)
    now = served.model.predict(windows).mean if len(windows) else np.empty(0)
    said = [kept.get(place) for place in places(windows)]
    stored = np.array([one is not None for one in said], dtype=bool)
    before = np.array([now[n] if one is None else one.value for n, one in enumerate(said)])
    other = stored & ~np.isclose(before, now, rtol=SAME, atol=SAME * _spread(now), equal_nan=True)
    early = np.array([_is_early(one, windows, n) for n, one in enumerate(said)], dtype=bool)
    return Live(served, windows, before, stored, early, int(other.sum()))


def _spread(values: Floats) -> float:
    return float(np.abs(values).mean()) if len(values) else 0.0


def _is_early(kept: StoredForecast | None, windows: Windows, row: int) -> bool:
    """Whether a forecast was stored before the bars knew its outcome."""
    times = windows.view.times
    end = int(windows.at[row]) + windows.view.horizon
    return kept is not None and (end >= len(times) or kept.data_until < str(times[end]))


def places(windows: Windows) -> list[Place]:
    """Ticker and time of each window, as the record has them."""
    moments = windows.decided_at.astype("datetime64[s]")
    return [(str(t), str(at)) for t, at in zip(windows.tickers, moments, strict=True)]
