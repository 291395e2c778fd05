"""An opened project: its config, its record, its artefact store, its locks."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from shlex import quote
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol, Self

from podium import config as configuration
from podium import registry, sections
from podium.config import Config, without_password
from podium.errors import MissingExtraError, UsageError
from podium.files import full_disk_explained, lock, watch_writes
from podium.ledger import champions
from podium.ledger.record_reader import RecordReader
from podium.runners._limits import TrialLimits
from podium.steps.workspace.activity import Activity, lock_of
from podium.steps.workspace.environment import capture
from podium.steps.workspace.log import Log, is_failure
from podium.steps.workspace.stop import StopRequest

if TYPE_CHECKING:
    # They import SQLAlchemy and the metrics, which takes longer than many commands.
    from podium.ledger.ledger import Ledger
    from podium.runners._base import Runner

# Seconds to wait for a lock: a process that only tests a lock holds it for a moment.
LOCK_SECONDS = 0.2


class Reporter(Protocol):
    """Receives the messages and the progress of steps; the default one drops them."""

    def say(self, text: str) -> None:
        """Receive a message of one sentence."""

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """Receive the progress: ``done`` of ``total`` units of work are finished."""


class Silent:
    """Reporter that drops everything."""

    def say(self, text: str) -> None:
        """Drop it."""

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """Drop it."""


class Stderr(Silent):
    """Reporter of other programs: messages on stderr, no progress."""

    def say(self, text: str) -> None:
        """Print one line."""
        sys.stderr.write(f"podium: {text}\n")


class Logged:
    """Passes messages and progress to another reporter and to the log of the command."""

    def __init__(self, inner: Reporter, log: Log) -> None:
        self.inner, self.log = inner, log

    def say(self, text: str) -> None:
        """Log the message and pass it on."""
        self.log.message(text)
        self.inner.say(text)

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """Log the progress and pass it on."""
        self.log.progress(label, done, total, note)
        self.inner.progress(label, done, total, note)

    def begins(self, label: str, total: int) -> None:
        """Pass the beginning of work to a reporter that shows it."""
        begins = getattr(self.inner, "begins", None)
        if begins is not None:
            begins(label, total)


class ProjectListener(Protocol):
    """Hooks and projections of an opened project."""

    def record_opens(self, project: Project) -> Callable[[Ledger], Callable[[], None]] | None:
        """Called before the record is opened.

        Returns
        -------
        callable or None
            Called with the record once it is open; returns what is called at the project's end.
        """

    def failed(self, project: Project, error: BaseException) -> None:
        """Called where a verb on a slot ended with an error."""

    def record_changed(self, project: Project) -> None:
        """Called after every verb on a slot and when the project is closed."""


class Project:
    """A project's folder and what belongs to it; :func:`session.open_project` opens one for work.

    Parameters
    ----------
    root : Path
        Folder with podium.toml.
    settings : mapping, optional
        See :meth:`using`.
    reporter : Reporter, optional
        With a true attribute ``verbose`` it also receives the end of each trial; with a method
        ``begins(label, total)``, the beginning of work.
    listener : ProjectListener, optional
        Hooks and projections; none by default.
    """

    def __init__(
        self,
        root: Path,
        *,
        settings: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
        listener: ProjectListener | None = None,
    ) -> None:
        self.root = root.resolve()
        self._settings: dict[str, Any] = {}
        self.stop_request = StopRequest()
        # Whether failed trials are trained again, and the ones that this step has trained again.
        self.retry_failed = False
        self.retried: set[str] = set()
        self.config: Config = self._configured(settings or {})
        inner = reporter or Silent()
        # A log begins once the lock of a slot is held.
        self.log = Log(self.state, inner.say, inner.say if _is_verbose(inner) else None)
        self.reporter: Reporter = Logged(inner, self.log)
        self._listener = listener
        # Whether changes are sent to MLflow and users' files; off in steps that send themselves or
        # only read.
        self.feeds = listener is not None
        # Folder of the curves of running trials while they are sent; else empty.
        self.live_to = ""
        self._activities: list[Activity] = []
        self._scripts = set[str]()
        self._verb = ""
        # Line after the answer of a command, about MLflow.
        self.closing_line = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Close the record and end the workers."""
        self.__exit__(None, None, None)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self._record_changed()
        finally:
            self._stack.close()

    def _record_changed(self) -> None:
        """Update MLflow and users' files after a change of the record."""
        if self._listener is not None and "ledger" in self.__dict__ and self.feeds:
            self._listener.record_changed(self)

    def _configured(self, settings: Mapping[str, Any]) -> Config:
        """Configuration with further settings."""
        keys = dict(settings)
        self.retry_failed = keys.pop("retry_failed", self.retry_failed)
        seconds = sections.seconds_of(keys.pop("max_time", None), "--max-time")
        # Any MLflow setting turns MLflow on.
        if any(key.startswith("mlflow.") for key in keys):
            keys.setdefault("mlflow.enabled", True)
        config = configuration.load(self.root, flags={**self._settings, **keys})
        self._settings |= keys
        if seconds is not None:
            self.stop_request.within(seconds)
        return config

    @contextmanager
    def using(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """Apply further settings within a ``with`` block.

        Parameters
        ----------
        settings : mapping
            Values by the dotted keys of podium.toml, such as ``{"tune.trials": 8}``; they precede
            the environment and podium.toml. Further keys: ``max_time``, seconds or a text such as
            ``"2h"`` after which no trial starts; ``retry_failed``, whether failed trials are
            trained again.

        Raises
        ------
        UsageError
            Every unknown key, wrong type and value out of bounds.
        """
        if not settings:
            yield
            return
        before = (self.config, self._settings, self.retry_failed, self.stop_request.deadline)
        moved = any(key.startswith("runner.") for key in settings)
        self._settings = dict(self._settings)
        try:
            self.config = self._configured(settings)
            if moved:
                self._forget_runner()
            yield
        finally:
            self.config, self._settings, self.retry_failed, self.stop_request.deadline = before
            if moved:
                self._forget_runner()

    def overrides(self, *keys: str) -> bool:
        """Whether a flag or a keyword of this verb overrides one of these settings."""
        return any(self.config.origins.get(key) == "flag" for key in keys)

    def _forget_runner(self) -> None:
        """Drop the runner; the next use starts another one."""
        runner = self.__dict__.pop("runner", None)
        if runner is not None:
            runner.close()
        for name in ("devices", "environment"):
            self.__dict__.pop(name, None)

    @cached_property
    def ledger(self) -> Ledger:
        """The record, opened on first use."""
        from podium.ledger.ledger import Ledger

        section = self.config.project
        start = self._listener.record_opens(self) if self._listener and self.feeds else None
        with full_disk_explained(self.root):
            ledger = Ledger(
                self.config.ledger.url,
                self.root,
                section.id,
                section.name,
                self._require_no_remains,
            )
        self._stack.callback(ledger.close)
        if start is not None:
            self._stack.callback(start(ledger))
        if self.config.origins["mlflow.run_name"] == "flag":
            ledger.run_name = self.config.mlflow.run_name
        ledger.verb = self._verb
        return ledger

    def _require_no_remains(self) -> None:
        """Refuse to begin a record beside champions or artefacts of a lost one."""
        left = champions.remains(self.root, self.config.paths.registry)
        if left:
            raise champions.lost(without_password(self.config.ledger.url), left)

    @property
    def reader(self) -> RecordReader:
        """Read access to the record without SQLAlchemy."""
        return RecordReader(self.config.ledger.url, self.root, self.config.project.id)

    @cached_property
    def runner(self) -> Runner:
        """Runner of trials, started on first use."""
        section = self.config.runner
        jobs = section.jobs or len(os.sched_getaffinity(0))
        runner: Runner = registry.load("runners", section.name).RUNNER(jobs)
        runner.limits = TrialLimits(section.max_seconds, sections.size_of(section.max_memory))
        runner.devices = self.devices
        if (runner.limits or runner.devices) and not runner.enforces:
            raise UsageError(
                f"the runner '{section.name}' supports neither limits of a trial nor devices "
                "(runner.max_seconds, runner.max_memory, runner.device)",
                "a runner with workers",
                'set runner.name = "local", or leave these out',
            )
        if runner.devices and len(runner.devices) < jobs:
            self.reporter.say(
                f"{len(runner.devices)} trials at the same time: one on each of {self.places}"
            )

        def halted() -> bool:
            self.tell(running=runner.busy())
            return self.stop_request.asked

        runner.halted = halted
        self._stack.callback(runner.close)
        return runner

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Devices that trials are trained on, one worker each; empty for the CPU.

        Raises
        ------
        UsageError
            The machine lacks a device.
        MissingExtraError
            torch is not installed.
        """
        name = self.config.runner.device
        if name == "cpu":
            return ()
        try:
            from podium.families._torch import devices_of
        except ImportError:
            raise MissingExtraError(
                f"runner.device is '{name}', and torch is not installed",
                fix="pip install 'podium[torch]', or leave it out",
            ) from None
        devices = devices_of(name)
        return () if devices == ("cpu",) else devices

    @property
    def places(self) -> str:
        """Names of the devices, for messages and the record."""
        return ", ".join(self.devices) or "cpu"

    def tell(self, slot: str = "", **facts: Any) -> None:
        """Publish facts of the step on a slot, for ``podium status``."""
        for activity in self._activities:
            if activity.slot == slot or not slot:
                activity.tell(**facts)

    def add_scripts(self, names: Iterable[str]) -> None:
        """Add files of the project that trials run, whose changes are recorded."""
        self._scripts |= {*names}
        self.__dict__.pop("environment", None)

    @cached_property
    def environment(self) -> str:
        """Hash of the environment: code state, packages and machine."""
        from podium.ledger import writes

        facts = capture(self.root, device=self.places, scripts=self._scripts)
        return self.ledger.write(writes.put_environment, facts)

    @property
    def store(self) -> Path:
        """Folder of artefacts by their hash."""
        return self.root / self.config.paths.registry

    def shown(self, path: Path) -> str:
        """A path relative to the project, with slashes."""
        return path.relative_to(self.root).as_posix()

    @property
    def state(self) -> Path:
        """Folder ``.podium``: locks, logs, unfinished artefacts, caches."""
        return self.root / ".podium"

    @property
    def paused(self) -> Path:
        """Folder with the states of paused trials, one folder each."""
        return self.state / "work" / "paused"

    @property
    def actor(self) -> str:
        """Name for decisions and notes: ``PODIUM_ACTOR``, else the login name."""
        try:
            return os.environ.get("PODIUM_ACTOR") or getpass.getuser()
        except (KeyError, OSError):
            return f"uid-{os.getuid()}"

    def default_slot(self, name: str | None) -> str:
        """The named slot, else the default one, else the only one.

        Raises
        ------
        UsageError
            No slot is named, and there are several without a default.
        NotFoundError
            There is no such slot.
        """
        slots = list(self.config.slots)
        if name is None:
            name = self.config.project.default_slot or (slots[0] if len(slots) == 1 else None)
        if not slots:
            raise UsageError(
                f"{self.root / configuration.FILE} declares no slot",
                fix='add a [datasets.NAME] and a [slots."NAME"] table: docs/config.md shows how',
            )
        if name is None:
            raise UsageError(f"{len(slots)} slots and no default", "a slot: " + ", ".join(slots))
        self.config.slot(name)
        return name

    @contextmanager
    def locked(self, slot: str, verb: str, patience: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold the lock of a slot; do nothing where the same thread holds it already.

        Raises
        ------
        ConflictError
            Another process or thread works on the slot.
        """
        if any(one.slot == slot and one.thread == get_ident() for one in self._activities):
            yield
            return
        path = lock_of(self.state, slot)
        activity = Activity(self.state, slot, verb, self.stop_request)
        with (
            self.logged(verb),
            full_disk_explained(self.root),
            lock(path, f"podium {verb} for {slot}", patience=patience),
            activity.running(),
        ):
            if not self.log.verb:
                self.log.begin(self._verb, self.config, self.actor)
            self.log.enter(slot)
            self._activities.append(activity)
            try:
                yield
            finally:
                self._activities.remove(activity)
                if not self._activities:
                    self.stop_request.forget()

    @contextmanager
    def logged(self, verb: str) -> Iterator[None]:
        """Log a verb, run the hook on failure, update users' files; do nothing inside a verb.

        The log begins once the lock of a slot is held.
        """
        if self._verb:
            yield
            return
        self._set_verb(verb)
        self.log.verb, self.log.id, self.retried = "", "", set()
        outcome: BaseException | None = None
        try:
            with watch_writes(self.log.wrote):
                try:
                    yield
                except BaseException as error:
                    if self._listener is not None and self.log.verb and is_failure(error):
                        self._listener.failed(self, error)
                    raise
                finally:
                    self._record_changed()
        except BaseException as error:
            outcome = error
            if self.log.id:
                error.add_note(self.log_hint)
            raise
        finally:
            self._set_verb("")
            self.log.end(outcome)

    def _set_verb(self, verb: str) -> None:
        """Set the verb that runs, which the record stores with the trials."""
        self._verb = verb
        if "ledger" in self.__dict__:
            self.ledger.verb = verb

    @property
    def log_hint(self) -> str:
        """Command that prints the newest log."""
        here = Path.cwd()
        where = "" if here.is_relative_to(self.root) else f" --project {quote(_shown(self.root))}"
        return f"log: podium logs {self.log.id}{where}"


def _shown(path: Path) -> str:
    """A folder relative to the working directory where it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _is_verbose(reporter: Reporter) -> bool:
    return bool(getattr(reporter, "verbose", False))
