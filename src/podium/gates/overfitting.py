"""Is the config that is best on one half of the bars profitable on the other half?

Asks
----
Whether the selection of a config holds out of sample: the validation bars are cut into blocks, and
for every choice of half of them the best config there is evaluated on the other half.

Why
---
A selection that fits only its own bars loses on others. The probability of a loss of the selected
config measures that. The probability that it falls below the median of all configs (PBO) is less
informative: the order of configs that are all good is random, so PBO is near one half as for noise.

Passes when
-----------
The probability of a loss out of sample is at most ``probability_of_loss`` (0.1), and either PBO is
at most ``pbo`` (0.5), the value of a random selection, or no config is distinguishable from the
best, so that the order has no meaning. The finding has both figures.

Refuses when
------------
The probability of a loss is higher; or PBO is higher, and the confidence set excludes some configs.
Undecidable when fewer than two configs, or fewer than half of all that were looked at, have
recorded forecasts or losses on the validation windows, or there are too few bars. Without recorded
forecasts, a loss means a larger loss than that of the baseline.

What to do
----------
Search fewer configs that differ for a reason, on a longer history. Compare the best configs: if
they have nothing in common, the search fits noise.
"""

from __future__ import annotations

import math

from podium.decision import Result
from podium.gates._base import EARLIER, Case, number

NEEDS = ("validation",)
LIMITS = {"probability_of_loss": 0.1, "pbo": 0.5}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the probability of a loss, and PBO where configs differ, with their limits."""
    evidence = case.candidate["validation"]
    loss, pbo, differing = (
        number(evidence, name) for name in ("probability_of_loss", "pbo", "configs_told_apart")
    )
    if not (math.isfinite(loss) and math.isfinite(pbo)):
        reason = evidence.notes.get("overfitting_reason") or EARLIER
        return Result.UNDECIDABLE, f"overfitting cannot be tested: {reason}"
    loses = "loses" if evidence.notes["luck_basis"] == "returns" else "loses more than the baseline"
    finding = (
        f"the best of {evidence.scalar('configs_judged'):,.0f} configs on half of the validation "
        f"bars {loses} on the other half with a probability of {loss:.2f}"
    )
    shown = f"PBO is {pbo:.2f}"
    if loss > case.limits["probability_of_loss"]:
        return Result.REFUSE, (
            f"{finding}, and the limit is {case.limits['probability_of_loss']:g}; {shown}"
        )
    if pbo <= case.limits["pbo"]:
        return Result.PASS, f"{finding}; {shown}"
    if math.isnan(differing):
        return Result.UNDECIDABLE, f"{finding}; {shown}, and whether configs differ is unknown"
    if differing > 0:
        return Result.REFUSE, (
            f"{shown}, and the limit is {case.limits['pbo']:g}, though {differing:,.0f} of them "
            f"are distinguishable from the best; {finding}"
        )
    return Result.PASS, (
        f"{finding}; {shown}, which has no meaning: no config is distinguishable from the best"
    )
