"""Signals: forecasts in, target weights out, row by row."""

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looped import looped
from podium.errors import DataError, UsageError
from podium.portfolio import simulate
from podium.signals import equal, inverse_volatility, proportional, sign, threshold, topk

SIGNALS = [sign, inverse_volatility, equal, proportional, threshold, topk]
# Those that may leave a part of the gross in cash.
PARTLY = [sign, threshold]


@pytest.fixture(params=SIGNALS, ids=lambda module: module.__name__.rsplit(".", 1)[-1])
def signal(request):
    return request.param


def forecasts(seed: int, bars: int = 8, items: int = 3) -> np.ndarray:
    """Forecasts with single gaps and with whole rows missing."""
    rng = np.random.default_rng(seed)
    forecast = rng.standard_normal((bars, items))
    forecast[rng.random((bars, items)) < 0.2] = np.nan
    forecast[rng.random(bars) < 0.2] = np.nan
    return forecast


def test_a_signal_exports_weights_and_explains_itself_in_one_line(signal):
    assert signal.__all__ == ["weights"]
    first = signal.__doc__.splitlines()[0]
    assert first.endswith(".")
    assert 20 < len(first) <= 100


def test_the_kind_describes_a_signal():
    assert importlib.import_module("podium.signals").__doc__.startswith("A signal ")


def test_sign_goes_long_what_rises_and_short_what_falls_at_one_size():
    forecast = [[0.3, -0.001, 0.0, 2.0]]
    assert sign.weights(forecast).tolist() == [[0.25, -0.25, 0.0, 0.25]]
    assert sign.weights(forecast, gross=2.0).tolist() == [[0.5, -0.5, 0.0, 0.5]]


def test_inverse_volatility_gives_half_the_weight_to_twice_the_volatility():
    weights = inverse_volatility.weights(np.log([[0.1, 0.2, 0.4]]), gross=1.4)
    assert weights[0] == pytest.approx([0.8, 0.4, 0.2])


def test_inverse_volatility_does_not_overflow_on_any_level():
    for level in (-2000.0, 2000.0):
        weights = inverse_volatility.weights([[level, level + np.log(3.0)]])
        assert weights[0] == pytest.approx([0.75, 0.25])


def test_equal_splits_among_the_items_that_have_a_forecast():
    assert equal.weights([[-1.0, 5.0, np.nan, 0.0]], gross=0.9)[0] == pytest.approx(
        [0.3, 0.3, 0.0, 0.3]
    )


def test_sign_gives_the_part_of_an_absent_item_to_the_others():
    assert sign.weights([[np.nan, -0.2, 0.1], [0.1, 0.0, np.nan]]).tolist() == [
        [0.0, -0.5, 0.5],
        [0.5, 0.0, 0.0],
    ]


def test_a_row_without_a_forecast_is_no_order(signal):
    weights = signal.weights([[np.nan, np.nan], [0.1, 0.2]])
    assert np.isnan(weights[0]).all()
    assert np.isfinite(weights[1]).all()


def test_an_item_without_a_forecast_gets_nothing_and_the_others_share_its_part(signal):
    weights = signal.weights([[np.nan, 0.2, 0.2]])
    assert weights[0, 0] == 0.0
    # The best fifth of two is one.
    assert weights[0, 1:].tolist() == ([1.0, 0.0] if signal is topk else [0.5, 0.5])


def test_the_forecast_that_was_given_is_left_as_it_was(signal):
    forecast = forecasts(0)
    before = forecast.copy()
    signal.weights(forecast)
    np.testing.assert_array_equal(forecast, before)


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
@pytest.mark.parametrize("module", SIGNALS)
def test_the_future_of_a_forecast_never_moves_its_past(module, seed, cut):
    forecast = forecasts(seed)
    whole = module.weights(forecast)
    other = forecast.copy()
    other[cut:] = forecasts(seed + 1)[cut:] * 3.0
    np.testing.assert_array_equal(module.weights(other)[:cut], whole[:cut])
    np.testing.assert_array_equal(module.weights(forecast[:cut]), whole[:cut])


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 3.0))
@pytest.mark.parametrize("module", SIGNALS)
def test_no_row_uses_more_than_the_gross_and_all_but_the_picky_use_all(module, seed, gross):
    weights = module.weights(forecasts(seed), gross=gross)
    used = np.abs(weights[~np.isnan(weights).any(axis=1)]).sum(axis=1)
    assert (used <= gross * (1 + 1e-12)).all()
    if module not in PARTLY:
        assert used == pytest.approx(np.full(used.size, gross))


def test_the_kernel_takes_every_signal_as_it_is(signal):
    forecast = forecasts(3, bars=40)
    prices = 100.0 + np.arange(120.0).reshape(40, 3)
    result = simulate(prices, signal.weights(forecast))
    assert np.isfinite(result.equity).all()
    assert len(result.trades) > 0


def test_a_forecast_that_is_no_matrix_is_refused(signal):
    with pytest.raises(DataError, match=r"forecast has shape \(2,\)"):
        signal.weights([0.1, 0.2])


@looped("gross", [0.0, -1.0, np.inf, np.nan])
def test_a_gross_that_is_no_size_is_refused(signal, gross):
    with pytest.raises(UsageError, match="gross is"):
        signal.weights([[0.1, 0.2]], gross=gross)


@pytest.mark.parametrize("module", [inverse_volatility, proportional, topk])
def test_an_infinite_forecast_is_refused_with_its_place(module):
    with pytest.raises(DataError, match="item 1 at bar 0 is -inf"):
        module.weights([[0.1, -np.inf]])


def test_topk_buys_the_best_and_sells_the_worst():
    forecast = [[0.1, 0.5, -0.2, 0.3, np.nan]]
    assert topk.weights(forecast, k=2).tolist() == [[0.0, 0.5, 0.0, 0.5, 0.0]]
    assert topk.weights(forecast, k=1, short=True).tolist() == [[0.0, 0.5, -0.5, 0.0, 0.0]]
    assert topk.weights(forecast, k=9, gross=2.0)[0].tolist() == [0.5, 0.5, 0.5, 0.5, 0.0]
    # Two and two are all that four allow.
    assert topk.weights(forecast, k=9, short=True)[0].tolist() == [-0.25, 0.25, -0.25, 0.25, 0.0]
    assert topk.weights([[0.3, np.nan]], short=True)[0].tolist() == [0.0, 0.0]


def test_topk_takes_a_fifth_by_default_and_the_leftmost_of_a_tie():
    assert np.count_nonzero(topk.weights(np.zeros((1, 11)))) == 3
    assert topk.weights(np.zeros((1, 5)))[0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_topk_keeps_what_is_held_while_it_is_within_the_buffer():
    forecast = [[3.0, 2.0, 1.0], [2.0, 3.0, 1.0], [np.nan] * 3, [1.0, 3.0, 2.0]]
    kept = topk.weights(forecast, k=1, buffer=1)
    assert kept[[0, 1, 3]].argmax(axis=1).tolist() == [0, 0, 1]
    assert np.isnan(kept[2]).all()
    held = topk.weights(forecast[:1], k=1, buffer=1, held=[0.0, 7.0, 0.0])
    assert held[0].tolist() == [0.0, 1.0, 0.0]
    without = topk.weights(forecast, k=1, held=[0.0, 7.0, 0.0])
    assert without[[0, 1, 3]].argmax(axis=1).tolist() == [0, 1, 1]


def test_topk_with_a_buffer_trades_less_and_without_holdings_starts_with_the_best():
    forecast = np.random.default_rng(0).standard_normal((50, 20)).cumsum(axis=0)
    plain, kept = (topk.weights(forecast, k=5, short=True, buffer=b) for b in (0, 3))
    np.testing.assert_array_equal(kept[0], plain[0])
    assert np.abs(np.diff(kept, axis=0)).sum() < 0.8 * np.abs(np.diff(plain, axis=0)).sum()
    assert np.abs(kept).sum(axis=1) == pytest.approx(np.ones(50))
    assert kept.sum(axis=1) == pytest.approx(np.zeros(50))


def test_proportional_gives_twice_the_weight_to_twice_the_forecast():
    assert proportional.weights([[0.02, -0.01, np.nan, 0.01]])[0] == pytest.approx(
        [0.5, -0.25, 0.0, 0.25]
    )
    assert proportional.weights([[0.0, 0.0]])[0].tolist() == [0.0, 0.0]
    assert proportional.weights([[1e308, -1e308, 1e-308]])[0] == pytest.approx([0.5, -0.5, 0.0])


def test_proportional_is_neutral_if_asked():
    weights = proportional.weights([[0.03, 0.01, np.nan], [0.1, 0.1, 0.1]], neutral=True)
    assert weights[0] == pytest.approx([0.5, -0.5, 0.0])
    assert weights[1].tolist() == [0.0, 0.0, 0.0]


def test_threshold_trades_only_what_is_beyond_it():
    assert threshold.weights([[0.02, -0.02, 0.01, np.nan]], enter=0.01)[0] == pytest.approx(
        [1 / 3, -1 / 3, 0.0, 0.0]
    )


def test_threshold_keeps_a_position_until_its_forecast_has_fallen_below_the_lower_one():
    forecast = np.array([[0.02], [0.005], [-0.001], [-0.005], [-0.02], [0.005]])
    weights = threshold.weights(forecast, enter=0.01, leave=-0.003)
    assert weights[:, 0].tolist() == [1.0, 1.0, 1.0, 0.0, -1.0, 0.0]
    gone = threshold.weights([[0.02, 0.02], [np.nan, 0.0]], enter=0.01, leave=-0.003)
    assert gone.tolist() == [[0.5, 0.5], [0.0, 1.0]]
    held = threshold.weights([[0.005, 0.005]], enter=0.01, leave=0.0, held=[3.0, -3.0])
    assert held[0].tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda f: topk.weights(f, k=0), UsageError, "k is 0"),
        (lambda f: topk.weights(f, buffer=-1), UsageError, "buffer -1"),
        (lambda f: topk.weights(f, buffer=1, held=[1.0]), DataError, r"held has shape \(1,\)"),
        (lambda f: threshold.weights(f, enter=-0.1), UsageError, "enter is -0.1"),
        (lambda f: threshold.weights(f, enter=0.1, leave=0.2), UsageError, "leave 0.2"),
    ],
)
def test_a_setting_of_a_signal_out_of_bounds_is_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call([[0.1, 0.2]])


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
@pytest.mark.parametrize(
    "weigh",
    [
        lambda f: topk.weights(f, k=1, short=True, buffer=1, held=[0.0, 1.0, 0.0]),
        lambda f: threshold.weights(f, enter=0.8, leave=0.1),
        lambda f: proportional.weights(f, neutral=True),
    ],
)
def test_with_memory_too_the_future_of_a_forecast_never_moves_its_past(weigh, seed, cut):
    forecast = forecasts(seed)
    other = forecast.copy()
    other[cut:] = forecasts(seed + 1)[cut:] * 3.0
    np.testing.assert_array_equal(weigh(other)[:cut], weigh(forecast)[:cut])
