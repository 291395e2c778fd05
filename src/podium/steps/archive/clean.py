"""Remove intermediate results by rule: what steps left for people, and what nobody goes on with.

Models in the store, and what nothing refers to, are ``podium gc``'s; what clean asks of them is
done by gc's own code, which knows what must stay.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from podium.decision import Stage
from podium.files import is_locked, write_atomic
from podium.hashing import digest, json_file
from podium.steps.archive import gc
from podium.steps.archive.gc import Plan, Removal, removal_of
from podium.steps.search.tuning_files import RESULTS
from podium.steps.workspace import log
from podium.steps.workspace.project import Project

# Keys in [paths] of the folders that steps fill for people.
FOLDERS = ("tuning", "extended", "plots", "final", "backtesting")
EXTENDED, CONFIG = "extended_model_", "config.json"
MAXIMIZE = "maximize"
LEFT_OVER, LOG = "left-over", "log"
_ID = re.compile(r"[a-z]+-[0-9a-z]{13}")


@dataclass(frozen=True)
class CleanRules:
    """What goes beside what nobody can need: every rule that is given adds to it.

    Parameters
    ----------
    keep_best : int, >= 1, optional
        Of a search's checkpoints of each family, and of extended models, only so many best stay.
    older_than : float, optional
        Results of earlier searches and models, kept under their ids, that were written longer ago,
        in seconds.
    """

    keep_best: int | None = None
    older_than: float | None = None


def plan(project: Project, rules: CleanRules | None = None) -> Plan:
    """What ``clean`` would remove; nothing is touched.

    Without a rule: states of trials that no step goes on with and other left-overs of stopped
    steps, and logs beyond ``[logs]``. Never the best checkpoint or model, nor what a pointer names,
    nor results of whoever is or was champion or beta, and of their searches; of the store only what
    gc lets go.
    """
    rules = rules or CleanRules()
    removals = [one for one in gc.plan(project).removals if one.what == LEFT_OVER]
    # Without a record there is nobody to ask what must stay.
    stay = _Stay.of(project) if project.reader.exists else _Stay(frozenset(), "")
    for folder in _folders(project) if project.reader.exists else ():
        if rules.keep_best is not None:
            removals += _checkpoints(project, folder, rules.keep_best, stay)
            removals += _extended(project, folder, rules.keep_best, stay)
        if rules.older_than is not None:
            removals += _older(project, folder, rules.older_than, stay)
    if rules.keep_best is not None and project.reader.exists:
        removals += _models(project, rules.keep_best)
    logs = project.config.logs
    for path in log.beyond(project.state / log.FOLDER, logs.keep, logs.days):
        why = f"not among the newest {logs.keep}, or older than {logs.days:g} days"
        removals.append(removal_of(project, path, LOG, why))
    return Plan(tuple(removals), 0, 0)


def clean(project: Project, agreed: Plan, rules: CleanRules | None = None) -> Plan:
    """Remove what was agreed to, as far as it may still go; returns what was removed.

    Nobody else is at work on any slot meanwhile.

    Raises
    ------
    ConflictError
        A step is at work on a slot.
    """
    mine, gone = [], []
    for removal in agreed.removals:
        if removal.what == LOG:
            # The log of this very command may have taken its place.
            path = project.root / removal.path
            if not is_locked(path):
                path.unlink(missing_ok=True)
                gone.append(removal)
        elif not removal.artifact_hash and removal.what != LEFT_OVER:
            mine.append(removal.path)
    of_gc = tuple(one for one in agreed.removals if one.artifact_hash or one.what == LEFT_OVER)
    if of_gc:
        asked = replace(agreed, removals=of_gc)
        gone += gc.collect(project, asked, gc.GcRules(keep_best=1), verb="clean").removals
    if not mine:
        return Plan(tuple(gone), 0, 0)
    with gc.every_slot_locked(project, "clean"):
        going = [one for one in plan(project, rules).removals if one.path in mine]
        for number, removal in enumerate(going, 1):
            _remove(project, project.root / removal.path)
            project.log.line(f"removed {removal.path}: {removal.what}, {removal.why}")
            project.reporter.progress("clean", number, len(going))
        for folder in _folders(project):
            _forget_checkpoints(folder)
    return Plan((*gone, *going), 0, 0)


@dataclass(frozen=True)
class _Stay:
    """What stays whatever the rules say.

    Parameters
    ----------
    ids : frozenset of str
        Candidates that are or were champion or beta, and the searches they come from.
    told : str
        What the small files say by which users' own programs find a model.
    """

    ids: frozenset[str]
    told: str

    @classmethod
    def of(cls, project: Project) -> _Stay:
        reader = project.reader
        stages = (Stage.CHAMPION, Stage.BETA)
        moves = reader.select("decision", "candidate_id", accepted=1, to_stage=stages)
        moved = {row["candidate_id"] for row in moves}
        found = reader.select("candidate", "id, study_id", id=moved)
        ids = {name for row in found for name in row.values()}
        return cls(frozenset(ids), "\n".join(gc.pointers(project)))

    def names(self, path: Path, root: Path) -> bool:
        """Whether a pointer leads into a folder."""
        return path.relative_to(root).as_posix() in self.told


def _folders(project: Project) -> Iterator[Path]:
    """Every folder of results that is there, of each slot."""
    places = [project.root, *(project.root / "slots" / slot for slot in gc.slots_of(project))]
    for place in places:
        for key in FOLDERS:
            name = getattr(project.config.paths, key)
            folder = place / name
            if name and folder.is_dir() and folder.resolve().is_relative_to(project.root):
                yield folder


def _owner(folder: Path) -> str:
    """Id of whom podium wrote a folder's files for; empty where it did not write them."""
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError):
            told = json.loads(path.read_text(encoding="utf-8"))
            # A model's files also name the search it comes from.
            if told["podium"] and (owner := told.get("candidate") or told.get("study")):
                return str(owner)
    return ""


def _checkpoints(project: Project, folder: Path, best: int, stay: _Stay) -> list[Removal]:
    """Checkpoints of a search beyond the best of each family."""
    told = _results_of(folder)
    sign = -1.0 if told.get("direction") == MAXIMIZE else 1.0
    by_family: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for trial in told.get("trials", ()):
        if trial["checkpoint"] and (folder / trial["checkpoint"]).is_dir():
            by_family[trial["family"]].append(trial)
    found = []
    for family, trials in by_family.items():
        trials.sort(key=lambda t: math.inf if t["value"] is None else sign * t["value"])
        for rank, trial in enumerate(trials[best:], best + 1):
            path = folder / trial["checkpoint"]
            if trial["id"] in (told.get("best"), told.get("chosen")):
                continue
            if not stay.names(path, project.root):
                why = f"rank {rank} of {len(trials)} of {family}"
                found.append(removal_of(project, path, f"checkpoint of {trial['id']}", why))
    return found


def _extended(project: Project, folder: Path, best: int, stay: _Stay) -> list[Removal]:
    """Folders of extended models beyond the best."""
    ranks = _ranks(folder)
    return [
        removal_of(project, path, "extended model", f"rank {rank} of {len(ranks)}")
        for rank, path in ranks.items()
        if rank > best and not stay.names(path, project.root)
    ]


def _models(project: Project, best: int) -> list[Removal]:
    """What the store has of extended models beyond the best, as far as gc lets it go."""
    wanted: set[str] = set()
    kept: set[str] = set()
    for folder in _folders(project):
        for rank, path in _ranks(folder).items():
            with suppress(OSError, ValueError, KeyError):
                told = json.loads((path / CONFIG).read_text(encoding="utf-8"))
                (wanted if rank > best else kept).add(told["artifact_hash"])
    models = gc.plan(project, gc.GcRules(keep_best=1)).removals if wanted - kept else ()
    return [one for one in models if one.artifact_hash in wanted - kept]


def _ranks(folder: Path) -> dict[int, Path]:
    """Extended models of a folder by their rank; only those that podium wrote."""
    found = {}
    for path in folder.glob(f"{EXTENDED}*"):
        rank = path.name.removeprefix(EXTENDED)
        if rank.isdigit() and (path / CONFIG).is_file():
            found[int(rank)] = path
    return dict(sorted(found.items()))


def _older(project: Project, folder: Path, age: float, stay: _Stay) -> list[Removal]:
    """Results of earlier owners, kept under their ids."""
    kept = [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and _ID.fullmatch(path.name) and _owner(path) == path.name
    ]
    kept.sort(key=_written, reverse=True)
    if not _owner(folder):
        # The folder itself is somebody else's, so that the newest of these is no earlier one.
        kept = kept[1:]
    now = time.time()
    return [
        removal_of(
            project, path, "earlier results", f"{(now - _written(path)) / 86400:.0f} days old"
        )
        for path in kept
        if now - _written(path) > age
        and path.name not in stay.ids
        and not stay.names(path, project.root)
    ]


def _results_of(folder: Path) -> Mapping[str, Any]:
    """What a search told of its trials; nothing where the folder is not a search's."""
    try:
        told = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        return told if told["podium"] == 1 else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _forget_checkpoints(folder: Path) -> None:
    """Let a search's results name no checkpoint that is not there."""
    told = _results_of(folder)
    gone = [
        trial
        for trial in told.get("trials", ())
        if trial["checkpoint"] and not (folder / trial["checkpoint"]).is_dir()
    ]
    for trial in gone:
        trial["checkpoint"] = None
    if gone:
        # As the search itself writes it, so that it finds nothing to do.
        text = json_file(told)
        write_atomic(folder / RESULTS, text)


def _remove(project: Project, path: Path) -> None:
    """Out of the way first: what has its proper name is whole. What a kill leaves, gc removes."""
    away = project.state / "work" / f"clean-{digest(str(path))[:16]}"
    away.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(away, ignore_errors=True)
    shutil.move(path, away)
    shutil.rmtree(away)


def _written(folder: Path) -> float:
    """When the newest of a folder's files was written."""
    times: Sequence[float] = [p.lstat().st_mtime for p in folder.rglob("*") if p.is_file()]
    return max(times, default=folder.lstat().st_mtime)
