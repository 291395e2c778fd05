"""Metrics of runs: against no change, on the sealed test, and a project's own with a direction."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import projects
from podium import HyperparamTracker
from podium.cli.main import run as podium
from podium.config import load
from podium.errors import UsageError
from podium.index import Index
from podium.ledger.record_reader import RecordReader
from podium.ledger.sweep_file import FILE
from podium.stats import diebold_mariano, panel_loss
from podium.steps.decisions.backtest import backtest
from podium.steps.pipeline.run import run
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project
from podium.tasks.forecast import last_value_error, view_of
from podium.testing.series import bars

RETURN = {"target": "return", "features": ["log_return"], "signal": "sign"}
# The metric of the documentation.
DOCS = Path(__file__).parent.parent / "docs" / "judgement.md"
HITS = re.search(r"## Your own metric.*?```python\n(.*?)```", DOCS.read_text(), re.DOTALL)[1]


@pytest.fixture(scope="module")
def ran(ladder):
    """A small project that forecasts a return, run to its end."""
    return ladder.project("finished", slots={projects.SLOT: RETURN})


def results(root):
    """Results of each complete trial of a search, with its row."""
    rows = projects.query(
        root,
        "SELECT t.*, l.phase, r.metric AS name, r.value FROM result r "
        "JOIN trial t ON t.id = r.trial_id JOIN study_trial l ON l.trial_id = t.id "
        "WHERE t.state = 'complete'",
    )
    trials = {}
    for row in rows:
        trial = trials.setdefault(row["id"], {**row, "results": {}})
        trial["results"][row["name"]] = row["value"]
    return list(trials.values())


def write_metric(root, text, name="hits"):
    path = root / "plugins" / "metrics" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_error_of_no_change_is_that_of_the_naive_baseline_on_the_same_windows(ran):
    trials = results(ran)
    zero = {"method": "zero", "debias": False}
    naive = {
        trial["index_hash"]: trial
        for trial in trials
        if trial["family"] == "naive" and json.loads(trial["config"]) == zero
    }
    config = load(ran)
    reader = RecordReader(config.ledger.url, ran, config.project.id)
    compared = [trial for trial in trials if trial["index_hash"] in naive]
    assert {trial["phase"] for trial in compared} > {"tune", "baseline"}
    for trial in compared:
        other, known = naive[trial["index_hash"]], trial["results"]
        assert known["naive_mae"] == pytest.approx(other["results"]["val_mae"])
        seconds = Index.unpack(reader.array(trial["index_hash"])).seconds
        daily = [panel_loss(reader.array(one["loss_hash"]), seconds)[1] for one in (trial, other)]
        expected = diebold_mariano(*daily, 5).p_value
        if math.isfinite(expected):
            assert known["dm_pvalue_vs_naive"] == pytest.approx(expected, rel=1e-5)
        else:
            assert "dm_pvalue_vs_naive" not in known
    assert any("dm_pvalue_vs_naive" in trial["results"] for trial in compared)
    # No change does not differ from itself.
    assert all("dm_pvalue_vs_naive" not in trial["results"] for trial in naive.values())


def test_the_scale_of_mase_is_the_error_of_the_last_value_on_the_training_part(ran):
    from podium.split import Windows

    dataset = bars(60, seed=3)
    section = load(ran).slot(projects.SLOT)
    view = view_of(dataset, section)
    at = np.arange(20, 40)
    close = dataset["close"]
    future, past = close[at + 5] / close[at] - 1, close[at] / close[at - 5] - 1
    scale = last_value_error(Windows.of(view, at))
    assert scale == pytest.approx(np.abs(future - past).mean())
    ratios = {
        trial["results"]["val_mae"] / trial["results"]["val_mase"]
        for trial in results(ran)
        if trial["phase"] in ("tune", "baseline")
    }
    assert max(ratios) == pytest.approx(min(ratios))


def test_test_metrics_are_those_of_the_judged_run_and_in_every_view_of_it(ran, capsys):
    [scalars] = projects.query(ran, "SELECT scalars FROM evidence WHERE kind = 'test'")
    scalars = json.loads(scalars["scalars"])
    judged = [
        trial
        for trial in results(ran)
        if trial["run_id"] and any(name.startswith("test_") for name in trial["results"])
    ]
    assert len({trial["id"] for trial in judged}) == 1
    known = judged[0]["results"]
    for name in ("mae", "pct_mae", "price_mae", "r2", "mase"):
        assert known[f"test_{name}"] == scalars[name][0], name
    assert known["test_mse"] == scalars["loss"][0]
    command = ["list", "trials", "--where", "test_pct_mae>0", "-o", "ids", "--project", str(ran)]
    assert podium(command) == 0
    assert capsys.readouterr().out.split() == [judged[0]["id"]]
    with HyperparamTracker(ran) as tracker:
        best = tracker.get_best_model("test_pct_mae")
        table = tracker.compare_models()
    assert best.metrics["test_mase"] == scalars["mase"][0]
    assert {"naive_mae", "dm_pvalue_vs_naive", "val_mase", "test_mase"} <= {*table.columns}
    assert table["test_mae"].notna().sum() == 1


def test_a_target_without_a_price_has_no_columns_of_prices_and_none_of_nan(ladder):
    root = ladder.project("finished")
    with HyperparamTracker(root) as tracker:
        table = tracker.compare_models()
    assert not [name for name in table.columns if "pct" in name or "price" in name]
    assert {"val_mae", "val_r2", "val_mase", "naive_mae"} <= {*table.columns}
    assert table.notna().any().all()


@pytest.mark.slow
def test_results_on_the_test_reach_the_trackers_file_and_make_no_run_of_it(ladder, tmp_path):
    root = ladder.copy(tmp_path / "mine", "finalized", slots={projects.SLOT: RETURN})
    with HyperparamTracker(root) as tracker:
        tracker.log_run("toto", {}, {"val_pct_mae": 0.7})
        tracker.close()
        before = (root / FILE).read_text()
        assert "test_pct_mae" not in before
        with open_project(root) as project:
            backtest(project, projects.SLOT)
        runs = json.loads((root / FILE).read_text())["runs"]
        assert sum("test_pct_mae" in run["metrics"] for run in runs) == 1
        # An edit of the file as it was before the test is one run more, not two.
        edited = json.loads(before)["runs"]
        edited.append({**edited[-1], "run_id": "mine", "metrics": {"val_pct_mae": 0.6}})
        (root / FILE).write_text(json.dumps({"runs": edited}))
        after = HyperparamTracker(root).runs
    assert len(after) == len(runs) + 1


def test_a_search_may_not_be_filtered_by_the_sealed_test(ladder, tmp_path):
    root = ladder.copy(tmp_path / "mine", "judged")
    settings = {"tune.where": "test_mae<0.2"}
    with (
        open_project(root, settings=settings) as project,
        pytest.raises(UsageError, match="test_mae, a result on the sealed test") as caught,
    ):
        tune(project, projects.SLOT)
    assert "val_mae" in str(caught.value)


@pytest.mark.slow
def test_a_projects_score_decides_a_slot_in_its_direction(tmp_path):
    slot = {**RETURN, "metric": "hits"}
    root = projects.small_project(tmp_path / "hits", slots={projects.SLOT: slot})
    write_metric(root, HITS)
    with open_project(root) as project:
        search = tune(project, projects.SLOT)
        finished = run(project)
    assert search.best_score == max(trial.score for trial in search.trials)
    assert finished.report.slots[0].candidate
    [row] = projects.query(root, "SELECT scalars, notes FROM evidence WHERE kind = 'test'")
    scalars, notes = json.loads(row["scalars"]), json.loads(row["notes"])
    assert 0 < scalars["hits"][0] < 1
    assert scalars["hits"][2] == "max"
    # A share has no loss per window, so tests compare squared errors.
    assert (scalars["loss"][1], notes["metric"]) == ("mse", "mse")
    with HyperparamTracker(root) as tracker:
        best, judged = tracker.get_best_model("val_hits"), tracker.get_best_model("test_hits")
        top = [one.metrics["val_hits"] for one in tracker.get_top_k_models(9, "val_hits")]
    assert best.metrics["val_hits"] == max(top) == top[0]
    assert judged.metrics["test_hits"] == scalars["hits"][0]


def test_a_projects_score_is_recorded_beside_the_metric_that_decides(tmp_path):
    settings = {"tune.metric": "mse,hits"}
    root = projects.small_project(tmp_path / "two", slots={projects.SLOT: RETURN})
    write_metric(root, HITS)
    with open_project(root, settings=settings) as project:
        search = tune(project, projects.SLOT)
    assert search.best_score == min(trial.score for trial in search.trials)
    with HyperparamTracker(root) as tracker:
        runs = tracker.get_top_k_models(9, "val_hits")
    values = [one.metrics["val_hits"] for one in runs]
    assert len(values) == 4
    assert values == sorted(values, reverse=True)
    # Another verb reproduces a run with the additional result.
    assert podium(["reproduce", runs[0].trial_id, "--project", str(root), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HITS.replace('DIRECTION = "max"\n', ""), "has a score and no DIRECTION"),
        (HITS.replace('"max"', '"higher"'), "DIRECTION of metric 'hits' is 'higher'"),
        (HITS.replace("def score", "def losses"), 'has losses, and its DIRECTION is "max"'),
    ],
)
def test_a_metric_whose_direction_is_not_clear_is_refused_before_a_training(
    tmp_path, text, message
):
    slot = {**RETURN, "metric": "hits"}
    root = projects.small_project(tmp_path / "unclear", slots={projects.SLOT: slot})
    write_metric(root, text)
    with open_project(root) as project, pytest.raises(UsageError, match=message):
        tune(project, projects.SLOT)
    assert HyperparamTracker(root).runs == []


def test_podium_toml_wins_over_a_metrics_file(tmp_path):
    root = projects.small_project(tmp_path / "mine", metrics={"hits": "min"})
    write_metric(root, HITS)
    write_metric(root, HITS, "other_hits")
    assert load(root).metrics == {"hits": "min", "other_hits": "max"}
