"""Cosine of the day of the week of a bar's stamp (its close, UTC); use with day_of_week_sin."""

from __future__ import annotations

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._calendar import cosine, day_of_week


def compute(dataset: Dataset) -> Floats:
    """Return values from -1 to 1, (T, S), equal for all tickers."""
    return cosine(dataset, day_of_week)
