"""Shared by verbs that search or take settings: values as typed, flags, the table of trials."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from podium.cli.options import setting, stacked
from podium.render.table import counted

if TYPE_CHECKING:
    from podium.cli.options import CliContext
    from podium.steps.search.results import SearchResult

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
    named: dict[str, list[Any]] = {}
    for word in words:
        name, equals, rest = word.partition("=")
        values = values_of((rest,))
        if not equals or not name.strip() or not values:
            raise click.UsageError(f"--set {word}: expected name=value or name=value,value")
        named.setdefault(name.strip(), []).extend(values)
    return named


def settings_of(words: tuple[str, ...]) -> dict[str, Any]:
    """Settings of each ``--set``: ``name=v``, ``name=v1,v2``, ``name=low..high[:log]``.

    Examples
    --------
    >>> settings_of(("rate=1e-4..1e-2:log", "units=16,32", "layers=2"))
    {'rate': {'low': 0.0001, 'high': 0.01, 'log': True}, 'units': [16, 32], 'layers': 2}
    """
    settings: dict[str, Any] = {}
    for name, values in named_values(words).items():
        bounds = _RANGE.fullmatch(str(values[0])) if len(values) == 1 else None
        if bounds:
            low, high = value_of(bounds["low"]), value_of(bounds["high"])
            log = {"log": True} if bounds["log"] else {}
            settings[name] = {"low": low, "high": high, **log}
        else:
            settings[name] = values if len(values) > 1 else values[0]
    return settings


searched = click.option(
    "--set",
    "space",
    multiple=True,
    metavar="NAME=VALUES",
    help="Values to search: NAME=V1,V2 or NAME=LOW..HIGH or NAME=LOW..HIGH:log; NAME=V fixes it.",
)
scheduled = stacked(
    setting("tune.schedule", help="When trials are pruned: podium list schedules."),
    setting("tune.finalists", help="Number of best configs that get further seeds."),
    setting("tune.seeds", help="Seeds of each finalist, the search's own among them."),
)


def answer_trials(cli: CliContext, result: SearchResult, keys: str) -> None:
    """Print the trials of a search, best first, then the best baseline.

    Parameters
    ----------
    keys : str
        Keys of a trial in the verb's JSON, with spaces, where they apply: names of columns, and
        the paths ``model`` or ``files``; ``score`` stands for every metric of the search.
    """
    from podium.steps.search.results import SHOWN

    metrics = [result.metric, *result.values.get(result.best.id, {})]
    names = [name for key in keys.split() for name in (metrics if key == "score" else [key])]
    items = []
    for row in [*result.ranked, *([result.reference] if result.reference else [])]:
        path = str(cli.root / row.checkpoint) if row.checkpoint else None
        facts = {**result.facts(row), "model": path, "files": path}
        items.append({name: facts[name] for name in names if name in facts})
    cli.out.result("trials", result, items)
    rest = len(result.trials) - SHOWN
    if rest > 0 and not cli.out.as_json:
        cli.out.say(
            f"{counted(rest, 'further trial')}: podium list trials --slot {result.data.slot}"
        )
