"""What is wrong or remarkable in files, in one form for loading and for ``podium check``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from podium.errors import Problem

ERROR, WARNING, NOTE = "error", "warning", "note"
# Of one kind of finding, so that 500 tickers with one fault each stay readable.
MOST_TOLD = 5


@dataclass(frozen=True)
class DataIssue:
    """One kind of thing in one ticker.

    Parameters
    ----------
    severity : {"error", "warning", "note"}
        An error is refused when the dataset is loaded.
    what : str
        The kind, one word.
    found : str
        Where it is first and what stands there.
    expected, fix : str
        As in an error's sentence.
    ticker : str
        Empty when it concerns all.
    count : int
        How many there are.
    first : str
        Where or when the first one is.
    repair : str
        Name that would repair it in the dataset's ``repair``.
    """

    severity: str
    what: str
    found: str
    expected: str = ""
    fix: str = ""
    ticker: str = ""
    count: int = 1
    first: str = ""
    repair: str = ""

    @property
    def problem(self) -> Problem:
        """The same as a sentence of an error."""
        fix = self.fix
        if self.repair:
            flag = f'repair = ["{self.repair}"]'
            fix = f"{fix}, or set {flag}" if fix else f"set {flag}"
        return Problem(self.found, self.expected, fix)


def error(what: str, found: str, expected: str = "", fix: str = "") -> DataIssue:
    """A finding about a whole file or dataset that stops loading."""
    return DataIssue(ERROR, what, found, expected, fix)


def problems(findings: Iterable[DataIssue]) -> list[Problem]:
    """Sentences of the errors, the first few of each kind with how many more there are."""
    told: defaultdict[str, int] = defaultdict(int)
    kept: list[Problem] = []
    for finding in findings:
        if finding.severity != ERROR:
            continue
        told[finding.what] += 1
        if told[finding.what] <= MOST_TOLD:
            kept.append(finding.problem)
    more = {what: count - MOST_TOLD for what, count in told.items() if count > MOST_TOLD}
    kept += [Problem(f"and {count} more of this kind: {what}") for what, count in more.items()]
    return kept


def has_errors(findings: Sequence[DataIssue]) -> bool:
    """Whether any of them stops loading."""
    return any(finding.severity == ERROR for finding in findings)
