"""The one sink: answers on stdout, everything else on stderr."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from podium.errors import UsageError
from podium.files import csv_text, watch_writes
from podium.render.table import duration, markdown, plain, text

FORMS = ("table", "json", "jsonl", "csv", "md", "ids")
LINE_EVERY_SECONDS = 60.0
# Under what click keeps whether the command was asked for more.
VERBOSE = "podium.verbose"


class Output:
    """Where a verb puts its answer, its progress and its hints.

    Parameters
    ----------
    form : str
        One of ``FORMS``; JSON is ``{"podium": 1, "kind": ..., "items": [...]}``. Those beside
        ``table`` and ``json`` are for listings.
    quiet : bool
        No news, no progress and no hints.

    Raises
    ------
    UsageError
        The command was asked both for more and for less.
    """

    def __init__(self, *, form: str = "table", quiet: bool = False) -> None:
        context = click.get_current_context(silent=True)
        self.form = form
        self.as_json = form == "json"
        self.quiet = quiet
        # A reporter that is also told how each trial ends.
        self.verbose = bool(context and context.meta.get(VERBOSE))
        if quiet and self.verbose:
            raise UsageError("--quiet and --verbose together", "one of them")
        self._written: set[Path] = set()
        if context and self.verbose:
            context.with_resource(watch_writes(self.wrote))
        self._live = sys.stderr.isatty() and not quiet
        self._bar = ""
        # When a label was first heard of, and how much was done then.
        self._started: dict[str, tuple[float, int]] = {}
        self._spoke = time.monotonic()
        # What was told of work that is not over yet, and who repeats it when nothing ends.
        self._going_on = ""
        self._rests = threading.Event()
        self._repeats: threading.Thread | None = None

    def answer(
        self, kind: str, items: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None
    ) -> None:
        """Print items as JSON, or the columns of them as a table."""
        if self.as_json:
            print(json.dumps({"podium": 1, "kind": kind, "items": plain(items)}, allow_nan=False))
            return
        shown = list(columns or (items[0] if items else []))
        rows = [[_cell(item.get(column)) for column in shown] for item in items]
        width = shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else None
        print(text(shown, rows, width=width))

    def listing(
        self, kind: str, items: Sequence[Mapping[str, Any]], columns: Sequence[str]
    ) -> None:
        """Print things in the form asked for; JSON has every fact, the others the columns."""
        if self.form in ("table", "json"):
            self.answer(kind, items, columns)
        elif self.form == "jsonl":
            for item in items:
                print(json.dumps(plain(item), allow_nan=False))
        elif self.form == "ids":
            for item in items:
                print(item.get("id", item.get("name")))
        elif self.form == "md":
            print(markdown(columns, [[_cell(item.get(c)) for c in columns] for item in items]))
        else:
            rows = [[_flat(item.get(c)) for c in columns] for item in items]
            print(csv_text([columns, *rows]), end="")

    def facts(self, kind: str, item: Mapping[str, Any]) -> None:
        """Print one thing: JSON, or a line a fact."""
        if self.as_json:
            self.answer(kind, [item])
            return
        wide = max(map(len, item), default=0)
        for name, value in item.items():
            print(f"{name:<{wide}}  {_cell(value)}")

    def say(self, words: str) -> None:
        """One line of news on stderr."""
        if not self.quiet:
            self._wipe()
            print(words, file=sys.stderr)

    def wrote(self, path: Path) -> None:
        """A file was written; told the first time, and only of files that are the user's."""
        path = path.absolute()
        if path not in self._written and ".podium" not in path.parts:
            self._written.add(path)
            here = Path.cwd()
            self.say(f"wrote {path.relative_to(here) if path.is_relative_to(here) else path}")

    def hint(self, *commands: str) -> None:
        """What to type next."""
        for number, command in enumerate(commands):
            self.say(("next: " if number == 0 else "      ") + command)

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """A bar on a terminal; elsewhere one plain line a minute, until :meth:`rest`."""
        if self.quiet:
            return
        now = time.monotonic()
        then, had = self._started.setdefault(label, (now, done))
        left = (now - then) / (done - had) * (total - done) if done > had else None
        told = f"{label} {done}/{total}" + (f", {note}" if note else "")
        # Who reckons it better has told it.
        if left and done < total and not note.endswith(" left"):
            told += f", {duration(left)} left"
        if self._live:
            filled = round(20 * done / max(total, 1))
            bar = "#" * filled + "." * (20 - filled)
            self._wipe()
            width = shutil.get_terminal_size((100, 24)).columns
            self._bar = f"[{bar}] {told}"[: width - 1]
            print(self._bar, end="", file=sys.stderr, flush=True)
            if done >= total:
                self._wipe()
            return
        self._going_on = told if done < total else ""
        self.tell_how_far()
        if self._repeats is None:
            self._repeats = threading.Thread(target=self._repeat, daemon=True)
            self._repeats.start()

    def begins(self, label: str, total: int) -> None:
        """A bar, and somebody who repeats it, before anything is finished."""
        self.progress(label, 0, total)

    def tell_how_far(self) -> None:
        """One plain line of what is going on, if the last one is a minute old."""
        now = time.monotonic()
        if self._going_on and now - self._spoke >= LINE_EVERY_SECONDS:
            print(self._going_on, file=sys.stderr, flush=True)
            self._spoke = now

    def rest(self) -> None:
        """Nothing is going on any more."""
        self._going_on = ""
        self._rests.set()
        self._wipe()

    def _repeat(self) -> None:
        """A trial may take hours, and whoever reads along wants to know that all is well."""
        while not self._rests.wait(LINE_EVERY_SECONDS / 4):
            self.tell_how_far()

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
        return ", ".join(f"{k}={_cell(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(_cell(v)) for v in value)
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.6g}"
    return value
