"""``podium sweep --command``: flags of own code, and their answer."""

from __future__ import annotations

import shlex
from functools import wraps
from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext, setting, stacked
from podium.cli.verbs._search import answer_trials

# Parameters of own code only, beside the settings of a search.
_OF_CODE = ("command_line", "metric", "direction", "name", "version", "data")
# Parameters of the sweep of a slot only.
_OF_A_SLOT = (
    "slot", "mode", "families", "max_runs", "refine", "epochs", "finalists", "seeds",
)  # fmt: skip


def code(function: options.Command) -> options.Command:
    """``--command`` and its flags as one argument ``own``; None without it."""

    @wraps(function)
    def with_code(*args: Any, **params: Any) -> Any:
        own = {name: params.pop(name) for name in _OF_CODE}
        if own["command_line"] is None:
            if flags := _flags(*_OF_CODE, "trials", "search"):
                raise click.UsageError(f"{flags} only with --command")
            return function(*args, own=None, **params)
        if own["metric"] is None:
            raise click.UsageError("--command needs --metric, such as --metric val_loss")
        if flags := _flags(*_OF_A_SLOT):
            raise click.UsageError(f"{flags} not with --command")
        return function(*args, own=own, **params)

    return stacked(
        click.option(
            "--command", "command_line", metavar="WORDS", help="Own code: 'python train.py {args}'."
        ),
        click.option("--metric", help="Own code: the reported metric that is optimized."),
        click.option(
            "--direction", type=click.Choice(["min", "max"]), help="Own code: that of the metric."
        ),
        setting("tune.trials", help="Own code: number of configs."),
        setting("tune.search", help="Own code: how configs are chosen: podium list searches."),
        click.option("--name", help="Own code: its slot is own/NAME.  [default: the script's]"),
        setting("tune.seed", help="Seed of trainings; own code: of the search, and PODIUM_SEED."),
        click.option(
            "--version", type=click.IntRange(1), default=1, help="Own code: a new one trains again."
        ),
        click.option(
            "--data",
            multiple=True,
            metavar="PATH",
            help="Own code: files that it reads; new content is a new training.",
        ),
    )(with_code)


def _flags(*names: str) -> str:
    """Flags of the parameters that the command line sets."""
    spelt = {"command_line": "--command", "slot": "SLOT"}
    source_of = click.get_current_context().get_parameter_source
    return ", ".join(
        spelt.get(name, f"--{name.replace('_', '-')}")
        for name in names
        if source_of(name) not in (None, click.core.ParameterSource.DEFAULT)
    )


def sweep(cli: CliContext, own: dict[str, Any], settings: dict[str, Any]) -> None:
    """Search with a command and print its trials, best first."""
    from podium.own import GIVEN, rendered
    from podium.steps.search.own import sweep_command
    from podium.steps.trials.driver import failure
    from podium.tasks.own import OwnData

    # The schedule of podium.toml is for families: own code has one with the flag only.
    schedule = cli.settings.pop("tune.schedule", "")
    with cli.opened() as project:
        result = sweep_command(
            project,
            own["command_line"],
            settings,
            own["metric"],
            direction=own["direction"] or "",
            name=own["name"] or "",
            version=own["version"],
            files=own["data"],
            schedule=schedule,
        )
    out, data, best = cli.out, result.data, result.best
    assert isinstance(data, OwnData)
    answer_trials(cli, result, "trial score epoch state config files")
    placeholders = {name: f"{{{name}}}" for name in GIVEN}
    out.say(f"by hand: {shlex.join(rendered(data.code.words, best.config, placeholders))}")
    shown = best
    if result.failed:
        shown = result.failed[0]
        out.say(f"{len(result.failed)} failed; the first: {failure(shown)}")
    out.hint(f"podium show {shown.id}", f"podium list trials --slot {data.slot}")
