"""``hyperparams/sweep_results.json``: every run as the older tracker kept them, one a line.

What somebody else put into the file is in the record before it is written again: new runs keep
their ids, an edited run becomes a run of its own beside the one it was, longer notes become a dated
note. Runs taken out of the file stay in the record and come back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from podium.errors import ConflictError, DataError
from podium.files import full_disk_explained, lock, write_atomic
from podium.hashing import digest_bytes, json_text
from podium.importers._base import Imported, parsed, source_of
from podium.importers.sweep_results import records, to_json
from podium.ledger import foreign, outbox, runs, writes
from podium.ledger.ledger import Ledger, now
from podium.ledger.record_reader import RecordReader
from podium.ledger.sweep_file import FILE, TARGET, Mark, behind, content, target_of
from podium.record import Record

PATIENCE_SECONDS = 20.0
# Somebody who writes the file without asking may do it between our look and our rename.
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
    """Take in what others wrote into the file, then update it.

    A project that never logged or imported a run gets no file.

    Parameters
    ----------
    slot : str
        Whose searches new runs of the file count for.
    say : callable
        Hears what a person should know: damage, runs that could not be read.
    wait : bool
        Whether to wait for another process that is writing the file; what one leaves undone, the
        next does.

    Returns
    -------
    list of str
        What was written, relative to the project.

    Raises
    ------
    DataError
        The file is damaged and podium never saw it whole (it is left alone), or it cannot be
        written.
    """
    reader = _door(ledger, root)
    if not behind(reader):
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
            f"a folder {FILE.parent} that podium may write to",
            "make it one; the runs are in the record",
        ) from error


def take_in(
    ledger: Ledger,
    root: Path,
    path: Path,
    *,
    slot: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Put into the record what another tracker's file says; returns how many runs are new.

    Raises
    ------
    DataError
        The file is damaged.
    """
    reader = _door(ledger, root)
    data = path.read_bytes()
    found, problems = records(parsed(data, path), str(path))
    for problem in problems:
        say(f"warning: {path}: {problem}")
    news = _News.of(found, runs.runs(reader), root)
    with ledger.transaction(durable=True) as tx:
        news.put(ledger, tx, source_of(path.name, found), slot)
        mark = Mark(digest_bytes(data))
        outbox.advance(ledger, tx, target_of(path, root), 0, mark.text)
    return len(news.runs)


def _door(ledger: Ledger, root: Path) -> RecordReader:
    """Plain reads of an open record."""
    # SQLAlchemy writes a file's name into its URL the way browsers do, and the reader does not.
    place, url = f"sqlite:///{ledger.place}", ledger.engine.url
    told = place if ledger.is_sqlite else url.render_as_string(hide_password=False)
    return RecordReader(told, root, ledger.project_id)


@dataclass
class _File:
    """The file of one project, to be updated by one process."""

    ledger: Ledger
    reader: RecordReader
    slot: str
    say: Callable[[str], None]

    @property
    def path(self) -> Path:
        return self.reader.root / FILE

    def update(self) -> list[str]:
        """Take in, then write what differs; returns what was written."""
        written: list[str] = []
        for _ in range(ATTEMPTS):
            data = content(self.reader.root)
            _, text = self.ledger.read(outbox.position_of, TARGET)
            mark = Mark.parse(text)
            if data is not None and digest_bytes(data) != mark.digest:
                mark = self._take_in(data, mark, written)
            position = self.ledger.read(outbox.last_position)
            told = rendered(runs.runs(self.reader), mark.beside)
            if told != data:
                if content(self.reader.root) != data:
                    continue
                write_atomic(self.path, told)
                written.append(FILE.as_posix())
            mark = replace(mark, digest=digest_bytes(told), root=str(self.reader.root))
            self.ledger.write(outbox.advance, TARGET, position, mark.text)
            break
        return written

    def _take_in(self, data: bytes, mark: Mark, written: list[str]) -> Mark:
        """Put into the record what only the file says; returns the mark of what was taken in."""
        try:
            payload = parsed(data, self.path)
            found, problems = records(payload, str(self.path))
        except DataError as error:
            if not mark.digest:
                raise DataError(
                    f"{error.problems[0].found}; podium never saw it whole",
                    'an object {"runs": [...]}',
                    f"repair it, or move it away: then {FILE} is written from the record",
                ) from None
            kept = self._keep_aside(data, "damaged", written)
            self.say(
                f"warning: {error.problems[0].found}. It is kept as {kept}; {FILE} is written "
                "again from the record, which has every run up to podium's last look at it"
            )
            return replace(mark, digest=digest_bytes(data))
        if problems:
            kept = self._keep_aside(data, "before", written)
            for problem in problems:
                self.say(f"warning: {FILE}: {problem}; the file as it was is kept as {kept}")
        beside = {name: value for name, value in payload.items() if name != "runs"}
        taken = Mark(digest_bytes(data), "", beside)
        news = _News.of(found, runs.runs(self.reader), self.reader.root)
        source = source_of(FILE.name, found)
        with self.ledger.transaction(durable=True) as tx:
            news.put(self.ledger, tx, source, self.slot)
            position, _ = outbox.position_of(self.ledger, tx, TARGET)
            # From here on this content is no news, even if the file is not written any more.
            outbox.advance(self.ledger, tx, TARGET, position, taken.text)
        if news.runs:
            self.say(f"imported from {self.path}: {counted(len(news.runs))}")
        return taken

    def _keep_aside(self, data: bytes, why: str, written: list[str]) -> str:
        """Copy of the file under another name; returns that name, relative to the project."""
        stamp = now()[:19].replace("-", "").replace(":", "").replace("T", "_")
        kept = FILE.with_name(f"{FILE.name}.{why}-{stamp}")
        write_atomic(self.reader.root / kept, data)
        written.append(kept.as_posix())
        return kept.as_posix()


@dataclass(frozen=True)
class _News:
    """What a file says that the record does not.

    Parameters
    ----------
    runs : sequence of (Record, Record or None)
        New ones, and edited ones, each with the run it was before somebody edited it.
    notes : sequence of (trial id, text)
    """

    runs: Sequence[tuple[Record, Record | None]]
    notes: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, found: Sequence[Record], known: Sequence[Record], root: Path) -> Self:
        """Compare the file's runs with the record's, by their ids."""
        mine = {record.run_id: record for record in known}
        fresh, notes = list[tuple[Record, Record | None]](), list[tuple[str, str]]()
        for record in found:
            before = mine.get(record.run_id)
            if before is None or _differs(to_json(before), to_json(record), root):
                fresh.append((record, before))
            elif record.notes not in before.notes:
                notes.append((before.trial_id, record.notes.removeprefix(before.notes).strip()))
        return cls(fresh, notes)

    def put(self, ledger: Ledger, tx: sa.Connection, source: str, slot: str) -> None:
        """Write all of it into the record."""
        if self.runs:
            imported = Imported(source, [record for record, _ in self.runs])
            put = foreign.put_imported(ledger, tx, imported, slot)
            for (record, is_new), (_, before) in zip(put, self.runs, strict=True):
                if before is not None and is_new:
                    told = f"edited in {FILE}; before: {before.run_id}"
                    writes.put_note(ledger, tx, record.trial_id, told, FILE.name)
                    told = f"edited in {FILE}; since: {record.run_id}"
                    writes.put_note(ledger, tx, before.trial_id, told, FILE.name)
        for trial_id, text in self.notes:
            writes.put_note(ledger, tx, trial_id, text, FILE.name)


def _differs(mine: Mapping[str, Any], theirs: Mapping[str, Any], root: Path) -> bool:
    """Whether somebody gave a field another value; a field taken out is still in the record."""
    for name, value in theirs.items():
        if name == "notes" or value is None:
            continue
        own = mine.get(name)
        if name == "checkpoint_path" and isinstance(own, str) and isinstance(value, str):
            # The same file, told from where the project lay before.
            inside = own.removeprefix(f"{root}/")
            if inside != own and (value == inside or value.endswith(f"/{inside}")):
                continue
        if json_text(own) != json_text(value):
            return True
    return False


def _place(field: tuple[str, Any]) -> int:
    """Where readers of such files expect a field."""
    return _FIELDS.get(field[0], len(_FIELDS))


def counted(count: int) -> str:
    """So many runs, in words."""
    return "1 run" if count == 1 else f"{count} runs"


def rendered(found: Sequence[Record], beside: Mapping[str, Any]) -> bytes:
    """Content of the file: one run a line, then what others had put next to the runs."""
    lines = ",\n".join(
        json.dumps(dict(sorted(to_json(record).items(), key=_place)), ensure_ascii=False)
        for record in found
    )
    rest = "".join(f",\n{json.dumps(k)}: {json.dumps(v)}" for k, v in beside.items())
    return f'{{"runs": [\n{lines}\n]{rest}}}\n'.encode()
