"""Were candidate, baseline and champion evaluated on the same windows?

Asks
----
Whether the figures of the candidate, of its baseline and of the slot's champion come from one
dataset and one test.

Why
---
A loss of 0.20 in one year and of 0.22 in another are not comparable. Many models that look better
than the champion were evaluated on other bars.

Passes when
-----------
Validation and test have the same dataset and baseline, and the comparison with the champion, if
the slot has one, has the dataset and the split of the candidate's test.

Refuses when
------------
Any two of these differ. Undecidable when there is no comparison with the present champion, for
example because it forecasts another target.

What to do
----------
Run ``podium backtest SLOT`` again: it evaluates candidate, baseline and champion on the same
windows.
"""

from __future__ import annotations

from podium.decision import Result
from podium.gates._base import Case

NEEDS = ("validation", "test")
LIMITS: dict[str, float] = {}


def judge(case: Case) -> tuple[Result, str]:
    """Compare the datasets, the splits and the baseline."""
    validation, test = case.candidate["validation"], case.candidate["test"]
    pairs = [
        ("dataset", validation.dataset_fingerprint, test.dataset_fingerprint),
        ("baseline", validation.notes["naive_method"], test.notes["naive_method"]),
    ]
    where = "validation"
    if case.holder and all(one == other for _, one, other in pairs):
        evidence = case.against
        if evidence is None:
            return Result.UNDECIDABLE, f"it was not compared with the champion {case.holder}"
        where = f"the comparison with the champion {case.holder}"
        pairs = [
            ("dataset", evidence.dataset_fingerprint, test.dataset_fingerprint),
            ("split", evidence.split_hash, test.split_hash),
        ]
    for name, one, other in pairs:
        if one != other:
            return Result.REFUSE, (
                f"the {name} of {where} is {_short(one)}, that of the test {_short(other)}"
            )
    others = "the champion and the baseline" if case.holder else "the baseline"
    return Result.PASS, (
        f"compared with {others} on the same windows of dataset {test.dataset_fingerprint[:12]}"
    )


def _short(name: str) -> str:
    """The first characters of a hash; a name unchanged."""
    return name if " " in name or len(name) < 32 else name[:12]
