"""Improvement of a child over its parent, in per cent with the metric's direction."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import projects
from podium.errors import DataError, UsageError
from podium.evidence import Scalar
from podium.ledger import decisions, reads, writes
from podium.stats import improvement, improvement_of_losses
from podium.steps._evidence import evidence_about
from podium.steps._improvement import improvement_over_parent
from podium.steps._project import Project
from podium.steps.init import init

figure = st.floats(-1e9, 1e9, allow_subnormal=False)


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
    ("parent", "child", "error", "told"),
    [
        (0.0, 1.0, math.nan, "the parent is 0"),
        (-0.0, 1.0, math.nan, "the parent is 0"),
        (math.nan, 1.0, 0.1, "the parent is nan"),
        (math.inf, 1.0, 0.1, "the parent is inf"),
        (1.0, math.nan, 0.1, "the child is nan"),
        (-0.05, 1.0, 0.1, "smaller than its standard error"),
        (1e-308, 1e300, math.nan, "too small beside the change"),
    ],
)
def test_a_parent_that_is_no_measure_leaves_the_delta_and_a_reason(parent, child, error, told):
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
    with pytest.raises(UsageError, match="min or max"):
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
        made = decisions.register(ledger, tx, made, "tester")
        series = {"loss": writes.put_array(ledger, tx, np.asarray(loss, dtype=np.float32))}
        told = {
            "loss": Scalar(float(np.mean(loss)), "mse", "min"),
            "loss:AAPL": Scalar(1.0, "mse", "min"),
            "naive_loss": Scalar(1.0, "mse", "min"),
            "looks": Scalar(3.0, "candidates"),
            **scalars,
        }
        writes.put_evidence(
            ledger,
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
    with Project(init(tmp_path / "mine")) as project:
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
        assert reads.evidence_of(project.ledger, tx, child.id)["improvement"] == found
    assert improvement_over_parent(project, child, PERIODS) is None


def test_without_a_parent_or_on_other_data_nothing_is_said(project):
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
