"""Reads and validates podium.toml; every value has an origin: flag > env > file > default."""

from __future__ import annotations

import datetime as dt
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from podium import plugin, project_file, registry, sections
from podium.errors import NotFoundError, Problem, Problems, UsageError, suggest

FILE = project_file.FILE
# Formats that numpy parses too; fromisoformat() also takes 20100101, which numpy reads as a year.
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?")
COVARIATE_NAME = re.compile(r"[A-Za-z0-9_-]+")
SLOT_NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}

_SECRETS = (
    (re.compile(r"(://[^:/@\s]*):.*@"), r"\1:***@"),
    (re.compile(r"([?&](?:ssl)?password=)[^&\s]*"), r"\1***"),
)

# Key of [policy.champion]: gates that apply to every slot.
EVERYWHERE = ""
# Limits by gate by stage.
Policy = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Validated settings of podium.toml with defaults filled in."""

    root: Path
    project: sections.ProjectSection
    ledger: sections.LedgerSection
    paths: sections.PathsSection
    tune: sections.TuneSection
    extend: sections.ExtendSection
    analyze: sections.AnalyzeSection
    finalize: sections.FinalizeSection
    backtest: sections.BacktestSection
    drift: sections.DriftSection
    refresh: sections.RefreshSection
    runner: sections.RunnerSection
    mlflow: sections.MlflowSection
    people: sections.PeopleSection
    logs: sections.LogsSection
    hooks: sections.HooksSection
    metrics: Mapping[str, str]
    datasets: Mapping[str, sections.DatasetSection]
    slots: Mapping[str, sections.SlotSection]
    space: Mapping[str, Mapping[str, Any]]
    policies: Mapping[str, Policy]
    origins: Mapping[str, str]

    def slot(self, name: str) -> sections.SlotSection:
        """Declared slot of that name; NotFoundError suggests near names."""
        if name not in self.slots:
            raise NotFoundError(f"no slot '{name}' in {FILE}", fix=suggest(name, self.slots))
        return self.slots[name]

    @property
    def root_slot(self) -> str:
        """Slot whose files lie in the project's root; other slots have ``slots/``."""
        return self.project.default_slot or next(iter(self.slots), "")

    def values(self) -> dict[str, Any]:
        """Every value by its dotted key, in the file's order, passwords masked."""
        values: dict[str, Any] = {}
        for part in fields(self):
            if part.name not in ("root", "origins"):
                _flatten(part.name, getattr(self, part.name), values)
        return values


_SECTIONS: dict[str, type[Any]] = {
    name: kind
    for name, kind in get_type_hints(Config).items()
    if isinstance(kind, type) and is_dataclass(kind)
}
# Keys of every slot; other keys belong to the tasks that name them.
_OF_EVERY_TASK = ("dataset", "task", "families", "metric", "policy")
_TABLES: dict[str, type[Any]] = {"datasets": sections.DatasetSection, "slots": sections.SlotSection}


def default_of(key: str) -> Any:
    """Default of a setting such as ``tune.trials``."""
    section, _, name = key.partition(".")
    return getattr(_SECTIONS[section], name)


def without_password(url: str) -> str:
    """URL with its password masked.

    Examples
    --------
    >>> without_password("postgresql+psycopg://ann:secret@db.example/podium")
    'postgresql+psycopg://ann:***@db.example/podium'
    """
    for secret, shown in _SECRETS:
        url = secret.sub(shown, url)
    return url


def holds_sequences(reader: str) -> bool:
    """Whether a reader has ``HOLDS = "sequences"``, which have neither tickers nor a timeframe."""
    return bool(registry.constant("readers", reader, "HOLDS") == "sequences")


def find_root(start: Path) -> Path:
    """Nearest folder from ``start`` upwards that holds a podium.toml.

    Raises
    ------
    NotFoundError
        No parent folder holds a podium.toml.
    """
    return Path(project_file.find(str(start)))


def load(
    root: Path,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    text: str | None = None,
) -> Config:
    """Config of the project in ``root``; all problems are reported at once.

    Parameters
    ----------
    root : Path
        The project's folder.
    flags : mapping of dotted key to value, optional
        Values of the command line, for example ``{"tune.trials": 8}``; they win.
    environ : mapping, optional
        Environment; ``PODIUM_TUNE_TRIALS`` sets ``tune.trials``. Default ``os.environ``.
    text : str, optional
        Text to validate in place of podium.toml.

    Raises
    ------
    UsageError
        Unknown keys (near names are suggested), wrong types, values out of bounds, names that do
        not exist.
    """
    path = root / FILE
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8") if text is None else text)
    except FileNotFoundError:
        raise NotFoundError(f"no {FILE} in {root}", fix="run: podium init NAME") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from None
    # Names may refer to the project's plugins, which are not run here.
    plugin.use(root)
    reader = _Reader()
    known = [*_SECTIONS, *_TABLES, "metrics", "space", "policy", "policies"]
    reader.require_keys(raw, known, "")
    overrides = _environment(os.environ if environ is None else environ)
    overrides.update({key: (value, "flag") for key, value in (flags or {}).items()})
    chosen: dict[str, Any] = {
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
    families = reader.table(raw.get("space", {}), "space")
    space = {name: reader.table(value, f"space.{name}") for name, value in families.items()}
    for family in space:
        reader.require_member("families", family, f"[space.{family}]")
    metrics = {**_plugin_directions(), **reader.directions(raw.get("metrics", {}))}
    policies = reader.policies(raw.get("policies", {}))
    if "policy" in raw:
        policies[EVERYWHERE] = reader.policy(raw["policy"], "policy")
    _cross_check(reader, chosen["project"], tables)
    UsageError.raise_for(reader.problems)
    return Config(
        root=root,
        **chosen,
        **tables,
        metrics=metrics,
        space=space,
        policies=policies,
        origins=reader.origins,
    )


def _plugin_directions() -> dict[str, str]:
    """Directions that the project's metrics declare."""
    declared = {
        name: registry.constant("metrics", name, "DIRECTION") for name in plugin.names("metrics")
    }
    return {name: way for name, way in declared.items() if way in ("min", "max")}


class _Reader:
    """Reads sections into their dataclasses and collects problems."""

    def __init__(self) -> None:
        self.problems = Problems()
        self.origins: dict[str, str] = {}

    def require_keys(self, table: Mapping[str, Any], known: Collection[str], where: str) -> None:
        place = f"[{where}] of {FILE}" if where else FILE
        for key in table:
            self.problems.require_known(key, known, f"unknown key '{key}' in {place}")

    def require_member(self, kind: str, name: str, where: str) -> None:
        if not registry.exists(kind, name):
            fix = suggest(name, registry.names(kind))
            self.problems.add(f"{where} names '{name}', which is not in {kind}", fix=fix)
            self.problems.extend(p for p in registry.misplaced(kind) if p not in self.problems)

    def table(self, value: Any, where: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.problems.add(f"{where} is {value!r} in {FILE}", "a table")
        return {}

    def section(
        self, kind: type[Any], value: Any, where: str, overrides: Mapping[str, tuple[Any, str]]
    ) -> Any:
        table = self.table(value, where)
        hints = get_type_hints(kind)
        self.require_keys(table, hints, where)
        required = {
            part.name
            for part in fields(kind)
            if part.default is MISSING and part.default_factory is MISSING
        }
        chosen: dict[str, Any] = {}
        for part in fields(kind):
            key = f"{where}.{part.name}"
            if key in overrides:
                raw, self.origins[key] = overrides[key]
            elif part.name in table:
                raw, self.origins[key] = table[part.name], FILE
            else:
                self.origins[key] = "default"
                if part.name in required:
                    self.problems.add(f"'{part.name}' is missing in [{where}] of {FILE}")
                continue
            inner = (get_args(hints[part.name]) or (None,))[-1]
            if isinstance(inner, type) and is_dataclass(inner):
                chosen[part.name] = {
                    name: self.section(inner, one, f"{key}.{name}", {})
                    for name, one in self.table(raw, key).items()
                }
                continue
            origin = self.origins[key]
            ok, chosen[part.name], expected = _convert(raw, hints[part.name], "env" in origin)
            check: sections.Check | None = part.metadata.get("check")
            if ok and check and not check[0](chosen[part.name]):
                ok, expected = False, check[1]
            if not ok:
                self.problems.add(f"{key} ({origin}) is {raw!r}", expected)
        return kind(**chosen) if required <= chosen.keys() else None

    def by_task(self, name: str, slot: sections.SlotSection | None) -> sections.SlotSection | None:
        """Slot with the defaults of its task for keys that are not set."""
        if slot is None:
            return None
        origins = {key: self.origins[f"slots.{name}.{key}"] for key in vars(slot)}
        where = f"[slots.{name}]"
        tasks = [one for one in registry.names("tasks") if registry.holds(one)]
        if slot.task not in tasks:
            place = f"slots.{name}.task is {slot.task!r}"
            self.problems.add(place, f"one of {', '.join(tasks)}")
            return slot
        needs, takes, usual = (
            registry.constant("tasks", slot.task, what) for what in ("NEEDS", "TAKES", "USUAL")
        )
        self.problems.extend(
            Problem(f"'{key}' is missing in {where} of {FILE}")
            for key in needs
            if origins[key] == "default"
        )
        self.problems.extend(
            Problem(f"{where} of {FILE} sets {key}", f"only keys of the task '{slot.task}'")
            for key, origin in origins.items()
            if origin != "default" and key not in (*_OF_EVERY_TASK, *needs, *takes)
        )
        return replace(slot, **{k: v for k, v in usual.items() if origins[k] == "default"})

    def directions(self, value: Any) -> dict[str, str]:
        """Direction of each metric."""
        table = self.table(value, "metrics")
        for name, way in table.items():
            if way not in ("min", "max"):
                self.problems.add(f"metrics.{name} is {way!r}", '"min" or "max"')
        return table

    def policies(self, value: Any) -> dict[str, Policy]:
        table = self.table(value, "policies")
        policies = {name: self.policy(v, f"policies.{name}") for name, v in table.items()}
        return {name: stages for name, stages in policies.items() if stages}

    def policy(self, value: Any, where: str) -> Policy:
        """Gates of each stage with their limits."""
        policy: Policy = {}
        for stage, gates in self.table(value, where).items():
            if stage not in ("beta", "champion"):
                self.problems.add(f"{where}.{stage} in {FILE}", "beta or champion")
            for gate, limits in self.table(gates, f"{where}.{stage}").items():
                self.require_member("gates", gate, f"[{where}.{stage}]")
                place = f"{where}.{stage}.{gate}"
                limits = self.table(limits, place)
                for limit, number in limits.items():
                    if isinstance(number, bool) or not isinstance(number, int | float):
                        self.problems.add(f"{place}.{limit} is {number!r}", "a number")
                policy.setdefault(stage, {})[gate] = limits
        return policy


def _convert(value: Any, kind: Any, from_text: bool) -> tuple[bool, Any, str]:
    """Whether the value fits the type, the value as that type, and the expected type in words."""
    if kind == tuple[str, ...]:
        fits = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        return fits, tuple(value) if fits else value, "a list of texts"
    if kind == sections.Command:
        if isinstance(value, list):
            value = tuple(value)
        # The check of a hook covers the types of the list's items.
        return isinstance(value, tuple | str), value, sections.HOOK[1]
    if kind == Mapping[str, str]:
        fits = isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
        return fits, value, 'a table of texts such as {time = "Date"}'
    if kind is str and isinstance(value, dt.date):
        return True, value.isoformat(), ""
    expected = _WORDS[kind]
    if from_text and kind is not str:
        try:
            value = {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
        except (KeyError, ValueError):
            return False, value, expected
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return True, float(value), expected
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    return fits, value, expected


def _environment(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    own = {
        f"PODIUM_{section}_{part.name}".upper(): f"{section}.{part.name}"
        for section, kind in _SECTIONS.items()
        for part in fields(kind)
    }
    names = {**project_file.OLD_NAMES, **own}
    return {key: (environ[n], f"env {n}") for n, key in names.items() if n in environ}


def _cross_check(
    reader: _Reader, project: sections.ProjectSection | None, tables: Mapping[str, Any]
) -> None:
    """Check names that refer to other sections; invalid sections are None and are skipped."""
    slots: Mapping[str, sections.SlotSection | None] = tables["slots"]
    default = project.default_slot if project else ""
    if default:
        message = f"project.default_slot is '{default}', which is not a slot"
        reader.problems.require_known(default, slots, message)
    for name, dataset in tables["datasets"].items():
        if dataset is not None:
            _check_dataset(reader, name, dataset)
    for name, slot in slots.items():
        if slot is not None:
            _check_slot(reader, name, slot, tables["datasets"])


def _check_slot(
    reader: _Reader, name: str, slot: sections.SlotSection, datasets: Collection[str]
) -> None:
    """Check the names and dates of a slot."""
    where = f'[slots."{name}"]'
    if not SLOT_NAME.fullmatch(name):
        reader.problems.add(f"slot name '{name}'", "parts of letters, digits, _ and -, joined by /")
    message = f"{where} names dataset '{slot.dataset}', which is not in [datasets]"
    reader.problems.require_known(slot.dataset, datasets, message)
    for kind, members in {
        "families": (*slot.families, *slot.baselines),
        "features": [feature.partition(":")[0] for feature in slot.features],
        "targets": [slot.target] if slot.target else [],
        "metrics": [slot.metric],
        "signals": [slot.signal],
    }.items():
        for member in members:
            reader.require_member(kind, member, where)
    if slot.path and slot.horizon == 1:
        reader.problems.add(f"{where} has path = true and horizon 1", "a horizon of 2 or more")
    for key in ("test_from", "test_to"):
        text = getattr(slot, key)
        is_set = reader.origins[f"slots.{name}.{key}"] != "default"
        if is_set and (text or key == "test_from") and not _is_date(text):
            expected = "a date such as 2010-01-01 or 2010-01-01T09:30, UTC"
            reader.problems.add(f"{where} {key} is {text!r}", expected)


def _check_dataset(reader: _Reader, name: str, section: sections.DatasetSection) -> None:
    """Check the keys of a dataset against each other."""
    where = f"[datasets.{name}]"
    problems = reader.problems
    # Evaluated only where the result matters: it may load a reader.
    files = section.validation or section.evaluation
    bare = not section.tickers or not section.timeframe or files
    sequences = bool(bare) and holds_sequences(section.reader)
    if not sequences:
        for key in ("tickers", "timeframe"):
            if not getattr(section, key):
                problems.add(f"'{key}' is missing in {where} of {FILE}")
    problems.extend(
        Problem(f"{where} names {what} file for a dataset of bars", "sequences (reader npz)")
        for key, what in (("validation", "a validation"), ("evaluation", "an evaluation"))
        if getattr(section, key) and not sequences
    )
    if section.covariates and sequences:
        problems.add(f"{where} has covariates for sequences", "a dataset of bars")
    for one in section.covariates:
        if not COVARIATE_NAME.fullmatch(one):
            problems.add(f"{where} covariates has the name '{one}'", "letters, digits, _ and -")
    if section.members and sequences:
        problems.add(f"{where} names members for sequences", "a dataset of bars")
    for key, known in sections.WORDS.items():
        words = getattr(section, key)
        if not isinstance(words, Mapping | tuple):
            continue  # the wrong type is reported already
        for word in (text.partition(":")[0] for text in words):
            reader.problems.require_known(word, known, f"{where} {key} names '{word}' in {FILE}")
    tickers = section.tickers if isinstance(section.tickers, tuple) else ()
    repeated = {t for t in tickers if tickers.count(t) > 1}
    if repeated:
        problems.add(f"{where} tickers lists {', '.join(sorted(repeated))} twice", "each one once")
    if section.resample in sections.TIMEFRAMES and section.timeframe in sections.TIMEFRAMES:
        coarser = sections.TIMEFRAMES[sections.TIMEFRAMES.index(section.timeframe) + 1 :]
        if section.resample not in coarser:
            problems.add(
                f"{where} resample is '{section.resample}', timeframe '{section.timeframe}'",
                f"a longer timeframe: {', '.join(coarser) or 'none exists'}",
            )


def _is_date(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return DATE.fullmatch(text) is not None


def _flatten(key: str, value: Any, values: dict[str, Any]) -> None:
    if hasattr(value, "__dataclass_fields__"):
        for part in fields(value):
            _flatten(f"{key}.{part.name}", getattr(value, part.name), values)
    elif isinstance(value, Mapping) and value:
        for name, inner in value.items():
            _flatten(f"{key}.{name}", inner, values)
    elif not isinstance(value, Mapping):
        values[key] = without_password(value) if isinstance(value, str) else value
