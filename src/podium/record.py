"""Record: a trial in the form of experiment logs and trackers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podium.errors import UsageError

# Parts of a metric's name that imply its direction, if none is declared.
_LOWER = ("loss", "error", "mae", "mse", "rmse", "mape", "smape", "mase", "crps", "pinball")
_LOWER_TOO = ("wrong_direction", "perplexity", "nll", "brier", "pvalue")
_HIGHER = ("accuracy", "acc", "f1", "auc", "precision", "recall", "r2", "sharpe", "sortino")
_HIGHER_TOO = ("calmar", "reward", "profit", "win_rate")


@dataclass(frozen=True, eq=False)
class Record:
    """One run with its hyperparameters and results.

    Parameters
    ----------
    run_id : str
        ``<model>_<YYYYMMDD>_<HHMMSS>``, with ``-2``, ``-3`` when taken.
    model_name : str
        Family, or the name given to a tracker.
    timestamp : str
        Start time, ISO 8601.
    hyperparams : mapping
    metrics : mapping of str to float
        Values at the best epoch; may hold NaN and infinities.
    checkpoint_path : str or None
        File that a framework opens: an absolute path, or the path of an imported run.
    training_time_seconds : float or None
    notes : str
        Notes of the log call, and every dated note since.
    git_commit : str or None
        Commit of the project's repository.
    git_dirty : bool or None
        Whether there were uncommitted changes; None if unknown.
    git_diff_hash : str or None
        SHA-256 of those changes.
    trial_id : str
        Id in the record.
    extras : mapping
        Other fields of an imported record.
    curves : mapping of metric to values, one per epoch
    state : str
        ``complete``, ``failed`` or ``pruned``.
    reason : str
        Reason of a failure.
    """

    run_id: str
    model_name: str
    timestamp: str
    hyperparams: Mapping[str, Any]
    metrics: Mapping[str, float]
    checkpoint_path: str | None = None
    training_time_seconds: float | None = None
    notes: str = ""
    git_commit: str | None = None
    git_dirty: bool | None = None
    git_diff_hash: str | None = None
    trial_id: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    state: str = "complete"
    reason: str = ""


def lower_is_better(metric: str, declared: Mapping[str, str], minimize: bool | None = None) -> bool:
    """Whether a lower value of a metric is better.

    Parameters
    ----------
    metric : str
    declared : mapping of metric to ``min`` or ``max``
        The project's ``[metrics]``.
    minimize : bool, optional
        Explicit direction of the caller; wins.

    Raises
    ------
    UsageError
        The direction is not declared and the name does not imply it.

    Examples
    --------
    >>> lower_is_better("val_pct_mae", {}), lower_is_better("val_sharpe_ratio", {})
    (True, False)
    """
    if minimize is not None:
        return minimize
    plain = metric.removeprefix("train_").removeprefix("val_").removeprefix("test_")
    for name in (metric, plain):
        if name in declared:
            return declared[name] == "min"
    words = "_" + plain.lower().replace("/", "_") + "_"
    lower = any(f"_{word}_" in words for word in _LOWER + _LOWER_TOO)
    higher = any(f"_{word}_" in words for word in _HIGHER + _HIGHER_TOO)
    if lower == higher:
        raise UsageError(
            f"the direction of the metric '{metric}' is unknown",
            "minimize=True or minimize=False",
            f'or add to podium.toml:  [metrics]  {metric} = "max"',
        )
    return lower


def finite(value: float | None) -> bool:
    """Whether a value is neither missing, NaN nor infinite."""
    return value is not None and math.isfinite(value)


def finite_or_none(value: float | None) -> float | None:
    """The number if it is finite, else None, which is valid JSON."""
    return value if finite(value) else None


def nan_if_null(value: float | str | None) -> float:
    """A stored number; NULL is NaN, since SQLite stores NaN as NULL."""
    return math.nan if value is None else float(value)


def part_of(name: str) -> tuple[str, str]:
    """Part and metric of a reported name: ``val_loss`` is the validation loss."""
    part, _, metric = name.partition("_")
    return (part, metric) if part in ("train", "val") and metric else ("", name)
