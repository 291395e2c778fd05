"""Datasets are values with a fingerprint; a view's targets are known only when they have ended."""

from dataclasses import replace

import numpy as np
import pytest

from podium.dataset import FIELDS
from podium.errors import DataError
from podium.testing.series import bars, view

LENGTH = 60


@pytest.fixture
def dataset():
    return bars(LENGTH)


def with_one_value(dataset, field, value):
    column = dataset[field].copy()
    column[30, 1] = value
    return replace(dataset, fields={**dataset.fields, field: column})


@pytest.mark.parametrize("field", FIELDS)
def test_the_fingerprint_changes_with_every_value(dataset, field):
    value = np.nextafter(dataset[field][30, 1], np.inf)
    assert with_one_value(dataset, field, value).fingerprint != dataset.fingerprint


def test_the_fingerprint_is_the_content_s_and_not_the_name_s(dataset):
    assert replace(dataset, name="other").fingerprint == dataset.fingerprint
    assert replace(dataset, timeframe="1H").fingerprint != dataset.fingerprint
    later = dataset.times + np.timedelta64(1, "s")
    assert replace(dataset, times=later).fingerprint != dataset.fingerprint
    renamed = replace(dataset, tickers=("AAA", "BBB", "DDD"))
    assert renamed.fingerprint != dataset.fingerprint


def test_the_fingerprint_does_not_depend_on_how_the_memory_lies(dataset):
    fortran = {name: np.asfortranarray(values) for name, values in dataset.fields.items()}
    assert replace(dataset, fields=fortran).fingerprint == dataset.fingerprint
    turned = dict(reversed(dataset.fields.items()))
    assert replace(dataset, fields=turned).fingerprint == dataset.fingerprint


def test_selecting_finds_tickers_by_name_and_remembers_their_order(dataset):
    turned = dataset.select(["CCC", "AAA"])
    assert turned.tickers == ("CCC", "AAA")
    np.testing.assert_array_equal(turned["close"][:, 1], dataset["close"][:, 0])
    assert turned.fingerprint != dataset.select(["AAA", "CCC"]).fingerprint
    assert dataset.select(dataset.tickers) is dataset


def test_every_unknown_ticker_is_named_with_a_near_one(dataset):
    with pytest.raises(DataError) as caught:
        dataset.select(["AAB", "BBB", "QQQ"])
    assert len(caught.value.problems) == 2
    assert "Did you mean 'AAA'?" in str(caught.value)
    assert "'QQQ'" in str(caught.value)


def test_a_bar_is_found_at_or_after_a_moment(dataset):
    assert dataset.bar_at_or_after(str(dataset.times[7])) == 7
    assert dataset.bar_at_or_after(str(dataset.times[7] + np.timedelta64(1, "s"))) == 8
    assert dataset.bar_at_or_after("1990-01-01") == 0
    assert dataset.bar_at_or_after("2090-01-01") == LENGTH


def test_the_first_bar_of_a_view_has_a_whole_window_behind_it():
    seen = view(bars(LENGTH), features=("log_volatility:10",), horizon=3, window=6)
    assert seen.first_bar == 10 + 6 - 1
    window = seen.features[seen.first_bar - 5 : seen.first_bar + 1]
    assert np.isfinite(window).all()
    assert not np.isfinite(seen.features[seen.first_bar - 6]).all()


@pytest.mark.parametrize("horizon", [1, 4])
def test_the_last_labelled_bar_is_the_last_with_a_target(horizon):
    seen = view(bars(LENGTH), horizon=horizon)
    assert np.isfinite(seen.target[seen.last_labelled]).all()
    assert np.isnan(seen.target[seen.last_labelled + 1 :]).all()


@pytest.mark.parametrize("horizon", [1, 4])
def test_cutting_a_view_is_the_same_as_never_having_had_the_bars(horizon):
    dataset = bars(LENGTH)
    cut = view(dataset, horizon=horizon).until(40)
    never = view(dataset.slice(0, 40), horizon=horizon)
    for part in ("times", "features", "increments", "target", "past"):
        np.testing.assert_array_equal(getattr(cut, part), getattr(never, part))
    assert (cut.first_bar, cut.last_labelled) == (never.first_bar, never.last_labelled)


def test_a_cut_does_not_blind_the_view_it_was_cut_from():
    seen = view(bars(LENGTH), horizon=4)
    before = seen.target.copy()
    seen.until(30)
    seen.blind()
    np.testing.assert_array_equal(seen.target, before)


def test_a_blind_view_has_no_target_and_everything_else():
    seen = view(bars(LENGTH))
    blind = seen.blind()
    assert np.isnan(blind.target).all()
    assert blind.features is seen.features
