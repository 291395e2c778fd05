"""The one sink: answers on stdout, everything else on stderr."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from math import isfinite
from typing import Any

from podium.files import csv_text
from podium.report.table import duration, markdown, text

FORMS = ("table", "json", "jsonl", "csv", "md", "ids")
LINE_EVERY_SECONDS = 60.0


class Output:
    """Where a verb puts its answer, its progress and its hints.

    Parameters
    ----------
    as_json : bool
        Answer as ``{"podium": 1, "kind": ..., "items": [...]}``.
    quiet : bool
        No progress and no hints.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._bar = ""
        self._started: dict[str, float] = {}
        self._spoke = time.monotonic()

    def answer(
        self, kind: str, items: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None
    ) -> None:
        """Print items as JSON, or the columns of them as a table."""
        if self.as_json:
            print(json.dumps({"podium": 1, "kind": kind, "items": _plain(items)}, allow_nan=False))
            return
        shown = list(columns or (items[0] if items else []))
        rows = [[_cell(item.get(column)) for column in shown] for item in items]
        width = shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else None
        print(text(shown, rows, width=width))

    def listing(
        self, kind: str, items: Sequence[Mapping[str, Any]], columns: Sequence[str], form: str
    ) -> None:
        """Print things in one of the forms; JSON has every fact, the others the columns."""
        if form in ("table", "json"):
            self.answer(kind, items, columns)
        elif form == "jsonl":
            for item in items:
                print(json.dumps(_plain(item), allow_nan=False))
        elif form == "ids":
            for item in items:
                print(item.get("id", item.get("name")))
        elif form == "md":
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

    def hint(self, *commands: str) -> None:
        """What to type next."""
        for number, command in enumerate(commands):
            self.say(("next: " if number == 0 else "      ") + command)

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """A bar on a terminal; elsewhere at most one line a minute."""
        if self.quiet:
            return
        now = time.monotonic()
        started = self._started.setdefault(label, now)
        left = (now - started) / max(done - 1, 1) * (total - done) if done > 1 else None
        told = f"{label} {done}/{total}" + (f", {note}" if note else "")
        if self._live:
            filled = round(20 * done / total)
            bar = "#" * filled + "." * (20 - filled)
            # Who reckons it better has told it.
            known = note.endswith(" left")
            time_left = f", {duration(left)} left" if left and done < total and not known else ""
            self._wipe()
            width = shutil.get_terminal_size((100, 24)).columns
            self._bar = f"[{bar}] {told}{time_left}"[: width - 1]
            print(self._bar, end="", file=sys.stderr, flush=True)
            if done >= total:
                self._wipe()
        elif now - self._spoke >= LINE_EVERY_SECONDS:
            print(told, file=sys.stderr, flush=True)
            self._spoke = now

    def _wipe(self) -> None:
        if self._bar:
            print("\r" + " " * len(self._bar) + "\r", end="", file=sys.stderr, flush=True)
            self._bar = ""


def _flat(value: Any) -> Any:
    """Value of one cell: nested ones as JSON."""
    nested = isinstance(value, Mapping | list | tuple)
    return json.dumps(_plain(value), allow_nan=False) if nested else value


def _plain(value: Any) -> Any:
    """JSON value; a number that is not finite becomes null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _cell(value: Any) -> Any:
    """Cell for people: nested values in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={_cell(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(_cell(v)) for v in value)
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.6g}"
    return value
