"""Which model a backtest takes: by the road's order, by path, by checkpoint; none that changed."""

import json
import shutil

import numpy as np
import pytest

import ladder as ladders
from podium import artifact
from podium.errors import DataError, NotFoundError, UsageError
from podium.resolve import load_model
from podium.steps.candidates.finalize import finalize
from podium.steps.candidates.select_model import slot_of
from podium.steps.decisions.backtest import backtest
from podium.steps.search.grid import grid
from podium.steps.workspace.session import open_project
from projects import SLOT, Saying, configure, query

TUNING = "hyperparameter_tuning_results"


@pytest.fixture(scope="module")
def tuned(ladder):
    """A project after a search of three trials, whose best two models were kept."""
    return ladder.project("searched", "long", **settings(3))


@pytest.fixture(scope="module")
def finished(ladder):
    """The same with the search's candidate, judged."""
    return ladder.project("judged", "long", **settings(3))


@pytest.fixture
def unfinished(tuned, tmp_path):
    """A copy whose search is to have more trials than it has."""
    root = ladders.copied(tuned, tmp_path / "unfinished")
    configure(root, **settings(50))
    return root


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished one to do things to."""
    return ladders.copied(finished, tmp_path / "copied")


def settings(trials):
    return {
        "paths": {
            "tuning": TUNING,
            "extended": "extended_training_results",
            "final": "final_model",
        },
        "tune": {"trials": trials, "keep_checkpoints": 2},
    }


def judged(root, slot=SLOT, **asked):
    said = Saying()
    with open_project(root, reporter=said) as project:
        return backtest(project, slot, **asked), said.said


def checkpoints(root):
    """Folders that the search kept, the best first."""
    there = [*(root / TUNING / "checkpoints").iterdir()]
    return sorted(there, key=lambda path: json.loads((path / "config.json").read_text())["value"])


def ids(found):
    """Of all evidence, which is not equal to itself where a figure of it is NaN."""
    return {kind: one.id for kind, one in found.evidence.items()}


def loss_of(found):
    return found.evidence["test"].scalar("loss")


def served(root):
    """Folder of the finished search's candidate."""
    [row] = query(root, "SELECT artifact_path FROM candidate")
    return root / "models" / "registry" / row["artifact_path"]


def as_final_model(root):
    """``final_model/`` as finalize leaves it: a copy of the artefact with files beside."""
    place = root / "final_model"
    shutil.copytree(served(root), place, dirs_exist_ok=True)
    (place / "config.json").write_text(json.dumps({"podium": 1, "tickers": ["AAPL", "IBM"]}))
    (place / "training_results.json").write_text("{}")
    return place


# The order


def test_a_finished_search_leads_to_its_candidate_whatever_else_lies_about(copied):
    as_final_model(copied)
    found, _ = judged(copied)
    assert found.rule == "the final model: final_model/"
    assert len(query(copied, "SELECT * FROM candidate")) == 1
    assert len(query(copied, "SELECT * FROM test_look")) == 1


def test_an_unfinished_search_has_its_best_checkpoint_judged(unfinished):
    found, said = judged(unfinished)
    best = checkpoints(unfinished)[0]
    assert found.rule == (
        f"the best checkpoint of the search: {TUNING}/checkpoints/{best.name}/, because there is "
        "no final model and no best extended model"
    )
    assert found.candidate.trial_id == json.loads((best / "config.json").read_text())["id"]
    assert any("until 2001-07-" in one and "podium finalize" in one for one in said)
    assert set(found.evidence) >= {"validation", "test", "backtest"}
    again, _ = judged(unfinished)
    assert again.candidate == found.candidate
    assert ids(again) == ids(found)


def test_final_model_comes_before_what_a_search_kept_and_is_the_same_candidate(copied):
    before, _ = judged(copied)
    as_final_model(copied)
    configure(copied, **settings(50))
    found, _ = judged(copied)
    assert found.rule == "the final model: final_model/"
    assert found.candidate == before.candidate
    assert ids(found) == ids(before)
    assert len(query(copied, "SELECT * FROM test_look")) == 1


def test_the_best_extended_model_comes_before_what_a_search_kept(copied):
    configure(copied, **settings(50))
    for name in ("final_model", "extended_training_results"):
        shutil.rmtree(copied / name, ignore_errors=True)
    for rank in (2, 10):
        shutil.copytree(
            served(copied), copied / "extended_training_results" / f"extended_model_{rank}"
        )
    found, _ = judged(copied)
    assert "extended_model_2/, because" in found.rule


def test_a_grids_active_model_comes_last(unfinished):
    shutil.rmtree(unfinished / TUNING / "checkpoints")
    with open_project(unfinished) as project:
        grid(project, SLOT, {"lstm_units": [4]})
    found, _ = judged(unfinished)
    assert found.rule.startswith("the grids' active model: models/registry/")


def test_where_there_is_nothing_every_place_and_its_command_are_named(unfinished):
    shutil.rmtree(unfinished / TUNING)
    with pytest.raises(NotFoundError) as caught:
        judged(unfinished)
    text = str(caught.value)
    for part in (
        "final_model/ (podium finalize",
        "extended_training_results/extended_model_* (podium extend",
        f"{TUNING}/checkpoints/* (podium tune",
        "models/active_model.txt",
        "podium grid",
    ):
        assert part in text


def test_a_model_of_another_question_is_passed_over_and_said(copied):
    as_final_model(copied)
    configure(copied, **settings(50), slots={SLOT: {"window": 9}})
    with pytest.raises(NotFoundError, match="nothing to judge"):
        judged(copied)
    said = Saying()
    with open_project(copied, reporter=said) as project, pytest.raises(NotFoundError):
        backtest(project, SLOT)
    assert any("final_model/ is skipped" in one and "9 bars" in one for one in said.said)


# By path


def test_any_path_into_any_copy_of_the_model_leads_to_the_same_candidate(copied, monkeypatch):
    before, _ = judged(copied)
    place = as_final_model(copied)
    elsewhere = shutil.copytree(place, copied.parent / "elsewhere" / "mine")
    monkeypatch.chdir(copied)
    for path in (
        "final_model",
        place / "final_model",
        place / "final_model" / "model.pt",
        elsewhere,
        served(copied),
    ):
        found, _ = judged(copied, None, model_path=path)
        assert found.candidate == before.candidate
        assert found.rule == f"model {path}, named explicitly"
    assert ids(found) == ids(before)


def test_a_search_checkpoint_by_path_is_judged_and_its_slot_known(copied):
    path = checkpoints(copied)[1] / "model.pt"
    assert slot_of(path) == SLOT
    found, _ = judged(copied, None, model_path=path)
    model = artifact.forecaster(
        copied / "models" / "registry" / found.candidate.artifact_path,
        found.candidate.artifact_hash,
    )
    assert model.manifest["config"] == found.candidate.config
    assert found.evidence["validation"].notes["reason"].startswith("stored by a search")


def test_the_best_checkpoint_is_a_candidate_of_its_own_with_a_number_of_its_own(copied):
    whole, _ = judged(copied)
    best, _ = judged(copied, checkpoint="best")
    assert best.candidate.id != whole.candidate.id
    assert best.candidate.config["max_epochs"] == 2
    assert loss_of(best) != loss_of(whole)
    assert best.evidence["validation"].scalars == whole.evidence["validation"].scalars
    assert best.evidence["validation"].notes["reason"].endswith("best_model of that training")
    again, _ = judged(copied, None, model_path=served_of(copied, whole) / "best_model")
    assert ids(again) == ids(best)
    same, _ = judged(copied, checkpoint="final")
    assert ids(same) == ids(whole)
    # It forecasts what the best checkpoint of the whole does.
    alone = load_model(served_of(copied, best))
    inside = load_model(served_of(copied, whole) / "best_model")
    windows = np.random.default_rng(0).normal(size=(5, 8, 2))
    assert (alone.predict(windows) == inside.predict(windows)).all()


def served_of(root, found):
    return root / "models" / "registry" / found.candidate.artifact_path


def test_a_checkpoint_that_is_not_there_is_not_found(copied):
    with pytest.raises(NotFoundError, match="no checkpoint 'final_model'"):
        judged(copied, None, model_path=checkpoints(copied)[0], checkpoint="final")
    with pytest.raises(UsageError, match="best or final"):
        judged(copied, checkpoint="last")
    with pytest.raises(NotFoundError, match="does not exist"):
        judged(copied, None, model_path=copied / "nowhere")


# Changed ones


def test_a_changed_file_of_a_copy_is_refused(copied):
    place = as_final_model(copied)
    model = place / "final_model" / "model.pt"
    model.write_bytes(model.read_bytes() + b"x")
    with pytest.raises(DataError, match=r"model\.pt"):
        judged(copied, None, model_path=place)
    configure(copied, **settings(50))
    with pytest.raises(DataError, match=r"model\.pt"):
        judged(copied)


def test_a_changed_manifest_of_a_copy_is_refused(copied):
    place = as_final_model(copied)
    manifest = place / "manifest.json"
    manifest.write_text(manifest.read_text().replace("2001-12-31", "1999-12-31"))
    with pytest.raises(DataError, match="is no copy of a model in models/registry/"):
        judged(copied, None, model_path=place)


@pytest.mark.parametrize("known", [True, False], ids=["judged before", "new"])
def test_a_changed_file_of_a_search_checkpoint_is_refused(known, copied):
    place = checkpoints(copied)[1]
    if known:
        judged(copied, None, model_path=place)
    model = place / "model.pt"
    model.write_bytes(model.read_bytes() + b"x")
    before = query(copied, "SELECT * FROM candidate")
    with pytest.raises(DataError, match=r"model\.pt was changed"):
        judged(copied, None, model_path=place)
    assert query(copied, "SELECT * FROM candidate") == before


def test_a_model_put_in_the_place_of_another_is_refused(copied):
    best, other = checkpoints(copied)
    shutil.copyfile(best / "model.pt", other / "model.pt")
    with pytest.raises(DataError, match=r"model\.pt was changed"):
        judged(copied, None, model_path=other)
    found, _ = judged(copied, None, model_path=best)
    assert found.candidate.family == "lstm"


def test_a_model_changed_together_with_the_hashes_in_its_config_is_refused(copied):
    best, other = checkpoints(copied)
    shutil.copyfile(best / "model.pt", other / "model.pt")
    config = json.loads((other / "config.json").read_text())
    config["files"]["model.pt"] = json.loads((best / "config.json").read_text())["files"][
        "model.pt"
    ]
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"the hash of config\.json is not the one on record"):
        judged(copied, None, model_path=other)


def test_a_model_without_the_hashes_of_its_files_is_refused(copied):
    place = checkpoints(copied)[0]
    told = json.loads((place / "config.json").read_text())
    del told["files"]
    (place / "config.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match="does not name the trial and the files of the model"):
        judged(copied, None, model_path=place)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("config", {"lstm_units": 8}, "differs from the record in config"),
        ("trained_until", "1999-01-01T00:00:00", "differs from the record in trained_until"),
        ("seed", 5, "differs from the record in seed"),
        ("id", "t-nobody", "is not on record"),
    ],
)
def test_what_a_search_checkpoint_says_of_itself_must_be_on_record(key, value, text, copied):
    place = checkpoints(copied)[0]
    told = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**told, key: value}))
    with pytest.raises(DataError, match=text):
        judged(copied, None, model_path=place)


def test_a_model_that_has_seen_the_test_is_refused(copied):
    # The test begins earlier by now than it did when the search's models were trained.
    configure(copied, **settings(3), slots={SLOT: {"test_from": "2001-06-01"}})
    for path in (served(copied), checkpoints(copied)[0]):
        with pytest.raises(DataError, match="was trained on bars until 2001-12-31"):
            judged(copied, None, model_path=path)


def test_finalize_then_backtest_is_one_candidate_and_one_look(copied):
    with open_project(copied) as project:
        made = finalize(project, SLOT)
    found, _ = judged(copied, None, model_path=served(copied))
    assert found.candidate == made.candidate
    assert len(query(copied, "SELECT * FROM test_look")) == 1
