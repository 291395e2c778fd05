"""One pass over what waits for MLflow, and what the record remembers of it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from podium.artifact import folder_of
from podium.errors import PodiumError
from podium.ledger import outbox, reads, schema
from podium.ledger.ledger import Ledger
from podium.ledger.outbox import Item
from podium.ledger.projections import _mlflow_candidates as candidates
from podium.ledger.projections import _mlflow_facts, _mlflow_model, _mlflow_runs
from podium.ledger.projections._mlflow_candidates import CandidateState
from podium.ledger.projections._mlflow_client import (
    Experiment,
    Found,
    MlflowRefusedError,
    MlflowStoppedError,
    StumbledError,
)
from podium.ledger.projections._mlflow_compare import differing
from podium.ledger.projections._mlflow_registry import Registry, Version, stray
from podium.ledger.projections._mlflow_runs import Content
from podium.ledger.projections._mlflow_target import Target, zip_of
from podium.ledger.statements import delete, select
from podium.manifest import read_checked, require_hash

# Items read from the outbox at once; how many may be done and not yet remembered, and how long.
PIECE, UNFLUSHED, SECONDS = 200, 50, 1.0
# Files of an artefact as people look for them in MLflow.
_CHECKPOINTS = {"best_model": "best", "final_model": "last"}
_STATS = "feature_stats.json"

Progress = Callable[[int, int], None]


@dataclass
class RecordSource:
    """A project's record, and the experiment of MLflow that shows it.

    Parameters
    ----------
    root : Path
        The project's folder; a lock in it lets one process send at a time.
    store : Path
        Folder that holds artefacts by their hash.
    project : str
        The project's name, for people.
    user : str
        Whom MLflow shows as the runs' user.
    write : callable
        ``write(function, *arguments)`` writes to the record; ``function`` gets a ledger and its
        transaction first.
    """

    ledger: Ledger
    target: Target
    _: KW_ONLY
    root: Path
    store: Path
    project: str
    user: str
    write: Callable[..., Any]

    def waiting(self) -> int:
        """How many things MLflow has not seen yet."""
        return self.ledger.read(outbox.count_waiting, self.target.key)


class SyncPass:
    """One pass, and what MLflow has of it that the record does not know yet."""

    def __init__(self, source: RecordSource) -> None:
        self.of = source
        self.ledger, self.target = source.ledger, source.target
        self.experiment = Experiment(self.target, source.user)
        self.registry = Registry(self.experiment, self.ledger.project_id, source.project)
        self.position, mark = self.ledger.read(outbox.position_of, self.target.key)
        if mark != self.experiment.id or self.experiment.is_new:
            # Another experiment than before, or an empty one: everything belongs into it.
            source.write(begin, self.target.key, self.experiment.id)
            self.position = 0
        is_trial = schema.projected.c.subject_id.like("t-%")
        # Runs are numbered within their experiment.
        self.count = len(self.ledger.read(remembered, self.target.key, is_trial))
        self.flushed = self.position
        self.fresh: dict[str, tuple[str, str]] = {}
        self.since = time.monotonic()
        # Whether runs may be there that the record does not know: of a pass that was killed. They
        # were made in order, so the first one that is missing ends the search for them.
        self.careful = True
        self.touched: set[str] = set()
        # Candidates that were told since items were read last.
        self.told: set[str] = set()
        # What MLflow stumbled over last: the item, the position before it, and how that is told.
        self.aside: tuple[Item, int, str] | None = None

    # What a pass does ----------------------------------------------------------------------------

    def drain(self, progress: Progress) -> Iterator[str]:
        """Send everything after the position.

        An item MLflow stumbles over is put aside: if the next one goes well, it was that item; if
        not, it is MLflow, and both wait.
        """
        total, done = self.of.waiting(), 0
        while items := self.ledger.read(outbox.waiting, self.target.key, limit=PIECE):
            seen: set[tuple[str, str]] = set()
            self.told.clear()
            for item in items:
                done += 1
                progress(done, max(total, done))
                told = (item.kind, item.subject_id)
                went = False
                # What is sent is the newest state, so once is enough for all of a piece.
                if told not in seen:
                    seen.add(told)
                    try:
                        went = self._twice(item)
                    except MlflowRefusedError as error:
                        yield self._pass_over(item, error)
                    except StumbledError as error:
                        if self.aside is not None:
                            raise self._stopped(error) from None
                        before = self.position
                        self.aside = (item, before, self._pass_over(item, error))
                if went:
                    yield ""
                if went and self.aside is not None:
                    yield self.aside[2]
                    self.aside = None
                self.position = item.position
                self._flush_if_due()
            if self.aside is not None:
                raise self._stopped(self.aside[2])
            self.flush()

    def retry(self, stuck: Sequence[outbox.Stuck]) -> Iterator[str]:
        """Send each of these items again."""
        for one in stuck:
            self.careful = True
            self.told.clear()
            error = _error_of(self._twice, one.item)
            if error is None:
                self.flush()
                self.of.write(outbox.unstick, self.target.key, one.item.position)
            else:
                self.of.write(outbox.set_stuck, self.target.key, one.item, str(error))
            yield _refusal(one.item.kind, one.item.subject_id, error)

    def repair(self, subject_ids: Sequence[str]) -> Iterator[str]:
        """Send these runs again, studies first."""
        for subject_id in sorted(subject_ids, key=lambda name: not name.startswith("s-")):
            kind = "study" if subject_id.startswith("s-") else "trial"
            error = _error_of(self._twice, Item(0, kind, subject_id, ""))
            yield _refusal(kind, subject_id, error)

    def mend(self) -> Iterator[str]:
        """Bring tags, metrics, versions and aliases that differ back to what the record says."""
        for candidate_id in differing(
            self.ledger, self.target, self.registry, self.of.store, self.experiment.get
        ):
            yield _refusal("candidate", candidate_id, _error_of(self._mend, candidate_id))

    def _mend(self, candidate_id: str) -> None:
        trial_id = self.ledger.read(candidates.trial_of, candidate_id)
        run = self._present(trial_id) if trial_id is not None else None
        content = self._content(trial_id) if trial_id is not None else None
        if run is not None and content is not None:
            # What a candidate's standing decides and does not say.
            self.experiment.untag(run.run_id, stray(run.tags, content.tags))
        self._tell(candidate_id, whole=True)

    def close_parents(self) -> None:
        """Studies ended, for now, when their last trial did."""
        for study_id in sorted(self.touched):
            run_id, _ = self._known(study_id)
            content = self._content(study_id)
            if run_id and content:
                # Where a person deleted it, its trials are there all the same.
                _error_of(self.experiment.end, run_id, content)

    def close(self) -> None:
        """Remember what was done, and let what was put aside wait again if nothing went after."""
        self.flush()
        if self.aside is not None:
            item, before, _ = self.aside
            self.of.write(take_back, self.target.key, item.position, before)
            self.aside = None

    def flush(self) -> None:
        """Remember in the record what MLflow has."""
        if not self.fresh and self.position == self.flushed:
            return
        position = self.position if self.position > self.flushed else None
        self.of.write(keep, self.target.key, self.fresh, position)
        self.fresh.clear()
        self.flushed, self.since = self.position, time.monotonic()

    def _flush_if_due(self) -> None:
        """Not after each item: a flush takes the record's write lock, which a step wants too."""
        waited = time.monotonic() - self.since
        if self.position - self.flushed >= UNFLUSHED or waited >= SECONDS:
            self.flush()

    def _pass_over(self, item: Item, error: Exception) -> str:
        """Put an item aside, so that the rest goes on; says which and why.

        The record knows it before the next one is sent: then all that a kill can leave in MLflow
        and not in the record follows on the position without a gap.
        """
        self.of.write(outbox.set_stuck, self.target.key, item, str(error))
        self.position = item.position
        self.flush()
        return _refusal(item.kind, item.subject_id, error)

    def _stopped(self, error: object) -> MlflowStoppedError:
        return MlflowStoppedError(
            f"MLflow at {self.target.shown} fails: {error}",
            "a store or server that takes runs",
            "what waits is kept; when it works again: podium sync",
        )

    # What an item means --------------------------------------------------------------------------

    def _twice(self, item: Item) -> bool:
        """Do an item, once more if MLflow stumbles; tells whether there was anything to do."""
        try:
            return self._do(item)
        except StumbledError:
            return self._do(item)

    def _do(self, item: Item) -> bool:
        if item.kind in ("study", "trial"):
            return self._send(item.subject_id)
        if item.kind not in ("candidate", "decision"):
            run_of = self.ledger.read(_mlflow_facts.run_of, item.subject_id)
            return run_of is not None and self._send(run_of, only_tags=True)
        done = False
        for one in self.ledger.read(candidates.touched, item):
            # A new candidate's files go with its trial; the rest is tags, once for all of a piece.
            whole = item.kind == "candidate" and one == item.subject_id
            if whole or one not in self.told:
                done |= self._tell(one, whole=whole)
                self.told.add(one)
        return done

    def _tell(self, candidate_id: str, *, whole: bool = False) -> bool:
        """Bring what is told of a candidate, on its run and as a version, to its present state."""
        trial_id = self.ledger.read(candidates.trial_of, candidate_id)
        sent = trial_id is not None and self._send(trial_id, only_tags=not whole)
        standing = self.ledger.read(candidates.of, candidate_id, self.target.key)
        if standing is not None:
            self._register(standing)
        return sent

    def _register(self, standing: CandidateState) -> None:
        """A version for a candidate, with its tags, and the alias where the champion is."""
        name, slot = standing.model, standing.row["slot"]
        there = self.registry.versions(name)
        before = there.get(standing.id)
        version = self._version(standing, before)
        if version is not None:
            there[standing.id] = version
            self.fresh[standing.id] = (version.number, name)
        if there:
            self.registry.make(name, slot)
            holder = self.ledger.read(reads.champion_of, slot)
            # A champion that is no version yet has no alias; that of another would be a lie.
            self.registry.point(name, there[holder].number if holder in there else None)
        if before is not None and version is not before:
            self.registry.remove(name, before)

    def _version(self, standing: CandidateState, before: Version | None) -> Version | None:
        """The version of a candidate: the one there is, unless its files were in a run now gone."""
        name, artifact_hash = standing.model, standing.row["artifact_hash"]
        run = self._present(standing.row["trial_id"])
        tags = _mlflow_runs.told_tags(standing.tags)
        if before is not None and self.experiment.get(before.run_id) is not None:
            self.registry.tag(name, before, tags)
            return before
        if run is None or not (self.of.store / folder_of(artifact_hash)).is_dir():
            return before
        self.registry.make(name, standing.row["slot"])
        with tempfile.TemporaryDirectory() as place:
            self._lay_out_model(standing, run.run_id, Path(place))
            return self.registry.create(name, run.run_id, standing.id, tags, Path(place))

    def _present(self, trial_id: str) -> Found | None:
        """A trial's run, unless it is gone or a person deleted it."""
        run_id, _ = self._known(trial_id)
        found = self.experiment.get(run_id) if run_id else None
        return None if found is None or found.deleted else found

    def _lay_out_model(self, standing: CandidateState, run_id: str, place: Path) -> None:
        """Put a candidate's model into a folder: as MLflow's model, and as one file."""
        row = standing.row
        folder = self.of.store / folder_of(row["artifact_hash"])
        try:
            _mlflow_model.pack(folder, row["artifact_hash"], place / zip_of(standing.timeframe))
            _mlflow_model.save(
                folder,
                row["artifact_hash"],
                place / "models" / row["id"],
                run_id=run_id,
                created=row["created_at"],
            )
        except PodiumError as error:
            raise MlflowRefusedError(str(error)) from error

    def _send(self, subject_id: str, *, only_tags: bool = False) -> bool:
        """Bring one run to the record's present state; false when the record has no such thing."""
        content = self._content(subject_id)
        if content is None:
            return False
        if self._send_base(subject_id):
            # Now that there is a run to refer to.
            content = self._content(subject_id) or content
        found, name = self._find(content)
        if found is not None and found.deleted:
            # A person does not want to see it any more.
            return True
        if found is None:
            parent = self._parent(content)
            name = name or self._name(content)
            run_id = self.experiment.create(content, name, parent)
        elif only_tags:
            self.experiment.tag(found.run_id, content.tags)
            return True
        else:
            run_id = found.run_id
        self.fresh[subject_id] = (run_id, name)
        with tempfile.TemporaryDirectory() as place:
            has_files = self._lay_out(content, Path(place))
            self.experiment.write(
                run_id, content, found.params if found else {}, Path(place) if has_files else None
            )
        if content.parent_id:
            self.touched.add(content.parent_id)
        return True

    def _send_base(self, trial_id: str) -> bool:
        """Send what a trial's candidate was made of before it, where it is not there."""
        base = self.ledger.read(candidates.base_of, trial_id)
        if base is None or base == trial_id:
            return False
        if not self._known(base)[0]:
            self._send(base)
        if base not in self.fresh:
            return False
        # What is told of the child is read from the record.
        self.flush()
        return True

    def _content(self, subject_id: str) -> Content | None:
        project = self.of.project
        try:
            if subject_id.startswith("s-"):
                return self.ledger.read(_mlflow_runs.study, subject_id, project)
            return self.ledger.read(_mlflow_runs.trial, subject_id, project, self.target.key)
        except PodiumError:
            raise
        except Exception as error:
            # An imported record may say anything; what cannot be told stops nothing else.
            raise MlflowRefusedError(f"{type(error).__name__}: {error}") from error

    def _find(self, content: Content) -> tuple[Found | None, str]:
        """The run of a thing if it is there, and the name it has, or had before it was lost."""
        run_id, name = self._known(content.subject_id)
        if run_id:
            return self.experiment.get(run_id), name
        found = self.experiment.find(content.kind, content.subject_id) if self.careful else None
        if found is None:
            self.careful = False
            return None, ""
        self._count_in(content)
        return found, found.name

    def _known(self, subject_id: str) -> tuple[str, str]:
        """Id and name of a run that was sent before; empty for one that was not."""
        return self.fresh.get(subject_id) or self._remembered(self.target.key, subject_id)

    def _remembered(self, target: str, subject_id: str) -> tuple[str, str]:
        is_it = schema.projected.c.subject_id == subject_id
        return self.ledger.read(remembered, target, is_it).get(subject_id, ("", ""))

    def _parent(self, content: Content) -> str | None:
        """Run of a trial's study; it is sent first where it is not there."""
        if content.parent_id is None:
            return None
        if not self._known(content.parent_id)[0]:
            self._send(content.parent_id)
        return self._known(content.parent_id)[0] or None

    def _name(self, content: Content) -> str:
        if content.kind == "study":
            return content.name
        self._count_in(content)
        _, wish = self._remembered(outbox.RUN_NAME, content.subject_id)
        template = wish or self.target.run_name
        parts = {**content.parts, "run_id": f"run{self.count}"}
        name = _mlflow_runs.named(template, parts)
        return name if "{run_id" in template else self._free(name)

    def _count_in(self, content: Content) -> None:
        self.count += content.kind == "trial"

    def _free(self, base: str) -> str:
        """A name no run of the experiment has yet: the base, then ``-2``, ``-3`` ..."""
        is_like = schema.projected.c.remote_name.startswith(base, autoescape=True)
        there = self.ledger.read(remembered, self.target.key, is_like)
        taken = {name for _, name in [*there.values(), *self.fresh.values()]}
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        return name

    def _lay_out(self, content: Content, place: Path) -> bool:
        """Put a run's files into a folder, checked against their hashes; tells if there are any."""
        if content.curves:
            (place / "metrics.csv").write_text(content.curves, encoding="utf-8")
        if content.artifact_hash:
            folder = self.of.store / folder_of(content.artifact_hash)
            name_of = partial(_told_file, judged=content.judged)
            _copy(folder, content.artifact_hash, place, name_of)
        if content.bundle is not None:
            folder, bundle_hash = self.of.root / content.bundle[0], content.bundle[1]
            _copy(folder, bundle_hash, place / "evaluation", lambda name: name)
        return any(place.iterdir())


def _error_of(work: Callable[..., object], *arguments: object) -> Exception | None:
    """What MLflow has against one thing; None where it is done."""
    try:
        work(*arguments)
    except (MlflowRefusedError, StumbledError) as error:
        return error
    return None


def _refusal(kind: str, subject_id: str, error: Exception | None) -> str:
    """What a person reads of a thing that was refused; empty for one that is done."""
    return "" if error is None else f"{kind} {subject_id}: {error}"


def _copy(folder: Path, manifest_hash: str, target: Path, name_of: Callable[[str], str]) -> None:
    """Copy the files of a manifest, checked; a folder that was removed since is left out.

    Parameters
    ----------
    name_of : callable
        Name of the copy; empty for a file that is not copied.
    """
    if not folder.is_dir():
        return
    try:
        files = json.loads(require_hash(folder, manifest_hash))["files"]
        for name in files:
            if told := name_of(name):
                copy = target / told
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(read_checked(folder, files, name))
    except PodiumError as error:
        raise MlflowRefusedError(str(error)) from error


def _told_file(name: str, *, judged: bool) -> str:
    """What a file of an artefact is called in MLflow; empty for one that is not shown there.

    Examples
    --------
    >>> _told_file("final_model/model.pt", judged=True)
    'last.pt'
    """
    checkpoint, _, file = name.partition("/")
    if file == _STATS or name == _STATS:
        return _STATS
    if checkpoint == "final_model" and not judged:
        # The trial that held data out is shown with what it gave: the best epoch's model.
        return ""
    if file in ("best.pt", "last.pt"):
        return file
    base = _CHECKPOINTS.get(checkpoint, checkpoint)
    return f"{base}.pt" if file.endswith(".pt") else f"{base}/{file}".strip("/")


def begin(ledger: Ledger, tx: sa.Connection, target: str, mark: str) -> None:
    """Start a target from the beginning, in an experiment with this id."""
    for table in (schema.projected, schema.stuck):
        delete(ledger, tx, table, target=target)
    outbox.advance(ledger, tx, target, 0, mark=mark)


def keep(
    ledger: Ledger,
    tx: sa.Connection,
    target: str,
    runs: Mapping[str, tuple[str, str]],
    position: int | None,
) -> None:
    """Remember runs that are in MLflow by trial or study, and how far it has come."""
    for subject_id, (run_id, name) in runs.items():
        outbox.remember(ledger, tx, target, subject_id, run_id, name)
    if position is not None:
        outbox.advance(ledger, tx, target, position)


def take_back(ledger: Ledger, tx: sa.Connection, target: str, stuck: int, position: int) -> None:
    """Let an item that was put aside wait again, with everything after it."""
    outbox.unstick(ledger, tx, target, stuck)
    outbox.advance(ledger, tx, target, position)


def remembered(
    ledger: Ledger, tx: sa.Connection, target: str, *where: sa.ColumnElement[bool]
) -> dict[str, tuple[str, str]]:
    """Id and name of every run that was sent, or of some, by trial or study."""
    rows = select(ledger, tx, schema.projected, *where, target=target)
    return {row["subject_id"]: (row["remote_id"], row["remote_name"]) for row in rows}
