"""Judge: open MLflow's pages on the store this project is shown in."""

from __future__ import annotations

import os
import sys

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=5000,
    show_default=True,
    help="Where on this machine.",
)
@options.mlflow
@options.common
def command(cli: CliContext, port: int) -> None:
    """Start MLflow's pages and tell the address of this project's experiment; Ctrl-C ends them.

    Where runs go to a server, it has its own pages, and only their address is told.
    """
    from podium.steps.archive.ui import ui

    # Whoever asks for the pages means MLflow, whether new runs go there by themselves or not.
    cli.settings["mlflow.enabled"] = True
    with cli.opened() as project:
        pages = ui(project, port)
        root = project.root
    cli.out.facts("ui", {"store": pages.shown, "open": pages.url})
    if pages.command:
        cli.out.say("starting MLflow's pages; Ctrl-C ends them")
        sys.stdout.flush()
        # MLflow puts files of its own where it runs.
        os.chdir(root)
        os.execve(pages.command[0], list(pages.command), dict(pages.environment))
