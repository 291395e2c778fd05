"""What ``podium sweep`` is told of own code, and what it answers then."""

from __future__ import annotations

import shlex
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podium.cli import options
from podium.cli.options import CliContext, setting, stacked
from podium.cli.output import Output
from podium.cli.verbs._search import answer_trials
from podium.render.table import counted

if TYPE_CHECKING:
    from podium.steps.search.results import SearchResult

# What only own code is told, beside the settings of a search.
_OF_CODE = ("command_line", "metric", "direction", "name", "version", "data")
# What a sweep of a slot is told, and a command is not.
_OF_A_SLOT = (
    "slot", "mode", "families", "max_runs", "refine", "epochs", "finalists", "seeds",
)  # fmt: skip


def code(function: options.Command) -> options.Command:
    """``--command`` and what goes with it, handed on as one argument ``own``; None without it."""

    @wraps(function)
    def with_code(*args: Any, **given: Any) -> Any:
        own = {name: given.pop(name) for name in _OF_CODE}
        if own["command_line"] is None:
            said = [name for name in (*_OF_CODE, "trials", "search", "seed") if _is_said(name)]
            if said:
                raise click.UsageError(f"{', '.join(map(_flag, said))} only with --command")
            return function(*args, own=None, **given)
        if own["metric"] is None:
            raise click.UsageError("--command needs --metric, such as --metric val_loss")
        said = [name for name in _OF_A_SLOT if _is_said(name)]
        if said:
            raise click.UsageError(f"{', '.join(map(_flag, said))} not with --command")
        return function(*args, own=own, **given)

    return stacked(
        click.option(
            "--command",
            "command_line",
            metavar="WORDS",
            help="Own code in place of families: 'python train.py {args}'.",
        ),
        click.option("--metric", help="Own code: what it reports and what is looked for."),
        click.option(
            "--direction", type=click.Choice(["min", "max"]), help="Own code: which way is better."
        ),
        setting("tune.trials", help="Own code: how many configs."),
        setting("tune.search", help="Own code: how configs are chosen: podium list searches."),
        click.option("--name", help="Own code: its slot is own/NAME.  [default: the script's]"),
        setting("tune.seed", help="Own code: of the search, and PODIUM_SEED of every trial."),
        click.option(
            "--version",
            type=click.IntRange(1),
            default=1,
            help="Own code: another one trains it anew.",
        ),
        click.option(
            "--data",
            multiple=True,
            metavar="PATH",
            help="Own code: what it reads; the content counts.",
        ),
    )(with_code)


def _is_said(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source not in (None, click.core.ParameterSource.DEFAULT)


def _flag(name: str) -> str:
    return {"command_line": "--command", "slot": "SLOT"}.get(name, f"--{name.replace('_', '-')}")


def sweep(cli: CliContext, own: dict[str, Any], settings: dict[str, Any]) -> None:
    """Search with a command and answer with its trials, best first."""
    from podium.steps.search.own import sweep_command

    # The schedule of podium.toml is for families: own code has one where the flag is given.
    schedule = cli.settings.pop("tune.schedule", "")
    with cli.opened() as project:
        found = sweep_command(
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
        root = project.root
    _answer(cli.out, found, root)


def _answer(out: Output, found: SearchResult, root: Path) -> None:
    from podium.own import GIVEN, rendered
    from podium.steps.trials.driver import failure
    from podium.tasks.own import OwnData

    data, best = found.data, found.best
    assert isinstance(data, OwnData)
    answer_trials(out, found, root, "trial", "score", "epoch", "state", "config", "files")
    epoch = f" in epoch {found.epochs[best.id]}" if best.id in found.epochs else ""
    out.say(
        f"{data.slot}: {counted(len(found.trials), 'trial')}; best {found.metric} "
        f"{best.score:.4g}{epoch}: {best.id}"
    )
    given = {name: f"{{{name}}}" for name in GIVEN}
    out.say(f"by hand: {shlex.join(rendered(data.code.words, best.config, given))}")
    shown = best
    if found.failed:
        shown = found.failed[0]
        out.say(f"{len(found.failed)} failed; the first: {failure(shown)}")
    out.hint(f"podium show {shown.id}", f"podium list trials --slot {data.slot}")
