"""``experiments/experiments_log.jsonl``: one line a run of a search, one a grid; append-only.

Whoever else writes into the log does so beside podium: their lines are imported before anything is
appended, and stay where they are. Podium's own lines carry ids, so that what is in the log already
is seen there, whatever was cut off, and nothing is written twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from podium.errors import DataError
from podium.files import full_disk_explained, lock
from podium.hashing import digest_bytes, new_id
from podium.importers._base import Imported, source_of
from podium.importers.experiments_log import lines as records_of
from podium.ledger import foreign, outbox, schema, writes
from podium.ledger.ledger import Ledger
from podium.ledger.projections import _active
from podium.ledger.projections._active import ACTIVE, GRID, came_to
from podium.ledger.projections._jsonl import FileTail, JsonLine, append
from podium.ledger.statements import select, values
from podium.record import finite_or_none
from podium.trial import State

LOG = Path("experiments") / "experiments_log.jsonl"
TORN = LOG.with_suffix(".torn")
TARGET = "experiments_log"
# Lines of others, kept word for word, so that a lost log can be written again with them.
LINES = "lines"
KINDS = ("trial", GRID, LINES)
PHASES = {GRID: "grid_search_initial"}
SUMMARY = "grid_search_initial_summary"
SCHEMA = 1
# Between a trial's id and the epochs it had when it was pruned: it may be trained on later.
PRUNED = "/pruned-"
# How a line of podium's begins, so that even a torn one is known.
OWN = f'{{"podium": {SCHEMA}, "id": "'.encode()
PATIENCE_SECONDS = 20.0
CHECKED = 4096


def write(
    ledger: Ledger,
    root: Path,
    slot: str,
    *,
    active: str = ACTIVE,
    say: Callable[[str], None],
) -> list[str]:
    """Bring the log up to the record, then best config and active model of each slot.

    Parameters
    ----------
    slot : str
        The default slot: what others logged belongs to it, and so do the files that are not
        under ``slots/``.
    active : str
        Where the default slot's active model is told, relative to the project.
    say : callable
        Hears what a person should know: damage, lines that could not be read, a best model that
        is gone.

    Returns
    -------
    list of str
        What was written, relative to the project.
    """
    log = _ExperimentsLog(ledger, root, slot, say)
    news = log.is_behind()
    if not news and not _active.is_behind(ledger, root, active):
        return []
    path = root / ".podium" / "locks" / f"{TARGET}.lock"
    try:
        with (
            full_disk_explained(root),
            lock(path, f"podium writes {LOG}", patience=PATIENCE_SECONDS),
        ):
            # Another process may have done it while this one waited.
            written = log.update() if log.is_behind() else []
            return written + _active.write(ledger, root, slot, active, say)
    except OSError as error:
        told = f"{error.filename or LOG} cannot be written: {(error.strerror or '').lower()}"
        raise DataError(told, "files podium may write", "run: podium sync") from error


@dataclass(frozen=True)
class _LogMark:
    """What podium knows of the log.

    Parameters
    ----------
    seen : int
        Bytes that were read before podium last appended.
    end : int
        Bytes there were when it had.
    check : str
        Hash of the last bytes before ``end``: another log, or an edited one, has another.
    source : str
        What the lines of others are called in the record.
    """

    seen: int = 0
    end: int = 0
    check: str = ""
    source: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(**json.loads(text)) if text else cls()


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
        """Whether the record has news for the log, or the log for the record."""
        with self.ledger.reading() as tx:
            position, text = outbox.position_of(self.ledger, tx, TARGET)
            if outbox.waiting(self.ledger, tx, TARGET, kinds=KINDS, limit=1, after=position):
                return True
        mark = _LogMark.parse(text)
        size = self.path.stat().st_size if self.path.is_file() else 0
        return size != mark.end or (size > 0 and not self._is_as_left(mark))

    def update(self) -> list[str]:
        """Take in what others wrote, then append what is missing."""
        ledger = self.ledger
        position, text = ledger.read(outbox.position_of, TARGET)
        mark = _LogMark.parse(text)
        as_left = self._is_as_left(mark)
        tail = FileTail.read(self.path, mark.seen if as_left else 0, OWN, self._keep_aside)
        with ledger.reading() as tx:
            own = _ours(ledger, tx, {line.id for line in tail.lines if line.id})
            others = [line for line in tail.lines if line.id not in own]
            known = _lines_of_others(ledger, tx) if others else set()
        fresh = [line for line in others if line.text not in known]
        if fresh or tail.unreadable:
            mark = self._take_in(tail, fresh, mark, position)
        with ledger.reading() as tx:
            newest = outbox.last_position(ledger, tx)
            wanted = list(self._wanted(tx, position if as_left else 0, newest))
        there = own | {line.text for line in others}
        missing = [line for name, line in wanted if name not in there]
        grown = append(self.path, missing, closed=tail.is_closed)
        end = tail.end + grown
        mark = _LogMark(tail.end, end, self._check(end), mark.source)
        # Not flushed: what is lost of it is done again, and the ids are in the log.
        ledger.write(outbox.advance, TARGET, newest, json.dumps(asdict(mark)))
        return [LOG.as_posix()] if missing else []

    def _is_as_left(self, mark: _LogMark) -> bool:
        """Whether the log is the one podium left, or that with more at its end."""
        return mark.end > 0 and self._check(mark.end) == mark.check

    def _check(self, end: int) -> str:
        """Hash of the log's last bytes before some place; empty where it does not reach that."""
        if not self.path.is_file():
            return ""
        with self.path.open("rb") as handle:
            if os.fstat(handle.fileno()).st_size < end:
                return ""
            handle.seek(max(0, end - CHECKED))
            return digest_bytes(handle.read(end - handle.tell()))

    def _take_in(
        self, tail: FileTail, fresh: Sequence[JsonLine], mark: _LogMark, position: int
    ) -> _LogMark:
        """Put lines of others into the record: as runs, and word for word."""
        # With empty lines before them, so that what is told of a line has its number in the log.
        before = self.path.read_bytes()[: tail.start].count(b"\n")
        shown = [b""] * (before + tail.count)
        for line in (*fresh, *tail.unreadable):
            shown[before + line.number] = line.text
        found, problems = records_of(b"\n".join(shown))
        for problem in problems:
            self.say(f"warning: {LOG}: {problem}")
        if not fresh:
            return mark
        records = [record for _, record in found]
        if records and not mark.source:
            mark = replace(mark, source=source_of(LOG.name, records))
        name, texts = new_id("l"), [line.text.decode() for line in fresh]
        with self.ledger.transaction(durable=True) as tx:
            if records:
                imported = Imported(mark.source, records)
                foreign.put_imported(self.ledger, tx, imported, self.slot)
            outputs = {"after": position, "lines": texts}
            writes.put_receipt(self.ledger, tx, self.slot, LINES, name, outputs)
            writes.announce(self.ledger, tx, LINES, [name])
            outbox.advance(self.ledger, tx, TARGET, position, json.dumps(asdict(mark)))
        return mark

    def _wanted(
        self, tx: sa.Connection, after: int, until: int
    ) -> Iterator[tuple[str | bytes, bytes]]:
        """(id, line) of all that belongs into the log, in the order it happened."""
        items = outbox.waiting(self.ledger, tx, TARGET, kinds=KINDS, after=after)
        items = [item for item in items if item.position <= until]
        trials = _trials(self.ledger, tx, [i.subject_id for i in items if i.kind == "trial"])
        told = _receipts(self.ledger, tx, [i.subject_id for i in items if i.kind != "trial"])
        # Others' lines stood there before podium found them.
        items.sort(key=lambda i: told[i.subject_id]["after"] if i.kind == LINES else i.position)
        yielded: set[str] = set()
        for item in items:
            if item.kind == LINES:
                for text in told[item.subject_id]["lines"]:
                    yield text.encode(), text.encode() + b"\n"
            elif item.kind == GRID:
                line = self._line(_summary(told[item.subject_id], item.created_at))
                yield item.subject_id, line
            elif item.subject_id in trials:
                told_of = _run(trials[item.subject_id])
                # One that was pruned and then trained to its end is announced twice.
                if told_of["id"] not in yielded:
                    yielded.add(told_of["id"])
                    yield told_of["id"], self._line(told_of)

    def _line(self, told: dict[str, Any]) -> bytes:
        for name in ("model_path", "best_model_path"):
            if told.get(name):
                told[name] = str(self.root / told[name])
        return (json.dumps({"podium": SCHEMA, **told}, allow_nan=False) + "\n").encode()

    def _keep_aside(self, torn: bytes) -> None:
        """Keep what is taken out of the log because no program can read it."""
        self.say(f"warning: {LOG} had a torn line, which is kept in {TORN}: {torn[:60]!r}")
        with (self.root / TORN).open("ab") as handle:
            handle.write(torn + b"\n")
            handle.flush()
            os.fsync(handle.fileno())


def _ours(ledger: Ledger, tx: sa.Connection, names: Collection[str]) -> set[str]:
    """Those of some ids that this project's record gave."""
    asked = {name: name.partition(PRUNED)[0] for name in names}
    ids = sorted(set(asked.values()))
    found = {
        *values(ledger, tx, schema.trial.c.id, id=ids, origin=""),
        *values(ledger, tx, schema.receipt.c.inputs_hash, inputs_hash=ids, step=GRID),
    }
    return {name for name, id_ in asked.items() if id_ in found}


def _lines_of_others(ledger: Ledger, tx: sa.Connection) -> set[bytes]:
    """Every line that was taken in before."""
    outputs = values(ledger, tx, schema.receipt.c.outputs, step=LINES)
    return {text.encode() for row in outputs for text in json.loads(row)["lines"]}


def _trials(ledger: Ledger, tx: sa.Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the log tells of podium's own named runs, among some trials; by id."""
    trial, link, study = schema.trial.c, schema.study_trial.c, schema.study.c
    loss = came_to(ledger, "val_loss").label("val_loss")
    rows = select(
        ledger,
        tx,
        [*trial, link.phase, study.slot, study.id.label("study"), loss],
        link.trial_id == trial.id,
        study.id == link.study_id,
        trial.run_id.is_not(None),
        order=link.seq,
        id=ids,
        origin="",
    )
    # Two studies may look at one trial; it is told as what it was trained for.
    return {row["id"]: row for row in reversed(rows)}


def _receipts(ledger: Ledger, tx: sa.Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    table = schema.receipt
    rows = select(ledger, tx, table, order=table.c.seq, inputs_hash=ids, step=(GRID, LINES))
    return {row["inputs_hash"]: json.loads(row["outputs"]) for row in rows}


def _run(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a run's line; that of a pruned one is another than the one of its end."""
    pruned = f"{PRUNED}{row['epochs']}" if row["state"] == State.PRUNED else ""
    return {
        "id": row["id"] + pruned,
        "phase": PHASES.get(row["phase"], row["phase"]),
        "timestamp": row["ended_at"],
        "config": json.loads(row["config"]),
        **_active.judged(
            row["metric"], finite_or_none(row["score"]), finite_or_none(row["val_loss"])
        ),
        "model_path": row["checkpoint"],
        "run_id": row["run_id"],
        "slot": row["slot"],
        "family": row["family"],
        "metric": row["metric"],
        "state": row["state"],
        "epochs_trained": row["epochs"],
        "best_epoch": row["best_epoch"],
        "seed": row["seed"],
        "training_time_seconds": finite_or_none(row["seconds"]),
        "dataset_fingerprint": row["dataset_fingerprint"],
        "task": row["task_hash"],
        "split": row["split_hash"],
        "study": row["study"],
    }


def _summary(told: dict[str, Any], moment: str) -> dict[str, Any]:
    """Fields of a grid's line."""
    return {
        "id": told["id"],
        "phase": SUMMARY,
        "timestamp": moment,
        "num_runs": told["num_runs"],
        "num_trained": told["num_trained"],
        "num_failed": told["num_failed"],
        "best_final_val_loss": told["best_final_val_loss"],
        **({"best_score": told["best_score"]} if "best_score" in told else {}),
        "best_config": told["best_config"],
        "best_model_path": told["best_checkpoint"],
        "best": told["best"],
        "slot": told["slot"],
        "metric": told["metric"],
        "dataset_fingerprint": told["dataset"],
        "task": told["task"],
        "split": told["split"],
        "study": told["study"],
    }
