"""Seasonal naive: the value one season ago."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from podium.arrays import Floats, Times
from podium.families._base import ClosedForm, Family, Model
from podium.prediction import Prediction
from podium.space import Choice, ConfigDict, Space
from podium.split import Windows
from podium.timeframe import DAY, modal_gap
from podium.view import View

FILE = "seasonal_naive.json"
UNITS = {"day": "D", "month": "M", "year": "Y"}


@dataclass(frozen=True)
class SeasonalNaive(Model):
    """A season and its length in bars."""

    season: str
    bars: int

    def predict(self, windows: Windows) -> Prediction:
        """Value of the target one season before each target ends."""
        values = one_season_ago(windows.view, self.bars)[windows.at, windows.item]
        return Prediction.of(windows, values)

    def save(self, folder: Path) -> None:
        """Write ``seasonal_naive.json``."""
        (folder / FILE).write_text(json.dumps(asdict(self)))


class SeasonalNaiveFamily(ClosedForm[View, Windows, Model], Family):
    """Target of the same bar in the last season.

    Notes
    -----
    With a season of ``m`` bars, the forecast for bar ``t + h`` is the target at ``t + h - k * m``,
    where ``k`` is the smallest number for which that bar is not after ``t``. Before there is such a
    bar, it is the last value.

    Seasons are a week and a month of daily bars (5 and 21 on an exchange that closes at weekends),
    a day and a week of intraday bars, a month and a year of weekly bars. Their number of bars is
    the median of the periods in the training bars.

    References
    ----------
    Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., section 5.2.
    """

    name = "seasonal_naive"
    each_alone = True
    level = 1

    def space(self, view: View) -> Space:
        """The two shortest seasons that are longer than a bar."""
        gap = modal_gap(view.times.astype("datetime64[s]").astype(np.int64))
        # A day may be an hour longer or shorter than 24 hours.
        if gap < DAY - 3600:
            seasons = ("day", "week")
        else:
            seasons = ("week", "month") if gap < 7 * DAY - 3600 else ("month", "year")
        return Space({"season": Choice(seasons)})

    def learn(
        self, config: ConfigDict, train: Windows, validation: Windows | None
    ) -> SeasonalNaive:
        """Count the bars of a season up to the last training decision."""
        del validation
        season = str(config["season"])
        return SeasonalNaive(season, bars_of(season, train.view.times[: train.at.max() + 1]))

    def load(self, read: Callable[[str], bytes]) -> SeasonalNaive:
        """Model from ``seasonal_naive.json``."""
        return SeasonalNaive(**json.loads(read(FILE)))


def bars_of(season: str, times: Times) -> int:
    """Median number of bars in a season; the first and the last one may be incomplete.

    Examples
    --------
    >>> days = np.arange("2001-01-01", "2001-12-31", dtype="datetime64[D]")
    >>> [bars_of(season, days[np.is_busday(days)]) for season in ("week", "month")]
    [5, 22]
    """
    if season == "week":
        # 1970-01-05 was a Monday.
        periods = (times.astype("datetime64[D]").astype(np.int64) - 4) // 7
    else:
        periods = times.astype(f"datetime64[{UNITS[season]}]").astype(np.int64)
    counts = np.unique(periods, return_counts=True)[1]
    return max(1, round(float(np.median(counts[1:-1] if len(counts) > 2 else counts))))


def one_season_ago(view: View, bars: int) -> Floats:
    """Target one season before the target of each bar, known at the bar, (T, S)."""
    back = -(-view.horizon // bars) * bars - view.horizon
    values = np.full_like(view.past, np.nan)
    values[back:] = view.past[: len(view) - back]
    return np.where(np.isfinite(values), values, view.past)


FAMILY = SeasonalNaiveFamily
