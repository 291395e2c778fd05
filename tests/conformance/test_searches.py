"""Every file in searches/ keeps the contract; a new one is tested without a line here."""

import pytest

from looped import rest_slow
from podium import registry
from podium.searches.random import RandomSearch
from podium.space import Choice, Float, Int, Space
from podium.testing.searches import SPACE, check_exhaustion, check_search
from podium.testing.series import bars, view
from podium.trial import BUDGET

# A Gaussian process takes a tenth of a second a trial on these, and far longer on choices.
NUMBERS = Space({"rate": Float(1e-4, 1e-1, log=True), "layers": Int(1, 99)}, {BUDGET: 3})
SLOW = {"gp"}


@pytest.fixture(params=registry.names("searches"))
def search(request):
    return registry.load("searches", request.param).SEARCH


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in registry.names("searches")
    ]
)
def any_search(request):
    return registry.load("searches", request.param).SEARCH


def test_a_search_keeps_the_contract(any_search):
    check_search(any_search)


@pytest.mark.parametrize("name", ["gp", "auto", "three_phase"])
@pytest.mark.slow
def test_a_search_that_models_numbers_keeps_the_contract(name):
    check_search(registry.load("searches", name).SEARCH, NUMBERS, generation=3)


@pytest.mark.parametrize("generation", rest_slow([3, 1, 8], fast=1))
def test_a_search_keeps_the_contract_for_any_generation(any_search, generation):
    check_search(any_search, generation=generation)


def test_a_finite_space_is_searched_to_its_end_without_repeating_a_config(any_search):
    check_exhaustion(any_search)


def test_a_search_works_on_the_space_of_every_family(search):
    seen = view(bars(60))
    spaces = [
        getattr(module, role)().space(seen)
        for module in (registry.load("families", name) for name in registry.names("families"))
        for role in ("FAMILY", "CLASSIFIER")
        if hasattr(module, role)
    ]
    for space in spaces:
        for config in search(space, 3).ask(range(12)):
            assert not space.problems(config)


def test_a_space_without_parameters_gives_its_constants(search):
    space = Space({}, {BUDGET: 2, "units": 16})
    assert search(space, 1).ask([0, 1]) == [{BUDGET: 2, "units": 16}]


def test_a_study_that_began_with_repeated_configs_may_repeat_them():
    space = Space({}, {BUDGET: 2, "units": 16})
    for name in ("random", "tpe"):
        made = registry.load("searches", name).SEARCH(space, 1)
        made.distinct = False
        assert made.ask([0, 1]) == [{BUDGET: 2, "units": 16}] * 2


def test_a_study_of_failed_trials_continues(search):
    made = search(SPACE, 1)
    for number in range(15):
        (config,) = made.ask([number])
        made.tell(number, config, float("nan"))
    assert not SPACE.problems(made.ask([15])[0])


def test_an_infinite_score_counts_as_failed(search):
    made = search(SPACE, 1)
    for number in range(12):
        (config,) = made.ask([number])
        made.tell(number, config, float("inf") if number % 2 else 1.0)
    assert not SPACE.problems(made.ask([12])[0])


def test_known_trials_of_another_space_do_no_harm(search):
    narrow = Space({"units": Choice((16, 32)), "rate": Float(0.1, 1.0), "n": Int(1, 3)})
    made = search(narrow, 1)
    for number in range(12):
        made.tell(number, {"units": 32, "rate": 0.5, "n": 2}, float(number))
    assert not narrow.problems(made.ask([12])[0])


# Those that do not learn are left out, those that model by the same process are slow.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in ("auto", "three_phase") else [])
        for name in registry.names("searches")
        if name not in ("random", "qmc", "grid")
    ],
)
def test_a_search_learns_where_scores_are_low(name):
    search = registry.load("searches", name).SEARCH
    space = Space({"x": Float(0.0, 1.0)})
    far = []
    # A Gaussian process is slow, and needs few trials here.
    models = name in ("gp", "auto", "three_phase")
    for seed in range(1 if models else 4):
        made = search(space, seed)
        for number in range(26 if models else 40):
            (config,) = made.ask([number])
            far.append((number, abs(float(config["x"]) - 0.8)))
            made.tell(number, config, far[-1][1])
    late = [distance for number, distance in far if number >= 20]
    # Draws at random are 0.34 away on average.
    assert sum(late) / len(late) < 0.2


def test_the_kit_finds_a_search_with_hidden_state():
    class Secretive(RandomSearch):
        told = 0

        def ask(self, numbers):
            self.told += 1
            return [self.space.sample(self.seed * 10_007 + n + 100 * self.told) for n in numbers]

    with pytest.raises(AssertionError, match="it differs"):
        check_search(Secretive)


def test_the_kit_finds_a_search_that_ignores_its_seed():
    class Same(RandomSearch):
        def ask(self, numbers):
            return [self.space.sample(number) for number in numbers]

    with pytest.raises(AssertionError, match="another seed"):
        check_search(Same)
