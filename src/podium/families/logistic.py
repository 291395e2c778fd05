"""Logistic regression on summary statistics of a sequence, the strongest baseline of classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from podium.arrays import Floats
from podium.families._base import Classifier, ClassModel, ClosedForm
from podium.families._sequences import require_same_names, stats_for
from podium.feature_stats import FeatureStats
from podium.prediction import ClassPrediction
from podium.sequences import Sequences, Subset
from podium.space import Choice, ConfigDict, Space

FILE = "logistic.json"
# Mean, standard deviation, first and last value of a feature.
SUMMARIES = 4
# Scaled values beyond this number of standard deviations are cut, so that sums stay finite.
LARGEST = 1e6
# Of the optimizer: probabilities are exact to about 1e-4.
MOST_STEPS, PRECISION = 1000, 1e-6


def summarize(samples: Subset, stats: FeatureStats) -> Floats:
    """Mean, standard deviation, first and last scaled value of each feature.

    Returns
    -------
    (N, 4 F) float
        The means of all features, then their standard deviations, first and last values.
    """
    x, lengths = samples.inputs()
    values = np.clip(stats.apply(x, lengths).astype(np.float64), -LARGEST, LARGEST)
    rows, last = np.arange(len(values)), lengths - 1

    def mean(of: Floats) -> Floats:
        # A running sum does not depend on the padding after the last step.
        means: Floats = of.cumsum(axis=1)[rows, last] / lengths[:, np.newaxis]
        return means

    means = mean(values)
    spread = np.sqrt(mean((values - means[:, np.newaxis]) ** 2))
    return np.hstack([means, spread, values[:, 0], values[rows, last]])


@dataclass(frozen=True)
class Logistic(ClassModel):
    """Weights of the summaries of a sample for each class.

    Parameters
    ----------
    feature_names, class_names : tuple of str
        Names of the training samples; others are refused.
    mean, std : tuple of float, length F
        Scaling of the features before the summaries.
    weights : tuple of tuple of float, (4 F, K)
        Of the summaries in scaled units (:func:`summarize`).
    intercept : tuple of float, length K
    """

    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    intercept: tuple[float, ...]

    def predict(self, samples: Subset) -> ClassPrediction:
        """Softmax of the linear scores of each sample."""
        require_same_names(self.feature_names, self.class_names, samples.sequences)
        summaries = summarize(samples, FeatureStats(self.feature_names, self.mean, self.std))
        scores = summaries @ np.array(self.weights) + self.intercept
        return ClassPrediction.of(samples, softmax(scores, axis=1))

    def save(self, folder: Path) -> None:
        """Write ``logistic.json``."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1))


class LogisticFamily(ClosedForm[Sequences, Subset, ClassModel], Classifier):
    """Multinomial logistic regression on summaries of each feature.

    Notes
    -----
    A sample's inputs are mean, standard deviation, first and last value of each feature, with
    missing values filled as for networks, and standardized on the training samples. The weights W
    and intercepts minimize the sum of the samples' log losses, each times its class weight, plus
    half the sum of squared weights: ``LogisticRegression(C=1)`` of scikit-learn for three or more
    classes, with two vectors of weights instead of one for two classes. ``class_weights`` are
    ``none`` (1), or ``balanced``: N / (K x samples of the class), so that rare classes are
    predicted as often as they occur in classes of equal frequency.

    References
    ----------
    Hastie, Tibshirani and Friedman, *The Elements of Statistical Learning*, section 4.4.
    """

    name = "logistic"

    def space(self, data: Sequences) -> Space:
        """Class weights."""
        del data
        return Space({"class_weights": Choice(("none", "balanced"))})

    def learn(self, config: ConfigDict, train: Subset, validation: Subset | None) -> Logistic:
        """Minimize the weighted log loss with L-BFGS."""
        stats, data = stats_for(train, validation), train.sequences
        truth, k = train.truth().astype(np.int64), len(data.class_names)
        worth = np.ones(len(truth))
        if config["class_weights"] == "balanced":
            worth = (len(truth) / (k * np.bincount(truth, minlength=k)))[truth]
        summaries = summarize(train, stats)
        center, scale = summaries.mean(axis=0), summaries.std(axis=0)
        # Rounding makes the standard deviation of a constant slightly larger than 0.
        scale[scale <= 1e-7 * np.maximum(np.abs(center), 1)] = np.inf
        weights, intercept = _minimized((summaries - center) / scale, truth, worth, k)
        weights /= scale[:, np.newaxis]
        return Logistic(
            data.feature_names,
            data.class_names,
            stats.mean,
            stats.std,
            tuple(map(tuple, weights.tolist())),
            tuple((intercept - center @ weights).tolist()),
        )

    def load(self, read: Callable[[str], bytes]) -> Logistic:
        """Model from ``logistic.json``."""
        content = {name: tuple(values) for name, values in json.loads(read(FILE)).items()}
        return Logistic(**content | {"weights": tuple(map(tuple, content["weights"]))})

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Weights and intercept of a class."""
        del config
        return SUMMARIES * n_features + 1


def _minimized(
    inputs: Floats, truth: NDArray[np.int64], worth: Floats, classes: int
) -> tuple[Floats, Floats]:
    """Weights (P, K) and intercepts (K,) of the smallest penalized loss."""
    n, p = inputs.shape
    columns = np.vstack([inputs.T, np.ones(n)])
    is_class = np.arange(classes)[:, np.newaxis] == truth
    total = worth.sum()
    # Mean, first and last value correlate; in principal axes of unit variance L-BFGS takes a
    # quarter of the steps.
    variances, axes = np.linalg.eigh((columns @ columns.T + np.eye(p + 1)) / n)
    axes /= np.sqrt(variances)

    def loss(flat: Floats) -> tuple[float, Floats]:
        """Loss and gradient, both divided by the total of the class weights."""
        beta = flat.reshape(classes, p + 1) @ axes.T
        # Samples are the last axis, along which numpy is fast.
        scores = beta @ columns
        scores -= scores.max(axis=0)
        odds = np.exp(scores)
        sums = odds.sum(axis=0)
        penalized = beta.copy()
        penalized[:, -1] = 0
        value = worth @ (np.log(sums) - scores[truth, np.arange(n)])
        slope = (worth * (odds / sums - is_class)) @ columns.T + penalized
        return (value + 0.5 * (penalized**2).sum()) / total, (slope @ axes).ravel() / total

    result = minimize(
        loss,
        np.zeros(classes * (p + 1)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MOST_STEPS, "gtol": PRECISION, "ftol": 1e-12},
    )
    beta: Floats = axes @ result.x.reshape(classes, p + 1).T
    return beta[:-1], beta[-1]


CLASSIFIER = LogisticFamily
