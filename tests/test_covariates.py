"""Covariates: what a bar knows of rows that were published, what travels, what the print is of."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figures import DAY, seconds, with_figures
from looped import looped
from podium import registry
from podium.covariates import MOST_LEAD, Covariate
from podium.errors import DataError, UsageError
from podium.resample import resample
from podium.testing.series import bars, view

compute = registry.load("features", "covariate").compute
START = np.datetime64("2000-01-03", "s")


@st.composite
def published(draw, periods=True):
    """Rows (ticker, days to publication, period, value) that contradict nothing."""
    ticker, day = st.sampled_from(["AAA", "BBB", "CCC"]), st.integers(-5, 45)
    key = st.tuples(ticker, day, st.integers(-3, 6)) if periods else st.tuples(ticker, day)
    keys = draw(st.lists(key, unique=True, max_size=25))
    return [(*k, float(draw(st.integers(-5, 5)))) for k in keys]


def covariate_of(rows, *, periods=True):
    return Covariate.of(
        "dated",
        {"eps": [row[-1] for row in rows]},
        moments=START + np.array([row[1] for row in rows], dtype=int) * DAY,
        periods=START + np.array([row[2] for row in rows], dtype=int) * 30 * DAY
        if periods
        else None,
        tickers=[row[0] for row in rows],
    )


def slowly(rows, dataset):
    """The join, said as plainly as can be: the best of all rows that are out, for every bar."""
    found = np.full((len(dataset), len(dataset.tickers)), np.nan)
    for bar, time in enumerate(dataset.times):
        for column, ticker in enumerate(dataset.tickers):
            out = [row for row in rows if row[0] == ticker and START + row[1] * DAY <= time]
            if out:
                found[bar, column] = max(out, key=lambda row: (row[2], row[1]))[-1]
    return found


@given(published(), st.randoms())
def test_a_bar_has_the_newest_period_that_is_out_in_its_newest_revision(rows, random):
    dataset = bars(25)
    joined = covariate_of(rows).at("eps", dataset.tickers, dataset.times)
    np.testing.assert_array_equal(joined, slowly(rows, dataset))
    random.shuffle(rows)
    again = dataset.with_covariates({"e": covariate_of(rows)})
    assert again.fingerprint == dataset.with_covariates({"e": covariate_of(rows)}).fingerprint
    np.testing.assert_array_equal(compute(again, "e.eps"), joined)


@given(published(periods=False))
def test_without_periods_it_is_what_pandas_joins_backwards(rows):
    dataset = bars(25)
    joined = covariate_of(rows, periods=False).at("eps", dataset.tickers, dataset.times)
    frame = pd.DataFrame(rows, columns=["ticker", "day", "eps"])
    frame["at"] = START + frame["day"].to_numpy(dtype=int) * DAY
    for column, ticker in enumerate(dataset.tickers):
        theirs = pd.merge_asof(
            pd.DataFrame({"at": dataset.times}),
            frame[frame["ticker"] == ticker].sort_values("at")[["at", "eps"]],
            on="at",
        )
        np.testing.assert_array_equal(joined[:, column], theirs["eps"].to_numpy(float))


@given(published(), st.integers(1, 24), st.integers(0, 2**31))
def test_no_bar_sees_a_row_before_it_was_available(rows, bar, seed):
    dataset = bars(25)
    one = covariate_of(rows)
    later = one.moments > dataset.times[bar]
    other = one.with_values(later, {"eps": np.random.default_rng(seed).standard_normal(len(one))})
    before, after = (c.at("eps", dataset.tickers, dataset.times[: bar + 1]) for c in (one, other))
    np.testing.assert_array_equal(before, after)


@given(published(), st.integers(1, 25))
def test_a_slice_of_bars_is_the_same_as_files_that_end_with_it(rows, stop):
    dataset = bars(25)
    known = [row for row in rows if START + row[1] * DAY <= dataset.times[stop - 1]]
    long = dataset.with_covariates({"e": covariate_of(rows)}).slice(0, stop)
    short = dataset.slice(0, stop).with_covariates({"e": covariate_of(known)})
    assert long.fingerprint == short.fingerprint
    np.testing.assert_array_equal(compute(long, "e.eps"), compute(short, "e.eps"))
    assert len(long.covariates["e"]) == len(known)


def test_a_late_revision_of_an_old_period_never_replaces_a_newer_one():
    one = Covariate.of(
        "dated",
        {"eps": [1.0, 2.0, 1.5]},
        moments=seconds("2000-02-01", "2000-05-01", "2000-06-01"),
        periods=seconds("1999-12-31", "2000-03-31", "1999-12-31"),
    )
    at = seconds("2000-01-31", "2000-02-01", "2000-05-01", "2000-06-02")
    assert one.at("eps", ("AAA", "BBB"), at).T.tolist()[1][1:] == [1.0, 2.0, 2.0]


def test_an_empty_cell_keeps_the_last_value():
    one = Covariate.of(
        "dated",
        {"eps": [1.0, np.nan, np.nan], "sales": [np.nan, 5.0, np.nan]},
        moments=seconds("2000-02-01", "2000-05-01", "2000-06-01"),
    )
    at = seconds("2000-02-01", "2000-05-02")
    assert one.at("eps", ("AAA",), at).ravel().tolist() == [1.0, 1.0]
    assert one.at("sales", ("AAA",), at).ravel()[1] == 5.0
    assert len(one) == 2


def test_rows_that_are_there_twice_count_once_and_rows_that_disagree_are_refused():
    twice = {"moments": seconds("2000-02-01", "2000-02-01"), "tickers": ["AAA", "AAA"]}
    assert len(Covariate.of("dated", {"eps": [1.0, 1.0]}, **twice)) == 1
    with pytest.raises(DataError, match=r"row 1 has 2 in 'eps' of AAA at 2000-02-01.* row 0 has 1"):
        Covariate.of("dated", {"eps": [1.0, 2.0]}, **twice)
    both = Covariate.of("dated", {"eps": [1.0, np.nan], "dps": [np.nan, 2.0]}, **twice)
    assert [len(both), both.at("dps", ("AAA",), seconds("2000-03-01"))[0, 0]] == [2, 2.0]
    with pytest.raises(DataError, match="finite"):
        Covariate.of("static", {"size": [np.inf]}, tickers=["AAA"])
    with pytest.raises(DataError, match="moments"):
        Covariate.of("dated", {"eps": [1.0]})
    with pytest.raises(DataError, match=r"(?i)did you mean 'dated'"):
        Covariate.of("datd", {"eps": [1.0]})
    with pytest.raises(DataError, match=r"'tickers' has shape \(1,\)(.|\n)*'moments' has a row"):
        Covariate.of("dated", {"eps": [1.0, 2.0]}, moments=seconds("2000", "NaT"), tickers=["AAA"])


def test_half_a_second_is_known_at_the_next_whole_one():
    late = np.array(["2000-01-03T10:00:00.500"], dtype="datetime64[ms]")
    one = Covariate.of("dated", {"eps": [1.0]}, moments=late)
    at = seconds("2000-01-03T10:00:00", "2000-01-03T10:00:01")
    assert np.isfinite(one.at("eps", ("AAA",), at)).ravel().tolist() == [False, True]


def test_what_is_known_ahead_is_read_on_the_clock_and_not_from_the_stamps_of_later_bars():
    dataset = bars(30)
    days = dataset.times[0] + np.arange(200) * DAY
    calendar = Covariate.of("known_ahead", {"day": np.arange(200.0)}, moments=days)
    seen = dataset.with_covariates({"calendar": calendar})
    since = ((dataset.times - dataset.times[0]) / DAY)[:, np.newaxis] * np.ones(3)
    np.testing.assert_array_equal(compute(seen, "calendar.day"), since)
    np.testing.assert_array_equal(compute(seen, "calendar.day", 5), since + 5)
    moved = replace(seen, times=np.where(np.arange(30) > 20, seen.times + 3 * DAY, seen.times))
    np.testing.assert_array_equal(compute(moved, "calendar.day", 5)[:21], since[:21] + 5)
    with pytest.raises(UsageError, match="lead of 101 bars"):
        compute(seen, "calendar.day", MOST_LEAD + 1)


def test_next_years_calendar_does_not_make_other_data_of_old_bars():
    dataset = bars(30)
    days = dataset.times[0] + np.arange(500) * DAY
    short, long = (
        Covariate.of("known_ahead", {"day": np.arange(float(n))}, moments=days[:n])
        for n in (200, 500)
    )
    prints = {dataset.with_covariates({"c": one}).fingerprint for one in (short, long)}
    assert len(prints) == 1


def test_a_dataset_without_covariates_has_the_print_it_always_had():
    # As it was before there were covariates.
    assert bars(5).fingerprint == bars(5).with_covariates({}).fingerprint
    assert bars(5).fingerprint.startswith("90b8eddcc0b244d95e3393fa7fa522be26f3b6f4c0887de6")


def test_each_part_of_a_covariate_that_could_change_a_number_changes_the_print():
    dataset = with_figures(bars(40))
    one = dataset.covariates["earnings"]
    others = [
        {},
        {"earnings": one},
        {"profits": one},
        {"earnings": replace(one, values={"sales": one.values["eps"]})},
        {"earnings": replace(one, values={"eps": one.values["eps"] + 1e-9})},
        {"earnings": replace(one, moments=one.moments - DAY)},
        {"earnings": replace(one, periods=one.periods - DAY)},
        {"earnings": replace(one, periods=None)},
        {"earnings": replace(one, kind="known_ahead")},
        {"earnings": replace(one, tickers=np.where(one.tickers == "BBB", "AAA", one.tickers))},
    ]
    prints = {replace(dataset, covariates=some).fingerprint for some in others}
    assert len(prints) == len(others)


def test_covariates_follow_their_tickers_and_stay_through_coarser_bars():
    dataset = with_figures(bars(60))
    turned, _ = dataset.realign(["CCC", "AAA"])
    np.testing.assert_array_equal(
        compute(turned, "earnings.eps"), compute(dataset, "earnings.eps")[:, [2, 0]]
    )
    assert set(turned.covariates["sizes"].tickers) == {"AAA", "CCC"}
    weeks = resample(dataset, "W", dated=True)
    daily = dict(zip(dataset.times.tolist(), compute(dataset, "earnings.eps"), strict=True))
    np.testing.assert_array_equal(
        compute(weeks, "earnings.eps"), [daily[time] for time in weeks.times.tolist()]
    )


def test_bars_before_the_first_figure_are_a_warm_up_and_a_ticker_without_any_is_told():
    dataset = bars(60)
    late = {"moments": dataset.times[[20, 30, 10]], "tickers": ["AAA", "BBB", "CCC"]}
    one = Covariate.of("dated", {"eps": [1.0, 2.0, 3.0]}, **late)
    seen = view(
        dataset.with_covariates({"e": one}), features=("log_return", "covariate:e.eps"), window=8
    )
    assert seen.first_bar == 30 + 8 - 1
    alone = Covariate.of("dated", {"eps": [1.0]}, moments=dataset.times[[20]], tickers=["AAA"])
    with pytest.raises(DataError, match=r"'covariate:e.eps' of BBB has no value at any of 60 bars"):
        view(dataset.with_covariates({"e": alone}), features=("covariate:e.eps",))


@looped(
    ("spec", "told"),
    [
        ("covariate", r"which \(a text\), lead \(a whole number above 0\)"),
        ("covariate:earning.eps", "did you mean 'earnings'"),
        ("covariate:earnings.ebs", "did you mean 'eps'"),
        ("covariate:earnings", "none is named"),
        ("covariate:earnings.eps:2", "'earnings' is dated. Expected no lead"),
        ("covariate:closing.closed:0", "a whole number above 0"),
        ("covariate:closing.closed:1:2", "'covariate' and which"),
    ],
)
def test_a_spec_that_names_nothing_is_refused_with_what_there_is(spec, told):
    with pytest.raises(UsageError, match=f"(?i){told}"):
        view(with_figures(bars(60)), features=(spec,))
