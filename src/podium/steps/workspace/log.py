"""The log of one command: a plain text file, a line each thing, every line whole by itself.

A line is ``TIME STEP SLOT TRIAL TEXT``, parted by single spaces; where nothing is meant there is
``-``, and a text of several lines goes on in lines that begin with ``|``. So ``grep`` for a trial
or a slot finds all of it. Nothing is flushed to the disk: a log is no record.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from podium import __version__
from podium.config import Config, without_password
from podium.errors import PodiumError, RefusedError, StoppedError, TimeOverError
from podium.files import hold, is_locked
from podium.sections import is_webhook

if TYPE_CHECKING:
    from podium.trial import Ended

FOLDER, SUFFIX = "logs", ".log"
NOTHING, GOES_ON = "-", "| "
BEGAN, AT_WORK, ENDED = "began: ", "at work", "ended: "
# At most one line of progress in so many seconds.
PROGRESS_EVERY = 60.0
# How ids begin; they are sorted as they are.
STAMP = "%Y%m%d_%H%M%S"
_TOKENS = (
    # A token alone in front of a host, and what URLs call their secrets.
    (re.compile(r"(://)[^/:@\s]+@"), r"\1***@"),
    (re.compile(r"(?i)([?&][\w-]*(?:token|key|secret|sig|signature|passw\w*|auth)=)[^&\s'\"]+"),
     r"\1***"),
    (re.compile(r"(?i)(authorization\W{1,4}\w+ |\bbearer )[\w+/=.~-]{8,}"), r"\1***"),
)  # fmt: skip
# Names of variables that hold secrets, whose values are kept out wherever they turn up.
_SECRET_NAME = re.compile(r"(?i)passw|secret|token|api_?key|credential")
# Whoever reads a log in a terminal must not have it driven by what a trial printed.
_CONTROL = dict.fromkeys((*range(32), 127, *range(128, 160), 8232, 8233), " ")
# The step of a longer command that is at work; side by side, each thread or task has its own.
_STEP: ContextVar[str] = ContextVar("podium_step", default="")


@contextmanager
def step(name: str) -> Iterator[None]:
    """Name the step that what is logged meanwhile belongs to, where a command has several."""
    before = _STEP.set(name)
    try:
        yield
    finally:
        _STEP.reset(before)


class Log:
    """What a command on a slot does, line by line; a file once ``begin`` was called.

    A log that cannot be written says so once and then is silent: no step fails for it.

    Parameters
    ----------
    state : Path
        The project's ``.podium``.
    say : callable
        Told where the log cannot be written.
    also : callable, optional
        Hears what is news to those who asked for more than usual.
    """

    def __init__(
        self, state: Path, say: Callable[[str], None], also: Callable[[str], None] | None = None
    ) -> None:
        self.folder = state / FOLDER
        self.root = state.parent
        self.id = ""
        self.verb = ""
        self.slots: list[str] = []
        self._say, self._also = say, also
        self._file = -1
        self._secrets: tuple[str, ...] = ()
        self._written: set[Path] = set()
        self._began, self._spoke = 0.0, 0.0

    def begin(self, verb: str, config: Config, actor: str) -> None:
        """Make the file, and remove what the rule lets go."""
        self.verb, self._began = verb, time.monotonic()
        self.id, self.slots, self._written = "", [], set()
        self._spoke = self._began
        self._secrets = secrets_of(config, os.environ)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.id, self._file = _made(self.folder, verb)
        except OSError as error:
            self._say(f"warning: no log is written: {error.strerror or error}")
            return
        with suppress(OSError):
            # Who reads along sees by it that the writer lives; it goes however the process ends.
            hold(self._file, wait=True)
        flags = ", ".join(
            f"{key}={value}"
            for key, value in config.values().items()
            if config.origins.get(key) == "flag"
        )
        self.line(
            f"{BEGAN}podium {__version__}, process {os.getpid()} on {socket.gethostname()}, by "
            f"{actor}" + (f", with {flags}" if flags else "")
        )
        for one in beyond(self.folder, config.logs.keep, config.logs.days):
            with suppress(OSError):
                one.unlink()

    def enter(self, slot: str) -> None:
        """A slot is this command's from now on."""
        self.slots.append(slot)
        self.line(AT_WORK, slot=slot)

    def line(self, text: str, *, slot: str = "", trial: str = "", step: str = "") -> None:
        """Write a text, each of its lines with the whole head, secrets taken out."""
        if self._file < 0:
            return
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")[:-6]
        base = _STEP.get() or self.verb
        if step and not f"{step}/".startswith(f"{base}/"):
            step = f"{base}/{step}"
        step = step or base
        head = f"{now}Z {step} {slot or NOTHING} {trial or NOTHING} "
        first, *more = self.clean(text).splitlines() or [""]
        lines = [head + first.translate(_CONTROL)]
        lines += [head + GOES_ON + other.translate(_CONTROL) for other in more]
        data = ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
        try:
            # One call for all of it: lines of several threads never mix.
            os.write(self._file, data)
        except OSError as error:
            self._close()
            self._say(f"warning: the log ends here: {error.strerror or error}")

    @property
    def only_slot(self) -> str:
        """The slot that all of this is about, where there is one."""
        return self.slots[0] if len(self.slots) == 1 else ""

    def clean(self, text: str) -> str:
        """The text without passwords, tokens and other secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, "***")
        if "://" in text:
            text = without_password(text)
        for pattern, shown in _TOKENS:
            text = pattern.sub(shown, text)
        return text

    def said(self, text: str) -> None:
        """What was said; where it begins with a slot, that is whose line it is."""
        head, _, rest = text.partition(": ")
        if head in self.slots and rest:
            self.line(rest, slot=head)
        else:
            self.line(text, slot=self.only_slot)

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """How far it is, at most once a minute."""
        if time.monotonic() - self._spoke >= PROGRESS_EVERY:
            self._spoke = time.monotonic()
            self.said(f"{label} {done}/{total}" + (f", {note}" if note else ""))

    def detail(self, text: str, *, slot: str = "", trial: str = "", step: str = "") -> None:
        """Write what only those want to hear who asked for more."""
        self.line(text, slot=slot, trial=trial, step=step)
        if self._also is not None:
            self._also(": ".join(filter(None, [slot, f"trial {trial}" if trial else "", text])))

    def trial_ended(self, slot: str, step: str, number: int, metric: str, ended: Ended) -> None:
        """How a trial ended or paused, its score, and all there is to know of why it failed."""
        told = f"{ended.state}, number {number}"
        if ended.score == ended.score:
            told += f", {metric} {ended.score:.6g}"
        if ended.best_epoch:
            told += f", best epoch {ended.best_epoch}"
        told += f", {len(ended.epochs)} epochs" if ended.epochs else ""
        told += f", {ended.seconds:.3g} s"
        last = ended.reason.strip().rpartition("\n")[2]
        told += f": {last}" if last else ""
        self.detail(told, slot=slot, trial=ended.task.trial_id, step=step)
        if ended.trace or last != ended.reason.strip():
            why = f"config {dict(ended.task.config)}, seed {ended.task.seed}\n"
            why += ended.trace or ended.reason
            self.line(why, slot=slot, trial=ended.task.trial_id, step=step)

    def wrote(self, path: Path) -> None:
        """A file of the user's was written: a line the first time it is."""
        if path in self._written or path.is_relative_to(self.root / ".podium"):
            return
        self._written.add(path)
        shown = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        self.line(f"wrote {shown.as_posix()}", slot=self.only_slot)

    def end(self, error: BaseException | None) -> None:
        """Write how it ended, with the whole traceback of what nobody wanted."""
        if self._file < 0:
            return
        outcome = outcome_of(error)
        if isinstance(error, PodiumError):
            for problem in error.problems:
                self.line(f"{outcome}: {problem}")
        if error is not None and is_failure(error):
            self.line("".join(traceback.format_exception(error)).rstrip())
        self.line(f"{ENDED}{outcome} after {time.monotonic() - self._began:.1f} s")
        self._close()

    def _close(self) -> None:
        with suppress(OSError):
            os.close(self._file)
        self._file = -1


def is_failure(error: BaseException) -> bool:
    """Whether nobody wanted it: not a gate's answer, nor a stop that somebody asked for."""
    wanted = (RefusedError, StoppedError, TimeOverError)
    return isinstance(error, Exception) and not isinstance(error, wanted)


def outcome_of(error: BaseException | None) -> str:
    """How a command ended, in one or two words."""
    if error is None:
        return "done"
    if isinstance(error, RefusedError):
        return "refused"
    if isinstance(error, TimeOverError):
        return "time over"
    if isinstance(error, StoppedError):
        return "stopped"
    return "failed" if isinstance(error, Exception) else "interrupted"


def beyond(folder: Path, keep: int, days: float) -> list[Path]:
    """Logs that the rule lets go: beyond the newest so many, or older than so many days.

    Parameters
    ----------
    keep : int, >= 1
    days : float, >= 0
        0: of any age. Never one that is being written.
    """
    logs = sorted(folder.glob(f"*{SUFFIX}"), reverse=True)
    oldest = time.time() - days * 86400 if days else 0.0
    going = []
    for place, path in enumerate(logs):
        # Another command may remove it at the same moment.
        with suppress(OSError):
            if (place >= keep or path.stat().st_mtime < oldest) and not is_locked(path):
                going.append(path)
    return going


def secrets_of(config: Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Texts that must be in no log: passwords of URLs, webhooks, variables with such names."""
    found = {value for name, value in environ.items() if _SECRET_NAME.search(name)}
    for url in (config.ledger.url, config.mlflow.tracking_uri):
        with suppress(ValueError):
            password = urlsplit(url).password or ""
            found |= {password, unquote(password)}
    hooks = (config.hooks.review, config.hooks.failure, config.hooks.promotion)
    for hook in hooks:
        if is_webhook(hook):
            # Whoever knows such a URL may write to the channel behind it.
            found |= {str(hook), urlsplit(str(hook)).path.strip("/")}
    # Short ones would take ordinary words out of every line.
    return tuple(sorted((text for text in found if len(text) >= 6), key=len, reverse=True))


def _made(folder: Path, verb: str) -> tuple[str, int]:
    """Id of a new log that no other has, and its open file."""
    moment = dt.datetime.now(dt.UTC)
    while True:
        name = f"{moment:{STAMP}}_{moment.microsecond // 1000:03d}_{verb}"
        try:
            how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            return name, os.open(folder / f"{name}{SUFFIX}", how, 0o644)
        except FileExistsError:
            moment += dt.timedelta(milliseconds=1)


@dataclass(frozen=True)
class LogLine:
    """One line of a log, read again."""

    at: str
    step: str
    slot: str
    trial: str
    text: str

    @classmethod
    def of(cls, told: str) -> LogLine | None:
        """The line, or None of one that was cut off."""
        parts = told.rstrip("\n").split(" ", 4)
        return cls(*parts) if len(parts) == 5 else None

    def fits(self, steps: Collection[str], trials: Collection[str]) -> bool:
        """Whether it is of one of the steps and of one of the trials; empty: of any.

        ``tune`` is any part of ``run/tune/random``, and a trial's beginning is enough.
        """
        of_trial = not trials or any(self.trial.startswith(trial) for trial in trials)
        return of_trial and (not steps or not set(steps).isdisjoint(self.step.split("/")))
