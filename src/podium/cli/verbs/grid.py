"""Search: train every config of a grid, keep and log each model.

Example: podium grid us4/D/return --set learning_rate=0.001,0.003
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext, setting
from podium.cli.verbs._search import answer_trials, named_values, values_of
from podium.render.table import counted

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


LIST = "Values of {}, with spaces or commas."
lists = options.stacked(
    *(
        click.option(flag, name, multiple=True, metavar="V1 V2 ...", help=LIST.format(name))
        for flag, name in LISTS.items()
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=V1,V2",
        help="Values of any parameter, with commas.",
    ),
)


@click.command(cls=Lists)
@options.slot
@lists
@click.option("--family", help="Kind of model.  [default: the slot's first]")
@setting("tune.epochs", help="Epochs of every trial.")
@click.option("--budget", default="none", help="When trials are pruned: podium list schedules.")
@options.workers
@options.mlflow
@options.common
def command(
    cli: CliContext,
    slot: str | None,
    settings: tuple[str, ...],
    family: str | None,
    budget: str,
    **lists: tuple[str, ...],
) -> None:
    """Train every combination of some values for SLOT (or the default one), each once.

    Without any list, the family's own grid. The same command again trains nothing new.
    """
    from podium import registry
    from podium.resolve import get_active_model_path
    from podium.steps.search.grid import grid

    values = {name: values_of(words) for name, words in lists.items() if words}
    values |= named_values(settings)
    out = cli.out
    with cli.opened() as project:
        result = grid(project, slot, values, family=family or "", budget=budget)
    name, root = result.data.slot, project.root
    is_default = name == project.config.root_slot
    answer_trials(cli, result, "trial family score state config model")
    out.say(f"{counted(len(result.trials), 'config')}, {result.trained} new")
    if is_default:
        out.say(f"active model: {get_active_model_path(root)}")
    else:
        out.say(f"its best config: {root / 'slots' / name / 'experiments' / 'best_config.json'}")
    if registry.holds(result.data.section.task) == "sequences":
        chosen = f" --model-path {root / str(result.best.checkpoint)}"
        out.hint(f"podium predict --data FILE.npz{chosen}")
    elif is_default:
        out.hint("podium predict", "podium backtest")
    else:
        out.hint(f"podium backtest {name}")
