"""Ship: train the chosen config on all but the sealed test.

Example: podium finalize us4/D/return
"""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.options import FILE, CliContext, setting


@click.command()
@options.slot
@click.option("--config", type=FILE, help="Train the config in a file, such as best_config.json.")
@setting("finalize.epochs", help="Maximum epochs.")
@setting("finalize.seeds", help="Models that differ in their seed; forecasts are averaged.")
@click.option(
    "--include-test",
    is_flag=True,
    help="Train a judged candidate again on its sealed test too, for use only.",
)
@click.option("--candidate", help="Its id.  [default: the champion, else the newest judged]")
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

    Settings of the search and the folds are those they had. Its files are in final_model/. After a
    kill the same command continues from the last epoch.
    """
    from podium import registry
    from podium.steps.candidates.finalize import finalize
    from podium.steps.candidates.given_config import GivenModel
    from podium.steps.candidates.with_test import ModelWithTest

    out = cli.out
    with cli.opened() as project:
        name = project.default_slot(slot)
        result = finalize(
            project, name, config=config, include_test=include_test, candidate=candidate
        )
        path = project.store / result.candidate.artifact_path
        stages = registry.constant("tasks", project.config.slot(name).task, "STAGES")
        files = result.folder and project.shown(result.folder)
    made = result.candidate
    item = {
        "candidate": made.id,
        "slot": name,
        "version": made.version,
        "config": made.config,
        "trained until": made.trained_until or None,
        "artefact": str(path),
        "files": files and f"{files}/",
        "new": result.fresh,
    }
    if isinstance(result, GivenModel):
        item["gates that miss evidence"] = list(result.missing)
    if isinstance(result, ModelWithTest):
        item["parent"] = result.parent.id
    out.result("candidate", result, [item])
    if files and not out.as_json:
        out.say(f"files: {files}/")
    if isinstance(result, ModelWithTest):
        out.hint(f"podium predict {name} --candidate {made.id}", f"podium show {result.parent.id}")
    elif isinstance(result, GivenModel):
        out.hint(f"podium backtest --model-path {files or path}")
    else:
        judge = f"podium evaluate {made.id}" if "evaluate" in stages else f"podium backtest {name}"
        out.hint(judge, f"podium show {made.id}")
