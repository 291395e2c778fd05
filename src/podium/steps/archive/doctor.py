"""Check a project: plugins, settings, record, chain of decisions, artefacts, disk."""

from __future__ import annotations

import json
import platform
import shutil
import sqlite3
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from podium import artifact, plugin, registry
from podium import config as configuration
from podium.config import Config
from podium.decision import Decision, Kind, Stage, Verdict
from podium.errors import NotFoundError, PodiumError, Problem, UsageError
from podium.ledger import trial_facts
from podium.ledger.projections import _mlflow_target
from podium.ledger.record_reader import RecordReader
from podium.steps.workspace import projections
from podium.steps.workspace.environment import PACKAGES, version

LEAST_FREE_BYTES = 200 * 1024**2


@dataclass(frozen=True)
class Check:
    """Result of one check."""

    check: str
    ok: bool
    finding: str


def doctor(folder: Path) -> list[Check]:
    """Check the installation and, inside a project, its files and record.

    Parameters
    ----------
    folder : Path
        In or below the project.

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
        if not reader.exists:
            return [*checks, Check(name, True, "no record yet")]
    except PodiumError as error:
        return [*checks, Check(name, False, str(error))]
    for name, function in (
        ("record", _record),
        ("decisions", _chain),
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
    except (PodiumError, ValueError) as error:
        return Check(name, False, str(error))


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
        raise ValueError(f"{reader.path} is damaged: {damage}; restore it from a backup")
    size = reader.path.stat().st_size / 1024**2
    return f"{reader.path} is whole, schema {version}, {size:.1f} MiB"


def _chain(config: Config, reader: RecordReader) -> str:
    """Recompute every link; an altered, lost or added decision breaks the next one."""
    from podium.ledger.ledger import first_link

    link = first_link(config.project.id)
    rows = list(reversed(reader.rows("decisions")))
    for row in rows:
        decision = _decision(row)
        if decision.previous_hash != link or decision.hash != row["hash"]:
            raise ValueError(f"the chain of decisions breaks at {row['id']}: it was altered")
        link = row["hash"]
    return f"{len(rows)} decisions, every link holds"


def _decision(row: dict[str, Any]) -> Decision:
    names = set(Decision.__dataclass_fields__)
    fields = {name: value for name, value in row.items() if name in names}
    fields |= {
        "kind": Kind(row["kind"]),
        "from_stage": Stage(row["from_stage"]) if row["from_stage"] else None,
        "to_stage": Stage(row["to_stage"]),
        "accepted": bool(row["accepted"]),
        "verdicts": tuple(Verdict.read(verdict) for verdict in row["verdicts"]),
        "evidence": tuple(row["evidence"]),
    }
    return Decision(**fields)


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
    from podium.resolve import CACHE, champions_in

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
