"""Adjusted p-values of successive looks at one test bound the false positives of all of them."""

import numpy as np
import pytest

from podium.errors import UsageError
from podium.stats import diebold_mariano, p_value_of_look


def test_the_first_look_has_the_two_sided_p_value_of_a_smaller_loss():
    rng = np.random.default_rng(0)
    better, worse = rng.random(100), rng.random(100) + 0.05
    two_sided = diebold_mariano(better, worse)
    assert p_value_of_look(two_sided.one_sided, 1) == pytest.approx(two_sided.p_value)
    assert p_value_of_look(diebold_mariano(worse, better).one_sided, 1) == 1.0


@pytest.mark.parametrize("looks", [1, 10, 1000])
def test_any_number_of_looks_at_a_null_has_at_most_five_percent_of_false_positives(looks):
    """Known answer for independent looks: 1 - prod(1 - 0.05 / (k (k + 1)))."""
    k, draws = np.arange(1, looks + 1), 20_000
    smallest = np.ones(draws)
    rng = np.random.default_rng(looks)
    for look in k:
        # The gate accepts p * k (k + 1) < 0.05.
        smallest = np.minimum(smallest, rng.random(draws) * look * (look + 1))
    passes = np.mean(smallest < 0.05)
    assert passes == pytest.approx(1 - np.prod(1 - 0.05 / (k * (k + 1))), abs=0.005)
    assert np.sum(0.05 / (k * (k + 1))) <= 0.05
    assert np.mean([p_value_of_look(0.0001, look) < 0.05 for look in k]) == np.mean(
        0.0001 * k * (k + 1) < 0.05
    )


def test_an_undecidable_test_stays_undecidable_and_a_look_has_a_place():
    assert np.isnan(p_value_of_look(float("nan"), 3))
    assert p_value_of_look(0.9, 5) == 1.0
    with pytest.raises(UsageError, match="look 0"):
        p_value_of_look(0.5, 0)
