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
from podium.trial import State

# Where a trial's checkpoint lies in its project's store, whatever that is called.
STORE = "{store}/"
ENDED = [state for state in State if state.ended]
# In the order they are put in place: what is referred to comes first.
TABLES = (
    "dataset",
    "split",
    "task",
    "environment",
    "blob",
    "study",
    "trial",
    "study_trial",
    "score",
    "result",
    "candidate",
    "evidence",
    "test_look",
    "note",
)


@dataclass(frozen=True)
class Choice:
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


def everything(ledger: Ledger, tx: sa.Connection) -> Choice:
    """All studies, ended trials and candidates of the project."""
    studies = _ids(ledger, tx, schema.study)
    candidates = _ids(ledger, tx, schema.candidate)
    return _chosen(ledger, tx, studies, _ids(ledger, tx, schema.trial), candidates)


def choose(
    ledger: Ledger,
    tx: sa.Connection,
    *,
    studies: Sequence[str] = (),
    trials: Sequence[str] = (),
    candidates: Sequence[str] = (),
) -> Choice:
    """What these things need to be understood elsewhere.

    A study brings all its trials and candidates. A candidate brings its ancestors and their whole
    studies: how many configs it was chosen from is part of what it is. A trial comes alone, with
    the studies that looked at it.
    """
    chosen = {*candidates, *_where(ledger, tx, schema.candidate, "study_id", studies, "id")}
    while True:
        grown = set(chosen)
        for parent in ("parent_id", "root_id"):
            grown |= set(_where(ledger, tx, schema.candidate, "id", chosen, parent)) - {None}
        if grown == chosen:
            break
        chosen = grown
    whole = {*studies, *_where(ledger, tx, schema.candidate, "id", chosen, "study_id")}
    asked = {
        *trials,
        *_where(ledger, tx, schema.study_trial, "study_id", whole, "trial_id"),
        *_where(ledger, tx, schema.candidate, "id", chosen, "trial_id"),
    }
    whole |= set(_where(ledger, tx, schema.study_trial, "trial_id", trials, "study_id"))
    return _chosen(ledger, tx, whole, asked, chosen)


def _chosen(
    ledger: Ledger, tx: sa.Connection, studies: set[str], trials: set[str], candidates: set[str]
) -> Choice:
    states = {
        id_: state
        for piece in pieces(sorted(trials))
        for id_, state in tx.execute(
            sa.select(schema.trial.c.id, schema.trial.c.state).where(
                schema.trial.c.project_id == ledger.project_id, schema.trial.c.id.in_(piece)
            )
        )
    }
    ended = frozenset(id_ for id_, state in states.items() if state in ENDED)
    return Choice(frozenset(studies), ended, frozenset(candidates), len(states) - len(ended))


def rows(ledger: Ledger, tx: sa.Connection, choice: Choice, table: str) -> Iterator[dict[str, Any]]:
    """Rows of one table that belong to a choice, in their order; bytes as base 64."""
    key, wanted = _wanted(ledger, tx, choice, table)
    found = schema.metadata.tables[table]
    kept = [column for column in found.c if column.name not in ("seq", "project_id")]
    order = [found.c.seq] if "seq" in found.c else list(found.primary_key)
    # Pieces in the order of the rows, so that the whole is in their order, too.
    for piece in pieces(_in_order(ledger, tx, found, key, wanted)):
        for row in tx.execute(
            sa.select(*kept)
            .where(found.c.project_id == ledger.project_id, found.c[key].in_(piece))
            .order_by(*order)
        ).mappings():
            told = dict(row)
            if table == "blob":
                told["data"] = base64.b64encode(told["data"]).decode()
            if table == "study_trial" and told["study_id"] not in choice.studies:
                continue
            yield told


def _in_order(
    ledger: Ledger, tx: sa.Connection, table: sa.Table, key: str, wanted: set[str]
) -> list[str]:
    if "seq" not in table.c:
        return sorted(wanted)
    first = sa.func.min(table.c.seq)
    found = tx.execute(
        sa.select(table.c[key])
        .where(table.c.project_id == ledger.project_id)
        .group_by(table.c[key])
        .order_by(first)
    ).scalars()
    return [each for each in found if each in wanted]


def _wanted(ledger: Ledger, tx: sa.Connection, choice: Choice, table: str) -> tuple[str, set[str]]:
    """Column by which a table's rows are chosen, and its values."""
    trials, candidates = choice.trials, choice.candidates

    def of(owner: sa.Table, ids: frozenset[str], column: str) -> set[str]:
        return set(_where(ledger, tx, owner, _owner_key(owner), ids, column)) - {None, ""}

    if table == "dataset":
        parts = [(schema.trial, trials), (schema.candidate, candidates)]
        return "fingerprint", set().union(*(of(t, i, "dataset_fingerprint") for t, i in parts))
    if table == "split":
        held = of(schema.trial, trials, "split_hash") | of(
            schema.evidence, candidates, "split_hash"
        )
        return "hash", held
    if table == "task":
        return "hash", of(schema.trial, trials, "task_hash")
    if table == "environment":
        return "hash", of(schema.trial, trials, "environment_hash")
    if table == "blob":
        held = set()
        for column in ("loss_hash", "index_hash", "prediction_hash"):
            held |= of(schema.trial, trials, column)
        for series in of(schema.evidence, candidates, "series"):
            held |= set(json.loads(series).values())
        environments = frozenset(of(schema.trial, trials, "environment_hash"))
        return "hash", held | of(schema.environment, environments, "git_diff_hash")
    if table == "study":
        return "id", set(choice.studies)
    if table == "candidate":
        return "id", set(candidates)
    if table in ("evidence", "test_look"):
        return "candidate_id", set(candidates)
    if table == "note":
        return "subject_id", {*choice.studies, *trials, *candidates}
    return ("id" if table == "trial" else "trial_id"), set(trials)


def _owner_key(owner: sa.Table) -> str:
    return {"evidence": "candidate_id", "environment": "hash"}.get(owner.name, "id")


def _where(
    ledger: Ledger,
    tx: sa.Connection,
    table: sa.Table,
    key: str,
    values: Sequence[str] | set[str] | frozenset[str],
    column: str,
) -> list[Any]:
    """Values of a column in the rows whose key is one of these."""
    return [
        found
        for piece in pieces(sorted(values))
        for found in tx.execute(
            sa.select(table.c[column]).where(
                table.c.project_id == ledger.project_id, table.c[key].in_(piece)
            )
        ).scalars()
    ]


def _ids(ledger: Ledger, tx: sa.Connection, table: sa.Table) -> set[str]:
    return set(
        tx.execute(sa.select(table.c.id).where(table.c.project_id == ledger.project_id)).scalars()
    )
