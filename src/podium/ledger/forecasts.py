"""A champion's life on record: what it and its shadow said, and what their features were like."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from podium.ledger import schema
from podium.ledger.ledger import Ledger, now
from podium.ledger.pieces import pieces
from podium.ledger.writes import real

CHAMPION, SHADOW = "champion", "shadow"
# A forecast's place: its ticker and when it was decided, ISO 8601.
Place = tuple[str, str]
# SQLite takes so many parameters in one statement, whatever it was built with.


@dataclass(frozen=True)
class Kept:
    """One forecast as it was made.

    Parameters
    ----------
    value : float
        In the target's unit.
    role : {"champion", "shadow"}
        What its candidate was to the slot when it said that.
    data_until : str
        The newest bar there was then.
    created_at : str
        When it was stored, UTC.
    """

    value: float
    role: str
    data_until: str
    created_at: str


@dataclass(frozen=True)
class Shadow:
    """A candidate that forecasts beside a slot's champion, and who had it do so, when and why."""

    slot: str
    candidate_id: str
    actor: str
    reason: str
    created_at: str


def put_forecasts(
    ledger: Ledger,
    tx: sa.Connection,
    about: Mapping[str, str],
    values: Mapping[Place, float],
) -> int:
    """Append those forecasts that are not on record yet; returns how many these are.

    Parameters
    ----------
    about : mapping
        ``slot``, ``candidate_id``, ``artifact_hash``, ``role`` and ``data_until`` of all of them.
    values : mapping of (ticker, decided_at) to float
    """
    moment = now()
    # Read in the transaction that writes, and whoever writes is alone: nobody says a thing twice.
    known = kept(ledger, tx, about["candidate_id"], since=min((at for _, at in values), default=""))
    rows = [
        {
            **about,
            "project_id": ledger.project_id,
            "ticker": ticker,
            "decided_at": decided_at,
            "value": real(value),
            "created_at": moment,
        }
        for (ticker, decided_at), value in values.items()
        if (ticker, decided_at) not in known
    ]
    for piece in pieces(rows):
        tx.execute(schema.forecast.insert(), piece)
    return len(rows)


def kept(
    ledger: Ledger, tx: sa.Connection, candidate_id: str, *, since: str = ""
) -> dict[Place, Kept]:
    """A candidate's stored forecasts decided since a moment, by ticker and time."""
    table = schema.forecast.c
    names = list(Kept.__dataclass_fields__)
    rows = tx.execute(
        sa.select(table.ticker, table.decided_at, *(table[name] for name in names))
        .where(
            table.project_id == ledger.project_id,
            table.candidate_id == candidate_id,
            table.decided_at >= since,
        )
        .order_by(table.seq)
    ).mappings()
    return {
        (row["ticker"], row["decided_at"]): Kept(
            **{
                **{n: row[n] for n in names},
                "value": math.nan if row["value"] is None else row["value"],
            }
        )
        for row in rows
    }


def last_decided(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> str:
    """When a candidate's newest stored forecast was decided; empty where there is none."""
    table = schema.forecast.c
    found = tx.execute(
        sa.select(sa.func.max(table.decided_at)).where(
            table.project_id == ledger.project_id, table.candidate_id == candidate_id
        )
    ).scalar()
    return found or ""


def put_shadow(
    ledger: Ledger, tx: sa.Connection, slot: str, candidate_id: str, actor: str, reason: str
) -> None:
    """Remember who forecasts beside a slot's champion from now on; empty: nobody."""
    row = {"slot": slot, "candidate_id": candidate_id, "actor": actor, "reason": reason}
    tx.execute(
        schema.shadow.insert(), {**row, "project_id": ledger.project_id, "created_at": now()}
    )


def shadow_of(ledger: Ledger, tx: sa.Connection, slot: str) -> Shadow | None:
    """Who forecasts beside a slot's champion, or None."""
    table = schema.shadow.c
    row = (
        tx.execute(
            sa.select(*(table[name] for name in Shadow.__dataclass_fields__))
            .where(table.project_id == ledger.project_id, table.slot == slot)
            .order_by(table.seq.desc())
            .limit(1)
        )
        .mappings()
        .first()
    )
    return Shadow(**row) if row and row["candidate_id"] else None


def put_baseline(
    ledger: Ledger, tx: sa.Connection, artifact_hash: str, told: Mapping[str, Any]
) -> None:
    """Remember what the features of a model's training bars were like; what is there stays."""
    if baseline(ledger, tx, artifact_hash) is None:
        row = {"artifact_hash": artifact_hash, "told": json.dumps(told)}
        tx.execute(
            schema.baseline.insert(), {**row, "project_id": ledger.project_id, "created_at": now()}
        )


def baseline(ledger: Ledger, tx: sa.Connection, artifact_hash: str) -> dict[str, Any] | None:
    """The same read back, or None."""
    table = schema.baseline.c
    found = tx.execute(
        sa.select(table.told).where(
            table.project_id == ledger.project_id, table.artifact_hash == artifact_hash
        )
    ).scalar()
    return None if found is None else json.loads(found)
