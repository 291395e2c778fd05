"""Remove models of trials by rank, age and size, and files that nothing refers to."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import artifact, registry
from podium.files import UNFINISHED, flush
from podium.hashing import digest
from podium.ledger import trial_facts, writes
from podium.manifest import DIGITS
from podium.steps.data.own_code import directions
from podium.steps.workspace.project import Project
from podium.trial import State

# Files by which other programs find a model; the models that they name stay.
POINTERS = (
    "models/active_model.txt",
    "experiments/best_config.json",
    "hyperparams/best_model_path.txt",
    "slots/**/active_model.txt",
    "slots/**/best_config.json",
    "slots/**/best_model_path.txt",
)
_FOLDER = re.compile(f"[0-9a-f]{{{DIGITS}}}")
_NAMED = re.compile(rf"(?<![0-9a-f])[0-9a-f]{{{DIGITS}}}(?![0-9a-f])")
# Names of unfinished and of partly removed artefacts.
_HALF = re.compile(rf"\..+{re.escape(UNFINISHED)}|\.[0-9a-f]{{{DIGITS}}}")


@dataclass(frozen=True)
class GcRules:
    """Conditions for the removal of a model; all given ones must hold.

    Parameters
    ----------
    keep_best : int, >= 1, optional
        The model is not among this number of best ones of its group.
    older_than : float, optional
        Its trial ended before this number of seconds.
    max_bytes : int, optional
        All models together are larger; the worst are removed first.
    """

    keep_best: int | None = None
    older_than: float | None = None
    max_bytes: int | None = None


@dataclass(frozen=True)
class TrialModel:
    """A trial and its model.

    Parameters
    ----------
    group : tuple of str
        Data, task, split, fold and metric; scores of two groups are not comparable.
    score : float or None
        Lower is better; None comes last.
    ended : float
        Second since 1970.
    """

    trial_id: str
    artifact_hash: str
    group: tuple[Any, ...]
    score: float | None
    ended: float


@dataclass(frozen=True)
class Removal:
    """One folder to remove, and the reason.

    Parameters
    ----------
    path : str
        Relative to the project.
    artifact_hash : str
        Of a model on record; else empty.
    """

    path: str
    what: str
    why: str
    bytes: int
    artifact_hash: str = ""


@dataclass(frozen=True)
class Plan:
    """Folders to remove, and models that stay.

    Parameters
    ----------
    bytes : int
        Size of all models that stay.
    remarks : tuple of str
        Messages about models outside the rules.
    """

    removals: tuple[Removal, ...]
    stay: int
    bytes: int
    remarks: tuple[str, ...] = ()

    @property
    def freed(self) -> int:
        """Bytes of the removals."""
        return sum(removal.bytes for removal in self.removals)


def plan(project: Project, rules: GcRules | None = None) -> Plan:
    """Plan what ``collect`` removes; nothing is changed.

    Models that a candidate, evidence, or a file of ``POINTERS`` refers to stay, and so does the
    best of each group. Without rules only unused files are removed: unfinished and partly removed
    artefacts, models that nothing refers to, and leftovers of stopped steps in ``.podium/work``.
    """
    rules = rules or GcRules()
    stopped, unused = "left by a stopped step", "nothing on record refers to it"
    removals = [removal_of(project, p, "left-over", stopped) for p in _left_over(project)]
    if not project.store.is_dir() or not project.reader.exists:
        return Plan(tuple(removals), 0, 0)
    if not project.store.resolve().is_relative_to(project.root):
        remark = f"{project.store} is outside the project, where others may need it; not changed"
        return Plan(tuple(removals), 0, 0, (remark,))
    present = {
        p.name: p for p in sorted(project.store.iterdir()) if p.is_dir() and not p.is_symlink()
    }
    recorded = _models(project)
    in_use = _in_use(project)
    referred = in_use | {artifact.folder_of(one.artifact_hash) for one in recorded}
    models = {name: path for name, path in present.items() if _FOLDER.fullmatch(name)}
    remarks: list[str] = []
    strays = {name: path for name, path in models.items() if name not in referred}
    if strays and len(strays) == len(models):
        # A wrong ledger.url is more likely than a store of unused models.
        remarks.append(
            f"the record refers to none of the {len(strays)} models in {project.store}, so none is "
            "removed; check ledger.url"
        )
        strays = {}
    halves = [path for name, path in present.items() if _HALF.fullmatch(name)]
    removals += [removal_of(project, path, "half-made model", stopped) for path in halves]
    removals += [removal_of(project, path, "stray model", unused) for path in strays.values()]
    sizes = {name: size_of(path) for name, path in models.items() if name not in strays}
    chosen = choose(recorded, in_use, sizes, rules, dt.datetime.now(dt.UTC).timestamp())
    for artifact_hash, why in chosen.items():
        name = artifact.folder_of(artifact_hash)
        trials = ", ".join(one.trial_id for one in recorded if one.artifact_hash == artifact_hash)
        path, what = project.shown(models[name]), f"model of {trials}"
        removals.append(Removal(path, what, why, sizes.pop(name), artifact_hash))
    left_bytes = sum(sizes.values())
    if rules.max_bytes is not None and left_bytes > rules.max_bytes:
        remarks.append(
            f"{left_bytes - rules.max_bytes} bytes above the limit stay: models of candidates and "
            "pointers, the best of each group, or models that other rules keep"
        )
    return Plan(tuple(removals), len(sizes), left_bytes, tuple(remarks))


def choose(
    recorded: Sequence[TrialModel],
    in_use: Iterable[str],
    sizes: dict[str, int],
    rules: GcRules,
    now: float,
) -> dict[str, str]:
    """Models to remove, by hash, each with the reason; worst and oldest first.

    Parameters
    ----------
    recorded : sequence of TrialModel
        Every trial with a model.
    in_use : iterable of str
        Folders that stay in any case.
    sizes : mapping of folder to bytes
        All models in the store.
    now : float
        Second since 1970.

    Examples
    --------
    >>> group = ("data", "task", "split", 0, "mse")
    >>> models = [TrialModel(f"t-{n}", str(n) * 64, group, n / 10, ended=0.0) for n in range(4)]
    >>> sizes = {artifact.folder_of(one.artifact_hash): 10 for one in models}
    >>> for hash_, why in choose(models, [], sizes, GcRules(keep_best=2), now=0.0).items():
    ...     print(hash_[:4], why)
    3333 rank 4 of 4
    2222 rank 3 of 4
    """
    if rules == GcRules():
        return {}
    in_use = set(in_use)
    by_model: dict[str, list[TrialModel]] = defaultdict(list)
    for one in recorded:
        by_model[one.artifact_hash].append(one)
    ranks, counts = _ranks(recorded)
    removable = []
    for artifact_hash, trials in by_model.items():
        folder = artifact.folder_of(artifact_hash)
        # Trials may share a model, which all of them must release.
        best = min(trials, key=lambda one: ranks[one])
        rank, age = ranks[best], now - max(one.ended for one in trials)
        if folder in in_use or folder not in sizes or rank <= max(rules.keep_best or 1, 1):
            continue
        if rules.older_than is not None and age <= rules.older_than:
            continue
        why = f"rank {rank} of {counts[best.group]}"
        why += f", {age / 86400:.0f} days old" if rules.older_than is not None else ""
        removable.append((-rank, -age, artifact_hash, why))
    total, chosen = sum(sizes.values()), {}
    for _, _, artifact_hash, why in sorted(removable):
        if rules.max_bytes is not None and total <= rules.max_bytes:
            break
        chosen[artifact_hash] = why
        total -= sizes[artifact.folder_of(artifact_hash)]
    return chosen


def _ranks(
    models: Sequence[TrialModel],
) -> tuple[dict[TrialModel, int], dict[tuple[Any, ...], int]]:
    """Rank of each trial in its group, from 1, and the size of each group."""
    groups: dict[tuple[Any, ...], list[TrialModel]] = defaultdict(list)
    for one in models:
        groups[one.group].append(one)
    ranks = {}
    for group, members in groups.items():
        sign = registry.direction(str(group[-1])).sign
        members.sort(key=lambda one: (one.score is None, sign * (one.score or 0.0), one.ended))
        ranks.update({one: rank for rank, one in enumerate(members, 1)})
    return ranks, {group: len(members) for group, members in groups.items()}


def collect(
    project: Project, agreed: Plan, rules: GcRules | None = None, *, verb: str = "gc"
) -> Plan:
    """Remove the folders of a plan that still meet its rules, under the locks of all slots.

    The record drops a model in one transaction before its folder is removed, so that an
    interruption leaves an unused folder and no reference to a missing one.

    Returns
    -------
    Plan
        The removed folders.

    Raises
    ------
    ConflictError
        A step runs on a slot.
    """
    planned = {removal.path for removal in agreed.removals}
    with every_slot_locked(project, verb):
        now = plan(project, rules)
        due = [removal for removal in now.removals if removal.path in planned]
        for number, removal in enumerate(due, 1):
            if removal.artifact_hash:
                note = f"model removed by podium {verb} ({removal.why})"
                project.ledger.write_durably(
                    writes.forget_model, removal.artifact_hash, note, project.actor
                )
            _remove(project.root / removal.path)
            project.reporter.progress(verb, number, len(due))
    return Plan(tuple(due), now.stay, now.bytes, now.remarks)


def _left_over(project: Project) -> list[Path]:
    """Work folders of slots, whose locks are held, and old ones of other steps."""
    work = project.state / "work"
    slots = {digest(slot)[:16] for slot in slots_of(project)}
    yesterday = dt.datetime.now(dt.UTC).timestamp() - 86400
    return [
        path
        for path in (sorted(work.iterdir()) if work.is_dir() else [])
        if path.is_dir()
        and not path.is_symlink()
        and path != project.paused
        and (path.name.rpartition("-")[2] in slots or path.lstat().st_mtime < yesterday)
    ] + _unused_states(project)


def _unused_states(project: Project) -> list[Path]:
    """States of trials that no step continues."""
    states = sorted(project.paused.iterdir()) if project.paused.is_dir() else []
    if not project.reader.exists:
        # Without a record their trials are unknown.
        return []
    resting = (State.PAUSED, State.RUNNING, State.INTERRUPTED)
    waiting = {row["id"] for row in project.reader.select("trial", "id", state=resting)}
    return [path for path in states if path.is_dir() and path.name not in waiting]


def _remove(folder: Path) -> None:
    """Rename, then delete: a folder with its proper name is always complete."""
    if _FOLDER.fullmatch(folder.name):
        renamed = folder.with_name(f".{folder.name}")
        shutil.rmtree(renamed, ignore_errors=True)
        folder.rename(renamed)
        flush(renamed.parent)
        folder = renamed
    shutil.rmtree(folder)


@contextmanager
def every_slot_locked(project: Project, verb: str) -> Iterator[None]:
    """Hold the locks of all slots."""
    with ExitStack() as stack:
        for slot in slots_of(project):
            stack.enter_context(project.locked(slot, verb))
        yield


def slots_of(project: Project) -> list[str]:
    """Slots of podium.toml and of the record, sorted."""
    reader = project.reader
    rows = reader.select("study", "slot") if reader.exists else []
    return sorted({*project.config.slots, *(row["slot"] for row in rows)})


def _models(project: Project) -> list[TrialModel]:
    """Trials of this project with a model."""
    reader = project.reader
    rows = trial_facts.with_model(reader)
    judged_on = ("dataset_fingerprint", "task_hash", "split_hash", "fold", "metric")
    own = directions(reader)
    for row in rows:
        way = own.get((row["task_hash"], row["metric"]), "")
        if way and way != registry.direction(row["metric"]) and row["score"] is not None:
            # The direction of own code's metric differs from that of its name.
            row["score"] = -row["score"]
    return [
        TrialModel(
            row["id"],
            row["artifact_hash"],
            tuple(row[name] for name in judged_on),
            row["score"],
            dt.datetime.fromisoformat(row["ended_at"]).timestamp(),
        )
        for row in rows
    ]


def _in_use(project: Project) -> set[str]:
    """Folders that stay in any case, also for other projects of the record."""
    reader = project.reader
    hashes, named = trial_facts.artifacts_in_use(reader)
    named |= set(map(artifact.folder_of, hashes))
    # The active model of the record counts too, as its file may have been changed.
    marks = reader.select("projection", order="target")
    active = [row["mark"] for row in marks if row["target"].startswith("active_model")]
    texts = [*active, *pointers(project)]
    return named.union(*map(_NAMED.findall, texts))


def pointers(project: Project) -> list[str]:
    """Contents of the files by which other programs find a model."""
    named = project.config.paths
    paths = [project.root / named.active_model, project.root / named.best_config]
    for pointer in POINTERS:
        paths += project.root.glob(pointer)
    return [p.read_text(encoding="utf-8", errors="replace") for p in paths if p.is_file()]


def removal_of(project: Project, path: Path, what: str, why: str) -> Removal:
    """Removal of a folder or file."""
    return Removal(project.shown(path), what, why, size_of(path))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(p.lstat().st_size for p in files if not p.is_dir())
