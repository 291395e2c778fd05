"""Evidence ``improvement``: a child's figures beside its parent's, where both had the same test."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from podium.candidate import Candidate
from podium.evidence import Evidence, Scalar
from podium.ledger import reads, writes
from podium.stats import improvement, improvement_of_losses, panel_loss
from podium.steps._evidence import evidence_about
from podium.steps._project import Project

KIND = "improvement"
# Evidence whose figures are of a test, of both or of neither.
_TESTS = ("test", "backtest", "evaluation")
# Figures that are not the candidate's own, or one of many of the same metric.
_NAIVE, _PART = "naive_", ":"
_UNIT = "per cent"


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
    ledger = project.ledger
    if candidate.parent_id is None:
        return None
    with ledger.reading() as tx:
        mine = reads.evidence_of(ledger, tx, candidate.id)
        its = reads.evidence_of(ledger, tx, candidate.parent_id)
        both = [
            (mine[kind], its[kind])
            for kind in _TESTS
            if kind in mine and kind in its and _where(mine[kind]) == _where(its[kind])
        ]
        seen = " ".join(one.id for pair in both for one in pair)
        if not both or (KIND in mine and mine[KIND].notes["of"] == seen):
            return None
        scalars, notes = _compared(both)
        losses = [[e.series.get("loss") for e in pair] for pair in both if pair[0].kind == "test"]
        kept = [reads.array(ledger, tx, name) for pair in losses for name in pair if name]
    if periods is not None and len(kept) == 2 and len(kept[0]) == len(kept[1]) == len(periods):
        found = improvement_of_losses(
            *(panel_loss(loss.astype(np.float64), periods)[1] for loss in reversed(kept))
        )
        if found.interval_reason is None and found.reason is None:
            scalars["improvement_loss_low"] = Scalar(found.low, _UNIT)
            scalars["improvement_loss_high"] = Scalar(found.high, _UNIT)
        else:
            notes["improvement_loss_interval"] = found.interval_reason or str(found.reason)
    evidence = evidence_about(
        candidate,
        KIND,
        KIND,
        dataset=both[0][0].dataset_fingerprint,
        split=both[0][0].split_hash,
        scalars=scalars,
        notes={**notes, "parent": candidate.parent_id, "of": seen},
    )
    with ledger.transaction(durable=True) as tx:
        writes.put_evidence(ledger, tx, evidence)
    return evidence


def _where(evidence: Evidence) -> tuple[str, str]:
    return evidence.dataset_fingerprint, evidence.split_hash


def _compared(
    both: list[tuple[Evidence, Evidence]],
) -> tuple[dict[str, Scalar], dict[str, str]]:
    """Figures and words about every metric that both have."""
    scalars: dict[str, Scalar] = {}
    notes: dict[str, str] = {}
    changed: list[str] = []
    for mine, its in both:
        for name, (value, unit, way) in mine.scalars.items():
            other = its.scalars.get(name)
            if other is None or (other.unit, other.direction) != (unit, way):
                continue
            if name.startswith(_NAIVE) or _PART in name:
                continue
            if way not in ("min", "max"):
                continue
            spread = its.scalars.get(f"{name}_standard_error", Scalar(0.0)).value
            found = improvement(
                other.value, value, "max" if way == "max" else "min", standard_error=spread
            )
            if not math.isnan(found.delta):
                scalars[f"delta_{name}"] = Scalar(found.delta, unit)
            if found.reason is None:
                scalars[f"improvement_{name}"] = Scalar(found.percent, _UNIT, "max")
            else:
                notes[f"improvement_{name}"] = f"none: {found.reason}"
            changed += [name] * found.sign_changes
    if changed:
        notes["sign_changes"] = " ".join(changed)
    return scalars, notes
