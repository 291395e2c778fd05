"""Pictures by matplotlib: nothing hides anything, and no label lies on another."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure

from podium.render import _class_charts, png
from podium.render import analysis_plots as plots
from podium.render._class_charts import DrawnClassifier
from podium.render._figure import folded
from podium.render.evaluation import EvaluationReport
from podium.render.history import HistoryTrial, history_png
from podium.render.trading import drawdown_png, equity_png

DAYS = np.arange("2010-01-01", "2011-01-01", dtype="datetime64[D]")
FLAT, RISING = np.ones(len(DAYS)), np.linspace(1, 2, len(DAYS))


@pytest.fixture
def figures(monkeypatch):
    """Every figure that is saved, laid out."""
    drawn = []

    def savefig(self, target, **_):
        self.canvas.draw()
        drawn.append(self)
        target.write(b"")

    monkeypatch.setattr(Figure, "savefig", savefig)
    return drawn


def test_a_curve_on_another_one_is_dashed_above_it_and_says_so(figures):
    curves = {"candidate": FLAT, "naive": FLAT.copy(), "hold": RISING, "champion": FLAT.copy()}
    for draw in (equity_png, drawdown_png):
        draw(DAYS, curves, "title")
        lines = figures[-1].axes[0].get_lines()
        labels = [line.get_label() for line in lines[:4]]
        on = [label for label in labels if "(on the line of candidate)" in label]
        assert [label.split()[0] for label in on] == (
            ["naive", "champion"] if draw is equity_png else ["naive", "hold", "champion"]
        )
        candidate = lines[0]
        for line in lines[1:4]:
            if line.get_label() in on:
                assert line.get_zorder() > candidate.get_zorder()
                assert line.is_dashed()
        offsets = [line._dash_pattern[0] for line in lines[1:4] if line.get_label() in on]
        assert len({*offsets}) == len(offsets)
        assert figures[-1].axes[0].get_ylabel() != labels[-1]


def test_dates_of_an_axis_have_room(figures):
    equity_png(DAYS, {"candidate": RISING}, "title")
    labels = [text for text in figures[0].axes[0].get_xticklabels() if text.get_text()]
    assert len(labels) > 2
    assert not overlapping(labels)


def overlapping(texts):
    """Pairs of texts that overlap."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


def test_curves_of_two_classifiers_on_one_line_are_both_visible(figures):
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 200)
    made = EvaluationReport("t", truth, draw.dirichlet([1, 1], 200), ["no", "yes"])
    pair = [DrawnClassifier(name, role, made.model) for name, role in
            (("model", "candidate"), ("logistic", "naive"))]  # fmt: skip
    for chart in (_class_charts.roc_curve(pair, 1), _class_charts.pr_curve(pair, 1)):
        assert chart.count('stroke-dasharray="3 9"') == 1
        assert ", on the line of model " in chart
    assert 'stroke-dasharray="3 9"' not in _class_charts.roc_curve(pair[:1], 1)
    for picture in (png.roc_png, png.pr_png, png.calibration_png):
        picture(pair)
        labels = [line.get_label() for line in figures[-1].axes[-1].get_lines()]
        assert sum("(on the line of model" in label for label in labels) == 1


def test_a_learning_curve_on_that_of_the_chosen_config_says_so(figures):
    rows = [[1.0, 0.8, 0.7], [1.1, 0.9, 0.8]]
    curves = [
        plots.Curves("first", rows),
        plots.Curves("second", rows, chosen=True, best=3),
        plots.Curves("third", [[1.2, 1.0, 0.9]]),
    ]
    plots.curves_png(curves, "title", "mse")
    labels = [line.get_label() for line in figures[0].axes[0].get_lines()]
    assert "1  first, mean of the folds (on the line of 2)" in labels
    assert "3  third, mean of the folds" in labels
    assert [label for label in labels if "on the line" in label] == [labels[0]]


def test_importance_of_few_runs_is_a_text_without_axes(figures):
    why = "too few runs: 5, and 8 are needed"
    bars = [plots.Bar(name, -1.0, why, False) for name in ("rate", "units")]
    plots.importance_png(bars, "title")
    plots.importance_png([], "title")
    plots.importance_png([*bars, plots.Bar("cell", 0.4, "eta squared 0.40", True)], "title")
    words = ["\n".join(text.get_text() for text in figure.axes[0].texts) for figure in figures]
    assert [figure.axes[0].axison for figure in figures] == [False, False, True]
    assert words[0] == f"{why}: rate, units"
    assert "no hyperparameter varies" in words[1]
    assert "eta squared" in words[2]


def test_the_best_trial_of_a_history_is_no_outlier(figures):
    values = [3.0, 3.1, 3.05, 0.5, 3.2, 3.1, 3.0, 3.15, 99.0]
    trials = [HistoryTrial(n, "a", "tune", "complete", value) for n, value in enumerate(values)]
    history_png(trials, "mse", "min", None, "title")
    low, high = figures[0].axes[0].get_ylim()
    assert low < 0.5
    assert high < 99


def test_long_names_and_many_categories_do_not_collide(figures):
    draw = np.random.default_rng(0)
    configs = [
        {
            "a_long_name_of_a_hyperparameter": float(draw.random()),
            "units_of_the_first_layer": int(draw.choice([16, 32])),
            "a_category": f"category_number_{n}",
        }
        for n in range(60)
    ]
    labels = ("title", "mse, lower is better")
    plots.parallel_png(configs, draw.random(60), [True] * 60, list(configs[0]), 3, labels)
    [panel] = figures[0].axes
    assert not overlapping(panel.get_xticklabels())
    assert not overlapping(panel.texts)
    # Names that begin alike keep their ends.
    assert any(text.get_text().endswith("_58") for text in panel.texts)


def test_a_long_name_is_broken_where_it_has_parts():
    assert folded("weight_decay", 20) == "weight_decay"
    assert folded("mse, lower is better", 9) == "mse,\nlower is\nbetter"
    assert folded("a" * 30, 9) == "a" * 30
