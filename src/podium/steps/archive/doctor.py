"""Check a project: plugins, settings, record, decisions and evidence, artefacts, disk."""

from __future__ import annotations

import json
import platform
import shutil
import sqlite3
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from podium import artifact, plugin, registry
from podium import config as configuration
from podium.config import Config, without_password
from podium.errors import DataError, NotFoundError, PodiumError, Problem, UsageError
from podium.files import write_atomic
from podium.hashing import json_file, read_json
from podium.ledger import audit, trial_facts
from podium.ledger.champions import RESTORE, lost, remains
from podium.ledger.projections import _mlflow_target
from podium.ledger.record_reader import RecordReader
from podium.project_file import CACHE
from podium.render.table import counted
from podium.steps.workspace import projections
from podium.steps.workspace.environment import PACKAGES, version

LEAST_FREE_BYTES = 200 * 1024**2
# Faults that a check names.
MOST_SHOWN = 5
_DOCTOR = "run: podium doctor"


@dataclass(frozen=True)
class Check:
    """Result of one check."""

    check: str
    ok: bool
    finding: str


def doctor(folder: Path, anchor: Path | None = None) -> list[Check]:
    """Check the installation and, inside a project, its files and record.

    Parameters
    ----------
    folder : Path
        In or below the project.
    anchor : Path, optional
        File with the numbers of decisions, evidence and looks and their last hashes. The record is
        compared with it; without a fault, the file is written anew.

    Returns
    -------
    list of Check
    """
    checks = [
        Check("python", True, platform.python_version()),
        Check("packages", True, ", ".join(f"{n} {version(n) or 'absent'}" for n in PACKAGES)),
        Check("sqlite", True, sqlite3.sqlite_version),
    ]
    try:
        root = configuration.find_root(folder)
    except NotFoundError as error:
        return [*checks, Check("project", True, str(error))]
    free = shutil.disk_usage(root).free
    checks.append(
        Check("disk", free > LEAST_FREE_BYTES, f"{free / 1024**3:.1f} GiB free under {root}")
    )
    checks.append(_checked("plugins", partial(_plugins, root)))
    name = "podium.toml"
    try:
        config = configuration.load(root)
        checks.append(Check(name, True, f"{len(config.slots)} slots"))
        reader = RecordReader(config.ledger.url, root, config.project.id)
        name = "record"
        left = remains(root, config.paths.registry)
        if not reader.exists and not left:
            return [*checks, Check(name, True, "no record yet")]
        if left and not reader.begun:
            raise lost(without_password(config.ledger.url), left)
    except PodiumError as error:
        return [*checks, Check(name, False, _advice(error))]
    record = _checked(name, partial(_record, config, reader))
    checks += [record, *(_audit(reader, anchor) if record.ok else ())]
    for name, function in (
        ("artefacts", _artifacts),
        ("champions", _champions),
        ("trials", _trials),
        ("mlflow", _mlflow),
    ):
        checks.append(_checked(name, partial(function, config, reader)))
    return checks


def _checked(name: str, function: Callable[[], str]) -> Check:
    try:
        return Check(name, True, function())
    except PodiumError as error:
        return Check(name, False, _advice(error))
    except ValueError as error:
        return Check(name, False, str(error))


def _advice(error: PodiumError) -> str:
    """Text of an error whose remedy would be this verb: restoring the record replaces it."""
    fixes = [problem.fix.removeprefix(_DOCTOR).removeprefix("; ") for problem in error.problems]
    problems = zip(error.problems, fixes, strict=True)
    return "\n".join(
        str(problem._replace(fix=fix or RESTORE) if problem.fix.startswith(_DOCTOR) else problem)
        for problem, fix in problems
    )


def _plugins(root: Path) -> str:
    """Members of the project's plugins; their code is compiled and never run."""
    plugin.use(root)
    members = [f"{kind}/{name}" for kind in registry.KINDS for name in plugin.names(kind)]
    problems = dict.fromkeys(p for kind in registry.KINDS for p in registry.misplaced(kind))
    for path in sorted((root / plugin.FOLDER).glob("*/*.py")):
        shown = path.relative_to(root).as_posix()
        try:
            with warnings.catch_warnings(action="ignore"):
                compile(path.read_bytes(), shown, "exec", dont_inherit=True)
        except SyntaxError as error:
            line = f", line {error.lineno}" if error.lineno else ""
            problems[Problem(f"{shown}{line}: {error.msg}")] = None
        except (ValueError, OSError) as error:
            problems[Problem(f"{shown}: {error}")] = None
    UsageError.raise_for(problems)
    return f"{', '.join(members)}: compiled, not run" if members else "none"


def _record(config: Config, reader: RecordReader) -> str:
    if reader.path is None:
        return f"the server answers, schema {reader.version()}"
    version, damage = reader.version(), reader.damage()
    if damage:
        raise ValueError(f"{reader.path} is damaged: {damage}; {RESTORE}")
    size = reader.path.stat().st_size / 1024**2
    return f"{reader.path} is whole, schema {version}, {size:.1f} MiB"


def _audit(reader: RecordReader, file: Path | None) -> list[Check]:
    """Checks of decisions, evidence, heads and triggers, and the comparison with an anchor."""
    try:
        record = audit.Record.of(reader)
    except PodiumError as error:
        return [Check("decisions", False, _advice(error))]
    tables = record.tables
    evidence, looks = len(tables["evidence"]), len(tables["test_look"])
    checks = [
        _checked(name, partial(_without_faults, faults, good))
        for name, faults, good in (
            ("triggers", audit.trigger_faults(reader), "every trigger against changes exists"),
            (
                "decisions",
                audit.decision_faults(record),
                f"{len(tables['decision'])} decisions, every link holds",
            ),
            ("heads", audit.head_faults(record), "stages and champions follow from the decisions"),
            (
                "evidence",
                chain(
                    audit.chain_faults(record, "evidence"),
                    audit.chain_faults(record, "test_look"),
                    audit.reference_faults(record),
                    audit.series_faults(record, reader),
                ),
                f"{counted(evidence, 'finding')} and {counted(looks, 'look')} at tests are intact",
            ),
        )
    ]
    if file is not None:
        whole = all(check.ok for check in checks)
        checks.append(_checked("anchor", partial(_anchor, file, record, whole)))
    return checks


def _without_faults(faults: Iterator[str], good: str) -> str:
    """The good message, or an error with the first faults."""
    some = list(dict.fromkeys(faults))
    if not some:
        return good
    more = f"; and {len(some) - MOST_SHOWN} more" if len(some) > MOST_SHOWN else ""
    raise DataError("; ".join(some[:MOST_SHOWN]) + more, fix=RESTORE)


def _anchor(file: Path, record: audit.Record, whole: bool) -> str:
    """Compare the record with an anchor, and move the anchor to its end."""
    hashes = {table: record.hashes(table) for table in audit.CHAINS}
    ends = {table: {"rows": len(all_) - 1, "hash": all_[-1]} for table, all_ in hashes.items()}
    now = {"podium": 1, "kind": "anchor", "project": record.project_id, "chains": ends}
    known = file.exists()
    for table, (rows, last) in (_ends_in(file, record.project_id) if known else {}).items():
        if hashes[table][rows : rows + 1] != [last]:
            raise DataError(
                f"{file} names {rows} rows of {table} that end in {last[:12]}, and the record has "
                f"{ends[table]['rows']} and another history",
                "every row of that moment, unchanged",
                RESTORE,
            )
    shown = ", ".join(f"{table} {end['rows']}" for table, end in ends.items())
    if not whole:
        return f"{file} {'agrees' if known else 'does not exist'}; faults are repaired first"
    try:
        write_atomic(file, json_file(now))
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}"
        raise DataError(message, "a file in an existing folder that may be written") from None
    return f"{file} {'agreed and ' if known else ''}ends now at {shown}"


def _ends_in(file: Path, project_id: str) -> dict[str, tuple[int, str]]:
    """Number of rows and last hash of each chain in an anchor."""
    anchor = read_json(file) if file.is_file() else {}
    try:
        if (anchor["kind"], anchor["project"]) != ("anchor", project_id):
            raise ValueError
        ends = {table: anchor["chains"][table] for table in audit.CHAINS}
        return {table: (int(end["rows"]), str(end["hash"])) for table, end in ends.items()}
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{file} is not an anchor of this project", "a file of --anchor") from None


def _artifacts(config: Config, reader: RecordReader) -> str:
    store = config.root / config.paths.registry
    candidates = {row["artifact_path"]: row["artifact_hash"] for row in reader.rows("candidates")}
    trials = trial_facts.with_model(reader)
    models = {artifact.folder_of(row["artifact_hash"]): row["artifact_hash"] for row in trials}
    both = {**models, **candidates}
    for folder, artifact_hash in both.items():
        artifact.verify(store / folder, artifact_hash)
    folders = [p.name for p in store.iterdir()] if store.is_dir() else []
    stray = [name for name in folders if name not in both]
    extra = f"; {len(stray)} folders belong to no candidate or trial: podium gc" if stray else ""
    return f"{len(both)} artefacts match their hashes, file by file{extra}"


def _champions(config: Config, reader: RecordReader) -> str:
    from podium.resolve import champions_in

    champions = reader.champions()
    path = config.root / CACHE
    cached = champions_in(json.loads(path.read_bytes())) if path.is_file() else {}
    in_file = {slot: holder["candidate_id"] for slot, holder in cached.items()}
    on_record = {slot: holder.candidate_id for slot, holder in champions.items()}
    if in_file != on_record:
        raise ValueError(f"{path} differs from the record; run: podium run")
    return f"{len(on_record)} of {len(config.slots)} slots have one"


def _trials(config: Config, reader: RecordReader) -> str:
    counted = Counter(row["state"] for row in reader.select("trial", "state", order="state"))
    states = ", ".join(f"{count} {state}" for state, count in counted.items()) or "none"
    return f"{states} (podium run restarts running ones whose process has ended)"


def _mlflow(config: Config, reader: RecordReader) -> str:
    """Items that MLflow lacks, from the record alone: a server that is down causes no delay."""
    known, parts = projections.standings(reader), list[str]()
    config = projections.with_remembered(config, reader)
    if config.mlflow.enabled:
        target = _mlflow_target.resolve(config)
        if target.key not in known:
            parts.append(f"on ({target.shown}, experiment {target.experiment}): nothing sent yet")
    for name, one in known.items():
        place = name.removeprefix(_mlflow_target.PREFIX)
        left = f"{one.waiting} waiting, {one.refused} refused" if one.waiting + one.refused else ""
        parts.append(f"{place}: {left or 'all sent'}")
    if any(one.waiting + one.refused for one in known.values()):
        log = config.root / _mlflow_target.LOG
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1:] if log.is_file() else []
        fix = "run: podium sync" + ("" if config.mlflow.enabled else " --mlflow")
        parts += [*(f"last error: {line}" for line in last), fix]
    return "; ".join(parts) or "off"
