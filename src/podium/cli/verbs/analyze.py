"""Judge: choose a config from the folds and say why."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@options.slot
@options.common
def command(slot: str | None, folder: Path, as_json: bool, quiet: bool) -> None:
    """Choose among SLOT's extended configs: best mean, the simpler within one standard error."""
    from podium.steps.analyze import analyze

    out = Output(as_json=as_json, quiet=quiet)
    with options.opened(folder, out) as project:
        name = project.default_slot(slot)
        with project.locked(name, "analyze"):
            found = analyze(project, name)
    out.facts(
        "analysis",
        {
            "slot": name,
            "family": found.chosen.family,
            "config": found.chosen.config,
            "mean": found.chosen.mean,
            "standard error": found.chosen.standard_error,
            "why": found.reason,
            "against the next": found.distinguishable,
            "naive": found.naive.config,
            "naive mean": found.naive.mean,
            "p-value against naive": found.against_naive.p_value,
            "configs looked at": found.looked_at,
        },
    )
    out.hint(f"podium finalize {name}")
