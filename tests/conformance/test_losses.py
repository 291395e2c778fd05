"""Every file in losses/ keeps the contract; a new one is tested without a line here."""

from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from podium import registry  # noqa: E402
from podium.errors import NotFoundError  # noqa: E402
from podium.families._losses import graded, loss_of  # noqa: E402
from podium.intervals import LEVELS  # noqa: E402
from podium.testing import losses  # noqa: E402


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def huber(outputs, targets):
    far = np.abs(targets - outputs)
    return np.where(far < 1, far**2 / 2, far - 0.5).mean()


def pinball(outputs, targets):
    each = [
        level * max(y - f, 0) + (1 - level) * max(f - y, 0)
        for row, y in zip(outputs, targets, strict=True)
        for f, level in zip(row, LEVELS, strict=True)
    ]
    return np.mean(each)


def cross_entropy(outputs, targets, gamma=0.0):
    own = log_softmax(outputs)[np.arange(len(targets)), targets]
    return np.mean(-own * (1 - np.exp(own)) ** gamma)


KNOWN = {
    "mse": lambda outputs, targets: np.mean((outputs - targets) ** 2),
    "mae": lambda outputs, targets: np.mean(np.abs(outputs - targets)),
    "huber": huber,
    "quantile": pinball,
    "cross_entropy": cross_entropy,
    "focal": partial(cross_entropy, gamma=2.0),
}


@pytest.mark.parametrize("name", registry.names("losses"))
def test_a_loss_keeps_the_contract(name):
    losses.check_loss(registry.load("losses", name).LOSS, KNOWN.get(name))


def test_options_of_a_loss_are_its_arguments():
    outputs, targets = np.array([0.0, 0.0]), np.array([1.0, 4.0])
    assert graded(loss_of("huber", delta=2.0), outputs, targets)[0] == (0.5 + 2 * (4 - 1)) / 2
    two = loss_of("quantile", levels=(0.25, 0.75))
    assert two.outputs == 2
    value, gradient = graded(two, np.zeros((1, 2)), np.array([2.0]))
    assert value == (0.5 + 1.5) / 2
    assert gradient.tolist() == [[-0.125, -0.375]]


def test_weights_of_classes_are_those_of_a_weighted_mean():
    scores, targets = np.array([[1.0, -1.0], [0.5, 0.0]]), np.array([0, 1])
    weights = np.array([1.0, 3.0])
    each = -log_softmax(scores)[[0, 1], targets]
    made = loss_of("cross_entropy", weights=torch.tensor(weights).float())
    assert graded(made, scores, targets)[0] == pytest.approx((weights * each).sum() / 4, rel=1e-6)


def test_a_loss_nobody_has_is_refused_with_near_names():
    with pytest.raises(NotFoundError, match=r"no loss 'hubert'.*huber"):
        loss_of("hubert")


# ------------------------------------------------- the kit itself finds what it is there to find


class Wrong:
    """Mean squared error, wrong in one place."""

    outputs = 1
    task = "forecast"

    def __init__(self, wrong=""):
        self.wrong = wrong
        if wrong == "no task":
            self.task = "both"
        if wrong == "no outputs":
            self.outputs = 0

    def __call__(self, outputs, targets):
        each = (outputs - targets) ** 2
        match self.wrong:
            case "sums":
                return each.sum()
            case "each":
                return each
            case "roots":
                return each.sqrt().sqrt().mean()
            case "uphill":
                return (2 * each.detach() - each).mean()
            case "first":
                return each[0]
            case "below zero":
                return each.mean() - 1
            case "half":
                return each.mean() / 2
        return each.mean()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("no task", "task is 'both'"),
        ("no outputs", "outputs is 0"),
        ("sums", "the same batch twice"),
        ("each", "a scalar with a gradient"),
        ("roots", "gradient is not finite"),
        ("uphill", "a step against its gradient"),
        ("first", "in another order"),
        ("below zero", "correct outputs have a loss of -1"),
        ("half", "by numpy"),
    ],
)
def test_the_kit_tells_what_a_loss_does_wrong(wrong, told):
    losses.check_loss(Wrong, KNOWN["mse"])
    with pytest.raises(AssertionError, match=told):
        losses.check_loss(partial(Wrong, wrong), KNOWN["mse"])


def test_the_kit_finds_an_object_in_place_of_the_class():
    class Plain:
        task, outputs = "forecast", 1

    with pytest.raises(AssertionError, match="Plain object in place of its class"):
        losses.check_loss(Plain())
