"""A step is done once for its inputs: what it makes and its receipt are one transaction.

``inputs`` names everything that a result depends on. Whether a step is complete is a look-up of
them; why it is not, is a comparison with those of its newest receipt.
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
# A hash says enough by its first digits; a text is shown as far as a line has room for it.
SHOWN = 60


@dataclass(frozen=True)
class Done:
    """What a step came to for some inputs.

    Parameters
    ----------
    outputs : mapping
        As the receipt keeps them.
    fresh : bool
        Whether it was done just now.
    """

    outputs: Mapping[str, Any]
    fresh: bool


def outputs_of(project: Project, slot: str, step: str, inputs: Inputs) -> dict[str, Any] | None:
    """What a complete step came to; None: it is not complete for these inputs."""
    return project.ledger.read(reads.receipt, slot, step, inputs)


def newest(project: Project, slot: str, step: str) -> Receipt | None:
    """What a step of a slot did last; None: it was never complete."""
    return next(iter(project.ledger.read(reads.newest_receipts, slot, step)), None)


def once(
    project: Project,
    slot: str,
    step: str,
    inputs: Inputs,
    make: Callable[[], Callable[[Transaction], Mapping[str, Any]]],
) -> Done:
    """Do a step unless it is complete for these inputs.

    What is complete already becomes the newest receipt of its step again, so that the next step
    goes on from what was asked for last.

    Parameters
    ----------
    make : callable
        Does the work outside of any transaction, and returns what writes its result inside one and
        gives the outputs.
    """
    known, last = outputs_of(project, slot, step, inputs), newest(project, slot, step)
    if known is None:
        write = make()
        with project.ledger.transaction(durable=True) as tx:
            outputs = write(tx)
            writes.put_receipt(project.ledger, tx, slot, step, inputs, outputs)
        return Done(outputs, fresh=True)
    assert last is not None
    if last.inputs_hash != reads.hash_of(inputs):
        project.ledger.write(writes.put_receipt, slot, step, inputs, known)
    return Done(known, fresh=False)


def evidence_once(
    project: Project,
    candidate: Candidate,
    step: str,
    inputs: Inputs,
    make: Callable[[], Callable[[Transaction], Iterable[Evidence]]],
) -> bool:
    """Put evidence on record unless the newest of its kinds comes from these inputs.

    Evidence of the same inputs that is not the newest any more, since other terms were asked for in
    between, is appended again as it was: gates read the newest of a kind.

    Returns
    -------
    bool
        Whether something was made.
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
        found = [*write(tx)]
        for one in found:
            writes.put_evidence(ledger, tx, one)
        outputs = {one.kind: one.id for one in found}
        writes.put_receipt(ledger, tx, candidate.slot, step, inputs, outputs)
        writes.announce(ledger, tx, "candidate", [candidate.id])
    return known is None


def is_newest(project: Project, candidate: Candidate, step: str, inputs: Inputs) -> bool:
    """Whether the newest evidence of a step about a candidate comes from these inputs."""
    with project.ledger.reading() as tx:
        known = reads.receipt(project.ledger, tx, candidate.slot, step, inputs)
        if known is None:
            return False
        there = reads.evidence_of(project.ledger, tx, candidate.id)
    return all(kind in there and there[kind].id == id_ for kind, id_ in known.items())


def differences(project: Project, slot: str, step: str, inputs: Inputs) -> list[str]:
    """Inputs that differ from those of the newest receipt of a step, one sentence each.

    What is None is not known yet, and is passed over; so is, where something is not known yet, a
    name that the receipt alone has.
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
    # A new family, for example, brings names of its own; that it is there says it all.
    told = [name for name in changed if name in before] or changed
    return [
        f"{name} was {_shown(before.get(name))}, is {_shown(inputs.get(name))}" for name in told
    ]


def _plain(value: object) -> object:
    """A value as JSON has it, where a tuple is a list."""
    return list(value) if isinstance(value, tuple) else value


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list | tuple):
        value = ", ".join(str(one) for one in value)
    text = str(value)
    if len(text) == 64 and all(letter in "0123456789abcdef" for letter in text):
        return text[:8]
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
