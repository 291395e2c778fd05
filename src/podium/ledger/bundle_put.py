"""Insertion of a bundle's rows into a project's record; existing rows stay as they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa

from podium import artifact
from podium.candidate import Candidate
from podium.errors import DataError
from podium.hashing import canonical, new_id
from podium.ledger import decisions, schema, writes
from podium.ledger.bundle import TABLES
from podium.ledger.chain import CHAINED
from podium.ledger.ledger import Transaction
from podium.ledger.pieces import pieces
from podium.ledger.statements import append, insert_missing, select, value, values

Row = dict[str, Any]
# Columns that hold ids of other rows.
_REFERENCES = ("study_id", "trial_id", "candidate_id", "parent_id", "root_id", "subject_id")
# Tables whose rows are added only with their owner, if that is new here; and the owner's column.
_OWNERS = {"score": "trial_id", "result": "trial_id", "test_look": "candidate_id"}


@dataclass
class ImportSummary:
    """Changes made by an import.

    Parameters
    ----------
    added, known : counter
        Numbers of new and of already present rows, by table.
    renamed : list of (str, str)
        Run ids that were taken, with their replacements.
    slots : set of str
        Slots of the studies and candidates, declared here or not.
    """

    added: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    slots: set[str] = field(default_factory=set)


def put(
    tx: Transaction,
    rows_of: Callable[[str], Iterator[Row]],
    *,
    origin: str,
    actor: str,
    moved: Callable[[str], str],
) -> ImportSummary:
    """Add the checked rows of a bundle to the project; existing rows stay as they are.

    Links to a trial whose key is present lead to the present trial. Run ids that are taken get
    ``-2``, ``-3``. Candidates become the next versions of their slots in stage development; their
    evidence is added with its origin. Importing the same bundle again changes nothing.

    Parameters
    ----------
    rows_of : callable
        Rows of one table, checked.
    origin : str
        Origin of the bundle, stored with decisions and evidence.
    moved : callable
        Maps the checkpoint path of the other project to the path in this one.

    Raises
    ------
    DataError
        A row refers to one that is not in the bundle.
    """
    importing = _Import(tx, origin, actor, moved)
    for table in TABLES:
        add = getattr(importing, table, partial(importing.put_mapped, table))
        for rows in pieces(rows_of(table)):
            add(rows)
    return importing.done


@dataclass
class _Import:
    """One import; maps ids of the bundle to ids here. One method per table that has ids."""

    tx: Transaction
    origin: str
    actor: str
    moved: Callable[[str], str]
    ids: dict[str, str] = field(default_factory=dict)
    # Ids in the bundle of rows that are new here.
    fresh: set[str] = field(default_factory=set)
    done: ImportSummary = field(default_factory=ImportSummary)

    def put(self, table: str, rows: Sequence[Row]) -> None:
        """Add the rows that are missing."""
        add = append if table in CHAINED else insert_missing
        add(self.tx, schema.metadata.tables[table], rows)

    def put_mapped(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows of new owners; rows stored under their own hash have no owner."""
        self.put(table, self._mapped(rows, of=_OWNERS.get(table, "")))

    def study(self, rows: Sequence[Row]) -> None:
        self.done.slots |= {row["slot"] for row in rows}
        added = self._by_key(schema.study, rows)
        self.put("study", added)
        writes.announce(self.tx, "study", [row["id"] for row in added])

    def trial(self, rows: Sequence[Row]) -> None:
        added = self._by_key(schema.trial, rows)
        for row in added:
            if not row["origin"] and row["checkpoint"]:
                row["checkpoint"] = self.moved(row["checkpoint"])
        taken = self._present(schema.trial.c.run_id, [row["run_id"] for row in added])
        later = list[Row]()
        for row in added:
            if row["run_id"] in taken:
                later.append(row)
            elif row["run_id"] is not None:
                taken.add(row["run_id"])
        self.put("trial", [row for row in added if row not in later])
        for row in later:
            [name] = writes.free_names(self.tx, row["run_id"])
            self.done.renamed.append((row["run_id"], name))
            self.put("trial", [{**row, "run_id": name}])
        writes.announce(self.tx, "trial", [row["id"] for row in added])

    def candidate(self, rows: Sequence[Row]) -> None:
        table = schema.candidate.c
        for row in rows:
            self.done.slots.add(row["slot"])
            same = {"slot": row["slot"], "artifact_hash": row["artifact_hash"]}
            known = value(self.tx, table.id, **same)
            if known is not None:
                self.ids[row["id"]] = known
                self.done.known["candidate"] += 1
                continue
            taken = self._present(table.id, [row["id"]])
            self.ids[row["id"]] = new_id("c") if taken else row["id"]
            self.fresh.add(row["id"])
            self.done.added["candidate"] += 1
            [mapped] = self._mapped([row])
            candidate = Candidate(
                **{
                    **mapped,
                    "id": self.ids[row["id"]],
                    "config": json.loads(row["config"]),
                    "artifact_path": artifact.folder_of(row["artifact_hash"]),
                }
            )
            reason = f"imported from {self.origin}"
            decisions.register(self.tx, candidate, self.actor, reason=reason)

    def evidence(self, rows: Sequence[Row]) -> None:
        added = self._mapped(rows, of="candidate_id")
        taken = self._present(schema.evidence.c.id, [row["id"] for row in added])
        for row in added:
            row["id"] = new_id("e") if row["id"] in taken else row["id"]
            row["notes"] = canonical({**json.loads(row["notes"]), "imported": self.origin})
        self.done.added["evidence"] += len(added)
        self.put("evidence", added)

    def note(self, rows: Sequence[Row]) -> None:
        notes = self._mapped(rows)
        table = schema.note.c
        columns = [table.subject_id, table.text, table.actor, table.created_at]
        subjects = [row["subject_id"] for row in notes]
        present = select(self.tx, columns, subject_id=subjects)
        known = {tuple(row.values()) for row in present}
        added = [row for row in notes if tuple(row[part.name] for part in columns) not in known]
        self.done.added["note"] += len(added)
        self.put("note", added)
        writes.announce(self.tx, "note", [row["subject_id"] for row in added])

    def _by_key(self, table: sa.Table, rows: Sequence[Row]) -> list[Row]:
        """Rows whose key is new here, under unused ids; the ids of the others are mapped."""
        keys = [row["key"] for row in rows]
        present = select(self.tx, [table.c.key, table.c.id], key=keys)
        id_of_key = {row["key"]: row["id"] for row in present}
        taken = self._present(table.c.id, [row["id"] for row in rows])
        added = list[Row]()
        for row in rows:
            known = id_of_key.get(row["key"])
            if known is not None:
                self.ids[row["id"]] = known
                self.done.known[table.name] += 1
                continue
            id_ = new_id(row["id"][:1]) if row["id"] in taken else row["id"]
            self.ids[row["id"]] = id_of_key[row["key"]] = id_
            self.fresh.add(row["id"])
            self.done.added[table.name] += 1
            added.append({**row, "id": id_})
        return added

    def _present(self, column: sa.Column[str], wanted: Sequence[str | None]) -> set[str]:
        """Those of some values that a column already has."""
        equal: dict[str, Any] = {column.name: wanted}
        return set(values(self.tx, column, **equal))

    def _mapped(self, rows: Sequence[Row], of: str = "") -> list[Row]:
        """Rows with the ids used here; with ``of``, only rows whose owner there is new."""
        return [
            {**row, **{name: self._id_here(row[name]) for name in _REFERENCES if row.get(name)}}
            for row in rows
            if not of or row[of] in self.fresh
        ]

    def _id_here(self, id_: str) -> str:
        if id_ not in self.ids:
            raise DataError(
                f"the bundle refers to {id_}, which is not in it",
                "a bundle written by podium export --bundle",
            )
        return self.ids[id_]
