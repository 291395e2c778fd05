"""What a search leaves for its users: Optuna opens it, people read it, nothing is lost or mixed."""

import json
import math
import pickle
import sys

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import classes
import projects
import quick
from looped import rest_slow
from podium import registry
from podium.cli.main import run
from podium.errors import UsageError
from podium.render.history import HistoryTrial, history_png, so_far
from podium.steps.archive.export import export
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project
from projects import SLOT, Interrupting, query

pytestmark = pytest.mark.usefixtures("quick_family")

FOLDER = "hyperparameter_tuning_results"


def settings(**tune):
    return {
        "slots": {SLOT: {"families": [quick.NAME]}},
        "tune": {"trials": 8, "generation": 4, "epochs": 3, "search": "random", **tune},
        "space": {quick.NAME: {"factor": {"low": 0.5, "high": 1.5, "log": True}}},
        "paths": {"tuning": FOLDER},
    }


@pytest.fixture
def root(tmp_path):
    return projects.small_project(tmp_path / "small", **settings())


@pytest.fixture
def done(ladder, tmp_path):
    """Such a project after its search, which finds its trials when it is asked again."""
    return ladder.copy(tmp_path / "small", "searched", **settings())


def configure(root, *others):
    projects.configure(root, **projects.merge(settings(), *others))


def searched(root, reporter=None, slot=SLOT):
    with open_project(root, reporter=reporter) as project:
        return tune(project, slot)


def read(root, name="trial_results.json"):
    return json.loads((root / FOLDER / name).read_text())


def studies(root):
    storage = JournalStorage(JournalFileBackend(str(root / FOLDER / "optimization_study.log")))
    names = [s.study_name for s in optuna.get_all_study_summaries(storage)]
    return {name: optuna.load_study(study_name=name, storage=storage) for name in names}


def failing(monkeypatch, level):
    """Let every training with this level fail."""
    fit = quick.QuickFamily.fit

    def broken(self, config, *rest, **named):
        if config["level"] == level:
            raise ValueError("too level")
        return fit(self, config, *rest, **named)

    monkeypatch.setattr(quick.QuickFamily, "fit", broken)


# Optuna


def test_the_journal_is_a_study_that_optuna_opens_with_the_same_best(root, monkeypatch):
    failing(monkeypatch, 3)
    found = searched(root)
    [(name, study)] = studies(root).items()
    assert name == SLOT
    assert study.direction.name == "MINIMIZE"
    assert study.metric_names == ["val_mse"]
    assert study.best_trial.user_attrs["podium.id"] == found.best.id
    assert study.best_value == found.best.score
    assert {t.state.name for t in study.trials} == {"COMPLETE", "FAIL"}
    for trial, row in zip(study.trials, found.trials, strict=True):
        assert trial.user_attrs["podium.id"] == row.id
        assert trial.user_attrs["podium.phase"] == "tune"
        assert trial.user_attrs["podium.family"] == quick.NAME
        assert trial.user_attrs["podium.config"] == row.config
        assert trial.params == {k: row.config[k] for k in ("factor", "level")}
        assert trial.distributions == {
            "factor": FloatDistribution(0.5, 1.5, log=True),
            "level": CategoricalDistribution((1, 2, 3, 4)),
        }
        if row.config["level"] == 3:
            assert trial.state.name == "FAIL"
            assert "too level" in trial.user_attrs["podium.reason"]
        else:
            assert trial.value == row.score
            factor = row.config["factor"] * row.config["level"] / 4
            curve = {n: pytest.approx(factor + abs(n - 2)) for n in (1, 2, 3)}
            assert trial.intermediate_values == curve


def test_the_pickle_is_the_same_study_in_memory_and_can_go_on(done):
    found = searched(done)
    study = pickle.loads((done / FOLDER / "optimization_study.pkl").read_bytes())
    assert study.best_trial.user_attrs["podium.id"] == found.best.id
    assert len(study.trials) == 8
    study.optimize(lambda trial: trial.suggest_float("factor", 0.5, 1.5, log=True), n_trials=1)
    assert len(study.trials) == 9


def test_a_parameter_that_does_not_count_in_a_config_is_none_of_optunas_trial(root):
    space = {"factor": {"low": 0.5, "high": 1.5, "when": {"level": [2, 3]}}, "level": [1, 2, 3]}
    configure(root, {"space": {quick.NAME: space}})
    searched(root)
    [study] = studies(root).values()
    assert {t.params["level"] for t in study.trials} == {1, 2, 3}
    for trial in study.trials:
        assert ("factor" in trial.params) == (trial.params["level"] != 1)


def test_what_may_not_win_is_not_the_best_in_optuna_either(root):
    free = searched(root)
    configure(root, {"tune": {"where": f"val_mse>{free.best.score}"}})
    found = searched(root)
    assert found.best.score > free.best.score
    [study] = studies(root).values()
    assert study.best_trial.user_attrs["podium.id"] == found.best.id
    assert read(root)["best"] == found.best.id
    assert [t["feasible"] for t in read(root)["trials"]].count(False) == 1


def test_each_family_is_a_study_of_its_own_and_the_winners_has_the_plain_name(root):
    configure(root, {"slots": {SLOT: {"families": [quick.NAME, "lstm"]}}, "tune": {"trials": 2}})
    found = searched(root)
    both = studies(root)
    assert sorted(both) == [f"{SLOT}/lstm", f"{SLOT}/quick"]
    assert all(len(study.trials) == 2 for study in both.values())
    stem = root / FOLDER / "optimization_study"
    winner = pickle.loads(stem.with_suffix(".pkl").read_bytes())
    assert winner.study_name == f"{SLOT}/{found.best.family}"
    assert winner.best_value == found.best.score
    for name in ("quick", "lstm"):
        one = pickle.loads(stem.with_name(f"{stem.name}-{name}.pkl").read_bytes())
        assert one.best_value == both[f"{SLOT}/{name}"].best_value


def test_a_study_can_be_handed_to_the_dashboard_as_a_database(done, monkeypatch, capsys):
    found = searched(done)
    monkeypatch.chdir(done)
    words = ["export", found.study.id, "--format", "optuna-sqlite"]
    assert run(words) == 2
    assert "--to FILE" in capsys.readouterr().err
    assert run([*words, "--to", "study.db"]) == 0
    storage = optuna.storages.RDBStorage(f"sqlite:///{done / 'study.db'}")
    study = optuna.load_study(study_name=f"{SLOT} {found.study.id}", storage=storage)
    mine = [t for t in study.trials if t.user_attrs["podium.model_name"] == quick.NAME]
    assert min(t.value for t in mine) == found.best.score
    assert len(mine) == 8
    storage.remove_session()
    storage.engine.dispose()


# Results and checkpoints


def test_the_results_tell_each_trial_with_its_phase_state_config_metrics_and_checkpoint(root):
    configure(root, {"tune": {"search": "three_phase", "keep_checkpoints": 3}})
    found = searched(root)
    told = read(root)
    assert told["podium"] == 1
    assert told["study"] == found.study.id
    assert told["best"] == found.best.id
    assert told["naive"]["value"] == found.reference.score
    for one, row in zip(told["trials"], found.trials, strict=True):
        assert (one["trial"], one["id"], one["phase"]) == (row.number, row.id, row.phase)
        assert (one["state"], one["value"]) == ("complete", row.score)
        assert one["config"] == row.config
        assert one["metrics"]["val_loss"] > 0
    assert {one["phase"] for one in told["trials"]} == {"tune/start", "tune/model", "tune/refine"}


def test_the_best_models_stay_each_in_a_folder_with_its_config(root):
    configure(root, {"tune": {"keep_checkpoints": 3}})
    found = searched(root)
    kept = {t["id"]: t["checkpoint"] for t in read(root)["trials"] if t["checkpoint"]}
    best = sorted(found.trials, key=lambda row: row.score)[:3]
    assert set(kept) == {row.id for row in best}
    folders = sorted(p.name for p in (root / FOLDER / "checkpoints").iterdir())
    assert folders == sorted(name.rpartition("/")[2] for name in kept.values())
    for row in best:
        folder = root / FOLDER / kept[row.id]
        config = json.loads((folder / "config.json").read_text())
        assert (config["id"], config["config"]) == (row.id, row.config)
        assert config["tickers"] == ["AAPL", "IBM"]
        model = registry.family(quick.NAME).load(lambda name: (folder / name).read_bytes())  # noqa: B023
        assert model.factor == row.config["factor"] * row.config["level"] / 4


def test_a_search_that_goes_on_keeps_the_best_of_all_its_trials(root):
    configure(root, {"tune": {"keep_checkpoints": 2}})
    searched(root)
    configure(root, {"tune": {"keep_checkpoints": 2, "trials": 20}})
    found = searched(root)
    best = sorted(found.trials, key=lambda row: row.score)[:2]
    kept = [t["id"] for t in read(root)["trials"] if t["checkpoint"]]
    assert set(kept) == {row.id for row in best}
    assert len(read(root)["trials"]) == 20
    assert len(list((root / FOLDER / "checkpoints").iterdir())) == 2


@pytest.mark.parametrize(
    "runner", rest_slow([{"name": "local", "jobs": 3}, {"name": "inline"}], fast=1)
)
def test_keeping_models_changes_no_key_and_no_number(root, tmp_path, runner):
    without = projects.small_project(tmp_path / "without", **settings(keep_checkpoints=0))
    configure(root, {"runner": runner})
    searched(root)
    searched(without)
    assert projects.outcome(root) == projects.outcome(without)
    assert not (without / FOLDER / "checkpoints").exists()
    one, other = ([t["value"] for t in read(r)["trials"]] for r in (root, without))
    assert one == other
    assert len(list((root / FOLDER / "checkpoints").iterdir())) == 5
    assert list((root / ".podium" / "work").iterdir()) == []


def test_an_interrupted_search_leaves_what_it_found_and_then_the_rest(root, ladder):
    whole = ladder.project("searched", **settings())
    with pytest.raises(KeyboardInterrupt):
        searched(root, Interrupting(5))
    assert 4 <= len(read(root)["trials"]) < 8
    searched(root)

    def told(place):
        drop = ("id", "seconds", "started_at", "ended_at", "checkpoint")
        rows = read(place)["trials"]
        kept = [row["checkpoint"] is not None for row in rows]
        return [{k: v for k, v in row.items() if k not in drop} for row in rows], kept

    assert told(root) == told(whole)


def test_a_model_of_a_trial_that_failed_is_not_kept(root, monkeypatch):
    failing(monkeypatch, 3)
    found = searched(root)
    failed = {row.id for row in found.trials if row.state == "failed"}
    assert failed
    assert failed.isdisjoint(t["id"] for t in read(root)["trials"] if t["checkpoint"])


# History


def test_the_history_tells_the_best_so_far_of_every_trial(root, monkeypatch, drawn):
    failing(monkeypatch, 3)
    searched(root)
    best = math.inf
    for one in read(root, "optimization_history.json")["trials"]:
        if one["value"] is not None:
            best = min(best, one["value"])
        assert one["best_value"] == (best if best < math.inf else None)
    picture = (root / FOLDER / "optimization_history.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_the_picture_can_be_drawn_of_any_search(drawn):
    values = [math.nan, 3.0, 1e9, 2.0, 2.5, math.nan]
    states = ["failed", "complete", "complete", "pruned", "complete", "failed"]
    told = [
        HistoryTrial(n, "lstm" if n % 2 else "gru", "tune/start", state, value, n != 4)
        for n, (value, state) in enumerate(zip(values, states, strict=True))
    ]
    assert so_far(told, "min") == [None, 1, 1, 1, 1, 1]
    assert so_far(told, "max") == [None, 1, 2, 2, 2, 2]
    for way in ("min", "max"):
        for some in (told, told[:1], []) if way == "min" else [told]:
            assert history_png(some, "mse", way, 2.2, "any").startswith(b"\x89PNG")
    assert history_png(told, "mse", "min", None, "a") == history_png(told, "mse", "min", None, "a")


def test_without_matplotlib_everything_but_the_picture_is_there(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    reporter = Interrupting(1000)
    searched(root, reporter)
    assert any("podium[plots]" in said for said in reporter.said)
    assert not (root / FOLDER / "optimization_history.png").exists()
    assert len(read(root)["trials"]) == 8


# Whose the folder is


def test_nothing_is_written_again_where_nothing_is_new(done):
    before = {p: p.stat().st_mtime_ns for p in (done / FOLDER).iterdir()}
    searched(done)
    assert {p: p.stat().st_mtime_ns for p in (done / FOLDER).iterdir()} == before
    (done / FOLDER / "optimization_study.pkl").unlink()
    searched(done)
    assert (done / FOLDER / "optimization_study.pkl").is_file()


def test_results_of_the_study_before_are_kept_under_its_id_and_come_back_with_it(done):
    first = searched(done)
    before = {p.name: p.read_bytes() for p in (done / FOLDER).iterdir() if p.is_file()}
    kept = sorted(p.name for p in (done / FOLDER / "checkpoints").iterdir())
    configure(done, {"tune": {"seed": 8}})
    reporter = Interrupting(1000)
    second = searched(done, reporter)
    assert any(f"{FOLDER}/{first.study.id}/" in said for said in reporter.said)
    assert read(done)["study"] == second.study.id
    old = done / FOLDER / first.study.id
    assert {p.name: p.read_bytes() for p in old.iterdir() if p.is_file()} == before
    assert sorted(p.name for p in (old / "checkpoints").iterdir()) == kept
    configure(done)
    searched(done)
    assert read(done)["study"] == first.study.id
    assert sorted(p.name for p in (done / FOLDER / "checkpoints").iterdir()) == kept
    assert not old.exists()
    assert read(done, f"{second.study.id}/trial_results.json")["study"] == second.study.id


def test_files_that_podium_did_not_write_stay_as_they_are(root):
    (root / FOLDER).mkdir()
    theirs = {"trial_results.json": "[1]", "notes.txt": "mine"}
    for name, text in theirs.items():
        (root / FOLDER / name).write_text(text)
    reporter = Interrupting(1000)
    found = searched(root, reporter)
    assert any("has files of others" in said for said in reporter.said)
    assert {p.name: p.read_text() for p in (root / FOLDER).iterdir() if p.is_file()} == theirs
    assert read(root, f"{found.study.id}/trial_results.json")["best"] == found.best.id


def test_a_folder_that_was_cut_off_at_its_first_file_is_still_podiums(root):
    (root / FOLDER).mkdir()
    (root / FOLDER / ".trial_results.json.17.tmp").write_text('{"podium"')
    found = searched(root)
    assert read(root)["best"] == found.best.id


def test_a_slot_that_is_not_the_default_one_has_a_folder_of_its_own(root):
    other = "us4/D/other"
    slots = {other: {**projects.SMALL["slots"][SLOT], "families": [quick.NAME], "horizon": 3}}
    configure(root, {"slots": slots})
    searched(root, slot=other)
    assert not (root / FOLDER).exists()
    told = json.loads((root / "slots" / other / FOLDER / "trial_results.json").read_text())
    assert told["slot"] == other


def test_no_folder_is_left_where_none_is_wanted(root):
    configure(root, {"paths": {"tuning": ""}})
    searched(root)
    assert not (root / FOLDER).exists()
    assert not (root / "trial_results.json").exists()
    assert query(root, "SELECT * FROM trial WHERE checkpoint IS NOT NULL") == []


# Classes


def test_a_search_for_classes_is_maximized_everywhere(tmp_path):
    pytest.importorskip("torch")
    root = classes.project(tmp_path / "small", paths={"tuning": FOLDER})
    found = searched(root, slot=classes.SLOT)
    told = read(root)
    assert told["direction"] == "maximize"
    assert told["best"] == found.best.id
    [study] = studies(root).values()
    assert study.direction.name == "MAXIMIZE"
    assert study.best_trial.user_attrs["podium.id"] == found.best.id
    best = [one["best_value"] for one in read(root, "optimization_history.json")["trials"]]
    assert best == sorted(best)
    folder = root / FOLDER / next(t["checkpoint"] for t in told["trials"])
    assert json.loads((folder / "config.json").read_text())["class_names"] == list(classes.CLASSES)
    with open_project(root) as project:
        content = export(project, "optuna-journal").content
    assert b'"directions":[2]' in content
    with open_project(root) as project, pytest.raises(UsageError, match="no form"):
        export(project, "optuna")


def test_what_was_on_record_before_is_told_beside_what_was_asked(done):
    first = searched(done)
    configure(done, {"space": {quick.NAME: {"factor": {"low": 0.5, "high": 1.5, "log": False}}}})
    found = searched(done)
    phases = [one["phase"] for one in read(done)["trials"]]
    assert phases == ["known"] * 8 + ["tune"] * 8
    [study] = studies(done).values()
    assert study.best_trial.user_attrs["podium.id"] == found.best.id
    assert len(study.trials) == 16
    assert {t["id"] for t in read(done)["trials"]} > {row.id for row in first.trials}
