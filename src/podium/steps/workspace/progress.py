"""Reporters of Python programs: progress bars in a notebook, log records elsewhere."""

from __future__ import annotations

import importlib.util
import logging
import sys
from typing import TYPE_CHECKING, Any

from podium.steps.workspace.project import Silent

if TYPE_CHECKING:
    from podium.steps.workspace.project import Reporter

LOGGER = logging.getLogger("podium")


class LoggingReporter(Silent):
    """Messages as records of the logger ``podium``, without progress."""

    def say(self, text: str) -> None:
        """Log at level INFO, or WARNING where the message begins with "warning: "."""
        level = logging.WARNING if text.startswith("warning: ") else logging.INFO
        LOGGER.log(level, text.removeprefix("warning: "))


class NotebookReporter:
    """Messages as printed lines, and a progress bar for each piece of work."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}

    def say(self, text: str) -> None:
        """Print one line below the cell."""
        sys.stdout.write(f"{text}\n")

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """Update the bar of a label, and close it when it is full."""
        bar = self._bars.get(label)
        if bar is None:
            bar = self._bars[label] = _bar_type()(total=total, desc=label)
        bar.total, bar.n = total, done
        bar.set_postfix_str(note, refresh=False)
        bar.refresh()
        if done >= total:
            self._bars.pop(label).close()


def _bar_type() -> Any:
    """A widget where notebooks have widgets, else a bar of text."""
    if importlib.util.find_spec("ipywidgets"):
        from tqdm.notebook import tqdm_notebook

        return tqdm_notebook
    from tqdm import tqdm

    return tqdm


def default_reporter() -> Reporter:
    """Reporter of the program that runs: a notebook or any other."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    in_notebook = type(shell).__name__ == "ZMQInteractiveShell"
    return NotebookReporter() if in_notebook else LoggingReporter()
