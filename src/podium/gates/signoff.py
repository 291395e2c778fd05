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
from collections.abc import Mapping

from podium.decision import Result
from podium.evidence import SIGNATURE, Evidence, seen

NEEDS = (SIGNATURE,)
LIMITS: Mapping[str, float] = {"n": 1.0, "not_author": 0.0}


def judge(
    candidate: Mapping[str, Evidence],
    champion: Mapping[str, Evidence] | None,
    limits: Mapping[str, float],
) -> tuple[Result, str]:
    """Count who approves of what there is now."""
    del champion
    notes = candidate[SIGNATURE].notes
    if not _is_of(candidate, notes):
        return Result.UNSIGNED, (
            f"what {notes.get('signer', 'somebody')} signed is not what was found last: it was "
            "judged again since"
        )
    # One from before people could sign together has its signer alone.
    alone = [{"by": notes.get("signer", ""), "verdict": notes.get("verdict", "approve")}]
    signed = json.loads(notes["signatures"]) if "signatures" in notes else alone
    against = [one["by"] for one in signed if one["verdict"] != "approve"]
    if against:
        return Result.REFUSE, f"rejected by {', '.join(against)}: {notes.get('reason', '')}"
    names = [one["by"] for one in signed]
    counted = [n for n in names if not limits["not_author"] or n != notes.get("author")]
    told = f"signed by {', '.join(names)} on {candidate[SIGNATURE].created_at[:10]}"
    if len(counted) < limits["n"]:
        others = " who did not train it" if limits["not_author"] else ""
        return Result.UNSIGNED, f"{told}; {limits['n']:g} people{others} must sign"
    return Result.PASS, f"{told}: {notes.get('reason', '')}"


def _is_of(candidate: Mapping[str, Evidence], notes: Mapping[str, str]) -> bool:
    """Whether a signature names the findings there are now."""
    if "seen" in notes:
        return notes["seen"] == seen(candidate)
    evaluation = candidate.get("evaluation")
    return bool(evaluation and notes.get("bundle", "") == evaluation.notes.get("bundle"))
