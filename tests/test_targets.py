"""Targets: labels are those of the closes themselves; naive forecasts mean what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looped import looped
from podium import registry
from podium.dataset import Dataset
from podium.split import Windows
from podium.testing.leak import poisoned, probe
from podium.testing.series import bars, view

NAIVE = registry.family("naive")


def volatility(closes):
    return 0.5 * np.log(np.mean(np.diff(np.log(closes), axis=0) ** 2, axis=0) + 1e-8)


# What a label is, said with the closes from the decision to its end.
TRUTHS = {
    "log_return": lambda closes: np.log(closes[-1] / closes[0]),
    "return": lambda closes: closes[-1] / closes[0] - 1,
    "price": lambda closes: closes[-1],
    "direction": lambda closes: (closes[-1] > closes[0]).astype(float),
    "volatility": volatility,
}


def of_closes(columns):
    close = np.array(columns, dtype=float).T
    times = np.datetime64("2001-01-01", "s") + np.arange(len(close)) * np.timedelta64(1, "D")
    fields = dict.fromkeys(("open", "high", "low", "close", "volume"), close)
    return Dataset("own", "D", tuple("ABCDEF"[: close.shape[1]]), times, fields)


def test_every_target_is_compared_with_its_closes():
    assert registry.names("targets") == sorted(TRUTHS)


@looped("horizon", [1, 2, 5, 21])
@looped("target", TRUTHS)
def test_a_label_is_what_the_closes_after_the_decision_say(target, horizon):
    dataset = bars(90)
    seen = view(dataset, target=target, horizon=horizon)
    close = dataset["close"]
    for t in range(len(dataset) - horizon):
        truth = TRUTHS[target](close[t : t + horizon + 1])
        np.testing.assert_allclose(seen.target[t], truth, rtol=1e-11, atol=1e-13)
    assert np.isnan(seen.target[-horizon:]).all()


@pytest.mark.parametrize("target", TRUTHS)
def test_a_label_that_ends_beyond_the_cut_is_unknown_and_the_others_stay(target):
    seen = view(bars(90), target=target, horizon=5)
    part = seen.until(60)
    assert np.isnan(part.target[55:]).all()
    np.testing.assert_array_equal(part.target[:55], seen.target[:55])
    asked = np.arange(part.first_bar, 60)
    for method in NAIVE.space(seen).parameters["method"].options:
        whole, cut = (forecasts(Windows.of(v.blind(), asked), method) for v in (seen, part))
        np.testing.assert_array_equal(whole, cut)


@given(
    # Far apart, so that differences of their logarithms are rounded.
    st.lists(st.sampled_from([0.07, 0.7, 1.1, 3.3, 17.9, 256.3]), min_size=20, max_size=30),
    st.integers(1, 8),
)
def test_a_price_that_came_back_did_not_go_up(closes, horizon):
    seen = view(
        of_closes([closes]), features=["log_return"], target="direction", horizon=horizon, window=2
    )
    for t in range(len(closes) - horizon):
        assert seen.target[t, 0] == float(closes[t + horizon] > closes[t])


@pytest.mark.parametrize("horizon", [1, 5])
def test_the_naive_forecast_of_a_price_is_the_last_price(horizon):
    dataset = bars(90)
    seen = view(dataset, target="price", horizon=horizon)
    windows = Windows.of(seen, np.arange(seen.first_bar, seen.last_labelled + 1))
    assert "zero" not in NAIVE.space(seen).parameters["method"].options
    found = forecasts(windows, "last")
    np.testing.assert_allclose(found, dataset["close"][windows.at, windows.item], rtol=1e-12)


@pytest.mark.parametrize("method", ["last_21", "ewma"])
def test_a_naive_drift_of_a_price_starts_at_the_last_price(method):
    steady = of_closes([100 + 0.5 * np.arange(60), 300 - 2.0 * np.arange(60)])
    seen = view(steady, features=["log_return"], target="price", horizon=4)
    windows = Windows.of(seen, np.arange(40, seen.last_labelled + 1))
    np.testing.assert_allclose(forecasts(windows, method), windows.truth(), rtol=1e-12)


def test_the_naive_forecast_of_a_direction_from_history_is_the_share_of_rises_so_far():
    dataset = bars(90)
    seen = view(dataset, target="direction", horizon=1)
    windows = Windows.of(seen, np.arange(seen.first_bar, seen.last_labelled + 1))
    rises = np.diff(dataset["close"], axis=0) > 0
    share = np.array([rises[:t, s].mean() for t, s in zip(windows.at, windows.item, strict=True)])
    np.testing.assert_allclose(forecasts(windows, "history"), share)


@pytest.mark.parametrize("target", TRUTHS)
def test_every_naive_forecast_of_every_target_is_finite_and_knows_no_later_bar(target):
    seen = view(bars(90), target=target, horizon=3)
    at = 60
    asked = np.arange(seen.first_bar, at + 1)
    for method in NAIVE.space(seen).parameters["method"].options:
        honest = forecasts(Windows.of(seen.blind(), asked), method)
        assert np.isfinite(honest).all()
        for _, changed in poisoned(seen, at):
            np.testing.assert_array_equal(honest, forecasts(Windows.of(changed, asked), method))


def test_a_price_that_is_told_too_early_is_poisoned_and_found():
    seen = view(bars(90), target="price", horizon=3)
    for _, changed in poisoned(seen, 60):
        np.testing.assert_array_equal(changed.level[:61], seen.level[:61])
        assert not (changed.level[61:] == seen.level[61:]).any()
    assert probe(lambda d: view(d, target="price").level, bars(90), 60) is None


def test_a_network_learns_how_far_a_price_moves_and_not_where_it_is():
    family = registry.family("lstm")
    config = {**family.space(view(bars(90))).sample(np.random.default_rng(0)), "lstm_units": 16}
    config["max_epochs"] = 2
    dear = bars(160)
    scale = np.array([1.0, 10.0, 1000.0])
    fields = {name: v * scale for name, v in dear.fields.items()}
    dear = Dataset("dear", "D", dear.tickers, dear.times, fields)
    seen = view(dear, target="price", horizon=2)
    at = np.arange(seen.first_bar, seen.last_labelled + 1)
    train, later = Windows.of(seen, at[:90]), Windows.of(seen, at[95:])
    scores = []
    model = family.fit(config, train, later, seed=0, report=lambda e, s: scores.append(s))
    found = model.predict(later.blind()).mean
    close = dear["close"][later.at, later.item]
    highest = close[later.item == 2].max()
    # Off by the moves of the dearest ticker at most, where prices differ a thousandfold.
    assert np.abs(found - close).max() < 0.1 * highest
    best = min(score["val_loss"] for score in scores)
    assert best == pytest.approx(np.mean((found - later.truth()) ** 2), rel=1e-5)


def forecasts(windows, method):
    config = {"method": method, "debias": False}
    model = NAIVE.fit(config, windows, None, seed=0, report=lambda epoch, scores: None)
    return model.predict(windows).mean
