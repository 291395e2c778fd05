"""View: features and targets of a dataset for a forecasting task."""

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

# Most tickers whose feature is computed again alone, where it starts later than for others.
SUSPECTS = 10


@dataclass(frozen=True, eq=False)
class View:
    """Features and targets of a dataset for a forecasting task; windows index into it.

    Parameters
    ----------
    tickers, times
        As in the dataset.
    features : (T, S, F) float32
        Causal: row ``t`` uses bars up to ``t`` only. Not scaled; families fit their scaler on
        training windows.
    increments : (T, S) float
        One bar's contribution to the target, known at its close, such as a squared return.
    target : (T, S) float
        Target decided at ``t`` and known at ``t + horizon``; NaN beyond the end of the data. For a
        ticker that ends earlier than the data, it covers the bars up to the ticker's last one.
    past : (T, S) float
        The same quantity over the last ``horizon`` bars, known at ``t``.
    aggregate : callable
        ``(mean of increments, horizon) -> target``, without the addition of ``level``.
    horizon, window : int
        Bars ahead, and bars in a model's input.
    centered : bool
        Whether zero is a meaningful forecast (a return), unlike for a log volatility.
    level : (T, S) float, optional
        Part of the target that is known at ``t`` (a price); None: no such part.
    ranges : (T, S) float, optional
        ``log(high / low)`` of each bar, known at its close; None: bars have no high or no low.
    members : (T, S) bool, optional
        Where a ticker can be decided on; None: everywhere, and every ticker has every bar.
    last_bars : (S,) int, optional
        Number of each ticker's last bar; None: every ticker has every bar.
    path : bool
        Whether forecasts are of every horizon from 1 bar to ``horizon``.
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
    ranges: Floats | None = None
    members: Mask | None = None
    last_bars: Ints | None = None
    path: bool = False

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        *,
        features: Sequence[str],
        target: str,
        horizon: int,
        window: int,
        path: bool = False,
    ) -> View:
        """View of a dataset with features and a target, named as in podium.toml.

        Parameters
        ----------
        features : sequence of str
            A feature's name and its arguments after colons: ``log_volatility:21``.
        target : str
        horizon, window : int
            Bars ahead; bars in a model's input.

        Raises
        ------
        UsageError
            A feature does not accept the arguments, or a plugin fails.
        DataError
            A feature has another shape than the bars, is not finite after its warm-up, or becomes
            NaN through missing bars of other tickers.
        """
        kind = registry.load("targets", target)
        with plugin.located_errors():
            increments = kind.increments(dataset)
            level = kind.level(dataset) if hasattr(kind, "level") else None
            computes = _features(features)
            columns = [compute(dataset) for compute in computes]
        named = {f"feature '{spec}'": v for spec, v in zip(features, columns, strict=True)}
        _require_shape(dataset, {**named, f"target '{target}': increments": increments})
        if dataset.members is not None:
            increments = np.where(dataset.alive, increments, np.nan)
        with plugin.located_errors():
            past = kind.aggregate(trailing_mean(increments, horizon), horizon)
        if level is not None:
            past[horizon:] += level[:-horizon]
        future = np.full_like(past, np.nan)
        future[:-horizon] = past[horizon:]
        values = np.stack(columns, axis=-1).astype(np.float32)
        if dataset.members is not None:
            values[~dataset.alive] = np.nan
            future[~dataset.alive] = np.nan
            with plugin.located_errors():
                _fill_last_labels(future, dataset, increments, level, kind.aggregate, horizon)
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
            ranges=_ranges(dataset),
            members=dataset.members,
            last_bars=None if dataset.members is None else dataset.last_bars,
            path=path,
        )

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def first_bar(self) -> int:
        """First bar with a complete window of features, and a known past, for every ticker.

        With members: for any of them; ``len`` if there is none.
        """
        if self.members is not None:
            bars = np.flatnonzero(self.usable.any(axis=1))
            return int(bars[0]) if len(bars) else len(self)
        known = np.isfinite(self.features).all(axis=(1, 2)) & np.isfinite(self.past).all(axis=1)
        unknown = np.flatnonzero(~known)
        return int(unknown[-1] + 1 if len(unknown) else 0) + self.window - 1

    @cached_property
    def usable(self) -> Mask:
        """Where a member has a complete window and a known past, (T, S)."""
        known = np.isfinite(self.features).all(axis=2) & np.isfinite(self.past)
        row = np.arange(len(self))[:, np.newaxis]
        since = row - np.maximum.accumulate(np.where(known, -1, row), axis=0)
        usable: Mask = since >= self.window
        return usable if self.members is None else usable & self.members

    @cached_property
    def last_labelled(self) -> int:
        """Last bar with a known target: ``T - 1 - horizon``."""
        return len(self) - 1 - self.horizon

    def samples(self) -> Samples:
        """Decision bars with a complete window and a known label.

        Raises
        ------
        DataError
            There are none; names the required number of bars.
        """
        first, last = self.first_bar, self.last_labelled
        bars = np.arange(first, last + 1, dtype=np.int64)
        if self.members is not None:
            labelled = self.usable & np.isfinite(self.target)
            bars = bars[labelled[first : last + 1].any(axis=1)]
        if not len(bars):
            raise DataError(
                f"{len(self)} bars give no sample",
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
        """Message on the tickers without a forecast at the newest bar; empty if there are none."""
        if self.members is None or self.usable[-1].all():
            return ""
        tickers = []
        for column in np.flatnonzero(~self.usable[-1]).tolist():
            since = np.flatnonzero(self.members[:, column])
            if self.members[-1, column]:
                reason = "too few bars yet"
            elif len(since):
                reason = f"not a member after {self.times[since[-1]]}"
            else:
                reason = "not a member yet"
            tickers.append(f"{self.tickers[column]} ({reason})")
        more = f" and {len(tickers) - 10} more" if len(tickers) > 10 else ""
        return f"no forecast at {self.times[-1]} for {', '.join(tickers[:10])}{more}"

    def expected(self, means: Floats) -> Floats:
        """Target at each bar for these means of the future increments.

        Parameters
        ----------
        means : (T, S) float
            Forecast mean of the increments of the next ``horizon`` bars.

        Returns
        -------
        (T, S) float
        """
        target = self.aggregate(means, self.horizon)
        return target if self.level is None else target + self.level

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
            ranges=None if self.ranges is None else self.ranges[:stop],
            members=None if self.members is None else self.members[:stop],
            last_bars=None if self.last_bars is None else np.minimum(self.last_bars, stop - 1),
        )

    def at_step(self, step: int) -> View:
        """The same view with the target ``step`` bars ahead, for decisions with a known target.

        Targets are unknown where this view's are, so that a blind view stays blind.
        """
        if step == self.horizon:
            return replace(self, path=False)
        past = self.aggregate(trailing_mean(self.increments, step), step)
        if self.level is not None:
            past[step:] += self.level[:-step]
        target = np.full_like(past, np.nan)
        target[:-step] = past[step:]
        target[~np.isfinite(self.target)] = np.nan
        return replace(self, target=target, past=past, horizon=step, path=False)

    def blind(self) -> View:
        """The same view without targets, as input for predictions."""
        return replace(self, target=np.full_like(self.target, np.nan))


def _ranges(dataset: Dataset) -> Floats | None:
    """Logarithm of high over low of each bar; None if bars lack one of them."""
    high, low = (dataset.fields.get(name) for name in ("high", "low"))
    return None if high is None or low is None else np.log(high / low)


def _features(specs: Sequence[str]) -> list[Callable[[Dataset], Floats]]:
    """Functions of features such as ``log_return`` or ``log_volatility:21``."""
    computes: list[Callable[[Dataset], Floats]] = []
    problems = Problems()
    for spec in specs:
        name, _, rest = spec.partition(":")
        given = rest.split(":") if rest else []
        compute = registry.load("features", name).compute
        try:
            computes.append(_bound(compute, arguments(name, given, compute)))
        except UsageError as error:
            problems += error.problems
    UsageError.raise_for(problems)
    return computes


def arguments(name: str, given: Sequence[str], compute: Callable[..., Any]) -> list[int | str]:
    """Arguments of a feature's function from its spec in podium.toml.

    Parameters
    ----------
    given : sequence of str
        Texts for parameters annotated as ``str``, whole numbers above 0 for all others.

    Raises
    ------
    UsageError
        Too many, too few, or of another type.
    """
    takes = list(inspect.signature(compute).parameters.values())[1:]
    texts = [one.annotation in (str, "str") for one in takes]
    needed = sum(text and one.default is one.empty for one, text in zip(takes, texts, strict=True))
    fits = [
        bool(word) if text else word.isdigit() and int(word) > 0
        for word, text in zip(given, texts, strict=False)
    ]
    if not needed <= len(given) <= len(takes) or not all(fits):
        expected = f"at most {len(takes)} whole number(s) above 0"
        if any(texts):
            kinds = ("a whole number above 0", "a text")
            pairs = zip(takes, texts, strict=True)
            expected = ", ".join(f"{one.name} ({kinds[text]})" for one, text in pairs)
        raise UsageError(f"feature '{':'.join([name, *given])}'", f"'{name}' and {expected}")
    return [word if text else int(word) for word, text in zip(given, texts, strict=False)]


def _bound(compute: Callable[..., Any], given: list[int | str]) -> Callable[[Dataset], Floats]:
    return lambda dataset: compute(dataset, *given)


def trailing_mean(values: Floats, bars: int) -> Floats:
    """Mean of each row and the ``bars - 1`` before it; NaN where there are fewer."""
    means = np.full_like(values, np.nan)
    if len(values) >= bars:
        means[bars - 1 :] = sliding_window_view(values, bars, axis=0).mean(axis=-1)
    return means


def _fill_last_labels(
    target: Floats,
    dataset: Dataset,
    increments: Floats,
    level: Floats | None,
    aggregate: Callable[[Floats, int], Floats],
    horizon: int,
) -> None:
    """Write labels whose horizon exceeds a ticker's last bar, from the increments up to that bar.

    Without them the sample would lack the crash that often precedes a delisting. The last bar has
    no label, and labels beyond the end of the data stay unknown.
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
        targets = aggregate(means, known)[0, ended]
        target[at[ended], ended] = targets if level is None else targets + level[at[ended], ended]


def _require_own(
    dataset: Dataset,
    names: Sequence[str],
    computes: Sequence[Callable[[Dataset], Floats]],
    features: NDArray[np.float32],
) -> None:
    """Refuse a feature that is NaN through missing bars of other tickers or before a first bar.

    A ticker with a longer warm-up than others is tested alone: its warm-up must not get shorter.
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
                    "values that depend neither on bars before a ticker's first bar nor on "
                    "missing bars of other tickers",
                    "start each ticker at its first bar, and ignore NaN (np.nanmean) where "
                    "tickers are combined",
                )
                break
    DataError.raise_for(problems)


def _require_shape(dataset: Dataset, arrays: Mapping[str, Floats]) -> None:
    """Refuse arrays without one column per ticker."""
    shape = (len(dataset), len(dataset.tickers))
    expected = f"{shape}: one row per bar, one column per ticker"
    DataError.raise_for(
        Problem(f"{name} has shape {np.shape(values)}", expected)
        for name, values in arrays.items()
        if np.shape(values) != shape
    )


def _require_finite(dataset: Dataset, names: Sequence[str], features: NDArray[np.float32]) -> None:
    """Refuse a feature that is not finite after its warm-up."""
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
    # Samples start where all features are known; covariates may lack a ticker altogether.
    never = np.argwhere(~known.any(axis=0))
    if dataset.covariates and len(never):
        ticker, feature = never[0]
        raise DataError(
            f"feature '{names[feature]}' of {dataset.tickers[ticker]} has no value at any of "
            f"{len(dataset)} bars up to {dataset.times[-1]} ({len(never)} such)",
            "a value of every ticker before the last bar",
            f"run: podium check {dataset.name}, or leave the feature or the ticker out",
        )
