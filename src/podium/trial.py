"""Trial: one config trained on one fold of one split with one seed, and what runners say of it."""

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
# How long a config trains is a budget, not an idea: two lengths are one look at one config.
BUDGET = "max_epochs"
# Phases under which a study has its baselines: on its own windows, and on folds.
BASELINE, EXTEND_BASELINE = "baseline", "extend_baseline"
BASELINES = (BASELINE, EXTEND_BASELINE)


class State(enum.StrEnum):
    """Where a trial stands."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        """Whether the trial will not run again by itself."""
        return self in (State.COMPLETE, State.PRUNED, State.FAILED)


MOVES: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.RUNNING, State.INTERRUPTED}),
    State.RUNNING: frozenset(
        {State.PAUSED, State.COMPLETE, State.PRUNED, State.FAILED, State.INTERRUPTED}
    ),
    State.PAUSED: frozenset({State.RUNNING, State.PRUNED, State.INTERRUPTED}),
    State.INTERRUPTED: frozenset({State.RUNNING, State.PRUNED}),
    State.FAILED: frozenset({State.RUNNING}),
    State.COMPLETE: frozenset(),
    # Somebody else may want it whole.
    State.PRUNED: frozenset({State.RUNNING}),
}


@dataclass(frozen=True)
class Key:
    """What makes two trials the same training, so that it is done once.

    The git commit is recorded beside a trial and is no part of its key: a new commit alone retrains
    nothing. A family says with its VERSION that its numbers changed.
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
    """Identity of a config for the luck of a search: its training length is left out."""
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
    """Seed of a study's n-th trial, spread over 31 bits."""
    return int(digest([study_seed, number])[:8], 16) & 0x7FFF_FFFF


# Files of one trial: path of the folder they lie in, or their contents by name; empty: none.
Files = str | Mapping[str, bytes]


@dataclass(frozen=True)
class Task:
    """One trial handed to a runner.

    ``until`` is the epoch it is to stop after, resumable, where its schedule decides whether it
    goes on; 0: it trains to its end. ``resumes`` has the files of the state it goes on from, for
    workers that cannot look below the job's ``pause_to``.
    """

    trial_id: str
    config: ConfigDict
    fold: int
    seed: int
    until: int = 0
    resumes: Files = ""


@dataclass(frozen=True, eq=False)
class Job:
    """What all tasks of one call to a runner share; sent to each worker once."""

    family: str
    metric: str
    view: View | Sequences | Code
    folds: Mapping[int, Fold]
    # Of the slot: it takes the folds apart and scores.
    task: str = "forecast"
    # Where workers leave the fitted models, one folder a trial; empty: models are not kept.
    save_to: str = ""
    # Where workers leave the states of paused trials, one folder a trial; empty: none is paused.
    pause_to: str = ""
    # Whether trainings to their end leave states there too, to go on from after a kill.
    leaves_states: bool = False
    # Device that families are trained on; empty: the CPU. A runner may give each worker its own.
    device: str = ""


@dataclass(frozen=True)
class Epoch:
    """Scores of one training epoch, by metric name; of the batch's ``trial``-th config."""

    trial: int
    epoch: int
    scores: Mapping[str, float]


def curves_csv(epochs: Mapping[int, Mapping[str, float]]) -> str:
    """Every epoch in one line, values that are not finite too; empty where there are none.

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
    """How a trial ended, or where it stopped for now, with everything the record keeps of it.

    Parameters
    ----------
    task : Task
    state : State
        COMPLETE or FAILED; PAUSED where its task asked for that.
    score : float
        The job's metric on the fold's validation part; NaN when failed.
    losses : (N,) float32
        Metric's loss per validation window, in the order of ``Windows.of``; of a classifier the
        logarithmic loss per validation sample, since metrics of classes have none of their own.
    epochs : tuple of Epoch
    seconds : float
        Wall time in the worker.
    reason : str
        Why it failed; empty when complete.
    best_epoch : int
        Epoch the model was taken from; 0 for families without epochs.
    final : mapping of metric to float
        What own code said at its end; stands above what it reported by epoch.
    trace : str
        The whole traceback of an error, for the log; ``reason`` has its end.
    model : str or mapping of str to bytes
        Files of the fitted model where the job keeps models: as a path from a runner that shares
        files with its driver, else as bytes.
    paused : str or mapping of str to bytes
        Files of the state that a paused trial goes on from, likewise.
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
    """A family finished the batch's ``trial``-th config: a model, or why there is none."""

    trial: int
    model: Any
    reason: str = ""
    trace: str = ""


class TrainingPaused(Exception):  # noqa: N818 - nothing went wrong
    """Raised where a family puts a state away: the training is to stop, and may go on later."""


@dataclass(frozen=True)
class Stopped:
    """A family stopped the batch's ``trial``-th config where it was asked to; it may go on."""

    trial: int
