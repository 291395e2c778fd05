"""What is added is one file: a copy of podium takes it, and lists and runs it."""

import os
import shutil
import subprocess
import sys

import pytest

import projects
import structure
from projects import SLOT

STAGE = '''
"""Count the words of the slot's name."""

from podium.steps.pipeline.slot_pipeline import Stage
from podium.steps.trials.once import once, outputs_of


class Words(Stage):
    """A value on record, after the candidate."""

    name = "words"
    group = "finalize"
    after = ("finalize",)
    makes = "evidence"
    command = "finalize {slot}"

    def inputs(self, slot):
        return {"name": slot.slot, "candidate": slot.candidate and slot.candidate.artifact_hash}

    def find(self, slot):
        return outputs_of(slot.project, slot.slot, self.name, self.inputs(slot))

    def make(self, slot):
        count = {"words": len(slot.slot.split("/"))}
        return once(
            slot.project, slot.slot, self.name, self.inputs(slot), lambda: lambda tx: count
        ).outputs

    def describe(self, slot, product):
        return f"{product['words']} words"


STAGE = Words()
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of podium's code, and what runs a command of it."""
    folder = tmp_path_factory.mktemp("added") / "src"
    shutil.copytree(structure.SRC, folder / "podium", ignore=shutil.ignore_patterns("__pycache__"))

    def command(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "podium", *map(str, words)],
            env={**os.environ, "PYTHONPATH": str(folder), "PODIUM_RUNNER_NAME": "inline"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    command.folder = folder / "podium"
    return command


@pytest.mark.slow
def test_a_stage_is_one_file(copy, ladder, tmp_path):
    root = ladder.copy(tmp_path / "p", "extended")
    (copy.folder / "steps" / "pipeline" / "stages" / "words.py").write_text(STAGE.lstrip())
    place = ("--project", root)
    plan = copy("run", SLOT, "--explain", *place).stdout
    names = [line.split()[1] for line in plan.splitlines() if line.startswith(SLOT)]
    assert names.index("finalize") < names.index("words") < names.index("backtest")
    done = copy("run", SLOT, *place)
    again = copy("run", SLOT, *place)
    assert f"{SLOT}: words is up to date (3 words)" in again.stderr
    assert "words is up to date" not in done.stderr
    [receipt] = projects.query(root, "SELECT outputs FROM receipt WHERE step = 'words'")
    assert receipt["outputs"] == '{"words":3}'
