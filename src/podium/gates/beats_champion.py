"""Does the candidate forecast the sealed test better than the slot's present champion?

Asks
----
Whether the candidate's mean loss on the sealed test is below the champion's on the same windows.

Why
---
A candidate that only beats its baseline may be worse than the present champion. A comparison on
other data, or with the champion's old figures, is not valid.

Passes when
-----------
The slot has no champion, or the candidate's mean loss is lower than the champion's by at least the
share ``improvement`` (0). The finding has the p-value of the difference and its 95 % interval, from
resampled blocks of the test's bars, which show whether it is significant.

Refuses when
------------
The mean loss is not lower by that share. Undecidable when the two were not evaluated on the same
windows, for example because the champion forecasts another target.

What to do
----------
Keep the champion; that is the usual outcome. If the slot's task has changed, archive the champion
with a reason, then promote again.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("test",)
LIMITS = {"improvement": 0.0}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the two mean losses in the evidence ``against_champion``."""
    if not case.holder:
        return Result.PASS, "the slot has no champion"
    against = case.against
    if against is None:
        return Result.UNDECIDABLE, (
            f"it was not compared with the champion {case.holder} on the same windows"
        )
    loss, other = against.scalar("loss"), against.scalar("champion_loss")
    low, high = (against.scalars.get(f"loss_difference_{side}") for side in ("low", "high"))
    spread = f", difference {low.value:+.2g} to {high.value:+.2g}" if low and high else ""
    finding = (
        f"on the sealed test its {against.notes['metric']} is {loss:.4g} against {other:.4g} of "
        f"the champion {case.holder} (p = {against.scalar('dm_p_value'):.2g}{spread})"
    )
    if loss < other and loss <= other * (1.0 - case.limits["improvement"]):
        return Result.PASS, finding
    return Result.REFUSE, f"{finding}, which is not an improvement"
