"""Search: train every config of a grid, keep and log each model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podium.cli import options
from podium.cli.output import Output

if TYPE_CHECKING:
    from podium.ledger.reads import TrialRow
    from podium.steps._finalists import Finalist

_RANGE = re.compile(r"(?P<low>.+?)\.\.(?P<high>[^:]+)(?P<log>:log)?")
# Flags that users of grids know, and the parameters they mean.
LISTS = {
    "--learning-rates": "learning_rate",
    "--lstm-units": "lstm_units",
    "--batch-sizes": "batch_size",
}


class Lists(click.Command):
    """Command whose list flags take several values after one flag, as in ``--lstm-units 32 64``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat a list flag before each further number that follows it."""
        repeated: list[str] = []
        flag = ""
        for word in args:
            name, equals, value = word.partition("=")
            if name in LISTS:
                flag = name
                repeated += [name, value] if equals else [name]
                continue
            if flag and _is_number(word) and repeated[-1] != flag:
                repeated.append(flag)
            elif repeated and repeated[-1] != flag:
                # A word after the values, such as the slot, ends the list.
                flag = ""
            repeated.append(word)
        return super().parse_args(ctx, repeated)


def _is_number(word: str) -> bool:
    """Whether a word is one number, or several with commas between them."""
    try:
        return bool([float(part) for part in word.split(",")])
    except ValueError:
        return False


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


def searched(function: options.Command) -> options.Command:
    """``--set`` where values are searched."""
    told = "What to search: NAME=V1,V2 or NAME=LOW..HIGH or NAME=LOW..HIGH:log; NAME=V fixes it."
    option = click.option("--set", "settings", multiple=True, metavar="NAME=VALUES", help=told)
    return option(function)


def scheduled(function: options.Command) -> options.Command:
    """What a search spends on each trial, and on the best of them."""
    for flag, kind, told in (
        ("--seeds", int, "Seeds of each finalist, the search's own among them."),
        ("--finalists", int, "How many of the best are trained with further seeds."),
        ("--schedule", str, "Who is given up early: podium list schedules."),
    ):
        function = click.option(flag, type=kind, help=told)(function)
    return function


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


def lists(function: options.Command) -> options.Command:
    """The list flags and ``--set``."""
    told = "Values of any parameter, with commas."
    function = click.option("--set", "settings", multiple=True, metavar="NAME=V1,V2", help=told)(
        function
    )
    for flag, name in reversed(LISTS.items()):
        told = f"Values of {name}, with spaces or commas."
        option = click.option(flag, name, multiple=True, metavar="V1 V2 ...", help=told)
        function = option(function)
    return function


@click.command(cls=Lists)
@options.slot
@lists
@click.option("--family", help="Kind of model.  [default: the slot's first]")
@click.option("--epochs", type=int, help="Epochs of every trial.")
@click.option("--budget", default="none", help="Give up what shows little: podium list schedules.")
@options.workers
@options.mlflow
@options.common
def command(
    slot: str | None,
    learning_rate: tuple[str, ...],
    lstm_units: tuple[str, ...],
    batch_size: tuple[str, ...],
    settings: tuple[str, ...],
    family: str | None,
    epochs: int | None,
    budget: str,
    folder: Path,
    as_json: bool,
    quiet: bool,
    workers: dict[str, Any],
    mlflow: dict[str, Any],
) -> None:
    """Train every combination of some values for SLOT (or the default one), each once.

    Without any list, the family's own grid. The same command again trains nothing new.
    """
    from podium import registry
    from podium.resolve import get_active_model_path
    from podium.steps.grid import grid

    typed = {"learning_rate": learning_rate, "lstm_units": lstm_units, "batch_size": batch_size}
    values = {name: values_of(words) for name, words in typed.items() if words}
    values |= named_values(settings)
    out = Output(as_json=as_json, quiet=quiet)
    flags = {"tune__epochs": epochs}
    with options.opened(folder, out, **flags, **workers, **mlflow) as project:
        name = project.default_slot(slot)
        with project.locked(name, "grid"):
            found = grid(project, name, values, family=family or "", budget=budget)
        root = project.root
        is_default = name == project.config.root_slot
    section = found.data.section
    metric = section.metric
    sign = -1.0 if registry.direction(metric) == "max" else 1.0
    rows = sorted(found.trials, key=lambda row: (row.score != row.score, sign * row.score))
    rows = [*rows, found.best_naive]
    items = [
        {
            "trial": row.id,
            "family": row.family,
            metric: options.score(row.score),
            "state": row.state,
            "config": row.config,
            "model": str(root / row.checkpoint) if row.checkpoint else None,
        }
        for row in rows
    ]
    count = len(found.trials)
    out.answer("trials", items, ["trial", "family", metric, "state", "config"])
    out.say(
        f"{count} config{'s' if count > 1 else ''}, {found.trained} new; best "
        f"{found.best.score:.4g}, naive {found.best_naive.score:.4g} ({metric} on validation)"
    )
    if is_default:
        out.say(f"active model: {get_active_model_path(root)}")
    else:
        out.say(f"its best config: {root / 'slots' / name / 'experiments' / 'best_config.json'}")
    if section.task == "classify":
        chosen = f" --model-path {root / str(found.best.checkpoint)}"
        out.hint(f"podium predict --data FILE.npz{chosen}")
    elif is_default:
        out.hint("podium predict", "podium backtest")
    else:
        out.hint(f"podium backtest {name}")
