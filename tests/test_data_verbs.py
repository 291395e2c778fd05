"""podium data and podium check: what they find, what they write, what they refuse."""

import csv as csv_module
import io
import json
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barfiles import HEADER, ROWS, bars, csv, days, write
from podium import config
from podium.cli.main import run
from podium.errors import ConflictError, DataError, MissingExtraError, UsageError
from podium.steps.archive.init import init
from podium.steps.data import glucose as _glucose
from podium.steps.data.bars import load_dataset
from podium.steps.data.check import check
from podium.steps.data.data import add, make
from podium.steps.data.sequences import load_sequences

TICKERS = ("AAA", "BBB")


@pytest.fixture
def root(tmp_path):
    return init(tmp_path / "mine")


@pytest.fixture
def frames():
    return {ticker: bars(ticker, days()) for ticker in TICKERS}


def say(capsys, *arguments):
    capsys.readouterr()
    code = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def table(root, name):
    return tomllib.loads((root / "podium.toml").read_text())["datasets"][name]


def loaded(root, name):
    return load_dataset(config.load(root, environ={}), name)


# data add


@pytest.mark.parametrize(("layout", "ending"), [("files", ".csv"), ("long", ".parquet")])
def test_an_inferred_dataset_is_stored_and_loads(layout, ending, root, frames, capsys):
    path = write(root / "bars", frames, layout, ending)
    code, out, err = say(capsys, "data", "add", "mine", path, "--project", root)
    assert code == 0
    assert "AAA, BBB" in out
    assert "next: podium check mine" in err
    told = table(root, "mine")
    assert told == {
        "path": path.relative_to(root).as_posix(),
        "tickers": ["AAA", "BBB"],
        "timeframe": "D",
        "adjust": True,
        **({} if ending == ".csv" else {"reader": "parquet", "layout": "long"}),
    }
    found = loaded(root, "mine")
    assert found.tickers == TICKERS
    assert found.fingerprint in out


def test_the_rest_of_the_file_stays_as_it_was_comments_and_line_ends_too(root, frames):
    path = write(root / "bars", frames, "files", ".csv")
    for ending in (b"\n", b"\r\n"):
        text = (root / "podium.toml").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", ending)
        (root / "podium.toml").write_bytes(text.rstrip())
        before = (root / "podium.toml").read_bytes()
        name = "one" if ending == b"\n" else "two"
        add(root, name, [path])
        after = (root / "podium.toml").read_bytes()
        assert after.startswith(before)
        assert after.count(b"\r\n") == (after.count(b"\n") if ending == b"\r\n" else 0)
        assert table(root, name)["timeframe"] == "D"


def test_a_taken_or_impossible_name_is_refused_and_nothing_changes(root, frames, capsys):
    path = write(root / "bars", frames, "files", ".csv")
    add(root, "mine", [path])
    before = (root / "podium.toml").read_bytes()
    code, _, err = say(capsys, "data", "add", "mine", path, "--project", root)
    assert code == 6
    assert "has a dataset 'mine'" in err
    assert say(capsys, "data", "add", "my bars", path, "--project", root)[0] == 2
    assert (root / "podium.toml").read_bytes() == before


def test_a_file_that_takes_no_table_at_its_end_is_left_alone(root, frames):
    path = write(root / "bars", frames, "files", ".csv")
    text = 'datasets = {}\n[project]\nname = "mine"\nid = "p-1"\n'
    (root / "podium.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        add(root, "mine", [path])
    assert "[datasets.mine]" in str(caught.value)
    assert (root / "podium.toml").read_text() == text


def test_errors_of_loading_are_reported_with_repairs_and_nothing_is_written(root, capsys):
    path = csv(root / "bars", HEADER, *ROWS[:3], ROWS[2], *ROWS[3:])
    before = (root / "podium.toml").read_bytes()
    code, out, err = say(capsys, "data", "add", "mine", path, "--project", root)
    assert code == 7
    assert not out
    assert 'repair = ["drop_duplicates"]' in err
    assert (root / "podium.toml").read_bytes() == before
    code, _, err = say(
        capsys, "data", "add", "mine", path, "--repair", "drop_duplicates", "--project", root
    )
    assert code == 0
    assert "dropped 1 repeated rows" in err
    assert table(root, "mine")["repair"] == ["drop_duplicates"]
    said = []
    found = load_dataset(config.load(root, environ={}), "mine", say=said.append)
    assert len(found) == 5
    assert said == ["dataset 'mine' repaired: AAA: dropped 1 repeated rows"]


def test_assumptions_about_intraday_stamps_are_printed_and_stored(root, capsys):
    hours = pd.date_range("2020-01-30", periods=72, freq="h", unit="s")
    frame = bars("EUR", hours, adjusted=False)
    frame["date"] = hours.strftime("%d.%m.%Y %H:%M:%S.000")
    frame = frame.rename(columns={"date": "Time (EET)"})
    path = write(root / "bars", {"EUR": frame}, "files", ".csv")
    code, _, err = say(capsys, "data", "add", "eur", path, "--project", root)
    assert code == 0
    assert "assumed: stamps are read as the open of their bar" in err
    assert "read as EET" in err
    told = table(root, "eur")
    assert (told["stamp"], told["timezone"]) == ("open", "EET")
    assert told["date_format"] == "%d.%m.%Y %H:%M:%S.%f"
    assert str(loaded(root, "eur").times[0]) == "2020-01-29T23:00:00"


def test_settings_given_are_kept_and_resampling_is_applied_when_loaded(root):
    hours = pd.date_range("2020-01-05T22:00", periods=240, freq="h", unit="s")
    frame = bars("EUR", hours, adjusted=False).rename(columns={"close": "Last Price"})
    path = write(root / "bars", {"EUR": frame}, "files", ".parquet")
    add(
        root,
        "eur",
        [path],
        columns={"close": "Last Price"},
        stamp="open",
        timezone="UTC",
        exchange_timezone="America/New_York",
        resample="D",
        day_starts_at="17:00",
    )
    assert table(root, "eur")["columns"] == {"close": "Last Price"}
    found = loaded(root, "eur")
    assert found.timeframe == "D"
    assert str(found.times[0]) == "2020-01-06T22:00:00"
    assert len(found) == 10


def test_files_may_be_copied_into_the_project(root, frames, tmp_path):
    elsewhere = write(tmp_path / "elsewhere", frames, "files", ".csv")
    add(root, "far", [elsewhere])
    assert table(root, "far")["path"] == "../elsewhere"
    add(root, "near", [elsewhere], copy=True)
    assert table(root, "near")["path"] == "data/near"
    assert loaded(root, "near").fingerprint == loaded(root, "far").fingerprint
    assert sorted(p.name for p in (root / "data" / "near").iterdir()) == ["AAA.csv", "BBB.csv"]
    # Files of another dataset that was taken out of podium.toml are not written over.
    text = (root / "podium.toml").read_text().replace("[datasets.near]", "[datasets.other]")
    (root / "podium.toml").write_text(text)
    with pytest.raises(ConflictError, match=r"AAA\.csv"):
        add(root, "near", [elsewhere], copy=True)


def test_a_shell_that_spells_out_a_pattern_is_understood(root, frames):
    place = write(root / "bars", frames, "files", ".csv")
    add(root, "all", sorted(place.iterdir()))
    assert table(root, "all")["path"] == "bars/*.csv"
    (place / "CCC.csv").write_bytes((place / "AAA.csv").read_bytes())
    with pytest.raises(UsageError, match="no one pattern"):
        add(root, "some", [place / "AAA.csv", place / "BBB.csv"])


def test_a_path_that_is_not_there_is_not_found(root, capsys):
    assert say(capsys, "data", "add", "x", root / "nothing", "--project", root)[0] == 3
    (root / "empty").mkdir()
    assert say(capsys, "data", "add", "x", root / "empty", "--project", root)[0] == 3


@pytest.mark.parametrize(
    "words", [["--columns", "time"], ["--timeframe", "2H"], ["--stamp", "middle"]]
)
def test_options_that_mean_nothing_are_usage_errors(words, root, frames, capsys):
    path = write(root / "bars", frames, "files", ".csv")
    assert say(capsys, "data", "add", "x", path, *words, "--project", root)[0] == 2


# data make


def test_the_demo_bars_are_a_dataset_like_any_other(root, capsys):
    code, _, _ = say(capsys, "data", "make", "demo", "--project", root)
    assert code == 0
    found = loaded(root, "us4")
    assert found.fingerprint == ("60f85ea313190aa300ef7ded292ed7ef12951b4a03502c77d975da458d6049a6")
    assert (root / "data" / "us4" / "SOURCE.md").is_file()
    make(root, "demo", name="again")
    assert loaded(root, "again").fingerprint == found.fingerprint


def test_files_of_others_are_not_written_over(root):
    place = root / "data" / "us4"
    place.mkdir(parents=True)
    (place / "AAPL.csv").write_text("mine")
    with pytest.raises(ConflictError, match=r"other files named AAPL\.csv"):
        make(root, "demo")
    assert (place / "AAPL.csv").read_text() == "mine"
    assert "us4" not in config.load(root, environ={}).datasets


def glucose_file(place, *, count=5000, nil=True):
    """A file of the sensor's layout: five minutes apart, a hole, cells without a reading."""
    rng = np.random.default_rng(0)
    stamps = pd.Timestamp("2010-03-24T09:51") + pd.to_timedelta(np.arange(count) * 5, unit="min")
    values = 110 + 70 * np.sin(np.arange(count) / 40) + rng.normal(0, 3, count)
    frame = pd.DataFrame(
        {
            "isig": np.round(values / 10, 2).astype(str),
            "datetime": stamps,
            "glucose": values.round().astype(int),
        }
    )
    if nil:
        frame.loc[[100, 101], "isig"] = "nil"
    frame = frame.drop(index=range(1000, 1005))
    frame.to_csv(place / "CGM.csv.gz", index=False)
    return place / "CGM.csv.gz"


def test_glucose_windows_are_causal_labelled_by_what_follows_and_share_no_day(tmp_path):
    frame = _glucose.load(glucose_file(tmp_path))
    parts = _glucose.sequences(frame)
    train, validation = parts["train"], parts["val"]
    assert train["X"].shape[1:] == (24, 2)
    assert not set(train["groups"]) & set(validation["groups"])
    assert max(train["groups"]) < min(validation["groups"])
    for part in (train, validation):
        now = part["X"][:, -1, 0]
        assert (now >= 70).all()
        assert (now[part["y"] == 1] <= 180).all()
        assert set(np.unique(part["y"])) == {0, 1, 2}
    # Every label is what the readings of the next half hour say.
    glucose = frame.set_index("datetime")["glucose"]
    for part in (train, validation):
        days = pd.DatetimeIndex(part["groups"])
        assert (days >= glucose.index[0].normalize()).all()
    values = glucose.to_numpy()
    windows = train["X"][:, :, 0]
    for row in (0, 200, 700, 1500):
        at = [
            n
            for n in range(23, len(values) - 6)
            if np.array_equal(values[n - 23 : n + 1], windows[row])
        ]
        for n in at:
            ahead = values[n + 1 : n + 7]
            low, high = ahead.min() < 70, ahead.max() > 180 and values[n] <= 180
            assert train["y"][row] == (2 if low else 1 if high else 0)


def test_a_glucose_reading_that_is_missing_is_the_last_one_and_never_a_later_one(tmp_path):
    frame = _glucose.load(glucose_file(tmp_path, nil=False))
    parts = _glucose.sequences(frame)
    later = frame.copy()
    cut = 2000
    later.loc[later.index[cut:], "glucose"] = 130
    changed = _glucose.sequences(later)
    until = str(frame["datetime"].iloc[cut])[:10]
    known = parts["train"]["groups"] < until
    assert known.any()
    np.testing.assert_array_equal(parts["train"]["X"][known], changed["train"]["X"][: known.sum()])
    # A hole of up to a quarter of an hour is filled, a longer one leaves its samples out.
    short = frame.drop(index=frame.index[300:303])
    long = frame.drop(index=frame.index[300:304])
    count = [len(_glucose.sequences(f)["train"]["y"]) for f in (frame, short, long)]
    assert count[0] == count[1]
    assert count[2] < count[1]


def test_the_package_that_brings_the_glucose_data_is_named_when_it_is_missing(root, monkeypatch):
    monkeypatch.setattr(_glucose, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install bokeh-sampledata") as caught:
        make(root, "glucose")
    assert caught.value.exit_code == 8
    assert "glucose" not in config.load(root, environ={}).datasets


def test_glucose_becomes_a_dataset_of_two_files(root, tmp_path, monkeypatch, capsys):
    place = tmp_path / "package"
    (place / "_data").mkdir(parents=True)
    glucose_file(place / "_data")

    class Spec:
        submodule_search_locations = (str(place),)

    monkeypatch.setattr(_glucose, "find_spec", lambda name: Spec())
    make(root, "glucose")
    train, validation = load_sequences(config.load(root, environ={}), "glucose")
    assert train.class_names == ("normal", "rises above 180", "falls below 70")
    assert validation is not None
    assert not set(train.groups) & set(validation.groups)
    code, out, _ = say(capsys, "check", "glucose", "--project", root)
    assert code == 0
    assert "train_sequences.npz: normal" in out
    # The same files again are the same bytes: nothing is in the way.
    text = (root / "podium.toml").read_text().replace("[datasets.glucose]", "[datasets.g]")
    (root / "podium.toml").write_text(text)
    make(root, "glucose")


@pytest.mark.skipif(find_spec("bokeh_sampledata") is None, reason="needs bokeh-sampledata")
def test_the_real_glucose_data_have_the_classes_they_are_known_for():
    parts = _glucose.sequences(_glucose.readings())
    labels = np.concatenate([part["y"] for part in parts.values()])
    assert len(labels) == 45_893
    shares = np.bincount(labels) / len(labels)
    np.testing.assert_allclose(shares, [0.934, 0.042, 0.024], atol=5e-4)


# Sequences as datasets


def npz(path, *, seed=0, classes=3, names=None, groups=None):
    rng = np.random.default_rng(seed)
    arrays = {"X": rng.normal(size=(20, 5, 2)), "y": np.arange(20) % classes}
    if names:
        arrays["feature_names"] = np.array(names)
    if groups is not None:
        arrays["groups"] = groups
    np.savez(path, **arrays)
    return path


def test_sequences_are_added_with_both_files(root, capsys):
    train, validation = npz(root / "t.npz"), npz(root / "v.npz", seed=1, classes=2)
    code, out, _ = say(
        capsys, "data", "add", "s", train, "--validation", validation, "--project", root
    )
    assert code == 0
    assert "class_0 7, class_1 7, class_2 6" in out
    assert table(root, "s") == {"path": "t.npz", "reader": "npz", "validation": "v.npz"}
    one, two = load_sequences(config.load(root, environ={}), "s")
    # The last class is missing in the second file; both count the same classes.
    assert one.class_names == two.class_names == ("class_0", "class_1", "class_2")


def test_two_files_of_other_features_are_refused(root):
    train = npz(root / "t.npz", names=["a", "b"])
    add(root, "s", [train], validation=npz(root / "v.npz", names=["b", "a"]))
    with pytest.raises(DataError, match=r"features of v\.npz are b, a.*those of t\.npz: a, b"):
        load_sequences(config.load(root, environ={}), "s")


def test_bars_and_sequences_are_not_mistaken_for_one_another(root, frames):
    add(root, "s", [npz(root / "t.npz")])
    add(root, "b", [write(root / "bars", frames, "files", ".csv")])
    loaded_config = config.load(root, environ={})
    with pytest.raises(UsageError, match="holds sequences"):
        load_dataset(loaded_config, "s")
    with pytest.raises(UsageError, match="holds bars"):
        load_sequences(loaded_config, "b")


def test_groups_and_copies_that_two_files_share_are_remarked(root):
    train = npz(root / "t.npz", groups=np.arange(20))
    add(root, "s", [train], validation=npz(root / "v.npz", groups=np.arange(15, 35)))
    found = {f.what: f for f in check(config.load(root, environ={}), "s").findings}
    assert found["shared groups"].count == 5
    assert found["copies"].count == 20


# check


def test_a_clean_dataset_is_described_with_exit_code_0(root, frames, capsys):
    add(root, "mine", [write(root / "bars", frames, "files", ".csv")])
    code, out, err = say(capsys, "check", "mine", "--project", root, "--json")
    assert code == 0
    assert "0 errors" in err
    answer = json.loads(out)
    assert answer["kind"] == "findings"
    told = {item["what"]: item["found"] for item in answer["items"]}
    assert told["order"] == "AAA, BBB (by name)"
    assert told["fingerprint"] == loaded(root, "mine").fingerprint
    assert "30 bars of D for 2 tickers, 2020-01-01" in told["bars"]


def test_a_dirty_dataset_is_described_with_exit_code_7(root, frames, capsys):
    place = write(root / "bars", frames, "files", ".csv")
    add(root, "mine", [place])
    frames["BBB"].loc[[3, 5], "close"] = np.nan
    frames["BBB"].loc[7, "high"] = 0.01
    write(root / "bars", frames, "files", ".csv")
    code, out, err = say(capsys, "check", "mine", "--project", root, "--json")
    assert code == 7
    assert "loading would refuse" in err
    errors = [item for item in json.loads(out)["items"] if item["severity"] == "error"]
    assert [(e["what"], e["ticker"], e["count"], e["repair"]) for e in errors] == [
        ("numbers", "BBB", 2, "drop_nan"),
        ("candles", "BBB", 1, "clip_candles"),
    ]
    assert errors[0]["first"] == "2020-01-06"
    assert "BBB.csv line 5" in errors[0]["found"]
    # What check calls an error is what loading refuses, in the same words.
    with pytest.raises(DataError) as caught:
        loaded(root, "mine")
    assert [p.found for p in caught.value.problems] == [e["found"] for e in errors]


@pytest.mark.parametrize("form", ["table", "json", "md"])
def test_findings_are_printed_in_every_form(form, root, frames, capsys):
    place = write(root / "bars", frames, "files", ".csv")
    code, out, _ = say(capsys, "check", place, "-o", form)
    assert code == 0
    assert "fingerprint" in out


def test_a_file_is_checked_outside_of_a_project(tmp_path, frames, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "bars", frames, "long", ".parquet")
    code, out, _ = say(capsys, "check", path.name)
    assert code == 0
    assert "2 tickers" in out
    code, _, err = say(capsys, "check", "nothing.csv")
    assert code == 3
    assert "no dataset or file" in err


def test_a_dataset_s_name_that_is_nearly_right_is_suggested(root, frames, capsys):
    add(root, "prices", [write(root / "bars", frames, "files", ".csv")])
    code, _, err = say(capsys, "check", "price", "--project", root)
    assert code == 3
    assert "Did you mean 'prices'?" in err


def test_check_reports_the_errors_of_resampling(root):
    hours = pd.date_range("2020-01-01T00:30", periods=48, freq="h", unit="s")
    path = write(root / "bars", {"EUR": bars("EUR", hours, adjusted=False)}, "files", ".csv")
    add(root, "eur", [path], stamp="close", timezone="UTC", resample="4H")
    found = check(config.load(root, environ={}), "eur")
    assert found.refused
    assert any("cover the begin of a 4H bar" in f.found for f in found.findings)


def test_what_a_check_refuses_ends_with_the_repairs_that_would_do_or_with_what_is_expected(
    tmp_path, capsys
):
    frame = bars("A", pd.date_range("2020-01-01", periods=40, unit="s"), adjusted=False)
    again = pd.concat([frame, frame.iloc[[3]]])
    write(tmp_path / "again", {"A": again}, "files", ".csv")
    assert run(["check", str(tmp_path / "again")]) == 7
    assert 'set repair = ["drop_duplicates", "sort"]' in capsys.readouterr().err
    (tmp_path / "empty.csv").touch()
    assert run(["check", str(tmp_path / "empty.csv")]) == 7
    told = capsys.readouterr()
    assert "expected comma separated values" in told.out
    assert told.err.rstrip().endswith("Correct the files.")


def test_every_finding_that_can_be_listed_survives_a_spreadsheet(root, capsys):
    # A cell that begins like a formula is written with a quote in front.
    from podium.cli.output import Output

    Output(form="csv").listing("findings", [{"found": "=1+1"}, {"found": "-x"}], ["found"])
    rows = list(csv_module.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [["found"], ["'=1+1"], ["'-x"]]


# The configuration of datasets


def problems(root, *lines):
    before = (root / "podium.toml").read_text()
    (root / "podium.toml").write_text(before + "\n".join(["[datasets.x]", *lines]) + "\n")
    try:
        config.load(root, environ={})
    except UsageError as error:
        return [str(problem) for problem in error.problems]
    finally:
        (root / "podium.toml").write_text(before)
    return []


GOOD = ('path = "x"', 'tickers = ["A"]', 'timeframe = "1H"')


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('columns = {tiem = "Time"}', "columns names 'tiem'"),
        ("columns = {time = 3}", "a table of texts"),
        ('columns = "time"', "a table of texts"),
        ('repair = ["drop_duplicate"]', "Did you mean 'drop_duplicates'?"),
        ('absent = ["close"]', "absent names 'close'"),
        ('resample = "5M"', "Expected a longer timeframe: 4H, D, W"),
        ('resample = "2H"', "one of"),
        ('day_starts_at = "25:00"', "a time such as 17:00"),
        ('stamp = "middle"', "open, close"),
        ('align = "outer"', "one of intersection, union"),
        ('validation = "v.npz"', "a validation file for a dataset of bars"),
        ('decimal = ";"', "one of"),
    ],
)
def test_a_key_that_cannot_be_is_told_before_any_file_is_read(line, told, root):
    assert problems(root, *GOOD) == []
    (message,) = problems(root, *GOOD, line)
    assert told.lower() in message.lower()


def test_bars_need_tickers_and_a_timeframe_and_sequences_do_not(root):
    assert problems(root, 'path = "x.npz"', 'reader = "npz"') == []
    assert problems(root, 'path = "x"') == [
        "'tickers' is missing in [datasets.x] of podium.toml.",
        "'timeframe' is missing in [datasets.x] of podium.toml.",
    ]
    (message,) = problems(root, 'path = "x"', 'tickers = ["A", "B", "A"]', 'timeframe = "D"')
    assert "lists A twice" in message


def test_show_config_lists_every_key_of_a_dataset(root, capsys, frames):
    path = Path(write(root / "bars", frames, "files", ".csv"))
    add(root, "mine", [path], columns={"time": "date"})
    code, out, _ = say(capsys, "show", "config", "--project", root)
    assert code == 0
    assert "datasets.mine.columns.time" in out
    assert "datasets.mine.resample" in out
