"""Remove intermediate results by rule: output folders of steps, leftovers and logs.

Models of the store are removed by the code of ``podium gc``, which knows the models in use.
"""

from __future__ import annotations

import math
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from podium.decision import Stage
from podium.files import is_locked, write_atomic
from podium.hashing import digest, json_file, read_json
from podium.steps.archive import gc
from podium.steps.archive.gc import Plan, Removal, removal_of
from podium.steps.search.tuning_files import RESULTS
from podium.steps.workspace import log
from podium.steps.workspace.project import Project

# Keys in [paths] of the output folders of steps.
FOLDERS = ("tuning", "extended", "plots", "final", "backtesting")
EXTENDED, CONFIG = "extended_model_", "config.json"
MAXIMIZE = "maximize"
LEFT_OVER, LOG = "left-over", "log"
_ID = re.compile(r"[a-z]+-[0-9a-z]{13}")


@dataclass(frozen=True)
class CleanRules:
    """Rules for removals beyond leftovers; each given rule adds to them.

    Parameters
    ----------
    keep_best : int, >= 1, optional
        Number of best checkpoints of each family of a search, and of extended models, that stay.
    older_than : float, optional
        Age in seconds above which results of earlier searches and models, under their ids, are
        removed.
    """

    keep_best: int | None = None
    older_than: float | None = None


def plan(project: Project, rules: CleanRules | None = None) -> Plan:
    """Plan what ``clean`` removes; nothing is changed.

    Without a rule: states of trials that no step continues, other leftovers of stopped steps, and
    logs beyond ``[logs]``. The best checkpoint or model stays, and so do models that a pointer
    names, and results of past and present champions and betas and of their searches.
    """
    rules = rules or CleanRules()
    removals = [one for one in gc.plan(project).removals if one.what == LEFT_OVER]
    # Without a record nothing is known to be in use.
    in_use = _InUse.of(project) if project.reader.exists else _InUse(frozenset(), "")
    for folder in _folders(project) if project.reader.exists else ():
        if rules.keep_best is not None:
            removals += _checkpoints(project, folder, rules.keep_best, in_use)
            removals += _extended(project, folder, rules.keep_best, in_use)
        if rules.older_than is not None:
            removals += _older(project, folder, rules.older_than, in_use)
    if rules.keep_best is not None and project.reader.exists:
        removals += _models(project, rules.keep_best)
    logs = project.config.logs
    for path in log.beyond(project.state / log.FOLDER, logs.keep, logs.days):
        why = f"not among the newest {logs.keep}, or older than {logs.days:g} days"
        removals.append(removal_of(project, path, LOG, why))
    return Plan(tuple(removals), 0, 0)


def clean(project: Project, agreed: Plan, rules: CleanRules | None = None) -> Plan:
    """Remove the results of a plan that still meet its rules, under the locks of all slots.

    Returns
    -------
    Plan
        The removed results.

    Raises
    ------
    ConflictError
        A step runs on a slot.
    """
    mine, removed = [], []
    for removal in agreed.removals:
        if removal.what == LOG:
            # The log may be in use by now.
            path = project.root / removal.path
            if not is_locked(path):
                path.unlink(missing_ok=True)
                removed.append(removal)
        elif not removal.artifact_hash and removal.what != LEFT_OVER:
            mine.append(removal.path)
    of_gc = tuple(one for one in agreed.removals if one.artifact_hash or one.what == LEFT_OVER)
    if of_gc:
        planned = replace(agreed, removals=of_gc)
        removed += gc.collect(project, planned, gc.GcRules(keep_best=1), verb="clean").removals
    if not mine:
        return Plan(tuple(removed), 0, 0)
    with gc.every_slot_locked(project, "clean"):
        due = [one for one in plan(project, rules).removals if one.path in mine]
        for number, removal in enumerate(due, 1):
            _remove(project, project.root / removal.path)
            project.log.line(f"removed {removal.path}: {removal.what}, {removal.why}")
            project.reporter.progress("clean", number, len(due))
        for folder in _folders(project):
            _drop_checkpoints(folder)
    return Plan((*removed, *due), 0, 0)


@dataclass(frozen=True)
class _InUse:
    """Results that stay in any case.

    Parameters
    ----------
    ids : frozenset of str
        Past and present champions and betas, and their searches.
    pointers : str
        Contents of the files by which other programs find a model.
    """

    ids: frozenset[str]
    pointers: str

    @classmethod
    def of(cls, project: Project) -> _InUse:
        reader = project.reader
        stages = (Stage.CHAMPION, Stage.BETA)
        moves = reader.select("decision", "candidate_id", accepted=1, to_stage=stages)
        moved = {row["candidate_id"] for row in moves}
        rows = reader.select("candidate", "id, study_id", id=moved)
        ids = {name for row in rows for name in row.values()}
        return cls(frozenset(ids), "\n".join(gc.pointers(project)))

    def names(self, path: Path, root: Path) -> bool:
        """Whether a pointer names a folder."""
        return path.relative_to(root).as_posix() in self.pointers


def _folders(project: Project) -> Iterator[Path]:
    """Existing output folders of all slots."""
    places = [project.root, *(project.root / "slots" / slot for slot in gc.slots_of(project))]
    for place in places:
        for key in FOLDERS:
            name = getattr(project.config.paths, key)
            folder = place / name
            if name and folder.is_dir() and folder.resolve().is_relative_to(project.root):
                yield folder


def _owner(folder: Path) -> str:
    """Id of the owner of a folder; empty where podium did not write its files."""
    for path in sorted(folder.glob("*.json")):
        facts = read_json(path)
        # Files of a model name its search too.
        if facts.get("podium") and (owner := facts.get("candidate") or facts.get("study")):
            return str(owner)
    return ""


def _checkpoints(project: Project, folder: Path, best: int, in_use: _InUse) -> list[Removal]:
    """Checkpoints of a search beyond the best of each family."""
    results = _results_of(folder)
    sign = -1.0 if results.get("direction") == MAXIMIZE else 1.0
    by_family: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for trial in results.get("trials", ()):
        if trial["checkpoint"] and (folder / trial["checkpoint"]).is_dir():
            by_family[trial["family"]].append(trial)
    removals = []
    for family, trials in by_family.items():
        trials.sort(key=lambda t: math.inf if t["value"] is None else sign * t["value"])
        for rank, trial in enumerate(trials[best:], best + 1):
            path = folder / trial["checkpoint"]
            if trial["id"] in (results.get("best"), results.get("chosen")):
                continue
            if not in_use.names(path, project.root):
                why = f"rank {rank} of {len(trials)} of {family}"
                removals.append(removal_of(project, path, f"checkpoint of {trial['id']}", why))
    return removals


def _extended(project: Project, folder: Path, best: int, in_use: _InUse) -> list[Removal]:
    """Folders of extended models beyond the best."""
    ranks = _ranks(folder)
    return [
        removal_of(project, path, "extended model", f"rank {rank} of {len(ranks)}")
        for rank, path in ranks.items()
        if rank > best and not in_use.names(path, project.root)
    ]


def _models(project: Project, best: int) -> list[Removal]:
    """Extended models in the store beyond the best, as far as gc may remove them."""
    beyond: set[str] = set()
    best_ones: set[str] = set()
    for folder in _folders(project):
        for rank, path in _ranks(folder).items():
            if name := read_json(path / CONFIG).get("artifact_hash"):
                (beyond if rank > best else best_ones).add(name)
    models = gc.plan(project, gc.GcRules(keep_best=1)).removals if beyond - best_ones else ()
    return [one for one in models if one.artifact_hash in beyond - best_ones]


def _ranks(folder: Path) -> dict[int, Path]:
    """Extended models of a folder by rank, without those of others."""
    ranks = {}
    for path in folder.glob(f"{EXTENDED}*"):
        rank = path.name.removeprefix(EXTENDED)
        if rank.isdigit() and (path / CONFIG).is_file():
            ranks[int(rank)] = path
    return dict(sorted(ranks.items()))


def _older(project: Project, folder: Path, age: float, in_use: _InUse) -> list[Removal]:
    """Results of earlier owners, under their ids."""
    earlier = [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and _ID.fullmatch(path.name) and _owner(path) == path.name
    ]
    earlier.sort(key=_written, reverse=True)
    if not _owner(folder):
        # The folder has files of others, so that the newest of these is the present one.
        earlier = earlier[1:]
    now = time.time()
    ages = {path: now - _written(path) for path in earlier}
    return [
        removal_of(project, path, "earlier results", f"{seconds / 86400:.0f} days old")
        for path, seconds in ages.items()
        if seconds > age and path.name not in in_use.ids and not in_use.names(path, project.root)
    ]


def _results_of(folder: Path) -> Mapping[str, Any]:
    """Results file of a search; empty where the folder is not a search's."""
    results = read_json(folder / RESULTS)
    return results if results.get("podium") == 1 else {}


def _drop_checkpoints(folder: Path) -> None:
    """Remove missing checkpoints from the results file of a search."""
    results = _results_of(folder)
    missing = [
        trial
        for trial in results.get("trials", ())
        if trial["checkpoint"] and not (folder / trial["checkpoint"]).is_dir()
    ]
    for trial in missing:
        trial["checkpoint"] = None
    if missing:
        # In the form of the search, which then finds its file up to date.
        write_atomic(folder / RESULTS, json_file(results))


def _remove(project: Project, path: Path) -> None:
    """Move, then delete: a folder with its proper name is complete; gc removes leftovers."""
    moved = project.state / "work" / f"clean-{digest(str(path))[:16]}"
    moved.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(moved, ignore_errors=True)
    shutil.move(path, moved)
    shutil.rmtree(moved)


def _written(folder: Path) -> float:
    """Time of the newest file of a folder."""
    times: Sequence[float] = [p.lstat().st_mtime for p in folder.rglob("*") if p.is_file()]
    return max(times, default=folder.lstat().st_mtime)
