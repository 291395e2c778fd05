"""Rows and ids in pieces: a statement takes a limited number of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

PIECE = 500
T = TypeVar("T")


def pieces(values: Iterable[T], size: int | None = None) -> Iterator[list[T]]:
    """Values in their order, at most ``size`` of them at once; by default as many as a query takes.

    Examples
    --------
    >>> list(pieces("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(values)
    while piece := list(islice(rest, size or PIECE)):
        yield piece
