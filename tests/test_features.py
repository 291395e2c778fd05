"""Features against pandas, against known answers, and against the clock."""

import numpy as np
import pandas as pd
import pytest

from looped import looped
from podium import registry
from podium.dataset import Dataset
from podium.errors import UsageError
from podium.testing.series import bars, view

LENGTHS = (1, 2, 14, 30)


def computed(name, dataset, *numbers):
    return registry.load("features", name).compute(dataset, *numbers)


def frame(dataset, field="close"):
    return pd.DataFrame(dataset[field])


def at(*stamps):
    """Bars of one price at these moments."""
    flat = np.ones((len(stamps), 1))
    fields = dict.fromkeys(("open", "high", "low", "close", "volume"), flat)
    return Dataset("flat", "D", ("A",), np.array(stamps, dtype="datetime64[s]"), fields)


def of_closes(*closes):
    times = np.datetime64("2001-01-01", "s") + np.arange(len(closes)) * np.timedelta64(1, "D")
    column = np.array(closes, dtype=float)[:, np.newaxis]
    fields = dict.fromkeys(("open", "high", "low", "close", "volume"), column)
    return Dataset("own", "D", ("A",), times, fields)


@pytest.mark.parametrize("n", LENGTHS)
def test_a_moving_average_is_that_of_pandas(n):
    dataset = bars(80)
    close = frame(dataset)
    expected = np.log(close / close.rolling(n).mean())
    np.testing.assert_allclose(computed("moving_average", dataset, n), expected, atol=1e-12)


@pytest.mark.parametrize("n", LENGTHS)
def test_an_exponential_average_is_that_of_pandas(n):
    dataset = bars(80)
    close = frame(dataset)
    expected = np.log(close / close.ewm(span=n, min_periods=n).mean())
    np.testing.assert_allclose(computed("ema", dataset, n), expected, atol=1e-12)


@pytest.mark.parametrize("n", LENGTHS)
def test_a_drawdown_is_that_of_pandas_and_never_above_zero(n):
    dataset = bars(80)
    close = frame(dataset)
    found = computed("drawdown", dataset, n)
    np.testing.assert_allclose(found, np.log(close / close.rolling(n).max()), atol=1e-12)
    assert np.nanmax(found) <= 0


@pytest.mark.parametrize("n", LENGTHS)
def test_a_volume_ratio_is_that_of_pandas(n):
    dataset = bars(80)
    volume = frame(dataset, "volume")
    expected = volume / volume.rolling(n).mean()
    np.testing.assert_allclose(computed("volume_ratio", dataset, n), expected, rtol=1e-12)


def test_a_volume_ratio_without_any_volume_is_one():
    dataset = bars(30)
    dataset["volume"][10:, 1] = 0
    found = computed("volume_ratio", dataset, 5)
    assert np.isnan(found[:4]).all()
    assert (found[14:, 1] == 1).all()
    assert (found[10:14, 1] == 0).all()


@looped("n", LENGTHS)
@looped("skip", [0, 1])
def test_momentum_is_the_return_between_two_bars_of_the_past(n, skip):
    dataset = bars(80)
    if skip >= n:
        with pytest.raises(UsageError, match=f"momentum:{n}:{skip} skips all its bars"):
            computed("momentum", dataset, n, skip)
        return
    close = frame(dataset)
    expected = np.log(close.shift(skip) / close.shift(n))
    np.testing.assert_allclose(computed("momentum", dataset, n, skip), expected, atol=1e-12)


@pytest.mark.parametrize("n", LENGTHS)
def test_wilders_averages_are_those_of_pandas_once_they_have_begun(n):
    dataset = bars(80)
    change = frame(dataset).diff().to_numpy()

    def average(moves):
        # Wilder begins with a plain mean; from there on it is pandas' recursion.
        begun = moves.copy()
        begun[n] = moves[1 : n + 1].mean(axis=0)
        return pd.DataFrame(begun[n:]).ewm(alpha=1 / n, adjust=False).mean().to_numpy()

    gain, loss = average(np.maximum(change, 0)), average(np.maximum(-change, 0))
    expected = 100 - 100 / (1 + gain / np.where(loss == 0, 1e-300, loss))
    found = computed("rsi", dataset, n)
    assert np.isnan(found[:n]).all()
    np.testing.assert_allclose(found[n:], expected, atol=1e-9)


def test_the_strength_index_of_a_worked_example():
    # 14 changes: gains add up to 3.34, losses to 1.40; then a fall of 0.28 and so on.
    closes = [
        44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08,
        45.89, 46.03, 45.61, 46.28, 46.28, 46.00, 46.03, 46.41, 46.22, 45.64,
    ]  # fmt: skip
    found = computed("rsi", of_closes(*closes))[14:, 0]
    np.testing.assert_allclose(found, [70.46, 66.25, 66.48, 69.35, 66.29, 57.92], atol=0.006)


def test_the_strength_index_knows_only_rises_only_falls_and_no_move():
    def last(closes):
        return computed("rsi", of_closes(*closes), 3)[-1, 0]

    assert last([1, 2, 3, 4, 5]) == 100
    assert last([5, 4, 3, 2, 1]) == 0
    assert last([5, 5, 5, 5, 5]) == 50


def test_averages_and_drawdowns_do_not_know_the_scale_of_a_price():
    dataset = bars(60)
    scaled = {name: v * 1024 for name, v in dataset.fields.items()}
    larger = Dataset("larger", "D", dataset.tickers, dataset.times, scaled)
    for name in ("moving_average", "ema", "drawdown", "rsi", "volume_ratio", "momentum"):
        one, other = (computed(name, d, 10) for d in (dataset, larger))
        np.testing.assert_allclose(one, other, atol=1e-9)


def angle(name, *stamps):
    """Share of its cycle, from the two features of a cycle."""
    dataset = at(*stamps)
    sine, cosine = (computed(f"{name}_{part}", dataset)[:, 0] for part in ("sin", "cos"))
    np.testing.assert_allclose(sine**2 + cosine**2, 1, atol=1e-12)
    return (np.arctan2(sine, cosine) / (2 * np.pi)) % 1


def test_a_week_goes_round_from_monday():
    week = [f"2024-01-{day:02}" for day in range(1, 8)]
    np.testing.assert_allclose(angle("day_of_week", *week), np.arange(7) / 7, atol=1e-12)
    # The time of the day does not move the day.
    np.testing.assert_allclose(angle("day_of_week", "2024-01-02T23:59:59"), 1 / 7, atol=1e-12)
    assert angle("day_of_week", "1969-12-30")[0] == pytest.approx(1 / 7)


def test_a_year_goes_round_from_january():
    year = [f"2023-{month:02}-28" for month in range(1, 13)]
    np.testing.assert_allclose(angle("month", *year), np.arange(12) / 12, atol=1e-12)
    assert angle("month", "1969-12-31")[0] == pytest.approx(11 / 12)


def test_a_day_goes_round_from_midnight():
    stamps = ["2024-01-01T00:00", "2024-01-01T06:00", "2024-01-01T12:00", "2024-01-01T18:00"]
    np.testing.assert_allclose(angle("time_of_day", *stamps), [0, 0.25, 0.5, 0.75], atol=1e-12)
    assert angle("time_of_day", "1969-12-31T18:00")[0] == pytest.approx(0.75)


@pytest.mark.parametrize("name", ["time_of_day", "day_of_week", "month"])
def test_midnight_sunday_and_december_lie_next_to_what_follows_them(name):
    before, after = at("2023-12-31T23:59:59"), at("2024-01-01T00:00:00")
    for part in ("sin", "cos"):
        step = computed(f"{name}_{part}", after) - computed(f"{name}_{part}", before)
        assert abs(step[0, 0]) < 0.8


def test_a_spec_gives_a_feature_its_numbers():
    dataset = bars(80)
    seen = view(dataset, features=["momentum:20:5", "rsi:7", "month_sin"])
    assert seen.feature_names == ("momentum:20:5", "rsi:7", "month_sin")
    np.testing.assert_array_equal(
        seen.features[..., 0], computed("momentum", dataset, 20, 5).astype(np.float32)
    )
    with pytest.raises(UsageError, match="'rsi' and at most 1 whole number"):
        view(dataset, features=["rsi:7:3"])
