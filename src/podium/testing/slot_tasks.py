"""A task's test calls ``check_task(module, data)`` with data that its ``TASK`` opened.

>>> from podium.sections import SlotSection
>>> from podium.tasks import forecast
>>> from podium.testing.series import bars
>>> slot = SlotSection(dataset="d", target="return", horizon=1, features=("log_return",), window=8)
>>> whole = bars(300)
>>> view = forecast.view_of(whole, slot)
>>> check_task(forecast, forecast.SlotData("d/D/return", slot, whole, view, test_start=240))
"""

from __future__ import annotations

import json
from types import ModuleType

import numpy as np

from podium import registry
from podium.hashing import canonical, digest
from podium.split import Fold
from podium.tasks._base import SlotTask, TaskData
from podium.testing._base import SEED, require

# Constants of a task's file beside ``TASK``.
CONSTANTS = ("ROLE", "USUAL", "HOLDS", "NEEDS", "TAKES", "STAGES", "BASELINES", "POLICIES", "WORDS")


def check_task(module: ModuleType, data: TaskData) -> None:
    """Run all checks of a task, on some data of it."""
    check_constants(module)
    check_spec(data)
    check_sealed(data)
    check_splits(data)
    check_rows(data)
    check_predictions(data)
    check_words(data)


def check_constants(module: ModuleType) -> None:
    """Its name is that of its file, and the members that it names exist."""
    name = module.__name__.rpartition(".")[2]
    task: SlotTask = module.TASK
    require(isinstance(task, SlotTask), "TASK is not a SlotTask")
    require(task.name == name, f"TASK is called '{task.name}' in the file of '{name}'")
    for what in CONSTANTS:
        require(hasattr(module, what), f"it has no {what}")
        read = registry.constant("tasks", name, what)
        require(read == getattr(module, what), f"{what} is not readable as text")
    require(module.HOLDS in ("bars", "sequences"), f"HOLDS is {module.HOLDS!r}")
    usual = module.USUAL
    for family in (*usual["families"], *module.BASELINES):
        registry.family(family, name)
    metric = usual["metric"]
    require(registry.task_of(metric) == name, f"metric {metric} belongs to another task")
    require(usual["policy"] in module.POLICIES, f"policy '{usual['policy']}' is not in POLICIES")
    for policy in module.POLICIES.values():
        for gates in policy.values():
            for gate, limits in gates.items():
                known = registry.load("gates", gate).LIMITS
                require({*limits} <= {*known}, f"gate '{gate}' does not have the limits {limits}")


def check_spec(data: TaskData) -> None:
    """The spec can be recorded, and the hash depends only on it."""
    canonical(data.spec)
    expected = digest(list(data.spec.values()))
    require(data.task_hash == expected, "the task's hash is not that of its spec")
    named = data.spec.get("task", "forecast")
    require(named == data.task.name, f"the spec is that of the task {named}")
    tickers = getattr(data.dataset, "tickers", ())
    require(data.asks_alike(tickers, data.spec), "its own trials do not count as looks at it")
    _, words = registry.constant("tasks", data.task.name, "WORDS")
    require(bool(words.format_map(data.spec)), "WORDS are empty")


def check_sealed(data: TaskData) -> None:
    """The sealed part has a name and no training data."""
    require(bool(data.sealed) and all(data.sealed), "sealed is empty")
    if data.trained_until:
        require(data.trained_until < data.sealed[0], "the training reaches into the test")


def check_splits(data: TaskData) -> None:
    """One fold is held out, its parts are disjoint, and whole() has all training samples."""
    split = data.held_out(0.25)
    require(len(split.folds) == 1, f"held_out() makes {len(split.folds)} folds")
    fold, whole = split.folds[0], data.whole()
    require(len(fold.train) > 0 < len(fold.validation), "a part of the fold is empty")
    require(not np.isin(fold.validation, fold.train).any(), "a sample trains and validates")
    require(data.held_out(0.25).hash == split.hash, "two calls of held_out() make two splits")
    require(whole.number == 1, f"whole() is fold {whole.number} in place of 1")
    require(not len(whole.validation), "whole() has samples that validate")
    require(bool(np.isin(fold.train, whole.train).all()), "whole() lacks samples of the search")
    folds = registry.load("splitters", data.splitter).split(data.tuning, folds=2)
    require(len(folds.folds) == 2, f"splitter {data.splitter} does not cross-validate")


def check_rows(data: TaskData) -> None:
    """Every row of a validation part has an entry in the index and a unit."""
    fold = data.held_out(0.25).folds[0]
    _, validation = data.task.parts(data.tuning, fold)
    index = data.index(fold)
    require(index is not None, "losses have no index")
    assert index is not None
    require(len(data.units(index)) == len(validation), "units() does not give one unit per row")
    empty = Fold(0, fold.train, fold.validation[:0])
    require(data.index(empty) is None, "a fold without validation has an index")


def check_predictions(data: TaskData) -> None:
    """A prediction can be scored, stored as a series, and read with the same score."""
    task, fold = data.task, data.held_out(0.25).folds[0]
    train, validation = task.parts(data.tuning, fold)
    name = registry.constant("tasks", task.name, "BASELINES")[0]
    family = data.family(name)
    config = next(iter(family.space(data.tuning).grid()))
    model = family.fit(config, train, None, seed=SEED, report=lambda epoch, scores: None)
    prediction = model.predict(validation.blind())
    metric, truth = data.section.metric, validation.truth()
    score, losses = task.score(metric, truth, prediction)
    require(losses.shape == (len(validation),), f"losses have the shape {losses.shape}")
    require(bool(np.isfinite(score) and np.isfinite(losses).all()), "a score is not finite")
    again = task.read(prediction.values.astype(np.float32), data.tuning, fold)
    other, _ = task.score(metric, truth, again)
    require(bool(np.isclose(score, other, rtol=1e-5)), "a stored prediction has another score")
    require(type(again) is type(prediction), "a stored prediction has another type")


def check_words(data: TaskData) -> None:
    """The descriptions of the data are not empty, and valid JSON."""
    rows = data.held_out(0.25).folds[0].validation
    json.dumps(data.span(rows))
    for words in (data.subject, data.size, data.unit, data.label(rows)):
        require(bool(words), "a description of the data is empty")
    require(data.n_features > 0 < data.series, "there are no features, or no series")
    for part, name, way in data.curves():
        require(bool(part and name and way), "a curve has no name")
