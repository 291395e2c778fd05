"""Whether a model's newest bars lie as those it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.errors import DataError, PodiumError
from podium.ledger import forecasts
from podium.ledger.ledger import Transaction
from podium.ledger.record_reader import RecordReader
from podium.stats import Baseline, Drift, feature_baseline, feature_drift
from podium.steps.workspace.project import Project
from podium.view import View

KEPT = "as kept when it was trained"
SEEN = "reckoned from the training bars as they are now"


@dataclass(frozen=True, eq=False)
class Drifted:
    """What the newest bars look like beside those of a training.

    Parameters
    ----------
    features : tuple of str
        What the numbers of `found` are of.
    bars : int
        How many newest bars were looked at.
    source : str
        Where what is known of the training comes from, in words; or why nothing is.
    found : Drift, optional
        None where nothing is known of the training.
    level : float
        A p-value up to this is called drift.
    """

    features: tuple[str, ...]
    bars: int
    source: str
    found: Drift | None
    level: float

    @property
    def alarm(self) -> bool:
        """Whether the newest bars lie elsewhere than chance explains."""
        return self.found is not None and self.found.p_value <= self.level

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if self.found is None or self.found.reason:
            why = self.source if self.found is None else self.found.reason
            return f"drift of the features cannot be told: {why}"
        most = self.found.furthest
        moved = (
            f"{self.features[most]} moved most: stability index {self.found.index[most]:.2g}, in "
            f"the training usually {self.found.usual[most]:.2g}"
        )
        told = f"the newest {self.bars} bars lie"
        where = "elsewhere than those of the training" if self.alarm else "as in the training"
        return f"{told} {where}; {moved} (p = {self.found.p_value:.2g})"


def keep(project: Project, tx: Transaction, artifact_hash: str, training: View) -> None:
    """Put on record how the features of a model's training bars lie.

    Parameters
    ----------
    training : View
        The bars it was trained on and none after them.
    """
    window = project.config.drift.bars
    try:
        found = feature_baseline(_features(training, slice(training.first_bar, None)), window)
    except DataError:
        # Too few bars to tell what is usual; whoever asks later is told so.
        return
    told = {name: values.tolist() for name, values in asdict(found).items() if name != "window"}
    told |= {"window": found.window, "asked": window, "features": list(training.feature_names)}
    forecasts.put_baseline(project.ledger, tx, artifact_hash, told)


def drifted(
    project: Project, artifact_hash: str, manifest: Mapping[str, Any], view: View
) -> Drifted:
    """Hold the newest bars of a view against those that its model was trained on.

    Parameters
    ----------
    manifest : mapping
        The model's: ``trained_from`` and ``trained_until``.
    view : View
        Through the model's features, up to the newest bar.
    """
    section = project.config.drift
    baseline, source = _kept(project.reader, artifact_hash, view, section.bars), KEPT
    if baseline is None:
        try:
            baseline, source = _seen(manifest, view, section.bars), SEEN
        except DataError as error:
            told = error.problems[0]
            source = f"{told.found}, and {told.expected} are needed"
    if baseline is None:
        return Drifted(view.feature_names, 0, source, None, section.level)
    found = feature_drift(baseline, _features(view, slice(-baseline.window, None)))
    return Drifted(view.feature_names, baseline.window, source, found, section.level)


def warn_of_drift(
    project: Project, artifact_hash: str, manifest: Mapping[str, Any], view: View
) -> None:
    """Say it where the newest bars are other than those of the training."""
    found = drifted(project, artifact_hash, manifest, view)
    if found.alarm:
        project.reporter.say(f"warning: {found.sentence}")


def _kept(reader: RecordReader, artifact_hash: str, view: View, window: int) -> Baseline | None:
    """What was put on record when it was trained, if it is what is asked for now."""
    try:
        row = reader.first("baseline", artifact_hash=artifact_hash)
    except PodiumError:
        # There is no record.
        return None
    told = row["told"] if row else {}
    if told.pop("asked", None) != window or told.pop("features") != list(view.feature_names):
        return None
    return Baseline(told.pop("window"), **{n: np.array(v) for n, v in told.items()})


def _seen(manifest: Mapping[str, Any], view: View, window: int) -> Baseline:
    """The same from the bars of the training."""
    if not {"trained_from", "trained_until"} <= manifest.keys():
        raise DataError("the model does not say what it was trained on", "its first and last bar")
    start, stop = (np.datetime64(manifest[f"trained_{end}"], "s") for end in ("from", "until"))
    rows = (view.times >= start) & (view.times <= stop)
    return feature_baseline(_features(view, rows), window)


def _features(view: View, rows: slice | NDArray[np.bool_]) -> NDArray[np.float32]:
    """Features of some bars, (n, S, F); NaN where a ticker is no member, so not decided on."""
    if view.members is None:
        return view.features[rows]
    return np.where(view.members[rows, :, np.newaxis], view.features[rows], np.float32(np.nan))
