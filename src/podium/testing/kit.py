"""Conformance kits: one ``check_...`` a contract; each raises AssertionError with what broke it.

A package that adds a member calls the check of its kind from a test of its own::

    def test_my_family_keeps_the_contract(tmp_path):
        check_family(FAMILY, tmp_path)

podium's own tests call them for every file in the kind's folder.
"""

from __future__ import annotations

import ast
import copy
import inspect
import io
import itertools
import json
import math
import os
import pickletools
import signal
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from zlib import crc32

import numpy as np

from podium.dataset import Dataset, Floats
from podium.decision import Result, Verdict
from podium.errors import DataError, UsageError
from podium.evidence import Evidence, Scalar
from podium.families._base import Family, Model
from podium.gates._base import verdict
from podium.hashing import canonical
from podium.prediction import Prediction
from podium.runners._base import Runner
from podium.searches._base import Search
from podium.space import Choice, ConfigDict, Float, Int, Space
from podium.split import Fold, Indices, Split, Windows
from podium.testing import fakes
from podium.testing.leak import probe, probe_family, probe_split
from podium.testing.series import bars, planted, view
from podium.trial import BUDGET, Ended, Epoch, Fitted, Job, State, Task
from podium.view import View

SEED = 11
EPOCHS = 2
# What torch's own weights-only loader accepts in a checkpoint of plain tensors.
PLAIN_GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch Size",
    "torch device",
}
HEADINGS = ("Asks", "Why", "Passes when", "Refuses when", "What to do")
IMPURE = {"datetime", "io", "os", "pathlib", "random", "secrets", "sqlite3", "subprocess", "time"}


# ------------------------------------------------------------------ families


@dataclass(frozen=True, eq=False)
class Case:
    """A small task whose answer is known: the next return follows the last one.

    Parameters
    ----------
    oracle : float
        Mean squared error of the best possible forecast.
    """

    dataset: Dataset
    view: View
    train: Windows
    validation: Windows
    oracle: float

    @classmethod
    def planted(cls, n: int = 160, horizon: int = 1) -> Case:
        """Three tickers; the last quarter of the bars validates."""
        made = planted(n, seed=SEED)
        seen = view(made.dataset, horizon=horizon)
        cut = seen.last_labelled + 1 - n // 4
        return cls(
            made.dataset,
            seen,
            Windows.of(seen, np.arange(seen.first_bar, cut - horizon + 1)),
            Windows.of(seen, np.arange(cut, seen.last_labelled + 1)),
            made.oracle_mse(horizon),
        )


def check_family(family: Family, folder: Path) -> None:
    """Everything a family promises; ``folder`` is an empty one for its files."""
    check_name_and_space(family)
    check_wrong_config_refused(family)
    check_every_window_gets_a_forecast(family)
    check_save_load(family, folder)
    check_same_seed(family)
    check_many_like_one(family)
    check_future_is_ignored(family)
    check_scaler_uses_training_only(family)
    check_tickers_by_name(family)
    check_beats_untrained(family)


def check_name_and_space(family: Family) -> None:
    """It has a name, a whole VERSION, and a space whose draws fit it and can be recorded."""
    _require(bool(family.name), "the family has no name")
    _require(isinstance(family.VERSION, int), "VERSION is no whole number")
    space = family.space(Case.planted().view)
    for seed in range(20):
        found = space.problems(space.sample(seed))
        _require(not found, f"a config drawn from the space does not fit it: {found}")
    _require(space.sample(1) == space.sample(1), "two draws with one seed differ")
    canonical(space.spec())


def check_wrong_config_refused(family: Family) -> None:
    """Unknown, missing and impossible values are refused by name before anything is trained."""
    space = family.space(Case.planted().view)
    good = space.sample(SEED)
    wrong: list[tuple[str, dict[str, object]]] = [("no_such_knob", {**good, "no_such_knob": 1})]
    for name in good:
        wrong.append((name, {k: v for k, v in good.items() if k != name}))
        wrong.append((name, {**good, name: "no such value"}))
        wrong.append((name, {**good, name: math.nan}))
    for name, config in wrong:
        _refused(lambda config=config: space.require(config), name)  # type: ignore[misc]
    _refused(lambda: space.narrowed({"no_such_knob": 1}, "[space] of the kit"), "no_such_knob")


def check_every_window_gets_a_forecast(family: Family) -> None:
    """A finite forecast a window, in the windows' order, and none for no window."""
    case = Case.planted()
    for config in _configs(family, case.view):
        model = _fit(family, config, case.train, case.validation)
        asked = case.validation.blind()
        found = model.predict(asked)
        _same(Prediction.of(asked, found.mean), found, "from the index of the windows asked for")
        unknown = int(np.sum(~np.isfinite(found.mean)))
        _require(not unknown, f"{unknown} of {len(found)} forecasts are not finite ({config})")
        none = model.predict(Windows.of(asked.view, asked.at[:0]))
        _require(len(none) == 0, "no window was asked for, and there is a forecast")


def check_save_load(family: Family, folder: Path) -> None:
    """A model written and read again forecasts the same to the bit; no file holds an object."""
    case = Case.planted()
    for number, config in enumerate(_configs(family, case.view)):
        model = _fit(family, config, case.train, case.validation)
        place = folder / f"model-{number}"
        place.mkdir(parents=True)
        model.save(place)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        _require(bool(files), "save() wrote no file")
        for path in files:
            check_no_pickled_object(path)

        def read(name: str, place: Path = place) -> bytes:
            return (place / name).read_bytes()

        again = family.load(read)
        asked = case.validation.blind()
        _same(model.predict(asked), again.predict(asked), f"after save and load ({config})")
        _require(model.epochs == again.epochs, "the number of epochs is lost on save")


def check_no_pickled_object(path: Path) -> None:
    """No file makes Python build anything but plain tensors when it is opened.

    Every pickle, also inside a zip such as torch's ``.pt`` or numpy's ``.npz``, is read opcode by
    opcode without running it.
    """
    data = path.read_bytes()
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
    else:
        parts = {path.name: data}
    for name, content in parts.items():
        objects = sorted(_pickled_globals(content) - PLAIN_GLOBALS)
        strange = [o for o in objects if not (o.startswith("torch ") and o.endswith("Storage"))]
        _require(not strange, f"{path} ({name}) runs code when it is opened: {strange}")
        header = content[:4096] if content.startswith(b"\x93NUMPY") else b""
        _require(b"'|O'" not in header, f"{path} ({name}) is an array of Python objects")


def check_same_seed(family: Family) -> None:
    """The same seed gives the same forecasts to the bit, whatever was drawn in between."""
    case = Case.planted()
    for config in _configs(family, case.view):
        one = _fit(family, config, case.train, case.validation)
        _fit(family, config, case.train, None, seed=SEED + 1)
        two = _fit(family, config, case.train, case.validation)
        asked = case.validation.blind()
        _same(one.predict(asked), two.predict(asked), f"with the same seed ({config})")


def check_other_seed_differs(family: Family) -> None:
    """Another seed gives another model; only for families that draw random numbers."""
    case = Case.planted()
    config = _configs(family, case.view)[0]
    one, two = (_fit(family, config, case.train, None, seed=SEED + k) for k in (0, 1))
    asked = case.validation.blind()
    _require(
        not np.array_equal(one.predict(asked).mean, two.predict(asked).mean),
        f"two seeds give the same model ({config}), so the seed is not used",
    )


def check_many_like_one(family: Family) -> None:
    """``fit_many`` gives what ``fit`` gives one by one; epochs count up, then comes the model."""
    case = Case.planted()
    configs = _configs(family, case.view)
    configs = [*configs, configs[0]]
    seeds = [SEED + n for n in range(len(configs))]
    models: dict[int, Model] = {}
    epochs: dict[int, int] = dict.fromkeys(range(len(configs)), 0)
    for event in family.fit_many(configs, case.train, case.validation, seeds=seeds):
        _require(event.trial in epochs, f"an event of trial {event.trial}, which was not asked for")
        _require(event.trial not in models, f"trial {event.trial} goes on after its model")
        if isinstance(event, Epoch):
            epochs[event.trial] += 1
            _require(event.epoch == epochs[event.trial], f"epoch {event.epoch} came out of order")
        elif isinstance(event, Fitted):
            _require(event.model is not None, f"trial {event.trial} failed: {event.reason}")
            models[event.trial] = event.model
    _require(sorted(models) == list(range(len(configs))), "fit_many gave not one model a config")
    asked = case.validation.blind()
    for n, (config, seed) in enumerate(zip(configs, seeds, strict=True)):
        alone = _fit(family, config, case.train, case.validation, seed=seed)
        _same(alone.predict(asked), models[n].predict(asked), f"one by one ({config})")


def check_future_is_ignored(family: Family) -> None:
    """Forecasts up to a bar do not move by a bit when everything after it does.

    First shown on a fitted model, with what it is given replaced by other numbers and by NaN; then
    on the bars themselves, fitted anew each time. Changing the past must move the forecasts of at
    least one config, else nothing was shown.
    """
    case = Case.planted()
    at = int(case.validation.at[len(case.validation) // 2])
    asked = np.arange(case.view.first_bar, at + 1)
    sighted = 0
    for config in _configs(family, case.view):
        model = _fit(family, config, case.train, None)
        honest = model.predict(Windows.of(case.view.blind(), asked))
        for how, changed in _poisoned(case.view, at):
            found = model.predict(Windows.of(changed, asked))
            _same(honest, found, f"although only bars after the decision were {how} ({config})")
        past = replace(
            case.view,
            features=case.view.features * np.float32(3),
            increments=case.view.increments * 3,
            past=case.view.past * 3,
        )
        moved = model.predict(Windows.of(past, asked))
        if np.array_equal(honest.mean, moved.mean):
            continue
        sighted += 1
        found_leak = probe_family(family, config, case.dataset, at, view_of=view)
        _require(found_leak is None, f"the family reads the future ({config}): {found_leak}")
    _require(sighted > 0, "no config's forecasts depend on the past: nothing can be shown")


def check_scaler_uses_training_only(family: Family) -> None:
    """A model fitted without validation does not know what comes after its training windows.

    Features, increments and targets after the last training label are multiplied by 50: a scaler
    fitted on more than the training windows moves, and the forecasts with it.
    """
    case = Case.planted()
    last = int(case.train.at.max()) + case.view.horizon
    asked = case.train.blind()
    for config in _configs(family, case.view):
        honest = _fit(family, config, case.train, None).predict(asked)
        for how, changed in _poisoned(case.view, last):
            train = Windows(changed, case.train.item, case.train.at)
            found = _fit(family, config, train, None).predict(asked)
            _same(honest, found, f"although only later bars than training's were {how} ({config})")


def check_tickers_by_name(family: Family) -> None:
    """A dataset with its tickers in another order gets the same forecasts by name, to 1e-6."""
    case = Case.planted()
    turned = view(case.dataset.select(case.dataset.tickers[::-1]))
    bars_asked = np.unique(case.validation.at)
    scale = float(np.std(case.train.truth()))
    for config in _configs(family, case.view):
        model = _fit(family, config, case.train, case.validation)
        one, other = (
            model.predict(Windows.of(seen.blind(), bars_asked)).grid(seen.times, case.view.tickers)
            for seen in (case.view, turned)
        )
        _require(
            np.allclose(one, other, rtol=1e-6, atol=1e-6 * scale, equal_nan=True),
            f"another order of the tickers gives other forecasts ({config})",
        )


def check_beats_untrained(family: Family, *, share: float = 0.5, tries: int = 6) -> None:
    """On a series with a planted dependence the family finds at least half of what is to be found.

    An untrained model knows no more than the training targets' mean, so that constant forecast is
    the loss to start from; the oracle of :func:`podium.testing.series.planted` is the loss nobody
    can beat. The best of a few configs must close ``share`` of the distance between the two on
    windows it was not fitted on. This holds for a trained network and for a rule without training
    alike: a naive family must have a method that follows the last value.
    """
    case = Case.planted(400)
    truth = case.validation.truth()
    untrained = float(np.mean((truth - np.mean(case.train.truth())) ** 2))
    wanted = untrained - share * (untrained - case.oracle)
    losses = []
    for config in _configs(family, case.view, epochs=12, count=tries):
        model = _fit(family, config, case.train, case.validation)
        losses.append(float(np.mean((truth - model.predict(case.validation.blind()).mean) ** 2)))
        if losses[-1] <= wanted:
            return
    raise AssertionError(
        f"on a series where {untrained:.3g} can be brought down to {case.oracle:.3g}, the best of "
        f"{len(losses)} configs lost {min(losses):.3g}; at most {wanted:.3g} shows that it learns"
    )


def is_iterative(family: Family) -> bool:
    """Whether the family trains in epochs, and so is expected to use its seed."""
    case = Case.planted()
    return _fit(family, _configs(family, case.view)[0], case.train, None).epochs > 0


def _configs(
    family: Family, seen: View, *, epochs: int = EPOCHS, count: int = 2
) -> list[ConfigDict]:
    """The whole grid of a small discrete space, else a few draws; short training."""
    space = family.space(seen)
    if BUDGET in {**space.parameters, **space.constants}:
        space = space.narrowed({BUDGET: epochs}, "the kit")
    options = [len(p.options) for p in space.parameters.values() if isinstance(p, Choice)]
    if len(options) == len(space.parameters) and math.prod(options) <= 32:
        return list(space.grid())
    return [space.sample(seed) for seed in range(count)]


def _fit(
    family: Family,
    config: ConfigDict,
    train: Windows,
    validation: Windows | None,
    *,
    seed: int = SEED,
) -> Model:
    return family.fit(config, train, validation, seed=seed, report=lambda epoch, scores: None)


def _poisoned(seen: View, at: int) -> Iterator[tuple[str, View]]:
    """The view with everything known only after a bar replaced; targets nobody may read at all."""
    rng = np.random.default_rng(SEED)
    known = max(0, at + 1 - seen.horizon)
    for how, factor in (
        ("multiplied by 50", np.float64(50)),
        ("replaced", None),
        ("NaN", np.float64(np.nan)),
    ):

        def after(values: Floats, start: int, factor: np.float64 | None = factor) -> Floats:
            changed = values.copy()
            rest = changed[start:]
            with np.errstate(invalid="ignore"):
                changed[start:] = rng.permutation(rest) + 1 if factor is None else rest * factor
            return changed

        yield (
            how,
            replace(
                seen,
                features=cast("Any", after(cast("Any", seen.features), at + 1)),
                increments=after(seen.increments, at + 1),
                past=after(seen.past, at + 1),
                target=after(seen.target, known),
            ),
        )


def _same(one: Prediction, other: Prediction, when: str) -> None:
    _require(
        np.array_equal(one.item, other.item) and np.array_equal(one.decided_at, other.decided_at),
        f"the forecasts' index differs {when}",
    )
    unlike = np.flatnonzero(
        ~((one.mean == other.mean) | (np.isnan(one.mean) & np.isnan(other.mean)))
    )
    if len(unlike):
        n = int(unlike[0])
        raise AssertionError(
            f"{len(unlike)} of {len(one)} forecasts differ {when}; the first, {one.item[n]} at "
            f"{one.decided_at[n]}: {one.mean[n]!r} and {other.mean[n]!r}"
        )


def _refused(act: Callable[[], object], name: str) -> None:
    try:
        act()
    except UsageError as error:
        _require(name in str(error), f"the refusal does not name '{name}': {error}")
    else:
        raise AssertionError(f"a wrong '{name}' was not refused")


def _pickled_globals(data: bytes) -> set[str]:
    """Every name a pickle would import; empty when the bytes are no pickle."""
    found: set[str] = set()
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("GLOBAL", "INST"):
                found.add(str(argument))
            elif opcode.name == "STACK_GLOBAL":
                found.add(" ".join(texts[-2:]))
            elif isinstance(argument, str):
                texts.append(argument)
    except Exception:  # noqa: BLE001 - whatever is wrong with the bytes, they are no pickle
        return set()
    return found


# ------------------------------------------------------------------ features and targets


def check_feature(compute: Callable[[Dataset], Floats]) -> None:
    """One causal column a ticker, finite after its warm-up, in the tickers' order."""
    dataset = bars(120, seed=SEED)
    values = compute(dataset)
    shape = (len(dataset), len(dataset.tickers))
    _require(values.shape == shape, f"shape {values.shape}, expected {shape}")
    known = np.isfinite(values)
    _require(bool(known[-1].all()), "it is not finite at the last bar")
    started = np.maximum.accumulate(known, axis=0)
    _require(bool((known == started).all()), "it is not finite somewhere after its warm-up")
    turned = compute(dataset.select(dataset.tickers[::-1]))
    _require(
        np.array_equal(values, turned[:, ::-1], equal_nan=True),
        "another order of the tickers gives other values",
    )
    before = {name: column.copy() for name, column in dataset.fields.items()}
    compute(dataset)
    _require(
        all(np.array_equal(before[name], dataset[name]) for name in before),
        "it changed the dataset it was given",
    )
    for at in (40, 77, len(dataset) - 2):
        leak = probe(compute, dataset, at, seed=at)
        _require(leak is None, f"it reads the future: {leak}")


def check_target(module: ModuleType) -> None:
    """Increments are causal, a unit is named, and the aggregate of a mean is finite."""
    check_feature(module.increments)
    _require(isinstance(module.UNIT, str) and bool(module.UNIT), "UNIT is no text")
    _require(isinstance(module.CENTERED, bool), "CENTERED is neither True nor False")
    dataset = bars(120, seed=SEED)
    mean = module.increments(dataset)[1:]
    for horizon in (1, 5):
        found = module.aggregate(mean, horizon)
        _require(found.shape == mean.shape, "aggregate changes the shape")
        _require(bool(np.isfinite(found).all()), "aggregate is not finite")


# ------------------------------------------------------------------ splitters


def check_splitter(
    module: ModuleType, *, ordered: bool = False, horizon: int = 5, **parameters: Any
) -> None:
    """Folds inside the labelled bars, purged, the same every time, refused when too short.

    Parameters
    ----------
    ordered : bool
        It promises that training ends before validation begins.
    horizon : int, >= 1
        Length of the labels.
    **parameters
        For the splitter; those without a value here get one by their type.
    """
    chosen = {**_arguments(module.split), **parameters}
    seen = view(bars(420, seed=SEED), horizon=horizon)
    split: Split = module.split(seen, **chosen)
    name = module.__name__.rpartition(".")[2]
    _require(split.name == name, f"the split calls itself '{split.name}', its file '{name}'")
    _require(split.horizon == horizon, "the split forgets the horizon")
    _require(
        [fold.number for fold in split.folds] == list(range(len(split.folds))),
        "folds are not numbered from 0",
    )
    for fold in split.folds:
        for part in (fold.train, fold.validation):
            _require(bool((np.diff(part) > 0).all()), "bars of a fold are not in order")
            inside = part[0] >= seen.first_bar and part[-1] <= seen.last_labelled
            _require(bool(inside), "a fold has bars without a whole window or a label")
    leak = probe_split(split, ordered=ordered)
    _require(leak is None, f"labels overlap: {leak}")
    _require(module.split(seen, **chosen).hash == split.hash, "two calls give two splits")
    json.dumps(split.spec(), allow_nan=False)
    longer = view(bars(430, seed=SEED), horizon=horizon)
    _require(module.split(longer, **chosen).hash != split.hash, "other bars, the same hash")
    # Splits are made of bars, never of what happened at them.
    other = view(bars(420, seed=SEED + 1), horizon=horizon)
    _require(module.split(other, **chosen).hash == split.hash, "the split depends on prices")
    try:
        module.split(seen.until(seen.first_bar + horizon + 3), **chosen)
    except DataError:
        pass
    else:
        raise AssertionError("too few bars are not refused")


def _arguments(function: Callable[..., Any]) -> dict[str, Any]:
    """A value for every keyword without a default, by its annotation."""
    typical = {"float": 0.25, "int": 3, "bool": True, "str": ""}
    return {
        name: typical[str(parameter.annotation)]
        for name, parameter in list(inspect.signature(function).parameters.items())[1:]
        if parameter.default is inspect.Parameter.empty
    }


# ------------------------------------------------------------------ gates


class _AnyNumber(Mapping[str, Scalar]):
    """Evidence that has a number for every name, the same each time it is asked."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __getitem__(self, name: str) -> Scalar:
        return Scalar(crc32(f"{self.seed}/{name}".encode()) / 2**32)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _AnyText(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"some {name}"


def evidence(
    kind: str,
    scalars: Mapping[str, Scalar] | None = None,
    notes: Mapping[str, str] | None = None,
    **changed: str,
) -> Evidence:
    """Evidence for a gate's test; whatever is not said has some answer.

    Examples
    --------
    >>> evidence("test", {"loss": Scalar(0.5)}).scalar("loss")
    0.5
    """
    values = {
        "id": f"e-{kind}",
        "candidate_id": "c-1",
        "artifact_hash": "a" * 64,
        "dataset_fingerprint": "d" * 64,
        "split_hash": "s" * 64,
        "producer": "kit",
        "producer_version": "1",
        "created_at": "2020-01-01T00:00:00+00:00",
        **changed,
    }
    return Evidence(
        kind=kind,
        scalars=_AnyNumber(0) if scalars is None else scalars,
        series={},
        notes=_AnyText() if notes is None else notes,
        **values,
    )


def check_gate(module: ModuleType) -> None:
    """A pure function with its five headings, its limits explained, and missing told apart."""
    text = module.__doc__ or ""
    _require((text.splitlines() or [""])[0].endswith("?"), "the first line asks no question")
    lines = text.splitlines()
    places = [
        lines.index(heading)
        for heading in HEADINGS
        if heading in lines and lines[lines.index(heading) + 1] == "-" * len(heading)
    ]
    _require(
        len(places) == len(HEADINGS) and places == sorted(places),
        f"the docstring lacks the headings {', '.join(HEADINGS)}, in this order",
    )
    _require(isinstance(module.NEEDS, tuple), "NEEDS is no tuple of kinds of evidence")
    for name, limit in module.LIMITS.items():
        _require(isinstance(limit, int | float), f"limit {name} is no number")
        _require(f"``{name}``" in text, f"the docstring does not explain the limit ``{name}``")
    _reads_nothing(module)
    for seed in range(8):
        given = {
            kind: evidence(kind, _AnyNumber(seed), artifact_hash=f"{seed % 2}" * 64)
            for kind in (*module.NEEDS, "validation")
        }
        for champion in (None, given):
            kept = copy.copy(given)
            one, two = (verdict("kit", module, given, champion, {}) for _ in range(2))
            _require(one == two, "the same evidence gives two verdicts")
            _require(given == kept, "it changed the evidence it was given")
            _complete(one)
            _require(one.result is not Result.MISSING, f"missing, with all it needs: {one.finding}")
    for kind in module.NEEDS:
        rest = {other: evidence(other) for other in module.NEEDS if other != kind}
        found = verdict("kit", module, rest, None, {})
        _require(found.result is Result.MISSING, f"no {kind} evidence, and it says {found.result}")
        _require(kind in found.finding, f"the finding does not say that {kind} is missing")


def _complete(found: Verdict) -> None:
    _require(isinstance(found.result, Result), f"the result is {found.result!r}")
    _require(len(found.finding) > 10, f"the finding is {found.finding!r}, no sentence")


def _reads_nothing(module: ModuleType) -> None:
    """No module that could reach a file, a clock, chance or the record is imported."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            _require(node.func.id != "open", f"line {node.lineno} opens a file")
        for name in names:
            impure = name.partition(".")[0] in IMPURE or name.startswith("podium.ledger")
            _require(not impure, f"line {getattr(node, 'lineno', 0)} imports {name}")


# ------------------------------------------------------------------ searches


SPACE = Space(
    parameters={
        "units": Choice((16, 32, 64)),
        "rate": Float(1e-4, 1e-1, log=True),
        "dropout": Float(0.0, 0.4),
        "layers": Int(1, 4),
        "gate": Choice(("relu", "tanh")),
    },
    constants={BUDGET: 3},
)


def check_search(search: type[Search], space: Space = SPACE, generation: int = 4) -> None:
    """The same study again asks the same; made anew from the record it goes on the same."""
    first = _play(search(space, SEED), range(5), generation)
    for config in itertools.chain.from_iterable(first):
        _require(not space.problems(config), f"{config} does not fit: {space.problems(config)}")
        # What is recorded must come back as the same config.
        back = json.loads(canonical(config))
        _require(back == config and not space.problems(back), f"{config} is no plain JSON")
    _require(_play(search(space, SEED), range(5), generation) == first, "one seed, two searches")
    other = _play(search(space, SEED + 1), range(5), generation)
    _require(other != first, "another seed gives the same search")
    flat = [canonical(config) for config in itertools.chain.from_iterable(first)]
    _require(len(set(flat)) > len(flat) // 2, "most configs are asked twice")
    for known in range(1, 5):
        again = search(space, SEED)
        for number, config in enumerate(itertools.chain.from_iterable(first[:known])):
            again.tell(number, dict(config), _score(number, config))
        rest = _play(again, range(known, 5), generation)
        _require(rest == first[known:], f"rebuilt after {known} generations it goes another way")


def _play(search: Search, generations: Sequence[int], size: int) -> list[list[ConfigDict]]:
    asked = []
    for generation in generations:
        numbers = list(range(generation * size, (generation + 1) * size))
        configs = search.ask(numbers)
        _require(len(configs) == size, f"{size} configs asked for, {len(configs)} given")
        asked.append([dict(config) for config in configs])
        for number, config in zip(numbers, configs, strict=True):
            search.tell(number, config, _score(number, config))
    return asked


def _score(number: int, config: ConfigDict) -> float:
    """Something to minimize; every fifth trial failed."""
    if number % 5 == 3:
        return math.nan
    return abs(math.log10(float(config.get("rate", 1.0))) + 2) + float(config.get("dropout", 0.0))


# ------------------------------------------------------------------ runners


PATIENCE = 20.0


def check_runner(runner: type[Runner]) -> None:
    """Every task ends exactly once, whatever the family or its worker does."""
    check_every_task_ends_once(runner)
    check_failures_are_told(runner)
    check_a_failing_forecast_is_told(runner)
    check_a_forgotten_config_is_told(runner)
    check_lost_worker_costs_one_trial(runner)
    check_a_worker_lost_between_runs_costs_at_most_one_trial(runner)
    check_an_abandoned_run_is_forgotten(runner)


def check_every_task_ends_once(runner: type[Runner]) -> None:
    """All tasks of several folds, of two jobs one after another, and of no task at all."""
    with runner(2) as running:
        _require(not _run(running, _job("naive"), []), "no task, and something ended")
        for horizon in (1, 2):
            job = _job("naive", horizon)
            tasks = [
                Task(f"t-{n}", {"method": method, "debias": False}, n % 2, seed=n)
                for n, method in enumerate(("last", "zero", "history", "ewma", "last_21"))
            ]
            ended = _run(running, job, tasks)
            for task in tasks:
                end = ended[task.trial_id]
                _require(end.state is State.COMPLETE, f"{task.config} failed: {end.reason}")
                _require(math.isfinite(end.score), "a complete trial has no score")
                wanted = len(job.folds[task.fold].validation) * len(job.view.tickers)
                _require(len(end.losses) == wanted, "not one loss a validation window")


def check_failures_are_told(runner: type[Runner]) -> None:
    """A family that raises, diverges or forecasts NaN fails its trial with the reason."""
    does = [fakes.FITS, fakes.RAISES, fakes.FITS, fakes.DIVERGES, fakes.NOT_FINITE, fakes.FITS]
    ended = _told(runner, does)
    for end, what in zip(ended, does, strict=True):
        wanted = State.COMPLETE if what == fakes.FITS else State.FAILED
        _require(end.state is wanted, f"a task that {what} is {end.state}: {end.reason}")
        if what in (fakes.RAISES, fakes.DIVERGES):
            _require(fakes.REASON in end.reason, f"the reason is lost: {end.reason!r}")
        _require(bool(end.reason) == (wanted is State.FAILED), f"{what}: reason {end.reason!r}")


def check_a_failing_forecast_is_told(runner: type[Runner]) -> None:
    """A model that cannot forecast fails its trial, and its trial only."""
    ended = _told(runner, [fakes.FITS, fakes.PREDICT_RAISES, fakes.FITS])
    _require(ended[1].state is State.FAILED, "a model that cannot forecast is complete")
    _require(fakes.REASON in ended[1].reason, f"the reason is lost: {ended[1].reason!r}")
    states = [end.state for end in ended[::2]]
    _require(states == [State.COMPLETE] * 2, f"the others are {states}")


def check_a_forgotten_config_is_told(runner: type[Runner]) -> None:
    """A family that gives no model for a config fails that trial; nobody waits for it for ever."""
    ended = _told(runner, [fakes.FITS, fakes.FORGETS, fakes.FITS])
    _require(ended[1].state is State.FAILED, "a config without a model is complete")
    _require(bool(ended[1].reason), "no reason is given for a config without a model")
    states = [end.state for end in ended[::2]]
    _require(states == [State.COMPLETE] * 2, f"the others are {states}")


def check_lost_worker_costs_one_trial(runner: type[Runner]) -> None:
    """A worker that is killed takes one trial with it; runners without workers are left alone."""
    if not _has_workers(runner):
        return
    does = [fakes.FITS, fakes.DIES, fakes.FITS, fakes.DIES, fakes.FITS, fakes.FITS]
    for end, what in zip(_told(runner, does), does, strict=True):
        wanted = State.FAILED if what == fakes.DIES else State.COMPLETE
        _require(end.state is wanted, f"a task that {what} is {end.state}: {end.reason}")
        _require(what == fakes.FITS or "SIGKILL" in end.reason, f"the reason is {end.reason!r}")


def check_a_worker_lost_between_runs_costs_at_most_one_trial(runner: type[Runner]) -> None:
    """An idle worker that was killed, by the system short of memory, does not end the search."""
    if not _has_workers(runner):
        return
    with fakes.installed() as family, runner(2) as running:
        job, tasks = _job(family), _tasks([fakes.SLEEPS] * 4)
        workers = {_process(end) for end in _run(running, job, tasks).values()}
        for process in workers:
            os.kill(process, signal.SIGKILL)
        ended = _run(running, job, _tasks([fakes.FITS] * 6))
        failed = [end.reason for end in ended.values() if end.state is not State.COMPLETE]
        _require(len(failed) <= len(workers), f"{len(failed)} trials failed: {failed}")


def check_an_abandoned_run_is_forgotten(runner: type[Runner]) -> None:
    """After a run that was left half way, the next one hears of its own tasks only."""
    with fakes.installed() as family, runner(2) as running:
        job = _job(family)
        left = cast("Any", running.run(job, _tasks([fakes.FITS, fakes.SLEEPS, fakes.SLEEPS], "a")))
        next(left)
        left.close()
        _run(running, job, _tasks([fakes.FITS] * 3, "b"))


def _job(family: str, horizon: int = 1) -> Job:
    seen = view(bars(120, seed=SEED), horizon=horizon)
    labelled: Indices = np.arange(seen.first_bar, seen.last_labelled + 1)
    folds = {
        number: Fold(number, labelled[: cut - horizon], labelled[cut:])
        for number, cut in ((0, 50), (1, 70))
    }
    return Job(family, "mse", seen, folds)


def _tasks(does: Sequence[str], prefix: str = "t") -> list[Task]:
    return [Task(f"{prefix}-{n}", {"does": what}, 0, seed=n) for n, what in enumerate(does)]


def _told(runner: type[Runner], does: Sequence[str]) -> list[Ended]:
    """How tasks of the misbehaving family ended, each in a list of its own, in their order."""
    with fakes.installed() as family, runner(2) as running:
        job, tasks = _job(family), _tasks(does)
        if _has_workers(runner):
            ended = _run(running, job, tasks)
        else:
            # What one process is handed as one list may fail as one list.
            ended = {}
            for task in tasks:
                ended |= _run(running, job, [task])
        return [ended[task.trial_id] for task in tasks]


def _has_workers(runner: type[Runner]) -> bool:
    with fakes.installed() as family, runner(1) as running:
        ended = _run(running, _job(family), _tasks([fakes.FITS]))
    return _process(ended["t-0"]) != os.getpid()


def _process(end: Ended) -> int:
    """Number of the process a task of the misbehaving family was fitted in."""
    if end.prediction is None:
        raise AssertionError(f"{end.task.trial_id} has no forecast: {end.reason}")
    return int(end.prediction.mean[0])


def _run(runner: Runner, job: Job, tasks: Sequence[Task]) -> dict[str, Ended]:
    """Ends by trial, each task exactly once; a runner that says nothing more is given up on."""
    ended: list[Ended] = []
    raised: list[BaseException] = []

    def listen() -> None:
        try:
            ended.extend(runner.run(job, tasks))
        except BaseException as error:  # noqa: BLE001 - told by the thread that asked
            raised.append(error)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if raised:
        raise AssertionError(f"the runner raised {raised[0]!r}") from raised[0]
    heard = sorted(end.task.trial_id for end in ended)
    wanted = sorted(task.trial_id for task in tasks)
    silent = thread.is_alive()
    _require(not silent, f"nothing was heard for {PATIENCE:g} s; {heard} of {wanted} ended")
    _require(heard == wanted, f"{wanted} were to end once each, {heard} did")
    return {end.task.trial_id: end for end in ended}


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
