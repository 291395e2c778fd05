"""Cosine of the month of the year of a bar's stamp (its close, UTC); goes with month_sin."""

from __future__ import annotations

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._calendar import cosine, month


def compute(dataset: Dataset) -> Floats:
    """From -1 to 1, the same for every ticker; a bar stamped at its date is that date's."""
    return cosine(dataset, month)
