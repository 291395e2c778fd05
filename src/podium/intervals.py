"""Calibration: quantiles of a forecast from the errors of earlier ones, for every forecaster."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from podium.arrays import Floats, Mask
from podium.errors import DataError
from podium.prediction import Prediction
from podium.samples import Indices
from podium.split import Windows

# File of a calibration in a model's folder.
FILE = "intervals.json"
LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
# Central intervals: nominal coverage and the levels of the bounds.
INTERVALS = {80: (0.1, 0.9), 90: (0.05, 0.95)}
# Least windows of a calibration, and of one for a single ticker.
LEAST, ENOUGH = 20, 200
# Step of the adaptive form, as a share of the distance between the outermost offsets.
RATE = 0.05


@dataclass(frozen=True, eq=False)
class Calibration:
    """Offsets that turn forecasts into calibrated quantiles (split conformal prediction).

    A quantile of level ``q`` is the model's own quantile (its mean, if it forecasts means) plus an
    offset: the ``(n + 1) q``-th smallest error of the model on the n windows of its validation
    part, rounded outwards. Where future errors are exchangeable with those, the quantiles 0.05 and
    0.95 enclose at least 90 per cent of outcomes and at most ``2 / (n + 1)`` more.

    Parameters
    ----------
    levels : tuple of float, length Q
    steps : tuple of int, length H
        Horizon of each step in bars: all from 1 for a path, else the slot's alone.
    pooled : (H, Q) float
        Offsets from the windows of all tickers, in the target's unit.
    tickers : mapping of ticker to (H, Q) float
        Offsets of tickers with enough windows of their own.
    windows : int
        Number of windows of the calibration.

    References
    ----------
    Romano, Patterson and Candès (2019), Conformalized quantile regression, NeurIPS 32, the form
    with one offset for each bound. Gibbs and Candès (2021), Adaptive conformal inference under
    distribution shift, NeurIPS 34; Angelopoulos, Candès and Tibshirani (2023), Conformal PID
    control for time series prediction, NeurIPS 36, for :meth:`adapted`.
    """

    levels: tuple[float, ...]
    steps: tuple[int, ...]
    pooled: Floats
    tickers: Mapping[str, Floats]
    windows: int

    @classmethod
    def of(
        cls,
        prediction: Prediction,
        truth: Floats,
        horizon: int,
        levels: Sequence[float] = LEVELS,
    ) -> Self | None:
        """Calibration from forecasts and outcomes that the model was not fitted on.

        Parameters
        ----------
        prediction : Prediction
            Means or quantiles of N windows.
        truth : (N,) or (N, H) float
            Outcomes; (N, H) for a path. Windows with a NaN do not count.
        horizon : int
            Bars of the slot's horizon.
        levels : sequence of float
            Increasing, between 0 and 1.

        Returns
        -------
        Calibration or None
            None: fewer than 20 windows.

        Examples
        --------
        >>> from podium.prediction import Prediction
        >>> days = np.datetime64("2020-01-01", "s") + 86400 * np.arange(99)
        >>> made = Prediction(np.full(99, "A"), days, days + 86400, np.zeros(99))
        >>> Calibration.of(made, np.arange(1.0, 100.0), 1, (0.1, 0.5, 0.9)).pooled.tolist()
        [[10.0, 50.0, 90.0]]
        """
        errors = truth.reshape(len(prediction), -1, 1) - _base(prediction, levels)
        known = np.isfinite(errors).all(axis=(1, 2))
        if known.sum() < LEAST:
            return None
        rows = {str(name): known & (prediction.item == name) for name in np.unique(prediction.item)}
        own = {name: mask for name, mask in rows.items() if mask.sum() >= ENOUGH}
        steps = tuple(range(1, prediction.steps + 1)) if prediction.is_path else (horizon,)
        return cls(
            tuple(levels),
            steps,
            _offsets(errors[known], levels),
            # One ticker alone has the pooled offsets.
            {n: _offsets(errors[m], levels) for n, m in own.items()} if len(rows) > 1 else {},
            int(known.sum()),
        )

    def quantiles(self, prediction: Prediction) -> Floats:
        """Calibrated quantiles of forecasts, not decreasing.

        Returns
        -------
        (N, Q) float, or (N, H, Q) for paths
            In the target's unit, columns as ``levels``; NaN where there is no forecast.

        Raises
        ------
        DataError
            The prediction has other horizons than the calibration, or is of positions.
        """
        base = self._base(prediction)
        for name, rows in _by_ticker(prediction):
            base[rows] += self.tickers.get(name, self.pooled)
        return _shaped(prediction, base)

    def adaptive(self, prediction: Prediction, truth: Floats) -> tuple[Floats, Calibration]:
        """Quantiles that adapt to the outcomes known at each decision, and the calibration after.

        After each outcome the offset of level ``q`` moves up by ``q`` steps if the outcome was
        above the quantile, and down by ``1 - q`` steps if not, so that the share of outcomes below
        tends to ``q`` whatever the process (online quantile tracking, the form of adaptive
        conformal inference that moves the bound). A step is 5 per cent of the distance between the
        outermost offsets.

        Parameters
        ----------
        prediction : Prediction
            Forecasts after the training, in the order of time; consecutive bars of each ticker.
        truth : (N,) or (N, H) float
            NaN for an outcome that is not known yet.

        Returns
        -------
        (N, Q) or (N, H, Q) float
            The quantiles as they would have been at each decision.
        Calibration
            For the next forecasts.
        """
        base = self._base(prediction)
        errors = truth.reshape(len(prediction), -1, 1) - base
        levels, after = np.array(self.levels), {}
        for name, rows in _by_ticker(prediction):
            start = self.tickers.get(name, self.pooled)
            step = RATE * (start[:, -1:] - start[:, :1])
            used, after[name] = _tracked(errors[rows], start, step * levels, step, self.steps)
            base[rows] += used
        return _shaped(prediction, base), replace(self, tickers={**self.tickers, **after})

    def to_bytes(self) -> bytes:
        """JSON of the calibration; :meth:`from_bytes` restores it."""
        content = {
            "levels": self.levels,
            "steps": self.steps,
            "windows": self.windows,
            "pooled": self.pooled.tolist(),
            "tickers": {name: offsets.tolist() for name, offsets in self.tickers.items()},
        }
        return (json.dumps(content, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Calibration from its JSON."""
        content = json.loads(data)
        return cls(
            tuple(content["levels"]),
            tuple(content["steps"]),
            np.array(content["pooled"]),
            {name: np.array(offsets) for name, offsets in content["tickers"].items()},
            int(content["windows"]),
        )

    def _base(self, prediction: Prediction) -> Floats:
        if prediction.steps != len(self.steps):
            raise DataError(
                f"a forecast of {prediction.steps} horizons",
                f"{len(self.steps)}, as in the calibration of its model",
            )
        return _base(prediction, self.levels)


def write(folder: Path, prediction: Prediction, windows: Windows) -> None:
    """Write the calibration from a model's validation part into its folder, if there is one."""
    made = Calibration.of(prediction, windows.outcomes(), windows.view.horizon)
    if made is not None:
        (folder / FILE).write_bytes(made.to_bytes())


def _base(prediction: Prediction, levels: Sequence[float]) -> Floats:
    """Quantiles of a model by itself, (N, H, Q); for means each is the mean."""
    steps = prediction.steps
    shape = (len(prediction), steps, len(levels))
    if prediction.form != "quantiles":
        return np.repeat(prediction.path.reshape(len(prediction), steps, 1), len(levels), axis=2)
    own = prediction.outputs.reshape(-1, len(prediction.levels))
    # Straight lines between the model's levels; its outermost quantiles beyond them.
    columns = np.interp(levels, prediction.levels, np.arange(len(prediction.levels)))
    below = np.floor(columns).astype(np.int64)
    share = columns - below
    above = np.minimum(below + 1, own.shape[1] - 1)
    return ((1 - share) * own[:, below] + share * own[:, above]).reshape(shape)


def _offsets(errors: Floats, levels: Sequence[float]) -> Floats:
    """Order statistics of errors (n, H, Q) at each level, (H, Q), rounded outwards."""
    ordered, n, nominal = np.sort(errors, axis=0), len(errors), np.array(levels)
    rank = np.round((n + 1) * nominal, 9)
    below, above = np.floor(rank), np.ceil(rank)
    # Away from the middle; the median is between the two.
    ranks = np.where(nominal > 0.5, above, below), np.where(nominal < 0.5, below, above)
    picked = [
        np.take_along_axis(ordered, np.clip(r - 1, 0, n - 1).astype(np.int64)[None, None], axis=0)
        for r in ranks
    ]
    offsets: Floats = np.mean(picked, axis=0)[0]
    return offsets


def _by_ticker(prediction: Prediction) -> Iterator[tuple[str, Indices | Mask]]:
    """Rows of each ticker, in the order of time."""
    for name in np.unique(prediction.item):
        rows = np.flatnonzero(prediction.item == name)
        yield str(name), rows[np.argsort(prediction.decided_at[rows], kind="stable")]


def _tracked(
    errors: Floats, start: Floats, up: Floats, step: Floats, steps: Sequence[int]
) -> tuple[Floats, Floats]:
    """Offsets used at each of n decisions, (n, H, Q), and those after the last known outcome."""
    used, offsets = np.empty_like(errors), start.copy()
    known: Mask = np.asarray(np.isfinite(errors).all(axis=2))
    delays = np.array(steps)
    for now in range(len(errors) + int(delays.max())):
        if now < len(errors):
            used[now] = offsets
        then = now - delays + 1
        for h in np.flatnonzero((then >= 0) & (then < len(errors))):
            if known[then[h], h]:
                below = errors[then[h], h] <= used[then[h], h]
                offsets[h] += up[h] - step[h] * below
    return used, offsets


def _shaped(prediction: Prediction, values: Floats) -> Floats:
    """Quantiles in ascending order, without the axis of steps where there is no path."""
    ordered: Floats = np.sort(values, axis=2)
    return ordered if prediction.is_path else ordered[:, 0]
