"""A baseline that no config beats is chosen; it goes the way of every model."""

import json

import numpy as np
import pytest

import projects
from ladder import copied
from podium import champion
from podium.cli.main import run as podium
from podium.steps.pipeline.run import run
from podium.steps.search.analyze import analyze
from podium.steps.search.extend import extend
from podium.steps.search.tune import tune
from podium.steps.trials import baselines
from podium.steps.trials.baselines import Reference, label_of
from podium.steps.workspace.session import open_project
from projects import LENIENT, SLOT

SIMPLEST = {"analyze": {"choose": "simplest"}}
# A model of the size of the last change, which no linear baseline sees.
SIZE = """
import json
from pathlib import Path

import numpy as np

from podium.families._base import Family, Model
from podium.prediction import Prediction
from podium.space import Choice, Space


class Size(Model):
    def __init__(self, weights):
        self.weights = weights

    def predict(self, windows):
        x = np.abs(windows.view.increments[windows.at, windows.item])
        return Prediction.of(windows, self.weights[0] + self.weights[1] * x)

    def save(self, folder: Path) -> None:
        (folder / "size.json").write_text(json.dumps(self.weights))


class SizeFamily(Family):
    name = "size"

    def space(self, view):
        return Space({"degree": Choice((1,))})

    def fit(self, config, train, validation, *, seed, report, keep=None, parent=None):
        x = np.abs(train.view.increments[train.at, train.item])
        slope, level = np.polyfit(x, train.truth(), 1)
        return Size([float(level), float(slope)])

    def load(self, read):
        return Size(json.loads(read("size.json")))


FAMILY = SizeFamily
"""


@pytest.fixture(scope="module")
def whole(ladder, tmp_path_factory):
    """A project whose run chose a baseline."""

    def build(folder):
        root = projects.small_project(
            folder / "chosen", **SIMPLEST, policies=LENIENT, finalize={"seeds": 3}
        )
        with open_project(root) as project:
            run(project)

    root = tmp_path_factory.mktemp("chosen") / "chosen"
    return copied(ladder.kept("chosen baseline", build) / "chosen", root)


def test_where_no_config_beats_the_ladder_its_simplest_rung_is_the_champion(whole):
    with open_project(whole) as project:
        analysis = analyze(project, SLOT)
        extension = analysis.extension
        tied = [
            one
            for one, kept in zip(extension.entries, analysis.ranking.included, strict=True)
            if kept and one in extension.baselines
        ]
        levels = [baselines.rung_of(one, "forecast") for one in tied]
        assert analysis.chosen in tied
        assert baselines.rung_of(analysis.chosen, "forecast") == min(levels)
        [candidate] = projects.query(whole, "SELECT family, config FROM candidate")
        chosen = baselines.to_dict(analysis.chosen)
        assert {**candidate, "config": json.loads(candidate["config"])} == chosen
        assert label_of(analysis.chosen) in analysis.sentence
        assert analysis.looked_at == 4
        # It was one of all baselines and configs.
        assert analysis.luck.n_trials == 4 + len(extension.baselines)
        assert analysis.luck.judged == analysis.luck.n_trials
    assert champion(SLOT, root=whole).load() is not None


def test_a_chosen_baseline_is_trained_once_whatever_the_number_of_seeds(whole):
    trained = projects.query(whole, "SELECT trial_id FROM study_trial WHERE phase LIKE 'final%'")
    assert len(trained) == 2


def test_a_second_run_of_a_chosen_baseline_has_nothing_to_do(whole, capsys):
    assert podium(["run", SLOT, "--explain", "--project", str(whole)]) == 0
    assert "0 of" in capsys.readouterr().out


def test_every_baseline_is_in_the_evidence_in_show_and_in_the_report(whole, capsys):
    with open_project(whole) as project:
        ladder = analyze(project, SLOT).extension.ladder
    [page] = (whole / "reports").rglob("*.md")
    [candidate] = projects.query(whole, "SELECT id FROM candidate")
    assert podium(["show", candidate["id"], "--project", str(whole)]) == 0
    shown = capsys.readouterr().out
    assert len(ladder) >= 5
    for one in ladder:
        assert label_of(one) in page.read_text()
        assert label_of(one) in shown


def test_its_reference_is_simpler_than_itself():
    zero, ewma, ridge, lstm = (
        Reference("naive", {"method": "zero", "debias": False}),
        Reference("naive", {"method": "ewma", "debias": False}),
        Reference("ridge", {"alpha": 0.1}),
        Reference("lstm", {"units": 4}),
    )
    rungs = [ridge, ewma, zero]
    assert baselines.simpler(lstm, rungs, "forecast") == rungs
    assert baselines.simpler(ridge, rungs, "forecast") == [ewma, zero]
    assert baselines.simpler(ewma, rungs, "forecast") == [zero]
    assert baselines.simpler(zero, rungs, "forecast") == [zero]


def test_a_constant_is_its_own_reference_and_is_refused(tmp_path):
    root = tmp_path / "constant"
    target = {"target": "log_return", "signal": "sign"}
    projects.small_project(root, **SIMPLEST, slots={SLOT: target})
    with open_project(root) as project:
        result = run(project)
        [slot] = result.report.slots
    assert slot.label in ("naive zero", "naive history", "naive history (debiased)")
    assert slot.verdict == "refused"
    assert "no baseline is simpler" in slot.sentence


@pytest.mark.slow
def test_a_config_that_beats_every_baseline_is_chosen(tmp_path):
    root = projects.small_project(
        tmp_path / "planted",
        **SIMPLEST,
        slots={
            SLOT: {
                "target": "log_return",
                "horizon": 1,
                "families": ["size"],
                "features": ["log_return"],
                "signal": "sign",
            }
        },
        tune={"trials": 1},
        space={"lstm": {}},
    )
    (root / "plugins" / "families").mkdir(parents=True)
    (root / "plugins" / "families" / "size.py").write_text(SIZE)
    rng = np.random.default_rng(0)
    for path in (root / "data" / "us4").glob("*.csv"):
        head, *bars = path.read_text().splitlines()
        moves = np.zeros(len(bars))
        for t, shock in enumerate(0.01 * rng.standard_normal(len(bars))):
            moves[t] = 0.9 * (abs(moves[t - 1]) - 0.008) + shock
        closes = 100 * np.exp(np.cumsum(moves))
        days = [bar.split(",")[0] for bar in bars]
        columns = head.split(",")
        rows = [
            ",".join(
                day if name == columns[0] else "1000" if name == "volume" else f"{close:.6f}"
                for name in columns
            )
            for day, close in zip(days, closes, strict=True)
        ]
        path.write_text("\n".join([head, *rows, ""]))
    with open_project(root) as project:
        tune(project, SLOT)
        extend(project, SLOT)
        analysis = analyze(project, SLOT)
        assert analysis.chosen.family == "size"
        assert analysis.reference is analysis.extension.baselines[0]
        result = run(project)
    assert result.report.slots[0].verdict == "promoted"
