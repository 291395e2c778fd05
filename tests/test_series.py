"""Synthetic series: deterministic, possible as bars, with the answers they promise."""

import numpy as np
import pytest

from podium.dataset import FIELDS
from podium.testing.series import bars, planted, shuffled, view


def autocorrelation(values, lag=1):
    centered = values - values.mean(axis=0)
    return float((centered[lag:] * centered[:-lag]).mean() / (centered**2).mean())


def returns(dataset):
    return np.diff(np.log(dataset["close"]), axis=0)


@pytest.mark.parametrize("make", [bars, lambda *a, **k: planted(*a, **k).dataset])
def test_the_same_seed_gives_the_same_bars_and_another_other_ones(make):
    assert make(50, seed=3).fingerprint == make(50, seed=3).fingerprint
    assert make(50, seed=3).fingerprint != make(50, seed=4).fingerprint


def test_a_tickers_bars_depend_on_its_name_and_not_on_its_company():
    both = bars(40, ("AAA", "ZZZ"))
    turned = bars(40, ("ZZZ", "AAA"))
    assert both.select(("ZZZ", "AAA")).fingerprint == turned.fingerprint


def test_more_bars_leave_the_first_ones_as_they_are():
    assert bars(80).slice(0, 50).fingerprint == bars(50).fingerprint


@pytest.mark.parametrize(
    "dataset", [bars(300), planted(300).dataset, shuffled(bars(300)), shuffled(bars(300), 1, 7)]
)
def test_every_bar_is_possible(dataset):
    for field in FIELDS:
        assert np.isfinite(dataset[field]).all()
        assert (dataset[field] > 0).all()
    inside = np.stack([dataset["open"], dataset["close"]])
    assert (dataset["high"] * (1 + 1e-12) >= inside.max(axis=0)).all()
    assert (dataset["low"] * (1 - 1e-12) <= inside.min(axis=0)).all()
    assert (np.diff(dataset.times) > np.timedelta64(0)).all()


def test_volatility_comes_in_clusters_and_returns_have_no_direction():
    found = returns(bars(4000))
    assert autocorrelation(np.log(found**2 + 1e-12)) > 0.1
    assert abs(autocorrelation(found)) < 0.05


@pytest.mark.parametrize("horizon", [1, 3])
def test_the_planted_oracle_loses_what_it_is_said_to(horizon):
    made = planted(20_000, ("AAA",), coefficient=0.6)
    found = returns(made.dataset)[:, 0]
    powers = made.coefficient ** np.arange(1, horizon + 1)
    forecast = found[:-horizon] * powers.sum()
    truth = sum(found[k : len(found) - horizon + k] for k in range(1, horizon + 1))
    assert np.mean((truth - forecast) ** 2) == pytest.approx(made.oracle_mse(horizon), rel=0.05)


def test_shuffling_keeps_every_bar_and_its_company():
    dataset = bars(200)
    mixed = shuffled(dataset, seed=5)
    one, other = returns(dataset), returns(mixed)
    order = np.argsort(one[:, 0]), np.argsort(other[:, 0])
    np.testing.assert_allclose(one[order[0]], other[order[1]], atol=1e-12)
    ratio = np.sort(dataset["high"] / dataset["low"], axis=0)
    np.testing.assert_allclose(ratio, np.sort(mixed["high"] / mixed["low"], axis=0))
    assert sorted(dataset["volume"][:, 1]) == sorted(mixed["volume"][:, 1])


def test_shuffling_leaves_nothing_to_forecast():
    dataset = planted(2000).dataset
    assert autocorrelation(returns(dataset)) > 0.7
    assert abs(autocorrelation(returns(shuffled(dataset)))) < 0.05


def test_a_block_stays_together():
    dataset = planted(2001).dataset
    assert autocorrelation(returns(shuffled(dataset, block=20))) > 0.6


def test_shuffling_is_another_one_for_another_seed_and_forgets_nothing_for_a_ragged_block():
    dataset = bars(100)
    assert shuffled(dataset, 1).fingerprint == shuffled(dataset, 1).fingerprint
    assert shuffled(dataset, 1).fingerprint != shuffled(dataset, 2).fingerprint
    assert len(shuffled(dataset, 1, block=13)) == 100


def test_a_view_has_the_features_asked_for():
    seen = view(bars(60), features=("log_return:2", "log_volume:5"), horizon=4, window=6)
    assert seen.feature_names == ("log_return:2", "log_volume:5")
    assert seen.features.shape == (60, 3, 2)
    assert (seen.horizon, seen.window) == (4, 6)
