"""A family's test calls ``check_family(FAMILY, folder)`` with the class and an empty folder.

Each check is also a separate function of a family's object; ``checks`` lists them. Checks of one
task are in ``tasks/<task>.py``.

>>> import tempfile
>>> from podium.families.naive import FAMILY
>>> with tempfile.TemporaryDirectory() as folder:
...     check_family(FAMILY, Path(folder))
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from podium.errors import UsageError
from podium.hashing import canonical
from podium.testing._base import SEED, refusal, require
from podium.testing._fits import AFamily, KnownTask, configs, fit, fitted, require_same, trainings
from podium.testing.pickles import check_no_pickled_object
from podium.trial import Epoch, Fitted

# Epochs of a training that must learn, and number of configs to try.
LONG, TRIES = 20, 6


def check_family(kind: Callable[[], AFamily], folder: Path) -> None:
    """Run all checks of a family.

    Parameters
    ----------
    kind : class
        Makes a new family when called without arguments.
    folder : Path
        An empty folder for the family's files.
    """
    require(callable(kind), f"a {type(kind).__name__} object in place of its class")
    require(kind() is not kind(), "two calls return the same object")
    family = kind()
    for check in checks(family):
        check(family)
    check_save_load(family, folder)


def checks(family: AFamily) -> list[Callable[[Any], None]]:
    """Every check for a family's task except :func:`check_save_load`, which needs a folder."""
    return [
        check_name_and_space,
        check_modes,
        check_wrong_config_refused,
        check_same_seed,
        check_many_like_one,
        check_fitted_on_training_only,
        *import_module(f"podium.testing.tasks.{family.task}").CHECKS,
        check_resumed_like_uninterrupted,
        check_parent_refused_unless_it_continues,
        check_learns,
    ]


def check_name_and_space(family: AFamily) -> None:
    """It has a name, an integer VERSION, and a space with valid and recordable draws."""
    require(bool(family.name), "the family has no name")
    require(isinstance(family.VERSION, int), "VERSION is not a whole number")
    space = family.space(_case(family).planted().data)
    for seed in range(20):
        problems = space.problems(space.sample(seed))
        require(not problems, f"a config drawn from the space does not fit it: {problems}")
    require(space.sample(1) == space.sample(1), "two draws with one seed differ")
    canonical(space.spec())


def check_modes(family: AFamily) -> None:
    """Its grid, small grid and priority hold valid configs, each once."""
    data = _case(family).planted().data
    space = family.space(data)
    try:
        first = [
            canonical(config)
            for mine in family.priority(data)
            for config in space.narrowed(mine, "priority").only([]).grid()
        ]
        require(len(set(first)) == len(first) > 0, "its priority names a config twice, or none")
        for name_of, chosen in (("grid", family.grid(data)), ("quick grid", family.quick(data))):
            values = {name: list(options) for name, options in chosen.items()}
            count = len(list(space.narrowed(values, f"its {name_of}").only(values).grid()))
            expected = math.prod(map(len, values.values()))
            require(count == expected, f"its {name_of} names a value twice")
    except UsageError as error:
        raise AssertionError(f"its grid does not fit its space: {error}") from error


def check_wrong_config_refused(family: AFamily) -> None:
    """Unknown, missing and invalid values are refused by name before the training."""
    space = family.space(_case(family).planted().data)
    good = space.sample(SEED)
    wrong: list[tuple[str, dict[str, object]]] = [("no_such_knob", {**good, "no_such_knob": 1})]
    for name in good:
        wrong.append((name, {k: v for k, v in good.items() if k != name}))
        wrong.append((name, {**good, name: "no such value"}))
        wrong.append((name, {**good, name: math.nan}))
    attempts: list[tuple[str, Callable[[], object]]] = [
        *((name, partial(space.require, config)) for name, config in wrong),
        ("no_such_knob", partial(space.narrowed, {"no_such_knob": 1}, "[space] of the kit")),
    ]
    for name, act in attempts:
        message = refusal(UsageError, act, f"a wrong '{name}' was not refused")
        require(name in message, f"the refusal does not name '{name}': {message}")


def check_save_load(family: AFamily, folder: Path) -> None:
    """A saved and loaded model predicts the same bit for bit; no file holds a pickled object."""
    case = _case(family).planted()
    blind = case.validation.blind()
    for number, (config, model) in enumerate(fitted(family, case)):
        place = folder / f"model-{number}"
        place.mkdir(parents=True)
        model.save(place)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        require(bool(files), "save() wrote no file")
        for path in files:
            check_no_pickled_object(path)
        again = family.load(lambda name, place=place: (place / name).read_bytes())  # type: ignore[misc]
        require_same(model.predict(blind), again.predict(blind), f"after save and load ({config})")
        require(model.epochs == again.epochs, "the number of epochs is lost on save")


def check_same_seed(family: AFamily) -> None:
    """The same seed gives the same predictions bit for bit, after other random draws too."""
    case = _case(family).planted()
    blind = case.validation.blind()
    for config, model in fitted(family, case):
        fit(family, config, case.train, None, seed=SEED + 1)
        again = fit(family, config, case.train, case.validation)
        require_same(model.predict(blind), again.predict(blind), f"with the same seed ({config})")


def check_other_seed_differs(family: AFamily) -> None:
    """Another seed gives another model; for families with random numbers only."""
    case = _case(family).planted()
    config, blind = configs(family.space(case.data))[0], case.validation.blind()
    one, two = (fit(family, config, case.train, None, seed=SEED + k).predict(blind) for k in (0, 1))
    try:
        require_same(one, two, "")
    except AssertionError:
        return
    raise AssertionError(f"two seeds give the same model ({config}), so the seed is not used")


def check_many_like_one(family: AFamily) -> None:
    """``fit_many`` gives the models of ``fit``; epochs come in order before the model."""
    case = _case(family).planted()
    chosen = configs(family.space(case.data))
    chosen = [*chosen, chosen[0]]
    seeds = [SEED + n for n in range(len(chosen))]
    models: dict[int, Any] = {}
    epochs = dict.fromkeys(range(len(chosen)), 0)
    for event in family.fit_many(chosen, case.train, case.validation, seeds=seeds):
        require(event.trial in epochs, f"an event of trial {event.trial}, which was not requested")
        require(event.trial not in models, f"trial {event.trial} continues after its model")
        if isinstance(event, Epoch):
            epochs[event.trial] += 1
            require(event.epoch == epochs[event.trial], f"epoch {event.epoch} came out of order")
        elif isinstance(event, Fitted):
            require(event.model is not None, f"trial {event.trial} failed: {event.reason}")
            models[event.trial] = event.model
    require(sorted(models) == list(range(len(chosen))), "fit_many gave not one model per config")
    blind = case.validation.blind()
    for n, (config, seed) in enumerate(zip(chosen, seeds, strict=True)):
        alone = fit(family, config, case.train, case.validation, seed=seed)
        require_same(alone.predict(blind), models[n].predict(blind), f"one by one ({config})")


def check_fitted_on_training_only(family: AFamily) -> None:
    """A model fitted without validation does not depend on other samples.

    All other data are replaced: a scaler that was fitted on them would change the predictions.
    """
    case = _case(family).planted()
    blind = case.train.blind()
    for config in configs(family.space(case.data)):
        honest = fit(family, config, case.train, None).predict(blind)
        for how, train in case.others_replaced():
            changed = fit(family, config, train, None).predict(blind)
            when = f"although only samples outside the training were {how} ({config})"
            require_same(honest, changed, when)


def check_resumed_like_uninterrupted(family: AFamily) -> None:
    """A resumable family gives the same curve and model after any pauses."""
    if not family.resumable:
        return
    case = _case(family).planted()
    blind = case.validation.blind()
    for config in configs(family.space(case.data), epochs=4):
        (_, whole), *others = trainings(family, config, case.train, case.validation)
        for when, model in others:
            require_same(whole.predict(blind), model.predict(blind), f"{when} ({config})")
            require(whole.epochs == model.epochs, f"another epoch is best, {when} ({config})")


def check_parent_refused_unless_it_continues(family: AFamily) -> None:
    """A family that cannot continue from another model refuses one by name."""
    if family.continues:
        return
    case = _case(family).planted()
    config, parent = next(fitted(family, case))

    def act() -> None:
        list(family.fit_many([config], case.train, case.validation, seeds=[SEED], parent=parent))

    message = refusal(UsageError, act, "a parent was not refused")
    require(family.name in message, f"the refusal does not name the family: {message}")


def check_learns(family: AFamily) -> None:
    """On samples with a planted rule one of a few configs reaches the required loss.

    Rules without fitted weights (:meth:`rung` below 2) need not.
    """
    case = _case(family).learnable()
    space, wanted = family.space(case.data), case.wanted()
    if all(family.rung(config) < 2 for config in configs(space)):
        return
    losses = []
    for config in [*configs(space.only([]), LONG, 1), *configs(space, LONG, TRIES)]:
        model = fit(family, config, case.train, case.validation)
        losses.append(case.loss(model.predict(case.validation.blind())))
        if losses[-1] <= wanted:
            return
    best = f"the best of {len(losses)} configs lost {min(losses):.3g}"
    found = f"on samples with a planted rule {best}; at most {wanted:.3g} shows that it learns"
    raise AssertionError(found)


def is_iterative(family: AFamily) -> bool:
    """Whether the family trains in epochs, and so must use its seed."""
    _, model = next(fitted(family, _case(family).planted()))
    return bool(model.epochs)


def _case(family: AFamily) -> type[KnownTask]:
    case: type[KnownTask] = import_module(f"podium.testing.tasks.{family.task}").Case
    return case
