"""Synthetic bars with known properties, the same for the same seed on every machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from podium.arrays import Floats, Times
from podium.dataset import FIELDS, Dataset
from podium.view import View

TICKERS = ("AAA", "BBB", "CCC")
DAILY = 0.01
PRICES = ("open", "high", "low", "close")


def bars(
    n: int = 300,
    tickers: Sequence[str] = TICKERS,
    seed: int = 0,
    *,
    persistence: float = 0.97,
    clustering: float = 0.25,
) -> Dataset:
    """Daily bars of a random walk with volatility clusters, which can be forecast.

    The logarithm of the variance follows an AR(1) process; returns have no predictable direction.
    A ticker's bars depend only on the seed and its name, not on other tickers, and the first bars
    do not depend on ``n``.

    Parameters
    ----------
    n : int, >= 2
        Bars.
    persistence : float in [0, 1)
        Autocorrelation of the log variance.
    clustering : float, >= 0
        Standard deviation of the log variance's shocks; 0: constant volatility.

    Examples
    --------
    >>> len(bars(50)), bars(50).tickers
    (50, ('AAA', 'BBB', 'CCC'))
    """
    columns = []
    for ticker in tickers:
        shocks = _shocks(seed, ticker, n)
        log_variance = _autoregression(clustering * shocks[:, 0], persistence)
        spread = DAILY * np.exp(log_variance / 2)
        columns.append(_column(spread * shocks[:, 1], spread, shocks))
    return _dataset("bars", tuple(tickers), columns)


@dataclass(frozen=True, eq=False)
class Planted:
    """Bars with a planted dependence and a known smallest loss.

    Parameters
    ----------
    coefficient : float
        Coefficient of the AR(1) process of returns.
    noise : float
        Standard deviation of its innovations.
    """

    dataset: Dataset
    coefficient: float
    noise: float

    def oracle_mse(self, horizon: int = 1) -> float:
        """Mean squared error of the true conditional mean of the next ``horizon`` bars' return.

        Notes
        -----
        The innovation ``j`` bars before the end reaches the return through the sum of the first
        ``j + 1`` powers of the coefficient.
        """
        reach = np.cumsum(self.coefficient ** np.arange(horizon))
        return float(self.noise**2 * np.sum(reach**2))


def planted(
    n: int = 300,
    tickers: Sequence[str] = TICKERS,
    seed: int = 0,
    *,
    coefficient: float = 0.8,
    noise: float = DAILY,
) -> Planted:
    """Bars whose next logarithmic return is ``coefficient`` times the last one, plus noise.

    Parameters
    ----------
    coefficient : float in (-1, 1)
    noise : float, > 0

    Examples
    --------
    >>> planted(50, noise=0.02).oracle_mse(1)
    0.0004
    """
    columns = []
    for ticker in tickers:
        shocks = _shocks(seed, ticker, n)
        returns = _autoregression(noise * shocks[:, 1], coefficient)
        columns.append(_column(returns, np.full(n, noise), shocks))
    return Planted(_dataset("planted", tuple(tickers), columns), coefficient, noise)


def shuffled(dataset: Dataset, seed: int = 0, block: int = 1) -> Dataset:
    """The same bars in random order: they are not predictable, and each bar keeps its shape.

    A bar keeps its prices relative to the previous close and its volume. Rows of all tickers move
    together, so the dependence between tickers remains. The first bar stays in place.

    Parameters
    ----------
    block : int, >= 1
        Bars that stay together; shorter dependence remains inside a block.

    Examples
    --------
    >>> before, after = bars(50), shuffled(bars(50))
    >>> bool(np.isclose(before["close"][-1], after["close"][-1]).all())
    True
    """
    n = len(dataset)
    starts = np.arange(1, n, block)
    order = np.random.default_rng(seed).permutation(starts)
    rows = np.concatenate([np.arange(s, min(s + block, n)) for s in order])
    before = dataset["close"][rows - 1]
    shape = {name: dataset[name][rows] / before for name in PRICES}
    close = dataset["close"][:1] * np.cumprod(shape["close"], axis=0)
    reached = np.concatenate([dataset["close"][:1], close[:-1]])
    fields = {name: np.vstack([dataset[name][:1], shape[name] * reached]) for name in PRICES}
    fields["volume"] = np.vstack([dataset["volume"][:1], dataset["volume"][rows]])
    return replace(dataset, name=f"{dataset.name}, shuffled", fields=fields)


def view(
    dataset: Dataset,
    *,
    features: Sequence[str] = ("log_return", "log_range"),
    target: str = "log_return",
    horizon: int = 1,
    window: int = 8,
) -> View:
    """A small view of a dataset, made as for a slot of podium.toml."""
    return View.of(dataset, features=features, target=target, horizon=horizon, window=window)


def _shocks(seed: int, ticker: str, n: int) -> Floats:
    """Standard normal draws of one ticker, (n, 6); the first rows do not depend on ``n``."""
    return np.random.default_rng([seed, *ticker.encode()]).standard_normal((n, 6))


def _autoregression(shocks: Floats, coefficient: float) -> Floats:
    """AR(1) process that starts in its stationary distribution."""
    values = np.empty_like(shocks)
    state = shocks[0] / math.sqrt(1 - coefficient**2)
    values[0] = state
    for t in range(1, len(shocks)):
        state = coefficient * state + shocks[t]
        values[t] = state
    return values


def _column(returns: Floats, spread: Floats, shocks: Floats) -> Mapping[str, Floats]:
    """One ticker's bars from its returns; the range of a bar follows its volatility."""
    close = 100.0 * np.exp(np.cumsum(returns))
    before = np.concatenate([[100.0], close[:-1]])
    start = before * np.exp(0.2 * spread * shocks[:, 2])
    reach = np.exp(0.5 * spread[:, np.newaxis] * np.abs(shocks[:, 3:5]))
    volume = 1e6 * np.exp(0.3 * shocks[:, 5]) * (spread / DAILY)
    return {
        "open": start,
        "high": np.maximum(start, close) * reach[:, 0],
        "low": np.minimum(start, close) / reach[:, 1],
        "close": close,
        "volume": volume,
    }


def _dataset(
    name: str, tickers: tuple[str, ...], columns: Sequence[Mapping[str, Floats]]
) -> Dataset:
    fields = {field: np.column_stack([column[field] for column in columns]) for field in FIELDS}
    return Dataset(name, "D", tickers, _weekdays(len(fields["close"])), fields)


def _weekdays(n: int) -> Times:
    return np.busday_offset(np.datetime64("2000-01-03"), np.arange(n)).astype("datetime64[s]")
