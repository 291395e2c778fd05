"""The stages, one file each; ``STAGES`` of a task names its stages in order."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from podium import registry
from podium.steps.pipeline.slot_pipeline import PipelineStage

# Groups of stages, in ``--from`` and ``--to``.
GROUPS = ("tune", "extend", "analyze", "finalize", "backtest", "promote")
# Names of groups for slots that classify.
OTHER_NAMES = {"train": "finalize", "evaluate": "backtest"}


@cache
def stages_of(task: str) -> tuple[PipelineStage, ...]:
    """Stages of a task in their order."""
    names = registry.constant("tasks", task, "STAGES")
    return tuple(import_module(f"{__name__}.{name}").STAGE for name in names)
