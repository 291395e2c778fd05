"""Templates that all workers of a test run share: built once, whole, and as they were built."""

import os
import signal

import pytest

from ladder import Ladder
from mlflow_places import in_child


@pytest.fixture
def shared(tmp_path):
    return Ladder(tmp_path / "ladder")


def test_a_template_is_built_once_however_many_workers_ask_for_it(shared, tmp_path):
    built = tmp_path / "built"

    def build(folder):
        with built.open("a") as told:
            told.write("once\n")
        (folder / "podium.toml").write_text("whole")

    def asks():
        assert (shared.kept("small", build) / "podium.toml").read_text() == "whole"

    children = []
    for _ in range(4):
        children.append(os.fork())
        if not children[-1]:
            os._exit(in_child(asks))
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert built.read_text() == "once\n"


def test_what_a_killed_worker_left_is_built_again(shared):
    def dies(folder):
        (folder / "half").touch()
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: shared.kept("small", dies)) == -signal.SIGKILL
    folder = shared.kept("small", lambda folder: (folder / "podium.toml").touch())
    assert [path.name for path in folder.iterdir()] == ["podium.toml"]


def test_a_template_that_somebody_wrote_to_is_told(shared):
    folder = shared.kept("small", lambda folder: (folder / "podium.toml").touch())
    shared.kept("other", lambda folder: (folder / "podium.toml").touch())
    assert shared.changed() == []
    (folder / "podium.toml").write_text("changed")
    assert shared.changed() == ["small"]


def test_projects_of_the_same_settings_are_one_and_of_others_another(shared):
    made = shared.project("made", tune={"trials": 2})
    assert shared.project("made", tune={"trials": 2}) == made
    assert shared.project("made", tune={"trials": 3}) != made
    assert shared.project("made", "growing", tune={"trials": 2}) != made
