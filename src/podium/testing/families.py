"""A family's test calls ``check_family(FAMILY, folder)`` with the class and an empty folder.

Each promise is a function of its own too, of a family's object.

>>> import tempfile
>>> from podium.families.naive import FAMILY
>>> with tempfile.TemporaryDirectory() as folder:
...     check_family(FAMILY, Path(folder))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from podium.families._base import Family, Model
from podium.prediction import Prediction
from podium.space import ConfigDict
from podium.split import Windows
from podium.testing._base import SEED, require
from podium.testing._spaces import (
    check_each_call_makes_a_family,
    check_parent_refused,
    check_refusals,
    check_space,
    configs,
)
from podium.testing._states import paused_everywhere
from podium.testing.leak import poisoned, probe_family
from podium.testing.pickles import check_no_pickled_object
from podium.testing.series import Case, view
from podium.trial import Epoch, Fitted
from podium.view import View

EPOCHS = 2


def check_family(kind: Callable[[], Family], folder: Path) -> None:
    """Everything a family promises.

    Parameters
    ----------
    kind : class
        Makes a new family when it is called without arguments.
    folder : Path
        An empty folder for the family's files.
    """
    check_each_call_makes_a_family(kind)
    family = kind()
    check_name_and_space(family)
    check_wrong_config_refused(family)
    check_every_window_gets_a_forecast(family)
    check_save_load(family, folder)
    check_same_seed(family)
    check_many_like_one(family)
    check_paused_like_uninterrupted(family)
    check_future_is_ignored(family)
    check_scaler_uses_training_only(family)
    check_tickers_by_name(family)
    check_alone_if_it_says_so(family)
    check_parent_refused_unless_it_continues(family)
    check_beats_untrained(family)


def check_name_and_space(family: Family) -> None:
    """It has a name, a whole VERSION, and a space whose draws fit it and can be recorded."""
    check_space(family, Case.planted().view)


def check_wrong_config_refused(family: Family) -> None:
    """Unknown, missing and impossible values are refused by name before anything is trained."""
    check_refusals(family.space(Case.planted().view))


def check_every_window_gets_a_forecast(family: Family) -> None:
    """A finite forecast a window, in the windows' order, and none for no window."""
    case = Case.planted()
    for config in _configs(family, case.view):
        model = _fit(family, config, case.train, case.validation)
        asked = case.validation.blind()
        found = model.predict(asked)
        wanted = replace(
            found,
            item=asked.tickers,
            decided_at=asked.decided_at,
            target_end=asked.target_end,
        )
        _same(wanted, found, "from the index of the windows asked for")
        unknown = int(np.sum(~np.isfinite(found.mean)))
        require(not unknown, f"{unknown} of {len(found)} forecasts are not finite ({config})")
        none = model.predict(Windows.of(asked.view, asked.at[:0]))
        require(len(none) == 0, "no window was asked for, and there is a forecast")


def check_save_load(family: Family, folder: Path) -> None:
    """A model written and read again forecasts the same to the bit; no file holds an object."""
    case = Case.planted()
    for number, config in enumerate(_configs(family, case.view)):
        model = _fit(family, config, case.train, case.validation)
        place = folder / f"model-{number}"
        place.mkdir(parents=True)
        model.save(place)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        require(bool(files), "save() wrote no file")
        for path in files:
            check_no_pickled_object(path)

        def read(name: str, place: Path = place) -> bytes:
            return (place / name).read_bytes()

        again = family.load(read)
        asked = case.validation.blind()
        _same(model.predict(asked), again.predict(asked), f"after save and load ({config})")
        require(model.epochs == again.epochs, "the number of epochs is lost on save")


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
    require(
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
        require(event.trial in epochs, f"an event of trial {event.trial}, which was not asked for")
        require(event.trial not in models, f"trial {event.trial} goes on after its model")
        if isinstance(event, Epoch):
            epochs[event.trial] += 1
            require(event.epoch == epochs[event.trial], f"epoch {event.epoch} came out of order")
        elif isinstance(event, Fitted):
            require(event.model is not None, f"trial {event.trial} failed: {event.reason}")
            models[event.trial] = event.model
    require(sorted(models) == list(range(len(configs))), "fit_many gave not one model a config")
    asked = case.validation.blind()
    for n, (config, seed) in enumerate(zip(configs, seeds, strict=True)):
        alone = _fit(family, config, case.train, case.validation, seed=seed)
        _same(alone.predict(asked), models[n].predict(asked), f"one by one ({config})")


def check_paused_like_uninterrupted(family: Family) -> None:
    """A resumable family paused after every epoch gives curve and model of one that never was."""
    if not family.resumable:
        return
    case = Case.planted()
    for config in _configs(family, case.view, epochs=4):
        whole, again = paused_everywhere(family, config, case.train, case.validation, 4)
        asked = case.validation.blind()
        _same(whole.predict(asked), again.predict(asked), f"paused after every epoch ({config})")
        require(whole.epochs == again.epochs, "another epoch is best after pauses")


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
        for how, changed in poisoned(case.view, at, seed=SEED):
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
        leak = probe_family(family, config, case.dataset, at, view_of=view)
        require(leak is None, f"the family reads the future ({config}): {leak}")
    require(sighted > 0, "no config's forecasts depend on the past: nothing can be shown")


def check_scaler_uses_training_only(family: Family) -> None:
    """A model fitted without validation does not know what comes after its training windows.

    Everything after the last training label is replaced: a scaler fitted on more than the training
    windows moves, and the forecasts with it.
    """
    case = Case.planted()
    last = int(case.train.at.max()) + case.view.horizon
    asked = case.train.blind()
    for config in _configs(family, case.view):
        honest = _fit(family, config, case.train, None).predict(asked)
        for how, changed in poisoned(case.view, last, seed=SEED):
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
        require(
            np.allclose(one, other, rtol=1e-6, atol=1e-6 * scale, equal_nan=True),
            f"another order of the tickers gives other forecasts ({config})",
        )


def check_alone_if_it_says_so(family: Family) -> None:
    """Where ``each_alone`` is set, a ticker gets the same forecasts without the others."""
    case = Case.planted()
    if not family.each_alone:
        return
    scale = float(np.std(case.train.truth()))
    name = case.dataset.tickers[-1]
    alone = view(case.dataset.select([name]))
    bars_asked = np.unique(case.validation.at)
    for config in _configs(family, case.view):
        model = _fit(family, config, case.train, case.validation)
        one, other = (
            model.predict(Windows.of(seen.blind(), bars_asked)).grid(seen.times, (name,))
            for seen in (case.view, alone)
        )
        require(
            np.allclose(one, other, rtol=1e-6, atol=1e-6 * scale, equal_nan=True),
            f"each_alone is set, and {name} alone gets other forecasts ({config})",
        )


def check_parent_refused_unless_it_continues(family: Family) -> None:
    """A family that cannot go on from another model refuses one by name."""
    if family.continues:
        return
    case = Case.planted()
    config = _configs(family, case.view)[0]
    parent = _fit(family, config, case.train, case.validation)
    check_parent_refused(family, config, case.train, case.validation, parent)


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
    return configs(family.space(seen), epochs, count)


def _fit(
    family: Family,
    config: ConfigDict,
    train: Windows,
    validation: Windows | None,
    *,
    seed: int = SEED,
) -> Model:
    return family.fit(config, train, validation, seed=seed, report=lambda epoch, scores: None)


def _same(one: Prediction, other: Prediction, when: str) -> None:
    require(
        np.array_equal(one.item, other.item)
        and np.array_equal(one.decided_at, other.decided_at)
        and np.array_equal(one.target_end, other.target_end, equal_nan=True),
        f"the forecasts' index differs {when}",
    )
    require(
        (one.form, one.levels) == (other.form, other.levels),
        f"the forecasts' form or levels differ {when}",
    )
    same = (one.outputs == other.outputs) | (np.isnan(one.outputs) & np.isnan(other.outputs))
    unlike = np.unique(np.argwhere(~same)[:, 0])
    if len(unlike):
        n = int(unlike[0])
        raise AssertionError(
            f"{len(unlike)} of {len(one)} forecasts differ {when}; the first, {one.item[n]} at "
            f"{one.decided_at[n]}: {one.outputs[n]!r} and {other.outputs[n]!r}"
        )
