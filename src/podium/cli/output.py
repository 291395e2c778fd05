"""Output of a command: the answer on stdout, everything else on stderr."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podium.cli.streams import printable
from podium.errors import UsageError
from podium.files import csv_text, watch_writes
from podium.render.answer import differing
from podium.render.table import cell, counted, duration, markdown, plain, text, wrapped

if TYPE_CHECKING:
    from podium.render.answer import Answer

FORMS = ("table", "json", "jsonl", "csv", "md", "ids")
LINE_EVERY_SECONDS = 60.0
# Key of the flag --verbose in the meta dictionary of a click context.
VERBOSE = "podium.verbose"


class Output:
    """Prints the answer of a verb on stdout; progress, messages and hints on stderr.

    Parameters
    ----------
    form : str
        One of ``FORMS``; JSON is ``{"podium": 1, "kind": ..., "items": [...]}``. Forms other than
        ``table`` and ``json`` are for listings.
    quiet : bool
        No messages, no progress and no hints.

    Raises
    ------
    UsageError
        Both ``--quiet`` and ``--verbose`` are set.
    """

    def __init__(self, *, form: str = "table", quiet: bool = False) -> None:
        context = click.get_current_context(silent=True)
        self.form = form
        self.as_json = form == "json"
        self.quiet = quiet
        # A verbose reporter also receives the end of each trial.
        self.verbose = bool(context and context.meta.get(VERBOSE))
        if quiet and self.verbose:
            raise UsageError("--quiet and --verbose together", "one of them")
        self._written: set[Path] = set()
        if context and self.verbose:
            context.with_resource(watch_writes(self.wrote))
        self._live = sys.stderr.isatty() and not quiet
        self._bar = ""
        # Time of the first report under a label, and how much was done then; None where the
        # reporting step measures its speed itself.
        self._started: dict[str, tuple[float, int] | None] = {}
        self._printed_at = time.monotonic()
        # Newest progress of work that is not finished; a thread repeats it while nothing ends.
        self._unfinished = ""
        self._finished = threading.Event()
        self._repeater: threading.Thread | None = None

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where stdout is no terminal."""
        return shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else None

    def answer(
        self, kind: str, items: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None
    ) -> None:
        """Print items as JSON, or the columns of them as a table."""
        if self.as_json:
            print(json.dumps({"podium": 1, "kind": kind, "items": plain(items)}, allow_nan=False))
            return
        shown = list(columns or (items[0] if items else []))
        rows = [[_cell(item.get(column)) for column in shown] for item in items]
        print(text(shown, rows, width=self.width))

    def lead(self, sentence: str) -> None:
        """Print the sentence before a table; for other forms it is a message on stderr."""
        if self.form == "table":
            self.write("\n".join(wrapped(sentence, self.width)) if self.width else sentence)
        else:
            self.say(sentence.rstrip())

    def write(self, text: str = "") -> None:
        """Print a text on stdout without characters that control a terminal."""
        print(printable(text))

    def result(
        self,
        kind: str,
        result: Answer,
        items: Sequence[Mapping[str, Any]] | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        """Print the sentence and the table of a result, one row as a line a field, or JSON.

        Parameters
        ----------
        items : sequence of mapping, optional
            Items of the JSON answer. Default: the rows of the result.
        """
        self.lead(result.sentence)
        rows = items if self.as_json and items is not None else result.rows()
        if rows and self.form == "table":
            print()
        if len(rows) == 1:
            self.facts(kind, rows[0])
        elif rows or self.as_json:
            self.answer(kind, rows, columns)

    def listing(
        self, kind: str, items: Sequence[Mapping[str, Any]], columns: Sequence[str]
    ) -> None:
        """Print items in the chosen form; JSON has every field, the others the columns.

        A table of several rows omits columns with one value and names them in a sentence.
        """
        if self.form == "table":
            cells = [{c: item.get(c) for c in columns if c not in ("id", "name")} for item in items]
            same = differing(cells)[0] if cells else {}
            if named := {name: value for name, value in same.items() if value not in (None, "")}:
                self.lead(f"{counted(len(items), 'row')}, all with {_cell(named)}")
            self.answer(kind, items, [name for name in columns if name not in same])
        elif self.form == "json":
            self.answer(kind, items)
        elif self.form == "jsonl":
            for item in items:
                print(json.dumps(plain(item), allow_nan=False))
        elif self.form == "ids":
            for item in items:
                print(cell(str(item.get("id", item.get("name")))))
        elif self.form == "md":
            print(markdown(columns, [[_cell(item.get(c)) for c in columns] for item in items]))
        else:
            rows = [[_flat(item.get(c)) for c in columns] for item in items]
            print(csv_text([columns, *rows]), end="")

    def facts(self, kind: str, item: Mapping[str, Any]) -> None:
        """Print one item: JSON, or a line for each field."""
        if self.as_json:
            self.answer(kind, [item])
            return
        longest = max(map(len, item), default=0)
        for name, value in item.items():
            words = cell(str(_cell(value)))
            lines = wrapped(words, max(20, self.width - longest - 2)) if self.width else [words]
            print(f"{cell(name):<{longest}}  " + f"\n{'':<{longest}}  ".join(lines))

    def say(self, message: str) -> None:
        """Print one message on stderr."""
        if not self.quiet:
            self._wipe()
            print(printable(message), file=sys.stderr)

    def wrote(self, path: Path) -> None:
        """Report a written file once, unless it is one of podium's own."""
        path = path.absolute()
        if path not in self._written and ".podium" not in path.parts:
            self._written.add(path)
            here = Path.cwd()
            self.say(f"wrote {path.relative_to(here) if path.is_relative_to(here) else path}")

    def hint(self, *commands: str) -> None:
        """Commands to type next."""
        for number, command in enumerate(commands):
            self.say(("next: " if number == 0 else "      ") + command)

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """A bar on a terminal; elsewhere one plain line a minute, until :meth:`finish`."""
        if self.quiet:
            return
        now = time.monotonic()
        started = self._started.setdefault(label, (now, done))
        line = cell(f"{label} {done}/{total}" + (f", {note}" if note else ""))
        if started is not None and started[1] < done < total:
            seconds = (now - started[0]) / (done - started[1]) * (total - done)
            line += f", {duration(seconds)} left"
        if done >= total:
            self._started.pop(label)
        if self._live:
            filled = round(20 * done / max(total, 1))
            bar = "#" * filled + "." * (20 - filled)
            self._wipe()
            width = shutil.get_terminal_size((100, 24)).columns
            self._bar = f"[{bar}] {line}"[: width - 1]
            print(self._bar, end="", file=sys.stderr, flush=True)
            if done >= total:
                self._wipe()
            return
        self._unfinished = line if done < total else ""
        self.repeat_progress()
        if self._repeater is None:
            self._repeater = threading.Thread(target=self._repeat, daemon=True)
            self._repeater.start()

    def begins(self, label: str, total: int) -> None:
        """Show work of which nothing is done yet; its notes have the time left."""
        self._started[label] = None
        self.progress(label, 0, total)

    def repeat_progress(self) -> None:
        """Print the newest progress of unfinished work, if the last line is a minute old."""
        now = time.monotonic()
        if self._unfinished and now - self._printed_at >= LINE_EVERY_SECONDS:
            print(self._unfinished, file=sys.stderr, flush=True)
            self._printed_at = now

    def finish(self) -> None:
        """Stop showing progress."""
        self._unfinished = ""
        self._finished.set()
        self._wipe()

    def _repeat(self) -> None:
        """Repeat the progress while a trial takes hours, as a sign that the command works."""
        while not self._finished.wait(LINE_EVERY_SECONDS / 4):
            self.repeat_progress()

    def _wipe(self) -> None:
        if self._bar:
            print("\r" + " " * len(self._bar) + "\r", end="", file=sys.stderr, flush=True)
            self._bar = ""


def _flat(value: Any) -> Any:
    """Value of one cell: nested ones as JSON."""
    nested = isinstance(value, Mapping | list | tuple)
    return json.dumps(plain(value), allow_nan=False) if nested else value


def _cell(value: Any) -> Any:
    """Cell for people: nested values in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_cell(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(_cell(v)) for v in value)
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.6g}"
    return value
