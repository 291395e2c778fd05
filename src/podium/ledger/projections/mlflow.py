"""The record in MLflow: a run round each study, one in it for each trial, sent in order.

Each item of the outbox is done in MLflow first and remembered in the record after that. A kill in
between leaves runs that the record does not know; they carry the trial's id as a tag and are found
again, so nothing is there twice. Only this file and its ``_mlflow_*`` neighbours import MLflow.
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
from podium.ledger.projections import _mlflow_compare, _mlflow_store
from podium.ledger.projections._mlflow_client import Experiment, MlflowStoppedError, environment
from podium.ledger.projections._mlflow_pass import Progress, RecordSource, SyncPass, remembered
from podium.ledger.projections._mlflow_registry import Registry
from podium.ledger.projections._mlflow_target import LOCK


@dataclass(frozen=True)
class Sent:
    """What one pass did.

    Parameters
    ----------
    sent : int
        Things that are in MLflow now.
    refused : sequence of str
        Things MLflow refused in this pass, each with its words.
    waiting : int
        Things it has not seen yet.
    stopped : str
        Why the pass ended before all was sent; empty when it did not.
    """

    sent: int
    refused: Sequence[str]
    waiting: int
    stopped: str = ""


@dataclass(frozen=True)
class SyncCheck:
    """How far MLflow is from the record.

    Parameters
    ----------
    waiting : int
        Things it has not seen yet.
    stuck : sequence of outbox.Stuck
        Things it refused.
    missing : sequence of str
        Studies and trials whose runs are gone from it.
    differing : mapping of str to sequence of str
        Candidates of which it tells something else than the record, and what, in words.
    runs : int
        Runs of this project that are there.
    """

    waiting: int
    stuck: Sequence[outbox.Stuck]
    missing: Sequence[str]
    differing: Mapping[str, Sequence[str]]
    runs: int


class Projection(RecordSource):
    """The record's way into one experiment of MLflow."""

    def stuck(self) -> list[outbox.Stuck]:
        """What MLflow refused so far."""
        return self.ledger.read(outbox.stuck, self.target.key)

    def drain(self, progress: Progress = lambda done, total: None) -> Sent:
        """Send what waits, in order, until all is there or MLflow takes nothing any more.

        Raises
        ------
        ConflictError
            Another process is sending.
        """
        return self._passed(lambda sync: sync.drain(progress))

    def retry(self) -> Sent:
        """Send again what was refused before, each on its own.

        Raises
        ------
        ConflictError
            Another process is sending.
        """
        return self._passed(lambda sync: sync.retry(self.stuck()))

    def repair(self, subject_ids: Sequence[str]) -> Sent:
        """Send studies and trials again whose runs are gone, under the names they had.

        Raises
        ------
        ConflictError
            Another process is sending.
        """
        return self._passed(lambda sync: sync.repair(subject_ids))

    def check(self) -> SyncCheck:
        """Compare MLflow with what the record believes to be there; changes nothing.

        Raises
        ------
        StoppedError
            MLflow does not answer.
        """
        known = self.ledger.read(remembered, self.target.key)
        with environment(self.target):
            experiment = Experiment(self.target, self.user, only_look=True)
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

    def mend(self) -> Sent:
        """Let MLflow tell of every candidate what the record says: tags, version, alias.

        Raises
        ------
        ConflictError
            Another process is sending.
        """
        return self._passed(lambda sync: sync.mend())

    def _passed(self, work: Callable[[SyncPass], Iterator[str]]) -> Sent:
        """One pass: what is yielded is a refusal in words, or empty for what went well."""
        sent, refused, stopped = 0, list[str](), ""
        with self._turn(), environment(self.target):
            try:
                sync = SyncPass(self)
                try:
                    for told in work(sync):
                        sent += not told
                        refused += [told] if told else []
                    sync.close_parents()
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
        """Be the only one that sends; on a server, among all machines."""
        with lock(self.root / LOCK, "podium, sending to MLflow"):
            if self.ledger.is_sqlite:
                yield
                return
            number = int(digest([self.ledger.project_id, self.target.key])[:15], 16)
            with self.ledger.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                asked = sa.text("SELECT pg_try_advisory_lock(:number)")
                if not connection.execute(asked, {"number": number}).scalar():
                    raise ConflictError(
                        "another machine is sending to MLflow", "one sender", "wait for it"
                    )
                try:
                    yield
                finally:
                    ended = sa.text("SELECT pg_advisory_unlock(:number)")
                    connection.execute(ended, {"number": number})
