"""Bring every projection of the record up to it: the users' files, and MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from podium.errors import ConflictError
from podium.ledger.outbox import Stuck
from podium.ledger.projections._mlflow_target import Target
from podium.ledger.projections.mlflow import Projection, Sent
from podium.steps.workspace import projections
from podium.steps.workspace.feeding import projection_of
from podium.steps.workspace.project import Project
from podium.steps.workspace.user_files import sync_files

# How long another sender may stand still before it is not waited for any more.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Synced:
    """What was brought up to date, and what could not be.

    Parameters
    ----------
    files : sequence of str
        Files that were written, relative to the project.
    target : Target or None
        Where in MLflow; None where MLflow is off.
    sent : int
        Things that went to MLflow now.
    waiting : int
        Things it has not seen yet.
    refused : sequence of str
        Things it does not take, each with its words.
    missing : sequence of str
        Studies and trials whose runs are gone from it; only where that was looked at.
    differing : mapping of str to sequence of str
        Candidates of which it tells something else than the record; only where that was looked at.
    stopped : str
        Why sending ended early; empty when it did not.
    """

    files: Sequence[str]
    target: Target | None = None
    sent: int = 0
    waiting: int = 0
    refused: Sequence[str] = ()
    missing: Sequence[str] = ()
    differing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stopped: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether everything is where it belongs."""
        found = (self.waiting, self.refused, self.missing, self.differing, self.stopped)
        return not any(found)


def sync(project: Project, *, repair: bool = False) -> Synced:
    """Write the users' files and send to MLflow what it lacks, what it refused before too.

    What MLflow tells of candidates (tags, versions, the champion's alias) is set right where
    somebody changed it.

    Nothing is lost when MLflow does not answer: what waits is in the record.

    Parameters
    ----------
    repair : bool
        Look for runs that are gone from MLflow, and send them again.

    Raises
    ------
    UsageError, DataError, MissingExtraError
        MLflow is on and cannot be used as it is set.
    ConflictError
        Another process is sending and does not get on.
    """
    projection, target = _projection(project)
    files = sync_files(project)
    if projection is None:
        return Synced(files)
    progress = partial(project.reporter.progress, "sent to MLflow")
    passes = [_in_turn(projection, lambda: projection.drain(progress))]
    if not passes[-1].stopped and projection.stuck():
        passes.append(_in_turn(projection, projection.retry))
    if repair and not passes[-1].stopped:
        missing = projection.check().missing
        passes.append(_in_turn(projection, lambda: projection.repair(missing)))
    mended: Sequence[str] = ()
    if not passes[-1].stopped:
        passes.append(_in_turn(projection, projection.restore_candidates))
        mended = passes[-1].refused
    return Synced(
        files=files,
        target=target,
        sent=sum(one.sent for one in passes),
        waiting=projection.waiting(),
        refused=[*_refused(projection.stuck()), *mended],
        stopped=passes[-1].stopped,
    )


def check(project: Project) -> Synced:
    """How far MLflow is from the record; changes nothing.

    Raises
    ------
    UsageError, MissingExtraError
        MLflow is on and cannot be used as it is set.
    DataError
        MLflow does not answer.
    """
    projection, target = _projection(project)
    if projection is None:
        return Synced([])
    found = projection.check()
    return Synced(
        files=[],
        target=target,
        waiting=found.waiting,
        refused=_refused(found.stuck),
        missing=found.missing,
        differing=found.differing,
    )


def _refused(stuck: Sequence[Stuck]) -> list[str]:
    return [f"{one.item.kind} {one.item.subject_id}: {one.error}" for one in stuck]


def elsewhere(project: Project, target: Target | None) -> list[str]:
    """What waits for experiments that were named before and are not meant now, in words."""
    if not project.reader.exists:
        return []
    return [
        f"{one.target}: {one.waiting} waiting, {one.refused} refused; name it as before with "
        "podium sync --mlflow-tracking-uri ... --mlflow-experiment ..."
        for one in projections.standings(project.reader)
        if (one.waiting or one.refused) and (target is None or one.target != target.key)
    ]


def _projection(project: Project) -> tuple[Projection | None, Target | None]:
    # This step is the feeder.
    project.feeds = False
    target = projections.target_of(project)
    if target is None:
        return None, None
    if target.source:
        project.reporter.say(f"MLflow: {target.shown} (set by {target.source})")
    return projection_of(project, target), target


def _in_turn(projection: Projection, work: Callable[[], Sent]) -> Sent:
    """Do it when nobody else is sending; a feeder that gets on is waited for."""
    before, since = projection.waiting(), time.monotonic()
    while True:
        try:
            return work()
        except ConflictError:
            left = projection.waiting()
            if left < before:
                before, since = left, time.monotonic()
            if time.monotonic() - since > PATIENCE_SECONDS:
                raise
            time.sleep(0.2)
