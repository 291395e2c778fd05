"""What a search comes to as a value: a frame of its trials, and a table in a notebook."""

import math
import xml.etree.ElementTree as ElementTree

import pytest

import podium
import projects
import quick
from podium.render.table import number
from podium.steps.archive import init
from podium.steps.search.grid import grid
from podium.steps.search.results import SHOWN
from podium.steps.search.sweep import sweep
from podium.steps.search.tune import tune, tuned
from podium.steps.trials import baselines
from podium.steps.workspace.session import open_project
from projects import SLOT

FACTS = [
    "id", "number", "phase", "family", "state", "score", "epochs", "seconds", "feasible",
    "baseline",
]  # fmt: skip


@pytest.fixture
def root(tmp_path, quick_family):
    settings = {
        "slots": {SLOT: {"families": [quick.NAME]}},
        "tune": {"trials": 6, "generation": 2, "epochs": 3, "search": "random"},
    }
    return projects.small_project(tmp_path / "small", **settings)


def picky(x, word="a"):
    if x == 2:
        raise ValueError("two is too many")
    return {"score": (x - 3) ** 2, "size": 10 * x}


def of_own_code(folder, space, **more):
    return podium.search(
        picky, space, direction="min", search="grid", project=init.init(folder), **more
    )


def test_the_frame_of_a_slot_has_every_trial_and_baseline(root):
    flags = {"tune.where": "level=2", "tune.metric": "mse,mae", "tune.search": "grid"}
    with open_project(root, settings=flags) as project:
        found = tune(project, SLOT, {"level": [1, 2]})
        again = tuned(project, SLOT, overrides={"level": [1, 2]})
    frame = found.frame()
    assert again.frame().equals(frame)
    assert [*frame][: len(FACTS)] == FACTS
    assert [*frame["id"]] == [row.id for row in (*found.trials, *found.baselines)]
    searched, beside = frame[~frame["baseline"]], frame[frame["baseline"]]
    assert len(searched) == 6
    assert [*searched["feasible"]] == [*(searched["config.level"] == 2)]
    assert beside["feasible"].isna().all()
    assert set(beside["phase"]) == {"baseline"}
    assert set(frame["state"]) == {"complete"}
    assert [*frame["score"]] == [row.score for row in (*found.trials, *found.baselines)]
    assert (searched["seconds"] > 0).all()
    assert (searched["epochs"] == 3).all()
    assert [*searched["metrics.val_mae"]] == [found.values[id_]["mae"] for id_ in searched["id"]]
    # What a baseline has no parameter of stays empty.
    assert beside["config.level"].isna().all()
    assert found.best.id in set(frame[frame["feasible"].fillna(False)]["id"])


def test_every_search_of_a_slot_is_the_same_kind_of_value(root):
    with open_project(root) as project:
        results = [
            grid(project, SLOT, {"factor": [0.9, 1.0], "level": [4]}),
            sweep(project, SLOT, "quick", space={"level": [4]}, max_runs=2),
        ]
    for found in results:
        frame = found.frame()
        assert len(frame) == len(found.trials) + len(found.baselines)
        assert frame["feasible"].dtype == "boolean"
        assert found.best.id == found.ranked[0].id
        reference = f"{number(found.reference.score)} of {baselines.label_of(found.reference)}"
        assert f"against {reference}" in found.sentence
        assert found.sentence in found._repr_html_()
        shown = found.rows()
        assert [row["trial"] for row in shown] == [
            row.id for row in (*found.ranked, found.reference)
        ]
        # What all configs share is left out, and names are those of the config.
        assert {*found.best.config} >= {part.split()[0] for part in shown[0]["config"].split(", ")}


def test_the_frame_of_own_code_has_failed_trials_and_no_baselines(tmp_path):
    found = of_own_code(tmp_path / "mine", {"x": [1, 2, 3]}, trials=3)
    assert found.reference is None
    assert found.reference_score is None
    frame = found.frame().sort_values("config.x")
    assert [*frame["state"]] == ["complete", "failed", "complete"]
    assert [*frame["score"]] == pytest.approx([4, math.nan, 0], nan_ok=True)
    assert [*frame["metrics.size"]] == pytest.approx([10, math.nan, 30], nan_ok=True)
    assert not frame["baseline"].any()
    assert frame["feasible"].all()
    assert found.sentence == (
        "own/picky: 3 trials (1 failed); best picky x 3: score on validation 0"
    )


def test_the_table_shows_the_best_trials_and_escapes_everything(tmp_path):
    space = {"x": [1, 2, 3, 4], "word": ['<script>alert("x")</script>', "&", "c"]}
    found = of_own_code(tmp_path / "mine", space, trials=12)
    text = found._repr_html_()
    tree = ElementTree.fromstring(f"<div>{text}</div>")
    assert tree.find("p").text == f"own/picky: 12 trials (3 failed); {found.summary}"
    rows = tree.findall(".//tbody/tr")
    assert len(rows) == SHOWN < len(found.trials)
    assert [row.find("th").text for row in rows] == [row.id for row in found.ranked[:SHOWN]]
    assert "<script" not in text
    # Three of twelve failed; they come last, and one of them is still among the ten.
    assert [row.findall("td")[2].text for row in rows] == ["complete"] * 9 + ["failed"]
