"""Issues in files, for loading and for ``podium check``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from podium.errors import Problem

ERROR, WARNING, NOTE = "error", "warning", "note"
# Issues of one kind in a message: 500 tickers with one error each stay readable.
MAX_PER_KIND = 5


@dataclass(frozen=True)
class DataIssue:
    """One kind of issue in one ticker.

    Parameters
    ----------
    severity : {"error", "warning", "note"}
        An error stops loading.
    what : str
        The kind.
    found : str
        The first place and its value.
    expected, fix : str
        As in an error's sentence.
    ticker : str
        Empty for all tickers.
    count : int
        Number of rows.
    first : str
        Place or time of the first one.
    repair : str
        Repair for the dataset's ``repair``.
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
        """The issue as a problem of an error."""
        fix = self.fix
        if self.repair:
            flag = f'repair = ["{self.repair}"]'
            fix = f"{fix}, or set {flag}" if fix else f"set {flag}"
        return Problem(self.found, self.expected, fix)


error = partial(DataIssue, ERROR)
warning = partial(DataIssue, WARNING)
note = partial(DataIssue, NOTE)


def problems(findings: Iterable[DataIssue]) -> list[Problem]:
    """Return the problems of the errors: the first few of each kind, and the number of others."""
    counts: defaultdict[str, int] = defaultdict(int)
    shown: list[Problem] = []
    for finding in findings:
        if finding.severity != ERROR:
            continue
        counts[finding.what] += 1
        if counts[finding.what] <= MAX_PER_KIND:
            shown.append(finding.problem)
    more = {what: count - MAX_PER_KIND for what, count in counts.items() if count > MAX_PER_KIND}
    shown += [Problem(f"and {count} more of this kind: {what}") for what, count in more.items()]
    return shown


def by_severity(findings: Iterable[DataIssue]) -> tuple[DataIssue, ...]:
    """Return errors first, then warnings, then notes."""
    rank = (ERROR, WARNING, NOTE)
    return tuple(sorted(findings, key=lambda finding: rank.index(finding.severity)))


def has_errors(findings: Sequence[DataIssue]) -> bool:
    """Return whether there is an error."""
    return any(finding.severity == ERROR for finding in findings)
