"""The contract of losses for torch families."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from podium import registry
from podium.arrays import Floats


class Loss(Protocol):
    """Object of the class ``LOSS`` in ``losses/``.

    Attributes
    ----------
    task : {"forecast", "classify"}
    outputs : int
        Number of network outputs per target; for classes, per class.
    """

    task: str

    @property
    def outputs(self) -> int:
        """Number of outputs per target or per class."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch, a scalar with a gradient."""


def loss_of(name: str, **options: Any) -> Loss:
    """A new object of the loss of that name.

    Parameters
    ----------
    name : str
    **options
        Arguments of the class.

    Raises
    ------
    NotFoundError
        The loss does not exist.
    """
    made: Loss = registry.load("losses", name).LOSS(**options)
    return made


def graded(loss: Loss, outputs: Floats, targets: NDArray[Any]) -> tuple[float, Floats]:
    """Value of a loss in double precision, and its gradient with respect to the outputs."""
    given = torch.tensor(np.ascontiguousarray(outputs), dtype=torch.float64, requires_grad=True)
    value = loss(given, torch.from_numpy(np.ascontiguousarray(targets)))
    if value.ndim or not value.requires_grad:
        raise TypeError(f"a loss is a scalar with a gradient, not {value!r}")
    value.backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None
    return float(value.detach()), given.grad.numpy()
