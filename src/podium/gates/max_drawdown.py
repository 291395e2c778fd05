"""Is the maximum drawdown of the equity within its limit?

Asks
----
Whether the maximum drawdown of the equity on the sealed test, after costs, is at most ``limit``.

Why
---
A mean return does not show the losses on the way. A deep drawdown may end the trading before the
profit, and drawdowns in production are seldom smaller than in the past.

Passes when
-----------
The largest fall from a peak is at most ``limit`` (0.3) of that peak.

Refuses when
------------
It is larger. Undecidable when nothing was traded.

What to do
----------
Trade smaller positions, or use another signal. A limit that is raised until the gate passes has no
effect.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import Case, number

NEEDS = ("backtest",)
LIMITS = {"limit": 0.3}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the maximum drawdown with its limit."""
    fall = abs(number(case.candidate["backtest"], "candidate:max_drawdown"))
    if math.isnan(fall):
        return Result.UNDECIDABLE, "nothing was traded on the sealed test"
    finding = f"on the sealed test its equity fell by at most {fall:.1%} from a peak"
    if fall <= case.limits["limit"]:
        return Result.PASS, finding
    return Result.REFUSE, f"{finding}, and the limit is {case.limits['limit']:.1%}"
