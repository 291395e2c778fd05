"""Does the candidate classify better than the slot's champion, and than the best baseline?

Asks
----
Whether the candidate's macro-F1 is higher than the champion's on the same samples, and higher than
that of the baseline that was best on validation.

Why
---
Macro-F1 gives every class the same weight, so rare classes count. A comparison with the champion's
old figure on other data is not valid, and a network must beat a model of a few weights.

Passes when
-----------
Its macro-F1 is above the baseline's, and, if the slot has a champion, above the champion's by
more than ``improvement`` (0). The finding has the p-value of the difference, which shows whether it
is significant. ``above_baseline`` (1) set to 0 omits the baseline.

Refuses when
------------
It is not higher. Undecidable when the two were not evaluated on the same samples, for example
because the champion has other classes.

What to do
----------
Keep the champion; that is the usual outcome. Read the per-class figures of the evaluation before
the next attempt: every attempt is counted.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("evaluation",)
LIMITS = {"improvement": 0.0, "above_baseline": 1.0}


def judge(case: Case) -> tuple[Result, str]:
    """Compare macro-F1 with the baseline's, then with the champion's."""
    evaluation = case.candidate["evaluation"]
    mine, baseline = evaluation.scalar("macro_f1"), evaluation.scalar("naive_macro_f1")
    name = evaluation.notes["naive_method"]
    finding = f"its macro-F1 is {mine:.4g} against {baseline:.4g} of the baseline {name}"
    look = int(evaluation.scalar("looks"))
    if look > 1:
        finding += f" (look {look} at these samples)"
    if case.limits["above_baseline"] and not mine > baseline:
        return Result.REFUSE, f"{finding}, which is not an improvement"
    if not case.holder:
        return Result.PASS, f"{finding}; the slot has no champion"
    against = case.against
    if against is None:
        return Result.UNDECIDABLE, (
            f"it was not evaluated against the champion {case.holder} on the same samples"
        )
    mine, other = against.scalar("macro_f1"), against.scalar("champion_macro_f1")
    finding = (
        f"{finding} and, on the same samples, {mine:.4g} against {other:.4g} of the champion "
        f"{case.holder} (p = {against.scalar('p_value'):.2g})"
    )
    if mine > other and mine - other >= case.limits["improvement"]:
        return Result.PASS, finding
    return Result.REFUSE, f"{finding}, which is not an improvement"
