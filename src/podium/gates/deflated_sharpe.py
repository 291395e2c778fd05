"""Is the candidate's Sharpe ratio higher than selection bias explains?

Asks
----
Whether the true Sharpe ratio of the candidate's forecasts, traded on validation after costs, is
above the expected maximum over all configs ever evaluated for the slot if none has skill.

Why
---
The best of 200 configs without skill still looks good. Every config of every search, grid, log and
import of the slot on overlapping bars counts, failed and pruned ones too, and once for every list
of features, window, target and horizon; splitting a search into ten small ones does not reset the
count.

Passes when
-----------
The deflated Sharpe ratio, a probability that allows for the number of tries, the spread of their
Sharpe ratios, the number of bars, skew and fat tails, is above ``confidence`` (0.95).

Refuses when
------------
It is not. Undecidable when there are no recorded forecasts to trade, when they never trade, or when
only one of several configs has recorded forecasts.

What to do
----------
Use a longer history, or fewer and better founded configs. More trials raise the threshold. A
forecast that is judged by its error and not traded for profit needs a policy without this gate.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import EARLIER, Case, number

NEEDS = ("validation",)
LIMITS = {"confidence": 0.95}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the deflated Sharpe ratio with the limit."""
    evidence = case.candidate["validation"]
    deflated = number(evidence, "deflated_sharpe")
    if not math.isfinite(deflated):
        reason = evidence.notes.get("deflated_sharpe_reason") or EARLIER
        return Result.UNDECIDABLE, f"there is no deflated Sharpe ratio: {reason}"
    finding = (
        f"its Sharpe ratio on validation is {evidence.scalar('sharpe'):.3f} a bar (equal weight "
        f"{number(evidence, 'equal_weight_sharpe'):.3f}), and "
        f"{evidence.scalar('luck_sharpe'):.3f} is expected of the best of "
        f"{evidence.scalar('n_trials'):,.0f} configs without skill (deflated Sharpe {deflated:.2f}"
    )
    if deflated > case.limits["confidence"]:
        return Result.PASS, f"{finding})"
    return Result.REFUSE, f"{finding}, and the limit is {case.limits['confidence']:g})"
