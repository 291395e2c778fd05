"""Leak probe of one member of a kind, or of a user's file."""

from __future__ import annotations

import importlib.util
import inspect
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium import plugin, registry
from podium.arrays import Floats
from podium.dataset import Dataset
from podium.errors import DataError, NotFoundError, PodiumError, UsageError, suggest
from podium.samples import HasSamples, Samples
from podium.space import Choice, ConfigDict, Space
from podium.split import Fold, Split
from podium.steps.data.bars import slot_data
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData, view_of
from podium.testing import series
from podium.testing.leak import (
    BlindError,
    Compute,
    Leak,
    Sight,
    awaiting,
    examine,
    fitted_anew,
    probe_split,
)
from podium.testing.splitters import cohort, compared_by, copied, two_files
from podium.trial import BUDGET
from podium.view import View, arguments, trailing_mean

# Kinds that can be probed, and the names that a file of each kind must define.
KINDS: Mapping[str, tuple[str, ...]] = {
    "families": ("FAMILY",),
    "features": ("compute",),
    "splitters": ("split",),
    "signals": ("weights",),
    "targets": ("increments", "aggregate"),
}
SINGULAR = {"families": "family"} | {k: k[:-1] for k in KINDS if k != "families"}
# Bars before and after the last past bar; fewer for a family, which is fitted a dozen times.
BEFORE, AFTER = 1000, 250
FIT_BEFORE, FIT_AFTER = 200, 60
FEWEST = 30
EPOCHS = 2
# Columns of a target: its increments, their aggregate over the last bars, its level.
TARGET_COLUMNS = ("increments", "past", "level")
# Values of a splitter's parameters without a default.
ARGUMENTS: Mapping[str, Any] = {"folds": 3, "fraction": 0.25}


@dataclass(frozen=True)
class ProbeResult:
    """Result of the leak probe of one member.

    Parameters
    ----------
    what, kind : str
        Name or file, and the kind in the singular.
    data : str
        Name of the probed data.
    seeds : int
        Random changes of the data until a leak was found; blind ones do not count.
    sight : str
        Evidence that the probe is sensitive.
    blind : tuple of str
        Columns that do not depend on the past, so that the probe shows nothing about them.
    leak : Leak or None
        Its bar is counted from the first bar of the data.
    time, column : str
        Time and column name of the leak; empty without one.
    """

    what: str
    kind: str
    data: str
    seeds: int
    sight: str
    blind: tuple[str, ...] = ()
    leak: Leak | None = None
    time: str = ""
    column: str = ""


@dataclass(frozen=True)
class _Member:
    """A probed member: its name or file, kind, module, and arguments after its name."""

    what: str
    kind: str
    module: ModuleType
    given: list[str]

    def guarded(self, work: Callable[[], Any]) -> Any:
        """Result of the member's code; an error becomes a DataError."""
        return _guarded(self.what, self.module, work)


@dataclass(frozen=True, eq=False)
class _ProbeData:
    """Bars to probe on, and the view of them."""

    name: str
    dataset: Dataset
    view_of: Callable[[Dataset], View]
    horizon: int
    synthetic: bool = False


def leak(
    project: Project | None,
    what: str,
    *,
    slot: str | None = None,
    at: int | None = None,
    seeds: int = 3,
) -> list[ProbeResult]:
    """Probe a family, feature, splitter, signal or target.

    The data are the bars of the project's slot before its sealed test, or synthetic bars. Each seed
    changes past and future at random, at a random bar unless ``at`` is given.

    Parameters
    ----------
    project : Project or None
        None outside a project.
    what : str
        A name, with its kind in front where several kinds have it (``features/log_return``), and
        after colons the arguments of a feature (``log_volatility:21``); or the path of a Python
        file.
    at : int, optional
        Last bar of the past, counted from the first bar of the data.
    seeds : int, >= 1

    Returns
    -------
    list of ProbeResult
        One for each kind that the file defines.

    Raises
    ------
    NotFoundError
        No such member, no such file, no such slot.
    UsageError
        The name is ambiguous, the file defines no member of a kind, ``at`` has too few bars on one
        side.
    BlindError
        The output does not depend on the past, so the probe is not sensitive.
    DataError
        The member's code fails, or does not return one row per bar.
    """
    if seeds < 1:
        raise UsageError(f"seeds is {seeds}", "at least 1")
    members = list(_members(what))
    data = _probe_data(project, slot)
    return [_probe(member, data, at, seeds) for member in members]


def probe_member(data: SlotData, what: str, seeds: int) -> ProbeResult:
    """Probe one named member on a slot's bars before its test; arguments and errors as `leak`."""
    [member] = _members(what)
    return _probe(member, _probe_data_of(data), None, seeds)


def _members(what: str) -> Iterator[_Member]:
    """Members with a name, or in a file."""
    # A path may have colons before its suffix.
    file = re.fullmatch(r"(.*\.py)((?::[^:/]+)*)", what)
    bare, *given = (file[1], *file[2].split(":")[1:]) if file else what.split(":")
    if bare.endswith(".py"):
        module = _file(Path(bare))
        kinds = [kind for kind, needs in KINDS.items() if all(hasattr(module, n) for n in needs)]
        if not kinds:
            raise UsageError(
                f"{bare} defines no member that can be probed",
                "; ".join(f"{SINGULAR[k]}: {' and '.join(n)}" for k, n in KINDS.items()),
            )
        yield from (_Member(what, kind, module, given) for kind in kinds)
        return
    before, _, name = bare.rpartition("/")
    plurals = {**{k: k for k in KINDS}, **{one: k for k, one in SINGULAR.items()}}
    if before and before not in plurals:
        raise UsageError(f"'{bare}' has an unknown kind, '{before}'", fix=suggest(before, KINDS))
    candidates = [plurals[before]] if before else list(KINDS)
    matches = [kind for kind in candidates if registry.exists(kind, name)]
    if not matches:
        names = {known for kind in candidates for known in registry.names(kind)}
        raise NotFoundError(
            f"no {', '.join(SINGULAR[k] for k in candidates[:-1])}"
            f"{' or ' if len(candidates) > 1 else ''}{SINGULAR[candidates[-1]]} '{name}'",
            "a name, or the path of a .py file",
            suggest(name, names),
        )
    if len(matches) > 1:
        raise UsageError(
            f"'{name}' is the name of several members",
            " or ".join(f"{kind}/{name}" for kind in matches),
        )
    if given and matches[0] != "features":
        raise UsageError(f"'{what}' has arguments, and a {SINGULAR[matches[0]]} takes none", name)
    module = registry.load(matches[0], name)
    if not all(hasattr(module, need) for need in KINDS[matches[0]]):
        raise UsageError(
            f"{SINGULAR[matches[0]]} '{name}' works on samples, not on bars",
            "a member that takes bars",
            "test a classifier with podium.testing.families.check_family",
        )
    yield _Member(what, matches[0], module, given)


def _file(path: Path) -> ModuleType:
    """Module of a user's file, loaded under a separate name."""
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", "a Python file")
    if path.suffix != ".py":
        raise UsageError(f"{path} is not a Python file")
    name = f"podium_probed_{path.stem}"
    loader = plugin.Fresh(name, str(path.absolute()))
    spec = importlib.util.spec_from_file_location(name, path.absolute(), loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    _guarded(str(path), module, partial(loader.exec_module, module))
    return module


def _guarded(what: str, module: ModuleType, work: Callable[[], Any]) -> Any:
    """Result of a member's code; an error becomes a DataError with the line in its file."""
    try:
        return work()
    except PodiumError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == module.__file__]
        last = (own or frames)[-1]
        line, where, message = last.lineno, Path(last.filename).name, str(error)
        if isinstance(error, SyntaxError):
            line, where, message = error.lineno, Path(str(error.filename)).name, error.msg
        raise DataError(
            f"{what} fails in {where} line {line}: {type(error).__name__}: {message}",
            "code that runs on these bars and on any other valid ones",
        ) from error


def _probe_data(project: Project | None, slot: str | None) -> _ProbeData:
    if project is None or (slot is None and not project.config.slots):
        length = 2 * (BEFORE + AFTER)
        return _ProbeData("synthetic bars", series.bars(length), series.view, 1, synthetic=True)
    name = project.default_slot(slot)
    return _probe_data_of(slot_data(project.config, name, say=project.reporter.say))


def _probe_data_of(data: SlotData) -> _ProbeData:
    # The probe must not read the sealed test.
    before, view = data.dataset.slice(0, data.test_start), partial(view_of, section=data.section)
    return _ProbeData(f"{data.slot} before its test", before, view, data.section.horizon)


def _probe(member: _Member, data: _ProbeData, at: int | None, seeds: int) -> ProbeResult:
    if member.kind == "splitters":
        if at is not None:
            raise UsageError("--at has no meaning for a splitter", "no --at")
        return _probe_splitter(member, data, seeds)
    sights: list[Sight] = []
    refused: BlindError | None = None
    start = 0
    if at is None:
        # Each kind of publication is probed once.
        seeds = max(seeds, len(awaiting(data.dataset)))
    for seed in range(seeds):
        part, here, start = _part(data, member.kind, at, seed)
        try:
            sights.append(_probe_seed(member, data, part, here, seed))
        except BlindError as error:
            # One config of a family may be constant; the probe fails if all are.
            refused = error
            continue
        if sights[-1].leak:
            break
    kind, tickers = SINGULAR[member.kind], data.dataset.tickers
    if not sights:
        raise BlindError(
            f"{member.what}: {refused.problems[0].found if refused else 'the probe is blind'}",
            f"a {kind} that depends on the bars before it",
            "probe at a later bar (--at), after the warm-up",
        )
    columns, leak = sights[-1].columns, sights[-1].leak
    blind = set(columns).intersection(*(sight.blind for sight in sights))
    sight = f"changing the past moves {len(columns) - len(blind)} of {len(columns)} columns"
    result = ProbeResult(member.what, kind, data.name, len(sights), sight)
    if leak is None:
        names = (_column(member.kind, column, tickers) for column in sorted(blind))
        return replace(result, blind=tuple(names))
    leak = replace(leak, bar=leak.bar + start)
    column = _column(member.kind, leak.column, tickers)
    return replace(result, leak=leak, time=str(data.dataset.times[leak.bar]), column=column)


def _probe_seed(member: _Member, data: _ProbeData, part: Dataset, at: int, seed: int) -> Sight:
    """Probe with one seed."""
    if member.kind == "families":
        family = registry.new_family(member.module, member.what)
        seen = data.view_of(part)
        bars = at - data.horizon - seen.first_bar
        if bars < FEWEST:
            raise UsageError(
                f"bar {at} leaves {max(0, bars)} bars to train on",
                f"at least {FEWEST}",
                "probe at a later bar",
            )
        config = _small_config(member.guarded(partial(family.space, seen)), seed)
        compute = fitted_anew(family, config, part, at, data.view_of, seed)
    else:
        compute = _compute(member, data.horizon)

    def checked(dataset: Dataset) -> NDArray[Any]:
        output = np.asarray(member.guarded(lambda: compute(dataset)))
        if output.ndim < 1 or len(output) != len(dataset):
            raise DataError(
                f"{member.what} returns shape {output.shape} for {len(dataset)} bars of "
                f"{len(dataset.tickers)} tickers",
                "one row per bar",
            )
        return output

    return examine(checked, part, at, seed=seed)


def _compute(member: _Member, horizon: int) -> Compute:
    """Function from bars to the output of a member."""
    module = member.module
    if member.kind == "features":
        taken = arguments(member.what.partition(":")[0], member.given, module.compute)
        return lambda dataset: module.compute(dataset, *taken)
    if member.kind == "signals":
        return lambda dataset: module.weights(_forecast(dataset))

    def known(dataset: Dataset) -> NDArray[Any]:
        increments = np.asarray(module.increments(dataset), dtype=np.float64)
        columns = [increments, module.aggregate(trailing_mean(increments, horizon), horizon)]
        if hasattr(module, "level"):
            columns.append(module.level(dataset))
        return np.stack(columns, axis=-1)

    return known


def _forecast(dataset: Dataset) -> Floats:
    """A causal forecast for signals, of both signs, missing where the volume fell."""
    moved = np.log(dataset["close"] / dataset["open"])
    rose = np.ones(moved.shape, dtype=bool)
    rose[1:] = dataset["volume"][1:] >= dataset["volume"][:-1]
    return np.where(rose, moved, np.nan)


def _small_config(space: Space, seed: int) -> ConfigDict:
    """A config that is fast to fit: the smallest of the space for seed 0, else a random one."""
    if seed:
        config = space.sample(seed)
    else:
        first = {
            name: one.options[0] if isinstance(one, Choice) else one.low
            for name, one in space.parameters.items()
        }
        config = space.complete(first)
    return {**config, BUDGET: EPOCHS} if BUDGET in config else config


def _part(data: _ProbeData, kind: str, at: int | None, seed: int) -> tuple[Dataset, int, int]:
    """Bars around the last past bar, its place in them, and the start of them."""
    length = len(data.dataset)
    before, after = BEFORE, AFTER
    first = 0
    if kind == "families":
        # Its windows need the warm-up of the features before the training bars.
        first = data.view_of(data.dataset).first_bar + data.horizon
        before, after = FIT_BEFORE + first, FIT_AFTER + data.horizon
    rng = np.random.default_rng(seed)
    # A random offset, for members that cut the rows into blocks.
    before += int(rng.integers(50))
    if at is None:
        low = min(before, max(length // 2, first + FEWEST))
        high = max(low + 1, length - after)
        kinds = awaiting(data.dataset)
        waiting = kinds[seed % len(kinds)] if kinds else np.zeros(0, dtype=np.int64)
        waiting = waiting[(waiting >= low) & (waiting < high)]
        at = int(rng.choice(waiting) if len(waiting) else rng.integers(low, high))
    if not 0 < at < length - 1:
        raise UsageError(f"bar {at} of {data.name}", f"a bar from 1 to {length - 2} of {length}")
    start = max(0, at - before)
    return data.dataset.slice(start, min(length, at + after + 1)), at - start, start


def _column(kind: str, column: tuple[int, ...], tickers: tuple[str, ...]) -> str:
    """Name of a column: its ticker, and its place among the ticker's columns."""
    if not column:
        return "the whole row"
    ticker, *inner = column
    name = tickers[ticker] if ticker < len(tickers) else str(ticker)
    if kind == "targets" and inner:
        return f"{name}/{TARGET_COLUMNS[inner[0]]}"
    return "/".join([name, *map(str, inner)])


def _probe_splitter(member: _Member, data: _ProbeData, seeds: int) -> ProbeResult:
    """Probe a splitter on the slot's bars and on synthetic bars of other horizons."""
    what, module = member.what, member.module
    names: list[str] = []
    sight = ""
    for name, source in _split_data(module, data, seeds):
        split: Split = member.guarded(partial(module.split, source, **_arguments(what, module)))
        samples = compared_by(split, source.samples())
        ordered = bool(getattr(module, "ORDERED", split.ordered))
        names.append(name)
        result = ProbeResult(what, "splitter", "; ".join(names), len(names), sight)
        leak = probe_split(split, samples=samples, ordered=ordered)
        if leak is not None:
            times = () if samples.times is None else samples.times
            time = str(times[leak.bar]) if leak.bar < len(times) else ""
            return replace(result, leak=leak, time=time, column=f"fold {leak.column[0]}")
        # A validation sample that is planted in training must be detected.
        planted = [probe_split(s, samples=samples, ordered=ordered) for s in _planted(split)]
        caught = sum(one is not None for one in planted)
        if caught < len(split.folds):
            raise BlindError(
                f"{what}: the probe is blind: {caught} of {len(split.folds)} planted leaks detected"
            )
        sight = f"a leak planted in each of {len(split.folds)} folds is detected"
    return replace(result, sight=sight)


def _split_data(
    module: ModuleType, data: _ProbeData, seeds: int
) -> Iterator[tuple[str, HasSamples]]:
    apart = getattr(module, "APART", "")
    made: dict[str, Callable[..., Samples]] = {
        "groups": cohort, "sources": two_files, "contents": copied,
    }  # fmt: skip
    for seed in range(seeds):
        if apart in made:
            yield f"synthetic {apart}", made[apart](seed=seed)
        elif seed == 0 and not data.synthetic:
            yield data.name, data.view_of(data.dataset)
        else:
            rng = np.random.default_rng(seed)
            horizon, window = int(rng.integers(1, 20)), int(rng.integers(2, 20))
            bars = series.bars(420, seed=seed)
            view = series.view(bars, horizon=horizon, window=window)
            yield f"synthetic bars, horizon {horizon}, window {window}", view


def _arguments(what: str, module: ModuleType) -> dict[str, Any]:
    """A value for every parameter of a splitter that has no default."""
    parameters = list(inspect.signature(module.split).parameters.values())[1:]
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    strange = [name for name in needed if name not in ARGUMENTS]
    if strange:
        raise UsageError(
            f"{what} requires {', '.join(strange)}",
            f"defaults for all parameters but {' and '.join(ARGUMENTS)}",
        )
    return {name: ARGUMENTS[name] for name in needed}


def _planted(split: Split) -> Iterator[Split]:
    """The split once per fold, with a validation sample in the training of that fold."""
    for place, fold in enumerate(split.folds):
        leaking = Fold(fold.number, np.union1d(fold.train, fold.validation[:1]), fold.validation)
        folds = (*split.folds[:place], leaking, *split.folds[place + 1 :])
        yield replace(split, folds=folds, paths=())
