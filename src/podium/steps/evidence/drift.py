"""Drift of the newest bars from the training bars of a model."""

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

Manifest = Mapping[str, Any]
STORED = "baseline stored at training"
RECOMPUTED = "baseline recomputed from the current training bars"


@dataclass(frozen=True, eq=False)
class FeatureDrift:
    """Drift of the newest bars from training, with its source and threshold.

    Parameters
    ----------
    features : tuple of str
        Features of `result`, in its order.
    bars : int
        Number of newest bars.
    source : str
        Source of the training baseline, or the reason why there is none.
    result : Drift, optional
        None without a training baseline.
    level : float
        Largest p-value that counts as drift.
    """

    features: tuple[str, ...]
    bars: int
    source: str
    result: Drift | None
    level: float

    @property
    def alarm(self) -> bool:
        """Whether the p-value is at most the level."""
        return self.result is not None and self.result.p_value <= self.level

    @property
    def sentence(self) -> str:
        """One-sentence summary."""
        if self.result is None or self.result.reason:
            why = self.source if self.result is None else self.result.reason
            return f"drift of the features is unknown: {why}"
        most = self.result.furthest
        moved = (
            f"{self.features[most]} drifted most: stability index {self.result.index[most]:.2g}, "
            f"usually {self.result.usual[most]:.2g} in training"
        )
        verdict = "differ from the training bars" if self.alarm else "resemble the training bars"
        return f"the newest {self.bars} bars {verdict}; {moved} (p = {self.result.p_value:.2g})"


def store_baseline(project: Project, tx: Transaction, artifact_hash: str, training: View) -> None:
    """Store the drift baseline of a model's training bars.

    Parameters
    ----------
    training : View
        Its training bars and none after them.
    """
    window = project.config.drift.bars
    try:
        baseline = feature_baseline(_features(training, slice(training.first_bar, None)), window)
    except DataError:
        # Too few bars for a baseline; `training_drift` reports that.
        return
    stored = {n: values.tolist() for n, values in asdict(baseline).items() if n != "window"}
    stored |= {"window": baseline.window, "asked": window, "features": list(training.feature_names)}
    forecasts.put_baseline(tx, artifact_hash, stored)


def training_drift(
    project: Project, artifact_hash: str, manifest: Manifest, view: View
) -> FeatureDrift:
    """Compare the newest bars of a view with the training bars of its model.

    Parameters
    ----------
    manifest : mapping
        Manifest of the model, with ``trained_from`` and ``trained_until``.
    view : View
        View of the model's features, up to the newest bar.
    """
    section = project.config.drift
    baseline, source = _stored(project.reader, artifact_hash, view, section.bars), STORED
    if baseline is None:
        try:
            baseline, source = _recomputed(manifest, view, section.bars), RECOMPUTED
        except DataError as error:
            problem = error.problems[0]
            source = f"{problem.found}, and {problem.expected} are needed"
    if baseline is None:
        return FeatureDrift(view.feature_names, 0, source, None, section.level)
    result = feature_drift(baseline, _features(view, slice(-baseline.window, None)))
    return FeatureDrift(view.feature_names, baseline.window, source, result, section.level)


def warn_of_drift(project: Project, artifact_hash: str, manifest: Manifest, view: View) -> None:
    """Report drift of the newest bars from training, if any."""
    drift = training_drift(project, artifact_hash, manifest, view)
    if drift.alarm:
        project.reporter.say(f"warning: {drift.sentence}")


def _stored(reader: RecordReader, artifact_hash: str, view: View, window: int) -> Baseline | None:
    """Baseline stored at training, if it is of the same features and window."""
    try:
        row = reader.first("baseline", artifact_hash=artifact_hash)
    except PodiumError:
        # There is no record.
        return None
    stored = row["statistics"] if row else {}
    if stored.pop("asked", None) != window or stored.pop("features") != list(view.feature_names):
        return None
    return Baseline(stored.pop("window"), **{n: np.array(v) for n, v in stored.items()})


def _recomputed(manifest: Manifest, view: View, window: int) -> Baseline:
    """Baseline recomputed from the training bars."""
    if not {"trained_from", "trained_until"} <= manifest.keys():
        raise DataError("the model's manifest has no training period", "its first and last bar")
    start, stop = (np.datetime64(manifest[f"trained_{end}"], "s") for end in ("from", "until"))
    rows = (view.times >= start) & (view.times <= stop)
    return feature_baseline(_features(view, rows), window)


def _features(view: View, rows: slice | NDArray[np.bool_]) -> NDArray[np.float32]:
    """Features of some bars, (n, S, F); NaN where a ticker is not a member of the universe."""
    if view.members is None:
        return view.features[rows]
    return np.where(view.members[rows, :, np.newaxis], view.features[rows], np.float32(np.nan))
