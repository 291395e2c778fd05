"""What searching, cross-validating and choosing come to: values, apart from the verbs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from podium.arrays import Floats
from podium.errors import NotFoundError
from podium.ledger import reads
from podium.ledger.reads import TrialRow
from podium.ledger.warm_start import KNOWN
from podium.render.blocks import short
from podium.render.table import escape, html
from podium.space import ConfigDict
from podium.split import Split
from podium.stats import DieboldMariano
from podium.steps.evidence.selection_bias import Ranking, SelectionBias
from podium.steps.trials import baselines
from podium.steps.trials.context import StudyContext
from podium.steps.trials.driver import best_of
from podium.steps.trials.finalists import Finalist, winner
from podium.steps.trials.objectives import feasible
from podium.steps.trials.schedule import as_pruned, pruned_by
from podium.study import Study
from podium.tasks._base import TaskData
from podium.tasks.forecast import SlotData
from podium.trial import BASELINE, State

if TYPE_CHECKING:
    import pandas as pd

# How many of the best trials a notebook shows.
SHOWN = 10


@dataclass(frozen=True, eq=False)
class SearchResult:
    """A finished search: the result of ``tune``, ``grid``, ``sweep`` and ``search``.

    A notebook shows it as a table of its best trials.

    Parameters
    ----------
    study : Study
    data : TaskData
    split : Split
        What configs are compared on.
    trials : list of TrialRow
        In the order of their numbers, after those that were on record before; failed ones are
        among them.
    best : TrialRow
        Best trial in the metric's direction, among the feasible ones: by the mean over the seeds
        where there are finalists, else by the score.
    baselines : list of TrialRow
        Every baseline on the same windows; empty for own code.
    reference : TrialRow or None
        Best baseline; None for own code, which has none.
    feasible : set of str
        Ids of the trials that meet ``tune.where``; the others are kept and never win.
    metrics : mapping of trial id to mapping of name to value
        Every metric on record of each trial and baseline, as in ``val_mae``.
    values : mapping of trial id to mapping of metric to value
        Every metric of ``tune.metric``; empty where there is one.
    finalists : list of Finalist
        The best configs with several seeds, best mean first; `best` is the first of them.
    given : mapping of parameter to setting
        Settings of ``tune`` beside ``[space]``.
    epochs : mapping of trial id to int
        Epoch of a score of own code; missing where the score was printed at the end.
    trained : int
        How many trials of a grid are new; the others were on record.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import podium
    >>> from podium.steps.archive.init import init
    >>> folder = tempfile.TemporaryDirectory()
    >>> found = podium.search(
    ...     lambda x: (x - 2) ** 2, {"x": [1, 2, 4]}, name="parabola",
    ...     direction="min", trials=3, search="grid",
    ...     project=init(Path(folder.name) / "demo"),
    ... )
    >>> found.best.config, found.best.score
    ({'x': 2}, 0.0)
    >>> found.frame()[["number", "state", "score", "config.x"]]
       number     state  score  config.x
    0       0  complete    1.0         1
    1       1  complete    0.0         2
    2       2  complete    4.0         4
    >>> folder.cleanup()
    """

    study: Study
    data: TaskData
    split: Split
    trials: Sequence[TrialRow]
    best: TrialRow
    baselines: Sequence[TrialRow]
    reference: TrialRow | None
    feasible: Collection[str]
    metrics: Mapping[str, Mapping[str, float]]
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    finalists: Sequence[Finalist] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)
    trained: int = 0

    @property
    def metric(self) -> str:
        """What trials are judged by."""
        return str(self.data.section.metric)

    @property
    def eligible(self) -> list[TrialRow]:
        """Trials that may win."""
        return [row for row in self.trials if row.id in self.feasible]

    @property
    def failed(self) -> list[TrialRow]:
        """Trials that gave no score."""
        return [row for row in self.trials if row.state is State.FAILED]

    @property
    def best_score(self) -> float:
        """Score of the best trial: the mean over the seeds where there are finalists."""
        best = winner(self.finalists)
        return best.mean if best else self.best.score

    @property
    def reference_score(self) -> float | None:
        """Score of the best baseline; None where there is none."""
        return self.reference.score if self.reference else None

    @property
    def summary(self) -> str:
        """Best trial and best baseline: ``best 0.12 (lstm), naive 0.15 (mse on validation)``."""
        naive = f", naive {self.reference.score:.4g}" if self.reference else ""
        return (
            f"best {self.best_score:.4g} ({self.best.family}){naive} ({self.metric} on validation)"
        )

    @property
    def ranked(self) -> list[TrialRow]:
        """Trials, best first: the finalists in their order, then by the score; failed ones last."""
        sign = self.data.direction.sign
        place = {one.row.id: n for n, one in enumerate(self.finalists)}
        return sorted(
            self.trials,
            key=lambda row: (
                place.get(row.id, len(place)),
                math.isnan(row.score),
                sign * row.score,
            ),
        )

    @property
    def forecast(self) -> SlotData:
        """Data of a slot that forecasts, for steps that have made sure it does."""
        assert isinstance(self.data, SlotData)
        return self.data

    def with_finals(self, finalists: Sequence[Finalist]) -> SearchResult:
        """The same with finalists; the best of them, where one is whole, is the best trial."""
        best = winner(finalists)
        return replace(self, finalists=finalists, best=best.row if best else self.best)

    def frame(self) -> pd.DataFrame:
        """One row a trial, then one a baseline.

        Returns
        -------
        DataFrame
            ``id number phase family state score epochs seconds feasible baseline``, then
            ``config.NAME`` for each parameter and ``metrics.NAME`` for each metric on record.
            ``score`` is NaN where a trial failed or was given up, ``seconds`` is the time of its
            training, and ``feasible`` is NA for baselines, which never win.
        """
        import pandas as pd

        rows = [*self.trials, *self.baselines]
        facts = ("id", "number", "phase", "family", "state", "score", "epochs", "seconds")
        frame = pd.DataFrame({name: [getattr(row, name) for row in rows] for name in facts})
        frame["state"] = frame["state"].astype(str)
        frame["baseline"] = [row.phase == BASELINE for row in rows]
        feasible = frame["id"].isin(self.feasible).astype("boolean")
        frame.insert(len(facts), "feasible", feasible.mask(frame["baseline"]))
        configs = pd.DataFrame([row.config for row in rows]).add_prefix("config.")
        metrics = pd.DataFrame([self.metrics.get(row.id, {}) for row in rows])
        return pd.concat([frame, configs, metrics.add_prefix("metrics.")], axis=1)

    def _repr_html_(self) -> str:
        """The best trials as a table, for notebooks."""
        title = f"{self.data.slot}: {len(self.trials)} trials; {self.summary}"
        rows = [
            [row.id, row.family, row.score, row.state, short(row.config)]
            for row in self.ranked[:SHOWN]
        ]
        table = html(["trial", "family", self.metric, "state", "config"], rows)
        return f"<p>{escape(title)}</p>\n{table}"


def searched(context: StudyContext, phase: str) -> list[TrialRow]:
    """Trials of a study, those on record before it first; a trial that it gave up is pruned.

    A config that the study had asked for twice, or that was on record before, is one trial.
    """
    dropped = pruned_by(context)
    rows = [
        as_pruned(row, dropped[row.id]) if row.id in dropped else row
        for row in context.rows(KNOWN, phase)
    ]
    # Of a search that was ended early the others never began.
    ended = [row for row in rows if row.state.ended]
    asked = {row.id for row in ended if row.phase != KNOWN}
    once = {row.id: row for row in ended if row.phase != KNOWN or row.id not in asked}
    return context.scored([*once.values()])


def result_of(
    context: StudyContext, verb: str, trials: Sequence[TrialRow], where: str = ""
) -> SearchResult:
    """The best of some trials beside the best baseline of their study.

    Parameters
    ----------
    where : str
        A filter that the best trial must meet.

    Raises
    ------
    NotFoundError
        No trial is complete, or none meets the filter.
    """
    project, slot, way = context.project, context.slot, context.data.direction
    good = feasible(project, where, trials)
    if trials and not good:
        raise NotFoundError(
            f"none of the {len(trials)} trials of {slot} meets '{where}'",
            fix="loosen --where, or search on; what they came to: podium list trials",
        )
    if len(good) < len(trials):
        told = f"{len(trials) - len(good)} of {len(trials)} trials do not meet '{where}'"
        project.reporter.say(f"{slot}: {told}; they are kept and cannot win")
    beside = baselines.rows_of(context)
    best = best_of([row for row in trials if row.id in good], slot, verb, way)
    reference = best_of(beside, slot, verb, way) if beside else None
    metrics: dict[str, dict[str, float]] = {}
    ids = [row.id for row in (*trials, *beside)]
    for id_, name, value in project.ledger.read(reads.results, ids):
        metrics.setdefault(id_, {})[name] = value
    return SearchResult(
        context.study, context.data, context.split, trials, best, beside, reference, good, metrics
    )


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
class FoldScores:
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
class CrossValidation:
    """All configs that were extended, best first, and the baselines likewise.

    Parameters
    ----------
    folder : Path, optional
        Where the slot's ``extended_training_results/`` are.
    """

    tuned: SearchResult
    split: Split
    configs: Sequence[FoldScores]
    baselines: Sequence[FoldScores]
    folder: Path | None = None


@dataclass(frozen=True, eq=False)
class Analysis:
    """The chosen config and why.

    Parameters
    ----------
    chosen : FoldScores
    reference : FoldScores
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

    extension: CrossValidation
    chosen: FoldScores
    reference: FoldScores
    against_naive: DieboldMariano
    looked_at: int
    ranking: Ranking
    luck: SelectionBias
    reason: str
    distinguishable: str
    files: Sequence[Path] = ()
