"""Epochs and regret of schedules compared with the full grid on the demo's bars.

For each seed a search draws configs and trains all of them to their end (two worker processes).
Each schedule is then replayed on those curves with podium's class. The replay is exact, since a
paused and resumed trial equals one without a pause. Regret is the best validation loss of the
survivors minus the best of all.

``python benchmarks/schedules.py --seeds 5 --configs 60 --epochs 20`` prints the table of
docs/benchmarks.md (half an hour on two cores); without flags it prints a small one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from podium import registry
from podium.ledger import reads
from podium.schedules._base import Schedule
from podium.steps.archive import init
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project

SLOT = "us4/D/volatility"
FINALISTS, GENERATION = 4, 8


def full_grid(seed: int, configs: int, epochs: int) -> list[list[float]]:
    """Validation losses by epoch of every config, all trained to their end."""
    flags = {
        "tune.trials": configs,
        "tune.epochs": epochs,
        "tune.seed": seed,
        "tune.search": "random",
        "tune.schedule": "none",
        "tune.finalists": 0,
        "runner.jobs": 2,
    }
    with tempfile.TemporaryDirectory() as folder:
        root = init.init(Path(folder) / "demo", demo=True)
        with open_project(root, settings=flags) as project:
            result = tune(project, SLOT)
            ids = [row.id for row in result.trials]
            with project.ledger.reading() as tx:
                curves = reads.curves(tx, ids, "val", "loss")
    return [curves[id_] for id_ in ids]


def replay(
    schedule: type[Schedule], curves: Sequence[Sequence[float]], cohort: int, least: int
) -> tuple[int, float]:
    """Epochs and regret of a schedule on cohorts of ``cohort`` trials."""
    budget = len(curves[0])
    made = schedule(budget, least)
    trained = [budget] * len(curves)
    for start in range(0, len(curves), cohort):
        going = list(range(start, min(start + cohort, len(curves))))
        for rung in made.rungs():
            scores = {n: min(curves[n][:rung]) for n in going}
            others = [
                min(curves[n][: min(rung, trained[n])])
                for n in range(going[-1] + 1 if going else 0)
                if n not in scores
            ]
            kept = set(made.survivors(rung, scores, others))
            for n in set(going) - kept:
                trained[n] = rung
            going = [n for n in going if n in kept]
    whole = [min(curve) for curve, had in zip(curves, trained, strict=True) if had == budget]
    return sum(trained), min(whole) - min(map(min, curves))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--configs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    grids = [full_grid(seed, args.configs, args.epochs) for seed in range(args.seeds)]
    print(f"{args.configs} configs x {args.epochs} epochs, {args.seeds} seeds")
    print("| schedule | decided about together | epochs used | regret, mean | regret, max |")
    print("|---|---|---|---|---|")
    for name in registry.names("schedules"):
        for cohort, least in ((args.configs, FINALISTS), (GENERATION, FINALISTS // 2)):
            schedule = registry.load("schedules", name).SCHEDULE
            results = [replay(schedule, curves, cohort, least) for curves in grids]
            epochs = statistics.mean(used for used, _ in results)
            regrets = [regret for _, regret in results]
            mean, worst = statistics.mean(regrets), max(regrets)
            print(f"| {name} | {cohort} | {epochs:,.0f} | {mean:.4f} | {worst:.4f} |")
    best = [sorted(map(min, curves)) for curves in grids]
    spread = statistics.mean(ranked[min(19, len(ranked) - 1)] - ranked[0] for ranked in best)
    print(f"from the best to the 20th best config: {spread:.4f}")


if __name__ == "__main__":
    main()
