"""The one exception tree: what was found, what was expected, what to do next."""

from __future__ import annotations

from collections import namedtuple

# Not from typing: an answer of the runtime door would take half as long again to import it.
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
    """Everything that is wrong with one input, gathered so that it is reported at once."""

    def add(self, found: str, expected: str = "", fix: str = "") -> None:
        """One more problem."""
        self.append(Problem(found, expected, fix))

    def require_known(self, name: str, known: Collection[str], found: str) -> None:
        """One more problem, with the nearest known name, unless the name is known."""
        if name not in known:
            self.add(found, fix=suggest(name, known))


class PodiumError(Exception):
    """An expected situation that stops a command; never shown as a traceback.

    Parameters
    ----------
    found : str
        The offending value and where it stands.
    expected : str
        What would have been accepted.
    fix : str
        The command or the edit that helps.

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
        """One error that carries every problem that was found."""
        kept = tuple(problems)
        error = cls(*kept[0])
        error.problems = kept
        error.args = ("\n".join(str(p) for p in kept),)
        return error

    @classmethod
    def raise_for(cls, problems: Iterable[Problem]) -> None:
        """Raise one error that carries every problem; do nothing where there is none."""
        kept = tuple(problems)
        if kept:
            raise cls.of(kept)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross the pipe between a worker and the driver.
        return (_rebuild, (type(self), self.problems))


class UsageError(PodiumError):
    """A flag, an argument or a key of podium.toml that cannot be used."""

    exit_code = 2


class NotFoundError(PodiumError):
    """A name, an id or a file that is not there."""

    exit_code = 3


class RefusedError(PodiumError):
    """A gate said no."""

    exit_code = 4


class UnsignedError(PodiumError):
    """A decision waits for a person's signature."""

    exit_code = 5


class ConflictError(PodiumError):
    """Someone else holds the lock or moved the head meanwhile."""

    exit_code = 6


class DataError(PodiumError):
    """Data, an artefact or the disk under them is not what it must be."""

    exit_code = 7


class MissingExtraError(PodiumError):
    """An optional package is needed and not installed."""

    exit_code = 8


class TimeOverError(PodiumError):
    """The time that a command was given is over before it found anything; no mistake."""

    exit_code = 0


class StoppedError(PodiumError):
    """Somebody asked the command to stop; what it had finished is on record."""

    exit_code = 130


def suggest(name: str, known: Iterable[str]) -> str:
    """Sentence part naming the nearest known name, or all of them.

    Examples
    --------
    >>> suggest("lstn", ["lstm", "naive"])
    "did you mean 'lstm'? Known: lstm, naive"
    """
    # Imported on a mistake only: a command that goes well should not pay for it.
    from difflib import get_close_matches

    names: Sequence[str] = sorted(known)
    near = get_close_matches(name, names, n=1)
    listed = ", ".join(names) if names else "none"
    return f"did you mean '{near[0]}'? Known: {listed}" if near else f"known: {listed}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else text + "."


def _rebuild(kind: type[PodiumError], problems: tuple[Problem, ...]) -> PodiumError:
    return kind.of(problems)
