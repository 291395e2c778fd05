"""Ranking of runs by one metric, for trackers and for ``podium select``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from podium import registry
from podium.config import Config
from podium.ledger import run_models, runs
from podium.ledger.record_reader import RecordReader
from podium.ledger.runs import ALL, Among
from podium.record import Record, lower_is_better


def is_lower_better(metric: str, declared: Mapping[str, str], minimize: bool | None = None) -> bool:
    """Whether a lower value is better: by the caller, ``[metrics]``, a member's file, or the name.

    Parameters
    ----------
    metric : str
        With its part, such as ``val_mae``, or without.
    declared : mapping of metric to ``min`` or ``max``
    minimize : bool, optional

    Raises
    ------
    UsageError
        None of these has a direction.
    """
    part, _, plain = metric.partition("_")
    plain = plain if part in ("train", "val", "test") else metric
    known = {**declared}
    if metric not in known and plain not in known and registry.exists("metrics", plain):
        known[plain] = registry.direction(plain).value
    return lower_is_better(metric, known, minimize)


def completed(reader: RecordReader, config: Config, records: Sequence[Record]) -> list[Record]:
    """Runs with the file of their model, as far as known."""
    return run_models.completed(reader, records, config.paths.tuning, config.paths.registry)


def best_runs(
    reader: RecordReader,
    config: Config,
    metric: str,
    k: int | None,
    *,
    lower: bool,
    models: Sequence[str] | None = None,
    among: Among = ALL,
) -> list[Record]:
    """The best completed runs by a metric, best first; a value that is not finite never wins.

    Parameters
    ----------
    k : int or None
        Number of runs; None: all.
    lower : bool
        Whether a lower value is better.
    """
    most = 2**62 if k is None else k
    best = runs.top(reader, metric, most, minimize=lower, model_names=models, among=among)
    return completed(reader, config, best)
