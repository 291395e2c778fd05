"""Did its equity ever fall too far from a peak?

Asks
----
What the deepest fall of the equity was on the sealed test, costs included.

Why
---
A mean says nothing of the way to it. Who cannot sit through a fall is out before the profit comes,
and a fall is never shallower in use than it was on the past.

Passes when
-----------
The deepest fall from a peak was at most ``limit`` (0.3) of that peak.

Refuses when
------------
It was deeper. Undecidable when there was nothing to trade.

What to do
----------
Trade smaller, or with another signal; a limit that is loosened until it passes is none.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import Case, number

NEEDS = ("backtest",)
LIMITS = {"limit": 0.3}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the deepest fall with its limit."""
    fall = abs(number(case.candidate["backtest"], "candidate:max_drawdown"))
    if math.isnan(fall):
        return Result.UNDECIDABLE, "there was nothing to trade on the sealed test"
    told = f"on the sealed test its equity fell by at most {fall:.1%} from a peak"
    if fall <= case.limits["limit"]:
        return Result.PASS, told
    return Result.REFUSE, f"{told}, and the limit is {case.limits['limit']:.1%}"
