"""Code: a training of the user's own, a command or a function, and how a config is put into it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

from podium.errors import Problem, Problems, suggest
from podium.space import ConfigDict, Value

# What the record calls a task that own code trains.
TASK = "own"
ARGS = "args"
# What a command may name beside the parameters.
GIVEN = (ARGS, "config", "seed", "trial", "folder")


@dataclass(frozen=True, eq=False)
class Code:
    """A training that podium starts and listens to.

    Parameters
    ----------
    direction : str
        ``min`` or ``max``: which way its metric is better.
    root : str
        The project's folder, where commands are run.
    words : tuple of str
        Of a command, with placeholders; empty for a function.
    environment : mapping of str to str
        What a command finds in its environment beside what its worker has.
    function : str
        ``module:name``, imported by whoever runs it.
    here : callable, optional
        The function itself, where it cannot be imported; then it is called in this very process.
    """

    direction: str
    root: str
    words: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    function: str = ""
    here: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Files:
    """Files whose content a training depends on: what stands where others have a dataset.

    Parameters
    ----------
    name : str
        Their paths as they were told.
    fingerprint : str
        SHA-256 of what is in them; empty where there are none.
    count : int
    """

    name: str = ""
    fingerprint: str = ""
    count: int = 0

    def __len__(self) -> int:
        return self.count


def problems(words: Sequence[str], names: Collection[str]) -> list[Problem]:
    """What is wrong with a command whose config has parameters of these names."""
    found = Problems()
    for given in GIVEN:
        if given in names:
            found.add(
                f"a parameter is called '{given}'",
                f"another name: {{{given}}} is what podium gives every command",
            )
    known = [*GIVEN, *names]
    for word in words:
        try:
            parts = list(Formatter().parse(word))
        except ValueError as error:
            found.add(
                f"'{word}' of the command cannot be read: {error}",
                "placeholders such as {args} or {lr}; a brace itself is written twice: {{",
            )
            continue
        for _, name, spec, conversion in parts:
            if name is None:
                continue
            if name not in known:
                found.add(
                    f"unknown placeholder '{{{name}}}' in the command",
                    fix=f"{suggest(name, known)}; a brace itself is written twice: {{{{ }}}}",
                )
            elif spec or conversion:
                found.add(
                    f"'{word}' of the command formats a value",
                    f"{{{name}}}: what is trained is what is on record",
                )
            elif name == ARGS and word != f"{{{ARGS}}}":
                found.add(f"'{word}' of the command", "{args} as a word of its own")
    return found


def named(words: Sequence[str], names: Collection[str]) -> set[str]:
    """Parameters that a command is told; all of them by ``{args}`` or ``{config}``."""
    told = {name for word in words for _, name, *_ in Formatter().parse(word) if name is not None}
    return set(names) if told & {ARGS, "config"} else told & set(names)


def rendered(words: Sequence[str], config: ConfigDict, given: Mapping[str, str]) -> list[str]:
    """Words of a command with a config in them.

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

    found: list[str] = []
    for word in words:
        if word == f"{{{ARGS}}}":
            found += [part for name in config for part in (f"--{name}", values[name])]
        else:
            found.append("".join(parts(word)))
    return found


def told(spec: Mapping[str, Any]) -> str:
    """Command or function of a task in one line, from what its hash stands for."""
    return str(spec.get("function") or shlex.join(spec["command"]))


def text(value: Value) -> str:
    """A value as it is typed: texts as they are, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
