"""Was this very model evaluated, and is what a person needs to judge it exported?

Asks
----
Whether there is an evaluation of the artefact that is to be promoted on the slot's own evaluation
data, with its bundle of figures, curves and predictions.

Why
---
One number hides which classes it comes from. Confusion, precision and recall, calibration and the
worst errors are what a colleague looks at, and they must be those of this model.

Passes when
-----------
The newest evaluation names the candidate's artefact and a bundle, and its validation evidence names
the same artefact.

Refuses when
------------
The evaluation is of another artefact, or has no bundle.

What to do
----------
Run ``podium evaluate CANDIDATE``; a bundle made elsewhere is checked and taken by ``--attach``.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("validation", "evaluation")
LIMITS: dict[str, float] = {}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the artefacts, and look for the bundle's hash."""
    trained, found = case.candidate["validation"], case.candidate["evaluation"]
    if trained.artifact_hash != found.artifact_hash:
        return Result.REFUSE, (
            f"the evaluation is of artefact {found.artifact_hash[:12]}, the candidate is "
            f"{trained.artifact_hash[:12]}"
        )
    bundle = found.notes.get("bundle", "")
    if not bundle:
        return Result.REFUSE, "the evaluation has no bundle to look at"
    return Result.PASS, f"evaluated on {found.notes.get('data', 'its data')}, bundle {bundle[:12]}"
