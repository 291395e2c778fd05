"""Does the candidate forecast the sealed test better than the slot's present champion?

Asks
----
Whether the candidate's mean loss on the sealed test is below that of the candidate that holds the
slot, on the very same windows.

Why
---
What serves today is known; a newcomer that only beats naive may still be a step back. A comparison
on other data, or with the champion's old figures, would say nothing.

Passes when
-----------
Nobody holds the slot, or the candidate's mean loss is lower than the champion's by at least the
share ``improvement`` (0). The p-value of the difference and its 95 % interval, from resampled
blocks of the test's bars, are told, so that a reader sees whether it is more than chance.

Refuses when
------------
The mean loss is not that much lower. Undecidable when the two were not judged on the same windows,
for example because the champion forecasts something else.

What to do
----------
Leave the champion where it is; that is the usual outcome. Where the slot's question has changed,
archive the champion with a reason, then ask again.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("test",)
LIMITS = {"improvement": 0.0}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the two mean losses of the evidence ``against_champion``."""
    if not case.holder:
        return Result.PASS, "nobody holds the slot"
    found = case.against
    if found is None:
        return Result.UNDECIDABLE, (
            f"it was not judged against the champion {case.holder} on the same windows"
        )
    loss, other = found.scalar("loss"), found.scalar("champion_loss")
    low, high = (found.scalars.get(f"loss_difference_{side}") for side in ("low", "high"))
    spread = f", difference {low.value:+.2g} to {high.value:+.2g}" if low and high else ""
    told = (
        f"on the sealed test its {found.notes['metric']} is {loss:.4g} against {other:.4g} of the "
        f"champion {case.holder} (p = {found.scalar('dm_p_value'):.2g}{spread})"
    )
    if loss < other and loss <= other * (1.0 - case.limits["improvement"]):
        return Result.PASS, told
    return Result.REFUSE, f"{told}, which is no improvement"
