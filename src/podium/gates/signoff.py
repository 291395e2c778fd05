"""Have enough people signed the current findings?

Asks
----
Whether enough people approved the current findings (of a classifier the bundle of its newest
evaluation), and no signer rejected them.

Why
---
A limit does not show whether an error is acceptable. A person must review the figures, the curves
and the worst errors, compare minority classes with the champion's, and sign by name.

Passes when
-----------
At least ``n`` (1) people approve; with ``not_author`` (0) at 1, signatures of the person who
trained the candidate do not count. Names are as asserted by the signers.

Refuses when
------------
A signer rejects it, too few people approve, or the signatures are for other findings, because the
model was evaluated again.

What to do
----------
Open ``report.html``, or ``evaluation.html`` of the bundle, then run
``podium sign CANDIDATE --approve --reason "..."``, or ``--reject``.
"""

from __future__ import annotations

import json

from podium.decision import Result
from podium.evidence import SIGNATURE, seen
from podium.gates._base import Case

NEEDS = (SIGNATURE,)
LIMITS = {"n": 1.0, "not_author": 0.0}


def judge(case: Case) -> tuple[Result, str]:
    """Count the approvals of the current findings."""
    signature = case.candidate[SIGNATURE]
    notes = signature.notes
    if notes.get("seen") != seen(case.candidate):
        return Result.UNSIGNED, (
            f"the signature of {notes.get('signer', 'a person')} is for other findings: the model "
            "was evaluated again since"
        )
    signed = json.loads(notes["signatures"])
    against = [one["by"] for one in signed if one["verdict"] != "approve"]
    if against:
        return Result.REFUSE, f"rejected by {', '.join(against)}: {notes['reason']}"
    names = [one["by"] for one in signed]
    counted = [n for n in names if not case.limits["not_author"] or n != notes["author"]]
    finding = f"signed by {', '.join(names)} on {signature.created_at[:10]}"
    if len(counted) < case.limits["n"]:
        others = " who did not train it" if case.limits["not_author"] else ""
        return Result.UNSIGNED, f"{finding}; {case.limits['n']:g} people{others} must sign"
    return Result.PASS, f"{finding}: {notes['reason']}"
