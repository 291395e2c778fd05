"""A config that a person gives, trained as the final one: nothing but its test can vouch for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import registry
from podium.candidate import Candidate
from podium.config import FILE
from podium.errors import DataError, NotFoundError, Problem, Problems, UsageError, suggest
from podium.space import ConfigDict, Space
from podium.steps.candidates import final_files, final_model
from podium.steps.candidates.final_training import Write
from podium.steps.data.bars import require_task, slot_data
from podium.steps.evidence.leak_probe import ensure_leak_probe
from podium.steps.search.analyze import compute
from podium.steps.search.extend import PHASE as EXTEND
from podium.steps.search.extend import extension_left
from podium.steps.search.handover import left_by
from podium.steps.trials import baselines
from podium.steps.trials.context import begin_study
from podium.steps.workspace.policy import gates_that_read
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData
from podium.trial import BUDGET, config_hash


@dataclass(frozen=True, eq=False)
class GivenModel:
    """A candidate whose config no search of this slot chose.

    Parameters
    ----------
    fresh : bool
        Whether it was trained just now.
    missing : tuple of str
        Gates of the slot's policy that ask for the validation evidence it has not.
    folder : Path, optional
        Its ``final_model/``.
    """

    candidate: Candidate
    fresh: bool
    missing: tuple[str, ...]
    folder: Path | None = None


def finalize_config(project: Project, slot: str, path: Path) -> final_model.FinalModel | GivenModel:
    """Train the config in a file, as ``best_config.json`` has it, and register the candidate.

    What the slot's own analysis chose is finalized as ever, with its evidence. Another config has
    none from validation, and the candidate says so: gates that ask for it refuse.

    Parameters
    ----------
    path : Path
        A JSON file with ``config``, and ``family`` where the slot has several.

    Raises
    ------
    NotFoundError
        There is no such file.
    DataError
        It is no JSON object with a config.
    UsageError
        With everything that the family's space does not take.
    """
    require_task(project.config, slot)
    data = slot_data(project.config, slot)
    family, given = _read(project, data, path)
    chosen = _finalized_if_chosen(project, slot, config_hash(family, given))
    if chosen is not None:
        return chosen
    split = final_model.final_split(data, project.config.finalize.validation_fraction)
    inputs = final_model.inputs_of(project, data, family, given, 0, split.hash)

    def train() -> Write:
        spaces = {family: data.family(family).space(data.tuning)}
        context = begin_study(project, data, split, spaces, search="given")
        # What a backtest holds it against.
        baselines.run(context)
        most = int(given.get(BUDGET, project.config.finalize.epochs))
        return final_model.train_final(
            project, data, context.study, family, given, most, 0, inputs, made_by="given"
        )

    made = final_model.candidate_once(project, slot, final_model.STEP, inputs, train)
    ensure_leak_probe(project, data, made.candidate)
    folder = final_files.write(project, data, split, made.candidate, take=True)
    missing = tuple(gates_that_read(project.config, slot, final_model.VALIDATION))
    return GivenModel(made.candidate, made.fresh, missing, folder)


def _finalized_if_chosen(project: Project, slot: str, config: str) -> final_model.FinalModel | None:
    """The candidate of the slot's newest analysis, where that chose this very config."""
    if left_by(project, slot, EXTEND) is None:
        return None
    try:
        with extension_left(project, slot) as extension:
            analysis = compute(project, extension)
            if config_hash(analysis.chosen.family, analysis.chosen.config) != config:
                return None
            return final_model.finalized(project, analysis, take=True)
    except NotFoundError:
        # The slot asks another question by now.
        return None


def _read(project: Project, data: SlotData, path: Path) -> tuple[str, ConfigDict]:
    """Family and config of a file, every problem of it told at once."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(
            f"{path} does not exist", "a config file", f"run: podium analyze {data.slot}"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as JSON: {error}", "a file as best_config.json is"
        ) from None
    config = found.get("config") if isinstance(found, dict) else None
    if not isinstance(config, dict):
        raise DataError(f"{path} has no top-level object 'config'", '{"config": {...}}')
    problems = Problems()
    metadata = found.get("metadata")
    slot = metadata.get("slot", data.slot) if isinstance(metadata, dict) else data.slot
    if slot != data.slot:
        problems.add(f"{path} is of slot {slot}", data.slot, f"name it: {slot}")
    families = data.section.families
    family = found.get("family", families[0] if len(families) == 1 else None)
    if family is None:
        problems.add(f"{path} names no family", f'"family": one of {", ".join(families)}')
    elif not isinstance(family, str) or not registry.exists("families", family):
        near = suggest(str(family), registry.names("families"))
        problems.add(f"{path} names family {family!r:.60}", fix=near)
    else:
        problems += _misfits(registry.family(family).space(data.tuning), config, path)
    UsageError.raise_for(problems)
    settings = project.config.finalize
    # Whoever wrote a length into the file means it, unless the command says another.
    if BUDGET in config and project.config.origins["finalize.epochs"] not in ("default", FILE):
        config = {**config, BUDGET: settings.epochs}
    space = registry.family(str(family)).space(data.tuning)
    [whole] = space.narrowed(config, str(path)).only([]).grid()
    return str(family), whole


def _misfits(space: Space, config: dict[str, Any], path: Path) -> list[Problem]:
    """What a space does not take; what is not named is as usual."""
    several = {name: v for name, v in config.items() if isinstance(v, list | dict)}
    problems = [Problem(f"{path}.{name} is {v!r:.60}", "one value") for name, v in several.items()]
    try:
        space.narrowed({k: v for k, v in config.items() if k not in several}, str(path))
    except UsageError as error:
        problems += error.problems
    return problems
