"""The leak probe catches deliberate leaks every time and never accuses an honest twin."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from looped import looped
from podium import registry
from podium.errors import PodiumError
from podium.families._base import Family, Model
from podium.prediction import Prediction
from podium.space import Choice, Space
from podium.split import Fold, Split, purged
from podium.testing.leak import probe, probe_family, probe_split
from podium.testing.series import bars, view

every_seed = looped("seed", range(20))
BARS, WIDTH, HORIZON = 90, 4, 3


def returns(dataset):
    log_close = np.log(dataset["close"])
    found = np.full_like(log_close, np.nan)
    found[1:] = np.diff(log_close, axis=0)
    return found


def trailing(values, bars_back):
    found = np.full_like(values, np.nan)
    found[bars_back - 1 :] = sliding_window_view(values, bars_back, axis=0).mean(axis=-1)
    return found


def ahead(values, by):
    found = np.full_like(values, np.nan)
    found[: len(values) - by] = values[by:]
    return found


def one_bar_ahead(dataset):
    return ahead(returns(dataset), 1)


def last_return(dataset):
    return returns(dataset)


def sign_of_the_next_return(dataset):
    return np.sign(ahead(returns(dataset), 1))


def centered_mean(dataset):
    return ahead(trailing(dataset["close"], 2 * WIDTH + 1), WIDTH)


def trailing_mean(dataset):
    return trailing(dataset["close"], 2 * WIDTH + 1)


def scaled_by_everything(dataset):
    values = returns(dataset)
    return (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)


def scaled_by_what_was_known(dataset):
    values = returns(dataset)
    found = np.full_like(values, np.nan)
    for t in range(3, len(values)):
        known = values[1 : t + 1]
        found[t] = (values[t] - known.mean(axis=0)) / known.std(axis=0)
    return found


def normalized_over_the_target_window(dataset):
    close = dataset["close"]
    return close / ahead(trailing(close, HORIZON), HORIZON)


def normalized_over_the_last_window(dataset):
    return dataset["close"] / trailing(dataset["close"], HORIZON)


def best_price_of_all_time(dataset):
    return dataset["close"] / dataset["high"].max(axis=0)


def best_price_so_far(dataset):
    return dataset["close"] / np.maximum.accumulate(dataset["high"], axis=0)


def next_bars_shape(dataset):
    return ahead(np.log(dataset["high"] / dataset["low"]), 1)


def rank_of_tomorrows_volume(dataset):
    return ahead(dataset["volume"].argsort(axis=1).argsort(axis=1).astype(float), 1)


LEAKS = [
    one_bar_ahead,
    sign_of_the_next_return,
    centered_mean,
    scaled_by_everything,
    normalized_over_the_target_window,
    best_price_of_all_time,
    next_bars_shape,
    rank_of_tomorrows_volume,
]
HONEST = [
    last_return,
    trailing_mean,
    scaled_by_what_was_known,
    normalized_over_the_last_window,
    best_price_so_far,
]


def place(seed):
    """A series and a bar of its own for every seed."""
    dataset = bars(BARS, seed=seed)
    return dataset, int(np.random.default_rng(seed).integers(30, BARS - 10))


@pytest.mark.parametrize("leak", LEAKS, ids=lambda f: f.__name__)
@every_seed
def test_a_deliberate_leak_is_caught(leak, seed):
    dataset, at = place(seed)
    found = probe(leak, dataset, at, seed=seed)
    assert found is not None
    assert found.bar <= at


@pytest.mark.parametrize("honest", HONEST, ids=lambda f: f.__name__)
@every_seed
def test_an_honest_twin_is_never_accused(honest, seed):
    dataset, at = place(seed)
    assert probe(honest, dataset, at, seed=seed) is None


def test_the_first_leaking_bar_and_column_are_told():
    dataset = bars(BARS)

    def second_ticker_looks_two_ahead(given):
        values = np.stack([returns(given), returns(given)], axis=-1)
        values[:, 1, 1] = ahead(returns(given), 2)[:, 1]
        return values

    found = probe(second_ticker_looks_two_ahead, dataset, 50)
    assert (found.bar, found.column) == (49, (1, 1))
    assert str(found).startswith("bar 49, column (1, 1): ")


def test_a_probe_that_sees_nothing_says_that_it_is_blind():
    dataset = bars(BARS)
    with pytest.raises(PodiumError, match="blind"):
        probe(lambda given: np.zeros((len(given), 3)), dataset, 50)
    with pytest.raises(PodiumError, match="blind"):
        probe(lambda given: trailing(given["close"], 60), dataset, 50)


@pytest.mark.parametrize("at", [0, BARS - 1, BARS, -1])
def test_a_probe_needs_bars_on_both_sides(at):
    with pytest.raises(PodiumError, match="both sides"):
        probe(returns, bars(BARS), at)


def test_the_dataset_is_left_as_it_was():
    dataset = bars(BARS)
    before = dataset.fingerprint
    probe(returns, dataset, 50)
    assert (
        type(dataset)(**vars(bars(BARS)) | {"fields": dict(dataset.fields)}).fingerprint == before
    )


@pytest.mark.parametrize("signal", registry.names("signals"))
def test_a_signals_weights_read_no_later_forecast(signal):
    weights = registry.load("signals", signal).weights

    def compute(dataset):
        # In an order of size that every signal takes for a forecast.
        return weights(np.nan_to_num(returns(dataset), nan=0.01))

    if signal == "equal":
        # Equal weights do not depend on the forecast, so nothing can be read from it.
        with pytest.raises(PodiumError, match="blind"):
            probe(compute, bars(BARS), 50)
    else:
        assert probe(compute, bars(BARS), 50) is None


# ------------------------------------------------------------------ splits


def split_of(train, validation, horizon=HORIZON):
    folds = (Fold(0, np.asarray(train), np.asarray(validation)),)
    return Split("made", {}, folds, bars(BARS).times, horizon)


@every_seed
def test_training_labels_that_reach_into_validation_labels_are_caught(seed):
    cut = int(np.random.default_rng(seed).integers(20, 70))
    everything = np.arange(BARS - HORIZON)
    found = probe_split(split_of(everything[:cut], everything[cut:]))
    assert (found.bar, found.column) == (cut - HORIZON + 1, (0,))


@every_seed
def test_a_purged_split_is_never_accused(seed):
    rng = np.random.default_rng(seed)
    cut, stop = sorted(rng.choice(np.arange(20, 80), 2, replace=False))
    everything = np.arange(BARS - HORIZON)
    validation = everything[cut : stop + 1]
    assert probe_split(split_of(purged(everything, validation, HORIZON), validation)) is None
    before = everything[: cut - HORIZON + 1]
    assert probe_split(split_of(before, validation), ordered=True) is None


def test_a_split_without_bars_makes_the_probe_blind():
    with pytest.raises(PodiumError, match="blind"):
        probe_split(split_of([], [50, 51]))


# ------------------------------------------------------------------ families


class Scaled(Model):
    def __init__(self, shift, looks):
        self.shift, self.looks = shift, looks

    def predict(self, windows):
        bars_read = np.minimum(windows.at + self.looks, len(windows.view) - 1)
        values = windows.view.features[bars_read, windows.item, 0].astype(float)
        return Prediction.of(windows, values - self.shift)

    def save(self, folder):
        raise NotImplementedError


class ScalingFamily(Family):
    """Subtracts a mean: of its training windows, or of everything it can lay hands on."""

    name = "scaling"

    def __init__(self, *, greedy=False, looks=0):
        self.greedy, self.looks = greedy, looks

    def space(self, view):
        return Space({"of": Choice(("mean",))})

    def fit(self, config, train, validation, *, seed, report):
        features = train.view.features[:, :, 0]
        seen = features if self.greedy else features[train.at, train.item]
        return Scaled(float(np.nanmean(seen)), self.looks)

    def load(self, read):
        raise NotImplementedError


@pytest.mark.parametrize("leaking", [{"greedy": True}, {"looks": 1}], ids=str)
@every_seed
def test_a_family_that_reads_the_future_is_caught(leaking, seed):
    dataset, at = place(seed)
    family = ScalingFamily(**leaking)
    found = probe_family(family, {"of": "mean"}, dataset, at, view_of=view, seed=seed)
    assert found.bar <= at


@every_seed
def test_its_honest_twin_is_never_accused(seed):
    dataset, at = place(seed)
    family = ScalingFamily()
    assert probe_family(family, {"of": "mean"}, dataset, at, view_of=view, seed=seed) is None
