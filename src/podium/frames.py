"""Bars and covariates of a frame, as a model sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from podium import registry
from podium.arrays import Floats, Times
from podium.covariates import Covariate
from podium.dataset import Dataset
from podium.sections import SlotSection
from podium.timeframe import SECONDS
from podium.view import View

Covariates = Mapping[str, Covariate]


def section_of(manifest: Mapping[str, Any]) -> SlotSection:
    """Slot settings that a model was trained with."""
    task = manifest["task"].items()
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in task}
    return SlotSection(**fields)


def view_of_frame(
    frame: Any,
    manifest: Mapping[str, Any],
    tickers: Sequence[str],
    covariates: Covariates,
    reading: Mapping[str, Any],
) -> View:
    """View of a frame's bars for a model; other parameters as of :meth:`LoadedModel.predict`."""
    section = section_of(manifest)
    # A model of a universe reads frames as a universe, unless the caller overrides it.
    options = {name: manifest[name] for name in ("align",) if name in manifest} | dict(reading)
    # Loaded by name, like every member of a kind: models get bars through readers.
    reader = registry.load("readers", "table")
    dataset = reader.read(
        frame,
        name=section.dataset,
        tickers=tickers,
        timeframe=manifest["timeframe"],
        # Where the dataset is adjusted: by the frame's own columns, if it has them.
        adjust=None if manifest.get("adjust", True) else False,
        **options,
    )
    columns = covariate_features(manifest)
    if not covariates and any(name in frame.columns for name in columns):
        values = reader.columns_of(frame, columns, dataset, **options)
        covariates = _covariates(values, dataset)
    return View.of(
        dataset.with_covariates(covariates),
        features=section.features,
        target=section.target,
        horizon=section.horizon,
        window=section.window,
        path=section.path,
    )


def covariate_features(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Features of covariates of a model, such as ``covariate:earnings.eps``."""
    features = section_of(manifest).features
    return tuple(spec for spec in features if spec.startswith("covariate:"))


def _covariates(values: Mapping[str, Floats], dataset: Dataset) -> Covariates:
    """Covariates whose features have these values (T, S) at the bars."""
    blocks: dict[str, list[tuple[str, Times, Floats]]] = {}
    for spec, grid in values.items():
        _, which, *lead = spec.split(":")
        name, _, column = which.partition(".")
        bar = np.timedelta64(SECONDS[dataset.timeframe], "s")
        at = np.repeat(dataset.times + int(*lead or (0,)) * bar, grid.shape[1])
        blocks.setdefault(name, []).append((column, at, grid.ravel()))
    return {
        name: Covariate.of(
            "known_ahead",
            {
                column: np.concatenate(
                    [part if of == column else np.full(len(part), np.nan) for of, _, part in some]
                )
                for column, _, _ in some
            },
            moments=np.concatenate([at for _, at, _ in some]),
            tickers=[*dataset.tickers] * (len(dataset) * len(some)),
        )
        for name, some in blocks.items()
    }
