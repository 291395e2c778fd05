"""Figures of classifiers: scikit-learn's to 1e-12, and known answers where it has none."""

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from looped import looped, rest_slow
from podium import registry
from podium.errors import DataError
from podium.stats import class_figures as f
from podium.stats import classification as c

NEAR = {"rel": 0, "abs": 1e-12}
FIGURES = [name for name in registry.names("metrics") if hasattr(f, name)]


@st.composite
def cases(draw):
    """Truth and probabilities: 2 to 6 classes, some absent, few or many distinct scores."""
    classes = draw(st.integers(2, 6))
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    there = rng.choice(classes, size=draw(st.integers(1, classes)), replace=False)
    truth = rng.choice(there, size=n)
    if draw(st.booleans()):  # ties: every probability is a multiple of a quarter
        probabilities = rng.multinomial(4, np.ones(classes) / classes, size=n) / 4.0
    else:
        probabilities = rng.dirichlet(np.full(classes, 0.5), size=n)
        probabilities[rng.random(n) < 0.2] = np.eye(classes)[0]
    return truth, probabilities


def names(probabilities):
    return [f"class {k}" for k in range(probabilities.shape[1])]


def quiet(figure, *given_, **more):
    """scikit-learn's answer without its warnings about classes that are not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return figure(*given_, **more)


@given(cases())
def test_figures_of_choices_are_those_of_scikit_learn(case):
    truth, probabilities = case
    found = c.evaluate(truth, probabilities, names(probabilities))
    chosen, labels = probabilities.argmax(axis=1), range(probabilities.shape[1])
    told = {"labels": labels, "zero_division": 0}
    assert found.confusion.tolist() == sk.confusion_matrix(truth, chosen, labels=labels).tolist()
    per_class = sk.precision_recall_fscore_support(truth, chosen, **told)
    for mine, theirs in zip(
        (found.precision, found.recall, found.f1, found.support), per_class, strict=True
    ):
        assert mine == pytest.approx(theirs, **NEAR)
    for average in ("macro", "weighted"):
        theirs = sk.f1_score(truth, chosen, average=average, **told)
        assert getattr(found, f"{average}_f1") == pytest.approx(theirs, **NEAR)
    assert found.accuracy == pytest.approx(sk.accuracy_score(truth, chosen), **NEAR)
    balanced = quiet(sk.balanced_accuracy_score, truth, chosen)
    assert found.balanced_accuracy == pytest.approx(balanced, **NEAR)


@given(cases())
def test_figures_of_probabilities_are_those_of_scikit_learn(case):
    truth, probabilities = case
    found = c.evaluate(truth, probabilities, names(probabilities))
    labels = range(probabilities.shape[1])
    assert found.log_loss == pytest.approx(sk.log_loss(truth, probabilities, labels=labels), **NEAR)
    brier = sk.brier_score_loss(truth, probabilities, labels=labels, scale_by_half=False)
    assert found.brier == pytest.approx(brier, **NEAR)


@given(cases())
def test_curves_and_their_areas_are_those_of_scikit_learn(case):
    truth, probabilities = case
    found = c.evaluate(truth, probabilities, names(probabilities))
    for k, curve in enumerate(found.curves):
        positive, scores = truth == k, probabilities[:, k]
        if not positive.any():
            assert math.isnan(found.pr_auc[k])
            assert math.isnan(found.roc_auc[k])
            continue
        precision, recall, thresholds = sk.precision_recall_curve(positive, scores)
        assert curve.thresholds[::-1] == pytest.approx(thresholds, **NEAR)
        assert curve.precision[::-1] == pytest.approx(precision[:-1], **NEAR)
        assert curve.recall[::-1] == pytest.approx(recall[:-1], **NEAR)
        theirs = sk.average_precision_score(positive, scores)
        assert found.pr_auc[k] == pytest.approx(theirs, **NEAR)
        assert found.roc_auc[k] == pytest.approx(
            quiet(sk.roc_auc_score, positive, scores), nan_ok=True, **NEAR
        )
        across, up, _ = quiet(sk.roc_curve, positive, scores, drop_intermediate=False)
        assert curve.recall == pytest.approx(up[1:], **NEAR)
        if curve.negatives:
            assert curve.false_positive_rate == pytest.approx(across[1:], **NEAR)


@given(cases())
def test_macro_areas_are_the_mean_over_the_classes_that_are_there(case):
    truth, probabilities = case
    found = c.evaluate(truth, probabilities, names(probabilities))
    there = np.unique(truth)
    assert found.pr_auc_macro == pytest.approx(found.pr_auc[there].mean(), **NEAR)
    if len(there) == 1:
        assert math.isnan(found.roc_auc_macro)
    elif len(there) == probabilities.shape[1]:
        one = probabilities.shape[1] == 2
        theirs = sk.roc_auc_score(
            truth, probabilities[:, 1] if one else probabilities, multi_class="ovr", average="macro"
        )
        # Two rounded probabilities of a sample may tie where their complements do not.
        assert found.roc_auc_macro == pytest.approx(theirs, rel=0, abs=1e-3 if one else 1e-12)


@given(cases())
def test_the_reliability_table_is_scikit_learns_calibration_curve(case):
    truth, probabilities = case
    chosen = probabilities.argmax(axis=1)
    right, top = chosen == truth, probabilities.max(axis=1)
    found = f.reliability(truth, probabilities)
    known = found.count > 0
    # Both ends are needed for scikit-learn to take 0 and 1 for labels of two classes.
    if 0 < right.sum() < len(right):
        accuracy, confidence = calibration_curve(right, top, n_bins=f.BINS)
        assert found.accuracy[known] == pytest.approx(accuracy, **NEAR)
        assert found.confidence[known] == pytest.approx(confidence, **NEAR)
    assert found.count.sum() == len(truth)
    gaps = sum(
        abs(right[inside].mean() - top[inside].mean()) * inside.sum()
        for low, high in zip(found.edges[:-1], found.edges[1:], strict=True)
        if (inside := (top > low) & (top <= high)).any()
    )
    assert found.error == pytest.approx(gaps / len(truth), **NEAR)


@given(cases())
def test_every_metric_of_classes_is_the_scalar_of_its_name(case):
    truth, probabilities = case
    told = c.evaluate(truth, probabilities, names(probabilities)).scalars()
    for name in FIGURES:
        metric = registry.load("metrics", name)
        assert metric.TASK == "classify"
        assert metric.DIRECTION in ("min", "max")
        assert metric.score(truth, probabilities) == pytest.approx(told[name], nan_ok=True, **NEAR)


def test_all_nine_figures_are_metrics():
    assert len(FIGURES) == 9


@looped("name", FIGURES)
@looped("everywhere", [True, False])
def test_a_metric_of_a_model_that_answers_nan_is_nan(name, everywhere):
    probabilities = np.full((4, 3), np.nan if everywhere else 1 / 3)
    probabilities[2] = np.nan
    assert math.isnan(registry.load("metrics", name).score(np.array([0, 1, 2, 1]), probabilities))


@looped("name", FIGURES)
def test_the_direction_of_a_metric_prefers_a_model_that_knows(name):
    truth = np.arange(30) % 3
    sure, wrong = np.eye(3)[truth] * 0.9 + 0.1 / 3, np.eye(3)[(truth + 1) % 3] * 0.9 + 0.1 / 3
    metric = registry.load("metrics", name)
    better = metric.score(truth, sure) - metric.score(truth, wrong)
    assert better * {"max": 1, "min": -1}[metric.DIRECTION] > 0


def test_the_brier_score_of_two_classes_is_twice_the_binary_one():
    truth, p = np.array([0, 1, 1]), np.array([0.2, 0.7, 0.4])
    assert f.brier(truth, np.stack([1 - p, p], axis=1)) == pytest.approx(
        2 * sk.brier_score_loss(truth, p), **NEAR
    )


@given(cases())
def test_json_has_no_infinite_or_nan_number(case):
    truth, probabilities = case
    cost = 1.0 - np.eye(probabilities.shape[1])
    found = c.evaluate(truth, probabilities, names(probabilities), cost=cost)
    again = json.loads(json.dumps(found.spec(), allow_nan=False))
    assert again["metrics"]["macro_f1"] == found.macro_f1
    assert again["confusion_matrix"] == found.confusion.tolist()
    assert not any(math.isinf(value) for value in found.scalars().values())


def test_a_thinned_curve_keeps_its_ends_and_its_best_f1():
    rng = np.random.default_rng(0)
    truth = (rng.random(20_000) < 0.02).astype(int)
    score = 1 / (1 + np.exp(4 - 2 * truth - rng.normal(size=20_000)))
    whole = f.curves(truth, np.stack([1 - score, score], axis=1))[1]
    few = whole.thinned()
    assert len(whole.thresholds) > 10_000
    assert 100 < len(few.thresholds) <= f.MOST_THRESHOLDS
    assert few.f1.max() == whole.f1.max()
    for side in (0, -1):
        assert few.thresholds[side] == whole.thresholds[side]
    # Never a long way between two points of the curve.
    assert np.diff(few.recall).max() < 0.05
    assert np.diff(few.false_positive_rate).max() < 0.25


def test_cost_is_that_of_the_likeliest_and_of_the_cheapest_class():
    probabilities = [[0.8, 0.2], [0.95, 0.05], [0.3, 0.7]]
    cost = [[0, 1], [10, 0]]
    found = c.evaluate([1, 0, 1], probabilities, ["calm", "storm"], cost=cost)
    assert found.cost.chosen == pytest.approx(10 / 3)  # the first storm is missed
    assert found.cost.minimised == 0.0  # a storm of 20 per cent is warned of
    assert found.scalars()["cost"] == found.cost.chosen


def test_all_problems_of_the_arguments_are_in_one_error():
    with pytest.raises(DataError) as caught:
        c.evaluate([0, 7, -1], [[0.5, 0.6], [np.nan, 1], [1, 0]], ["a", "b"], cost=[[1]])
    told = str(caught.value)
    assert "truth[1] is 7 (one of 2)" in told
    assert "probabilities[0] are [0.5, 0.6] (one of 2)" in told
    assert "cost matrix has shape (1, 1)" in told


@pytest.mark.parametrize(
    ("truth", "probabilities", "words"),
    [
        ([], np.zeros((0, 2)), "truth has shape (0,)"),
        ([0.0, 1.0], [[1, 0], [0, 1]], "type float64"),
        ([0, 1], [[1, 0, 0], [0, 1, 0]], "probabilities have shape (2, 3)"),
        ([0, 1], [["1", "0"], ["0", "1"]], "type <U1"),
        ([0, 1], [[3.0, -2.0], [0, 1]], "probabilities[0] are [3.0, -2.0] (one of 1)"),
    ],
)
def test_invalid_samples_are_refused(truth, probabilities, words):
    with pytest.raises(DataError) as caught:
        c.evaluate(truth, probabilities, ["a", "b"])
    assert words in str(caught.value)


def two_models(n=400, edge=0.3, seed=0):
    """Truth of three classes and two models, the first better by an edge."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, size=n, p=[0.8, 0.1, 0.1])

    def model(skill):
        known = rng.random(n) < skill
        return np.eye(3)[np.where(known, truth, rng.integers(0, 3, n))]

    return truth, model(0.5 + edge), model(0.5)


def test_a_difference_is_that_of_scikit_learns_figures():
    truth, first, second = two_models()
    found = c.class_differences(truth, first, second, n_boot=50)
    scores = [
        sk.precision_recall_fscore_support(truth, p.argmax(axis=1), zero_division=0)
        for p in (first, second)
    ]
    for place, name in enumerate(("precision", "recall", "f1")):
        values = [d.value for d in getattr(found, name)]
        assert values == pytest.approx(scores[0][place] - scores[1][place], **NEAR)
    assert found.macro_f1.value == pytest.approx(np.mean([d.value for d in found.f1]), **NEAR)


def test_the_interval_is_that_of_a_bootstrap_written_the_plain_way():
    truth, first, second = two_models(300, 0.1)
    groups = np.arange(300) // 10
    found = c.class_differences(truth, first, second, groups=groups, n_boot=4000)
    rng, plain = np.random.default_rng(1), []
    for _ in range(1500):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in rng.integers(0, 30, 30)])
        scores = [
            f.macro_f1(f.confusion(truth[rows], p[rows].argmax(axis=1), 3)) for p in (first, second)
        ]
        plain.append(scores[0] - scores[1])
    low, high = np.percentile(plain, [2.5, 97.5])
    assert found.macro_f1.low == pytest.approx(low, abs=0.012)
    assert found.macro_f1.high == pytest.approx(high, abs=0.012)
    assert found.units == 30


def test_groups_of_one_sample_are_samples():
    truth, first, second = two_models(200)
    alone = c.class_differences(truth, first, second, n_boot=200)
    grouped = c.class_differences(truth, first, second, groups=np.arange(200), n_boot=200)
    assert grouped.units == alone.units == 200
    assert grouped.macro_f1.low == pytest.approx(alone.macro_f1.low, abs=0.03)


def test_repeated_samples_are_no_more_evidence_when_they_are_groups():
    truth, first, second = two_models(60, 0.1)
    once = c.class_differences(truth, first, second)
    rows = np.repeat(np.arange(60), 10)
    naive = c.class_differences(truth[rows], first[rows], second[rows])
    grouped = c.class_differences(truth[rows], first[rows], second[rows], groups=rows)
    width = [d.macro_f1.high - d.macro_f1.low for d in (once, naive, grouped)]
    assert width[1] < 0.5 * width[0]
    assert width[2] == pytest.approx(width[0], rel=0.15)


def test_models_that_choose_alike_do_not_differ():
    truth, first, _ = two_models()
    found = c.class_differences(truth, first, first)
    assert found.p_value == found.mcnemar_p_value == 1.0
    assert found.macro_f1 == c.Difference(0.0, 0.0, 0.0)


def test_swapping_the_models_turns_the_signs():
    truth, first, second = two_models()
    one, other = (c.class_differences(truth, *p) for p in ((first, second), (second, first)))
    assert one.macro_f1.value == -other.macro_f1.value
    assert one.macro_f1.low == pytest.approx(-other.macro_f1.high, abs=0.01)
    assert (one.only_first, one.only_second) == (other.only_second, other.only_first)
    assert one.p_value < 0.05
    assert one.macro_f1.low > 0


def test_the_same_seed_gives_the_same_interval():
    truth, first, second = two_models()
    assert c.class_differences(truth, first, second, seed=3) == c.class_differences(
        truth, first, second, seed=3
    )


def test_too_few_groups_decide_nothing_and_say_so():
    truth, first, second = two_models()
    found = c.class_differences(truth, first, second, groups=np.arange(400) // 50)
    assert found.reason == "8 groups, at least 10 are needed"
    assert math.isnan(found.p_value)
    assert math.isnan(found.macro_f1.low)
    assert found.macro_f1.value > 0
    assert json.dumps(found.spec(), allow_nan=False)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(only_first, only_second):
    both = only_first + only_second
    truth = np.zeros(both + 1, dtype=int)
    first = np.eye(2)[np.repeat([0, 1, 0], [only_first, only_second, 1])]
    second = np.eye(2)[np.repeat([1, 0, 0], [only_first, only_second, 1])]
    found = c.class_differences(truth, first, second, n_boot=1)
    assert (found.only_first, found.only_second) == (only_first, only_second)
    theirs = binomtest(only_first, both).pvalue if both else 1.0
    assert found.mcnemar_p_value == pytest.approx(theirs, abs=1e-12)


# 5 and 15 are expected; the ends of 15 are below one in a thousand.
@pytest.mark.parametrize(
    ("draws", "least", "most"), rest_slow([(100, 1, 13), (300, 4, 27)], fast=1)
)
def test_without_a_difference_one_in_twenty_is_called_one(draws, least, most):
    called = 0
    for seed in range(draws):
        truth, first, second = two_models(600, 0.0, seed)
        called += c.class_differences(truth, first, second, n_boot=400).p_value < 0.05
    assert least <= called <= most
