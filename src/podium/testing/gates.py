"""A gate's test calls ``check_gate(module)``, and ``evidence(kind, ...)`` for its input.

>>> from podium.gates import fresh_evidence
>>> check_gate(fresh_evidence)
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import ModuleType
from zlib import crc32

from podium.decision import Result
from podium.evidence import SIGNATURE, Evidence, Scalar
from podium.gates._base import verdict
from podium.testing._base import require

HEADINGS = ("Asks", "Why", "Passes when", "Refuses when", "What to do")
IMPURE = {"datetime", "io", "os", "pathlib", "random", "secrets", "sqlite3", "subprocess", "time"}


class _AnyNumber(Mapping[str, Scalar]):
    """Scalars with a reproducible number for every name."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __getitem__(self, name: str) -> Scalar:
        return Scalar(crc32(f"{self.seed}/{name}".encode()) / 2**32)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _AnyText(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"some {name}"


def evidence(
    kind: str,
    scalars: Mapping[str, Scalar] | None = None,
    notes: Mapping[str, str] | None = None,
    **changed: str,
) -> Evidence:
    """Evidence for a gate's test, with arbitrary values for everything else.

    Examples
    --------
    >>> evidence("test", {"loss": Scalar(0.5)}).scalar("loss")
    0.5
    """
    values = {
        "id": f"e-{kind}",
        "candidate_id": "c-1",
        "artifact_hash": "a" * 64,
        "dataset_fingerprint": "d" * 64,
        "split_hash": "s" * 64,
        "producer": "kit",
        "producer_version": "1",
        "created_at": "2020-01-01T00:00:00+00:00",
        **changed,
    }
    scalars = _AnyNumber(0) if scalars is None else scalars
    notes = _AnyText() if notes is None else notes
    return Evidence(kind=kind, scalars=scalars, series={}, notes=notes, **values)


def check_gate(module: ModuleType) -> None:
    """A pure function with five headings, documented limits, and results for missing evidence."""
    _explains_itself(module)
    _reads_nothing(module)
    for seed in range(8):
        given = {
            kind: evidence(kind, _AnyNumber(seed), artifact_hash=f"{seed % 2}" * 64)
            for kind in (*module.NEEDS, "validation")
        }
        for champion in (None, given):
            before = copy.copy(given)
            one, two = (verdict("kit", module, given, champion, {}) for _ in range(2))
            require(one == two, "the same evidence gives two verdicts")
            require(given == before, "it changed its evidence")
            require(isinstance(one.result, Result), f"the result is {one.result!r}")
            require(len(one.finding) > 10, f"the finding is {one.finding!r}, not a sentence")
            require(one.result is not Result.MISSING, f"missing with all evidence: {one.finding}")
    for kind in module.NEEDS:
        rest = {other: evidence(other) for other in module.NEEDS if other != kind}
        judged = verdict("kit", module, rest, None, {})
        expected = Result.UNSIGNED if kind == SIGNATURE else Result.MISSING
        require(judged.result is expected, f"without {kind} evidence the result is {judged.result}")
        require(kind in judged.finding, f"the finding does not name the missing {kind}")


def _explains_itself(module: ModuleType) -> None:
    """The docstring has a question, five headings, and every limit."""
    text = module.__doc__ or ""
    lines = text.splitlines() or [""]
    require(lines[0].endswith("?"), "the first line is not a question")
    underlined = [one for one, line in pairwise(lines) if one and line == "-" * len(one)]
    known = [one for one in underlined if one in HEADINGS]
    listed = ", ".join(HEADINGS)
    require(known == [*HEADINGS], f"the docstring lacks the headings {listed}, in this order")
    require(isinstance(module.NEEDS, tuple), "NEEDS is not a tuple of kinds of evidence")
    for name, limit in module.LIMITS.items():
        require(isinstance(limit, int | float), f"limit {name} is not a number")
        require(f"``{name}``" in text, f"the docstring does not explain the limit ``{name}``")


def _reads_nothing(module: ModuleType) -> None:
    """No import gives access to files, clocks, random numbers or the record."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            require(node.func.id != "open", f"line {node.lineno} opens a file")
        for name in names:
            impure = name.partition(".")[0] in IMPURE or name.startswith("podium.ledger")
            require(not impure, f"line {getattr(node, 'lineno', 0)} imports {name}")
