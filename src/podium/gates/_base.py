"""The contract of a gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from podium.decision import Result, Verdict
from podium.evidence import SIGNATURE, Evidence

# Why a figure that evidence should have is not there.
EARLIER = (
    "its evidence was made before podium judged this; podium finalize, or backtest, makes it anew"
)


# Model type of a candidate that was trained on its slot's test too, and its evidence of that.
WITH_TEST = "with_test"


class Gate(Protocol):
    """``gates/<name>.py``: a pure function and what it needs.

    ``NEEDS`` names the kinds of evidence without which the verdict is ``missing``; ``LIMITS``
    holds the default limits a policy may change. The module's docstring has five headings (asks,
    why, passes when, refuses when, what to do) and is the gate's help.
    """

    NEEDS: tuple[str, ...]
    LIMITS: Mapping[str, float]

    def judge(
        self,
        candidate: Mapping[str, Evidence],
        champion: Mapping[str, Evidence] | None,
        limits: Mapping[str, float],
    ) -> tuple[Result, str]:
        """Result and finding, from the newest evidence of each kind."""


def verdict(
    name: str,
    gate: Gate,
    candidate: Mapping[str, Evidence],
    champion: Mapping[str, Evidence] | None,
    limits: Mapping[str, float],
) -> Verdict:
    """Verdict of a gate; ``missing`` without its evidence, ``unsigned`` without a signature."""
    limits = {**gate.LIMITS, **limits}
    absent = [kind for kind in gate.NEEDS if kind not in candidate]
    if absent:
        found = f"there is no {' and no '.join(absent)} evidence yet"
        if WITH_TEST in candidate and {"validation", "test"} & {*absent}:
            found = candidate[WITH_TEST].notes["reason"]
        result = Result.UNSIGNED if absent == [SIGNATURE] else Result.MISSING
        return Verdict(name, result, found, limits)
    return Verdict(name, *gate.judge(candidate, champion, limits), limits)


def number(evidence: Evidence, name: str) -> float:
    """Value of one scalar; NaN where the evidence has none."""
    return evidence.scalar(name) if name in evidence.scalars else math.nan
