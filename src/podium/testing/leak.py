"""The leak probe: change the future and test whether any earlier value changes by a bit.

A probe first changes the past and requires a change of the output. Without it, an unchanged output
would be no evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats, Times
from podium.covariates import Covariate
from podium.dataset import Dataset
from podium.errors import DataError, PodiumError
from podium.samples import Indices, Samples, overlapping
from podium.space import ConfigDict
from podium.split import Split, Windows
from podium.testing.series import PRICES
from podium.view import View

Compute = Callable[[Dataset], NDArray[Any]]


class BlindError(DataError):
    """The probe has no power: the output does not depend on the past either."""


@dataclass(frozen=True)
class Leak:
    """Location of a value that depends on the future.

    Parameters
    ----------
    bar : int
        First bar whose value depends on the future.
    column : tuple of int
        Position in the output: ticker, or ticker and feature; for a split the fold.
    how : str
        The change after the bar, or the overlapping labels.
    """

    bar: int
    column: tuple[int, ...]
    how: str

    def __str__(self) -> str:
        return f"bar {self.bar}, column {self.column}: {self.how}"


def probe(compute: Compute, dataset: Dataset, at: int, *, seed: int = 0) -> Leak | None:
    """First value at or before bar ``at`` that depends on later bars; None: it is causal.

    Parameters
    ----------
    compute : callable
        Dataset in, array out whose first axis is bars: (T, S) or (T, S, F). A feature, the
        increments of a target, a signal's weights, a family's forecasts.
    at : int
        Last bar of the past; there must be bars on both sides of it.
    seed : int
        Seed of the random factors.

    Raises
    ------
    BlindError
        Not even the past changes the output up to ``at``.
    PodiumError
        There are no bars on both sides of ``at``.

    Examples
    --------
    >>> from podium.testing.series import bars
    >>> probe(lambda d: np.diff(d["close"], axis=0, append=np.nan), bars(60), at=30).bar
    30
    """
    return examine(compute, dataset, at, seed=seed).leak


@dataclass(frozen=True)
class Sight:
    """Result of a probe at a bar.

    Parameters
    ----------
    columns : tuple of tuple of int
        Every column of the output; one empty tuple if a bar has one value.
    blind : tuple of tuple of int
        Columns that the past does not change, which have no result.
    leak : Leak or None
        First value that the future changes.
    """

    columns: tuple[tuple[int, ...], ...]
    blind: tuple[tuple[int, ...], ...]
    leak: Leak | None


def examine(compute: Compute, dataset: Dataset, at: int, *, seed: int = 0, after: int = 0) -> Sight:
    """Result of :func:`probe` with the columns that it could test.

    Other parameters and errors as for :func:`probe`.

    Parameters
    ----------
    after : int
        Bars after ``at`` that remain when the rest is cut off.
    """
    if not 0 < at < len(dataset) - 1:
        found = f"the probe was put at bar {at} of {len(dataset)}"
        raise PodiumError(found, "bars on both sides of it")
    rng = np.random.default_rng(seed)
    honest = _up_to(compute(dataset), at)
    past = [changed for _, changed in _rewritten(dataset, 0, at + 1, rng)]
    future = [
        *_rewritten(dataset, at + 1, len(dataset), rng),
        ("every bar after it was cut off", dataset.slice(0, at + 1 + after)),
    ]
    moves = np.zeros(honest.shape[1:], dtype=bool)
    for changed in past:
        other = _up_to(compute(changed), at)
        moves |= _unlike(honest, other).any(axis=0) if other.shape == honest.shape else True
    if not moves.any():
        found = f"the probe is blind: changing every bar up to {at} changes no value up to it"
        expected = "an output that depends on the bars before it"
        raise BlindError(found, expected, "probe at a later bar, after the warm-up")
    leaks = [
        Leak(*place, how)
        for how, changed in future
        if (place := first_difference(honest, _up_to(compute(changed), at)))
    ]
    columns = tuple(np.ndindex(moves.shape))
    return Sight(columns, tuple(column for column in columns if not moves[column]), _first(leaks))


def awaiting(dataset: Dataset) -> list[NDArray[np.int64]]:
    """Last bars before a publication: the releases, then the revisions of each dated covariate.

    A feature that uses a value a bar or more too early uses it at such a bar.
    """
    result = []
    for one in dataset.covariates.values():
        if one.kind != "dated" or one.moments is None:
            continue
        release = np.ones(len(one), dtype=bool)
        if one.periods is not None:
            # Rows are sorted by ticker, period and moment.
            release[1:] = one.tickers[1:] != one.tickers[:-1]
            release[1:] |= one.periods[1:] != one.periods[:-1]
        # Before the first publication no value is known, and the probe would be blind.
        later = one.moments > one.moments.min(initial=dataset.times[-1])
        for rows in (release, ~release):
            bars = np.unique(np.searchsorted(dataset.times, one.moments[rows & later])) - 1
            if (bars >= 0).any():
                result.append(bars[bars >= 0].astype(np.int64))
    return result


def probe_dated(
    compute: Callable[[Floats], NDArray[Any]],
    values: Floats,
    available_at: Times,
    times: Times,
    *,
    seed: int = 0,
) -> Leak | None:
    """First bar that depends on a value before its publication; None: there is none.

    At every publication the values from it on are changed; no earlier bar may change.

    Parameters
    ----------
    compute : callable
        Values in, array out whose first axis is bars: the join of dated values to bars, or a
        function of it. The dates stay the same.
    values : (n, ...) float
        Values that are published after their period: earnings, macro series.
    available_at : (n,) datetime64
        Times of publication; a value published at a bar's close is known there.
    times : (T,) datetime64
        Close of each bar.

    Raises
    ------
    BlindError
        No value changes the output from its publication on, or none is published during the bars.

    Examples
    --------
    >>> days = np.arange("2001-01-01", "2001-01-07", dtype="datetime64[D]")
    >>> published = days[[2, 5]]
    >>> at_once = lambda figures: figures[np.array([0, 0, 0, 1, 1, 1])]
    >>> probe_dated(at_once, np.array([1.0, 2.0]), published, days).bar
    0
    """
    rng = np.random.default_rng(seed)
    honest = np.asarray(compute(values))
    leaks, sighted = [], False
    for moment in np.unique(available_at[available_at <= times[-1]]):
        rows, bar = available_at >= moment, int(np.searchsorted(times, moment))
        drawn = rng.standard_normal(values[rows].shape)
        for how, other in (
            ("redrawn", values[rows] * np.exp(drawn) + drawn),
            ("NaN", np.full_like(values[rows], np.nan, dtype=np.float64)),
        ):
            new = values.astype(np.float64)
            new[rows] = other
            result = np.asarray(compute(new))
            sighted |= first_difference(honest[bar:], result[bar:]) is not None
            place = first_difference(honest[:bar], result[:bar])
            if place is not None:
                leaks.append(Leak(*place, f"values published from {moment} on were {how}"))
    if not sighted:
        found = "the probe is blind: changing every value does not change the output after "
        raise BlindError(f"{found}publication", "an output that depends on published values")
    return _first(leaks)


def _first(leaks: Iterable[Leak]) -> Leak | None:
    return min(leaks, key=lambda leak: (leak.bar, leak.column), default=None)


def probe_fills(held: Compute, dataset: Dataset, at: int, *, seed: int = 0) -> Leak | None:
    """First order up to bar ``at`` that was filled before its inputs were known.

    An order decided at a bar's close is in the portfolio at the close of the next bar. So the signs
    of the weights at a close must depend only on earlier bars, unlike with orders that are filled
    at the open or close of their own bar.

    Parameters
    ----------
    held : callable
        Dataset in, (T, S) out: weights held at each close, as ``Backtest.weights_held``. Only their
        signs count, since their size changes with prices. Keep the exposure small (0.01): extreme
        prices of the probe may otherwise liquidate the portfolio within a bar.

    Raises
    ------
    BlindError
        The portfolio does not depend on the bars.
    """

    def decided(changed: Dataset) -> NDArray[Any]:
        sides = np.sign(held(changed))
        # Orders of the last bar are never filled.
        return np.concatenate([sides[1:], np.full_like(sides[:1], np.nan)])

    # The next bar must remain when the rest is cut off: the last order is filled there.
    return examine(decided, dataset, at, seed=seed, after=1).leak


def probe_split(
    split: Split,
    *,
    ordered: bool = False,
    samples: Samples | None = None,
    embargo: int | None = None,
) -> Leak | None:
    """First training sample that is not separate from validation; None: there is none.

    Checked in this order, where known: the sample itself, the positions of its label, bars after a
    validation label, groups, copies between two files, and the files.

    Parameters
    ----------
    ordered : bool
        Also require that every training label ends before the first validation decision, as in a
        holdout or a walk-forward.
    samples : Samples, optional
        Properties of the samples; default: those of the split, else bars with labels of length
        ``split.horizon``.
    embargo : int, optional
        Bars after a validation label that are excluded from training. Default: the split's
        parameter, else the length of a window, because a random split of overlapping windows leaks
        through training inputs that contain bars of a validation label.

    Raises
    ------
    PodiumError
        The probe is blind: a fold has an empty part or unknown samples.
    """
    if not split.folds or any(not (len(f.train) and len(f.validation)) for f in split.folds):
        raise PodiumError("the probe is blind: a fold is empty", "bars to train and to validate on")
    known = split.samples if samples is None else samples
    known = _plain(split) if known is None else known
    if embargo is None:
        embargo = int(split.parameters.get("embargo", known.window))
    for fold in split.folds:
        rows = {}
        for part, numbers in (("training", fold.train), ("validation", fold.validation)):
            unknown = np.setdiff1d(numbers, known.index)
            if len(unknown):
                has = f"fold {fold.number} has {part} sample {unknown[0]}"
                raise PodiumError(f"the probe is blind: {has}, and no sample has that number")
            rows[part] = np.searchsorted(known.index, np.sort(numbers))
        shared = _shared(known, rows["training"], rows["validation"], ordered, embargo)
        if shared is not None:
            row, how = shared
            return Leak(int(known.index[row]), (fold.number,), how)
    return None


def _plain(split: Split) -> Samples:
    """Samples of a split without them: bars with labels of one length."""
    used = [part for fold in split.folds for part in (fold.train, fold.validation)]
    numbers = np.unique(np.concatenate(used)).astype(np.int64)
    return Samples(numbers, numbers, numbers + split.horizon, horizon=split.horizon)


def _shared(
    known: Samples, train: Indices, validation: Indices, ordered: bool, embargo: int
) -> tuple[int, str] | None:
    """Row of the first training sample that is not separate from validation, and the reason."""
    both = np.intersect1d(train, validation)
    if len(both):
        return int(both[0]), "it validates too"
    if known.starts is not None and known.ends is not None:
        starts, ends = known.starts, known.ends
        label = starts[train], ends[train]
        start, end = starts[validation], ends[validation]
        meets = overlapping(*label, start, end)
        if meets.any():
            return int(train[meets][0]), "its label shares a bar with a validation label"
        late = ends[train] > start.min()
        if ordered and late.any():
            how = f"its label is not known at the first validation decision, bar {start.min()}"
            return int(train[late][0]), how
        soon = overlapping(*label, start, end + embargo)
        if soon.any():
            how = f"it is decided less than {embargo} bars after the end of a validation label"
            return int(train[soon][0]), how
    # Equal rows in one file may be natural; a row in both files is a copy.
    contents = None if known.sources is None else known.contents
    for name, values in (("group", known.groups), ("row", contents)):
        if values is not None:
            twice = np.isin(values[train], values[validation])
            if twice.any():
                row = int(train[twice][0])
                return row, f"its {name} '{values[row]}' validates too"
    if known.sources is not None:
        for rows, expected in ((train, 0), (validation, 1)):
            wrong = known.sources[rows] != expected
            if wrong.any():
                how = f"it is from file {1 - expected}, not from file {expected}"
                return int(rows[wrong][0]), how
    return None


def probe_family(
    family: Any,
    config: ConfigDict,
    dataset: Dataset,
    at: int,
    *,
    view_of: Callable[[Dataset], View],
    seed: int = 0,
) -> Leak | None:
    """First forecast up to bar ``at`` that depends on bars after it; None: there is none.

    Each variant fits the family again on the windows with a label known at ``at``, which detects
    scalers fitted on all data as well as forecasts from later bars.

    Parameters
    ----------
    family : Family
    config : dict
        A small config: it is fitted once per variant.
    view_of : callable
        Makes a view of a dataset.

    Raises
    ------
    BlindError
        The forecasts do not depend on the past (a constant).
    """
    return probe(fitted_anew(family, config, dataset, at, view_of, seed), dataset, at, seed=seed)


def fitted_anew(
    family: Any,
    config: ConfigDict,
    dataset: Dataset,
    at: int,
    view_of: Callable[[Dataset], View],
    seed: int = 0,
) -> Compute:
    """Function that fits a family on the data up to a bar and forecasts up to it, (at + 1, S).

    Parameters as in :func:`probe_family`; the first training bar is that of ``dataset``.
    """
    before = view_of(dataset)
    first, horizon = before.first_bar, before.horizon

    def forecasts(changed: Dataset) -> Floats:
        seen = view_of(changed)
        train = Windows.of(seen, np.arange(first, at - horizon + 1)).labelled()
        model = family.fit(config, train, None, seed=seed, report=lambda epoch, scores: None)
        windows = Windows.of(seen.blind(), np.arange(first, at + 1))
        grid: Floats = model.predict(windows).grid(seen.times, seen.tickers)
        return grid

    return forecasts


def poisoned(seen: View, at: int, *, seed: int = 0) -> Iterator[tuple[str, View]]:
    """Views with the values after bar ``at`` replaced, and the kind of change.

    For a fitted model: none of its forecasts up to the bar may change.
    """
    rng = np.random.default_rng(seed)
    poisons: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "multiplied by 50": lambda rest: rest * 50,
        "replaced": lambda rest: rng.permutation(rest) + 1,
        "NaN": lambda rest: np.full_like(rest, np.nan),
    }
    starts = dict.fromkeys(("features", "increments", "past"), at + 1)
    for name in ("level", "ranges"):
        if getattr(seen, name) is not None:
            starts[name] = at + 1
    starts["target"] = max(0, at + 1 - seen.horizon)
    for how, poison in poisons.items():
        changed: dict[str, Any] = {
            name: np.concatenate([(values := getattr(seen, name))[:start], poison(values[start:])])
            for name, start in starts.items()
        }
        yield how, replace(seen, **changed)


def _rewritten(
    dataset: Dataset, start: int, stop: int, rng: np.random.Generator
) -> Iterator[tuple[str, Dataset]]:
    """Datasets with other bars in a range; all are valid bars without NaN."""
    shape = (stop - start, len(dataset.tickers))
    part = {name: values[start:stop] for name, values in dataset.fields.items()}

    def with_part(**new: Floats) -> Dataset:
        fields: dict[str, Floats] = {}
        for name, values in dataset.fields.items():
            fields[name] = values.copy()
            fields[name][start:stop] = new.get(name, part[name])
        return replace(dataset, fields=fields)

    # One factor per bar keeps the bar's shape, one per price changes it: a feature may use either.
    for _ in range(2):
        level, flow = np.exp(rng.standard_normal((2, *shape)))
        scaled = {name: part[name] * level for name in PRICES}
        yield "bars after it were scaled", with_part(**scaled, volume=part["volume"] * flow)
        yield "bars after it were redrawn", with_part(**_redrawn(part, rng, shape))
    # One common factor changes values that a mean over all bars would hide.
    jump = {name: part[name] * 50.0 for name in (*PRICES, "volume")}
    yield "everything after it was multiplied by 50", with_part(**jump)
    # A calendar feature uses only times. Their order stays: the past moves away from the future, or
    # the future from the past.
    moved, steps = dataset.times.copy(), rng.integers(1, 10**6, stop - start)
    away = steps.cumsum() if start else -steps[::-1].cumsum()[::-1]
    moved[start:stop] += away.astype("timedelta64[s]")
    yield "stamps of bars after it were moved", replace(with_part(), times=moved)
    for name, one in dataset.covariates.items():
        for _ in range(2):
            changed = _redrawn_covariate(one, dataset.times, start, stop, rng)
            how = f"values of '{name}' published after it were redrawn"
            yield how, replace(dataset, covariates={**dataset.covariates, name: changed})
    if start and dataset.members is not None:
        yield "membership after it was redrawn", _redrawn_members(dataset, start, rng)


def _redrawn_covariate(
    one: Covariate, times: Times, start: int, stop: int, rng: np.random.Generator
) -> Covariate:
    """Covariate with other values in the rows known by ``stop``, or only after ``start``.

    Static rows and rows known ahead have no future.
    """
    rows = np.full(len(one), start == 0 or one.kind == "dated")
    if one.moments is not None:
        past = one.moments <= times[(start or stop) - 1]
        rows &= ~past if start else past
    spread = {name: np.nanmax(np.abs(column), initial=1.0) for name, column in one.values.items()}
    drawn = {name: most * rng.standard_normal(len(one)) for name, most in spread.items()}
    return one.with_values(rows, drawn)


def _redrawn_members(dataset: Dataset, start: int, rng: np.random.Generator) -> Dataset:
    """Another universe from a bar on: random members, and half of the tickers end."""
    assert dataset.members is not None
    shape = (len(dataset) - start, len(dataset.tickers))
    ends = np.where(rng.random(shape[1]) < 0.5, rng.integers(0, shape[0], shape[1]), shape[0])
    lost = np.zeros((len(dataset), shape[1]), dtype=bool)
    lost[start:] = np.arange(shape[0])[:, np.newaxis] >= ends
    fields = {name: np.where(lost, np.nan, values) for name, values in dataset.fields.items()}
    members = dataset.members.copy()
    members[start:] = rng.random(shape) < 0.5
    return replace(dataset, fields=fields, members=members & dataset.alive & ~lost)


def _redrawn(
    part: Mapping[str, Floats], rng: np.random.Generator, shape: tuple[int, int]
) -> dict[str, Floats]:
    factors = np.exp(rng.standard_normal((5, *shape)))
    start, close = part["open"] * factors[0], part["close"] * factors[1]
    return {
        "open": start,
        "close": close,
        "high": np.maximum(start, close) * (1 + factors[2]),
        "low": np.minimum(start, close) / (1 + factors[3]),
        "volume": part["volume"] * factors[4],
    }


def _up_to(values: NDArray[Any], at: int) -> NDArray[Any]:
    return np.asarray(values)[: at + 1]


def _unlike(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Where two arrays differ in a bit; NaN equals NaN."""
    differs: NDArray[np.bool_] = (one != other) & ~((one != one) & (other != other))
    return differs


def first_difference(one: NDArray[Any], other: NDArray[Any]) -> tuple[int, tuple[int, ...]] | None:
    """Position of the first value that differs in a bit."""
    if one.shape != other.shape:
        return min(len(one), len(other)), ()
    places = np.argwhere(_unlike(one, other))
    if not len(places):
        return None
    bar, *column = (int(index) for index in places[0])
    return bar, tuple(column)
