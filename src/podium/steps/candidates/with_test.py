"""Train a judged candidate again on its sealed test too, for use without a judgement there."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from podium.candidate import Candidate
from podium.errors import DataError, RefusedError
from podium.frames import section_of
from podium.gates._base import WITH_TEST
from podium.hashing import digest
from podium.ledger import writes
from podium.ledger.ledger import Transaction
from podium.manifest import require_hash
from podium.split import Split
from podium.steps.candidates import final_files
from podium.steps.candidates.final_model import Registered, candidate_once, final_split
from podium.steps.candidates.final_training import FinalTraining, Write
from podium.steps.data.bars import require_task, slot_data
from podium.steps.evidence.evidence import evidence_about
from podium.steps.evidence.leak_probe import ensure_leak_probe
from podium.steps.trials import execute
from podium.steps.trials.context import begin_study
from podium.steps.trials.once import Inputs
from podium.steps.workspace import recorded
from podium.steps.workspace.candidates import chosen
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData, task_hash

STEP, SUFFIX = "finalize_with_test", "_with_test"


@dataclass(frozen=True, eq=False)
class ModelWithTest(Registered):
    """A candidate that was trained on its slot's test too, and its parent.

    Parameters
    ----------
    candidate : Candidate
    parent : Candidate
        The one that was judged on the test.
    fresh : bool
        Whether the candidate is new.
    folder : Path, optional
        Its files.
    """

    parent: Candidate

    @property
    def sentence(self) -> str:
        """The candidate, and the parent whose figures apply."""
        return (
            f"{self.candidate.title} has seen the sealed test and cannot be judged there; "
            f"the figures of {self.parent.id} apply"
        )


def finalize_with_test(
    project: Project, slot: str, candidate_id: str | None = None
) -> ModelWithTest:
    """Train a judged candidate's config on all bars up to the end of the slot's test.

    Parameters
    ----------
    candidate_id : str, optional
        Default: the slot's champion, else the newest candidate that was judged on the test.

    Raises
    ------
    RefusedError
        The candidate was not judged on the sealed test.
    DataError
        The slot's task or tickers have changed since.
    """
    require_task(project.config, slot)
    parent = _judged(project, slot, candidate_id)
    manifest = json.loads(require_hash(project.store / parent.artifact_path, parent.artifact_hash))
    data = slot_data(project.config, slot)
    section = section_of(manifest)
    if task_hash(section) != data.task_hash or data.dataset.tickers != (*manifest["tickers"],):
        raise DataError(
            f"{parent.id} was trained for another task or other tickers than {slot} has now",
            "the task and the tickers that it was judged by",
            f"run: podium run {slot}",
        )
    whole = replace(data, train_stop=len(data.view))
    # Its second fold trains on everything.
    split = final_split(whole, project.config.finalize.validation_fraction)
    seeds = [int(seed) for seed in manifest.get("seeds", [manifest["seed"]])]
    inputs = {"parent": parent.artifact_hash, "data": data.dataset.fingerprint, "split": split.hash}
    made = candidate_once(
        project, slot, STEP, inputs, lambda: _train(project, whole, split, parent, seeds, inputs)
    )
    ensure_leak_probe(project, data, made.candidate)
    folder = final_files.write(
        project, whole, split, made.candidate, replace_newer=True, suffix=SUFFIX
    )
    return ModelWithTest(parent, candidate=made.candidate, fresh=made.fresh, folder=folder)


def _judged(project: Project, slot: str, candidate_id: str | None) -> Candidate:
    """The candidate, if it was judged on the slot's test."""
    ids = [row["id"] for row in project.reader.rows("candidates", slot=slot)]
    if candidate_id is not None:
        ids = [chosen(project, candidate_id)["id"]]
    elif holder := recorded.champion(project, slot):
        ids.insert(0, holder.id)
    for id_ in ids:
        candidate = recorded.candidate(project, id_)
        if candidate.slot == slot and "test" in recorded.evidence(project, id_):
            return candidate
    subject = f"{candidate_id} was not" if candidate_id else f"no candidate of {slot} was"
    raise RefusedError(
        f"{subject} judged on the sealed test of {slot}",
        "a judged candidate, since a model trained on the test cannot be judged on it",
        f"run: podium backtest {slot}",
    )


def _train(
    project: Project,
    data: SlotData,
    split: Split,
    parent: Candidate,
    seeds: list[int],
    inputs: Inputs,
) -> Write:
    progress = execute.Progress(project, f"{data.slot}: finalize with the test", len(seeds))
    training = FinalTraining(project, data, split, parent.family, seeds, digest(inputs), progress)
    with training.place() as job:
        [fits] = training.fit(job, {1: [parent.config] * len(seeds)})
        place = training.store(
            job, {"final_model": fits}, parent=parent.id, includes_test=[*data.test_interval]
        )
    spaces = {parent.family: data.family(parent.family).space(data.tuning)}
    study = begin_study(project, data, split, spaces, search="with_test").study

    def put_evidence(tx: Transaction, candidate: Candidate) -> None:
        # Gates read this in place of evidence from the test.
        start, stop = data.test_interval
        seen = evidence_about(
            candidate,
            WITH_TEST,
            STEP,
            dataset=data.dataset.fingerprint,
            split=split.hash,
            notes={
                "reason": f"it was trained on its sealed test too ({start[:10]} to {stop[:10]}), "
                f"so it cannot be judged there; the judged candidate is {candidate.parent_id}"
            },
        )
        writes.put_evidence(tx, seen)

    return training.registering(
        study,
        fits,
        fits[0],
        place,
        put_evidence,
        model_type=WITH_TEST,
        parent=parent,
        reason=f"{parent.id} trained on its test too",
    )
