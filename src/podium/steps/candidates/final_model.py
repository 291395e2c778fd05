"""Train the chosen config on everything before the sealed test and register the candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from podium.candidate import Candidate
from podium.evidence import Evidence, Scalar
from podium.hashing import digest
from podium.ledger.ledger import Transaction
from podium.render.answer import Answer
from podium.render.blocks import short
from podium.space import ConfigDict
from podium.split import Split
from podium.steps.candidates import final_files
from podium.steps.candidates.final_training import PHASE as PHASE
from podium.steps.candidates.final_training import FinalTraining, Write, forget_states, seeds_of
from podium.steps.candidates.register import Made
from podium.steps.evidence import drift
from podium.steps.evidence.comparison import dm_scalars
from podium.steps.evidence.evidence import evidence_about, put_training_marks
from podium.steps.evidence.leak_probe import ensure_leak_probe
from podium.steps.search.handover import section_inputs
from podium.steps.search.results import Analysis
from podium.steps.trials import baselines, execute
from podium.steps.trials.once import Inputs, evidence_once, once
from podium.steps.workspace import recorded
from podium.steps.workspace.project import Project
from podium.study import Study
from podium.tasks._base import TaskData
from podium.tasks.forecast import SlotData

STEP, VALIDATION = "finalize", "validation"
# Name of its split on record.
FINAL = "final"


@dataclass(frozen=True, eq=False, kw_only=True)
class Registered(Answer):
    """A candidate with its config and its files: the result of ``finalize``."""

    candidate: Candidate
    fresh: bool
    folder: Path | None = None

    def rows(self) -> list[dict[str, Any]]:
        """One row: the candidate, the end of its training data and its artefact."""
        made = self.candidate
        row = {
            "candidate": made.id,
            "version": made.version,
            "config": short(made.config),
            "trained until": made.trained_until,
            "artefact": made.artifact_hash,
        }
        return [{name: value for name, value in row.items() if value}]


@dataclass(frozen=True, eq=False)
class FinalModel(Registered):
    """A registered candidate and the analysis that chose its config.

    Parameters
    ----------
    analysis : Analysis
    candidate : Candidate
    fresh : bool
        Whether the candidate is new; a training may give the model of an older one.
    folder : Path, optional
        Its ``final_model/``.
    """

    analysis: Analysis

    @property
    def sentence(self) -> str:
        """The candidate, and the mean of its config over the folds against the baseline."""
        return f"{self.candidate.title}: {self.analysis.extension.compared(self.analysis.chosen)}"


def finalized(project: Project, analysis: Analysis, *, replace_newer: bool = False) -> FinalModel:
    """Train the config that an analysis chose, and register it as a candidate, once.

    The config is trained twice: first with the last slice before the test held out, keeping the
    best epoch on it (``best_model``); then on all bars before the test (``final_model``), for as
    many epochs as were best on average over the folds. Both trials end, and the candidate is
    registered in stage development, in one transaction; its evidence from validation follows.

    Parameters
    ----------
    replace_newer : bool
        Whether it replaces a newer candidate in ``final_model/``.
    """
    final = trained(project, analysis)
    with_evidence(project, analysis, final.candidate)
    data = analysis.extension.tuned.data
    if isinstance(data, SlotData):
        ensure_leak_probe(project, data, final.candidate)
    return write_files(project, final, replace_newer=replace_newer)


def trained(project: Project, analysis: Analysis) -> FinalModel:
    """Candidate of an analysis, trained unless it is on record."""
    data, chosen = analysis.extension.tuned.data, analysis.chosen
    of = inputs(project, analysis)
    study, max_epochs = analysis.extension.tuned.study, project.config.finalize.epochs

    def train() -> Write:
        return train_final(
            project, data, study, chosen.family, chosen.config, max_epochs, chosen.epochs, of
        )

    made = candidate_once(project, data.slot, STEP, of, train)
    return FinalModel(analysis, candidate=made.candidate, fresh=made.fresh)


def write_files(project: Project, final: FinalModel, *, replace_newer: bool = False) -> FinalModel:
    """Write ``final_model/`` where it is missing or outdated."""
    data = final.analysis.extension.tuned.data
    split = final_split(data, project.config.finalize.validation_fraction)
    folder = final_files.write(project, data, split, final.candidate, replace_newer=replace_newer)
    return replace(final, folder=folder)


def candidate_once(
    project: Project, slot: str, step: str, inputs: Inputs, train: Callable[[], Write]
) -> Made:
    """Candidate of these inputs, trained unless it is on record."""
    done = once(project, slot, step, inputs, train)
    forget_states(project, slot)
    candidate = recorded.candidate(project, done.outputs["candidate"])
    if done.fresh and not done.outputs["new"]:
        same = f"candidate {candidate.id} (version {candidate.version})"
        project.reporter.say(f"{slot}: the trained model is identical to {same}")
    return Made(candidate, done.fresh and bool(done.outputs["new"]))


def with_evidence(project: Project, analysis: Analysis, candidate: Candidate) -> bool:
    """Put the evidence from validation on record where it is missing or outdated.

    It is outdated, for example, when more configs were looked at since.

    Returns
    -------
    bool
        Whether the evidence is new.
    """
    evidence = _validation(analysis, candidate)

    def findings(tx: Transaction) -> list[Evidence]:
        series = put_training_marks(project, tx, analysis.extension.tuned.data.seen())
        return [replace(evidence, series={**evidence.series, **series})]

    inputs = validation_inputs(analysis, candidate)
    return evidence_once(project, candidate, VALIDATION, inputs, lambda: findings)


def validation_inputs(analysis: Analysis | None, candidate: Candidate | None) -> dict[str, Any]:
    """Inputs of the evidence from validation by name."""
    known = None if analysis is None or candidate is None else _validation(analysis, candidate)
    return {
        "candidate": candidate and candidate.artifact_hash,
        "folds": analysis and analysis.extension.split.hash,
        "configs looked at": analysis and analysis.looked_at,
        # As text, since NaN is not equal to itself.
        "findings": known
        and digest([known.notes, {k: repr(float(s.value)) for k, s in known.scalars.items()}]),
    }


def inputs(project: Project, analysis: Analysis | None) -> dict[str, Any]:
    """Inputs of the candidate of an analysis by name.

    Parameters
    ----------
    analysis : Analysis, optional
        None: it and the values that depend on it are not known yet.
    """
    if analysis is None:
        unknown = dict.fromkeys(("family", "config", "data", "folds"))
        return {**unknown, **section_inputs(project, "finalize")}
    chosen, data, folds = analysis.chosen, analysis.extension.tuned.data, analysis.extension.split
    return inputs_of(project, data, chosen.family, chosen.config, chosen.epochs, folds.hash)


def inputs_of(
    project: Project, data: TaskData, family: str, config: ConfigDict, epochs: int, split: str
) -> dict[str, Any]:
    """Inputs of a candidate by name."""
    return {
        "family": family,
        "version of the family": data.version(family),
        "config": config,
        "epochs": epochs,
        "data": data.dataset.fingerprint,
        "task": data.task_hash,
        "sealed from": data.sealed[0],
        "folds": split,
        **section_inputs(project, "finalize"),
    }


def train_final(
    project: Project,
    data: TaskData,
    study: Study,
    family: str,
    config: ConfigDict,
    max_epochs: int,
    epochs: int,
    inputs: Inputs,
    made_by: str = "trained",
) -> Write:
    """Train the two models with every seed; the returned function registers the candidate.

    Parameters
    ----------
    max_epochs : int
        Epochs with the last slice held out, of which the best is kept.
    epochs : int
        Epochs of the served model; 0: as many as were best with the last slice held out.
    """
    settings, seeds = project.config.finalize, seeds_of(project)
    if not data.family(family).random:
        seeds = seeds[:1]
    split = final_split(data, settings.validation_fraction)
    label, way = f"{data.slot}: finalize", data.direction
    progress = execute.Progress(project, label, 2 * len(seeds), way)
    training = FinalTraining(project, data, split, family, seeds, digest(inputs), progress)
    with training.place() as job:
        first = [execute.with_epochs(config, max_epochs)] * len(seeds)
        if epochs:
            then = [execute.with_epochs(config, epochs)] * len(seeds)
            held_out, whole = training.fit(job, {0: first, 1: then})
        else:
            [held_out] = training.fit(job, {0: first})
            then = [execute.with_epochs(config, one.best_epoch) for one in held_out]
            [whole] = training.fit(job, {1: then})
        fits = {"best_model": held_out, "final_model": whole}
        place = training.store(job, fits)

    def keep_baseline(tx: Transaction, candidate: Candidate) -> None:
        if isinstance(data, SlotData):
            drift.store_baseline(project, tx, candidate.artifact_hash, data.tuning)

    # The first two are those of a single seed.
    in_order = [one for pair in zip(held_out, whole, strict=True) for one in pair]
    return training.registering(study, in_order, whole[0], place, keep_baseline, made_by=made_by)


def final_split(data: TaskData, fraction: float) -> Split:
    """Split whose fold 0 holds a slice out and whose fold 1 trains on all data before the test."""
    split = data.held_out(fraction)
    return replace(split, name=FINAL, folds=(split.folds[0], data.whole()))


def _validation(analysis: Analysis, candidate: Candidate) -> Evidence:
    data = analysis.extension.tuned.data
    metric, way = data.section.metric, data.direction
    name = metric if data.loss else "loss"
    chosen, reference = analysis.chosen, analysis.reference
    return evidence_about(
        candidate,
        "validation",
        "analyze",
        dataset=data.dataset.fingerprint,
        split=analysis.extension.split.hash,
        scalars={
            name: Scalar(chosen.mean, metric, way),
            f"{name}_standard_error": Scalar(chosen.standard_error, metric),
            f"naive_{name}": Scalar(reference.mean, metric, way),
            **dm_scalars(analysis.against_naive),
            "configs_looked_at": Scalar(analysis.looked_at, "configs"),
            **analysis.ranking.scalars(analysis.extension.entries.index(chosen)),
            **analysis.luck.scalars(),
            **{
                f"baseline:{baselines.label_of(one)}": Scalar(one.mean, metric, way)
                for one in analysis.extension.ladder
            },
            **{
                f"{figure}:{one.name}": Scalar(value, "", "max" if "mean" in figure else "")
                for one in chosen.classes
                for figure, value in one.figures().items()
            },
        },
        notes={
            "metric": metric,
            **baselines.notes(reference),
            "reason": analysis.reason,
            "distinguishable": analysis.distinguishable,
            **analysis.ranking.notes(),
            **analysis.luck.notes(),
        },
    )
