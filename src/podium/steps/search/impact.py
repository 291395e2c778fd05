"""Association of a hyperparameter with a metric over comparable runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean
from typing import Any

import numpy as np

from podium.arrays import Floats
from podium.errors import NotFoundError, UsageError, suggest
from podium.hashing import json_text
from podium.ledger.record_reader import RecordReader
from podium.ledger.runs import Observation, observations, sort_key
from podium.record import lower_is_better
from podium.render.answer import Answer
from podium.render.table import counted
from podium.steps.workspace.project import Project

# Of 7 unrelated runs one in twenty shows a rank correlation of 0.79 or more.
ENOUGH = 8
LEVEL = 0.05
CHANCE = "no more than chance would show"
USUAL = "val_pct_mae"


@dataclass(frozen=True)
class ValueGroup:
    """Runs that share a value: their number and their mean."""

    value: Any
    n: int
    mean: float


@dataclass(frozen=True)
class HyperparameterImpact(Answer):
    """Association of a hyperparameter with a metric: the result of ``impact``.

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
    finding : str
        The association in words, or why it is undecidable.
    left_out : sequence of str
        Excluded runs with the reasons.
    groups : sequence of ValueGroup
        One for each value, where values repeat.
    """

    hyperparam: str
    family: str
    metric: str
    kind: str
    runs: Sequence[tuple[str, Any, float]]
    n: int
    rho: float | None
    eta_squared: float | None
    finding: str
    left_out: Sequence[str] = ()
    groups: Sequence[ValueGroup] = field(default_factory=tuple)

    @property
    def strength(self) -> float:
        """Explained share of the ranks' variance; negative where it is undecidable."""
        if self.rho is not None:
            return self.rho**2
        return -1.0 if self.eta_squared is None else self.eta_squared

    @property
    def is_evident(self) -> bool:
        """Whether the association is more than chance would show."""
        return self.strength >= 0 and CHANCE not in self.finding

    @property
    def sentence(self) -> str:
        """The family, the hyperparameter, the metric and the finding."""
        return f"{self.family}: {self.hyperparam} and {self.metric}: {self.finding}"

    def rows(self) -> list[dict[str, Any]]:
        """Mean of each value, or the runs where no value repeats."""
        name, metric = self.hyperparam, self.metric
        if self.groups:
            return [{name: of.value, f"mean {metric}": of.mean, "n": of.n} for of in self.groups]
        return [{"run_id": id_, name: value, metric: score} for id_, value, score in self.runs]


def impact(
    project: Project, hyperparam: str, *, family: str | None = None, metric: str | None = None
) -> HyperparameterImpact:
    """Association of a metric with one hyperparameter.

    Runs are comparable if they are of one family and judged on the same data, task and split; the
    largest such group is used. Runs without a data fingerprint (logged or imported ones) are one
    group.

    Parameters
    ----------
    hyperparam : str
    family : str, optional
        Default: the family with most runs that have the hyperparameter.
    metric : str, optional
        Default: ``val_`` and the metric of the default slot, else ``val_pct_mae``.

    Returns
    -------
    HyperparameterImpact

    Raises
    ------
    NotFoundError
        No run has the hyperparameter, the metric, or is of the family.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.impact("lstm_units").sentence
    'lstm: lstm_units and val_mse: rank correlation +0.12 over 24 runs: no more than chance ...'
    """
    reader = project.reader
    chosen = metric or _default_metric(project, reader)
    runs = _observed(reader, chosen, family)
    having = [run for run in runs if hyperparam in run.config]
    if not having:
        near = suggest(hyperparam, {name for run in runs for name in run.config})
        raise NotFoundError(f"no run with {chosen} has a hyperparameter '{hyperparam}'", fix=near)
    comparable, left_out = _comparable(having)
    if len(having) < len(runs):
        left_out = [f"{counted(len(runs) - len(having), 'run')} without {hyperparam}", *left_out]
    return _impact(hyperparam, chosen, comparable, project.config.metrics, left_out)


def impacts(
    project: Project, *, family: str | None = None, metric: str | None = None
) -> list[HyperparameterImpact]:
    """Every hyperparameter of the comparable runs, the strongest association first.

    The level of each test is divided by the number of hyperparameters.

    Raises
    ------
    NotFoundError
        No run has the metric, or is of the family.
    """
    reader = project.reader
    chosen = metric or _default_metric(project, reader)
    comparable, left_out = _comparable(_observed(reader, chosen, family))
    return ranked(comparable, chosen, project.config.metrics, left_out)


def ranked(
    runs: Sequence[Observation],
    metric: str,
    declared: Mapping[str, str],
    left_out: Sequence[str] = (),
) -> list[HyperparameterImpact]:
    """Every hyperparameter of comparable runs, the strongest association first.

    Parameters
    ----------
    declared : mapping of metric to ``min`` or ``max``
        As ``[metrics]`` of podium.toml.
    """
    names = dict.fromkeys(name for run in runs for name in run.config)
    impacts_ = []
    for name in names:
        having = [run for run in runs if name in run.config]
        impacts_.append(_impact(name, metric, having, declared, left_out, looks=len(names)))
    return sorted(impacts_, key=lambda one: -one.strength)


def fair_epoch(trials: Sequence[tuple[int, bool]]) -> int:
    """Last epoch that at least half of some trials reached, and as many as a test needs.

    A schedule leaves few trials at its last rung, and the first epoch says little.

    Parameters
    ----------
    trials : sequence of (epochs, whether the trial is complete)
        A complete trial counts as having reached every epoch, also where it stopped early.

    Returns
    -------
    int
        0: that many are complete, so their final scores are comparable.

    Examples
    --------
    >>> fair_epoch([(1, False)] * 12 + [(2, False)] * 6 + [(4, False)] * 3 + [(12, True)] * 3)
    2
    >>> fair_epoch([(1, False), (12, True), (12, True)] * 4)
    0
    """
    reached = sorted((math.inf if whole else epochs for epochs, whole in trials), reverse=True)
    if not reached:
        return 0
    last = reached[min(len(reached), max(ENOUGH, math.ceil(len(reached) / 2))) - 1]
    return 0 if math.isinf(last) else int(last)


def _default_metric(project: Project, reader: RecordReader) -> str:
    slots = project.config.slots
    name = project.config.root_slot
    known = reader.metrics() if reader.exists else []
    own = [f"val_{slots[name].metric}"] if name else []
    for metric in [*own, USUAL]:
        if metric in known:
            return metric
    if not known:
        raise NotFoundError(
            "no run is on record yet", fix="run: podium tune, or log one: HyperparamTracker.log_run"
        )
    raise UsageError("no metric is set", "--metric with one of: " + ", ".join(known))


def _observed(reader: RecordReader, metric: str, family: str | None) -> list[Observation]:
    runs = observations(reader, metric) if reader.exists else []
    if not runs:
        known = reader.metrics() if reader.exists else []
        raise NotFoundError(f"no run has the metric '{metric}'", fix=suggest(metric, known))
    if family is None:
        return runs
    mine = [run for run in runs if run.family == family]
    if not mine:
        near = suggest(family, {run.family for run in runs})
        raise NotFoundError(f"no run of '{family}' has {metric}", fix=near)
    return mine


def _comparable(runs: Sequence[Observation]) -> tuple[list[Observation], list[str]]:
    """The largest group of comparable runs, and the excluded runs in words."""
    groups = Counter((run.family, run.grounds) for run in runs)
    [((family, grounds), _)] = groups.most_common(1)
    left_out = []
    for other, count in Counter(run.family for run in runs if run.family != family).items():
        left_out.append(f"{counted(count, 'run')} of {other} (--family {other})")
    elsewhere = sum(n for (name, on), n in groups.items() if name == family and on != grounds)
    if elsewhere:
        mine = f"{counted(elsewhere, 'run')} of {family}"
        left_out.append(f"{mine} on other data, another task or split")
    return [run for run in runs if (run.family, run.grounds) == (family, grounds)], left_out


def _impact(
    hyperparam: str,
    metric: str,
    runs: Sequence[Observation],
    declared: Mapping[str, str],
    left_out: Sequence[str],
    looks: int = 1,
) -> HyperparameterImpact:
    ordered = sorted(runs, key=lambda run: sort_key(run.config[hyperparam]))
    finite = [run for run in ordered if not math.isnan(run.value)]
    values = [run.config[hyperparam] for run in finite]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    scores, level = [run.value for run in finite], LEVEL / looks
    rho = eta = None
    if numeric:
        rho, finding = _rank_correlation(values, scores, metric, declared, level)
    else:
        eta, finding = _between(values, scores, level)
    if missing := len(ordered) - len(finite):
        left_out = [*left_out, f"{counted(missing, 'run')} without a finite {metric}"]
    return HyperparameterImpact(
        hyperparam=hyperparam,
        family=runs[0].family,
        metric=metric,
        kind="numeric" if numeric else "categorical",
        runs=[(run.run_id, run.config[hyperparam], run.value) for run in ordered],
        n=len(finite),
        rho=rho,
        eta_squared=eta,
        finding=finding,
        left_out=left_out,
        groups=_groups(finite, hyperparam),
    )


def _groups(runs: Sequence[Observation], hyperparam: str) -> list[ValueGroup]:
    """Mean of each value; empty where all values differ."""
    by_value: dict[str, list[Observation]] = {}
    for run in runs:
        by_value.setdefault(json_text(run.config[hyperparam]), []).append(run)
    if len(by_value) == len(runs):
        return []
    groups = by_value.values()
    return [ValueGroup(g[0].config[hyperparam], len(g), fmean(r.value for r in g)) for g in groups]


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
    rho = float(np.corrcoef(_ranks(values), _ranks(scores))[0, 1])
    correlation = f"rank correlation {rho:+.2f} over {n} runs"
    if abs(rho) * math.sqrt(n - 1) < NormalDist().inv_cdf(1 - level / 2):
        return rho, f"{correlation}: {CHANCE}"
    finding = f"{correlation}: higher values go with {'higher' if rho > 0 else 'lower'} {metric}"
    try:
        better = lower_is_better(metric, declared) == (rho < 0)
    except UsageError:
        return rho, finding
    return rho, f"{finding}, which is {'better' if better else 'worse'}"


def _between(
    values: Sequence[Any], scores: Sequence[float], level: float
) -> tuple[float | None, str]:
    """Share of the variance of ranks between the values; a diverged run counts as one rank."""
    named = [json_text(value) for value in values]
    n, k = len(named), len(set(named))
    if why := _too_little(named, scores):
        return None, why
    if n < 2 * k:
        return None, f"too few runs: {n}, and {2 * k} are needed for {k} values"
    # scipy.stats has it too, and takes longer to import than a report of 1,000 runs.
    from scipy.special import chdtrc

    ranks = _ranks(scores)
    center = ranks.mean()
    between = 0.0
    for value in set(named):
        mine = ranks[[name == value for name in named]]
        between += len(mine) * float(mine.mean() - center) ** 2
    eta = between / float(((ranks - center) ** 2).sum())
    share = f"eta squared {eta:.2f} over {n} runs with {k} values"
    # Kruskal and Wallis' test is this share times n - 1.
    return eta, share if chdtrc(k - 1, eta * (n - 1)) < level else f"{share}: {CHANCE}"


def _ranks(values: Sequence[float]) -> Floats:
    """Ranks from 1; equal values have the mean of theirs."""
    _, place, count = np.unique(np.asarray(values, float), return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks


def _too_little(values: Sequence[Any], scores: Sequence[float]) -> str:
    """Why the association is undecidable; empty where it is not."""
    if len(values) < ENOUGH:
        return f"too few runs: {len(values)}, and {ENOUGH} are needed"
    if len(set(values)) == 1:
        return f"one value only: {values[0]}"
    if len(set(scores)) == 1:
        return "all runs have the same metric"
    return ""
