"""Have people looked at what was found, and put their names to it?

Asks
----
Whether enough people signed the very findings that there are now (of a classifier the bundle of its
newest evaluation), and nobody who signed them said no.

Why
---
No limit says whether an error is bearable. Somebody has to look at the figures, the curves and the
worst errors, minority classes against the champion's, and answer for it by name.

Passes when
-----------
At least ``n`` (1) people approve; with ``not_author`` (0) at 1 only those count who did not train
the candidate. Names are as asserted by those who signed.

Refuses when
------------
Somebody rejects it, too few people approve, or the signatures are for other findings: the model was
judged again since.

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
    """Count who approves of what there is now."""
    signature = case.candidate[SIGNATURE]
    notes = signature.notes
    if notes.get("seen") != seen(case.candidate):
        return Result.UNSIGNED, (
            f"what {notes.get('signer', 'somebody')} signed is not what was found last: it was "
            "judged again since"
        )
    signed = json.loads(notes["signatures"])
    against = [one["by"] for one in signed if one["verdict"] != "approve"]
    if against:
        return Result.REFUSE, f"rejected by {', '.join(against)}: {notes['reason']}"
    names = [one["by"] for one in signed]
    counted = [n for n in names if not case.limits["not_author"] or n != notes["author"]]
    told = f"signed by {', '.join(names)} on {signature.created_at[:10]}"
    if len(counted) < case.limits["n"]:
        others = " who did not train it" if case.limits["not_author"] else ""
        return Result.UNSIGNED, f"{told}; {case.limits['n']:g} people{others} must sign"
    return Result.PASS, f"{told}: {notes['reason']}"
