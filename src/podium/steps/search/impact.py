"""What a hyperparameter has to do with a metric, over the runs that may be compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

from podium.errors import NotFoundError, UsageError, suggest
from podium.hashing import json_text
from podium.ledger.record_reader import RecordReader
from podium.ledger.runs import Observation, observations, sort_key
from podium.record import lower_is_better
from podium.steps.workspace.project import Project

# Of 7 unrelated runs one in twenty shows a rank correlation of 0.79 or more.
ENOUGH = 8
LEVEL = 0.05
LUCK = "no more than luck would show"
USUAL = "val_pct_mae"


@dataclass(frozen=True)
class ValueGroup:
    """Runs that share a value: how many, and their mean."""

    value: Any
    n: int
    mean: float


@dataclass(frozen=True)
class HyperparameterImpact:
    """A hyperparameter and a metric.

    Parameters
    ----------
    hyperparam, family, metric : str
    kind : str
        ``numeric`` or ``categorical``.
    runs : sequence of (run id, value of the hyperparameter, value of the metric)
        Sorted by the hyperparameter; the metric is NaN where it was not finite.
    n : int
        Runs with a finite metric.
    rho : float or None
        Spearman's rank correlation, of a numeric hyperparameter.
    eta_squared : float or None
        Share of the variance of the metric's ranks that lies between the values, of a categorical
        one.
    sentence : str
        What that means, or why it cannot be told.
    left_out : sequence of str
        Runs that were not looked at, and why.
    groups : sequence of Group
        One a value, where values repeat.
    """

    hyperparam: str
    family: str
    metric: str
    kind: str
    runs: Sequence[tuple[str, Any, float]]
    n: int
    rho: float | None
    eta_squared: float | None
    sentence: str
    left_out: Sequence[str] = ()
    groups: Sequence[ValueGroup] = field(default_factory=tuple)

    @property
    def strength(self) -> float:
        """Share of the ranks' variance that goes with it; negative where that cannot be told."""
        if self.rho is not None:
            return self.rho**2
        return -1.0 if self.eta_squared is None else self.eta_squared


def impact(
    project: Project, hyperparam: str, *, family: str | None = None, metric: str | None = None
) -> HyperparameterImpact:
    """How a metric goes with one hyperparameter.

    Only runs of one family that were judged on the same data, task and split are held together:
    the most there are. Runs without a data fingerprint (logged or imported ones) are together.

    Parameters
    ----------
    hyperparam : str
    family : str, optional
        Default: the one with most runs that have the hyperparameter.
    metric : str, optional
        Default: ``val_`` and the metric of the default slot, else ``val_pct_mae``.

    Raises
    ------
    NotFoundError
        No run has the hyperparameter, the metric, or is of the family.
    """
    reader = project.reader
    chosen = metric or _default_metric(project, reader)
    found = _observed(reader, chosen, family)
    having = [run for run in found if hyperparam in run.config]
    if not having:
        known = {name for run in found for name in run.config}
        raise NotFoundError(
            f"no run with {chosen} has a hyperparameter '{hyperparam}'",
            fix=suggest(hyperparam, known),
        )
    kept, left_out = _comparable(having)
    if len(having) < len(found):
        told = f"{_runs(len(found) - len(having))} without {hyperparam}"
        left_out = [told, *left_out]
    return _impact(hyperparam, chosen, kept, project.config.metrics, left_out)


def impacts(
    project: Project, *, family: str | None = None, metric: str | None = None
) -> list[HyperparameterImpact]:
    """Every hyperparameter of the comparable runs, the one that matters most first.

    The more there are, the more one of them must show to be more than luck.

    Raises
    ------
    NotFoundError
        No run has the metric, or is of the family.
    """
    reader = project.reader
    chosen = metric or _default_metric(project, reader)
    kept, left_out = _comparable(_observed(reader, chosen, family))
    return ranked(kept, chosen, project.config.metrics, left_out)


def ranked(
    runs: Sequence[Observation],
    metric: str,
    declared: Mapping[str, str],
    left_out: Sequence[str] = (),
) -> list[HyperparameterImpact]:
    """Every hyperparameter of runs on the same grounds, the one that matters most first.

    Parameters
    ----------
    declared : mapping of metric to ``min`` or ``max``
        As ``[metrics]`` of podium.toml.
    """
    names = dict.fromkeys(name for run in runs for name in run.config)
    found = [
        _impact(
            name,
            metric,
            [run for run in runs if name in run.config],
            declared,
            left_out,
            looks=len(names),
        )
        for name in names
    ]
    return sorted(found, key=lambda one: -one.strength)


def _default_metric(project: Project, reader: RecordReader) -> str:
    slots = project.config.slots
    name = project.config.root_slot
    known = reader.metrics() if reader.exists else []
    wanted = [f"val_{slots[name].metric}"] if name else []
    for metric in [*wanted, USUAL]:
        if metric in known:
            return metric
    if not known:
        raise NotFoundError(
            "no run is on record yet", fix="run: podium tune, or log one: HyperparamTracker.log_run"
        )
    raise UsageError("no metric was named", "--metric with one of: " + ", ".join(known))


def _observed(reader: RecordReader, metric: str, family: str | None) -> list[Observation]:
    found = observations(reader, metric) if reader.exists else []
    if not found:
        known = reader.metrics() if reader.exists else []
        raise NotFoundError(f"no run has the metric '{metric}'", fix=suggest(metric, known))
    if family is None:
        return found
    mine = [run for run in found if run.family == family]
    if not mine:
        known_families = {run.family for run in found}
        raise NotFoundError(
            f"no run of '{family}' has {metric}", fix=suggest(family, known_families)
        )
    return mine


def _comparable(found: Sequence[Observation]) -> tuple[list[Observation], list[str]]:
    """The most runs of one family on the same grounds, and who is not among them."""
    groups = Counter((run.family, run.grounds) for run in found)
    [((family, grounds), _)] = groups.most_common(1)
    left_out = []
    for other, count in Counter(run.family for run in found if run.family != family).items():
        left_out.append(f"{_runs(count)} of {other} (--family {other})")
    elsewhere = sum(n for (name, on), n in groups.items() if name == family and on != grounds)
    if elsewhere:
        left_out.append(f"{_runs(elsewhere)} of {family} on other data, another task or split")
    return [run for run in found if (run.family, run.grounds) == (family, grounds)], left_out


def _impact(
    hyperparam: str,
    metric: str,
    found: Sequence[Observation],
    declared: Mapping[str, str],
    left_out: Sequence[str],
    looks: int = 1,
) -> HyperparameterImpact:
    ordered = sorted(found, key=lambda run: sort_key(run.config[hyperparam]))
    finite = [run for run in ordered if not math.isnan(run.value)]
    values = [run.config[hyperparam] for run in finite]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    scores, level = [run.value for run in finite], LEVEL / looks
    rho = eta = None
    if numeric:
        rho, sentence = _rank_correlation(values, scores, metric, declared, level)
    else:
        eta, sentence = _between(values, scores, level)
    missing = len(ordered) - len(finite)
    return HyperparameterImpact(
        hyperparam=hyperparam,
        family=found[0].family,
        metric=metric,
        kind="numeric" if numeric else "categorical",
        runs=[(run.run_id, run.config[hyperparam], run.value) for run in ordered],
        n=len(finite),
        rho=rho,
        eta_squared=eta,
        sentence=sentence,
        left_out=[*left_out, *([f"{_runs(missing)} without a finite {metric}"] if missing else [])],
        groups=_groups(finite, hyperparam),
    )


def _groups(found: Sequence[Observation], hyperparam: str) -> list[ValueGroup]:
    """Mean of each value, where at least two runs share one."""
    by_value: dict[str, list[Observation]] = {}
    for run in found:
        by_value.setdefault(json_text(run.config[hyperparam]), []).append(run)
    if len(by_value) == len(found):
        return []
    return [
        ValueGroup(
            runs[0].config[hyperparam], len(runs), math.fsum(r.value for r in runs) / len(runs)
        )
        for runs in by_value.values()
    ]


def _rank_correlation(
    values: Sequence[float],
    scores: Sequence[float],
    metric: str,
    declared: Mapping[str, str],
    level: float,
) -> tuple[float | None, str]:
    n = len(values)
    if why := _too_little(values, scores):
        return None, why
    from scipy.stats import spearmanr

    rho = float(spearmanr(values, scores).statistic)
    told = f"rank correlation {rho:+.2f} over {n} runs"
    # Of unrelated runs a share of this level is beyond.
    if abs(rho) * math.sqrt(n - 1) < NormalDist().inv_cdf(1 - level / 2):
        return rho, f"{told}: {LUCK}"
    way = "higher" if rho > 0 else "lower"
    try:
        better = lower_is_better(metric, declared) == (rho < 0)
    except UsageError:
        return rho, f"{told}: higher values go with {way} {metric}"
    return rho, (
        f"{told}: higher values go with {way} {metric}, which is {'better' if better else 'worse'}"
    )


def _between(
    values: Sequence[Any], scores: Sequence[float], level: float
) -> tuple[float | None, str]:
    """Share of the variance of ranks between the values; ranks, so one diverged run is one rank."""
    named = [json_text(value) for value in values]
    n, k = len(named), len(set(named))
    if why := _too_little(named, scores):
        return None, why
    if n < 2 * k:
        return None, f"too few runs ({n}) for {k} values"
    from scipy.stats import chi2, rankdata

    ranks = rankdata(scores)
    center = ranks.mean()
    between = 0.0
    for value in set(named):
        mine = ranks[[name == value for name in named]]
        between += len(mine) * float(mine.mean() - center) ** 2
    eta = between / float(((ranks - center) ** 2).sum())
    told = f"eta squared {eta:.2f} over {n} runs with {k} values"
    # Kruskal and Wallis' test is this share times n - 1.
    return eta, told if chi2.sf(eta * (n - 1), k - 1) < level else f"{told}: {LUCK}"


def _too_little(values: Sequence[Any], scores: Sequence[float]) -> str:
    """Why nothing can be told; empty when something can."""
    if len(values) < ENOUGH:
        return f"too few runs ({len(values)})"
    if len(set(values)) == 1:
        return f"one value only: {values[0]}"
    if len(set(scores)) == 1:
        return "all runs came to the same"
    return ""


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
