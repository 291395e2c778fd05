"""Candidates with what the older tags say of them: timeframe, version type, stage."""

from __future__ import annotations

from typing import Any

from podium.ledger.door import Door

BASE = "base"


def models(
    door: Door,
    *,
    slot: str | None = None,
    where: str = "",
    sort: str = "",
    timeframe: str | None = None,
    stage: str | None = None,
) -> list[dict[str, Any]]:
    """Rows of candidates, the newest first, with their stage, timeframe and version type.

    Parameters
    ----------
    where, sort : str
        As :meth:`podium.ledger.door.Door.rows` takes them.
    timeframe : str, optional
        Only those trained on bars of this length.
    stage : str, optional
        Only those that stand there.
    """
    of = {row["fingerprint"]: row["timeframe"] for row in door.rows("datasets")}
    stages = door.stages()
    latest = {
        row["candidate_id"]
        for row in door.query(
            "SELECT candidate_id FROM latest WHERE project_id = ?", door.project_id
        )
    }
    parents = {
        row["parent_id"]
        for row in door.query(
            "SELECT parent_id FROM candidate WHERE project_id = ? AND parent_id IS NOT NULL",
            door.project_id,
        )
    }
    rows = [
        {
            **row,
            "stage": stages.get(row["id"]),
            "timeframe": of.get(row["dataset_fingerprint"], ""),
            # One that something newer of its kind, or made of it, stands beside is old.
            "version_type": "latest" if row["id"] in latest - parents else "old",
        }
        for row in door.rows("candidates", slot=slot, where=where, sort=sort)
    ]
    return [
        row
        for row in rows
        if (timeframe is None or row["timeframe"] == timeframe)
        and (stage is None or row["stage"] == stage)
    ]


def latest(door: Door, slot: str, *, model_type: str = BASE) -> tuple[dict[str, Any] | None, str]:
    """The newest candidate of a kind, or a base to begin with where there is none.

    Parameters
    ----------
    model_type : str
        ``base``, or how it was enhanced.

    Returns
    -------
    row : dict or None
        As :func:`models` has it; None where the slot has no base either.
    told : str
        That it is a base instead, and whether that is an old one; empty where it is what was asked.
    """
    rows = models(door, slot=slot)
    found = next((row for row in rows if row["model_type"] == model_type), None)
    if found is not None:
        return found, ""
    base = next((row for row in rows if row["model_type"] == BASE), None)
    told = f"{slot} has no model of type '{model_type}'"
    if base is None:
        return None, f"{told} and no base"
    # The newest base is old by now where something was made of it; it is still what there is.
    return base, f"{told}; this is its {base['version_type']} base, version {base['version']}"
