"""Train a config from a file as the final model; it has no evidence from validation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import registry
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
class GivenModel(final_model.Registered):
    """A candidate whose config no search of this slot chose.

    Parameters
    ----------
    candidate : Candidate
    fresh : bool
        Whether the candidate is new.
    missing : tuple of str
        Gates of the slot's policy that need evidence from validation.
    folder : Path, optional
        Its ``final_model/``.
    """

    missing: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The candidate, and the gates that refuse it without evidence from validation."""
        gates = ", ".join(self.missing) or "none"
        title = self.candidate.title
        return f"{title} has no evidence from validation; gates that refuse it: {gates}"


def finalize_config(project: Project, slot: str, path: Path) -> final_model.FinalModel | GivenModel:
    """Train the config in a file, as ``best_config.json`` has it, and register the candidate.

    The config that the slot's analysis chose is finalized with its evidence. Another config has
    no evidence from validation, and gates that need it refuse.

    Parameters
    ----------
    path : Path
        A JSON file with ``config``, and ``family`` where the slot has several.

    Raises
    ------
    NotFoundError
        The file does not exist.
    DataError
        The file is no JSON object with a config.
    UsageError
        Values outside of the family's space, all at once.
    """
    require_task(project.config, slot)
    data = slot_data(project.config, slot)
    family, config = _read(project, data, path)
    chosen = _finalized_if_chosen(project, slot, config_hash(family, config))
    if chosen is not None:
        return chosen
    split = final_model.final_split(data, project.config.finalize.validation_fraction)
    inputs = final_model.inputs_of(project, data, family, config, 0, split.hash)

    def train() -> Write:
        spaces = {family: data.family(family).space(data.tuning)}
        context = begin_study(project, data, split, spaces, search="given")
        # References of a backtest.
        baselines.run(context)
        epochs = int(config.get(BUDGET, project.config.finalize.epochs))
        return final_model.train_final(
            project, data, context.study, family, config, epochs, 0, inputs, made_by="given"
        )

    made = final_model.candidate_once(project, slot, final_model.STEP, inputs, train)
    ensure_leak_probe(project, data, made.candidate)
    folder = final_files.write(project, data, split, made.candidate, replace_newer=True)
    missing = tuple(gates_that_read(project.config, slot, final_model.VALIDATION))
    return GivenModel(missing, candidate=made.candidate, fresh=made.fresh, folder=folder)


def _finalized_if_chosen(project: Project, slot: str, config: str) -> final_model.FinalModel | None:
    """Candidate of the slot's newest analysis, if that chose this config."""
    if left_by(project, slot, EXTEND) is None:
        return None
    try:
        with extension_left(project, slot) as extension:
            analysis = compute(project, extension)
            if config_hash(analysis.chosen.family, analysis.chosen.config) != config:
                return None
            return final_model.finalized(project, analysis, replace_newer=True)
    except NotFoundError:
        # The slot's data or settings have changed since.
        return None


def _read(project: Project, data: SlotData, path: Path) -> tuple[str, ConfigDict]:
    """Family and config of a file; all problems are raised at once."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(
            f"{path} does not exist", "a config file", f"run: podium analyze {data.slot}"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as JSON: {error}", "a file like best_config.json"
        ) from None
    config = content.get("config") if isinstance(content, dict) else None
    if not isinstance(config, dict):
        raise DataError(f"{path} has no top-level object 'config'", '{"config": {...}}')
    problems = Problems()
    metadata = content.get("metadata")
    slot = metadata.get("slot", data.slot) if isinstance(metadata, dict) else data.slot
    if slot != data.slot:
        problems.add(f"{path} is of slot {slot}", data.slot, f"run: podium finalize {slot}")
    families = data.section.families
    family = content.get("family", families[0] if len(families) == 1 else None)
    if family is None:
        problems.add(f"{path} names no family", f'"family": one of {", ".join(families)}')
    elif not isinstance(family, str) or not registry.exists("families", family):
        near = suggest(str(family), registry.names("families"))
        problems.add(f"{path} names family {family!r:.60}", fix=near)
    else:
        problems += _misfits(registry.family(family).space(data.tuning), config, path)
    UsageError.raise_for(problems)
    settings = project.config.finalize
    # The length in the file precedes podium.toml, but not a flag.
    if BUDGET in config and project.config.origins["finalize.epochs"] not in ("default", FILE):
        config = {**config, BUDGET: settings.epochs}
    space = registry.family(str(family)).space(data.tuning)
    [whole] = space.narrowed(config, str(path)).only([]).grid()
    return str(family), whole


def _misfits(space: Space, config: dict[str, Any], path: Path) -> list[Problem]:
    """Problems of a config in a space; missing parameters have their defaults."""
    several = {name: v for name, v in config.items() if isinstance(v, list | dict)}
    problems = [Problem(f"{path}.{name} is {v!r:.60}", "one value") for name, v in several.items()]
    try:
        space.narrowed({k: v for k, v in config.items() if k not in several}, str(path))
    except UsageError as error:
        problems += error.problems
    return problems
