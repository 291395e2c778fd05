"""Is the candidate's Sharpe ratio more than the best of so many tries reaches by luck?

Asks
----
Whether the true Sharpe ratio of the candidate's forecasts, traded on validation after costs, is
above what the best of all configs ever looked at would be expected to reach without any skill.

Why
---
Of 200 configs that know nothing the best one still looks good. Every config of every search, grid,
log and import of the slot on overlapping bars counts, failed and pruned ones too; splitting a
search into ten small ones resets nothing.

Passes when
-----------
The deflated Sharpe ratio, a probability that allows for the number of tries, the spread of their
Sharpe ratios, the number of bars, skew and fat tails, is above ``confidence`` (0.95).

Refuses when
------------
It is not. Undecidable when no forecasts were kept that could be traded, when they never trade, or
when of several configs only one left forecasts.

What to do
----------
Use a longer history, or fewer and better founded configs. More trials raise the bar. A forecast
that is judged by its error and not traded for profit needs another policy, not this gate.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import EARLIER, Case, number

NEEDS = ("validation",)
LIMITS = {"confidence": 0.95}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the deflated Sharpe ratio with the limit."""
    found = case.candidate["validation"]
    deflated = number(found, "deflated_sharpe")
    if not math.isfinite(deflated):
        reason = found.notes.get("deflated_sharpe_reason") or EARLIER
        return Result.UNDECIDABLE, f"there is no deflated Sharpe ratio: {reason}"
    told = (
        f"its Sharpe ratio on validation is {found.scalar('sharpe'):.3f} a bar, and "
        f"{found.scalar('luck_sharpe'):.3f} is expected of the best of "
        f"{found.scalar('n_trials'):,.0f} configs without skill (deflated Sharpe {deflated:.2f}"
    )
    if deflated > case.limits["confidence"]:
        return Result.PASS, f"{told})"
    return Result.REFUSE, f"{told}, and the limit is {case.limits['confidence']:g})"
