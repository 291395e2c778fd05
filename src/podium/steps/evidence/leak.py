"""Probe one member of a kind, or a file of a user's own, for knowledge of the future."""

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
from numpy.lib.stride_tricks import sliding_window_view
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
from podium.view import View, arguments

# What can be probed, and the names a file of that kind must define.
KINDS: Mapping[str, tuple[str, ...]] = {
    "families": ("FAMILY",),
    "features": ("compute",),
    "splitters": ("split",),
    "signals": ("weights",),
    "targets": ("increments", "aggregate"),
}
SINGULAR = {"families": "family"} | {k: k[:-1] for k in KINDS if k != "families"}
# Bars before and after the bar that divides past from future; a family is fitted a dozen times.
BEFORE, AFTER = 1000, 250
FIT_BEFORE, FIT_AFTER = 200, 60
FEWEST = 30
EPOCHS = 2
# What a target makes of bars: its increments, their aggregate over the last bars, its level.
TARGET_COLUMNS = ("increments", "past", "level")
# For what a splitter must be told and has no default for.
ARGUMENTS: Mapping[str, Any] = {"folds": 3, "fraction": 0.25}


@dataclass(frozen=True)
class Probed:
    """What the probe saw of one member.

    Parameters
    ----------
    what, kind : str
        Name or file, and the kind in the singular.
    data : str
        What it was probed on.
    seeds : int
        Random rewritings that were tried until a leak was found; blind ones do not count.
    sight : str
        How it was shown that the probe can see.
    blind : tuple of str
        Columns that the past does not move: of them nothing was shown.
    leak : Leak or None
        Its bar counted from the first bar of the data.
    time, column : str
        Of the leak, by name; empty without one.
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
    """What is probed: its name or file, kind, module, and what follows its name."""

    what: str
    kind: str
    module: ModuleType
    given: list[str]

    def guarded(self, work: Callable[[], Any]) -> Any:
        """Result of the member's code; its errors become one sentence."""
        return _guarded(self.what, self.module, work)


@dataclass(frozen=True, eq=False)
class _ProbeData:
    """Bars to probe on, and the task they are seen through."""

    name: str
    dataset: Dataset
    view_of: Callable[[Dataset], View]
    horizon: int
    synthetic: bool


def leak(
    project: Project | None,
    what: str,
    *,
    slot: str | None = None,
    at: int | None = None,
    seeds: int = 3,
) -> list[Probed]:
    """Probe a family, feature, splitter, signal or target.

    Probed on the bars of the project's slot before its sealed test, else on synthetic bars. Every
    seed rewrites the past and the future in its own way, at a bar of its own unless ``at`` is
    given.

    Parameters
    ----------
    project : Project or None
        None outside of a project.
    what : str
        A name, with the kind in front where several kinds have it (``features/log_return``), and
        after colons what a feature takes (``log_volatility:21``); or the path of a Python file.
    at : int, optional
        Last bar that counts as past, counted from the first bar of the data.
    seeds : int, >= 1

    Returns
    -------
    list of Probed
        One for each kind of member that the file is.

    Raises
    ------
    NotFoundError
        No such member, no such file, no such slot.
    UsageError
        The name is ambiguous, the file defines nothing that can be probed, ``at`` has too few bars
        on a side of it.
    BlindError
        Changing the past moves nothing, so nothing could be shown about the future.
    DataError
        The file's own code fails, or gives something that has not one row a bar.
    """
    if seeds < 1:
        raise UsageError(f"seeds is {seeds}", "at least 1")
    members = list(_members(what))
    ground = _ground(project, slot)
    return [_probed(member, ground, at, seeds) for member in members]


def probed(data: SlotData, what: str, seeds: int) -> Probed:
    """Probe one named member on a slot's bars before its test; arguments and errors as `leak`."""
    [member] = _members(what)
    return _probed(member, _ground_of(data), None, seeds)


def _members(what: str) -> Iterator[_Member]:
    """Everything that is meant."""
    # A path may hold colons of its own, before its ending.
    file = re.fullmatch(r"(.*\.py)((?::[^:/]+)*)", what)
    bare, *given = (file[1], *file[2].split(":")[1:]) if file else what.split(":")
    if bare.endswith(".py"):
        module = _file(Path(bare))
        kinds = [kind for kind, needs in KINDS.items() if all(hasattr(module, n) for n in needs)]
        if not kinds:
            raise UsageError(
                f"{bare} defines nothing that can be probed",
                "; ".join(f"{SINGULAR[k]}: {' and '.join(n)}" for k, n in KINDS.items()),
            )
        yield from (_Member(what, kind, module, given) for kind in kinds)
        return
    before, _, name = bare.rpartition("/")
    plurals = {**{k: k for k in KINDS}, **{one: k for k, one in SINGULAR.items()}}
    if before and before not in plurals:
        raise UsageError(f"'{bare}' names the kind '{before}'", fix=suggest(before, KINDS))
    asked = [plurals[before]] if before else list(KINDS)
    found = [kind for kind in asked if registry.exists(kind, name)]
    if not found:
        names = {known for kind in asked for known in registry.names(kind)}
        raise NotFoundError(
            f"no {', '.join(SINGULAR[k] for k in asked[:-1])}"
            f"{' or ' if len(asked) > 1 else ''}{SINGULAR[asked[-1]]} '{name}'",
            "a name, or the path of a .py file",
            suggest(name, names),
        )
    if len(found) > 1:
        raise UsageError(
            f"'{name}' is the name of several things",
            " or ".join(f"{kind}/{name}" for kind in found),
        )
    if given and found[0] != "features":
        raise UsageError(f"'{what}' says more than the name of a {SINGULAR[found[0]]}", name)
    module = registry.load(found[0], name)
    if not all(hasattr(module, need) for need in KINDS[found[0]]):
        raise UsageError(
            f"{SINGULAR[found[0]]} '{name}' works on samples, not on bars",
            "a member that is given bars, of which some lie in the future",
            "test a classifier with podium.testing.families.check_family",
        )
    yield _Member(what, found[0], module, given)


def _file(path: Path) -> ModuleType:
    """Module of a user's file, run under a name of its own."""
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
    """Result of a member's code; what it raises becomes one sentence with the line in its file."""
    try:
        return work()
    except PodiumError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == module.__file__]
        last = (own or frames)[-1]
        line, where, told = last.lineno, Path(last.filename).name, str(error)
        if isinstance(error, SyntaxError):
            line, where, told = error.lineno, Path(str(error.filename)).name, error.msg
        raise DataError(
            f"{what} fails in {where} line {line}: {type(error).__name__}: {told}",
            "code that runs on these bars and on any other possible ones",
        ) from error


def _ground(project: Project | None, slot: str | None) -> _ProbeData:
    if project is None or (slot is None and not project.config.slots):
        length = 2 * (BEFORE + AFTER)
        return _ProbeData("synthetic bars", series.bars(length), series.view, 1, synthetic=True)
    name = project.default_slot(slot)
    return _ground_of(slot_data(project.config, name, say=project.reporter.say))


def _ground_of(data: SlotData) -> _ProbeData:
    # What lies in the sealed test is nobody's business here.
    return _ProbeData(
        f"{data.slot} before its test",
        data.dataset.slice(0, data.test_start),
        partial(view_of, section=data.section),
        data.section.horizon,
        synthetic=False,
    )


def _probed(member: _Member, ground: _ProbeData, at: int | None, seeds: int) -> Probed:
    if member.kind == "splitters":
        if at is not None:
            raise UsageError("a split is not probed at a bar", "no --at")
        return _split_probed(member, ground, seeds)
    sights: list[Sight] = []
    refused: BlindError | None = None
    start = 0
    if at is None:
        # Each kind of publication is looked at once.
        seeds = max(seeds, len(awaiting(ground.dataset)))
    for seed in range(seeds):
        part, here, start = _part(ground, member.kind, at, seed)
        try:
            sights.append(_look(member, ground, part, here, seed))
        except BlindError as error:
            # One config of a family may be a constant; all of them blind is another matter.
            refused = error
            continue
        if sights[-1].leak:
            break
    kind, tickers = SINGULAR[member.kind], ground.dataset.tickers
    if not sights:
        raise BlindError(
            f"{member.what}: {refused.problems[0].found if refused else 'the probe is blind'}",
            f"a {kind} that depends on the bars before it: of one that does not, nothing "
            "can be shown",
            "probe at a later bar (--at), after the warm-up",
        )
    columns, found = sights[-1].columns, sights[-1].leak
    blind = set(columns).intersection(*(sight.blind for sight in sights))
    sight = f"changing the past moves {len(columns) - len(blind)} of {len(columns)} columns"
    probed = Probed(member.what, kind, ground.name, len(sights), sight)
    if found is None:
        names = (_column(member.kind, column, tickers) for column in sorted(blind))
        return replace(probed, blind=tuple(names))
    found = replace(found, bar=found.bar + start)
    return replace(
        probed,
        leak=found,
        time=str(ground.dataset.times[found.bar]),
        column=_column(member.kind, found.column, tickers),
    )


def _look(member: _Member, ground: _ProbeData, part: Dataset, at: int, seed: int) -> Sight:
    """Sight of one seed."""
    if member.kind == "families":
        family = registry.new_family(member.module, member.what)
        seen = ground.view_of(part)
        bars = at - ground.horizon - seen.first_bar
        if bars < FEWEST:
            raise UsageError(
                f"bar {at} leaves {max(0, bars)} bars to train on",
                f"at least {FEWEST}",
                "probe at a later bar",
            )
        config = _small(member.guarded(partial(family.space, seen)), seed)
        compute = fitted_anew(family, config, part, at, ground.view_of, seed)
    else:
        compute = _compute(member, ground.horizon)

    def checked(dataset: Dataset) -> NDArray[Any]:
        found = np.asarray(member.guarded(lambda: compute(dataset)))
        if found.ndim < 1 or len(found) != len(dataset):
            raise DataError(
                f"{member.what} gives shape {found.shape} for {len(dataset)} bars of "
                f"{len(dataset.tickers)} tickers",
                "one row a bar",
            )
        return found

    return examine(checked, part, at, seed=seed)


def _compute(member: _Member, horizon: int) -> Compute:
    """Function from bars to what a member makes of each."""
    module = member.module
    if member.kind == "features":
        taken = arguments(member.what.partition(":")[0], member.given, module.compute)
        return lambda dataset: module.compute(dataset, *taken)
    if member.kind == "signals":
        return lambda dataset: module.weights(_forecast(dataset))

    def known(dataset: Dataset) -> NDArray[Any]:
        increments = np.asarray(module.increments(dataset))
        means = np.full(increments.shape, np.nan)
        if len(increments) >= horizon:
            windows = sliding_window_view(increments, horizon, axis=0)
            means[horizon - 1 :] = windows.mean(axis=-1)
        columns = [increments, module.aggregate(means, horizon)]
        if hasattr(module, "level"):
            columns.append(module.level(dataset))
        return np.stack(columns, axis=-1)

    return known


def _forecast(dataset: Dataset) -> Floats:
    """A forecast that signals can weigh: causal, of both signs, and missing where volume fell."""
    moved = np.log(dataset["close"] / dataset["open"])
    rose = np.ones(moved.shape, dtype=bool)
    rose[1:] = dataset["volume"][1:] >= dataset["volume"][:-1]
    return np.where(rose, moved, np.nan)


def _small(space: Space, seed: int) -> ConfigDict:
    """A config that is fitted quickly: at first the smallest of the space, then drawn ones."""
    if seed:
        config = space.sample(seed)
    else:
        first = {
            name: one.options[0] if isinstance(one, Choice) else one.low
            for name, one in space.parameters.items()
        }
        config = space.complete(first)
    return {**config, BUDGET: EPOCHS} if BUDGET in config else config


def _part(ground: _ProbeData, kind: str, at: int | None, seed: int) -> tuple[Dataset, int, int]:
    """Bars around the bar between past and future, its place in them, and where they begin."""
    length = len(ground.dataset)
    before, after = BEFORE, AFTER
    first = 0
    if kind == "families":
        # Its windows need the warm-up of the features on top of what it trains on.
        first = ground.view_of(ground.dataset).first_bar + ground.horizon
        before, after = FIT_BEFORE + first, FIT_AFTER + ground.horizon
    rng = np.random.default_rng(seed)
    # What is cut into blocks by row number is not always to be met at the same place of a block.
    before += int(rng.integers(50))
    if at is None:
        low = min(before, max(length // 2, first + FEWEST))
        high = max(low + 1, length - after)
        kinds = awaiting(ground.dataset)
        waiting = kinds[seed % len(kinds)] if kinds else np.zeros(0, dtype=np.int64)
        waiting = waiting[(waiting >= low) & (waiting < high)]
        at = int(rng.choice(waiting) if len(waiting) else rng.integers(low, high))
    if not 0 < at < length - 1:
        raise UsageError(
            f"bar {at} of {ground.name}", f"a bar from 1 to {length - 2}: there are {length}"
        )
    start = max(0, at - before)
    return ground.dataset.slice(start, min(length, at + after + 1)), at - start, start


def _column(kind: str, column: tuple[int, ...], tickers: tuple[str, ...]) -> str:
    """Name of a column: its ticker, and which of the ticker's columns it is."""
    if not column:
        return "the whole row"
    ticker, *inner = column
    name = tickers[ticker] if ticker < len(tickers) else str(ticker)
    if kind == "targets" and inner:
        return f"{name}/{TARGET_COLUMNS[inner[0]]}"
    return "/".join([name, *map(str, inner)])


def _split_probed(member: _Member, ground: _ProbeData, seeds: int) -> Probed:
    """A splitter: what it keeps apart, for the slot's own bars and for other horizons."""
    what, module = member.what, member.module
    names: list[str] = []
    sight = ""
    for name, data in _split_data(module, ground, seeds):
        split: Split = member.guarded(partial(module.split, data, **_arguments(what, module)))
        samples = compared_by(split, data.samples())
        ordered = bool(getattr(module, "ORDERED", split.ordered))
        names.append(name)
        seen = Probed(what, "splitter", "; ".join(names), len(names), sight)
        found = probe_split(split, samples=samples, ordered=ordered)
        if found is not None:
            times = () if samples.times is None else samples.times
            time = str(times[found.bar]) if found.bar < len(times) else ""
            return replace(seen, leak=found, time=time, column=f"fold {found.column[0]}")
        # The past of a split is what it validates: put into training it must be seen.
        planted = [probe_split(s, samples=samples, ordered=ordered) for s in _planted(split)]
        caught = sum(leak is not None for leak in planted)
        if caught < len(split.folds):
            raise BlindError(
                f"{what}: the probe is blind: of {len(split.folds)} planted leaks it saw {caught}"
            )
        sight = f"a leak planted in each of {len(split.folds)} folds is seen"
    return replace(seen, sight=sight)


def _split_data(
    module: ModuleType, ground: _ProbeData, seeds: int
) -> Iterator[tuple[str, HasSamples]]:
    apart = getattr(module, "APART", "")
    made: dict[str, Callable[..., Samples]] = {
        "groups": cohort, "sources": two_files, "contents": copied,
    }  # fmt: skip
    for seed in range(seeds):
        if apart in made:
            yield f"synthetic {apart}", made[apart](seed=seed)
        elif seed == 0 and not ground.synthetic:
            yield ground.name, ground.view_of(ground.dataset)
        else:
            rng = np.random.default_rng(seed)
            horizon, window = int(rng.integers(1, 20)), int(rng.integers(2, 20))
            bars = series.bars(420, seed=seed)
            yield (
                f"synthetic bars, horizon {horizon}, window {window}",
                series.view(bars, horizon=horizon, window=window),
            )


def _arguments(what: str, module: ModuleType) -> dict[str, Any]:
    """A value for every parameter of a splitter that has no default."""
    parameters = list(inspect.signature(module.split).parameters.values())[1:]
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    strange = [name for name in needed if name not in ARGUMENTS]
    if strange:
        raise UsageError(
            f"{what} must be told {', '.join(strange)}",
            f"defaults for all parameters but {' and '.join(ARGUMENTS)}",
        )
    return {name: ARGUMENTS[name] for name in needed}


def _planted(split: Split) -> Iterator[Split]:
    """The split once for each fold, with a validation sample among what that fold trains on."""
    for place, fold in enumerate(split.folds):
        leaking = Fold(fold.number, np.union1d(fold.train, fold.validation[:1]), fold.validation)
        yield replace(
            split, folds=(*split.folds[:place], leaking, *split.folds[place + 1 :]), paths=()
        )
