"""What MLflow's ``pyfunc`` calls to load and ask a model of podium: a loader module, no pickle.

A registered version is a folder with MLflow's ``MLmodel`` and the artefact as podium stored it. It
needs this package, and no project and no record.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from podium import artifact
from podium.artifact import Loaded
from podium.classifier import LoadedClassifier


class Served:
    """A model behind MLflow's one method.

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
            A frame of bars for a model that forecasts: a row a ticker and bar, with the columns
            ``time``, ``ticker`` (not needed of a model of one ticker), ``open``, ``high``, ``low``,
            ``close``, ``volume``. Of a classifier samples, their features in training order, not
            scaled, NaN where a value is missing.
        params : ignored
            MLflow may pass it.

        Returns
        -------
        pandas frame or (N, K) float
            A row a ticker, ``ticker``, ``decided_at`` and ``forecast``: that of its newest bar with
            a whole window behind it. Of a classifier the probability of each class, in the order
            of the manifest's ``class_names``.

        Raises
        ------
        DataError
            As of :meth:`podium.artifact.LoadedModel.predict`.
        """
        del params
        if isinstance(self.model, LoadedClassifier):
            return self.model.predict(model_input)
        found = self.model.predict(model_input)
        newest = found.sort_values("decided_at", kind="stable").drop_duplicates(
            "ticker", keep="last"
        )
        # In the order of training, which is that of the forecasts of one bar.
        return newest.sort_index().reset_index(drop=True)


def _load_pyfunc(data_path: str) -> Served:
    """The model in an artefact's folder, after the hash of every file was checked.

    Raises
    ------
    DataError
        Something is missing or changed.
    """
    place = artifact.find(Path(data_path))
    artifact.verify(place.folder, place.artifact_hash)
    return Served(artifact.load_place(place))
