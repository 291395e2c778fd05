"""Space: the typed hyperparameters of a family."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from podium.errors import DataError, Problem, Problems, UsageError, suggest
from podium.hashing import canonical

Value = str | int | float | bool
ConfigDict = dict[str, Value]


@dataclass(frozen=True)
class _Range:
    """Numbers between two bounds, both included; ``log`` samples their logarithm."""

    low: float
    high: float
    log: bool = False

    def sample(self, rng: np.random.Generator) -> Value:
        """One uniform draw (uniform in the logarithm when ``log``)."""
        return self._value(rng.uniform(*self._scale()))

    def at(self, unit: float) -> Value:
        """Value at a position from 0 to 1 on the scale; whole numbers have equal shares."""
        low, high = self._scale()
        return self._value(low + unit * (high - low))

    def place(self, value: Value) -> float:
        """Position of a value on the scale, from 0 to 1."""
        low, high = self._scale()
        scaled = math.log(float(value)) if self.log else float(value)
        return (scaled - low) / (high - low) if high > low else 0.5

    def _scale(self) -> tuple[float, float]:
        """Both ends of the scale on which draws are uniform."""
        low, high = self._ends()
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def _ends(self) -> tuple[float, float]:
        return self.low, self.high

    def _value(self, scaled: float) -> Value:
        """Value at a point of the scale."""
        # exp(log(x)) may differ from x by rounding, and the bounds are inclusive.
        value = math.exp(scaled) if self.log else scaled
        return float(min(self.high, max(self.low, value)))


@dataclass(frozen=True)
class Float(_Range):
    """A real number between two bounds, both included; ``log`` samples its logarithm."""

    def holds(self, value: object) -> bool:
        """Whether a value is in the range."""
        return _is_number(value) and self.low <= value <= self.high  # type: ignore[operator]

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Int(_Range):
    """A whole number between two bounds, both included; ``log`` samples its logarithm."""

    low: int
    high: int

    def holds(self, value: object) -> bool:
        """Whether a value is a whole number in the range."""
        return isinstance(value, int) and _is_number(value) and self.low <= value <= self.high

    def sample(self, rng: np.random.Generator) -> Value:
        """One uniform draw (uniform in the logarithm when ``log``)."""
        return super().sample(rng) if self.log else int(rng.integers(self.low, self.high + 1))

    def _ends(self) -> tuple[float, float]:
        return self.low - 0.5, self.high + 0.5

    def _value(self, scaled: float) -> Value:
        value = round(math.exp(scaled) if self.log else scaled)
        return min(self.high, max(self.low, value))

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    options: tuple[Value, ...]

    def holds(self, value: object) -> bool:
        """Whether a value is one of the options; 1, 1.0 and True differ."""
        return any(type(value) is type(option) and value == option for option in self.options)

    def sample(self, rng: np.random.Generator) -> Value:
        """One uniform draw."""
        return self.options[int(rng.integers(len(self.options)))]

    def at(self, unit: float) -> Value:
        """Option at a position from 0 to 1; options have equal shares."""
        return self.options[min(int(unit * len(self.options)), len(self.options) - 1)]

    def place(self, value: Value) -> float:
        """Position of an option, the middle of its share, from 0 to 1."""
        return (self.options.index(value) + 0.5) / len(self.options)

    def __str__(self) -> str:
        return "one of " + ", ".join(map(repr, self.options))


Parameter = Float | Int | Choice


@dataclass(frozen=True)
class When:
    """Condition of a parameter: it is active where others have one of these values.

    Parameters
    ----------
    others : mapping of name to tuple of values
        All of them must hold.
    otherwise : value, optional
        Value in configs where the parameter is inactive, so that configs which differ only in
        inactive parameters are equal; None: such configs lack the parameter.

    Examples
    --------
    >>> When({"loss": ("focal",)}, 2.0).holds({"loss": "cross_entropy"})
    False
    """

    others: Mapping[str, tuple[Value, ...]]
    otherwise: Value | None = None

    def holds(self, config: Mapping[str, object]) -> bool:
        """Whether the parameter is active in a config."""
        return all(n in config and Choice(v).holds(config[n]) for n, v in self.others.items())

    def __str__(self) -> str:
        return " and ".join(f"{name} is {Choice(v)}" for name, v in self.others.items())


@dataclass(frozen=True)
class Space:
    """Named parameters, and constants of every config.

    Parameters
    ----------
    parameters : mapping of name to Float, Int or Choice
    constants : mapping of name to value
        Values that are not searched.
    bounds : mapping of name to Float, Int or Choice
        Accepted values of user settings; default ``parameters``.
    usual : mapping of name to value
        Values of parameters that are not searched.
    conditions : mapping of name to When
        Conditions of parameters that are active only with certain values of others.

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
    conditions: Mapping[str, When] = field(default_factory=dict)

    def complete(self, chosen: Mapping[str, Value]) -> ConfigDict:
        """Config with the constants and without inactive parameters, in sorted order."""
        config = {**self.constants, **chosen}
        for name in self._conditional():
            when = self.conditions[name]
            if name not in config or when.holds(config):
                continue
            del config[name]
            if when.otherwise is not None:
                config[name] = when.otherwise
        return dict(sorted(config.items()))

    def _conditional(self) -> list[str]:
        """Parameters with a condition, each after those that its condition refers to."""
        if not self.conditions:
            return []
        graph = {name: when.others for name, when in self.conditions.items()}
        return [n for n in TopologicalSorter(graph).static_order() if n in self.conditions]

    def counting(self, config: Mapping[str, object]) -> list[str]:
        """Searched parameters that are active in a config."""
        always = When({})
        return [n for n in self.parameters if self.conditions.get(n, always).holds(config)]

    @property
    def is_finite(self) -> bool:
        """Whether the number of configs is finite."""
        return all(not isinstance(p, Float) or p.low == p.high for p in self.parameters.values())

    def contains(self, config: Mapping[str, object]) -> bool:
        """Whether a config is in this space, ignoring the wider ``bounds``."""
        return not replace(self, bounds={}).problems(config)

    def problems(self, config: Mapping[str, object]) -> list[Problem]:
        """Problems of a config; empty if it is valid."""
        known = {**self.parameters, **{k: Choice((v,)) for k, v in self.constants.items()}}
        known |= self.bounds
        result = Problems()
        for name in config:
            result.require_known(name, known, f"unknown parameter '{name}'")
        for name, parameter in known.items():
            when = self.conditions.get(name)
            if when is not None and not when.holds(config):
                if config.get(name) != when.otherwise:
                    expected = "nothing" if when.otherwise is None else repr(when.otherwise)
                    result.add(
                        f"{name} is {config.get(name, 'missing')!r}",
                        f"{expected}, since it is active only where {when}",
                    )
            elif name not in config:
                # Parameters with bounds only are optional.
                if name in self.parameters or name in self.constants:
                    result.add(f"parameter '{name}' is missing", str(parameter))
            elif not parameter.holds(config[name]):
                result.add(f"{name} is {config[name]!r}", str(parameter))
        return result

    def require(self, config: Mapping[str, object]) -> None:
        """Refuse an invalid config, with all its problems.

        Raises
        ------
        UsageError
        """
        UsageError.raise_for(self.problems(config))

    def sample(self, seed: int | np.random.Generator) -> ConfigDict:
        """One random config, determined by the seed."""
        rng = np.random.default_rng(seed)
        return self.complete({name: p.sample(rng) for name, p in self.parameters.items()})

    def grid(self) -> Iterator[ConfigDict]:
        """Every combination; every parameter must be a Choice.

        Raises
        ------
        DataError
            A parameter is not a Choice.
        """
        axes: list[tuple[Value, ...]] = []
        for name, parameter in self.parameters.items():
            if not isinstance(parameter, Choice):
                raise DataError(f"parameter '{name}' is {parameter}", "a list of values for a grid")
            axes.append(parameter.options)
        seen: set[str] = set()
        for values in itertools.product(*axes):
            config = self.complete(dict(zip(self.parameters, values, strict=True)))
            if self.conditions:
                # Combinations may differ only in inactive parameters.
                if (name := canonical(config)) in seen:
                    continue
                seen.add(name)
            yield config

    def lists(self, points: int = 3) -> Space:
        """The space with each range replaced by ``points`` values, including both ends.

        Examples
        --------
        >>> space = Space({"lr": Float(0.25, 4.0, log=True), "layers": Int(1, 2)}).lists()
        >>> [parameter.options for parameter in space.parameters.values()]
        [(0.25, 1.0, 4.0), (1, 2)]
        """
        cut = {name: Choice(_cut(p, points)) for name, p in self.parameters.items()}
        return replace(self, parameters=cut)

    def narrowed(self, settings: Mapping[str, Any], where: str) -> Space:
        """The space with the settings of ``[space.<family>]``.

        A list means choices, a table ``{low, high, log}`` a range, a single value a constant. A
        table may have ``when = {other = value or list}``, and ``values`` in place of a range.

        Raises
        ------
        UsageError
            Unknown names, wrong forms, values that the family does not accept; lists all.
        """
        parameters = dict(self.parameters)
        constants = dict(self.constants)
        allowed = {**{k: Choice((v,)) for k, v in constants.items()}, **parameters, **self.bounds}
        conditions = dict(self.conditions)
        problems = Problems()
        for name, setting in settings.items():
            if name not in allowed:
                problems.add(f"unknown parameter '{name}' in {where}", fix=suggest(name, allowed))
                continue
            if isinstance(setting, dict) and "when" in setting:
                others, wrong_ones = _others(name, setting["when"], allowed, where)
                problems += wrong_ones
                conditions[name] = When(others, self._otherwise(name, allowed[name]))
            parameter = _parameter(setting, allowed[name])
            if parameter is None:
                problems.add(
                    f"{where}.{name} is {setting!r}",
                    "a value, a list, or {low, high, log} with low < high (0 < low if log)"
                    + (", or {values, when}" if isinstance(setting, dict) else ""),
                )
                continue
            corners = (
                parameter.options
                if isinstance(parameter, Choice)
                else (parameter.low, parameter.high)
            )
            wrong = [v for v in corners if not allowed[name].holds(v)]
            if wrong or not corners:
                problems.add(f"{where}.{name} has {wrong or corners!r}", str(allowed[name]))
            parameters.pop(name, None)
            constants.pop(name, None)
            if isinstance(parameter, Choice) and len(parameter.options) == 1:
                constants[name] = parameter.options[0]
            else:
                parameters[name] = parameter
        space = Space(parameters, constants, allowed, self.usual, conditions)
        try:
            space._conditional()
        except CycleError as error:
            ring = " -> ".join(map(str, reversed(error.args[1])))
            problems.add(f"conditions in {where} form a cycle: {ring}", "no cycle")
        UsageError.raise_for(problems)
        return space

    def _otherwise(self, name: str, kin: Parameter) -> Value | None:
        """Value of an inactive parameter in a config: that of a parameter that is not searched."""
        if name in self.conditions:
            return self.conditions[name].otherwise
        usual = self.constants.get(name, self.usual.get(name))
        return _middle(self.parameters.get(name, kin)) if usual is None else usual

    def only(self, searched: Collection[str]) -> Space:
        """The space with only these parameters searched, and the others constant.

        A constant is the usual value if the parameter holds it; else the first choice, or the
        middle of the range.

        Examples
        --------
        >>> space = Space({"units": Choice((16, 32)), "lr": Float(1e-4, 1e-2, log=True)})
        >>> [round(space.only(["units"]).constants["lr"], 6), *space.only(["units"]).parameters]
        [0.001, 'units']
        """
        parameters = {n: p for n, p in self.parameters.items() if n in searched}
        fixed = {
            name: self.usual[name]
            if name in self.usual and parameter.holds(self.usual[name])
            else _middle(parameter)
            for name, parameter in self.parameters.items()
            if name not in searched
        }
        return replace(self, parameters=parameters, constants={**self.constants, **fixed})

    def spec(self) -> dict[str, Any]:
        """JSON description, for records and hashes."""
        described = {n: [type(p).__name__, *vars(p).values()] for n, p in self.parameters.items()}
        spec: dict[str, Any] = {"parameters": described, "constants": dict(self.constants)}
        if self.conditions:
            spec["conditions"] = {
                name: [{n: list(v) for n, v in when.others.items()}, when.otherwise]
                for name, when in self.conditions.items()
            }
        return spec


def _others(
    name: str, condition: Any, allowed: Mapping[str, Parameter], where: str
) -> tuple[dict[str, tuple[Value, ...]], list[Problem]]:
    """Condition of podium.toml as values of other parameters, and its problems."""
    place = f"{where}.{name}.when"
    if not isinstance(condition, dict) or not condition:
        return {}, [Problem(f"{place} is {condition!r}", "{other = value} or {other = [values]}")]
    others: dict[str, tuple[Value, ...]] = {}
    problems = Problems()
    for other, values in condition.items():
        if other not in allowed:
            problems.add(f"unknown parameter '{other}' in {place}", fix=suggest(other, allowed))
            continue
        parameter = _parameter(values, allowed[other])
        wrong: Any = values
        if isinstance(parameter, Choice):
            wrong = [v for v in parameter.options if not allowed[other].holds(v)]
            others[other] = parameter.options
        if wrong or values == []:
            problems.add(f"{place}.{other} has {wrong!r}", str(allowed[other]))
    return others, problems


def _cut(parameter: Parameter, points: int) -> tuple[Value, ...]:
    """Values that replace a parameter in a grid."""
    if isinstance(parameter, Choice):
        return parameter.options
    if isinstance(parameter, Int) and parameter.high - parameter.low < points:
        return tuple(range(parameter.low, parameter.high + 1))
    return tuple(dict.fromkeys(parameter.at(n / (points - 1)) for n in range(points)))


def _parameter(setting: Any, kin: Parameter) -> Parameter | None:
    """Parameter of a setting in podium.toml; numbers get the type of ``kin``."""

    def typed(value: Any) -> Any:
        return float(value) if isinstance(kin, Float) and _is_number(value) else value

    if isinstance(setting, dict):
        setting = {name: value for name, value in setting.items() if name != "when"}
        if set(setting) == {"values"} and isinstance(setting["values"], list):
            return Choice(tuple(typed(v) for v in setting["values"]))
        if not {"low", "high"} <= set(setting) <= {"low", "high", "log"}:
            return None
        low, high, log = setting["low"], setting["high"], setting.get("log", False)
        if not (_is_number(low) and _is_number(high) and low < high and isinstance(log, bool)):
            return None
        if log and low <= 0:
            # The logarithm is not defined.
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
