"""Evaluate a classifier on its slot's evaluation data and write the bundle for reviewers."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium import __version__, artifact, registry
from podium.arrays import Floats
from podium.candidate import Candidate, manifest_bytes
from podium.classifier import LoadedClassifier
from podium.errors import DataError, Problem, RefusedError, UsageError
from podium.evidence import Evidence, Scalar
from podium.files import full_disk_explained, write_atomic
from podium.hashing import digest, digest_bytes
from podium.ledger import looks, reads
from podium.ledger.ledger import Transaction
from podium.ledger.reads import TrialRow
from podium.manifest import MANIFEST, plain
from podium.render.answer import Answer, against
from podium.render.evaluation import EvaluationReport
from podium.render.evaluation_files import (
    METRICS,
    PREDICTIONS,
    bundle,
    check_bundle,
    classes_of,
    predicted,
)
from podium.render.table import counted, number, p_value
from podium.sequences import Subset
from podium.stats.class_figures import log_losses
from podium.stats.class_improvement import LOWER_IS_BETTER
from podium.stats.classification import Evaluation
from podium.steps.data.sequences import class_data, evaluation_data, read_like
from podium.steps.evidence.evidence import evidence_about, put_arrays
from podium.steps.evidence.improvement import improvement_in_classes
from podium.steps.trials import baselines
from podium.steps.trials.context import StudyContext
from podium.steps.trials.once import evidence_once
from podium.steps.workspace import recorded
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_candidate
from podium.study import Study
from podium.tasks.classify import ClassData
from podium.trial import State

KIND, OTHER, AGAINST = "evaluation", "evaluation_other", "against_champion"
FOLDER = Path("artifacts") / "evaluations"
# Tolerance for probabilities computed on another machine or written with few digits.
TOLERANCE = 1e-3
ROLES = {"champion": "the champion", "parent": "its parent"}
# Figures of an evaluation's table, before those of the classes.
FIGURES = {
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "log_loss": "log loss",
}
# Of more classes the table has F1 without recall.
FEW_CLASSES = 4
# Figures of the sentence about the improvement over the parent.
IMPROVED = ("macro_f1", "balanced_accuracy", "log_loss")


@dataclass(frozen=True, eq=False)
class Evaluated(Answer):
    """An evaluation on record: the result of ``evaluate``.

    Parameters
    ----------
    candidate : Candidate
    evidence : Evidence
    folder : Path
        Folder of the bundle.
    report : EvaluationReport
        Every figure of the candidate, of the best baseline on validation, and of the champion and
        the parent.
    against : Evidence, or None
        Comparison with the slot's champion on the same samples.
    improvement : Evidence, or None
        Improvement over the parent on the same samples.
    fresh : bool
        False when the same model was evaluated on the same samples before.
    """

    candidate: Candidate
    evidence: Evidence
    folder: Path
    report: EvaluationReport
    against: Evidence | None
    improvement: Evidence | None
    fresh: bool

    @property
    def sentence(self) -> str:
        """Macro-F1 of the candidate against the best baseline and the champion."""
        notes = self.evidence.notes
        score = against(
            self.report.model.macro_f1,
            self.report.figures["naive"].macro_f1,
            f"the baseline {notes['naive_method']}",
            lower_is_better=False,
        )
        champion = ""
        if self.against is not None:
            id_, scalar = self.against.notes["champion"], self.against.scalar
            theirs, p = number(scalar("champion_macro_f1")), p_value(scalar("p_value"))
            champion = f"; champion {id_} {theirs} (p = {p})"
        return f"{self.candidate.title} on {notes['data']}: macro-F1 {score}{champion}"

    def rows(self) -> list[dict[str, Any]]:
        """Figures overall and of each class: a row a figure, a column a model."""
        reported = self.report.figures.items()
        columns = {"candidate" if role == "model" else role: of for role, of in reported}
        rows = [
            {"figure": label, **{who: getattr(of, name) for who, of in columns.items()}}
            for name, label in FIGURES.items()
        ]
        names, support = self.report.model.class_names, self.report.model.support
        of_classes = {"f1": "F1"} | ({"recall": "recall"} if len(names) <= FEW_CLASSES else {})
        for figure, label in of_classes.items():
            rows += [
                {
                    "figure": f"{label} of {name} ({counted(int(n), 'sample')})",
                    **{who: float(getattr(of, figure)[k]) for who, of in columns.items()},
                }
                for k, (name, n) in enumerate(zip(names, support, strict=True))
            ]
        return rows

    @property
    def improved(self) -> str:
        """Improvement over the parent with intervals; empty without a parent."""
        if self.improvement is None:
            return ""
        evidence, parts = self.improvement, []
        for name in IMPROVED:
            label, share = FIGURES[name], evidence.scalars.get(f"improvement_{name}")
            low = evidence.scalars.get(f"improvement_{name}_low")
            if share is None:
                parts.append(f"{label} {evidence.notes.get(f'improvement_{name}', 'not known')}")
                continue
            parts.append(f"{label} {share.value:+.3g} %")
            if low is not None:
                high = evidence.scalar(f"improvement_{name}_high")
                parts[-1] += f" ({low.value:+.3g} to {high:+.3g})"
        return (
            f"improvement over parent {evidence.notes['parent']} on the same samples, with 95 % "
            f"intervals: {', '.join(parts)}"
        )


@dataclass(frozen=True, eq=False)
class EvaluationData:
    """Samples that candidates are judged on.

    Parameters
    ----------
    samples : Subset
    name : str
        Name in reports.
    official : bool
        Whether they are the slot's own evaluation data, whose evidence gates read.
    """

    samples: Subset
    name: str
    official: bool

    @property
    def truth(self) -> NDArray[np.int64]:
        """Class of each sample, (N,)."""
        return self.samples.truth().astype(np.int64)

    @property
    def groups(self) -> NDArray[np.str_] | None:
        """Group of each sample, (N,), where they have any."""
        groups = self.samples.sequences.groups
        return None if groups is None else groups[self.samples.rows]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of exactly these samples."""
        return self.samples.sequences.select(self.samples.rows).fingerprint


@on_candidate("evaluate")
def evaluate(
    project: Project,
    candidate_id: str,
    *,
    data: Path | None = None,
    cost: NDArray[Any] | None = None,
    attach: Path | None = None,
) -> Evaluated:
    """Judge a classifier on samples, beside the best baseline, the champion and its parent.

    On the slot's own evaluation data (``evaluation`` of its dataset, else its validation samples)
    the result is evidence that gates read; on other data it is evidence of another kind. It has
    every figure of the baseline that was best on validation, and the macro-F1 of all baselines.

    Parameters
    ----------
    candidate_id : str
        A candidate's id, or a slot: its newest candidate.
    data : Path, optional
        An .npz file in place of the slot's evaluation data.
    cost : (K, K) number, optional
        Cost of choosing the column's class where the row's is true.
    attach : Path, optional
        A bundle made elsewhere; it replaces the predictions after a check against the samples
        and the model.

    Returns
    -------
    Evaluated

    Raises
    ------
    UsageError
        The candidate forecasts.
    DataError
        The data have other features or classes, or the candidate was trained on some of them; the
        figures of the bundle do not follow from its predictions; the artefact has changed.

    Examples
    --------
    >>> import podium
    >>> with podium.open("glucose") as project:  # doctest: +SKIP
    ...     project.slot("glucose/class").evaluate().frame()
    """
    candidate = recorded.candidate(project, candidate_id)
    own = class_data(project.config, candidate.slot)
    judged = _evaluation_data(project, own, data)
    folder = artifact.find(project.store / candidate.artifact_path)
    model = artifact.classifier(folder.folder, candidate.artifact_hash)
    _require_same_names(candidate, model, own)
    _require_unseen(project, candidate, judged)
    probabilities, producer = model.predict(judged.samples).probabilities, "evaluate"
    if attach is not None:
        probabilities, producer = _attached(attach, judged, probabilities), "attached"
    study = Study(candidate.study_id or "", candidate.slot, {})
    context = StudyContext(project, study, own, own.split)
    rows = baselines.rows_of(context)
    reference = baselines.best(baselines.simpler(candidate, rows, "classify"), own, "train")
    naive = _baseline_probabilities(rows, own, judged)
    rival = recorded.rival(project, candidate)
    parent = recorded.candidate(project, candidate.parent_id) if candidate.parent_id else None
    name = _run_name(project, candidate) + ("" if judged.official else f"-{judged.fingerprint[:8]}")
    place = project.root / FOLDER / name
    x, lengths = judged.samples.inputs()
    report = EvaluationReport(
        title=candidate.name,
        truth=judged.truth,
        probabilities=probabilities,
        class_names=own.dataset.class_names,
        facts={
            "candidate": candidate.id,
            "artifact_hash": candidate.artifact_hash,
            "dataset_fingerprint": judged.fingerprint,
            "data": judged.name,
            "producer": producer,
        },
        rows=judged.samples.rows,
        groups=judged.groups,
        x=x,
        lengths=lengths,
        feature_names=own.dataset.feature_names,
        cost=cost,
        naive=naive[baselines.label_of(reference)],
        naive_name=f"the baseline {baselines.label_of(reference)}",
        **_report_arguments(project, "champion", rival, own, judged),
        **_report_arguments(project, "parent", parent, own, judged),
    )
    files = bundle(report)
    hashes = {name: digest_bytes(content) for name, content in files.items()}
    manifest = manifest_bytes({"podium": 1, "files": hashes})
    hash_ = digest_bytes(manifest)
    kind = KIND if judged.official else OTHER
    _write(place, {**files, MANIFEST: manifest})

    notes = {"bundle": hash_, "folder": project.shown(place), "data": judged.name}
    notes |= baselines.notes(reference)

    def findings(tx: Transaction) -> list[Evidence]:
        # The samples have no times.
        look = looks.count_look(
            tx, own.dataset.name, ("", ""), candidate, judged.samples.marks()["rows"]
        )
        evidence = evidence_about(
            candidate,
            kind,
            producer,
            dataset=judged.fingerprint,
            scalars={
                **_scalars(report.model, report.figures["naive"]),
                **_macro_f1_of_each(judged, naive),
                "looks": Scalar(look, "candidates"),
            },
            series=put_arrays(project, tx, _arrays(judged, probabilities)),
            notes=notes,
        )
        if rival is None or report.champion is None or not judged.official:
            return [evidence]
        return [evidence, _against(candidate, judged, rival, report)]

    of = inputs_of(project, candidate, judged)
    if cost is not None:
        of["cost"] = digest(cost.tolist())
    if attach is not None:
        of["attached"] = hash_
    fresh = evidence_once(project, candidate, kind, of, lambda: findings)
    improved = None
    if report.improvements and judged.official:
        changes = report.improvements
        improved = improvement_in_classes(project, candidate, judged.fingerprint, changes)
    stored = recorded.evidence(project, candidate.id)
    return Evaluated(candidate, stored[kind], place, report, stored.get(AGAINST), improved, fresh)


def inputs(project: Project, slot: str, candidate: Candidate | None) -> dict[str, Any]:
    """Inputs of the evidence on the slot's own evaluation data by name.

    Parameters
    ----------
    candidate : Candidate, optional
        None: it and the values that depend on it are not known yet.
    """
    judged = _evaluation_data(project, class_data(project.config, slot), None)
    return inputs_of(project, candidate, judged)


def inputs_of(
    project: Project, candidate: Candidate | None, judged: EvaluationData
) -> dict[str, Any]:
    """Inputs of an evaluation on some samples by name, without costs or a bundle."""
    rival = recorded.rival(project, candidate)
    return {
        "candidate": candidate and candidate.artifact_hash,
        "samples": judged.fingerprint,
        "champion": None if candidate is None else rival.artifact_hash if rival else "none",
        "parent": candidate and (candidate.parent_id or "none"),
        "podium": __version__,
        "cost": "none",
        "attached": "none",
    }


def cost_of(path: Path) -> NDArray[np.float64]:
    """Cost matrix of a CSV file without a header: rows are true classes, columns chosen ones.

    Raises
    ------
    DataError
        The file cannot be read, or a cell is no number.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"))) if row]
        return np.array([[float(cell) for cell in row] for row in rows])
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: {error}", "a square of numbers, one row a true class, commas between"
        ) from None


def _evaluation_data(project: Project, data: ClassData, path: Path | None) -> EvaluationData:
    if path is not None:
        other = read_like(path, data.dataset)
        return EvaluationData(Subset(other, np.arange(len(other))), str(path), official=False)
    own = evaluation_data(project.config, data.slot, data.dataset)
    if own is not None:
        name = project.config.datasets[data.section.dataset].evaluation
        return EvaluationData(Subset(own, np.arange(len(own))), name, official=True)
    samples = Subset(data.dataset, data.split.folds[0].validation)
    name = "the validation samples, on which its epoch was chosen"
    return EvaluationData(samples, name, official=True)


def _require_same_names(candidate: Candidate, model: LoadedClassifier, data: ClassData) -> None:
    for what, theirs, ours in (
        ("features", model.feature_names, data.dataset.feature_names),
        ("classes", model.class_names, data.dataset.class_names),
    ):
        if theirs != ours:
            raise DataError(
                f"candidate {candidate.id} has the {what} {', '.join(theirs)}",
                f"those of slot {data.slot}: {', '.join(ours)}",
            )


def _arrays(judged: EvaluationData, probabilities: Floats) -> dict[str, NDArray[Any]]:
    """Arrays for comparisons with later candidates."""
    arrays: dict[str, NDArray[Any]] = {"probabilities": probabilities.astype(np.float32).ravel()}
    arrays["truth"] = judged.truth
    if judged.groups is not None:
        arrays["groups"] = np.unique(judged.groups, return_inverse=True)[1].astype(np.int64)
    return {**arrays, "loss": log_losses(judged.truth, probabilities).astype(np.float32)}


def _require_unseen(project: Project, candidate: Candidate, judged: EvaluationData) -> None:
    """Refuse to judge a model on samples, or groups, that it was trained on.

    Its training may have had other files than the slot.
    """
    marks = judged.samples.marks()
    with project.ledger.reading() as tx:
        series = reads.evidence_of(tx, candidate.id)["validation"].series
        stored = [what for what in marks if f"trained_{what}" in series]
        trained = {what: reads.array(tx, series[f"trained_{what}"]) for what in stored}
    problems = [
        Problem(
            f"candidate {candidate.id} was trained on {count} of the {len(marks[what])} {name} of "
            f"{judged.name}",
            "samples that it was not trained on",
            "train it without them, or evaluate it on others: --data FILE",
        )
        for what, name in (("rows", "distinct samples"), ("groups", "groups"))
        if what in trained and (count := int(np.isin(marks[what], trained[what]).sum()))
    ]
    DataError.raise_for(problems)


def _baseline_probabilities(
    rows: Sequence[TrialRow], data: ClassData, judged: EvaluationData
) -> dict[str, Floats]:
    """Probabilities of every complete baseline, fitted on the training samples, by its name."""
    train, samples = Subset(data.dataset, data.split.folds[0].train), judged.samples.blind()
    complete = [row for row in rows if row.state is State.COMPLETE]
    models = {baselines.label_of(row): baselines.fit(row, train, "classify") for row in complete}
    return {name: model.predict(samples).probabilities for name, model in models.items()}


def _macro_f1_of_each(judged: EvaluationData, answers: Mapping[str, Floats]) -> dict[str, Scalar]:
    """Macro-F1 of every baseline, such as ``baseline_macro_f1:logistic``."""
    score = registry.load("metrics", "macro_f1").score
    return {
        f"baseline_macro_f1:{name}": Scalar(score(judged.truth, probabilities), "", "max")
        for name, probabilities in answers.items()
    }


def _report_arguments(
    project: Project, role: str, other: Candidate | None, data: ClassData, judged: EvaluationData
) -> dict[str, Any]:
    """Arguments of the report for another candidate: its probabilities and its name.

    Empty without such a candidate, or, with a message, where it cannot predict these samples.
    """
    if other is None:
        return {}
    title = ROLES[role]
    try:
        model = recorded.classifier(project, other)
        _require_same_names(other, model, data)
    except (artifact.OtherVersionError, DataError, RefusedError, UsageError) as error:
        # The candidate itself is judged; gates that need the comparison are undecidable.
        project.reporter.say(f"not compared with {title} {other.id}: {error}")
        return {}
    probabilities = model.predict(judged.samples).probabilities
    return {role: probabilities, f"{role}_name": f"{title}, version {other.version}"}


def _attached(folder: Path, judged: EvaluationData, own: Floats) -> Floats:
    """Probabilities of a bundle made elsewhere, after all checks.

    Raises
    ------
    DataError
        The folder is no bundle, its figures do not follow from its predictions, or these are of
        other samples or of another model.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}", "an evaluation bundle")
    files = {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}
    problems = check_bundle(files)
    DataError.raise_for(problems)
    names = judged.samples.sequences.class_names
    theirs = json.loads(files[METRICS])["class_names"]
    if tuple(theirs) != names:
        order = f"{', '.join(names)}, in this order"
        raise DataError(f"{folder} is about the classes {', '.join(theirs)}", order)
    columns = [f"probability_{k}" for k in range(len(names))]
    try:
        cells = [[float(cell) for cell in row] for row in predicted(files[PREDICTIONS], columns)]
    except ValueError as error:
        raise DataError(f"{PREDICTIONS} of {folder}: {error}", "a number in every cell") from None
    probabilities = np.array(cells)
    truth = classes_of(predicted(files[PREDICTIONS], ["truth"]), "truth", names)
    if not np.array_equal(truth, judged.truth):
        raise DataError(
            f"{PREDICTIONS} of {folder} has {len(truth)} samples whose classes are not those of "
            f"{judged.name} ({len(judged.truth)} samples)",
            "predictions of the slot's own evaluation data, in their order",
            "evaluate on these data, or name the others with --data",
        )
    difference = np.abs(probabilities - own).max()
    if not difference <= TOLERANCE:
        raise DataError(
            f"{PREDICTIONS} of {folder} is {difference:.3g} off the candidate's probabilities",
            f"its own probabilities, to {TOLERANCE:g}",
            "attach the evaluation of this model, or leave --attach out",
        )
    return probabilities


def _scalars(mine: Evaluation, naive: Evaluation) -> dict[str, Scalar]:
    def way(name: str) -> str:
        return "min" if name in LOWER_IS_BETTER else "max"

    scalars = {
        name: Scalar(value, "", way(name))
        for name, value in mine.scalars().items()
        if not name.rpartition("_")[2].isdigit()
    }
    for what in ("precision", "recall", "f1", "pr_auc", "roc_auc"):
        for name, value in zip(mine.class_names, getattr(mine, what).tolist(), strict=True):
            scalars[f"{what}:{name}"] = Scalar(value, "", "max")
    for name in ("macro_f1", "accuracy", "log_loss"):
        scalars[f"naive_{name}"] = Scalar(getattr(naive, name), "", way(name))
    scalars["samples"] = Scalar(mine.samples, "samples")
    return {name: scalar for name, scalar in scalars.items() if not math.isnan(scalar.value)}


def _against(
    candidate: Candidate, judged: EvaluationData, rival: Candidate, report: EvaluationReport
) -> Evidence:
    """Evidence against the champion on the same samples."""
    mine, theirs, differences = report.model, report.figures["champion"], report.differences
    assert differences is not None
    scalars = {
        "macro_f1": Scalar(mine.macro_f1, "", "max"),
        "champion_macro_f1": Scalar(theirs.macro_f1, "", "max"),
        "macro_f1_difference_low": Scalar(differences.macro_f1.low),
        "macro_f1_difference_high": Scalar(differences.macro_f1.high),
        "p_value": Scalar(differences.p_value, "probability"),
        "mcnemar_p_value": Scalar(differences.mcnemar_p_value, "probability"),
    }
    for k, name in enumerate(mine.class_names):
        if mine.support[k]:
            scalars[f"recall:{name}"] = Scalar(float(mine.recall[k]), "", "max")
            scalars[f"champion_recall:{name}"] = Scalar(float(theirs.recall[k]), "", "max")
    notes = {"champion": rival.id, "data": judged.name}
    if differences.reason:
        notes["reason"] = differences.reason
    return evidence_about(
        candidate, AGAINST, "evaluate", dataset=judged.fingerprint, scalars=scalars, notes=notes
    )


def _run_name(project: Project, candidate: Candidate) -> str:
    """Name of a candidate's training in trackers."""
    [row] = project.reader.select("trial", "run_id", id=candidate.trial_id)
    # It becomes a folder name; an imported record may hold any text.
    return row["run_id"] if plain(row["run_id"] or "") else candidate.id


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle into its folder, the manifest last, so that a partial one is detected."""
    with full_disk_explained(folder):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        for name, content in files.items():
            write_atomic(folder / name, content)
