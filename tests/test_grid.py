"""Grids: every config once, each model kept, the best one active, predict and backtest with it."""

import json
import math
import shutil

import numpy as np
import pytest

import projects
from podium import artifact, registry
from podium.cli.main import run
from podium.errors import DataError, NotFoundError, UsageError
from podium.files import rerooted
from podium.resolve import find_model, get_active_model_path, load_model
from podium.split import Windows
from podium.steps.archive.doctor import doctor
from podium.steps.candidates.finalize import finalize
from podium.steps.data.bars import slot_data
from podium.steps.decisions.backtest import backtest
from podium.steps.search.extend import extend
from podium.steps.search.grid import grid
from podium.steps.search.tune import tune, validation_split
from podium.steps.serving.predict import predict
from podium.steps.trials import baselines
from podium.steps.workspace.session import open_project
from podium.testing import fakes
from podium.trial import State
from projects import SLOT, query, small_project

RATES = [0.001, 0.01]
FLAGS = ["--learning-rates", "0.001", "0.01", "--lstm-units", "2", "4"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project after one grid of four configs."""
    root = small_project(tmp_path_factory.mktemp("grid") / "small")
    with open_project(root) as project:
        grid(project, SLOT, {"learning_rate": RATES, "lstm_units": [2, 4]})
    return root


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copied")


def run_grid(root, values=None, **how):
    with open_project(root) as project:
        return grid(project, SLOT, values, **how)


def trials(root):
    return query(
        root,
        """SELECT t.* FROM trial t JOIN study_trial l ON l.trial_id = t.id
           WHERE l.phase = 'grid' ORDER BY l.seq""",
    )


def configs(root):
    return [json.loads(row["config"]) for row in trials(root)]


# The configs


def test_every_combination_is_trained_once_with_one_seed(finished):
    found = {(c["learning_rate"], c["lstm_units"]) for c in configs(finished)}
    assert found == {(rate, units) for rate in RATES for units in (2, 4)}
    rows = trials(finished)
    assert len(rows) == 4
    assert len({row["seed"] for row in rows}) == 1
    assert {row["state"] for row in rows} == {State.COMPLETE}
    assert {row["epochs"] for row in rows} == {2}


def test_the_rest_of_a_config_is_the_projects_or_the_familys_usual(finished):
    for config in configs(finished):
        assert config["batch_size"] == 256
        assert config["dropout"] == 0.1
        assert config["max_epochs"] == 2


def test_the_same_grid_again_trains_nothing_new_whatever_the_order_of_its_flags(copied):
    before = projects.outcome(copied)
    again = run_grid(copied, {"lstm_units": [2, 4, 2], "learning_rate": RATES})
    assert again.trained == 0
    assert len(again.trials) == 4
    assert projects.outcome(copied) == before


def test_a_larger_grid_trains_only_what_is_new(copied):
    more = run_grid(copied, {"learning_rate": [*RATES, 0.02], "lstm_units": [2, 4]})
    assert (len(more.trials), more.trained) == (6, 2)


def test_without_values_the_familys_own_grid_is_narrowed_by_the_project(tmp_path):
    root = small_project(
        tmp_path / "small", space={"lstm": {"learning_rate": {"low": 2e-4, "high": 5e-4}}}
    )
    found = run_grid(root)
    # Of its rates only one lies in the project's range; units and batch are the project's own.
    assert [row.config["learning_rate"] for row in found.trials] == [3e-4]
    assert found.trials[0].config["lstm_units"] == 4
    assert len(list(registry.family("lstm").grid(found.data.tuning))) == 3


def test_everything_wrong_with_a_grid_is_told_at_once_before_anything_is_trained(tmp_path):
    root = small_project(tmp_path / "small")
    wrong = {"learning_rat": [0.1], "lstm_units": [4, 0], "dropout": [2.0], "batch_size": ["a"]}
    with pytest.raises(UsageError) as caught:
        run_grid(root, wrong)
    told = str(caught.value)
    assert "did you mean 'learning_rate'" in told.lower()
    assert "[0]" in told
    assert "[2.0]" in told
    assert "['a']" in told
    assert len(caught.value.problems) == 4
    assert not (root / "podium.db").exists()


def test_an_interrupted_grid_goes_on_and_ends_as_if_nothing_had_happened(finished, tmp_path):
    root = small_project(tmp_path / "small")
    with (
        pytest.raises(KeyboardInterrupt),
        open_project(root, reporter=projects.Interrupting(2)) as project,
    ):
        grid(project, SLOT, {"learning_rate": RATES, "lstm_units": [2, 4]})
    assert {row["state"] for row in trials(root)} == {State.COMPLETE, State.INTERRUPTED}
    again = run_grid(root, {"learning_rate": RATES, "lstm_units": [2, 4]})
    assert 0 < again.trained < 4
    assert projects.outcome(root) == projects.outcome(finished)


def test_a_grid_and_a_search_share_no_trial(copied):
    with open_project(copied, settings={"tune.trials": 2}) as project:
        found = tune(project, SLOT)
    assert not {row.id for row in found.trials} & {row["id"] for row in trials(copied)}


def test_a_grid_whose_every_trial_fails_says_why_and_keeps_no_model(tmp_path):
    root = small_project(tmp_path / "small")
    with fakes.installed() as name, pytest.raises(NotFoundError, match=fakes.REASON):
        run_grid(root, {"does": [fakes.RAISES, fakes.DIVERGES]}, family=name)
    assert not (root / "models" / "active_model.txt").exists()
    [summary] = [
        json.loads(line)
        for line in (root / "experiments" / "experiments_log.jsonl").read_text().splitlines()
        if "summary" in line
    ]
    assert (summary["num_runs"], summary["num_failed"]) == (2, 2)
    assert summary["best_final_val_loss"] is None
    assert not list((root / "models").glob("registry/*"))


# The models


def test_a_kept_model_opens_with_plain_torch_and_gives_the_recorded_loss(finished):
    import torch

    with open_project(finished) as project:
        data = slot_data(project.config, SLOT)
        split = validation_split(project, data)
    _, validation = split.folds[0].windows(data.tuning)
    losses_of = registry.load("metrics", "mse").losses
    for row in trials(finished):
        path = finished / row["checkpoint"]
        assert path.suffix == ".pt"
        assert "model_state_dict" in torch.load(path)
        model = load_model(path)
        losses = losses_of(validation.truth(), model.predict(validation).mean)
        assert math.isclose(float(np.mean(losses)), row["score"], rel_tol=1e-9)


def test_kept_models_are_told_from_strays_and_checked_by_doctor(copied):
    checks = {check.check: check for check in doctor(copied)}
    assert checks["artefacts"].ok
    assert "4 artefacts" in checks["artefacts"].finding
    assert "belong to no" not in checks["artefacts"].finding
    path = copied / trials(copied)[0]["checkpoint"]
    path.write_bytes(path.read_bytes()[:-1])
    checks = {check.check: check for check in doctor(copied)}
    assert not checks["artefacts"].ok
    assert "model.pt" in checks["artefacts"].finding


def test_no_trial_ends_before_its_model_is_in_place(tmp_path, monkeypatch):
    root = small_project(tmp_path / "small")

    def full(*arguments, **named):
        raise DataError("the disk is full")

    monkeypatch.setattr(artifact, "store", full)
    with pytest.raises(DataError, match="disk is full"):
        run_grid(root, {"lstm_units": [2]})
    assert [row["state"] for row in trials(root)] == [State.INTERRUPTED]
    monkeypatch.undo()
    assert run_grid(root, {"lstm_units": [2]}).trained == 1


# Which model is used


def test_the_active_model_is_the_best_of_all_comparable_grids(copied):
    best = min(trials(copied), key=lambda row: row["score"])
    assert get_active_model_path(copied) == copied / best["checkpoint"]
    worse = run_grid(copied, {"learning_rate": [1e-6]})
    assert worse.best.score > best["score"]
    assert get_active_model_path(copied) == copied / best["checkpoint"]
    better = run_grid(copied, {"learning_rate": [0.02], "lstm_units": [16]})
    assert better.best.score < best["score"]
    assert get_active_model_path(copied) == copied / better.best.checkpoint


def test_predict_without_a_slot_asks_the_active_model_and_says_so(finished):
    with open_project(finished) as project:
        found = predict(project)
    assert found.rule.startswith("active model models/registry/")
    assert [row["ticker"] for row in found.rows()] == ["AAPL", "IBM"]
    assert all(math.isfinite(row["forecast"]) for row in found.rows())


def test_predict_for_a_slot_without_a_champion_says_how_to_ask_the_active_model(finished):
    with open_project(finished) as project, pytest.raises(NotFoundError) as caught:
        predict(project, SLOT)
    assert "--model-path models/registry/" in str(caught.value)


def test_predict_with_a_named_model_uses_that_one(finished, monkeypatch):
    monkeypatch.chdir(finished)
    worst = max(trials(finished), key=lambda row: row["score"])
    with open_project(finished) as project:
        found = predict(project, model_path=worst["checkpoint"])
        assert found.model == (finished / worst["checkpoint"]).parents[1]
        with pytest.raises(UsageError, match="both"):
            predict(project, model_path=worst["checkpoint"], candidate="c-1")
        with pytest.raises(UsageError, match=f"is a model of {SLOT}"):
            predict(project, "us4/D/other", model_path=worst["checkpoint"])


def test_without_any_model_predict_names_both_ways_to_one(tmp_path):
    root = small_project(tmp_path / "small")
    with open_project(root) as project, pytest.raises(NotFoundError) as caught:
        predict(project)
    assert "podium run, or: podium grid" in str(caught.value)


def test_backtest_of_an_active_model_makes_it_a_candidate_and_counts_the_look(copied):
    best = min(trials(copied), key=lambda row: row["score"])
    with open_project(copied) as project:
        first = backtest(project)
        again = backtest(project)
    assert first.rule.startswith("the grids' active model: models/registry/")
    assert first.candidate.trial_id == best["id"]
    assert first.candidate.artifact_hash == best["artifact_hash"]
    assert first.evidence["validation"].scalars["loss"].value == best["score"]
    assert first.evidence["test"].scalars["looks"].value == 1
    assert again.candidate == first.candidate
    assert len(query(copied, "SELECT * FROM test_look")) == 1
    assert [row["kind"] for row in query(copied, "SELECT kind FROM decision")] == ["register"]


@pytest.mark.slow
def test_backtest_prefers_the_final_model_of_a_finished_search(copied):
    with open_project(copied) as project:
        tune(project, SLOT)
        extend(project, SLOT)
        finalize(project, SLOT)
        found = backtest(project)
    assert found.rule.startswith("the newest final model: models/registry/")
    assert found.candidate.trial_id not in {row["id"] for row in trials(copied)}


def test_backtest_refuses_a_model_that_answers_another_question(copied):
    projects.configure(copied, slots={SLOT: {"horizon": 3}})
    with open_project(copied) as project, pytest.raises(DataError, match="volatility of 3 bars"):
        backtest(project)
    assert query(copied, "SELECT * FROM test_look") == []


def test_backtest_refuses_a_model_that_has_seen_bars_of_the_test(copied):
    projects.configure(copied, slots={SLOT: {"test_from": "2001-06-01"}})
    with (
        open_project(copied) as project,
        pytest.raises(DataError, match="sealed test, which begins"),
    ):
        backtest(project)
    assert query(copied, "SELECT * FROM candidate") == []


def test_backtest_without_anything_to_judge_names_what_was_looked_for(tmp_path):
    root = small_project(tmp_path / "small")
    with open_project(root) as project, pytest.raises(NotFoundError) as caught:
        backtest(project)
    assert "podium finalize fills it" in str(caught.value) or "active_model.txt" in str(
        caught.value
    )
    assert f"run: podium finalize {SLOT}" in caught.value.problems[0].fix


def test_a_trained_model_knows_where_it_comes_from(finished):
    place = find_model(finished / trials(finished)[0]["checkpoint"])
    assert place.manifest["slot"] == SLOT
    assert place.manifest["adjust"] is True
    assert place.manifest["trained_until"] < "2002-01-01"


def test_a_path_told_before_the_project_moved_is_found_again(tmp_path):
    inside = tmp_path / "new" / "models" / "registry" / "a"
    inside.mkdir(parents=True)
    old = "/somewhere/old/models/registry/a"
    assert rerooted(old, tmp_path / "new") == inside
    assert str(rerooted("/elsewhere/models/b", tmp_path / "new")) == "/elsewhere/models/b"
    assert rerooted("models/b", tmp_path / "new") == tmp_path / "new" / "models" / "b"


# The command line


def asked(capsys, *words):
    code = run([*words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_command_takes_lists_the_way_they_are_typed(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    for words in (
        [*FLAGS],
        [SLOT, *FLAGS],
        [*FLAGS, SLOT],
        ["--learning-rates", "0.001,0.01", "--lstm-units=2", "4", "--quiet"],
        ["--set", "learning_rate=1e-3, 0.01", "--set", "lstm_units=2,4"],
        ["--learning-rates", "0.001", "--learning-rates", "0.01", "--lstm-units", "2,", "4"],
    ):
        code, out, err = asked(capsys, "grid", *words, "--json")
        assert code == 0, err
        items = json.loads(out)["items"]
        *searched, reference = [item["family"] for item in items]
        assert searched == ["lstm"] * 4
        assert reference in baselines.families("forecast")
        assert "4 configs, 0 new" in err or "--quiet" in words


def test_the_command_tells_the_best_and_where_it_is(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    code, out, err = asked(capsys, "grid", *FLAGS)
    assert code == 0
    assert len(out.splitlines()) == 4 + 5
    assert f"active model: {get_active_model_path(finished)}" in err
    assert "podium predict" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--learning-rates", "abc"], "['abc']"),
        (["--set", "dropout"], "expected name=value"),
        (["--set", "dropot=0.1"], "Did you mean 'dropout'"),
        (["--family", "lstn"], "Did you mean 'lstm'"),
        (["--lstm-units"], "requires an argument"),
        (["us4/D/nothing", *FLAGS], "no slot 'us4/D/nothing'"),
    ],
)
def test_a_wrong_grid_is_refused_with_a_sentence(finished, monkeypatch, capsys, words, told):
    monkeypatch.chdir(finished)
    code, _, err = asked(capsys, "grid", *words)
    assert code in (2, 3)
    assert told in err
    assert "Traceback" not in err


def test_the_workflow_from_grid_to_backtest_needs_no_edit(tmp_path, monkeypatch, capsys):
    root = small_project(tmp_path / "small", policies=projects.LENIENT)
    monkeypatch.chdir(root)
    assert asked(capsys, "grid", "--lstm-units", "2", "4")[0] == 0
    best = json.loads((root / "experiments" / "best_config.json").read_text())
    code, out, err = asked(capsys, "predict")
    assert code == 0
    assert "active model" in out + err
    assert best["model_path"].removeprefix(f"{root}/") in out + err
    code, _, err = asked(capsys, "backtest")
    assert code == 0
    assert "active model" in err
    [name] = query(root, "SELECT id FROM candidate")
    assert f"podium promote {name['id']}" in err
    assert asked(capsys, "promote", name["id"])[0] == 0
    code, out, err = asked(capsys, "predict", SLOT)
    assert code == 0
    assert f"champion of {SLOT}" in out + err


def test_windows_of_a_view_are_still_what_a_model_takes(finished):
    model = load_model(get_active_model_path(finished))
    with open_project(finished) as project:
        data = slot_data(project.config, SLOT)
    found = model.predict(Windows.of(data.view, data.test_bars))
    assert len(found) == 2 * len(data.test_bars)


def test_a_grid_by_another_metric_compares_models_that_were_trained_for_the_old_one(tmp_path):
    root = small_project(tmp_path / "small")
    values = {"learning_rate": RATES, "lstm_units": [2]}
    first = run_grid(root, values)
    projects.configure(root, slots={SLOT: {"metric": "mae"}})
    found = run_grid(root, values)
    assert found.trained == 0
    assert {row.metric for row in found.trials} == {"mae"}
    assert {row.score for row in found.trials}.isdisjoint(row.score for row in first.trials)
    assert found.reference.score != first.reference.score
    # Errors of volatility: an absolute one is larger than its square.
    assert found.best.score > first.best.score
    told = json.loads((root / "experiments" / "best_config.json").read_text())
    assert (told["metric"], told["final_val_loss"]) == ("mae", found.best.score)
    assert get_active_model_path(root) == root / str(found.best.checkpoint)
