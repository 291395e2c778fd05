"""Results of a search, of a cross-validation and of an analysis."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from podium.arrays import Floats
from podium.errors import NotFoundError
from podium.ledger import reads
from podium.ledger.reads import TrialRow
from podium.ledger.warm_start import KNOWN
from podium.record import finite_or_none
from podium.registry import Direction
from podium.render.answer import Answer, against, differing, varying
from podium.render.blocks import distinction, interval, short
from podium.render.table import counted, number, p_clause, p_value
from podium.render.values import RankRow
from podium.space import ConfigDict
from podium.split import Split
from podium.stats import DieboldMariano
from podium.steps.evidence.selection_bias import Ranking, SelectionBias
from podium.steps.trials import baselines
from podium.steps.trials.context import StudyContext
from podium.steps.trials.driver import best_of
from podium.steps.trials.finalists import Finalist, winner
from podium.steps.trials.objectives import feasible, pareto
from podium.steps.trials.schedule import as_pruned, pruned_by
from podium.study import Study
from podium.tasks._base import TaskData
from podium.tasks.forecast import SlotData
from podium.trial import BASELINE, State

if TYPE_CHECKING:
    import pandas as pd

# Trials in the table of a search.
SHOWN = 10


@dataclass(frozen=True, eq=False)
class SearchResult(Answer):
    """A finished search: the result of ``tune``, ``grid``, ``sweep`` and ``search``.

    Parameters
    ----------
    study : Study
    data : TaskData
    split : Split
        Split that configs are compared on.
    trials : list of TrialRow
        In the order of their numbers, after those that were on record before; failed ones
        included.
    best : TrialRow
        Best trial in the metric's direction, among the feasible ones: by the mean over the seeds
        where there are finalists, else by the score.
    baselines : list of TrialRow
        Every baseline on the same windows; empty for own code.
    reference : TrialRow or None
        Best baseline; None for own code, which has none.
    feasible : set of str
        Ids of the trials that meet ``tune.where``; the others are never the best.
    metrics : mapping of trial id to mapping of name to value
        Every metric on record of each trial and baseline, as in ``val_mae``.
    values : mapping of trial id to mapping of metric to value
        Every metric of ``tune.metric``; empty where there is one.
    finalists : list of Finalist
        The best configs with several seeds, best mean first; `best` is the first of them.
    overrides : mapping of parameter to setting
        Settings of ``--set``, which precede ``[space]``.
    epochs : mapping of trial id to int
        Epoch of a score of own code; missing where the score was printed at the end.
    trained : int
        Number of new trials of a grid; the others were on record.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import podium
    >>> from podium.steps.archive.init import init
    >>> folder = tempfile.TemporaryDirectory()
    >>> result = podium.search(
    ...     lambda x: (x - 2) ** 2, {"x": [1, 2, 4]}, name="parabola",
    ...     direction="min", trials=3, search="grid",
    ...     project=init(Path(folder.name) / "demo"),
    ... )
    >>> result.best.config, result.best.score
    ({'x': 2}, 0.0)
    >>> result.frame()[["number", "state", "score", "config.x"]]
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
    overrides: Mapping[str, Any] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)
    trained: int = 0

    @property
    def metric(self) -> str:
        """Name of the metric that ranks the trials."""
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
    def sentence(self) -> str:
        """Number of trials, the best config and its score against the best baseline."""
        failed = f" ({len(self.failed)} failed)" if self.failed else ""
        return f"{self.data.slot}: {counted(len(self.trials), 'trial')}{failed}; {self.summary}"

    @property
    def summary(self) -> str:
        """The best config and its score against the best baseline."""
        row, best = self.best, winner(self.finalists)
        # Only settings that vary among the trials of the family.
        alike = [other.config for other in self.trials if other.family == row.family]
        shared = differing(alike)[0]
        varied = short({k: v for k, v in row.config.items() if k not in shared})
        config = f"{row.family} {varied}".rstrip()
        score = number(self.best_score)
        if self.reference:
            score = against_baseline(self.best_score, self.reference, self.data)
        seeds = f" (mean of {len(best.scores)} seeds)" if best else ""
        epoch = f" in epoch {self.epochs[row.id]}" if row.id in self.epochs else ""
        return f"best {config}: {self.metric}{seeds} on validation {score}{epoch}"

    @property
    def ranked(self) -> list[TrialRow]:
        """Trials, best first: the finalists in their order, then by the score; failed ones last."""
        sign = self.data.direction.sign
        place = {one.row.id: n for n, one in enumerate(self.finalists)}
        return sorted(
            self.trials,
            key=lambda r: (place.get(r.id, len(place)), math.isnan(r.score), sign * r.score),
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
            ``score`` is NaN where a trial failed or was pruned, ``seconds`` is the time of its
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

    def facts(self, row: TrialRow) -> dict[str, Any]:
        """Everything that is known of a trial or a baseline, under the names of its columns."""
        values = {self.metric: row.score, **self.values.get(row.id, {})}
        facts = {
            "trial": row.id,
            "family": row.family,
            "mode": row.phase.partition("/")[2] or row.phase,
            **{name: finite_or_none(value) for name, value in values.items()},
        }
        if row.id in self.values:
            facts["pareto"] = row.id in self._front
        if len(self.feasible) < len(self.trials) and row is not self.reference:
            facts["feasible"] = row.id in self.feasible
        facts |= {"epoch": self.epochs.get(row.id), "state": row.state}
        if any(one.state is State.PRUNED for one in self.trials):
            facts["epochs"] = row.epochs
        if self.finalists:
            final = next((one for one in self.finalists if one.row.id == row.id), None)
            facts["mean"], facts["sd"] = (final.mean, final.sd) if final else (None, None)
        return {**facts, "config": row.config}

    @cached_property
    def _front(self) -> set[str]:
        """Ids of the feasible trials that no other one beats in every metric."""
        inside = {id_: values for id_, values in self.values.items() if id_ in self.feasible}
        return pareto(inside, list(inside[self.best.id])) if inside else set()

    def rows(self) -> list[dict[str, Any]]:
        """The best trials, then the best baseline."""
        trials, modes = self.ranked[:SHOWN], self.study.question["search"] == "sweep"
        configs = differing([row.config for row in trials])[1]
        rows = varying(
            [
                {**self.facts(row), "config": short(config)} | ({} if modes else {"mode": ""})
                for row, config in zip(trials, configs, strict=True)
            ],
            *("trial", "family", self.metric, "config"),
        )
        if self.reference:
            facts = {**self.facts(self.reference), "config": short(self.reference.config)}
            rows.append({name: facts.get(name) for name in rows[0]})
        return rows


def against_baseline(
    score: float, baseline: TrialRow | FoldScores, data: TaskData, p: str = ""
) -> str:
    """A score against that of a baseline, for the end of a sentence."""
    theirs = baseline.score if isinstance(baseline, TrialRow) else baseline.mean
    lower = data.direction is Direction.MIN
    return against(score, theirs, baselines.label_of(baseline), lower_is_better=lower, p=p)


def searched(context: StudyContext, phase: str) -> list[TrialRow]:
    """Trials of a study, those on record before it first; a trial that it stopped is pruned.

    A config that the study proposed twice, or that was on record before, is one trial.
    """
    dropped = pruned_by(context)
    rows = context.rows(KNOWN, phase)
    rows = [as_pruned(row, dropped[row.id]) if row.id in dropped else row for row in rows]
    # In a search that --max-time ended, the others never began.
    ended = [row for row in rows if row.state.ended]
    own = {row.id for row in ended if row.phase != KNOWN}
    once = {row.id: row for row in ended if row.phase != KNOWN or row.id not in own}
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
            fix="loosen --where or raise --trials; their metrics: podium list trials",
        )
    if len(good) < len(trials):
        project.reporter.say(
            f"{slot}: {len(trials) - len(good)} of {len(trials)} trials do not meet '{where}'; "
            "they stay on record and cannot be the best"
        )
    references = baselines.rows_of(context)
    best = best_of([row for row in trials if row.id in good], slot, verb, way)
    reference = best_of(references, slot, verb, way) if references else None
    metrics: dict[str, dict[str, float]] = {}
    ids = [row.id for row in (*trials, *references)]
    for id_, name, value in project.ledger.read(reads.results, ids):
        metrics.setdefault(id_, {})[name] = value
    of = (context.study, context.data, context.split)
    return SearchResult(*of, trials, best, references, reference, good, metrics)


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
            for label, figure in (("mean", np.nanmean(values)), ("std", np.nanstd(values, ddof=1)))
        }


@dataclass(frozen=True, eq=False)
class FoldScores:
    """One config over all folds.

    Parameters
    ----------
    tuning_score : float
        Its score in the search.
    folds : list of TrialRow, one a fold
    losses : (W,) float32
        Loss of every validation sample, fold by fold.
    units : (W,) int
        Independent unit of each sample: the second since 1970 of a decision, or a group.
    epochs : int
        Epoch at which the mean validation curve over the folds is best; 0 without a curve.
    repeats : int
        Number of folds in which each window validates.
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
    def std(self) -> float:
        """Standard deviation of the scores."""
        return float(np.std(self.scores, ddof=1))

    @property
    def class_figures(self) -> dict[str, Any]:
        """Figures of each class under the key ``classes``; empty without classes."""
        return (
            {"classes": {one.name: one.figures() for one in self.classes}} if self.classes else {}
        )

    @property
    def standard_error(self) -> float:
        """Standard error of the mean over the folds.

        Folds that validate the same windows are divided by `repeats`.
        """
        return self.std / math.sqrt(len(self.scores) / self.repeats)


@dataclass(frozen=True, eq=False)
class CrossValidation(Answer):
    """A finished cross-validation: the result of ``extend``.

    Parameters
    ----------
    tuned : SearchResult
        Search that the configs come from.
    split : Split
        The folds.
    configs, baselines : sequence of FoldScores
        Best mean first.
    folder : Path, optional
        The slot's ``extended_training_results/``.
    """

    tuned: SearchResult
    split: Split
    configs: Sequence[FoldScores]
    baselines: Sequence[FoldScores]
    folder: Path | None = None

    @cached_property
    def ladder(self) -> list[FoldScores]:
        """The best baseline of each family and level, best mean first."""
        return baselines.ladder(self.baselines, self.tuned.data.section.task)

    @property
    def entries(self) -> list[FoldScores]:
        """The configs, then the ladder: the columns of a ranking."""
        return [*self.configs, *self.ladder]

    @property
    def labelled(self) -> list[tuple[str, FoldScores]]:
        """Each entry with its label."""
        return self._with_labels(self.ladder)

    def _with_labels(self, rungs: Sequence[FoldScores]) -> list[tuple[str, FoldScores]]:
        named = [(baselines.label_of(one), one) for one in rungs]
        return [*zip(self.labels, self.configs, strict=True), *named]

    @property
    def labels(self) -> list[str]:
        """Each config by its family and the settings that vary."""
        configs = zip(self.configs, differing([c.config for c in self.configs])[1], strict=True)
        return [f"{one.family} {short(config)}".rstrip() for one, config in configs]

    def tuned_rank(self, config: FoldScores) -> int:
        """Rank of a config by its score in the search."""
        sign = self.tuned.data.direction.sign
        return sorted(self.configs, key=lambda c: sign * c.tuning_score).index(config) + 1

    def reference_of(self, one: FoldScores) -> FoldScores:
        """The best baseline that is simpler than a config."""
        return baselines.simpler(one, self.baselines, self.tuned.data.section.task)[0]

    def compared(self, one: FoldScores, p: str = "") -> str:
        """Metric and mean over the folds of a config against those of its reference."""
        mean = f"mean {self.tuned.metric} over {len(one.folds)} folds"
        reference = self.reference_of(one)
        if reference is one:
            return f"{mean} {number(one.mean)}; no baseline is simpler"
        return f"{mean} {against_baseline(one.mean, reference, self.tuned.data, p)}"

    @property
    def sentence(self) -> str:
        """Number of configs, the best one and its mean against the best baseline."""
        return (
            f"{self.tuned.data.slot}: {counted(len(self.configs), 'config')}; best "
            f"{self.labels[0]}: {self.compared(self.configs[0])}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """The configs, then every baseline: scores, and F1 of each class."""
        return [
            {
                "config": label,
                "tuned": one.tuning_score,
                "mean": one.mean,
                "standard error": one.standard_error,
                "folds": ", ".join(map(number, one.scores)),
                **{f"F1 of {of.name}": of.figures()["f1_mean"] for of in one.classes},
            }
            for label, one in self._with_labels(self.baselines)
        ]


@dataclass(frozen=True, eq=False)
class Analysis(Answer):
    """The chosen config and the reasons: the result of ``analyze``.

    Parameters
    ----------
    chosen : FoldScores
        One of the configs, or a baseline that is not distinguishable from the best of them.
    reference : FoldScores
        Best simpler baseline over the same folds; the chosen one itself if none is simpler.
    against_naive : DieboldMariano
        Test of the chosen config against the reference on the folds' windows.
    looked_at : int
        Distinct configs ever looked at for this slot on an overlapping validation interval.
    ranking : Ranking
        The configs and the ladder, in the order of ``extension.entries``.
    luck : SelectionBias
        Selection bias of the choice among all configs looked at.
    reason, distinguishable : str
        Clauses: why this config, and whether it is distinguishable from the next one.
    files : sequence of Path
        ``best_config.json`` and ``analysis_plots/``, where ``[paths]`` enables them.
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

    @property
    def sentence(self) -> str:
        """The chosen config, its mean against the best baseline, and the reason."""
        extension = self.extension
        label, _ = extension.labelled[extension.entries.index(self.chosen)]
        return (
            f"{extension.tuned.data.slot}: chosen {label}: "
            f"{extension.compared(self.chosen, p_clause(self.against_naive.p_value))}; "
            f"{self.reason}"
        )

    def ranked(self) -> list[RankRow]:
        """The extended configs, best first, and the baselines of the ladder."""
        ranking, rows = self.ranking, []
        p_values = [test.p_value for test in ranking.against_naive]
        tests = zip(p_values, ranking.corrected.tolist(), strict=True)
        columns = (self.extension.labelled, ranking.intervals(), tests, ranking.included)
        # Intervals of another loss than the metric do not belong to the means.
        of_metric = not self.extension.tuned.data.loss
        for (label, one), span, test, included in zip(*columns, strict=True):
            bounds = (span.low, span.high) if of_metric else (math.nan, math.nan)
            mean, low, high, p, corrected = map(finite_or_none, (one.mean, *bounds, *test))
            in_set = None if ranking.reason else included
            rows.append(RankRow(label, mean, low, high, p, corrected, in_set, one is self.chosen))
        return rows

    def rows(self) -> list[dict[str, Any]]:
        """The configs and the ladder, ``*`` the chosen one: scores and tests."""
        return [
            {
                "config": f"{'* ' * row.chosen}{row.label}",
                "tuned": one.tuning_score,
                "mean": row.mean,
                "95 % interval": interval(row),
                "p against baseline": p_value(row.p_value),
                "corrected": p_value(row.p_corrected),
                "against the best": distinction(row),
            }
            for row, one in zip(self.ranked(), self.extension.entries, strict=True)
        ]
