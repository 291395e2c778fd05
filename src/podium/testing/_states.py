"""Trainings that are paused and gone on with, as families of both tasks are tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from podium.space import ConfigDict
from podium.testing._base import SEED, require
from podium.testing._fits import AFamily
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


def trainings(
    family: AFamily, config: ConfigDict, train: Any, validation: Any
) -> Iterator[tuple[str, Any]]:
    """Models of one training: in one go; gone on with from each state; with a pause every epoch.

    Yields
    ------
    str
        When it was interrupted.
    model
        Of a training whose curve was the uninterrupted one.
    """
    whole, curve = _trained(family, config, train, validation, None)
    require(isinstance(whole, Fitted) and whole.model is not None, f"it does not fit {config}")
    yield "in one go", whole.model  # type: ignore[union-attr]

    def same(when: str, keep: Memory) -> tuple[str, Any]:
        end, scores = _trained(family, config, train, validation, keep)
        require(scores == curve, f"{when}, the curve differs ({config})")
        require(isinstance(end, Fitted), f"{when}, it gives no model")
        return when, end.model  # type: ignore[union-attr]

    states = Memory()
    yield same("with every state kept", states)
    for epoch, state in states.kept.items():
        yield same(f"gone on from epoch {epoch}", Memory(state))
    last: bytes | None = None
    for until in range(1, len(curve)):
        keep = Memory(last, until)
        end, scores = _trained(family, config, train, validation, keep)
        require(isinstance(end, Stopped), f"asked to pause after epoch {until}, it went on")
        require(scores == curve[:until], f"paused after epoch {until}, the curve differs")
        last = keep.kept[until]
    yield same("paused after every epoch", Memory(last))


def _trained(
    family: AFamily, config: ConfigDict, train: Any, validation: Any, keep: Memory | None
) -> tuple[Fitted | Stopped, list[Mapping[str, float]]]:
    """How it ended, and the scores of every epoch."""
    *epochs, end = family.fit_many([config], train, validation, seeds=[SEED], keeps=[keep])
    require(not isinstance(end, Epoch), "the last event is an epoch")
    return end, [event.scores for event in epochs if isinstance(event, Epoch)]  # type: ignore[return-value]
