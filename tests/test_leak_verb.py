"""``podium leak``: what it says of podium's own members and of a user's files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from figures import BY_PERIOD, with_earnings
from looped import looped
from podium import registry
from podium.cli.main import run
from podium.config import load
from podium.errors import UsageError
from podium.steps.data.bars import load_dataset
from podium.steps.evidence.leak import leak
from podium.steps.workspace.session import open_project
from podium.testing.series import bars
from projects import SLOT, small_project

HEAD = "import numpy as np\n\n"
CLEAN = HEAD + "def compute(dataset, bars=1):\n    return np.log(dataset['close'])\n"
SECOND_TICKER = HEAD + (
    "def compute(dataset):\n"
    "    values = np.log(dataset['close'])\n"
    "    values[:-1, 1] = values[1:, 1]\n"
    "    return values\n"
)
CONSTANT = (
    "import numpy as np\n\ndef compute(dataset):\n    return np.ones(dataset['close'].shape)\n"
)
TARGET = HEAD + (
    "CENTERED = True\n"
    "def increments(dataset):\n"
    "    return np.diff(dataset['close'], axis=0, append=np.nan)\n"
    "def aggregate(mean, horizon):\n"
    "    return mean * horizon\n"
)
SIGNAL = HEAD + (
    "def weights(forecast, *, gross=1.0):\n"
    "    return np.nan_to_num(forecast) / np.nanmax(np.abs(forecast))\n"
)
SPLITTER = HEAD + (
    "from podium.split import Fold, Split\n"
    "def split(data, *, fraction, seed=0):\n"
    "    samples = data.samples()\n"
    "    order = np.random.default_rng(seed).permutation(samples.index)\n"
    "    cut = int(len(order) * (1 - fraction))\n"
    "    fold = Fold(0, np.sort(order[:cut]), np.sort(order[cut:]))\n"
    "    return Split('mine', {}, (fold,), samples.times, samples.horizon, samples)\n"
)
FAMILY = """
import numpy as np

from podium.families._base import Family, Model
from podium.prediction import Prediction
from podium.space import Choice, Space


class Ahead(Model):
    def __init__(self, by):
        self.by = by

    def predict(self, windows):
        rows = np.minimum(windows.at + self.by, len(windows.view) - 1)
        return Prediction.of(windows, windows.view.features[rows, windows.item, 0].astype(float))

    def save(self, folder):
        raise NotImplementedError


class AheadFamily(Family):
    name = "ahead"

    def space(self, view):
        return Space({"by": Choice((BY,))})

    def fit(self, config, train, validation, *, seed, report):
        return Ahead(config["by"])

    def load(self, read):
        raise NotImplementedError


FAMILY = AheadFamily
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ask(capsys):
    """Exit code, what was printed, what was said of an error."""

    def asking(*words):
        code = run(["leak", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return asking


def write(name, text):
    Path(name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.slow
@looped(
    "what",
    [
        f"{kind}/{name}"
        for kind in ("features", "targets", "signals", "splitters")
        for name in registry.names(kind)
        # It needs a project whose dataset has covariates: below.
        if name != "covariate"
    ],
)
def test_podiums_own_members_are_clean(what):
    [found] = leak(None, what, seeds=2)
    assert (found.leak, found.blind, found.seeds) == (None, (), 2)
    assert found.sight


def test_a_family_is_fitted_anew_and_clean(ask):
    code, out, _ = ask("naive")
    assert code == 0
    assert "changing the past moves 3 of 3 columns" in out
    assert "moves nothing" in out


def test_a_clean_file_is_shown_to_follow_the_past_and_not_the_future(ask):
    code, out, err = ask(write("mine.py", CLEAN))
    assert (code, err) == (0, "")
    _, _, *lines = out.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert facts["kind"] == "feature"
    assert facts["past"] == "changing the past moves 3 of 3 columns"
    assert facts["future"] == "moves nothing"


def test_the_first_bar_and_the_ticker_that_leak_are_named(ask):
    code, out, err = ask(write("mine.py", SECOND_TICKER), "--at", "1500", "--json")
    assert code == 4
    [item] = json.loads(out)["items"]
    # It looks one bar ahead, so the last bar before the change is the first that moves.
    time = str(bars(2500).times[1500])
    assert (item["bar"], item["time"], item["column"]) == (1500, time, "BBB")
    assert item["future"] == "leaks"
    assert f"mine.py (feature) depends on the future: bar 1500 ({time}), BBB: " in err


def test_a_file_that_was_mended_within_one_tick_of_the_clock_is_run_anew(ask, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    leaks = CLEAN.replace("['close'])", "['close'][::-1])")
    honest = CLEAN + " " * (len(leaks) - len(CLEAN))
    for text, code in ((leaks, 4), (honest, 0)):
        write("mine.py", text)
        os.utime("mine.py", (1e9, 1e9))
        assert ask("mine.py")[0] == code
    assert [path.name for path in Path().iterdir()] == ["mine.py"]


def test_a_file_that_does_not_depend_on_the_past_makes_the_probe_blind(ask):
    code, out, err = ask(write("mine.py", CONSTANT))
    assert (code, out) == (7, "")
    assert "mine.py: the probe is blind" in err


@pytest.mark.parametrize(
    ("kind", "text", "column"),
    [
        ("target", TARGET, "AAA/increments"),
        ("signal", SIGNAL, "AAA"),
        ("splitter", SPLITTER, "fold 0"),
        ("family", FAMILY.replace("BY", "1"), "AAA"),
    ],
)
def test_every_kind_of_file_can_leak(ask, kind, text, column):
    code, out, err = ask(write("mine.py", text), "--json")
    assert code == 4
    [item] = json.loads(out)["items"]
    assert (item["kind"], item["future"], item["column"]) == (kind, "leaks", column)
    assert item["time"]
    assert f"mine.py ({kind}) depends on the future" in err


def test_a_familys_honest_twin_is_clean(ask):
    assert ask(write("mine.py", FAMILY.replace("BY", "0")))[0] == 0


def test_a_file_that_is_two_things_is_probed_as_both(ask):
    text = CLEAN + TARGET.removeprefix(HEAD)
    code, out, _ = ask(write("mine.py", text), "--json")
    assert code == 4
    found = {item["kind"]: item["future"] for item in json.loads(out)["items"]}
    assert found == {"feature": "moves nothing", "target": "leaks"}


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("VALUE = 1\n", 2, "defines no member that can be probed"),
        ("def compute(dataset:\n", 7, "fails in mine.py line 1: SyntaxError"),
        ("def compute(dataset):\n    return dataset['clse']\n", 7, "mine.py line 2: KeyError"),
        ("def compute(dataset):\n    return dataset['close'][5:]\n", 7, "one row per bar"),
        ("def split(data, *, depth):\n    return None\n", 2, "requires depth"),
    ],
)
def test_a_file_that_cannot_be_probed_is_an_error_with_the_reason(ask, text, code, told):
    found, out, err = ask(write("mine.py", text))
    assert (found, out) == (code, "")
    assert told in err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["log_return"], 2, "features/log_return or targets/log_return"),
        (["log_retrun"], 3, "Did you mean 'log_return'?"),
        (["feature/log_return"], 0, ""),
        (["gates/fresh_evidence"], 2, "unknown kind, 'gates'"),
        (["nowhere.py"], 3, "there is no file nowhere.py"),
        (["log_range:3"], 2, "at most 0"),
        (["log_range", "--at", "2499"], 2, "a bar from 1 to 2498"),
        (["naive", "--at", "20"], 2, "at least 30"),
        (["holdout", "--at", "20"], 2, "no --at"),
        (["log_range", "--seeds", "0"], 2, "at least 1"),
        (["log_range", "--slot", "us4/D/none"], 3, "podium.toml"),
    ],
)
def test_invalid_arguments_are_an_error_with_the_reason(ask, words, code, told):
    found, _, err = ask(*words)
    assert found == code
    assert told in err


def test_in_a_project_the_slots_bars_before_its_test_are_probed(tmp_path):
    root = small_project(tmp_path / "project")
    dataset = load_dataset(load(root), "us4")
    stop = dataset.bar_at_or_after("2002-01-01")
    path = write("mine.py", SECOND_TICKER)
    with open_project(root) as project:
        [found] = leak(project, path)
        assert found.data == f"{SLOT} before its test"
        assert found.column == "IBM"
        assert found.time == str(dataset.times[found.leak.bar])
        assert found.leak.bar < stop
        [family] = leak(project, "naive")
        [splitter] = leak(project, "walk_forward", seeds=1)
        with pytest.raises(UsageError, match=f"a bar from 1 to {stop - 2}"):
            leak(project, path, at=stop - 1)
    assert family.leak is None
    assert splitter.leak is None
    assert splitter.data == f"{SLOT} before its test"


def test_a_plugin_of_the_project_is_probed_by_its_name(tmp_path, ask):
    root = small_project(tmp_path / "project")
    folder = root / "plugins" / "features"
    folder.mkdir(parents=True)
    (folder / "peeking.py").write_text('"""Second ticker, a bar early."""\n\n' + SECOND_TICKER)
    code, _, err = ask("peeking", "--project", str(root), "-q")
    assert code == 4
    assert "peeking (feature) depends on the future" in err
    assert ", IBM: " in err


def test_figures_joined_at_their_period_are_caught_in_a_project_and_joined_as_known_they_are_not(
    tmp_path, ask
):
    root = with_earnings(tmp_path / "project")
    folder = root / "plugins" / "features"
    folder.mkdir(parents=True)
    (folder / "early.py").write_text('"""Earnings at their period."""\n\n' + BY_PERIOD)
    code, _, err = ask("early", "--project", str(root), "-q", "--seeds", "1")
    assert code == 4
    assert "early (feature) depends on the future" in err
    assert "values of 'earnings' published after it" in err
    for seeds in ("3", "20"):
        code, out, _ = ask("covariate:earnings.eps", "--project", str(root), "--seeds", seeds)
        assert code == 0
        assert "changing the past moves 2 of 2 columns" in out


def test_arguments_of_a_feature_are_checked(tmp_path, ask):
    root = with_earnings(tmp_path / "project")
    for what, told in {
        "covariate": "which (a text)",
        "covariate:earnings.esp": "did you mean 'eps'?",
        "covariate:earning.eps": "did you mean 'earnings'?",
        "covariate:earnings.eps:5": "no lead",
        "log_volatility:x": "whole number(s) above 0",
        "sign:5": "a signal takes none",
    }.items():
        code, _, err = ask(what, "--project", str(root))
        assert (code, told.lower() in err.lower()) == (2, True), (what, err)


def test_the_level_a_target_stands_on_is_probed_too(ask):
    text = CLEAN.replace("compute(dataset, bars=1)", "increments(dataset)") + (
        "def aggregate(mean, horizon):\n    return mean\n"
        "def level(dataset):\n    return np.roll(dataset['close'], -1, axis=0)\n"
    )
    code, out, _ = ask(write("mine.py", text), "--json")
    assert (code, json.loads(out)["items"][0]["column"]) == (4, "AAA/level")


def test_the_lstm_does_not_know_the_future():
    [found] = leak(None, "lstm", seeds=1)
    assert found.leak is None
    assert not found.blind


def test_every_seed_divides_past_and_future_somewhere_else():
    # A mean over the whole month: at the last bar of a month there is nothing left to know.
    text = HEAD + (
        "def compute(dataset):\n"
        "    month = dataset.times.astype('datetime64[M]')\n"
        "    close = dataset['close']\n"
        "    return np.stack([close[month == m].mean(axis=0) for m in month])\n"
    )
    path = write("mine.py", text)
    months = bars(2500).times.astype("datetime64[M]")
    last = int(np.flatnonzero(months[1:] != months[:-1])[60])
    assert leak(None, path, at=last, seeds=1)[0].leak is None
    assert leak(None, path, at=last - 3, seeds=1)[0].leak is not None
    assert leak(None, path)[0].leak is not None
