"""Remove kept models by rank, age and size, and what nothing refers to."""

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
from podium.files import flush
from podium.hashing import digest
from podium.ledger import trial_facts, writes
from podium.steps.data.own_code import directions
from podium.steps.workspace.project import Project
from podium.trial import State

# Small files by which users' own programs find a model; what they name stays.
POINTERS = (
    "models/active_model.txt",
    "experiments/best_config.json",
    "hyperparams/best_model_path.txt",
    "slots/**/active_model.txt",
    "slots/**/best_config.json",
)
_FOLDER = re.compile(f"[0-9a-f]{{{artifact.DIGITS}}}")
_NAMED = re.compile(rf"(?<![0-9a-f])[0-9a-f]{{{artifact.DIGITS}}}(?![0-9a-f])")
# How half-made artefacts, and those half removed, are called.
_HALF = re.compile(r"\.(?:[a-z]+-)?[0-9a-f]{16,20}")


@dataclass(frozen=True)
class GcRules:
    """What a kept model must be to be removed: all that is given must hold.

    Parameters
    ----------
    keep_best : int, >= 1, optional
        Not among so many best of its group; a group was judged in the same way.
    older_than : float, optional
        Its trial ended longer ago, in seconds.
    max_bytes : int, optional
        Only while all models together are larger; the worst go first.
    """

    keep_best: int | None = None
    older_than: float | None = None
    max_bytes: int | None = None


@dataclass(frozen=True)
class TrialModel:
    """A trial and the model it left.

    Parameters
    ----------
    group : tuple of str
        Data, task, split, fold and metric; scores of two groups cannot be ranked together.
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
    """One folder that goes, and why.

    Parameters
    ----------
    path : str
        Relative to the project.
    artifact_hash : str
        Of a kept model; empty for what nothing refers to.
    """

    path: str
    what: str
    why: str
    bytes: int
    artifact_hash: str = ""


@dataclass(frozen=True)
class Plan:
    """What goes, and what stays.

    Parameters
    ----------
    bytes : int
        Of all models that stay.
    remarks : tuple of str
        What the rules could not reach.
    """

    removals: tuple[Removal, ...]
    stay: int
    bytes: int
    remarks: tuple[str, ...] = ()


def plan(project: Project, rules: GcRules | None = None) -> Plan:
    """What ``collect`` would remove; nothing is touched.

    Never a model that a candidate (of whatever stage), evidence, or a file of ``POINTERS`` refers
    to, and never the best of its group. Without rules only strays: half-made and half-removed
    artefacts, those nothing refers to, and what stopped steps left in ``.podium/work``.
    """
    rules = rules or GcRules()
    removals = [
        removal_of(project, path, "left-over", "a step that was stopped left it")
        for path in _left_over(project)
    ]
    if not project.store.is_dir() or not project.reader.exists:
        return Plan(tuple(removals), 0, 0)
    if not project.store.resolve().is_relative_to(project.root):
        remark = f"{project.store} is outside the project, others may need it: left alone"
        return Plan(tuple(removals), 0, 0, (remark,))
    present = {
        p.name: p for p in sorted(project.store.iterdir()) if p.is_dir() and not p.is_symlink()
    }
    kept = _kept(project)
    held = _held(project)
    referred = held | {artifact.folder_of(k.artifact_hash) for k in kept}
    models = {name: path for name, path in present.items() if _FOLDER.fullmatch(name)}
    remarks: list[str] = []
    strays = {name: path for name, path in models.items() if name not in referred}
    if strays and len(strays) == len(models):
        # Far likelier than a store full of waste.
        remarks.append(
            f"the record refers to none of the {len(strays)} models in {project.store}: left "
            "alone; is ledger.url right?"
        )
        strays = {}
    removals += [
        removal_of(project, path, "half-made model", "a step that was stopped left it")
        for name, path in present.items()
        if _HALF.fullmatch(name)
    ]
    removals += [
        removal_of(project, path, "stray model", "nothing on record refers to it")
        for path in strays.values()
    ]
    sizes = {name: size_of(path) for name, path in models.items() if name not in strays}
    chosen = choose(kept, held, sizes, rules, dt.datetime.now(dt.UTC).timestamp())
    for artifact_hash, why in chosen.items():
        name = artifact.folder_of(artifact_hash)
        trials = ", ".join(k.trial_id for k in kept if k.artifact_hash == artifact_hash)
        relative = project.shown(models[name])
        removals.append(
            Removal(relative, f"model of {trials}", why, sizes.pop(name), artifact_hash)
        )
    left_bytes = sum(sizes.values())
    if rules.max_bytes is not None and left_bytes > rules.max_bytes:
        remarks.append(
            f"{left_bytes - rules.max_bytes} bytes more than asked for stay: candidates, pointers, "
            "the best of each group, or the other rules need them"
        )
    return Plan(tuple(removals), len(sizes), left_bytes, tuple(remarks))


def choose(
    kept: Sequence[TrialModel],
    held: Iterable[str],
    sizes: dict[str, int],
    rules: GcRules,
    now: float,
) -> dict[str, str]:
    """Models the rules let go, by hash, each with why; worst and oldest first.

    Parameters
    ----------
    kept : sequence of Kept
        Every trial that has a model.
    held : iterable of str
        Folders that must stay whatever the rules say.
    sizes : mapping of folder to bytes
        All models that are there.
    now : float
        Second since 1970.

    Examples
    --------
    >>> group = ("data", "task", "split", 0, "mse")
    >>> kept = [Kept(f"t-{n}", str(n) * 64, group, n / 10, ended=0.0) for n in range(4)]
    >>> sizes = {artifact.folder_of(k.artifact_hash): 10 for k in kept}
    >>> for hash_, why in choose(kept, [], sizes, Rules(keep_best=2), now=0.0).items():
    ...     print(hash_[:4], why)
    3333 rank 4 of 4
    2222 rank 3 of 4
    """
    if rules == GcRules():
        return {}
    held = set(held)
    by_model: dict[str, list[TrialModel]] = defaultdict(list)
    for one in kept:
        by_model[one.artifact_hash].append(one)
    ranks, counts = _ranks(kept)
    free = []
    for artifact_hash, trials in by_model.items():
        folder = artifact.folder_of(artifact_hash)
        # Trials may share a model; each of them must be able to spare it.
        best = min(trials, key=lambda one: ranks[one])
        rank, age = ranks[best], now - max(one.ended for one in trials)
        if folder in held or folder not in sizes or rank <= max(rules.keep_best or 1, 1):
            continue
        if rules.older_than is not None and age <= rules.older_than:
            continue
        why = f"rank {rank} of {counts[best.group]}"
        why += f", {age / 86400:.0f} days old" if rules.older_than is not None else ""
        free.append((-rank, -age, artifact_hash, why))
    total, chosen = sum(sizes.values()), {}
    for _, _, artifact_hash, why in sorted(free):
        if rules.max_bytes is not None and total <= rules.max_bytes:
            break
        chosen[artifact_hash] = why
        total -= sizes[artifact.folder_of(artifact_hash)]
    return chosen


def _ranks(kept: Sequence[TrialModel]) -> tuple[dict[TrialModel, int], dict[tuple[Any, ...], int]]:
    """Rank of each trial among those of its group that have a model, from 1; size of each group."""
    groups: dict[tuple[Any, ...], list[TrialModel]] = defaultdict(list)
    for one in kept:
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
    """Remove what was agreed to, as far as it may still go; returns what was removed.

    Nobody else is at work on any slot meanwhile. The record forgets a model in one transaction
    before its folder goes, so a stop in between leaves a stray, never a record that points at
    nothing.

    Raises
    ------
    ConflictError
        A step is at work on a slot.
    """
    wanted = {removal.path for removal in agreed.removals}
    with every_slot_locked(project, verb):
        now = plan(project, rules)
        going = [removal for removal in now.removals if removal.path in wanted]
        for number, removal in enumerate(going, 1):
            if removal.artifact_hash:
                note = f"model removed by podium {verb} ({removal.why})"
                project.ledger.write_durably(
                    writes.forget_model, removal.artifact_hash, note, project.actor
                )
            _remove(project.root / removal.path)
            project.reporter.progress(verb, number, len(going))
    return Plan(tuple(going), now.stay, now.bytes, now.remarks)


def _left_over(project: Project) -> list[Path]:
    """Work folders of slots, which nobody else can be at work on, and older ones of others."""
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
    ] + _states_of_nobody(project)


def _states_of_nobody(project: Project) -> list[Path]:
    """States of trials that no step will go on with."""
    found = sorted(project.paused.iterdir()) if project.paused.is_dir() else []
    if not project.reader.exists:
        # Nobody can say what they are of.
        return []
    resting = (State.PAUSED, State.RUNNING, State.INTERRUPTED)
    waiting = {row["id"] for row in project.reader.select("trial", "id", state=resting)}
    return [path for path in found if path.is_dir() and path.name not in waiting]


def _remove(folder: Path) -> None:
    """Rename out of the way, then delete: a folder with its proper name is always whole."""
    if _FOLDER.fullmatch(folder.name):
        beside = folder.with_name(f".{folder.name}")
        shutil.rmtree(beside, ignore_errors=True)
        folder.rename(beside)
        flush(beside.parent)
        folder = beside
    shutil.rmtree(folder)


@contextmanager
def every_slot_locked(project: Project, verb: str) -> Iterator[None]:
    """Nobody else is at work on any slot."""
    with ExitStack() as stack:
        for slot in slots_of(project):
            stack.enter_context(project.locked(slot, verb))
        yield


def slots_of(project: Project) -> list[str]:
    """Every slot somebody may be at work on, declared or only on record, in one order."""
    reader = project.reader
    rows = reader.select("study", "slot") if reader.exists else []
    return sorted({*project.config.slots, *(row["slot"] for row in rows)})


def _kept(project: Project) -> list[TrialModel]:
    """Trials of this project that have a model of their own."""
    reader = project.reader
    rows = trial_facts.with_model(reader)
    grounds = ("dataset_fingerprint", "task_hash", "split_hash", "fold", "metric")
    own = directions(reader)
    for row in rows:
        way = own.get((row["task_hash"], row["metric"]), "")
        if way and way != registry.direction(row["metric"]) and row["score"] is not None:
            # The metric of own code is better the other way than its name tells.
            row["score"] = -row["score"]
    return [
        TrialModel(
            row["id"],
            row["artifact_hash"],
            tuple(row[name] for name in grounds),
            row["score"],
            dt.datetime.fromisoformat(row["ended_at"]).timestamp(),
        )
        for row in rows
    ]


def _held(project: Project) -> set[str]:
    """Folders that stay whatever the rules say; other projects of the record are asked, too."""
    reader = project.reader
    hashes, named = trial_facts.artifacts_in_use(reader)
    named |= set(map(artifact.folder_of, hashes))
    # What podium says is active counts even where somebody changed the file.
    marks = reader.select("projection", order="target")
    active = [row["mark"] for row in marks if row["target"].startswith("active_model")]
    texts = [*active, *pointers(project)]
    return named.union(*map(_NAMED.findall, texts))


def pointers(project: Project) -> list[str]:
    """What the small files say by which users' own programs find a model."""
    named = project.config.paths
    paths = [project.root / named.active_model, project.root / named.best_config]
    for pointer in POINTERS:
        paths += project.root.glob(pointer)
    return [p.read_text(encoding="utf-8", errors="replace") for p in paths if p.is_file()]


def removal_of(project: Project, path: Path, what: str, why: str) -> Removal:
    """A folder or file that goes."""
    return Removal(project.shown(path), what, why, size_of(path))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(p.lstat().st_size for p in files if not p.is_dir())
