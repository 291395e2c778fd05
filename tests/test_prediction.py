"""Predictions and their index: what they hold, what they refuse, and how the record keeps them."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import projects
from podium import registry
from podium.errors import DataError
from podium.index import Index
from podium.ledger import reads
from podium.prediction import ClassPrediction, Prediction
from podium.split import Windows
from podium.tasks.forecast import TASK
from podium.testing.series import bars, view
from records import end, start, trial
from universes import universe

SEEN = view(bars(60), horizon=3)
TIMES, TICKERS = SEEN.times, SEEN.tickers

counts = st.integers(0, 6)
numbers = st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False)
levels_of = st.lists(st.integers(1, 999_999), min_size=1, max_size=7, unique=True).map(
    lambda millionths: tuple(n / 1e6 for n in sorted(millionths))
)


def windows_of(count):
    """Some windows of three tickers; the last ones have no outcome yet."""
    return Windows(SEEN, np.arange(count) % 3, 54 + np.arange(count) // 3 * 3)


def one_a_window(draw, elements, count):
    return np.array(draw(st.lists(elements, min_size=count, max_size=count)), dtype=float)


@st.composite
def means(draw):
    windows = windows_of(draw(counts))
    return Prediction.of(windows, one_a_window(draw, numbers | st.just(math.nan), len(windows)))


@st.composite
def positions(draw):
    windows = windows_of(draw(counts))
    values = one_a_window(draw, st.floats(-1, 1, width=32, allow_subnormal=False), len(windows))
    return Prediction.of_positions(windows, values)


@st.composite
def quantiles(draw, levels=levels_of):
    windows, levels = windows_of(draw(counts)), draw(levels)
    values = one_a_window(draw, numbers, len(windows) * len(levels))
    rows = np.sort(values.reshape(len(windows), len(levels)), axis=1)
    return Prediction.of_quantiles(windows, rows, levels)


@st.composite
def paths(draw):
    """Means or quantiles of several horizons."""
    flat, steps = draw(st.one_of(means(), quantiles())), draw(st.integers(1, 3))
    windows = windows_of(len(flat) // steps)
    outputs = flat.outputs[: len(windows) * steps]
    outputs = outputs.reshape(len(windows), steps, *flat.outputs.shape[1:])
    return Prediction.of(windows, outputs, flat.form, flat.levels)


predictions = st.one_of(means(), positions(), quantiles(), paths())


@st.composite
def classes(draw):
    rows = np.array(draw(st.lists(st.integers(0, 99), unique=True, max_size=6)), dtype=np.int64)
    names = tuple("abcde"[: draw(st.integers(1, 5))])
    shares = one_a_window(
        draw, st.floats(0, 1, width=32, allow_subnormal=False), len(rows) * len(names)
    )
    return ClassPrediction(rows, shares.reshape(len(rows), len(names)), names)


def require_same(one, other):
    assert (one.form, one.levels) == (other.form, other.levels)
    for name in ("item", "decided_at", "target_end", "outputs"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# The end of the target


def test_a_target_ends_horizon_bars_after_its_decision():
    windows = Windows.of(SEEN, np.array([40, 56]))
    assert windows.target_end.tolist() == TIMES[[43] * 3 + [59] * 3].tolist()


def test_a_target_beyond_the_data_has_no_end_yet():
    windows = Windows.of(SEEN, np.array([57, 59]))
    assert np.isnat(windows.target_end).all()


def test_a_target_beyond_the_last_bar_of_a_ticker_ends_there():
    seen = view(universe(60, BBB=(0, 50)), horizon=5)
    windows = Windows(seen, np.ones(4, dtype=np.int64), np.array([40, 47, 48, 49]))
    assert windows.target_end[:3].tolist() == seen.times[[45, 49, 49]].tolist()
    assert np.isnat(windows.target_end[3])


def test_a_cut_view_does_not_know_that_a_ticker_ends_later():
    seen = view(universe(60, BBB=(0, 50)), horizon=5)
    cut = seen.until(48)
    assert cut.last_bars.max() == 47
    windows = Windows(cut, np.ones(2, dtype=np.int64), np.array([42, 45]))
    assert windows.target_end[0] == seen.times[47]
    assert np.isnat(windows.target_end[1])


@given(st.integers(12, 30), st.integers(2, 40), st.integers(1, 6), st.integers(20, 60))
def test_exactly_the_windows_with_a_label_have_an_end(first, length, horizon, stop):
    assume(first + length < 60)
    seen = view(universe(60, BBB=(first, first + length), CCC=(5, 60)), horizon=horizon).until(stop)
    windows = Windows.of(seen, np.arange(stop))
    np.testing.assert_array_equal(np.isnat(windows.target_end), np.isnan(windows.truth()))
    np.testing.assert_array_equal(windows.target_end, windows.blind().target_end)


# The index


@given(counts)
def test_an_index_is_unpacked_as_it_was_packed(count):
    windows = windows_of(count)
    index = Index.of(windows)
    packed = index.pack()
    assert packed.shape == (3 * count,)
    assert packed.dtype == np.int64
    again = Index.unpack(packed)
    for name in ("item", "decided_at", "target_end"):
        np.testing.assert_array_equal(getattr(again, name), getattr(index, name))
    assert again.names(TICKERS).tolist() == windows.tickers.tolist()


def test_an_index_that_is_not_one_is_refused():
    with pytest.raises(DataError, match="three blocks of one length"):
        Index.unpack(np.arange(4))
    with pytest.raises(DataError, match="1 items, 2 decisions and 2 ends"):
        Index(np.arange(1), TIMES[:2], TIMES[:2])
    with pytest.raises(DataError, match="items 0 to 2"):
        Index.of(windows_of(3)).names(("AAA",))


# What is kept


@given(predictions)
def test_a_prediction_is_read_as_it_was_kept(prediction):
    index = Index.unpack(Index.of(windows_of(len(prediction))).pack())
    require_same(Prediction.read(prediction.values, index, TICKERS), prediction)
    stored = prediction.values.astype(np.float32)
    require_same(Prediction.read(stored, index, TICKERS), prediction)


@given(classes())
def test_a_prediction_of_classes_is_read_as_it_was_kept(prediction):
    again = ClassPrediction.read(
        prediction.values.astype(np.float32), prediction.rows, prediction.class_names
    )
    np.testing.assert_array_equal(again.probabilities, prediction.probabilities)
    np.testing.assert_array_equal(again.rows, prediction.rows)


def test_probabilities_of_other_samples_are_refused():
    with pytest.raises(DataError, match="5 stored probabilities belong to 2 samples of 2 classes"):
        ClassPrediction.read(np.zeros(5), np.arange(2), ("a", "b"))


MADE = (
    Prediction.of(windows_of(4), np.arange(4.0)),
    Prediction.of_quantiles(windows_of(4), np.arange(12.0).reshape(4, 3), np.linspace(0.1, 0.9, 3)),
    Prediction.of_positions(windows_of(4), np.array([-1.0, 0.0, 0.25, 1.0])),
)


def test_the_record_gives_back_every_form(sqlite_ledger):
    study = projects.new_study(sqlite_ledger)
    index = Index.of(windows_of(4))
    for number, prediction in enumerate(MADE):
        [id_] = start(sqlite_ledger, study, projects.new_trial(number))
        end(sqlite_ledger, id_, score=0.25, prediction=prediction)
        with sqlite_ledger.reading() as tx:
            name = trial(sqlite_ledger, id_).prediction_hash
            values = reads.array(tx, name)
        require_same(Prediction.read(values, index, TICKERS), prediction)


def test_values_of_other_windows_are_refused():
    for prediction in MADE:
        with pytest.raises(DataError, match="stored values belong to 3 windows"):
            Prediction.read(prediction.values, Index.of(windows_of(3)), TICKERS)


@given(predictions, st.integers(0, 6))
def test_a_prediction_cut_in_two_is_joined_again(prediction, cut):
    rows = np.arange(len(prediction)) < cut
    parts = [prediction.take(rows), prediction.take(~rows)]
    require_same(Prediction.joined(parts), prediction)


# What is refused


def test_lengths_that_differ_are_refused():
    with pytest.raises(DataError, match="3 items, 3 decisions, 3 ends of targets and 2 rows"):
        Prediction.of(windows_of(3), np.zeros(2))
    with pytest.raises(DataError, match=r"mean of shape \(3, 1, 1\).*Expected \(N,\)"):
        Prediction.of(windows_of(3), np.zeros((3, 1, 1)))


@pytest.mark.parametrize(
    "levels", [(), (0.5, 0.5), (0.9, 0.1), (0.0, 0.5), (0.5, 1.0), (math.nan,)]
)
def test_levels_that_do_not_increase_between_0_and_1_are_refused(levels):
    with pytest.raises(DataError, match="increasing levels between 0 and 1"):
        Prediction.of_quantiles(windows_of(3), np.zeros((3, len(levels))), levels)


def test_a_level_without_a_quantile_is_refused():
    with pytest.raises(DataError, match="3 quantiles a row and 2 levels"):
        Prediction.of_quantiles(windows_of(2), np.zeros((2, 3)), (0.1, 0.9))


def test_quantiles_that_cross_are_refused_with_their_place():
    rows = np.array([[0.0, 1.0], [2.0, 1.0]])
    with pytest.raises(DataError, match=r"of BBB at .* cross between levels 0\.1 and 0\.9"):
        Prediction.of_quantiles(windows_of(2), rows, (0.1, 0.9))


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e39])
def test_quantiles_that_no_float32_holds_are_refused(value):
    with pytest.raises(DataError, match="finite float32 numbers"):
        Prediction.of_quantiles(windows_of(1), np.array([[0.0, value]]), (0.1, 0.9))


@pytest.mark.parametrize("value", [math.nan, 1.001, -2.0])
def test_positions_beyond_the_equity_are_refused(value):
    with pytest.raises(DataError, match="positions from -1 to 1"):
        Prediction.of_positions(windows_of(2), np.array([0.0, value]))


def test_predictions_of_two_forms_are_not_put_together():
    for together in (Prediction.joined, Prediction.averaged):
        with pytest.raises(DataError, match=r"mean, quantiles of levels 0\.1, 0\.5, 0\.9"):
            together(MADE[:2])


# Point forecasts


@given(means())
def test_means_are_their_own_point_forecast(prediction):
    assert prediction.mean is prediction.outputs
    assert prediction.values is prediction.outputs


@given(quantiles())
def test_the_mean_of_quantiles_is_their_median_or_none(prediction):
    low, high = prediction.levels[0], prediction.levels[-1]
    if not low <= 0.5 <= high:
        with pytest.raises(DataError, match=r"both sides of 0\.5"):
            assert prediction.mean is None
    elif 0.5 in prediction.levels:
        column = prediction.levels.index(0.5)
        np.testing.assert_array_equal(prediction.mean, prediction.outputs[:, column])
    else:
        above = np.searchsorted(prediction.levels, 0.5)
        around = prediction.outputs[:, above - 1 : above + 1]
        slack = 1e-9 * np.abs(around).max(axis=1, initial=0.0)
        assert (prediction.mean >= around[:, 0] - slack).all()
        assert (prediction.mean <= around[:, 1] + slack).all()


def test_between_two_levels_the_median_lies_on_a_straight_line():
    made = Prediction.of_quantiles(windows_of(1), np.array([[0.0, 3.0]]), (0.4, 0.7))
    assert made.mean == pytest.approx([1.0])


def test_a_metric_of_points_takes_the_median_and_refuses_positions():
    truth = np.array([4.0, 4.0, 7.0, 10.0])
    losses = registry.load("metrics", "mse").losses(truth, MADE[1].outputs[:, 1])
    np.testing.assert_array_equal(TASK.score("mse", truth, MADE[1])[1], losses)
    with pytest.raises(DataError, match="holds positions, which are not point forecasts"):
        TASK.score("mse", truth, MADE[2])


def test_members_are_averaged_level_by_level():
    found = Prediction.averaged([MADE[1], MADE[1].take(np.arange(4)[::-1])])
    assert found.outputs[0].tolist() == [4.5, 5.5, 6.5]


def test_a_prediction_is_laid_on_a_grid_by_time_and_name():
    windows = Windows.of(SEEN, np.array([30, 32]))
    grid = Prediction.of(windows, np.arange(6.0)).grid(TIMES[30:34], ("CCC", "AAA"))
    assert grid[0].tolist() == [2.0, 0.0]
    assert grid[2].tolist() == [5.0, 3.0]
    assert np.isnan(grid[[1, 3]]).all()
