"""Ship: train the chosen config on all but the sealed test."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.options import FILE, CliContext, setting


@click.command()
@options.slot
@click.option(
    "--config",
    type=FILE,
    help="Train the config in this file instead: best_config.json, or one of your own.",
)
@setting("finalize.epochs", help="Most epochs.")
@setting("finalize.seeds", help="Models that differ in their seed; forecasts are averaged.")
@click.option(
    "--include-test",
    is_flag=True,
    help="Train a judged candidate once more, on its sealed test too; it is never judged there.",
)
@click.option("--candidate", help="Which one.  [default: the champion, else the newest judged]")
@options.jobs
@options.mlflow
@options.common
def command(
    cli: CliContext,
    slot: str | None,
    config: Path | None,
    include_test: bool,
    candidate: str | None,
) -> None:
    """Train the config that SLOT's newest analysis chose: a candidate in stage development.

    Settings of the search and the folds are those they had. Its files are in final_model/. Killed,
    the same command goes on from the last epoch.
    """
    from podium import registry
    from podium.steps.candidates.finalize import finalize
    from podium.steps.candidates.given_config import GivenModel
    from podium.steps.candidates.with_test import ModelWithTest

    out = cli.out
    with cli.opened() as project:
        name = project.default_slot(slot)
        found = finalize(
            project, name, config=config, include_test=include_test, candidate=candidate
        )
        path = project.store / found.candidate.artifact_path
        stages = registry.constant("tasks", project.config.slot(name).task, "STAGES")
        files = None if found.folder is None else project.shown(found.folder)
    made = found.candidate
    facts = {
        "candidate": made.id,
        "slot": name,
        "version": made.version,
        "config": made.config,
        "trained until": made.trained_until or None,
        "artefact": str(path),
        "files": None if files is None else f"{files}/",
        "new": found.fresh,
    }
    if isinstance(found, GivenModel):
        facts["gates that miss evidence"] = list(found.missing)
    if isinstance(found, ModelWithTest):
        facts["parent"] = found.parent.id
    out.facts("candidate", facts)
    if isinstance(found, GivenModel):
        out.say(
            "no folds vouch for this config, so it has no evidence from validation; gates that ask "
            f"for that refuse it: {', '.join(found.missing) or 'none'}"
        )
    if isinstance(found, ModelWithTest):
        out.say(
            f"it has seen the sealed test, so no test of it can be evidence; {found.parent.id} is "
            "what was judged"
        )
        out.hint(f"podium predict {name} --candidate {made.id}", f"podium show {found.parent.id}")
    elif isinstance(found, GivenModel):
        out.hint(f"podium backtest --model-path {files or path}")
    else:
        judge = f"podium evaluate {made.id}" if "evaluate" in stages else f"podium backtest {name}"
        out.hint(judge, f"podium show {made.id}")
