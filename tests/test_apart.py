"""A runner that shares no files: models and states of paused trials travel as bytes."""

import pytest

import projects
import quick
from apart import ApartRunner
from podium.errors import DataError
from podium.hashing import digest_folder
from podium.runners._files import read_folder, store_files, write_folder
from podium.runners.inline import InlineRunner
from podium.steps.candidates.finalize import finalize
from podium.steps.search.extend import extend
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project
from podium.testing import runners
from podium.trial import Ended, State, Task
from projects import SLOT, query

FOLDER = "hyperparameter_tuning_results"


def test_it_keeps_the_contract_of_a_runner():
    runners.check_runner(ApartRunner)


def test_the_kit_finds_a_runner_with_a_false_shares_files():
    class Shares(ApartRunner):
        shares_files = True

    with pytest.raises(AssertionError, match=r"shares_files is True, and the .* is bytes"):
        runners.check_files_of_trials_come_back(Shares)

    class Apart(InlineRunner):
        shares_files = False

    with pytest.raises(AssertionError, match=r"shares_files is False, and the .* is path"):
        runners.check_files_of_trials_come_back(Apart)


def test_the_kit_finds_a_runner_that_loses_states():
    class Forgetful(ApartRunner):
        def run(self, job, tasks):
            for end in super().run(job, tasks):
                object.__setattr__(end, "paused", "")
                yield end

    with pytest.raises(AssertionError, match="the state of a paused trial was not returned"):
        runners.check_files_of_trials_come_back(Forgetful)


def searched(root, runner):
    """A project after a search with pauses and kept models, and a final training."""
    root = projects.small_project(
        root,
        slots={SLOT: {"families": [quick.NAME]}},
        tune={
            "trials": 8,
            "generation": 4,
            "epochs": 9,
            "search": "random",
            "schedule": "halving",
        },
        paths={"tuning": FOLDER},
    )
    with open_project(root) as project:
        project.__dict__["runner"] = runner(1)
        tune(project, SLOT)
        extend(project, SLOT)
        finalize(project, SLOT)
    return root


def test_a_search_and_a_final_training_are_those_of_a_runner_that_shares_files(
    quick_family, tmp_path
):
    here = searched(tmp_path / "here", InlineRunner)
    before = len(quick.TRAINED)
    there = searched(tmp_path / "there", ApartRunner)
    told = "SELECT state, score, seed, fold FROM trial ORDER BY key"
    assert query(there, told) == query(here, told)
    assert {row["state"] for row in query(here, told)} >= {"complete", "pruned"}
    # Trials that were paused went on, and trained no epoch twice.
    assert len(quick.TRAINED) - before == before
    for place in (f"{FOLDER}/checkpoints", "models"):
        assert models(there / place) == models(here / place)
        assert models(here / place)
    for left in (there, here):
        assert list((left / ".podium").rglob("model.json")) == []
        assert list((left / ".podium").rglob("state")) == []


def models(folder):
    return sorted(path.read_text() for path in folder.rglob("model.json"))


def test_a_folder_comes_back_as_it_was(tmp_path):
    folder = tmp_path / "one"
    (folder / "inner" / "empty").mkdir(parents=True)
    (folder / "inner" / "file").write_bytes(b"\x00\xff")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "before").write_text("gone")
    for files in (read_folder(folder), str(folder)):
        write_folder(files, tmp_path / "other")
        assert digest_folder(tmp_path / "other") == digest_folder(folder)
        assert (tmp_path / "other" / "inner" / "empty").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]


@pytest.mark.parametrize("name", ["../out", "/out", "in/../../out"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name, tmp_path):
    with pytest.raises(DataError, match="a name inside of its folder"):
        write_folder({name: b""}, tmp_path / "place")
    assert not (tmp_path / "out").exists()


def test_files_without_a_folder_in_the_job_are_ignored(tmp_path):
    job = runners.small_job("naive")
    end = Ended(Task("t", {}, 0, 0), State.COMPLETE, model={"a": b""}, paused={"b": b""})
    [found] = store_files(job, iter([end]))
    assert (found.model, found.paused) == ("", "")
