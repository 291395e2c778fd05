"""Who held a slot from when to when, by whose decision and on what evidence; from the record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from podium.decision import MOVING, Stage
from podium.errors import NotFoundError
from podium.ledger.record_reader import RecordReader
from podium.steps.workspace.moments import moment_of


@dataclass(frozen=True)
class Reign:
    """One time a candidate held a slot.

    Parameters
    ----------
    since, until : str
        UTC, ISO 8601; ``until`` is empty while it lasts.
    decision_id, by, reason : str
        The decision that began it, who made it and why.
    verdicts : sequence of mapping
        What each gate said then, waived ones with what they had found.
    evidence : sequence of str
        Ids of the evidence that was judged.
    ended_by, ended_reason, ended_decision : str
        The decision that ended it; empty while it lasts.
    """

    slot: str
    candidate_id: str
    since: str
    decision_id: str
    kind: str
    by: str
    reason: str
    verdicts: tuple[Mapping[str, Any], ...]
    evidence: tuple[str, ...]
    until: str = ""
    ended_by: str = ""
    ended_reason: str = ""
    ended_decision: str = ""


def history(reader: RecordReader, slot: str) -> list[Reign]:
    """Every reign over a slot, the oldest first."""
    reigns: list[Reign] = []
    for row in reversed(reader.rows("decisions", slot=slot)):
        if not row["accepted"] or row["kind"] not in MOVING:
            continue
        begins = row["to_stage"] == Stage.CHAMPION
        if (begins or row["from_stage"] == Stage.CHAMPION) and reigns and not reigns[-1].until:
            told = f"{row['candidate_id']} took its place" if begins else row["reason"]
            reigns[-1] = replace(
                reigns[-1],
                until=row["created_at"],
                ended_by=row["actor"],
                ended_reason=told,
                ended_decision=row["id"],
            )
        if begins:
            reigns.append(
                Reign(
                    slot,
                    row["candidate_id"],
                    row["created_at"],
                    row["id"],
                    row["kind"],
                    row["actor"],
                    row["reason"],
                    tuple(row["verdicts"]),
                    tuple(row["evidence"]),
                )
            )
    return reigns


def at(reigns: Sequence[Reign], moment: str) -> Reign:
    """The reign a moment lies in.

    Parameters
    ----------
    moment : str
        ISO 8601, in UTC where it names no zone; a date alone is the end of that day.

    Raises
    ------
    UsageError
        It is no date or time.
    NotFoundError
        Nobody held the slot then.
    """
    asked = _instant(moment)
    for reign in reigns:
        if reign.since <= asked and (not reign.until or asked < reign.until):
            return reign
    raise NotFoundError(f"nobody held the slot at {asked}", fix="run: podium show SLOT --history")


def _instant(text: str) -> str:
    """A moment as the record writes it, so that texts compare as times."""
    found = moment_of(text)
    if len(text) == len("2026-11-21"):
        found += dt.timedelta(days=1, milliseconds=-1)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
