"""What must hold before steps begin; all that does not is told at once, before anything trains."""

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

# What a model's file has beside its weights, and how many times a model a training's state is:
# the weights, the best ones so far, and the optimizer's two moments of each.
OVERHEAD, STATE = 65_536, 4


def require_writable(project: Project) -> None:
    """Refuse a project that podium cannot write to.

    Raises
    ------
    DataError
    """
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
    """Refuse what would stop a later step of a slot, before the first one trains anything.

    Raises
    ------
    PodiumError
        With what is wrong in its data, its policy, its folds, its spaces or the accelerator.
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
    """One error with every problem once: slots that share a dataset have its problems in common."""
    problems = dict.fromkeys(problem for error in errors for problem in error.problems)
    return type(errors[0]).of(problems)


def require_room(project: Project, wanted: Mapping[str, Sequence[Need]]) -> None:
    """Refuse steps whose checkpoints will not fit on the project's disk.

    Parameters
    ----------
    wanted : mapping of slot to sequence of Need

    Raises
    ------
    DataError
    """
    total = sum(need.bytes for needs in wanted.values() for need in needs)
    free = shutil.disk_usage(project.root).free
    if total <= free:
        return
    told = [f"{slot} {need.purpose}" for slot, needs in wanted.items() for need in needs]
    raise DataError(
        f"{size(free)} are free on the disk of {project.root}, and what is left to do needs about "
        f"{size(total)}: {'; '.join(told)}",
        "room for that",
        "free some space, lower tune.keep_checkpoints, or narrow the space to smaller models",
    )


def need_of_search(slot: SlotPipeline) -> Need:
    """Room for the checkpoints, the states of paused trials and the losses of a search."""
    data, settings = slot.data, slot.project.config.tune
    models = {name: largest(slot, name) for name in data.section.families}
    names = [name for name in models if not slot.only or name in slot.only]
    keeps = bool(slot.project.config.paths.tuning)
    kept = min(settings.keep_checkpoints, settings.trials) if keeps else 0
    files = sum(models[name] * kept for name in names)
    paused = sum(
        models[name] * STATE * settings.trials
        for name in names
        if settings.schedule != schedule.NONE and data.resumable(name)
    )
    total = files + paused + _losses(slot) * settings.trials * len(names)
    return Need(
        total,
        f"tune {size(total)} ({kept * len(names)} checkpoints of at most "
        f"{size(max(models.values()))} each)",
    )


def need_of_folds(slot: SlotPipeline) -> Need:
    """Room for the losses of the folds."""
    settings = slot.project.config.extend
    total = _losses(slot) * settings.top * settings.folds
    return Need(total, f"extend {size(total)} (losses of the folds)")


def need_of_models(slot: SlotPipeline, stage: str) -> Need:
    """Room for the two models of a candidate."""
    widest = max(largest(slot, name) for name in slot.data.section.families)
    # Beside one another and once more while they are put into the store.
    total = 2 * 2 * widest
    return Need(total, f"{stage} {size(total)} (2 models of at most {size(widest)})")


def _losses(slot: SlotPipeline) -> int:
    """Bytes that the losses of a trial take: four for every validation window."""
    data = slot.data
    return 4 * data.series * len(validation_split(slot.project, data).folds[0].validation)


def largest(slot: SlotPipeline, name: str) -> int:
    """Bytes of the largest model a family's space holds; each parameter is looked at by itself."""
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


def describe(slot: SlotPipeline, wanted: Need | None) -> str:
    """The checklist of a stage in one line, when all is well."""
    data, free = slot.data, shutil.disk_usage(slot.project.root).free
    room = size(wanted.bytes if wanted else 0)
    return f"checked: {data.size}, about {room} of {size(free)} free, on {slot.project.places}"
