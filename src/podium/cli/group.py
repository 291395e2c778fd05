"""The click group: finds verbs in their folder, imports one only when it is called."""

from __future__ import annotations

import signal
from importlib import import_module
from typing import Any

import click

from podium import __version__
from podium.cli.overview import overview, verbs
from podium.errors import suggest


class Verbs(click.Group):
    """Verbs by the journey: start, search, judge, ship, serve."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs, from the folder."""
        return list(verbs())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One verb, imported now."""
        path = verbs().get(cmd_name)
        if path is None:
            return None
        command: click.Command = import_module(f"podium.cli.verbs.{path.stem}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb, or a usage error that suggests the nearest one."""
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
    """Run a verb; click's own errors get exit code 2, podium's pass through."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        # Not podium.main(): it would turn a reader that left into exit code 1.
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
    """Let ``kill`` end a command the way Ctrl-C does: running trials are marked, workers end."""
    raise KeyboardInterrupt
