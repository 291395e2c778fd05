"""Is all evidence about this artefact and the same data?

Asks
----
Whether the evidence for the other gates was made from the candidate's artefact and one dataset.

Why
---
A model that was trained again after its evaluation, or evaluated on last month's file, is another
model. The old figures do not apply to it.

Passes when
-----------
All evidence names one artefact hash and one dataset fingerprint, and there is test evidence.

Refuses when
------------
Two pieces of evidence differ in the artefact or the dataset.

What to do
----------
Run ``podium backtest SLOT`` again: it evaluates the present artefact on the present data.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("validation", "test")
LIMITS: dict[str, float] = {}


def judge(case: Case) -> tuple[Result, str]:
    """Compare artefact hashes and dataset fingerprints over all evidence."""
    for name in ("artifact_hash", "dataset_fingerprint"):
        values = {kind: getattr(evidence, name) for kind, evidence in case.candidate.items()}
        if len(set(values.values())) > 1:
            listed = ", ".join(f"{kind}: {value[:12]}" for kind, value in sorted(values.items()))
            return Result.REFUSE, f"evidence differs in {name.replace('_', ' ')} ({listed})"
    artifact = case.candidate["test"].artifact_hash[:12]
    return Result.PASS, f"{len(case.candidate)} pieces of evidence, all about artefact {artifact}"
