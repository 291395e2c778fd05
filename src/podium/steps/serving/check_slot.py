"""How a champion does since it was trained: against naive, its own test, its data, its shadow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from podium.arrays import Floats, Mask
from podium.evidence import Evidence
from podium.prediction import Prediction
from podium.stats import BootstrapInterval, block_bootstrap_mean
from podium.steps.evidence.comparison import Comparison, compare_forecasts
from podium.steps.evidence.drift import FeatureDrift, training_drift
from podium.steps.serving.forecast_log import Live, ServedModel, live, places, served_models
from podium.steps.trials import baselines
from podium.steps.workspace.moments import without_midnight
from podium.steps.workspace.project import Project

NOTE, WARNING = "note", "warning"
# A difference is told from chance below this p-value; each night's look is one more.
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
        The numbers in it; NaN where one could not be told.
    """

    severity: str
    what: str
    found: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SlotChecked:
    """What was found about a slot's champion.

    Parameters
    ----------
    beats_naive : bool or None
        On bars newer than its test, by more than chance explains; None where that is undecidable.
    """

    slot: str
    candidate_id: str
    findings: tuple[SlotFinding, ...]
    beats_naive: bool | None
    drift: FeatureDrift

    @property
    def warnings(self) -> tuple[SlotFinding, ...]:
        """What somebody should look at."""
        return tuple(one for one in self.findings if one.severity == WARNING)


def check_slot(project: Project, slot: str) -> SlotChecked:
    """Score a slot's champion on bars newer than its training; nothing is written.

    Where a forecast is on record it counts as it was made; where none is, as the model makes it
    now, and it is said how many these are.

    Raises
    ------
    UsageError
        The slot does not forecast.
    NotFoundError
        Nobody holds it.
    DataError
        The bars are not what the model needs.
    """
    asked = served_models(project, slot)
    said = [live(project, served) for served in asked]
    champion, served = said[0], asked[0]
    test, tested = served.judged.get("test"), served.tested_until
    naive, method = _naive(served)
    times = champion.windows.decided_at
    is_newer = (times > tested) & champion.known
    newer = _beside(champion, naive.mean, is_newer)
    since = _beside(champion, naive.mean, (times > served.trained_until) & champion.known)
    before = _beside(champion, naive.mean, (times <= tested) & champion.known)
    drift = training_drift(
        project, served.candidate.artifact_hash, served.model.manifest, served.view
    )
    beats, against = _against_naive(newer, since, method, served.model.section.metric)
    findings = [
        _who(served),
        _scored(champion, is_newer),
        against,
        _error(newer, before, test, served.model.section.metric),
        _drift(drift),
    ]
    if champion.other:
        findings.append(_revised(champion))
    if len(said) > 1:
        findings.append(_shadow(champion, said[1]))
    return SlotChecked(slot, served.candidate.id, tuple(findings), beats, drift)


def _naive(served: ServedModel) -> tuple[Prediction, str]:
    """The baseline that the candidate was compared with, fitted on the same training bars."""
    view, judged = served.view, served.judged
    notes = [judged[kind].notes for kind in ("test", "validation") if kind in judged]
    known = filter(None, (baselines.from_notes(one, view) for one in notes))
    # One that was brought in from elsewhere was compared with nothing here.
    reference = next(known, None) or baselines.all_configs(view)[0]
    stop = int(np.searchsorted(view.times, served.trained_until, side="right"))
    # No label reaches beyond the training.
    model = baselines.fit(reference, baselines.labelled(view.until(stop)))
    return model.predict(served.windows().blind()), baselines.method_of(reference)


def _beside(champion: Live, other: Floats, keep: Mask) -> Comparison:
    """The champion's forecasts beside others, on the windows that are kept."""
    metric, windows = champion.served.model.section.metric, champion.windows.take(keep)
    return compare_forecasts(metric, windows, champion.forecast[keep], other[keep])


def _who(served: ServedModel) -> SlotFinding:
    who = served.candidate
    trained, last, newest = map(
        without_midnight, (served.trained_until, served.tested_until, served.view.times[-1])
    )
    tested = f"tested on those until {last}" if "test" in served.judged else "not tested"
    return SlotFinding(
        NOTE,
        "champion",
        f"{who.id} (version {who.version}, {who.family}), trained on bars until {trained}, "
        f"{tested}; the newest bar is {newest}",
    )


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


def _against_naive(
    newer: Comparison, since: Comparison, method: str, metric: str
) -> tuple[bool | None, SlotFinding]:
    """Whether it still beats naive, and the finding that says so."""
    figures: dict[str, float] = {}
    for name, part in (("newer", newer), ("since_training", since)):
        figures[f"{name}_bars"] = part.bars
        figures[f"{name}_loss"] = part.loss
        figures[f"{name}_naive_loss"] = part.other_loss
        figures[f"{name}_p_value"] = part.test.p_value
    pair = f"{metric} {newer.loss:.4g} against {newer.other_loss:.4g} of naive {method}"
    where = f"on the {newer.bars} bars newer than its test"
    longer = (
        f"; on all {since.bars} since its training {since.loss:.4g} against "
        f"{since.other_loss:.4g} (p = {since.test.p_value:.2g})"
    )
    if not since.bars:
        longer = ""
    if newer.test.reason:
        told = f"whether it beats naive {where} cannot be told: {newer.test.reason}; {pair}"
        if not newer.bars:
            told = "nothing newer than its test to hold against naive"
        return None, SlotFinding(NOTE, "naive", told + longer, figures)
    better = bool(newer.test.mean_difference < 0)
    beats = better and bool(newer.test.p_value < LEVEL)
    verdict = f"it does no better than naive {where}"
    if better:
        verdict = f"it is better than naive {where}, but not by more than chance explains"
    if beats:
        verdict = f"it beats naive {where}"
    told = f"{verdict}: {pair}, p = {newer.test.p_value:.2g}{longer}"
    return beats, SlotFinding(NOTE if better else WARNING, "naive", told, figures)


def _error(
    newer: Comparison, before: Comparison, test: Evidence | None, metric: str
) -> SlotFinding:
    """Live error beside the test's, with an interval of the difference."""
    if test is None:
        return SlotFinding(
            NOTE, "error", "its error cannot be held against a test: it was not tested"
        )
    quoted = test.scalar("loss")
    figures = {"live_loss": newer.loss, "test_loss": quoted}
    ahead, behind = (block_bootstrap_mean(part.daily) for part in (newer, before))
    if ahead.reason or behind.reason:
        why = ahead.reason or behind.reason
        told = f"its live error cannot be held against its test's ({metric} {quoted:.4g}): {why}"
        return SlotFinding(NOTE, "error", told, figures)
    difference, low, high = _difference(ahead, behind)
    figures |= {"error_difference": difference, "error_low": low, "error_high": high}
    told = (
        f"its live {metric} is {ahead.estimate:.4g} (95 per cent {ahead.low:.4g} to "
        f"{ahead.high:.4g}), {behind.estimate:.4g} in its test; the difference {difference:+.4g} "
        f"lies between {low:+.4g} and {high:+.4g}"
    )
    if low > 0:
        return SlotFinding(WARNING, "error", f"{told}: its error has grown", figures)
    return SlotFinding(NOTE, "error", told, figures)


def _difference(ahead: BootstrapInterval, behind: BootstrapInterval) -> tuple[float, float, float]:
    """Difference of two means with its 95 per cent interval, made of the interval of each.

    The variance is recovered from the sides of both intervals (MOVER: Zou & Donner (2008),
    Construction of confidence limits about effect measures, Statistics in Medicine 27).
    """
    difference = ahead.estimate - behind.estimate
    low = math.hypot(ahead.estimate - ahead.low, behind.high - behind.estimate)
    high = math.hypot(ahead.high - ahead.estimate, behind.estimate - behind.low)
    return difference, difference - low, difference + high


def _drift(drift: FeatureDrift) -> SlotFinding:
    figures: dict[str, float] = {}
    told = drift.sentence
    if drift.result is not None:
        figures = {
            f"stability_index:{name}": float(value)
            for name, value in zip(drift.features, drift.result.index, strict=True)
        }
        figures["drift_p_value"] = drift.result.p_value
        told += f"; {drift.source}"
    return SlotFinding(WARNING if drift.alarm else NOTE, "drift", told, figures)


def _revised(champion: Live) -> SlotFinding:
    told = (
        f"{champion.other} stored forecasts would be other numbers with the bars there are now: "
        "these were revised since; what was said stays as it was said"
    )
    return SlotFinding(WARNING, "revised", told, {"revised": champion.other})


def _shadow(champion: Live, shadow: Live) -> SlotFinding:
    """The shadow against the champion on the same windows, none of which either was tested on."""
    start = max(champion.served.tested_until, shadow.served.tested_until)
    other = dict(zip(places(shadow.windows), shadow.forecast.tolist(), strict=True))
    theirs = np.array([other.get(place, math.nan) for place in places(champion.windows)])
    keep = (champion.windows.decided_at > start) & champion.known & np.isfinite(theirs)
    found = _beside(champion, theirs, keep)
    figures = {
        "shadow_bars": found.bars,
        "shadow_loss": found.other_loss,
        "champion_loss": found.loss,
        "shadow_p_value": found.test.p_value,
    }
    who = f"{shadow.served.candidate.id} in its shadow"
    if not found.bars:
        told = f"{who} cannot be compared yet: no bar newer than both tests has an outcome"
        return SlotFinding(NOTE, "shadow", told, figures)
    metric = champion.served.model.section.metric
    pair = (
        f"{who}: {metric} {found.other_loss:.4g} against the champion's {found.loss:.4g} "
        f"on the same {found.bars} bars newer than both tests"
    )
    p = f"p = {found.test.p_value:.2g}" if found.test.reason is None else found.test.reason
    return SlotFinding(NOTE, "shadow", f"{pair} ({p})", figures)
