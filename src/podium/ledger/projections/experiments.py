"""``experiments/experiments_log.jsonl``: append-only, one line per run of a search and per grid.

Other programs may append too: their lines are imported before podium appends, and stay in place.
Podium's lines have ids, so no line is written twice, even after a line was cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from podium.errors import DataError
from podium.files import full_disk_explained, lock
from podium.hashing import digest_bytes, new_id
from podium.importers._base import Imported, source_of
from podium.importers.experiments_log import lines as records_of
from podium.ledger import foreign, outbox, schema, writes
from podium.ledger.columns import json_column, read_mark
from podium.ledger.ledger import Ledger, Transaction
from podium.ledger.projections import _active
from podium.ledger.projections._active import ACTIVE, GRID, result_value
from podium.ledger.projections._jsonl import FileTail, JsonLine, append
from podium.ledger.statements import select, values
from podium.record import finite_or_none
from podium.trial import State

LOG = Path("experiments") / "experiments_log.jsonl"
TORN = LOG.with_suffix(".torn")
TARGET = "experiments_log"
# Receipts with the lines of other programs, so that a lost log can be restored.
LINES = "lines"
KINDS = ("trial", GRID, LINES)
PHASES = {GRID: "grid_search_initial"}
SUMMARY = "grid_search_initial_summary"
SCHEMA = 1
# Separates a trial's id and its epochs when it was pruned, as its training may be resumed.
PRUNED = "/pruned-"
# Beginning of podium's lines, to recognise torn ones.
OWN = f'{{"podium": {SCHEMA}, "id": "'.encode()
PATIENCE_SECONDS = 20.0
CHECKED = 4096


def write(
    ledger: Ledger, root: Path, slot: str, *, active: str = ACTIVE, say: Callable[[str], None]
) -> list[str]:
    """Update the log, then best config and active model of each slot.

    Parameters
    ----------
    slot : str
        The default slot: imported lines belong to it, and so do the files outside ``slots/``.
    active : str
        File that names the default slot's active model, relative to the project.
    say : callable
        Receives messages about damage, unreadable lines and a missing best model.

    Returns
    -------
    list of str
        Written files, relative to the project.
    """
    log = _ExperimentsLog(ledger, root, slot, say)
    if not log.is_behind() and not _active.is_behind(ledger, root, active):
        return []
    path = root / ".podium" / "locks" / f"{TARGET}.lock"
    try:
        with (
            full_disk_explained(root),
            lock(path, f"podium writes {LOG}", patience=PATIENCE_SECONDS),
        ):
            # Another process may have updated the log while this one waited.
            written = log.update() if log.is_behind() else []
            return written + _active.write(ledger, root, slot, active, say)
    except OSError as error:
        message = f"{error.filename or LOG} cannot be written: {(error.strerror or '').lower()}"
        raise DataError(message, "a writable file", "run: podium sync") from error


@dataclass(frozen=True)
class _LogMark:
    """State of the log when podium last appended.

    Parameters
    ----------
    seen : int
        Number of bytes read before the append.
    end : int
        Number of bytes after the append.
    check : str
        Hash of the last bytes before ``end``, to detect another or an edited log.
    source : str
        Source name of other programs' lines in the record.
    """

    seen: int = 0
    end: int = 0
    check: str = ""
    source: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        return read_mark(cls, text)


@dataclass(frozen=True)
class _ExperimentsLog:
    """The log of one project."""

    ledger: Ledger
    root: Path
    slot: str
    say: Callable[[str], None]

    @property
    def path(self) -> Path:
        return self.root / LOG

    def is_behind(self) -> bool:
        """Whether record and log differ."""
        with self.ledger.reading() as tx:
            position, text = outbox.position_of(tx, TARGET)
            if outbox.waiting(tx, TARGET, kinds=KINDS, limit=1, after=position):
                return True
        mark = _LogMark.parse(text)
        size = self.path.stat().st_size if self.path.is_file() else 0
        return size != mark.end or (size > 0 and not self._is_as_left(mark))

    def update(self) -> list[str]:
        """Import other programs' lines, then append the missing ones."""
        ledger = self.ledger
        position, text = ledger.read(outbox.position_of, TARGET)
        mark = _LogMark.parse(text)
        as_left = self._is_as_left(mark)
        tail = FileTail.read(self.path, mark.seen if as_left else 0, OWN, self._keep_aside)
        with ledger.reading() as tx:
            own = _own_ids(tx, {line.id for line in tail.lines if line.id})
            others = [line for line in tail.lines if line.id not in own]
            known = _lines_of_others(tx) if others else set()
        fresh = [line for line in others if line.text not in known]
        if fresh or tail.unreadable:
            mark = self._import(tail, fresh, mark, position)
        with ledger.reading() as tx:
            newest = outbox.last_position(tx)
            expected = list(self._expected(tx, position if as_left else 0, newest))
        present = own | {line.text for line in others}
        missing = [line for name, line in expected if name not in present]
        grown = append(self.path, missing, closed=tail.is_closed)
        end = tail.end + grown
        mark = _LogMark(tail.end, end, self._check(end), mark.source)
        # Not flushed: a lost mark is computed again from the ids in the log.
        ledger.write(outbox.advance, TARGET, newest, json.dumps(asdict(mark)))
        return [LOG.as_posix()] if missing else []

    def _is_as_left(self, mark: _LogMark) -> bool:
        """Whether the log is unchanged since podium's append, or only longer."""
        return mark.end > 0 and self._check(mark.end) == mark.check

    def _check(self, end: int) -> str:
        """Hash of the log's last bytes before a place; empty if the log is shorter."""
        if not self.path.is_file():
            return ""
        with self.path.open("rb") as handle:
            if os.fstat(handle.fileno()).st_size < end:
                return ""
            handle.seek(max(0, end - CHECKED))
            return digest_bytes(handle.read(end - handle.tell()))

    def _import(
        self, tail: FileTail, fresh: Sequence[JsonLine], mark: _LogMark, position: int
    ) -> _LogMark:
        """Put other programs' lines into the record, as runs and word for word."""
        # Empty lines before them give messages the line numbers of the log.
        before = self.path.read_bytes()[: tail.start].count(b"\n")
        numbered = [b""] * (before + tail.count)
        for line in (*fresh, *tail.unreadable):
            numbered[before + line.number] = line.text
        parsed, problems = records_of(b"\n".join(numbered))
        for problem in problems:
            self.say(f"warning: {LOG}: {problem}")
        if not fresh:
            return mark
        records = [record for _, record in parsed]
        if records and not mark.source:
            mark = replace(mark, source=source_of(LOG.name, records))
        name, texts = new_id("l"), [line.text.decode() for line in fresh]
        with self.ledger.transaction(durable=True) as tx:
            if records:
                imported = Imported(mark.source, records)
                foreign.put_imported(tx, imported, self.slot)
            outputs = {"after": position, "lines": texts}
            writes.put_receipt(tx, self.slot, LINES, name, outputs)
            writes.announce(tx, LINES, [name])
            outbox.advance(tx, TARGET, position, json.dumps(asdict(mark)))
        return mark

    def _expected(
        self, tx: Transaction, after: int, until: int
    ) -> Iterator[tuple[str | bytes, bytes]]:
        """(id, line) of all lines of the log between two positions, in order."""
        items = outbox.waiting(tx, TARGET, kinds=KINDS, after=after)
        items = [item for item in items if item.position <= until]
        trials = _trials(tx, [i.subject_id for i in items if i.kind == "trial"])
        receipts = _receipts(tx, [i.subject_id for i in items if i.kind != "trial"])
        # Lines of other programs were in the log before their import.
        items.sort(key=lambda i: receipts[i.subject_id]["after"] if i.kind == LINES else i.position)
        yielded: set[str] = set()
        for item in items:
            if item.kind == LINES:
                for text in receipts[item.subject_id]["lines"]:
                    yield text.encode(), text.encode() + b"\n"
            elif item.kind == GRID:
                line = self._line(_summary(receipts[item.subject_id], item.created_at))
                yield item.subject_id, line
            elif item.subject_id in trials:
                run = _run(trials[item.subject_id])
                # A trial that was pruned and then resumed is in the outbox twice.
                if run["id"] not in yielded:
                    yielded.add(run["id"])
                    yield run["id"], self._line(run)

    def _line(self, content: dict[str, Any]) -> bytes:
        for name in ("model_path", "best_model_path"):
            if content.get(name):
                content[name] = str(self.root / content[name])
        return (json.dumps({"podium": SCHEMA, **content}, allow_nan=False) + "\n").encode()

    def _keep_aside(self, torn: bytes) -> None:
        """Append a torn line to a separate file before it is blanked."""
        self.say(f"warning: {LOG} had a torn line, which is kept in {TORN}: {torn[:60]!r}")
        with (self.root / TORN).open("ab") as handle:
            handle.write(torn + b"\n")
            handle.flush()
            os.fsync(handle.fileno())


def _own_ids(tx: Transaction, names: Collection[str]) -> set[str]:
    """Those ids of lines that are in this project's record."""
    id_of = {name: name.partition(PRUNED)[0] for name in names}
    ids = sorted(set(id_of.values()))
    recorded = {
        *values(tx, schema.trial.c.id, id=ids, origin=""),
        *values(tx, schema.receipt.c.inputs_hash, inputs_hash=ids, step=GRID),
    }
    return {name for name, id_ in id_of.items() if id_ in recorded}


def _lines_of_others(tx: Transaction) -> set[bytes]:
    """All imported lines."""
    outputs = values(tx, schema.receipt.c.outputs, step=LINES)
    return {text.encode() for row in outputs for text in json.loads(row)["lines"]}


def _trials(tx: Transaction, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Data of the log about podium's named runs, among some trials; by id."""
    trial, link, study = schema.trial.c, schema.study_trial.c, schema.study.c
    loss = result_value(tx, "val_loss").label("val_loss")
    rows = select(
        tx,
        [*trial, link.phase, study.slot, study.id.label("study"), loss],
        link.trial_id == trial.id,
        study.id == link.study_id,
        trial.run_id.is_not(None),
        order=link.seq,
        id=ids,
        origin="",
    )
    # If two studies look at a trial, its line names the first.
    return {row["id"]: row for row in reversed(rows)}


def _receipts(tx: Transaction, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    table = schema.receipt
    rows = select(tx, table, order=table.c.seq, inputs_hash=ids, step=(GRID, LINES))
    return {row["inputs_hash"]: json_column(row, "outputs") for row in rows}


def _run(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a run's line; a pruned state has a separate id."""
    pruned = f"{PRUNED}{row['epochs']}" if row["state"] == State.PRUNED else ""
    return {
        "id": row["id"] + pruned,
        "phase": PHASES.get(row["phase"], row["phase"]),
        "timestamp": row["ended_at"],
        "config": json_column(row, "config"),
        **_active.loss_fields(
            row["metric"], finite_or_none(row["score"]), finite_or_none(row["val_loss"])
        ),
        "model_path": row["checkpoint"],
        **{name: row[name] for name in ("run_id", "slot", "family", "metric", "state")},
        "epochs_trained": row["epochs"],
        "best_epoch": row["best_epoch"],
        "seed": row["seed"],
        "training_time_seconds": finite_or_none(row["seconds"]),
        "dataset_fingerprint": row["dataset_fingerprint"],
        "task": row["task_hash"],
        "split": row["split_hash"],
        "study": row["study"],
    }


def _summary(grid: dict[str, Any], moment: str) -> dict[str, Any]:
    """Fields of a grid's line."""
    return {
        "id": grid["id"],
        "phase": SUMMARY,
        "timestamp": moment,
        **{name: grid[name] for name in ("num_runs", "num_trained", "num_failed")},
        "best_final_val_loss": grid["best_final_val_loss"],
        **({"best_score": grid["best_score"]} if "best_score" in grid else {}),
        "best_config": grid["best_config"],
        "best_model_path": grid["best_checkpoint"],
        **{name: grid[name] for name in ("best", "slot", "metric")},
        "dataset_fingerprint": grid["dataset"],
        **{name: grid[name] for name in ("task", "split", "study")},
    }
