"""The record in MLflow: a parent run for each study and a nested run for each trial, in order.

Each outbox item is sent to MLflow first and then marked in the record. A kill in between leaves
runs that the record lacks; they are found by the trial's id in their tags, so no run is made twice.
Only this file and the ``_mlflow_*`` modules import MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from podium.errors import ConflictError
from podium.files import lock
from podium.hashing import digest
from podium.ledger import outbox
from podium.ledger.projections import _mlflow_compare, _mlflow_live, _mlflow_store
from podium.ledger.projections._mlflow_client import Experiment, MlflowStoppedError, environment
from podium.ledger.projections._mlflow_pass import (
    Progress,
    RecordSource,
    SyncPass,
    left_runs,
    sent_runs,
)
from podium.ledger.projections._mlflow_registry import Registry
from podium.ledger.projections._mlflow_target import LOCK


@dataclass(frozen=True)
class Sent:
    """Result of one pass.

    Parameters
    ----------
    sent : int
        Number of items that were sent.
    refused : sequence of str
        Messages of the items that MLflow refused.
    waiting : int
        Number of items that MLflow has not seen yet.
    stopped : str
        Error that ended the pass early; empty if none.
    """

    sent: int
    refused: Sequence[str]
    waiting: int
    stopped: str = ""


@dataclass(frozen=True)
class SyncCheck:
    """Differences between MLflow and the record.

    Parameters
    ----------
    waiting : int
        Number of items that MLflow has not seen yet.
    stuck : sequence of outbox.Stuck
        Items that MLflow refused.
    missing : sequence of str
        Studies and trials whose runs are missing.
    differing : mapping of str to sequence of str
        Messages about differences, by candidate.
    runs : int
        Number of the project's runs in MLflow.
    """

    waiting: int
    stuck: Sequence[outbox.Stuck]
    missing: Sequence[str]
    differing: Mapping[str, Sequence[str]]
    runs: int


class Projection(RecordSource):
    """Projection of the record into one experiment of MLflow."""

    def left(self) -> bool:
        """Whether MLflow shows runs as running that no process trains any more."""
        trained = self.live.trials()
        return bool(self.ledger.read(left_runs, self.target.key + _mlflow_live.MARK, trained))

    @property
    def live(self) -> _mlflow_live.LiveFiles:
        """Curves of the project's running trials."""
        return _mlflow_live.LiveFiles(self.root)

    def stuck(self) -> list[outbox.Stuck]:
        """Items that MLflow refused."""
        return self.ledger.read(outbox.stuck, self.target.key)

    def drain(
        self,
        progress: Progress = lambda done, total: None,
        live: _mlflow_live.LiveFiles | None = None,
    ) -> Sent:
        """Send the waiting items in order, until none is left or MLflow is unavailable.

        Parameters
        ----------
        live : LiveFiles, optional
            Curves of running trials to send too.

        Raises
        ------
        ConflictError
            Another process is sending.
        """

        def work(sync: SyncPass) -> Iterator[str]:
            yield from sync.drain(progress)
            if live is not None:
                sync.follow(live)

        return self._run_pass(work)

    def retry(self) -> Sent:
        """Send the refused items again, one by one.

        Raises
        ------
        ConflictError
            Another process is sending.
        """
        return self._run_pass(lambda sync: sync.retry(self.stuck()))

    def repair(self, subject_ids: Sequence[str]) -> Sent:
        """Send studies and trials with missing runs again, under their former names.

        Raises
        ------
        ConflictError
            Another process is sending.
        """
        return self._run_pass(lambda sync: sync.repair(subject_ids))

    def check(self) -> SyncCheck:
        """Compare MLflow with the record; changes nothing.

        Raises
        ------
        MlflowStoppedError
            MLflow does not answer.
        """
        known = self.ledger.read(sent_runs, self.target.key)
        with environment(self.target):
            experiment = Experiment(self.target, self.user, read_only=True)
            runs = experiment.runs(self.ledger.project_id)
            gone = [
                subject
                for subject, (run_id, _) in known.items()
                if subject[:2] in ("s-", "t-") and run_id not in runs
            ]
            registry = Registry(experiment, self.ledger.project_id, self.project)
            differing = _mlflow_compare.differing(
                self.ledger,
                self.target,
                registry,
                self.store,
                lambda run_id: runs.get(run_id) or experiment.get(run_id),
            )
        return SyncCheck(self.waiting(), self.stuck(), gone, differing, len(runs))

    def restore_candidates(self) -> Sent:
        """Restore tags, versions and aliases of candidates that differ from the record.

        Raises
        ------
        ConflictError
            Another process is sending.
        """
        return self._run_pass(lambda sync: sync.restore_candidates())

    def _run_pass(self, work: Callable[[SyncPass], Iterator[str]]) -> Sent:
        """Run one pass; ``work`` yields a message per item, empty for a sent one."""
        sent, refused, stopped = 0, list[str](), ""
        with self._turn(), environment(self.target):
            try:
                sync = SyncPass(self)
                try:
                    for message in work(sync):
                        sent += not message
                        refused += [message] if message else []
                    sync.close_parents()
                    sync.leave(self.live.trials())
                finally:
                    sync.close()
            except MlflowStoppedError as error:
                stopped = str(error)
            finally:
                if self.target.file is not None and self.target.file.exists():
                    _mlflow_store.analyze(self.target.file)
        return Sent(sent, refused, self.waiting(), stopped)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Exclude other senders; for a record on a server, on all machines."""
        with lock(self.root / LOCK, "podium, sending to MLflow"):
            if self.ledger.is_sqlite:
                yield
                return
            number = int(digest([self.ledger.project_id, self.target.key])[:15], 16)
            with self.ledger.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                acquire = sa.text("SELECT pg_try_advisory_lock(:number)")
                if not connection.execute(acquire, {"number": number}).scalar():
                    raise ConflictError(
                        "another machine is sending to MLflow", "one sender", "wait until it ends"
                    )
                try:
                    yield
                finally:
                    release = sa.text("SELECT pg_advisory_unlock(:number)")
                    connection.execute(release, {"number": number})
