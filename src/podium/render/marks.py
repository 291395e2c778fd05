"""SVG elements of charts: strokes, words, circles, axes, labels at line ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from podium.arrays import Floats
from podium.render.axis import Scale, Ticks, spread, thin
from podium.render.table import cut, escape, number
from podium.render.table import percent as percentage

Role = Literal["candidate", "reference", "naive"]

# Presentation attributes, as a strict content policy refuses style attributes. The second value
# applies where no page sets the variable, as in a notebook.
COLOUR = {
    "candidate": "var(--candidate, #0072B2)",
    "reference": "var(--ink, #16191D)",
    "naive": "var(--naive, #5C646E)",
    "muted": "var(--muted, #59616B)",
    "grid": "var(--grid, #DFE3E8)",
    "pane": "var(--pane, #FFFFFF)",
    "shade": "var(--shade, #EDF1F5)",
}
LETTER, LEADING = 6.8, 15  # width and height of 12 px letters in the widest system fonts
TOP, BOTTOM = 46, 26
# Readable as two charts side by side on a desktop and as one on a phone.
WIDTH = 420
LONGEST = 22


class End(NamedTuple):
    """Label of a line: words, role, and end of the line."""

    words: str
    role: Role
    x: float
    y: float


def words(
    x: float,
    y: float,
    text: str,
    *,
    colour: str = "muted",
    anchor: str = "",
    bold: bool = False,
    halo: bool = False,
    turned: bool = False,
) -> str:
    """A piece of text.

    Parameters
    ----------
    x, y : float
        Position of the anchor on the base line.
    text : str
    colour : str
    anchor : str
        "middle", "end", or empty for the start.
    bold : bool
    halo : bool
        Whether to mask lines behind the letters.
    turned : bool
        Whether it rises by 35 degrees towards the anchor.

    Examples
    --------
    >>> words(1, 2, "a < b")
    '<text x="1" y="2" fill="var(--muted, #59616B)">a &lt; b</text>'
    """
    more = f' text-anchor="{anchor}"' if anchor else ""
    more += ' font-weight="600"' if bold else ""
    more += f' stroke="{COLOUR["pane"]}" stroke-width="4" paint-order="stroke"' if halo else ""
    more += f' transform="rotate(-35 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.4g}" y="{y:.4g}" fill="{COLOUR[colour]}"{more}>{escape(text)}</text>'


def stroke(path: str, colour: str, width: float = 1, *, dash: bool = False) -> str:
    """A path without fill.

    Parameters
    ----------
    path : str
    colour : str
    width : float
    dash : bool

    Examples
    --------
    >>> stroke("M0 0H9", "grid")
    '<path d="M0 0H9" fill="none" stroke="var(--grid, #DFE3E8)"/>'
    """
    more = f' stroke-width="{width:g}" stroke-linejoin="round"' if width != 1 else ""
    more += ' stroke-dasharray="5 4"' if dash else ' stroke-linecap="round"' if width > 1 else ""
    return f'<path d="{path}" fill="none" stroke="{COLOUR[colour]}"{more}/>'


def circle(x: float, y: float, radius: float, colour: str, *, filled: bool = False) -> str:
    """A dot, hollow unless filled.

    Parameters
    ----------
    x, y, radius : float
    colour : str
    filled : bool

    Examples
    --------
    >>> circle(1, 2, 3, "grid", filled=True)
    '<circle cx="1.0" cy="2.0" r="3" fill="var(--grid, #DFE3E8)"/>'
    """
    inside = COLOUR[colour if filled else "pane"]
    edge = "" if filled else f' stroke="{COLOUR[colour]}"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{inside}"{edge}/>'


def curve(at: Floats, y: Floats, across: Scale, up: Scale, role: Role, *, over: int = 0) -> str:
    """A thinned line through the values, with gaps at missing values.

    Parameters
    ----------
    at, y : array, shape (T,)
    across, up : Scale
    role : {"candidate", "reference", "naive"}
        The line of a baseline is dashed.
    over : int
        Number of this line among those on top of a line that they coincide with, from 1: short
        dashes, which leave the other visible.

    Examples
    --------
    >>> x, y = np.arange(4.0), np.array([1, 2, np.nan, 3])
    >>> curve(x, y, Scale(0, 3, 0, 3), Scale(0, 3, 0, 3), "candidate")[:34]
    '<path d="M0.0 1.0L1.0 2.0M3.0 3.0h'
    """
    path, pen, last = [], "M", 0
    rows = thin(y)
    for i in rows:
        if not np.isfinite(y[i]):
            # A single value between two gaps is a dot.
            path += ["h0"] if last == 1 else []
            pen, last = "M", 0
            continue
        path.append(f"{pen}{across(at[i]):.1f} {up(y[i]):.1f}")
        pen, last = "L", last + 1
    path += ["h0"] if last == 1 else []
    if over:
        dashes = f' stroke-dasharray="3 9" stroke-dashoffset="{3 * over}"/>'
        return stroke("".join(path), role, 3.4).removesuffix("/>") + dashes
    return line("".join(path), role)


def line(path: str, role: Role) -> str:
    """A path in the style of a role: thick for the candidate, dashed for a baseline.

    Examples
    --------
    >>> line("M0 0H9", "naive")[-24:]
    'stroke-dasharray="5 4"/>'
    """
    return stroke(path, role, 2.2 if role == "candidate" else 1.6, dash=role == "naive")


def axes(across: Scale, up: Scale, x_ticks: Ticks, y_ticks: Ticks) -> list[str]:
    """Grid lines and labels of both axes; x has grid lines only without y ticks.

    Parameters
    ----------
    across, up : Scale
    x_ticks, y_ticks : list of (value, label)
    """
    parts = []
    base = max(up.start, up.end)
    for value, label in y_ticks:
        y = up(value)
        parts.append(stroke(f"M{across.start:.1f} {y:.1f}H{across.end:.1f}", "grid"))
        parts.append(words(across.start - 6, y + 4, label, anchor="end"))
    for value, label in x_ticks:
        x = across(value)
        start = base if y_ticks else min(up.start, up.end)
        parts.append(stroke(f"M{x:.1f} {start:.1f}V{base + 4:.1f}", "grid"))
        if label:
            centre = max(x, len(label) * LETTER / 2 + 2)
            parts.append(words(centre, base + 18, label, anchor="middle"))
    return parts


def end_labels(ends: Sequence[End], x: float, up: Scale) -> list[str]:
    """Names of lines to the right of the plot, without overlap.

    Parameters
    ----------
    ends : sequence of End
    x : float
        Right edge of the plot.
    up : Scale
    """
    parts = []
    places = spread([end.y for end in ends], LEADING, up.end + 4, up.start)
    for end, y in zip(ends, places, strict=True):
        # A shifted label, or that of a shorter line, is connected to the end of its line.
        if abs(y - end.y) > 4 or x - end.x > 4:
            parts.append(stroke(f"M{end.x + 2:.1f} {end.y:.1f}L{x + 7:.1f} {y:.1f}", "grid"))
        name = cut(end.words, LONGEST)
        parts.append(words(x + 9, y + 4, name, colour=end.role, bold=end.role == "candidate"))
    return parts


def svg(height: float, title: str, axis: str, description: str, parts: Iterable[str]) -> str:
    """A complete SVG with a visible title and a description for screen readers.

    Parameters
    ----------
    height : float
        In units of the view box.
    title, axis : str
        Name and quantity of the chart, shown above it.
    description : str
    parts : iterable of str

    Examples
    --------
    >>> svg(100, "Equity", "growth", "rises", [])[:60]
    '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="'
    """
    room = int((WIDTH - 12) / (LETTER + 1))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {height:g}"'
            f' width="{WIDTH}" height="{height:g}" font-family="system-ui, sans-serif"'
            ' font-size="12">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(f'{axis}. {description}' if description else axis)}</desc>",
            words(2, 14, cut(title, room), colour="reference", bold=True),
            words(2, 31, cut(axis, int((WIDTH - 8) / LETTER))),
            *parts,
            "</svg>",
        ]
    )


def nothing(title: str, axis: str, reason: str = "no values yet") -> str:
    """A chart without values, with the reason.

    Parameters
    ----------
    title, axis, reason : str

    Examples
    --------
    >>> "no values yet" in nothing("Equity", "growth")
    True
    """
    return svg(84, title, axis, reason, [words(2, 64, reason)])


def describe_line(name: str, values: Floats, *, percent: bool = False) -> str:
    """First, last, lowest and highest value of a line, for a chart's description.

    Parameters
    ----------
    name : str
    values : array, all finite
    percent : bool

    Examples
    --------
    >>> describe_line("model", np.array([1.0, 3.0, 2.0]))
    'model: from 1.000 to 2.000, lowest 1.000, highest 3.000'
    """
    ends: tuple[float | None, ...] = (None,) * 4
    if len(values):
        ends = tuple(map(float, (values[0], values[-1], values.min(), values.max())))
    texts = [value_text(value, percent=percent) for value in ends]
    return "{}: from {} to {}, lowest {}, highest {}".format(name, *texts)


def value_text(value: float | None, *, percent: bool = False) -> str:
    """Text of a value in a chart's description.

    Parameters
    ----------
    value : float or None
    percent : bool

    Examples
    --------
    >>> value_text(0.5, percent=True), value_text(None)
    ('50.0%', 'none')
    """
    if value is None or not math.isfinite(value):
        return "none"
    return percentage(value) if percent else number(value)
