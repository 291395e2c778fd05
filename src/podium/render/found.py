"""What a run found, as values: a report for each slot and its parts."""

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
    """One gate's answer: its name, the result, what was found and the limit in words."""

    name: str
    result: Literal["pass", "waived", "refuse", "undecidable", "missing", "unsigned"]
    finding: str = ""
    limit: str = ""


@dataclass(frozen=True)
class TuningPoint:
    """One trial of a search: its number, family, value (None without one) and state."""

    number: int
    family: str
    value: float | None = None
    state: str = "complete"


@dataclass(frozen=True)
class FoldRow:
    """One config over the folds: its short text, a value a fold, their mean, if it was chosen."""

    label: str
    values: Sequence[float]
    mean: float | None = None
    chosen: bool = False


@dataclass(frozen=True)
class RankRow:
    """One config or the best naive one on the folds' windows.

    Parameters
    ----------
    mean, low, high : float, optional
        Mean loss over the folds, and its 95 per cent block bootstrap interval.
    p_value, p_corrected : float, optional
        Diebold-Mariano against naive, and after Holm's correction for the number of configs.
    in_set : bool, optional
        Whether it cannot be told from the best; None where that is undecidable.
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
    """One class of the chosen config: means and spreads over the folds."""

    name: str
    f1_mean: float | None = None
    f1_std: float | None = None
    recall_mean: float | None = None
    recall_std: float | None = None


@dataclass(frozen=True)
class SelectionBiasRow:
    """One figure on the luck in a choice: what it is, its value, and how to read it."""

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
    """What a run found for one slot; what has not run yet keeps its default.

    Parameters
    ----------
    slot, task, target, dataset, metric : str
    horizon : int
    tickers : sequence of str
    bars : int
    period, test_period : (from, to)
        ISO dates; test_period is the sealed test's.
    metric_direction : str
        "lower" or "higher" is better ("min" and "max" are read the same way).
    verdict : str
        One of `Verdict`.
    sentence : str
        The verdict for people.
    validation, test : (candidate, naive), optional
    tuning_naive : float, optional
        The best naive method on the windows the search was judged on.
    trials_counted, test_looks : int
        Configs ever looked at for the slot, and looks at the sealed test.
    dm_statistic, dm_p_value, dm_p_adjusted : float, optional
        Diebold-Mariano against naive on the test; adjusted for the looks.
    distinguishable : str
        A sentence on which configs the folds can tell apart.
    classes : sequence of ClassRow
        Of a classifier, on the folds.
    ranking : sequence of RankRow
        The configs that were cross-validated, best first, and naive.
    luck : sequence of LuckRow
        What the choice among all configs is worth; `luck_basis` says what was reckoned with.
    trading : mapping of str to mapping of str to float
        By "candidate", "equal weight" and "buy and hold": a measure's value.
    loss_by_ticker : sequence of (ticker, candidate, naive)
    lineage, commands : sequence of str
        Where the candidate comes from; what to type next.
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
    candidate: str | None = None
    version: int | None = None
    trials_counted: int = 0
    test_looks: int = 0
    naive_method: str = "naive"
    validation: Pair | None = None
    test: Pair | None = None
    dm_statistic: float | None = None
    dm_p_value: float | None = None
    dm_p_adjusted: float | None = None
    tuning: Sequence[TuningPoint] = ()
    tuning_naive: float | None = None
    folds: Sequence[FoldRow] = ()
    folds_naive_mean: float | None = None
    distinguishable: str = ""
    ranking: Sequence[RankRow] = ()
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
        """Whether the slot forecasts, and so has a test in time, and trades."""
        return self.task != "classify"


@dataclass(frozen=True, eq=False)
class RunReport:
    """What a run found: its project, when, a report for each slot, and where it comes from."""

    project: str
    created_at: str
    slots: Sequence[SlotReport] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
