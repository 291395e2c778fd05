"""What the verbs that search, or take settings, share: values as typed, flags, finalists first."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from podium.cli.options import setting, stacked

if TYPE_CHECKING:
    from podium.ledger.reads import TrialRow
    from podium.steps.trials.finalists import Finalist

_RANGE = re.compile(r"(?P<low>.+?)\.\.(?P<high>[^:]+)(?P<log>:log)?")


def value_of(word: str) -> Any:
    """A value as it was typed: a number, true or false, else a text.

    Examples
    --------
    >>> [value_of(word) for word in ("32", "1e-3", "true", "relu")]
    [32, 0.001, True, 'relu']
    """
    try:
        value = json.loads(word.lower())
    except ValueError:
        try:
            return float(word)
        except ValueError:
            return word
    return value if isinstance(value, bool | int | float) else word


def values_of(words: tuple[str, ...]) -> list[Any]:
    """Values of a list flag, however they were separated."""
    return [value_of(part.strip()) for word in words for part in word.split(",") if part.strip()]


def named_values(words: tuple[str, ...]) -> dict[str, list[Any]]:
    """Values of each ``--set name=v1,v2``."""
    found: dict[str, list[Any]] = {}
    for word in words:
        name, equals, rest = word.partition("=")
        values = values_of((rest,))
        if not equals or not name.strip() or not values:
            raise click.UsageError(f"--set {word}: expected name=value or name=value,value")
        found.setdefault(name.strip(), []).extend(values)
    return found


def settings_of(words: tuple[str, ...]) -> dict[str, Any]:
    """Settings of each ``--set``: ``name=v``, ``name=v1,v2``, ``name=low..high[:log]``.

    Examples
    --------
    >>> settings_of(("rate=1e-4..1e-2:log", "units=16,32", "layers=2"))
    {'rate': {'low': 0.0001, 'high': 0.01, 'log': True}, 'units': [16, 32], 'layers': 2}
    """
    found: dict[str, Any] = {}
    for name, values in named_values(words).items():
        whole = _RANGE.fullmatch(str(values[0])) if len(values) == 1 else None
        if whole:
            low, high = value_of(whole["low"]), value_of(whole["high"])
            log = {"log": True} if whole["log"] else {}
            found[name] = {"low": low, "high": high, **log}
        else:
            found[name] = values if len(values) > 1 else values[0]
    return found


searched = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUES",
    help="What to search: NAME=V1,V2 or NAME=LOW..HIGH or NAME=LOW..HIGH:log; NAME=V fixes it.",
)
# What a search spends on each trial, and on the best of them.
scheduled = stacked(
    setting("tune.schedule", help="Who is given up early: podium list schedules."),
    setting("tune.finalists", help="How many of the best are trained with further seeds."),
    setting("tune.seeds", help="Seeds of each finalist, the search's own among them."),
)


def finalists_first(rows: Sequence[TrialRow], finalists: Sequence[Finalist]) -> list[TrialRow]:
    """Rows with the finalists at the top, as they were ranked."""
    place = {one.row.id: n for n, one in enumerate(finalists)}
    return sorted(rows, key=lambda row: place.get(row.id, len(place)))


def with_means(row: TrialRow, finalists: Sequence[Finalist]) -> dict[str, float | None]:
    """Mean and standard deviation over the seeds, where there are finalists."""
    if not finalists:
        return {}
    mine = next((one for one in finalists if one.row.id == row.id), None)
    return {"mean": mine.mean if mine else None, "sd": mine.sd if mine else None}
