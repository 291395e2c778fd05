"""Baselines: every family of a task's list runs, the best is the reference, none is a look."""

import json

import pytest

import projects
from podium.ledger import reads
from podium.stats import diebold_mariano, panel_loss
from podium.steps.candidates.finalize import finalize
from podium.steps.candidates.select_model import found_model
from podium.steps.decisions.backtest import backtest
from podium.steps.decisions.promote import promote
from podium.steps.pipeline.run import run
from podium.steps.search.analyze import analyze
from podium.steps.search.extend import extend
from podium.steps.search.tune import reach, search_data, tune
from podium.steps.serving.check_slot import check_slot
from podium.steps.trials import baselines
from podium.steps.workspace.session import open_project
from podium.trial import trial_seed
from projects import LENIENT, SLOT, query

# Two configs, so that the family's name does not say which one is the reference.
BLEND = '''"""A recent mean drawn to the mean of all, less its mean error on the training part."""

import json

from podium.families._base import Family, Model
from podium.families.naive import METHODS
from podium.prediction import Prediction
from podium.space import Choice, Space


class Blend(Model):
    def __init__(self, share, offset=0.0):
        self.share, self.offset = share, offset

    def predict(self, windows):
        recent, all_time = (
            METHODS[name](windows.view)[windows.at, windows.item] for name in ("ewma", "history")
        )
        values = self.share * recent + (1 - self.share) * all_time
        return Prediction.of(windows, values + self.offset)

    def save(self, folder):
        (folder / "blend.json").write_text(json.dumps([self.share, self.offset]))


class BlendFamily(Family):
    name = "blend"

    def space(self, view):
        return Space({"share": Choice((0.0, 0.8))})

    def fit(self, config, train, validation, *, seed, report, keep=None, parent=None):
        plain = Blend(float(config["share"]))
        return Blend(plain.share, float((train.truth() - plain.predict(train).mean).mean()))

    def load(self, read):
        return Blend(*json.loads(read("blend.json")))


FAMILY = BlendFamily
'''
BEST = {"family": "blend", "config": {"share": 0.8}}


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A project whose task has a second family of baselines."""
    monkeypatch.setattr(baselines, "families", lambda task: ("naive", "blend"))
    root = projects.small_project(tmp_path / "two", policies=LENIENT)
    place = root / "plugins" / "families"
    place.mkdir(parents=True)
    (place / "blend.py").write_text(BLEND)
    return root


def test_the_best_of_two_families_is_the_reference_from_the_search_to_the_report(two):
    with open_project(two) as project:
        found = tune(project, SLOT)
        rows = found.baselines
        assert [row.family for row in rows] == ["naive"] * 8 + ["blend"] * 2
        assert [row.number for row in rows] == [*range(10)]
        assert found.reference.score == min(row.score for row in rows)
        assert baselines.to_dict(found.reference) == BEST
        extension = extend(project, SLOT)
        assert len(extension.baselines) == 10
        analysis = analyze(project, SLOT)
        assert baselines.to_dict(analysis.reference) == BEST
        assert analysis.reference.mean == min(one.mean for one in extension.baselines)
        assert (analysis.looked_at, analysis.luck.n_trials, analysis.luck.judged) == (4, 4, 4)
        finalize(project, SLOT)
        judged = backtest(project, SLOT)
        for kind in ("validation", "test"):
            notes = judged.evidence[kind].notes
            assert notes["naive_method"] == "blend (share 0.8)"
            assert json.loads(notes["reference"]) == BEST
        kept, _ = found_model(project, SLOT)
        assert baselines.to_dict(kept.reference) == BEST
        test, data = judged.evidence["test"], kept.data
        model = baselines.fit(kept.reference, baselines.labelled(data.tuning))
        windows = data.test_windows
        errors = (windows.truth() - model.predict(windows.blind()).mean) ** 2
        assert test.scalar("naive_loss") == errors.mean()
        with project.ledger.reading() as tx:
            mine = reads.array(tx, test.series["loss"]).astype(float)
        a_bar = [panel_loss(losses, windows.at)[1] for losses in (mine, errors)]
        expected = diebold_mariano(*a_bar, data.view.horizon).p_value
        assert test.scalar("dm_p_value") == pytest.approx(expected, rel=1e-3)
        [receipt] = reads_of(project, "backtest")
        assert receipt.inputs["reference"] == BEST
        whole = run(project)
        assert promote(project, judged.candidate.id).stage == "champion"
        checked = {one.what: one.found for one in check_slot(project, SLOT).findings}
        assert "blend" in checked["baseline"]
    [page] = (two / "reports").rglob("*.md")
    assert "Baseline: blend (share 0.8)." in page.read_text()
    assert {one.state for one in whole.outcomes[:5]} == {"up to date"}


def reads_of(project, step):
    with project.ledger.reading() as tx:
        return reads.newest_receipts(tx, SLOT, step)


def test_a_new_baseline_family_runs_beside_a_finished_search(two, monkeypatch):
    with open_project(two) as project, monkeypatch.context() as patch:
        patch.setattr(baselines, "families", lambda task: ("naive",))
        first = tune(project, SLOT)
        assert reach(project, search_data(project, SLOT)).baselines
    with open_project(two) as project:
        assert not reach(project, search_data(project, SLOT)).baselines
        second = tune(project, SLOT)
        assert reach(project, search_data(project, SLOT)).baselines
    assert [row.id for row in second.trials] == [row.id for row in first.trials]
    assert [row.id for row in second.baselines[:8]] == [row.id for row in first.baselines]
    assert len(second.baselines) == 10


def test_a_baseline_may_be_searched_as_a_family_of_the_slot_and_then_counts_as_a_look(tmp_path):
    root = projects.small_project(
        tmp_path / "naive", slots={SLOT: {"families": ["naive"]}}, space={"lstm": {}}
    )
    with open_project(root) as project:
        found = tune(project, SLOT)
        searched = {row.config_hash for row in found.trials}
        assert len(searched) == len(found.trials) == 4
        assert len(found.baselines) == len(baselines.all_configs(found.data.tuning))
        assert found.reference.score <= found.best.score
        assert not {row.id for row in found.trials} & {row.id for row in found.baselines}
        extension = extend(project, SLOT)
        seed = project.config.tune.seed
        for one in extension.configs:
            assert [row.seed for row in one.folds] == [trial_seed(seed, n) for n in range(2)]
        assert {row.seed for one in extension.baselines for row in one.folds} == {0}
        analysis = analyze(project, SLOT)
        assert (analysis.looked_at, analysis.luck.judged) == (4, 4)
        finalize(project, SLOT)
        judged = backtest(project, SLOT)
    assert judged.candidate.family == "naive"
    assert baselines.from_notes(judged.evidence["test"].notes).family == "naive"
    phases = {row["phase"] for row in query(root, "SELECT DISTINCT phase FROM study_trial")}
    assert {"baseline", "extend_baseline", "extend"} <= phases
