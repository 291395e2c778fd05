"""What must hold before steps begin; all that does not is told at once, before anything trains."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podium import registry
from podium.errors import DataError, PodiumError, Problem
from podium.report.table import size
from podium.space import Choice, ConfigDict, Space
from podium.steps.data.sequences import ClassData
from podium.steps.pipeline.stages import ORDER, Road, Step
from podium.steps.search.extend import folds_of
from podium.steps.search.tune import space_of, validation_split
from podium.steps.trials import schedule
from podium.steps.workspace.policy import policy_of
from podium.steps.workspace.project import Project

# What a model's file has beside its weights, and how many times a model a training's state is:
# the weights, the best ones so far, and the optimizer's two moments of each.
OVERHEAD, STATE = 65_536, 4


@dataclass(frozen=True)
class Need:
    """Room a step wants on the disk, in bytes, and for what."""

    bytes: int
    told: str


def require_writable(project: Project) -> None:
    """Refuse a project that podium cannot write to.

    Raises
    ------
    DataError
    """
    record = project.door.path
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
    if problems:
        raise DataError.of(problems)


def require_inputs(road: Road) -> None:
    """Refuse what would stop a later step of a slot, before the first one trains anything.

    Raises
    ------
    PodiumError
        With what is wrong in its data, its policy, its folds, its spaces or the accelerator.
    """
    project, data = road.project, road.data
    checks: list[Any] = [
        lambda: policy_of(project.config, road.slot),
        lambda: project.devices,
        *(lambda name=name: space_of(project, data, name) for name in data.section.families),
    ]
    if not isinstance(data, ClassData):
        holdout = registry.load("splitters", "holdout").split
        checks += [
            lambda: [
                holdout(data.tuning, fraction=section.validation_fraction)
                for section in (project.config.tune, project.config.finalize)
            ],
            lambda: folds_of(project.config.extend, data.tuning),
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
    told = [f"{slot} {need.told}" for slot, needs in wanted.items() for need in needs]
    raise DataError(
        f"{size(free)} are free on the disk of {project.root}, and what is left to do needs about "
        f"{size(total)}: {'; '.join(told)}",
        "room for that",
        "free some space, lower tune.keep_checkpoints, or narrow the space to smaller models",
    )


def need(road: Road, step: Step) -> Need:
    """Room that a step wants, reckoned from the largest model of each family's space."""
    project, data, settings = road.project, road.data, road.project.config.tune
    split = validation_split(project, data)
    tickers = 1 if isinstance(data, ClassData) else len(data.dataset.tickers)
    # The loss of every validation window of a trial is in the record, four bytes each.
    losses = 4 * tickers * len(split.folds[0].validation)
    models = {name: largest(road, name) for name in data.section.families}
    widest = max(models.values())
    if step.name == ORDER[0]:
        names = [name for name in models if not road.only or name in road.only]
        kept = min(settings.keep_checkpoints, settings.trials) if project.config.paths.tuning else 0
        files = sum(models[name] * kept for name in names)
        paused = sum(
            models[name] * STATE * settings.trials
            for name in names
            if settings.schedule != schedule.NONE
            and registry.family(name, data.section.task).resumable
        )
        total = files + paused + losses * settings.trials * len(names)
        return Need(
            total,
            f"tune {size(total)} ({kept * len(names)} checkpoints of at most {size(widest)} each)",
        )
    if step.name == "extend":
        total = losses * project.config.extend.top * project.config.extend.folds
        return Need(total, f"extend {size(total)} (losses of the folds)")
    # Beside one another and once more while they are put into the store.
    total = 2 * 2 * widest
    return Need(total, f"{step.name} {size(total)} (2 models of at most {size(widest)})")


def largest(road: Road, name: str) -> int:
    """Bytes of the largest model a family's space holds; each parameter is looked at by itself."""
    data = road.data
    family = registry.family(name, data.section.task)
    space: Space = space_of(road.project, data, name)
    if isinstance(data, ClassData):
        n_features = len(data.dataset.feature_names)
    else:
        n_features = len(data.view.feature_names)

    def weights(config: ConfigDict) -> float:
        return float(family.complexity(config, n_features))

    [config] = space.only([]).grid()
    for parameter, values in space.parameters.items():
        ends = values.options if isinstance(values, Choice) else (values.low, values.high)
        config = max(({**config, parameter: value} for value in ends), key=weights)
    return OVERHEAD + 4 * int(weights(config))


def told(road: Road, step: Step) -> str:
    """The checklist of a step in one line, when all is well."""
    data, free = road.data, shutil.disk_usage(road.project.root).free
    if isinstance(data, ClassData):
        inputs = f"{len(data.dataset)} samples"
    else:
        inputs = f"{len(data.dataset)} bars of {len(data.dataset.tickers)} tickers"
    wanted = size(need(road, step).bytes)
    return f"checked: {inputs}, about {wanted} of {size(free)} free, on {road.project.places}"
