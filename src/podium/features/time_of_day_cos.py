"""Cosine of the time of day of a bar's stamp (its close, UTC); goes with time_of_day_sin."""

from __future__ import annotations

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._calendar import cosine, time_of_day


def compute(dataset: Dataset) -> Floats:
    """From -1 to 1, the same for every ticker; a bar stamped at its date is that date's."""
    return cosine(dataset, time_of_day)
