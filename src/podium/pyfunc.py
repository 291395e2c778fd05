"""Loader module of MLflow's ``pyfunc`` for models of podium, without pickle.

A registered version is a folder with MLflow's ``MLmodel`` and the artefact as podium stored it.
Loading it needs this package, but no project and no record.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from podium import artifact
from podium.artifact import Loaded
from podium.classifier import LoadedClassifier


class Served:
    """A model with MLflow's ``predict`` method.

    Parameters
    ----------
    model : LoadedModel or LoadedClassifier
    """

    def __init__(self, model: Loaded) -> None:
        self.model = model

    def predict(self, model_input: Any, params: Any = None) -> Any:
        """Forecasts of the newest bars, or the probabilities of samples.

        Parameters
        ----------
        model_input : pandas frame or (N, T, F) array
            For a model that forecasts, a frame of bars: one row per ticker and bar, with the
            columns ``time``, ``ticker`` (optional for a model of one ticker), ``open``, ``high``,
            ``low``, ``close``, ``volume``, and one per feature of a covariate, named like it
            (``covariate:earnings.eps``). For a classifier, samples with unscaled features in
            training order, NaN for missing values.
        params : mapping, optional
            ``lengths``: the steps of each sample of a classifier, a list of N numbers.

        Returns
        -------
        pandas frame or (N, K) float
            One row per ticker with ``ticker``, ``decided_at`` and ``forecast`` of its newest bar
            that ends a complete window. For a classifier, the probability of each class, in the
            order of the manifest's ``class_names``.

        Raises
        ------
        DataError
            See :meth:`podium.forecaster.LoadedModel.predict`.
        """
        if isinstance(self.model, LoadedClassifier):
            lengths = (params or {}).get("lengths")
            # The default of a parameter in a signature of MLflow is a list.
            given = None if lengths is None or not len(lengths) else np.asarray(lengths)
            return self.model.predict(model_input, lengths=given)
        forecasts = self.model.predict(model_input)
        newest = forecasts.sort_values("decided_at", kind="stable").drop_duplicates(
            "ticker", keep="last"
        )
        # In training order, the order of the forecasts of one bar.
        return newest.sort_index().reset_index(drop=True)


def _load_pyfunc(data_path: str) -> Served:
    """Load the model in an artefact's folder after checking the hash of every file.

    Raises
    ------
    DataError
        A file is missing or changed.
    """
    place = artifact.find(Path(data_path))
    artifact.verify(place.folder, place.artifact_hash)
    return Served(artifact.load_place(place))
