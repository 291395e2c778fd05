"""Cosine of the time of day of a bar's stamp (its close, UTC); use with time_of_day_sin."""

from __future__ import annotations

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._calendar import cosine, time_of_day


def compute(dataset: Dataset) -> Floats:
    """Return values from -1 to 1, (T, S), equal for all tickers."""
    return cosine(dataset, time_of_day)
