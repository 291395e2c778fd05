"""``podium.report``, with which a user's training script reports values; imports little."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from podium.errors import Problems, UsageError

# Environment variables of a trial of own code.
CONFIG, TRIAL, SEED, FOLDER = "PODIUM_CONFIG", "PODIUM_TRIAL", "PODIUM_SEED", "PODIUM_FOLDER"
REPORTS, UNTIL = "PODIUM_REPORTS", "PODIUM_UNTIL"

Curve = dict[int, dict[str, float]]


class Paused(SystemExit):
    """The trial pauses after the reported epoch and may resume later.

    It ends a script without an error, like ``sys.exit()``. Code that catches it, to save something,
    must raise it again.
    """


def report(epoch: int, /, **metrics: float) -> None:
    """Report the metrics of an epoch; does nothing if podium did not start the program.

    Save a checkpoint before the call, which may pause the trial. Files in the folder
    ``PODIUM_FOLDER`` are available when the trial resumes.

    Parameters
    ----------
    epoch : int
        Starts at 0 or 1; the first value of an epoch counts.
    **metrics : number
        A number of Python or numpy, or a tensor of one value.

    Raises
    ------
    UsageError
        The epoch is not a whole number, or a metric is not a number; also raised without podium,
        so that mistakes appear before a search is started.
    Paused
        The trial pauses.

    Examples
    --------
    >>> report(1, val_loss=0.31, accuracy=0.9)
    """
    number, values = _checked(epoch, metrics)
    path = os.environ.get(REPORTS)
    if not path:
        return
    line = json.dumps([number, values]) + "\n"
    # One append per line: concurrent processes do not mix lines.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
    until = int(os.environ.get(UNTIL) or 0)
    if until and number >= until:
        raise Paused(0)


def read(text: str) -> Curve:
    """Values by epoch and metric from the lines of ``report``; an incomplete line is ignored."""
    curve: Curve = {}
    for line in text.splitlines():
        try:
            epoch, values = json.loads(line)
        except ValueError:
            continue
        curve[epoch] = {**values, **curve.get(epoch, {})}
    return curve


def number_of(value: Any) -> float:
    """A number of Python, numpy or torch.

    Raises
    ------
    TypeError, ValueError
        The value is not a number, or a text.
    """
    if isinstance(value, str | bytes):
        raise TypeError
    return float(value)


def _checked(epoch: Any, metrics: Mapping[str, Any]) -> tuple[int, dict[str, float]]:
    problems = Problems()
    values: dict[str, float] = {}
    number = -1
    with suppress(TypeError):
        number = operator.index(epoch)
    if number < 0:
        problems.add(f"podium.report: epoch is {epoch!r:.60}", "a whole number from 0")
    if not metrics:
        problems.add("podium.report: no metric", "one such as val_loss=0.3")
    for name, value in metrics.items():
        try:
            values[name] = number_of(value)
        except (TypeError, ValueError, RuntimeError):
            problems.add(f"podium.report: {name} is {value!r:.60}", "a number")
    UsageError.raise_for(problems)
    return number, values
