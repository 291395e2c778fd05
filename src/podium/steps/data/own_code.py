"""Own code as the step sees it: space, command or function, and what its numbers rest on."""

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
from podium.own import TASK, Files, named, problems, told
from podium.record import lower_is_better
from podium.space import Choice, Float, Int, Parameter, Space

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def slot_of(config: Config, name: str) -> str:
    """Slot of own code of that name.

    Raises
    ------
    UsageError
        The name cannot be one, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"the name is '{name}'", "letters, digits, _ and -", "say a name")
    slot = f"{TASK}/{name}"
    if registry.exists("families", name):
        raise UsageError(f"'{name}' is a family of podium", "another name", "say a name")
    if slot in config.slots:
        raise UsageError(f"podium.toml declares the slot {slot}", "another name", "say a name")
    return slot


def direction_of(config: Config, metric: str, direction: str) -> str:
    """``min`` or ``max``: as said, as ``[metrics]`` of podium.toml says, or as the name tells.

    Raises
    ------
    UsageError
        Nobody said and the name does not tell.
    """
    if direction:
        if direction not in ("min", "max"):
            raise UsageError(f"direction is '{direction}'", "min or max")
        return direction
    try:
        return "min" if lower_is_better(metric, config.metrics) else "max"
    except UsageError:
        raise UsageError(
            f"whether a lower or a higher '{metric}' is better is not known",
            "--direction min or --direction max",
            f'or add to podium.toml:  [metrics]  {metric} = "max"',
        ) from None


def space_of(settings: Mapping[str, Any], where: str) -> Space:
    """Space of a code's parameters, which nobody declared.

    Parameters
    ----------
    settings : mapping of name to setting
        A list of values; ``{low, high, log}`` or ``(low, high)`` or ``(low, high, "log")``; one
        value; a Float, Int or Choice; or a table with ``when`` as in ``[space.<family>]``.

    Raises
    ------
    UsageError
        Settings that say nothing that could be searched; all at once.
    """
    if not settings:
        raise UsageError("there is no parameter to search", "at least one", f"say {where}")
    plain = {str(name): _plain(setting) for name, setting in settings.items()}
    wrong = [
        Problem(f"{where} {name} has the value {value!r:.60}", "texts, numbers, true or false")
        for name, setting in plain.items()
        for value in _values(setting)
        if not _can_be_told(value)
    ]
    UsageError.raise_for(wrong)
    kinds = {name: _kind(setting) for name, setting in plain.items()}
    return Space(kinds).narrowed(plain, where)


def _can_be_told(value: Any) -> bool:
    """Whether a value can be a word of a command."""
    if not isinstance(value, str):
        return isinstance(value, int | float | bool)
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def _plain(setting: Any) -> Any:
    """A setting in the words of podium.toml."""
    if isinstance(setting, Choice):
        return list(setting.options)
    if isinstance(setting, Float | Int):
        return {"low": setting.low, "high": setting.high, "log": setting.log}
    if isinstance(setting, tuple) and len(setting) in (2, 3) and setting[2:] in ((), ("log",)):
        return {"low": setting[0], "high": setting[1], "log": len(setting) == 3}
    return setting


def _values(setting: Any) -> list[Any]:
    if isinstance(setting, dict):
        found = setting.get("values", [setting.get("low", 0), setting.get("high", 0)])
        return found if isinstance(found, list) else [found]
    return setting if isinstance(setting, list) else [setting]


def _kind(setting: Any) -> Parameter:
    """Kind of parameter a setting is about; what is wrong with it is told later."""
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
    """Words of a command that can be run; ``say`` hears which parameters it is not told.

    Raises
    ------
    UsageError
        It cannot be read, or has placeholders that nobody fills.
    NotFoundError
        Its program is not there.
    """
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(
            f"the command cannot be read: {error}", "words as a shell takes them"
        ) from None
    if not words:
        raise UsageError("the command is empty", "one such as 'python train.py {args}'")
    wrong = problems(words, names)
    UsageError.raise_for(wrong)
    program = words[0]
    # As the system looks for it, from the project's folder.
    found = shutil.which(str(root / program) if "/" in program else program)
    if found is None:
        fix = f"podium itself runs under {sys.executable}" if "python" in program else ""
        raise NotFoundError(
            f"the command '{program}' is not found", "a program that can be run", fix
        )
    untold = sorted(set(names) - named(words, names))
    if untold:
        say(
            f"the command is not told {', '.join(untold)}: it has to read PODIUM_CONFIG, or "
            f"to name {{args}}, {{config}} or {{{untold[0]}}}"
        )
    return words


def scripts_of(words: Sequence[str], root: Path) -> dict[str, str]:
    """SHA-256 of the project's files that a command names, by their path; its script first."""
    found = {}
    # The first word is the interpreter, unless there is no other.
    for word in (*words[1:], words[0]):
        path = (root / word).resolve()
        if path.is_file() and path.is_relative_to(root):
            found[path.relative_to(root).as_posix()] = _file_hash(path)
    return found


def name_of(words: Sequence[str], root: Path) -> str:
    """What a command is called where nobody says: its script, else its program."""
    script = next(iter(scripts_of(words, root)), words[0])
    return re.sub(r"[^A-Za-z0-9_-]+", "_", Path(script).stem) or TASK


def function_of(function: Callable[..., Any]) -> tuple[str, str]:
    """``module:name`` of a function, and why workers cannot import it; empty: they can."""
    module = getattr(function, "__module__", None) or ""
    name = getattr(function, "__qualname__", None) or type(function).__name__
    called = f"{module}:{name}"
    if module == "__main__":
        return called, "it is defined in the program itself"
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError):
        found = None
    return called, "" if found is function else "it cannot be imported by its name"


def source_of(function: Callable[..., Any], root: Path) -> dict[str, str]:
    """SHA-256 of the file a function is in, where there is one."""
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
    """
    if not callable(function):
        raise UsageError(
            f"the function is {function!r:.60}", "one that takes the parameters by name"
        )
    try:
        inspect.signature(function).bind(**dict.fromkeys(names))
    except ValueError:
        return  # written in another language, and does not tell
    except TypeError as error:
        takes = ", ".join(inspect.signature(function).parameters) or "nothing"
        raise UsageError(
            f"the function takes {takes}: {error}", f"parameters by name: {', '.join(names)}"
        ) from None


def files_of(paths: Sequence[str], root: Path) -> Files:
    """Files and folders a training reads, by their content.

    Parameters
    ----------
    paths : sequence of str
        Relative to the project, or absolute. Where they lie is no part of the fingerprint, what
        files in a folder are called is.

    Raises
    ------
    NotFoundError
        With all that are not there.
    """
    NotFoundError.raise_for(
        Problem(f"--data {path} does not exist", f"a file or folder, seen from {root}")
        for path in paths
        if not (root / path).exists()
    )
    if not paths:
        return Files()
    parts, count = [], 0
    for path in (root / one for one in paths):
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        count += len(inside)
        parts.append(
            [
                [p.relative_to(path).as_posix() if path.is_dir() else "", _file_hash(p)]
                for p in inside
            ]
        )
    return Files(", ".join(paths), digest(["files", parts]), count)


def threads() -> dict[str, str]:
    """Thread settings of commands: one thread, as every trial has, or what the user set."""
    usual: Mapping[str, str] = registry.load("runners", "local").THREADS
    return {name: os.environ.get(name, value) for name, value in usual.items()}


def own_command(reader: RecordReader, task_hash: str) -> str:
    """Command or function behind a task's hash; empty where a family was trained."""
    task = reader.first("task", hash=task_hash)
    spec = task["spec"] if task else {}
    return told(spec) if spec.get("task") == TASK else ""


def directions(reader: RecordReader) -> dict[tuple[str, str], str]:
    """Which way metrics of own code are better, by task's hash and metric."""
    rows = reader.rows("studies", where=f"slot~'{TASK}/'")
    asked = [row["question"] for row in rows if row["slot"].startswith(f"{TASK}/")]
    return {(q["task"], q["metric"]): q["direction"] for q in asked if "direction" in q}


def _file_hash(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
