"""Take records of other tools, and bundles of other projects, into the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from podium import registry
from podium.config import without_password
from podium.errors import DataError, NotFoundError, UsageError
from podium.hashing import json_text
from podium.importers import sweep_results
from podium.importers._base import SQLITE, Imported, as_file, head, sqlite, sqlite_tables
from podium.ledger import foreign, runs
from podium.ledger.ledger import Transaction
from podium.record import Record
from podium.steps.archive.bundle import TakenIn, Undone, is_bundle, take_in
from podium.steps.workspace.project import Project

BUNDLE = "bundle"


@dataclass(frozen=True)
class RecordGroup:
    """Records of one source.

    Parameters
    ----------
    new, known : int
        Written now, and on record before.
    problems : tuple of str
        What was left out, and why.
    metrics : tuple of str
        Names of its metrics.
    directions : mapping of str to str
        ``min`` or ``max``, where the source says which way a metric is better.
    """

    source: str
    new: int
    known: int
    problems: tuple[str, ...]
    metrics: tuple[str, ...]
    directions: Mapping[str, str]


@dataclass(frozen=True)
class Import:
    """What an import did, or would do.

    Parameters
    ----------
    importer : str
        Who read it; ``bundle`` for podium's own.
    slot : str
        Whose searches the configs count for; empty for bundles, which bring their own.
    groups : tuple of Group
    bundle : TakenIn or None
    """

    importer: str
    slot: str
    groups: tuple[RecordGroup, ...]
    bundle: TakenIn | None = None


def import_(
    project: Project,
    place: str,
    *,
    importer: str | None = None,
    slot: str | None = None,
    dry_run: bool = False,
    **options: Any,
) -> Import:
    """Read a file or URL and write what is new of it; the same again adds nothing.

    Parameters
    ----------
    place : str
    importer : str, optional
        One of ``podium list importers``, or ``bundle``; else the one that recognises it.
    slot : str, optional
        Whose searches the configs count for; the default slot where none is named.
    dry_run : bool
        Say what would be new, and write nothing.
    **options
        Of the importer, such as ``study`` or ``trust_pickle``; None and False are not given.

    Raises
    ------
    NotFoundError
        There is no such file, importer, study or experiment.
    UsageError
        Nobody recognises it, several do, or the importer has no such option.
    RefusedError
        It is a pickle and nobody said that its code may run.
    DataError
        It is damaged; nothing was written.
    """
    given = {name: value for name, value in options.items() if value not in (None, False)}
    name = importer or recognized(place)
    if name == BUNDLE:
        path, trust = as_file(place), bool(given.pop("trust_pickle", False))
        if given or slot or path is None:
            raise UsageError("a bundle is a file that brings its own slots", "no option about them")
        taken = take_in(project, path, dry_run=dry_run, trust_pickle=trust)
        return Import(BUNDLE, "", (), taken)
    module = registry.load("importers", name)
    wrong = [option for option in given if option not in module.OPTIONS]
    if wrong:
        raise UsageError(
            f"importer {name} has no option {_flag(wrong[0])}",
            ", ".join(_flag(o) for o in module.OPTIONS if o != "own") or "none",
        )
    # None where the project declares no slot.
    wanted = project.default_slot(slot) if slot or project.config.slots else ""
    found = _read(project, module, place, given)
    groups = list[RecordGroup]()
    with suppress(Undone), project.ledger.transaction(durable=True) as tx:
        groups += [_write(project, tx, name, each, wanted) for each in found]
        if dry_run:
            raise Undone
    return Import(name, wanted, tuple(groups))


def recognized(place: str) -> str:
    """Name of the importer that recognises a file or URL; nothing of it is run.

    Raises
    ------
    NotFoundError
        There is no such file.
    UsageError
        None does, or several do.
    DataError
        It is a database that cannot be read.
    """
    path = as_file(place)
    shown = without_password(place)
    if path is not None:
        if not path.exists():
            raise NotFoundError(f"{shown} is not there", "a file to import")
        if path.is_file() and is_bundle(path):
            return BUNDLE
    found = [
        name
        for name in registry.names("importers")
        if registry.load("importers", name).recognizes(place)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{shown} could be read by {' or '.join(found)}",
            "one of them",
            f"add --as {found[0]}",
        )
    if path is not None and head(path).startswith(SQLITE):
        _require_readable(path)
    raise UsageError(
        f"{shown} is nothing that podium knows how to import",
        f"what one of {', '.join(registry.names('importers'))} reads, or a bundle (.tar)",
        "see what they read with: podium list importers; if it is that, say which with --as",
    )


def _require_readable(path: Path) -> None:
    with sqlite(path):
        tables = sqlite_tables(path)
    if "schema_version" in tables:
        raise UsageError(
            f"{path} is the record of a podium project",
            "a bundle of it",
            "in that project, run: podium export --bundle moved.tar; then import that file",
        )


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def _read(
    project: Project, module: ModuleType, place: str, options: Mapping[str, Any]
) -> Sequence[Imported]:
    if "own" in module.OPTIONS:
        trials = project.reader.select("trial", "id") if project.reader.exists else []
        options = {**options, "own": {row["id"] for row in trials}}
    found: Sequence[Imported] = module.read(place, **options)
    if not found:
        raise DataError(f"{without_password(place)} holds no records", "at least one")
    return found


def _write(
    project: Project, tx: Transaction, importer: str, imported: Imported, slot: str
) -> RecordGroup:
    records = list(imported.records)
    if importer == "sweep_results":
        records = _unknown_runs(project, records)
    new = 0
    if records:
        written = foreign.put_imported(project.ledger, tx, replace(imported, records=records), slot)
        new = sum(is_new for _, is_new in written)
    metrics = dict.fromkeys(name for record in imported.records for name in record.metrics)
    known = len(imported.records) - new
    directions = {
        name: way[:3]
        for record in imported.records
        for name, way in record.said.get("told", {}).get("directions", {}).items()
    }
    problems = tuple(imported.problems)
    return RecordGroup(imported.source, new, known, problems, tuple(metrics), directions)


def _unknown_runs(project: Project, records: Sequence[Record]) -> list[Record]:
    """Runs the record does not have word for word: it may have written the file itself."""
    known = {run.run_id: _words(run) for run in runs.runs(project.reader)}
    return [record for record in records if known.get(record.run_id) != _words(record)]


def _words(record: Record) -> str:
    return json_text(sweep_results.to_json(record))
