"""Puts the rows of a bundle into a project's record, beside what it has."""

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
from podium.ledger.ledger import Ledger
from podium.ledger.pieces import pieces
from podium.ledger.statements import insert_missing, select, value, values

Row = dict[str, Any]
# Columns that hold ids of other rows.
_REFERENCES = ("study_id", "trial_id", "candidate_id", "parent_id", "root_id", "subject_id")
# Tables whose rows come along only with a thing that is new here, and the column that names it.
_OWNERS = {"score": "trial_id", "result": "trial_id", "test_look": "candidate_id"}


@dataclass
class Put:
    """What an import changed.

    Parameters
    ----------
    added, known : counter
        Things new here, and those that were here already, by table.
    renamed : list of (str, str)
        Names that were taken, and what they became.
    slots : set of str
        Slots of the studies and candidates, declared here or not.
    """

    added: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    slots: set[str] = field(default_factory=set)


def put(
    ledger: Ledger,
    tx: sa.Connection,
    rows_of: Callable[[str], Iterator[Row]],
    *,
    origin: str,
    actor: str,
    moved: Callable[[str], str],
) -> Put:
    """Add the checked rows of a bundle to the project, leaving what it has alone.

    A trial with the same key stays as it is here and links lead to it; names that are taken get
    ``-2``, ``-3``. Candidates become the next versions of their slots in stage development; the
    evidence about them comes along and says where it is from. Done again it changes nothing.

    Parameters
    ----------
    rows_of : callable
        Rows of one table, checked.
    origin : str
        Where the bundle is from, for decisions and evidence.
    moved : callable
        Where a trial's checkpoint of the other project lies in this one.

    Raises
    ------
    DataError
        A row refers to one that is not in the bundle.
    """
    putting = _Putting(ledger, tx, origin, actor, moved)
    for table in TABLES:
        act = getattr(putting, table, partial(putting.put_placed, table))
        for rows in pieces(rows_of(table)):
            act(rows)
    return putting.done


@dataclass
class _Putting:
    """One import: which id of the bundle is which id here; a method a table that has ids."""

    ledger: Ledger
    tx: sa.Connection
    origin: str
    actor: str
    moved: Callable[[str], str]
    ids: dict[str, str] = field(default_factory=dict)
    # Ids of the bundle whose things are new here; what belongs to others stays as it is.
    fresh: set[str] = field(default_factory=set)
    done: Put = field(default_factory=Put)

    def put(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows, leaving those that are there alone."""
        insert_missing(self.ledger, self.tx, schema.metadata.tables[table], rows)

    def put_placed(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows about things that are new here; what lies under its own hash is of no thing."""
        self.put(table, self._placed(rows, of=_OWNERS.get(table, "")))

    def study(self, rows: Sequence[Row]) -> None:
        self.done.slots |= {row["slot"] for row in rows}
        added = self._by_key(schema.study, rows)
        self.put("study", added)
        writes.announce(self.ledger, self.tx, "study", [row["id"] for row in added])

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
            [name] = writes.free_names(self.ledger, self.tx, row["run_id"])
            self.done.renamed.append((row["run_id"], name))
            self.put("trial", [{**row, "run_id": name}])
        writes.announce(self.ledger, self.tx, "trial", [row["id"] for row in added])

    def candidate(self, rows: Sequence[Row]) -> None:
        table = schema.candidate.c
        for row in rows:
            self.done.slots.add(row["slot"])
            same = {"slot": row["slot"], "artifact_hash": row["artifact_hash"]}
            known = value(self.ledger, self.tx, table.id, **same)
            if known is not None:
                self.ids[row["id"]] = known
                self.done.known["candidate"] += 1
                continue
            taken = self._present(table.id, [row["id"]])
            self.ids[row["id"]] = new_id("c") if taken else row["id"]
            self.fresh.add(row["id"])
            self.done.added["candidate"] += 1
            [placed] = self._placed([row])
            candidate = Candidate(
                **{
                    **placed,
                    "id": self.ids[row["id"]],
                    "config": json.loads(row["config"]),
                    "artifact_path": artifact.folder_of(row["artifact_hash"]),
                }
            )
            reason = f"imported from {self.origin}"
            decisions.register(self.ledger, self.tx, candidate, self.actor, reason=reason)

    def evidence(self, rows: Sequence[Row]) -> None:
        mine = self._placed(rows, of="candidate_id")
        taken = self._present(schema.evidence.c.id, [row["id"] for row in mine])
        for row in mine:
            row["id"] = new_id("e") if row["id"] in taken else row["id"]
            row["notes"] = canonical({**json.loads(row["notes"]), "imported": self.origin})
        self.done.added["evidence"] += len(mine)
        self.put("evidence", mine)

    def note(self, rows: Sequence[Row]) -> None:
        told = self._placed(rows)
        table = schema.note.c
        parts = [table.subject_id, table.text, table.actor, table.created_at]
        subjects = [row["subject_id"] for row in told]
        there = select(self.ledger, self.tx, parts, subject_id=subjects)
        known = {tuple(row.values()) for row in there}
        added = [row for row in told if tuple(row[part.name] for part in parts) not in known]
        self.done.added["note"] += len(added)
        self.put("note", added)
        writes.announce(self.ledger, self.tx, "note", [row["subject_id"] for row in added])

    def _by_key(self, table: sa.Table, rows: Sequence[Row]) -> list[Row]:
        """Rows that are new here, under ids nobody has; the others are known by their key."""
        keys = [row["key"] for row in rows]
        there = select(self.ledger, self.tx, [table.c.key, table.c.id], key=keys)
        found = {row["key"]: row["id"] for row in there}
        taken = self._present(table.c.id, [row["id"] for row in rows])
        added = list[Row]()
        for row in rows:
            known = found.get(row["key"])
            if known is not None:
                self.ids[row["id"]] = known
                self.done.known[table.name] += 1
                continue
            id_ = new_id(row["id"][:1]) if row["id"] in taken else row["id"]
            self.ids[row["id"]] = found[row["key"]] = id_
            self.fresh.add(row["id"])
            self.done.added[table.name] += 1
            added.append({**row, "id": id_})
        return added

    def _present(self, column: sa.Column[str], wanted: Sequence[str | None]) -> set[str]:
        """Which of these a column has already."""
        mine: dict[str, Any] = {column.name: wanted}
        return set(values(self.ledger, self.tx, column, **mine))

    def _placed(self, rows: Sequence[Row], of: str = "") -> list[Row]:
        """Rows that refer to things by their ids here; those of things that are new where asked."""
        return [
            {**row, **{name: self._here(row[name]) for name in _REFERENCES if row.get(name)}}
            for row in rows
            if not of or row[of] in self.fresh
        ]

    def _here(self, id_: str) -> str:
        if id_ not in self.ids:
            raise DataError(
                f"the bundle refers to {id_}, which is not in it",
                "a bundle as podium export --bundle writes it",
            )
        return self.ids[id_]
