"""A loss's test calls ``check_loss(LOSS)`` with the class; torch must be installed.

With a reference in numpy: ``check_loss(LOSS, known)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.testing._base import SEED, require

if TYPE_CHECKING:
    from podium.families._losses import Loss

BATCH, CLASSES = 12, 3
TASKS = ("forecast", "classify")
# For losses that compute in single precision.
TOLERANCE = 1e-5


def check_loss(kind: Callable[[], Loss], known: Callable[..., float] | None = None) -> None:
    """Run all checks of a loss.

    It has a task and a number of outputs per target. Value and gradient are finite. It is a mean:
    duplicating or reordering a batch does not change it. A small step against the gradient reduces
    it; correct outputs have a smaller loss than others, and not below 0.

    Parameters
    ----------
    kind : class
        Makes a loss when called without arguments.
    known : function of outputs and targets, optional
        The loss's value computed with numpy, for any scale of the outputs.
    """
    require(callable(kind), f"a {type(kind).__name__} object in place of its class")
    loss = kind()
    require(loss.task in TASKS, f"task is {loss.task!r}, not one of {', '.join(TASKS)}")
    whole = isinstance(loss.outputs, int) and loss.outputs > 0
    require(whole, f"outputs is {loss.outputs!r}, not a positive whole number")
    outputs, targets = _case(loss)
    right = _right(loss, targets)
    for what, given in (
        ("usual outputs", outputs),
        ("correct outputs", right),
        ("large outputs", 1e4 * outputs),
        ("outputs of 0", 0 * outputs),
    ):
        value, gradient = _graded(loss, given, targets)
        require(np.isfinite(value), f"of {what} the loss is {value}")
        require(bool(np.isfinite(gradient).all()), f"of {what} the gradient is not finite")
    value, gradient = _graded(loss, outputs, targets)
    twice, _ = _graded(loss, np.concatenate([outputs] * 2), np.concatenate([targets] * 2))
    turned, _ = _graded(loss, outputs[::-1], targets[::-1])
    require(_close(value, twice), f"of a batch it is {value}, of the same batch twice {twice}")
    require(_close(value, turned), f"of a batch it is {value}, in another order {turned}")
    require(bool(np.any(gradient)), "the gradient is 0")
    lower, _ = _graded(loss, outputs - 1e-2 * gradient / np.abs(gradient).max(), targets)
    require(lower < value, f"it is {value}, and after a step against its gradient {lower}")
    least, _ = _graded(loss, right, targets)
    require(0 <= least < value, f"correct outputs have a loss of {least}, others {value}")
    if known is not None:
        for scale in (0.1, 1.0, 10.0):
            value, _ = _graded(loss, scale * outputs, targets)
            expected = known(scale * outputs, targets)
            when = f"where outputs are scaled by {scale}"
            require(_close(value, expected), f"it is {value}, and by numpy {expected}, {when}")


def _case(loss: Loss) -> tuple[Floats, NDArray[Any]]:
    """Outputs and targets of a batch."""
    rng = np.random.default_rng(SEED)
    if loss.task == "classify":
        targets = np.arange(BATCH) % CLASSES
        return rng.normal(size=(BATCH, CLASSES * loss.outputs)), targets
    shape = (BATCH,) if loss.outputs == 1 else (BATCH, loss.outputs)
    return rng.normal(size=shape), rng.normal(size=BATCH)


def _right(loss: Loss, targets: NDArray[Any]) -> Floats:
    """The best possible outputs."""
    if loss.task == "classify":
        return 30.0 * np.repeat(np.eye(CLASSES)[targets], loss.outputs, axis=1)
    exact: Floats = targets.astype(np.float64)
    return exact if loss.outputs == 1 else np.repeat(exact[:, None], loss.outputs, axis=1)


def _graded(loss: Loss, outputs: Floats, targets: NDArray[Any]) -> tuple[float, Floats]:
    # Imported here: all other checks work without torch.
    from podium.families._losses import graded

    try:
        return graded(loss, outputs, targets)
    except TypeError as error:
        raise AssertionError(str(error)) from error


def _close(one: float, other: float) -> bool:
    return bool(np.isclose(one, other, rtol=TOLERANCE, atol=1e-9))
