"""History of a search: its trials in order, and the best so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.registry import Direction
from podium.render._figure import INK, MUTED, png
from podium.render.table import cell, cut, number

# Distinguishable with colour blindness.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_NAIVE = "#5c646e"


@dataclass(frozen=True)
class HistoryTrial:
    """One trial of a search.

    Parameters
    ----------
    number : int
    family, phase, state : str
    value : float
        In the metric's direction; NaN without one.
    feasible : bool
        Whether it may be chosen.
    """

    number: int
    family: str
    phase: str
    state: str
    value: float
    feasible: bool = True


def so_far(trials: Sequence[HistoryTrial], way: str) -> list[int | None]:
    """Index of the best complete trial up to each one; None before the first.

    Examples
    --------
    >>> scores = [math.nan, 3.0, 2.0, 2.5]
    >>> trials = [HistoryTrial(n, "lstm", "tune", "complete", s) for n, s in enumerate(scores)]
    >>> so_far(trials, "min")
    [None, 1, 2, 2]
    """
    places: list[int | None] = []
    best: int | None = None
    sign = Direction(way).sign
    for place, one in enumerate(trials):
        can_win = one.feasible and one.state == "complete" and math.isfinite(one.value)
        if can_win and (best is None or sign * one.value < sign * trials[best].value):
            best = place
        places.append(best)
    return places


def history_png(
    trials: Sequence[HistoryTrial], metric: str, way: str, naive: float | None, title: str
) -> bytes:
    """Value of every trial and the best so far; families, or phases, by colour.

    Outliers are drawn at the edge, so that the rest stays readable.

    Parameters
    ----------
    trials : sequence of HistoryTrial
        In the order of the search.
    metric : str
    way : str
        ``min`` or ``max``.
    naive : float, optional
        Score of the best baseline.
    title : str

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    families = list(dict.fromkeys(one.family for one in trials))
    groups = [one.family if len(families) > 1 else one.phase for one in trials]
    names = list(dict.fromkeys(groups))
    places = so_far(trials, way)
    finite = [one.value for one in trials if math.isfinite(one.value)]
    low, high = _limits([*finite, *([naive] if naive is not None else [])])
    # The best so far is no outlier.
    best = [trials[place].value for place in places if place is not None]
    low, high = min([low, *best]), max([high, *best])

    def draw(figure: Any) -> None:
        panel = figure.subplots()
        for k, name in enumerate(names):
            colour = _COLOURS[k % len(_COLOURS)]
            for state, marker in (("complete", "o"), ("pruned", "v")):
                mine = [
                    (place, one)
                    for place, (one, group) in enumerate(zip(trials, groups, strict=True))
                    if group == name and one.state == state and math.isfinite(one.value)
                ]
                if not mine:
                    continue
                x = [place for place, _ in mine]
                y = np.clip([one.value for _, one in mine], low, high)
                faces = [colour if one.feasible else "none" for _, one in mine]
                legend = cut(cell(name), 24) + ("" if state == "complete" else ", pruned")
                look = {"s": 22, "marker": marker, "linewidth": 1}
                panel.scatter(x, y, c=faces, edgecolors=colour, label=legend, **look)
        lost = [n for n, one in enumerate(trials) if not math.isfinite(one.value)]
        if lost:
            edge = low if way == "max" else high
            look = {"s": 22, "marker": "x", "linewidth": 1}
            panel.scatter(lost, [edge] * len(lost), c=MUTED, label="no value", **look)
        known = [(n, trials[place].value) for n, place in enumerate(places) if place is not None]
        if known:
            x_best, y_best = zip(*known, strict=True)
            legend = f"best so far, {number(y_best[-1])}"
            panel.step(x_best, y_best, where="post", color=INK, linewidth=1.6, label=legend)
        if naive is not None and math.isfinite(naive):
            legend = f"baseline, {number(naive)}"
            panel.axhline(naive, color=_NAIVE, linewidth=1.2, linestyle=(0, (4, 3)), label=legend)
        room = 0.04 * (high - low) or 1.0
        panel.set(xlim=(-0.5, max(len(trials) - 0.5, 0.5)), ylim=(low - room, high + room))
        better = "lower" if way == "min" else "higher"
        panel.set(xlabel="trial", ylabel=f"{metric}, {better} is better")
        panel.set_title(title)
        panel.xaxis.get_major_locator().set_params(integer=True)
        if known or lost:
            panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return png(draw, (8.2, 4.2))


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Limits of the axis: all values within three interquartile ranges of the middle half."""
    if not values:
        return 0.0, 1.0
    first, third = np.quantile(values, [0.25, 0.75])
    room = 3 * (third - first)
    low = min(v for v in values if v >= first - room)
    high = max(v for v in values if v <= third + room)
    return float(low), float(high)
