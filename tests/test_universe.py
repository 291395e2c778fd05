"""Universes: tickers come and go; windows, labels, features, losses and signals follow them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barfiles import bars as frame
from barfiles import days, examine, read, refused, write
from looped import looped
from podium import registry
from podium.dataset import Dataset
from podium.errors import DataError
from podium.readers._members import with_members as laid
from podium.resample import resample
from podium.samples import Samples
from podium.split import Windows
from podium.splitters.given import joined
from podium.testing import leak
from podium.testing.series import bars, view
from podium.view import View
from universes import living, universe

PER_TICKER = (
    "log_return:2", "momentum:9:2", "moving_average:5", "ema:4", "drawdown:6", "rsi:5", "log_range",
    "log_volatility:7", "log_volume:4", "volume_ratio:4", "day_of_week_sin", "month_cos",
)  # fmt: skip
PARTS = ("features", "increments", "target", "past")
LENGTH = 120
lives_of = st.tuples(st.integers(0, LENGTH - 2), st.integers(2, LENGTH)).filter(
    lambda life: life[0] + 1 < life[1]
)


def seen_as(dataset: Dataset, **settings: object) -> View:
    told = {"features": ("log_return", "rsi:5"), "target": "log_return", "horizon": 4, "window": 6}
    return View.of(dataset, **{**told, **settings})


def same(one: View, other: View) -> None:
    for part in PARTS:
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


# A full grid is no universe


def everybody(dataset: Dataset) -> Dataset:
    """The same bars as a universe in which everybody always is: no reader makes one."""
    return replace(dataset, members=np.ones((len(dataset), len(dataset.tickers)), dtype=bool))


def test_members_that_are_everybody_everywhere_are_none():
    dataset = bars(30)
    all_in = dataset.among(np.ones((30, 3), dtype=bool))
    assert all_in.members is None
    assert all_in.fingerprint == dataset.fingerprint
    late = universe(30, BBB=(10, 30))
    assert late.slice(10, 30).members is None
    assert late.select(["AAA", "CCC"]).members is None
    assert late.slice(9, 30).members is not None


@given(st.integers(1, 6), st.integers(2, 9), st.sampled_from(["log_return", "volatility", "price"]))
def test_a_full_grid_gives_the_same_to_the_bit_with_members_and_without(horizon, window, target):
    dataset = bars(90, seed=horizon)
    told = {"horizon": horizon, "window": window, "target": target}
    plain, other = (seen_as(d, **told) for d in (dataset, everybody(dataset)))
    same(plain, other)
    assert plain.first_bar == other.first_bar
    one, two = plain.samples(), other.samples()
    for part in ("index", "starts", "ends"):
        np.testing.assert_array_equal(getattr(one, part), getattr(two, part))
    family = registry.family("naive")
    losses = []
    for seen in (plain, other):
        windows = Windows.of(seen, seen.samples().index).labelled()
        model = family.fit(
            {"method": "ewma", "debias": True}, windows, None, seed=0, report=lambda e, s: None
        )
        losses.append((windows.truth() - model.predict(windows.blind()).mean) ** 2)
        assert len(windows) == 3 * len(one)
    np.testing.assert_array_equal(*losses)
    np.testing.assert_array_equal(*(Windows.of(v, one.index).item for v in (plain, other)))


def test_a_union_of_equal_histories_is_their_intersection(tmp_path):
    frames = {ticker: frame(ticker, days(40)) for ticker in ("AAA", "BBB")}
    path = write(tmp_path / "bars", frames, "files", ".csv")
    one, other = (read(path, ("AAA", "BBB"), align=a) for a in ("intersection", "union"))
    assert other.members is None
    assert one.fingerprint == other.fingerprint


# Lives


def test_a_union_keeps_every_ticker_from_its_first_bar_to_its_last(tmp_path):
    whole = days(40)
    frames = {
        "AAA": frame("AAA", whole),
        "EARLY": frame("EARLY", whole[:25]),
        "LATE": frame("LATE", whole[10:]),
    }
    path = write(tmp_path / "bars", frames, "long", ".csv")
    found = read(path, ("AAA", "EARLY", "LATE"), align="union")
    assert len(found) == 40
    assert found.alive.sum(axis=0).tolist() == [40, 25, 30]
    np.testing.assert_array_equal(found.members, found.alive)
    np.testing.assert_array_equal(found["close"][:25, 1], frames["EARLY"]["close"])
    assert all(np.isnan(values[25:, 1]).all() for values in found.fields.values())
    assert len(read(path, ("AAA", "EARLY", "LATE"))) == 15


def test_a_hole_inside_a_life_is_refused_filled_or_dropped_for_all(tmp_path):
    whole = days(30)
    halted = frame("HALT", whole[:20]).drop(index=[7, 8])
    path = write(tmp_path / "b", {"AAA": frame("AAA", whole), "HALT": halted}, "files", ".csv")
    both = ("AAA", "HALT")
    [told] = refused(path, both, align="union")
    assert "'HALT' has no bar at 2020-01-10 and 1 more" in told
    filled = read(path, both, align="union", repair=("forward_fill:2",))
    assert filled["close"][7:9, 1].tolist() == [filled["close"][6, 1]] * 2
    assert filled["volume"][7:9, 1].tolist() == [0, 0]
    # The halt was filled, the delisting was not.
    assert filled.alive[:, 1].tolist() == [True] * 20 + [False] * 10
    dropped = read(path, both, align="union", repair=("intersect",))
    assert len(dropped) == 28
    assert dropped.notes == ("AAA: dropped 2 bars that not all tickers have that were listed then",)
    assert dropped.alive[:, 1].sum() == 18


def test_check_names_the_ticker_that_an_intersection_loses_bars_to(tmp_path):
    whole = days(60)
    frames = {t: frame(t, whole) for t in ("AAA", "BBB")} | {"NEW": frame("NEW", whole[40:])}
    path = write(tmp_path / "bars", frames, "files", ".csv")
    [found] = [f for f in examine(path).findings if f.what == "alignment"]
    assert (found.severity, found.ticker, found.count) == ("warning", "NEW", 40)
    assert "costs the others 40 of 60 bars" in found.found
    assert "union" in found.fix
    assert not [f for f in examine(path, align="union").findings if f.what == "alignment"]


def test_the_fingerprint_knows_the_members():
    dataset = universe(40, BBB=(5, 30))
    members = dataset.members.copy()
    members[10, 0] = False
    assert dataset.among(members).fingerprint != dataset.fingerprint
    assert dataset.slice(0, 40).fingerprint == dataset.fingerprint


# Windows


@given(lives_of, lives_of, st.integers(1, 8), st.integers(2, 10), st.integers(0, 5))
def test_no_window_is_decided_where_the_ticker_is_no_member_or_knows_too_little(
    life, other, horizon, window, seed
):
    dataset = living(bars(LENGTH), {"BBB": life, "CCC": other})
    if dataset.members is not None:
        rng = np.random.default_rng(seed)
        dataset = dataset.among(dataset.members & (rng.random((LENGTH, 3)) < 0.8))
    seen = seen_as(dataset, horizon=horizon, window=window)
    windows = Windows.of(seen, np.arange(LENGTH))
    if dataset.members is not None:
        assert dataset.members[windows.at, windows.item].all()
        assert np.isfinite(windows.inputs()).all()
        assert np.isfinite(seen.past[windows.at, windows.item]).all()
        # Ordered by bar, then by ticker, each once.
        assert (np.diff(windows.at * 3 + windows.item) > 0).all()
        labelled = windows.labelled()
        assert np.isfinite(labelled.truth()).all()
        assert (labelled.at <= seen.last_labelled).all()


@pytest.mark.slow
@given(lives_of)
def test_who_else_is_listed_changes_no_window_of_a_ticker(life):
    whole = bars(LENGTH)
    alone, among = whole.select(["AAA", "CCC"]), living(whole, {"BBB": life})
    told = {"features": PER_TICKER, "horizon": 3, "window": 5}
    one, other = seen_as(alone, **told), seen_as(among, **told)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part)[:, [0, 2]])
    np.testing.assert_array_equal(one.usable, other.usable[:, [0, 2]])


@pytest.mark.slow
@given(lives_of)
def test_a_ticker_sees_the_same_in_a_universe_as_if_the_data_were_its_life(life):
    start, stop = life
    told = {"features": PER_TICKER, "horizon": 3, "window": 5}
    among = seen_as(living(bars(LENGTH), {"AAA": life, "BBB": life}), **told)
    own = seen_as(bars(LENGTH).select(["AAA", "BBB"]).slice(start, stop), **told)
    np.testing.assert_array_equal(among.features[start:stop, :2], own.features)
    np.testing.assert_array_equal(among.usable[start:stop, :2], own.usable)
    assert not np.isfinite(among.features[:start, :2]).any()
    assert not np.isfinite(among.features[stop:, :2]).any()
    # Where the data of its life alone know an outcome, so does the universe, and it is the same.
    known = np.isfinite(own.target)
    np.testing.assert_array_equal(among.target[start:stop, :2][known], own.target[known])


def test_a_bar_is_a_sample_as_soon_as_one_ticker_can_be_decided_on():
    seen = seen_as(universe(60, AAA=(20, 60), BBB=(30, 50), CCC=(25, 40)))
    # rsi:5 warms up for 5 bars, the window takes 5 more.
    assert seen.first_bar == 20 + 5 + 5
    samples = seen.samples()
    assert isinstance(samples, Samples)
    assert samples.index.tolist() == list(range(30, 56))
    assert (samples.ends - samples.starts == 4).all()


def test_history_before_a_membership_is_seen_and_outcomes_after_it_count():
    dataset = bars(60)
    members = np.ones((60, 3), dtype=bool)
    members[:30, 1] = members[41:, 1] = False
    seen = seen_as(dataset.among(members))
    at = Windows.of(seen, np.arange(60)).labelled()
    own = at.at[at.item == 1]
    assert own.tolist() == list(range(30, 41))
    full = seen_as(dataset)
    np.testing.assert_array_equal(seen.target[own, 1], full.target[own, 1])
    np.testing.assert_array_equal(seen.features, full.features)


def test_cutting_a_universe_is_the_same_as_never_having_had_the_bars():
    dataset = universe(90, AAA=(10, 50), BBB=(0, 58), CCC=(30, 90))
    cut, never = seen_as(dataset).until(60), seen_as(dataset.slice(0, 60))
    same(cut, never)
    np.testing.assert_array_equal(cut.usable, never.usable)
    np.testing.assert_array_equal(cut.samples().index, never.samples().index)
    assert not np.isfinite(cut.target[56:]).any()


def test_two_files_of_a_universe_join_with_their_members():
    dataset = universe(60, BBB=(10, 35))
    both, since = joined(dataset.slice(0, 40), dataset.slice(40, 60))
    assert both.fingerprint == dataset.fingerprint
    assert since == str(dataset.times[40])


# Labels of a life that ends

CLOSES = np.array([10.0, 11.0, 12.0, 9.0, 4.0, 1.0])


def crashed(target: str, horizon: int) -> View:
    """One ticker that ends at bar 5 with these closes, another that goes on to bar 19."""
    dataset = living(bars(20, ["GONE", "KEPT"]), {"GONE": (0, 6)})
    fields = {name: values.copy() for name, values in dataset.fields.items()}
    fields["close"][:6, 0] = CLOSES
    dataset = replace(dataset, fields=fields)
    return View.of(dataset, features=["log_return"], target=target, horizon=horizon, window=2)


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("log_return", lambda held: np.log(held[-1] / held[0])),
        ("return", lambda held: held[-1] / held[0] - 1),
        ("price", lambda held: held[-1]),
        ("direction", lambda held: float(held[-1] > held[0])),
        ("volatility", lambda held: 0.5 * np.log(np.mean(np.diff(np.log(held)) ** 2) + 1e-8)),
    ],
)
def test_a_label_that_a_delisting_cuts_short_is_made_of_the_bars_there_are(target, label):
    seen = crashed(target, horizon=3)
    for at in range(5):
        assert seen.target[at, 0] == pytest.approx(label(CLOSES[at : at + 4])), at
    # Decided at the last bar there is nothing to come; nothing at all after it.
    assert np.isnan(seen.target[5:, 0]).all()
    assert np.isfinite(seen.target[: 20 - 3, 1]).all()
    assert np.isnan(seen.target[20 - 3 :, 1]).all()
    # What forecasts are made from does not know it.
    assert np.isnan(seen.past[6:, 0]).all()


def test_a_label_is_cut_short_by_the_end_of_a_life_and_never_by_the_end_of_the_data():
    whole = bars(30)
    for stop in (24, 26, 28, 29):
        seen = seen_as(living(whole, {"BBB": (0, stop)}), horizon=5)
        assert np.isnan(seen.target[25:]).all()
        assert np.isfinite(seen.target[1 : min(25, stop - 1), 1]).all()
        assert np.isnan(seen.target[stop - 1 :, 1]).all()


def test_a_last_bar_is_forecast_but_not_judged():
    seen = seen_as(universe(60, BBB=(0, 40)))
    windows = Windows.of(seen, np.arange(30, 50))
    assert 39 in windows.at[windows.item == 1]
    assert windows.labelled().at[windows.labelled().item == 1].max() == 38
    assert len(windows.blind()) == len(windows)


# Features


@pytest.mark.parametrize("spec", ["ema:5", "rsi:5"])
def test_what_remembers_everything_begins_at_each_tickers_own_first_bar(spec):
    name, _, number = spec.partition(":")
    compute = registry.load("features", name).compute
    late = compute(universe(60, BBB=(20, 45)), int(number))
    own = compute(bars(60).slice(20, 45), int(number))
    np.testing.assert_array_equal(late[20:45, 1], own[:, 1])
    assert np.isnan(late[:20, 1]).all()
    assert np.isnan(late[45:, 1]).all()


def spoiled(compute, dataset, monkeypatch):
    monkeypatch.setattr(registry.load("features", "log_range"), "compute", compute)
    with pytest.raises(DataError) as caught:
        seen_as(dataset, features=("log_range",))
    return str(caught.value)


def test_a_feature_that_bars_before_the_first_one_spoil_is_refused_by_name(monkeypatch):
    def since_ever(dataset):
        return np.cumsum(np.log(dataset["close"]), axis=0)

    told = spoiled(since_ever, universe(60, BBB=(20, 60)), monkeypatch)
    assert "feature 'log_range' of BBB is not finite 39 bars after the ticker's first bar" in told
    assert "2000-01-31" in told


def test_a_feature_that_the_absence_of_others_spoils_is_refused_by_name(monkeypatch):
    def against_all(dataset):
        return dataset["close"] / dataset["close"].mean(axis=1, keepdims=True)

    told = spoiled(against_all, universe(60, BBB=(20, 60)), monkeypatch)
    assert "feature 'log_range' of AAA is not finite 19 bars after the ticker's first bar" in told
    told = spoiled(against_all, universe(60, BBB=(0, 40)), monkeypatch)
    assert "feature 'log_range' of AAA is not finite at" in told


def test_a_feature_across_tickers_that_leaves_out_the_absent_is_welcome(monkeypatch):
    def against_present(dataset):
        return dataset["close"] / np.nanmean(dataset["close"], axis=1, keepdims=True)

    monkeypatch.setattr(registry.load("features", "log_range"), "compute", against_present)
    seen = seen_as(universe(60, BBB=(20, 60)), features=("log_range",))
    assert seen.first_bar < 20


def test_a_ticker_that_lived_too_short_for_a_feature_has_no_window_and_affects_no_other():
    seen = seen_as(universe(80, BBB=(20, 26)), features=("log_volatility:21",))
    assert not seen.usable[:, 1].any()
    assert seen.usable[:, 0].any()


# Coarser bars


def test_a_week_in_which_a_ticker_begins_or_ends_is_made_of_its_bars():
    dataset = universe(40, BBB=(7, 28))
    weeks = resample(dataset, "W", dated=True)
    plain = resample(bars(40), "W", dated=True)
    np.testing.assert_array_equal(weeks.times, plain.times)
    for name in dataset.fields:
        np.testing.assert_array_equal(weeks[name][:, 0], plain[name][:, 0])
    week = weeks.times.searchsorted(dataset.times[7])
    last = weeks.times.searchsorted(dataset.times[27])
    own = {name: values[:, 1] for name, values in dataset.fields.items()}
    days_of = np.flatnonzero(weeks.times.searchsorted(dataset.times) == week)
    assert weeks["open"][week, 1] == own["open"][7]
    assert weeks["high"][week, 1] == np.nanmax(own["high"][days_of])
    assert weeks["low"][week, 1] == np.nanmin(own["low"][days_of])
    assert weeks["volume"][week, 1] == pytest.approx(np.nansum(own["volume"][days_of]))
    # Its last week has its last price, and nobody can buy it at the end of that week.
    assert weeks["close"][last, 1] == own["close"][27]
    assert weeks.alive[:, 1].tolist() == [week <= n <= last for n in range(len(weeks))]
    assert not weeks.members[last, 1]
    assert weeks.members[week:last, 1].all()


def test_a_week_is_of_a_member_when_its_last_bar_is():
    members = np.ones((40, 3), dtype=bool)
    members[17:23, 1] = False
    weeks = resample(bars(40).among(members), "W", dated=True)
    whole = resample(bars(40), "W", dated=True)
    # Weekdays from a Monday on; the week of bars 15 to 19 ends without it, that of 20 to 24 not.
    assert [str(t)[:10] for t in weeks.times[~weeks.members[:, 1]]] == ["2000-01-28"]
    np.testing.assert_array_equal(weeks["close"], whole["close"])


# Dated membership


def with_members(tmp_path, *rows, lives=None):
    whole = days(40)
    frames = {t: frame(t, whole[slice(*(lives or {}).get(t, (0, 40)))]) for t in ("AAA", "BBB")}
    dataset = read(write(tmp_path / "bars", frames, "files", ".csv"), ("AAA", "BBB"), align="union")
    table = tmp_path / "members.csv"
    table.write_text("\n".join(["Ticker,from,to", *rows]) + "\n", encoding="utf-8-sig")
    return laid(dataset, table)


def test_both_ends_of_a_membership_are_in_it_and_a_ticker_may_come_back(tmp_path):
    found = with_members(
        tmp_path,
        "AAA,2020-01-01,",
        "BBB,2020-01-02,2020-01-06",
        "BBB,2020-01-13T00:00:00Z,2020-01-14",
    )
    inside = [str(t)[:10] for t in found.times[found.members[:, 1]]]
    assert inside == ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-13", "2020-01-14"]
    assert found.members[:, 0].all()
    assert found.alive.all()


def test_every_error_of_a_table_of_members_is_reported_at_once(tmp_path):
    with pytest.raises(DataError) as caught:
        with_members(tmp_path, "AAA,2020-13-01,", ",2020-01-01,", "BBB,2020-02-01,2020-01-01")
    told = str(caught.value)
    assert "members.csv line 2 has from '2020-13-01'" in told
    assert "members.csv line 3 has no ticker" in told
    assert "members.csv line 4 ends at 2020-01-01, before it begins at 2020-02-01" in told
    with pytest.raises(DataError, match=r"ticker 'BBB' has no row in members.csv.*Did you mean"):
        with_members(tmp_path, "AAA,2020-01-01,", "BBBB,2020-01-01,")


def test_a_member_without_bars_is_refused_with_where_its_bars_are(tmp_path):
    with pytest.raises(DataError) as caught:
        with_members(
            tmp_path, "AAA,2020-01-01,", "BBB,2020-01-01,2020-02-14", lives={"BBB": (3, 20)}
        )
    told = str(caught.value)
    assert "line 3: ticker 'BBB' is a member and has no bar at 2020-01-01 (16 such)" in told
    assert "its bars are 2020-01-06 to 2020-01-28" in told


def test_a_missing_or_strange_table_of_members_is_refused(tmp_path):
    dataset = bars(20)
    with pytest.raises(DataError, match="cannot be read: no such file"):
        laid(dataset, tmp_path / "none.csv")
    (tmp_path / "m.csv").write_text("name;start\n")
    with pytest.raises(DataError, match=r"has no column ticker, from, to \(found: name;start\)"):
        laid(dataset, tmp_path / "m.csv")


# Leaks


def test_a_feature_that_reads_later_membership_is_caught_and_its_twin_is_not():
    dataset = universe(80, BBB=(10, 70), CCC=(30, 80))

    def will_stay(seen: Dataset) -> np.ndarray:
        members = seen.members if seen.members is not None else seen.alive
        return np.where(members, seen["close"] * members.sum(axis=0), np.nan)

    def was_there(seen: Dataset) -> np.ndarray:
        members = seen.members if seen.members is not None else seen.alive
        return np.where(members, seen["close"] * members.cumsum(axis=0), np.nan)

    def next_bars(seen: Dataset) -> np.ndarray:
        members = seen.members if seen.members is not None else seen.alive
        return np.where(np.vstack([members[1:], members[-1:]]), seen["close"], np.nan)

    assert leak.probe(will_stay, dataset, 50) is not None
    assert leak.probe(next_bars, dataset, 50) is not None
    assert leak.probe(was_there, dataset, 50) is None


@looped("spec", PER_TICKER[:-2])
def test_no_feature_of_a_universe_knows_the_future(spec):
    name, *numbers = spec.split(":")
    compute = registry.load("features", name).compute
    dataset = universe(80, BBB=(10, 70), CCC=(30, 80))
    assert leak.probe(lambda d: compute(d, *map(int, numbers)), dataset, 50) is None


def test_no_forecast_in_a_universe_knows_who_will_live_on():
    dataset = universe(120, BBB=(10, 90), CCC=(30, 120))
    family = registry.family("naive")
    for seed in range(3):
        config = {"method": "ewma", "debias": True}
        assert leak.probe_family(family, config, dataset, 88, view_of=view, seed=seed) is None
