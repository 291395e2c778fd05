"""Logistic regression on summaries, with scikit-learn as the oracle."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from classes import samples
from podium.families import naive
from podium.families.logistic import CLASSIFIER, SUMMARIES
from podium.sequences import Sequences, Subset
from podium.stats.class_figures import confusion, macro_f1
from podium.steps.data import glucose

WEIGHTS = ("none", "balanced")


def sequences(arrays, classes=3):
    inside = arrays["y"] < classes
    names = tuple(map(str, arrays["class_names"][:classes]))
    return Sequences.of("s", arrays["X"][inside], arrays["y"][inside], class_names=names)


def whole(sequences):
    return Subset(sequences, np.arange(len(sequences)))


def fit(weights, train):
    config = {"class_weights": weights}
    return CLASSIFIER().fit(config, whole(train), None, seed=1, report=print)


def by_hand(sequences, mean):
    """Mean, standard deviation, first and last value of each feature, sample by sample."""
    rows = []
    for x, length in zip(sequences.x.astype(float), sequences.lengths, strict=True):
        steps = x[:length].copy()
        for t, k in np.argwhere(np.isnan(steps)):
            steps[t, k] = steps[t - 1, k] if t else mean[k]
        rows.append(np.concatenate([steps.mean(axis=0), steps.std(axis=0), steps[0], steps[-1]]))
    return np.array(rows)


def oracle(weights, train, other):
    """Probabilities of scikit-learn on the same summaries."""
    valid = train.x[train.mask].astype(float)
    mean = np.nanmean(valid, axis=0)
    scaler = StandardScaler().fit(by_hand(train, mean))
    # Two vectors of weights share the penalty of scikit-learn's single one.
    c = 2.0 if len(train.class_names) == 2 else 1.0
    chosen = None if weights == "none" else weights
    model = LogisticRegression(C=c, class_weight=chosen, max_iter=2000, tol=1e-8)
    model.fit(scaler.transform(by_hand(train, mean)), train.y)
    return model.predict_proba(scaler.transform(by_hand(other, mean)))


def score(probabilities, truth):
    return macro_f1(confusion(truth, probabilities.argmax(axis=1), probabilities.shape[1]))


def ragged(seed):
    """Samples of 3 to 8 steps with missing values; the class depends on mean and spread."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 150)
    x = rng.normal(size=(150, 8, 2)) * (1 + y[:, np.newaxis, np.newaxis]) + y.reshape(-1, 1, 1)
    x[rng.random(x.shape) < 0.1] = np.nan
    names = ("a", "b", "c")
    return Sequences.of("r", x, y, lengths=rng.integers(3, 9, 150), class_names=names)


def test_the_probabilities_are_scikit_learns():
    arrays = samples(160, 1, "a"), samples(96, 2, "b")
    for train, other in (
        [sequences(one) for one in arrays],
        [sequences(one, classes=2) for one in arrays],
        [ragged(1), ragged(2)],
    ):
        for weights in WEIGHTS:
            mine = fit(weights, train).predict(whole(other)).probabilities
            theirs = oracle(weights, train, other)
            np.testing.assert_allclose(mine, theirs, atol=1e-3)
            assert score(mine, other.y) == score(theirs, other.y)


def test_it_separates_classes_of_other_means_and_spreads_that_no_trend_does():
    train, other = ragged(1), ragged(2)
    rule = naive.CLASSIFIER().fit({"method": "trend"}, whole(train), None, seed=1, report=print)
    for weights in WEIGHTS:
        mine = fit(weights, train).predict(whole(other)).probabilities
        assert score(mine, other.y) > 0.8
    assert score(rule.predict(whole(other)).probabilities, other.y) < 0.6


@pytest.mark.slow
def test_the_probabilities_on_glucose_data_are_scikit_learns_and_the_scores_those_of_the_docs():
    train, other = map(sequences, glucose.sequences(glucose.readings()).values())
    for weights, wanted in zip(WEIGHTS, (0.393, 0.411), strict=True):
        mine = fit(weights, train).predict(whole(other)).probabilities
        np.testing.assert_allclose(mine, oracle(weights, train, other), atol=1e-3)
        assert score(mine, other.y) == pytest.approx(wanted, abs=1e-3)


def test_balanced_weights_predict_a_rare_class_more_often():
    rng = np.random.default_rng(3)
    y = (rng.random(400) < 0.05).astype(int)
    x = rng.normal(size=(400, 4, 1)) + y[:, np.newaxis, np.newaxis]
    data = Sequences.of("s", x, y, class_names=("usual", "rare"))
    plain, balanced = (fit(w, data).predict(whole(data)).probabilities for w in WEIGHTS)
    assert (plain.argmax(axis=1) == 1).sum() < y.sum() < (balanced.argmax(axis=1) == 1).sum()


def test_a_constant_feature_and_extreme_values_give_finite_probabilities():
    x = np.random.default_rng(4).normal(size=(60, 5, 2))
    y = (x[:, -1, 0] > 0).astype(int)
    x[:, :, 1] = 7.3
    model = fit("none", Sequences.of("s", x, y))
    assert np.array(model.weights)[[1, 3, 5, 7]] == pytest.approx(0)
    x[0] = 3e38
    assert np.isfinite(model.predict(whole(Sequences.of("s", x, y))).probabilities).all()


def test_complexity_counts_the_weights_of_a_class_and_the_rung_is_linear():
    family = CLASSIFIER()
    assert family.complexity({}, 3) == SUMMARIES * 3 + 1
    assert family.rung({"class_weights": "balanced"}) == 2
