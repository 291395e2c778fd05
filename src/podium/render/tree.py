"""A tree as text for a terminal: branches with a title and facts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from podium.render.table import cell, cut

_NARROWEST = 20


@dataclass(frozen=True)
class Branch:
    """A title, its facts, and its child branches.

    Parameters
    ----------
    title : str
        Cut at the width of the terminal.
    facts : sequence of (str, str)
        Label and words; long words are wrapped.
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    branches: Sequence[Branch] = ()


def tree(root: Branch, width: int = 80) -> str:
    """The tree as lines of at most the width.

    Parameters
    ----------
    root : Branch
    width : int
        Columns of the terminal.

    Examples
    --------
    >>> leaf = Branch("candidate c-1", [("stage", "beta")])
    >>> print(tree(Branch("study s-1", [("slot", "us4/D")], [Branch("trial t-1"), leaf])))
    study s-1
    |     slot  us4/D
    |-- trial t-1
    '-- candidate c-1
              stage  beta
    """
    return "\n".join(_lines(root, "", "", width))


def _lines(branch: Branch, first: str, rest: str, width: int) -> Iterator[str]:
    yield cut(first + cell(branch.title), width)
    inner = rest + ("|     " if branch.branches else "      ")
    wide = max((len(label) for label, _ in branch.facts), default=0)
    for label, words in branch.facts:
        head = f"{inner}{label:<{wide}}  "
        room = max(width - len(head), _NARROWEST)
        for number, line in enumerate(textwrap.wrap(cell(words), room) or [""]):
            yield (head if number == 0 else f"{inner}{' ' * wide}  ") + line
    for number, child in enumerate(branch.branches, 1):
        last = number == len(branch.branches)
        yield from _lines(
            child, rest + ("'-- " if last else "|-- "), rest + ("    " if last else "|   "), width
        )
