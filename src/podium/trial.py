"""Trial: one config trained on one fold of one split with one seed; messages of runners."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.files import csv_text
from podium.hashing import digest
from podium.own import Code
from podium.prediction import ClassPrediction, Prediction
from podium.sequences import Sequences
from podium.space import ConfigDict
from podium.split import Fold
from podium.view import View

KEY_SCHEMA = 1
# The training length is a budget: a config with two lengths counts as one config.
BUDGET = "max_epochs"
# Phases of a study's baselines: on its validation windows, and on folds.
BASELINE, EXTEND_BASELINE = "baseline", "extend_baseline"
BASELINES = (BASELINE, EXTEND_BASELINE)
# Phase of the models of a chosen config.
FINALIZE = "finalize"
# Phases without a look at another config: a chosen baseline is trained once more.
UNCOUNTED = (*BASELINES, FINALIZE)


class State(enum.StrEnum):
    """State of a trial."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        """Whether the trial has ended and does not resume."""
        return self in (State.COMPLETE, State.PRUNED, State.FAILED)


MOVES: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.RUNNING, State.INTERRUPTED}),
    State.RUNNING: frozenset({*State} - {State.CREATED, State.RUNNING}),
    State.PAUSED: frozenset({State.RUNNING, State.PRUNED, State.INTERRUPTED}),
    State.INTERRUPTED: frozenset({State.RUNNING, State.PRUNED}),
    State.FAILED: frozenset({State.RUNNING}),
    State.COMPLETE: frozenset(),
    # Another study may need it complete.
    State.PRUNED: frozenset({State.RUNNING}),
}


@dataclass(frozen=True)
class Key:
    """Identity of a training: trials with equal keys train once.

    The git commit is recorded with a trial and is not part of its key: a new commit alone retrains
    nothing. A family changes its VERSION when its results change.
    """

    family: str
    family_version: int
    config: ConfigDict
    dataset: str
    task: str
    split: str
    fold: int
    seed: int

    @property
    def hash(self) -> str:
        """SHA-256 over all parts and the schema version of keys."""
        return digest([KEY_SCHEMA, *vars(self).values()])


def config_hash(family: str, config: Mapping[str, object]) -> str:
    """Identity of a config in counts for selection bias, without its training length."""
    return digest([family, {k: v for k, v in config.items() if k != BUDGET}])


def run_name(family: str, moment: str) -> str:
    """Name of a run as trackers write it, from an ISO 8601 moment.

    Examples
    --------
    >>> run_name("toto", "2025-11-12T03:05:00.000Z")
    'toto_20251112_030500'
    """
    date, clock = re.sub(r"[-:]", "", moment[:19]).split("T")
    return f"{family}_{date}_{clock}"


def trial_seed(study_seed: int, number: int) -> int:
    """Seed of a study's n-th trial, 31 bits."""
    return int(digest([study_seed, number])[:8], 16) & 0x7FFF_FFFF


# Files of one trial: path of their folder, or their contents by name; empty: none.
Files = str | Mapping[str, bytes]


@dataclass(frozen=True)
class Task:
    """One trial for a runner.

    ``until`` is the epoch to pause after, where the schedule decides whether it continues; 0: it
    trains to its end. ``resumes`` has the files of the paused state, for workers that do not share
    the folder ``pause_to`` of the job.
    """

    trial_id: str
    config: ConfigDict
    fold: int
    seed: int
    until: int = 0
    resumes: Files = ""


@dataclass(frozen=True, eq=False)
class Job:
    """Common data of all tasks of one call to a runner; sent to each worker once."""

    family: str
    metric: str
    view: View | Sequences | Code
    folds: Mapping[int, Fold]
    # Task of the slot, which makes the samples of a fold and scores them.
    task: str = "forecast"
    # Folder of the fitted models, one subfolder per trial; empty: models are not kept.
    save_to: str = ""
    # Folder of the states of paused trials, one subfolder per trial; empty: no trial pauses.
    pause_to: str = ""
    # Whether full trainings save states there too, to resume after a kill.
    leaves_states: bool = False
    # Device of trainings; empty: the CPU. A runner may assign one to each worker.
    device: str = ""


@dataclass(frozen=True)
class Epoch:
    """Scores by metric of one training epoch of the batch's ``trial``-th config."""

    trial: int
    epoch: int
    scores: Mapping[str, float]


def curves_csv(epochs: Mapping[int, Mapping[str, float]]) -> str:
    """CSV text with a line per epoch; empty if there are no epochs.

    Examples
    --------
    >>> print(curves_csv({1: {"val_loss": 0.5, "train_loss": 0.75}}), end="")
    epoch,train_loss,val_loss
    1,0.75,0.5
    """
    if not epochs:
        return ""
    names = sorted({name for scores in epochs.values() for name in scores})
    cells = ([epoch, *(scores.get(name, "") for name in names)] for epoch, scores in epochs.items())
    return csv_text([["epoch", *names], *cells])


@dataclass(frozen=True, eq=False)
class Ended:
    """End or pause of a trial, with everything that the record stores.

    Parameters
    ----------
    task : Task
    state : State
        COMPLETE or FAILED; PAUSED if its task has ``until``.
    score : float
        The job's metric on the fold's validation part; NaN if failed.
    losses : (N,) float32
        Loss of the metric per validation window, in the order of ``Windows.of``; of a classifier
        the logarithmic loss per validation sample, since metrics of classes have no such loss.
    epochs : tuple of Epoch
    seconds : float
        Wall time in the worker.
    reason : str
        Reason of the failure; empty if complete.
    best_epoch : int
        Epoch of the model; 0 for families without epochs.
    final : mapping of metric to float
        Final metrics of own code; they override those reported by epoch.
    trace : str
        The full traceback of an error, for the log; ``reason`` has its end.
    model : str or mapping of str to bytes
        Files of the fitted model if the job keeps models: as a path if the runner shares files
        with its driver, else as bytes.
    paused : str or mapping of str to bytes
        Files of the state from which a paused trial resumes, likewise.
    """

    task: Task
    state: State
    score: float = float("nan")
    losses: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    prediction: Prediction | ClassPrediction | None = None
    epochs: tuple[Epoch, ...] = ()
    seconds: float = 0.0
    reason: str = ""
    best_epoch: int = 0
    final: Mapping[str, float] = field(default_factory=dict)
    trace: str = ""
    model: Files = ""
    paused: Files = ""


@dataclass(frozen=True)
class Fitted:
    """A family finished the batch's ``trial``-th config: the model, or the reason of a failure."""

    trial: int
    model: Any
    reason: str = ""
    trace: str = ""


class TrainingPaused(Exception):  # noqa: N818 - not an error
    """Raised when a family saves a state: the training pauses and may resume later."""


@dataclass(frozen=True)
class Stopped:
    """A family paused the batch's ``trial``-th config at the requested epoch."""

    trial: int
