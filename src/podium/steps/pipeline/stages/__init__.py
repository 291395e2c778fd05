"""The stages, one file each; the ``STAGES`` of a task name those it has, in their order."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from podium import registry
from podium.steps.pipeline.slot_pipeline import PipelineStage

# Groups of stages, as in ``--from`` and ``--to``.
GROUPS = ("tune", "extend", "analyze", "finalize", "backtest", "promote")
# What a slot that classifies calls them.
OTHER_NAMES = {"train": "finalize", "evaluate": "backtest"}


@cache
def stages_of(task: str) -> tuple[PipelineStage, ...]:
    """Stages of a task in their order."""
    names = registry.constant("tasks", task, "STAGES")
    return tuple(import_module(f"{__name__}.{name}").STAGE for name in names)
