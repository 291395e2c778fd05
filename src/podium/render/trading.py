"""Equity of portfolios and how far each is below its peak, as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.render._figure import INK, MUTED, png
from podium.render.table import cell, cut, percent

# Told apart by people who see colours differently, and by their strokes.
_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072b2", "linewidth": 2.0, "zorder": 5},
    {"color": "#d55e00", "linewidth": 1.4, "zorder": 4},
    {"color": INK, "linewidth": 1.2, "linestyle": (0, (1, 1.2)), "zorder": 3},
    {"color": "#5c646e", "linewidth": 1.2, "linestyle": (0, (4, 3)), "zorder": 2},
    # Often next to the first, so it is drawn on top of it, thin.
    {"color": "#cc79a7", "linewidth": 1.1, "linestyle": (0, (6, 2, 1, 2)), "zorder": 6},
)


def drawdowns(equity: Floats) -> Floats:
    """How far each value is below the highest up to it, as a fraction, <= 0.

    Parameters
    ----------
    equity : (T,) float, > 0

    Examples
    --------
    >>> drawdowns(np.array([1.0, 2.0, 1.5, 2.0])).tolist()
    [0.0, 0.0, -0.25, 0.0]
    """
    found: Floats = equity / np.maximum.accumulate(equity) - 1.0
    return found


def equity_png(times: NDArray[np.datetime64], curves: Mapping[str, Floats], title: str) -> bytes:
    """Equity of every portfolio in multiples of its capital, what it gained beside its name.

    Parameters
    ----------
    times : (T,) datetime64
    curves : mapping of name to (T,) float
        The one that matters first.
    title : str

    Raises
    ------
    MissingExtraError
        matplotlib is not installed; the other function raises it too.
    """
    told = {name: percent(float(curve[-1] / curve[0] - 1)) for name, curve in curves.items()}
    return _png(times, curves, told, title, "equity, multiples of the capital", 1.0)


def drawdown_png(times: NDArray[np.datetime64], curves: Mapping[str, Floats], title: str) -> bytes:
    """How far every portfolio is below its peak, the deepest beside its name.

    Parameters
    ----------
    times : (T,) datetime64
    curves : mapping of name to (T,) float
        Equity.
    title : str
    """
    below = {name: 100 * drawdowns(curve) for name, curve in curves.items()}
    told = {name: percent(float(curve.min() / 100)) for name, curve in below.items()}
    return _png(times, below, told, title, "below the peak, per cent", 0.0)


def _png(
    times: NDArray[np.datetime64],
    curves: Mapping[str, Floats],
    told: Mapping[str, str],
    title: str,
    label: str,
    level: float,
) -> bytes:
    def draw(figure: Any) -> None:
        panel = figure.subplots()
        for number, (name, curve) in enumerate(curves.items()):
            look = _LOOKS[number % len(_LOOKS)]
            panel.plot(times, curve, label=f"{cut(cell(name), 24)} {told[name]}", **look)
        panel.axhline(level, color=MUTED, linewidth=0.8)
        panel.set(ylabel=label, xlim=(times[0], times[-1]))
        panel.set_title(title)
        panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return png(draw, (9.2, 4.2))
