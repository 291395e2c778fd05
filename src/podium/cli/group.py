"""The click group: finds verbs in their folder, imports one only when it is called."""

from __future__ import annotations

import signal
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from podium import __version__
from podium.errors import suggest
from podium.registry import first_line

FOLDER = Path(__file__).parent / "verbs"
GROUPS = ("Start", "Search", "Judge", "Ship", "Serve")


class Verbs(click.Group):
    """Verbs by the journey: start, search, judge, ship, serve."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs, from the folder."""
        return sorted(p.stem.rstrip("_") for p in FOLDER.glob("[!_]*.py"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One verb, imported now."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"podium.cli.verbs.{_stem(cmd_name)}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb, or a usage error that suggests the nearest one."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise click.UsageError(
                f"no verb '{args[0]}': {suggest(args[0], self.list_commands(ctx))}"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Verbs under their headings; nothing is imported."""
        lines: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
        for name in self.list_commands(ctx):
            group, _, text = first_line(FOLDER / f"{_stem(name)}.py").partition(": ")
            lines[group].append((name, text))
        for group, verbs in lines.items():
            if verbs:
                with formatter.section(group):
                    formatter.write_dl(verbs)


def _stem(verb: str) -> str:
    """File of a verb; ``list`` would hide the builtin, so its file ends in an underscore."""
    return verb if (FOLDER / f"{verb}.py").exists() else f"{verb}_"


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every verb: podium VERB --help. Any verb takes --debug, the only way to a traceback.",
)
@click.version_option(__version__, message="podium %(version)s")
def podium() -> None:
    """Take time-series models from a search space to a champion you can defend."""


def invoke(arguments: list[str]) -> int:
    """Run a verb; click's own errors get exit code 2, podium's pass through."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = podium.main(arguments, prog_name="podium", standalone_mode=False)
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
