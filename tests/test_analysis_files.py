"""What extend and analyze leave for people: scores, models, the chosen config, pictures."""

import hashlib
import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ladder as ladders
import projects
from looped import rest_slow
from podium.cli.main import run
from podium.ledger import reads
from podium.render import analysis_plots as plots
from podium.steps.search import analysis_files
from podium.steps.search.analyze import analyze
from podium.steps.search.extend import extend
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project
from projects import SLOT, Saying, small_project

EXTENDED, PLOTS, BEST = "extended_training_results", "analysis_plots", "best_config.json"
PATHS = {"paths": {"extended": EXTENDED, "best_config": BEST, "plots": PLOTS}}
RETURNS = "us4/D/return"
TWO = {
    **PATHS,
    "slots": {
        RETURNS: {**projects.SMALL["slots"][SLOT], "target": "log_return", "signal": "sign"},
    },
}


def analyzed(root, slot=SLOT, reporter=None, **flags):
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    with open_project(root, settings=dotted, reporter=reporter) as project:
        if flags:
            tune(project, slot)
            extend(project, slot)
        return analyze(project, slot)


@pytest.fixture(scope="module")
def finished(ladder):
    return ladder.project("analyzed", **TWO)


@pytest.fixture
def root(finished, tmp_path):
    return ladders.copied(finished, tmp_path / "small")


def read(path):
    return json.loads(path.read_text())


def stamps(root):
    return {p: p.stat().st_mtime_ns for name in (EXTENDED, PLOTS) for p in (root / name).rglob("*")}


# extend


def test_the_folds_are_told_with_their_mean_and_spread(finished):
    told = read(finished / EXTENDED / f"{EXTENDED}.json")
    assert [one["rank"] for one in told["configs"]] == [1, 2]
    for one in [*told["configs"], told["naive"]]:
        assert one["mean"] == pytest.approx(np.mean(one["folds"]), rel=1e-12)
        assert one["std"] == pytest.approx(np.std(one["folds"], ddof=1), rel=1e-12)
    assert told["configs"][0]["mean"] <= told["configs"][1]["mean"]
    for one in told["configs"]:
        [row] = projects.query(
            finished,
            "SELECT score FROM trial WHERE score = ? AND fold = 0",
            one["tuned_score"],
        )
        assert row["score"] == one["tuned_score"]
    for fold in told["folds"]:
        assert fold["train"][1] < fold["validation"][0]


def test_each_config_has_the_model_of_its_last_fold_and_of_no_other(finished):
    told = read(finished / EXTENDED / f"{EXTENDED}.json")
    for one in told["configs"]:
        folder = finished / EXTENDED / one["model"]
        manifest = (folder / "manifest.json").read_bytes()
        config = read(folder / "config.json")
        assert hashlib.sha256(manifest).hexdigest() == config["artifact_hash"]
        assert config["trial"] == one["trials"][-1]
        assert config["tickers"] == ["AAPL", "IBM"]
        assert config["split"]["validation"] == told["folds"][-1]["validation"]
        for name, expected in json.loads(manifest)["files"].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected
        kept = projects.query(
            finished,
            "SELECT id FROM trial WHERE artifact_hash IS NOT NULL AND id IN "
            f"({','.join('?' * len(one['trials']))})",
            *one["trials"],
        )
        assert [row["id"] for row in kept] == one["trials"][-1:]
    assert not list((finished / ".podium" / "work").iterdir())


def test_a_model_that_was_deleted_is_put_back_without_training(root):
    path = root / EXTENDED / "extended_model_1" / "best_model" / "model.pt"
    before = path.read_bytes()
    shutil.rmtree(path.parent.parent)
    trials = projects.query(root, "SELECT COUNT(*) AS n FROM trial")
    with open_project(root) as project:
        extend(project, SLOT)
    assert path.read_bytes() == before
    assert projects.query(root, "SELECT COUNT(*) AS n FROM trial") == trials


def test_fewer_configs_leave_no_models_of_the_others(root):
    with open_project(root, settings={"extend.top": 1}) as project:
        extend(project, SLOT)
    assert [p.name for p in (root / EXTENDED).glob("extended_model_*")] == ["extended_model_1"]


def test_folds_trained_before_models_were_kept_have_none_and_say_so(tmp_path):
    root = small_project(tmp_path / "small")
    with open_project(root) as project:
        tune(project, SLOT)
        extend(project, SLOT)
    assert not (root / EXTENDED).exists()
    projects.configure(root, **PATHS)
    with open_project(root) as project:
        extend(project, SLOT)
    told = read(root / EXTENDED / f"{EXTENDED}.json")
    assert [one["model"] for one in told["configs"]] == [None, None]


def test_a_splitter_can_be_named_on_the_command_line(root, capsys):
    command = ["extend", SLOT, "--project", str(root), "--top-n", "1", "--epochs", "1"]
    assert run([*command, "--folds", "3", "--splitter", "purged_kfold"]) == 0
    assert f"files: {EXTENDED}/" in capsys.readouterr().err
    told = read(root / EXTENDED / f"{EXTENDED}.json")
    assert (told["splitter"], len(told["folds"])) == ("purged_kfold", 3)
    assert run([*command, "--folds", "3", "--splitter", "nothing"]) != 0
    assert "nothing" in capsys.readouterr().err


# analyze


def test_the_chosen_config_is_written_with_the_reasons(finished):
    told = read(finished / BEST)
    assert {"config", "metadata"} <= told.keys()
    about = told["metadata"]
    assert about["slot"] == SLOT
    assert about["mean"] == pytest.approx(np.mean(about["folds"]))
    assert about["why"]
    assert about["looked_at"] == 4
    assert 0 <= about["p_value_against_naive"] <= 1
    assert about["directional_accuracy"] is None
    gain = (about["tuned_score"] - about["mean"]) / about["tuned_score"]
    assert about["accuracy_improvement"] == pytest.approx(gain)
    known = {row["id"] for row in projects.query(finished, "SELECT id FROM trial")}
    assert {about["trials"]["tuned"], *about["trials"]["folds"]} <= known


def test_another_slot_has_its_files_in_a_place_of_its_own(finished):
    told = read(finished / "slots" / RETURNS / BEST)
    assert told["metadata"]["slot"] == RETURNS
    assert (finished / "slots" / RETURNS / PLOTS / "analysis.json").is_file()


def test_of_a_target_that_goes_either_way_the_directions_are_counted(root):
    with open_project(root) as project:
        analysis = analyze(project, RETURNS)
        [first, *_] = analysis_files.compared(project, analysis)
        config, data = analysis.extension.configs[0], analysis.extension.tuned.forecast
        shares = []
        for row, fold in zip(config.folds, analysis.extension.split.folds, strict=True):
            with project.ledger.reading() as tx:
                forecast = reads.array(tx, row.prediction_hash)
            truth = fold.windows(data.tuning)[1].truth()
            right = [f * t > 0 for f, t in zip(forecast, truth, strict=True) if t != 0]
            shares.append(sum(right) / len(right))
    found = first["directional_accuracy"]
    assert found["extended"] == pytest.approx(np.mean(shares), abs=1e-12)
    assert first["accuracy_improvement"] == pytest.approx(found["extended"] - found["tuned"])


def test_pictures_are_drawn_once(root, drawn):
    before = stamps(root)
    assert {f"{PLOTS}/{name}" for name in analysis_files.PICTURES} <= {
        p.relative_to(root).as_posix() for p in before
    }
    reporter = Saying()
    analyzed(root, reporter=reporter)
    assert stamps(root) == before
    assert not any(PLOTS in said for said in reporter.said)
    for name in analysis_files.PICTURES:
        (root / PLOTS / name).unlink()
    analyzed(root)
    for name in analysis_files.PICTURES:
        content = (root / PLOTS / name).read_bytes()
        assert is_png(content)
        assert len(content) > 10_000


@pytest.mark.parametrize("change", rest_slow(["not podium's", "another config"], fast=1))
def test_a_config_file_that_somebody_wrote_or_changed_stays(root, change):
    told = read(root / BEST)
    if change == "another config":
        told["config"]["learning_rate"] = 0.5
    else:
        told = {"config": {"mine": 1}}
    (root / BEST).write_text(json.dumps(told))
    shutil.rmtree(root / PLOTS)
    reporter = Saying()
    found = analyzed(root, reporter=reporter)
    assert read(root / BEST) == told
    study = found.extension.tuned.study.id
    assert read(root / PLOTS / study / BEST)["metadata"]["study"] == study
    assert read(root / PLOTS / "analysis.json")["study"] == study
    assert any("is not changed" in message for message in reporter.said)


def test_another_search_moves_the_files_of_the_one_before_and_finds_its_own_again(root):
    before = read(root / BEST)
    first = before["metadata"]["study"]
    second = analyzed(root, tune__seed=8).extension.tuned.study.id
    assert read(root / BEST)["metadata"]["study"] == second != first
    assert read(root / PLOTS / first / BEST) == before
    assert read(root / PLOTS / first / "analysis.json")["study"] == first
    assert read(root / EXTENDED / first / f"{EXTENDED}.json")["study"] == first
    with open_project(root) as project:
        extend(project, SLOT, study=first)
    analyzed(root)
    again = read(root / BEST)
    assert again["config"] == before["config"]
    assert again["metadata"]["study"] == first
    # Twice as many configs were looked at by now.
    assert again["metadata"]["looked_at"] == 2 * before["metadata"]["looked_at"]
    assert read(root / PLOTS / "analysis.json")["study"] == first
    assert not (root / PLOTS / first).exists()
    assert read(root / EXTENDED / f"{EXTENDED}.json")["study"] == first


def test_the_verb_shows_scores_of_the_search_beside_those_of_the_folds(root, capsys):
    assert run(["analyze", SLOT, "--project", str(root)]) == 0
    told = capsys.readouterr()
    assert {"tuned", "mean"} <= {*told.out.split()}
    assert f"{BEST}, {PLOTS}" in told.err
    assert f"podium finalize {SLOT}" in told.err
    assert run(["analyze", SLOT, "--project", str(root), "--json"]) == 0
    [item] = json.loads(capsys.readouterr().out)["items"]
    assert [one["rank"] for one in item["compared"]][:3] == [1, 2, None]


# Pictures of whatever there is

values = st.floats(-1e6, 1e6)


@given(
    st.lists(st.one_of(st.integers(-5, 5), values, st.booleans(), st.none(), st.text(max_size=3)),
             min_size=1, max_size=8)
)  # fmt: skip
def test_every_axis_places_all_its_values_between_its_ends(found):
    axis = plots._Axis.of(found)
    assert len(axis.places) == len(found)
    assert all(0 <= place <= 1 for place in axis.places)
    assert all(0 <= at <= 1 for at, _ in axis.ticks)
    for value, place in zip(found, axis.places, strict=True):
        assert all(p == place for v, p in zip(found, axis.places, strict=True) if v is value)


@given(st.lists(st.floats(1e-8, 1e8), min_size=2, max_size=8))
def test_larger_numbers_lie_higher_on_an_axis(found):
    axis = plots._Axis.of(found)
    order = np.argsort(found, kind="stable")
    assert (np.diff(np.asarray(axis.places)[order]) >= 0).all()


def is_png(content):
    return content[:8] == b"\x89PNG\r\n\x1a\n"


def test_pictures_of_little_or_odd_things_are_drawn_without_a_warning(drawn):
    nothing = plots.importance_png([], "none")
    odd = plots.importance_png(
        [plots.Bar("a" * 90, 1.0, "b" * 200, True), plots.Bar("日本", -1.0, "too few", False)], "t"
    )
    one = plots.folds_png(
        [plots.Folds("only", [1.0, 2.0], 0.5, chosen=True)],
        plots.Folds("naive", [1.5, 1.5], 0.0),
        ["1", "2"],
        "t",
        "y",
    )
    ten = plots.folds_png(
        [plots.Folds(str(k), [k, k + 1.0], 0.1) for k in range(10)],
        plots.Folds("naive", [1.5, 1.5], 0.0),
        ["1", "2"],
        "t",
        "y",
    )
    flat = plots.curves_png([plots.Curves("rule", [[], []])], "t", "y")
    short = plots.curves_png(
        [plots.Curves("x", [[1.0], [2.0, 1.0]], chosen=True, best=9)], "t", "y"
    )
    same = plots.parallel_png([{"a": 1}], [0.5], [True], ["a"], None, ("t", "mse, lower is better"))
    mixed = plots.parallel_png(
        [{"a": None}, {"a": True}, {"a": "$x"}],
        [0.5, 0.4, math.pi],
        [True, False, True],
        ["a", "missing"],
        0,
        ("t", "f1, higher is better"),
    )
    assert all(map(is_png, (nothing, odd, one, ten, flat, short, same, mixed)))
