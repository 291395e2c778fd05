"""Does the config that is best on one half of the bars earn anything on the other?

Asks
----
Whether choosing among the configs that were looked at chooses something that lasts: the validation
bars are cut into blocks, and for every way to take half of them the best config there is looked up
in the other half.

Why
---
A choice that only fits the bars it was made on loses on others. How often the chosen config loses
is the figure that tells. How often it falls below the median of all configs (PBO) tells less:
configs that are all good are ranked by chance, so PBO is near one half for them as it is for noise.

Passes when
-----------
The probability of a loss out of sample is at most ``probability_of_loss`` (0.1), and either PBO is
at most ``pbo`` (0.5), where choosing is no better than drawing lots, or no config can be told from
the best, so that their order means nothing. Both figures are shown.

Refuses when
------------
The probability of a loss is higher; or PBO is, while the confidence set of all configs leaves some
out. Undecidable when fewer than two configs left forecasts or losses, or there are too few bars.
Where no forecasts were kept, a loss is to lose more than the naive forecast.

What to do
----------
Search fewer configs that differ for a reason, on a longer history. Look at how the configs differ:
if the best ones have nothing in common, the search fits noise.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import EARLIER, Case, number

NEEDS = ("validation",)
LIMITS = {"probability_of_loss": 0.1, "pbo": 0.5}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the probability of a loss, and PBO where configs differ, with their limits."""
    found = case.candidate["validation"]
    loss, pbo, told_apart = (
        number(found, name) for name in ("probability_of_loss", "pbo", "configs_told_apart")
    )
    if not (math.isfinite(loss) and math.isfinite(pbo)):
        reason = found.notes.get("overfitting_reason") or EARLIER
        return Result.UNDECIDABLE, f"overfitting cannot be judged: {reason}"
    loses = "loses" if found.notes["luck_basis"] == "returns" else "loses more than naive"
    told = (
        f"the best of {found.scalar('configs_judged'):,.0f} configs on half of the validation bars "
        f"{loses} on the other half with a probability of {loss:.2f}"
    )
    shown = f"PBO is {pbo:.2f}"
    if loss > case.limits["probability_of_loss"]:
        return Result.REFUSE, (
            f"{told}, and the limit is {case.limits['probability_of_loss']:g}; {shown}"
        )
    if pbo <= case.limits["pbo"]:
        return Result.PASS, f"{told}; {shown}"
    if math.isnan(told_apart):
        return Result.UNDECIDABLE, f"{told}; {shown}, and whether configs differ cannot be told"
    if told_apart > 0:
        return Result.REFUSE, (
            f"{shown}, and the limit is {case.limits['pbo']:g}, though {told_apart:,.0f} of them "
            f"can be told from the best; {told}"
        )
    return Result.PASS, f"{told}; {shown}, which says nothing: no config can be told from the best"
