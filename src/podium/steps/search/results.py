"""What searching, cross-validating and choosing come to: values, apart from the verbs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from podium.arrays import Floats
from podium.ledger.reads import TrialRow
from podium.space import ConfigDict
from podium.split import Split
from podium.stats import DieboldMariano
from podium.steps.data.bars import SlotData
from podium.steps.data.sequences import TaskData
from podium.steps.evidence.selection_bias import Luck, Ranking
from podium.steps.trials.finalists import Finalist
from podium.study import Study


@dataclass(frozen=True, eq=False)
class Tuned:
    """A finished search.

    Parameters
    ----------
    trials : list of TrialRow
        In the order asked, after those that were on record before; failed ones are among them.
    baselines : list of TrialRow
        Every baseline on the same windows.
    best, reference : TrialRow
        Best trial and best baseline on validation, in the metric's direction; the trial among the
        feasible ones, by the mean over the seeds where there are finalists, else by the score.
    feasible : set of str
        Ids of the trials that meet ``tune.where``; the others are kept and never win.
    values : mapping of trial id to mapping of metric to value
        Every metric of ``tune.metric``; empty where there is one.
    finalists : list of Finalist
        The best configs with several seeds, best mean first; `best` is the first of them.
    given : mapping of parameter to setting
        What the search was given beside ``[space]``.
    """

    study: Study
    data: TaskData
    split: Split
    trials: Sequence[TrialRow]
    baselines: Sequence[TrialRow]
    best: TrialRow
    reference: TrialRow
    feasible: Collection[str]
    values: Mapping[str, Mapping[str, float]]
    finalists: Sequence[Finalist] = ()
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def eligible(self) -> list[TrialRow]:
        """Trials that may win."""
        return [row for row in self.trials if row.id in self.feasible]

    @property
    def forecast(self) -> SlotData:
        """Data of a slot that forecasts, for steps that have made sure it does."""
        assert isinstance(self.data, SlotData)
        return self.data


@dataclass(frozen=True, eq=False)
class ClassScores:
    """One class over all folds.

    Parameters
    ----------
    f1, recall : (folds,) float
        NaN for a fold that validates no sample of the class.
    """

    name: str
    f1: Floats
    recall: Floats

    def figures(self) -> dict[str, float]:
        """Mean and standard deviation over the folds."""
        return {
            f"{what}_{label}": float(figure)
            for what, values in (("f1", self.f1), ("recall", self.recall))
            for label, figure in (
                ("mean", np.nanmean(values)),
                ("std", np.nanstd(values, ddof=1)),
            )
        }


@dataclass(frozen=True, eq=False)
class Extended:
    """One config over all folds.

    Parameters
    ----------
    tuning_score : float
        What the search saw of it, for comparison.
    folds : list of TrialRow, one a fold
    losses : (W,) float32
        Loss of every validation sample, fold by fold.
    units : (W,) int
        Which independent unit each one is of: the second since 1970 of a decision, a group.
    epochs : int
        Epoch at which the mean validation curve over the folds is best; 0 where no curve was
        reported.
    repeats : int
        In how many folds each window validates.
    classes : sequence of ClassScores
        Empty where numbers are predicted.
    """

    family: str
    config: ConfigDict
    tuning_score: float
    folds: Sequence[TrialRow]
    losses: Floats
    units: Floats
    epochs: int
    repeats: int = 1
    classes: Sequence[ClassScores] = ()

    @property
    def scores(self) -> list[float]:
        """Score of each fold."""
        return [row.score for row in self.folds]

    @property
    def mean(self) -> float:
        """Mean over the folds; NaN when one failed."""
        return float(np.mean(self.scores))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean over the folds.

        Folds that validate the same windows count as often as there are windows of their own.
        """
        independent = len(self.scores) / self.repeats
        return float(np.std(self.scores, ddof=1) / math.sqrt(independent))


@dataclass(frozen=True, eq=False)
class Extension:
    """All configs that were extended, best first, and the baselines likewise.

    Parameters
    ----------
    folder : Path, optional
        Where the slot's ``extended_training_results/`` are.
    """

    tuned: Tuned
    split: Split
    configs: Sequence[Extended]
    baselines: Sequence[Extended]
    folder: Path | None = None


@dataclass(frozen=True, eq=False)
class Analysis:
    """The chosen config and why.

    Parameters
    ----------
    chosen : Extended
    reference : Extended
        Best baseline over the same folds.
    against_naive : DieboldMariano
        Chosen against the reference on the folds' windows.
    looked_at : int
        Distinct configs ever looked at for this slot on an overlapping validation interval.
    ranking : Ranking
        The extended configs, best first, and the reference: intervals, tests, confidence set.
    luck : Luck
        What the choice among all that were looked at is worth.
    reason, distinguishable : str
        Sentences: why this one, and whether it can be told from the next.
    files : sequence of Path
        ``best_config.json`` and ``analysis_plots/``, where they are wanted.
    """

    extension: Extension
    chosen: Extended
    reference: Extended
    against_naive: DieboldMariano
    looked_at: int
    ranking: Ranking
    luck: Luck
    reason: str
    distinguishable: str
    files: Sequence[Path] = ()
