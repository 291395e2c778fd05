"""Start: check versions, settings, record, hash chain, artefacts and disk."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@options.common
def command(cli: CliContext) -> int:
    """Check the installation and, inside a project, all it stands on. Ends with 7 on a fault."""
    from podium.steps.archive.doctor import doctor

    checks = doctor(cli.folder)
    cli.out.answer("checks", [vars(check) for check in checks])
    return 0 if all(check.ok for check in checks) else 7
