"""Start: check versions, settings, record, hash chain, artefacts and disk.

Example: podium doctor
"""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.render.table import counted


@click.command()
@click.option(
    "--anchor",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Compare with the end of the record in a file, then write it; keep the file elsewhere.",
)
@options.common
def command(cli: CliContext, anchor: Path | None) -> int:
    """Check the installation and, inside a project, its files; exit code 7 on a fault."""
    from podium.steps.archive.doctor import doctor

    checks = doctor(cli.folder, anchor)
    faults = sum(not check.ok for check in checks)
    cli.out.lead(f"{counted(len(checks), 'check')}, {counted(faults, 'fault')}\n")
    cli.out.answer("checks", [vars(check) for check in checks])
    return 0 if all(check.ok for check in checks) else 7
