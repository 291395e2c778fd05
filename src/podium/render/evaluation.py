"""Evaluation report of a classifier: all figures, and a page of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.render import _class_charts as drawn
from podium.render._class_charts import DrawnClassifier
from podium.render.marks import Role
from podium.render.page import Block, figures, page, region, section, verdict_line
from podium.render.table import Safe, escape, html, number, p_value, percent
from podium.stats.class_figures import Counts, log_losses
from podium.stats.class_improvement import improvements_of_classes
from podium.stats.classification import (
    ClassDifferences,
    Difference,
    Evaluation,
    class_differences,
    evaluate,
)
from podium.stats.improvement import Improvement

WORST = 20
_FEATURES_SHOWN = 6
_RECALLS = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
_OVERALL = {
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "pr_auc_macro": "PR-AUC, macro",
    "roc_auc_macro": "ROC-AUC, macro",
    "log_loss": "log loss (lower is better)",
    "brier": "Brier, 0 to 2 (lower is better)",
    "calibration_error": "calibration error (lower is better)",
    "cost": "mean cost, most probable class (lower is better)",
    "cost_minimised": "mean cost, class of lowest expected cost (lower is better)",
}


@dataclass(frozen=True, eq=False)
class WorstError:
    """A sample that was misclassified with high confidence.

    Parameters
    ----------
    row : int
        Row of the sample in its dataset.
    group : str, or None
    truth, chosen : int
        True and predicted class.
    probability : float
        Predicted probability of the true class.
    values : (T, F) float, or None
        Valid steps of the sample; NaN where missing.
    """

    row: int
    group: str | None
    truth: int
    chosen: int
    probability: float
    values: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """Predictions of a classifier and of its references on some samples, and all figures of them.

    Parameters
    ----------
    title : str
    truth : (N,) int
    probabilities : (N, K) float
    class_names : sequence of str, length K
    facts : mapping of str to str
        Dataset fingerprint, candidate id, artifact hash; shown in metrics.json and in the page's
        footer.
    rows : (N,) int, optional
        Row of each sample in its dataset. Default: 0 to N - 1.
    groups : (N,), optional
        Patient, day, engine; groups are resampled whole for the intervals.
    x : (N, T, F) float, optional
        Steps of the samples, shown for the worst errors.
    lengths : (N,) int, optional
    feature_names : sequence of str, length F
    cost : (K, K) number, optional
    champion, naive, parent : (N, K) float, optional
        Probabilities of the champion, the best baseline and the parent on the same samples.
    champion_name, naive_name, parent_name : str
        Their names in sentences.
    seed : int
        Seed of the resampling.
    """

    title: str
    truth: Counts
    probabilities: Floats
    class_names: Sequence[str]
    facts: Mapping[str, str] = field(default_factory=dict)
    rows: Counts | None = None
    groups: NDArray[Any] | None = None
    x: NDArray[np.float32] | None = None
    lengths: Counts | None = None
    feature_names: Sequence[str] = ()
    cost: NDArray[Any] | None = None
    champion: Floats | None = None
    naive: Floats | None = None
    champion_name: str = "the champion"
    naive_name: str = "the baseline"
    seed: int = 0
    parent: Floats | None = None
    parent_name: str = "its parent"

    @property
    def numbered(self) -> Counts:
        """Row of each sample, (N,)."""
        return np.arange(len(self.truth)) if self.rows is None else self.rows

    @cached_property
    def figures(self) -> Mapping[str, Evaluation]:
        """Figures of the model and of each reference, by name.

        Raises
        ------
        DataError
            Invalid arrays, see `podium.stats.classification.evaluate`.
        """
        answers = {
            "model": self.probabilities,
            "champion": self.champion,
            "naive": self.naive,
            "parent": self.parent,
        }
        return {
            name: evaluate(self.truth, one, self.class_names, cost=self.cost)
            for name, one in answers.items()
            if one is not None
        }

    @property
    def model(self) -> Evaluation:
        """Figures of the model."""
        return self.figures["model"]

    @property
    def classifiers(self) -> list[DrawnClassifier]:
        """Classifiers of the charts, the model first."""
        drawn: dict[str, tuple[str, Role]] = {
            "model": ("model", "candidate"),
            "champion": ("champion", "reference"),
            "naive": ("baseline", "naive"),
        }
        return [DrawnClassifier(*drawn[n], one) for n, one in self.figures.items() if n in drawn]

    @cached_property
    def differences(self) -> ClassDifferences | None:
        """Model minus champion."""
        if self.champion is None:
            return None
        return class_differences(
            self.truth, self.probabilities, self.champion, groups=self.groups, seed=self.seed
        )

    @cached_property
    def improvements(self) -> Mapping[str, Improvement]:
        """Improvement over the parent, by figure."""
        if self.parent is None:
            return {}
        answers = self.truth, self.parent, self.probabilities
        return improvements_of_classes(
            self.figures["parent"], self.model, *answers, self.groups, seed=self.seed
        )

    @cached_property
    def worst(self) -> list[WorstError]:
        """Misclassified samples with the highest log loss."""
        return worst_errors(
            self.truth,
            self.probabilities,
            rows=self.numbered,
            groups=self.groups,
            x=self.x,
            lengths=self.lengths,
        )


def worst_errors(
    truth: Counts,
    probabilities: Floats,
    *,
    rows: Counts,
    groups: NDArray[Any] | None = None,
    x: NDArray[np.float32] | None = None,
    lengths: Counts | None = None,
    limit: int = WORST,
) -> list[WorstError]:
    """Misclassified samples with the lowest probability of their true class.

    Parameters
    ----------
    truth : (N,) int
    probabilities : (N, K) float
    rows : (N,) int
        Row of each sample in its dataset.
    groups : (N,), optional
    x : (N, T, F) float, optional
    lengths : (N,) int, optional
        Number of valid steps of each sample. Default: all.
    limit : int

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    >>> [w.row for w in worst_errors(np.array([1, 1, 1]), p, rows=np.array([5, 6, 7]))]
    [5, 6]
    """
    chosen = probabilities.argmax(axis=1)
    order = np.argsort(-log_losses(truth, probabilities), kind="stable")
    errors = []
    for n in order[chosen[order] != truth[order]][:limit].tolist():
        values = None
        if x is not None:
            values = x[n, : x.shape[1] if lengths is None else int(lengths[n])]
        group = None if groups is None else str(groups[n])
        probability = float(probabilities[n, truth[n]])
        errors.append(
            WorstError(int(rows[n]), group, int(truth[n]), int(chosen[n]), probability, values)
        )
    return errors


def evaluation_page(report: EvaluationReport) -> str:
    """The evaluation as a self-contained HTML file.

    Parameters
    ----------
    report : EvaluationReport

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> report = EvaluationReport("a", np.array([0, 1]), p, ["calm", "storm"])
    >>> "No sample is misclassified." in evaluation_page(report)
    True
    """
    judged, names = report.classifiers, report.model.class_names
    matrices = [drawn.matrix(report.model, rates=rates) for rates in (False, True)]
    chance = (
        "<p>The dotted line is a random classifier. The areas are in the tables above, points of "
        "the curves in the table below.</p>"
    )
    curves = [
        figures([drawn.pr_curve(judged, k), drawn.roc_curve(judged, k)]) for k in range(len(names))
    ]
    title = "Precision, recall and ROC of each class against the rest"
    body = [
        f'<p class="about">{escape(_about(report))}</p>',
        verdict_line(*_verdict(report)),
        *_tables(_overall(report), *_improvements(report)),
        *_section("Classes", _tables(*_classes(report))),
        *_section("Confusion", [figures(matrices), *_tables(_confusion(report))]),
        *_section(title, [chance, *curves, *_tables(_thresholds(report))]),
        *_section(
            "Calibration", [figures([drawn.calibration(judged)]), *_tables(_reliability(report))]
        ),
        *_section("Worst errors", _worst(report)),
    ]
    return page(report.title, "\n".join(body), provenance=report.facts)


def _about(report: EvaluationReport) -> str:
    model = report.model
    counts = zip(model.class_names, model.support.tolist(), strict=True)
    classes = ", ".join(f"{name} {count:,}" for name, count in counts)
    return f"{model.samples:,} samples: {classes}"


def _verdict(report: EvaluationReport) -> tuple[str, str, str]:
    """Sign, verdict and sentence on macro-F1 against the champion, else against the baseline."""
    model, naive = report.model, report.figures.get("naive")
    beaten = not naive or model.macro_f1 > naive.macro_f1
    sentence = "" if beaten else "Not better than the baseline: "
    sentence += f"macro-F1 {number(model.macro_f1)}"
    if naive:
        sentence += f", {report.naive_name} {number(naive.macro_f1)}"
    differences = report.differences
    if not differences:
        words = "No champion yet" if beaten else "Below the baseline"
        return "same" if beaten else "fail", words, f"{_capital(sentence)}."
    sentence += (
        f", {report.champion_name} {number(report.figures['champion'].macro_f1)}; "
        f"difference {_difference(differences.macro_f1)}"
    )
    sentence = _capital(sentence)
    if differences.reason:
        return "wait", "Undecidable", f"{sentence}: {differences.reason}."
    sentence += f", p {p_value(differences.p_value)}."
    if differences.macro_f1.low > 0:
        return "pass" if beaten else "wait", "Better than the champion", sentence
    if differences.macro_f1.high < 0:
        return "fail", "Worse than the champion", sentence
    return "wait", "No clear difference", sentence


def _overall(report: EvaluationReport) -> Block:
    figures = [judged.figures.scalars() for judged in report.classifiers]
    rows = [
        [words, *(_known(scalars.get(name)) for scalars in figures)]
        for name, words in _OVERALL.items()
        if name in figures[0]
    ]
    after = [f"Champion: {report.champion_name}."] if report.champion is not None else []
    after += [f"Baseline: {report.naive_name}."] if report.naive is not None else []
    empty = "A class without samples counts as 0 in macro-F1 and is excluded from the macro areas."
    after.append(empty)
    return Block("All figures", ["figure", *(j.name for j in report.classifiers)], rows, after)


def _improvements(report: EvaluationReport) -> list[Block]:
    """Improvement over the parent; empty without one."""
    if report.parent is None:
        return []
    model, parent = (report.figures[name].scalars() for name in ("model", "parent"))
    changes = {name: report.improvements[name] for name in _OVERALL if name in report.improvements}
    rows = [
        [_OVERALL[name], *map(_known, (parent[name], model[name], one.delta)), _percent_text(one)]
        for name, one in changes.items()
    ]
    after = [
        f"Against {report.parent_name} on the same samples; above 0 the model is better. In "
        "brackets the 95 % interval from common resamples of both; areas and calibration are not "
        "resampled."
    ]
    named = [(_OVERALL[name], one) for name, one in changes.items()]
    after += [f"{name}: no percentage, because {one.reason}." for name, one in named if one.reason]
    reasons = [(name, one.interval_reason) for name, one in named if one.interval_reason]
    after += [f"{name}: no interval, because {reason}." for name, reason in reasons]
    misleading = "the sign changes, so the percentage is misleading"
    after += [f"{name}: {misleading}." for name, one in named if one.sign_changes]
    columns = ["figure", "parent", "model", "difference", "improvement"]
    return [Block("Improvement over its parent", columns, rows, after)]


def _percent_text(change: Improvement) -> str | None:
    if change.reason is not None:
        return None
    text = f"{change.percent:+.2f} %"
    return text if np.isnan(change.low) else f"{text} ({change.low:+.2f} to {change.high:+.2f})"


def _classes(report: EvaluationReport) -> list[Block]:
    model = report.model
    figures = ("precision", "recall", "f1", "pr_auc", "roc_auc")
    heads = ["precision", "recall", "F1", "PR-AUC", "ROC-AUC"]
    others = len(report.classifiers) > 1
    rows = [
        [
            name,
            *([j.name] if others else []),
            int(model.support[k]),
            *(_known(getattr(j.figures, f)[k]) for f in figures),
        ]
        for k, name in enumerate(model.class_names)
        for j in report.classifiers
    ]
    columns = ["class", *(["of"] if others else []), "samples", *heads]
    tables = [Block("Each class", columns, rows)]
    if report.differences:
        tables.append(_against(report.differences, model.class_names, report.champion_name))
    return tables


def _against(diffs: ClassDifferences, names: Sequence[str], champion: str) -> Block:
    rows: list[list[object]] = [["all classes", None, None, _difference(diffs.macro_f1)]]
    for k, name in enumerate(names):
        parts = (diffs.recall[k], diffs.precision[k], diffs.f1[k])
        rows.append([name, *map(_difference, parts)])
    units = f"{diffs.units:,} {'groups' if diffs.grouped else 'samples'}"
    after = [
        f"Model minus {champion}; in brackets the 95 % interval from {diffs.resamples:,} resamples "
        f"of {units}."
        if not diffs.reason
        else f"No intervals: {diffs.reason}.",
        f"Right where the other is wrong: model {diffs.only_first:,}, champion "
        f"{diffs.only_second:,} samples; McNemar's exact p-value {p_value(diffs.mcnemar_p_value)}"
        + (", which assumes independent samples." if diffs.grouped else "."),
    ]
    return Block(
        "Each class against the champion", ["class", "recall", "precision", "F1"], rows, after
    )


def _confusion(report: EvaluationReport) -> Block:
    model = report.model
    rows = []
    for k, name in enumerate(model.class_names):
        whole = int(model.support[k])
        cells = [
            f"{count:,} ({percent(count / whole)})" if whole else str(count)
            for count in model.confusion[k].tolist()
        ]
        rows.append([name, *cells, whole])
    columns = ["true class", *(f"predicted {name}" for name in model.class_names), "samples"]
    return Block("Confusion matrix", columns, rows)


def _thresholds(report: EvaluationReport) -> Block:
    rows: list[list[object]] = []
    for name, curve in zip(report.model.class_names, report.model.curves, strict=True):
        if not curve.positives:
            continue
        best = int(curve.f1.argmax())
        at_recall = np.searchsorted(curve.hits, np.array(_RECALLS) * curve.positives)
        for n in sorted({best, *at_recall.tolist()}):
            figures = (curve.thresholds, curve.precision, curve.recall, curve.f1)
            note = "highest F1" if n == best else ""
            row = [name, *(float(values[n]) for values in figures)]
            rows.append([*row, percent(float(curve.flagged[n])), note])
    columns = ["class", "threshold", "precision", "recall", "F1", "flagged", "note"]
    note = "Samples with at least this probability of the class are flagged. More: thresholds.csv."
    return Block("Thresholds", columns, rows, [note])


def _reliability(report: EvaluationReport) -> Block:
    table = report.model.reliability
    rows: list[list[object]] = []
    for n in np.flatnonzero(table.count).tolist():
        bounds = f"{table.edges[n]:.3f} to {table.edges[n + 1]:.3f}"
        shares = float(table.confidence[n]), float(table.accuracy[n])
        rows.append([bounds, int(table.count[n]), *shares])
    columns = ["predicted probability", "samples", "mean probability", "accuracy"]
    note = "The calibration error is the mean gap of the last two columns, weighted by samples."
    return Block("Calibration by bin", columns, rows, [note])


def _worst(report: EvaluationReport) -> list[str]:
    if not report.worst:
        return ['<p class="missing">No sample is misclassified.</p>']
    names, features = report.model.class_names, list(report.feature_names)[:_FEATURES_SHOWN]
    shown = [w.values for w in report.worst if w.values is not None]
    features = features if shown else []
    scales = []
    for f in range(len(features)):
        known = np.concatenate([values[:, f] for values in shown]).astype(np.float64)
        known = known[np.isfinite(known)]
        scales.append((float(known.min()), float(known.max())) if len(known) else (0.0, 1.0))
    grouped = any(w.group is not None for w in report.worst)
    rows: list[list[object]] = []
    for w in report.worst:
        row = [str(w.row), *([w.group] if grouped else []), names[w.truth], names[w.chosen]]
        sparks = [
            None
            if w.values is None
            else Safe(drawn.sparkline(name, w.values[:, f].astype(np.float64), *scales[f]))
            for f, name in enumerate(features)
        ]
        rows.append([*row, number(w.probability), *sparks])
    heads = ["row", *(["group"] if grouped else []), "true", "predicted", "probability of true"]
    notes = [f"The {len(rows)} misclassified samples with the highest log loss."]
    if features:
        notes.append("Each feature over the sample's steps, on a common scale.")
    if len(report.feature_names) > len(features) and shown:
        notes.append(f"{len(features)} of {len(report.feature_names)} features are shown.")
    table = html([*heads, *features], rows, caption="Worst errors", stacked=True)
    return [f"<p>{escape(' '.join(notes))}</p>", region("Worst errors", table)]


def _difference(difference: Difference) -> str:
    if np.isnan(difference.low):
        return f"{difference.value:+.3f}"
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def _known(value: float | None) -> float | None:
    """The value, or None for NaN, shown as a dash."""
    return None if value is None or np.isnan(value) else float(value)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _tables(*tables: Block) -> list[str]:
    return [line for table in tables for line in section(table, table.title)]


def _section(title: str, inner: Sequence[str]) -> list[str]:
    return ["<section>", f"<h2>{escape(title)}</h2>", *inner, "</section>"]
