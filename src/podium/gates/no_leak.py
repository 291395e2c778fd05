"""Was it shown that nothing the candidate is made of knows the future?

Asks
----
Whether its features, its target's increments, its family and its signal, in the versions that made
the candidate, were probed with another past and another future, and only the past moved them.

Why
---
One scaler fitted on everything, or one filter that looks both ways, beats every honest model on
every test that follows.

Passes when
-----------
Every member was probed and no value up to a bar moved when only later bars changed.

Refuses when
------------
A member knows the future; the first bar and column are named. Undecidable when a member could not
be probed: nothing moves it, its code fails on other bars, or there are too few bars to fit it on.

What to do
----------
Run ``podium leak NAME`` for the member that is named. A feature of a user's own is the usual
culprit: a mean, quantile or scaling over all bars instead of those up to each one.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import Case, number

NEEDS = ("leak_probe",)
LIMITS: dict[str, float] = {}


def judge(case: Case) -> tuple[Result, str]:
    """Look for members that leak, then for members of which nothing was shown."""
    found = case.candidate["leak_probe"]
    probed, leaks, undecided = (number(found, name) for name in ("probed", "leaks", "undecided"))
    if leaks > 0:
        return Result.REFUSE, f"it knows the future: {found.notes['leaks']}"
    if undecided > 0 or not all(map(math.isfinite, (probed, leaks, undecided))):
        return Result.UNDECIDABLE, (
            f"of {undecided:.0f} of {probed:.0f} members nothing was shown: "
            f"{found.notes['undecided']}"
        )
    return Result.PASS, (
        f"none of the {probed:.0f} members it is made of (features, target, family, signal) moves "
        f"when only later bars change (podium {found.producer_version})"
    )
