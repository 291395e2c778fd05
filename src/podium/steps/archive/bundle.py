"""Bundles: trials, candidates and their artefacts in one file, for another project."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podium import artifact
from podium.errors import DataError, NotFoundError, Problem, RefusedError
from podium.files import full_disk_explained
from podium.hashing import json_text, new_id
from podium.ledger import bundle, bundle_check, bundle_put, schema
from podium.ledger.bundle import STORE
from podium.ledger.bundle_put import ImportSummary
from podium.steps.archive.export import named
from podium.steps.archive.tar import ENDINGS, Packer, Packing, newer, packed, unpack
from podium.steps.workspace.project import Project

PACKING = Packing("bundle", "bundle.json", 1, "podium export --bundle")
# Tables whose numbers of rows are reported.
COUNTED = ("study", "trial", "candidate", "evidence", "note")


@dataclass(frozen=True)
class Bundle:
    """A written bundle.

    Parameters
    ----------
    counts : mapping
        Rows by table.
    left : tuple of str
        Omitted items, each with the reason.
    """

    path: Path
    counts: Counter[str]
    artifacts: int
    bytes: int
    left: tuple[str, ...]


def is_bundle(path: Path) -> bool:
    """Whether a file has the name of a tar file."""
    return path.name.endswith(ENDINGS)


def write(project: Project, destination: Path, ids: Sequence[str] = ()) -> Bundle:
    """Write trials, candidates and everything they refer to into a tar file.

    Parameters
    ----------
    ids : sequence of str
        Studies, trials or runs, candidates. Default: everything.

    Raises
    ------
    ConflictError
        The destination exists; it is not changed.
    NotFoundError
        There is no such id, or no ended trial.
    DataError
        An artefact was changed, or a candidate's is missing.
    """
    with packed(destination, PACKING) as pack, project.ledger.reading() as tx:
        rows = named(project.reader, ids)
        chosen = {kind: [row["id"] for row in of_kind] for kind, of_kind in rows.items()}
        choice = bundle.closure(tx, **chosen) if ids else bundle.all_ids(tx)
        if not choice.trials and not choice.candidates:
            raise NotFoundError("no ended trial to export", fix="run: podium list trials")
        writer = _Writer(project, pack)
        for table in bundle.TABLES:
            writer.add_rows(table, bundle.rows(tx, choice, table))
        for name in writer.artifacts:
            folder = writer.folder(name)
            pack.add_artifact(f"artifacts/{folder.name}", folder, name)
        section = project.config.project
        pack.close(record=schema.VERSION, project=section.name, project_id=section.id)
    left = [f"{choice.unfinished} trials have not ended"] if choice.unfinished else []
    size = destination.stat().st_size
    return Bundle(destination, writer.counts, len(writer.artifacts), size, (*left, *writer.left))


@dataclass
class _Writer:
    """Adds rows, and the artefacts that they refer to."""

    project: Project
    pack: Packer
    counts: Counter[str] = field(default_factory=Counter)
    # In the order of the rows.
    artifacts: dict[str, None] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def add_rows(self, table: str, rows: Iterator[dict[str, Any]]) -> None:
        """Add the rows of a table, one a line."""
        with tempfile.TemporaryFile() as lines:
            for row in rows:
                self.counts[table] += 1
                if table == "trial":
                    self._prepare(row)
                if table in ("trial", "candidate") and row["artifact_hash"]:
                    self.artifacts[row["artifact_hash"]] = None
                lines.write(json_text(row).encode() + b"\n")
            lines.seek(0)
            self.pack.add_file(f"rows/{table}.jsonl", lines)

    def _prepare(self, trial: dict[str, Any]) -> None:
        """Make the path of a trial's model relative to the store; drop a removed model."""
        name, checkpoint = trial["artifact_hash"], trial["checkpoint"]
        if not name:
            return
        folder = self.folder(name)
        if not folder.exists():
            trial["artifact_hash"] = trial["checkpoint"] = None
            self.left.append(f"the model of {trial['id']}, which is no longer in the store")
        elif checkpoint is not None:
            # The store may have moved since the trial ended.
            inner = checkpoint.rpartition(f"{folder.name}/")[2]
            trial["checkpoint"] = f"{STORE}{folder.name}/{inner}"

    def folder(self, name: str) -> Path:
        """Folder of an artefact."""
        return self.project.store / artifact.folder_of(name)


@dataclass(frozen=True)
class ImportedBundle:
    """Result of the import of a bundle.

    Parameters
    ----------
    origin : str
        Project of origin, and file of the bundle.
    put : ImportSummary
        New, known and renamed rows.
    artifacts : int
        Number of new artefacts in the store.
    undeclared : tuple of str
        Slots that podium.toml does not declare.
    """

    origin: str
    put: ImportSummary
    artifacts: int
    undeclared: tuple[str, ...]


class RollBack(Exception):  # noqa: N818 - no error
    """Ends the transaction of a dry run."""


def import_bundle(
    project: Project, source: Path, *, dry_run: bool = False, trust_pickle: bool = False
) -> ImportedBundle:
    """Import a bundle into the project; every hash is checked before the first write.

    Parameters
    ----------
    trust_pickle : bool
        Import models with pickles too, which is noted in the first decision of each candidate. No
        pickle is opened.

    Returns
    -------
    ImportedBundle

    Raises
    ------
    RefusedError
        A model holds a pickle, and ``trust_pickle`` is False.
    NotFoundError
        There is no such file.
    DataError
        The bundle is damaged, forged, or of a newer podium; nothing was changed.
    ConflictError
        A step works on one of its slots.
    """
    if not source.is_file():
        raise NotFoundError(f"no bundle at {source}", "a file written by podium export --bundle")
    work = project.state / "work" / f"import-{new_id('b')}"
    with full_disk_explained(project.root), ExitStack() as stack:
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        contents = unpack(source, work, PACKING)
        _require_version(contents)
        origin = f"{contents.get('project')} ({contents.get('project_id')}), {source.name}"
        # All rows are checked before the first one is written.
        slots, needed = set[str](), dict[str, None]()
        for table in bundle.TABLES:
            for row in _rows(work, table):
                if table in ("study", "candidate"):
                    slots.add(row["slot"])
                if table in ("trial", "candidate") and row["artifact_hash"]:
                    needed[row["artifact_hash"]] = None
        staged = _staged(work, needed)
        origin += _pickles_in(work, staged, trusted=trust_pickle)
        for slot in sorted(slots):
            stack.enter_context(project.locked(slot, "import"))
        added = 0
        registry = Path(project.config.paths.registry)
        try:
            with project.ledger.transaction(durable=True) as tx:
                put = bundle_put.put(
                    tx,
                    lambda table: _rows(work, table),
                    origin=origin,
                    actor=project.actor,
                    moved=lambda path: (registry / path.removeprefix(STORE)).as_posix(),
                )
                if dry_run:
                    raise RollBack
                # Before the rows that refer to them: an interruption leaves unused models only.
                project.store.mkdir(parents=True, exist_ok=True)
                for name, folder in staged.items():
                    added += artifact.adopt(project.store, folder, name)
        except RollBack:
            added = sum(not (project.store / artifact.folder_of(name)).exists() for name in staged)
    undeclared = tuple(sorted(put.slots - project.config.slots.keys()))
    return ImportedBundle(origin, put, added, undeclared)


def _pickles_in(work: Path, staged: Mapping[str, Path], *, trusted: bool) -> str:
    """Note on the pickles among a bundle's models; empty without any."""
    problems: list[Problem] = []
    for folder in staged.values():
        # The hashes of its manifest have been checked.
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        try:
            artifact.require_no_pickle(folder, contents.items())
        except RefusedError as error:
            problems += [p._replace(found=p.found.replace(f"{work}/", "")) for p in error.problems]
    if not problems:
        return ""
    if trusted:
        return f", {len(problems)} files with pickles trusted by --trust-pickle"
    fix = "add --trust-pickle, which is put on record, only for a bundle that you trust"
    raise RefusedError.of([*problems[:-1], problems[-1]._replace(fix=fix)])


def _require_version(contents: dict[str, Any]) -> None:
    version = contents.get("record")
    if not isinstance(version, int):
        raise PACKING.refused(f"{PACKING.contents} has no version of the record")
    if version > schema.VERSION:
        found = f"the bundle is from a record with schema {version}, of"
        raise newer(found, schema.VERSION)


def _rows(work: Path, table: str) -> Iterator[dict[str, Any]]:
    path = work / "rows" / f"{table}.jsonl"
    if not path.is_file():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise PACKING.refused(f"rows/{table}.jsonl line {number} is no JSON") from None
            yield bundle_check.checked(table, row)


def _staged(work: Path, needed: Iterable[str]) -> dict[str, Path]:
    """Unpacked folder of each artefact that rows refer to, its hashes checked."""
    folders = {name: work / "artifacts" / artifact.folder_of(name) for name in needed}
    for name, folder in folders.items():
        if not folder.is_dir():
            raise PACKING.refused(f"the bundle lacks the artefact {name[:12]}")
        try:
            artifact.foreign(folder, name)
        except DataError as error:
            raise PACKING.refused(error.problems[0].found.replace(f"{work}/", "")) from None
    return folders
