"""Does any class lose recall against the slot's champion?

Asks
----
Whether the candidate's recall of every class on the same samples is at most ``loss`` below the
champion's.

Why
---
A higher macro-F1 may come from the frequent classes alone. Rare classes are often the purpose of
the model, and users must not lose them without notice.

Passes when
-----------
The slot has no champion, or no class's recall is more than ``loss`` (0.05) below the champion's.

Refuses when
------------
A class loses more. Undecidable when the two were not evaluated on the same samples.

What to do
----------
Weight the training loss by class (``--weighted-loss``), or choose the decision rule by the cost of
errors. If the loss of recall is intended, set the limit in the policy, where everybody can read it.
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
        return Result.PASS, "the slot has no champion, so no class can lose recall"
    against = case.against
    if against is None:
        return Result.UNDECIDABLE, (
            f"it was not evaluated against the champion {case.holder} on the same samples"
        )
    names = [name.removeprefix(PREFIX) for name in against.scalars if name.startswith(PREFIX)]
    lost = {n: against.scalar(PREFIX + n) - against.scalar(f"recall:{n}") for n in names}
    lost = {name: loss for name, loss in lost.items() if loss == loss}
    worst = max(lost, key=lambda name: lost[name], default="")
    if not worst:
        return Result.UNDECIDABLE, "there is no class with a recall of both"
    finding = (
        f"recall of '{worst}' is {against.scalar(f'recall:{worst}'):.3g} against "
        f"{against.scalar(PREFIX + worst):.3g} of the champion"
    )
    if lost[worst] > case.limits["loss"]:
        return Result.REFUSE, f"{finding}, a loss of more than {case.limits['loss']:g}"
    return Result.PASS, f"no class loses more than {case.limits['loss']:g}: {finding}"
