"""Judge: start MLflow's pages on the store of this project.

Example: podium ui --port 5001
"""

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
    help="Port on this machine.",
)
@options.mlflow
@options.common
def command(cli: CliContext, port: int) -> None:
    """Start MLflow's pages and print the address of this project's experiment; Ctrl-C ends them.

    A tracking server has its own pages; then only their address is printed.
    """
    from podium.steps.archive.ui import ui

    with cli.opened() as project:
        pages = ui(project, port)
        root = project.root
    cli.out.facts("ui", {"store": pages.shown, "open": pages.url})
    if pages.command:
        cli.out.say("starting MLflow's pages; Ctrl-C ends them")
        sys.stdout.flush()
        # MLflow writes files into its working directory.
        os.chdir(root)
        os.execve(pages.command[0], list(pages.command), dict(pages.environment))
