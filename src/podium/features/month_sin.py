"""Sine of the month of the year of a bar's stamp (its close, UTC); use with month_cos."""

from __future__ import annotations

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._calendar import month, sine


def compute(dataset: Dataset) -> Floats:
    """Return values from -1 to 1, (T, S), equal for all tickers."""
    return sine(dataset, month)
