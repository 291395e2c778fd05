"""A candidate's artefact as a model of MLflow: a folder that podium loads, without pickle."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from podium import __version__, frames, registry
from podium.errors import DataError, PodiumError
from podium.hashing import digest
from podium.manifest import MANIFEST, read_checked, require_hash
from podium.timeframe import SECONDS

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

# Module that MLflow imports to load a model; a name, because it is in a higher layer.
LOADER = "podium.pyfunc"
# Time of every file in an archive, so that the same files give the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PRICES = ("open", "high", "low", "close")
# Longest example that is tried for a model.
_MOST_BARS = 4096


def save(folder: Path, artifact_hash: str, target: Path, *, run_id: str, created: str) -> None:
    """Write MLflow's model of an artefact; the same artefact gives the same files.

    Parameters
    ----------
    folder : Path
        The artefact; every file is checked, then copied unchanged.
    target : Path
        Folder to make.
    created : str
        Time of the candidate's registration, ISO 8601.

    Raises
    ------
    DataError
        The artefact does not match its hash, or is no model.
    """
    import mlflow.pyfunc
    from mlflow.models import Model

    files = _files(folder, artifact_hash)
    manifest = json.loads(files[MANIFEST])
    try:
        of_classes = registry.holds(manifest["task"]["task"]) == "sequences"
        signature = _of_samples(manifest) if of_classes else _of_bars(manifest)
        example = _samples(manifest) if of_classes else _bars(manifest)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{folder / MANIFEST} has no {error}", "the manifest of a model of podium"
        ) from None
    with tempfile.TemporaryDirectory() as place:
        # Only files of the manifest are copied; others in the folder are unchecked.
        copy = Path(place) / folder.name
        for name, data in files.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes(data)
        mlflow.pyfunc.save_model(
            str(target),
            loader_module=LOADER,
            data_path=str(copy),
            mlflow_model=Model(
                run_id=run_id,
                utc_time_created=created,
                model_uuid=digest([artifact_hash, run_id])[:32],
            ),
            signature=signature,
            input_example=example,
            pip_requirements=[f"podium[torch]=={__version__}"],
            metadata={"podium.artifact_hash": artifact_hash},
        )


def pack(folder: Path, artifact_hash: str, target: Path) -> None:
    """Write an artefact as one zip file of the artefact's folder.

    Raises
    ------
    DataError
        The artefact does not match its hash.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(_files(folder, artifact_hash).items()):
            archive.writestr(zipfile.ZipInfo(f"{folder.name}/{name}", _EPOCH), data)


def _files(folder: Path, artifact_hash: str) -> dict[str, bytes]:
    """Manifest of an artefact and the files it names, with checked hashes."""
    manifest = require_hash(folder, artifact_hash)
    named = json.loads(manifest)["files"]
    return {MANIFEST: manifest, **{name: read_checked(folder, named, name) for name in named}}


def _of_bars(manifest: Mapping[str, Any]) -> ModelSignature:
    """Signature of a model that forecasts: bars and its covariates in, forecasts out.

    Times may be texts or have a time zone, and volumes are often integers, none of which MLflow
    converts, so these columns have any type and podium's reader checks them.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema, TensorSpec

    bars: list[ColSpec | TensorSpec] = [
        ColSpec(AnyType(), "time"),  # type: ignore[no-untyped-call]
        ColSpec("string", "ticker", required=False),
        *(ColSpec("double", name) for name in _PRICES),
        ColSpec(AnyType(), "volume", required=False),  # type: ignore[no-untyped-call]
        # Without it in the signature, MLflow would drop the column and prices stay unadjusted.
        ColSpec("double", "adj_close", required=False),
        ColSpec("double", "factor", required=False),
        *(ColSpec("double", name) for name in frames.covariate_features(manifest)),
    ]
    forecasts: list[ColSpec | TensorSpec] = [
        ColSpec("string", "ticker"),
        ColSpec("datetime", "decided_at"),
        ColSpec("double", "forecast"),
    ]
    return ModelSignature(Schema(bars), Schema(forecasts))


def _of_samples(manifest: Mapping[str, Any]) -> ModelSignature:
    """Signature of a classifier: samples of any length in, class probabilities out.

    Its parameter ``lengths`` has the steps of each sample; empty: every sample is complete.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ParamSchema, ParamSpec, Schema, TensorSpec

    samples = TensorSpec(np.dtype(np.float32), (-1, -1, len(manifest["feature_names"])))
    classes = TensorSpec(np.dtype(np.float64), (-1, len(manifest["class_names"])))
    lengths = ParamSpec("lengths", "long", [], shape=(-1,))
    return ModelSignature(Schema([samples]), Schema([classes]), ParamSchema([lengths]))


def _samples(manifest: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Example of two samples of noise; of unequal length if those of the training were."""
    shape = (2, int(manifest["steps"]), len(manifest["feature_names"]))
    noise = np.random.default_rng(0).normal(size=shape).astype(np.float32).round(3)
    if "lengths" in manifest:
        noise[1, manifest["lengths"][0] :] = np.nan
    return noise


def _bars(manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Example of random bars, as many as one forecast needs; fewer if bars do not suffice."""
    section = frames.section_of(manifest)
    # Plugins are the project's code and are not run for an example.
    bars = _MOST_BARS if manifest.get("plugins") else section.window + 1
    while bars < _MOST_BARS:
        frame = _walk(manifest, bars)
        try:
            view = frames.view_of_frame(frame, manifest, manifest["tickers"], {}, {})
            if view.first_bar < len(view):
                return _walk(manifest, view.first_bar + 1)
        except PodiumError:
            # A feature cannot be computed from these bars, so the example shows the columns only.
            return _walk(manifest, section.window)
        bars *= 2
    return _walk(manifest, section.window)


def _walk(manifest: Mapping[str, Any], bars: int) -> pd.DataFrame:
    """Bars of a random walk for each ticker, in long form."""
    # Imported late, like MLflow: most importers of this module send nothing.
    import pandas as pd

    step = np.timedelta64(SECONDS[manifest["timeframe"]], "s")
    tickers = manifest["tickers"]
    noise = np.random.default_rng(0).normal(0.0, 0.01, size=(bars, len(tickers)))
    close = (100.0 * np.exp(noise.cumsum(axis=0))).round(2).T.ravel()
    return pd.DataFrame(
        {
            "time": np.tile(
                np.datetime64("2024-01-01", "s") + step * np.arange(bars), len(tickers)
            ),
            "ticker": np.repeat(np.asarray(tickers, dtype=object), bars),
            "open": close,
            "high": close + 1.0,
            "low": close - 1.0,
            "close": close,
            "volume": 1_000_000.0,
            **dict.fromkeys(frames.covariate_features(manifest), 1.0),
        }
    )
