"""Part of a record as rows that another project can import."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from podium.ledger import schema
from podium.ledger.chain import CHAINED
from podium.ledger.ledger import Transaction
from podium.ledger.pieces import pieces
from podium.ledger.statements import select, values
from podium.trial import State

# Stands for the folder of the project's store in the path of a trial's checkpoint.
STORE = "{store}/"
ENDED = [state for state in State if state.ended]
# Column that selects a table's rows, and the source of its values: ids of a selection, or a column
# of another table's selected rows. Sorted for insertion: referenced rows come first.
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
            "test_look.samples_hash",
            "environment.code_diff_hash",
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


def columns_of(table: str) -> list[sa.Column[Any]]:
    """Columns of a table in a bundle: without the place of a row in its project and its chain."""
    local = ["seq", "project_id"]
    if table in CHAINED:
        local += ["previous_hash", "hash"]
    return [column for column in schema.metadata.tables[table].c if column.name not in local]


@dataclass(frozen=True)
class BundleIds:
    """Ids of the contents of a bundle.

    Parameters
    ----------
    studies, trials, candidates : frozenset of str
    unfinished : int
        Number of selected trials that have not ended; they are left out.
    """

    studies: frozenset[str]
    trials: frozenset[str]
    candidates: frozenset[str]
    unfinished: int


def all_ids(tx: Transaction) -> BundleIds:
    """All studies, ended trials and candidates of the project."""
    tables = (schema.study, schema.trial, schema.candidate)
    return _ids(tx, *(set(values(tx, table.c.id)) for table in tables))


def closure(
    tx: Transaction,
    *,
    studies: Sequence[str] = (),
    trials: Sequence[str] = (),
    candidates: Sequence[str] = (),
) -> BundleIds:
    """Selection with everything it depends on.

    A study brings all its trials and candidates. A candidate brings its ancestors and their whole
    studies, because the number of configs it was selected from is needed to judge it. A trial
    comes alone, with the studies that looked at it.
    """
    candidate, link = schema.candidate.c, schema.study_trial.c
    selected = {*candidates, *values(tx, candidate.id, study_id=studies)}
    while True:
        rows = select(tx, [candidate.parent_id, candidate.root_id], id=selected)
        grown = selected.union(*(row.values() for row in rows)) - {None}
        if grown == selected:
            break
        selected = grown
    all_studies = {*studies, *values(tx, candidate.study_id, id=selected)}
    all_trials = {
        *trials,
        *values(tx, link.trial_id, study_id=all_studies),
        *values(tx, candidate.trial_id, id=selected),
    }
    all_studies |= {*values(tx, link.study_id, trial_id=trials)}
    return _ids(tx, all_studies, all_trials, selected)


def _ids(tx: Transaction, studies: set[str], trials: set[str], candidates: set[str]) -> BundleIds:
    trial = schema.trial.c
    states = select(tx, [trial.id, trial.state], id=trials)
    ended = frozenset(row["id"] for row in states if row["state"] in ENDED)
    return BundleIds(frozenset(studies), ended, frozenset(candidates), len(states) - len(ended))


def rows(tx: Transaction, ids: BundleIds, table: str) -> Iterator[dict[str, Any]]:
    """Rows of one table that belong to a selection, in their order; bytes as base 64."""
    key, wanted = _wanted(tx, ids, table)
    source = schema.metadata.tables[table]
    columns = columns_of(table)
    order = [source.c.seq] if "seq" in source.c else list(source.primary_key)
    ordered = sorted(wanted)
    if "seq" in source.c:
        keys = dict.fromkeys(values(tx, source.c[key], order=order))
        ordered = [each for each in keys if each in wanted]
    # Keys in the order of the rows keep that order across pieces.
    for piece in pieces(ordered):
        equal: dict[str, Any] = {key: piece}
        for row in select(tx, columns, order=order, **equal):
            if table == "blob":
                row["data"] = base64.b64encode(row["data"]).decode()
            if table == "study_trial" and row["study_id"] not in ids.studies:
                continue
            yield row


def _wanted(tx: Transaction, ids: BundleIds, table: str) -> tuple[str, set[str]]:
    """Column that selects a table's rows, and its values."""
    key, sources = _KEYS[table]
    wanted: set[str | None] = set()
    for source in sources:
        owner, _, column = source.partition(".")
        if not column:
            wanted |= getattr(ids, owner)
            continue
        owner_key, owner_values = _wanted(tx, ids, owner)
        equal: dict[str, Any] = {owner_key: owner_values}
        column_values = values(tx, schema.metadata.tables[owner].c[column], **equal)
        if column == "series":
            column_values = [hash_ for text in column_values for hash_ in json.loads(text).values()]
        wanted |= {*column_values}
    return key, {each for each in wanted if each}
