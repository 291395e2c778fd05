"""The contract of a gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from podium.decision import Result, Verdict
from podium.evidence import SIGNATURE, Evidence

# Reason for a missing figure in evidence.
EARLIER = (
    "its evidence comes from an earlier version of podium; podium finalize, or backtest, makes it "
    "again"
)
# Model type of a candidate that was trained on its slot's test, and kind of the evidence for that.
WITH_TEST = "with_test"


@dataclass(frozen=True)
class Case:
    """Input of a gate.

    Parameters
    ----------
    candidate : mapping of kind to Evidence
        The newest evidence of each kind.
    champion : mapping of kind to Evidence, or None
        The same for the slot's champion; None if the slot has none.
    limits : mapping of name to float
        The gate's limits, after the changes of the policy.
    """

    candidate: Mapping[str, Evidence]
    champion: Mapping[str, Evidence] | None
    limits: Mapping[str, float]

    @property
    def holder(self) -> str:
        """Id of the slot's champion; empty if the slot has none."""
        return next(iter(self.champion.values())).candidate_id if self.champion else ""

    @property
    def against(self) -> Evidence | None:
        """Comparison with the slot's champion; None if there is none with the present champion."""
        evidence = self.candidate.get("against_champion")
        return evidence if evidence and evidence.notes["champion"] == self.holder else None


class Gate(Protocol):
    """``gates/<name>.py``: a pure function with its required evidence.

    ``NEEDS`` names the required kinds of evidence; without them the verdict is ``missing``.
    ``LIMITS`` holds the default limits, which a policy may change. The module's docstring has five
    headings (asks, why, passes when, refuses when, what to do) and is the gate's help.
    """

    NEEDS: tuple[str, ...]
    LIMITS: Mapping[str, float]

    def judge(self, case: Case) -> tuple[Result, str]:
        """Result and finding from the newest evidence of each kind."""


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
        finding = f"there is no {' and no '.join(absent)} evidence yet"
        if WITH_TEST in candidate and {"validation", "test"} & {*absent}:
            finding = candidate[WITH_TEST].notes["reason"]
        result = Result.UNSIGNED if absent == [SIGNATURE] else Result.MISSING
        return Verdict(name, result, finding, limits)
    return Verdict(name, *gate.judge(Case(candidate, champion, limits)), limits)


def number(evidence: Evidence, name: str) -> float:
    """Value of one scalar; NaN if the evidence has none."""
    return evidence.scalar(name) if name in evidence.scalars else math.nan
