"""Charts as SVG strings: colours by role through CSS variables, labels at line ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.errors import DataError
from podium.render import axis, marks
from podium.render.axis import Scale
from podium.render.marks import BOTTOM, LEADING, LETTER, TOP, WIDTH, End, Role
from podium.render.table import cut, middle_cut, number
from podium.render.values import FoldRow

HEIGHT = 240
# Ratio of the ends of an axis above which it is logarithmic.
_WIDE = 30
# Values of a hyperparameter up to which each has a label.
_FEW = 6


class Curve(NamedTuple):
    """A curve: its name, values and role."""

    name: str
    y: ArrayLike
    role: Role = "candidate"


def lines(
    x: ArrayLike,
    series: Sequence[Curve],
    *,
    title: str,
    y_label: str,
    percent: bool = False,
    log: bool = False,
    shade: tuple[Any, Any, str] | None = None,
) -> str:
    """Line chart with a label at the end of each curve.

    Parameters
    ----------
    x : array, shape (T,)
        datetime64 (UTC, without zone) or numbers, ascending.
    series : sequence of Curve, each y of shape (T,)
        The curve of a baseline is dashed; NaN leaves a gap.
    title, y_label : str
        Name and quantity of the chart.
    percent : bool
        Whether to show 0.1 as 10%.
    log : bool
        Logarithmic y; values of zero or less leave a gap.
    shade : (from, to, words), optional
        Range of x to shade, and its label.

    Examples
    --------
    >>> chart = lines([0, 1, 2], [Curve("model", [1, 1.5, 2])], title="Equity", y_label="growth")
    >>> chart[:4], ">model</text>" in chart
    ('<svg', True)
    """
    at, dates = axis.places(x)
    curves = [_column(line, at) for line in series]
    if log:
        curves = [np.log10(y, out=np.full(len(y), np.nan), where=y > 0) for y in curves]
    seen = [y[np.isfinite(y)] for y in curves]
    if not any(len(y) for y in seen):
        return marks.nothing(title, y_label)
    low, high = axis.padded(np.concatenate(seen))
    y_ticks = axis.logarithmic(low, high) if log else axis.linear(low, high, percent=percent)
    same = _coinciding(series, curves, high - low)
    labels = len(series) + len(same)
    height = max(HEIGHT, TOP + BOTTOM + LEADING * labels)
    known = at[np.isfinite(at)]
    first, last = float(known[0]), float(known[-1])
    names = [line.name for line in series] + [f"(≈ {series[k].name})" for k in same.values()]
    edge = WIDTH - 14 - min(max(map(len, names)), marks.LONGEST) * LETTER
    across = Scale(first, last if last > first else first + 1, axis.gutter(y_ticks), edge)
    up = Scale(low, high, height - BOTTOM, TOP)
    parts = _shaded(shade, across, up) if shade else []
    parts += marks.axes(across, up, axis.horizontal(across, dates), y_ticks)
    ends, texts = [], []
    over: list[str] = []
    for k, (line, y, values) in enumerate(zip(series, curves, seen, strict=True)):
        if not len(values):
            continue
        end = int(np.flatnonzero(np.isfinite(y))[-1])
        text = marks.describe_line(line.name, 10**values if log else values, percent=percent)
        place = across(at[end]), up(y[end])
        ends.append(End(line.name, line.role, *place))
        if k in same:
            other = series[same[k]].name
            # Short dashes on top of the line that it coincides with; several take turns.
            over.append(marks.curve(at, y, across, up, line.role, over=len(over) + 1))
            ends.append(End(f"(≈ {other})", line.role, *place))
            text += f", on the line of {other}"
        else:
            parts.append(marks.curve(at, y, across, up, line.role))
        texts.append(text)
    parts += over + marks.end_labels(ends, edge, up)
    label = y_label + (", log scale" if log else "")
    return marks.svg(height, title, label, "; ".join(texts), parts)


def drawdown(x: ArrayLike, series: Sequence[Curve], *, title: str) -> str:
    """Chart of the drawdown from the running peak, in percent.

    Parameters
    ----------
    x : array, shape (T,)
    series : sequence of Curve, each y of shape (T,)
        Equity curves, above zero.
    title : str

    Examples
    --------
    >>> "lowest -50.0%" in drawdown([0, 1, 2], [Curve("model", [1, 2, 1])], title="Drawdown")
    True
    """
    at, _ = axis.places(x)
    drawdowns = []
    for line in series:
        y = _column(line, at)
        top = np.fmax.accumulate(y) if len(y) else y
        drop = np.divide(y, top, out=np.full(len(y), np.nan), where=top > 0) - 1
        drawdowns.append(line._replace(y=drop))
    label = "below the running peak"
    return lines(x, drawdowns, title=title, y_label=label, percent=True)


def dots(
    rows: Sequence[FoldRow],
    *,
    title: str,
    x_label: str,
    reference: float | None = None,
    reference_name: str = "baseline",
) -> str:
    """Dot-and-whisker chart: a hollow dot per fold, a filled one for the mean.

    Parameters
    ----------
    rows : sequence of FoldRow
        Rows from top to bottom, each below its label; a chosen row has a check mark, a bold label
        and the candidate's colour.
    title, x_label : str
    reference : float, optional
        Value of the baseline, a dashed vertical line.
    reference_name : str
        Its label.

    Examples
    --------
    >>> folds = [FoldRow("lstm", [1.0, 3.0], 2.0)]
    >>> chart = dots(folds, title="Folds", x_label="rmse", reference=4)
    >>> chart.count("<circle"), "baseline 4" in chart
    (3, True)
    """
    naive = axis.finite([reference])
    known = [axis.finite([*row.values, row.mean]) for row in rows]
    if not any(len(values) for values in known):
        return marks.nothing(title, x_label)
    low, high = axis.padded(np.concatenate([*known, naive]))
    letters = int((WIDTH - 8) / LETTER)
    step, top = 38, TOP + 14 * len(naive)
    height = top + step * len(rows) + BOTTOM
    across = Scale(low, high, 10, WIDTH - 12)
    up = Scale(0, 1, height - BOTTOM, top)
    parts = marks.axes(across, up, axis.linear(low, high, 4), [])
    texts = []
    for value in naive:
        label, x = f"{reference_name} {number(float(value))}", across(value)
        half = len(label) * LETTER / 2
        # The line is drawn beside the dots only, so that it does not cross labels.
        rule = "".join(f"M{x:.1f} {top + step * row + 16}v22" for row in range(len(rows)))
        parts.append(marks.stroke(f"M{x:.1f} {top - 5}v5{rule}", "naive", 1.6, dash=True))
        centre = min(max(x, half), WIDTH - half)
        parts.append(marks.words(centre, top - 8, label, colour="naive", anchor="middle"))
        texts.append(label)
    for place, (row, values) in enumerate(zip(rows, known, strict=True)):
        colour = "candidate" if row.chosen else "reference"
        base = top + step * place
        y = base + 26
        # Bold letters are wider.
        label = cut(f"✓ {row.label}", letters * 9 // 10) if row.chosen else cut(row.label, letters)
        parts.append(marks.words(2, base + 14, label, colour=colour, bold=row.chosen, halo=True))
        chosen = " (chosen)" if row.chosen else ""
        ends = axis.finite(row.values)
        around = f", {number(ends.min())} to {number(ends.max())}" if len(ends) else ""
        texts.append(f"{row.label}{chosen}: mean {marks.value_text(row.mean)}{around}")
        if not len(values):
            continue
        whisker = f"M{across(values.min()):.1f} {y:g}H{across(values.max()):.1f}"
        parts.append(marks.stroke(whisker, colour))
        folds = axis.finite(row.values)
        parts += [marks.circle(across(v), y, 3.2, colour) for v in folds]
        parts += [
            marks.circle(across(v), y, 5, colour, filled=True) for v in axis.finite([row.mean])
        ]
    return marks.svg(height, title, x_label, "; ".join(texts), parts)


def scatter(
    x: Sequence[Any],
    y: Sequence[float],
    *,
    title: str,
    y_label: str,
    best: int | None = None,
) -> str:
    """A dot per run: a hyperparameter across, a metric up.

    Parameters
    ----------
    x : sequence, shape (N,)
        Numbers, on a logarithmic axis where they span more than a factor of 30; else categories.
    y : sequence of float, shape (N,)
        An outlier is a triangle at the edge; NaN and infinities have no mark.
    title, y_label : str
    best : int, optional
        Place of a run to mark.

    Examples
    --------
    >>> chart = scatter(["a", "b"], [1.0, 2.0], title="cell", y_label="mse", best=0)
    >>> ">b</text>" in chart, "best 1.000" in chart
    (True, True)
    """
    values = axis.floats(y)
    known = np.isfinite(values)
    if not known.any():
        return marks.nothing(title, y_label)
    inside = np.append(axis.fenced(values[known]), [] if best is None else values[best])
    low, high = axis.padded(inside)
    y_ticks = axis.linear(low, high)
    start, edge = axis.gutter(y_ticks), WIDTH - 12.0
    places, across, x_ticks = _positions(x, start, edge)
    room = max((edge - start) / max(1, len(x_ticks)) - 8, LETTER)
    turned = any(len(label) * LETTER > room for _, label in x_ticks)
    if turned:
        # The first one begins inside the chart.
        most = max(3, int(across(x_ticks[0][0]) / (0.82 * LETTER)))
        x_ticks = [(value, middle_cut(label, most)) for value, label in x_ticks]
    bottom = BOTTOM + (0.6 * LETTER * max(len(label) for _, label in x_ticks) if turned else 0)
    height = HEIGHT + bottom - BOTTOM
    up = Scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = marks.axes(across, up, [], y_ticks)
    for value, label in x_ticks:
        if turned:
            at = across(value) + 4
            parts.append(marks.words(at, up.start + 16, label, anchor="end", turned=True))
        else:
            # Labels at the ends stay inside the chart.
            half = len(label) * LETTER / 2
            centre = min(max(across(value), half), WIDTH - half)
            parts.append(marks.words(centre, up.start + 18, label, anchor="middle"))
    dots = triangles = ""
    for i in np.flatnonzero(known):
        at = across(places[i])
        if low <= values[i] <= high:
            dots += f"M{at:.1f} {up(values[i]):.1f}h0"
        else:
            tip, side = (up.end - 3, 6) if values[i] > high else (up.start + 3, -6)
            triangles += f"M{at:.1f} {tip:g}l3.5 {side}h-7z"
    parts += [marks.stroke(dots, "muted", 4.5)] if dots else []
    parts += [marks.stroke(triangles, "muted")] if triangles else []
    text = f"{int(known.sum())} runs"
    if best is not None:
        at, height_of = across(places[best]), up(values[best])
        parts.append(marks.circle(at, height_of, 5, "candidate", filled=True))
        text += f", best {number(float(values[best]))} at {x[best]}"
    return marks.svg(height, title, y_label, text, parts)


def _positions(x: Sequence[Any], start: float, edge: float) -> tuple[Floats, Scale, axis.Ticks]:
    """Places of values of a hyperparameter, their scale, and its labels."""
    numbers = [v for v in x if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(x) or not np.isfinite(np.array(numbers, dtype=float)).all():
        names = sorted({str(v) for v in x})
        order = {name: float(n) for n, name in enumerate(names)}
        ticks = [(order[name], name) for name in names]
        # Of many categories some have a label.
        ticks = ticks[:: math.ceil(len(ticks) / 20)]
        scale = Scale(-0.5, len(names) - 0.5, start, edge)
        return np.array([order[str(v)] for v in x]), scale, ticks
    places = np.array(numbers, dtype=float)
    few = np.unique(places)
    log = few[0] > 0 and few[-1] / few[0] > _WIDE
    places = np.log10(places) if log else places
    low, high = axis.padded(places)
    scale = Scale(low, high, start, edge)
    if len(few) <= _FEW:
        # Labels at the values themselves, as far apart as they are wide.
        at, shown = np.log10(few) if log else few, list[tuple[float, str]]()
        for value, label in zip(at.tolist(), map("{:.4g}".format, few), strict=True):
            room = LETTER * (len(label) + 1)
            if not shown or scale(value) - scale(shown[-1][0]) > room:
                shown.append((value, label))
        return places, scale, shown
    return places, scale, axis.logarithmic(low, high) if log else axis.linear(low, high, 4)


def history(
    values: Sequence[float | None],
    best: Sequence[float | None],
    *,
    title: str,
    y_label: str,
    reference: float | None = None,
) -> str:
    """Tuning history: a dot per trial, and the best so far as steps.

    Parameters
    ----------
    values : sequence of float or None, shape (N,)
        One per trial; None or NaN (pruned, failed) is a cross at the bottom. An outlier is a
        triangle at the edge, so that it does not flatten the rest.
    best : sequence of float or None, shape (N,)
        The best value up to each trial.
    title, y_label : str
    reference : float, optional
        Value of the baseline, a dashed line.

    Examples
    --------
    >>> chart = history([3, None, 2], [3, 3, 2], title="Tuning", y_label="rmse", reference=4)
    >>> chart.count("<circle"), ">best 2.000</text>" in chart
    (2, True)
    """
    y, top = axis.floats(values), axis.floats(best)
    if len(y) != len(top):
        raise DataError(f"{len(y)} trials and {len(top)} best values", "one best value per trial")
    known, tops, naive = y[np.isfinite(y)], axis.finite(best), axis.finite([reference])
    if not len(known):
        return marks.nothing(title, y_label)
    low, high = axis.padded(np.concatenate([axis.fenced(known), tops, naive]))
    y_ticks = axis.linear(low, high)
    named: list[tuple[str, Role, float]] = [
        *[(f"best {number(v)}", "candidate", v) for v in tops[-1:].tolist()],
        *[(f"baseline {number(v)}", "naive", v) for v in naive.tolist()],
    ]
    edge = WIDTH - 14 - max((len(name) for name, *_ in named), default=0) * LETTER
    foot = HEIGHT - BOTTOM - 6
    across = Scale(0.5, len(y) + 0.5, axis.gutter(y_ticks), edge)
    up = Scale(low, high, foot - 8, TOP)
    parts = marks.axes(across, up, [], y_ticks)
    for value, label in axis.horizontal(across, dates=False):
        parts.append(marks.words(across(value), HEIGHT - 8, label, anchor="middle"))
    for value in naive:
        flat = f"M{across.start:.1f} {up(value):.1f}H{edge:.1f}"
        parts.append(marks.stroke(flat, "naive", 1.6, dash=True))
    crosses = ""
    for i in axis.thin(y):
        x = across(i + 1)
        if not math.isfinite(y[i]):
            crosses += f"M{x - 2.5:.1f} {foot - 5}l5 5m0 -5l-5 5"
        elif low <= y[i] <= high:
            parts.append(marks.circle(x, up(y[i]), 2.8, "muted"))
        else:
            tip, side = (up.end - 3, 6) if y[i] > high else (up.start + 3, -6)
            parts.append(marks.stroke(f"M{x:.1f} {tip}l3.5 {side}h-7z", "muted"))
    parts += [marks.stroke(crosses, "muted")] if crosses else []
    if len(tops):
        begun = int(np.flatnonzero(np.isfinite(top))[0])
        path = f"M{across(begun + 1):.1f} {up(top[begun]):.1f}"
        for i in range(begun + 1, len(top)):
            if math.isfinite(top[i]) and top[i] != top[i - 1]:
                path += f"H{across(i + 1):.1f}V{up(top[i]):.1f}"
        parts.append(marks.stroke(f"{path}H{edge:.1f}", "candidate", 2.2))
    ends = [End(name, role, edge, up(v)) for name, role, v in named]
    parts += marks.end_labels(ends, edge, up)
    text = ", ".join([f"{len(y)} trials", f"{len(known)} with a value", *(n for n, *_ in named)])
    return marks.svg(HEIGHT, title, y_label, text, parts)


def _coinciding(series: Sequence[Curve], curves: Sequence[Floats], span: float) -> dict[int, int]:
    """Curves that hide another one: the place of each, and that of the curve drawn below it."""
    roles: list[Role] = ["candidate", "reference", "naive"]
    order = sorted(range(len(series)), key=lambda k: roles.index(series[k].role))
    same = axis.coinciding([curves[k] for k in order], span)
    return {order[k]: order[other] for k, other in same.items()}


def _column(line: Curve, at: Floats) -> Floats:
    y = np.asarray(line.y, dtype=float)
    if y.shape != at.shape:
        raise DataError(
            f"the curve {line.name!r} has the shape {y.shape}", f"the shape of x, {at.shape}"
        )
    return np.where(np.isfinite(at), y, np.nan)


def _shaded(shade: tuple[Any, Any, str], across: Scale, up: Scale) -> list[str]:
    ends = [float(axis.places(np.asarray([end]))[0][0]) for end in shade[:2]]
    # Without a known end nothing is shaded; an end outside the plot is clipped.
    left, right = (across(min(max(end, across.low), across.high)) for end in ends)
    if not right > left:
        return []
    box = (
        f'<rect x="{left:.1f}" y="{up.end:g}" width="{right - left:.1f}" '
        f'height="{up.start - up.end:g}" fill="{marks.COLOUR["shade"]}"/>'
    )
    fits = len(shade[2]) * LETTER + 8 <= right - left
    return [box, marks.words(left + 4, up.end + 13, shade[2])] if fits else [box]
