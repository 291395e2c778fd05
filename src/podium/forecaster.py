"""A loaded forecaster: forecasts and quantiles from frames of bars, feature windows or Windows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from podium import registry
from podium.arrays import Floats
from podium.errors import DataError, Problems, UsageError
from podium.frames import Covariates, section_of, view_of_frame
from podium.intervals import LEVELS, Calibration
from podium.prediction import Prediction
from podium.sections import SlotSection
from podium.split import Windows
from podium.timeframe import following
from podium.view import View

# Quantiles of a frame of forecasts by default.
DECILES = LEVELS[1:-1]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A forecasting model ready to predict, with its manifest.

    Parameters
    ----------
    manifest : mapping
        ``family``, ``config``, ``tickers`` in training order, ``task`` and hashes.
    checkpoint : str
        ``final_model`` or ``best_model``.
    calibration : Calibration, optional
        From the errors on its validation part; None: there was none, or it was too short.
    """

    manifest: Mapping[str, Any]
    checkpoint: str
    model: Any
    calibration: Calibration | None = None

    @property
    def tickers(self) -> tuple[str, ...]:
        """Training tickers in training order."""
        return tuple(self.manifest["tickers"])

    @property
    def trained_until(self) -> str:
        """Last bar of the training, ISO 8601."""
        return str(self.manifest["trained_until"])

    @property
    def section(self) -> SlotSection:
        """Slot settings that the model was trained with."""
        return section_of(self.manifest)

    @overload
    def predict(self, x: Windows) -> Prediction: ...
    @overload
    def predict(self, x: NDArray[Any]) -> Floats: ...
    @overload
    def predict(self, x: Any, *, covariates: Covariates = ..., **reading: Any) -> Any: ...
    def predict(self, x: Any, *, covariates: Covariates | None = None, **reading: Any) -> Any:
        """Forecasts from bars or windows.

        Parameters
        ----------
        x : pandas frame, array or Windows
            A frame of bars: long with a ticker column, wide with columns of every ticker, or of
            one ticker. Every bar with a full window gets a forecast. Prices count as adjusted
            unless the frame has ``adj_close`` or ``factor`` and the model's dataset is adjusted.
            An array (N, window, n_features): unscaled feature windows in the order of
            ``section.features``. Windows: their targets are not used.
        covariates : mapping of name to Covariate, optional
            Covariates to join with a frame's bars, where the model has features of covariates:
            ``{"earnings": Covariate.of("dated", {"eps": ...}, moments=..., tickers=...)}``.
            Without them, the frame's columns named like the features (``covariate:earnings.eps``)
            are the values of the features at each bar.
        **reading
            How to read a frame, with the keys of a dataset's table, such as
            ``columns={"time": "when"}``, ``timezone="Europe/Berlin"``, ``repair=("sort",)``.

        Returns
        -------
        pandas frame, (N,) float or Prediction
            A frame has ``ticker``, ``decided_at`` and ``forecast``, in the target's unit. A model
            of a universe (``align = "union"``) warns about tickers without a newest bar.

        Raises
        ------
        DataError
            Other tickers, too few bars, other shapes, or values that are not finite. Columns are
            matched by name, never by position.
        """
        if hasattr(x, "columns"):
            return self._of_frame(x, covariates or {}, reading)
        if reading:
            raise UsageError(f"predict() got {', '.join(reading)}", "that for a frame only")
        if isinstance(x, Windows):
            return self._of_windows(x)
        if isinstance(x, np.ndarray):
            return self._of_array(x)
        raise UsageError(
            f"predict() got {type(x).__name__}",
            "a pandas frame of bars, an array of feature windows, or Windows",
        )

    def predict_df(
        self,
        frame: Any,
        *,
        quantile_levels: Sequence[float] = DECILES,
        covariates: Covariates | None = None,
        **reading: Any,
    ) -> Any:
        """Forecast and quantiles of the newest bar of each ticker, as forecasting packages do.

        Parameters
        ----------
        frame : pandas frame
            Bars, see :meth:`predict`.
        quantile_levels : sequence of float
            Some of ``podium.intervals.LEVELS``.
        covariates, **reading
            As for :meth:`predict`.

        Returns
        -------
        pandas frame
            A row per ticker (and step of a path) with ``item_id``, ``timestamp`` (the bar that the
            forecast is of, UTC: by the weekdays and times of day in the frame), ``target_name``,
            ``predictions`` in the target's unit, and a column per level (``"0.1"``). The
            quantiles are those of the calibration at the training.

        Raises
        ------
        DataError
            The model has no calibration, or as :meth:`predict`.
        UsageError
            A level that the calibration does not have.
        """
        if self.calibration is None:
            raise DataError(
                "the model has no calibrated quantiles",
                "a model with a validation part of 20 windows",
                "train it again with a validation part: podium finalize",
            )
        unknown = [f"{q:g}" for q in quantile_levels if q not in self.calibration.levels]
        if unknown:
            known = ", ".join(f"{q:g}" for q in self.calibration.levels)
            raise UsageError(f"quantile_levels has {', '.join(unknown)}", f"some of {known}")
        view = self._view_of(frame, covariates or {}, reading)
        windows = Windows.of(view, np.arange(len(view) - 1, len(view), dtype=np.int64))
        made: Prediction = self.model.predict(windows.blind())
        rows, steps = len(windows), self.calibration.steps
        quantiles = self.calibration.quantiles(made).reshape(rows * len(steps), -1)
        ends = following(view.times, max(steps))[np.array(steps) - 1]
        columns: dict[str, Any] = {
            "item_id": np.repeat(made.item, len(steps)),
            "timestamp": np.tile(ends, rows),
            "target_name": np.full(rows * len(steps), self.section.target),
            "predictions": made.path.ravel(),
        }
        for level in quantile_levels:
            columns[f"{level:g}"] = quantiles[:, self.calibration.levels.index(level)]
        return type(frame)(columns)

    def _of_windows(self, windows: Windows) -> Prediction:
        if windows.view.tickers != self.tickers:
            raise DataError(
                f"the data have tickers {', '.join(windows.view.tickers)}",
                f"{', '.join(self.tickers)} in this order, as in training",
                "select them by name: dataset.select(model.tickers)",
            )
        prediction: Prediction = self.model.predict(windows.blind())
        return prediction

    def _of_array(self, inputs: NDArray[Any]) -> Floats:
        section = self.section
        expected = (section.window, len(section.features))
        if inputs.ndim != 3 or inputs.shape[1:] != expected:
            raise DataError(
                f"the array has shape {inputs.shape}",
                f"(N, {expected[0]}, {expected[1]}): windows of {', '.join(section.features)}",
            )
        features = np.asarray(inputs, dtype=np.float32).swapaxes(0, 1)
        if not np.isfinite(features).all():
            raise DataError("the array holds values that are not finite", "finite features")
        # One window per item, decided at the last bar; quantities that need bars are unknown.
        unknown = np.full(features.shape[:2], np.nan)
        view = View(
            tickers=tuple(map(str, range(len(inputs)))),
            times=np.arange(section.window).astype("datetime64[s]"),
            feature_names=section.features,
            features=features,
            increments=unknown,
            target=unknown,
            past=unknown,
            aggregate=registry.load("targets", section.target).aggregate,
            horizon=section.horizon,
            window=section.window,
            centered=registry.load("targets", section.target).CENTERED,
        )
        item = np.arange(len(inputs), dtype=np.int64)
        windows = Windows(view, item, np.full_like(item, section.window - 1))
        prediction: Prediction = self.model.predict(windows)
        if not np.isfinite(prediction.mean).all():
            raise DataError(
                f"the family {self.manifest['family']} does not forecast from features alone",
                "bars",
                "give it a frame of bars instead of an array",
            )
        return prediction.mean

    def _of_frame(self, frame: Any, covariates: Covariates, reading: Mapping[str, Any]) -> Any:
        view = self._view_of(frame, covariates, reading)
        windows = Windows.of(view, np.arange(view.first_bar, len(view), dtype=np.int64))
        made: Prediction = self.model.predict(windows.blind())
        columns = {"ticker": made.item, "decided_at": made.decided_at, "forecast": made.mean}
        # A frame of the caller's type, so that loading a model does not need pandas.
        return type(frame)(columns)

    def _view_of(self, frame: Any, covariates: Covariates, reading: Mapping[str, Any]) -> View:
        """View of a frame's bars with a full window."""
        reader = registry.load("readers", "table")
        named = reader.tickers_of(frame, name=self.section.dataset, **reading)
        view = view_of_frame(frame, self.manifest, self._tickers_of(named), covariates, reading)
        if view.first_bar >= len(view):
            raise DataError(
                f"{len(view)} bars leave no full window",
                f"at least {view.window} bars after the warm-up of the features",
                "give it more bars",
            )
        if view.left_out():
            warnings.warn(view.left_out(), stacklevel=4)
        return view

    def _tickers_of(self, named: Sequence[str]) -> tuple[str, ...]:
        """Tickers to forecast, in training order where the frame names them."""
        alone = registry.family(self.manifest["family"]).each_alone
        problems = Problems()
        for name in named:
            message = f"the model was not trained on ticker '{name}'"
            problems.require_known(name, self.tickers, message)
        DataError.raise_for(problems)
        missing = [t for t in self.tickers if t not in named]
        if named and (alone or not missing):
            return tuple(t for t in self.tickers if t in named)
        if not named and (alone or len(self.tickers) == 1):
            return self.tickers if len(self.tickers) == 1 else ("",)
        raise DataError(
            f"the frame lacks tickers {', '.join(missing)}",
            "every ticker of the training: the model does not forecast one alone",
            "give it a long frame with a ticker column",
        )
