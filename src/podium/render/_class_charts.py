"""Charts of a classifier as SVG strings: confusion matrix, curves, calibration, sparklines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from podium.arrays import Floats
from podium.render import axis, marks
from podium.render.axis import Scale
from podium.render.marks import BOTTOM, LEADING, LETTER, TOP, WIDTH, Role
from podium.render.table import cut, escape, number, percent
from podium.stats.class_figures import BINS
from podium.stats.classification import Evaluation

HEIGHT = 340
# Light enough for a text contrast of 4.5 on every cell, in light and dark mode.
DEEPEST = 0.5
_POINTS = 150
_SPARK = (132, 30)


class DrawnClassifier(NamedTuple):
    """Figures of a classifier, with its name and role in charts."""

    name: str
    role: Role
    figures: Evaluation


def matrix(figures: Evaluation, *, rates: bool) -> str:
    """Confusion matrix as SVG, with right and wrong predictions in two colours.

    Parameters
    ----------
    figures : Evaluation
    rates : bool
        Whether to show the share of each row instead of samples; the shade is always that share.
    """
    names, counts = figures.class_names, figures.confusion
    classes = len(names)
    left = min(max(len(name) for name in names), 16) * LETTER + 30
    wide = (WIDTH - left - 2) / classes
    tall = min(max(wide * 0.6, 30), 54)
    # Numbers replace names that are wider than their columns.
    short = all(len(name) * LETTER <= wide - 6 for name in names)
    top = TOP + 20
    parts = []
    for k, name in enumerate(names):
        shown = name if short else str(k)
        parts.append(marks.words(left + (k + 0.5) * wide, top - 7, shown, anchor="middle"))
        row_name = cut(name if short else f"{k} {name}", 18)
        y = top + (k + 0.5) * tall + 4
        parts.append(marks.words(left - 8, y, row_name, colour="reference", anchor="end"))
    texts = []
    for row in range(classes):
        whole = int(figures.support[row])
        for column in range(classes):
            count = int(counts[row, column])
            share = count / whole if whole else 0.0
            x, y = left + column * wide, top + row * tall
            colour = "var(--candidate, #0072B2)" if row == column else "var(--fail, #B04000)"
            parts.append(
                f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{wide - 2:.1f}" '
                f'height="{tall - 2:.1f}" fill="{colour}" fill-opacity="{share * DEEPEST:.3f}" '
                'stroke="var(--grid, #DFE3E8)"/>'
            )
            rate = percent(share if whole else None)
            if wide < 46 and whole:
                rate = f"{share:.0%}"
            written = rate if rates else _count(count, wide - 4)
            place = (x + wide / 2, y + tall / 2 + 4)
            parts.append(marks.words(*place, written, colour="reference", anchor="middle"))
            if count:
                texts.append(f"{names[row]} predicted as {names[column]}: {written}")
    title = "Confusion matrix, rates" if rates else "Confusion matrix, samples"
    unit = "share of each true class" if rates else "samples"
    label = f"{unit}: row true, column predicted"
    return marks.svg(top + classes * tall + 4, title, label, "; ".join(texts), parts)


def pr_curve(classifiers: Sequence[DrawnClassifier], k: int) -> str:
    """Precision over recall of a class, as steps with the average precision as area.

    Parameters
    ----------
    classifiers : sequence of DrawnClassifier
        The first one is drawn on top.
    k : int
        The class.
    """
    lines = []
    for name, role, figures in classifiers:
        curve = figures.curves[k].thinned(_POINTS)
        x = np.repeat(np.concatenate([[0.0], curve.recall]), 2)[1:-1]
        area = f"{name} {number(float(figures.pr_auc[k]))}"
        lines.append((area, role, x, np.repeat(curve.precision, 2)))
    first = classifiers[0].figures
    name, share = first.class_names[k], float(first.support[k] / first.samples)
    title = f"Precision and recall: {name}"
    label = "precision over recall; area beside each name"
    return _square(title, label, lines, [(0, share), (1, share)], share > 0)


def roc_curve(classifiers: Sequence[DrawnClassifier], k: int) -> str:
    """Recall over the false positive rate of a class.

    Parameters
    ----------
    classifiers : sequence of DrawnClassifier
    k : int
    """
    lines = []
    for name, role, figures in classifiers:
        curve = figures.curves[k].thinned(_POINTS)
        x, y = (
            np.concatenate([[0.0], v, [1.0]]) for v in (curve.false_positive_rate, curve.recall)
        )
        lines.append((f"{name} {number(float(figures.roc_auc[k]))}", role, x, y))
    first = classifiers[0].figures
    known = bool(0 < first.support[k] < first.samples)
    title = f"ROC: {first.class_names[k]}"
    label = "recall over false positive rate; area beside each name"
    return _square(title, label, lines, [(0, 0), (1, 1)], known)


def calibration(classifiers: Sequence[DrawnClassifier]) -> str:
    """Accuracy over predicted probability, and a histogram of the probabilities.

    Parameters
    ----------
    classifiers : sequence of DrawnClassifier
        The histogram is that of the first one.
    """
    lines = []
    for name, role, figures in classifiers:
        table = figures.reliability
        known = table.count > 0
        error = f"{name} {number(figures.calibration_error)}"
        lines.append((error, role, table.confidence[known], table.accuracy[known]))
    table = classifiers[0].figures.reliability
    label = "accuracy over probability; error beside each name"
    bars = table.count / table.count.max()
    return _square("Calibration", label, lines, [(0, 0), (1, 1)], True, bars)


def sparkline(name: str, values: Floats, low: float, high: float) -> str:
    """Sparkline of one feature of a sample over its steps.

    Parameters
    ----------
    name : str
    values : (T,) float
        NaN leaves a gap.
    low, high : float
        Range of the scale, common to all samples.
    """
    width, height = _SPARK
    known = values[np.isfinite(values)]
    parts = []
    if len(known):
        across = Scale(0, max(len(values) - 1, 1), 3, width - 6)
        up = Scale(low, high if high > low else low + 1, height - 4, 4)
        parts.append(
            marks.curve(np.arange(len(values), dtype=float), values, across, up, "reference")
        )
        end = int(np.flatnonzero(np.isfinite(values))[-1])
        parts.append(marks.circle(across(end), up(values[end]), 2.5, "candidate", filled=True))
    description = marks.describe_line(name, known)
    missing = len(values) - len(known)
    description += f", {missing} of {len(values)} missing" if missing else ""
    text = escape(description)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" style="min-width:5.5rem">'
        f"<title>{text}</title><desc>{text}</desc>{''.join(parts)}</svg>"
    )


def _square(
    title: str,
    label: str,
    lines: Sequence[tuple[str, Role, Floats, Floats]],
    chance: Sequence[tuple[float, float]],
    known: bool,
    bars: Floats | None = None,
) -> str:
    """Lines on axes from 0 to 1 with a dotted line of chance and a legend above."""
    if not known:
        words = "no value: this class has no samples, or all samples"
        return marks.nothing(title, label, words)
    top = TOP + LEADING
    ticks = [(v, f"{v:.1f}") for v in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    across, up = Scale(0, 1, axis.gutter(ticks), WIDTH - 14), Scale(0, 1, HEIGHT - BOTTOM, top)
    parts = marks.axes(across, up, ticks, ticks)
    for n, share in enumerate([] if bars is None else bars.tolist()):
        begin, end, tip = across(n / BINS), across((n + 1) / BINS), up(share * 0.15)
        parts.append(
            f'<rect x="{begin + 1:.1f}" y="{tip:.1f}" width="{end - begin - 2:.1f}" '
            f'height="{up.start - tip:.1f}" fill="{marks.COLOUR["grid"]}"/>'
        )
    (x0, y0), (x1, y1) = chance
    rule = f"M{across(x0):.1f} {up(y0):.1f}L{across(x1):.1f} {up(y1):.1f}"
    # Dotted, since the baseline is dashed.
    dotted = f'stroke="{marks.COLOUR["muted"]}" stroke-dasharray="1 4" stroke-linecap="round"'
    parts.append(f'<path d="{rule}" fill="none" {dotted}/>')
    same = axis.coinciding([np.stack([x, y]) for *_, x, y in lines], 1.0)
    # The first is on top, and above it are those that it would hide.
    turns = {k: turn for turn, k in enumerate(same, 1)}
    for k in sorted(range(len(lines)), key=lambda k: (k in same, -k)):
        _, role, x, y = lines[k]
        parts.append(marks.curve(x, y, across, up, role, over=turns.get(k, 0)))
        if bars is not None:
            solid = role == "candidate"
            parts += [
                marks.circle(across(a), up(b), 3.5, role, filled=solid)
                for a, b in zip(x, y, strict=True)
            ]
    at = 2.0
    for text, role, *_ in lines:
        sign = marks.line(f"M{at:.0f} {TOP}h18", role)
        bold = role == "candidate"
        parts += [sign, marks.words(at + 24, TOP + 4, text, colour=role, bold=bold)]
        at += 24 + (len(text) + 3) * (LETTER + bold)
    description = "; ".join(
        text + (f", on the line of {lines[same[k]][0]}" if k in same else "")
        for k, (text, *_) in enumerate(lines)
    )
    return marks.svg(HEIGHT, title, label, description, parts)


def _count(count: int, room: float) -> str:
    for written in (f"{count:,}", str(count)):
        if len(written) * LETTER <= room:
            return written
    return f"{count / 1000:.0f}k"
