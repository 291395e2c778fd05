"""Limits on target weights."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.errors import UsageError, suggest
from podium.portfolio._inputs import group_columns, per_item
from podium.portfolio.terms import Limits


def limited(weights: Floats, limits: Limits) -> Floats:
    """Apply the limits to weights (..., S): per item, then per group, then leverage.

    Raises
    ------
    UsageError
        A limit that is negative or NaN, a group limit without groups or for an unknown one.
    DataError
        Limits or groups for a different number of items.
    """
    items = weights.shape[-1]
    if limits.weight is not None:
        most = per_item("limits.weight", limits.weight, items, lambda v: v >= 0.0, "at least 0")
        weights = np.clip(weights, -most, most)
    groups = _groups(limits, items)
    if groups:
        weights = weights.copy()
    for columns, limit in groups:
        weights[..., columns] = _scaled(weights[..., columns], limit)
    if limits.leverage is not None:
        _require("limits.leverage", limits.leverage)
        weights = _scaled(weights, limits.leverage)
    if limits.turnover is not None:
        _require("limits.turnover", limits.turnover)
    return weights


def _groups(limits: Limits, items: int) -> list[tuple[np.ndarray, float]]:
    if limits.group is None:
        return []
    if limits.groups is None:
        raise UsageError("limits.group needs limits.groups", "the group of each item, in order")
    columns = group_columns(limits.groups, items)
    most = limits.group if isinstance(limits.group, dict) else dict.fromkeys(columns, limits.group)
    for name, limit in most.items():
        _require(f"limits.group of '{name}'", limit)
        if name not in columns:
            raise UsageError(
                f"limits.group has an unknown group, '{name}'", fix=suggest(name, columns)
            )
    return [(columns[name], limit) for name, limit in most.items()]


def _scaled(weights: Floats, most: float) -> Floats:
    gross = np.abs(weights).sum(axis=-1, keepdims=True)
    # Exactly 1 where the gross is within the limit, also for a gross of 0 and a limit of 0.
    scale = np.divide(most, gross, out=np.ones_like(gross), where=gross > most)
    shrunk: Floats = weights * scale
    return shrunk


def _require(name: str, limit: float) -> None:
    if not limit >= 0.0:
        raise UsageError(f"{name} is {limit}", "at least 0")
