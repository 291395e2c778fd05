"""What is added is a file or two: a copy of podium takes it, lists it and runs it.

Each addition says how many files that are there already it changes; the table of the house's plan
is the limit.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

import projects
import structure
from projects import SLOT

pytestmark = pytest.mark.slow

FAMILY = '''
"""A small dense network over a window of features."""

from torch import nn

from podium.families._loop import BOUNDS
from podium.families._torch_forecaster import ScaledNetwork, TorchForecaster
from podium.space import Choice, Float, Int, Space


class Network(ScaledNetwork):
    def __init__(self, n_features, window, units):
        super().__init__(n_features)
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(n_features * window, units), nn.Tanh(), nn.Linear(units, 1)
        )

    def read(self, windows):
        return self.layers(windows).squeeze(-1)


class Dense(TorchForecaster):
    name = "dense"
    network = Network

    def space(self, view):
        return Space(
            parameters={"units": Choice((8, 16)), "learning_rate": Float(1e-3, 3e-2, log=True)},
            constants={
                "window": view.window, "batch_size": 64, "weight_decay": 1e-3, "max_epochs": 12
            },
            usual={"units": 16, "learning_rate": 1e-2},
            bounds={**BOUNDS, "units": Int(1, 256), "window": Int(1, 10_000)},
        )

    def shape(self, config, n_features, n_outputs):
        return {
            "n_features": n_features, "window": config["window"], "units": config["units"]
        }


FAMILY = Dense
'''
LOSS = '''
"""Logarithm of the hyperbolic cosine of the error: square when small, absolute when large."""

import torch


class LogCosh:
    task = "forecast"
    outputs = 1

    def __call__(self, outputs, targets):
        return torch.log(torch.cosh((outputs - targets).clamp(-20, 20))).mean()


LOSS = LogCosh
'''
GATE = '''
"""Is the candidate's family a short word?

Asks
----
How many letters the evidence of words counts.

Why
---
To show that a gate is one file.

Passes when
-----------
There are at most ``most`` (3) words.

Refuses when
------------
There are more.

What to do
----------
Rename the slot.
"""

from podium.decision import Result

NEEDS = ("words",)
LIMITS = {"most": 3}


def judge(case):
    words = case.candidate["words"].scalar("words")
    kept = words <= case.limits["most"]
    return Result.PASS if kept else Result.REFUSE, f"the name of the slot has {words:g} words"
'''
METRIC = '''
"""Absolute error to the power of one and a half; lower is better."""

import numpy as np


def losses(truth, forecast):
    return np.abs(truth - forecast) ** 1.5
'''
RUNNER = '''
"""In this process, and a line for every trial."""

from podium.runners.inline import InlineRunner


class Saying(InlineRunner):
    def run(self, job, tasks):
        for ended in super().run(job, tasks):
            print(f"ended {ended.task.trial_id}")
            yield ended


RUNNER = Saying
'''
EVIDENCE = '''
"""Count the words of the slot's name, as evidence about its candidate."""

from podium.evidence import Scalar
from podium.steps.evidence.evidence import evidence_about
from podium.steps.pipeline.slot_pipeline import EvidenceStage
from podium.steps.trials.once import evidence_once


class Words(EvidenceStage):
    name = "words"
    group = "finalize"
    quiet = False

    def inputs(self, slot):
        return {"name": slot.slot, "candidate": slot.candidate and slot.candidate.artifact_hash}

    def make(self, slot):
        count = {"words": Scalar(len(slot.slot.split("/")), "words")}
        found = evidence_about(
            slot.candidate, self.name, "words", dataset=slot.data.dataset.fingerprint,
            scalars=count,
        )
        return evidence_once(
            slot.project, slot.candidate, self.name, self.inputs(slot), lambda: lambda tx: [found]
        )


STAGE = Words()
'''
STAGE = '''
"""Count the letters of the slot's name."""

from podium.steps.pipeline.slot_pipeline import PipelineStage
from podium.steps.trials.once import once, outputs_of


class Letters(PipelineStage):
    name = "letters"
    group = "finalize"
    makes = "value"

    def inputs(self, slot):
        return {"name": slot.slot}

    def find(self, slot):
        return outputs_of(slot.project, slot.slot, self.name, self.inputs(slot))

    def make(self, slot):
        count = {"letters": len(slot.slot)}
        return once(
            slot.project, slot.slot, self.name, self.inputs(slot), lambda: lambda tx: count
        ).outputs

    def describe(self, slot, product):
        return f"{product['letters']} letters"


STAGE = Letters()
'''
PROJECTION = '''
"""``slots.txt``: the slots that have a candidate, one a line."""

from podium.files import write_atomic
from podium.ledger import schema
from podium.ledger.statements import values


def write(ledger, root, slot, *, say):
    with ledger.reading() as tx:
        names = sorted({*values(tx, schema.candidate.c.slot)})
    text = "".join(f"{name}\\n" for name in names)
    path = root / "slots.txt"
    if not names or (path.is_file() and path.read_text() == text):
        return []
    write_atomic(path, text)
    return ["slots.txt"]
'''
TASK = '''
"""Forecast the middle of what may come: bars, judged by another error than the mean's."""

from dataclasses import dataclass

from podium.tasks import forecast

ROLE = "FAMILY"
USUAL = {"families": ("naive",), "metric": "middle_error", "policy": "middle"}
HOLDS = "bars"
NEEDS = ("target", "horizon", "features", "test_from")
TAKES = ("test_to", "window", "signal")
STAGES = ("tune", "extend", "analyze", "finalize", "promote")
BASELINES = ("naive",)
WORDS = ("forecasts the middle of", "{target}, {horizon} bars ahead")
POLICIES = {"middle": {"beta": {}, "champion": {}}}


class Middle(forecast.ForecastTask):
    name = "middle"


TASK = Middle()
'''
TASK_METRIC = METRIC.replace("import numpy as np\n", 'import numpy as np\n\nTASK = "middle"\n', 1)
VERB = '''
"""Start: greet the project."""

import click

from podium.cli import options


@click.command()
@options.common
def command(cli):
    """Say the project's name."""
    from podium.steps.archive.greet import greet

    with cli.opened() as project:
        cli.out.facts("greeting", {"hello": greet(project)})
'''
STEP = '''
"""Greet a project."""


def greet(project):
    """The project's name."""
    return project.config.project.name
'''


class Copy:
    """A copy of podium's code that additions are put into."""

    def __init__(self, folder):
        self.folder = folder / "podium"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(structure.SRC, self.folder, ignore=ignored)

    def add(self, files, changed=()):
        """Write new files; change others, each by one replacement. Returns how many it touches."""
        for name, text in files.items():
            assert not (self.folder / name).exists()
            (self.folder / name).write_text(text.lstrip())
        for name, old, new in changed:
            before = (self.folder / name).read_text()
            assert before.count(old) == 1, f"{name} has {before.count(old)} times {old!r}"
            (self.folder / name).write_text(before.replace(old, new))
        return len(files) + len({name for name, *_ in changed})

    def python(self, *words):
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            env={
                **os.environ,
                "PYTHONPATH": str(self.folder.parent),
                "PODIUM_RUNNER_NAME": os.environ.get("RUNNER", "inline"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    def __call__(self, *words):
        return self.python("-m", "podium", *words)

    def listed(self, kind):
        return [row["name"] for row in json.loads(self("list", kind, "--json").stdout)["items"]]

    def keeps(self, kit, code):
        """Run a conformance kit on a member of the copy."""
        self.python("-c", f"from podium.testing.{kit} import *\nfrom pathlib import Path\n{code}")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("added") / "src")


def test_a_torch_family_is_one_file_of_at_most_sixty_lines_besides_its_network(copy, tmp_path):
    assert copy.add({"families/dense.py": FAMILY}) == 1
    network = FAMILY[FAMILY.index("class Network") : FAMILY.index("class Dense")]
    assert structure.code_lines(FAMILY) - structure.code_lines(network) <= 60
    assert "dense" in copy.listed("families")
    copy.keeps("families", f"from podium.families.dense import FAMILY\n"
               f"check_family(FAMILY, Path({str(tmp_path)!r}))")  # fmt: skip


def test_a_loss_a_metric_and_a_runner_are_one_file_each(copy, ladder, tmp_path):
    assert copy.add({"losses/log_cosh.py": LOSS}) == 1
    assert copy.add({"metrics/three_halves.py": METRIC}) == 1
    assert copy.add({"runners/saying.py": RUNNER}) == 1
    assert "log_cosh" in copy.listed("losses")
    assert "three_halves" in copy.listed("metrics")
    assert "saying" in copy.listed("runners")
    copy.keeps("losses", "from podium.losses.log_cosh import LOSS\ncheck_loss(LOSS)")
    copy.keeps("runners", "from podium.runners.saying import RUNNER\n"
               "check_every_task_ends_once(RUNNER)\ncheck_a_failure_costs_one_trial(RUNNER)\n"
               "check_files_of_trials_come_back(RUNNER)")  # fmt: skip
    root = ladder.copy(tmp_path / "p", "made")
    # A family takes a loss by its name.
    text = FAMILY.replace('name = "dense"', 'name = "denser"')
    text = text.replace('"batch_size": 64', '"loss": "log_cosh", "batch_size": 64')
    copy.add({"families/denser.py": text})
    projects.configure(root, slots={SLOT: {"metric": "three_halves", "families": ["denser"]}})
    found = copy("tune", SLOT, "--trials", "2", "--project", root, "--json").stdout
    [config] = [json.loads(line) for line in found.splitlines() if line.startswith("{")]
    best = config["items"][0]
    assert best["config"]["loss"] == "log_cosh"
    assert best["three_halves"] > 0


def test_a_verb_is_its_file_and_its_step(copy, ladder, tmp_path):
    assert copy.add({"cli/verbs/greet.py": VERB, "steps/archive/greet.py": STEP}) == 2
    assert "greet" in copy("--help").stdout
    root = ladder.copy(tmp_path / "p", "made")
    assert "small" in copy("greet", "--project", root).stdout


def test_evidence_is_a_stage_and_its_place_and_a_gate_of_it_is_one_file(copy, ladder, tmp_path):
    place = ("tasks/forecast.py", '    "leak_probe",\n', '    "leak_probe",\n    "words",\n')
    assert copy.add({"steps/pipeline/stages/words.py": EVIDENCE}, [place]) == 2
    assert copy.add({"gates/few_words.py": GATE}) == 1
    assert "few_words" in copy.listed("gates")
    assert "words" in copy("explain", "few_words").stdout
    copy.keeps("gates", "from podium.gates import few_words\ncheck_gate(few_words)")
    root = ladder.copy(tmp_path / "p", "extended")
    projects.configure(
        root, policies={"forecast": {"champion": {"few_words": {}, "fresh_evidence": {}}}}
    )
    copy("run", SLOT, "--project", root)
    [candidate] = projects.query(root, "SELECT id FROM candidate")
    assert (
        "the name of the slot has 3 words"
        in copy("show", candidate["id"], "-v", "--project", root).stdout
    )
    again = copy("run", SLOT, "--project", root)
    assert f"{SLOT}: words is up to date" in again.stderr


def test_a_stage_is_its_file_and_its_place(copy, ladder, tmp_path):
    place = ("tasks/forecast.py", '    "validation",\n', '    "validation",\n    "letters",\n')
    assert copy.add({"steps/pipeline/stages/letters.py": STAGE}, [place]) <= 3
    root = ladder.copy(tmp_path / "p", "extended")
    plan = copy("run", SLOT, "--explain", "--project", root).stdout
    names = [line.split()[1] for line in plan.splitlines() if line.startswith(SLOT)]
    assert names.index("finalize") < names.index("letters") < names.index("backtest")
    copy("run", SLOT, "--project", root)
    again = copy("run", SLOT, "--project", root)
    assert f"{SLOT}: letters is up to date ({len(SLOT)} letters)" in again.stderr


def test_a_projection_is_its_file_and_its_place(copy, ladder, tmp_path):
    places = [
        (
            "steps/workspace/user_files.py",
            "    return [*files,",
            "    files += slots_file.write(ledger, root, slot, say=print)\n    return [*files,",
        ),
        (
            "steps/workspace/user_files.py",
            "import experiments, sweep_results",
            "import experiments, slots_file, sweep_results",
        ),
    ]
    assert copy.add({"ledger/projections/slots_file.py": PROJECTION}, places) == 2
    root = ladder.copy(tmp_path / "p", "finalized")
    assert "slots.txt" in copy("sync", "--project", root).stdout
    assert (root / "slots.txt").read_text() == f"{SLOT}\n"


def test_a_task_is_one_file_besides_a_metric_and_goes_through_a_run(copy, ladder, tmp_path):
    files = {"tasks/middle.py": TASK, "metrics/middle_error.py": TASK_METRIC}
    assert copy.add(files) == 2
    assert "middle" in copy.listed("tasks")
    copy.keeps("slot_tasks", "from podium.tasks import middle\ncheck_constants(middle)")
    root = ladder.copy(tmp_path / "p", "made")
    projects.configure(
        root,
        slots={SLOT: {"task": "middle", "families": ["lstm"]}},
    )
    plan = copy("run", SLOT, "--explain", "--project", root).stdout
    names = [line.split()[1] for line in plan.splitlines() if line.startswith(SLOT)]
    assert names == ["tune", "extend", "analyze", "finalize", "promote"]
    done = copy("run", SLOT, "--project", root)
    assert "is champion" in done.stdout
    [study] = projects.query(root, "SELECT id FROM study")
    assert (
        "forecasts the middle of"
        in copy("show", "--lineage", study["id"], "--project", root).stdout
    )
    assert "middle_error" in copy("list", "trials", "--project", root).stdout
