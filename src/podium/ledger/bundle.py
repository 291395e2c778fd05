"""Part of a record as rows that another project can take in."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from podium.ledger import schema
from podium.ledger.ledger import Ledger
from podium.ledger.pieces import pieces
from podium.ledger.statements import select, values
from podium.trial import State

# Where a trial's checkpoint lies in its project's store, whatever that is called.
STORE = "{store}/"
ENDED = [state for state in State if state.ended]
# By which column a table's rows are chosen, and what holds the values: ids of a choice, or a column
# of another table's chosen rows. In the order they are put in place: what is referred to is first.
_KEYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "dataset": ("fingerprint", ("trial.dataset_fingerprint", "candidate.dataset_fingerprint")),
    "split": ("hash", ("trial.split_hash", "evidence.split_hash")),
    "task": ("hash", ("trial.task_hash",)),
    "environment": ("hash", ("trial.environment_hash",)),
    "blob": (
        "hash",
        (
            "trial.loss_hash",
            "trial.index_hash",
            "trial.prediction_hash",
            "evidence.series",
            "environment.git_diff_hash",
        ),
    ),
    "study": ("id", ("studies",)),
    "trial": ("id", ("trials",)),
    "study_trial": ("trial_id", ("trials",)),
    "score": ("trial_id", ("trials",)),
    "result": ("trial_id", ("trials",)),
    "candidate": ("id", ("candidates",)),
    "evidence": ("candidate_id", ("candidates",)),
    "test_look": ("candidate_id", ("candidates",)),
    "note": ("subject_id", ("studies", "trials", "candidates")),
}
TABLES = tuple(_KEYS)


@dataclass(frozen=True)
class BundleIds:
    """Ids of what goes into a bundle.

    Parameters
    ----------
    studies, trials, candidates : frozenset of str
    unfinished : int
        Trials that were asked for and have not ended: they stay.
    """

    studies: frozenset[str]
    trials: frozenset[str]
    candidates: frozenset[str]
    unfinished: int


def everything(ledger: Ledger, tx: sa.Connection) -> BundleIds:
    """All studies, ended trials and candidates of the project."""
    tables = (schema.study, schema.trial, schema.candidate)
    return _chosen(ledger, tx, *(set(values(ledger, tx, table.c.id)) for table in tables))


def choose(
    ledger: Ledger,
    tx: sa.Connection,
    *,
    studies: Sequence[str] = (),
    trials: Sequence[str] = (),
    candidates: Sequence[str] = (),
) -> BundleIds:
    """What these things need to be understood elsewhere.

    A study brings all its trials and candidates. A candidate brings its ancestors and their whole
    studies: how many configs it was chosen from is part of what it is. A trial comes alone, with
    the studies that looked at it.
    """
    candidate, link = schema.candidate.c, schema.study_trial.c
    chosen = {*candidates, *values(ledger, tx, candidate.id, study_id=studies)}
    while True:
        rows = select(ledger, tx, [candidate.parent_id, candidate.root_id], id=chosen)
        grown = chosen.union(*(row.values() for row in rows)) - {None}
        if grown == chosen:
            break
        chosen = grown
    whole = {*studies, *values(ledger, tx, candidate.study_id, id=chosen)}
    asked = {
        *trials,
        *values(ledger, tx, link.trial_id, study_id=whole),
        *values(ledger, tx, candidate.trial_id, id=chosen),
    }
    whole |= {*values(ledger, tx, link.study_id, trial_id=trials)}
    return _chosen(ledger, tx, whole, asked, chosen)


def _chosen(
    ledger: Ledger, tx: sa.Connection, studies: set[str], trials: set[str], candidates: set[str]
) -> BundleIds:
    trial = schema.trial.c
    found = select(ledger, tx, [trial.id, trial.state], id=trials)
    ended = frozenset(row["id"] for row in found if row["state"] in ENDED)
    return BundleIds(frozenset(studies), ended, frozenset(candidates), len(found) - len(ended))


def rows(
    ledger: Ledger, tx: sa.Connection, choice: BundleIds, table: str
) -> Iterator[dict[str, Any]]:
    """Rows of one table that belong to a choice, in their order; bytes as base 64."""
    key, wanted = _wanted(ledger, tx, choice, table)
    found = schema.metadata.tables[table]
    kept = [column for column in found.c if column.name not in ("seq", "project_id")]
    order = [found.c.seq] if "seq" in found.c else list(found.primary_key)
    ordered = sorted(wanted)
    if "seq" in found.c:
        keys = dict.fromkeys(values(ledger, tx, found.c[key], order=order))
        ordered = [each for each in keys if each in wanted]
    # Pieces in the order of the rows, so that the whole is in their order, too.
    for piece in pieces(ordered):
        mine: dict[str, Any] = {key: piece}
        for row in select(ledger, tx, kept, order=order, **mine):
            if table == "blob":
                row["data"] = base64.b64encode(row["data"]).decode()
            if table == "study_trial" and row["study_id"] not in choice.studies:
                continue
            yield row


def _wanted(
    ledger: Ledger, tx: sa.Connection, choice: BundleIds, table: str
) -> tuple[str, set[str]]:
    """Column by which a table's rows are chosen, and its values."""
    key, sources = _KEYS[table]
    held: set[str | None] = set()
    for source in sources:
        owner, _, column = source.partition(".")
        if not column:
            held |= getattr(choice, owner)
            continue
        owner_key, ids = _wanted(ledger, tx, choice, owner)
        mine: dict[str, Any] = {owner_key: ids}
        found = values(ledger, tx, schema.metadata.tables[owner].c[column], **mine)
        if column == "series":
            found = [hash_ for text in found for hash_ in json.loads(text).values()]
        held |= {*found}
    return key, {each for each in held if each}
