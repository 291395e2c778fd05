"""Training a recorded thing again: what is equal, what differs, and what is refused."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

import ladder as ladders
from podium.cli.main import run
from podium.errors import DataError, NotFoundError, RefusedError, UsageError
from podium.families import lstm
from podium.families._torch_forecaster import TorchModel
from podium.features import log_return
from podium.importers._base import Imported
from podium.ledger import foreign, writes
from podium.record import Record
from podium.steps.archive import gc
from podium.steps.archive.lineage import lineage
from podium.steps.archive.reproduce import reproduce, require_equal
from podium.steps.candidates.select_model import named_model
from podium.steps.search.grid import grid
from podium.steps.workspace.session import open_project
from projects import SLOT, configure, long_project, query, run_project

BARS = "data/us4/AAPL.csv"


@pytest.fixture(scope="module")
def finished(ladder):
    return ladder.project("finished", "long")


@pytest.fixture
def copy(finished, tmp_path):
    """The finished project, to be changed."""
    return ladders.copied(finished, tmp_path / "copy")


def again(root, name, **how):
    with open_project(root) as project:
        return reproduce(project, name, **how)


def change(root, sql, *values):
    """Change a record past podium."""
    with closing(sqlite3.connect(root / "podium.db")) as connection, connection:
        assert connection.execute(sql, values).rowcount


def first(root, phase, fold=0):
    rows = query(
        root,
        """SELECT t.id FROM trial t JOIN study_trial l ON l.trial_id = t.id
           WHERE l.phase = ? AND t.fold = ? ORDER BY l.seq""",
        phase,
        fold,
    )
    return rows[0]["id"]


def candidate(root):
    [row] = query(root, "SELECT id FROM candidate")
    return row["id"]


def wrong(found):
    return {finding.what: finding.comparison for finding in found.findings if not finding.same}


@pytest.mark.parametrize(
    ("phase", "fold"), [("tune", 0), ("baseline", 0), ("extend", 1), ("extend_baseline", 1)]
)
def test_a_trial_trained_again_is_bit_equal(finished, phase, fold):
    id_ = first(finished, phase, fold)
    found = again(finished, id_)
    assert found.equal
    assert found.sentence == f"{id_} is bit-equal"
    compared = {finding.what for finding in found.findings}
    assert {"state", "losses", "forecasts", "mse"} <= compared
    assert ("val_loss by epoch" in compared) == (phase in ("tune", "extend"))
    assert all(ground.same for ground in found.grounds)
    assert "fingerprint" in found.data


def test_a_candidate_is_equal_in_both_trainings_and_every_model_file(finished):
    found = again(finished, candidate(finished))
    assert found.equal
    told = {finding.what: finding.comparison for finding in found.findings}
    assert told["best_model/model.pt"] == told["final_model/model.pt"] == "the same bytes"
    assert len({finding.trial for finding in found.findings}) == 2


@pytest.mark.slow
def test_worker_processes_give_the_same_bits(copy):
    configure(copy, runner={"name": "local", "jobs": 1})
    assert again(copy, candidate(copy)).equal


def test_nothing_of_the_project_changes(copy):
    files = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    again(copy, candidate(copy))
    for path in copy.rglob("*"):
        if path.is_file() and path.suffix not in (".db-shm", ".db-wal"):
            assert path.read_bytes() == files[path]


def test_it_is_asked_for_and_then_noted(copy):
    id_ = candidate(copy)
    again(copy, id_)
    assert query(copy, "SELECT * FROM note") == []
    again(copy, id_, note=True)
    [note] = query(copy, "SELECT subject_id, text FROM note")
    assert note["subject_id"] == id_
    assert "bit-equal" in note["text"]
    assert "same code, packages and machine" in note["text"]


def test_settings_of_podium_toml_changed_since_do_not_matter(copy):
    slot = {
        "horizon": 3,
        "window": 12,
        "features": ["log_range"],
        "test_from": "2001-06-01",
        "families": ["naive"],
    }
    configure(
        copy,
        slots={SLOT: slot},
        tune={"seed": 8, "epochs": 5, "validation_fraction": 0.5},
        finalize={"validation_fraction": 0.4, "epochs": 7},
        space={"lstm": {"lstm_units": [2]}},
    )
    assert again(copy, first(copy, "extend")).equal
    assert again(copy, candidate(copy)).equal


def test_later_bars_and_other_tickers_do_not_matter(copy):
    for path in (copy / "data" / "us4").glob("*.csv"):
        lines = path.read_text().splitlines()
        date, *rest = lines[-1].split(",")
        assert date.startswith("2013-03-01")
        path.write_text("\n".join([*lines, ",".join([date.replace("03-01", "03-04"), *rest]), ""]))
    configure(copy, datasets={"us4": {"tickers": ["MSFT", "IBM", "AAPL"]}})
    found = again(copy, first(copy, "tune"))
    assert found.equal
    assert "(others beside them: 1)" in found.data


def test_a_changed_bar_is_refused_and_nothing_is_trained(copy):
    path = copy / BARS
    lines = path.read_text().splitlines()
    lines[100] = lines[100].rpartition(",")[0] + ",1"
    path.write_text("\n".join([*lines, ""]))
    found = again(copy, first(copy, "tune"))
    assert not found.findings
    with pytest.raises(DataError, match=r"dataset 'us4' in data/us4 has fingerprint"):
        require_equal(found)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"datasets": {"us4": {"adjust": False}}}, "fingerprint"),
        ({"datasets": {"us4": {"tickers": ["AAPL", "MSFT"]}}}, "'IBM' is not in dataset 'us4'"),
        ({"datasets": {"us4": {"path": "data/gone"}}}, "data/gone"),
    ],
)
def test_data_that_are_not_there_any_more_are_named(copy, settings, words):
    configure(copy, **settings)
    with pytest.raises(DataError, match=words):
        require_equal(again(copy, first(copy, "tune")))


def test_fewer_bars_than_recorded_are_refused(copy):
    for path in (copy / "data" / "us4").glob("*.csv"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines[:-10], ""]))
    with pytest.raises(DataError, match=r"has 3260 bars .* Expected 3270, as recorded"):
        require_equal(again(copy, first(copy, "tune")))


def test_everything_that_is_not_as_it_was_is_told_at_once(copy, monkeypatch):
    configure(copy, datasets={"us4": {"adjust": False}})
    monkeypatch.setattr(lstm.FAMILY, "VERSION", 2)
    monkeypatch.setattr(log_return, "VERSION", 7, raising=False)
    with pytest.raises(DataError) as caught:
        require_equal(again(copy, first(copy, "tune")))
    told = str(caught.value)
    assert "family lstm is VERSION 2 here. Expected VERSION 1" in told
    assert "features/log_return is VERSION 7 here. Expected VERSION 1" in told
    assert "fingerprint" in told


def test_a_tampered_score_is_found(copy):
    id_ = first(copy, "tune")
    change(copy, "UPDATE trial SET score = 0.01 WHERE id = ?", id_)
    found = again(copy, id_)
    assert not found.equal
    assert list(wrong(found)) == ["mse"]
    assert wrong(found)["mse"].startswith("0.01 recorded, 0.3")
    assert "the recorded score is not their mean" in wrong(found)["mse"]
    with pytest.raises(RefusedError, match="The environment has not changed"):
        require_equal(found)


def test_a_tampered_result_is_found(copy):
    id_ = first(copy, "tune")
    change(copy, "UPDATE result SET value = 0.02 WHERE trial_id = ? AND metric = 'val_mse'", id_)
    assert list(wrong(again(copy, id_))) == ["result val_mse"]


def test_a_tampered_epoch_is_found_by_its_number(copy):
    id_ = first(copy, "extend")
    change(
        copy,
        """UPDATE score SET value = value + 0.5
           WHERE trial_id = ? AND metric = 'loss' AND part = 'train' AND epoch = 2""",
        id_,
    )
    assert wrong(again(copy, id_)) == {
        "train_loss by epoch": "differs in 1 of 2 epochs, first in 2, by at most 0.5"
    }


def test_another_seed_differs_in_every_window_and_says_by_how_much(copy):
    id_ = first(copy, "tune")
    change(copy, "UPDATE trial SET seed = seed + 1 WHERE id = ?", id_)
    found = again(copy, id_)
    assert {"losses", "forecasts", "mse", "train_loss by epoch"} <= set(wrong(found))
    assert " windows, by at most " in wrong(found)["losses"]
    assert "differs in 2 of 2 epochs, first in 1" in wrong(found)["val_loss by epoch"]


def test_a_tampered_best_epoch_is_found(copy):
    id_ = first(copy, "tune")
    [row] = query(copy, "SELECT best_epoch FROM trial WHERE id = ?", id_)
    change(copy, "UPDATE trial SET best_epoch = 9 WHERE id = ?", id_)
    assert wrong(again(copy, id_)) == {"best epoch": f"9 recorded, {row['best_epoch']} now"}


def test_folds_that_come_out_otherwise_are_refused(copy):
    change(copy, "UPDATE split SET spec = replace(spec, '0.25', '0.3') WHERE name = 'holdout'")
    with pytest.raises(DataError, match="splitter holdout makes other folds"):
        require_equal(again(copy, first(copy, "tune")))


@pytest.mark.slow
def test_a_model_that_a_grid_kept_is_equal_file_by_file(copy):
    with open_project(copy) as project:
        kept = grid(project, SLOT, {"learning_rate": [0.01]}).best
    told = {finding.what: finding.comparison for finding in again(copy, kept.id).findings}
    assert told["best_model/model.pt"] == "the same bytes"
    with open_project(copy) as project:
        registered = named_model(project, copy / kept.checkpoint, SLOT).candidate
    found = again(copy, registered.id)
    assert found.equal
    assert {finding.trial for finding in found.findings} == {kept.id}
    with open_project(copy) as project, project.ledger.transaction() as tx:
        writes.forget_model(tx, registered.artifact_hash, "gone", "tester")
    found = again(copy, kept.id)
    assert found.equal
    assert "best_model/model.pt" not in {finding.what for finding in found.findings}


def test_a_failed_trial_that_now_ends_well_differs(copy):
    id_ = first(copy, "tune")
    change(copy, "UPDATE trial SET state = 'failed' WHERE id = ?", id_)
    assert wrong(again(copy, id_)) == {"state": "it was failed and is now complete"}


def test_model_files_of_other_bytes_and_equal_forecasts_are_told_and_pass(copy, monkeypatch):
    plain = TorchModel.save

    def talkative(self, folder):
        self.shape = dict(reversed(self.shape.items()))
        plain(self, folder)

    monkeypatch.setattr(TorchModel, "save", talkative)
    found = again(copy, candidate(copy))
    assert found.equal
    require_equal(found)
    odd = wrong(found)
    assert set(odd) == {"best_model/model.pt", "final_model/model.pt"}
    assert all("forecasts are equal to the last bit" in told for told in odd.values())
    assert "gives the same numbers" in found.sentence


def test_a_model_that_forecasts_something_else_does_not_pass(copy, monkeypatch):
    plain = TorchModel.save

    def nudged(self, folder):
        self.network.target_mean += 1.0
        plain(self, folder)
        self.network.target_mean -= 1.0

    monkeypatch.setattr(TorchModel, "save", nudged)
    found = again(copy, candidate(copy))
    assert not found.equal
    assert "forecasts differ by at most 1" in wrong(found)["final_model/model.pt"]


def test_changed_packages_are_told_and_do_not_stop_it(copy):
    [row] = query(copy, "SELECT packages FROM environment")
    packages = json.loads(row["packages"])
    change(copy, "UPDATE environment SET packages = ?", json.dumps({**packages, "torch": "1.0"}))
    found = again(copy, candidate(copy), note=True)
    assert found.equal
    [ground] = [ground for ground in found.grounds if not ground.same]
    assert (ground.what, ground.recorded) == ("torch", "1.0")
    [note] = query(copy, "SELECT text FROM note")
    assert f"torch {ground.now} instead of 1.0" in note["text"]


def test_other_features_in_podium_toml_change_nothing(copy):
    id_ = first(copy, "tune")
    configure(copy, slots={SLOT: {"features": ["log_range"]}})
    shutil.rmtree(copy / "models")
    assert again(copy, id_).equal


def test_a_record_that_lost_what_a_task_stands_for_is_refused(copy):
    change(copy, "DELETE FROM task")
    with pytest.raises(DataError, match=r"no task [0-9a-f]{12} on record"):
        require_equal(again(copy, first(copy, "tune")))


def test_what_podium_did_not_train_is_said_to_be_so(copy):
    record = Record("toto_20250101_000000", "toto", "2025-01-01T00:00:00", {"lr": 0.1}, {"mae": 1})
    with open_project(copy) as project, project.ledger.transaction() as tx:
        foreign.put_imported(tx, Imported("old.json", [record]), SLOT)
    with pytest.raises(UsageError, match="podium did not train toto_20250101_000000"):
        again(copy, "toto_20250101_000000")


def test_a_trial_without_an_end_and_things_that_are_no_training_are_refused(copy):
    id_ = first(copy, "tune")
    change(copy, "UPDATE trial SET state = 'interrupted' WHERE id = ?", id_)
    with pytest.raises(NotFoundError, match="is interrupted and has no result yet"):
        again(copy, id_)
    [row] = query(copy, "SELECT id FROM study")
    with pytest.raises(UsageError, match="one of the studies"):
        again(copy, row["id"])


def test_the_command_says_what_it_found_and_ends_with_its_code(copy, capsys):
    id_ = candidate(copy)
    assert run(["reproduce", id_, "--project", str(copy), "-q"]) == 0
    out = capsys.readouterr().out
    assert "code, packages and machine are as recorded" in out
    assert out.startswith(f"{id_} is bit-equal\n")
    assert run(["reproduce", id_, "--project", str(copy), "--dry-run", "--json"]) == 0
    [item] = json.loads(capsys.readouterr().out)["items"]
    assert item["equal"] is None
    assert item["findings"] == []
    change(copy, "UPDATE score SET value = 9 WHERE part = 'val'")
    assert run(["reproduce", id_, "--project", str(copy), "-q"]) == 4
    told = capsys.readouterr()
    assert "val_loss by epoch" in told.out
    assert "differs: val_loss by epoch: differs in 2 of 2 epochs" in told.err
    configure(copy, datasets={"us4": {"adjust": False}})
    assert run(["reproduce", id_, "--project", str(copy)]) == 7
    told = capsys.readouterr()
    assert "results on other data differ" in told.err
    assert "as recorded" in told.out


@pytest.mark.slow
def test_a_record_on_a_server_is_reproduced_drawn_and_collected_alike(database, tmp_path):
    root = long_project(tmp_path / "small", ledger={"url": database})
    run_project(root)
    with open_project(root) as project:
        grid(project, SLOT, {"learning_rate": [0.01, 0.001]})
    rules = gc.GcRules(keep_best=1)
    with open_project(root) as project:
        [row] = project.reader.rows("candidates")
        for name in (row["id"], row["trial_id"], row["study_id"]):
            assert row["id"] in json.dumps(lineage(project.reader, name, project.store).item())
        assert reproduce(project, row["id"], note=True).equal
        found = gc.plan(project, rules)
        assert [removal.what[:8] for removal in found.removals] == ["model of"]
        gc.collect(project, found, rules)
        assert gc.plan(project, rules).removals == ()
