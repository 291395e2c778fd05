"""Values of a run report: a report for each slot and its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["promoted", "refused", "champion unchanged", "waiting", "undecidable"]
Pair = tuple[float | None, float | None]


@dataclass(frozen=True)
class GateRow:
    """A gate: its name, result, finding and limit in words."""

    name: str
    result: Literal["pass", "waived", "refuse", "undecidable", "missing", "unsigned"]
    finding: str = ""
    limit: str = ""


@dataclass(frozen=True)
class TuningPoint:
    """A trial of a search: its number, family, value and state."""

    number: int
    family: str
    value: float | None = None
    state: str = "complete"


@dataclass(frozen=True)
class FoldRow:
    """A config over the folds: its short text, a value per fold, and their mean."""

    label: str
    values: Sequence[float]
    mean: float | None = None
    chosen: bool = False


@dataclass(frozen=True)
class RankRow:
    """A config or a baseline on the windows of the folds.

    Parameters
    ----------
    mean, low, high : float, optional
        Mean loss over the folds, and its 95 % block bootstrap interval.
    p_value, p_corrected : float, optional
        Diebold-Mariano p-value against the best baseline, and with Holm's correction for the
        number of configs.
    in_set : bool, optional
        Whether it is in the model confidence set; None where that is undecidable.
    """

    label: str
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    p_corrected: float | None = None
    in_set: bool | None = None
    chosen: bool = False


@dataclass(frozen=True)
class ClassRow:
    """A class of the chosen config: means and standard deviations over the folds."""

    name: str
    f1_mean: float | None = None
    f1_std: float | None = None
    recall_mean: float | None = None
    recall_std: float | None = None


@dataclass(frozen=True)
class SelectionBiasRow:
    """A figure on selection bias: its name, value and meaning."""

    name: str
    value: float | None
    meaning: str


@dataclass(frozen=True, eq=False)
class EquityCurves:
    """Equity after costs: times (T,) as datetime64 and three curves (T,)."""

    times: NDArray[Any]
    candidate: NDArray[np.float64]
    equal_weight: NDArray[np.float64]
    buy_and_hold: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SlotReport:
    """Results of a run for one slot; steps that have not run keep their defaults.

    Parameters
    ----------
    slot, task, target, dataset, metric : str
    horizon : int
    label : str
        Name of a chosen baseline; empty for a config of the search.
    tickers : sequence of str
    bars : int
    period, test_period : (from, to)
        ISO dates; test_period is the sealed test's.
    metric_direction : str
        Whether "lower" or "higher" is better; "min" and "max" are synonyms.
    verdict : str
        One of `Verdict`.
    sentence : str
        The verdict in one sentence.
    validation, test : (candidate, baseline), optional
    tuning_naive : float, optional
        Score of the best baseline on the validation windows of the search.
    trials_counted, test_looks : int
        Configs ever scored for the slot, and the place of this look among those at the sealed test.
    figures : mapping of str to float
        Further figures of a classifier on its evaluation data, by name.
    dm_statistic, dm_p_value, dm_p_adjusted : float, optional
        Diebold-Mariano against the baseline on the test, two-sided; adjusted for the look.
    distinguishable : str
        A sentence on whether the best configs are distinguishable on the folds.
    classes : sequence of ClassRow
        Classes of a classifier on the folds.
    ranking : sequence of RankRow
        The configs that were cross-validated, best first, and the baselines of the ladder.
    ladder : sequence of (label, mean)
        The baselines over the folds, best first.
    luck : sequence of SelectionBiasRow
        Selection bias of the choice among all configs; `luck_basis` is the basis of the figures.
    trading : mapping of str to mapping of str to float
        Values of measures by portfolio: "candidate", "equal weight" and "buy and hold".
    loss_by_ticker : sequence of (ticker, candidate, baseline)
    lineage, commands : sequence of str
        Ancestors of the candidate; commands to type next.
    """

    slot: str
    task: str
    target: str
    horizon: int
    dataset: str
    tickers: Sequence[str] = ()
    bars: int = 0
    period: tuple[str, str] | None = None
    test_period: tuple[str, str] | None = None
    metric: str
    metric_direction: str
    verdict: Verdict = "waiting"
    sentence: str = ""
    gates: Sequence[GateRow] = ()
    family: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    candidate: str | None = None
    version: int | None = None
    trials_counted: int = 0
    test_looks: int = 0
    naive_method: str = "naive"
    validation: Pair | None = None
    test: Pair | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    dm_statistic: float | None = None
    dm_p_value: float | None = None
    dm_p_adjusted: float | None = None
    tuning: Sequence[TuningPoint] = ()
    tuning_naive: float | None = None
    folds: Sequence[FoldRow] = ()
    folds_naive_mean: float | None = None
    distinguishable: str = ""
    ranking: Sequence[RankRow] = ()
    ladder: Sequence[tuple[str, float]] = ()
    classes: Sequence[ClassRow] = ()
    luck: Sequence[SelectionBiasRow] = ()
    luck_basis: str = ""
    equity: EquityCurves | None = None
    trading: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    costs: str = ""
    execution: str = ""
    loss_by_ticker: Sequence[tuple[str, float | None, float | None]] = ()
    lineage: Sequence[str] = ()
    commands: Sequence[str] = ()

    @property
    def forecasts(self) -> bool:
        """Whether the slot forecasts, and so has a sealed test and trades."""
        return self.task != "classify"


@dataclass(frozen=True, eq=False)
class RunReport:
    """Results of a run: its project, time, a report for each slot, and provenance."""

    project: str
    created_at: str
    slots: Sequence[SlotReport] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
