"""Universes in memory: bars of which some tickers begin late, end early, or are no members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from podium.dataset import Dataset
from podium.testing.series import bars

Lives = Mapping[str, tuple[int, int]]


def living(dataset: Dataset, lives: Lives) -> Dataset:
    """The bars with those outside of each named ticker's life (start, stop) taken away."""
    alive = np.ones((len(dataset), len(dataset.tickers)), dtype=bool)
    for ticker, (start, stop) in lives.items():
        column = dataset.tickers.index(ticker)
        alive[:start, column] = alive[stop:, column] = False
    fields = {name: np.where(alive, values, np.nan) for name, values in dataset.fields.items()}
    return replace(dataset, fields=fields).among(alive)


def universe(n: int = 120, **lives: tuple[int, int]) -> Dataset:
    """Three tickers, ``AAA`` to ``CCC``; those that are named live from a bar up to another."""
    return living(bars(n), lives)
