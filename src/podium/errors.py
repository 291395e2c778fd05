"""Exceptions of podium: each names the problem, the expectation and the remedy."""

from __future__ import annotations

from collections import namedtuple

# Not from typing: its import makes `podium resolve` half as long again.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Self


class Problem(namedtuple("Problem", ("found", "expected", "fix"), defaults=("", ""))):
    """One thing that is wrong: value and place, expectation, remedy; each a text."""

    __slots__ = ()

    def __str__(self) -> str:
        text = _sentence(self.found)
        if self.expected:
            text += f" Expected {_sentence(self.expected)}"
        if self.fix:
            text += f" {_sentence(self.fix[0].upper() + self.fix[1:])}"
        return text


class Problems(list[Problem]):
    """Problems of one input, reported together."""

    def add(self, found: str, expected: str = "", fix: str = "") -> None:
        """Add a problem."""
        self.append(Problem(found, expected, fix))

    def require_known(self, name: str, known: Collection[str], found: str) -> None:
        """Add a problem with the nearest known name, unless the name is known."""
        if name not in known:
            self.add(found, fix=suggest(name, known))


class PodiumError(Exception):
    """Base of the expected errors that stop a command; shown without a traceback.

    Parameters
    ----------
    found : str
        The offending value and its location.
    expected : str
        The accepted values.
    fix : str
        The command or the edit to make next.

    Examples
    --------
    >>> print(DataError("prices.csv has 2 rows for 2010-01-04", "one row a bar", "remove one"))
    prices.csv has 2 rows for 2010-01-04. Expected one row a bar. Remove one.
    """

    exit_code = 1

    def __init__(self, found: str, expected: str = "", fix: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem(found, expected, fix),)
        super().__init__(str(self.problems[0]))

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """Error that carries every problem."""
        items = tuple(problems)
        error = cls(*items[0])
        error.problems = items
        error.args = ("\n".join(str(p) for p in items),)
        return error

    @classmethod
    def raise_for(cls, problems: Iterable[Problem]) -> None:
        """Raise one error that carries every problem; do nothing if there is none."""
        items = tuple(problems)
        if items:
            raise cls.of(items)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross the pipe between a worker and the driver.
        return (_rebuild, (type(self), self.problems))


class UsageError(PodiumError):
    """Invalid flag, argument or key of podium.toml."""

    exit_code = 2


class NotFoundError(PodiumError):
    """Missing name, id or file."""

    exit_code = 3


class RefusedError(PodiumError):
    """Refusal by a gate or a rule."""

    exit_code = 4


class ConflictError(PodiumError):
    """Another process holds the lock or moved the head."""

    exit_code = 6


class DataError(PodiumError):
    """Invalid data, artefact or disk."""

    exit_code = 7


class MissingExtraError(PodiumError):
    """Required optional package that is not installed."""

    exit_code = 8


class TimeOverError(PodiumError):
    """The time limit of a command ended without a result; not a failure."""

    exit_code = 0


class StoppedError(PodiumError):
    """The command was stopped by request; finished work is on record."""

    exit_code = 130


def suggest(name: str, known: Iterable[str]) -> str:
    """Part of a sentence that names the nearest known name and lists all.

    Examples
    --------
    >>> suggest("lstn", ["lstm", "naive"])
    "did you mean 'lstm'? Known: lstm, naive"
    """
    # Imported only on an error: other commands should not pay for it.
    from difflib import SequenceMatcher

    names: Sequence[str] = sorted(known)
    likeness = {one: SequenceMatcher(None, one, name).ratio() for one in names}
    near = [one for one in names if likeness[one] == max(0.6, *likeness.values())]
    listed = ", ".join(names) if names else "none"
    return f"did you mean '{near[0]}'? Known: {listed}" if near else f"known: {listed}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else text + "."


def _rebuild(kind: type[PodiumError], problems: tuple[Problem, ...]) -> PodiumError:
    return kind.of(problems)
