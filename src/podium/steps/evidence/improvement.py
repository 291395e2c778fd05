"""Evidence ``improvement``: changes of figures from a parent to its child on the same test."""

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
from podium.stats.improvement import Direction
from podium.steps.evidence.comparison import by_period
from podium.steps.evidence.evidence import evidence_about
from podium.steps.trials.once import evidence_once
from podium.steps.workspace import recorded
from podium.steps.workspace.project import Project

KIND = "improvement"
# Kinds of evidence with figures of a test.
_TESTS = ("test", "backtest", "evaluation")
# Prefix of figures of the baseline, and mark of a part of a metric.
_NAIVE, _PART = "naive_", ":"
_UNIT = "per cent"
# Evidence of a candidate and of its parent on the same test.
Pair = tuple[Evidence, Evidence]


def improvement_over_parent(
    project: Project,
    candidate: Candidate,
    periods: NDArray[np.int64] | None = None,
    horizon: int = 1,
) -> Evidence | None:
    """Record the improvement of a candidate over its parent.

    ``improvement_<metric>`` is in percent of the parent's figure and above 0 where the child is
    better, ``delta_<metric>`` in the metric's unit. Where the percentage is undefined there is only
    the delta, and a note with the reason.

    Parameters
    ----------
    periods : (N,) int, optional
        Period of each stored loss of the test, for an interval of its improvement.
    horizon : int
        Steps ahead; losses overlap by ``horizon - 1`` periods.

    Returns
    -------
    Evidence or None
        None without a parent that was tested on the same data, or if already recorded.
    """
    pairs = comparable(project, candidate)

    def make() -> Callable[[Transaction], list[Evidence]]:
        evidence = _over_parent(project, candidate, pairs, periods, horizon)
        return lambda tx: [evidence]

    if not pairs or not evidence_once(project, candidate, KIND, inputs(candidate, pairs), make):
        return None
    return recorded.evidence(project, candidate.id)[KIND]


def comparable(project: Project, candidate: Candidate) -> list[Pair]:
    """Pairs of evidence of a candidate and of its parent on the same test."""
    if candidate.parent_id is None:
        return []
    child, parent = (recorded.evidence(project, id_) for id_ in (candidate.id, candidate.parent_id))
    both = [(child[kind], parent[kind]) for kind in _TESTS if kind in child and kind in parent]
    return [pair for pair in both if _where(pair[0]) == _where(pair[1])]


def inputs(candidate: Candidate, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Inputs of the improvement over a parent, by name."""
    return {
        "candidate": candidate.artifact_hash,
        "parent": candidate.parent_id,
        "findings": " ".join(one.id for pair in pairs for one in pair),
    }


def _over_parent(
    project: Project,
    candidate: Candidate,
    pairs: Sequence[Pair],
    periods: NDArray[np.int64] | None,
    horizon: int,
) -> Evidence:
    changes = [c for pair in pairs for c in _changes(pair[0].scalars, pair[1].scalars)]
    losses = [[e.series.get("loss") for e in pair] for pair in pairs if pair[0].kind == "test"]
    with project.ledger.reading() as tx:
        kept = [reads.array(tx, n) for pair in losses for n in pair if n]
    if periods is not None and len(kept) == 2 and len(kept[0]) == len(kept[1]) == len(periods):
        parent, child = (by_period(loss, periods) for loss in reversed(kept))
        drawn = improvement_of_losses(parent, child, horizon=horizon)
        changes = [(name, unit, _with_interval(name, c, drawn)) for name, unit, c in changes]
    return _evidence(candidate, KIND, *_where(pairs[0][0]), changes)


def improvement_in_classes(
    project: Project, candidate: Candidate, fingerprint: str, changes: Mapping[str, Improvement]
) -> Evidence:
    """Record the improvement of a classifier over its parent on the same samples.

    Parameters
    ----------
    fingerprint : str
        SHA-256 of the samples.
    changes : mapping of metric to Improvement

    Returns
    -------
    Evidence
        The recorded evidence, if its inputs are unchanged.
    """
    rows = [(name, "", change) for name, change in changes.items()]
    of = {
        "candidate": candidate.artifact_hash,
        "parent": candidate.parent_id,
        "samples": fingerprint,
    }
    evidence = _evidence(candidate, "evaluate", fingerprint, "", rows)
    evidence_once(project, candidate, KIND, of, lambda: lambda tx: [evidence])
    return recorded.evidence(project, candidate.id)[KIND]


def _where(evidence: Evidence) -> tuple[str, str]:
    return evidence.dataset_fingerprint, evidence.split_hash


def _changes(
    child: Mapping[str, Scalar], parent: Mapping[str, Scalar]
) -> Iterator[tuple[str, str, Improvement]]:
    """Name, unit and change of every metric; a metric of only one of them has a reason."""
    for name in dict.fromkeys([*child, *parent]):
        one, other = child.get(name), parent.get(name)
        value, unit, direction = one or other or Scalar(math.nan)
        if name.startswith(_NAIVE) or _PART in name or direction not in ("min", "max"):
            continue
        if one is None or other is None:
            lacks = "child" if one is None else "parent"
            change = Improvement(math.nan, math.nan, reason=f"the {lacks} has no such figure")
        elif (other.unit, other.direction) != (unit, direction):
            change = Improvement(math.nan, math.nan, reason="they are in different units")
        else:
            spread = parent.get(f"{name}_standard_error", Scalar(0.0)).value
            way: Direction = "max" if direction == "max" else "min"
            change = improvement(other.value, value, way, standard_error=spread)
        yield name, unit, change


def _with_interval(name: str, change: Improvement, drawn: Improvement) -> Improvement:
    """The change, with a bootstrap interval if it is that of the test's loss."""
    if name != "loss" or change.reason is not None:
        return change
    if drawn.reason is not None:
        return replace(change, percent=math.nan, reason=drawn.reason)
    return replace(change, low=drawn.low, high=drawn.high, interval_reason=drawn.interval_reason)


def _evidence(
    candidate: Candidate,
    producer: str,
    dataset: str,
    split: str,
    changes: Iterable[tuple[str, str, Improvement]],
) -> Evidence:
    scalars: dict[str, Scalar] = {}
    notes: dict[str, str] = {}
    changed: list[str] = []
    for name, unit, change in changes:
        if not math.isnan(change.delta):
            scalars[f"delta_{name}"] = Scalar(change.delta, unit)
        if change.reason is not None:
            notes[f"improvement_{name}"] = f"none: {change.reason}"
        else:
            scalars[f"improvement_{name}"] = Scalar(change.percent, _UNIT, "max")
            if not math.isnan(change.low):
                scalars[f"improvement_{name}_low"] = Scalar(change.low, _UNIT)
                scalars[f"improvement_{name}_high"] = Scalar(change.high, _UNIT)
            elif change.interval_reason is not None:
                notes[f"improvement_{name}_interval"] = change.interval_reason
        changed += [name] * change.sign_changes
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
