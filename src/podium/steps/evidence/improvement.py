"""Evidence ``improvement``: a child's figures beside its parent's, where both had the same test."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.candidate import Candidate
from podium.evidence import Evidence, Scalar
from podium.ledger import reads
from podium.ledger.ledger import Transaction
from podium.stats import Improvement, improvement, improvement_of_losses
from podium.steps.evidence.comparison import by_period
from podium.steps.evidence.evidence import evidence_about
from podium.steps.trials.once import evidence_once
from podium.steps.workspace import recorded
from podium.steps.workspace.project import Project

KIND = "improvement"
# Evidence whose figures are of a test, of both or of neither.
_TESTS = ("test", "backtest", "evaluation")
# Figures that are not the candidate's own, or one of many of the same metric.
_NAIVE, _PART = "naive_", ":"
_UNIT = "per cent"
# A finding of a candidate and the parent's of the same test.
Pair = tuple[Evidence, Evidence]


def improvement_over_parent(
    project: Project, candidate: Candidate, periods: NDArray[np.int64] | None = None
) -> Evidence | None:
    """Put on record by how much a candidate is better than the one it was made of.

    ``improvement_<metric>`` is in per cent of the parent's figure and above 0 where the child is
    better, ``delta_<metric>`` in the metric's unit. Where the parent gives nothing to compare with
    the delta stands alone, and the notes say why.

    Parameters
    ----------
    periods : (N,) int, optional
        The period of each loss that the test kept, for an interval of the improvement in it.

    Returns
    -------
    Evidence or None
        None where there is no parent, it was not tested on the same data, or this is on record.
    """
    pairs = comparable(project, candidate)

    def make() -> Callable[[Transaction], list[Evidence]]:
        evidence = _over_parent(project, candidate, pairs, periods)
        return lambda tx: [evidence]

    if not pairs or not evidence_once(project, candidate, KIND, inputs(candidate, pairs), make):
        return None
    return recorded.evidence(project, candidate.id)[KIND]


def comparable(project: Project, candidate: Candidate) -> list[Pair]:
    """Findings of a candidate and of its parent on the same test, in pairs."""
    if candidate.parent_id is None:
        return []
    mine, its = (recorded.evidence(project, id_) for id_ in (candidate.id, candidate.parent_id))
    return [
        (mine[kind], its[kind])
        for kind in _TESTS
        if kind in mine and kind in its and _where(mine[kind]) == _where(its[kind])
    ]


def inputs(candidate: Candidate, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Everything that the improvement over a parent depends on, by name."""
    return {
        "candidate": candidate.artifact_hash,
        "parent": candidate.parent_id,
        "findings": " ".join(one.id for pair in pairs for one in pair),
    }


def _over_parent(
    project: Project, candidate: Candidate, pairs: Sequence[Pair], periods: NDArray[np.int64] | None
) -> Evidence:
    changes = [c for pair in pairs for c in _changes(pair[0].scalars, pair[1].scalars)]
    losses = [[e.series.get("loss") for e in pair] for pair in pairs if pair[0].kind == "test"]
    with project.ledger.reading() as tx:
        kept = [reads.array(project.ledger, tx, n) for pair in losses for n in pair if n]
    if periods is not None and len(kept) == 2 and len(kept[0]) == len(kept[1]) == len(periods):
        drawn = improvement_of_losses(*(by_period(loss, periods) for loss in reversed(kept)))
        changes = [(name, unit, _with_interval(name, c, drawn)) for name, unit, c in changes]
    return _evidence(candidate, KIND, *_where(pairs[0][0]), changes)


def improvement_in_classes(
    project: Project, candidate: Candidate, fingerprint: str, changes: Mapping[str, Improvement]
) -> Evidence:
    """Put on record by how much a classifier is better than the one it was made of.

    Both answered the same samples just now, so it does not matter what is on record of the parent.

    Parameters
    ----------
    fingerprint : str
        SHA-256 of the samples.
    changes : mapping of metric to Improvement

    Returns
    -------
    Evidence
        What is on record already where nothing else was found.
    """
    told = [(name, "", found) for name, found in changes.items()]
    of = {
        "candidate": candidate.artifact_hash,
        "parent": candidate.parent_id,
        "samples": fingerprint,
    }
    evidence = _evidence(candidate, "evaluate", fingerprint, "", told)
    evidence_once(project, candidate, KIND, of, lambda: lambda tx: [evidence])
    return recorded.evidence(project, candidate.id)[KIND]


def _where(evidence: Evidence) -> tuple[str, str]:
    return evidence.dataset_fingerprint, evidence.split_hash


def _changes(
    mine: Mapping[str, Scalar], its: Mapping[str, Scalar]
) -> Iterator[tuple[str, str, Improvement]]:
    """Name, unit and change of every metric; where only one has it, the reason is that."""
    for name in dict.fromkeys([*mine, *its]):
        one, other = mine.get(name), its.get(name)
        value, unit, way = one or other or Scalar(math.nan)
        if name.startswith(_NAIVE) or _PART in name or way not in ("min", "max"):
            continue
        if one is None or other is None:
            lacks = "child" if one is None else "parent"
            found = Improvement(math.nan, math.nan, reason=f"the {lacks} has no such figure")
        elif (other.unit, other.direction) != (unit, way):
            found = Improvement(math.nan, math.nan, reason="they are in different units")
        else:
            spread = its.get(f"{name}_standard_error", Scalar(0.0)).value
            found = improvement(
                other.value, value, "max" if way == "max" else "min", standard_error=spread
            )
        yield name, unit, found


def _with_interval(name: str, found: Improvement, drawn: Improvement) -> Improvement:
    """The change of the test's loss with the interval that its periods span."""
    if name != "loss" or found.reason is not None:
        return found
    if drawn.reason is not None:
        return replace(found, percent=math.nan, reason=drawn.reason)
    return replace(found, low=drawn.low, high=drawn.high, interval_reason=drawn.interval_reason)


def _evidence(
    candidate: Candidate,
    producer: str,
    dataset: str,
    split: str,
    changes: Iterable[tuple[str, str, Improvement]],
) -> Evidence:
    """Evidence of what changed."""
    scalars: dict[str, Scalar] = {}
    notes: dict[str, str] = {}
    changed: list[str] = []
    for name, unit, found in changes:
        if not math.isnan(found.delta):
            scalars[f"delta_{name}"] = Scalar(found.delta, unit)
        if found.reason is not None:
            notes[f"improvement_{name}"] = f"none: {found.reason}"
        else:
            scalars[f"improvement_{name}"] = Scalar(found.percent, _UNIT, "max")
            if not math.isnan(found.low):
                scalars[f"improvement_{name}_low"] = Scalar(found.low, _UNIT)
                scalars[f"improvement_{name}_high"] = Scalar(found.high, _UNIT)
            elif found.interval_reason is not None:
                notes[f"improvement_{name}_interval"] = found.interval_reason
        changed += [name] * found.sign_changes
    if changed:
        notes["sign_changes"] = " ".join(changed)
    return evidence_about(
        candidate,
        KIND,
        producer,
        dataset=dataset,
        split=split,
        scalars=scalars,
        notes={**notes, "parent": str(candidate.parent_id)},
    )
