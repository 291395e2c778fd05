"""Checks before a run: all problems are reported at once, before anything is trained."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from podium.errors import DataError, PodiumError, Problem
from podium.render.table import size
from podium.space import Choice, ConfigDict, Space
from podium.steps.pipeline.slot_pipeline import Need, SlotPipeline
from podium.steps.search.extend import folds_of
from podium.steps.search.tune import space_of, validation_split
from podium.steps.trials import schedule
from podium.steps.workspace.policy import policy_of
from podium.steps.workspace.project import Project

# Bytes of a model's file besides its weights, and size of a training state in models: weights,
# best weights, and the two moments of the optimizer.
OVERHEAD, STATE = 65_536, 4


def require_writable(project: Project) -> None:
    """Raise DataError where podium cannot write to the project."""
    record = project.reader.path
    places = [project.root, project.state, *([record] if record else [])]
    problems = [
        Problem(
            f"{place} cannot be written to",
            "a folder of yours on a disk that is not read-only",
            "copy the project to one, or mount the disk for writing",
        )
        for place in places
        if place.exists() and not os.access(place, os.W_OK)
    ]
    DataError.raise_for(problems)


def require_inputs(slot: SlotPipeline) -> None:
    """Check the data, policy, folds, spaces and device of a slot before its first step.

    Raises
    ------
    PodiumError
        With all problems.
    """
    project, data = slot.project, slot.data
    checks: list[Any] = [
        lambda: policy_of(project.config, slot.slot),
        lambda: project.devices,
        *(lambda name=name: space_of(project, data, name) for name in data.section.families),
        lambda: data.held_out(project.config.tune.validation_fraction),
        lambda: data.held_out(project.config.finalize.validation_fraction),
        lambda: folds_of(project.config.extend, data.tuning, data.splitter),
    ]
    errors = []
    for check in checks:
        try:
            check()
        except PodiumError as error:
            errors.append(error)
    if errors:
        raise together(errors)


def together(errors: Sequence[PodiumError]) -> PodiumError:
    """One error with every problem once, as slots may share a dataset and its problems."""
    problems = dict.fromkeys(problem for error in errors for problem in error.problems)
    return type(errors[0]).of(problems)


def require_room(project: Project, needs: Mapping[str, Sequence[Need]]) -> None:
    """Raise DataError where the needs of the slots exceed the free disk space."""
    total = sum(need.bytes for of_slot in needs.values() for need in of_slot)
    free = shutil.disk_usage(project.root).free
    if total <= free:
        return
    parts = [f"{slot} {need.purpose}" for slot, of_slot in needs.items() for need in of_slot]
    raise DataError(
        f"{size(free)} are free on the disk of {project.root}, and the steps need about "
        f"{size(total)}: {'; '.join(parts)}",
        "enough free space",
        "free some space, lower tune.keep_checkpoints, or narrow the space to smaller models",
    )


def need_of_search(slot: SlotPipeline) -> Need:
    """Disk space of a search: checkpoints, states of paused trials, losses."""
    data, settings = slot.data, slot.project.config.tune
    models = {name: largest(slot, name) for name in data.section.families}
    names = [name for name in models if not slot.only or name in slot.only]
    has_folder = bool(slot.project.config.paths.tuning)
    count = min(settings.keep_checkpoints, settings.trials) if has_folder else 0
    files = sum(models[name] * count for name in names)
    paused = sum(
        models[name] * STATE * settings.trials
        for name in names
        if settings.schedule != schedule.NONE and data.resumable(name)
    )
    total = files + paused + _losses(slot) * settings.trials * len(names)
    most = size(max(models.values()))
    return Need(
        total, f"tune {size(total)} ({count * len(names)} checkpoints of at most {most} each)"
    )


def need_of_folds(slot: SlotPipeline) -> Need:
    """Disk space of the losses of the folds."""
    settings = slot.project.config.extend
    total = _losses(slot) * settings.top * settings.folds
    return Need(total, f"extend {size(total)} (losses of the folds)")


def need_of_models(slot: SlotPipeline, stage: str) -> Need:
    """Disk space of the two models of a candidate."""
    widest = max(largest(slot, name) for name in slot.data.section.families)
    # Two copies while they are put into the store.
    total = 2 * 2 * widest
    return Need(total, f"{stage} {size(total)} (2 models of at most {size(widest)})")


def _losses(slot: SlotPipeline) -> int:
    """Bytes of a trial's losses: four for every validation window."""
    data = slot.data
    return 4 * data.series * len(validation_split(slot.project, data).folds[0].validation)


def largest(slot: SlotPipeline, name: str) -> int:
    """Bytes of the largest model in a family's space, each parameter taken by itself."""
    data = slot.data
    family = data.family(name)
    space: Space = space_of(slot.project, data, name)

    def weights(config: ConfigDict) -> float:
        return float(family.complexity(config, data.n_features))

    [config] = space.only([]).grid()
    for parameter, values in space.parameters.items():
        ends = values.options if isinstance(values, Choice) else (values.low, values.high)
        config = max(({**config, parameter: value} for value in ends), key=weights)
    return OVERHEAD + 4 * int(weights(config))


def describe(slot: SlotPipeline, need: Need | None) -> str:
    """Result of the checks of a stage in one line."""
    data, free = slot.data, shutil.disk_usage(slot.project.root).free
    room = size(need.bytes if need else 0)
    return f"checked: {data.size}, about {room} of {size(free)} free, on {slot.project.places}"
