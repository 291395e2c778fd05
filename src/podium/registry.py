"""Finds the members of every kind: podium's own folder, the project's plugins, entry points.

A kind is a plural folder (``families``), a member is one file in it (``families/lstm.py``), and the
file's name is the member's public name. A project has members of its own in ``plugins/families``
(see :mod:`podium.plugin`); a package installed beside podium offers members through the entry point
group ``podium.<kind>``. Listing reads names and first docstring lines without importing anything.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from enum import StrEnum
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from podium import plugin
from podium.errors import MissingExtraError, NotFoundError, Problem, UsageError, suggest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

KINDS = tuple(plugin.CONTRACT)


def names(kind: str) -> list[str]:
    """Names of a kind's members in podium and in the project, sorted.

    Examples
    --------
    >>> "naive" in names("families")
    True
    """
    return sorted({*_own(kind), *plugin.names(kind)})


def describe(kind: str) -> dict[str, str]:
    """First docstring line of each member in podium and in the project, by name; imports nothing.

    Raises
    ------
    UsageError
        With every file of the project's ``plugins`` that can never be a member.
    """
    UsageError.raise_for(misplaced(kind))
    folder = Path(__file__).parent / kind
    found = {name: first_line(folder / f"{name}.py") for name in _own(kind)}
    for name in plugin.names(kind):
        path = plugin.path_of(kind, name)
        if path is not None:
            place = f"({plugin.FOLDER}/{kind}/{name}.py)"
            found[name] = " ".join(filter(None, [first_line(path), place]))
    return dict(sorted(found.items()))


def misplaced(kind: str) -> list[Problem]:
    """What lies in the project's ``plugins`` and can never be a member of this kind."""
    return plugin.problems(kind, _own(kind))


def first_line(path: Path) -> str:
    """First line of a module's docstring, read from the text; empty where it has none."""
    with path.open(encoding="utf-8", errors="replace") as handle:
        line = handle.readline().strip()
    return line.strip('"').strip() if line.startswith('"') else ""


def exists(kind: str, name: str) -> bool:
    """Whether podium, the project or an installed entry point has that member; runs nothing."""
    return name in names(kind) or bool(_entry_points(kind, name))


def load(kind: str, name: str) -> ModuleType:
    """Module of one member.

    Raises
    ------
    NotFoundError
        Neither podium nor the project nor an installed entry point has it; near names are
        suggested.
    MissingExtraError
        It needs a package that is not installed.
    UsageError
        The project has a plugin of that name that cannot be run, or podium has the name too.
    """
    if plugin.path_of(kind, name) is None:
        return _load(kind, name)
    if name in _own(kind):
        raise UsageError.of(misplaced(kind))
    return plugin.load(kind, name)


def constant(kind: str, name: str, what: str) -> Any:
    """Plain value that a member's file gives a name at its top; None where it gives none.

    podium's own members and the project's are read as text; one of another package is loaded.
    """
    # podium's own first: they are asked for with every trial, and no plugin may have their names.
    if name in _own(kind):
        return _own_literals(kind, name).get(what)
    path = plugin.path_of(kind, name)
    if path is not None:
        return _literals(path).get(what)
    return getattr(_load(kind, name), what, None) if _entry_points(kind, name) else None


@cache
def _own_literals(kind: str, name: str) -> dict[str, Any]:
    return _literals(Path(__file__).parent / kind / f"{name}.py")


def _literals(path: Path) -> dict[str, Any]:
    """Names at the top of a file whose values are plain: texts, numbers, tuples, mappings."""
    # Imported here: most commands need no such value.
    import ast

    values = {}
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}  # told with its line when it is loaded
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            with suppress(ValueError):
                value = ast.literal_eval(node.value)
                values.update({to.id: value for to in targets if isinstance(to, ast.Name)})
    return values


def holds(task: str) -> str:
    """What datasets of a task hold: ``bars`` or ``sequences``; empty where it has none."""
    return str(constant("tasks", task, "HOLDS") or "")


def task_of(metric: str) -> str:
    """Task that a metric judges; one that names none judges forecasts."""
    return str(constant("metrics", metric, "TASK") or "forecast")


def family(name: str, task: str = "forecast", *, device: str = "") -> Any:
    """A new object of the family of that name for a task.

    Parameters
    ----------
    name : str
    task : str
        The module's ``FAMILY`` forecasts, its ``CLASSIFIER`` classifies (``ROLE`` of the task).
    device : str
        Device of the object's ``fit``; empty: the CPU.

    Returns
    -------
    Family or Classifier
        No other call returns the same object.

    Raises
    ------
    UsageError
        The module has no family for this task, or an object in place of a class.
    """
    made = new_family(load("families", name), name, task)
    if plugin.path_of("families", name) is not None:
        plugin.set_version(made, name)
    if device:
        made.device = device
    return made


def new_family(module: ModuleType, name: str, task: str = "forecast") -> Any:
    """A new object of the class that a module holds for a task.

    Raises
    ------
    UsageError
        The module has no family for this task, or an object in place of a class.
    """
    role = str(constant("tasks", task, "ROLE"))
    kind = getattr(module, role, None)
    if kind is None:
        roles = {one: str(constant("tasks", one, "ROLE")) for one in names("tasks")}
        does = [one for one, role in roles.items() if hasattr(module, role)]
        raise UsageError(
            f"family '{name}' is for {' and '.join(does) or 'nothing'}", f"one to {task}"
        )
    if not isinstance(kind, type):
        made = type(kind).__name__
        raise UsageError(
            f"{role} of family '{name}' is an object of {made}",
            "the class: each training has an object of its own",
            f"write {role} = {made}, without parentheses",
        )
    return kind()


class Direction(StrEnum):
    """Which way a metric is better."""

    MIN = "min"
    MAX = "max"

    @property
    def sign(self) -> float:
        """Factor that makes lower values the better ones."""
        return -1.0 if self is Direction.MAX else 1.0

    @property
    def verb(self) -> str:
        """The same in Optuna's words."""
        return "maximize" if self is Direction.MAX else "minimize"


def direction(metric: str) -> Direction:
    """Which way a metric is better; a plugin is read, not run."""
    rises = constant("metrics", metric, "DIRECTION") == "max"
    return Direction.MAX if rises else Direction.MIN


def version(kind: str, name: str) -> int | str:
    """What changes when a member's numbers do: its ``VERSION``, or the SHA-256 of a plugin."""
    if plugin.path_of(kind, name) is not None:
        return plugin.version(kind, name)
    return getattr(load(kind, name), "VERSION", 1)


def versioned(kind: str, name: str) -> str:
    """A member's name, which for a plugin says what the plugin's files held."""
    if plugin.path_of(kind, name) is None:
        return name
    return f"{name}@{plugin.version(kind, name)}"


@cache
def _load(kind: str, name: str) -> ModuleType:
    """Module of a member that is no plugin."""
    if name in _own(kind):
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


@cache
def _own(kind: str) -> tuple[str, ...]:
    """Names in podium's own folder, sorted."""
    folder = Path(__file__).parent / kind
    return tuple(sorted(p.stem for p in folder.glob("[!_]*.py")))


def _entry_points(kind: str, name: str) -> EntryPoints:
    # Asked only on a miss: reading installed metadata costs several bare interpreter starts.
    return _installed(kind, name, tuple(sys.path))


@cache
def _installed(kind: str, name: str, path: tuple[str, ...]) -> EntryPoints:
    """Entry points of the packages on a search path, which is read once."""
    from importlib.metadata import entry_points

    del path
    return entry_points(group=f"podium.{kind}", name=name)


def _singular(kind: str) -> str:
    return {"families": "family", "searches": "search", "losses": "loss"}.get(
        kind, kind.removesuffix("s")
    )
