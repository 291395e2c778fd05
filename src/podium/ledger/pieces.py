"""Rows and ids in pieces: a statement takes a limited number of parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

PIECE = 500
T = TypeVar("T")


def pieces(values: Iterable[T], size: int | None = None) -> Iterator[list[T]]:
    """Lists of consecutive values, at most ``size`` long; by default as long as a query takes.

    Examples
    --------
    >>> list(pieces("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(values)
    while piece := list(islice(rest, size or PIECE)):
        yield piece


def is_many(value: object) -> bool:
    """Whether a value is a collection that a column is compared with, and not a text.

    Examples
    --------
    >>> is_many(("a", "b")), is_many("ab")
    (True, False)
    """
    return isinstance(value, Collection) and not isinstance(value, str)


def in_pieces(equal: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Split conditions on columns, by their name, so that each fits one statement.

    Examples
    --------
    >>> [len(some["id"]) for some in in_pieces({"id": range(501), "fold": 0})]
    [500, 1]
    """
    many = [name for name, value in equal.items() if is_many(value)]
    if not many:
        yield equal
        return
    longest = max(many, key=lambda name: len(equal[name]))
    for piece in pieces(equal[longest]):
        yield {**equal, longest: piece}
