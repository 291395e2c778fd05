"""HyperparamTracker: logs runs of any script into podium's record and returns the best ones."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from podium.config import Config, find_root, load
from podium.errors import ConflictError, NotFoundError, PodiumError, Problems, UsageError
from podium.files import full_disk_explained, write_atomic
from podium.hashing import json_text
from podium.ledger import run_ranking, runs
from podium.ledger.record_reader import RecordReader
from podium.ledger.runs import Among
from podium.ledger.sweep_file import FILE, has_new_content, is_stale
from podium.record import Record, finite, lower_is_better
from podium.render.sweep import sweep_markdown
from podium.reporting import number_of

if TYPE_CHECKING:
    import pandas as pd

    from podium.steps.workspace.project import Project
    from podium.study import Study

METRIC = "val_pct_mae"
# Rewriting the file takes at most 1/SHARE of a program's time.
SHARE = 20
# Processes exclude each other, but threads share a process's names of temporary files.
_MAKING = threading.Lock()


class HyperparamTracker:
    """All runs of a project: logged by trackers, trained by podium, or imported.

    Parameters
    ----------
    path : path
        A ``.json`` file: the project that contains it, which writes its runs to ``hyperparams/
        sweep_results.json``. If there is no project, the first run makes one: above the file if its
        folder is ``hyperparams``, else in the file's folder. An existing file is imported.
        A folder: the project in it or above it.

    Raises
    ------
    UsageError
        The path is neither.
    NotFoundError
        The folder is in no project.
    DataError
        The file is damaged and there is no project yet; in a project this is a warning.

    Notes
    -----
    Threads and processes may log at the same time. A run is on the disk when ``log_run`` returns;
    the JSON file is updated later, at the latest when the program ends, and takes at most a
    twentieth of the program's time. ``git_commit`` is that of the first run this object logs.

    Examples
    --------
    >>> import tempfile
    >>> with HyperparamTracker(tempfile.mkdtemp() + "/sweep.json") as tracker:
    ...     run_id = tracker.log_run("toto", {"patch_size": 32}, {"val_pct_mae": 0.72})
    ...     tracker.get_best_model().hyperparams
    {'patch_size': 32}
    """

    def __init__(self, path: str | os.PathLike[str] = FILE) -> None:
        self.path = Path(path).absolute()
        self._config: Config | None = None
        if self.path.is_dir():
            self._config = load(find_root(self.path))
        elif self.path.suffix != ".json":
            raise UsageError(
                f"the tracker's path is '{path}'",
                "a .json file such as hyperparams/sweep_results.json, or a project's folder",
            )
        self._log = _TrackerLog()
        # Runs when the object is collected, at the latest at the interpreter's exit.
        self._end = weakref.finalize(self, self._log.close)
        self._import_files()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes open a new tracker on the same project.
        return (HyperparamTracker, (str(self.path),))

    def __repr__(self) -> str:
        return f"HyperparamTracker({str(self.path)!r})"

    def close(self) -> None:
        """Update the JSON file and close the record; a later call opens it again."""
        self._log.close()

    def log_run(
        self,
        model_name: str,
        hyperparams: Mapping[str, Any],
        metrics: Mapping[str, float],
        checkpoint_path: str | os.PathLike[str] | None = None,
        training_time_seconds: float | None = None,
        notes: str = "",
    ) -> str:
        """Log a finished run; returns its id once the run is on the disk.

        Parameters
        ----------
        model_name : str
        hyperparams : mapping
            JSON values; other values are stored as text.
        metrics : mapping of str to float
            Numbers, also of numpy or torch; NaN and infinities are stored and never win.
        checkpoint_path : path, optional
            Relative to the current folder.
        training_time_seconds : float, optional
        notes : str

        Returns
        -------
        str
            ``<model>_<YYYYMMDD>_<HHMMSS>`` in UTC, with ``-2``, ``-3`` if taken.

        Raises
        ------
        UsageError
            Lists all invalid values.
        DataError
            The record cannot be written.
        """
        record = _record(model_name, hyperparams, metrics, training_time_seconds, notes)
        config = self._find() or self._make()
        if checkpoint_path is not None:
            record = replace(record, checkpoint_path=_inside(config.root, checkpoint_path))
        return self._log.put(config, record)

    @property
    def runs(self) -> list[Record]:
        """All complete runs currently on record, oldest first."""
        reader = self._reader()
        return [] if reader is None else self._completed(reader, runs.runs(reader))

    def get_best_model(
        self,
        metric: str = METRIC,
        model_name: str | None = None,
        minimize: bool | None = None,
        *,
        slot: str | None = None,
    ) -> Record | None:
        """The best run by a metric, or None; NaN, infinite and missing values never win.

        Parameters
        ----------
        metric : str
        model_name : str, optional
            Only runs of this model.
        minimize : bool, optional
            Default: the direction declared in ``[metrics]`` of podium.toml or in the metric's
            file, else the one implied by the name.
        slot : str, optional
            Only runs of this slot.

        Raises
        ------
        UsageError
            The better direction of the metric is unknown, or the runs are of several slots.
        NotFoundError
            There is no such slot.

        Warns
        -----
        UserWarning
            Runs with other data, task or split than the newest one are left out.
        """
        return next(iter(self._top(1, metric, model_name, minimize, slot)), None)

    def get_top_k_models(
        self,
        k: int = 5,
        metric: str = METRIC,
        model_name: str | None = None,
        minimize: bool | None = None,
        *,
        slot: str | None = None,
    ) -> list[Record]:
        """The ``k`` best runs by a metric, best first; see :meth:`get_best_model`."""
        if k < 0:
            raise UsageError(f"k is {k}", "a number of runs, at least 0")
        return self._top(k, metric, model_name, minimize, slot)

    def _top(
        self,
        k: int,
        metric: str,
        model_name: str | None,
        minimize: bool | None,
        slot: str | None,
    ) -> list[Record]:
        lower = run_ranking.is_lower_better(metric, self._declared(), minimize)
        reader = self._reader()
        if reader is None:
            return []
        names = None if model_name is None else [model_name]
        among = self._comparable(reader, metric, slot, names)
        return run_ranking.best_runs(
            reader, self._project_config(), metric, k, lower=lower, models=names, among=among
        )

    def compare_models(
        self,
        metrics: Sequence[str] | None = None,
        model_names: Sequence[str] | None = None,
        *,
        slot: str | None = None,
    ) -> pd.DataFrame:
        """One row per run: ``run_id``, ``model_name`` and metrics; best by the first metric first.

        Parameters
        ----------
        metrics : sequence of str, optional
            Default: every metric of these runs. Missing values are NaN.
        model_names : sequence of str, optional
            Only runs of these models.
        slot : str, optional
            Only runs of this slot; runs of several slots are refused without it.
        """
        import pandas as pd

        metrics = [metrics] if isinstance(metrics, str) else metrics
        model_names = [model_names] if isinstance(model_names, str) else model_names
        reader = self._reader()
        among = runs.ALL
        if reader is not None:
            among = self._comparable(reader, "", slot, model_names)
        if metrics is None:
            records = [] if reader is None else runs.runs(reader, model_names, among)
            metrics = sorted({name for run in records for name in run.metrics}, key=_usual)
        names = list(dict.fromkeys(metrics))
        rows = [] if reader is None else runs.table(reader, names, model_names, among)
        if names:
            rows = _sorted(rows, names[0], self._declared())
        return pd.DataFrame(rows, columns=["run_id", "model_name", *names])

    def get_hyperparameter_impact(
        self,
        model_name: str,
        hyperparam: str,
        metric: str = METRIC,
        *,
        slot: str | None = None,
    ) -> pd.DataFrame:
        """``run_id``, hyperparameter and metric of a model's runs, sorted by the hyperparameter.

        Runs of several slots are refused without ``slot``.
        """
        import pandas as pd

        reader, rows = self._reader(), list[dict[str, Any]]()
        if reader is not None:
            among = self._comparable(reader, metric, slot, [model_name])
            rows = runs.impact(reader, model_name, hyperparam, metric, among)
        return pd.DataFrame(rows, columns=["run_id", hyperparam, metric])

    def generate_report(
        self, path: str | os.PathLike[str] | None = None, *, slot: str | None = None
    ) -> str:
        """Report in Markdown with the best run of each model; also written to ``path`` if given.

        Runs of several slots are refused without ``slot``.
        """
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        reader, records = self._reader(), list[Record]()
        if reader is not None:
            among = self._comparable(reader, "", slot, None)
            records = self._completed(reader, runs.runs(reader, among=among))
        text = sweep_markdown(records, metric=METRIC, declared=self._declared(), generated=moment)
        if path is not None:
            target = Path(path)
            with full_disk_explained(target):
                write_atomic(target, text)
        return text

    def _comparable(
        self, reader: RecordReader, metric: str, slot: str | None, models: Sequence[str] | None
    ) -> Among:
        """Condition of the runs that can be ranked together; several slots are refused."""
        if slot is not None and self._config is not None:
            self._config.slot(slot)
        among, slots, others = runs.comparable(reader, metric, slot=slot, model_names=models)
        if slots:
            raise UsageError(
                f"the runs are of {len(slots)} slots with other data or tasks: {', '.join(slots)}",
                "runs of one slot",
                f"add slot={slots[0]!r}",
            )
        if others:
            message = f"{others} runs on other data, task or split than the newest run are left out"
            warnings.warn(message, stacklevel=4)
        return among

    def _completed(self, reader: RecordReader, records: list[Record]) -> list[Record]:
        """Runs with the file of their model, as far as known."""
        return run_ranking.completed(reader, self._project_config(), records)

    def _project_config(self) -> Config:
        """Config of the project of a reader."""
        config = self._find()
        assert config is not None
        return config

    def _find(self) -> Config | None:
        """Config of the project, or None if there is none yet."""
        if self._config is None:
            try:
                self._config = load(find_root(self.path.parent))
            except NotFoundError:
                return None
        return self._config

    def _declared(self) -> Mapping[str, str]:
        config = self._find()
        return {} if config is None else config.metrics

    def _reader(self) -> RecordReader | None:
        """Reader of the record, or None if there is none yet."""
        config = self._find()
        if config is None:
            return None
        reader = RecordReader(config.ledger.url, config.root, config.project.id)
        return reader if reader.exists else None

    def _make(self) -> Config:
        """Make a project for the file, unless another process makes it at the same moment."""
        from podium.steps.archive.init import init

        folder = self.path.parent
        root = folder.parent if folder.name == FILE.parent.name else folder
        # Another process may make it first.
        with _MAKING, suppress(ConflictError):
            init(root)
            _say(
                f"made a project in {root}: runs are stored in its record, podium.db, and written "
                f"to {root / FILE}"
            )
        self._config = load(root)
        return self._config

    def _import_files(self) -> None:
        """Synchronise record and files if they differ."""
        config = self._find()
        if config is None:
            if not self.path.is_file():
                # Reading makes no project.
                return
            from podium.importers import sweep_results

            # A damaged file raises here, before a project is made.
            sweep_results.read(self.path)
            config = self._make()
        reader = RecordReader(config.ledger.url, config.root, config.project.id)
        own = self.path.resolve() == (config.root / FILE).resolve()
        is_other = self.path.is_file() and not own and has_new_content(reader, self.path)
        if is_other or is_stale(reader):
            self._log.import_files(config, self.path if is_other else None)


class _TrackerLog:
    """Writer of a tracker: opens the record at the first run, and updates the file after it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._project: Project | None = None
        self._study: Study | None = None
        self._inherited: list[Project] = []
        self._rewrite_from = 0.0
        self._warned: set[str] = set()

    def put(self, config: Config, record: Record) -> str:
        """Write a run; returns its id once it is on the disk."""
        from podium.ledger import foreign, writes

        with self._exclusive():
            project = self._open(config)
            ledger, environment = project.ledger, project.environment
            with full_disk_explained(project.root), ledger.transaction(durable=True) as tx:
                if self._study is None:
                    question = {"tracker": FILE.as_posix()}
                    self._study = writes.put_study(tx, config.root_slot, question)
                [(written, _)] = foreign.put_records(
                    tx, self._study, [record], origin=foreign.TRACKER, environment_hash=environment
                )
            self._rewrite(project)
        return written.run_id

    def import_files(self, config: Config, path: Path | None = None) -> None:
        """Import the project's own file, and another one, into the record."""
        from podium.ledger.projections import sweep_results

        with self._exclusive():
            project = self._open(config)
            if path is not None:
                count = sweep_results.import_file(
                    project.ledger, project.root, path, slot=config.root_slot, say=_say
                )
                _say(
                    f"imported from {path}: {sweep_results.counted(count)}; the project's runs "
                    f"are written to {project.root / FILE}, not to the imported file"
                )
            self.close()

    def close(self) -> None:
        """Update the files and close the record."""
        with self._exclusive():
            project, self._project, self._study = self._project, None, None
            if project is not None:
                project.__exit__(None, None, None)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the lock of this process; a forked process starts with new state."""
        if os.getpid() != self._process:
            # A fork must neither use nor close the parent's connection, nor wait for a lock held
            # by a thread of the parent.
            if self._project is not None:
                self._inherited.append(self._project)
            self._project = self._study = None
            self._lock, self._process = threading.RLock(), os.getpid()
        with self._lock:
            yield

    def _open(self, config: Config) -> Project:
        if self._project is None:
            # user_files is imported for close(): an exiting interpreter cannot import everything.
            from podium.steps.workspace import user_files  # noqa: F401
            from podium.steps.workspace.project import Stderr
            from podium.steps.workspace.session import open_project

            project = open_project(config.root, reporter=Stderr())
            # The ledger is opened before the project is kept, so an error leaves nothing half open.
            _ = project.ledger
            self._project = project
        return self._project

    def _rewrite(self, project: Project) -> None:
        """Update the file, unless its share of the time is used up."""
        from podium.ledger.projections import sweep_results

        started = time.monotonic()
        if started < self._rewrite_from:
            return
        try:
            sweep_results.write(
                project.ledger, project.root, slot=project.config.root_slot, say=_say, wait=False
            )
        except PodiumError as error:
            # The run is in the record, only the file is late. Each message is shown once.
            if str(error) not in self._warned:
                _say(f"warning: {FILE} was not updated: {error}")
            self._warned.add(str(error))
        ended = time.monotonic()
        self._rewrite_from = ended + SHARE * (ended - started)


def _say(text: str) -> None:
    sys.stderr.write(f"podium: {text}\n")


def _record(
    model_name: str,
    hyperparams: Mapping[str, Any],
    metrics: Mapping[str, float],
    seconds: float | None,
    notes: str,
) -> Record:
    """Record of a logged run; raises one error with all problems."""
    problems = Problems()
    if not isinstance(model_name, str) or not model_name.strip() or not model_name.isprintable():
        problems.add(f"model_name is {model_name!r}", "a name such as 'toto'")
    config: dict[str, Any] = {}
    if isinstance(hyperparams, Mapping):
        config = {str(name): value for name, value in hyperparams.items()}
        try:
            json_text(config).encode()
        except (TypeError, ValueError, RecursionError) as error:
            problems.add(f"hyperparams cannot be written as JSON: {error}")
    else:
        problems.add(f"hyperparams is a {type(hyperparams).__name__}", "a dict")

    def number(what: str, value: Any, expected: str) -> float:
        try:
            return math.nan if value is None else number_of(value)
        except (TypeError, ValueError, OverflowError):
            problems.add(f"{what} is {value!r:.60}", expected)
            return math.nan

    values: dict[str, float] = {}
    if isinstance(metrics, Mapping):
        values = {str(n): number(f"metrics['{n}']", v, "a number") for n, v in metrics.items()}
    else:
        problems.add(f"metrics is a {type(metrics).__name__}", "a dict of numbers")
    took = None
    if seconds is not None:
        took = number("training_time_seconds", seconds, "seconds, or None")
    UsageError.raise_for(problems)
    # Imported late: reading the best run needs no database library.
    from podium.ledger.ledger import now

    return Record("", model_name, now(), config, values, None, took, str(notes or ""))


def _inside(root: Path, checkpoint: str | os.PathLike[str]) -> str:
    """Path as stored in the record: relative if inside the project, else absolute."""
    text = os.fspath(checkpoint)
    if "://" in text:
        return text
    path = Path(os.path.abspath(text))  # noqa: PTH100 - symbolic links are kept
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _sorted(
    rows: list[dict[str, Any]], metric: str, declared: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows sorted best first, non-finite values last; unsorted if no direction is known."""
    try:
        sign = 1 if lower_is_better(metric, declared) else -1
    except UsageError:
        return rows

    return sorted(rows, key=lambda row: sign * row[metric] if finite(row[metric]) else math.inf)


def _usual(metric: str) -> tuple[int, str]:
    """Sort key of columns: the default metric, validation, test, the rest."""
    parts = (METRIC, "val_", "test_", "")
    return next(n for n, part in enumerate(parts) if metric.startswith(part)), metric
