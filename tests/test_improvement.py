"""Improvement of a child over its parent, in per cent with the metric's direction."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import classes
import projects
from looped import looped
from podium.cli.main import run as podium
from podium.errors import DataError, UsageError
from podium.evidence import Scalar
from podium.ledger import decisions, reads, writes
from podium.stats import improvement, improvement_of_losses
from podium.stats.class_improvement import RESAMPLED, improvements_of_classes
from podium.stats.classification import evaluate
from podium.steps.archive.init import init
from podium.steps.decisions.evaluate import evaluate as evaluate_step
from podium.steps.evidence.evidence import evidence_about
from podium.steps.evidence.improvement import improvement_over_parent
from podium.steps.workspace.session import open_project

figure = st.floats(-1e9, 1e9, allow_subnormal=False)


@looped(
    ("parent", "child", "direction", "percent", "turns"),
    [
        (0.5, 0.25, "min", 50.0, False),
        (0.5, 0.25, "max", -50.0, False),
        (2.0, 3.0, "max", 50.0, False),
        (-2.0, -1.0, "max", 50.0, False),
        (-2.0, -1.0, "min", -50.0, False),
        (-0.5, 0.5, "max", 200.0, True),
        (0.5, -0.5, "min", 200.0, True),
        (1.0, 0.0, "min", 100.0, False),
        (1.0, 1.0, "max", 0.0, False),
    ],
)
def test_the_sign_says_better_whatever_the_direction_and_the_parents_sign(
    parent, child, direction, percent, turns
):
    found = improvement(parent, child, direction)
    assert (found.percent, found.delta) == (percent, child - parent)
    assert (found.sign_changes, found.reason) == (turns, None)


@looped(
    ("parent", "child", "error", "told"),
    [
        (0.0, 1.0, math.nan, "the parent is 0"),
        (-0.0, 1.0, math.nan, "the parent is 0"),
        (math.nan, 1.0, 0.1, "the parent is nan"),
        (math.inf, 1.0, 0.1, "the parent is inf"),
        (1.0, math.nan, 0.1, "the child is nan"),
        (-0.05, 1.0, 0.1, "smaller than its standard error"),
        (1e-308, 1e300, math.nan, "too small for a percentage"),
    ],
)
def test_an_unusable_parent_leaves_the_delta_and_a_reason(parent, child, error, told):
    found = improvement(parent, child, "max", standard_error=error)
    assert math.isnan(found.percent)
    assert told in found.reason
    known = math.isfinite(parent) and math.isfinite(child)
    assert found.delta == child - parent if known else math.isnan(found.delta)


@given(figure, figure, st.sampled_from(["min", "max"]))
def test_better_is_above_nought_and_mirrored_by_the_other_direction(parent, child, direction):
    found = improvement(parent, child, direction)
    if found.reason is None:
        better = child > parent if direction == "max" else child < parent
        assert (found.percent > 0) == better or abs(child - parent) < 1e-290
        other = improvement(parent, child, "min" if direction == "max" else "max")
        assert other.percent == -found.percent
        assert found.percent == improvement(-parent, -child, other_way(direction)).percent


def other_way(direction):
    return "min" if direction == "max" else "max"


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(UsageError, match="'min' or 'max'"):
        improvement(1.0, 2.0, "up")
    with pytest.raises(UsageError, match="at least 0"):
        improvement(1.0, 2.0, "max", standard_error=-1.0)
    with pytest.raises(DataError, match="child"):
        improvement_of_losses(np.ones(40), np.ones(41))


def test_the_interval_of_losses_is_paired():
    rng = np.random.default_rng(0)
    hard = rng.exponential(size=300)
    parent, child = hard + 0.1 * rng.random(300), 0.9 * hard + 0.1 * rng.random(300)
    found = improvement_of_losses(parent, child)
    assert 0.0 < found.low < found.percent < found.high
    # Losses that rise and fall together tell more than two that know nothing of one another.
    alone = improvement_of_losses(parent, rng.permutation(child))
    assert found.high - found.low < (alone.high - alone.low) / 2


def test_few_periods_give_no_interval_and_none_at_all_no_figure():
    few = improvement_of_losses(np.full(9, 2.0), np.full(9, 1.0))
    assert few.percent == 50.0
    assert math.isnan(few.low)
    assert "9 periods" in few.interval_reason
    assert improvement_of_losses([], []).reason == "the parent is nan"


# As evidence


def judged(project, name, loss, *, parent=None, dataset="d" * 64, **scalars):
    """A candidate with a test of 60 periods and two tickers."""
    made = replace(projects.new_candidate(name), parent_id=parent, root_id=parent or f"c-{name}")
    ledger = project.ledger
    with ledger.transaction() as tx:
        made = decisions.register(tx, made, "tester")
        series = {"loss": writes.put_array(tx, np.asarray(loss, dtype=np.float32))}
        told = {
            "loss": Scalar(float(np.mean(loss)), "mse", "min"),
            "loss:AAPL": Scalar(1.0, "mse", "min"),
            "naive_loss": Scalar(1.0, "mse", "min"),
            "looks": Scalar(3.0, "candidates"),
            **scalars,
        }
        writes.put_evidence(
            tx,
            evidence_about(
                made, "test", "test", dataset=dataset, split="s", scalars=told, series=series,
                notes={},
            ),
        )  # fmt: skip
    return made


PERIODS = np.tile(np.arange(60), 2)


@pytest.fixture
def project(tmp_path):
    with open_project(init(tmp_path / "mine")) as project:
        yield project


def test_a_child_is_held_against_its_parent_where_both_had_the_same_test(project):
    loss = np.random.default_rng(1).exponential(size=120)
    judged(project, "base", loss, sharpe=Scalar(0.0, "", "max"), turn=Scalar(-1.0, "", "max"))
    child = judged(
        project,
        "child",
        0.75 * loss,
        parent="c-base",
        sharpe=Scalar(1.0, "", "max"),
        turn=Scalar(1.0, "", "max"),
    )
    found = improvement_over_parent(project, child, PERIODS)
    values = {name: scalar.value for name, scalar in found.scalars.items()}
    assert values.keys() == {
        "delta_loss", "improvement_loss", "improvement_loss_low", "improvement_loss_high",
        "delta_sharpe", "delta_turn", "improvement_turn",
    }  # fmt: skip
    assert values["improvement_loss"] == pytest.approx(25.0)
    assert values["improvement_loss_low"] == pytest.approx(25.0, abs=1e-4)
    assert values["delta_sharpe"] == 1.0
    assert found.notes["improvement_sharpe"] == "none: the parent is 0"
    assert (found.notes["sign_changes"], found.notes["parent"]) == ("turn", "c-base")
    # It is on record, once.
    with project.ledger.reading() as tx:
        assert reads.evidence_of(tx, child.id)["improvement"] == found
    assert improvement_over_parent(project, child, PERIODS) is None


def test_a_figure_that_only_one_has_is_named_with_the_reason(project):
    loss = np.ones(120)
    judged(project, "base", loss, r2=Scalar(0.5, "", "max"), turn=Scalar(1.0, "a year", "max"))
    more = {"sharpe": Scalar(1.0, "", "max"), "turn": Scalar(1.0, "a day", "max")}
    child = judged(project, "child", loss, parent="c-base", **more)
    found = improvement_over_parent(project, child)
    assert {name: found.notes[f"improvement_{name}"] for name in ("r2", "sharpe", "turn")} == {
        "r2": "none: the child has no such figure",
        "sharpe": "none: the parent has no such figure",
        "turn": "none: they are in different units",
    }
    assert found.scalars.keys() == {"delta_loss", "improvement_loss"}


def test_a_parent_whose_loss_is_lost_in_its_noise_gives_the_delta_alone(project):
    # Losses such as log scores may lie on both sides of 0.
    loss = np.random.default_rng(5).normal(size=120)
    loss += 0.01 - loss.mean()
    judged(project, "base", loss)
    child = judged(project, "child", 0.5 * loss, parent="c-base")
    found = improvement_over_parent(project, child, PERIODS)
    assert "smaller than its standard error" in found.notes["improvement_loss"]
    assert found.scalars.keys() == {"delta_loss"}


def test_without_a_parent_on_the_same_data_there_is_no_improvement(project):
    loss = np.ones(120)
    base = judged(project, "base", loss)
    other = judged(project, "other", loss, parent="c-base", dataset="e" * 64)
    assert improvement_over_parent(project, base, PERIODS) is None
    assert improvement_over_parent(project, other, PERIODS) is None


def test_losses_of_other_periods_give_the_figure_without_an_interval(project):
    judged(project, "base", np.full(120, 2.0))
    child = judged(project, "child", np.ones(100), parent="c-base")
    found = improvement_over_parent(project, child, PERIODS)
    assert found.scalars["improvement_loss"].value == 50.0
    assert "improvement_loss_low" not in found.scalars


# Of classifiers


def answers(n, seed, certainty):
    """Classes of samples in groups of four, and probabilities that tell them so clearly."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    said = rng.dirichlet(np.ones(3), n)
    said[np.arange(n), truth] += certainty
    return truth, said / said.sum(axis=1, keepdims=True), np.arange(n) // 4


def changes(truth, parent, child, groups=None, **how):
    both = [evaluate(truth, p, ["a", "b", "c"]) for p in (parent, child)]
    return both, improvements_of_classes(*both, truth, parent, child, groups, **how)


def test_every_figure_of_a_classifier_improves_in_its_own_direction():
    truth, parent, _ = answers(300, 0, 0.4)
    _, child, _ = answers(300, 1, 0.9)
    (before, after), found = changes(truth, parent, child)
    for name, one in found.items():
        lower = name in ("log_loss", "brier", "calibration_error")
        value, other = getattr(after, name), getattr(before, name)
        assert one == replace(
            improvement(other, value, "min" if lower else "max"),
            low=one.low, high=one.high, interval_reason=one.interval_reason,
        )  # fmt: skip
    assert {n for n, one in found.items() if one.low <= one.percent <= one.high} == {*RESAMPLED}
    assert all(found[name].low > 0.0 for name in RESAMPLED)


def test_the_interval_of_classes_is_the_one_that_drawing_samples_gives():
    truth, parent, groups = answers(400, 2, 0.5)
    _, child, _ = answers(400, 3, 0.6)
    _, found = changes(truth, parent, child, groups, repeats=2000)
    rng = np.random.default_rng(9)
    drawn = {name: [] for name in RESAMPLED}
    for _ in range(500):
        chosen = rng.integers(100, size=100)
        rows = (4 * chosen[:, None] + np.arange(4)).ravel()
        one, two = (evaluate(truth[rows], p[rows], ["a", "b", "c"]) for p in (parent, child))
        for name, values in drawn.items():
            way = "min" if name in ("log_loss", "brier") else "max"
            values.append(improvement(getattr(one, name), getattr(two, name), way).percent)
    for name, values in drawn.items():
        low, high = np.percentile(values, [2.5, 97.5])
        width = high - low
        assert abs(found[name].low - low) < 0.2 * width, name
        assert abs(found[name].high - high) < 0.2 * width, name


def test_groups_are_drawn_whole_and_few_of_them_give_no_interval():
    truth, parent, _ = answers(120, 4, 0.5)
    _, child, _ = answers(120, 5, 0.9)
    few = changes(truth, parent, child, np.arange(120) // 20)[1]["macro_f1"]
    assert math.isnan(few.low)
    assert "6 groups" in few.interval_reason
    assert few.percent == changes(truth, parent, child)[1]["macro_f1"].percent
    assert "29 samples" in changes(truth[:29], parent[:29], child[:29])[1]["brier"].interval_reason


def test_a_parent_that_got_nothing_right_is_no_measure_and_equal_ones_have_no_width():
    truth, _, _ = answers(60, 6, 0.0)
    wrong = np.eye(3)[(truth + 1) % 3]
    _, found = changes(truth, wrong, np.eye(3)[truth])
    assert (found["macro_f1"].delta, found["macro_f1"].reason) == (1.0, "the parent is 0")
    one = changes(truth, *[answers(60, 7, 0.5)[1]] * 2)[1]["log_loss"]
    assert (one.low, one.percent, one.high) == (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """A classifier, and one that was made of it, which learned more."""
    root = classes.project(
        tmp_path_factory.mktemp("classes") / "p",
        slots={"pumps/other": {"dataset": "pumps", "task": "classify"}},
    )
    parent = classes.trained(root, settings={"max_epochs": 1}).candidate
    more = classes.trained(root, slot="pumps/other", settings={"max_epochs": 12}).candidate
    with open_project(root) as project, project.ledger.transaction(durable=True) as tx:
        mine = {"slot": parent.slot, "study_id": parent.study_id, "id": "c-child"}
        kin = {"parent_id": parent.id, "root_id": parent.id, "model_type": "continued"}
        child = decisions.register(tx, replace(more, **mine, **kin), "tester")
        trained = reads.evidence_of(tx, more.id)["validation"]
        its = replace(trained, id="e-child", candidate_id=child.id)
        writes.put_evidence(tx, its)
    return root, parent, child


@pytest.mark.slow
def test_a_classifier_is_held_against_its_parent_on_the_same_samples(classified, capsys):
    root, parent, child = classified
    assert podium(["evaluate", child.id, "--project", str(root)]) == 0
    said = capsys.readouterr().err
    with open_project(root) as project, project.ledger.reading() as tx:
        found = reads.evidence_of(tx, child.id)
        assert "evaluation" not in reads.evidence_of(tx, parent.id)
    improved = found["improvement"]
    assert improved.dataset_fingerprint == found["evaluation"].dataset_fingerprint
    assert improved.notes["parent"] == parent.id
    share = improved.scalar("improvement_log_loss")
    assert improved.scalar("improvement_log_loss_low") <= share
    assert share > 0.0 > improved.scalar("delta_log_loss")
    # The same as when the parent is judged by itself.
    its = classes.evaluated(root, parent.id)
    assert its.improvement is None
    assert improved.scalar("delta_log_loss") == pytest.approx(
        found["evaluation"].scalar("log_loss") - its.evidence.scalar("log_loss")
    )
    assert f"log loss {share:+.3g} % (" in said
    folder = root / found["evaluation"].notes["folder"]
    assert "Improvement over its parent" in (folder / "evaluation.html").read_text()
    told = json.loads((folder / "metrics.json").read_text())["improvements"]
    assert told["log_loss"]["percent"] == share
    # Evaluated again nothing new is found.
    again = classes.evaluated(root, child.id)
    assert (again.improvement.id, again.fresh) == (improved.id, False)


@pytest.mark.slow
def test_a_missing_parent_model_is_reported_and_the_child_evaluated(classified, tmp_path):
    root, parent, child = classified
    copy = shutil.copytree(root, tmp_path / "p")
    shutil.rmtree(copy / "models" / "registry" / parent.artifact_path)
    heard = projects.Saying()
    with open_project(copy, reporter=heard) as project:
        found = evaluate_step(project, child.id)
    assert found.evidence.kind == "evaluation"
    assert found.report.parent is None
    assert any(f"not compared with its parent {parent.id}" in line for line in heard.said)
