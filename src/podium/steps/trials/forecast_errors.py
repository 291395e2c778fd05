"""Errors of a slot's forecasts in the target's unit and in prices, whatever its metric is."""

from __future__ import annotations

from podium import registry
from podium.arrays import Floats
from podium.prediction import ClassPrediction
from podium.split import Split, Windows
from podium.stats import forecast_errors
from podium.steps.data.bars import SlotData
from podium.steps.data.own_code import SearchData
from podium.trial import Ended


def errors_of(data: SlotData, windows: Windows, forecast: Floats) -> dict[str, float]:
    """``mae``, ``r2`` and, where the target tells of a price, ``price_mae`` and ``pct_mae``.

    Parameters
    ----------
    windows : Windows
        Of any view of the slot's bars, each with an outcome.
    forecast : (N,) float
    """
    truth = windows.truth()
    to_price = getattr(registry.load("targets", data.section.target), "to_price", None)
    if to_price is None:
        return forecast_errors(truth, forecast)
    last = data.dataset["close"][windows.at, windows.item]
    return forecast_errors(
        truth,
        forecast,
        price=to_price(truth, last),
        price_forecast=to_price(forecast, last),
        last=last,
    )


def of_trial(data: SearchData, split: Split, ended: Ended) -> dict[str, float]:
    """The same of a trial's validation windows, named as trackers do: ``val_mae``."""
    found = ended.prediction
    if not isinstance(data, SlotData) or found is None or isinstance(found, ClassPrediction):
        return {}
    if found.form == "positions":
        return {}
    _, windows = split.folds[ended.task.fold].windows(data.tuning)
    return {f"val_{name}": v for name, v in errors_of(data, windows, found.mean).items()}
