"""The context of a study: its project, record, data and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podium.ledger import reads, warm_start, writes
from podium.ledger.reads import TrialRow
from podium.space import Space
from podium.split import Split
from podium.steps.trials.objectives import rescored
from podium.steps.workspace.project import Project
from podium.study import Study
from podium.tasks._base import TaskData


@dataclass(frozen=True, eq=False)
class StudyContext:
    """A study, the project with its trials, and their data.

    Parameters
    ----------
    project : Project
    study : Study
    data : TaskData
    split : Split
        Folds that configs are compared on.
    """

    project: Project
    study: Study
    data: TaskData
    split: Split

    @property
    def slot(self) -> str:
        """Slot of the study."""
        return self.study.slot

    def rows(self, *phases: str) -> list[TrialRow]:
        """Trials of these phases of the study, in the order of their numbers."""
        return self.project.ledger.read(reads.trials_of, self.study.id, *phases)

    def scored(self, rows: Sequence[TrialRow]) -> list[TrialRow]:
        """Rows with their score in the study's metric, including those trained for another one."""
        return rescored(self.project, self.data, self.split, rows)

    def receipt(self, step: str, inputs: str) -> dict[str, Any] | None:
        """Outputs of a decision of the study; None: not decided yet."""
        return self.project.ledger.read(reads.receipt, self.slot, step, inputs)

    def put_receipt(self, step: str, inputs: str, outputs: Mapping[str, Any]) -> None:
        """Record a decision of the study, flushed; every later run follows it."""
        ledger = self.project.ledger
        ledger.write_durably(writes.put_receipt, self.slot, step, inputs, outputs)


def begin_study(
    project: Project, data: TaskData, split: Split, spaces: Mapping[str, Space], **search: str | int
) -> StudyContext:
    """Record the study that searches these spaces.

    The same question has the same study. A new study with generations receives the known trials of
    a study that differs in its spaces alone.
    """
    with project.ledger.transaction() as tx:
        if data.dataset.fingerprint:
            writes.put_dataset(tx, data.dataset)
        writes.put_split(tx, split)
        question, known = question_of(project, tx, data, split, spaces, search)
        study = writes.put_study(tx, data.slot, question)
        if known is None and "generation" in search:
            fits = {name: space.contains for name, space in spaces.items()}
            warm_start.link_known_trials(tx, study, fits)
    return StudyContext(project, study, data, split)


def question_of(
    project: Project,
    tx: Any,
    data: TaskData,
    split: Split,
    spaces: Mapping[str, Space],
    search: Mapping[str, str | int],
) -> tuple[dict[str, Any], Study | None]:
    """The question of a search, and its study on record; None: there is none."""
    question = {
        "dataset": data.dataset.fingerprint,
        "task": data.task_hash,
        "split": split.hash,
        "metric": data.section.metric,
        "families": {name: [data.version(name), space.spec()] for name, space in spaces.items()},
        **search,
    }
    known = warm_start.find_study(tx, data.slot, question)
    if known is None and "generation" in search and any(s.is_finite for s in spaces.values()):
        # Older studies may repeat configs, so their question has no such key.
        question["distinct"] = True
        known = warm_start.find_study(tx, data.slot, question)
    return question, known
