"""Import records of other tools, and bundles of other projects."""

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
from podium.steps.archive.bundle import ImportedBundle, RollBack, import_bundle, is_bundle
from podium.steps.workspace.project import Project

BUNDLE = "bundle"


@dataclass(frozen=True)
class RecordGroup:
    """Records of one source.

    Parameters
    ----------
    new, known : int
        Number of records written now, and of those on record before.
    problems : tuple of str
        Omitted records, each with the reason.
    metrics : tuple of str
        Names of its metrics.
    directions : mapping of str to str
        ``min`` or ``max`` of a metric, where the source has it.
    """

    source: str
    new: int
    known: int
    problems: tuple[str, ...]
    metrics: tuple[str, ...]
    directions: Mapping[str, str]


@dataclass(frozen=True)
class Import:
    """Result of an import, or of a dry run.

    Parameters
    ----------
    importer : str
        Name of the importer, or ``bundle``.
    slot : str
        Slot that the configs count for; empty for bundles, which have their own slots.
    groups : tuple of RecordGroup
    bundle : ImportedBundle or None
    """

    importer: str
    slot: str
    groups: tuple[RecordGroup, ...]
    bundle: ImportedBundle | None = None


def import_(
    project: Project,
    place: str,
    *,
    importer: str | None = None,
    slot: str | None = None,
    dry_run: bool = False,
    **options: Any,
) -> Import:
    """Import the new records of a file or URL; importing it again adds nothing.

    Parameters
    ----------
    place : str
        Path or URL.
    importer : str, optional
        One of ``podium list importers``, or ``bundle``. Default: detected.
    slot : str, optional
        Slot that the configs count for. Default: the default slot.
    dry_run : bool
        Count the new records and write nothing.
    **options
        Options of the importer, such as ``study`` or ``trust_pickle``; None and False are ignored.

    Returns
    -------
    Import

    Raises
    ------
    NotFoundError
        There is no such file, importer, study or experiment.
    UsageError
        No importer recognizes the file, several do, or the importer has no such option.
    RefusedError
        The file is a pickle, and ``trust_pickle`` is not set.
    DataError
        The file is damaged; nothing was written.
    """
    chosen = {name: value for name, value in options.items() if value not in (None, False)}
    name = importer or recognized(place)
    if name == BUNDLE:
        path, trust = as_file(place), bool(chosen.pop("trust_pickle", False))
        if chosen or slot or path is None:
            raise UsageError(
                "a bundle is a file with its own slots", "no --slot and no option of an importer"
            )
        imported = import_bundle(project, path, dry_run=dry_run, trust_pickle=trust)
        return Import(BUNDLE, "", (), imported)
    module = registry.load("importers", name)
    wrong = [option for option in chosen if option not in module.OPTIONS]
    if wrong:
        raise UsageError(
            f"importer {name} has no option {_flag(wrong[0])}",
            ", ".join(_flag(o) for o in module.OPTIONS if o != "own") or "none",
        )
    # Empty where the project declares no slot.
    target = project.default_slot(slot) if slot or project.config.slots else ""
    imports = _read(project, module, place, chosen)
    groups = list[RecordGroup]()
    with suppress(RollBack), project.ledger.transaction(durable=True) as tx:
        groups += [_write(project, tx, name, each, target) for each in imports]
        if dry_run:
            raise RollBack
    return Import(name, target, tuple(groups))


def recognized(place: str) -> str:
    """Name of the importer that recognizes a file or URL; no code of it is run.

    Raises
    ------
    NotFoundError
        There is no such file.
    UsageError
        No importer recognizes it, or several do.
    DataError
        A database cannot be read.
    """
    path = as_file(place)
    shown = without_password(place)
    if path is not None:
        if not path.exists():
            raise NotFoundError(f"there is no file {shown}", "a file to import")
        if path.is_file() and is_bundle(path):
            return BUNDLE
    names = [
        name
        for name in registry.names("importers")
        if registry.load("importers", name).recognizes(place)
    ]
    if len(names) == 1:
        return names[0]
    if names:
        raise UsageError(
            f"{shown} could be read by {' or '.join(names)}", "one of them", f"add --as {names[0]}"
        )
    if path is not None and head(path).startswith(SQLITE):
        _require_readable(path)
    raise UsageError(
        f"no importer recognizes {shown}",
        f"a file of {', '.join(registry.names('importers'))}, or a bundle (.tar)",
        "podium list importers describes them; --as NAME chooses one",
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
    imports: Sequence[Imported] = module.read(place, **options)
    if not imports:
        raise DataError(f"{without_password(place)} holds no records", "at least one")
    return imports


def _write(
    project: Project, tx: Transaction, importer: str, imported: Imported, slot: str
) -> RecordGroup:
    records = list(imported.records)
    if importer == "sweep_results":
        records = _unknown_runs(project, records)
    new = 0
    if records:
        written = foreign.put_imported(tx, replace(imported, records=records), slot)
        new = sum(is_new for _, is_new in written)
    metrics = dict.fromkeys(name for record in imported.records for name in record.metrics)
    known = len(imported.records) - new
    directions = {
        name: way[:3]
        for record in imported.records
        for name, way in record.extras.get("other", {}).get("directions", {}).items()
    }
    problems = tuple(imported.problems)
    return RecordGroup(imported.source, new, known, problems, tuple(metrics), directions)


def _unknown_runs(project: Project, records: Sequence[Record]) -> list[Record]:
    """Runs that differ from the record, which may have written the file."""
    known = {run.run_id: _words(run) for run in runs.runs(project.reader)}
    return [record for record in records if known.get(record.run_id) != _words(record)]


def _words(record: Record) -> str:
    return json_text(sweep_results.to_json(record))
