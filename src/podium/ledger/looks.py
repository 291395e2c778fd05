"""Looks at sealed tests, counted by the content of the samples in all projects of the record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import sqlalchemy as sa

from podium.arrays import Ints
from podium.candidate import Candidate
from podium.ledger import schema
from podium.ledger.ledger import Transaction, now
from podium.ledger.statements import append, select_everywhere, value
from podium.ledger.writes import put_array

# Two looks are at the same test if they share more than this part of the smaller one's samples.
SHARED = 0.01
_LOCK = 7064


def count_look(
    tx: Transaction,
    dataset: str,
    interval: tuple[str, str],
    candidate: Candidate,
    marks: Ints,
) -> int:
    """Place of a candidate among all that looked at a sealed test; a new look is recorded.

    A candidate that looked at the same content before keeps its place. Otherwise it comes after
    every other artefact that looked at more than 1 % of the smaller of both tests, under any name
    and in any project of the record.

    Parameters
    ----------
    dataset : str
        Name of the dataset, for the record.
    interval : (str, str)
        First and last bar of the test, ISO 8601; empty texts where samples have no times.
    marks : (N,) int64
        Distinct hashes of the test's samples, sorted.

    Returns
    -------
    int
        At least 1.
    """
    if not tx.ledger.is_sqlite:
        # Writers of several projects may look at the same time.
        tx.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    table, name = schema.test_look.c, put_array(tx, marks)
    mine: dict[str, Any] = {"artifact_hash": candidate.artifact_hash, "samples_hash": name}
    places: list[int] = [row["place"] for row in select_everywhere(tx, [table.place], **mine)]
    if places:
        place = min(places)
    else:
        place = 1 + len(_artifacts(tx, interval, marks) - {candidate.artifact_hash})
    if value(tx, table.seq, candidate_id=candidate.id, samples_hash=name) is None:
        row = {
            "dataset": dataset,
            "interval_from": interval[0],
            "interval_to": interval[1],
            "candidate_id": candidate.id,
            **mine,
            "place": place,
            "created_at": now(),
        }
        append(tx, schema.test_look, [row])
    return place


def _artifacts(tx: Transaction, interval: tuple[str, str], marks: Ints) -> set[str]:
    """Hashes of the artefacts that looked at the same test."""
    table = schema.test_look.c
    # Tests without a common interval have no common samples.
    overlapping = (table.interval_from <= interval[1], table.interval_to >= interval[0])
    looks = select_everywhere(tx, [table.artifact_hash, table.samples_hash], *overlapping)
    same = _same_samples(tx, {row["samples_hash"] for row in looks}, marks)
    return {row["artifact_hash"] for row in looks if row["samples_hash"] in same}


def _same_samples(tx: Transaction, names: Iterable[str], marks: Ints) -> set[str]:
    """Those stored samples that are of the same test."""
    blob, same = schema.blob.c, set[str]()
    for name in names:
        # One array at a time: those of a large universe have millions of hashes.
        rows = select_everywhere(tx, [blob.data], limit=1, hash=name, dtype=marks.dtype.str)
        for row in rows:
            other = np.frombuffer(row["data"], marks.dtype)
            shared = np.intersect1d(marks, other, assume_unique=True).size
            if shared > SHARED * min(marks.size, other.size):
                same.add(name)
    return same
