"""Members of every kind: podium's own folder, the project's plugins, entry points.

A kind is a plural folder (``families``), a member is one file in it (``families/lstm.py``), and the
file's name is the member's public name. A project adds members in ``plugins/families`` (see
:mod:`podium.plugin`), an installed package through the entry point group ``podium.<kind>``. Listing
reads names and first docstring lines without importing them.
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
    """First docstring line of each member in podium and in the project, by name, without imports.

    Raises
    ------
    UsageError
        A file of the project's ``plugins`` can never be a member; lists all.
    """
    UsageError.raise_for(misplaced(kind))
    folder = Path(__file__).parent / kind
    lines = {name: first_line(folder / f"{name}.py") for name in _own(kind)}
    for name in plugin.names(kind):
        path = plugin.path_of(kind, name)
        if path is not None:
            place = f"({plugin.FOLDER}/{kind}/{name}.py)"
            lines[name] = " ".join(filter(None, [first_line(path), place]))
    return dict(sorted(lines.items()))


def misplaced(kind: str) -> list[Problem]:
    """Problems of files in the project's ``plugins`` that can never be members of this kind."""
    return plugin.problems(kind, _own(kind))


def first_line(path: Path) -> str:
    """First line of a module's docstring, read from the text; empty if there is none."""
    with path.open(encoding="utf-8", errors="replace") as handle:
        line = handle.readline().strip()
    return line.strip('"').strip() if line.startswith('"') else ""


def exists(kind: str, name: str) -> bool:
    """Whether podium, the project or an installed entry point has the member; nothing is run."""
    return name in names(kind) or bool(_entry_points(kind, name))


def load(kind: str, name: str) -> ModuleType:
    """Module of one member.

    Raises
    ------
    NotFoundError
        No such member; near names are suggested.
    MissingExtraError
        The member needs a package that is not installed.
    UsageError
        The project's plugin of that name fails, or podium has a member of that name too.
    """
    if plugin.path_of(kind, name) is None:
        return _load(kind, name)
    if name in _own(kind):
        raise UsageError.of(misplaced(kind))
    return plugin.load(kind, name)


def constant(kind: str, name: str, what: str) -> Any:
    """Literal value of a top-level name in a member's file; None if it has none.

    Members of podium and of the project are read as text; members of other packages are loaded.
    """
    # podium's own first: they are needed with every trial, and no plugin may have their names.
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
    """Top-level names of a file with literal values: texts, numbers, tuples, mappings."""
    # Imported here: most commands do not need it.
    import ast

    values = {}
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}  # reported with its line when the file is loaded
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            with suppress(ValueError):
                value = ast.literal_eval(node.value)
                values.update({to.id: value for to in targets if isinstance(to, ast.Name)})
    return values


def holds(task: str) -> str:
    """Content of a task's datasets: ``bars`` or ``sequences``; empty if it has none."""
    return str(constant("tasks", task, "HOLDS") or "")


def task_of(metric: str) -> str:
    """Task of a metric; default ``forecast``."""
    return str(constant("metrics", metric, "TASK") or "forecast")


def family(name: str, task: str = "forecast", *, device: str = "", path: bool = False) -> Any:
    """A new object of the family of that name for a task.

    Parameters
    ----------
    name : str
    task : str
        The task's ``ROLE`` is the class's name: ``FAMILY`` forecasts, ``CLASSIFIER`` classifies.
    device : str
        Device of ``fit``; default: the CPU.
    path : bool
        Whether its models forecast every horizon up to the slot's, not that alone.

    Returns
    -------
    Family or Classifier
        A new object for every call.

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
    if path and not made.paths:
        # By name, like members: families are in a later layer.
        return import_module(f"{__package__}.families._paths").PathFamily(made)
    return made


def families_of(task: str) -> list[str]:
    """Names of the families for a task; those of plugins that cannot be loaded are left out.

    Examples
    --------
    >>> "har" in families_of("forecast"), "har" in families_of("classify")
    (True, False)
    """
    role, having = str(constant("tasks", task, "ROLE")), []
    for name in names("families"):
        with suppress(Exception):
            if hasattr(load("families", name), role):
                having.append(name)
    return having


def new_family(module: ModuleType, name: str, task: str = "forecast") -> Any:
    """A new object of a module's class for a task.

    Raises
    ------
    UsageError
        The module has no family for this task, or an object in place of a class.
    """
    role = str(constant("tasks", task, "ROLE"))
    kind = getattr(module, role, None)
    if kind is None:
        does = [n for n in names("tasks") if hasattr(module, str(constant("tasks", n, "ROLE")))]
        raise UsageError(
            f"family '{name}' is for {' and '.join(does) or 'nothing'}",
            f"one to {task}: {', '.join(families_of(task))}",
        )
    if not isinstance(kind, type):
        made = type(kind).__name__
        raise UsageError(
            f"{role} of family '{name}' is an object of {made}",
            "the class: each training uses a new object",
            f"write {role} = {made}, without parentheses",
        )
    return kind()


class Direction(StrEnum):
    """Direction in which a metric improves."""

    MIN = "min"
    MAX = "max"

    @property
    def sign(self) -> float:
        """Factor after which lower values are better."""
        return -1.0 if self is Direction.MAX else 1.0

    @property
    def verb(self) -> str:
        """Optuna's name of the direction."""
        return "maximize" if self is Direction.MAX else "minimize"


def direction(metric: str) -> Direction:
    """Direction of a metric, ``min`` if it declares none; a plugin is read, not run.

    Raises
    ------
    UsageError
        DIRECTION is neither ``"min"`` nor ``"max"``.
    """
    declared = constant("metrics", metric, "DIRECTION")
    try:
        return Direction(declared or Direction.MIN)
    except ValueError:
        found = f"DIRECTION of metric '{metric}' is {declared!r}"
        raise UsageError(found, '"min" or "max"') from None


def require_direction(metric: str) -> None:
    """Refuse a metric that is a score without a DIRECTION.

    Raises
    ------
    UsageError
    """
    if constant("metrics", metric, "DIRECTION") is None:
        raise UsageError(
            f"metric '{metric}' has a score and no DIRECTION",
            'DIRECTION = "max" if higher scores are better, else "min"',
            "add the line to its file",
        )


def version(kind: str, name: str) -> int | str:
    """Version of a member's results: its ``VERSION``, or the SHA-256 of a plugin."""
    if plugin.path_of(kind, name) is not None:
        return plugin.version(kind, name)
    return getattr(load(kind, name), "VERSION", 1)


def versioned(kind: str, name: str) -> str:
    """A member's name; of a plugin with the hash of its files."""
    if plugin.path_of(kind, name) is None:
        return name
    return f"{name}@{plugin.version(kind, name)}"


@cache
def _load(kind: str, name: str) -> ModuleType:
    """Module of a member that is not a plugin."""
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
    # Read only on a miss: installed metadata cost several bare interpreter starts.
    return _installed(kind, name, tuple(sys.path))


@cache
def _installed(kind: str, name: str, path: tuple[str, ...]) -> EntryPoints:
    """Entry points of the packages on a search path, cached."""
    from importlib.metadata import entry_points

    del path
    return entry_points(group=f"podium.{kind}", name=name)


def _singular(kind: str) -> str:
    singular = {"families": "family", "searches": "search", "losses": "loss"}
    return singular.get(kind, kind.removesuffix("s"))
