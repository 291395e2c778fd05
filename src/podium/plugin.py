"""Plugin: a member of a kind in the project's own folder, ``plugins/<kind>/<name>.py``.

The file has the contents of a member in podium's own folder of that kind and could be moved there.
Files whose names begin with ``_`` are shared by the members of their folder, which import them as
``from ._name import ...``. A process uses the plugins of one project at a time, set by :func:`use`.
Names and first lines are read as text; a file runs when a step loads it.
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
# Attributes that a module of each kind must have.
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
# Versions of the loaded modules.
_loaded: dict[str, str] = {}
# Versions that a worker may load, by module name: those of its driver.
_pinned: dict[str, str] = {}


def use(root: Path | None) -> None:
    """Use the plugins of this project, or of none; modules of another project are unloaded."""
    global _root
    root = root.resolve() if root else None
    if root == _root:
        return
    _root = root
    _forget(PACKAGE)
    if _FINDER not in sys.meta_path:
        # Before Python's own finder, which would run a cached compilation of the shared files.
        sys.meta_path.insert(0, _FINDER)


def loaded() -> dict[str, str]:
    """Versions of the plugins that this process has loaded, by module name."""
    return dict(_loaded)


def pin(root: Path | None, versions: Mapping[str, str]) -> None:
    """Load the plugins of another process, and no other versions of them later.

    Raises
    ------
    ConflictError
        A file was changed; also raised by later loads.
    """
    use(root)
    _pinned.clear()
    _pinned.update(versions)
    for full in versions:
        _, kind, name = full.split(".")
        load(kind, name)


def project() -> Path | None:
    """The project whose plugins this process uses."""
    return _root


def path_of(kind: str, name: str) -> Path | None:
    """File of a plugin; None if the project has no such plugin."""
    if _root is None or not name.isidentifier() or name.startswith("_"):
        return None
    path = _root / FOLDER / kind / f"{name}.py"
    return path if path.is_file() else None


def names(kind: str) -> list[str]:
    """Names of the project's plugins of a kind, sorted."""
    if _root is None:
        return []
    paths = (_root / FOLDER / kind).glob("[!_]*.py")
    return sorted(path.stem for path in paths if path.stem.isidentifier())


def version(kind: str, name: str) -> str:
    """SHA-256 of a plugin's file and of the shared files of its folder.

    Raises
    ------
    UsageError
        The project has no such plugin.
    """
    path = path_of(kind, name)
    if path is None:
        raise UsageError(f"the project has no plugin {_shown(kind, name)}")
    parts = [path, *sorted(path.parent.glob("_*.py"))]
    return digest_bytes(*(f"{part.name}\n".encode() + part.read_bytes() for part in parts))


def versions(members: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Versions of the members (kind, name) that are plugins; no plugin is run."""
    return {f"{kind}/{name}": version(kind, name) for kind, name in members if path_of(kind, name)}


def load(kind: str, name: str) -> ModuleType:
    """Module of a plugin, reloaded when its file has changed.

    Raises
    ------
    UsageError
        The file fails (with the line), or lacks an attribute of its kind.
    MissingExtraError
        The plugin needs a package that is not installed.
    ConflictError
        In a worker: its driver loaded another version.
    """
    full = f"{PACKAGE}.{kind}.{name}"
    now = version(kind, name)
    if _pinned.get(full, now) != now:
        raise ConflictError(
            f"{_shown(kind, name)}, or a shared file beside it, was changed during the run",
            fix="run the same command again",
        )
    if full in sys.modules and _loaded.get(full) == now:
        return sys.modules[full]
    _forget(full)
    # Another member may have loaded an earlier version of the shared files.
    _forget(f"{PACKAGE}.{kind}._")
    with located_errors():
        module = import_module(full)
    missing = [p for p in CONTRACT[kind] if not any(hasattr(module, n) for n in p.split(" or "))]
    if missing:
        _forget(full)
        raise UsageError.of(
            Problem(
                f"{_shown(kind, name)} has no '{part}'",
                f"the attributes of every member of {kind}: {', '.join(CONTRACT[kind])}",
            )
            for part in missing
        )
    _loaded[full] = now
    return module


def set_version(family: object, name: str) -> None:
    """Set the version of a plugin's family from its file's content, unless it declares one.

    Parameters
    ----------
    family : object
        A new object of the family's class, which is not changed.
    name : str
        Name of the loaded plugin.
    """
    content = _loaded[f"{PACKAGE}.families.{name}"]
    own = [kind for kind in type(family).__mro__ if not kind.__module__.startswith("podium.")]
    if not any("VERSION" in vars(kind) for kind in own):
        # Integers of the record may have 31 bits.
        family.VERSION = int(content[:8], 16) >> 1  # type: ignore[attr-defined]


def problems(kind: str, known: Sequence[str]) -> list[Problem]:
    """Problems of files in the project's plugin folders that can never be members.

    Parameters
    ----------
    known : sequence of str
        Names of podium's own members.
    """
    if _root is None:
        return []
    result = Problems(
        Problem(
            f"{_shown(kind, name)} has the name of a member of podium",
            "another name",
            "rename the file",
        )
        for name in names(kind)
        if name in known
    )
    for path in sorted((_root / FOLDER / kind).glob("[!_]*.py")):
        if not path.stem.isidentifier():
            message = f"{_shown(kind, path.stem)} is not a valid name"
            result.add(message, "letters, digits and _, no digit first")
    for path in sorted((_root / FOLDER).glob("[!_.]*")):
        if path.is_dir() and path.name not in CONTRACT:
            message = f"{FOLDER}/{path.name} is not a kind of podium"
            result.add(message, fix=suggest(path.name, CONTRACT))
        elif path.suffix == ".py":
            message = f"{FOLDER}/{path.name} belongs to no kind"
            result.add(message, f"{FOLDER}/{kind}/{path.name}, or another kind's folder")
    return result


@contextmanager
def located_errors() -> Iterator[None]:
    """Turn an error raised in a plugin into a UsageError with the file and the line.

    Raises
    ------
    UsageError
        Has the file, the line and Python's message.
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
        message = f"{place}: {type(error).__name__}: {error}"
        raise UsageError(message, fix="correct the plugin") from error


class Fresh(SourceFileLoader):
    """Loader that ignores cached compilations, which may be older than the file."""

    def get_code(self, fullname: str) -> CodeType:
        """Code compiled from the file."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder:
    """Finds ``podium_plugins.<kind>.<name>`` in the project, in worker processes too."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Spec of a module in the project's plugin folder; None for other modules."""
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
    """Path relative to the project, if the file is a plugin."""
    if _root is None or not Path(file).is_relative_to(_root / FOLDER):
        return None
    return Path(file).relative_to(_root).as_posix()


def _place(trace: TracebackType | None) -> str | None:
    """File and line of the innermost call in a plugin."""
    location = None
    while trace is not None:
        file = _relative(trace.tb_frame.f_code.co_filename)
        location = f"{file}, line {trace.tb_lineno}" if file else location
        trace = trace.tb_next
    return location
