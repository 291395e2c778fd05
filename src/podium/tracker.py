"""HyperparamTracker: log runs from any script, ask for the best; podium's record underneath."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from podium.config import Config, find_root, load
from podium.errors import ConflictError, NotFoundError, PodiumError, Problems, UsageError
from podium.files import full_disk_explained, rerooted, write_atomic
from podium.hashing import json_text
from podium.ledger import runs
from podium.ledger.record_reader import RecordReader
from podium.ledger.sweep_file import FILE, behind, is_news
from podium.record import Record, finite, lower_is_better
from podium.render.sweep import sweep_markdown
from podium.reporting import number_of

if TYPE_CHECKING:
    import pandas as pd

    from podium.steps.workspace.project import Project
    from podium.study import Study

METRIC = "val_pct_mae"
# Rewriting the file may take one part in this many of a program's time.
SHARE = 20
# Processes cannot both make a project, but threads share a process's names for half-made files.
_MAKING = threading.Lock()


class HyperparamTracker:
    """Every run of a project: those logged here, those podium trained, those imported.

    Parameters
    ----------
    path : path
        A ``.json`` file: the project round it, which has its runs in ``hyperparams/
        sweep_results.json``. Where there is no project, the first run makes one: above the file
        when it lies in a folder ``hyperparams``, else beside it. An existing file is imported.
        A folder: the project in it or above it.

    Raises
    ------
    UsageError
        The path is neither.
    NotFoundError
        The folder is in no project.
    DataError
        The file is damaged, and there is no project yet; in a project that is a warning.

    Notes
    -----
    Threads and processes may log at once. A run is on the disk when ``log_run`` returns; the JSON
    file follows (at the latest when the program ends) and costs at most a twentieth of its time.
    ``git_commit`` is that of the first run this object logs.

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
        # Runs when the object is gone, and at the latest at the interpreter's exit.
        self._end = weakref.finalize(self, self._log.close)
        self._take_in()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes get a tracker of their own on the same project.
        return (HyperparamTracker, (str(self.path),))

    def __repr__(self) -> str:
        return f"HyperparamTracker({str(self.path)!r})"

    def close(self) -> None:
        """Bring the JSON file up to date and let the record go; a later call opens it again."""
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
        """Keep a finished run; returns its id once it is on the disk.

        Parameters
        ----------
        model_name : str
        hyperparams : mapping
            JSON-able values; anything else is kept as its text.
        metrics : mapping of str to float
            Numbers, also of numpy or torch; NaN and infinities are kept and never win.
        checkpoint_path : path, optional
            Relative to the present folder.
        training_time_seconds : float, optional
        notes : str

        Returns
        -------
        str
            ``<model>_<YYYYMMDD>_<HHMMSS>`` in UTC, with ``-2``, ``-3`` when taken.

        Raises
        ------
        UsageError
            With everything that cannot be kept.
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
        """Every complete run, oldest first, as the record has them now."""
        reader = self._door()
        return [] if reader is None else _openable(reader, runs.runs(reader))

    def get_best_model(
        self, metric: str = METRIC, model_name: str | None = None, minimize: bool | None = None
    ) -> Record | None:
        """The best run by a metric, or None; NaN, infinite and missing values never win.

        Parameters
        ----------
        metric : str
        model_name : str, optional
            Only runs of this model.
        minimize : bool, optional
            Default: what ``[metrics]`` of podium.toml declares, else what the name says.

        Raises
        ------
        UsageError
            Nothing says which way the metric is better.
        """
        return next(iter(self.get_top_k_models(1, metric, model_name, minimize)), None)

    def get_top_k_models(
        self,
        k: int = 5,
        metric: str = METRIC,
        model_name: str | None = None,
        minimize: bool | None = None,
    ) -> list[Record]:
        """The best runs by a metric, best first, at most ``k``; see :meth:`get_best_model`."""
        if k < 0:
            raise UsageError(f"k is {k}", "how many runs, at least 0")
        lower = lower_is_better(metric, self._declared(), minimize)
        reader = self._door()
        if reader is None:
            return []
        names = None if model_name is None else [model_name]
        return _openable(reader, runs.top(reader, metric, k, minimize=lower, model_names=names))

    def compare_models(
        self,
        metrics: Sequence[str] | None = None,
        model_names: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """A row a run: ``run_id``, ``model_name`` and the metrics, best by the first one first.

        Parameters
        ----------
        metrics : sequence of str, optional
            Default: every metric any of these runs has. What a run lacks is NaN.
        model_names : sequence of str, optional
            Only runs of these models.
        """
        import pandas as pd

        metrics = [metrics] if isinstance(metrics, str) else metrics
        model_names = [model_names] if isinstance(model_names, str) else model_names
        reader = self._door()
        if metrics is None:
            found = [] if reader is None else runs.runs(reader, model_names)
            metrics = sorted({name for run in found for name in run.metrics}, key=_usual)
        wanted = list(dict.fromkeys(metrics))
        rows = [] if reader is None else runs.table(reader, wanted, model_names)
        if wanted:
            rows = _sorted(rows, wanted[0], self._declared())
        return pd.DataFrame(rows, columns=["run_id", "model_name", *wanted])

    def get_hyperparameter_impact(
        self, model_name: str, hyperparam: str, metric: str = METRIC
    ) -> pd.DataFrame:
        """``run_id``, the hyperparameter and the metric of a model's runs, sorted by the former."""
        import pandas as pd

        reader = self._door()
        rows = [] if reader is None else runs.impact(reader, model_name, hyperparam, metric)
        return pd.DataFrame(rows, columns=["run_id", hyperparam, metric])

    def generate_report(self, path: str | os.PathLike[str] | None = None) -> str:
        """Report in Markdown: the best run of each model; also written to ``path`` when given."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = sweep_markdown(self.runs, metric=METRIC, declared=self._declared(), generated=moment)
        if path is not None:
            target = Path(path)
            with full_disk_explained(target):
                write_atomic(target, text)
        return text

    def _find(self) -> Config | None:
        """Config of the project; None while there is none."""
        if self._config is None:
            try:
                self._config = load(find_root(self.path.parent))
            except NotFoundError:
                return None
        return self._config

    def _declared(self) -> Mapping[str, str]:
        config = self._find()
        return {} if config is None else config.metrics

    def _door(self) -> RecordReader | None:
        """Reads of the record; None while there is none."""
        config = self._find()
        if config is None:
            return None
        reader = RecordReader(config.ledger.url, config.root, config.project.id)
        return reader if reader.exists else None

    def _make(self) -> Config:
        """A project for the file, made by this process or by another one at the same moment."""
        from podium.steps.archive.init import init

        folder = self.path.parent
        root = folder.parent if folder.name == FILE.parent.name else folder
        # Another process may make it first.
        with _MAKING, suppress(ConflictError):
            init(root)
            _say(
                f"made a project in {root}: runs are kept in its record, podium.db, and written to "
                f"{root / FILE}"
            )
        self._config = load(root)
        return self._config

    def _take_in(self) -> None:
        """Bring record and files together where one is ahead, before anything is answered."""
        config = self._find()
        if config is None:
            if not self.path.is_file():
                # Nothing to tell, and looking makes no project.
                return
            from podium.importers import sweep_results

            # What is damaged stops here, before anything is made.
            sweep_results.read(self.path)
            config = self._make()
        reader = RecordReader(config.ledger.url, config.root, config.project.id)
        own = self.path.resolve() == (config.root / FILE).resolve()
        is_other = self.path.is_file() and not own and is_news(reader, self.path)
        if is_other or behind(reader):
            self._log.take_in(config, self.path if is_other else None)


class _TrackerLog:
    """The writing side: the record, opened at the first run, and the file that follows it."""

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

        with self._mine():
            project = self._open(config)
            ledger, environment = project.ledger, project.environment
            with full_disk_explained(project.root), ledger.transaction(durable=True) as tx:
                if self._study is None:
                    question = {"tracker": FILE.as_posix()}
                    self._study = writes.put_study(ledger, tx, config.root_slot, question)
                [(written, _)] = foreign.put_records(
                    ledger,
                    tx,
                    self._study,
                    [record],
                    origin=foreign.TRACKER,
                    environment_hash=environment,
                )
            self._rewrite(project)
        return written.run_id

    def take_in(self, config: Config, path: Path | None = None) -> None:
        """Bring what files say into the record: the project's own, and another one."""
        from podium.ledger.projections import sweep_results

        with self._mine():
            project = self._open(config)
            if path is not None:
                count = sweep_results.take_in(
                    project.ledger, project.root, path, slot=config.root_slot, say=_say
                )
                _say(
                    f"imported from {path}: {sweep_results.counted(count)}; the project's runs "
                    f"are written to {project.root / FILE}, not to that file"
                )
            self.close()

    def close(self) -> None:
        """Update the files and let the record go."""
        with self._mine():
            project, self._project, self._study = self._project, None, None
            if project is not None:
                project.__exit__(None, None, None)

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """Be the only thread at work; a forked process starts anew."""
        if os.getpid() != self._process:
            # The parent's connection is not to be used here, nor to be closed; nor may this wait
            # for threads that only the parent has.
            if self._project is not None:
                self._inherited.append(self._project)
            self._project = self._study = None
            self._lock, self._process = threading.RLock(), os.getpid()
        with self._lock:
            yield

    def _open(self, config: Config) -> Project:
        if self._project is None:
            # The second is for the end: an interpreter that is leaving cannot import everything.
            from podium.steps.workspace import user_files  # noqa: F401
            from podium.steps.workspace.project import Stderr
            from podium.steps.workspace.session import open_project

            project = open_project(config.root, reporter=Stderr())
            # Opened here: what goes wrong leaves nothing half open.
            _ = project.ledger
            self._project = project
        return self._project

    def _rewrite(self, project: Project) -> None:
        """Update the file, if that was not done just now."""
        from podium.ledger.projections import sweep_results

        started = time.monotonic()
        if started < self._rewrite_from:
            return
        try:
            sweep_results.write(
                project.ledger, project.root, slot=project.config.root_slot, say=_say, wait=False
            )
        except PodiumError as error:
            # The run is in the record; it is the file that has to wait. Said once: the next run
            # would only say it again.
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
    """A run as it is kept, or every reason why it cannot be."""
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
    # Imported here: asking for the best run needs no database library.
    from podium.ledger.ledger import now

    return Record("", model_name, now(), config, values, None, took, str(notes or ""))


def _inside(root: Path, checkpoint: str | os.PathLike[str]) -> str:
    """A path as the record keeps it: relative to the project where it is inside, else absolute."""
    text = os.fspath(checkpoint)
    if "://" in text:
        return text
    path = Path(os.path.abspath(text))  # noqa: PTH100 - links are kept as they were given
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _openable(reader: RecordReader, found: list[Record]) -> list[Record]:
    """Runs whose checkpoint can be opened from anywhere, where the project has it."""

    def path(told: str) -> str:
        try:
            if Path(told).is_absolute() and Path(told).exists():
                return told
            inside = rerooted(told, reader.root)
            return str(inside) if inside.exists() else told
        except OSError:
            # No name that a file could have.
            return told

    return [
        replace(run, checkpoint_path=path(run.checkpoint_path)) if run.checkpoint_path else run
        for run in found
    ]


def _sorted(
    rows: list[dict[str, Any]], metric: str, declared: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Best first, what cannot win last; as they were where nobody knows which way is better."""
    try:
        sign = 1 if lower_is_better(metric, declared) else -1
    except UsageError:
        return rows

    def order(row: dict[str, Any]) -> float:
        value: float = row[metric]
        return sign * value if finite(value) else math.inf

    return sorted(rows, key=order)


def _usual(metric: str) -> tuple[int, str]:
    """Order of columns: the usual metric, validation, test, the rest."""
    parts = (METRIC, "val_", "test_", "")
    return next(n for n, part in enumerate(parts) if metric.startswith(part)), metric
