"""A project whose tickers come and go, from files to a champion, a backtest and forecasts."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from podium import config
from podium.cli.main import run
from podium.index import Index
from podium.ledger import reads
from podium.portfolio import simulate
from podium.resolve import load_model
from podium.steps.archive import init
from podium.steps.archive.reproduce import reproduce
from podium.steps.data.bars import slot_data
from podium.steps.data.check import check
from podium.steps.decisions.compare import _on_common_windows, compare
from podium.steps.evidence.terms import tradable
from podium.steps.serving.check_slot import check_slot
from podium.steps.serving.predict import predict, store_forecasts
from podium.steps.workspace.session import open_project
from projects import LENIENT, SMALL, merge, run_project, toml
from universes import universe

SLOT, SURVIVORS = "uni/D/return", "survivors/D/return"
TICKERS = ["CRASH", "AAA", "LATE", "BBB"]
BARS, CRASHED, LISTED = 520, 470, 405
SETTINGS = merge(
    {key: value for key, value in SMALL.items() if key not in ("datasets", "slots")},
    {
        "project": {"default_slot": SLOT},
        "tune": {"trials": 2},
        "policies": LENIENT,
        "datasets": {
            "uni": {
                "path": "bars",
                "tickers": TICKERS,
                "timeframe": "D",
                "adjust": False,
                "align": "union",
                "members": "members.csv",
            },
            "survivors": {
                "path": "bars",
                "tickers": TICKERS[1:],
                "timeframe": "D",
                "adjust": False,
                "align": "union",
            },
        },
    },
)


def slot(dataset, **settings):
    return {
        "dataset": dataset,
        "target": "log_return",
        "horizon": 5,
        "window": 8,
        "features": ["log_return", "log_volatility:10", "ema:5"],
        "signal": "sign",
        "test_from": str(DAYS[400])[:10],
        **settings,
    }


DAYS = pd.bdate_range("2000-01-03", periods=BARS, unit="s")
LIVES = {"CRASH": slice(0, CRASHED), "LATE": slice(LISTED, BARS)}


def bars_of(ticker):
    """Prices that wander a little upwards; of one they fall to nothing before it is delisted."""
    rng = np.random.default_rng(list(ticker.encode()))
    returns = rng.normal(0.0005, 0.01, BARS)
    if ticker == "CRASH":
        returns[CRASHED - 20 : CRASHED] = -0.2
    close = 100 * np.exp(np.cumsum(returns))
    start = close * np.exp(rng.normal(0, 0.001, BARS))
    frame = pd.DataFrame(
        {
            "date": DAYS,
            "open": start,
            "high": np.maximum(start, close) * 1.001,
            "low": np.minimum(start, close) / 1.001,
            "close": close,
            "volume": rng.integers(1000, 5000, BARS),
        }
    )
    return frame[LIVES.get(ticker, slice(None))]


def configure(root, **settings):
    slots = {SLOT: slot("uni", **settings), SURVIVORS: slot("survivors")}
    (root / "podium.toml").write_text(toml(merge(SETTINGS, {"slots": slots})))


def made(folder, *more):
    """A project of these bars; AAA leaves in the middle of the test for a while, and trades on."""
    root = init.init(folder)
    (root / "bars").mkdir()
    for ticker in TICKERS:
        bars_of(ticker).to_csv(root / "bars" / f"{ticker}.csv", index=False)
    day = [str(moment)[:10] for moment in DAYS]
    rows = [
        "ticker,from,to",
        f"CRASH,{day[0]},{day[CRASHED - 1]}",
        f"LATE,{day[LISTED]},",
        f"AAA,{day[0]},{day[440]}",
        f"AAA,{day[461]},",
        f"BBB,{day[0]},",
        *more,
    ]
    (root / "members.csv").write_text("\n".join(rows) + "\n")
    configure(root)
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two slots, with all tickers and with those that are left; two candidates of the first."""
    root = made(tmp_path_factory.mktemp("universe") / "mine")
    run_project(root)
    configure(root, window=20)
    run_project(root)
    configure(root)
    return root


def evidence(root, name, position=0):
    with open_project(root) as project:
        candidate = project.reader.rows("candidates", slot=name)[position]
        with project.ledger.reading() as tx:
            return candidate, reads.evidence_of(tx, candidate["id"])


def series(root, found, name):
    with open_project(root) as project, project.ledger.reading() as tx:
        return reads.array(tx, found.series[name])


def windows_of(index):
    return zip(index.item.tolist(), index.seconds.tolist(), strict=True)


def test_every_loss_of_the_test_is_that_of_a_member_who_had_an_outcome(root):
    with open_project(root) as project:
        data = slot_data(project.config, SLOT)
        oldest = project.reader.rows("candidates", slot=SLOT)[-1]
    _, found = evidence(root, SLOT, -1)
    assert oldest["slot"] == SLOT
    test = found["test"]
    losses, index = series(root, test, "loss"), Index.unpack(series(root, test, "index"))
    windows = data.test_windows
    assert len(losses) == test.scalars["windows"].value == len(windows)
    np.testing.assert_array_equal(index.item, windows.item)
    np.testing.assert_array_equal(index.decided_at, windows.decided_at)
    np.testing.assert_array_equal(index.target_end, windows.target_end)
    assert (index.decided_at < index.target_end).all()
    assert index.target_end[index.item == 0].max() == data.view.times[CRASHED - 1]
    crash = windows.at[windows.item == 0]
    # Decided up to the bar before its last, the crash itself is judged.
    assert crash.min() == 400
    assert crash.max() == CRASHED - 2
    aaa = windows.at[windows.item == 1]
    assert not set(aaa) & set(range(441, 461))
    assert {440, 461} <= set(aaa)
    for n, ticker in enumerate(TICKERS):
        mean = losses[index.item == n].astype(np.float64).mean()
        assert test.scalars[f"loss:{ticker}"].value == pytest.approx(mean, rel=1e-5)


def test_survivors_only_would_have_shown_a_better_portfolio(root):
    honest, survivors = (evidence(root, name)[1]["backtest"].scalars for name in (SLOT, SURVIVORS))
    # Equal parts bought at the begin of the test: the crash took one of three.
    key = "buy and hold:total_return"
    assert survivors[key].value > honest[key].value + 0.15
    key = "equal weight:total_return"
    assert survivors[key].value > honest[key].value + 0.15


def test_candidates_of_other_windows_are_compared_where_both_were_judged(root):
    with open_project(root) as project:
        names = [row["id"] for row in project.reader.rows("candidates", slot=SLOT)]
        assert len(names) == 2
        found = compare(project, names)
    indexes = [
        Index.unpack(series(root, evidence(root, SLOT, n)[1]["test"], "index")) for n in (0, 1)
    ]
    # Longer windows begin later with a ticker that was listed in the middle of the test.
    assert len(indexes[0]) != len(indexes[1])
    both = [evidence(root, SLOT, n)[1]["test"] for n in (0, 1)]
    with open_project(root) as project:
        held = _on_common_windows(project.reader, [{"series": one.series} for one in both])
    named = [
        dict(zip(windows_of(index), series(root, one, "loss"), strict=True))
        for index, one in zip(indexes, both, strict=True)
    ]
    shared = sorted(set(named[0]) & set(named[1]), key=lambda window: window[1])
    for losses, mine in zip(held, named, strict=True):
        days = pd.Series({w: float(mine[w]) for w in shared}).groupby(level=1).mean()
        np.testing.assert_allclose(losses, days)
    assert found.kind == "candidates"
    assert "on the sealed test" in found.sentence


def test_a_newcomer_is_held_against_the_champion_on_the_windows_both_have(root):
    _, found = evidence(root, SLOT, 0)
    against = found.get("against_champion") or evidence(root, SLOT, 1)[1]["against_champion"]
    assert np.isfinite(against.scalars["loss"].value)
    assert np.isfinite(against.scalars["champion_loss"].value)


class Listening:
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)

    def progress(self, *told):
        pass


def test_only_who_is_a_member_now_is_forecast_and_the_others_are_named(root, capsys):
    reporter = Listening()
    with open_project(root, reporter=reporter) as project:
        rows = predict(project, SLOT).rows()
    assert [row["ticker"] for row in rows] == ["AAA", "LATE", "BBB"]
    [told] = [words for words in reporter.said if "no forecast" in words]
    assert f"CRASH (not a member after {DAYS[CRASHED - 1].isoformat()})" in told
    assert run(["predict", SLOT, "--project", str(root), "--json"]) == 0
    answer = capsys.readouterr()
    assert "CRASH" not in answer.out
    assert len(json.loads(answer.out)["items"]) == 3


def test_a_champion_of_a_universe_is_scored_and_kept_as_its_members_come_and_go(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "copy")
    with open_project(copy) as project, project.ledger.reading() as tx:
        holder = reads.champion_of(tx, SLOT)
        test = reads.evidence_of(tx, holder)["test"]
        found = {one.what: one.figures for one in check_slot(project, SLOT).findings}
    # The test ends where the data do, so all bars since the training are those of the test.
    assert found["baseline"]["since_training_loss"] == pytest.approx(test.scalar("loss"))
    assert found["baseline"]["since_training_naive_loss"] == pytest.approx(
        test.scalar("naive_loss")
    )
    assert np.isfinite(found["drift"]["drift_p_value"])
    with open_project(copy) as project:
        [kept] = store_forecasts(project, SLOT, str(DAYS[CRASHED - 2])[:10])
        assert kept.forecasts == 3 * (BARS - CRASHED + 2) + 2
        rows = project.reader.query(
            "SELECT ticker, max(decided_at) AS at FROM forecast GROUP BY ticker"
        )
    last = {row["ticker"]: row["at"] for row in rows}
    assert last.pop("CRASH") == DAYS[CRASHED - 1].isoformat()
    assert set(last.values()) == {DAYS[-1].isoformat()}


def test_a_loaded_model_takes_tickers_of_unequal_length_and_names_who_is_gone(root):
    with open_project(root) as project:
        path = project.store / project.reader.rows("candidates", slot=SLOT)[0]["artifact_path"]
    frame = pd.concat([bars_of(ticker).assign(ticker=ticker) for ticker in TICKERS])
    with pytest.warns(UserWarning, match=r"no forecast at .* for CRASH \(not a member after"):
        found = load_model(path).predict(frame)
    newest = found[found["decided_at"] == found["decided_at"].max()]
    assert newest["ticker"].tolist() == ["AAA", "LATE", "BBB"]
    crash = found[found["ticker"] == "CRASH"]
    assert crash["decided_at"].max() == DAYS[CRASHED - 1]
    assert np.isfinite(found["forecast"]).all()
    with open_project(root) as project:
        rows = {row["ticker"]: row["forecast"] for row in predict(project, SLOT).rows()}
    told = dict(zip(newest["ticker"], newest["forecast"], strict=True))
    if load_model(path).section.window == 8:
        assert told == pytest.approx(rows)


def test_a_trial_of_a_universe_is_trained_again_bit_equal_and_other_members_are_told(
    root, tmp_path
):
    with open_project(root) as project:
        trial = project.reader.rows("trials", slot=SLOT, where="family=lstm")[-1]["id"]
        assert reproduce(project, trial).equal
    copy = shutil.copytree(root, tmp_path / "copy")
    table = (copy / "members.csv").read_text().splitlines()
    (copy / "members.csv").write_text("\n".join(table).replace(str(DAYS[440])[:10], "2001-08-01"))
    with open_project(copy) as project:
        found = reproduce(project, trial)
    assert not found.equal
    assert "has fingerprint" in found.problems[0].found


def test_what_leaves_the_universe_is_priced_until_it_is_sold(root_of_files):
    data = slot_data(config.load(root_of_files, environ={}), SLOT)
    prices = tradable(data.dataset, data.dataset["close"])
    known = np.isfinite(prices)
    # A member until 440, known to have left at 441, sold at 442.
    assert known[:443, 1].all()
    assert not known[443:461, 1].any()
    assert known[461:, 1].all()
    assert known[:, 0].tolist() == [True] * CRASHED + [False] * (BARS - CRASHED)


def test_what_left_is_sold_at_the_close_after_and_what_was_delisted_at_its_last_price():
    dataset = universe(30, CCC=(0, 20))
    members = dataset.members.copy()
    members[10:, 1] = False
    dataset = dataset.among(members)
    close = dataset["close"]
    for column, last in ((1, 11), (2, 19)):
        weights = np.full((30, 3), np.nan)
        weights[0] = np.arange(3) == column
        result = simulate(tradable(dataset, close), weights)
        assert result.equity[-1] == pytest.approx(close[last, column] / close[1, column])
        assert not result.weights_held[last + 1 :].any()
        assert result.weights_held[last, column] == pytest.approx(1.0)


@pytest.fixture
def root_of_files(tmp_path):
    return made(tmp_path / "mine", "GONE,2000-01-03,")


def test_check_reports_spans_members_per_year_and_members_without_files(root_of_files):
    found = check(config.load(root_of_files, environ={}), "uni")
    told = {(f.what, f.severity): f.found for f in found.findings}
    lives = [f.found for f in found.findings if f.what == "lives"]
    assert lives[0] == f"CRASH: {DAYS[0].isoformat()} to {DAYS[CRASHED - 1].isoformat()}"
    assert told["members", "note"] == "members per year: 2000 3, 2001 4"
    assert "names members that the dataset lacks: GONE" in told["members", "warning"]
    assert not found.refused
    (root_of_files / "members.csv").write_text("ticker,from,to\nCRASH,2000-01-03,\n")
    found = check(config.load(root_of_files, environ={}), "uni")
    assert found.refused
    assert "'CRASH' is a member and has no bar" in " ".join(f.found for f in found.findings)


def test_a_universe_without_delistings_gets_a_note_on_survivorship_bias(tmp_path):
    (tmp_path / "bars").mkdir()
    whole = pd.bdate_range("2000-01-03", periods=900, unit="s")
    for ticker in ("AAA", "BBB"):
        pd.concat([bars_of(ticker)] * 2)[:900].assign(date=whole).to_csv(
            tmp_path / "bars" / f"{ticker}.csv", index=False
        )
    found = check(None, str(tmp_path / "bars"), align="union")
    [note] = [f for f in found.findings if f.what == "survivors"]
    assert "survivorship bias" in note.found
    assert not [f for f in check(None, str(tmp_path / "bars")).findings if f.what == "survivors"]
