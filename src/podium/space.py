"""Space: the typed parameters a family can be tuned over."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from podium.errors import DataError, Problem, UsageError, suggest

Value = str | int | float | bool
ConfigDict = dict[str, Value]


@dataclass(frozen=True)
class Float:
    """A real number between two bounds, both included; ``log`` samples its logarithm."""

    low: float
    high: float
    log: bool = False

    def holds(self, value: object) -> bool:
        """Whether a value lies inside."""
        return _is_number(value) and self.low <= value <= self.high  # type: ignore[operator]

    def sample(self, rng: np.random.Generator) -> Value:
        """One uniform draw (uniform in the logarithm when ``log``)."""
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            # exp(log(x)) may miss x by a bit, and the bounds belong to the range.
            return float(min(self.high, max(self.low, drawn)))
        return float(rng.uniform(self.low, self.high))

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Int:
    """A whole number between two bounds, both included; ``log`` samples its logarithm."""

    low: int
    high: int
    log: bool = False

    def holds(self, value: object) -> bool:
        """Whether a value is a whole number inside."""
        return isinstance(value, int) and _is_number(value) and self.low <= value <= self.high

    def sample(self, rng: np.random.Generator) -> Value:
        """One uniform draw (uniform in the logarithm when ``log``)."""
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(self.high, max(self.low, round(math.exp(rng.uniform(low, high)))))
        return int(rng.integers(self.low, self.high + 1))

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """One of a few values, in the order given."""

    options: tuple[Value, ...]

    def holds(self, value: object) -> bool:
        """Whether a value is one of the options (1 and 1.0 and True are told apart)."""
        return any(type(value) is type(option) and value == option for option in self.options)

    def sample(self, rng: np.random.Generator) -> Value:
        """One uniform draw."""
        return self.options[int(rng.integers(len(self.options)))]

    def __str__(self) -> str:
        return "one of " + ", ".join(map(repr, self.options))


Parameter = Float | Int | Choice


@dataclass(frozen=True)
class Space:
    """Named parameters, and constants every config carries.

    Parameters
    ----------
    parameters : mapping of name to Float, Int or Choice
    constants : mapping of name to value
        Parts of a config that are not searched.
    bounds : mapping of name to Float, Int or Choice
        What a value set by the user may be at most; default ``parameters``.
    usual : mapping of name to value
        What a parameter is where it is not searched.

    Examples
    --------
    >>> space = Space({"units": Choice((16, 32)), "lr": Float(1e-4, 1e-2, log=True)})
    >>> space.problems({"units": 64, "lr": 0.001})[0].found
    'units is 64'
    """

    parameters: Mapping[str, Parameter]
    constants: Mapping[str, Value] = field(default_factory=dict)
    bounds: Mapping[str, Parameter] = field(default_factory=dict)
    usual: Mapping[str, Value] = field(default_factory=dict)

    def complete(self, chosen: Mapping[str, Value]) -> ConfigDict:
        """A config with its constants, in sorted order."""
        return dict(sorted({**self.constants, **chosen}.items()))

    def problems(self, config: Mapping[str, object]) -> list[Problem]:
        """Everything wrong with a config; empty when it fits."""
        known = {**self.parameters, **{k: Choice((v,)) for k, v in self.constants.items()}}
        known |= self.bounds
        found = [
            Problem(f"unknown parameter '{name}'", fix=suggest(name, known))
            for name in config
            if name not in known
        ]
        for name, parameter in known.items():
            if name not in config:
                found.append(Problem(f"parameter '{name}' is missing", str(parameter)))
            elif not parameter.holds(config[name]):
                found.append(Problem(f"{name} is {config[name]!r}", str(parameter)))
        return found

    def require(self, config: Mapping[str, object]) -> None:
        """Refuse a config that does not fit, with all its problems.

        Raises
        ------
        UsageError
        """
        problems = self.problems(config)
        if problems:
            raise UsageError.of(problems)

    def sample(self, seed: int) -> ConfigDict:
        """One random config; the same seed gives the same one."""
        rng = np.random.default_rng(seed)
        return self.complete({name: p.sample(rng) for name, p in self.parameters.items()})

    def grid(self) -> Iterator[ConfigDict]:
        """Every combination; every parameter must be a Choice.

        Raises
        ------
        DataError
            A parameter is continuous, so there is no grid.
        """
        axes: list[tuple[Value, ...]] = []
        for name, parameter in self.parameters.items():
            if not isinstance(parameter, Choice):
                raise DataError(f"parameter '{name}' is {parameter}", "a list of values for a grid")
            axes.append(parameter.options)
        for values in itertools.product(*axes):
            yield self.complete(dict(zip(self.parameters, values, strict=True)))

    def narrowed(self, settings: Mapping[str, Any], where: str) -> Space:
        """The space with what a project says in ``[space.<family>]``.

        A list gives choices, a table ``{low, high, log}`` a range, a single value a constant.

        Raises
        ------
        UsageError
            Unknown names, wrong shapes, values the family cannot take; all at once.
        """
        parameters = dict(self.parameters)
        constants = dict(self.constants)
        allowed = {**{k: Choice((v,)) for k, v in constants.items()}, **parameters, **self.bounds}
        problems: list[Problem] = []
        for name, setting in settings.items():
            if name not in allowed:
                problems.append(
                    Problem(f"unknown parameter '{name}' in {where}", fix=suggest(name, allowed))
                )
                continue
            parameter = _parameter(setting, allowed[name])
            if parameter is None:
                problems.append(
                    Problem(
                        f"{where}.{name} is {setting!r}",
                        "a value, a list, or {low, high, log} with low < high (0 < low if log)",
                    )
                )
                continue
            corners = (
                parameter.options
                if isinstance(parameter, Choice)
                else (parameter.low, parameter.high)
            )
            wrong = [v for v in corners if not allowed[name].holds(v)]
            if wrong or not corners:
                problems.append(
                    Problem(f"{where}.{name} has {wrong or corners!r}", str(allowed[name]))
                )
            parameters.pop(name, None)
            constants.pop(name, None)
            if isinstance(parameter, Choice) and len(parameter.options) == 1:
                constants[name] = parameter.options[0]
            else:
                parameters[name] = parameter
        if problems:
            raise UsageError.of(problems)
        return Space(parameters, constants, allowed, self.usual)

    def only(self, searched: Collection[str]) -> Space:
        """The space with these parameters searched, and the others at one value each.

        That is the usual one where the parameter holds it; else the first choice, or the middle
        of the range.

        Examples
        --------
        >>> space = Space({"units": Choice((16, 32)), "lr": Float(1e-4, 1e-2, log=True)})
        >>> [round(space.only(["units"]).constants["lr"], 6), *space.only(["units"]).parameters]
        [0.001, 'units']
        """
        searched_here = {n: p for n, p in self.parameters.items() if n in searched}
        fixed = {
            name: self.usual[name]
            if name in self.usual and parameter.holds(self.usual[name])
            else _middle(parameter)
            for name, parameter in self.parameters.items()
            if name not in searched
        }
        return Space(searched_here, {**self.constants, **fixed}, self.bounds, self.usual)

    def spec(self) -> dict[str, Any]:
        """JSON description, for records and hashes."""
        described = {
            name: [type(p).__name__, *vars(p).values()] for name, p in self.parameters.items()
        }
        return {"parameters": described, "constants": dict(self.constants)}


def _parameter(setting: Any, kin: Parameter) -> Parameter | None:
    """Parameter that a setting of podium.toml describes; numbers take their kin's type."""

    def typed(value: Any) -> Any:
        return float(value) if isinstance(kin, Float) and _is_number(value) else value

    if isinstance(setting, dict):
        if not {"low", "high"} <= set(setting) <= {"low", "high", "log"}:
            return None
        low, high, log = setting["low"], setting["high"], setting.get("log", False)
        if not (_is_number(low) and _is_number(high) and low < high and isinstance(log, bool)):
            return None
        if log and low <= 0:
            # There is no logarithm to sample.
            return None
        if isinstance(kin, Int) and isinstance(low, int) and isinstance(high, int):
            return Int(low, high, log)
        return Float(float(low), float(high), log)
    if isinstance(setting, list):
        return Choice(tuple(typed(v) for v in setting))
    return Choice((typed(setting),))


def _middle(parameter: Parameter) -> Value:
    if isinstance(parameter, Choice):
        return parameter.options[0]
    middle = (parameter.low + parameter.high) / 2
    if parameter.log:
        middle = math.sqrt(parameter.low * parameter.high)
    return round(middle) if isinstance(parameter, Int) else middle


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
