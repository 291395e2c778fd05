"""A step runs once for its inputs: its result and its receipt are one transaction.

``inputs`` names everything that a result depends on. A step is complete if a receipt has its
inputs; otherwise a comparison with the newest receipt gives the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from podium.candidate import Candidate
from podium.evidence import Evidence
from podium.hashing import new_id
from podium.ledger import reads, writes
from podium.ledger.ledger import Transaction, now
from podium.ledger.reads import Receipt
from podium.steps.workspace.project import Project

Inputs = Mapping[str, Any]
FIRST = "nothing is on record yet"
# Length of a value in a message.
MAX_LENGTH = 60


@dataclass(frozen=True)
class StepResult:
    """Result of a step for some inputs.

    Parameters
    ----------
    outputs : mapping
        Outputs in the receipt.
    fresh : bool
        Whether the step ran now.
    """

    outputs: Mapping[str, Any]
    fresh: bool


def outputs_of(project: Project, slot: str, step: str, inputs: Inputs) -> dict[str, Any] | None:
    """Outputs of a step for these inputs; None: it is not complete for them."""
    return project.ledger.read(reads.receipt, slot, step, inputs)


def newest(project: Project, slot: str, step: str) -> Receipt | None:
    """Newest receipt of a step of a slot; None: it was never complete."""
    return next(iter(project.ledger.read(reads.newest_receipts, slot, step)), None)


def once(
    project: Project,
    slot: str,
    step: str,
    inputs: Inputs,
    make: Callable[[], Callable[[Transaction], Mapping[str, Any]]],
) -> StepResult:
    """Run a step unless it is complete for these inputs.

    A complete result becomes the newest of its step again, so that the next step uses the inputs
    of the last request.

    Parameters
    ----------
    make : callable
        Does the work outside of any transaction and returns a function that writes the result
        inside one and returns the outputs.
    """
    known, last = outputs_of(project, slot, step, inputs), newest(project, slot, step)
    if known is None:
        write = make()
        with project.ledger.transaction(durable=True) as tx:
            outputs = write(tx)
            writes.put_receipt(tx, slot, step, inputs, outputs)
        return StepResult(outputs, fresh=True)
    assert last is not None
    if last.inputs_hash != reads.hash_of(inputs):
        project.ledger.write(writes.put_receipt, slot, step, inputs, known)
    return StepResult(known, fresh=False)


def evidence_once(
    project: Project,
    candidate: Candidate,
    step: str,
    inputs: Inputs,
    make: Callable[[], Callable[[Transaction], Iterable[Evidence]]],
) -> bool:
    """Append evidence unless the newest of its kinds comes from these inputs.

    Older evidence of the same inputs is appended again unchanged, since gates read the newest of a
    kind.

    Returns
    -------
    bool
        Whether ``make`` was called.
    """
    ledger = project.ledger
    if is_newest(project, candidate, step, inputs):
        return False
    known = outputs_of(project, candidate.slot, step, inputs)
    if known is None:
        write = make()
    else:
        before = ledger.read(reads.evidence_by_id, [*known.values()])

        def write(tx: Transaction) -> Iterable[Evidence]:
            del tx
            return [replace(one, id=new_id("e"), created_at=now()) for one in before]

    with ledger.transaction(durable=True) as tx:
        evidence = [*write(tx)]
        for one in evidence:
            writes.put_evidence(tx, one)
        outputs = {one.kind: one.id for one in evidence}
        writes.put_receipt(tx, candidate.slot, step, inputs, outputs)
        writes.announce(tx, "candidate", [candidate.id])
    return known is None


def is_newest(project: Project, candidate: Candidate, step: str, inputs: Inputs) -> bool:
    """Whether the newest evidence of a step about a candidate comes from these inputs."""
    with project.ledger.reading() as tx:
        known = reads.receipt(tx, candidate.slot, step, inputs)
        if known is None:
            return False
        evidence = reads.evidence_of(tx, candidate.id)
    return all(kind in evidence and evidence[kind].id == id_ for kind, id_ in known.items())


def differences(project: Project, slot: str, step: str, inputs: Inputs) -> list[str]:
    """Inputs that differ from those of the newest receipt of a step, one sentence each.

    None stands for an unknown input and is skipped. With an unknown input, names that only the
    receipt has are skipped too.
    """
    last = newest(project, slot, step)
    if last is None:
        return [FIRST]
    before = last.inputs
    gone = [] if None in inputs.values() else [name for name in before if name not in inputs]
    changed = gone + [
        name
        for name, value in inputs.items()
        if value is not None and _plain(before.get(name)) != _plain(value)
    ]
    # A new family, for example, adds names that follow from it, so changed values suffice.
    shown = [name for name in changed if name in before] or changed
    return [
        f"{name} was {_shorten(before.get(name))}, is {_shorten(inputs.get(name))}"
        for name in shown
    ]


def _plain(value: object) -> object:
    """A value as in JSON, where a tuple is a list."""
    return list(value) if isinstance(value, tuple) else value


def _shorten(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list | tuple):
        value = ", ".join(str(one) for one in value)
    text = str(value)
    if len(text) == 64 and all(letter in "0123456789abcdef" for letter in text):
        return text[:8]
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 3]}..."
