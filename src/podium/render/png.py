"""Figures of an evaluation as PNG by matplotlib, with reproducible bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from podium.render._class_charts import DEEPEST, DrawnClassifier
from podium.render._figure import FAIL, GRID, INK, MUTED, over, png
from podium.render.axis import coinciding
from podium.render.table import cell, cut, number, percent
from podium.stats.classification import Evaluation

_LINES: dict[str, dict[str, Any]] = {
    "candidate": {"color": "#0072b2", "linewidth": 2.2, "zorder": 4},
    "reference": {"color": INK, "linewidth": 1.4, "zorder": 3},
    "naive": {"color": "#5c646e", "linewidth": 1.4, "linestyle": (0, (4, 3)), "zorder": 2},
}
_LONGEST = 28


def confusion_png(figures: Evaluation) -> bytes:
    """Confusion matrix of samples (left) and of shares of each true class (right).

    Parameters
    ----------
    figures : Evaluation

    Raises
    ------
    MissingExtraError
        matplotlib is not installed; the other functions raise it too.
    """
    classes = len(figures.class_names)
    names = _names(figures)
    cell_side = max(0.62, 2.6 / classes)
    side, letter = cell_side * classes, 0.075
    # As on the page, numbers replace names that are wider than their columns.
    short = all(len(name) * letter < cell_side for name in names)
    rows = names if short else [f"{k} {name}" for k, name in enumerate(names)]
    columns = names if short else [str(k) for k in range(classes)]

    def draw(figure: Any) -> None:
        panels = figure.subplots(1, 2, sharey=True)
        shares = figures.confusion / np.maximum(figures.support, 1)[:, np.newaxis]
        for panel, rates in zip(panels, (False, True), strict=True):
            panel.grid(visible=False)
            for row in range(classes):
                for column in range(classes):
                    share = float(shares[row, column])
                    colour = _LINES["candidate"]["color"] if row == column else FAIL
                    box = {"color": colour, "alpha": DEEPEST * share, "linewidth": 0}
                    panel.fill_between([column, column + 1], row, row + 1, **box)
                    known = share if figures.support[row] else None
                    count = f"{figures.confusion[row, column]:,}"
                    written = percent(known) if rates else count
                    panel.text(column + 0.5, row + 0.5, written, ha="center", va="center")
            panel.set(xlim=(0, classes), ylim=(classes, 0), aspect="equal", xlabel="predicted")
            panel.set_xticks(np.arange(classes + 1), minor=True)
            panel.set_yticks(np.arange(classes + 1), minor=True)
            panel.grid(visible=True, which="minor")
            panel.tick_params(which="both", length=0)
            panel.set_xticks(np.arange(classes) + 0.5, columns)
            panel.set_yticks(np.arange(classes) + 0.5, rows)
            panel.set_title("share of each true class" if rates else "samples")
            for spine in panel.spines.values():
                spine.set_visible(False)
        panels[0].set_ylabel("true")

    return png(draw, (2 * side + max(map(len, rows)) * letter + 0.7, side + 0.8))


def pr_png(classifiers: Sequence[DrawnClassifier]) -> bytes:
    """Precision over recall, a panel per class.

    Parameters
    ----------
    classifiers : sequence of DrawnClassifier
        The model first.
    """

    def lines(panel: Any, k: int) -> None:
        drawn = []
        for name, role, figures in classifiers:
            curve = figures.curves[k].thinned(600)
            x = np.concatenate([[0.0], curve.recall])
            y = np.concatenate([curve.precision[:1], curve.precision])
            drawn.append((f"{name} {number(float(figures.pr_auc[k]))}", role, x, y))
        _plot(panel, drawn, drawstyle="steps-pre")
        share = classifiers[0].figures.support[k] / classifiers[0].figures.samples
        panel.axhline(share, color=MUTED, linewidth=0.8, linestyle=":")

    known = classifiers[0].figures.support > 0
    title = "Precision over recall, each class against the rest; average precision beside each name"
    return _panels(classifiers[0].figures, lines, known, ("recall", "precision"), title)


def roc_png(classifiers: Sequence[DrawnClassifier]) -> bytes:
    """Recall over the false positive rate, a panel per class.

    Parameters
    ----------
    classifiers : sequence of DrawnClassifier
    """

    def lines(panel: Any, k: int) -> None:
        drawn = []
        for name, role, figures in classifiers:
            curve = figures.curves[k].thinned(600)
            x, y = (np.concatenate([[0.0], v]) for v in (curve.false_positive_rate, curve.recall))
            drawn.append((f"{name} {number(float(figures.roc_auc[k]))}", role, x, y))
        _plot(panel, drawn)
        panel.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")

    first = classifiers[0].figures
    known = (first.support > 0) & (first.support < first.samples)
    title = "ROC, each class against the rest; area beside each name"
    return _panels(first, lines, known, ("false positive rate", "recall"), title)


def calibration_png(classifiers: Sequence[DrawnClassifier]) -> bytes:
    """Accuracy over predicted probability, and a histogram of the probabilities.

    Parameters
    ----------
    classifiers : sequence of DrawnClassifier
        The histogram is that of the first one.
    """

    def draw(figure: Any) -> None:
        panel = figure.subplots()
        table = classifiers[0].figures.reliability
        heights = 0.15 * table.count / table.count.max()
        width = table.edges[1] * 0.9
        panel.bar(table.edges[:-1] + table.edges[1] / 2, heights, width, color=GRID, zorder=1)
        panel.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
        drawn = []
        for name, role, figures in classifiers:
            rows = figures.reliability.count > 0
            x, y = figures.reliability.confidence[rows], figures.reliability.accuracy[rows]
            drawn.append((f"{name}, error {number(figures.calibration_error)}", role, x, y))
        _plot(panel, drawn, marker="o", markersize=4)
        panel.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal", title="Calibration")
        panel.set(xlabel="predicted probability", ylabel="accuracy")
        panel.legend(loc="upper left")

    return png(draw, (5.0, 4.8))


def _plot(panel: Any, lines: Sequence[tuple[str, str, Any, Any]], **look: Any) -> None:
    """Lines of legend, role, x and y; one on the line of an earlier one leaves that visible."""
    same = coinciding([np.stack([x, y]) for *_, x, y in lines], 1.0)
    for k, (legend, role, x, y) in enumerate(lines):
        style = {**_LINES[role], **look}
        if k in same:
            legend += f"\n(on the line of {lines[same[k]][0]})"
            style |= over([*same].index(k) + 1)
        panel.plot(x, y, label=legend, **style)


def _panels(
    figures: Evaluation,
    lines: Callable[[Any, int], None],
    known: Any,
    labels: tuple[str, str],
    title: str,
) -> bytes:
    """A square panel per class, at most four in a row."""
    names = _names(figures)
    across = len(names) if len(names) <= 4 else math.ceil(len(names) / 2)
    down = math.ceil(len(names) / across)

    def draw(figure: Any) -> None:
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, color=MUTED, wrap=True)
        grid = figure.subplots(down, across, squeeze=False)
        for k, panel in enumerate(grid.flat):
            if k >= len(names):
                panel.set_visible(False)
                continue
            panel.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal", title=names[k])
            panel.set(xlabel=labels[0], ylabel=labels[1])
            if known[k]:
                lines(panel, k)
                panel.legend(loc="best")
            else:
                panel.text(0.5, 0.5, "no value", ha="center", color=MUTED)

    return png(draw, (3.4 * across, 3.6 * down))


def _names(figures: Evaluation) -> list[str]:
    return [cut(cell(name), _LONGEST) for name in figures.class_names]
