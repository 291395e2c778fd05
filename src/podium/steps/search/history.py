"""Champions of a slot over time, with the decisions and their evidence, from the record."""

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
    """One period of a candidate as champion of a slot.

    Parameters
    ----------
    since, until : str
        UTC, ISO 8601; ``until`` is empty for the present champion.
    decision_id, by, reason : str
        The decision that began the period, the person and the reason.
    verdicts : sequence of mapping
        Verdict of each gate; a waived one has the gate's finding.
    evidence : sequence of str
        Ids of the evidence of the decision.
    ended_by, ended_reason, ended_decision : str
        The decision that ended the period; empty for the present champion.
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
    """Every period of a slot with a champion, the oldest first."""
    reigns: list[Reign] = []
    for row in reversed(reader.rows("decisions", slot=slot)):
        if not row["accepted"] or row["kind"] not in MOVING:
            continue
        begins = row["to_stage"] == Stage.CHAMPION
        if (begins or row["from_stage"] == Stage.CHAMPION) and reigns and not reigns[-1].until:
            reason = f"replaced by {row['candidate_id']}" if begins else row["reason"]
            reigns[-1] = replace(
                reigns[-1],
                until=row["created_at"],
                ended_by=row["actor"],
                ended_reason=reason,
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
    """The period that contains a moment.

    Parameters
    ----------
    moment : str
        ISO 8601, by default in UTC; a date alone is the end of that day.

    Raises
    ------
    UsageError
        The text is no date or time.
    NotFoundError
        The slot had no champion then.
    """
    instant = _instant(moment)
    for reign in reigns:
        if reign.since <= instant and (not reign.until or instant < reign.until):
            return reign
    raise NotFoundError(
        f"the slot had no champion at {instant}", fix="run: podium show SLOT --history"
    )


def _instant(text: str) -> str:
    """A moment in the record's format, so that texts compare as times."""
    moment = moment_of(text)
    if len(text) == len("2026-11-21"):
        moment += dt.timedelta(days=1, milliseconds=-1)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
