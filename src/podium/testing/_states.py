"""Trainings that are paused and gone on with, as families of both tasks are tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.families._base import AnyFamily
from podium.space import ConfigDict
from podium.testing._base import SEED, require
from podium.trial import Epoch, Fitted, Paused, Stopped


class Memory:
    """Keeps states; goes on from the one it is given.

    Parameters
    ----------
    last : bytes, optional
        State to go on from.
    until : int
        Epoch to pause after, whose state is the only one wanted; 0: every state is, and no pause.
    """

    def __init__(self, last: bytes | None = None, until: int = 0) -> None:
        self.kept: dict[int, bytes] = {}
        self.best = 0
        self.until = until
        self._last = last

    def last(self) -> bytes | None:
        """The state it was given."""
        return self._last

    def wants(self, epoch: int) -> bool:
        """Every one, or that of the epoch to pause after."""
        return self.until in (0, epoch)

    def put(self, epoch: int, state: bytes, *, best: bool) -> None:
        """Keep it."""
        require(self.wants(epoch), f"the state after epoch {epoch} was made, and nobody wants it")
        self.kept[epoch] = state
        self.best = epoch if best else self.best
        if epoch == self.until:
            raise Paused


def paused_everywhere(
    family: AnyFamily[Any, Any, Any], config: ConfigDict, train: Any, validation: Any, epochs: int
) -> tuple[Any, Any]:
    """Models of a training in one go, and of one that was paused after every epoch."""
    whole, curve = _trained(family, config, train, validation, None)
    require(isinstance(whole, Fitted) and whole.model is not None, f"it does not fit {config}")
    state: bytes | None = None
    for until in range(1, epochs):
        keep = Memory(state, until)
        end, told = _trained(family, config, train, validation, keep)
        require(isinstance(end, Stopped), f"asked to pause after epoch {until}, it went on")
        require(told == curve[:until], f"paused after epoch {until}, the curve differs ({config})")
        state = keep.kept[until]
    again, told = _trained(family, config, train, validation, Memory(state))
    require(told == curve, f"paused after every epoch, the curve differs ({config})")
    require(isinstance(again, Fitted), "gone on with after a pause, it gives no model")
    return whole.model, again.model  # type: ignore[union-attr]


def _trained(
    family: AnyFamily[Any, Any, Any],
    config: ConfigDict,
    train: Any,
    validation: Any,
    keep: Memory | None,
) -> tuple[Fitted | Stopped, list[Mapping[str, float]]]:
    """How it ended, and the scores of every epoch."""
    *epochs, end = family.fit_many([config], train, validation, seeds=[SEED], keeps=[keep])
    require(not isinstance(end, Epoch), "the last event is an epoch")
    return end, [event.scores for event in epochs if isinstance(event, Epoch)]  # type: ignore[return-value]
