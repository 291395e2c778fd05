"""A loaded classifier: arrays of sequences in, probabilities of every class out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.errors import DataError, UsageError
from podium.prediction import ClassPrediction
from podium.sequences import Indices, Sequences, Subset


@dataclass(frozen=True, eq=False)
class LoadedClassifier:
    """A classifier ready to predict, with its manifest.

    Parameters
    ----------
    manifest : mapping
        ``family``, ``config``, ``feature_names``, ``class_names``, ``task`` and hashes.
    checkpoint : str
        ``best_model``.
    """

    manifest: Mapping[str, Any]
    checkpoint: str
    model: Any

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes in the order of the probabilities' columns."""
        return tuple(self.manifest["class_names"])

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Features in the order of the samples' last axis."""
        return tuple(self.manifest["feature_names"])

    @overload
    def predict(self, x: Subset) -> ClassPrediction: ...
    @overload
    def predict(self, x: NDArray[Any], *, lengths: NDArray[Any] | None = None) -> Floats: ...
    def predict(self, x: Any, *, lengths: NDArray[Any] | None = None) -> Any:
        """Probability of every class for each sample.

        Parameters
        ----------
        x : (N, T, F) array or Subset
            Unscaled features in the order of ``feature_names``; NaN for a missing value.
        lengths : (N,) int, optional
            Valid steps of each sample of an array. Default: all; of a model whose training samples
            differ in length, those up to the last one that is not NaN.

        Returns
        -------
        (N, K) float, rows of sum 1 in the order of ``class_names``; of a Subset a ClassPrediction

        Raises
        ------
        DataError
            Other features, values that are infinite, or padded samples without lengths.
        """
        if isinstance(x, Subset):
            return self._of_subset(x)
        if not isinstance(x, np.ndarray):
            raise UsageError(
                f"predict() got {type(x).__name__}",
                "an array (samples, time, features), or a Subset of sequences",
            )
        if x.ndim != 3 or x.shape[2] != len(self.feature_names):
            raise DataError(
                f"the array has shape {x.shape}",
                f"(N, T, {len(self.feature_names)}): {', '.join(self.feature_names)}",
            )
        if not len(x):
            return np.empty((0, len(self.class_names)))
        samples = Sequences.of(
            "predict()",
            x,
            np.zeros(len(x), dtype=np.int64),
            lengths=lengths,
            feature_names=self.feature_names,
            class_names=self.class_names,
        )
        rows: Indices = np.arange(len(x), dtype=np.int64)
        return self._of_subset(Subset(samples, rows)).probabilities

    def _of_subset(self, samples: Subset) -> ClassPrediction:
        if "lengths" in self.manifest:
            samples = replace(samples, sequences=samples.sequences.trimmed())
        prediction: ClassPrediction = self.model.predict(samples.blind())
        return prediction
