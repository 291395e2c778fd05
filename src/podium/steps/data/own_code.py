"""A user's own code: space, command or function, and the files it depends on."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from podium import registry
from podium.config import Config
from podium.errors import NotFoundError, Problem, UsageError
from podium.hashing import digest
from podium.ledger.record_reader import RecordReader
from podium.own import TASK, Files, describe, named, problems
from podium.record import lower_is_better
from podium.space import Choice, Float, Int, Parameter, Space

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def slot_of(config: Config, name: str) -> str:
    """Return the slot of own code of that name.

    Raises
    ------
    UsageError
        The name is invalid or taken.
    """
    slot, fix = f"{TASK}/{name}", "choose another name"
    if not _NAME.fullmatch(name):
        raise UsageError(f"the name is '{name}'", "letters, digits, _ and -", fix)
    if registry.exists("families", name):
        raise UsageError(f"'{name}' is a family of podium", "an unused name", fix)
    if slot in config.slots:
        raise UsageError(f"podium.toml declares the slot {slot}", "an unused name", fix)
    return slot


def direction_of(config: Config, metric: str, direction: str) -> str:
    """Return ``min`` or ``max``: as given, from ``[metrics]`` of podium.toml, or from the name.

    Raises
    ------
    UsageError
        The direction is unknown.
    """
    if direction:
        if direction not in ("min", "max"):
            raise UsageError(f"direction is '{direction}'", "min or max")
        return direction
    try:
        return "min" if lower_is_better(metric, config.metrics) else "max"
    except UsageError:
        found = f"whether a lower or a higher '{metric}' is better is not known"
        fix = f'or add to podium.toml:  [metrics]  {metric} = "max"'
        raise UsageError(found, "--direction min or --direction max", fix) from None


def space_of(settings: Mapping[str, Any], where: str) -> Space:
    """Return the space of a code's parameters.

    Parameters
    ----------
    settings : mapping of name to setting
        A list of values; ``{low, high, log}`` or ``(low, high)`` or ``(low, high, "log")``; one
        value; a Float, Int or Choice; or a table with ``when`` as in ``[space.<family>]``.

    Raises
    ------
    UsageError
        Every setting that cannot be searched.
    """
    if not settings:
        raise UsageError("there is no parameter to search", "at least one", f"set {where}")
    plain = {str(name): _plain(setting) for name, setting in settings.items()}
    wrong = [
        Problem(f"{where} {name} has the value {value!r:.60}", "texts, numbers, true or false")
        for name, setting in plain.items()
        for value in _values(setting)
        if not _fits_command(value)
    ]
    UsageError.raise_for(wrong)
    kinds = {name: _kind(setting) for name, setting in plain.items()}
    return Space(kinds).narrowed(plain, where)


def _fits_command(value: Any) -> bool:
    """Return whether a value can be a word of a command."""
    if not isinstance(value, str):
        return isinstance(value, int | float | bool)
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def _plain(setting: Any) -> Any:
    """Return a setting in the form of podium.toml."""
    if isinstance(setting, Choice):
        return list(setting.options)
    if isinstance(setting, Float | Int):
        return {"low": setting.low, "high": setting.high, "log": setting.log}
    if isinstance(setting, tuple) and len(setting) in (2, 3) and setting[2:] in ((), ("log",)):
        return {"low": setting[0], "high": setting[1], "log": len(setting) == 3}
    return setting


def _values(setting: Any) -> list[Any]:
    if isinstance(setting, dict):
        values = setting.get("values", [setting.get("low", 0), setting.get("high", 0)])
        return values if isinstance(values, list) else [values]
    return setting if isinstance(setting, list) else [setting]


def _kind(setting: Any) -> Parameter:
    """Return the kind of parameter of a setting; errors in it are reported later."""
    values = _values(setting)
    if isinstance(setting, dict) and "values" not in setting:
        if all(type(value) is int for value in values):
            return Int(values[0], values[1])
        if all(type(value) in (int, float) for value in values):
            return Float(float(values[0]), float(values[1]))
    return Choice(tuple(values))


def command_of(
    command: str, names: Sequence[str], root: Path, say: Callable[[str], None]
) -> tuple[str, ...]:
    """Return the words of a command; ``say`` receives a message about parameters it does not use.

    Raises
    ------
    UsageError
        It cannot be parsed, or has unknown placeholders.
    NotFoundError
        Its program does not exist.
    """
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        found = f"the command cannot be parsed: {error}"
        raise UsageError(found, "words in shell syntax") from None
    if not words:
        raise UsageError("the command is empty", "a command such as 'python train.py {args}'")
    UsageError.raise_for(problems(words, names))
    program = words[0]
    if shutil.which(str(root / program) if "/" in program else program) is None:
        found = f"the command '{program}' is not found"
        fix = f"podium runs under {sys.executable}" if "python" in program else ""
        raise NotFoundError(found, "a program that can be run", fix)
    unused = sorted(set(names) - named(words, names))
    if unused:
        say(
            f"the command does not use {', '.join(unused)}: it has to read PODIUM_CONFIG, or "
            f"to contain {{args}}, {{config}} or {{{unused[0]}}}"
        )
    return words


def scripts_of(words: Sequence[str], root: Path) -> dict[str, str]:
    """Return SHA-256 of the project's files in a command by path; its script first."""
    hashes = {}
    # The first word is the interpreter, unless there is no other.
    for word in (*words[1:], words[0]):
        path = (root / word).resolve()
        if path.is_file() and path.is_relative_to(root):
            hashes[path.relative_to(root).as_posix()] = _file_hash(path)
    return hashes


def name_of(words: Sequence[str], root: Path) -> str:
    """Return the default name of a command: its script, else its program."""
    script = next(iter(scripts_of(words, root)), words[0])
    return re.sub(r"[^A-Za-z0-9_-]+", "_", Path(script).stem) or TASK


def function_of(function: Callable[..., Any]) -> tuple[str, str]:
    """Return ``module:name`` of a function, and why workers cannot import it, else empty."""
    module = getattr(function, "__module__", None) or ""
    name = getattr(function, "__qualname__", None) or type(function).__name__
    path = f"{module}:{name}"
    if module == "__main__":
        return path, "it is defined in the program itself"
    try:
        imported: Any = importlib.import_module(module)
        for part in name.split("."):
            imported = getattr(imported, part)
    except (ImportError, AttributeError, ValueError):
        imported = None
    return path, "" if imported is function else "it cannot be imported by its name"


def source_of(function: Callable[..., Any], root: Path) -> dict[str, str]:
    """Return SHA-256 of a function's source file, empty if it has none."""
    try:
        path = Path(inspect.getsourcefile(function) or "").resolve()
    except (TypeError, OSError):
        return {}
    if not path.is_file():
        return {}
    shown = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    return {shown.as_posix(): _file_hash(path)}


def require_callable(function: Callable[..., Any], names: Sequence[str]) -> None:
    """Refuse a function that does not take the parameters by name.

    Raises
    ------
    UsageError
        It is not callable, or takes other parameters.
    """
    if not callable(function):
        expected = "a function that takes the parameters by name"
        raise UsageError(f"the function is {function!r:.60}", expected)
    try:
        inspect.signature(function).bind(**dict.fromkeys(names))
    except ValueError:
        return  # a built-in without a signature
    except TypeError as error:
        takes = ", ".join(inspect.signature(function).parameters) or "nothing"
        expected = f"parameters by name: {', '.join(names)}"
        raise UsageError(f"the function takes {takes}: {error}", expected) from None


def files_of(paths: Sequence[str], root: Path) -> Files:
    """Return the files and folders of a training, identified by content.

    Parameters
    ----------
    paths : sequence of str
        Relative to the project, or absolute. The fingerprint depends on the names of files inside
        folders, not on the location.

    Raises
    ------
    NotFoundError
        Every path that does not exist.
    """
    NotFoundError.raise_for(
        Problem(f"--data {path} does not exist", f"a file or folder, relative to {root}")
        for path in paths
        if not (root / path).exists()
    )
    if not paths:
        return Files()
    parts, count = [], 0
    for path in (root / one for one in paths):
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        count += len(inside)
        names = [p.relative_to(path).as_posix() if p != path else "" for p in inside]
        parts.append([[name, _file_hash(p)] for name, p in zip(names, inside, strict=True)])
    return Files(", ".join(paths), digest(["files", parts]), count)


def threads() -> dict[str, str]:
    """Return the thread settings of commands: one thread as in every trial, or the user's."""
    defaults: Mapping[str, str] = registry.load("runners", "local").THREADS
    return {name: os.environ.get(name, value) for name, value in defaults.items()}


def own_command(reader: RecordReader, task_hash: str) -> str:
    """Return the command or function of a task's hash; empty for a family."""
    task = reader.first("task", hash=task_hash)
    spec = task["spec"] if task else {}
    return describe(spec) if spec.get("task") == TASK else ""


def directions(reader: RecordReader) -> dict[tuple[str, str], str]:
    """Return the directions of metrics of own code by task's hash and metric."""
    rows = reader.rows("studies", where=f"slot~'{TASK}/'")
    questions = [row["question"] for row in rows if row["slot"].startswith(f"{TASK}/")]
    return {(q["task"], q["metric"]): q["direction"] for q in questions if "direction" in q}


def _file_hash(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
