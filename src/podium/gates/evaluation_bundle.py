"""Was this model evaluated, and is its bundle for reviewers exported?

Asks
----
Whether the candidate's artefact was evaluated on the slot's evaluation data, with a bundle of
figures, curves and predictions.

Why
---
One number does not show the single classes. Reviewers need the confusion matrix, precision and
recall, calibration and the worst errors of this model.

Passes when
-----------
The newest evaluation names the candidate's artefact and a bundle, and its validation evidence names
the same artefact.

Refuses when
------------
The evaluation is of another artefact, or has no bundle.

What to do
----------
Run ``podium evaluate CANDIDATE``; ``--attach`` verifies and adds a bundle from elsewhere.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("validation", "evaluation")
LIMITS: dict[str, float] = {}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the artefacts, and require the bundle's hash."""
    trained, tested = case.candidate["validation"], case.candidate["evaluation"]
    if trained.artifact_hash != tested.artifact_hash:
        return Result.REFUSE, (
            f"the evaluation is of artefact {tested.artifact_hash[:12]}, the candidate is "
            f"{trained.artifact_hash[:12]}"
        )
    bundle = tested.notes.get("bundle", "")
    if not bundle:
        return Result.REFUSE, "the evaluation has no bundle"
    return Result.PASS, f"evaluated on {tested.notes.get('data', 'its data')}, bundle {bundle[:12]}"
