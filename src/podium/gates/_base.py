"""The contract of a gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from podium.decision import Result, Verdict
from podium.evidence import SIGNATURE, Evidence

# Why a figure that evidence should have is not there.
EARLIER = (
    "its evidence was made before podium judged this; podium finalize, or backtest, makes it anew"
)
# Model type of a candidate that was trained on its slot's test too, and its evidence of that.
WITH_TEST = "with_test"


@dataclass(frozen=True)
class Case:
    """Everything that a gate sees.

    Parameters
    ----------
    candidate : mapping of kind to Evidence
        The newest evidence of each kind.
    champion : mapping of kind to Evidence, or None
        The same of the slot's champion; None where the slot has none.
    limits : mapping of name to float
        The gate's own limits, those that a policy changes changed.
    """

    candidate: Mapping[str, Evidence]
    champion: Mapping[str, Evidence] | None
    limits: Mapping[str, float]

    @property
    def holder(self) -> str:
        """Id of the slot's champion; empty where the slot has none."""
        return next(iter(self.champion.values())).candidate_id if self.champion else ""

    @property
    def against(self) -> Evidence | None:
        """The comparison with the slot's champion; None where only another one is on record."""
        found = self.candidate.get("against_champion")
        return found if found and found.notes["champion"] == self.holder else None


class Gate(Protocol):
    """``gates/<name>.py``: a pure function and what it needs.

    ``NEEDS`` names the kinds of evidence without which the verdict is ``missing``; ``LIMITS``
    holds the default limits a policy may change. The module's docstring has five headings (asks,
    why, passes when, refuses when, what to do) and is the gate's help.
    """

    NEEDS: tuple[str, ...]
    LIMITS: Mapping[str, float]

    def judge(self, case: Case) -> tuple[Result, str]:
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
    return Verdict(name, *gate.judge(Case(candidate, champion, limits)), limits)


def number(evidence: Evidence, name: str) -> float:
    """Value of one scalar; NaN where the evidence has none."""
    return evidence.scalar(name) if name in evidence.scalars else math.nan
