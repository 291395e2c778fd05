"""Do the forecast intervals hold as many outcomes as they claim?

Asks
----
Whether the calibrated 80 and 90 per cent intervals enclosed that share of outcomes on the sealed
test, within ``tolerance``.

Why
---
Positions, limits and stocks are set by intervals. An interval that claims 90 per cent and holds 70
is a wrong number, even where the point forecast is the best.

Passes when
-----------
The 95 per cent interval of each coverage (block bootstrap over bars) reaches into the nominal share
plus or minus ``tolerance`` (0.02, two percentage points).

Refuses when
------------
It lies outside for one of them: too few outcomes inside, or too many. Undecidable for a model
without a validation part, and for tests under 30 bars.

What to do
----------
Train on bars that resemble the test (``finalize.validation_fraction`` sets the slice that the
intervals are calibrated on), or choose a target whose errors change less, such as a return over the
recent volatility. ``podium predict`` adapts intervals to outcomes after the training; the evidence
has the coverage of that form too (``coverage_90_adaptive``).
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import Case, number
from podium.intervals import INTERVALS

NEEDS = ("test",)
LIMITS = {"tolerance": 0.02}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the coverage of each interval with its nominal one."""
    test, tolerance = case.candidate["test"], case.limits["tolerance"]
    findings, refused = [], False
    for nominal in INTERVALS:
        name = f"coverage_{nominal}"
        value, low, high = (number(test, f"{name}{end}") for end in ("", "_low", "_high"))
        if math.isnan(low) or math.isnan(high):
            few = "the test has too few bars for an interval of its coverage"
            none = "the model has no calibrated intervals: it has no validation part"
            return Result.UNDECIDABLE, none if math.isnan(value) else few
        share = nominal / 100
        refused |= high < share - tolerance or low > share + tolerance
        findings.append(
            f"{nominal} per cent intervals hold {value:.1%} of outcomes [{low:.1%}, {high:.1%}]"
        )
    return Result.REFUSE if refused else Result.PASS, "; ".join(findings)
