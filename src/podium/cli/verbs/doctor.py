"""Start: check versions, settings, record, hash chain, artefacts and disk."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@options.common
def command(folder: Path, as_json: bool, quiet: bool) -> int:
    """Check the installation and, inside a project, all it stands on. Ends with 7 on a fault."""
    from podium.steps.archive.doctor import doctor

    out = Output(as_json=as_json, quiet=quiet)
    checks = doctor(folder)
    out.answer("checks", [vars(check) for check in checks])
    return 0 if all(check.ok for check in checks) else 7
