"""Can the candidate's config not be told from the best one of its folds?

Asks
----
Whether the config that was chosen belongs to the model confidence set of the configs that were
cross-validated (of a grid: of all its configs) and the best naive one: those that cannot be told
from the best.

Why
---
A simpler config may be chosen over the one with the lowest mean loss. That is right as long as the
difference may be chance; a config that is known to be worse than another should not be promoted.

Passes when
-----------
Its p-value in the model confidence set is at least ``alpha`` (0.1).

Refuses when
------------
It is below, so another config or naive is better by more than chance explains. Undecidable when
the folds have too few periods, or when an earlier podium made the evidence.

What to do
----------
Extend more configs, or more folds. Where naive is in the set as well, no config was shown to be
better than it on validation; that alone refuses nothing here.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import EARLIER, Case, number

NEEDS = ("validation",)
LIMITS = {"alpha": 0.1}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the config's p-value in the confidence set with the level."""
    found = case.candidate["validation"]
    p_value = number(found, "confidence_set_p_value")
    if not math.isfinite(p_value):
        reason = found.notes.get("confidence_set_reason") or EARLIER
        return Result.UNDECIDABLE, f"there is no confidence set: {reason}"
    told = (
        f"of {found.scalar('confidence_set_of'):.0f} configs, the best naive one among them, "
        f"{found.scalar('confidence_set_size'):.0f} cannot be told from the best"
    )
    if p_value >= case.limits["alpha"]:
        return Result.PASS, f"{told}, its own among them (p = {p_value:.2g})"
    return Result.REFUSE, (
        f"{told}, and its own is none of them (p = {p_value:.2g}, and the limit is "
        f"{case.limits['alpha']:g})"
    )
