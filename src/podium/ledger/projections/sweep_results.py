"""``hyperparams/sweep_results.json``: all runs in the format of the older tracker, one per line.

Changes by others are imported before the file is written again: new runs keep their ids, an edited
run becomes a separate run, added notes become a dated note. Runs that were removed from the file
stay in the record and are written again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from podium.errors import ConflictError, DataError
from podium.files import full_disk_explained, lock, write_atomic
from podium.hashing import digest_bytes, json_text
from podium.importers._base import Imported, parsed, source_of
from podium.importers.sweep_results import records, to_json
from podium.ledger import foreign, outbox, runs, writes
from podium.ledger.ledger import Ledger, Transaction, now
from podium.ledger.record_reader import RecordReader
from podium.ledger.sweep_file import FILE, TARGET, Mark, content, is_stale, target_of
from podium.record import Record

PATIENCE_SECONDS = 20.0
# Another program may write the file between podium's read and rename.
ATTEMPTS = 5
_FIELDS = {part.name: place for place, part in enumerate(fields(Record))}


def write(
    ledger: Ledger,
    root: Path,
    *,
    slot: str = "",
    say: Callable[[str], None] = lambda _: None,
    wait: bool = True,
) -> list[str]:
    """Import changes of the file by others, then update it.

    A project that never logged or imported a run gets no file.

    Parameters
    ----------
    slot : str
        Slot whose searches count the configs of imported runs.
    say : callable
        Receives messages about damage and unreadable runs.
    wait : bool
        Whether to wait for another process that is writing the file; otherwise a later call
        updates it.

    Returns
    -------
    list of str
        Written files, relative to the project.

    Raises
    ------
    DataError
        The file was damaged before podium first read it (it is left unchanged), or it cannot be
        written.
    """
    reader = _reader(ledger, root)
    if not is_stale(reader):
        return []
    path = root / ".podium" / "locks" / f"{TARGET}.lock"
    patience = PATIENCE_SECONDS if wait else 0.0
    try:
        with full_disk_explained(root), lock(path, f"writing {FILE}", patience=patience):
            return _File(ledger, reader, slot, say).update()
    except ConflictError:
        return []
    except OSError as error:
        raise DataError(
            f"{root / FILE} cannot be written: {(error.strerror or str(error)).lower()}",
            f"a folder {FILE.parent} that is writable",
            "make it a writable folder; the runs are in the record",
        ) from error


def import_file(
    ledger: Ledger,
    root: Path,
    path: Path,
    *,
    slot: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Import another tracker's file into the record; returns the number of new runs.

    Raises
    ------
    DataError
        The file is damaged.
    """
    reader = _reader(ledger, root)
    data = path.read_bytes()
    file_runs, problems = records(parsed(data, path), str(path))
    for problem in problems:
        say(f"warning: {path}: {problem}")
    changes = _Changes.of(file_runs, runs.runs(reader), root)
    with ledger.transaction(durable=True) as tx:
        changes.put(tx, source_of(path.name, file_runs), slot)
        mark = Mark(digest_bytes(data))
        outbox.advance(tx, target_of(path, root), 0, mark.text)
    return len(changes.runs)


def _reader(ledger: Ledger, root: Path) -> RecordReader:
    """Reader of an open record."""
    # SQLAlchemy escapes a file's name in its URL, which the reader does not.
    file, server = f"sqlite:///{ledger.place}", ledger.engine.url
    url = file if ledger.is_sqlite else server.render_as_string(hide_password=False)
    return RecordReader(url, root, ledger.project_id)


@dataclass
class _File:
    """The file of one project, updated by one process at a time."""

    ledger: Ledger
    reader: RecordReader
    slot: str
    say: Callable[[str], None]

    @property
    def path(self) -> Path:
        return self.reader.root / FILE

    def update(self) -> list[str]:
        """Import changes, then write the file if it differs; returns the written files."""
        written: list[str] = []
        for _ in range(ATTEMPTS):
            data = content(self.reader.root)
            _, text = self.ledger.read(outbox.position_of, TARGET)
            mark = Mark.parse(text)
            if data is not None and digest_bytes(data) != mark.digest:
                mark = self._import(data, mark, written)
            position = self.ledger.read(outbox.last_position)
            new = rendered(runs.runs(self.reader), mark.beside)
            if new != data:
                if content(self.reader.root) != data:
                    continue
                write_atomic(self.path, new)
                written.append(FILE.as_posix())
            mark = replace(mark, digest=digest_bytes(new), root=str(self.reader.root))
            self.ledger.write(outbox.advance, TARGET, position, mark.text)
            break
        return written

    def _import(self, data: bytes, mark: Mark, written: list[str]) -> Mark:
        """Import what the record lacks; returns the mark of the imported file."""
        try:
            payload = parsed(data, self.path)
            file_runs, problems = records(payload, str(self.path))
        except DataError as error:
            if not mark.digest:
                raise DataError(
                    f"{error.problems[0].found}; podium has no earlier version of it",
                    'an object {"runs": [...]}',
                    f"repair the file, or move it away: then {FILE} is written from the record",
                ) from None
            copy = self._keep_aside(data, "damaged", written)
            self.say(
                f"warning: {error.problems[0].found}. The file is kept as {copy}; {FILE} is "
                "written again from the record, which has every run up to podium's last read"
            )
            return replace(mark, digest=digest_bytes(data))
        if problems:
            copy = self._keep_aside(data, "before", written)
            for problem in problems:
                self.say(f"warning: {FILE}: {problem}; the original file is kept as {copy}")
        beside = {name: value for name, value in payload.items() if name != "runs"}
        imported = Mark(digest_bytes(data), "", beside)
        changes = _Changes.of(file_runs, runs.runs(self.reader), self.reader.root)
        source = source_of(FILE.name, file_runs)
        with self.ledger.transaction(durable=True) as tx:
            changes.put(tx, source, self.slot)
            position, _ = outbox.position_of(tx, TARGET)
            # The content counts as imported even if the file is not written afterwards.
            outbox.advance(tx, TARGET, position, imported.text)
        if changes.runs:
            self.say(f"imported from {self.path}: {counted(len(changes.runs))}")
        return imported

    def _keep_aside(self, data: bytes, why: str, written: list[str]) -> str:
        """Copy the file under another name; returns that name, relative to the project."""
        stamp = now()[:19].replace("-", "").replace(":", "").replace("T", "_")
        copy = FILE.with_name(f"{FILE.name}.{why}-{stamp}")
        write_atomic(self.reader.root / copy, data)
        written.append(copy.as_posix())
        return copy.as_posix()


@dataclass(frozen=True)
class _Changes:
    """Runs and notes of a file that the record lacks.

    Parameters
    ----------
    runs : sequence of (Record, Record or None)
        New runs, and edited runs with the recorded one.
    notes : sequence of (trial id, text)
    """

    runs: Sequence[tuple[Record, Record | None]]
    notes: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, file_runs: Sequence[Record], known: Sequence[Record], root: Path) -> Self:
        """Compare the file's runs with the record's, by their ids."""
        recorded = {record.run_id: record for record in known}
        fresh, notes = list[tuple[Record, Record | None]](), list[tuple[str, str]]()
        for record in file_runs:
            before = recorded.get(record.run_id)
            if before is None or _differs(to_json(before), to_json(record), root):
                fresh.append((record, before))
            elif record.notes not in before.notes:
                notes.append((before.trial_id, record.notes.removeprefix(before.notes).strip()))
        return cls(fresh, notes)

    def put(self, tx: Transaction, source: str, slot: str) -> None:
        """Write the changes into the record."""
        if self.runs:
            imported = Imported(source, [record for record, _ in self.runs])
            put = foreign.put_imported(tx, imported, slot)
            for (record, is_new), (_, before) in zip(put, self.runs, strict=True):
                if before is not None and is_new:
                    note = f"edited in {FILE}; before: {before.run_id}"
                    writes.put_note(tx, record.trial_id, note, FILE.name)
                    note = f"edited in {FILE}; since: {record.run_id}"
                    writes.put_note(tx, before.trial_id, note, FILE.name)
        for trial_id, text in self.notes:
            writes.put_note(tx, trial_id, text, FILE.name)


def _differs(mine: Mapping[str, Any], theirs: Mapping[str, Any], root: Path) -> bool:
    """Whether a field has another value; removed fields do not count."""
    for name, value in theirs.items():
        if name == "notes" or value is None:
            continue
        own = mine.get(name)
        if name == "checkpoint_path" and isinstance(own, str) and isinstance(value, str):
            # The same file, with the path of the project before a move.
            inside = own.removeprefix(f"{root}/")
            if inside != own and (value == inside or value.endswith(f"/{inside}")):
                continue
        if name == "metrics" and isinstance(own, Mapping) and isinstance(value, Mapping):
            # Since the file was written, the run may have been judged on the test.
            own = {metric: number for metric, number in own.items() if metric in value}
        if json_text(own) != json_text(value):
            return True
    return False


def _place(field: tuple[str, Any]) -> int:
    """Position of a field in a run."""
    return _FIELDS.get(field[0], len(_FIELDS))


def counted(count: int) -> str:
    """Number of runs, as text."""
    return "1 run" if count == 1 else f"{count} runs"


def rendered(records_: Sequence[Record], beside: Mapping[str, Any]) -> bytes:
    """Content of the file: one run per line, then the keys that others added."""
    lines = ",\n".join(
        json.dumps(dict(sorted(to_json(record).items(), key=_place)), ensure_ascii=False)
        for record in records_
    )
    rest = "".join(f",\n{json.dumps(k)}: {json.dumps(v)}" for k, v in beside.items())
    return f'{{"runs": [\n{lines}\n]{rest}}}\n'.encode()
