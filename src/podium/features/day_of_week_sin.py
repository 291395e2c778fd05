"""Sine of the day of the week of a bar's stamp (its close, UTC); goes with day_of_week_cos."""

from __future__ import annotations

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._calendar import day_of_week, sine


def compute(dataset: Dataset) -> Floats:
    """From -1 to 1, the same for every ticker; a bar stamped at its date is that date's."""
    return sine(dataset, day_of_week)
