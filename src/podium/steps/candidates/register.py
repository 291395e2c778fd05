"""Artefacts become candidates; of a model that a search kept its reference and evidence too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium import artifact
from podium.artifact import Place
from podium.candidate import Candidate
from podium.errors import DataError, UsageError
from podium.evidence import Evidence, Scalar
from podium.hashing import new_id
from podium.index import Index
from podium.ledger import decisions, reads, writes
from podium.ledger.ledger import Ledger, Transaction, now
from podium.ledger.reads import TrialRow
from podium.sections import SlotSection
from podium.steps.data.bars import require_task, slot_data
from podium.steps.data.tickers import bars_of
from podium.steps.evidence.comparison import by_period, dm_scalars
from podium.steps.evidence.evidence import evidence_about
from podium.steps.evidence.leak_probe import ensure_leak_probe
from podium.steps.evidence.looks import selection_bias_of
from podium.steps.evidence.selection_bias import ranking
from podium.steps.search.tune import validation_split
from podium.steps.trials import baselines
from podium.steps.trials.baselines import Configured
from podium.steps.trials.once import Inputs, outputs_of
from podium.steps.workspace import recorded
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData, task_hash
from podium.trial import BASELINE, EXTEND_BASELINE, State

# Steps beside the grid that leave models, as sentences call them.
_KEEPERS = {"tune": "a search", "extend": "a walk-forward cross-validation"}


@dataclass(frozen=True)
class Made:
    """A candidate, and whether it is new."""

    candidate: Candidate
    fresh: bool

    @property
    def outputs(self) -> dict[str, Any]:
        """The same for the receipt of a step."""
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
    """The candidate of an artefact; where it is none yet, from now on, in stage development.

    Parameters
    ----------
    study_id, trial_id : str
        The training that left the artefact.
    model_type, made_by
        As of :class:`Candidate`.
    parent : Candidate, optional
        What it was made of.
    reason : str, optional
        Why, for the decision that registers it.
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
        # Samples that are classified have no last moment.
        trained_until=str(manifest.get("trained_until", "")),
        parent_id=None if parent is None else parent.id,
        root_id=id_ if parent is None else parent.root_id,
        created_at=now(),
        made_by=made_by,
    )
    known = decisions.register(project.ledger, tx, candidate, project.actor, reason=reason)
    return Made(known, known.id == id_)


def on_record(project: Project, slot: str, step: str, inputs: Inputs) -> Candidate | None:
    """The candidate that a step made of these inputs; None: the step is not complete for them."""
    known = outputs_of(project, slot, step, inputs)
    return None if known is None else recorded.candidate(project, known["candidate"])


@dataclass(frozen=True, eq=False)
class KeptModel:
    """A candidate, the data it is judged on, and the baseline that was best beside it.

    Parameters
    ----------
    realigned : str
        What was changed about the order of the tickers, in words; empty: nothing.
    """

    data: SlotData
    reference: Configured
    candidate: Candidate
    realigned: str = ""


class OtherQuestionError(DataError):
    """The model is whole and of this project, but what the slot asks by now is something else."""


def kept_candidate(project: Project, place: Place, slot: str | None) -> KeptModel:
    """The candidate of a kept model, registered in stage development if it is not one yet.

    Parameters
    ----------
    place : Place
        In the project's store.
    slot : str, optional
        The slot it must be of.

    Raises
    ------
    UsageError
        It is of another slot.
    DataError
        It answers another question than the slot asks by now, has seen bars of the test, a ticker
        of its training is missing, or no trial on record left it.
    """
    data, realigned = require_fit(project, place, slot)
    ledger = project.ledger
    with ledger.reading() as tx:
        found = reads.trial_of_artifact(ledger, tx, place.artifact_hash)
        if found is None:
            raise DataError(
                f"no trial on record left {place.folder}",
                "a model of this project",
                "bring its record in as well: podium import",
            )
        trial, study_id = found
        id_ = candidate_of(project, place.manifest["slot"], place.artifact_hash)
        told = reads.evidence_of(ledger, tx, id_).get("validation") if id_ else None
        reference = _reference(ledger, tx, data, study_id, trial, told)
    with ledger.transaction(durable=True) as tx:
        candidate = register(project, tx, place, study_id, trial.id).candidate
        # What trained on everything left no losses to judge by.
        if trial.index_hash and told is None:
            configs = [trial, *_others(ledger, tx, study_id, trial)]
            evidence = _validation(project, data, candidate, configs, reference, tx)
            writes.put_evidence(ledger, tx, evidence)
    ensure_leak_probe(project, data, candidate)
    return KeptModel(data, reference, candidate, realigned)


def candidate_of(project: Project, slot: str, artifact_hash: str) -> str | None:
    """Id of the candidate that an artefact is; None: it is none."""
    found = project.reader.first("candidate", "id", slot=slot, artifact_hash=artifact_hash)
    return str(found["id"]) if found else None


def _reference(
    ledger: Ledger,
    tx: Transaction,
    data: SlotData,
    study_id: str,
    trial: TrialRow,
    told: Evidence | None,
) -> TrialRow:
    """The baseline that was best where the model's config was chosen.

    That is over the folds of an analysis, where one chose it; else on the windows of its trial.
    """
    rows = reads.trials_of(ledger, tx, study_id, BASELINE)
    folds = reads.trials_of(ledger, tx, study_id, EXTEND_BASELINE)
    if told is None or told.producer != "analyze":
        beside = [row for row in (*rows, *folds) if row.index_hash == trial.index_hash]
        return baselines.best(beside or rows, data, "grid")
    folds = [row for row in folds if row.split_hash == told.split_hash]
    return baselines.best_over_folds(folds) or baselines.best(rows, data, "extend")


def require_fit(project: Project, place: Place, slot: str | None) -> tuple[SlotData, str]:
    """Data of the model's slot, where the model may be judged on them, with its tickers."""
    manifest = place.manifest
    name = str(manifest["slot"])
    if slot not in (None, name):
        raise UsageError(f"{place.folder} is a model of {name}", slot or "")
    asked = require_task(project.config, name)
    section, tickers = artifact.section_of(manifest), tuple(manifest["tickers"])
    if task_hash(section) != task_hash(asked) or section.dataset != asked.dataset:
        raise OtherQuestionError(
            f"{place.folder} was trained on {_question(section)}",
            f"what {name} asks by now: {_question(asked)}",
            f"run: podium grid {name}",
        )
    dataset, realigned = bars_of(project.config, asked.dataset, tickers)
    data = slot_data(project.config, name, dataset)
    starts = data.view.times[data.test_start]
    if np.datetime64(str(manifest["trained_until"])) >= starts:
        raise OtherQuestionError(
            f"{place.folder} has seen bars until {manifest['trained_until']}",
            f"nothing of the sealed test, which begins at {starts}",
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
    """What was seen of it, the first of these configs, on the slice it was chosen on."""
    metric, trial = data.section.metric, trials[0]
    step = trial.phase.partition("/")[0]
    names = [str(row.loss_hash) for row in (*trials, reference)]
    arrays = reads.arrays(project.ledger, tx, [*names, str(reference.index_hash)])
    # Tickers of a day are averaged.
    days = Index.unpack(arrays[str(reference.index_hash)]).seconds
    losses = [by_period(arrays[name], days) for name in names]
    found = ranking(np.column_stack(losses[:-1]), losses[-1], data.view.horizon)
    interval = validation_split(project, data).validation_interval()
    n_trials = reads.count_tested_configs(project.ledger, tx, data.slot, interval)
    luck = selection_bias_of(project, data, tx, trial.config_hash, reference, n_trials)
    return evidence_about(
        candidate,
        "validation",
        step if step in _KEEPERS else "grid",
        dataset=candidate.dataset_fingerprint,
        split=trial.split_hash,
        scalars={
            "loss": Scalar(trial.score, metric, "min"),
            "naive_loss": Scalar(reference.score, metric, "min"),
            **dm_scalars(found.against_naive[0]),
            "configs_looked_at": Scalar(n_trials, "configs"),
            **found.scalars(0),
            **luck.scalars(),
        },
        notes={
            "metric": metric,
            **baselines.notes(reference),
            "reason": f"kept by {_KEEPERS.get(step, 'a grid')}; judged on the one validation "
            "slice it was chosen on",
            **found.notes(),
            **luck.notes(),
        },
    )


def _others(ledger: Ledger, tx: Transaction, study_id: str, trial: TrialRow) -> list[TrialRow]:
    """The other configs of its search, on the windows of this one."""
    return [
        row
        for row in reads.trials_of(ledger, tx, study_id, trial.phase.partition("/")[0])
        if row.state is State.COMPLETE
        and math.isfinite(row.score)
        and row.index_hash == trial.index_hash
        and row.config_hash != trial.config_hash
    ]
