"""Candidates with the values of the older tags: timeframe, version type, stage."""

from __future__ import annotations

from typing import Any

from podium.ledger.record_reader import RecordReader


def models(
    reader: RecordReader,
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
        See :meth:`podium.ledger.record_reader.RecordReader.rows`.
    timeframe : str, optional
        Only candidates trained on bars of this length.
    stage : str, optional
        Only candidates in this stage.
    """
    timeframes = {row["fingerprint"]: row["timeframe"] for row in reader.rows("datasets")}
    stages = reader.stages()
    latest = {row["candidate_id"] for row in reader.select("latest", order="slot")}
    parents = {row["parent_id"] for row in reader.select("candidate", "parent_id")}
    rows = [
        {
            **row,
            "stage": stages.get(row["id"]),
            "timeframe": timeframes.get(row["dataset_fingerprint"], ""),
            # A newer candidate of the type, or one enhanced from it, makes a candidate old.
            "version_type": "latest" if row["id"] in latest - parents else "old",
        }
        for row in reader.rows("candidates", slot=slot, where=where, sort=sort)
    ]
    return [
        row
        for row in rows
        if (timeframe is None or row["timeframe"] == timeframe)
        and (stage is None or row["stage"] == stage)
    ]
