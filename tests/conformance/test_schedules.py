"""Every file in schedules/ keeps the contract; a new one is tested without a line here."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium import registry
from podium.schedules._base import Schedule
from podium.testing.schedules import check_schedule

NAMES = registry.names("schedules")
SCORES = st.dictionaries(
    st.integers(0, 60), st.one_of(st.just(math.nan), st.floats(0, 1)), max_size=40
)


def made(name, budget=20, least=1):
    return registry.load("schedules", name).SCHEDULE(budget, least)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_keeps_the_contract(name):
    check_schedule(registry.load("schedules", name).SCHEDULE)


@pytest.mark.parametrize("name", NAMES)
@given(SCORES, st.lists(st.floats(0, 1), max_size=20), st.integers(1, 8), st.data())
def test_survivors_are_among_the_trials_and_at_least_the_minimum(name, scores, others, least, data):
    schedule = made(name, least=least)
    for rung in schedule.rungs():
        kept = schedule.survivors(rung, scores, others)
        assert len(set(kept)) == len(kept)
        assert set(kept) <= set(scores)
        assert len(kept) >= min(least, sum(map(math.isfinite, scores.values())))
        order = data.draw(st.permutations(list(scores)))
        assert set(schedule.survivors(rung, {n: scores[n] for n in order}, others)) == set(kept)


@given(SCORES, st.integers(1, 8))
def test_halving_keeps_the_better_half_and_no_trial_without_a_finite_score(scores, least):
    kept = made("halving", least=least).survivors(1, scores, [])
    lost = [scores[n] for n in scores if n not in kept]
    assert all(math.isfinite(scores[n]) for n in kept)
    finite = [score for score in lost if math.isfinite(score)]
    assert not finite or not kept or max(scores[n] for n in kept) <= min(finite)
    if all(map(math.isfinite, scores.values())):
        assert len(kept) == min(len(scores), max(least, math.ceil(len(scores) / 2)))


@given(SCORES, st.lists(st.floats(0, 1), max_size=20))
def test_the_median_stops_only_trials_that_are_worse(scores, others):
    kept = made("median").survivors(3, scores, others)
    lost = [scores[n] for n in scores if n not in kept and math.isfinite(scores[n])]
    everything = sorted([s for s in (*scores.values(), *others) if math.isfinite(s)])
    below = [score for score in everything if all(score < one for one in lost)]
    assert not lost or len(below) >= len(everything) / 2


def test_the_median_waits_for_five_trials_and_two_epochs():
    schedule = made("median")
    assert schedule.rungs()[0] == 3
    assert set(schedule.survivors(3, {0: 1.0, 1: 2.0}, [0.1, 0.1])) == {0, 1}
    assert set(schedule.survivors(3, {0: 1.0, 1: 2.0}, [0.1, 0.1, 1.5])) == {0}


def test_hyperband_compares_within_brackets_that_begin_at_different_rungs():
    scores = {n: n / 100 for n in range(27)}
    schedule = made("hyperband")
    assert schedule.rungs() == (1, 3, 9)
    after_one = schedule.survivors(1, scores, [])
    assert {n for n in after_one if n % 3 == 0} == {0, 3, 6}
    assert {n for n in after_one if n % 3} == {n for n in scores if n % 3}
    after_three = schedule.survivors(3, {n: scores[n] for n in after_one}, [])
    assert {n for n in after_three if n % 3 == 0} == {0}
    assert {n for n in after_three if n % 3 == 1} == {1, 4, 7}


def test_sixty_trials_of_twenty_epochs_cost_two_hundred_and_four_survive():
    schedule = made("halving", budget=20, least=4)
    going, epochs, before = {n: float(n) for n in range(60)}, 0, 0
    for rung in schedule.rungs():
        epochs += len(going) * (rung - before)
        before = rung
        going = {n: going[n] for n in schedule.survivors(rung, going, [])}
    assert epochs + len(going) * (20 - before) == 200
    assert sorted(going) == [0, 1, 2, 3]


class Wrong(Schedule):
    def __init__(self, budget, least=1, *, rungs=(1, 2), pick=list):
        super().__init__(budget, least)
        self.wrong_rungs, self.pick = rungs, pick

    def rungs(self):
        return tuple(r for r in self.wrong_rungs if r < self.budget or r == 20)

    def survivors(self, rung, scores, others):
        return self.pick(scores)


def _oddness(score, place):
    return math.isnan(score), abs(score - 0.5), place


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rungs": (2, 1)}, "do not rise"),
        ({"rungs": (20,)}, "out of range"),
        ({"pick": lambda scores: [1000]}, "were not given"),
        ({"pick": lambda scores: []}, "at least"),
        ({"pick": lambda scores: list(scores)[: len(scores) // 2 + 6]}, "another order"),
        (
            {"pick": lambda scores: sorted(scores, key=lambda n: _oddness(scores[n], n))[:9]},
            "with -1.0 it does not",
        ),
    ],
)
def test_the_kit_reports_each_fault_of_a_schedule(wrong, told):
    def schedule(budget, least=1):
        return Wrong(budget, least, **wrong)

    with pytest.raises(AssertionError, match=told):
        check_schedule(schedule)
