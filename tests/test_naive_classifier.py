"""Rules that classify: known answers, thresholds found again, and what they reach on real data."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.errors import UsageError
from podium.families import _rules as rules
from podium.families.naive import CLASSIFIER, FAMILY
from podium.sequences import Sequences, Subset
from podium.stats.class_figures import confusion, log_loss, macro_f1
from podium.steps.data import glucose
from podium.steps.evidence.leak import leak

NAN = np.nan


def whole(sequences):
    return Subset(sequences, np.arange(len(sequences)))


def fit(method, sequences, validation=None):
    return CLASSIFIER().fit({"method": method}, whole(sequences), validation, seed=1, report=print)


def test_the_forecasting_family_is_the_one_it_was():
    assert (FAMILY.name, FAMILY.VERSION) == ("naive", 1)


def test_a_classifying_family_is_not_probed_for_future_bars():
    with pytest.raises(UsageError, match="family 'bilstm' works on samples, not on bars"):
        leak(None, "families/bilstm")


def test_prior_says_how_common_each_class_is_and_majority_which_is_commonest():
    made = Sequences.of("s", np.zeros((8, 2, 1)), np.array([0, 1, 1, 1, 1, 1, 2, 2]))
    assert fit("prior", made).predict(whole(made)).probabilities[3] == pytest.approx(
        [1 / 8, 5 / 8, 2 / 8]
    )
    # Eight samples of it and one more of each: 9 of 11.
    assert fit("majority", made).predict(whole(made)).probabilities[0] == pytest.approx(
        [1 / 11, 9 / 11, 1 / 11]
    )


@pytest.mark.parametrize(
    ("values", "back", "ahead", "last", "drawn"),
    [
        ([1, 2, 4, 8], 1, 1, 8, 12),
        ([1, 2, 4, 8], 3, 3, 8, 8 + 3 * 7 / 3),
        ([1, 2, 4], 6, 2, 4, 4 + 2 * 3 / 2),
        ([5], 2, 3, 5, 5),
        ([1, 2, NAN, NAN], 1, 4, 2, 2),
        ([NAN, 4], 1, 2, 4, 4 + 2 * (4 - 10)),
    ],
    ids=["a step", "three steps", "fewer steps than asked", "one step", "missing", "none before"],
)
def test_a_line_is_drawn_through_the_last_steps(values, back, ahead, last, drawn):
    x = np.full((1, 5, 2), 77.0, dtype=np.float32)
    x[0, : len(values), 1] = values
    trend = rules.Trend(1, back, ahead, 0.0, fill=10.0)
    found = rules.lines(x, np.array([len(values)]), trend)
    assert [float(part[0]) for part in found] == pytest.approx([last, drawn])


def planted(n=3000, seed=0):
    """Class 1 where the second feature is below 10 and its line leads above it in three steps,
    class 2 where the line leads below -10; a tenth is of class 0 all the same."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6, 3))
    x[:, -1, 1] = rng.uniform(-14, 14, n)
    slope = rng.normal(0, 2, n)
    x[:, -3, 1] = x[:, -1, 1] - 2 * slope
    x[:, -2, 1] = rng.uniform(-14, 14, n)
    last, ahead = x[:, -1, 1], x[:, -1, 1] + 3 * slope
    y = np.where((last < 10) & (ahead > 10), 1, np.where(ahead < -10, 2, 0))
    return Sequences.of("planted", x, np.where(rng.random(n) < 0.1, 0, y))


def test_a_planted_trend_is_found_again():
    model = fit("trend", planted())
    assert (model.trend.feature, model.trend.back, model.trend.ahead) == (1, 2, 3)
    assert min(abs(limit - 10) for limit in model.trend.now) < 1
    assert min(abs(limit - 10) for limit in model.trend.then) < 1
    assert min(abs(limit + 10) for limit in model.trend.then) < 1
    other = planted(seed=1)
    chosen = model.predict(whole(other).blind()).chosen
    assert macro_f1(confusion(other.y, chosen, 3)) > 0.9


def test_probabilities_are_favoured_frequencies_of_the_cell():
    x = np.zeros((8, 1, 1))
    x[:, 0, 0] = [0, 0, 0, 0, 0, 0, 5, 5]
    made = Sequences.of("s", x, np.array([0, 0, 0, 0, 0, 1, 0, 1]))
    model = fit("trend", made)
    counts, weight = np.array([6, 2]), np.array([1, 3**model.trend.favour])
    inside = np.array([[5, 1], [1, 1]]) + counts / 8
    expected = inside * weight / (inside * weight).sum(axis=1, keepdims=True)
    found = model.predict(whole(made)).probabilities
    assert found[[0, 7]] == pytest.approx(expected)


cells = st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), min_size=1, max_size=6)


@given(cells, st.lists(st.floats(1, 9), min_size=3, max_size=3))
def test_the_score_of_cells_is_the_macro_f1_of_what_they_choose(counts, weights):
    counts, weights = np.array(counts), np.array(weights)
    truth = np.concatenate([np.repeat(np.arange(3), row) for row in counts])
    chosen = np.repeat((counts * weights).argmax(axis=1), counts.sum(axis=1))
    found = rules._macro_f1(counts, weights)
    assert found == pytest.approx(macro_f1(confusion(truth, chosen, 3)) if len(truth) else 0)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([0, 1]))
def test_one_more_limit_scores_what_its_cells_do(seed, axis):
    rng = np.random.default_rng(seed)
    made = Sequences.of("s", rng.normal(size=(40, 3, 1)), np.arange(40) % 3)
    part = whole(made)
    grid = rules._Grid(part, made.y, rules.Trend(0, 1, 2, 0.25, 0.0), 3)
    chosen = [[int(rng.integers(len(limits)))] for limits in grid.limits]
    scores = grid._with_one_more(chosen, axis)
    place = int(rng.integers(len(scores)))
    cuts = [sorted(limits[places]) for limits, places in zip(grid.limits, chosen, strict=True)]
    cuts[axis] = sorted([*cuts[axis], grid.limits[axis][place]])
    trend = rules.replace(grid.trend, now=tuple(cuts[0]), then=tuple(cuts[1]))
    inside = np.bincount(trend.cells(part) * 3 + made.y, minlength=27).reshape(-1, 3)
    assert scores[place] == pytest.approx(rules._macro_f1(inside, grid.weights))


@pytest.mark.slow
def test_many_classes_and_features_take_no_longer():
    rng = np.random.default_rng(0)
    made = Sequences.of("s", rng.normal(size=(500, 6, 20)), np.arange(500) % 40)
    start = time.process_time()
    found = fit("trend", made).predict(whole(made)).probabilities
    assert found.shape == (500, 40)
    assert time.process_time() - start < 20


@pytest.mark.slow
def test_the_trend_beats_the_majority_on_readings_of_glucose():
    """Patients' real readings; the days of one part are none of the other's."""
    pytest.importorskip("bokeh_sampledata")
    parts = {
        name: Sequences.of("glucose", arrays.pop("X"), arrays.pop("y"), **arrays)
        for name, arrays in glucose.sequences(glucose.readings()).items()
    }
    figures = {}
    for method in rules.METHODS:
        model = fit(method, parts["train"], whole(parts["val"]))
        found = model.predict(whole(parts["val"]).blind())
        truth = parts["val"].y
        figures[method] = (
            macro_f1(confusion(truth, found.chosen, 3)),
            log_loss(truth, found.probabilities),
        )
    assert figures["majority"][0] == figures["prior"][0] == pytest.approx(0.32, abs=0.005)
    assert figures["trend"][0] > 0.64
    assert figures["trend"][1] < figures["prior"][1] < figures["majority"][1]
