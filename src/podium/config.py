"""podium.toml: validated as a whole, every value with its origin; flag > env > file > default."""

from __future__ import annotations

import datetime as dt
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from podium import plugin, project_file, registry
from podium.errors import NotFoundError, Problem, UsageError, suggest

FILE = project_file.FILE
TIMEFRAMES = ("1M", "5M", "15M", "30M", "1H", "4H", "D", "W")
# What numpy and people read alike; fromisoformat() also takes 20100101, which numpy calls a year.
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?")
COVARIATE_NAME = re.compile(r"[A-Za-z0-9_-]+")
SLOT_NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B")
# A command as its words, or as one text that is cut into words; or a webhook's URL.
Command = tuple[str, ...] | str
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}

_SECRETS = (
    (re.compile(r"(://[^:/@\s]*):.*@"), r"\1:***@"),
    (re.compile(r"([?&](?:ssl)?password=)[^&\s]*"), r"\1***"),
)

# What every slot asks for, whatever its policy is called: [policy.champion].
EVERYWHERE = ""
# Limits by gate by stage.
Policy = dict[str, dict[str, dict[str, float]]]
Check = tuple[Callable[[Any], bool], str]


def _setting(default: Any = MISSING, check: Check | None = None) -> Any:
    metadata = {"check": check} if check else {}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _at_least(low: float) -> Check:
    return (lambda value: value >= low, f"at least {low}")


def _inside(low: float, high: float) -> Check:
    return (lambda value: low < value < high, f"between {low} and {high}, both excluded")


def _is_clock_time(text: str) -> bool:
    return re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text) is not None


def size_of(text: str) -> int:
    """Bytes that a size such as ``4GiB`` stands for; 0 for an empty one.

    Examples
    --------
    >>> size_of("1.5 GiB"), size_of("500MB"), size_of("")
    (1610612736, 500000000, 0)
    """
    found = SIZE.fullmatch(text)
    if not found:
        return 0
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2]))


def _is_size(text: str) -> bool:
    return not text or size_of(text) > 0


def _is_device(text: str) -> bool:
    return re.fullmatch(r"auto|cpu|mps|cuda|cuda:\d+(,cuda:\d+)*", text) is not None


def is_webhook(command: Command) -> bool:
    """Whether a hook is a URL to send to rather than a command to run."""
    return isinstance(command, str) and "://" in command.partition(" ")[0]


def _is_hook(command: Command) -> bool:
    if is_webhook(command):
        return re.fullmatch(r"https?://[^\s/]+\S*", str(command)) is not None
    try:
        words = shlex.split(command) if isinstance(command, str) else command
    except ValueError:  # a quote that is not closed
        return False
    return all(isinstance(word, str) and "\0" not in word for word in words) and bool(
        not words or words[0]
    )


_HOOK: Check = (_is_hook, "a command, as a text or as a list of its words, or an http(s) URL")


def _one_of(*known: str) -> Check:
    return (lambda value: value in known, f"one of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class ProjectSection:
    """Who this project is in a record that several projects may share."""

    name: str = _setting()
    id: str = _setting()
    default_slot: str = _setting("")


@dataclass(frozen=True, kw_only=True)
class LedgerSection:
    """Where the record lives: an SQLAlchemy URL; relative SQLite paths start at the project."""

    url: str = _setting(project_file.LEDGER_URL)


@dataclass(frozen=True, kw_only=True)
class PathsSection:
    """Places podium writes, relative to the project."""

    registry: str = _setting(project_file.REGISTRY)
    active_model: str = _setting("models/active_model.txt")
    reports: str = _setting("reports")
    tuning: str = _setting("hyperparameter_tuning_results")
    extended: str = _setting("extended_training_results")
    best_config: str = _setting("best_config.json")
    plots: str = _setting("analysis_plots")
    final: str = _setting("final_model")
    backtesting: str = _setting("backtesting_results")


@dataclass(frozen=True, kw_only=True)
class CovariateSection:
    """Figures beside a dataset's bars: a CSV or Parquet file, and from when on its rows count."""

    path: str = _setting()
    kind: str = _setting(check=_one_of("static", "known_ahead", "dated"))
    columns: Mapping[str, str] = _setting({})
    timezone: str = _setting("UTC")
    date_format: str = _setting("")


@dataclass(frozen=True, kw_only=True)
class DatasetSection:
    """Bars of several tickers, whose order is remembered; or sequences."""

    path: str = _setting()
    tickers: tuple[str, ...] = _setting((), check=(lambda v: len(v) > 0, "at least one ticker"))
    timeframe: str = _setting("", check=_one_of(*TIMEFRAMES))
    reader: str = _setting("csv")
    adjust: bool = _setting(True)
    layout: str = _setting("", check=_one_of("", "files", "long", "wide"))
    columns: Mapping[str, str] = _setting({})
    absent: tuple[str, ...] = _setting(())
    timezone: str = _setting("UTC")
    exchange_timezone: str = _setting("")
    stamp: str = _setting("", check=_one_of("", "open", "close"))
    date_format: str = _setting("")
    separator: str = _setting("")
    decimal: str = _setting("", check=_one_of("", ".", ","))
    thousands: str = _setting("")
    repair: tuple[str, ...] = _setting(())
    align: str = _setting("intersection", check=_one_of("intersection", "union"))
    members: str = _setting("")
    resample: str = _setting("", check=_one_of("", *TIMEFRAMES))
    day_starts_at: str = _setting("00:00", check=(_is_clock_time, "a time such as 17:00"))
    week_ends: str = _setting("friday", check=_one_of("friday", "sunday"))
    validation: str = _setting("")
    evaluation: str = _setting("")
    covariates: Mapping[str, CovariateSection] = _setting({})


@dataclass(frozen=True, kw_only=True)
class SlotSection:
    """What production asks for: the task, and how a candidate for it is judged.

    Which of the settings a slot needs and takes follows from its task.
    """

    dataset: str = _setting()
    target: str = _setting("")
    horizon: int = _setting(0, check=_at_least(1))
    features: tuple[str, ...] = _setting((), check=(lambda v: len(v) > 0, "at least one feature"))
    test_from: str = _setting("")
    test_to: str = _setting("")
    task: str = _setting("forecast")
    window: int = _setting(40, check=_at_least(2))
    families: tuple[str, ...] = _setting(("lstm",), check=(lambda v: len(v) > 0, "at least one"))
    metric: str = _setting("mse")
    signal: str = _setting("sign")
    policy: str = _setting("forecast")


@dataclass(frozen=True, kw_only=True)
class TuneSection:
    """The search for a config, on a validation slice before the sealed test."""

    trials: int = _setting(24, check=_at_least(1))
    search: str = _setting("three_phase")
    schedule: str = _setting("halving")
    finalists: int = _setting(4, check=_at_least(0))
    seeds: int = _setting(3, check=_at_least(1))
    epochs: int = _setting(12, check=_at_least(1))
    generation: int = _setting(8, check=_at_least(1))
    validation_fraction: float = _setting(0.25, check=_inside(0, 1))
    seed: int = _setting(7, check=_at_least(0))
    metric: str = _setting("")
    where: str = _setting("")
    keep_checkpoints: int = _setting(5, check=_at_least(0))


@dataclass(frozen=True, kw_only=True)
class ExtendSection:
    """Cross-validation of the best configs.

    An empty splitter is the usual one of the slot's task; 0 and -1 leave a number to the splitter.
    """

    top: int = _setting(3, check=_at_least(1))
    folds: int = _setting(4, check=_at_least(2))
    epochs: int = _setting(12, check=_at_least(1))
    splitter: str = _setting("")
    train_bars: int = _setting(0, check=_at_least(0))
    test_folds: int = _setting(0, check=_at_least(0))
    purge: int = _setting(0, check=_at_least(0))
    embargo: int = _setting(-1, check=_at_least(-1))


@dataclass(frozen=True, kw_only=True)
class FinalizeSection:
    """Training on everything before the sealed test."""

    epochs: int = _setting(12, check=_at_least(1))
    validation_fraction: float = _setting(0.15, check=_inside(0, 1))
    seeds: int = _setting(1, check=_at_least(1))


@dataclass(frozen=True, kw_only=True)
class BacktestSection:
    """Trading the forecasts on the sealed test, with costs."""

    fee_bps: float = _setting(5.0, check=_at_least(0))
    slippage_bps: float = _setting(0.0, check=_at_least(0))
    execution: str = _setting("next_open", check=_one_of("next_open", "next_close"))
    spread_bps: float = _setting(0.0, check=_at_least(0))
    impact_bps: float = _setting(0.0, check=_at_least(0))
    initial_cash: float = _setting(1.0, check=(lambda v: v > 0, "an amount above 0"))
    max_weight: float = _setting(0.0, check=_at_least(0))
    max_leverage: float = _setting(0.0, check=_at_least(0))
    max_turnover: float = _setting(0.0, check=_at_least(0))
    cash_rate: float = _setting(0.0)
    debt_rate: float = _setting(0.0)
    borrow_rate: float = _setting(0.0)
    refit_every: int = _setting(0, check=_at_least(0))
    refit_window: int = _setting(0, check=_at_least(0))


@dataclass(frozen=True, kw_only=True)
class DriftSection:
    """When the newest bars are called other than those of the training."""

    bars: int = _setting(63, check=_at_least(5))
    level: float = _setting(0.02, check=_inside(0, 1))


@dataclass(frozen=True, kw_only=True)
class RefreshSection:
    """The nightly job: when a challenger is trained, and where its sealed test begins."""

    every_bars: int = _setting(21, check=_at_least(1))
    test_bars: int = _setting(0, check=_at_least(0))


@dataclass(frozen=True, kw_only=True)
class RunnerSection:
    """Where trials run; ``jobs = 0`` means one a core."""

    name: str = _setting("local")
    jobs: int = _setting(0, check=_at_least(0))
    max_seconds: float = _setting(0.0, check=_at_least(0))
    max_memory: str = _setting("", check=(_is_size, "a size such as 4GiB"))
    device: str = _setting("cpu", check=(_is_device, "cpu, cuda, cuda:0,cuda:1, mps or auto"))


@dataclass(frozen=True, kw_only=True)
class PeopleSection:
    """Who may put a name to a candidate; nobody named: everybody."""

    signers: tuple[str, ...] = _setting(())


@dataclass(frozen=True, kw_only=True)
class MlflowSection:
    """Where runs are shown in MLflow; an empty URI is the project's own store, ``mlflow.db``."""

    enabled: bool = _setting(False)
    tracking_uri: str = _setting("")
    experiment: str = _setting("")
    run_name: str = _setting("{data_version}-{window_size}-{model_tag}-{run_id}")


@dataclass(frozen=True, kw_only=True)
class LogsSection:
    """How many logs of commands are kept, and for how many days."""

    keep: int = _setting(100, check=_at_least(1))
    days: float = _setting(30.0, check=_at_least(0))


@dataclass(frozen=True, kw_only=True)
class HooksSection:
    """Who is told when something happens: a command or a webhook for each event."""

    review: tuple[str, ...] | str = _setting("", check=_HOOK)
    failure: tuple[str, ...] | str = _setting("", check=_HOOK)
    promotion: tuple[str, ...] | str = _setting("", check=_HOOK)
    timeout: float = _setting(10.0, check=(lambda v: v > 0, "seconds above 0"))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything podium.toml says, completed and checked."""

    root: Path
    project: ProjectSection
    ledger: LedgerSection
    paths: PathsSection
    tune: TuneSection
    extend: ExtendSection
    finalize: FinalizeSection
    backtest: BacktestSection
    drift: DriftSection
    refresh: RefreshSection
    runner: RunnerSection
    mlflow: MlflowSection
    people: PeopleSection
    logs: LogsSection
    hooks: HooksSection
    metrics: Mapping[str, str]
    datasets: Mapping[str, DatasetSection]
    slots: Mapping[str, SlotSection]
    space: Mapping[str, Mapping[str, Any]]
    policies: Mapping[str, Policy]
    origins: Mapping[str, str]

    def slot(self, name: str) -> SlotSection:
        """Declared slot of that name, or NotFoundError with near names."""
        if name not in self.slots:
            raise NotFoundError(f"no slot '{name}' in {FILE}", fix=suggest(name, self.slots))
        return self.slots[name]

    @property
    def root_slot(self) -> str:
        """Slot whose files lie in the project itself, those of others under ``slots/``."""
        return self.project.default_slot or next(iter(self.slots), "")

    def values(self) -> dict[str, Any]:
        """Every value by its dotted key, in the file's order, passwords left out."""
        found: dict[str, Any] = {}
        for part in fields(self):
            if part.name not in ("root", "origins"):
                _flatten(part.name, getattr(self, part.name), found)
        return found


_SECTIONS: dict[str, type[Any]] = {
    "project": ProjectSection,
    "ledger": LedgerSection,
    "paths": PathsSection,
    "tune": TuneSection,
    "extend": ExtendSection,
    "finalize": FinalizeSection,
    "backtest": BacktestSection,
    "drift": DriftSection,
    "refresh": RefreshSection,
    "runner": RunnerSection,
    "mlflow": MlflowSection,
    "people": PeopleSection,
    "logs": LogsSection,
    "hooks": HooksSection,
}
# What a slot of any task has; the others are for the tasks that name them.
_OF_EVERY_TASK = ("dataset", "task", "families", "metric", "policy")
_TABLES: dict[str, type[Any]] = {"datasets": DatasetSection, "slots": SlotSection}


def default_of(key: str) -> Any:
    """Value of a setting such as ``tune.trials`` where nobody sets it."""
    section, _, name = key.partition(".")
    return getattr(_SECTIONS[section], name)


def without_password(url: str) -> str:
    """URL as it may be shown, logged and recorded.

    Examples
    --------
    >>> without_password("postgresql+psycopg://ann:secret@db.example/podium")
    'postgresql+psycopg://ann:***@db.example/podium'
    """
    for secret, shown in _SECRETS:
        url = secret.sub(shown, url)
    return url


def holds_sequences(reader: str) -> bool:
    """Whether a reader's files hold sequences, which have neither tickers nor a timeframe.

    Its file says so as ``HOLDS = "sequences"``; it is not run for that.
    """
    return bool(registry.constant("readers", reader, "HOLDS") == "sequences")


def find_root(start: Path) -> Path:
    """Nearest folder from ``start`` upwards that holds a podium.toml.

    Raises
    ------
    NotFoundError
        There is none up to the root of the file system.
    """
    return Path(project_file.find(str(start)))


def load(
    root: Path,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    text: str | None = None,
) -> Config:
    """Config of the project in ``root``, with all its problems reported at once.

    Parameters
    ----------
    root : Path
        The project's folder.
    flags : mapping of dotted key to value, optional
        What the command line said, for example ``{"tune.trials": 8}``; strongest.
    environ : mapping, optional
        Environment; ``PODIUM_TUNE_TRIALS`` sets ``tune.trials``. Default ``os.environ``.
    text : str, optional
        What podium.toml would say. Default: what it says.

    Raises
    ------
    UsageError
        With every problem: unknown keys (near names suggested), wrong types, values out of bounds,
        names that refer to nothing.
    """
    path = root / FILE
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8") if text is None else text)
    except FileNotFoundError:
        raise NotFoundError(f"no {FILE} in {root}", fix="run: podium init NAME") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from None
    reader = _Reader(FILE)
    known = [*_SECTIONS, *_TABLES, "metrics", "space", "policy", "policies"]
    reader.unknown_keys(raw, known, "")
    overrides = _environment(os.environ if environ is None else environ)
    overrides.update({key: (value, "flag") for key, value in (flags or {}).items()})
    sections: dict[str, Any] = {
        name: reader.section(kind, raw.get(name, {}), name, overrides)
        for name, kind in _SECTIONS.items()
    }
    tables: dict[str, Any] = {
        name: {
            key: reader.section(kind, value, f"{name}.{key}", {})
            for key, value in reader.table(raw.get(name, {}), name).items()
        }
        for name, kind in _TABLES.items()
    }
    tables["slots"] = {name: reader.by_task(name, s) for name, s in tables["slots"].items()}
    space = {
        k: reader.table(v, f"space.{k}")
        for k, v in reader.table(raw.get("space", {}), "space").items()
    }
    metrics = reader.directions(raw.get("metrics", {}))
    policies = reader.policies(raw.get("policies", {}))
    if "policy" in raw:
        policies[EVERYWHERE] = reader.policy(raw["policy"], "policy")
    # Names may be those of the project's own members; none of them is run to know that.
    plugin.use(root)
    _cross_check(reader, sections["project"], tables, space, policies)
    if reader.problems:
        raise UsageError.of(reader.problems)
    return Config(
        root=root,
        **sections,
        **tables,
        metrics=metrics,
        space=space,
        policies=policies,
        origins=reader.origins,
    )


class _Reader:
    """Reads sections into their dataclasses and collects what is wrong."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.origins: dict[str, str] = {}

    def unknown_keys(self, table: Mapping[str, Any], known: list[str], where: str) -> None:
        for key in table:
            if key not in known:
                place = f"[{where}] of {self.file}" if where else self.file
                self.problems.append(
                    Problem(f"unknown key '{key}' in {place}", fix=suggest(key, known))
                )

    def require_member(self, kind: str, name: str, where: str) -> None:
        if not registry.exists(kind, name):
            self.problems.append(
                Problem(
                    f"{where} names '{name}', which is not in {kind}",
                    fix=suggest(name, registry.names(kind)),
                )
            )
            self.problems.extend(p for p in registry.misplaced(kind) if p not in self.problems)

    def table(self, value: Any, where: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.problems.append(Problem(f"{where} is {value!r} in {self.file}", "a table"))
        return {}

    def section(
        self, kind: type[Any], value: Any, where: str, overrides: Mapping[str, tuple[Any, str]]
    ) -> Any:
        table = self.table(value, where)
        hints = get_type_hints(kind)
        self.unknown_keys(table, list(hints), where)
        chosen: dict[str, Any] = {}
        for part in fields(kind):
            key = f"{where}.{part.name}"
            if key in overrides:
                given, self.origins[key] = overrides[key]
            elif part.name in table:
                given, self.origins[key] = table[part.name], self.file
            elif part.default is not MISSING:
                chosen[part.name], self.origins[key] = part.default, "default"
                continue
            elif part.default_factory is not MISSING:
                chosen[part.name], self.origins[key] = part.default_factory(), "default"
                continue
            else:
                self.problems.append(
                    Problem(f"'{part.name}' is missing in [{where}] of {self.file}")
                )
                continue
            inner = (get_args(hints[part.name]) or (None,))[-1]
            if isinstance(inner, type) and is_dataclass(inner):
                chosen[part.name] = {
                    name: self.section(inner, one, f"{key}.{name}", {})
                    for name, one in self.table(given, key).items()
                }
                continue
            origin = self.origins[key]
            place = key if origin == "default" else f"{key} ({origin})"
            ok, chosen[part.name], wanted = _convert(given, hints[part.name], "env" in origin)
            check: Check | None = part.metadata.get("check")
            if ok and check and not check[0](chosen[part.name]):
                ok, wanted = False, check[1]
            if not ok:
                self.problems.append(Problem(f"{place} is {given!r}", wanted))
        if len(chosen) < len(fields(kind)):
            return None
        return kind(**chosen)

    def by_task(self, name: str, slot: SlotSection | None) -> SlotSection | None:
        """A slot with its task's usual settings where nobody set them."""
        if slot is None:
            return None
        origins = {key: self.origins[f"slots.{name}.{key}"] for key in vars(slot)}
        where = f"[slots.{name}]"
        tasks = [one for one in registry.names("tasks") if registry.holds(one)]
        if slot.task not in tasks:
            place = f"slots.{name}.task is {slot.task!r}"
            self.problems.append(Problem(place, f"one of {', '.join(tasks)}"))
            return slot
        needs, takes, usual = (
            registry.constant("tasks", slot.task, what) for what in ("NEEDS", "TAKES", "USUAL")
        )
        self.problems.extend(
            Problem(f"'{key}' is missing in {where} of {self.file}")
            for key in needs
            if origins[key] == "default"
        )
        self.problems.extend(
            Problem(f"{where} of {self.file} sets {key}", f"nothing that a {slot.task} slot has")
            for key, origin in origins.items()
            if origin != "default" and key not in (*_OF_EVERY_TASK, *needs, *takes)
        )
        return replace(slot, **{k: v for k, v in usual.items() if origins[k] == "default"})

    def directions(self, value: Any) -> dict[str, str]:
        """Which way each metric is better."""
        table = self.table(value, "metrics")
        for name, way in table.items():
            if way not in ("min", "max"):
                self.problems.append(Problem(f"metrics.{name} is {way!r}", '"min" or "max"'))
        return table

    def policies(self, value: Any) -> dict[str, Policy]:
        found = {
            k: self.policy(v, f"policies.{k}") for k, v in self.table(value, "policies").items()
        }
        return {name: stages for name, stages in found.items() if stages}

    def policy(self, value: Any, where: str) -> Policy:
        """Gates of each stage, with their limits."""
        found: Policy = {}
        for stage, gates in self.table(value, where).items():
            if stage not in ("beta", "champion"):
                self.problems.append(Problem(f"{where}.{stage} in {self.file}", "beta or champion"))
            for gate, limits in self.table(gates, f"{where}.{stage}").items():
                limits = self.table(limits, f"{where}.{stage}.{gate}")
                for limit, number in limits.items():
                    if isinstance(number, bool) or not isinstance(number, int | float):
                        told = f"{where}.{stage}.{gate}.{limit} is {number!r}"
                        self.problems.append(Problem(told, "a number"))
                found.setdefault(stage, {})[gate] = limits
        return found


def _convert(value: Any, kind: Any, from_text: bool) -> tuple[bool, Any, str]:
    """Whether the value fits the type, the value as that type, and what was wanted."""
    if kind == tuple[str, ...]:
        fits = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        return fits, tuple(value) if fits else value, "a list of texts"
    if kind == Command:
        if isinstance(value, list):
            value = tuple(value)
        # Whether a list holds texts is part of what a hook must be.
        return isinstance(value, tuple | str), value, _HOOK[1]
    if kind == Mapping[str, str]:
        fits = isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
        return fits, value, 'a table of texts such as {time = "Date"}'
    if kind is str and isinstance(value, dt.date):
        return True, value.isoformat(), ""
    wanted = _WORDS[kind]
    if from_text and kind is not str:
        try:
            value = {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
        except (KeyError, ValueError):
            return False, value, wanted
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return True, float(value), wanted
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    return fits, value, wanted


def _environment(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {
        key: (environ[name], f"env {name}")
        for name, key in project_file.OLD_NAMES.items()
        if name in environ
    }
    for section, kind in _SECTIONS.items():
        for part in fields(kind):
            name = f"PODIUM_{section}_{part.name}".upper()
            if name in environ:
                found[f"{section}.{part.name}"] = (environ[name], f"env {name}")
    return found


def _cross_check(
    reader: _Reader,
    project: ProjectSection | None,
    tables: Mapping[str, Any],
    space: Mapping[str, Any],
    policies: Mapping[str, Mapping[str, Any]],
) -> None:
    """Names that refer to nothing; sections that were not read are None and are passed over."""
    slots: Mapping[str, SlotSection | None] = tables["slots"]
    if project and project.default_slot and project.default_slot not in slots:
        reader.problems.append(
            Problem(
                f"project.default_slot is '{project.default_slot}', which is no slot",
                fix=suggest(project.default_slot, slots),
            )
        )
    for family in space:
        reader.require_member("families", family, f"[space.{family}]")
    for policy, stages in policies.items():
        for stage, gates in stages.items():
            for gate in gates:
                where = f"policies.{policy}" if policy else "policy"
                reader.require_member("gates", gate, f"[{where}.{stage}]")
    for name, dataset in tables["datasets"].items():
        if dataset is not None:
            _check_dataset(reader, name, dataset)
    for name, slot in slots.items():
        if slot is None:
            continue
        where = f'[slots."{name}"]'
        if not SLOT_NAME.fullmatch(name):
            reader.problems.append(
                Problem(f"slot name '{name}'", "parts of letters, digits, _ and -, joined by /")
            )
        if slot.dataset not in tables["datasets"]:
            reader.problems.append(
                Problem(
                    f"{where} names dataset '{slot.dataset}', which is not in [datasets]",
                    fix=suggest(slot.dataset, tables["datasets"]),
                )
            )
        for kind, members in {
            "families": slot.families,
            "features": [feature.partition(":")[0] for feature in slot.features],
            "targets": [slot.target] if slot.target else [],
            "metrics": [slot.metric],
            "signals": [slot.signal],
        }.items():
            for member in members:
                reader.require_member(kind, member, where)
        for key in ("test_from", "test_to"):
            text = getattr(slot, key)
            said = reader.origins[f"slots.{name}.{key}"] != "default"
            if said and (text or key == "test_from") and not _is_date(text):
                reader.problems.append(
                    Problem(
                        f"{where} {key} is {text!r}",
                        "a date such as 2010-01-01 or 2010-01-01T09:30, UTC",
                    )
                )


# What a dataset's table may call columns by, and what it may say that files lack; a reader's own
# words are checked against these by a test, since nothing is imported to read a configuration.
COLUMN_ROLES = (
    "time", "open", "high", "low", "close", "volume", "adj_close", "factor", "ticker",
)  # fmt: skip
ABSENT = ("open", "high", "low", "volume")
REPAIRS = (
    "drop_doubtful", "sort", "drop_duplicates", "keep_last", "drop_zero_prices", "drop_nan",
    "clip_candles", "forward_fill", "intersect",
)  # fmt: skip


def _check_dataset(reader: _Reader, name: str, section: DatasetSection) -> None:
    """What a dataset's keys say of one another."""
    where = f"[datasets.{name}]"
    problems = reader.problems
    # Asked only where the answer matters.
    files = section.validation or section.evaluation
    bare = not section.tickers or not section.timeframe or files
    sequences = bool(bare) and holds_sequences(section.reader)
    if not sequences:
        for key in ("tickers", "timeframe"):
            if not getattr(section, key):
                problems.append(Problem(f"'{key}' is missing in {where} of {FILE}"))
    problems.extend(
        Problem(f"{where} names {what} file for bars", "sequences (reader npz)")
        for key, what in (("validation", "a validation"), ("evaluation", "an evaluation"))
        if getattr(section, key) and not sequences
    )
    if section.covariates and sequences:
        problems.append(Problem(f"{where} has covariates for sequences", "a dataset of bars"))
    for one in section.covariates:
        if not COVARIATE_NAME.fullmatch(one):
            problems.append(
                Problem(f"{where} covariates has the name '{one}'", "letters, digits, _ and -")
            )
    if section.members and sequences:
        problems.append(Problem(f"{where} names members for sequences", "a dataset of bars"))
    for key, known in (("columns", COLUMN_ROLES), ("absent", ABSENT), ("repair", REPAIRS)):
        words = getattr(section, key)
        if not isinstance(words, Mapping | tuple):
            continue  # told already, as another type
        for word in (text.partition(":")[0] for text in words):
            if word not in known:
                problems.append(
                    Problem(f"{where} {key} names '{word}' in {FILE}", fix=suggest(word, known))
                )
    tickers = section.tickers if isinstance(section.tickers, tuple) else ()
    repeated = {t for t in tickers if tickers.count(t) > 1}
    if repeated:
        problems.append(
            Problem(f"{where} tickers lists {', '.join(sorted(repeated))} twice", "each one once")
        )
    if section.resample in TIMEFRAMES and section.timeframe in TIMEFRAMES:
        coarser = TIMEFRAMES[TIMEFRAMES.index(section.timeframe) + 1 :]
        if section.resample not in coarser:
            problems.append(
                Problem(
                    f"{where} resample is '{section.resample}', timeframe '{section.timeframe}'",
                    f"a longer one: {', '.join(coarser) or 'there is none'}",
                )
            )


def _is_date(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return DATE.fullmatch(text) is not None


def _flatten(key: str, value: Any, found: dict[str, Any]) -> None:
    if hasattr(value, "__dataclass_fields__"):
        for part in fields(value):
            _flatten(f"{key}.{part.name}", getattr(value, part.name), found)
    elif isinstance(value, Mapping) and value:
        for name, inner in value.items():
            _flatten(f"{key}.{name}", inner, found)
    elif not isinstance(value, Mapping):
        found[key] = without_password(value) if isinstance(value, str) else value
