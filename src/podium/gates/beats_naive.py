"""Does the candidate forecast the sealed test better than the best naive method?

Asks
----
Whether the candidate's losses on the sealed test are significantly smaller than those of the naive
method that was best on validation.

Why
---
A model that does not beat a moving average costs training, monitoring and trust without a benefit.
The naive method is chosen on validation, so it is not a weak one picked on the test.

Passes when
-----------
The mean loss is smaller and the two-sided p-value of the Diebold-Mariano test with the
Harvey-Leybourne-Newbold correction, multiplied by the number of candidates that have looked at
this test interval, is below ``p_value`` (0.05).

Refuses when
------------
The mean loss is not smaller, or the difference is not significant. Undecidable when the test cannot
be computed (too few bars, identical losses).

What to do
----------
Compare the folds: a candidate that beats naive only on some folds needs other features, not more
trials. Use a longer history. Do not repeat attempts on the same test: every look raises the
threshold.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("test",)
LIMITS = {"p_value": 0.05}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the losses, and the p-value adjusted for looks with its limit."""
    test = case.candidate["test"]
    loss, naive = test.scalar("loss"), test.scalar("naive_loss")
    p_value, looks = test.scalar("dm_p_value"), int(test.scalar("looks"))
    if not math.isfinite(p_value):
        reason = test.notes["dm_reason"]
        return Result.UNDECIDABLE, f"the test against naive has no result: {reason}"
    adjusted = min(1.0, p_value * looks)
    method, metric = test.notes["naive_method"], test.notes["metric"]
    shown = f"p = {adjusted:.2g}"
    if looks > 1:
        shown += f" (p = {p_value:.2g} times {looks} looks at this test)"
    if loss >= naive:
        return Result.REFUSE, (
            f"on the sealed test it does no better than the naive {method} forecast "
            f"({metric} {loss:.4g} against {naive:.4g})"
        )
    gain = (
        f"on the sealed test its {metric} is {loss:.4g} against {naive:.4g} for the naive {method} "
        "forecast"
    )
    if adjusted >= case.limits["p_value"]:
        return Result.REFUSE, (
            f"{gain}; the difference is not significant: {shown}, and the limit "
            f"is {case.limits['p_value']:g}"
        )
    return Result.PASS, f"{gain}, {shown}"
