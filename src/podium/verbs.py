"""Verbs as methods of an opened project, with the signatures of their functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from podium.errors import suggest

if TYPE_CHECKING:
    from podium.config import Config


class Verb(NamedTuple):
    """Location of a verb's function, and the sections of its settings.

    Parameters
    ----------
    module : str
        Module in ``podium.steps``.
    sections : tuple of str
        Sections of podium.toml; with ``tune``, ``trials=8`` sets ``tune.trials``.
    function : str
        Default: the verb's name.
    """

    module: str
    sections: tuple[str, ...] = ()
    function: str = ""


# Verbs of a slot, in order of use: the first argument after the project is the slot.
ON_SLOT = {
    "run": Verb("pipeline.run", ("tune", "extend", "finalize", "backtest", "runner")),
    "tune": Verb("search.tune", ("tune", "runner")),
    "grid": Verb("search.grid", ("tune", "runner")),
    "sweep": Verb("search.sweep", ("tune", "runner")),
    "extend": Verb("search.extend", ("extend", "runner")),
    "analyze": Verb("search.analyze"),
    "report": Verb("search.report"),
    "select": Verb("search.select"),
    "finalize": Verb("candidates.finalize", ("finalize", "runner")),
    "train": Verb("candidates.train", ("runner",)),
    "backtest": Verb("decisions.backtest", ("backtest", "runner")),
    "evaluate": Verb("decisions.evaluate"),
    "sign": Verb("decisions.sign"),
    "promote": Verb("decisions.promote"),
    "rollback": Verb("decisions.rollback"),
    "predict": Verb("serving.predict"),
    "classify": Verb("serving.predict", function="classify"),
    "signals": Verb("serving.signals"),
    "shadow": Verb("serving.shadow"),
    "store_forecasts": Verb("serving.predict", function="store_forecasts"),
    "check": Verb("serving.check_slot", function="check_slot"),
    "refresh": Verb("pipeline.refresh", ("refresh", "runner")),
}
# Verbs of a project.
ON_PROJECT = {
    "run": ON_SLOT["run"],
    "refresh": ON_SLOT["refresh"],
    "report": ON_SLOT["report"],
    "select": ON_SLOT["select"],
    "compare": Verb("decisions.compare"),
    "impact": Verb("search.impact"),
    "leak": Verb("evidence.leak"),
    "note": Verb("archive.note"),
    "reproduce": Verb("archive.reproduce"),
    "export": Verb("archive.export"),
    "import_": Verb("archive.import_"),
    "backup": Verb("archive.backup"),
    "sync": Verb("workspace.sync"),
}
ALL = {**ON_PROJECT, **ON_SLOT}


def function_of(name: str, verb: Verb) -> Callable[..., Any]:
    """Function of a verb, imported on demand."""
    function: Callable[..., Any] = getattr(
        import_module(f"podium.steps.{verb.module}"), verb.function or name
    )
    return function


def settings_of(verb: Verb, config: Config) -> dict[str, tuple[str, Any]]:
    """Keywords of a verb that are settings, with their dotted keys and values."""
    settings: dict[str, tuple[str, Any]] = {}
    for section in verb.sections:
        for key, value in asdict(getattr(config, section)).items():
            settings.setdefault(key, (f"{section}.{key}", value))
    if "runner" in verb.sections:
        settings |= {"max_time": ("max_time", None), "retry_failed": ("retry_failed", False)}
    return settings


def bound(name: str, verb: Verb, project: Any, *first: Any) -> Callable[..., Any]:
    """A verb of a project or a slot as a method, with its arguments and settings.

    Raises
    ------
    TypeError
        Unknown keyword in a call.
    """
    function = function_of(name, verb)
    own = list(inspect.signature(function).parameters.values())[1 + len(first) :]
    taken = {parameter.name for parameter in own}
    settings = {
        key: setting
        for key, setting in settings_of(verb, project.config).items()
        if key not in taken
    }

    @wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        if unknown := [key for key in kwargs if key not in taken and key not in settings]:
            raise TypeError(
                f"{name}() got an unexpected keyword argument '{unknown[0]}': "
                f"{suggest(unknown[0], [*taken, *settings])}"
            )
        chosen = {settings[key][0]: kwargs.pop(key) for key in [*kwargs] if key in settings}
        with project.using(chosen):
            return function(project, *first, *args, **kwargs)

    own += [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value)
        for key, (_, value) in settings.items()
    ]
    method.__name__ = name
    method.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
    return method
