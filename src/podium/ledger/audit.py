"""Audit of the record: chains, decisions against the rows they rest on, heads, triggers.

Every function returns one message per fault, with the id of the row. The rows are those of one
moment, so a writer beside the audit causes no faults.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from podium.decision import MOVING, Kind, Result, Stage
from podium.evidence import SIGNATURE
from podium.ledger.chain import CHAINED, decision_hash, first_link, row_hash, sha
from podium.ledger.columns import blob_hash, json_column
from podium.ledger.record_reader import RecordReader

Row = dict[str, Any]
# Key columns of the tables of current holders.
HEADS = {"stage": ("candidate_id",), "champion": ("slot",), "latest": ("slot", "model_type")}
CHAINS = ("decision", *CHAINED)
# Stored arrays that are read at a time.
PIECE = 50


@dataclass(frozen=True)
class Record:
    """Rows of a project's decisions and of everything they refer to, JSON columns as text."""

    project_id: str
    tables: Mapping[str, Sequence[Row]]

    @classmethod
    def of(cls, reader: RecordReader) -> Record:
        """Rows at one moment."""
        queries = {
            **dict.fromkeys((*CHAINS, "candidate"), "ORDER BY seq"),
            **dict.fromkeys(HEADS, ""),
            "outbox": "AND kind IN ('candidate', 'decision') ORDER BY seq",
        }
        rows = reader.snapshot(
            *(
                (f"SELECT * FROM {table} WHERE project_id = ? {rest}", (reader.project_id,))
                for table, rest in queries.items()
            )
        )
        return cls(reader.project_id, dict(zip(queries, rows, strict=True)))

    @cached_property
    def intact_evidence(self) -> list[Row]:
        """Evidence without the rows that :func:`chain_faults` names as changed."""
        return [row for row in self.tables["evidence"] if _is_intact("evidence", row)]

    def hashes(self, table: str) -> list[str]:
        """Hashes of a chain, with the first link in front."""
        return [first_link(self.project_id), *(row["hash"] for row in self.tables[table])]


def chain_faults(record: Record, table: str) -> Iterator[str]:
    """Rows whose content differs from their hash, and places where rows are missing."""
    link = first_link(record.project_id)
    for row in record.tables[table]:
        if not _is_intact(table, row):
            yield f"{_name(table, row)} was changed after it was recorded"
        elif row["previous_hash"] != link:
            yield f"rows before {_name(table, row)} were removed, added or moved"
        link = row["hash"]


def decision_faults(record: Record) -> Iterator[str]:
    """Faults of the chain of decisions, and rows that differ from what a decision rested on."""
    yield from chain_faults(record, "decision")
    rows = [*record.tables["candidate"], *record.tables["evidence"]]
    hashes = {row["id"]: row_hash(row) for row in rows}
    places = {table: {h: n for n, h in enumerate(record.hashes(table))} for table in CHAINED}
    reached = dict.fromkeys(CHAINED, 0)
    for row in record.tables["decision"]:
        id_ = row["id"]
        if sha(row["policy"]) != row["policy_hash"]:
            yield f"the policy of {id_} differs from its hash"
        if not _is_intact("decision", row):
            continue
        contents, verdicts = json_column(row, "contents"), json_column(row, "verdicts")
        for name in [row["candidate_id"], *json_column(row, "evidence")]:
            if name not in hashes:
                yield f"{name}, which {id_} rests on, is not on record"
            elif contents.get(name) != hashes[name]:
                yield f"{name} was changed after decision {id_}"
        for table in CHAINED:
            place = places[table].get(contents.get(table), -1)
            if place < reached[table]:
                yield f"rows of {table} were removed or changed after decision {id_}"
            reached[table] = max(reached[table], place)
        refusals = [v["gate"] for v in verdicts if v["result"] not in (Result.PASS, Result.WAIVED)]
        if row["kind"] == Kind.MOVE and row["accepted"] and refusals:
            yield f"{id_} is accepted, and its verdict of {', '.join(refusals)} is no pass"


def head_faults(record: Record) -> Iterator[str]:
    """Heads that differ from those that the decisions lead to, and moves that do not fit them."""
    heads: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {name: {} for name in HEADS}
    stages, holders, latest = heads["stage"], heads["champion"], heads["latest"]
    model_types = {row["id"]: row["model_type"] for row in record.tables["candidate"]}
    for row in record.tables["decision"]:
        if not row["accepted"] or row["kind"] not in MOVING:
            continue
        id_, slot, to_stage = row["candidate_id"], row["slot"], row["to_stage"]
        by = (row["id"], row["created_at"])
        stage = stages.get((id_,), (None,))[0]
        if stage != row["from_stage"]:
            yield f"{row['id']} moves {id_} from {row['from_stage']}, and its stage was {stage}"
        if to_stage == Stage.CHAMPION:
            holder = holders.get((slot,), (None,))[0]
            if holder != row["expected_champion"]:
                yield f"{row['id']} replaces {row['expected_champion']}, and {holder} was champion"
            if holder is not None:
                stages[holder,] = (Stage.ARCHIVED, *by)
            holders[slot,] = (id_, *by)
        elif row["from_stage"] == Stage.CHAMPION:
            holders.pop((slot,), None)
        stages[id_,] = (to_stage, *by)
        if row["kind"] == Kind.REGISTER:
            latest[slot, model_types.get(id_, "")] = (id_, *by)
    for table, key in HEADS.items():
        value = "stage" if table == "stage" else "candidate_id"
        stored = {
            tuple(row[name] for name in key): (row[value], row["decision_id"], row["since"])
            for row in record.tables[table]
        }
        for name in sorted(stored.keys() | heads[table].keys()):
            ours, theirs = stored.get(name), heads[table].get(name)
            if ours != theirs:
                yield (
                    f"{table} of {' '.join(name)} is {_head(ours)} and by the decisions "
                    f"{_head(theirs)}"
                )


def reference_faults(record: Record) -> Iterator[str]:
    """Candidates, signatures, looks and changes that lack the row they belong to."""
    decisions = record.tables["decision"]
    ids = {"decision": {row["id"] for row in decisions}}
    ids["candidate"] = {row["id"] for row in record.tables["candidate"]}
    registered = Counter(row["candidate_id"] for row in decisions if row["kind"] == Kind.REGISTER)
    signatures = (row for row in decisions if row["kind"] == Kind.SIGN)
    signed = {id_ for row in signatures for id_ in json_column(row, "evidence")}
    looks = {(row["artifact_hash"], row["place"]) for row in record.tables["test_look"]}
    for row in record.tables["candidate"]:
        if registered[row["id"]] != 1:
            yield f"{row['id']} was registered by {registered[row['id']]} decisions, not by one"
    for row in record.intact_evidence:
        imported = "imported" in json_column(row, "notes")
        if row["kind"] == SIGNATURE and row["id"] not in signed and not imported:
            yield f"signature {row['id']} belongs to no decision"
        look = json_column(row, "scalars").get("looks")
        if look and (row["artifact_hash"], int(look[0])) not in looks:
            yield f"look {int(look[0])} at the test, which {row['id']} names, is not on record"
    for item in record.tables["outbox"]:
        if item["subject_id"] not in ids[item["kind"]]:
            yield f"{item['kind']} {item['subject_id']} was recorded and is missing"


def series_faults(record: Record, reader: RecordReader) -> Iterator[str]:
    """Stored arrays of evidence and looks that are missing or differ from their hash."""
    owners: dict[str, str] = {}
    for row in record.intact_evidence:
        for name, hash_ in json_column(row, "series").items():
            owners.setdefault(hash_, f"series {name} of {row['id']}")
    for row in record.tables["test_look"]:
        owners.setdefault(row["samples_hash"], f"samples of {_name('test_look', row)}")
    wanted = [*owners]
    for begin in range(0, len(wanted), PIECE):
        piece = wanted[begin : begin + PIECE]
        rows = reader.select("blob", "hash, dtype, data", order="", hash=piece)
        intact = {row["hash"] for row in rows if row["hash"] == blob_hash(row)}
        yield from (f"{owners[h]} is missing or was changed" for h in piece if h not in intact)


def trigger_faults(reader: RecordReader) -> Iterator[str]:
    """Triggers against changes that are missing or differ."""
    # SQLAlchemy takes longer to import than the rest of an audit.
    from podium.ledger import schema

    dialect, active = reader.triggers()
    for name, statement in schema.triggers(dialect).items():
        if active.get(name) != (statement if dialect == "sqlite" else schema.REFUSAL):
            yield f"trigger {name} is missing or was changed"


def _is_intact(table: str, row: Row) -> bool:
    hash_of = decision_hash if table == "decision" else row_hash
    return bool(hash_of(row) == row["hash"])


def _name(table: str, row: Row) -> str:
    if table == "test_look":
        return f"look {row['place']} of {row['candidate_id']}"
    return str(row["id"])


def _head(value: tuple[Any, ...] | None) -> str:
    return "absent" if value is None else f"{value[0]} by {value[1]}"
