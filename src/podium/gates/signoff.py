"""Has a person looked at this evaluation and put their name to it?

Asks
----
Whether somebody signed the very bundle that the newest evaluation exported.

Why
---
No limit says whether an error is bearable. Somebody has to look at the confusion matrix, the curves
and the worst errors, minority classes against the champion's, and answer for it by name.

Passes when
-----------
The newest signature names the bundle of the newest evaluation.

Refuses when
------------
The signature is for another bundle: the model was evaluated again since.

What to do
----------
Open ``evaluation.html`` of the bundle, then run ``podium sign CANDIDATE --reason "..."``.
"""

from __future__ import annotations

from collections.abc import Mapping

from podium.decision import Result
from podium.evidence import Evidence

NEEDS = ("evaluation", "signature")
LIMITS: Mapping[str, float] = {}


def judge(
    candidate: Mapping[str, Evidence],
    champion: Mapping[str, Evidence] | None,
    limits: Mapping[str, float],
) -> tuple[Result, str]:
    """Compare the bundle that was signed with the one there is."""
    del champion, limits
    signature, found = candidate["signature"], candidate["evaluation"]
    signed, bundle = signature.notes.get("bundle", ""), found.notes.get("bundle", "")
    who = signature.notes.get("signer", "somebody")
    if not bundle or signed != bundle:
        return Result.REFUSE, (
            f"{who} signed bundle {signed[:12]}, and the newest evaluation's is "
            f"{bundle[:12] or 'none'}"
        )
    return Result.PASS, (
        f"signed by {who} on {signature.created_at[:10]}: {signature.notes.get('reason', '')}"
    )
