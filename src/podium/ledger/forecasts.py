"""Stored forecasts of champions and shadow candidates, and statistics of training features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from podium.ledger import schema
from podium.ledger.ledger import Transaction, now
from podium.ledger.statements import fields, first, insert, select, value
from podium.ledger.writes import real
from podium.record import nan_if_null

CHAMPION, SHADOW = "champion", "shadow"
# Key of a forecast: its ticker and the time of its decision, ISO 8601.
Place = tuple[str, str]


@dataclass(frozen=True)
class StoredForecast:
    """One forecast as it was made.

    Parameters
    ----------
    value : float
        In the target's unit.
    role : {"champion", "shadow"}
        Role of its candidate in the slot at that time.
    data_until : str
        Time of the newest bar at that time.
    created_at : str
        Time of storage, UTC.
    """

    value: float
    role: str
    data_until: str
    created_at: str


@dataclass(frozen=True)
class Shadow:
    """A candidate that forecasts beside a slot's champion; who set it, when and why."""

    slot: str
    candidate_id: str
    actor: str
    reason: str
    created_at: str


def put_forecasts(tx: Transaction, about: Mapping[str, str], values: Mapping[Place, float]) -> int:
    """Append the forecasts that are not on record yet; returns their number.

    Parameters
    ----------
    about : mapping
        ``slot``, ``candidate_id``, ``artifact_hash``, ``role`` and ``data_until`` of all of them.
    values : mapping of (ticker, decided_at) to float
    """
    moment = now()
    # Read in the writing transaction, of which there is one at a time: no forecast is stored twice.
    known = stored_forecasts(
        tx, about["candidate_id"], since=min((at for _, at in values), default="")
    )
    rows = [
        {
            **about,
            "ticker": ticker,
            "decided_at": decided_at,
            "value": real(forecast),
            "created_at": moment,
        }
        for (ticker, decided_at), forecast in values.items()
        if (ticker, decided_at) not in known
    ]
    insert(tx, schema.forecast, rows)
    return len(rows)


def stored_forecasts(
    tx: Transaction, candidate_id: str, *, since: str = ""
) -> dict[Place, StoredForecast]:
    """A candidate's stored forecasts decided since a moment, by ticker and time."""
    table = schema.forecast.c
    columns = [table.ticker, table.decided_at, *fields(schema.forecast, StoredForecast)]
    later = table.decided_at >= since
    rows = select(tx, columns, later, order=table.seq, candidate_id=candidate_id)
    return {
        (row.pop("ticker"), row.pop("decided_at")): StoredForecast(
            **{**row, "value": nan_if_null(row["value"])}
        )
        for row in rows
    }


def last_decided(tx: Transaction, candidate_id: str) -> str:
    """Decision time of a candidate's newest stored forecast; empty if there is none."""
    newest = sa.func.max(schema.forecast.c.decided_at)
    return value(tx, newest, candidate_id=candidate_id) or ""


def put_shadow(tx: Transaction, slot: str, candidate_id: str, actor: str, reason: str) -> None:
    """Store the slot's shadow candidate from now on; an empty id ends it."""
    row = Shadow(slot, candidate_id, actor, reason, now())
    insert(tx, schema.shadow, [vars(row)])


def shadow_of(tx: Transaction, slot: str) -> Shadow | None:
    """Shadow candidate of a slot, or None."""
    table = schema.shadow
    row = first(tx, fields(table, Shadow), order=table.c.seq.desc(), slot=slot)
    return Shadow(**row) if row and row["candidate_id"] else None


def put_baseline(tx: Transaction, artifact_hash: str, stats: Mapping[str, Any]) -> None:
    """Store the feature statistics of a model's training bars, unless they are on record."""
    if baseline(tx, artifact_hash) is None:
        row = {"artifact_hash": artifact_hash, "statistics": json.dumps(stats), "created_at": now()}
        insert(tx, schema.baseline, [row])


def baseline(tx: Transaction, artifact_hash: str) -> dict[str, Any] | None:
    """Feature statistics of a model's training bars, or None."""
    text = value(tx, schema.baseline.c.statistics, artifact_hash=artifact_hash)
    return None if text is None else json.loads(text)
