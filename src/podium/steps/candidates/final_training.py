"""Trainings of a candidate: one for each checkpoint and seed, together one artefact.

Each stores its state after every epoch. A command that was killed continues from there and gives
the same model, to the bit on a CPU.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from podium import artifact
from podium.artifact import Place
from podium.candidate import Candidate
from podium.errors import DataError
from podium.files import full_disk_explained
from podium.hashing import digest
from podium.intervals import FILE as INTERVALS
from podium.intervals import Calibration
from podium.ledger import reads, writes
from podium.ledger.ledger import Transaction
from podium.ledger.writes import NewTrial
from podium.prediction import Prediction
from podium.runners._files import store_files
from podium.space import ConfigDict
from podium.split import Split
from podium.steps.candidates.register import register
from podium.steps.trials import driver, execute
from podium.steps.workspace.project import Project
from podium.study import Study
from podium.tasks._base import TaskData
from podium.tasks.forecast import SlotData
from podium.trial import BUDGET, FINALIZE, Ended, Job, State, Task, trial_seed

PHASE = FINALIZE
# Registers a candidate inside a transaction; returns its id and whether it is new.
Write: TypeAlias = "Callable[[Transaction], dict[str, Any]]"


@dataclass(frozen=True, eq=False)
class FinalTraining:
    """Training of a candidate's models.

    Parameters
    ----------
    data : TaskData
        Its ``tuning`` holds the training samples.
    split : Split
        Its folds are used by number.
    seeds : sequence of int
        One model each; the candidate's forecasts are their mean.
    inputs : str
        Hash of the candidate's inputs, which names the stored states.
    progress : Progress
    """

    project: Project
    data: TaskData
    split: Split
    family: str
    seeds: Sequence[int]
    inputs: str
    progress: execute.Progress

    @contextmanager
    def place(self) -> Iterator[Job]:
        """Job for runners; its ``save_to`` holds the models until they are an artefact."""
        slot = self.data.slot
        job = execute.job_of(self.data, self.split, self.family)
        with (
            full_disk_explained(self.project.root),
            driver.work_folder(self.project, slot, PHASE) as work,
        ):
            Path(work).mkdir(parents=True)
            yield replace(
                job, save_to=work, pause_to=str(_states_of(self.project, slot)), leaves_states=True
            )

    def fit(self, job: Job, wanted: Mapping[int, Sequence[ConfigDict]]) -> list[list[Ended]]:
        """Train one config for each seed on each fold; interrupted trainings continue.

        Parameters
        ----------
        wanted : mapping of fold to configs

        Raises
        ------
        DataError
            A training failed.
        """
        tasks = [
            Task(f"{digest(self.inputs)[:16]}-{fold}-{n}", config, fold, seed)
            for fold, configs in wanted.items()
            for n, (config, seed) in enumerate(zip(configs, self.seeds, strict=True))
        ]
        fits: dict[str, Ended] = {}
        for ended in store_files(job, self.project.runner.run(job, tasks)):
            self.project.log.trial_ended(
                self.data.slot, PHASE, self._number(ended.task), job.metric, ended
            )
            if ended.state is not State.COMPLETE:
                raise DataError(
                    f"the final training failed: {ended.reason.strip().splitlines()[-1]}",
                    "a config that trains to the end",
                    "run: podium list trials",
                )
            fits[ended.task.trial_id] = ended
            self.progress(ended.score)
        if len(fits) < len(tasks):
            raise self.project.stop_request.error(len(tasks) - len(fits))
        return [[fits[task.trial_id] for task in tasks if task.fold == fold] for fold in wanted]

    def _number(self, task: Task) -> int:
        """Number of its trial on record; the first two are those of a single seed."""
        return 2 * self.seeds.index(task.seed) + task.fold

    def store(self, job: Job, checkpoints: Mapping[str, Sequence[Ended]], **extra: Any) -> Place:
        """Store all models as one artefact; the last checkpoint is served.

        With several seeds each checkpoint has a folder for each member.
        """
        members = artifact.member_names(len(self.seeds))
        folders = {
            f"{checkpoint}/{member}".rstrip("/"): Path(job.save_to) / ended.task.trial_id
            for checkpoint, fits in checkpoints.items()
            for member, ended in zip(members or [""], fits, strict=True)
        }
        task = [*checkpoints.values()][-1][0].task
        version = self.data.version(self.family)
        epochs = int(task.config.get(BUDGET, 0))
        description = execute.manifest(self.project, self.data, self.family, version, task, epochs)
        if members:
            extra |= {"members": members, "seeds": [*self.seeds]}
        writer = Path(job.save_to).name
        files = self._intervals(checkpoints) if members else {}
        name, folder = artifact.store(
            self.project.store, folders, {**description, **extra}, writer=writer, files=files
        )
        return artifact.place_of(self.project.store / folder, name)

    def _intervals(self, checkpoints: Mapping[str, Sequence[Ended]]) -> dict[str, bytes]:
        """Calibration of the mean of the members; one member alone has its own."""
        files = {}
        for checkpoint, fits in checkpoints.items():
            made = [one.prediction for one in fits]
            if isinstance(self.data, SlotData) and all(isinstance(p, Prediction) for p in made):
                _, windows = self.split.folds[fits[0].task.fold].windows(self.data.tuning)
                mean = Prediction.averaged([p for p in made if isinstance(p, Prediction)])
                calibration = Calibration.of(mean, windows.outcomes(), windows.view.horizon)
                if calibration is not None:
                    files[f"{checkpoint}/{INTERVALS}"] = calibration.to_bytes()
        return files

    def registering(
        self,
        study: Study,
        fits: Sequence[Ended],
        served: Ended,
        place: Place,
        also: Callable[[Transaction, Candidate], None],
        **lineage: Any,
    ) -> Write:
        """Function that registers the candidate and its trials inside a transaction.

        Parameters
        ----------
        served : Ended
            Training of the candidate's trial.
        also : callable
            Writes further rows of the candidate.
        **lineage
            Further arguments of :func:`register`.
        """
        # Recorded separately, before the transaction begins.
        environment = self.project.environment

        def write(tx: Transaction) -> dict[str, Any]:
            ids = self._record(tx, study, fits, place.artifact_hash, environment)
            trial_id = ids[fits.index(served)]
            made = register(self.project, tx, place, study.id, trial_id, **lineage)
            also(tx, made.candidate)
            return made.outputs

        return write

    def _record(
        self,
        tx: Transaction,
        study: Study,
        fits: Sequence[Ended],
        artifact_hash: str,
        environment: str,
    ) -> list[str]:
        """Put the trainings on record as trials of a study; returns their ids."""
        metric = self.data.section.metric
        plans = [
            execute.Planned(PHASE, self._number(task), task.config, task.fold, task.seed)
            for task in (ended.task for ended in fits)
        ]
        keys = [execute.key_of(self.data, self.split, self.family, p) for p in plans]
        new = [
            NewTrial(key, PHASE, plan.number, metric) for key, plan in zip(keys, plans, strict=True)
        ]
        writes.put_split(tx, self.split)
        ids = writes.start_trials(tx, study, new, environment)
        known = reads.trials_by_id(tx, ids)
        for id_, ended in zip(ids, fits, strict=True):
            if known[id_].state.ended:
                # Another candidate has the same training, and so the same model.
                continue
            mine = replace(ended, task=replace(ended.task, trial_id=id_))
            errors = self.data.errors(self.split, mine)
            writes.end_trial(tx, mine, metric=metric, index_hash=None, errors=errors)
            writes.set_artifact(tx, id_, artifact_hash)
        return ids


def forget_states(project: Project, slot: str) -> None:
    """Delete the stored states of a slot's trainings, which are on record now."""
    shutil.rmtree(_states_of(project, slot), ignore_errors=True)


def _states_of(project: Project, slot: str) -> Path:
    return project.state / "work" / f"final-{digest(slot)[:16]}-states"


def seeds_of(project: Project) -> list[int]:
    """Seeds of the final training; the first is the one of a single model."""
    first = project.config.tune.seed
    return [trial_seed(first, n) for n in range(project.config.finalize.seeds)]
