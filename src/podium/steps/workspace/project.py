"""An opened project: its config, its record, its artefact store, its locks."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from shlex import quote
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol, Self

from podium import config as configuration
from podium import registry, sections
from podium.config import Config
from podium.errors import MissingExtraError, UsageError
from podium.files import full_disk_explained, lock, watch_writes
from podium.ledger.record_reader import RecordReader
from podium.runners._limits import TrialLimits
from podium.steps.workspace.activity import Activity, lock_of
from podium.steps.workspace.environment import capture
from podium.steps.workspace.log import Log, is_failure
from podium.steps.workspace.stop import StopRequest

if TYPE_CHECKING:
    # With them come SQLAlchemy and what judges forecasts, which cost more than many a command does.
    from podium.ledger.ledger import Ledger
    from podium.runners._base import Runner

# Whoever only asks whether a slot is locked holds its lock for a moment.
MOMENT = 0.2


class Reporter(Protocol):
    """Whoever wants to hear how a step goes; the default hears nothing."""

    def say(self, text: str) -> None:
        """One sentence about what happened."""

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """``done`` of ``total`` pieces of work are finished."""


class Silent:
    """Reporter that drops everything."""

    def say(self, text: str) -> None:
        """Drop it."""

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """Drop it."""


class Stderr(Silent):
    """Reporter of a program that is not podium's: news on stderr, no progress."""

    def say(self, text: str) -> None:
        """One line."""
        sys.stderr.write(f"podium: {text}\n")


class Logged:
    """Hands on what it hears, and puts it into the log of the command."""

    def __init__(self, inner: Reporter, log: Log) -> None:
        self.inner, self.log = inner, log

    def say(self, text: str) -> None:
        """Both."""
        self.log.said(text)
        self.inner.say(text)

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """Both."""
        self.log.progress(label, done, total, note)
        self.inner.progress(label, done, total, note)

    def begins(self, label: str, total: int) -> None:
        """Nothing is finished yet: for those who show that too."""
        begins = getattr(self.inner, "begins", None)
        if begins is not None:
            begins(label, total)


class ProjectListener(Protocol):
    """Hooks and projections of an opened project."""

    def record_opens(self, project: Project) -> Callable[[], Callable[[], None]] | None:
        """Called before the record is opened.

        Returns
        -------
        callable or None
            Called once the record is open; returns what is called when the project is closed.
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
        Where it has ``verbose``, and that is true, it also hears how each trial ends; where it has
        ``begins(label, total)``, of work that has begun.
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
        # Whether failed trials of a study are trained again, and those of this step that were.
        self.retry_failed = False
        self.retried: set[str] = set()
        self.config: Config = self._configured(settings or {})
        inner = reporter or Silent()
        # What is done on a slot is logged from when its lock is held.
        self.log = Log(self.state, inner.say, inner.say if _is_verbose(inner) else None)
        self.reporter: Reporter = Logged(inner, self.log)
        self._listener = listener
        # Whether what is written is shown elsewhere too, in MLflow and in users' files; a step that
        # sends by itself, or only looks, does without.
        self.feeds = listener is not None
        self._activities: list[Activity] = []
        self._verb = ""
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
        """Bring what is written from the record up to it."""
        if self._listener is not None and "ledger" in self.__dict__ and self.feeds:
            self._listener.record_changed(self)

    def _configured(self, settings: Mapping[str, Any]) -> Config:
        """Configuration under the settings so far and some more."""
        keys = dict(settings)
        self.retry_failed = keys.pop("retry_failed", self.retry_failed)
        seconds = sections.seconds_of(keys.pop("max_time", None), "--max-time")
        # A place for runs asks for runs there.
        if any(key.startswith("mlflow.") for key in keys):
            keys.setdefault("mlflow.enabled", True)
        config = configuration.load(self.root, flags={**self._settings, **keys})
        self._settings |= keys
        if seconds is not None:
            self.stop_request.within(seconds)
        return config

    @contextmanager
    def using(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """Work under further settings.

        Parameters
        ----------
        settings : mapping
            Values by the dotted keys of podium.toml, such as ``{"tune.trials": 8}``; they precede
            the environment and podium.toml. Further keys: ``max_time``, seconds or a text such as
            ``"2h"`` after which nothing new begins; ``retry_failed``, whether failed trials are
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
        self._settings = dict(self._settings)
        self.config = self._configured(settings)
        moved = any(key.startswith("runner.") for key in settings)
        if moved:
            self._forget_runner()
        try:
            yield
        finally:
            self.config, self._settings, self.retry_failed, self.stop_request.deadline = before
            if moved:
                self._forget_runner()

    def overrides(self, *keys: str) -> bool:
        """Whether one of these settings was given for this verb, beside podium.toml."""
        return any(self.config.origins.get(key) == "flag" for key in keys)

    def _forget_runner(self) -> None:
        """Start another runner at the next use."""
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
            ledger = Ledger(self.config.ledger.url, self.root, section.id, section.name)
        self._stack.callback(ledger.close)
        if start is not None:
            self._stack.callback(start())
        if self.config.origins["mlflow.run_name"] == "flag":
            ledger.run_name = self.config.mlflow.run_name
        return ledger

    @property
    def reader(self) -> RecordReader:
        """Plain reads of the same record."""
        return RecordReader(self.config.ledger.url, self.root, self.config.project.id)

    @cached_property
    def runner(self) -> Runner:
        """Where trials run, started on first use."""
        section = self.config.runner
        jobs = section.jobs or len(os.sched_getaffinity(0))
        runner: Runner = registry.load("runners", section.name).RUNNER(jobs)
        runner.limits = TrialLimits(section.max_seconds, sections.size_of(section.max_memory))
        runner.devices = self.devices
        if (runner.limits or runner.devices) and not runner.enforces:
            raise UsageError(
                f"the runner '{section.name}' cannot end a trial that goes beyond its limits, nor "
                "place it (runner.max_seconds, runner.max_memory, runner.device)",
                "a runner with workers",
                'set runner.name = "local", or leave these out',
            )
        if runner.devices and len(runner.devices) < jobs:
            self.reporter.say(f"{len(runner.devices)} trials at once: one on {self.places}")

        def halted() -> bool:
            self.tell(running=runner.busy())
            return self.stop_request.asked

        runner.halted = halted
        self._stack.callback(runner.close)
        return runner

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Where trials are trained beside the CPU, one worker each; empty: on the CPU.

        Raises
        ------
        UsageError
            One is not on this machine.
        MissingExtraError
            No torch is installed.
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
        found = devices_of(name)
        return () if found == ("cpu",) else found

    @property
    def places(self) -> str:
        """The same for people and for the record."""
        return ", ".join(self.devices) or "cpu"

    def tell(self, slot: str = "", **facts: Any) -> None:
        """Tell whoever asks for ``podium status`` how far the step on a slot is."""
        for activity in self._activities:
            if activity.slot == slot or not slot:
                activity.tell(**facts)

    @cached_property
    def environment(self) -> str:
        """Hash of the recorded code state, packages and machine."""
        from podium.ledger import writes

        facts = capture(self.root, device=self.places)
        return self.ledger.write(writes.put_environment, facts)

    @property
    def store(self) -> Path:
        """Folder that holds artefacts by their hash."""
        return self.root / self.config.paths.registry

    def shown(self, path: Path) -> str:
        """A path inside the project as people write it: relative to it, with slashes."""
        return path.relative_to(self.root).as_posix()

    @property
    def state(self) -> Path:
        """Folder for what is not the record: locks, half-made artefacts, the resolve cache."""
        return self.root / ".podium"

    @property
    def paused(self) -> Path:
        """Folder with what paused trials go on from, one folder each."""
        return self.state / "work" / "paused"

    @property
    def actor(self) -> str:
        """Who decides: ``PODIUM_ACTOR``, else the login name."""
        try:
            return os.environ.get("PODIUM_ACTOR") or getpass.getuser()
        except (KeyError, OSError):
            return f"uid-{os.getuid()}"

    def default_slot(self, name: str | None) -> str:
        """The slot named, else the default one, else the only one.

        Raises
        ------
        UsageError
            None was named and there are several.
        NotFoundError
            No such slot.
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
    def locked(self, slot: str, verb: str) -> Iterator[None]:
        """Hold the lock of a slot; within another lock of it, by the same thread, do nothing.

        Raises
        ------
        ConflictError
            Another process, or another thread, is at work on the slot.
        """
        if any(one.slot == slot and one.thread == get_ident() for one in self._activities):
            yield
            return
        path = lock_of(self.state, slot)
        activity = Activity(self.state, slot, verb, self.stop_request)
        with (
            self.logged(verb),
            full_disk_explained(self.root),
            lock(path, f"podium {verb} for {slot}", patience=MOMENT),
            activity.going_on(),
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
        """Log a verb, run the hook on failure, update users' files; inside a verb, do nothing.

        The log begins once the lock of a slot is held.
        """
        if self._verb:
            yield
            return
        self._verb, self.log.verb, self.log.id = verb, "", ""
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
            self._verb = ""
            self.log.end(outcome)

    @property
    def log_hint(self) -> str:
        """The newest log, and the command that prints it."""
        here = Path.cwd()
        where = "" if here.is_relative_to(self.root) else f" --project {quote(_shown(self.root))}"
        return f"log: podium logs {self.log.id}{where}"


def _shown(path: Path) -> str:
    """A folder relative to the working directory where it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _is_verbose(reporter: Reporter) -> bool:
    return bool(getattr(reporter, "verbose", False))
