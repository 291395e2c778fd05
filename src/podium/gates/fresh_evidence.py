"""Is every piece of evidence about this very artefact, and about the same data?

Asks
----
Whether the evidence that other gates read was made from the artefact that is to be promoted, and
on one and the same dataset.

Why
---
A folder trained again after it was judged, or judged on last month's file, is another model. Its
old figures say nothing about it.

Passes when
-----------
All evidence names one artefact hash and one dataset fingerprint, and there is test evidence.

Refuses when
------------
Two pieces of evidence disagree on either.

What to do
----------
Run ``podium backtest SLOT`` again: it judges the present artefact on the present data.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("validation", "test")
LIMITS: dict[str, float] = {}


def judge(case: Case) -> tuple[Result, str]:
    """Compare artefact hashes and dataset fingerprints over all evidence."""
    for what in ("artifact_hash", "dataset_fingerprint"):
        found = {kind: getattr(evidence, what) for kind, evidence in case.candidate.items()}
        if len(set(found.values())) > 1:
            told = ", ".join(f"{kind}: {value[:12]}" for kind, value in sorted(found.items()))
            return Result.REFUSE, f"evidence disagrees on its {what.replace('_', ' ')} ({told})"
    artifact = case.candidate["test"].artifact_hash[:12]
    return Result.PASS, f"{len(case.candidate)} pieces of evidence, all about artefact {artifact}"
