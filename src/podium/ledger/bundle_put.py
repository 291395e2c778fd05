"""Puts the rows of a bundle into a project's record, beside what it has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
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
from podium.ledger.statements import insert_missing

Row = dict[str, Any]


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
    act: dict[str, Callable[[Sequence[Row]], None]] = {
        "study": putting.studies,
        "trial": putting.trials,
        "study_trial": putting.links,
        "score": lambda rows: putting.of_trials("score", rows),
        "result": lambda rows: putting.of_trials("result", rows),
        "candidate": putting.candidates,
        "evidence": putting.evidence,
        "test_look": putting.looks,
        "note": putting.notes,
    }
    for table in TABLES:
        for rows in pieces(rows_of(table)):
            if table in act:
                act[table](rows)
            else:
                # Values under the hash of what they are: the same one is the same row everywhere.
                insert_missing(ledger, tx, schema.metadata.tables[table], rows)
    return putting.done


class _Putting:
    """One import: which id of the bundle is which id here."""

    def __init__(
        self,
        ledger: Ledger,
        tx: sa.Connection,
        origin: str,
        actor: str,
        moved: Callable[[str], str],
    ) -> None:
        self.ledger, self.tx = ledger, tx
        self.origin, self.actor, self.moved = origin, actor, moved
        self.ids: dict[str, str] = {}
        # Ids of the bundle whose things are new here; what belongs to others stays as it is.
        self.fresh: set[str] = set()
        self.done = Put()

    def studies(self, rows: Sequence[Row]) -> None:
        self.done.slots |= {row["slot"] for row in rows}
        added = self._by_key(schema.study, rows)
        insert_missing(self.ledger, self.tx, schema.study, added)
        writes.announce(self.ledger, self.tx, "study", [row["id"] for row in added])

    def trials(self, rows: Sequence[Row]) -> None:
        added = self._by_key(schema.trial, rows)
        for row in added:
            if not row["origin"] and row["checkpoint"]:
                row["checkpoint"] = self.moved(row["checkpoint"])
        taken = self._present(schema.trial, "run_id", [row["run_id"] for row in added])
        later = list[Row]()
        for row in added:
            if row["run_id"] in taken:
                later.append(row)
            elif row["run_id"] is not None:
                taken.add(row["run_id"])
        free = [row for row in added if row not in later]
        insert_missing(self.ledger, self.tx, schema.trial, free)
        for row in later:
            [name] = writes.free_names(self.ledger, self.tx, row["run_id"])
            self.done.renamed.append((row["run_id"], name))
            insert_missing(self.ledger, self.tx, schema.trial, [{**row, "run_id": name}])
        writes.announce(self.ledger, self.tx, "trial", [row["id"] for row in added])

    def links(self, rows: Sequence[Row]) -> None:
        linked = [
            {
                **row,
                "study_id": row["study_id"] and self._here(row["study_id"]),
                "trial_id": self._here(row["trial_id"]),
            }
            for row in rows
        ]
        insert_missing(self.ledger, self.tx, schema.study_trial, linked)

    def of_trials(self, table: str, rows: Sequence[Row]) -> None:
        mine = [
            {**row, "trial_id": self._here(row["trial_id"])}
            for row in rows
            if row["trial_id"] in self.fresh
        ]
        insert_missing(self.ledger, self.tx, schema.metadata.tables[table], mine)

    def candidates(self, rows: Sequence[Row]) -> None:
        table = schema.candidate.c
        for row in rows:
            self.done.slots.add(row["slot"])
            known = self.tx.execute(
                sa.select(table.id).where(
                    table.project_id == self.ledger.project_id,
                    table.slot == row["slot"],
                    table.artifact_hash == row["artifact_hash"],
                )
            ).scalar()
            if known is not None:
                self.ids[row["id"]] = known
                self.done.known["candidate"] += 1
                continue
            taken = self._present(schema.candidate, "id", [row["id"]])
            self.ids[row["id"]] = new_id("c") if taken else row["id"]
            self.fresh.add(row["id"])
            self.done.added["candidate"] += 1
            candidate = Candidate(
                **{
                    **row,
                    "id": self.ids[row["id"]],
                    "config": json.loads(row["config"]),
                    "study_id": row["study_id"] and self._here(row["study_id"]),
                    "trial_id": row["trial_id"] and self._here(row["trial_id"]),
                    "parent_id": row["parent_id"] and self._here(row["parent_id"]),
                    "root_id": self._here(row["root_id"]),
                    "artifact_path": artifact.folder_of(row["artifact_hash"]),
                }
            )
            decisions.register(
                self.ledger, self.tx, candidate, self.actor, reason=f"imported from {self.origin}"
            )

    def evidence(self, rows: Sequence[Row]) -> None:
        mine = [row for row in rows if row["candidate_id"] in self.fresh]
        taken = self._present(schema.evidence, "id", [row["id"] for row in mine])
        told = [
            {
                **row,
                "id": new_id("e") if row["id"] in taken else row["id"],
                "candidate_id": self._here(row["candidate_id"]),
                "notes": canonical({**json.loads(row["notes"]), "imported": self.origin}),
            }
            for row in mine
        ]
        self.done.added["evidence"] += len(told)
        insert_missing(self.ledger, self.tx, schema.evidence, told)

    def looks(self, rows: Sequence[Row]) -> None:
        mine = [
            {**row, "candidate_id": self._here(row["candidate_id"])}
            for row in rows
            if row["candidate_id"] in self.fresh
        ]
        insert_missing(self.ledger, self.tx, schema.test_look, mine)

    def notes(self, rows: Sequence[Row]) -> None:
        told = [{**row, "subject_id": self._here(row["subject_id"])} for row in rows]
        table = schema.note.c
        parts = (table.subject_id, table.text, table.actor, table.created_at)
        known = {
            tuple(row)
            for row in self.tx.execute(
                sa.select(*parts).where(
                    table.project_id == self.ledger.project_id,
                    table.subject_id.in_([row["subject_id"] for row in told]),
                )
            )
        }
        added = [row for row in told if tuple(row[part.name] for part in parts) not in known]
        self.done.added["note"] += len(added)
        insert_missing(self.ledger, self.tx, schema.note, added)
        writes.announce(self.ledger, self.tx, "note", [row["subject_id"] for row in added])

    def _by_key(self, table: sa.Table, rows: Sequence[Row]) -> list[Row]:
        """Rows that are new here, under ids nobody has; the others are found by their key."""
        found = {
            row.key: row.id
            for row in self.tx.execute(
                sa.select(table.c.key, table.c.id).where(
                    table.c.project_id == self.ledger.project_id,
                    table.c.key.in_([row["key"] for row in rows]),
                )
            )
        }
        taken = self._present(table, "id", [row["id"] for row in rows])
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

    def _present(self, table: sa.Table, column: str, values: Sequence[str | None]) -> set[str]:
        """Which of these a column has already."""
        return set(
            self.tx.execute(
                sa.select(table.c[column]).where(
                    table.c.project_id == self.ledger.project_id, table.c[column].in_(values)
                )
            ).scalars()
        )

    def _here(self, id_: str) -> str:
        if id_ not in self.ids:
            raise DataError(
                f"the bundle refers to {id_}, which is not in it",
                "a bundle as podium export --bundle writes it",
            )
        return self.ids[id_]
