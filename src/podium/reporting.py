"""What a training script of the user's own says of its trial: ``podium.report``; nothing heavy."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from podium.errors import Problems, UsageError

# What a trial of own code finds in its environment.
CONFIG, TRIAL, SEED, FOLDER = "PODIUM_CONFIG", "PODIUM_TRIAL", "PODIUM_SEED", "PODIUM_FOLDER"
REPORTS, UNTIL = "PODIUM_REPORTS", "PODIUM_UNTIL"

Curve = dict[int, dict[str, float]]


class Paused(SystemExit):
    """The trial is to stop after the epoch that was just reported; it may go on later.

    Nobody need catch it: a script ends by it without an error, like by ``sys.exit()``. Whoever does
    catch it, to save something, raises it again.
    """


def report(epoch: int, /, **metrics: float) -> None:
    """Say what a trial came to after an epoch; does nothing where podium did not start the program.

    Save a checkpoint before: this may be where the trial is paused. What is written to the folder
    that ``PODIUM_FOLDER`` names is there when it goes on.

    Parameters
    ----------
    epoch : int
        From 0 or 1 on; the first value of an epoch counts.
    **metrics : number
        Python's, numpy's, or a tensor of one value.

    Raises
    ------
    UsageError
        The epoch is no whole number, or a metric no number; also without podium, so that a mistake
        is found before a search is started.
    Paused
        The trial ends here for now.

    Examples
    --------
    >>> report(1, val_loss=0.31, accuracy=0.9)
    """
    number, values = _checked(epoch, metrics)
    path = os.environ.get(REPORTS)
    if not path:
        return
    line = json.dumps([number, values]) + "\n"
    # One write to the end of the file: programs of several processes do not tear lines.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
    until = int(os.environ.get(UNTIL) or 0)
    if until and number >= until:
        raise Paused(0)


def read(text: str) -> Curve:
    """Values by epoch and metric of what ``report`` wrote; a line that was cut off is left out."""
    found: Curve = {}
    for line in text.splitlines():
        try:
            epoch, values = json.loads(line)
        except ValueError:
            continue
        found[epoch] = {**values, **found.get(epoch, {})}
    return found


def number_of(value: Any) -> float:
    """A number of Python, numpy or torch.

    Raises
    ------
    TypeError, ValueError
        It is none, or a text.
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
