"""Code: a user's own training, a command or a function, and how a config is inserted into it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

from podium.errors import Problem, Problems, suggest
from podium.space import ConfigDict, Value

# Task name of own code in the record.
TASK = "own"
ARGS = "args"
# Placeholders of a command beside the parameters.
GIVEN = (ARGS, "config", "seed", "trial", "folder")


@dataclass(frozen=True, eq=False)
class Code:
    """A training that podium starts and whose reports it reads.

    Parameters
    ----------
    direction : str
        ``min`` or ``max``: direction of its metric.
    root : str
        The project's folder, the working directory of commands.
    words : tuple of str
        Words of a command, with placeholders; empty for a function.
    environment : mapping of str to str
        Environment variables of the command, added to those of its worker.
    function : str
        ``module:name``, imported by the worker.
    here : callable, optional
        The function, if it cannot be imported; it is called in this process.
    """

    direction: str
    root: str
    words: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    function: str = ""
    here: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Files:
    """Files that a training depends on, in place of a dataset.

    Parameters
    ----------
    name : str
        Paths as the caller wrote them.
    fingerprint : str
        SHA-256 of their content; empty if there are none.
    count : int
    """

    name: str = ""
    fingerprint: str = ""
    count: int = 0

    def __len__(self) -> int:
        return self.count


def problems(words: Sequence[str], names: Collection[str]) -> list[Problem]:
    """Problems of a command whose config has parameters of these names."""
    result = Problems()
    for reserved in GIVEN:
        if reserved in names:
            result.add(
                f"a parameter is called '{reserved}'",
                f"another name: {{{reserved}}} is a placeholder of podium",
            )
    known = [*GIVEN, *names]
    for word in words:
        try:
            parts = list(Formatter().parse(word))
        except ValueError as error:
            result.add(
                f"'{word}' of the command cannot be read: {error}",
                "placeholders such as {args} or {lr}; a literal brace is doubled: {{",
            )
            continue
        for _, name, spec, conversion in parts:
            if name is None:
                continue
            if name not in known:
                result.add(
                    f"unknown placeholder '{{{name}}}' in the command",
                    fix=f"{suggest(name, known)}; a literal brace is doubled: {{{{ }}}}",
                )
            elif spec or conversion:
                result.add(
                    f"'{word}' of the command formats a value",
                    f"{{{name}}} without a format, so that the trained value is the recorded one",
                )
            elif name == ARGS and word != f"{{{ARGS}}}":
                result.add(f"'{word}' of the command", "{args} as a separate word")
    return result


def named(words: Sequence[str], names: Collection[str]) -> set[str]:
    """Parameters that a command receives; all of them with ``{args}`` or ``{config}``."""
    used = {name for word in words for _, name, *_ in Formatter().parse(word) if name is not None}
    return set(names) if used & {ARGS, "config"} else used & set(names)


def rendered(words: Sequence[str], config: ConfigDict, given: Mapping[str, str]) -> list[str]:
    """Words of a command with the values of a config.

    Examples
    --------
    >>> rendered(["train", "{args}", "--out={folder}"], {"lr": 0.001, "name": "a b"},
    ...          {"folder": "/tmp/x"})
    ['train', '--lr', '0.001', '--name', 'a b', '--out=/tmp/x']
    """
    values = {**given, **{name: text(value) for name, value in config.items()}}

    def parts(word: str) -> Iterator[str]:
        for literal, name, *_ in Formatter().parse(word):
            yield literal
            if name is not None:
                yield values[name]

    result: list[str] = []
    for word in words:
        if word == f"{{{ARGS}}}":
            result += [part for name in config for part in (f"--{name}", values[name])]
        else:
            result.append("".join(parts(word)))
    return result


def describe(spec: Mapping[str, Any]) -> str:
    """Command or function of a task in one line, from its hashed description."""
    return str(spec.get("function") or shlex.join(spec["command"]))


def text(value: Value) -> str:
    """Value as a command-line word: texts as they are, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
