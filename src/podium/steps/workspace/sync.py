"""Update the projections of the record: users' files and MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from shlex import quote

from podium.errors import ConflictError, NotFoundError, suggest
from podium.ledger import outbox
from podium.ledger.outbox import Stuck
from podium.ledger.projections._mlflow_target import PREFIX, REMEMBERED, Target
from podium.ledger.projections.mlflow import Projection, Sent
from podium.steps.workspace import projections
from podium.steps.workspace.feeding import projection_of
from podium.steps.workspace.project import Project
from podium.steps.workspace.user_files import sync_files

# Seconds without progress of another sender after which waiting ends.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Synced:
    """Result of an update of the projections.

    Parameters
    ----------
    files : sequence of str
        Files that were written, relative to the project.
    target : Target or None
        Store and experiment of MLflow; None where MLflow is off.
    sent : int
        Items sent now.
    waiting : int
        Items not sent yet.
    refused : sequence of str
        Items that MLflow refuses, each with the reason.
    missing : sequence of str
        Studies and trials whose runs are gone from MLflow; of :func:`check`.
    differing : mapping of str to sequence of str
        Candidates that differ in MLflow, each with the differences; of :func:`check`.
    stopped : str
        Reason why sending ended early; else empty.
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
        """Whether MLflow has everything on record."""
        problems = (self.waiting, self.refused, self.missing, self.differing, self.stopped)
        return not any(problems)


def sync(project: Project, *, repair: bool = False) -> Synced:
    """Write users' files and send waiting and refused items to MLflow.

    Changed tags, versions and aliases of candidates in MLflow are set to those of the record. Items
    wait in the record while MLflow does not answer.

    Parameters
    ----------
    repair : bool
        Send runs again that are gone from MLflow.

    Raises
    ------
    UsageError, DataError, MissingExtraError
        MLflow is on and cannot be used as it is set.
    ConflictError
        Another process is sending without progress.
    """
    projection, target = _projection(project)
    files = sync_files(project)
    if projection is None or target is None:
        return Synced(files)
    projections.remember(project, target, project.ledger)
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
    """Compare MLflow with the record; nothing is changed.

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


def forget(project: Project, name: str) -> None:
    """Forget a store of MLflow that no longer exists; the store itself is not changed.

    Its waiting and refused items are dropped. If it is set again, it gets the whole record.

    Parameters
    ----------
    name : str
        Store and experiment as in messages, ``"sqlite:///mlflow.db demo"``.

    Raises
    ------
    NotFoundError
        Nothing waits for such a store, and nothing was sent to it.
    """
    project.feeds = False
    states = projections.standings(project.reader) if project.reader.exists else {}
    known = {key.removeprefix(PREFIX): key for key in states}
    if name not in known:
        raise NotFoundError(f"no store '{name}' of MLflow on record", fix=suggest(name, known))
    target = projections.target_of(project)
    project.ledger.write(outbox.forget, known[name])
    if target is not None and target.key == known[name]:
        project.ledger.write(outbox.forget, REMEMBERED)


def _refused(stuck: Sequence[Stuck]) -> list[str]:
    return [f"{one.item.kind} {one.item.subject_id}: {one.error}" for one in stuck]


def elsewhere(project: Project, target: Target | None) -> list[str]:
    """Messages about items that wait for other experiments than the present one."""
    if not project.reader.exists:
        return []
    return [
        f"{one.target}: {one.waiting} waiting, {one.refused} refused; name it as before with "
        "podium sync --mlflow-tracking-uri ... --mlflow-experiment ..., or drop them with "
        f"podium sync --forget {quote(one.target.removeprefix(PREFIX))}"
        for one in projections.standings(project.reader).values()
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
    """Run work while no other process is sending; wait for one that makes progress."""
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
