"""The Diebold-Mariano test against hand sums, another implementation and simulated truth."""

import math

import dieboldmariano
import numpy as np
import pytest
import scipy.signal
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import DataError, UsageError
from podium.stats import DieboldMariano, diebold_mariano, panel_loss


def overlapping(rng: np.random.Generator, n: int, horizon: int) -> np.ndarray:
    """Loss differences whose last ``horizon - 1`` values share shocks, of mean zero."""
    shocks = rng.standard_normal(n + horizon - 1)
    return sum(shocks[k : k + n] for k in range(horizon))


def undecided(result: DieboldMariano) -> bool:
    return (
        math.isnan(result.statistic)
        and math.isnan(result.p_value)
        and result.variance == "none"
        and bool(result.reason)
    )


def test_without_lags_it_is_a_t_statistic_computed_by_hand():
    # 40 differences, +1 and -1 in turn, shifted by a half: mean 0.5, variance 1.
    loss_a = np.tile([1.5, -0.5], 20) + 3.0
    result = diebold_mariano(loss_a, np.full(40, 3.0), lags=0)
    # 0.5 / sqrt(1 / 40) times sqrt(39 / 40)
    assert result.statistic == pytest.approx(0.5 * math.sqrt(39))
    assert result.mean_difference == pytest.approx(0.5)
    assert (result.n, result.variance, result.reason) == (40, "rectangular", None)


def test_the_variance_is_the_mean_square_of_slow_cosines_computed_by_hand():
    difference = np.random.default_rng(0).random(50)
    result = diebold_mariano(difference, np.zeros(50))
    # 0.4 x 50^(2/3) is 5.4.
    times = (np.arange(50) + 0.5) / 50
    projections = [math.sqrt(2) * np.cos(math.pi * k * times) @ difference for k in range(1, 6)]
    long_run = np.mean(np.square(projections)) / 50
    statistic = difference.mean() / math.sqrt(long_run / 50)
    assert result.statistic == pytest.approx(statistic)
    assert result.p_value == pytest.approx(2 * scipy.special.stdtr(5, -statistic))
    # A horizon of 5 leaves the cosines that are slow compared with an overlap of 4 periods.
    assert diebold_mariano(difference, np.zeros(50), 5).statistic == result.statistic


def test_the_one_sided_p_value_is_small_where_the_first_loss_is_smaller():
    rng = np.random.default_rng(1)
    loss_a, loss_b = rng.random(60), rng.random(60) + 0.1
    forward, backward = diebold_mariano(loss_a, loss_b), diebold_mariano(loss_b, loss_a)
    assert forward.one_sided == forward.p_value / 2 < 0.5
    assert backward.one_sided == 1 - forward.one_sided
    assert math.isnan(diebold_mariano(loss_a, loss_a).one_sided)


def test_the_first_forecast_losing_less_gives_a_negative_statistic():
    rng = np.random.default_rng(1)
    better, worse = rng.random(50), rng.random(50) + 1.0
    forward, backward = diebold_mariano(better, worse), diebold_mariano(worse, better)
    assert forward.statistic < 0
    assert forward.statistic == -backward.statistic
    assert forward.p_value == backward.p_value < 1e-5


@pytest.mark.parametrize(("n", "horizon"), [(30, 1), (30, 3), (100, 5), (250, 20)])
def test_it_agrees_with_another_implementation(n, horizon):
    rng = np.random.default_rng(n + horizon)
    for _ in range(20):
        loss_a = overlapping(rng, n, horizon) ** 2
        loss_b = 1.1 * overlapping(rng, n, horizon) ** 2
        ours = diebold_mariano(loss_a, loss_b, horizon, lags=horizon - 1)
        statistic, p_value = dieboldmariano.dm_test(
            [0.0] * n,
            loss_a.tolist(),
            loss_b.tolist(),
            loss=lambda _, loss: loss,
            h=horizon,
            variance_estimator="acf" if ours.variance == "rectangular" else "bartlett",
        )
        assert ours.statistic == pytest.approx(statistic, rel=1e-10)
        assert ours.p_value == pytest.approx(p_value, rel=1e-10, abs=1e-10)


def test_a_rectangular_variance_that_is_not_positive_falls_back_to_bartlett():
    # Differences that swing back at once: g(0) + 2 g(1) is far below zero.
    rng = np.random.default_rng(0)
    difference = np.tile([1.0, -1.0], 25) + 0.1 * rng.standard_normal(50)
    lags = [((difference - difference.mean()) ** 2).mean()]
    lags.append(((difference - difference.mean())[1:] @ (difference - difference.mean())[:-1]) / 50)
    assert lags[0] + 2 * lags[1] < 0
    result = diebold_mariano(difference, np.zeros(50), horizon=2, lags=1)
    _, p_value = dieboldmariano.dm_test(
        [0.0] * 50,
        difference.tolist(),
        [0.0] * 50,
        loss=lambda _, loss: loss,
        h=2,
        variance_estimator="bartlett",
    )
    assert result.variance == "bartlett"
    assert result.p_value == pytest.approx(p_value, rel=1e-10)
    assert diebold_mariano(difference, np.zeros(50), lags=0).variance == "rectangular"


def test_periodic_differences_without_a_slow_part_have_their_plain_variance():
    difference = 0.05 + np.tile([1.0, -1.0, -1.0, 1.0], 30)
    result = diebold_mariano(difference, np.zeros(120))
    assert result.statistic == pytest.approx(0.05 * math.sqrt(120))


def test_identical_losses_are_undecidable_and_never_a_pass():
    loss = np.random.default_rng(2).random(100)
    result = diebold_mariano(loss, loss)
    assert undecided(result)
    assert result.reason == "the two losses never differ"
    assert result.mean_difference == 0.0


def test_losses_a_constant_apart_are_undecidable_whatever_their_rounding():
    loss = np.random.default_rng(2).random(100)
    shifted = loss + 0.1
    assert np.ptp(shifted - loss) > 0
    result = diebold_mariano(shifted, loss)
    assert undecided(result)
    assert "never varies" in result.reason


@pytest.mark.parametrize("n", [0, 1, 29])
def test_fewer_than_thirty_periods_are_undecidable(n):
    rng = np.random.default_rng(3)
    result = diebold_mariano(rng.random(n), rng.random(n))
    assert undecided(result)
    assert result.reason == f"{n} periods, at least 30 are needed"
    assert result.n == n


def test_a_horizon_not_well_below_the_periods_is_undecidable():
    rng = np.random.default_rng(4)
    loss_a, loss_b = rng.random((2, 100))
    assert diebold_mariano(loss_a, loss_b, 10).reason is None
    for horizon in (11, 99, 100, 101, 10_000):
        result = diebold_mariano(loss_a, loss_b, horizon)
        assert undecided(result)
        assert result.reason == (
            f"100 periods, a horizon of {horizon} needs at least {10 * horizon}"
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_refused_with_its_place(value):
    loss = np.ones(40)
    loss[7] = value
    with pytest.raises(DataError, match=r"loss_b\[7\] is (nan|inf)"):
        diebold_mariano(np.ones(40), loss)


def test_losses_of_different_lengths_are_refused():
    with pytest.raises(DataError, match="loss_a has 40 periods and loss_b has 41"):
        diebold_mariano(np.ones(40), np.ones(41))


def test_a_matrix_of_losses_is_refused_and_sent_to_panel_loss():
    with pytest.raises(DataError, match="panel_loss"):
        diebold_mariano(np.ones((40, 2)), np.ones((40, 2)))


@pytest.mark.parametrize("horizon", [0, -1, 1.5, True])
def test_a_horizon_that_is_not_a_whole_number_is_refused(horizon):
    with pytest.raises(UsageError, match=f"horizon is {horizon}"):
        diebold_mariano(np.ones(40), np.zeros(40), horizon)
    with pytest.raises(UsageError, match="lags is -1"):
        diebold_mariano(np.ones(40), np.zeros(40), lags=-1)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(30, 80),
    st.integers(1, 12),
    st.floats(1e-6, 1e6),
)
def test_the_p_value_is_a_probability_and_the_unit_of_the_losses_does_not_matter(
    seed, n, horizon, unit
):
    loss_a, loss_b = np.random.default_rng(seed).random((2, n))
    result = diebold_mariano(loss_a, loss_b, horizon)
    scaled = diebold_mariano(unit * loss_a, unit * loss_b, horizon)
    if result.reason:
        assert undecided(result)
        assert undecided(scaled)
    else:
        assert 0.0 <= result.p_value <= 1.0
        assert scaled.statistic == pytest.approx(result.statistic, rel=1e-6)


def autoregressive(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    return scipy.signal.lfilter([1.0], [1.0, -share], rng.standard_normal(n + 50))[50:]


def test_equal_forecasts_are_rejected_in_five_of_a_hundred_with_autocorrelated_losses_too():
    # Of 20,000 simulations it rejects 4.9, 5.7, 5.6 and 5.0 %; without lags 4.9, 25.9, 42 and 4.9.
    rng, n, reps = np.random.default_rng(5), 100, 1000
    cases = {
        "independent": (lambda: rng.standard_normal(n), 1),
        "autocorrelation of 0.5": (lambda: autoregressive(rng, n, 0.5), 1),
        "overlap of 4": (lambda: overlapping(rng, n, 5), 5),
        "no overlap": (lambda: rng.standard_normal(n), 5),
    }
    three_errors = 3 * math.sqrt(0.055 * 0.945 / reps)
    for name, (draw, horizon) in cases.items():
        rejected = np.mean(
            [diebold_mariano(draw(), np.zeros(n), horizon).p_value < 0.05 for _ in range(reps)]
        )
        assert abs(rejected - 0.055) < three_errors, name
    classical = np.mean(
        [
            diebold_mariano(autoregressive(rng, n, 0.5), np.zeros(n), lags=0).p_value < 0.05
            for _ in range(reps)
        ]
    )
    assert classical > 0.2


def test_it_finds_a_real_difference():
    rng = np.random.default_rng(7)
    found = [
        diebold_mariano(rng.standard_normal(250) ** 2, 1.5 * rng.standard_normal(250) ** 2).p_value
        < 0.05
        for _ in range(200)
    ]
    assert np.mean(found) > 0.8


def test_panel_loss_averages_the_series_of_each_period_in_order():
    periods, loss = panel_loss([1.0, 2.0, 3.0, 7.0], [5, 3, 5, 3])
    assert periods.tolist() == [3, 5]
    assert loss.tolist() == [4.5, 2.0]


def test_panel_loss_keeps_times_as_times():
    days = np.array(["2024-01-03", "2024-01-02", "2024-01-03"], dtype="datetime64[D]")
    periods, loss = panel_loss([1.0, 2.0, 3.0], days)
    assert periods.dtype == days.dtype
    assert periods.tolist() == sorted(set(days.tolist()))
    assert loss.tolist() == [2.0, 2.0]


def test_panel_loss_of_nothing_is_nothing():
    periods, loss = panel_loss([], [])
    assert periods.size == loss.size == 0


def test_series_that_move_together_count_once_after_panel_loss():
    # Ten tickers that share one shock: one by one, the classical test sees ten times the evidence.
    rng = np.random.default_rng(8)
    one_by_one = averaged = 0
    for _ in range(300):
        shock = rng.standard_normal(60)
        loss = (shock[:, None] + 0.1 * rng.standard_normal((60, 10))).ravel()
        period = np.repeat(np.arange(60), 10)
        one_by_one += diebold_mariano(loss, np.zeros(600), lags=0).p_value < 0.05
        _, mean_loss = panel_loss(loss, period)
        averaged += diebold_mariano(mean_loss, np.zeros(60)).p_value < 0.05
    assert one_by_one / 300 > 0.4
    assert averaged / 300 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize(
    ("loss", "period", "text"),
    [
        ([1.0, np.nan], [1, 2], r"loss\[1\] is nan"),
        ([1.0, 2.0], [1], "period has shape"),
        ([1.0, 2.0], [1.5, 2.5], "period is of type float64"),
        ([1.0], np.array(["NaT"], dtype="datetime64[s]"), r"period\[0\] is NaT"),
    ],
)
def test_panel_loss_refuses_what_it_cannot_average(loss, period, text):
    with pytest.raises(DataError, match=text):
        panel_loss(loss, period)


@pytest.mark.parametrize("unit", [5e-324, 1e-300, 1e-160, 1e160, 1e308])
def test_very_large_and_very_small_losses_are_told_apart_without_a_warning(unit):
    steps = np.random.default_rng(9).integers(0, 2, (2, 60)).astype(float)
    result, expected = diebold_mariano(*(unit * steps)), diebold_mariano(*steps)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert result.p_value == pytest.approx(expected.p_value, rel=1e-9)
    assert not math.isinf(result.mean_difference)


def test_a_mean_difference_too_large_for_a_number_is_nan():
    opposite = np.where(np.arange(40) % 7, 1.7e308, 1.6e308)
    assert math.isnan(diebold_mariano(opposite, -opposite).mean_difference)
