"""Every file in features/ and targets/ keeps the contract, with each of its lengths."""

import inspect

import numpy as np
import pytest

from figures import with_figures
from looped import looped
from podium import registry
from podium.testing.features import check_feature, check_target
from podium.testing.series import bars, view


def reads_files(name):
    """Whether a feature is of covariates: it is told by a text which of them it reads."""
    parameters = inspect.signature(registry.load("features", name).compute).parameters
    return any(one.annotation in (str, "str") for one in parameters.values())


def has_length(name):
    """Whether a feature looks so many bars back as it is told to."""
    return len(inspect.signature(registry.load("features", name).compute).parameters) > 1


@pytest.fixture(params=[n for n in registry.names("features") if not reads_files(n)])
def feature(request):
    return request.param


@pytest.fixture(params=registry.names("targets"))
def target(request):
    return request.param


def test_a_feature_is_causal(feature):
    check_feature(registry.load("features", feature).compute)


@pytest.mark.parametrize(
    "feature", [n for n in registry.names("features") if has_length(n) and not reads_files(n)]
)
@looped("bars_back", [2, 30])
def test_a_feature_is_causal_for_every_length(feature, bars_back):
    compute = registry.load("features", feature).compute
    check_feature(lambda dataset: compute(dataset, bars_back))


@pytest.mark.parametrize("feature", [n for n in registry.names("features") if reads_files(n)])
@looped("given", [("earnings.eps",), ("sizes.size",), ("closing.closed", 5)])
def test_a_feature_of_covariates_is_causal(feature, given):
    compute = registry.load("features", feature).compute
    check_feature(lambda dataset: compute(dataset, *given), lambda n: with_figures(bars(n)))


@looped("feature", registry.names("features"))
def test_a_feature_explains_itself_in_one_line(feature):
    line = registry.describe("features")[feature]
    assert line.endswith(".")
    assert len(line) > 20


def test_a_feature_of_fewer_bars_than_it_needs_is_unknown_not_an_error(feature):
    compute = registry.load("features", feature).compute
    assert compute(bars(2)).shape == (2, 3)


def test_a_target_keeps_the_contract(target):
    check_target(registry.load("targets", target))


@looped("horizon", [1, 5])
def test_the_target_decided_now_is_the_past_known_a_horizon_later(target, horizon):
    seen = view(bars(80), target=target, horizon=horizon)
    np.testing.assert_array_equal(seen.target[:-horizon], seen.past[horizon:])
    assert np.isnan(seen.target[-horizon:]).all()


@looped("horizon", [1, 5])
def test_the_past_of_a_target_is_made_of_its_last_bars_alone(target, horizon):
    module = registry.load("targets", target)
    dataset = bars(80)
    seen = view(dataset, target=target, horizon=horizon)
    last = module.increments(dataset)[50 - horizon + 1 : 51].mean(axis=0)
    start = module.level(dataset)[50 - horizon] if hasattr(module, "level") else 0
    np.testing.assert_allclose(seen.past[50], start + module.aggregate(last, horizon), rtol=1e-12)


def test_a_log_return_of_two_bars_adds_those_of_one():
    dataset = bars(50)
    compute = registry.load("features", "log_return").compute
    one, two = compute(dataset), compute(dataset, 2)
    np.testing.assert_allclose(two[2:], one[2:] + one[1:-1], atol=1e-12)
