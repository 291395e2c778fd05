"""What finalize leaves for people and scripts, and what it takes up again after a kill."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import ladder as ladders
import projects
from podium import artifact, pyfunc
from podium.cli.main import run
from podium.decision import Result
from podium.errors import DataError, RefusedError, UsageError
from podium.families._loop import Training
from podium.ledger import reads
from podium.resolve import load_model
from podium.runners import _paused
from podium.split import Windows
from podium.steps.archive.reproduce import reproduce
from podium.steps.candidates.final_model import finalized as finalized_again
from podium.steps.candidates.final_training import FinalTraining
from podium.steps.candidates.finalize import finalize
from podium.steps.candidates.given_config import GivenModel, finalize_config
from podium.steps.candidates.with_test import finalize_with_test
from podium.steps.decisions.backtest import backtest
from podium.steps.decisions.promote import promote
from podium.steps.search.analyze import analyze, compute
from podium.steps.search.extend import extend, extension_left
from podium.steps.workspace.session import open_project
from projects import SLOT, Saying

FOLDER = "final_model"
PATHS = {"paths": {"final": FOLDER, "best_config": "best_config.json"}}
ONE_LINERS = {
    "import json; config=json.load(open('best_config.json')); "
    "print('Valid config:', 'config' in config)": "Valid config: True",
    "import json; config=json.load(open('./final_model/config.json')); "
    "print('Tickers:', len(config.get('tickers', [])))": "Tickers: 2",
}


def finalized(root, reporter=None, **flags):
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    with open_project(root, settings=dotted, reporter=reporter) as project:
        return finalize(project, SLOT)


@pytest.fixture(scope="module")
def analyzed(ladder):
    return ladder.project("analyzed", **PATHS)


@pytest.fixture(scope="module")
def finished(analyzed, tmp_path_factory):
    root = ladders.copied(analyzed, tmp_path_factory.mktemp("finished") / "small")
    finalized(root)
    return root


@pytest.fixture
def root(finished, tmp_path):
    return ladders.copied(finished, tmp_path / "small")


def read(root, name="config.json", folder=FOLDER):
    return json.loads((root / folder / name).read_text())


def stamps(root):
    return {p: p.stat().st_mtime_ns for p in (root / FOLDER).rglob("*")}


# Files


@pytest.mark.parametrize("line", ONE_LINERS)
def test_the_one_line_checks_of_the_guide_run_in_a_project(finished, line):
    found = subprocess.run(
        [sys.executable, "-c", line], cwd=finished, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == ONE_LINERS[line]


def test_the_folder_holds_the_artefact_to_the_byte_and_says_which_it_is(finished):
    told, [row] = read(finished), projects.query(finished, "SELECT * FROM candidate")
    assert told["tickers"] == ["AAPL", "IBM"]
    assert (told["candidate"], told["artifact_hash"]) == (row["id"], row["artifact_hash"])
    assert told["trained_until"] == row["trained_until"] < told["split"]["sealed_test"][0]
    manifest = (finished / FOLDER / "manifest.json").read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == row["artifact_hash"]
    files = json.loads(manifest)["files"]
    assert {name.partition("/")[0] for name in files} == {"best_model", "final_model"}
    for name, expected in files.items():
        content = (finished / FOLDER / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected


def test_the_scaler_is_the_one_that_the_model_scales_by(finished):
    scaler = read(finished)["scaler"]
    network = artifact.load(
        finished
        / "models/registry"
        / projects.query(finished, "SELECT * FROM candidate")[0]["artifact_path"],
        read(finished)["artifact_hash"],
    ).model.network
    assert scaler["feature_mean"] == network.feature_mean.tolist()
    assert len(scaler["feature_mean"]) == len(read(finished)["features"])


def test_training_results_have_a_curve_and_a_time_for_every_training(finished):
    told = read(finished, "training_results.json")
    assert [one["checkpoint"] for one in told["trainings"]] == ["best_model", "final_model"]
    for one in told["trainings"]:
        assert len(one["curves"]["train_loss"]) == one["epochs"] == one["config"]["max_epochs"]
        assert one["seconds"] > 0
    held_out, whole = told["trainings"]
    assert held_out["score"] == min(held_out["curves"]["val_loss"])
    assert whole["score"] is None
    assert "val_loss" not in whole["curves"]


def test_asked_again_it_writes_nothing(root):
    before = stamps(root)
    reporter = Saying()
    assert not finalized(root, reporter).fresh
    assert stamps(root) == before
    assert not any("is in final_model" in said for said in reporter.said)


@pytest.mark.parametrize("harm", ["changed", "deleted", "folder gone"])
def test_a_damaged_copy_is_written_again_from_the_store(root, harm):
    path = root / FOLDER / "final_model" / "model.pt"
    before = path.read_bytes()
    if harm == "changed":
        path.write_bytes(before[:-1] + b"?")
    elif harm == "deleted":
        path.unlink()
    else:
        shutil.rmtree(root / FOLDER)
    finalized(root)
    assert path.read_bytes() == before


def test_a_folder_that_podium_did_not_write_stays_as_it_is(analyzed, tmp_path):
    root = ladders.copied(analyzed, tmp_path / "small")
    theirs = root / FOLDER / "config.json"
    theirs.parent.mkdir()
    theirs.write_text('{"tickers": []}')
    reporter = Saying()
    found = finalized(root, reporter)
    assert theirs.read_text() == '{"tickers": []}'
    assert found.folder == root / FOLDER / found.candidate.id
    assert any("has files of others" in said for said in reporter.said)
    assert read(root, folder=f"{FOLDER}/{found.candidate.id}")["candidate"] == found.candidate.id


def test_an_older_model_is_kept_under_its_id_and_comes_back(root):
    first = read(root)["candidate"]
    second = finalized(root, finalize__seeds=2).candidate
    assert read(root)["candidate"] == second.id
    assert read(root, folder=f"{FOLDER}/{first}")["candidate"] == first
    finalized(root)
    assert read(root)["candidate"] == first
    assert read(root, folder=f"{FOLDER}/{second.id}")["candidate"] == second.id


def test_only_who_asks_for_it_takes_the_folder_from_a_later_model(root):
    later = finalized(root, finalize__seeds=2).candidate
    with open_project(root) as project, extension_left(project, SLOT) as extension:
        assert finalized_again(project, compute(project, extension)).folder is None
    assert read(root)["candidate"] == later.id


def test_no_folder_is_written_where_none_is_wanted(analyzed, tmp_path):
    root = ladders.copied(analyzed, tmp_path / "small")
    projects.configure(root)
    assert finalized(root).folder is None
    assert not (root / FOLDER).exists()


# Seeds


def test_several_seeds_are_members_whose_forecasts_are_averaged(root):
    alone = read(root)
    found = finalized(root, finalize__seeds=3)
    candidate = found.candidate
    told = read(root)
    assert told["members"] == ["member_1", "member_2", "member_3"]
    assert told["seeds"][0] == alone["seeds"][0]
    assert len(set(told["seeds"])) == 3
    with open_project(root) as project:
        data = found.analysis.extension.tuned.forecast
        folder = project.store / candidate.artifact_path
        windows = Windows.of(data.tuning, np.arange(100, 110)).blind()
        mean = artifact.forecaster(folder, candidate.artifact_hash).predict(windows)
        each = [
            artifact.load(folder, candidate.artifact_hash, f"final_model/{name}").predict(windows)
            for name in told["members"]
        ]
    np.testing.assert_array_equal(mean.mean, np.mean([one.mean for one in each], axis=0))
    assert len({one.mean.tobytes() for one in each}) == 3
    # The first is the very model that one seed gives.
    mine = root / FOLDER / "final_model" / "member_1" / "model.pt"
    assert (
        mine.read_bytes()
        == (root / FOLDER / alone["candidate"] / "final_model" / "model.pt").read_bytes()
    )
    assert len(read(root, "training_results.json")["trainings"]) == 6


def test_a_candidate_with_members_is_served_judged_and_exported_like_any_other(root):
    candidate = finalized(root, finalize__seeds=2).candidate
    flags = {"finalize.seeds": 2}
    with open_project(root, settings=flags) as project:
        judged = backtest(project, SLOT)
        assert judged.candidate == candidate
        assert "test" in judged.evidence
    loaded = pyfunc._load_pyfunc(str(root / "models/registry" / candidate.artifact_path))
    assert loaded is not None


# Going on


class Killed(BaseException):
    """As if the process had ended here."""


# Three epochs with the last slice held out, then some on everything.
LONGER = {"finalize__epochs": 3, "extend__epochs": 3}


@pytest.fixture(scope="module")
def longer(analyzed, tmp_path_factory):
    """A project whose folds are trained for as long, and the model that nobody disturbs."""
    root = ladders.copied(analyzed, tmp_path_factory.mktemp("longer") / "small")
    with open_project(root, settings={"extend.epochs": 3}) as project:
        extend(project, SLOT)
        analyze(project, SLOT)
    whole = shutil.copytree(root, root.parent / "whole")
    return root, finalized(whole, **LONGER).candidate.artifact_hash


@pytest.mark.parametrize(
    "after", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4, 6))]
)
def test_a_killed_training_goes_on_from_its_last_epoch_to_the_same_model(
    longer, tmp_path, monkeypatch, after
):
    root = shutil.copytree(longer[0], tmp_path / "small")
    monkeypatch.setattr(_paused, "PATIENCE", 0)
    written, epochs, fitting = [], [], []
    write, epoch, fit = _paused.Pause._write, Training.epoch, FinalTraining.fit

    def dying(self, *arguments):
        write(self, *arguments)
        written.append(1)
        if len(written) == after:
            raise Killed

    def counted(self):
        # Probes for leaks train too.
        epochs.extend(fitting)
        return epoch(self)

    def fitted(self, *arguments):
        fitting.append(1)
        try:
            return fit(self, *arguments)
        finally:
            fitting.clear()

    monkeypatch.setattr(_paused.Pause, "_write", dying)
    with pytest.raises(Killed):
        finalized(root, **LONGER)
    monkeypatch.setattr(_paused.Pause, "_write", write)
    monkeypatch.setattr(Training, "epoch", counted)
    monkeypatch.setattr(FinalTraining, "fit", fitted)
    whole = finalized(root, **LONGER)
    whole_epochs = 3 + whole.analysis.chosen.epochs
    # What was finished is fitted to its end again from its last state, without an epoch more.
    assert len(epochs) == whole_epochs - after
    assert not list((root / ".podium" / "work").glob("final-*"))
    assert whole.candidate.artifact_hash == longer[1]


def test_a_torn_state_is_no_state(analyzed, finished, tmp_path, monkeypatch):
    root = ladders.copied(analyzed, tmp_path / "small")
    monkeypatch.setattr(_paused, "PATIENCE", 0)
    write = _paused.Pause._write

    def dying(self, *arguments):
        write(self, *arguments)
        self.path.write_bytes(self.path.read_bytes()[:-10])
        raise Killed

    monkeypatch.setattr(_paused.Pause, "_write", dying)
    with pytest.raises(Killed):
        finalized(root)
    monkeypatch.setattr(_paused.Pause, "_write", write)
    assert finalized(root).candidate.artifact_hash == read(finished)["artifact_hash"]


# A config that somebody gives


def given(root, content, **flags):
    path = root / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with open_project(
        root, settings={k.replace("__", "."): v for k, v in flags.items()}
    ) as project:
        return finalize_config(project, SLOT, path)


def test_the_chosen_config_given_as_a_file_is_the_candidate_of_the_search(root):
    found = given(root, (root / "best_config.json").read_text())
    assert found.candidate.id == read(root)["candidate"]
    assert not found.fresh


def test_another_config_is_trained_and_nothing_vouches_for_it(root):
    config = {"lstm_units": 4, "learning_rate": 0.005, "batch_size": 256, "max_epochs": 3}
    found = given(root, {"family": "lstm", "config": config})
    assert isinstance(found, GivenModel)
    assert found.fresh
    assert config.items() <= {**found.candidate.config, "max_epochs": 3}.items()
    held_out = read(root, "training_results.json")["trainings"][0]
    assert held_out["epochs"] == 3
    assert read(root)["candidate"] == found.candidate.id
    with open_project(root) as project:
        with project.ledger.reading() as tx:
            evidence = reads.evidence_of(tx, found.candidate.id)
        assert "validation" not in evidence
        asked = promote(project, found.candidate.id, dry_run=True)
    absent = {v.gate for v in asked.verdicts if v.result is Result.MISSING}
    assert asked.refused
    assert set(found.missing) <= absent
    again = given(root, {"family": "lstm", "config": config})
    assert again.candidate.id == found.candidate.id
    assert not again.fresh


def test_epochs_on_the_command_line_are_stronger_than_those_in_the_file(root):
    config = {"lstm_units": 4, "learning_rate": 0.005, "batch_size": 256, "max_epochs": 3}
    given(root, {"config": config}, finalize__epochs=1)
    assert read(root, "training_results.json")["trainings"][0]["epochs"] == 1


def test_everything_wrong_with_a_config_is_told_at_once(root):
    config = {"lstm_unit": 4, "learning_rate": -1, "batch_size": [1, 2], "dropout": "much"}
    with pytest.raises(UsageError) as caught:
        given(root, {"config": config, "metadata": {"slot": "us4/D/return"}})
    told = str(caught.value)
    for word in ("lstm_unit", "learning_rate", "batch_size", "dropout", "us4/D/return"):
        assert word in told
    assert "lstm_units" in told


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"config": 3}'])
def test_what_is_no_config_file_is_refused_by_name(root, content):
    with pytest.raises(DataError, match=r"mine\.json"):
        given(root, content)


def test_a_file_that_is_not_there_is_exit_code_3(root, capsys):
    assert run(["finalize", SLOT, "--project", str(root), "--config", "nowhere.json"]) == 3
    assert "podium analyze" in capsys.readouterr().err


# On the test too


def test_what_was_never_judged_is_not_trained_on_its_test(root):
    with (
        open_project(root) as project,
        pytest.raises(RefusedError, match="judged on the sealed test"),
    ):
        finalize_with_test(project, SLOT)


def test_a_model_that_saw_its_test_is_a_child_that_is_never_judged_there(root):
    with open_project(root) as project:
        parent = backtest(project, SLOT).candidate
        looks = projects.query(root, "SELECT * FROM test_look")
        found = finalize_with_test(project, SLOT)
        child = found.candidate
        assert (child.parent_id, child.root_id) == (parent.id, parent.root_id)
        assert child.config == parent.config
        assert parent.trained_until < "2002-01-01" <= child.trained_until
        assert not finalize_with_test(project, SLOT).fresh
        with pytest.raises(DataError, match="was trained on bars until"):
            backtest(project, SLOT, model_path=project.store / child.artifact_path)
        asked = promote(project, child.id, dry_run=True)
        assert asked.refused
        told = f"the judged candidate is {parent.id}"
        assert {v.gate for v in asked.verdicts if told not in v.finding} == {"no_leak"}
        assert asked.sentence.count(told) == 1
        assert projects.query(root, "SELECT * FROM test_look") == looks
        # The candidate of the search stays what a backtest finds.
        assert backtest(project, SLOT).candidate.id == parent.id
    assert read(root)["candidate"] == parent.id
    told = read(root, folder="final_model_with_test")
    assert told["candidate"] == child.id
    assert told["parent"] == parent.id
    assert told["split"] == {**told["split"], "validation": None, "sealed_test": None}


@pytest.mark.slow
def test_a_champion_that_saw_the_test_is_stood_for_there_by_the_one_that_was_judged(root):
    gates = [
        "fresh_evidence", "same_data", "no_leak", "in_confidence_set", "beats_baseline",
        "beats_champion",
    ]  # fmt: skip
    with open_project(root) as project:
        parent = backtest(project, SLOT).candidate
        child = finalize_with_test(project, SLOT).candidate
        promoted = promote(project, child.id, reason="for use", waive=gates)
        assert promoted.stage == "champion", promoted.sentence
    with open_project(root, settings={"finalize.seeds": 2}) as project:
        finalize(project, SLOT)
        found = backtest(project, SLOT).evidence["against_champion"]
    with open_project(root) as project, project.ledger.reading() as tx:
        known = reads.evidence_of(tx, parent.id)["test"]
    assert found.notes["champion"] == child.id
    assert found.scalar("champion_loss") == pytest.approx(known.scalar("loss"), rel=1e-9)


def test_the_verb_says_what_was_written_and_what_to_type_next(root, capsys):
    assert run(["finalize", SLOT, "--project", str(root)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"{SLOT}: candidate c-")
    assert "final_model/" in told.err
    assert f"podium backtest {SLOT}" in told.err
    assert run(["backtest", SLOT, "--project", str(root)]) == 0
    capsys.readouterr()
    assert run(["finalize", SLOT, "--project", str(root), "--include-test"]) == 0
    told = capsys.readouterr()
    assert "final_model_with_test/" in told.err
    assert "has seen the sealed test" in told.out
    both = ["finalize", SLOT, "--project", str(root), "--include-test", "--epochs", "3"]
    assert run(both) == 2


@pytest.mark.slow
def test_a_candidate_with_members_reproduces(root):
    candidate = finalized(root, finalize__seeds=2).candidate
    with open_project(root) as project:
        found = reproduce(project, candidate.id)
    assert found.equal
    checked = {one.what for one in found.findings if one.same}
    for checkpoint in ("best_model", "final_model"):
        assert {f"{checkpoint}/member_{n}/model.pt" for n in (1, 2)} <= checked


def test_the_folder_of_the_final_model_loads_by_any_of_its_paths(finished):
    place = finished / FOLDER
    for path in (place, place / "final_model", place / "config.json"):
        assert load_model(path).calibration is not None
