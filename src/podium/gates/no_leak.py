"""Did the leak probe show that no part of the candidate depends on the future?

Asks
----
Whether its features, its target's increments, its family and its signal, in the versions of the
candidate, were probed with another past and another future, and depend only on the past.

Why
---
A scaler that was fitted on all data, or a two-sided filter, beats every valid model on every later
test.

Passes when
-----------
Every member was probed, and no value up to a bar changed when only later bars changed.

Refuses when
------------
A member depends on the future; the finding names the first bar and column. Undecidable when a
member could not be probed: its values never change, its code fails on other bars, or there are too
few bars to fit it.

What to do
----------
Run ``podium leak NAME`` for the named member. The usual cause is a user's feature: a mean, quantile
or scaling over all bars instead of those up to each one.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import Case, number

NEEDS = ("leak_probe",)
LIMITS: dict[str, float] = {}


def judge(case: Case) -> tuple[Result, str]:
    """Check for members that leak, then for members without a result."""
    evidence = case.candidate["leak_probe"]
    probed, leaks, undecided = (number(evidence, name) for name in ("probed", "leaks", "undecided"))
    if leaks > 0:
        return Result.REFUSE, f"it depends on the future: {evidence.notes['leaks']}"
    if undecided > 0 or not all(map(math.isfinite, (probed, leaks, undecided))):
        return Result.UNDECIDABLE, (
            f"the probe has no result for {undecided:.0f} of {probed:.0f} members: "
            f"{evidence.notes['undecided']}"
        )
    return Result.PASS, (
        f"none of its {probed:.0f} members (features, target, family, signal) changes "
        f"when only later bars change (podium {evidence.producer_version})"
    )
