"""Is the candidate's config in the model confidence set of its folds?

Asks
----
Whether the chosen config belongs to the model confidence set of the cross-validated configs (of a
grid: of all its configs) and baselines: those that are not distinguishable from the best.

Why
---
A simpler config may be preferred to the one with the lowest mean loss. That is valid while the
difference is not significant; a config that is significantly worse should not be promoted.

Passes when
-----------
Its p-value in the model confidence set is at least ``alpha`` (0.1).

Refuses when
------------
The p-value is lower, so another config or a baseline is significantly better. Undecidable when the
folds have too few periods, or when the evidence comes from an earlier version of podium.

What to do
----------
Extend more configs, or more folds. If a baseline is in the set too, no config is significantly
better than it on validation; this alone does not refuse.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import EARLIER, Case, number

NEEDS = ("validation",)
LIMITS = {"alpha": 0.1}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the config's p-value in the confidence set with the level."""
    evidence = case.candidate["validation"]
    p_value = number(evidence, "confidence_set_p_value")
    if not math.isfinite(p_value):
        reason = evidence.notes.get("confidence_set_reason") or EARLIER
        return Result.UNDECIDABLE, f"there is no confidence set: {reason}"
    finding = (
        f"of {evidence.scalar('confidence_set_of'):.0f} configs and baselines, "
        f"{evidence.scalar('confidence_set_size'):.0f} are not distinguishable from the best"
    )
    if p_value >= case.limits["alpha"]:
        return Result.PASS, f"{finding}, including its own (p = {p_value:.2g})"
    return Result.REFUSE, (
        f"{finding}, but not its own (p = {p_value:.2g}, and the limit is {case.limits['alpha']:g})"
    )
