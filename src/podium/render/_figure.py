"""Figures as PNG by matplotlib, with reproducible bytes."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

from podium.errors import MissingExtraError

# The page's colours in its light scheme.
INK, MUTED, GRID, FAIL = "#16191d", "#59616b", "#dfe3e8", "#b04000"
_LOOK = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 2.6,
}
_DPI = 150


def over(turn: int) -> dict[str, Any]:
    """Style of a line on top of one that it coincides with, from 1: short dashes, which take turns.

    Parameters
    ----------
    turn : int
        Number of this line among those.
    """
    return {"linestyle": (3 * turn, (2, 7)), "linewidth": 2.2, "zorder": 9}


def folded(name: str, width: int) -> str:
    r"""A long name on several lines, broken after underscores and spaces.

    Examples
    --------
    >>> folded("weight_decay_of_the_output_layer", 14)
    'weight_decay_\nof_the_output_\nlayer'
    """
    lines = [""]
    for part in re.split(r"(?<=[_ ,])", name):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip(" ") for line in lines)


def png(draw: Callable[[Any], None], size: tuple[float, float]) -> bytes:
    """Draw a figure and return it as reproducible PNG bytes."""
    try:
        from matplotlib import style
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"plots as PNG need the package '{error.name}', which is not installed",
            fix="run: pip install 'podium[plots]'",
        ) from error

    # A user's matplotlibrc must not change a figure that is signed off.
    with style.context(["default", _LOOK]), warnings.catch_warnings():
        # Characters of a class name that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
