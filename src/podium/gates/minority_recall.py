"""Does any class lose recall against the slot's champion?

Asks
----
Whether, on the very same samples, the candidate finds as many of every class as the champion does,
but for a stated loss.

Why
---
A higher macro-F1 may come from the common classes alone. The rare ones are mostly what the model
is there for, and whoever relies on them must not lose them unseen.

Passes when
-----------
Nobody holds the slot, or no class's recall is more than ``loss`` (0.05) below the champion's.

Refuses when
------------
Some class loses more. Undecidable when the two were not evaluated on the same samples.

What to do
----------
Weigh the loss by class (``--weighted-loss``), or move the decision to the cost of an error. If the
loss is wanted, say so in the policy, where everybody can read it.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("evaluation",)
LIMITS = {"loss": 0.05}
PREFIX = "champion_recall:"


def judge(case: Case) -> tuple[Result, str]:
    """Compare the recall of every class."""
    if not case.holder:
        return Result.PASS, "nobody holds the slot, so no class can lose"
    against = case.against
    if against is None:
        return Result.UNDECIDABLE, (
            f"it was not evaluated against the champion {case.holder} on the same samples"
        )
    names = [name.removeprefix(PREFIX) for name in against.scalars if name.startswith(PREFIX)]
    lost = {
        name: against.scalar(PREFIX + name) - against.scalar(f"recall:{name}") for name in names
    }
    lost = {name: loss for name, loss in lost.items() if loss == loss}
    worst = max(lost, key=lambda name: lost[name], default="")
    if not worst:
        return Result.UNDECIDABLE, "there is no class whose recall both have"
    told = (
        f"recall of '{worst}' is {against.scalar(f'recall:{worst}'):.3g} against "
        f"{against.scalar(PREFIX + worst):.3g} of the champion"
    )
    if lost[worst] > case.limits["loss"]:
        return Result.REFUSE, f"{told}, a loss of more than {case.limits['loss']:g}"
    return Result.PASS, f"no class loses more than {case.limits['loss']:g}: {told}"
