"""[extend] names its splitter; walk-forward is what nobody has to name."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from podium import registry
from podium.errors import NotFoundError, UsageError
from podium.sections import ExtendSection
from podium.steps.search.analyze import analyze, compute
from podium.steps.search.extend import extend, folds_of
from podium.steps.search.results import FoldScores
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project
from podium.testing.series import bars, view
from projects import LENIENT, SLOT, SMALL, query, small_project


@pytest.fixture(scope="module")
def seen():
    return view(bars(500), horizon=5)


def test_the_default_is_the_walk_forward_of_before(seen):
    plain = registry.load("splitters", "walk_forward").split(seen, folds=4)
    assert folds_of(ExtendSection(), seen).hash == plain.hash


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({"train_bars": 50}, {"folds": 4, "train_bars": 50}),
        ({"purge": 9}, {"folds": 4, "purge": 9}),
        ({"splitter": "purged_kfold"}, {"folds": 4, "embargo": 8}),
        ({"splitter": "purged_kfold", "embargo": 0}, {"folds": 4, "embargo": 0}),
        (
            {"splitter": "combinatorial", "folds": 5, "test_folds": 3},
            {"folds": 5, "test_folds": 3, "embargo": 8},
        ),
    ],
)
def test_what_is_set_reaches_the_splitter(seen, settings, parameters):
    assert folds_of(ExtendSection(**settings), seen).parameters == parameters


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"embargo": 3}, "extend.embargo is 3, but walk_forward has no embargo"),
        ({"splitter": "purged_kfold", "train_bars": 50}, "has no train_bars"),
        ({"splitter": "holdout"}, "'holdout'. Expected a splitter that makes folds"),
        ({"purge": 2}, "Expected purge = 5 or more"),
    ],
)
def test_an_unknown_parameter_of_a_splitter_is_refused(seen, settings, told):
    with pytest.raises(UsageError, match=told):
        folds_of(ExtendSection(**settings), seen)


def test_an_unknown_splitter_is_refused_with_a_near_name(seen):
    with pytest.raises(NotFoundError, match="Did you mean 'purged_kfold'"):
        folds_of(ExtendSection(splitter="purged_kfolds"), seen)


def test_folds_that_validate_the_same_windows_do_not_shrink_the_standard_error():
    class Row:
        def __init__(self, score):
            self.score = score

    def extended(scores, repeats):
        rows = [Row(score) for score in scores]
        return FoldScores("f", {}, 0.0, rows, np.empty(0), np.empty(0), 0, repeats)

    scores = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    once, thrice = extended(scores, 1), extended(scores, 3)
    assert once.standard_error == pytest.approx(np.std(scores, ddof=1) / math.sqrt(6))
    assert thrice.standard_error == pytest.approx(once.standard_error * math.sqrt(3))


def test_an_analysis_over_folds_that_know_the_future_says_so(tmp_path):
    settings = {"splitter": "combinatorial", "folds": 3, "test_folds": 2, "embargo": 0, "top": 1}
    root = small_project(tmp_path / "small", extend=settings, tune={"trials": 2, "epochs": 1})
    with open_project(root) as project:
        tune(project, SLOT)
        extend(project, SLOT)
        analysis = analyze(project, SLOT)
    assert "combinatorial also trains on bars after the validation bars" in analysis.reason
    assert len(analysis.chosen.folds) == 3
    assert analysis.chosen.repeats == 2
    [row] = query(root, "SELECT spec FROM split WHERE name = 'combinatorial'")
    assert '"paths":[[0,0,1],[1,2,2]]' in row["spec"]


def test_as_many_configs_are_extended_as_extend_top_says(ladder):
    root = ladder.project("finished", policies=LENIENT)
    rows = query(
        root,
        """SELECT DISTINCT t.config_hash, l.phase
           FROM study_trial l JOIN trial t ON t.id = l.trial_id WHERE t.family = 'lstm'""",
    )
    assert Counter(row["phase"] for row in rows)["tune"] == 4
    assert Counter(row["phase"] for row in rows)["extend"] == SMALL["extend"]["top"] == 2


def test_the_simplest_config_within_one_standard_error_of_the_best_is_chosen(ladder, tmp_path):
    def extended(units, scores):
        rows = [replace(row, score=score) for row, score in zip(one.folds, scores, strict=True)]
        return replace(one, config={**one.config, "lstm_units": units}, folds=rows)

    root = ladder.copy(tmp_path / "small", "finished", policies=LENIENT)
    with open_project(root) as project:
        found = extend(project, SLOT)
        one = found.configs[0]
        # Mean 2, standard error of two folds 1.
        best = extended(4, [1.0, 3.0])
        for mean, units in ((2.5, 2), (3.5, 4)):
            simpler = extended(2, [mean, mean])
            analysis = compute(project, replace(found, configs=[best, simpler]))
            assert analysis.chosen.config["lstm_units"] == units
