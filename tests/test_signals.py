"""Signals: forecasts in, target weights out, row by row."""

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.backtest import simulate
from podium.errors import DataError, UsageError
from podium.signals import equal, inverse_volatility, sign

SIGNALS = [sign, inverse_volatility, equal]


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


def test_the_kind_says_what_a_signal_is():
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


def test_an_item_without_a_forecast_gets_nothing(signal):
    weights = signal.weights([[np.nan, 0.2, 0.2]])
    assert weights[0, 0] == 0.0
    assert (weights[0, 1:] > 0.0).all()


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
def test_no_row_uses_more_than_the_gross_and_long_only_signals_use_all(module, seed, gross):
    weights = module.weights(forecasts(seed), gross=gross)
    used = np.abs(weights[~np.isnan(weights).any(axis=1)]).sum(axis=1)
    assert (used <= gross * (1 + 1e-12)).all()
    if module is not sign:
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


@pytest.mark.parametrize("gross", [0.0, -1.0, np.inf, np.nan])
def test_a_gross_that_is_no_size_is_refused(signal, gross):
    with pytest.raises(UsageError, match="gross is"):
        signal.weights([[0.1, 0.2]], gross=gross)


def test_an_infinite_log_volatility_is_refused_with_its_place():
    with pytest.raises(DataError, match="item 1 at bar 0 is -inf"):
        inverse_volatility.weights([[0.1, -np.inf]])
