"""Equity and drawdown of portfolios as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.render._figure import INK, MUTED, over, png
from podium.render.axis import coinciding
from podium.render.table import cell, cut, percent

# Distinguishable with colour blindness, and by strokes.
_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072b2", "linewidth": 2.0, "zorder": 5},
    {"color": "#d55e00", "linewidth": 1.4, "zorder": 4},
    {"color": INK, "linewidth": 1.2, "linestyle": (0, (1, 1.2)), "zorder": 3},
    {"color": "#5c646e", "linewidth": 1.2, "linestyle": (0, (4, 3)), "zorder": 2},
    # Often close to the first, so drawn thin on top of it.
    {"color": "#cc79a7", "linewidth": 1.1, "linestyle": (0, (6, 2, 1, 2)), "zorder": 6},
)


def drawdowns(equity: Floats) -> Floats:
    """Drawdown of each value from the running peak, as a fraction, <= 0.

    Parameters
    ----------
    equity : (T,) float, > 0

    Examples
    --------
    >>> drawdowns(np.array([1.0, 2.0, 1.5, 2.0])).tolist()
    [0.0, 0.0, -0.25, 0.0]
    """
    falls: Floats = equity / np.maximum.accumulate(equity) - 1.0
    return falls


def equity_png(times: NDArray[np.datetime64], curves: Mapping[str, Floats], title: str) -> bytes:
    """Equity of every portfolio in multiples of its capital, with its gain beside its name.

    Parameters
    ----------
    times : (T,) datetime64
    curves : mapping of name to (T,) float
        The most important one first.
    title : str

    Raises
    ------
    MissingExtraError
        matplotlib is not installed; the other function raises it too.
    """
    notes = {name: percent(float(curve[-1] / curve[0] - 1)) for name, curve in curves.items()}
    return _png(times, curves, notes, title, "equity, multiples of the initial capital", 1.0)


def drawdown_png(times: NDArray[np.datetime64], curves: Mapping[str, Floats], title: str) -> bytes:
    """Drawdown of every portfolio, with the largest beside its name.

    Parameters
    ----------
    times : (T,) datetime64
    curves : mapping of name to (T,) float
        Equity.
    title : str
    """
    below = {name: 100 * drawdowns(curve) for name, curve in curves.items()}
    notes = {name: percent(float(curve.min() / 100)) for name, curve in below.items()}
    return _png(times, below, notes, title, "drawdown, %", 0.0)


def _png(
    times: NDArray[np.datetime64],
    curves: Mapping[str, Floats],
    notes: Mapping[str, str],
    title: str,
    label: str,
    level: float,
) -> bytes:
    names, values = [*curves], [*curves.values()]
    known = np.concatenate(values) if values else np.empty(0)
    same = coinciding(values, float(np.ptp(known)) if len(known) else 0.0)

    def draw(figure: Any) -> None:
        # Imported late: matplotlib is an extra, without types.
        locator: Any = import_module("matplotlib.dates").AutoDateLocator
        panel = figure.subplots()
        for number, (name, curve) in enumerate(curves.items()):
            look = _LOOKS[number % len(_LOOKS)]
            legend = f"{cut(cell(name), 24)} {notes[name]}"
            if number in same:
                legend += f"\n(on the line of {cut(cell(names[same[number]]), 24)})"
                look = {**look, **over([*same].index(number) + 1)}
            panel.plot(times, curve, label=legend, **look)
        panel.axhline(level, color=MUTED, linewidth=0.8)
        panel.set(ylabel=label, xlim=(times[0], times[-1]))
        panel.set_title(title)
        # Dates have room beside each other.
        panel.xaxis.set_major_locator(locator(maxticks=9))
        panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return png(draw, (9.2, 4.2))
