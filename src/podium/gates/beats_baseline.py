"""Does the candidate forecast the sealed test better than the best baseline?

Asks
----
Whether the candidate's losses on the sealed test are significantly smaller than those of the
baseline that was best on validation. A candidate that is itself a baseline is compared with the
best simpler one.

Why
---
A model that does not beat a simple baseline costs training, monitoring and trust without a benefit.
The baseline is chosen on validation, so it is not a weak one picked on the test.

Passes when
-----------
The mean loss is smaller, and the one-sided p-value of the Diebold-Mariano test, multiplied by
k(k + 1), is below ``p_value`` (0.05). The candidate is the k-th that looked at these bars. Of the
first one the product equals the two-sided p-value. The probability that any of several candidates
without skill passes is at most ``p_value``, however many look.

Refuses when
------------
The mean loss is not smaller, or the difference is not significant; or the candidate is itself a
constant forecast, since no baseline is simpler than that. Undecidable when the test cannot
be computed (too few bars, identical losses).

What to do
----------
Compare the folds: a candidate that beats the baseline only on some folds needs other features, not
more trials. Use a longer history. Do not repeat attempts on the same test: every look raises the
threshold.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import Case
from podium.stats import p_value_of_look

NEEDS = ("test",)
LIMITS = {"p_value": 0.05}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the losses, and the p-value adjusted for looks with its limit."""
    test = case.candidate["test"]
    loss, reference = test.scalar("loss"), test.scalar("naive_loss")
    # Imported evidence may hold any number.
    p_value, look = test.scalar("dm_p_value_one_sided"), max(1, int(test.scalar("looks")))
    if test.notes.get("itself"):
        return Result.REFUSE, (
            f"it is the baseline {test.notes['naive_method']} itself; no baseline is simpler, so "
            "there is nothing that it beats"
        )
    if not math.isfinite(p_value):
        reason = test.notes["dm_reason"]
        return Result.UNDECIDABLE, f"the test against the baseline has no result: {reason}"
    baseline = f"the baseline {test.notes['naive_method']}"
    losses = f"{test.notes['metric']} {loss:.4g} against {reference:.4g}"
    if loss >= reference:
        return Result.REFUSE, f"on the sealed test it does no better than {baseline} ({losses})"
    adjusted = p_value_of_look(p_value, look)
    shown = f"p = {adjusted:.2g}"
    if look > 1:
        shown += f" (one-sided p = {p_value:.2g} times {look} x {look + 1}, for look {look})"
    gain = f"on the sealed test it is better than {baseline} ({losses})"
    if adjusted >= case.limits["p_value"]:
        return Result.REFUSE, (
            f"{gain}; the difference is not significant: {shown}, and the limit "
            f"is {case.limits['p_value']:g}"
        )
    return Result.PASS, f"{gain}, {shown}"
