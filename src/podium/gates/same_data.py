"""Were the candidate and what it is compared with judged on the same windows?

Asks
----
Whether the figures of the candidate, of the naive forecast and of the slot's present champion come
from one dataset and from one and the same test.

Why
---
A loss of 0.20 on one year and of 0.22 on another say nothing about each other. Most models that
look better than the champion were judged on other bars.

Passes when
-----------
Validation and test name one dataset and hold the candidate against one and the same naive method,
and the comparison with the champion, where somebody holds the slot, has the dataset and the split
of the candidate's test.

Refuses when
------------
Any two of these differ. Undecidable when there is no comparison with the present champion, for
example because it forecasts something else.

What to do
----------
Run ``podium backtest SLOT`` again: it judges candidate, naive and champion on the present windows.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("validation", "test")
LIMITS: dict[str, float] = {}


def judge(case: Case) -> tuple[Result, str]:
    """Compare datasets, splits and the naive method of what is compared."""
    validation, test = case.candidate["validation"], case.candidate["test"]
    pairs = [
        ("dataset", validation.dataset_fingerprint, test.dataset_fingerprint),
        ("naive method", validation.notes["naive_method"], test.notes["naive_method"]),
    ]
    where = "validation"
    if case.holder and all(one == other for _, one, other in pairs):
        found = case.against
        if found is None:
            return Result.UNDECIDABLE, f"it was not compared with the champion {case.holder}"
        where = f"the comparison with the champion {case.holder}"
        pairs = [
            ("dataset", found.dataset_fingerprint, test.dataset_fingerprint),
            ("split", found.split_hash, test.split_hash),
        ]
    for what, one, other in pairs:
        if one != other:
            return Result.REFUSE, (
                f"the {what} of {where} is {_short(one)}, that of the test {_short(other)}"
            )
    with_whom = "the champion and naive" if case.holder else "naive"
    return Result.PASS, (
        f"judged with {with_whom} on the same windows of dataset {test.dataset_fingerprint[:12]}"
    )


def _short(name: str) -> str:
    """Hashes by their first characters; names as they are."""
    return name if " " in name or len(name) < 32 else name[:12]
