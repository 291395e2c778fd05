"""Register artefacts as candidates; models of searches also get a reference and evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from podium.artifact import Place
from podium.candidate import Candidate
from podium.errors import DataError, UsageError
from podium.evidence import Evidence, Scalar
from podium.frames import section_of
from podium.hashing import new_id
from podium.index import Index
from podium.ledger import decisions, reads, writes
from podium.ledger.ledger import Transaction, now
from podium.ledger.reads import TrialRow
from podium.sections import SlotSection
from podium.steps.data.bars import require_task, slot_data
from podium.steps.data.tickers import bars_of
from podium.steps.evidence.comparison import by_period, dm_scalars
from podium.steps.evidence.evidence import evidence_about
from podium.steps.evidence.leak_probe import ensure_leak_probe
from podium.steps.evidence.looks import count_configs, selection_bias_of
from podium.steps.evidence.selection_bias import ranking
from podium.steps.search.tune import validation_split
from podium.steps.trials import baselines
from podium.steps.trials.baselines import Configured
from podium.steps.trials.once import Inputs, outputs_of
from podium.steps.workspace import recorded
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData, task_hash
from podium.trial import BASELINE, EXTEND_BASELINE, State

# Names of the steps other than the grid that store models.
_STEPS = {"tune": "a search", "extend": "a walk-forward cross-validation"}


@dataclass(frozen=True)
class Made:
    """A candidate, and whether it is new."""

    candidate: Candidate
    fresh: bool

    @property
    def outputs(self) -> dict[str, Any]:
        """Outputs for the receipt of a step."""
        return {"candidate": self.candidate.id, "new": self.fresh}


def register(
    project: Project,
    tx: Transaction,
    place: Place,
    study_id: str | None,
    trial_id: str,
    *,
    model_type: str = "base",
    parent: Candidate | None = None,
    made_by: str = "trained",
    reason: str = "",
) -> Made:
    """Candidate of an artefact, registered in stage development if it is new.

    Parameters
    ----------
    study_id, trial_id : str
        Training of the artefact.
    model_type, made_by
        As of :class:`Candidate`.
    parent : Candidate, optional
        Candidate that it derives from.
    reason : str, optional
        Recorded with the decision that registers it.
    """
    manifest, id_ = place.manifest, new_id("c")
    candidate = Candidate(
        id=id_,
        slot=str(manifest["slot"]),
        version=0,
        model_type=model_type,
        family=str(manifest["family"]),
        config=manifest["config"],
        study_id=study_id,
        trial_id=trial_id,
        artifact_hash=place.artifact_hash,
        artifact_path=place.folder.name,
        dataset_fingerprint=str(manifest["dataset_fingerprint"]),
        # Empty for a classifier.
        trained_until=str(manifest.get("trained_until", "")),
        parent_id=None if parent is None else parent.id,
        root_id=id_ if parent is None else parent.root_id,
        created_at=now(),
        made_by=made_by,
    )
    known = decisions.register(tx, candidate, project.actor, reason=reason)
    return Made(known, known.id == id_)


def on_record(project: Project, slot: str, step: str, inputs: Inputs) -> Candidate | None:
    """Candidate of a step with these inputs; None where the step is not complete."""
    known = outputs_of(project, slot, step, inputs)
    return None if known is None else recorded.candidate(project, known["candidate"])


@dataclass(frozen=True, eq=False)
class JudgedModel:
    """A candidate, the data of its judgement, and the best baseline.

    Parameters
    ----------
    realigned : str
        Message about tickers in another order; empty without any.
    """

    data: SlotData
    reference: Configured
    candidate: Candidate
    realigned: str = ""


def not_on_record(model: object) -> DataError:
    """Error about a model whose trial is not on record."""
    return DataError(
        f"the trial of {model} is not on record",
        "a model of this project",
        "import its record too: podium import",
    )


class OtherQuestionError(DataError):
    """The model is valid, but the task or the data of its slot have changed since."""


def judged_model(project: Project, place: Place, slot: str | None) -> JudgedModel:
    """Candidate of a stored model with its data and reference; registered if it is new.

    Parameters
    ----------
    place : Place
        Artefact in the project's store.
    slot : str, optional
        Expected slot.

    Raises
    ------
    UsageError
        The model is of another slot.
    DataError
        The task or the data of the slot have changed since, the model was trained on bars of the
        test, a ticker of its training is missing, or its trial is not on record.
    """
    data, realigned = require_fit(project, place, slot)
    ledger = project.ledger
    with ledger.reading() as tx:
        match = reads.trial_of_artifact(tx, place.artifact_hash)
        if match is None:
            raise not_on_record(place.folder)
        trial, study_id = match
        id_ = candidate_of(project, place.manifest["slot"], place.artifact_hash)
        known = reads.evidence_of(tx, id_).get("validation") if id_ else None
        reference = _reference(tx, data, study_id, trial, known)
    with ledger.transaction(durable=True) as tx:
        candidate = register(project, tx, place, study_id, trial.id).candidate
        # A model trained on all data has no validation losses.
        if trial.index_hash and known is None:
            configs = [trial, *_others(tx, study_id, trial)]
            evidence = _validation(project, data, candidate, configs, reference, tx)
            writes.put_evidence(tx, evidence)
    ensure_leak_probe(project, data, candidate)
    return JudgedModel(data, reference, candidate, realigned)


def candidate_of(project: Project, slot: str, artifact_hash: str) -> str | None:
    """Id of the candidate of an artefact, or None."""
    row = project.reader.first("candidate", "id", slot=slot, artifact_hash=artifact_hash)
    return str(row["id"]) if row else None


def _reference(
    tx: Transaction,
    data: SlotData,
    study_id: str,
    trial: TrialRow,
    known: Evidence | None,
) -> TrialRow:
    """The best baseline on the data that the model's config was chosen on.

    These are the folds of the analysis that chose it, else the windows of its trial.
    """
    simpler = partial(baselines.simpler, trial, task=data.section.task)
    rows = reads.trials_of(tx, study_id, BASELINE)
    folds = reads.trials_of(tx, study_id, EXTEND_BASELINE)
    if known is None or known.producer != "analyze":
        alike = [row for row in (*rows, *folds) if row.index_hash == trial.index_hash]
        return baselines.best(simpler(alike) or rows, data, "grid")
    folds = simpler([row for row in folds if row.split_hash == known.split_hash])
    return baselines.best_over_folds(folds, data.direction) or baselines.best(
        simpler(rows), data, "extend"
    )


def require_fit(project: Project, place: Place, slot: str | None) -> tuple[SlotData, str]:
    """Data of the model's slot with its tickers, after a check that it may be judged on them."""
    manifest = place.manifest
    name = str(manifest["slot"])
    if slot not in (None, name):
        raise UsageError(f"{place.folder} is a model of {name}", slot or "")
    own = require_task(project.config, name)
    section, tickers = section_of(manifest), tuple(manifest["tickers"])
    if task_hash(section) != task_hash(own) or section.dataset != own.dataset:
        raise OtherQuestionError(
            f"{place.folder} was trained on {_question(section)}",
            f"the task of {name}: {_question(own)}",
            f"run: podium grid {name}",
        )
    dataset, realigned = bars_of(project.config, own.dataset, tickers)
    data = slot_data(project.config, name, dataset)
    starts = data.view.times[data.test_start]
    if np.datetime64(str(manifest["trained_until"])) >= starts:
        raise OtherQuestionError(
            f"{place.folder} was trained on bars until {manifest['trained_until']}",
            f"bars before the sealed test, which begins at {starts}",
            f"run: podium grid {name}",
        )
    return data, realigned


def _question(section: SlotSection) -> str:
    return (
        f"{section.target} of {section.horizon} bars from {section.window} bars of "
        f"{', '.join(section.features)} in dataset '{section.dataset}'"
    )


def _validation(
    project: Project,
    data: SlotData,
    candidate: Candidate,
    trials: Sequence[TrialRow],
    reference: TrialRow,
    tx: Transaction,
) -> Evidence:
    """Evidence of the first of these configs on the validation slice."""
    metric, trial = data.section.metric, trials[0]
    step = trial.phase.partition("/")[0]
    names = [str(row.loss_hash) for row in (*trials, reference)]
    arrays = reads.arrays(tx, [*names, str(reference.index_hash)])
    # Tickers of a day are averaged.
    days = Index.unpack(arrays[str(reference.index_hash)]).seconds
    losses = np.column_stack([by_period(arrays[name], days) for name in names])
    interval = validation_split(project, data).validation_interval()
    n_trials = count_configs(tx, data, interval)
    luck = selection_bias_of(project, data, tx, trial.config_hash, reference, n_trials)
    ranked = ranking(losses[:, :-1], losses[:, -1:], data.view.horizon, n_trials)
    return evidence_about(
        candidate,
        "validation",
        step if step in _STEPS else "grid",
        dataset=candidate.dataset_fingerprint,
        split=trial.split_hash,
        scalars={
            "loss": Scalar(trial.score, metric, "min"),
            "naive_loss": Scalar(reference.score, metric, "min"),
            **dm_scalars(ranked.against_naive[0]),
            "configs_looked_at": Scalar(n_trials, "configs"),
            **ranked.scalars(0),
            **luck.scalars(),
        },
        notes={
            "metric": metric,
            **baselines.notes(reference),
            "reason": f"stored by {_STEPS.get(step, 'a grid')}; scored on the one validation "
            "slice that it was chosen on",
            **ranked.notes(),
            **luck.notes(),
        },
    )


def _others(tx: Transaction, study_id: str, trial: TrialRow) -> list[TrialRow]:
    """The other configs of its search, on the windows of this one."""
    return [
        row
        for row in reads.trials_of(tx, study_id, trial.phase.partition("/")[0])
        if row.state is State.COMPLETE
        and math.isfinite(row.score)
        and row.index_hash == trial.index_hash
        and row.config_hash != trial.config_hash
    ]
