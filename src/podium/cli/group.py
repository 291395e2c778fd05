"""The click group: lists verbs from their folder, imports a verb when it is called."""

from __future__ import annotations

import re
import signal
from importlib import import_module
from typing import Any

import click

from podium import __version__
from podium.cli.overview import overview, verbs
from podium.errors import suggest


class Verbs(click.Group):
    """Verbs in the order of the journey: start, search, judge, ship, serve."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs, from the folder."""
        return list(verbs())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb and add the examples to its help."""
        path = verbs().get(cmd_name)
        if path is None:
            return None
        module = import_module(f"podium.cli.verbs.{path.stem}")
        command: click.Command = module.command
        examples = re.findall("^Example: .*", module.__doc__ or "", re.MULTILINE)
        inner = getattr(command, "commands", {}).values()
        for one, example in zip([command, *inner], examples, strict=False):
            # The mark keeps click from wrapping the line.
            one.epilog = f"\b\n{example}"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Verb of a command line, or a usage error that suggests the nearest one."""
        known = verbs()
        if args and not args[0].startswith("-") and args[0] not in known:
            raise click.UsageError(f"no verb '{args[0]}': {suggest(args[0], known)}")
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """The overview; nothing is imported for it."""
        return overview()


@click.group(
    cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="podium %(version)s")
def podium() -> None:
    """Take time-series models from a search space to a champion you can defend."""


def invoke(arguments: list[str]) -> int:
    """Run a verb; errors of click get exit code 2, those of podium pass through."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        # Not podium.main(), which turns a closed pipe into exit code 1.
        with podium.make_context("podium", arguments) as context:
            code = podium.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 0
    except click.ClickException as error:
        error.show()
        return 2
    return code if isinstance(code, int) else 0


def _interrupt(number: int, frame: Any) -> None:
    """End a command by SIGTERM like by Ctrl-C: running trials are marked, workers end."""
    raise KeyboardInterrupt
