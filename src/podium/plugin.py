"""Plugin: a member of a kind in the project's own folder, ``plugins/<kind>/<name>.py``.

The file has what a member in podium's own folder of that kind has, so it could be moved there as it
is. Files whose names begin with ``_`` are shared by the members of their folder, which import them
as ``from ._name import ...``. A process works with one project at a time, the one named last to
:func:`use`; names and first lines are read as text, and a file is run when a step loads it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

from podium.errors import (
    ConflictError,
    MissingExtraError,
    PodiumError,
    Problem,
    Problems,
    UsageError,
    suggest,
)
from podium.hashing import digest_bytes

FOLDER = "plugins"
PACKAGE = "podium_plugins"
# What a module of each kind has at least.
CONTRACT = {
    "families": ("FAMILY or CLASSIFIER",),
    "readers": ("read",),
    "features": ("compute",),
    "targets": ("UNIT", "CENTERED", "increments", "aggregate"),
    "splitters": ("split",),
    "searches": ("SEARCH",),
    "schedules": ("SCHEDULE",),
    "metrics": ("losses or score",),
    "losses": ("LOSS",),
    "signals": ("weights",),
    "gates": ("NEEDS", "LIMITS", "judge"),
    "runners": ("RUNNER",),
    "importers": ("recognizes", "read"),
    "tasks": ("TASK", "ROLE", "STAGES"),
}

_root: Path | None = None
# Version of what is loaded, by the module's name.
_loaded: dict[str, str] = {}
# What a worker may load, by the module's name: no other version than its driver had.
_held: dict[str, str] = {}


def use(root: Path | None) -> None:
    """Find plugins in this project from now on; None: in none.

    Runs nothing. What was loaded from another project is forgotten.
    """
    global _root
    root = root.resolve() if root else None
    if root == _root:
        return
    _root = root
    _forget(PACKAGE)
    if _FINDER not in sys.meta_path:
        # Before Python's own, which would run a cached compilation of the files that are shared.
        sys.meta_path.insert(0, _FINDER)


def loaded() -> dict[str, str]:
    """Versions of the plugins this process has loaded, by their modules' names."""
    return dict(_loaded)


def hold(root: Path | None, versions: Mapping[str, str]) -> None:
    """Work as another process does: with its project and the plugins it has loaded.

    Raises
    ------
    ConflictError
        A file was changed since; then and whenever it is loaded later.
    """
    use(root)
    _held.clear()
    _held.update(versions)
    for full in versions:
        _, kind, name = full.split(".")
        load(kind, name)


def project() -> Path | None:
    """The project whose plugins are found in this process."""
    return _root


def path_of(kind: str, name: str) -> Path | None:
    """File of a plugin; None: the project has no such plugin."""
    if _root is None or not name.isidentifier() or name.startswith("_"):
        return None
    path = _root / FOLDER / kind / f"{name}.py"
    return path if path.is_file() else None


def names(kind: str) -> list[str]:
    """Names of the project's plugins of a kind, sorted."""
    if _root is None:
        return []
    found = (_root / FOLDER / kind).glob("[!_]*.py")
    return sorted(path.stem for path in found if path.stem.isidentifier())


def version(kind: str, name: str) -> str:
    """SHA-256 of a plugin's file and of those its folder shares, to tell its numbers from others'.

    Raises
    ------
    UsageError
        There is no such plugin.
    """
    path = path_of(kind, name)
    if path is None:
        raise UsageError(f"the project has no plugin {_shown(kind, name)}")
    parts = [path, *sorted(path.parent.glob("_*.py"))]
    return digest_bytes(*(f"{part.name}\n".encode() + part.read_bytes() for part in parts))


def versions(members: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Versions of those members, each a kind and a name, that are plugins; runs nothing."""
    return {
        f"{kind}/{name}": version(kind, name)
        for kind, name in members
        if path_of(kind, name) is not None
    }


def load(kind: str, name: str) -> ModuleType:
    """Module of a plugin, run anew when its file has changed.

    Raises
    ------
    UsageError
        The file cannot be run, with the line, or lacks what its kind has.
    MissingExtraError
        It needs a package that is not installed.
    ConflictError
        In a worker: its driver loaded another version.
    """
    full = f"{PACKAGE}.{kind}.{name}"
    now = version(kind, name)
    if _held.get(full, now) != now:
        raise ConflictError(
            f"{_shown(kind, name)}, or a file it shares, was changed while it was at work",
            fix="run the same command again",
        )
    if full in sys.modules and _loaded.get(full) == now:
        return sys.modules[full]
    _forget(full)
    # Another member may have loaded shared files before they were changed.
    _forget(f"{PACKAGE}.{kind}._")
    with blamed():
        module = import_module(full)
    missing = [
        part
        for part in CONTRACT[kind]
        if not any(hasattr(module, name) for name in part.split(" or "))
    ]
    if missing:
        _forget(full)
        raise UsageError.of(
            Problem(
                f"{_shown(kind, name)} has no '{part}'",
                f"what every member of {kind} has: {', '.join(CONTRACT[kind])}",
            )
            for part in missing
        )
    _loaded[full] = now
    return module


def set_version(family: object, name: str) -> None:
    """Let the content of its file be the version of a plugin's family that declares none.

    Parameters
    ----------
    family : object
        A new object of the family's class; the class itself stays as it is.
    name : str
        Name of the plugin, which is loaded.
    """
    content = _loaded[f"{PACKAGE}.families.{name}"]
    own = [kind for kind in type(family).__mro__ if not kind.__module__.startswith("podium.")]
    if not any("VERSION" in vars(kind) for kind in own):
        # The record's whole numbers may have 31 bits.
        family.VERSION = int(content[:8], 16) >> 1  # type: ignore[attr-defined]


def problems(kind: str, known: Sequence[str]) -> list[Problem]:
    """What in the project's folder of a kind can never be a member.

    Parameters
    ----------
    known : sequence of str
        Names podium's own folder has.
    """
    if _root is None:
        return []
    found = Problems(
        Problem(
            f"{_shown(kind, name)} has the name of podium's own",
            "a name of its own",
            "rename the file",
        )
        for name in names(kind)
        if name in known
    )
    for path in sorted((_root / FOLDER / kind).glob("[!_]*.py")):
        if not path.stem.isidentifier():
            what = f"{_shown(kind, path.stem)} cannot be a name"
            found.add(what, "letters, digits and _, no digit first")
    for path in sorted((_root / FOLDER).glob("[!_.]*")):
        if path.is_dir() and path.name not in CONTRACT:
            what = f"{FOLDER}/{path.name} is no kind of podium's"
            found.add(what, fix=suggest(path.name, CONTRACT))
        elif path.suffix == ".py":
            what = f"{FOLDER}/{path.name} belongs to no kind"
            found.add(what, f"{FOLDER}/{kind}/{path.name}, or another kind's folder")
    return found


@contextmanager
def blamed() -> Iterator[None]:
    """Tell an error raised in a plugin by the plugin's file and line, as a UsageError.

    Raises
    ------
    UsageError
        With the file, the line and what Python said.
    MissingExtraError
        A plugin needs a package that is not installed.
    """
    try:
        yield
    except PodiumError:
        raise
    except SyntaxError as error:
        place = _relative(error.filename or "")
        if place is None:
            raise
        raise UsageError(f"{place}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        place = _place(error.__traceback__)
        if place is None:
            raise
        lacks = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
        if isinstance(error, ModuleNotFoundError) and lacks not in ("podium", PACKAGE):
            raise MissingExtraError(
                f"{place} needs the package '{lacks}', which is not installed",
                fix=f"run: pip install {lacks}",
            ) from error
        what = f"{place}: {type(error).__name__}: {error}"
        raise UsageError(what, fix="correct the plugin") from error


class Fresh(SourceFileLoader):
    """Compiles what the file says now; a cached compilation may be older."""

    def get_code(self, fullname: str) -> CodeType:
        """Code of the file as it is now."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder:
    """Finds ``podium_plugins.<kind>.<name>`` in the project, in worker processes too."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        """Where a module of the project's folder comes from; None: it is none."""
        package, *inner = fullname.split(".")
        if package != PACKAGE or _root is None or len(inner) > 2:
            return None
        place = (_root / FOLDER).joinpath(*inner)
        if len(inner) < 2:
            if not place.is_dir():
                return None
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        file = place.with_name(f"{place.name}.py")
        if not file.is_file():
            return None
        spec = ModuleSpec(fullname, Fresh(fullname, str(file)), origin=str(file))
        spec.has_location = True
        return spec


_FINDER = _Finder()


def _forget(start: str) -> None:
    for name in [name for name in sys.modules if name == start or _is_below(name, start)]:
        del sys.modules[name]
        _loaded.pop(name, None)


def _is_below(name: str, start: str) -> bool:
    return name.startswith(start if start.endswith("_") else f"{start}.")


def _shown(kind: str, name: str) -> str:
    return f"{FOLDER}/{kind}/{name}.py"


def _relative(file: str) -> str | None:
    """A file's path in the project, if it is a plugin's."""
    if _root is None or not Path(file).is_relative_to(_root / FOLDER):
        return None
    return Path(file).relative_to(_root).as_posix()


def _place(trace: TracebackType | None) -> str | None:
    """File and line of the last call that was made in a plugin."""
    found = None
    while trace is not None:
        file = _relative(trace.tb_frame.f_code.co_filename)
        found = f"{file}, line {trace.tb_lineno}" if file else found
        trace = trace.tb_next
    return found
