"""Log of one command: a text file in which every line is complete.

A line is ``TIME STEP SLOT TRIAL TEXT``, separated by single spaces, with ``-`` for an empty field.
Further lines of a text have the same head and begin with ``|``, so that ``grep`` for a trial or a
slot finds all lines of it. Nothing is flushed to the disk: a log is no record.
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
NOTHING, CONTINUATION = "-", "| "
BEGAN, AT_WORK, ENDED = "began: ", "at work", "ended: "
# Minimum seconds between two lines of progress.
PROGRESS_EVERY = 60.0
# Beginning of ids, which sort by time.
STAMP = "%Y%m%d_%H%M%S"
_TOKENS = (
    # A token alone in front of a host, and secrets among the parameters of URLs.
    (re.compile(r"(://)[^/:@\s]+@"), r"\1***@"),
    (re.compile(r"(?i)([?&][\w-]*(?:token|key|secret|sig|signature|passw\w*|auth)=)[^&\s'\"]+"),
     r"\1***"),
    (re.compile(r"(?i)(authorization\W{1,4}\w+ |\bbearer )[\w+/=.~-]{8,}"), r"\1***"),
)  # fmt: skip
# Names of variables that hold secrets; their values are replaced in every line.
_SECRET_NAME = re.compile(r"(?i)passw|secret|token|api_?key|credential")
# Output of trials must not control the terminal of a reader.
_CONTROL = dict.fromkeys((*range(32), 127, *range(128, 160), 8232, 8233), " ")
# Current step of a longer command, for each thread or task.
_STEP: ContextVar[str] = ContextVar("podium_step", default="")


@contextmanager
def step(name: str) -> Iterator[None]:
    """Name the step of the lines that are logged within a ``with`` block."""
    before = _STEP.set(name)
    try:
        yield
    finally:
        _STEP.reset(before)


class Log:
    """Log of a command on a slot; a file once ``begin`` was called.

    Where the log cannot be written, one warning is issued and the step continues.

    Parameters
    ----------
    state : Path
        The project's ``.podium``.
    say : callable
        Receives the warning.
    also : callable, optional
        Receives details, with ``--verbose``.
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
        self._began, self._progress_at = 0.0, 0.0

    def begin(self, verb: str, config: Config, actor: str) -> None:
        """Make the file, and remove old logs by the rule of podium.toml."""
        self.verb, self._began = verb, time.monotonic()
        self.id, self.slots, self._written = "", [], set()
        self._progress_at = self._began
        self._secrets = secrets_of(config, os.environ)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.id, self._file = _made(self.folder, verb)
        except OSError as error:
            self._say(f"warning: no log is written: {error.strerror or error}")
            return
        with suppress(OSError):
            # A lock tells readers that the writer runs; it ends with the process.
            hold(self._file, wait=True)
        by_flag = {k: v for k, v in config.values().items() if config.origins.get(k) == "flag"}
        flags = ", ".join(f"{key}={value}" for key, value in by_flag.items())
        process = f"process {os.getpid()} on {socket.gethostname()}, by {actor}"
        started = ", with ".join(filter(None, [process, flags]))
        self.line(f"{BEGAN}podium {__version__}, {started}")
        for one in beyond(self.folder, config.logs.keep, config.logs.days):
            with suppress(OSError):
                one.unlink()

    def enter(self, slot: str) -> None:
        """Add a slot to the command."""
        self.slots.append(slot)
        self.line(AT_WORK, slot=slot)

    def line(self, text: str, *, slot: str = "", trial: str = "", step: str = "") -> None:
        """Write a text without secrets, each of its lines with the head."""
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
        lines += [head + CONTINUATION + other.translate(_CONTROL) for other in more]
        data = ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
        try:
            # In one call, so that lines of several threads never mix.
            os.write(self._file, data)
        except OSError as error:
            self._close()
            self._say(f"warning: the log ends here: {error.strerror or error}")

    @property
    def only_slot(self) -> str:
        """The command's slot, where it has one only."""
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

    def message(self, text: str) -> None:
        """Write a message; one that begins with a slot becomes a line of that slot."""
        head, _, rest = text.partition(": ")
        if head in self.slots and rest:
            self.line(rest, slot=head)
        else:
            self.line(text, slot=self.only_slot)

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """Write the progress, at most once a minute."""
        if time.monotonic() - self._progress_at >= PROGRESS_EVERY:
            self._progress_at = time.monotonic()
            self.message(f"{label} {done}/{total}" + (f", {note}" if note else ""))

    def detail(self, text: str, *, slot: str = "", trial: str = "", step: str = "") -> None:
        """Write a detail, which ``--verbose`` prints too."""
        self.line(text, slot=slot, trial=trial, step=step)
        if self._also is not None:
            self._also(": ".join(filter(None, [slot, f"trial {trial}" if trial else "", text])))

    def trial_ended(self, slot: str, step: str, number: int, metric: str, ended: Ended) -> None:
        """Write the end or pause of a trial, its score, and the traceback of a failure."""
        text = f"{ended.state}, number {number}"
        if ended.score == ended.score:
            text += f", {metric} {ended.score:.6g}"
        if ended.best_epoch:
            text += f", best epoch {ended.best_epoch}"
        text += f", {len(ended.epochs)} epochs" if ended.epochs else ""
        text += f", {ended.seconds:.3g} s"
        last = ended.reason.strip().rpartition("\n")[2]
        text += f": {last}" if last else ""
        self.detail(text, slot=slot, trial=ended.task.trial_id, step=step)
        if ended.trace or last != ended.reason.strip():
            why = f"config {dict(ended.task.config)}, seed {ended.task.seed}\n"
            why += ended.trace or ended.reason
            self.line(why, slot=slot, trial=ended.task.trial_id, step=step)

    def wrote(self, path: Path) -> None:
        """Write a line for a file of the user's, the first time it is written."""
        if path in self._written or path.is_relative_to(self.root / ".podium"):
            return
        self._written.add(path)
        shown = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        self.line(f"wrote {shown.as_posix()}", slot=self.only_slot)

    def end(self, error: BaseException | None) -> None:
        """Write the outcome, with the traceback of a failure."""
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


def is_stop(error: BaseException) -> bool:
    """Whether an error is a requested stop, or the end of ``--max-time``."""
    return isinstance(error, StoppedError | TimeOverError)


def is_failure(error: BaseException) -> bool:
    """Whether an error is a failure: neither a refusal nor a requested stop."""
    return isinstance(error, Exception) and not (is_stop(error) or isinstance(error, RefusedError))


def outcome_of(error: BaseException | None) -> str:
    """Outcome of a command in one or two words."""
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
    """Logs to remove: beyond the newest ``keep``, or older than ``days``; never one in use.

    Parameters
    ----------
    keep : int, >= 1
    days : float, >= 0
        0: no limit.
    """
    logs = sorted(folder.glob(f"*{SUFFIX}"), reverse=True)
    oldest = time.time() - days * 86400 if days else 0.0
    removable = []
    for place, path in enumerate(logs):
        # Another command may remove it at the same time.
        with suppress(OSError):
            if (place >= keep or path.stat().st_mtime < oldest) and not is_locked(path):
                removable.append(path)
    return removable


def secrets_of(config: Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Texts to replace in logs: passwords of URLs, webhooks, values of secret variables."""
    secrets = {value for name, value in environ.items() if _SECRET_NAME.search(name)}
    for url in (config.ledger.url, config.mlflow.tracking_uri):
        with suppress(ValueError):
            password = urlsplit(url).password or ""
            secrets |= {password, unquote(password)}
    for hook in (config.hooks.review, config.hooks.failure, config.hooks.promotion):
        if is_webhook(hook):
            # The URL of a webhook is a secret.
            secrets |= {str(hook), urlsplit(str(hook)).path.strip("/")}
    # Short ones would replace ordinary words.
    return tuple(sorted((text for text in secrets if len(text) >= 6), key=len, reverse=True))


def _made(folder: Path, verb: str) -> tuple[str, int]:
    """Unused id of a new log, and its open file."""
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
    """One line of a log."""

    at: str
    step: str
    slot: str
    trial: str
    text: str

    @classmethod
    def of(cls, line: str) -> LogLine | None:
        """Parse a line; None where it is incomplete."""
        parts = line.rstrip("\n").split(" ", 4)
        return cls(*parts) if len(parts) == 5 else None

    def fits(self, steps: Collection[str], trials: Collection[str]) -> bool:
        """Whether the line belongs to one of the steps and to one of the trials; empty: any.

        A step is any part of ``run/tune/random``, a trial the beginning of its id.
        """
        of_trial = not trials or any(self.trial.startswith(trial) for trial in trials)
        return of_trial and (not steps or not set(steps).isdisjoint(self.step.split("/")))
