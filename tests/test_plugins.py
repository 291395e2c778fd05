"""A project's own members: found without being run, run where they are needed, told apart."""

import json
import multiprocessing as mp
import shutil
import sys

import numpy as np
import pytest

import ladder as ladders
from looped import looped, rest_slow
from podium import plugin, registry, resolve
from podium.cli.main import run as podium
from podium.config import load
from podium.errors import (
    ConflictError,
    DataError,
    MissingExtraError,
    NotFoundError,
    PodiumError,
    UsageError,
)
from podium.hashing import digest
from podium.split import Fold
from podium.steps.archive.doctor import doctor
from podium.steps.data import bars as _task
from podium.steps.decisions.backtest import backtest
from podium.steps.pipeline.run import run
from podium.steps.search import tune
from podium.steps.trials import baselines
from podium.steps.trials.context import begin_study
from podium.steps.workspace.session import open_project
from podium.tasks import forecast
from podium.testing.features import check_feature, check_target
from podium.testing.leak import probe
from podium.testing.series import bars, view
from podium.trial import Job, Task
from projects import LENIENT, SLOT, Interrupting, query, run_project, small_project

BODY = '''"""Body of a candle over its range."""

import numpy as np


def compute(dataset, scale=1):
    spread = dataset["high"] - dataset["low"]
    body = dataset["close"] - dataset["open"]
    return scale * np.divide(body, spread, out=np.zeros_like(body), where=spread > 0)
'''
LEAKING = '''"""Body of the next candle."""

import numpy as np


def compute(dataset):
    body = np.log(dataset["close"] / dataset["open"])
    return np.vstack([body[1:], body[-1:]])
'''
TARGET = '''"""Highest absolute move, by the helper's factor."""

import numpy as np

from ._factor import FACTOR

UNIT, CENTERED = "moves", False


def increments(dataset):
    log_close = np.log(dataset["close"])
    found = np.full_like(log_close, np.nan)
    found[1:] = np.abs(np.diff(log_close, axis=0))
    return found


def aggregate(mean, horizon):
    return FACTOR * mean * horizon
'''
METRIC = '''"""Squared error, doubled."""


def losses(truth, forecast):
    return 2 * (truth - forecast) ** 2
'''
FAMILY = '''"""The mean of the training targets; a family of the project's own."""

import json

import numpy as np

from podium.families._base import Family, Model
from podium.prediction import Prediction
from podium.space import Choice, Space


class Mean(Model):
    def __init__(self, value):
        self.value = value

    def predict(self, windows):
        return Prediction.of(windows, np.full(len(windows), self.value))

    def save(self, folder):
        (folder / "mean.json").write_text(json.dumps(self.value))


class MeanFamily(Family):
    name = "mean"

    def space(self, view):
        return Space({"shrink": Choice((0.0, 0.25, 0.5, 0.75, 1.0))})

    def fit(self, config, train, validation, *, seed, report):
        return Mean(float(train.truth().mean() * (1 - config["shrink"])))

    def load(self, read):
        return Mean(json.loads(read("mean.json")))


FAMILY = MeanFamily
'''
OWN = {
    "features/body.py": BODY,
    "targets/moves.py": TARGET,
    "targets/_factor.py": "FACTOR = 1.0\n",
    "metrics/doubled.py": METRIC,
    "families/mean.py": FAMILY,
}
SLOTS = {
    SLOT: {
        "features": ["log_return", "body:2"],
        "target": "moves",
        "metric": "doubled",
        "families": ["mean"],
    }
}


@pytest.fixture(autouse=True)
def elsewhere():
    """No test finds the plugins of another."""
    yield
    plugin.use(None)


def write(root, files):
    for name, text in files.items():
        path = root / "plugins" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def project_with(root, files, **settings):
    small_project(root, **settings)
    write(root, files)
    return root


@pytest.fixture
def project(tmp_path):
    """A project whose slot is made of members of its own."""
    return project_with(tmp_path / "own", OWN, slots=SLOTS, space={"lstm": {}}, policies=LENIENT)


@pytest.fixture
def ran(ladder, tmp_path):
    """The same after a whole run."""

    def build(folder):
        settings = {"slots": SLOTS, "space": {"lstm": {}}, "policies": LENIENT}
        run_project(project_with(folder / "own", OWN, **settings))

    return ladders.copied(ladder.kept("plugins", build) / "own", tmp_path / "own")


@pytest.fixture
def folder(tmp_path):
    """A folder whose plugins are in use."""
    plugin.use(tmp_path)
    return tmp_path


def task_hash(root):
    return forecast.task_hash(load(root).slot(SLOT))


@pytest.mark.parametrize("runner", rest_slow(["inline", "local"], fast=1))
def test_a_project_of_its_own_members_goes_from_bars_to_a_champion(project, runner, capsys):
    with open_project(project, settings={"runner.name": runner, "runner.jobs": 2}) as opened:
        run(opened)
    trials = query(project, "SELECT family, state, reason, config FROM trial")
    assert {row["family"] for row in trials} == {"mean", *baselines.families("forecast")}
    assert {row["state"] for row in trials} == {"complete"}
    # What resolves it need not have run the project: a process that starts afresh.
    plugin.use(None)
    found = resolve.champion(SLOT, project)
    model = found.load()
    data = _task.slot_data(load(project), SLOT)
    bars_of_it = data.dataset.slice(0, len(data.view))
    body = registry.load("features", "body").compute(bars_of_it, 2)
    np.testing.assert_array_equal(data.view.features[..., 1], body.astype(np.float32))
    assert model.manifest["family"] == "mean"
    assert podium(["predict", SLOT, "--project", str(project), "-q"]) == 0
    capsys.readouterr()


def naive_job(opened):
    """A job that holds a function of the slot's target, and its only task."""
    view = _task.slot_data(opened.config, SLOT).tuning
    assert view.aggregate.__module__ == "podium_plugins.targets.moves"
    at = np.arange(view.first_bar, view.first_bar + 40)
    task = Task("t", {"method": "last_21", "debias": False}, 0, 0)
    return Job("naive", "mse", view, {0: Fold(0, at[:20], at[25:])}), [task]


def test_a_plugin_that_fails_in_a_worker_stops_the_run_with_its_line(project):
    fails = "\nimport multiprocessing\n\nif multiprocessing.parent_process():\n    1 / 0\n"
    write(project, {"targets/moves.py": TARGET + fails})
    with open_project(project, settings={"runner.name": "local", "runner.jobs": 1}) as opened:
        job, tasks = naive_job(opened)
        told = r"plugins/targets/moves\.py, line 23: ZeroDivisionError"
        for _ in range(2):
            with pytest.raises(UsageError, match=told):
                list(opened.runner.run(job, tasks))


def test_a_plugin_changed_under_a_run_stops_it_and_the_next_run_goes_on(project):
    with open_project(project, settings={"runner.name": "local", "runner.jobs": 1}) as opened:
        job, tasks = naive_job(opened)
        write(project, {"targets/_factor.py": "FACTOR = 9.0\n"})
        with pytest.raises(ConflictError, match=r"moves\.py, .* was changed during"):
            list(opened.runner.run(job, tasks))
        job, tasks = naive_job(opened)
        [nine] = list(opened.runner.run(job, tasks))
        write(project, {"targets/_factor.py": "FACTOR = 1.0\n"})
        job, tasks = naive_job(opened)
        [one] = list(opened.runner.run(job, tasks))
    # Workers that were there all the time do not go on with what they had loaded.
    np.testing.assert_allclose(nine.prediction.mean, 9 * one.prediction.mean, rtol=1e-12)


def test_a_changed_plugin_makes_another_task(project):
    first = task_hash(project)
    assert task_hash(project) == first
    for name, text in {
        "features/body.py": BODY + "# a comment\n",
        "targets/moves.py": TARGET + "# a comment\n",
        "targets/_factor.py": "FACTOR = 3.0\n",
        "metrics/doubled.py": METRIC + "# a comment\n",
    }.items():
        write(project, {name: text})
        changed = task_hash(project)
        assert changed != first, name
        write(project, {name: OWN[name]})
        assert task_hash(project) == first
    # Whose numbers the slot has nothing to do with.
    write(project, {"features/other.py": BODY})
    assert task_hash(project) == first


def test_a_changed_plugin_is_trained_again_and_an_unchanged_one_is_not(ran):
    project = ran

    def trials():
        with open_project(project) as opened:
            run(opened)
        return len(query(project, "SELECT id FROM trial WHERE family = 'mean'"))

    first = len(query(project, "SELECT id FROM trial WHERE family = 'mean'"))
    assert trials() == first
    write(project, {"features/body.py": BODY.replace("scale *", "2 * scale *")})
    second = trials()
    assert second > first
    other = FAMILY.replace("return Mean(float(", "return Mean(2 * float(")
    write(project, {"families/mean.py": other})
    heard = Interrupting(after=10**6)
    with open_project(project, reporter=heard) as opened:
        run(opened)
    assert len(query(project, "SELECT id FROM trial WHERE family = 'mean'")) > second
    assert any("not compared with the champion" in told for told in heard.said)


GATE = '''"""A gate of the project's own."""

from podium.decision import Result

NEEDS = ("test",)
LIMITS = {}


def judge(case):
    return Result.REFUSE, "not on a Saturday"
'''


def test_a_changed_gate_is_asked_again_and_an_unchanged_one_is_not(tmp_path):
    policies = {"forecast": {"champion": {"mood": {}}}}
    root = project_with(
        tmp_path / "own", {**OWN, "gates/mood.py": GATE}, slots=SLOTS, policies=policies
    )

    def decided():
        with open_project(root) as opened:
            run(opened)
        return [row["accepted"] for row in query(root, "SELECT accepted FROM decision")]

    refused = decided()
    assert refused[-1] == 0
    assert decided() == refused
    write(root, {"gates/mood.py": GATE + "# a comment\n"})
    assert decided() == [*refused, 0]
    write(root, {"gates/mood.py": GATE.replace("REFUSE", "PASS")})
    assert decided() == [*refused, 0, 1]


@pytest.mark.slow
def test_what_a_changed_plugin_gives_is_judged_again(ran):
    project, path = ran, resolve.champion(SLOT, ran).path

    def judged():
        with open_project(project) as opened:
            backtest(opened, SLOT, model_path=path)
        return len(query(project, "SELECT id FROM evidence"))

    first = judged()
    assert judged() == first
    write(project, {"metrics/doubled.py": METRIC.replace("2 *", "3 *")})
    assert judged() > first
    write(project, {"targets/moves.py": TARGET + "# a comment\n"})
    with pytest.raises(DataError, match="or train again"):
        judged()


def test_a_changed_search_asks_another_question(tmp_path):
    search = "from podium.searches.random import RandomSearch\n\nSEARCH = RandomSearch\n"
    root = project_with(tmp_path / "own", {"searches/mine.py": search}, tune={"search": "mine"})

    def study():
        with open_project(root) as opened:
            data = _task.slot_data(opened.config, SLOT)
            split = tune.validation_split(opened, data)
            spaces = tune.spaces_of(opened, data, {})
            return begin_study(opened, data, split, spaces, **tune._way(opened)).study.id

    first = study()
    assert study() == first
    write(root, {"searches/mine.py": search + "# a comment\n"})
    assert study() != first


ROWS = '''"""Sequences of numbers, a sample a line."""

from pathlib import Path

import numpy as np

from podium.sequences import Sequences
from podium.tasks import forecast

SUFFIXES = (".rows",)
HOLDS = "sequences"
Path(__file__).with_name("ran").touch()


def read(path, *, name):
    rows = np.loadtxt(path, ndmin=2)
    return Sequences.of(name, rows[:, 1:, np.newaxis], rows[:, 0].astype(int))
'''


def test_a_reader_of_sequences_says_so_in_its_own_file(tmp_path, capsys):
    root = project_with(tmp_path / "own", {"readers/rows.py": ROWS})
    (root / "some.rows").write_text("0 1.5 2\n1 2 3\n1 4 5\n")
    words = ["--project", str(root)]
    assert podium(["data", "add", "some", str(root / "some.rows"), *words]) == 0
    assert load(root).datasets["some"].reader == "rows"
    assert podium(["check", "some", *words]) == 0
    assert "3 samples of 2 steps" in capsys.readouterr().out
    (root / "plugins" / "readers" / "ran").unlink()
    # The settings are read without running it, and bars still need tickers.
    plugin.use(None)
    assert load(root).datasets["some"].tickers == ()
    assert not (root / "plugins" / "readers" / "ran").exists()
    write(root, {"readers/rows.py": ROWS.replace("HOLDS", "HELD")})
    with pytest.raises(UsageError, match="'tickers' is missing"):
        load(root)


def test_a_model_is_not_given_what_a_changed_plugin_makes(project, capsys):
    with open_project(project) as opened:
        run(opened)
    words = ["predict", SLOT, "--project", str(project), "-q"]
    for name, text in OWN.items():
        write(project, {name: text + "# a comment\n"})
        code = podium(words)
        # A metric has no part in a forecast.
        assert code == (0 if name == "metrics/doubled.py" else 7), name
        told = capsys.readouterr().err
        assert "Traceback" not in told
        assert code == 0 or "or train again" in told
        write(project, {name: text})
    assert podium(words) == 0


def test_a_task_of_podiums_own_members_has_the_hash_it_always_had(tmp_path):
    root = small_project(tmp_path / "plain")
    section = load(root).slot(SLOT)
    versions = {"features/log_return": 1, "features/log_volatility": 1, "targets/volatility": 1}
    parts = [section.features, section.target, section.horizon, section.window, versions]
    assert forecast.task_hash(section) == digest(parts)


def test_the_version_of_a_family_is_its_own_or_its_content(folder):
    write(folder, {"families/mean.py": FAMILY})
    first = registry.family("mean").VERSION
    assert 0 <= first < 2**31
    write(folder, {"families/mean.py": FAMILY + "# changed\n"})
    assert first != registry.family("mean").VERSION
    declared = FAMILY.replace('name = "mean"', 'name = "mean"\n    VERSION = 7')
    write(folder, {"families/mean.py": declared})
    assert registry.family("mean").VERSION == 7


def test_each_call_makes_a_family_of_its_own(folder):
    write(folder, {"families/mean.py": FAMILY})
    one, other = registry.family("mean", device="cuda:1"), registry.family("mean")
    assert one is not other
    assert (one.device, other.device) == ("cuda:1", "cpu")
    assert one.VERSION == other.VERSION != registry.load("families", "mean").FAMILY.VERSION


def test_a_family_that_is_an_object_is_refused_with_what_to_write(folder):
    write(folder, {"families/mean.py": FAMILY.replace("= MeanFamily", "= MeanFamily()")})
    with pytest.raises(UsageError, match="Write FAMILY = MeanFamily, without parentheses"):
        registry.family("mean")


def test_a_file_that_changes_within_one_tick_of_the_clock_is_run_anew(folder, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    for factor in (1, 2, 3):
        write(folder, {"targets/moves.py": TARGET, "targets/_factor.py": f"FACTOR = {factor}\n"})
        found = registry.load("targets", "moves").aggregate(np.ones((1, 1)), 1)
        assert found[0, 0] == factor
    assert registry.load("targets", "moves") is registry.load("targets", "moves")
    assert not list(folder.rglob("*.pyc"))


def test_a_backup_takes_the_plugins_along_and_nothing_that_python_made(project, tmp_path, capsys):
    write(project, {"features/__pycache__/body.py": "no", "features/.hidden.py": "no"})
    with open_project(project) as opened:
        assert opened.ledger
    words = ["backup", str(tmp_path / "own.tar"), "--project", str(project)]
    assert podium(words) == 0
    assert f"plugin_files  {len(OWN)}" in capsys.readouterr().out
    assert podium(["restore", str(tmp_path / "own.tar"), str(tmp_path / "back")]) == 0
    assert "plugins/ has code" in capsys.readouterr().err
    found = tmp_path / "back" / "plugins"
    assert {p.relative_to(found).as_posix() for p in found.rglob("*.py")} == set(OWN)
    shutil.copytree(project / "data", tmp_path / "back" / "data")
    assert task_hash(tmp_path / "back") == task_hash(project)


def doctors_word(root, what="plugins"):
    [check] = [check for check in doctor(root) if check.check == what]
    return check.ok, check.finding


def test_doctor_names_the_plugins_and_what_is_wrong_with_each_without_running_any(project):
    # It would fail, were it run.
    write(project, {"gates/mood.py": "1 / 0\n"})
    told = "families/mean, features/body, targets/moves, metrics/doubled, gates/mood"
    assert doctors_word(project) == (True, f"{told}: compiled, not run")
    write(
        project,
        {
            "features/bad.py": "x = 1\ndef compute(:\n",
            "features/_half.py": "\x00",
            "features/log_return.py": BODY,
            "feature/body.py": BODY,
            "targets/no-name.py": TARGET,
        },
    )
    ok, found = doctors_word(project)
    assert not ok
    for told in (
        "plugins/features/bad.py, line 2: invalid syntax",
        "plugins/features/_half.py",
        "plugins/features/log_return.py has the name of a member of podium",
        "plugins/feature is not a kind",
        "plugins/targets/no-name.py is not a valid name",
    ):
        assert found.count(told) == 1, told
    assert not [name for name in sys.modules if name.startswith(plugin.PACKAGE)]
    for kind in ("features", "feature", "targets", "metrics", "families", "gates"):
        shutil.rmtree(project / "plugins" / kind)
    assert doctors_word(project) == (True, "none")


def test_two_projects_do_not_see_each_others_plugins(tmp_path):
    for name, factor in (("one", 1), ("two", 2)):
        write(tmp_path / name, {"targets/moves.py": TARGET})
        write(tmp_path / name, {"targets/_factor.py": f"FACTOR = {factor}\n"})
    write(tmp_path / "one", {"features/body.py": BODY})
    for name, factor in (("one", 1), ("two", 2), ("one", 1)):
        plugin.use(tmp_path / name)
        found = registry.load("targets", "moves").aggregate(np.ones((1, 1)), 1)
        assert found[0, 0] == factor
        assert registry.exists("features", "body") == (name == "one")
    plugin.use(tmp_path / "two")
    with pytest.raises(NotFoundError, match="no feature 'body'"):
        registry.load("features", "body")


RUNS = 'from pathlib import Path\n\nPath(__file__).with_name("ran").touch()\n'


def test_looking_never_runs_a_plugin(project, capsys):
    loud = {name: text.replace("\n\n", f"\n\n{RUNS}\n", 1) for name, text in OWN.items()}
    loud["features/unused.py"] = '"""Of no use."""\n\n' + RUNS
    write(project, {n: t for n, t in loud.items() if not n.endswith("_factor.py")})
    for words in (
        ["list", "features"],
        ["list", "families"],
        ["list", "slots"],
        ["show", "config"],
        ["show", SLOT],
        ["doctor"],
        ["resolve", SLOT],
    ):
        podium([*words, "--project", str(project)])
        assert not list(project.rglob("ran")), words
    assert not [name for name in sys.modules if name.startswith(plugin.PACKAGE)]
    out = capsys.readouterr().out
    assert "Body of a candle over its range. (plugins/features/body.py)" in out
    # The same file does tell when it is run.
    registry.load("features", "body")
    assert (project / "plugins" / "features" / "ran").exists()


def test_a_list_names_members_of_the_project_beside_podiums_own(project, capsys):
    assert podium(["list", "features", "--json", "--project", str(project)]) == 0
    items = {i["name"]: i["what"] for i in json.loads(capsys.readouterr().out)["items"]}
    assert items["log_return"] == registry.first_line(
        registry.Path(registry.__file__).parent / "features" / "log_return.py"
    )
    assert items["body"] == "Body of a candle over its range. (plugins/features/body.py)"
    assert list(items) == sorted(items)


def test_a_list_outside_of_any_project_shows_podiums_own(tmp_path, capsys):
    assert podium(["list", "features", "--project", str(tmp_path)]) == 0
    assert "log_return" in capsys.readouterr().out


def test_a_plugin_with_podiums_own_name_is_refused(folder):
    write(folder, {"features/log_return.py": BODY})
    told = "plugins/features/log_return.py has the name of a member of podium"
    with pytest.raises(UsageError, match=told):
        registry.load("features", "log_return")
    with pytest.raises(UsageError, match=told):
        registry.describe("features")


def test_what_lies_in_the_wrong_place_is_told_where_a_name_is_missed(tmp_path, capsys):
    root = project_with(
        tmp_path / "p",
        {"feature/body.py": BODY, "body.py": BODY, "features/my-body.py": BODY},
        slots={SLOT: {"features": ["body"]}},
    )
    with pytest.raises(UsageError) as caught:
        load(root)
    told = str(caught.value)
    assert "names 'body', which is not in features" in told
    assert "plugins/feature is not a kind of podium. Did you mean 'features'?" in told
    assert "plugins/body.py belongs to no kind. Expected plugins/features/body.py" in told
    assert "plugins/features/my-body.py is not a valid name" in told
    assert podium(["list", "features", "--project", str(root)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_name_that_is_nearly_a_plugins_is_suggested(folder):
    write(folder, {"features/body.py": BODY})
    with pytest.raises(NotFoundError, match="Did you mean 'body'"):
        registry.load("features", "bodi")


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("def compute(dataset:\n", UsageError, r"features/bad.py, line 1: '\(' was never closed"),
        ("x = 1\ny = 1 / 0\n", UsageError, "features/bad.py, line 2: ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", UsageError, "features/bad.py, line 2: SystemExit: 3"),
        ("import nonesuch.part\n", MissingExtraError, "line 1 needs the package 'nonesuch'"),
        ("from podium import nonesuch\n", UsageError, "line 1: ImportError: cannot import"),
        ("from ._gone import x\n", UsageError, "line 1: ModuleNotFoundError: .*_gone"),
        ("VALUE = 1\n", UsageError, "features/bad.py has no 'compute'. Expected the attributes"),
        ("from ._half import x\n", UsageError, "plugins/features/_half.py, line 2: NameError"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_told_with_its_file_and_line(folder, text, error, told):
    write(folder, {"features/bad.py": text, "features/_half.py": "\nx = y\n"})
    # Twice: nothing of the first attempt is left.
    for _ in range(2):
        with pytest.raises(error, match=told):
            registry.load("features", "bad")
    write(folder, {"features/bad.py": BODY})
    registry.load("features", "bad")


def test_a_file_that_is_no_text_is_told(folder):
    write(folder, {"features/bad.py": ""})
    (folder / "plugins" / "features" / "bad.py").write_bytes(b'"""\xff\xfe"""\n')
    with pytest.raises(UsageError, match=r"features/bad\.py"):
        registry.load("features", "bad")
    assert "plugins/features/bad.py" in registry.describe("features")["bad"]


def test_every_part_a_target_lacks_is_told_at_once(folder):
    write(folder, {"targets/bare.py": "UNIT = 'x'\n"})
    with pytest.raises(UsageError) as caught:
        registry.load("targets", "bare")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("body", "error", "told"),
    [
        ("return dataset['clsoe']", UsageError, "features/bad.py, line 2: KeyError: 'clsoe'"),
        (
            "return dataset['close'][:, 0]",
            DataError,
            r"shape \(40,\). Expected \(40, 3\)",
        ),
        ("return dataset['close'][1:]", DataError, r"'bad' has shape \(39, 3\)"),
    ],
)
def test_a_feature_that_fails_on_the_bars_is_told_without_a_traceback(folder, body, error, told):
    write(folder, {"features/bad.py": f"def compute(dataset):\n    {body}\n"})
    with pytest.raises(error, match=told):
        view(bars(40), features=["bad"])


def test_an_error_that_is_not_a_plugins_stays_what_it_is(folder):
    with pytest.raises(ZeroDivisionError), plugin.located_errors():
        1 / 0  # noqa: B018


@looped("seed", range(20))
def test_a_plugin_that_reads_the_next_bar_is_caught_and_an_honest_one_is_not(folder, seed):
    write(folder, {"features/body.py": BODY, "features/ahead.py": LEAKING})
    leak = probe(registry.load("features", "ahead").compute, bars(60, seed=seed), 30, seed=seed)
    assert leak is not None
    assert leak.bar == 30
    assert probe(registry.load("features", "body").compute, bars(60, seed=seed), 30) is None


def test_the_kits_hold_for_plugins(folder):
    write(folder, {**OWN, "features/ahead.py": LEAKING})
    check_feature(registry.load("features", "body").compute)
    check_target(registry.load("targets", "moves"))
    with pytest.raises(AssertionError, match="it reads the future: bar"):
        check_feature(registry.load("features", "ahead").compute)


@pytest.mark.slow
def test_a_function_of_a_plugin_reaches_another_process(folder):
    write(folder, {"targets/moves.py": TARGET, "targets/_factor.py": "FACTOR = 4.0\n"})
    registry.load("targets", "moves")
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_aggregate, args=(theirs, folder))
    process.start()
    theirs.close()
    ours.send(registry.load("targets", "moves").aggregate)
    assert ours.recv() == 8.0
    process.join(60)


def _aggregate(pipe, folder):
    plugin.use(folder)
    pipe.send(float(pipe.recv()(np.ones(1), 2)[0]))


def test_an_error_of_a_plugin_is_one_of_podiums(folder):
    write(folder, {"signals/bad.py": "import nothing_of_that_name\n"})
    with pytest.raises(PodiumError) as caught:
        registry.load("signals", "bad")
    assert caught.value.exit_code == 8
