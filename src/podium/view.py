"""View: what a forecasting task sees of a dataset."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from podium import plugin, registry
from podium.arrays import Floats, Ints, Mask, Times
from podium.dataset import Dataset
from podium.errors import DataError, Problem, Problems, UsageError
from podium.samples import Samples

# Tickers whose feature is computed once more alone, when it is known later than that of others.
SUSPECTS = 10


@dataclass(frozen=True, eq=False)
class View:
    """What a forecasting task sees of a dataset: one copy of it, addressed by windows.

    Parameters
    ----------
    tickers, times
        As in the dataset.
    features : (T, S, F) float32
        Causal: row ``t`` uses bars up to ``t`` only. Not scaled; families fit their scaler on
        training windows.
    increments : (T, S) float
        One bar's contribution to the target, known at its close (a squared return, say).
    target : (T, S) float
        Target decided at ``t`` and known at ``t + horizon``; NaN where that lies beyond the data.
        Of a ticker that ends before that, and before the data do, it is made of the bars there are.
    past : (T, S) float
        The same quantity over the last ``horizon`` bars, known at ``t``.
    aggregate : callable
        ``(mean of increments, horizon) -> target``, what has to be added of ``level`` left out.
    horizon, window : int
        Bars ahead, and bars a model looks back.
    centered : bool
        Whether a forecast of zero is one (a return), not nonsense (a log volatility).
    level : (T, S) float, optional
        Known at ``t`` and part of the target decided there (a price); None: nothing is.
    members : (T, S) bool, optional
        Where a ticker may be decided on; None: everywhere, and every ticker has every bar.
    last_bars : (S,) int, optional
        Number of each ticker's last bar; None: every ticker has every bar.
    """

    tickers: tuple[str, ...]
    times: Times
    feature_names: tuple[str, ...]
    features: NDArray[np.float32]
    increments: Floats
    target: Floats
    past: Floats
    aggregate: Callable[[Floats, int], Floats]
    horizon: int
    window: int
    centered: bool
    level: Floats | None = None
    members: Mask | None = None
    last_bars: Ints | None = None

    @classmethod
    def of(
        cls, dataset: Dataset, *, features: Sequence[str], target: str, horizon: int, window: int
    ) -> View:
        """View of a dataset through features and a target, named as in podium.toml.

        Parameters
        ----------
        features : sequence of str
            A feature's name, and after colons what it takes: ``log_volatility:21``.
        target : str
        horizon, window : int
            Bars ahead; bars a model looks back.

        Raises
        ------
        UsageError
            A feature does not take such numbers, or a plugin cannot be run.
        DataError
            A feature has another shape than the bars, is not finite after its warm-up, or is
            spoiled by the bars that other tickers lack.
        """
        kind = registry.load("targets", target)
        with plugin.blamed():
            increments = kind.increments(dataset)
            level = kind.level(dataset) if hasattr(kind, "level") else None
            computes = _features(features)
            columns = [compute(dataset) for compute in computes]
        _require_shape(
            dataset, {f"feature '{spec}'": v for spec, v in zip(features, columns, strict=True)}
        )
        _require_shape(dataset, {f"target '{target}': increments": increments})
        if dataset.members is not None:
            increments = np.where(dataset.alive, increments, np.nan)
        with plugin.blamed():
            past = kind.aggregate(_trailing_mean(increments, horizon), horizon)
        if level is not None:
            past[horizon:] += level[:-horizon]
        future = np.full_like(past, np.nan)
        future[:-horizon] = past[horizon:]
        values = np.stack(columns, axis=-1).astype(np.float32)
        if dataset.members is not None:
            values[~dataset.alive] = np.nan
            future[~dataset.alive] = np.nan
            with plugin.blamed():
                _cut_short(future, dataset, increments, level, kind.aggregate, horizon)
                _require_own(dataset, features, computes, values)
        _require_finite(dataset, features, values)
        return cls(
            tickers=dataset.tickers,
            times=dataset.times,
            feature_names=tuple(features),
            features=values,
            increments=increments,
            target=future,
            past=past,
            aggregate=kind.aggregate,
            horizon=horizon,
            window=window,
            centered=kind.CENTERED,
            level=level,
            members=dataset.members,
            last_bars=None if dataset.members is None else dataset.last_bars,
        )

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def first_bar(self) -> int:
        """First bar whose whole window of features, and past, is known for every ticker.

        Among members: for any of them; ``len`` when there is none.
        """
        if self.members is not None:
            found = np.flatnonzero(self.usable.any(axis=1))
            return int(found[0]) if len(found) else len(self)
        known = np.isfinite(self.features).all(axis=(1, 2)) & np.isfinite(self.past).all(axis=1)
        unknown = np.flatnonzero(~known)
        return int(unknown[-1] + 1 if len(unknown) else 0) + self.window - 1

    @cached_property
    def usable(self) -> Mask:
        """Where a window can be decided on, (T, S): by a member, all of it and its past known."""
        known = np.isfinite(self.features).all(axis=2) & np.isfinite(self.past)
        row = np.arange(len(self))[:, np.newaxis]
        since = row - np.maximum.accumulate(np.where(known, -1, row), axis=0)
        found: Mask = since >= self.window
        return found if self.members is None else found & self.members

    @cached_property
    def last_labelled(self) -> int:
        """Last bar whose target is known, that is ``T - 1 - horizon``."""
        return len(self) - 1 - self.horizon

    def samples(self) -> Samples:
        """Decision bars with a whole window before and a known label after them.

        Raises
        ------
        DataError
            There are none, with the number of bars that would do.
        """
        first, last = self.first_bar, self.last_labelled
        bars = np.arange(first, last + 1, dtype=np.int64)
        if self.members is not None:
            labelled = self.usable & np.isfinite(self.target)
            bars = bars[labelled[first : last + 1].any(axis=1)]
        if not len(bars):
            raise DataError(
                f"{len(self)} bars leave no sample",
                f"at least {first + self.horizon + 1} for this window, these features and this "
                "horizon",
                "use more bars or a shorter window",
            )
        return Samples(
            bars,
            starts=bars,
            ends=bars + self.horizon,
            times=self.times,
            horizon=self.horizon,
            window=self.window,
        )

    def left_out(self) -> str:
        """Who cannot be decided on at the newest bar, and why, in words; empty: nobody."""
        if self.members is None or self.usable[-1].all():
            return ""
        found = []
        for column in np.flatnonzero(~self.usable[-1]).tolist():
            since = np.flatnonzero(self.members[:, column])
            if self.members[-1, column]:
                why = "too few bars yet"
            else:
                why = f"no member after {self.times[since[-1]]}" if len(since) else "no member yet"
            found.append(f"{self.tickers[column]} ({why})")
        more = f" and {len(found) - 10} more" if len(found) > 10 else ""
        return f"no forecast at {self.times[-1]} for {', '.join(found[:10])}{more}"

    def expected(self, means: Floats) -> Floats:
        """Target decided at each bar if increments went on with these means.

        Parameters
        ----------
        means : (T, S) float
            Forecast mean of the increments of the next ``horizon`` bars.

        Returns
        -------
        (T, S) float
        """
        found = self.aggregate(means, self.horizon)
        return found if self.level is None else found + self.level

    def until(self, stop: int) -> View:
        """The first ``stop`` bars; targets that end at or after ``stop`` become unknown."""
        target = self.target[:stop].copy()
        target[max(0, stop - self.horizon) :] = np.nan
        return replace(
            self,
            times=self.times[:stop],
            features=self.features[:stop],
            increments=self.increments[:stop],
            target=target,
            past=self.past[:stop],
            level=None if self.level is None else self.level[:stop],
            members=None if self.members is None else self.members[:stop],
            last_bars=None if self.last_bars is None else np.minimum(self.last_bars, stop - 1),
        )

    def blind(self) -> View:
        """The same view without any target: what a family is given to predict from."""
        return replace(self, target=np.full_like(self.target, np.nan))


def _features(specs: Sequence[str]) -> list[Callable[[Dataset], Floats]]:
    """Functions of feature specs such as ``log_return`` or ``log_volatility:21``."""
    found: list[Callable[[Dataset], Floats]] = []
    problems = Problems()
    for spec in specs:
        name, _, rest = spec.partition(":")
        given = rest.split(":") if rest else []
        compute = registry.load("features", name).compute
        try:
            found.append(_bound(compute, arguments(name, given, compute)))
        except UsageError as error:
            problems += error.problems
    UsageError.raise_for(problems)
    return found


def arguments(name: str, given: Sequence[str], compute: Callable[..., Any]) -> list[int | str]:
    """What a feature's spec says after its name, as its function takes it.

    Parameters
    ----------
    given : sequence of str
        Texts for parameters that are annotated as such, whole numbers above 0 for all others.

    Raises
    ------
    UsageError
        Too many, too few, or not of these kinds.
    """
    takes = list(inspect.signature(compute).parameters.values())[1:]
    texts = [one.annotation in (str, "str") for one in takes]
    needed = sum(text and one.default is one.empty for one, text in zip(takes, texts, strict=True))
    fits = [
        bool(word) if text else word.isdigit() and int(word) > 0
        for word, text in zip(given, texts, strict=False)
    ]
    if not needed <= len(given) <= len(takes) or not all(fits):
        wanted = f"at most {len(takes)} whole number(s) above 0"
        if any(texts):
            kinds = ("a whole number above 0", "a text")
            wanted = ", ".join(
                f"{one.name} ({kinds[text]})" for one, text in zip(takes, texts, strict=True)
            )
        raise UsageError(f"feature '{':'.join([name, *given])}'", f"'{name}' and {wanted}")
    return [word if text else int(word) for word, text in zip(given, texts, strict=False)]


def _bound(compute: Callable[..., Any], given: list[int | str]) -> Callable[[Dataset], Floats]:
    return lambda dataset: compute(dataset, *given)


def _trailing_mean(values: Floats, bars: int) -> Floats:
    """Mean of each row and the ``bars - 1`` before it; NaN while there are too few."""
    means = np.full_like(values, np.nan)
    if len(values) >= bars:
        means[bars - 1 :] = sliding_window_view(values, bars, axis=0).mean(axis=-1)
    return means


def _cut_short(
    target: Floats,
    dataset: Dataset,
    increments: Floats,
    level: Floats | None,
    aggregate: Callable[[Floats, int], Floats],
    horizon: int,
) -> None:
    """Write the labels that reach beyond a ticker's last bar: of the increments that there are.

    To leave them out would be to leave the crash out that a delisting often is. At the last bar
    itself there is none. Where the data end as well a label stays unknown.
    """
    alive = dataset.alive
    first, last = alive.argmax(axis=0), dataset.last_bars
    for known in range(1, horizon):
        at = last - known
        [ended] = np.nonzero(alive.any(axis=0) & (at >= first) & (at + horizon < len(alive)))
        if not len(ended):
            continue
        means = np.full((1, len(last)), np.nan)
        rows = at[ended] + 1 + np.arange(known)[:, np.newaxis]
        means[0, ended] = increments[rows, ended].mean(axis=0)
        found = aggregate(means, known)[0, ended]
        target[at[ended], ended] = found if level is None else found + level[at[ended], ended]


def _require_own(
    dataset: Dataset,
    names: Sequence[str],
    computes: Sequence[Callable[[Dataset], Floats]],
    features: NDArray[np.float32],
) -> None:
    """Refuse a feature that bars another ticker lacks, or those before a first one, make unknown.

    Suspect is a ticker that warms up longer than another; whether it also does alone decides.
    """
    alive = dataset.alive
    first, lived = alive.argmax(axis=0), alive.sum(axis=0)
    problems = Problems()
    for column, (name, compute) in enumerate(zip(names, computes, strict=True)):
        known = np.isfinite(features[:, :, column])
        warm_up = np.where(known.any(axis=0), known.argmax(axis=0) - first, lived)
        late = np.flatnonzero((lived > 0) & (warm_up > warm_up[lived > 0].min(initial=len(alive))))
        if not known.any():
            late = np.flatnonzero(lived == lived.max())
        for ticker in late[np.argsort(-warm_up[late], kind="stable")][:SUSPECTS].tolist():
            start, bars = int(first[ticker]), int(lived[ticker])
            own = dataset.select(dataset.tickers[ticker : ticker + 1]).slice(start, start + bars)
            alone = np.flatnonzero(np.isfinite(compute(own)))
            if len(alone) and alone[0] < warm_up[ticker]:
                problems.add(
                    f"feature '{name}' of {dataset.tickers[ticker]} is not finite "
                    f"{warm_up[ticker] - 1} bars after the ticker's first bar "
                    f"({dataset.times[start]}); of its bars alone it is after {alone[0]}",
                    "values that neither bars before a ticker's first nor those that other "
                    "tickers lack make unknown",
                    "begin each ticker at its own first bar, and leave out what is NaN "
                    "(np.nanmean) where tickers are put together",
                )
                break
    DataError.raise_for(problems)


def _require_shape(dataset: Dataset, found: Mapping[str, Floats]) -> None:
    """Refuse what is not one column a ticker."""
    shape = (len(dataset), len(dataset.tickers))
    DataError.raise_for(
        Problem(
            f"{what} has shape {np.shape(values)}", f"{shape}: one row a bar, one column a ticker"
        )
        for what, values in found.items()
        if np.shape(values) != shape
    )


def _require_finite(dataset: Dataset, names: Sequence[str], features: NDArray[np.float32]) -> None:
    """Refuse a feature that is unknown after its warm-up."""
    known = np.isfinite(features)
    started = np.maximum.accumulate(known, axis=0)
    bad = np.argwhere(started & ~known & dataset.alive[:, :, np.newaxis])
    if len(bad):
        bar, ticker, feature = bad[0]
        raise DataError(
            f"feature '{names[feature]}' of {dataset.tickers[ticker]} is not finite at "
            f"{dataset.times[bar]} ({len(bad)} such values)",
            "finite values after the warm-up",
            "correct the bars or leave the feature out",
        )
    # Bars begin where all of them are known; rows beside them may never reach a ticker.
    never = np.argwhere(~known.any(axis=0))
    if dataset.covariates and len(never):
        ticker, feature = never[0]
        raise DataError(
            f"feature '{names[feature]}' of {dataset.tickers[ticker]} has no value at any of "
            f"{len(dataset)} bars up to {dataset.times[-1]} ({len(never)} such)",
            "a value of every ticker before the last bar",
            f"run: podium check {dataset.name}, or leave the feature or the ticker out",
        )
