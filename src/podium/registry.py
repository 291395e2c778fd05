"""Finds the members of every kind: the package's own folder first, entry points on a miss.

A kind is a plural folder (``families``), a member is one file in it (``families/lstm.py``), and the
file's name is the member's public name. A package installed beside podium offers members through
the entry point group ``podium.<kind>``. Listing reads names and first docstring lines without
importing anything.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from podium.errors import MissingExtraError, NotFoundError, suggest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

KINDS = (
    "families",
    "readers",
    "features",
    "targets",
    "splitters",
    "searches",
    "metrics",
    "signals",
    "gates",
    "runners",
    "importers",
)


def names(kind: str) -> list[str]:
    """Names of a kind's members in the package, sorted.

    Examples
    --------
    >>> "naive" in names("families")
    True
    """
    folder = Path(__file__).parent / kind
    return sorted(p.stem for p in folder.glob("[!_]*.py"))


def describe(kind: str) -> dict[str, str]:
    """First docstring line of each member in the package, by name; imports nothing."""
    folder = Path(__file__).parent / kind
    return {name: first_line(folder / f"{name}.py") for name in names(kind)}


def first_line(path: Path) -> str:
    """First line of a module's docstring, read from the text."""
    with path.open(encoding="utf-8") as handle:
        line = handle.readline().strip()
    return line.strip('"').removesuffix("\n").strip()


def exists(kind: str, name: str) -> bool:
    """Whether the package or an installed entry point has that member."""
    return name in names(kind) or bool(_entry_points(kind, name))


@cache
def load(kind: str, name: str) -> ModuleType:
    """Module of one member.

    Raises
    ------
    NotFoundError
        Neither the package nor an installed entry point has it; near names are suggested.
    MissingExtraError
        It needs a package that is not installed.
    """
    if name in names(kind):
        try:
            return import_module(f"podium.{kind}.{name}")
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing == "podium":
                raise
            raise MissingExtraError(
                f"{_singular(kind)} '{name}' needs the package '{missing}', which is not installed",
                fix=f"run: pip install {missing}",
            ) from error
    for point in _entry_points(kind, name):
        module = point.load()
        if not isinstance(module, ModuleType):
            raise NotFoundError(
                f"entry point '{point.value}' is a {type(module).__name__}", "a module"
            )
        return module
    raise NotFoundError(f"no {_singular(kind)} '{name}'", fix=suggest(name, names(kind)))


def _entry_points(kind: str, name: str) -> EntryPoints:
    # Asked only on a miss: reading installed metadata costs several bare interpreter starts.
    from importlib.metadata import entry_points

    return entry_points(group=f"podium.{kind}", name=name)


def _singular(kind: str) -> str:
    return {"families": "family", "searches": "search"}.get(kind, kind.removesuffix("s"))
