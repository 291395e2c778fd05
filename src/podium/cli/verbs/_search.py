"""What verbs that search, or take settings, share: values as typed, flags, the table of trials."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podium.cli.options import score, setting, stacked

if TYPE_CHECKING:
    from podium.cli.output import Output
    from podium.ledger.reads import TrialRow
    from podium.steps.search.results import SearchResult

# Columns of a table of trials; a verb has those that mean something to it.
COLUMNS = (
    "trial", "family", "mode", "score", "pareto", "feasible", "epoch", "state", "epochs", "mean",
    "sd", "config",
)  # fmt: skip
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
    "space",
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


def answer_trials(out: Output, found: SearchResult, root: Path, *keys: str) -> None:
    """Answer with the trials of a search, best first, then the best baseline.

    Parameters
    ----------
    keys : str
        What the verb's JSON says of a trial, where it applies: names of columns, and the paths
        ``model`` or ``files``; ``score`` stands for every metric of the search.
    """
    from podium.steps.trials.objectives import pareto
    from podium.trial import State

    rows = [*found.ranked, *([found.reference] if found.reference else [])]
    inside = {id_: values for id_, values in found.values.items() if id_ in found.feasible}
    front = pareto(inside, list(inside[found.best.id])) if inside else set()
    finals = {one.row.id: one for one in found.finalists}
    limited = len(found.feasible) < len(found.trials)
    pruned = any(row.state is State.PRUNED for row in rows)

    def facts(row: TrialRow) -> dict[str, Any]:
        final = finals.get(row.id)
        path = str(root / row.checkpoint) if row.checkpoint else None
        known = {
            "trial": row.id,
            "family": row.family,
            "mode": row.phase.partition("/")[2] or row.phase,
            **found.values.get(row.id, {}),
            found.metric: score(row.score),
            "epoch": found.epochs.get(row.id),
            "state": row.state,
            "config": row.config,
            "model": path,
            "files": path,
        }
        if row.id in found.values:
            known["pareto"] = row.id in front
        if limited and row is not found.reference:
            known["feasible"] = row.id in found.feasible
        if pruned:
            known["epochs"] = row.epochs
        if finals:
            known["mean"], known["sd"] = (final.mean, final.sd) if final else (None, None)
        return known

    shown = keys if out.as_json else [name for name in COLUMNS if name in {*keys, "epochs"}]
    metrics = dict.fromkeys([found.metric, *found.values.get(found.best.id, {})])
    names = [name for key in shown for name in (metrics if key == "score" else [key])]
    items = [facts(row) for row in rows]
    items = [{name: item[name] for name in names if name in item} for item in items]
    out.answer("trials", items, [name for name in names if name in items[0]])
