"""The stages, one file each. A new file is a new stage; ``after`` gives it its place."""

from __future__ import annotations

from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

from podium.steps.pipeline.slot_pipeline import Stage

# Groups of stages, as in ``--from`` and ``--to``.
GROUPS = ("tune", "extend", "analyze", "finalize", "backtest", "promote")
# What a slot that classifies calls them.
OTHER_NAMES = {"train": "finalize", "evaluate": "backtest"}


@cache
def stages_of(task: str) -> tuple[Stage, ...]:
    """Stages of a task in their order: by their groups, and each after those it needs."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    every = [import_module(f"{__name__}.{name}").STAGE for name in names]
    mine: dict[str, Stage] = {stage.name: stage for stage in every if task in stage.tasks}
    by_group = sorted(mine.values(), key=lambda stage: GROUPS.index(stage.group))
    needs = {stage.name: [n for n in stage.after if n in mine] for stage in by_group}
    return tuple(mine[name] for name in TopologicalSorter(needs).static_order())
