"""Check of a champion since its training: its baseline, its test, its data, its shadow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from podium.arrays import Floats, Mask
from podium.evidence import Evidence
from podium.prediction import Prediction
from podium.render.answer import Answer
from podium.render.table import counted
from podium.stats import BootstrapInterval, block_bootstrap_mean
from podium.steps.evidence.comparison import Comparison, compare_forecasts
from podium.steps.evidence.drift import FeatureDrift, training_drift
from podium.steps.serving.forecast_log import Live, ServedModel, live, places, served_models
from podium.steps.trials import baselines
from podium.steps.workspace.moments import without_midnight
from podium.steps.workspace.project import Project

NOTE, WARNING = "note", "warning"
COLUMNS = ("severity", "what", "found")
# Significance level of a single check; repeated checks are not corrected for.
LEVEL = 0.05


@dataclass(frozen=True)
class SlotFinding:
    """One finding about a slot.

    Parameters
    ----------
    severity : {"note", "warning"}
    what : str
    found : str
        A sentence.
    figures : mapping of str to float
        The numbers in it; NaN where one is undefined.
    """

    severity: str
    what: str
    found: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SlotChecked(Answer):
    """Findings about a slot's champion.

    Parameters
    ----------
    beats_baseline : bool or None
        Whether it is significantly better than its baseline on bars newer than its test; None where
        that is undecidable.
    """

    slot: str
    candidate_id: str
    findings: tuple[SlotFinding, ...]
    beats_baseline: bool | None
    drift: FeatureDrift

    @property
    def warnings(self) -> tuple[SlotFinding, ...]:
        """Findings that need attention."""
        return tuple(one for one in self.findings if one.severity == WARNING)

    @property
    def sentence(self) -> str:
        """Comparison with the baseline, and the warnings."""
        against = "cannot be compared with its baseline yet on bars newer than its test"
        if self.beats_baseline is not None:
            beats = "beats" if self.beats_baseline else "does not significantly beat"
            against = f"{beats} its baseline on bars newer than its test"
        names = ", ".join(one.what for one in self.warnings)
        warnings = f"{counted(len(self.warnings), 'warning')}: {names}" if names else "no warnings"
        return f"Champion {self.candidate_id} of {self.slot} {against}; {warnings}."

    def rows(self) -> list[dict[str, Any]]:
        """One row a finding: severity, what and found."""
        return [{name: getattr(one, name) for name in COLUMNS} for one in self.findings]


def check_slot(project: Project, slot: str) -> SlotChecked:
    """Score a slot's champion on bars newer than its training; nothing is written.

    Forecasts on record count as they were made; the others are made now, and their number is
    reported.

    Returns
    -------
    SlotChecked

    Raises
    ------
    UsageError
        The slot does not forecast.
    NotFoundError
        The slot has no champion.
    DataError
        The bars lack what the model needs.
    """
    models = served_models(project, slot)
    scored = [live(project, served) for served in models]
    champion, served = scored[0], models[0]
    test, tested = served.judged.get("test"), served.tested_until
    naive, method = _baseline(served)
    times = champion.windows.decided_at
    is_newer = (times > tested) & champion.known
    newer = _compared(champion, naive.mean, is_newer)
    since = _compared(champion, naive.mean, (times > served.trained_until) & champion.known)
    before = _compared(champion, naive.mean, (times <= tested) & champion.known)
    drift = training_drift(
        project, served.candidate.artifact_hash, served.model.manifest, served.view
    )
    metric = newer.metric
    beats, against = _against_baseline(newer, since, method, metric)
    error = _error(newer, before, test, metric, served.model.section.horizon)
    findings = [_who(served), _scored(champion, is_newer), against, error, _drift(drift)]
    if champion.other:
        findings.append(_revised(champion))
    if len(scored) > 1:
        findings.append(_shadow(champion, scored[1]))
    return SlotChecked(slot, served.candidate.id, tuple(findings), beats, drift)


def _baseline(served: ServedModel) -> tuple[Prediction, str]:
    """Forecasts and method of the candidate's baseline, fitted on the same training bars."""
    view, judged = served.view, served.judged
    notes = [judged[kind].notes for kind in ("test", "validation") if kind in judged]
    known = filter(None, (baselines.from_notes(one) for one in notes))
    # An imported candidate was not compared with a baseline here.
    reference = next(known, None) or baselines.all_configs(view)[0]
    stop = int(np.searchsorted(view.times, served.trained_until, side="right"))
    # No label may use bars after the training.
    model = baselines.fit(reference, baselines.labelled(view.until(stop)))
    return model.predict(served.windows().blind()), baselines.label_of(reference)


def _compared(champion: Live, other: Floats, chosen: Mask) -> Comparison:
    """The champion's forecasts compared with others on some windows."""
    metric, windows = champion.served.model.section.metric, champion.windows.take(chosen)
    return compare_forecasts(metric, windows, champion.forecast[chosen], other[chosen])


def _who(served: ServedModel) -> SlotFinding:
    who = served.candidate
    trained, last, newest = map(
        without_midnight, (served.trained_until, served.tested_until, served.view.times[-1])
    )
    tested = f"tested on those until {last}" if "test" in served.judged else "not tested"
    name = f"{who.id} (version {who.version}, {who.family})"
    message = f"{name}, trained on bars until {trained}, {tested}; the newest bar is {newest}"
    return SlotFinding(NOTE, "champion", message)


def _scored(champion: Live, newer: Mask) -> SlotFinding:
    counts = ~champion.known, newer, newer & champion.stored, newer & champion.early
    waiting, windows, stored, early = (int(np.count_nonzero(marks)) for marks in counts)
    scored = "no bar newer than its test has an outcome yet"
    if windows:
        bars = len(np.unique(champion.windows.at[newer]))
        scored = (
            f"{windows} forecasts of {bars} bars newer than its test have an outcome: "
            f"{stored} stored ({early} before their outcome was known), {windows - stored} made now"
        )
    figures = {"stored": stored, "early": early, "waiting": waiting}
    return SlotFinding(NOTE, "forecasts", f"{scored}; {waiting} forecasts wait for theirs", figures)


def _against_baseline(
    newer: Comparison, since: Comparison, method: str, metric: str
) -> tuple[bool | None, SlotFinding]:
    """Whether the champion beats its baseline, and the finding about it."""
    figures: dict[str, float] = {}
    for name, part in (("newer", newer), ("since_training", since)):
        figures[f"{name}_bars"] = part.bars
        figures[f"{name}_loss"] = part.loss
        figures[f"{name}_naive_loss"] = part.other_loss
        figures[f"{name}_p_value"] = part.test.p_value
    pair = f"{metric} {newer.loss:.4g} against {newer.other_loss:.4g} of the baseline {method}"
    where = f"on the {newer.bars} bars newer than its test"
    longer = (
        f"; on all {since.bars} since its training {since.loss:.4g} against "
        f"{since.other_loss:.4g} (p = {since.test.p_value:.2g})"
    )
    if not since.bars:
        longer = ""
    if newer.test.reason:
        message = f"undecidable {where}: {newer.test.reason}; {pair}"
        if not newer.bars:
            message = "no bar newer than its test to compare with its baseline"
        return None, SlotFinding(NOTE, "baseline", message + longer, figures)
    better = bool(newer.test.mean_difference < 0)
    beats = better and bool(newer.test.p_value < LEVEL)
    verdict = f"it does no better than its baseline {where}"
    if better:
        verdict = f"it is better than its baseline {where}, but not significantly"
    if beats:
        verdict = f"it beats its baseline {where}"
    message = f"{verdict}: {pair}, p = {newer.test.p_value:.2g}{longer}"
    return beats, SlotFinding(NOTE if better else WARNING, "baseline", message, figures)


def _error(
    newer: Comparison, before: Comparison, test: Evidence | None, metric: str, horizon: int
) -> SlotFinding:
    """Live error compared with that of the test, with an interval of the difference."""
    if test is None:
        message = "its error cannot be compared with a test: it was not tested"
        return SlotFinding(NOTE, "error", message)
    quoted = test.scalar("loss")
    figures = {"live_loss": newer.loss, "test_loss": quoted}
    ahead, behind = (block_bootstrap_mean(p.daily, horizon=horizon) for p in (newer, before))
    if ahead.reason or behind.reason:
        why = ahead.reason or behind.reason
        message = f"its live error is not comparable with its test's ({metric} {quoted:.4g}): {why}"
        return SlotFinding(NOTE, "error", message, figures)
    difference, low, high = _difference(ahead, behind)
    figures |= {"error_difference": difference, "error_low": low, "error_high": high}
    message = (
        f"its live {metric} is {ahead.estimate:.4g} (95 per cent {ahead.low:.4g} to "
        f"{ahead.high:.4g}), {behind.estimate:.4g} in its test; the difference {difference:+.4g} "
        f"lies between {low:+.4g} and {high:+.4g}"
    )
    if low > 0:
        return SlotFinding(WARNING, "error", f"{message}: its error has grown", figures)
    return SlotFinding(NOTE, "error", message, figures)


def _difference(ahead: BootstrapInterval, behind: BootstrapInterval) -> tuple[float, float, float]:
    """Difference of two means with its 95 per cent interval, from the interval of each.

    The variance is recovered from the sides of both intervals (MOVER: Zou & Donner (2008),
    Construction of confidence limits about effect measures, Statistics in Medicine 27).
    """
    difference = ahead.estimate - behind.estimate
    low = math.hypot(ahead.estimate - ahead.low, behind.high - behind.estimate)
    high = math.hypot(ahead.high - ahead.estimate, behind.estimate - behind.low)
    return difference, difference - low, difference + high


def _drift(drift: FeatureDrift) -> SlotFinding:
    figures: dict[str, float] = {}
    message = drift.sentence
    if drift.result is not None:
        figures = {
            f"stability_index:{name}": float(value)
            for name, value in zip(drift.features, drift.result.index, strict=True)
        }
        figures["drift_p_value"] = drift.result.p_value
        message += f"; {drift.source}"
    return SlotFinding(WARNING if drift.alarm else NOTE, "drift", message, figures)


def _revised(champion: Live) -> SlotFinding:
    message = (
        f"{champion.other} stored forecasts would differ with the present bars, which were revised "
        "since; stored forecasts do not change"
    )
    return SlotFinding(WARNING, "revised", message, {"revised": champion.other})


def _shadow(champion: Live, shadow: Live) -> SlotFinding:
    """The shadow compared with the champion on bars newer than the test of either."""
    start = max(champion.served.tested_until, shadow.served.tested_until)
    other = dict(zip(places(shadow.windows), shadow.forecast.tolist(), strict=True))
    theirs = np.array([other.get(place, math.nan) for place in places(champion.windows)])
    both = (champion.windows.decided_at > start) & champion.known & np.isfinite(theirs)
    pair = _compared(champion, theirs, both)
    figures = {
        "shadow_bars": pair.bars,
        "shadow_loss": pair.other_loss,
        "champion_loss": pair.loss,
        "shadow_p_value": pair.test.p_value,
    }
    who = f"{shadow.served.candidate.id} in its shadow"
    if not pair.bars:
        message = f"{who} cannot be compared yet: no bar newer than both tests has an outcome"
        return SlotFinding(NOTE, "shadow", message, figures)
    metric = pair.metric
    p = f"p = {pair.test.p_value:.2g}" if pair.test.reason is None else pair.test.reason
    message = (
        f"{who}: {metric} {pair.other_loss:.4g} against the champion's {pair.loss:.4g} "
        f"on the same {pair.bars} bars newer than both tests ({p})"
    )
    return SlotFinding(NOTE, "shadow", message, figures)
