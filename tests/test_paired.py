"""Two predictions of the same samples: McNemar's test and the paired bootstrap."""

import math
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from looped import looped
from podium.errors import DataError, UsageError
from podium.stats import mcnemar, paired_bootstrap

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sklearn.metrics import f1_score
    from statsmodels.stats.contingency_tables import mcnemar as oracle


def accuracy(truth: np.ndarray, prediction: np.ndarray) -> float:
    return float(np.mean(truth == prediction))


def guesses(rng: np.random.Generator, truth: np.ndarray, right: float) -> np.ndarray:
    return np.where(rng.random(truth.size) < right, truth, 1 - truth)


def split(only_a: int, only_b: int, both: int = 3) -> tuple[list[int], list[int], list[int]]:
    """Truth and two predictions that are right so often alone and together."""
    truth = [1] * (only_a + only_b + both)
    return (
        truth,
        [1] * only_a + [0] * only_b + [1] * both,
        [0] * only_a + [1] * only_b + [1] * both,
    )


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_mcnemar_agrees_with_another_library(only_a, only_b, both):
    for method in ("exact", "continuity"):
        ours = mcnemar(*split(only_a, only_b, both), method)
        if not only_a + only_b:
            assert math.isnan(ours.p_value)
            continue
        theirs = oracle([[both, only_a], [only_b, 0]], method == "exact", method != "exact")
        assert (ours.only_a, ours.only_b) == (only_a, only_b)
        if abs(only_a - only_b) or method == "exact":
            assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
            assert ours.statistic == pytest.approx(theirs.statistic)
        else:
            # A correction larger than the difference would find one where there is none.
            assert (ours.statistic, ours.p_value) == (0.0, 1.0)


def test_mcnemar_exact_is_a_fair_coin():
    result = mcnemar(*split(9, 1))
    assert result.p_value == pytest.approx(2 * (1 + 10) / 2**10)
    assert result.p_value == pytest.approx(scipy.stats.binomtest(1, 10).pvalue)
    assert (result.n, result.method, result.reason) == (13, "exact", None)


def test_classifiers_that_are_right_together_are_undecidable():
    result = mcnemar([1, 2, 3], [1, 2, 1], [1, 2, 2])
    assert math.isnan(result.p_value)
    assert result.reason == "both are right on the same samples"
    assert mcnemar([], [], []).reason


def test_classes_may_be_words():
    result = mcnemar(["low", "high"] * 5, ["low", "high"] * 5, ["low"] * 10)
    assert (result.only_a, result.only_b) == (5, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([1, 0], [1], [1, 0]), DataError, "prediction_a has 1 rows and truth 2"),
        (([1, 0], [1, 0], [0.1, 0.9]), DataError, "prediction_b has type float64"),
        (([1, 0], ["1", "0"], [1, 0]), DataError, "prediction_a has type <U1 and truth int64"),
        (([[1, 0]], [1, 0], [1, 0]), DataError, "truth has type int64 and shape"),
        (([1], [1], [1], "chi2"), UsageError, "method is 'chi2'"),
    ],
)
def test_mcnemar_refuses_what_are_no_labels(arguments, error, text):
    with pytest.raises(error, match=text):
        mcnemar(*arguments)


def test_a_better_classifier_is_found_by_any_metric():
    rng = np.random.default_rng(1)
    truth = rng.integers(2, size=400)
    better, worse = guesses(rng, truth, 0.9), guesses(rng, truth, 0.75)

    def macro_f1(real, said):
        return f1_score(real, said, average="macro")

    result = paired_bootstrap(macro_f1, truth, better, worse, repeats=100)
    assert result.metric_a == macro_f1(truth, better)
    assert result.difference == result.metric_a - result.metric_b
    assert 0.0 < result.low < result.difference < result.high
    assert result.p_value < 0.05
    other = paired_bootstrap(macro_f1, truth, worse, better, repeats=100)
    assert (other.low, other.high) == pytest.approx((-result.high, -result.low))
    assert other.p_value == result.p_value


def test_the_interval_of_a_mean_is_that_of_its_differences():
    rng = np.random.default_rng(2)
    truth, first, second = rng.standard_normal((3, 1000))

    def error(real, said):
        return np.abs(real - said).mean()

    result = paired_bootstrap(error, truth, first, second, repeats=2000)
    differences = np.abs(truth - first) - np.abs(truth - second)
    spread = differences.std() / math.sqrt(1000)
    assert result.difference == pytest.approx(differences.mean())
    assert result.low == pytest.approx(differences.mean() - 1.96 * spread, abs=0.15 * spread)
    assert result.high == pytest.approx(differences.mean() + 1.96 * spread, abs=0.15 * spread)


def test_groups_are_drawn_whole():
    sizes = np.random.default_rng(3).integers(1, 6, 40)
    groups = np.random.default_rng(3).permutation(np.repeat(np.arange(40), sizes))
    first = np.random.default_rng(4).random(groups.size)

    def metric(drawn, _):
        # Every group that is there is there as a whole, however often.
        counts = np.bincount(drawn, minlength=40)
        assert (counts % sizes == 0).all()
        return float(counts.max())

    result = paired_bootstrap(metric, groups, first, first + 1, groups, repeats=100)
    assert (result.n, result.n_groups, result.draws) == (groups.size, 40, 100)


def test_samples_of_one_group_are_no_independent_evidence():
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(30), 20)
    truth = np.zeros(600, int)
    first, second = ((rng.random(30) < 0.5).astype(int)[groups] for _ in range(2))
    apart = paired_bootstrap(accuracy, truth, first, second, repeats=400)
    together = paired_bootstrap(accuracy, truth, first, second, groups.astype(str), repeats=400)
    assert together.high - together.low > 3 * (apart.high - apart.low)


def test_rows_of_probabilities_may_be_compared():
    rng = np.random.default_rng(6)
    truth = rng.integers(3, size=200)
    first, second = rng.dirichlet(np.ones(3), (2, 200))

    def log_loss(real, said):
        return -np.log(said[np.arange(real.size), real]).mean()

    result = paired_bootstrap(log_loss, truth, first, second, repeats=100)
    assert result.low < result.difference < result.high


def test_predictions_that_never_differ_are_undecidable_and_never_a_pass():
    truth = np.arange(100) % 3
    result = paired_bootstrap(accuracy, truth, truth, truth)
    assert result.reason == "the two predictions never differ"
    assert result.difference == 0.0
    assert math.isnan(result.p_value)
    assert math.isnan(result.low)


def test_different_errors_of_one_size_are_a_tie():
    truth = np.zeros(60, int)
    result = paired_bootstrap(accuracy, truth, np.full(60, 1), np.full(60, 2), repeats=100)
    assert (result.difference, result.low, result.high, result.p_value) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("n", "groups", "reason"), [(0, None, "0 samples"), (29, None, "29"), (60, 9, "9 groups")]
)
def test_too_few_samples_or_groups_are_undecidable(n, groups, reason):
    truth = np.ones(n, int)
    labels = None if groups is None else np.arange(n) % groups
    result = paired_bootstrap(accuracy, truth, truth, 1 - truth, labels)
    assert reason in result.reason
    assert math.isnan(result.low)


def test_a_metric_that_needs_a_class_that_is_seldom_drawn_is_undecidable():
    truth = np.zeros(50, int)
    truth[3] = 1
    first, second = truth.copy(), np.zeros(50, int)

    def recall(real, said):
        return float(np.mean(said[real == 1])) if (real == 1).any() else math.nan

    result = paired_bootstrap(recall, truth, first, second, repeats=200)
    assert "of 200 resamples" in result.reason
    assert result.difference == 1.0
    never = paired_bootstrap(recall, np.zeros(50, int), first, second, repeats=100)
    assert never.reason == "the metric of all samples is not finite"
    assert math.isnan(never.metric_a)


def test_the_same_seed_gives_the_same_result():
    rng = np.random.default_rng(7)
    truth = rng.integers(2, size=60)
    first, second = guesses(rng, truth, 0.8), guesses(rng, truth, 0.7)
    same = [paired_bootstrap(accuracy, truth, first, second, seed=1) for _ in range(2)]
    assert same[0] == same[1] != paired_bootstrap(accuracy, truth, first, second, seed=2)


@looped(
    ("arrays", "options", "error", "text"),
    [
        (([1] * 40, [1] * 39, [0] * 40), {}, DataError, "prediction_a has 39 rows and truth 40"),
        (([1] * 40, [1] * 40, [math.nan] * 40), {}, DataError, "prediction_b has numbers"),
        ((1, [1], [1]), {}, DataError, "truth is 1"),
        (([1] * 40, [1] * 40, [0] * 40, [1] * 3), {}, DataError, "groups has 3 rows"),
        (([1] * 40, [1] * 40, [0] * 40, [[1]] * 40), {}, DataError, "groups have shape"),
        (([1] * 40, [1] * 40, [0] * 40), {"repeats": 1}, UsageError, "repeats is 1"),
        (([1] * 40, [1] * 40, [0] * 40), {"confidence": 1.0}, UsageError, "confidence is 1.0"),
    ],
)
def test_what_cannot_be_paired_is_refused(arrays, options, error, text):
    with pytest.raises(error, match=text):
        paired_bootstrap(accuracy, *arrays, **options)


@pytest.mark.slow
def test_equal_classifiers_differ_in_five_percent_of_draws_by_group():
    reps, by_group, by_sample = 400, 0, 0
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(40), 10)
    for seed in range(reps):
        truth = rng.integers(2, size=400)
        first, second = (guesses(rng, truth, rng.beta(2, 1, 40)[groups]) for _ in range(2))
        arrays = truth, first, second
        by_group += (
            paired_bootstrap(accuracy, *arrays, groups, repeats=300, seed=seed).p_value < 0.05
        )
        by_sample += paired_bootstrap(accuracy, *arrays, repeats=300, seed=seed).p_value < 0.05
    three_errors = 3 * math.sqrt(0.05 * 0.95 / reps)
    assert abs(by_group / reps - 0.05) < three_errors + 0.01
    assert by_sample / reps > 0.15
