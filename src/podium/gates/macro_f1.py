"""Does the candidate classify better than the slot's champion, and than a naive rule?

Asks
----
Whether the candidate's macro-F1 is higher than the champion's on the very same samples, and higher
than that of the naive rule that was best on validation.

Why
---
Macro-F1 counts every class alike, so rare classes matter. A comparison with the champion's old
figure, on other data, would say nothing; and a network that a rule of three numbers beats is not
worth its keep.

Passes when
-----------
Its macro-F1 is above the naive rule's, and above the champion's by more than ``improvement`` (0)
where somebody holds the slot. The p-value of the difference is told, so that a reader sees whether
it is more than chance. ``above_naive`` (1) set to 0 leaves the naive rule out.

Refuses when
------------
It is not higher. Undecidable when the two were not evaluated on the same samples, for example
because the champion knows other classes.

What to do
----------
Leave the champion where it is; that is the usual outcome. Look at the per-class figures of the
evaluation before trying again: every further try is counted.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("evaluation",)
LIMITS = {"improvement": 0.0, "above_naive": 1.0}


def judge(case: Case) -> tuple[Result, str]:
    """Compare macro-F1 with the naive rule's, then with the champion's."""
    found = case.candidate["evaluation"]
    mine, naive = found.scalar("macro_f1"), found.scalar("naive_macro_f1")
    told = f"its macro-F1 is {mine:.4g} against {naive:.4g} of the naive rule"
    if case.limits["above_naive"] and not mine > naive:
        return Result.REFUSE, f"{told}, which is no improvement"
    if not case.holder:
        return Result.PASS, f"{told}; nobody holds the slot"
    against = case.against
    if against is None:
        return Result.UNDECIDABLE, (
            f"it was not evaluated against the champion {case.holder} on the same samples"
        )
    mine, other = against.scalar("macro_f1"), against.scalar("champion_macro_f1")
    told = (
        f"{told} and, on the same samples, {mine:.4g} against {other:.4g} of the champion "
        f"{case.holder} (p = {against.scalar('p_value'):.2g})"
    )
    if mine > other and mine - other >= case.limits["improvement"]:
        return Result.PASS, told
    return Result.REFUSE, f"{told}, which is no improvement"
