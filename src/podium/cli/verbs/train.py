"""Search: train one config of a family, with its checkpoints and its record.

Example: podium train bilstm --slot glucose/class --learning-rate 0.003
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from podium.cli import options
from podium.cli.options import FILE, FOLDER, CliContext
from podium.cli.verbs._search import named_values


@click.command()
@click.argument("family")
@click.option("--slot", help="Slot to train for.  [default: the one that classifies]")
@click.option("--train-npz", type=FILE, help="Samples to train on, in place of the dataset's.")
@click.option("--val-npz", type=FILE, help="Samples to validate on.")
@click.option("--feature-stats", type=FILE, help="Scaling: read if the file exists, else written.")
@click.option("--output-dir", type=FOLDER, help="Folder of best.pt, last.pt ...")
@click.option("--batch-size", type=int)
@click.option("--epochs", type=int)
@click.option("--hidden-size", type=int)
@click.option("--num-layers", type=int)
@click.option("--bidirectional/--unidirectional", default=None, help="Read both ways.")
@click.option("--weighted-loss/--plain-loss", default=None, help="Weigh rare classes more.")
@click.option("--learning-rate", type=float)
@click.option("--dropout", type=float)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any other parameter.")
@click.option("--best", is_flag=True, help="Start from the best config of the newest search.")
@click.option("--seed", type=click.IntRange(0), help="[default: tune.seed]")
@click.option("--device", type=click.Choice(["cpu", "cuda", "mps", "auto"]), default="cpu")
@click.option(
    "--resume/--restart",
    default=None,
    help="Continue from last.pt of the output folder, or not.  [default: if interrupted]",
)
@click.option("--data-version", default="", help="For the run's name.  [default: the dataset]")
@click.option("--model-tag", default="", help="For the run's name.  [default: the family]")
@click.option("--notes", default="", help="A text stored with the run.")
@options.mlflow
@options.common
def command(
    cli: CliContext,
    family: str,
    slot: str | None,
    train_npz: Path | None,
    val_npz: Path | None,
    feature_stats: Path | None,
    output_dir: Path | None,
    settings: tuple[str, ...],
    weighted_loss: bool | None,
    best: bool,
    seed: int | None,
    device: str,
    resume: bool | None,
    data_version: str,
    model_tag: str,
    notes: str,
    **parts: Any,
) -> None:
    """Train FAMILY once on a slot's samples; the result is a candidate in development.

    Without a slot that classifies, the files become a dataset and a slot in podium.toml. The same
    training again trains nothing new; an interrupted one continues, and --restart begins anew.
    """
    from podium.steps.candidates.train import TrainingRequest, declared, train
    from podium.steps.trials.baselines import label_of

    chosen = {name: value for name, value in parts.items() if value is not None}
    if "epochs" in chosen:
        chosen["max_epochs"] = chosen.pop("epochs")
    if weighted_loss is not None:
        chosen["class_weights"] = "inverse_frequency" if weighted_loss else "none"
    for name, values in named_values(settings).items():
        if len(values) > 1:
            raise click.UsageError(f"--set {name}: {len(values)} values; podium tune searches")
        chosen[name] = values[0]
    context = click.get_current_context()
    flags = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in context.params.items()
        if value not in (None, (), "") and name not in ("folder", "as_json", "quiet", "settings")
    }
    for key, value in cli.settings.items():
        flags["mlflow" if key == "mlflow.enabled" else key.replace(".", "_")] = value
    extras = {"flags": flags, "data_version": data_version, "model_tag": model_tag}
    request = TrainingRequest(
        settings=chosen, best=best, training=train_npz, validation=val_npz, stats=feature_stats,
        output=output_dir, device=device, resume=resume, seed=seed, extras=extras, notes=notes,
    )  # fmt: skip
    name, table = declared(cli.root, cli.config, slot, request)
    if table:
        cli.out.say(f"added to podium.toml for these files:\n\n{table}")
    with cli.opened() as project:
        result = train(project, name, family, request)
    metric = result.data.section.metric
    item = {
        "candidate": result.candidate.id,
        "slot": name,
        "version": result.candidate.version,
        f"val_{metric}": result.trial.score,
        f"naive val_{metric}": result.reference.score,
        "naive": label_of(result.reference),
        "config": result.trial.config,
        "output": str(result.output),
    }
    cli.out.result("candidate", result, [item])
    cli.out.say(f"files: {result.output}")
    cli.out.hint(f"podium evaluate {result.candidate.id}")
