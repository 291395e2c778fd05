"""New evidence about a candidate's artefact, made by this version of podium."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from podium import __version__
from podium.candidate import Candidate
from podium.evidence import Evidence, Scalar
from podium.hashing import digest, new_id
from podium.ledger import writes
from podium.ledger.ledger import Transaction, now
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData

Arrays = Mapping[str, NDArray[Any]]


def evidence_of_test(
    project: Project,
    tx: Transaction,
    data: SlotData,
    candidate: Candidate,
    kind: str,
    scalars: Mapping[str, Scalar],
    notes: Mapping[str, str],
    arrays: Arrays | None = None,
) -> Evidence:
    """New evidence on the sealed test of a slot; its arrays are recorded."""
    return evidence_about(
        candidate,
        kind,
        "backtest",
        dataset=data.dataset.fingerprint,
        split=digest(["test", *data.test_interval]),
        scalars=scalars,
        series=put_arrays(project, tx, arrays or {}),
        notes=notes or {},
    )


def put_arrays(project: Project, tx: Transaction, arrays: Arrays) -> dict[str, str]:
    """Record arrays; return their hashes by name, the ``series`` of evidence."""
    return {name: writes.put_array(tx, array) for name, array in arrays.items()}


def put_training_marks(project: Project, tx: Transaction, marks: Arrays) -> dict[str, str]:
    """Record marks of training samples by kind, on which the model must not be evaluated."""
    return put_arrays(project, tx, {f"trained_{kind}": values for kind, values in marks.items()})


def evidence_about(
    candidate: Candidate,
    kind: str,
    producer: str,
    *,
    dataset: str,
    notes: Mapping[str, str] | None = None,
    split: str = "",
    scalars: Mapping[str, Scalar] | None = None,
    series: Mapping[str, str] | None = None,
) -> Evidence:
    """New evidence about a candidate, on a dataset and split given by their hashes."""
    return Evidence(
        id=new_id("e"),
        kind=kind,
        candidate_id=candidate.id,
        artifact_hash=candidate.artifact_hash,
        dataset_fingerprint=dataset,
        split_hash=split,
        producer=producer,
        producer_version=__version__,
        created_at=now(),
        scalars=scalars or {},
        series=series or {},
        notes=notes or {},
    )
