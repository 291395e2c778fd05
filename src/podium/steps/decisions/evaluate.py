"""Evaluate a classifier on its slot's evaluation data and export the bundle people look at."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium import __version__, artifact
from podium.arrays import Floats
from podium.candidate import Candidate, manifest_bytes
from podium.classifier import LoadedClassifier
from podium.errors import DataError, Problem, RefusedError, UsageError
from podium.evidence import Evidence, Scalar
from podium.files import full_disk_explained, write_atomic
from podium.hashing import digest, digest_bytes
from podium.ledger import reads
from podium.ledger.ledger import Transaction
from podium.ledger.reads import TrialRow
from podium.manifest import MANIFEST, plain
from podium.render.evaluation import EvaluationReport
from podium.render.evaluation_files import (
    METRICS,
    PREDICTIONS,
    bundle,
    check_bundle,
    classes_of,
    predicted,
)
from podium.sequences import Subset
from podium.stats.class_figures import log_losses
from podium.stats.class_improvement import LOWER_IS_BETTER
from podium.stats.classification import Evaluation
from podium.steps.data.sequences import class_data, evaluation_data, read_like
from podium.steps.decisions.rival import rival_of
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

KIND, OTHER, AGAINST = "evaluation", "evaluation_other", "against_champion"
FOLDER = Path("artifacts") / "evaluations"
# How far probabilities reckoned on another machine, or written with few digits, may be off.
ALIKE = 1e-3
CALLED = {"champion": "the champion", "parent": "its parent"}


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An evaluation on record.

    Parameters
    ----------
    folder : Path
        Where the bundle lies.
    report : EvaluationReport
        Every figure, of the naive rule that was best on validation and of the champion too.
    against : Evidence, or None
        Against the slot's champion on the same samples, where there is another.
    improvement : Evidence, or None
        Over the model it was made of, on the same samples.
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


@dataclass(frozen=True, eq=False)
class EvaluationData:
    """Samples candidates are judged on.

    Parameters
    ----------
    told : str
        What they are called in reports.
    official : bool
        Whether gates read what is found on them: the slot's own evaluation data.
    """

    samples: Subset
    told: str
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
    """Judge a candidate on samples, beside the naive rule, the champion and its parent.

    On the slot's own evaluation data (``evaluation`` of its dataset, else the samples that
    validate) the findings are evidence that gates read; on other data they are kept beside it.

    Parameters
    ----------
    data : Path, optional
        An .npz file in place of the slot's evaluation data.
    cost : (K, K) number, optional
        Cost of choosing the column's class where the row's is true.
    attach : Path, optional
        A bundle made elsewhere: it is checked against the samples and the model, and taken.

    Raises
    ------
    UsageError
        The candidate forecasts.
    DataError
        The data have other features or classes, or the candidate was trained on some of them; the
        bundle is not what its predictions say; the
        artefact was changed.
    """
    candidate = recorded.candidate(project, candidate_id)
    found = class_data(project.config, candidate.slot)
    ground = _ground(project, found, data)
    folder = artifact.find(project.store / candidate.artifact_path)
    model = artifact.classifier(folder.folder, candidate.artifact_hash)
    _require_kin(candidate, model, found)
    _require_unseen(project, candidate, ground)
    probabilities, producer = model.predict(ground.samples).probabilities, "evaluate"
    if attach is not None:
        probabilities, producer = _attached(attach, ground, probabilities), "attached"
    study = Study(candidate.study_id or "", candidate.slot, {})
    context = StudyContext(project, study, found, found.split)
    reference = baselines.best(baselines.rows_of(context), found, "train")
    rival = rival_of(project, candidate)
    parent = recorded.candidate(project, candidate.parent_id) if candidate.parent_id else None
    name = _run_name(project, candidate) + ("" if ground.official else f"-{ground.fingerprint[:8]}")
    place = project.root / FOLDER / name
    x, lengths = ground.samples.inputs()
    report = EvaluationReport(
        title=f"Version {candidate.version} of {candidate.slot} ({candidate.family})",
        truth=ground.truth,
        probabilities=probabilities,
        class_names=found.dataset.class_names,
        facts={
            "candidate": candidate.id,
            "artifact_hash": candidate.artifact_hash,
            "dataset_fingerprint": ground.fingerprint,
            "data": ground.told,
            "producer": producer,
        },
        rows=ground.samples.rows,
        groups=ground.groups,
        x=x,
        lengths=lengths,
        feature_names=found.dataset.feature_names,
        cost=cost,
        naive=_answers_of_naive(reference, found, ground),
        naive_name=f"the naive rule ({baselines.method_of(reference)})",
        **_beside(project, "champion", rival, found, ground),
        **_beside(project, "parent", parent, found, ground),
    )
    files = bundle(report)
    manifest = manifest_bytes(
        {"podium": 1, "files": {k: digest_bytes(v) for k, v in files.items()}}
    )
    hash_ = digest_bytes(manifest)
    kind = KIND if ground.official else OTHER
    _write(place, {**files, MANIFEST: manifest})

    def findings(tx: Transaction) -> list[Evidence]:
        found = evidence_about(
            candidate,
            kind,
            producer,
            dataset=ground.fingerprint,
            scalars=_scalars(report.model, report.figures["naive"]),
            series=put_arrays(project, tx, _arrays(ground, probabilities)),
            notes={
                "bundle": hash_,
                "folder": project.shown(place),
                "data": ground.told,
                **baselines.notes(reference),
            },
        )
        if rival is None or report.champion is None or not ground.official:
            return [found]
        return [found, _against(candidate, ground, rival, report)]

    of = inputs_of(project, candidate, ground)
    if cost is not None:
        of["cost"] = digest(cost.tolist())
    if attach is not None:
        of["attached"] = hash_
    fresh = evidence_once(project, candidate, kind, of, lambda: findings)
    improved = None
    if report.improvements and ground.official:
        improved = improvement_in_classes(
            project, candidate, ground.fingerprint, report.improvements
        )
    there = recorded.evidence(project, candidate.id)
    return Evaluated(candidate, there[kind], place, report, there.get(AGAINST), improved, fresh)


def inputs(project: Project, slot: str, candidate: Candidate | None) -> dict[str, Any]:
    """Everything that the evidence on the slot's own evaluation data depends on, by name.

    Parameters
    ----------
    candidate : Candidate, optional
        None: not known yet, as are the values that depend on it.
    """
    ground = _ground(project, class_data(project.config, slot), None)
    return inputs_of(project, candidate, ground)


def inputs_of(
    project: Project, candidate: Candidate | None, ground: EvaluationData
) -> dict[str, Any]:
    """What an evaluation on some samples depends on, by name, without costs or a bundle."""
    rival = rival_of(project, candidate)
    return {
        "candidate": candidate and candidate.artifact_hash,
        "samples": ground.fingerprint,
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
        No file, or something that is no number.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"))) if row]
        return np.array([[float(cell) for cell in row] for row in rows])
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: {error}", "a square of numbers, one row a true class, commas between"
        ) from None


def _ground(project: Project, data: ClassData, path: Path | None) -> EvaluationData:
    if path is not None:
        given = read_like(path, data.dataset)
        return EvaluationData(Subset(given, np.arange(len(given))), str(path), official=False)
    own = evaluation_data(project.config, data.slot, data.dataset)
    if own is not None:
        told = project.config.datasets[data.section.dataset].evaluation
        return EvaluationData(Subset(own, np.arange(len(own))), told, official=True)
    # Chosen on as well, which the page says.
    rows = data.split.folds[0].validation
    return EvaluationData(
        Subset(data.dataset, rows),
        "the samples that validate, on which its epoch was chosen",
        official=True,
    )


def _require_kin(candidate: Candidate, model: LoadedClassifier, data: ClassData) -> None:
    for what, theirs, ours in (
        ("features", model.feature_names, data.dataset.feature_names),
        ("classes", model.class_names, data.dataset.class_names),
    ):
        if theirs != ours:
            raise DataError(
                f"candidate {candidate.id} knows the {what} {', '.join(theirs)}",
                f"those of slot {data.slot}: {', '.join(ours)}",
            )


def _arrays(ground: EvaluationData, probabilities: Floats) -> dict[str, NDArray[Any]]:
    """What the record keeps of each sample, for comparisons with later candidates."""
    arrays: dict[str, NDArray[Any]] = {"probabilities": probabilities.astype(np.float32).ravel()}
    arrays["truth"] = ground.truth
    if ground.groups is not None:
        # As numbers.
        arrays["groups"] = np.unique(ground.groups, return_inverse=True)[1].astype(np.int64)
    return {**arrays, "loss": log_losses(ground.truth, probabilities).astype(np.float32)}


def _require_unseen(project: Project, candidate: Candidate, ground: EvaluationData) -> None:
    """Refuse to judge a model on samples, or groups, that it was trained on.

    That happens where its training had other files than the slot has.
    """
    marks = ground.samples.marks()
    with project.ledger.reading() as tx:
        series = reads.evidence_of(project.ledger, tx, candidate.id)["validation"].series
        trained = {
            what: reads.array(project.ledger, tx, series[f"trained_{what}"])
            for what in marks
            if f"trained_{what}" in series
        }
    problems = [
        Problem(
            f"candidate {candidate.id} was trained on {count} of the {len(marks[what])} {name} of "
            f"{ground.told}",
            "samples it has never seen",
            "train it without them, or evaluate it on others: --data FILE",
        )
        for what, name in (("rows", "distinct samples"), ("groups", "groups"))
        if what in trained and (count := int(np.isin(marks[what], trained[what]).sum()))
    ]
    DataError.raise_for(problems)


def _answers_of_naive(reference: TrialRow, data: ClassData, ground: EvaluationData) -> Floats:
    """Probabilities of a baseline that is fitted on the training samples again."""
    train = Subset(data.dataset, data.split.folds[0].train)
    model = baselines.fit(reference, train, "classify")
    found: Floats = model.predict(ground.samples.blind()).probabilities
    return found


def _beside(
    project: Project, role: str, other: Candidate | None, data: ClassData, ground: EvaluationData
) -> dict[str, Any]:
    """Probabilities of another candidate on the same samples and its name, for the report.

    Empty where there is no such candidate, or, with a message, where it cannot be asked.
    """
    if other is None:
        return {}
    called = CALLED[role]
    try:
        model = recorded.classifier(project, other)
        _require_kin(other, model, data)
    except (artifact.OtherVersionError, DataError, RefusedError, UsageError) as error:
        # The candidate itself is judged all the same; gates say that they cannot decide.
        project.reporter.say(f"not compared with {called} {other.id}: {error}")
        return {}
    answers = model.predict(ground.samples).probabilities
    return {role: answers, f"{role}_name": f"{called}, version {other.version}"}


def _attached(folder: Path, ground: EvaluationData, own: Floats) -> Floats:
    """Probabilities of a bundle made elsewhere, after everything about it was checked.

    Raises
    ------
    DataError
        It is no bundle, its figures are not those of its predictions, they are of other samples, or
        of another model: they are not what the candidate says of these samples.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}", "an evaluation bundle")
    files = {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}
    problems = check_bundle(files)
    DataError.raise_for(problems)
    names = ground.samples.sequences.class_names
    theirs = json.loads(files[METRICS])["class_names"]
    if tuple(theirs) != names:
        raise DataError(
            f"{folder} is about the classes {', '.join(theirs)}",
            f"{', '.join(names)}, in this order",
        )
    columns = [f"probability_{k}" for k in range(len(names))]
    try:
        cells = [[float(cell) for cell in row] for row in predicted(files[PREDICTIONS], columns)]
    except ValueError as error:
        raise DataError(f"{PREDICTIONS} of {folder}: {error}", "a number in every cell") from None
    probabilities = np.array(cells)
    told = classes_of(predicted(files[PREDICTIONS], ["truth"]), "truth", names)
    if not np.array_equal(told, ground.truth):
        raise DataError(
            f"{PREDICTIONS} of {folder} has {len(told)} samples whose classes are not those of "
            f"{ground.told} ({len(ground.truth)} samples)",
            "predictions of the slot's own evaluation data, in their order",
            "evaluate on these data, or name the others with --data",
        )
    apart = np.abs(probabilities - own).max()
    if not apart <= ALIKE:
        raise DataError(
            f"{PREDICTIONS} of {folder} differs from what the candidate says by up to {apart:.3g}",
            f"its own probabilities, to {ALIKE:g}",
            "attach the evaluation of this very model, or leave --attach out",
        )
    return probabilities


def _scalars(mine: Evaluation, naive: Evaluation) -> dict[str, Scalar]:
    def way(name: str) -> str:
        return "min" if name in LOWER_IS_BETTER else "max"

    found = {
        name: Scalar(value, "", way(name))
        for name, value in mine.scalars().items()
        if not name.rpartition("_")[2].isdigit()
    }
    for what in ("precision", "recall", "f1", "pr_auc", "roc_auc"):
        for name, value in zip(mine.class_names, getattr(mine, what).tolist(), strict=True):
            found[f"{what}:{name}"] = Scalar(value, "", "max")
    for name in ("macro_f1", "accuracy", "log_loss"):
        found[f"naive_{name}"] = Scalar(getattr(naive, name), "", way(name))
    found["samples"] = Scalar(mine.samples, "samples")
    return {name: scalar for name, scalar in found.items() if not math.isnan(scalar.value)}


def _against(
    candidate: Candidate, ground: EvaluationData, holder: Candidate, report: EvaluationReport
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
    notes = {"champion": holder.id, "data": ground.told}
    if differences.reason:
        notes["reason"] = differences.reason
    return evidence_about(
        candidate, AGAINST, "evaluate", dataset=ground.fingerprint, scalars=scalars, notes=notes
    )


def _run_name(project: Project, candidate: Candidate) -> str:
    """What trackers call the training of a candidate."""
    [row] = project.reader.select("trial", "run_id", id=candidate.trial_id)
    # It becomes a folder; a record that came from elsewhere may say anything.
    return row["run_id"] if plain(row["run_id"] or "") else candidate.id


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put a bundle into its folder; the manifest last, so that a half-written one is known."""
    with full_disk_explained(folder):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        for name, content in files.items():
            write_atomic(folder / name, content)
