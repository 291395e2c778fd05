"""Plots of the choice of a config as PNG: importance, configs, folds, learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.render._figure import GRID, INK, MUTED, folded, over, png
from podium.render.axis import coinciding
from podium.render.table import cell, cut, middle_cut, number, wrapped

_CHOSEN, _OTHER, _NAIVE = "#0072b2", "#9aa3ad", "#d55e00"
# Of lines on top of one that they coincide with.
_OVER = ("#cc79a7", "#e69f00", "#56b4e9")
_LONGEST = 28
# Letters that fit between two axes of parallel coordinates, and the height of a label as a share
# of that of an axis.
_NARROW, _APART = 16, 0.05
# Ratio of the ends of an axis above which it is logarithmic.
_WIDE = 30


@dataclass(frozen=True)
class Bar:
    """Importance of one hyperparameter for the score.

    Parameters
    ----------
    share : float
        From 0 to 1; negative where unknown.
    meaning : str
        The share in words.
    significant : bool
        Whether it is more than chance explains.
    """

    name: str
    share: float
    meaning: str
    significant: bool


@dataclass(frozen=True)
class Folds:
    """Scores of a config by fold; ``error`` is the standard error of their mean."""

    label: str
    scores: Sequence[float]
    error: float
    chosen: bool = False


@dataclass(frozen=True)
class Curves:
    """Losses of a config after each epoch, a row per fold; ``best`` is the chosen epoch."""

    label: str
    validation: Sequence[Sequence[float]]
    train: Sequence[Sequence[float]] = ()
    best: int = 0
    chosen: bool = False


def importance_png(bars: Sequence[Bar], title: str) -> bytes:
    """Importance of hyperparameters, the largest first; insignificant ones are pale.

    Where none is known, the reasons are a text without axes.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed; the other functions raise it too.
    """
    if not any(bar.share >= 0 for bar in bars):
        return _reasons_png(bars, title)

    def draw(figure: Any) -> None:
        panel = figure.subplots()
        places = np.arange(len(bars))
        shares = [max(0.0, bar.share) for bar in bars]
        colours = [_CHOSEN if bar.significant else GRID for bar in bars]
        look = {"edgecolor": MUTED, "linewidth": 0.6}
        panel.barh(places + 0.18, shares, height=0.34, color=colours, **look)
        for place, bar in zip(places, bars, strict=True):
            # Above its bar, where any length fits.
            panel.text(0.006, place - 0.2, cut(cell(bar.meaning), 100), va="center", color=MUTED)
        panel.set_yticks(places, [cut(cell(bar.name), _LONGEST) for bar in bars])
        panel.grid(visible=False, axis="y")
        panel.set(xlim=(0, 1), ylim=(len(bars) - 0.4, -0.6), title=title)
        panel.set_xlabel("share of the variance of the score's ranks")

    return png(draw, (9.0, 1.2 + 0.46 * max(1, len(bars))))


def _reasons_png(bars: Sequence[Bar], title: str) -> bytes:
    """The reasons why no importance is known."""
    by_reason: dict[str, list[str]] = {}
    for bar in bars:
        by_reason.setdefault(bar.meaning, []).append(cut(cell(bar.name), _LONGEST))
    texts = [f"{cell(reason)}: {', '.join(names)}" for reason, names in by_reason.items()]
    lines = [line for text in texts for line in wrapped(text, 96)]
    lines = lines or ["no hyperparameter varies among the trials"]

    def draw(figure: Any) -> None:
        panel = figure.subplots()
        panel.set(xlim=(0, 1), ylim=(0, 1), title=title)
        panel.set_axis_off()
        panel.text(0.0, 1.0, "\n".join(lines), va="top", color=INK, linespacing=1.5)

    return png(draw, (9.0, 0.7 + 0.22 * len(lines)))


def parallel_png(
    configs: Sequence[Mapping[str, Any]],
    scores: Sequence[float],
    whole: Sequence[bool],
    names: Sequence[str],
    chosen: int | None,
    labels: tuple[str, str],
) -> bytes:
    """Parallel coordinates: a line per trial through its hyperparameters to its score.

    Parameters
    ----------
    configs, scores, whole : sequences of the same length
        Finite scores, better ones darker; pruned trials, not whole, are dotted.
    names : sequence of str
        Hyperparameters, one axis each.
    chosen : int, optional
        Index of the trial that is drawn thick.
    labels : (str, str)
        Title, and name of the score with its direction.
    """
    axes = [_Axis.of([config.get(name) for config in configs]) for name in names]
    axes.append(_Axis.of(list(scores)))
    lower = "lower" in labels[1]
    ranks = np.argsort(np.argsort(scores if lower else [-s for s in scores]))
    depth = 1 - ranks / max(1, len(scores) - 1)

    def draw(figure: Any) -> None:
        from matplotlib import colormaps

        panel = figure.subplots()
        panel.grid(visible=False)
        for spine in panel.spines.values():
            spine.set_visible(False)
        x = np.arange(len(axes))
        # The best are drawn last, above the others.
        for row in np.argsort(depth):
            y = [axis.places[row] for axis in axes]
            colour = colormaps["Blues"](0.25 + 0.7 * float(depth[row]))
            line = "-" if whole[row] else (0, (1, 1.5))
            panel.plot(x, y, color=colour, linewidth=1.1, linestyle=line, zorder=2)
        if chosen is not None:
            y = [axis.places[chosen] for axis in axes]
            look = {"color": _NAIVE, "linewidth": 2.4, "zorder": 4}
            panel.plot(x, y, label="chosen config", **look)
        if not all(whole):
            pruned = "pruned, at its best score"
            panel.plot([], [], color=MUTED, linestyle=(0, (1, 1.5)), label=pruned)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
        for place, axis in zip(x, axes, strict=True):
            panel.plot([place, place], [0, 1], color=INK, linewidth=0.8, zorder=3)
            for at, text in axis.ticks:
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
                panel.text(
                    place + 0.03, at, text, va="center", fontsize=7.5, color=INK, bbox=box, zorder=5
                )
        panel.set(xlim=(-0.15, len(axes) - 0.5), ylim=(-0.06, 1.06), title=labels[0])
        below = [folded(cut(cell(name), 3 * _NARROW), _NARROW) for name in [*names, labels[1]]]
        panel.set_xticks(x, below)
        panel.set_yticks([])
        panel.tick_params(length=0)

    return png(draw, (1.6 + 1.55 * len(axes), 4.4))


@dataclass(frozen=True)
class _Axis:
    """Positions of values between 0 and 1, and tick labels."""

    places: Sequence[float]
    ticks: Sequence[tuple[float, str]]

    @classmethod
    def of(cls, values: Sequence[Any]) -> _Axis:
        numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        options = sorted({str(v) for v in values})
        if numeric:
            array = np.asarray(values, dtype=np.float64)
            known = np.unique(array)
            low, high = float(known[0]), float(known[-1])
            log = low > 0 and high / low > _WIDE
            scaled, ends = (np.log(array), np.log([low, high])) if log else (array, [low, high])
            width = (ends[1] - ends[0]) or 1.0
            places = (scaled - ends[0]) / width if high > low else np.full(len(array), 0.5)
            shown = known if len(known) <= 4 else np.array([low, high])
            ticks: dict[float, str] = {}
            for value in shown.tolist():
                at = (math.log(value) if log else value) - ends[0]
                place = round(float(at / width if high > low else 0.5), 6)
                # Of values closer than the height of a label only the first has one.
                if all(abs(place - other) > _APART for other in ticks):
                    ticks[place] = f"{value:.4g}"
            return cls(places.tolist(), [*ticks.items()])
        steps = {v: n / max(1, len(options) - 1) for n, v in enumerate(options)}
        if len(options) == 1:
            steps = {options[0]: 0.5}
        labels = [(at, middle_cut(cell(v), _NARROW)) for v, at in steps.items()]
        # Of many categories some have a label.
        every = math.ceil(len(labels) * _APART)
        return cls([steps[str(v)] for v in values], labels[::every])


def folds_png(
    configs: Sequence[Folds], naive: Folds, labels: Sequence[str], title: str, y_label: str
) -> bytes:
    """Scores of configs and of the baseline on each fold and on average.

    Parameters
    ----------
    configs : sequence of Folds
        Best first.
    labels : sequence of str
        First and last day of each fold's validation.
    """

    def draw(figure: Any) -> None:
        panel = figure.subplots()
        folds, wide = len(naive.scores), 0.7
        for k, config in enumerate(configs):
            shift = wide * ((k + 0.5) / len(configs) - 0.5)
            x = np.arange(folds) + shift
            colour, size = (_CHOSEN, 42) if config.chosen else (_OTHER, 24)
            marker = "osD^vPX*"[k % 8]
            look = {"c": colour, "s": size, "marker": marker, "zorder": 4 if config.chosen else 3}
            legend = _legend(k, config.label) + (", chosen" * config.chosen)
            panel.scatter(x, config.scores, label=legend, **look)
            mean = float(np.mean(config.scores))
            panel.errorbar(
                [folds + shift], [mean], yerr=[config.error], color=colour, capsize=2.5,
                marker=marker, markersize=6 if config.chosen else 4.5, linewidth=1.2,
                zorder=4 if config.chosen else 3,
            )  # fmt: skip
        heights = [*naive.scores, float(np.mean(naive.scores))]
        starts = np.arange(folds + 1) - 0.45
        panel.hlines(
            heights, starts, starts + 0.9, color=_NAIVE, linewidth=1.4, linestyle=(0, (4, 3)),
            label=cut(cell(naive.label), 40), zorder=2,
        )  # fmt: skip
        panel.axvline(folds - 0.5, color=MUTED, linewidth=0.8)
        panel.grid(visible=False, axis="x")
        last = "mean of the folds\n± standard error"
        panel.set_xticks(np.arange(folds + 1), [*labels, last], fontsize=8)
        panel.tick_params(axis="x", length=0)
        panel.set(xlim=(-0.5, folds + 0.5), title=title)
        panel.set(xlabel="fold, with its validation period", ylabel=y_label)
        panel.legend(loc="upper left", bbox_to_anchor=(0.0, -0.2), ncols=1)

    height = 3.6 + 0.2 * (len(configs) + 1)
    return png(draw, (max(6.4, 1.4 * (len(naive.scores) + 1)), height))


def curves_png(curves: Sequence[Curves], title: str, y_label: str) -> bytes:
    """Mean validation loss of the folds after each epoch; the chosen config has a line per fold.

    Configs without epochs have no line.
    """
    known = [(k, one) for k, one in enumerate(curves) if any(len(row) for row in one.validation)]
    # The chosen config is the one that others lie on.
    known.sort(key=lambda pair: not pair[1].chosen)
    means = [_mean(one.validation)[1] for _, one in known]
    span = float(np.ptp(np.concatenate(means))) if means else 0.0
    same = {known[a][0]: known[b][0] for a, b in coinciding(means, span).items()}
    known.sort(key=lambda pair: pair[0])

    def draw(figure: Any) -> None:
        panel = figure.subplots()
        panel.set(title=title, xlabel="epoch", ylabel=y_label)
        if not known:
            panel.set(xlim=(0, 1), ylim=(0, 1))
            panel.set_axis_off()
            panel.text(0.5, 0.5, "no config is trained in epochs", ha="center", color=MUTED)
            return
        for k, one in known:
            legend = _legend(k, one.label)
            if k in same:
                legend += f", mean of the folds (on the line of {same[k] + 1})"
                turn = [*same].index(k)
                look = {"color": _OVER[turn % len(_OVER)], **over(turn + 1)}
                panel.plot(*_mean(one.validation), label=legend, **look)
                continue
            if not one.chosen:
                style = ("-", (0, (5, 2)), (0, (1, 1)), (0, (5, 2, 1, 2)))[k % 4]
                colour = (MUTED, _OTHER)[k // 4 % 2]
                look = {"color": colour, "linewidth": 1.2, "linestyle": style}
                panel.plot(*_mean(one.validation), label=f"{legend}, mean of the folds", **look)
                continue
            for n, row in enumerate(one.validation):
                x = np.arange(1, len(row) + 1)
                name = f"{legend}, each fold" if n == 0 else None
                panel.plot(x, row, color=_CHOSEN, linewidth=0.8, alpha=0.45, label=name)
            x, y = _mean(one.validation)
            legend = f"{legend}, chosen, mean of the folds"
            panel.plot(x, y, color=_CHOSEN, linewidth=2.2, label=legend, zorder=4)
            if one.train:
                look = {"color": INK, "linewidth": 1.2, "linestyle": (0, (1, 1.5))}
                panel.plot(*_mean(one.train), label="chosen, training loss", **look)
            if one.best:
                value = f"best on average at epoch {one.best}"
                if one.best <= len(y):
                    value += f", {number(float(y[one.best - 1]))}"
                panel.axvline(one.best, color=_NAIVE, linewidth=1.0, label=value)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.legend(loc="upper left", bbox_to_anchor=(0.0, -0.16))

    return png(draw, (7.6, 3.6 + 0.2 * (len(known) + 4)))


def _legend(place: int, label: str) -> str:
    """Number and label of a config, on lines that fit below a figure."""
    return "\n    ".join(wrapped(f"{place + 1}  {cut(cell(label), 160)}", 90))


def _mean(rows: Sequence[Sequence[float]]) -> tuple[Any, Any]:
    """Epochs that all folds have, and the mean loss at each."""
    long = [row for row in rows if len(row)]
    shortest = min(map(len, long))
    return np.arange(1, shortest + 1), np.mean([row[:shortest] for row in long], axis=0)
