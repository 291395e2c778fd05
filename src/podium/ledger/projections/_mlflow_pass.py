"""One pass over the items that wait for MLflow, and its progress in the record."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from podium.artifact import folder_of
from podium.errors import PodiumError
from podium.intervals import FILE as INTERVALS
from podium.ledger import outbox, reads, schema
from podium.ledger.ledger import Ledger, Transaction
from podium.ledger.outbox import Item
from podium.ledger.projections import _mlflow_candidates as candidates
from podium.ledger.projections import _mlflow_facts, _mlflow_live, _mlflow_model, _mlflow_runs
from podium.ledger.projections._mlflow_candidates import CandidateState
from podium.ledger.projections._mlflow_client import (
    Experiment,
    LoggedModel,
    MlflowFailedError,
    MlflowRefusedError,
    MlflowStoppedError,
    RemoteRun,
)
from podium.ledger.projections._mlflow_compare import differing
from podium.ledger.projections._mlflow_live import LEFT, MARK, LiveFiles
from podium.ledger.projections._mlflow_registry import Registry, Version, stray
from podium.ledger.projections._mlflow_runs import Content, Point
from podium.ledger.projections._mlflow_target import REMEMBERED, Target, zip_of
from podium.ledger.statements import delete, select
from podium.manifest import read_checked, require_hash
from podium.trial import State

# Items per read of the outbox; most done items and longest time between writes of the progress.
PIECE, UNFLUSHED, SECONDS = 200, 50, 1.0
# Names of an artefact's checkpoints in MLflow.
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
        The project's name.
    user : str
        User of the runs in MLflow.
    write : callable
        ``write(function, *arguments)`` writes to the record; ``function`` gets a
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
        """Number of items that MLflow has not seen yet."""
        return self.ledger.read(outbox.count_waiting, self.target.key)


class SyncPass:
    """One pass, with the progress that is not in the record yet."""

    def __init__(self, source: RecordSource) -> None:
        self.source = source
        self.ledger, self.target = source.ledger, source.target
        self.experiment = Experiment(self.target, source.user)
        self.registry = Registry(self.experiment, self.ledger.project_id, source.project)
        self.position, mark = self.ledger.read(outbox.position_of, self.target.key)
        if mark != self.experiment.id or self.experiment.is_new:
            # Another experiment than before, or an empty one, gets everything.
            source.write(begin, self.target.key, self.experiment.id)
            self.position = 0
        is_trial = schema.projected.c.subject_id.like("t-%")
        # Runs are numbered within their experiment.
        self.count = len(self.ledger.read(sent_runs, self.target.key, is_trial))
        self.flushed = self.position
        self.fresh: dict[str, tuple[str, str]] = {}
        self.since = time.monotonic()
        # Whether MLflow may have runs of a killed pass that the record lacks. They were made in
        # order, so the first missing one ends the search.
        self.search_remote = True
        self.touched: set[str] = set()
        # Candidates sent since the last read of items.
        self.sent_candidates: set[str] = set()
        # The last item that failed, the position before it, and its message.
        self.aside: tuple[Item, int, str] | None = None

    # Passes --------------------------------------------------------------------------------------

    def drain(self, progress: Progress) -> Iterator[str]:
        """Send all items after the position.

        An item on which MLflow fails is set aside. If the next item succeeds, the failure is that
        item's; otherwise it is MLflow's, and both items wait.
        """
        total, done = self.source.waiting(), 0
        while items := self.ledger.read(outbox.waiting, self.target.key, limit=PIECE):
            seen: set[tuple[str, str]] = set()
            self.sent_candidates.clear()
            for item in items:
                done += 1
                progress(done, max(total, done))
                subject = (item.kind, item.subject_id)
                was_sent = False
                # The newest state is sent, so once per piece is enough.
                if subject not in seen:
                    seen.add(subject)
                    try:
                        was_sent = self._do_with_retry(item)
                    except MlflowRefusedError as error:
                        yield self._set_aside(item, error)
                    except MlflowFailedError as error:
                        if self.aside is not None:
                            raise self._stopped(error) from None
                        before = self.position
                        self.aside = (item, before, self._set_aside(item, error))
                if was_sent:
                    yield ""
                if was_sent and self.aside is not None:
                    yield self.aside[2]
                    self.aside = None
                self.position = item.position
                self._flush_if_due()
            if self.aside is not None:
                raise self._stopped(self.aside[2])
            self.flush()

    def retry(self, stuck: Sequence[outbox.Stuck]) -> Iterator[str]:
        """Send refused items again."""
        for one in stuck:
            self.search_remote = True
            self.sent_candidates.clear()
            error = _error_of(self._do_with_retry, one.item)
            if error is None:
                self.flush()
                self.source.write(outbox.unstick, self.target.key, one.item.position)
            else:
                self.source.write(outbox.set_stuck, self.target.key, one.item, str(error))
            yield _refusal(one.item.kind, one.item.subject_id, error)

    def repair(self, subject_ids: Sequence[str]) -> Iterator[str]:
        """Send runs again, studies first."""
        for subject_id in sorted(subject_ids, key=lambda name: not name.startswith("s-")):
            kind = "study" if subject_id.startswith("s-") else "trial"
            error = _error_of(self._do_with_retry, Item(0, kind, subject_id, ""))
            yield _refusal(kind, subject_id, error)

    def restore_candidates(self) -> Iterator[str]:
        """Restore tags, metrics, versions and aliases that differ from the record."""
        place = self.ledger, self.target, self.registry, self.source.store
        for candidate_id in differing(*place, self.experiment.get):
            error = _error_of(partial(self._send_candidate, whole=True), candidate_id)
            yield _refusal("candidate", candidate_id, error)

    def close_parents(self) -> None:
        """Set the end of studies to that of their last trial."""
        for study_id in sorted(self.touched):
            run_id, _ = self._known(study_id)
            content = self._content(study_id)
            if run_id and content:
                # An error is ignored: a study's run may be deleted.
                _error_of(self.experiment.end, run_id, content)

    def follow(self, live: LiveFiles) -> None:
        """Send the new epochs of running trials."""
        for trial_id, rows in live.curves():
            content = self._content(trial_id)
            if content is None or content.status != "RUNNING":
                continue
            # What MLflow refuses now is sent with the whole curve at the end of the trial.
            with suppress(MlflowRefusedError, MlflowFailedError):
                run_id, is_new = self._shown(content)
                points = _mlflow_live.points(rows)
                if run_id and not is_new and trial_id not in live.sent:
                    # An earlier process may have sent some.
                    points = self._unsent(run_id, points)
                # Without an id: a user deleted the run.
                if run_id:
                    self.experiment.add_points(run_id, points)
            live.sent[trial_id] = rows[-1].epoch

    def leave(self, trained: set[str]) -> None:
        """Set the state of runs whose trials no process trains any more."""
        for trial_id in self.ledger.read(left_runs, self.marks, trained):
            run_id, _ = self._known(trial_id)
            content = self._content(trial_id)
            if content is not None and content.status == "RUNNING" and run_id:
                _error_of(self.experiment.set_status, run_id, "KILLED")
            self.source.write(outbox.remember, self.marks, trial_id, run_id, LEFT)

    @property
    def marks(self) -> str:
        """Target of the marks of runs that were shown before their trial ended."""
        return self.target.key + MARK

    def _shown(self, content: Content) -> tuple[str, bool]:
        """Run of a running trial, and whether it is new; an empty id if a user deleted it."""
        run, name = self._find(content)
        if run is not None:
            if not run.deleted and run.status != "RUNNING":
                self.experiment.set_status(run.run_id, "RUNNING")
                self.source.write(outbox.remember, self.marks, content.subject_id, run.run_id)
            if not self._known(content.subject_id)[0]:
                self.fresh[content.subject_id] = (run.run_id, name)
                self.flush()
            return "" if run.deleted else run.run_id, False
        # First, so that a run that a kill leaves unrecorded is searched for.
        self.source.write(outbox.remember, self.marks, content.subject_id, "")
        run_id = self._create(content, name)
        self.flush()
        self.experiment.write(run_id, replace(content, points=()), {}, None)
        return run_id, True

    def _create(self, content: Content, name: str) -> str:
        """Make the run of a subject; returns its id."""
        parent = self._parent(content)
        name = name or self._name(content)
        run_id = self.experiment.create(content, name, parent)
        self.fresh[content.subject_id] = (run_id, name)
        return run_id

    def _unsent(self, run_id: str, points: Sequence[Point]) -> list[Point]:
        """Points beyond the last one of their metric in MLflow."""
        last = self.experiment.last_steps(run_id, {point.name for point in points})
        return [point for point in points if point.step > last[point.name]]

    def _is_marked(self, subject_id: str) -> bool:
        is_it = schema.projected.c.subject_id == subject_id
        return bool(self.ledger.read(sent_runs, self.marks, is_it))

    def close(self) -> None:
        """Write the progress; an item that was set aside last waits again."""
        self.flush()
        if self.aside is not None:
            item, before, _ = self.aside
            self.source.write(requeue, self.target.key, item.position, before)
            self.aside = None

    def flush(self) -> None:
        """Write the progress to the record."""
        if not self.fresh and self.position == self.flushed:
            return
        position = self.position if self.position > self.flushed else None
        self.source.write(save_progress, self.target.key, self.fresh, position)
        self.fresh.clear()
        self.flushed, self.since = self.position, time.monotonic()

    def _flush_if_due(self) -> None:
        """Write the progress rarely, because it takes the record's write lock from a step."""
        waited = time.monotonic() - self.since
        if self.position - self.flushed >= UNFLUSHED or waited >= SECONDS:
            self.flush()

    def _set_aside(self, item: Item, error: Exception) -> str:
        """Set an item aside, so that the others are sent; returns the message.

        It is recorded before the next item is sent, so the runs that a kill leaves in MLflow but
        not in the record follow the position without a gap.
        """
        self.source.write(outbox.set_stuck, self.target.key, item, str(error))
        self.position = item.position
        self.flush()
        return _refusal(item.kind, item.subject_id, error)

    def _stopped(self, error: object) -> MlflowStoppedError:
        return MlflowStoppedError(
            f"MLflow at {self.target.shown} fails: {error}",
            "a store or server that accepts runs",
            "pending items are kept; once it works again, run: podium sync",
        )

    # Items ---------------------------------------------------------------------------------------

    def _do_with_retry(self, item: Item) -> bool:
        """Send an item, once more if MLflow fails; returns whether there was anything to send."""
        try:
            return self._do(item)
        except MlflowFailedError:
            return self._do(item)

    def _do(self, item: Item) -> bool:
        if item.kind in ("study", "trial"):
            return self._send(item.subject_id)
        if item.kind not in ("candidate", "decision"):
            run_of = self.ledger.read(_mlflow_facts.run_of, item.subject_id)
            return run_of is not None and self._send(run_of, only_tags=True)
        done, refusals = False, list[MlflowRefusedError]()
        for one in self.ledger.read(candidates.touched, item):
            # A new candidate's files are sent with its trial; tags are sent once per piece.
            whole = item.kind == "candidate" and one == item.subject_id
            if whole or one not in self.sent_candidates:
                try:
                    done |= self._send_candidate(one, whole=whole)
                    self.sent_candidates.add(one)
                except MlflowRefusedError as error:
                    # The other candidates do not depend on this one.
                    refusals.append(error)
        if refusals:
            raise refusals[0]
        return done

    def _send_candidate(self, candidate_id: str, *, whole: bool = False) -> bool:
        """Update a candidate's run and registered version to its current state."""
        trial_id = self.ledger.read(candidates.trial_of, candidate_id)
        sent = trial_id is not None and self._send(trial_id, only_tags=not whole)
        state = self.ledger.read(candidates.of, candidate_id, self.target.key)
        if state is not None:
            self._register(state)
        return sent

    def _register(self, state: CandidateState) -> None:
        """Register a candidate's version with its tags, and set the alias to the champion."""
        slot = state.row["slot"]
        name = self.target.model_of(slot)
        versions = self.registry.versions(name)
        before = versions.get(state.id)
        version = self._version(state, before)
        if version is not None:
            versions[state.id] = version
            self.fresh[state.id] = (version.number, name)
        if versions:
            self.registry.make(name, slot)
            holder = self.ledger.read(reads.champion_of, slot)
            # Without a version of the champion there is no alias.
            self.registry.point(name, versions[holder].number if holder in versions else None)
        if before is not None and version is not before:
            self.registry.remove(name, before)

    def _version(self, state: CandidateState, before: Version | None) -> Version | None:
        """Version of a candidate: the existing one, unless its files were in a run now missing."""
        name, artifact_hash = self.target.model_of(state.row["slot"]), state.row["artifact_hash"]
        run = self._live_run(state.row["trial_id"])
        tags = _mlflow_runs.tag_values(state.tags)
        if before is not None and self.experiment.get(before.run_id) is not None:
            self.registry.tag(name, before, tags)
            return before
        if run is None or not (self.source.store / folder_of(artifact_hash)).is_dir():
            return before
        with tempfile.TemporaryDirectory() as place:
            source = self._send_model(state, run.run_id, Path(place), tags)
        self.registry.make(name, state.row["slot"])
        return self.registry.create(name, run.run_id, source, tags)

    def _send_model(
        self, state: CandidateState, run_id: str, place: Path, tags: Mapping[str, str]
    ) -> str:
        """Send a candidate's model, even if the registry refuses it later; returns its place."""
        self._copy_model(state, run_id, place)
        row, models = state.row, place / "models" / state.id
        content = self._content(row["trial_id"])
        assert content is not None
        source = self.experiment.log_model(
            run_id,
            LoggedModel(
                f"{self.target.model_of(row['slot'])}-v{row['version']}",
                row["family"],
                content.params,
                tags,
            ),
            content,
            models,
        )
        if source:
            shutil.rmtree(models)
        self.experiment.add_files(run_id, place)
        return source or f"models/{state.id}"

    def _live_run(self, trial_id: str) -> RemoteRun | None:
        """A trial's run, unless it is missing or deleted."""
        run_id, _ = self._known(trial_id)
        run = self.experiment.get(run_id) if run_id else None
        return None if run is None or run.deleted else run

    def _copy_model(self, state: CandidateState, run_id: str, place: Path) -> None:
        """Write a candidate's model into a folder, as MLflow's model and as one file."""
        row = state.row
        folder = self.source.store / folder_of(row["artifact_hash"])
        try:
            _mlflow_model.pack(folder, row["artifact_hash"], place / zip_of(state.timeframe))
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
        """Update one run to the record's state; false if the record has no such subject."""
        content = self._content(subject_id)
        if content is None:
            return False
        if self._send_base(subject_id):
            # The base now has a run to refer to.
            content = self._content(subject_id) or content
        run, name = self._find(content)
        if run is not None and run.deleted:
            # Runs deleted by a user stay deleted.
            return True
        marked = self._is_marked(subject_id)
        if run is None:
            run_id = self._create(content, name)
        else:
            run_id = run.run_id
            # Tags of an earlier state, or of an earlier candidate of the same trial.
            self.experiment.untag(run_id, stray(run.tags, content.tags))
            if only_tags:
                self.experiment.tag(run_id, content.tags)
                return True
            self.fresh[subject_id] = (run_id, name)
            if marked:
                content = replace(content, points=self._unsent(run_id, content.points))
        with tempfile.TemporaryDirectory() as place:
            has_files = self._copy_files(content, Path(place))
            self.experiment.write(
                run_id, content, run.params if run else {}, Path(place) if has_files else None
            )
        if marked and content.status != "RUNNING":
            self.source.write(forget_mark, self.marks, subject_id)
        if content.parent_id:
            self.touched.add(content.parent_id)
        return True

    def _send_base(self, trial_id: str) -> bool:
        """Send the base of a trial's candidate first, if it was not sent yet."""
        base = self.ledger.read(candidates.base_of, trial_id)
        if base is None or base == trial_id:
            return False
        if not self._known(base)[0]:
            self._send(base)
        if base not in self.fresh:
            return False
        # The child's content is read from the record and refers to the base's run.
        self.flush()
        return True

    def _content(self, subject_id: str) -> Content | None:
        project = self.source.project
        try:
            if subject_id.startswith("s-"):
                return self.ledger.read(_mlflow_runs.study, subject_id, project)
            return self.ledger.read(_mlflow_runs.trial, subject_id, project, self.target.key)
        except PodiumError:
            raise
        except Exception as error:
            # An imported record may have any content; an error must not stop the other items.
            raise MlflowRefusedError(f"{type(error).__name__}: {error}") from error

    def _find(self, content: Content) -> tuple[RemoteRun | None, str]:
        """The run of a subject if it exists, and its present or former name."""
        run_id, name = self._known(content.subject_id)
        if run_id:
            return self.experiment.get(run_id), name
        marked = self._is_marked(content.subject_id)
        search = self.search_remote or marked
        run = self.experiment.find(content.kind, content.subject_id) if search else None
        if run is None:
            self.search_remote &= marked
            return None, ""
        self._count_run(content)
        return run, run.name

    def _known(self, subject_id: str) -> tuple[str, str]:
        """Id and name of a run that was sent; empty texts if it was not."""
        return self.fresh.get(subject_id) or self._sent_run(self.target.key, subject_id)

    def _sent_run(self, target: str, subject_id: str) -> tuple[str, str]:
        is_it = schema.projected.c.subject_id == subject_id
        return self.ledger.read(sent_runs, target, is_it).get(subject_id, ("", ""))

    def _parent(self, content: Content) -> str | None:
        """Run of a trial's study, which is sent first if missing."""
        if content.parent_id is None:
            return None
        if not self._known(content.parent_id)[0]:
            self._send(content.parent_id)
        return self._known(content.parent_id)[0] or None

    def _name(self, content: Content) -> str:
        if content.kind == "study":
            return content.name
        self._count_run(content)
        _, wish = self._sent_run(outbox.RUN_NAME, content.subject_id)
        template = wish or self.target.run_name
        parts = {**content.parts, "run_id": f"run{self.count}"}
        name = _mlflow_runs.named(template, parts)
        return name if "{run_id" in template else self._unused_name(name)

    def _count_run(self, content: Content) -> None:
        self.count += content.kind == "trial"

    def _unused_name(self, base: str) -> str:
        """A name that no run of the experiment has: the base, then ``-2``, ``-3`` ..."""
        is_like = schema.projected.c.remote_name.startswith(base, autoescape=True)
        sent = self.ledger.read(sent_runs, self.target.key, is_like)
        taken = {name for _, name in [*sent.values(), *self.fresh.values()]}
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        return name

    def _copy_files(self, content: Content, place: Path) -> bool:
        """Copy a run's files, with checked hashes, into a folder; returns if there are any."""
        if content.curves:
            (place / "metrics.csv").write_text(content.curves, encoding="utf-8")
        if content.artifact_hash:
            folder = self.source.store / folder_of(content.artifact_hash)
            name_of = partial(_shown_name, judged=content.judged)
            _copy(folder, content.artifact_hash, place, name_of)
        if content.bundle is not None:
            folder, bundle_hash = self.source.root / content.bundle[0], content.bundle[1]
            _copy(folder, bundle_hash, place / "evaluation", lambda name: name)
        return any(place.iterdir())


def _error_of(work: Callable[..., object], *arguments: object) -> Exception | None:
    """Error of MLflow for one item, or None."""
    try:
        work(*arguments)
    except (MlflowRefusedError, MlflowFailedError) as error:
        return error
    return None


def _refusal(kind: str, subject_id: str, error: Exception | None) -> str:
    """Message for a refused item; empty if there is no error."""
    return "" if error is None else f"{kind} {subject_id}: {error}"


def _copy(folder: Path, manifest_hash: str, target: Path, name_of: Callable[[str], str]) -> None:
    """Copy the files of a manifest, with checked hashes, if the folder exists.

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
            if new_name := name_of(name):
                copy = target / new_name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(read_checked(folder, files, name))
    except PodiumError as error:
        raise MlflowRefusedError(str(error)) from error


def _shown_name(name: str, *, judged: bool) -> str:
    """Name of an artefact's file in MLflow; empty if it is not shown.

    Examples
    --------
    >>> _shown_name("final_model/model.pt", judged=True)
    'last.pt'
    """
    checkpoint, _, file = name.partition("/")
    if file == _STATS or name == _STATS:
        return _STATS
    if checkpoint == "final_model" and not judged:
        # A trial without a candidate shows the model of its best epoch only.
        return ""
    if file in ("best.pt", "last.pt", INTERVALS):
        return file
    base = _CHECKPOINTS.get(checkpoint, checkpoint)
    return f"{base}.pt" if file.endswith(".pt") else f"{base}/{file}".strip("/")


def begin(tx: Transaction, target: str, mark: str) -> None:
    """Reset a target to position 0, in an experiment with this id."""
    outbox.forget(tx, target)
    outbox.forget(tx, target + MARK)
    outbox.advance(tx, target, 0, mark=mark)


def remember_target(tx: Transaction, target: str, uri: str, experiment: str) -> None:
    """Store the MLflow store and experiment that later commands send to, also before a pass."""
    outbox.remember(tx, REMEMBERED, "mlflow", uri, experiment)
    outbox.advance(tx, target, outbox.position_of(tx, target)[0])


def left_runs(tx: Transaction, marks: str, trained: set[str]) -> list[str]:
    """Trials shown as running that are neither on record as ended nor among ``trained``."""
    trial = schema.trial.c
    open_ = [name for name in sent_runs(tx, marks) if name not in trained]
    rows = select(tx, [trial.id, trial.state], id=open_) if open_ else []
    left = {name for name, (_, state) in sent_runs(tx, marks).items() if state == LEFT}
    return [r["id"] for r in rows if not State(r["state"]).ended and r["id"] not in left]


def forget_mark(tx: Transaction, marks: str, subject_id: str) -> None:
    """Delete the mark of a run whose trial has ended."""
    delete(tx, schema.projected, target=marks, subject_id=subject_id)


def save_progress(
    tx: Transaction, target: str, runs: Mapping[str, tuple[str, str]], position: int | None
) -> None:
    """Store the sent runs by trial or study, and the position."""
    for subject_id, (run_id, name) in runs.items():
        outbox.remember(tx, target, subject_id, run_id, name)
    if position is not None:
        outbox.advance(tx, target, position)


def requeue(tx: Transaction, target: str, stuck: int, position: int) -> None:
    """Move the position back before an item that was set aside."""
    outbox.unstick(tx, target, stuck)
    outbox.advance(tx, target, position)


def sent_runs(
    tx: Transaction, target: str, *where: sa.ColumnElement[bool]
) -> dict[str, tuple[str, str]]:
    """Id and name of the sent runs that meet the conditions, by trial or study."""
    rows = select(tx, schema.projected, *where, target=target)
    return {row["subject_id"]: (row["remote_id"], row["remote_name"]) for row in rows}
