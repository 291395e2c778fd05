"""Rungs of the forecast ladder: formulas by hand, scikit-learn as an oracle, planted truths."""

import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import projects
from podium import registry
from podium.errors import MissingExtraError, UsageError
from podium.families import seasonal_naive
from podium.families._linear import Linear
from podium.families._series import recent_mean
from podium.families.naive import NaiveFamily
from podium.split import Windows
from podium.steps.search.tune import tune
from podium.steps.trials import baselines
from podium.steps.workspace.session import open_project
from podium.testing import leak, series
from podium.testing.families import check_learns
from projects import SLOT
from universes import universe

RUNGS = ("drift", "seasonal_naive", "ridge", "har", "lightgbm")
TARGETS = ("volatility", "log_return", "return", "price", "direction")


def windows(seen, share=0.75):
    """Training windows, and all later ones whose label begins after the last training label."""
    index = seen.samples().index
    cut = int(len(index) * share)
    parts = index[:cut], index[cut + seen.horizon :]
    return [Windows.of(seen, part).labelled() for part in parts]


def fitted(name, train, config=None):
    family = registry.family(name)
    config = next(iter(family.space(train.view).grid())) if config is None else config
    return family.fit(config, train, None, seed=0, report=lambda epoch, scores: None)


def forecast(name, train, decisions, config=None):
    return fitted(name, train, config).predict(decisions.blind()).mean


def mse(name, train, test, config=None):
    return float(np.mean((forecast(name, train, test, config) - test.truth()) ** 2))


# Rules


@pytest.mark.parametrize("horizon", [1, 3])
def test_drift_adds_the_mean_change_of_a_bar_so_far(horizon):
    dataset = series.bars(80, ["AAA"])
    close = dataset["close"][:, 0]
    for target in TARGETS:
        seen = series.view(dataset, target=target, horizon=horizon)
        train, test = windows(seen)
        t, past = test.at, seen.past[:, 0]
        mean_return = np.log(close[t] / close[0]) / t
        by_hand = {
            "price": close[t] + horizon * (close[t] - close[0]) / t,
            "log_return": horizon * mean_return,
            "return": np.expm1(horizon * mean_return),
        }
        # The first value of the target is known after a whole horizon.
        others = past[t] + horizon * (past[t] - past[horizon]) / (t - horizon)
        expected = by_hand.get(target, others)
        assert forecast("drift", train, test) == pytest.approx(expected), target


def test_seasonal_naive_repeats_the_target_one_season_ago():
    seen = series.view(series.bars(80, ["AAA"]), target="volatility", horizon=7)
    train, test = windows(seen)
    # The target 7 bars ahead has its last season known at t two weeks of 5 bars earlier, at t - 3;
    # one month of 21 bars earlier, it is at t - 14.
    for season, bars, back in (("week", 5, 3), ("month", 21, 14)):
        assert fitted("seasonal_naive", train, {"season": season}).bars == bars
        rows = forecast("seasonal_naive", train, test, {"season": season})
        np.testing.assert_array_equal(rows, seen.past[test.at - back, 0])
    first = Windows.of(seen, np.array([seen.first_bar]))
    one = forecast("seasonal_naive", train, first, {"season": "month"})
    assert one == pytest.approx(seen.past[first.at, 0])


def test_seasons_have_the_bars_of_an_exchange_and_depend_on_the_timeframe():
    hours = np.arange("2001-01-01", "2001-12-31", dtype="datetime64[h]").astype("datetime64[s]")
    days, weeks = hours[::24], hours[:: 7 * 24]
    open_days = days[np.is_busday(days.astype("datetime64[D]"))]
    session = hours[np.isin(hours.astype(np.int64) // 3600 % 24, range(14, 21))]
    session = session[np.is_busday(session.astype("datetime64[D]"))]
    known = {
        "exchange": (open_days, {"week": 5, "month": 22}),
        "every day": (days, {"week": 7, "month": 30}),
        "every hour": (hours, {"day": 24, "week": 168}),
        "session": (session, {"day": 7, "week": 35}),
        "weeks": (weeks, {"month": 4, "year": 52}),
    }
    seen = series.view(series.bars(60))
    for name, (times, seasons) in known.items():
        space = registry.family("seasonal_naive").space(replace(seen, times=times))
        assert space.parameters["season"].options == tuple(seasons), name
        bars = {season: seasonal_naive.bars_of(season, times) for season in seasons}
        assert bars == seasons, name


def test_the_order_of_rungs_is_constants_rules_linear_models_and_others():
    seen = series.view(series.bars(60))
    rungs = {
        name: {registry.family(name).rung(config) for config in space.grid()}
        for name in ("naive", *RUNGS)
        for space in [registry.family(name).space(seen)]
    }
    names = {"drift": {1}, "seasonal_naive": {1}, "ridge": {2}, "har": {2}, "lightgbm": {3}}
    assert rungs == {"naive": {0, 1}, **names}
    assert registry.family("naive").rung({"method": "zero", "debias": False}) == 0
    assert registry.family("naive").rung({"method": "ewma", "debias": False}) == 1
    assert registry.family("lstm").rung({}) == 3
    classify = registry.family("naive", "classify")
    ladder = [classify.rung({"method": method}) for method in ("majority", "prior", "trend")]
    assert ladder == [0, 0, 1]


def test_the_naive_rules_reach_the_loss_of_a_family_that_learns():
    class Learning(NaiveFamily):
        def rung(self, config):
            return 3

    check_learns(Learning())


# Linear models


def test_ridge_is_that_of_scikit_learn_on_standardized_features():
    linear_model = pytest.importorskip("sklearn.linear_model")
    seen = series.view(series.bars(200), target="volatility", horizon=5)
    train, test = windows(seen)
    x, new = (part.inputs()[:, -1].astype(np.float64) for part in (train, test))
    z, new = ((part - x.mean(axis=0)) / x.std(axis=0) for part in (x, new))
    for alpha in (0.001, 0.1):
        oracle = linear_model.Ridge(alpha=alpha * len(x)).fit(z, train.truth())
        rows = forecast("ridge", train, test, {"alpha": alpha})
        assert rows == pytest.approx(oracle.predict(new), rel=1e-9)


def test_ridge_recovers_a_planted_autoregression_and_comes_close_to_its_oracle():
    planted = series.planted(1500, coefficient=0.6)
    seen = series.view(planted.dataset, features=("log_return",))
    train, test = windows(seen)
    linear = fitted("ridge", train, {"alpha": 0.001}).linear
    assert linear.weights[0] / linear.scale[0] == pytest.approx(0.6, abs=0.03)
    assert mse("ridge", train, test, {"alpha": 0.001}) < 1.05 * planted.oracle_mse()
    assert mse("har", train, test) < 1.1 * planted.oracle_mse()


def test_a_constant_regressor_has_no_weight_and_a_repeated_one_shares_it():
    x = np.random.default_rng(0).normal(size=(50, 1))
    y = 1 + 2 * x[:, 0]
    linear = Linear.fit(np.hstack([x, np.full_like(x, 0.1), x]), y, 0.0)
    assert np.array(linear.weights) / linear.scale == pytest.approx([1, 0, 1])


def har_by_hand(seen, train, test, ranges):
    """Forecasts of log-HAR from the bars, by least squares on levels with an intercept."""

    def rows(part):
        columns = [np.ones(len(part))]
        places = [*zip(part.at, part.item, strict=True)]
        for bars in (5, 21, 63):
            squared = [seen.increments[: t + 1, s][-bars:] for t, s in places]
            columns.append(0.5 * np.log([np.nanmean(one) + 1e-8 for one in squared]))
        for bars in (1, 5, 21) if ranges else ():
            reach = [seen.ranges[: t + 1, s][-bars:].mean() for t, s in places]
            columns.append(np.log(np.array(reach) + 1e-4))
        return np.stack(columns, axis=1)

    return rows(test) @ np.linalg.lstsq(rows(train), train.truth())[0]


def test_har_is_least_squares_on_logarithms_of_realized_volatility_and_ranges():
    dataset = series.bars(220)
    closes = replace(dataset, fields={"close": dataset["close"]})
    for bars, features in ((dataset, ("log_range",)), (closes, ("log_return",))):
        seen = series.view(bars, features=features, target="volatility", horizon=5)
        train, test = windows(seen)
        expected = har_by_hand(seen, train, test, seen.ranges is not None)
        assert forecast("har", train, test) == pytest.approx(expected, rel=1e-8)
        sizes = len(fitted("har", train).linear.weights)
        assert sizes == (3 if bars is closes else 6)


def test_ranges_that_are_all_zero_change_no_forecast_of_har():
    dataset = series.bars(220)
    flat = {**dataset.fields, "high": dataset["close"], "low": dataset["close"]}
    rows = []
    for fields in (flat, {"close": dataset["close"]}):
        bars = replace(dataset, fields=fields)
        seen = series.view(bars, features=("log_return",), target="volatility", horizon=5)
        rows.append(forecast("har", *windows(seen)))
    assert rows[0] == pytest.approx(rows[1], rel=1e-9)


def test_har_beats_every_moving_average_on_planted_volatility():
    seen = series.view(series.bars(1500, seed=3), target="volatility", horizon=5)
    train, test = windows(seen)
    naive = registry.family("naive").space(seen).grid()
    best = min(mse("naive", train, test, config) for config in naive)
    assert mse("har", train, test) < 0.95 * best


def test_the_mean_of_recent_bars_is_over_the_known_ones():
    values = np.array([[np.nan, 1.0], [2.0, np.nan], [4.0, 3.0]])
    expected = [[np.nan, 1.0], [2.0, 1.0], [3.0, 3.0]]
    np.testing.assert_array_equal(recent_mean(values, 2), expected)


# Every rung


@pytest.mark.parametrize("name", [*RUNGS[:-1], pytest.param("lightgbm", marks=pytest.mark.slow)])
def test_a_rung_forecasts_every_target_of_a_universe_and_ignores_the_future(name):
    family = registry.family(name)
    ragged = universe(150, BBB=(30, 150), CCC=(0, 110))
    full = series.bars(120)
    whole = replace(full, members=np.ones((120, 3), dtype=bool))
    for target in TARGETS:
        view_of = partial(series.view, target=target, horizon=4)
        train, test = windows(view_of(ragged))
        for config in family.space(train.view).grid():
            assert np.isfinite(forecast(name, train, test, config)).all(), (target, config)
            assert leak.probe_family(family, config, full, 90, view_of=view_of) is None, target
        # A universe in which every ticker is always a member is no other data.
        rows = [forecast(name, *windows(view_of(dataset))) for dataset in (full, whole)]
        np.testing.assert_array_equal(*rows)


def test_forecasts_of_a_price_begin_at_the_last_one():
    dataset = series.bars(200)
    dear = replace(dataset, fields={n: v * [1.0, 10.0, 100.0] for n, v in dataset.fields.items()})
    seen = series.view(dear, target="price")
    train, test = windows(seen)
    last = seen.past[test.at, test.item]
    for name in ("drift", "ridge", "har", "lightgbm"):
        change = np.abs(forecast(name, train, test) / last - 1)
        # A pooled mean change is that of the dearest ticker at most.
        assert np.median(change[test.item == 2]) < 0.02, name


# Trees


def test_trees_without_their_package_name_the_extra(monkeypatch):
    train, _ = windows(series.view(series.bars(120)))
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'podium\[trees\]'"):
        fitted("lightgbm", train)


def test_trees_are_saved_as_text_that_lightgbm_reads(tmp_path):
    lightgbm = pytest.importorskip("lightgbm")
    train, test = windows(series.view(series.planted(400).dataset))
    model = fitted("lightgbm", train)
    model.save(tmp_path)
    booster = lightgbm.Booster(model_file=tmp_path / "lightgbm.txt")
    assert booster.num_trees() == 200
    assert mse("lightgbm", train, test) < 0.6 * float(np.var(test.truth()))


# The setting


def small(tmp_path, *names):
    slots = {SLOT: {"baselines": list(names)}}
    return projects.small_project(tmp_path / "more", slots=slots, tune={"trials": 2})


def test_a_slot_names_more_baselines_beside_those_of_its_task(tmp_path):
    pytest.importorskip("lightgbm")
    with open_project(small(tmp_path, "lightgbm", "ridge")) as project:
        result = tune(project, SLOT)
        families = dict.fromkeys(row.family for row in result.baselines)
        assert [*families] == [*baselines.families("forecast"), "lightgbm"]
        expected = baselines.all_configs(result.data.tuning, more=("lightgbm",))
        assert len(result.baselines) == len(expected)
        assert {row.state for row in result.baselines} == {"complete"}
        assert {row.family for row in result.trials} == {"lstm"}


def test_a_baseline_that_does_not_exist_or_has_no_end_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"'lightgmb'.*Did you mean 'lightgbm'"):
        open_project(small(tmp_path / "a", "lightgmb"))
    infinite = pytest.raises(UsageError, match="baseline 'lstm' has an infinite search space")
    with open_project(small(tmp_path / "b", "lstm")) as project, infinite:
        tune(project, SLOT)
