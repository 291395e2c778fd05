"""A dataset's covariates, checked against its tickers and bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from podium import registry
from podium.covariates import Covariate
from podium.dataset import Dataset
from podium.readers._covariates import read
from podium.readers._findings import DataIssue, error, note
from podium.sections import CovariateSection, DatasetSection
from podium.steps.data.reading import reader_of

# Kind of the note about rows of unknown tickers.
LEFT_OUT = "left out"


def with_covariates(
    root: Path, section: DatasetSection, dataset: Dataset
) -> tuple[Dataset, list[DataIssue]]:
    """Return the dataset with its covariates, and the issues of the files."""
    covariates: dict[str, Covariate] = {}
    findings: list[DataIssue] = []
    for name, one in section.covariates.items():
        covariate, issues = _read(root / one.path, one)
        if covariate is not None:
            issues += _of_tickers(covariate, dataset)
            covariates[name] = covariate
        findings += [_named(name, issue) for issue in issues]
    made = dataset.with_covariates(covariates)
    for name, covariate in made.covariates.items():
        findings += [_named(name, fact) for fact in _facts(covariate, made)]
    return made, findings


def _read(path: Path, section: CovariateSection) -> tuple[Covariate | None, list[DataIssue]]:
    if not path.is_file():
        return None, [error("covariates", f"there is no file {path}", "a CSV or Parquet file")]
    table_format = getattr(registry.load("readers", reader_of(path)), "FORMAT", None)
    if table_format is None:
        return None, [error("covariates", f"{path} is no table", "a CSV or Parquet file")]
    return read(path, table_format.open, section)


def _of_tickers(covariate: Covariate, dataset: Dataset) -> list[DataIssue]:
    """Return issues about tickers that only the file or only the dataset has."""
    if not covariate.by_ticker:
        return []
    issues = []
    names = np.unique(covariate.tickers).tolist()
    others = [name for name in names if name not in dataset.tickers]
    missing = [name for name in dataset.tickers if name not in names]
    if others:
        what = f"ignored, since the dataset has no such tickers: {listed(others)}"
        issues.append(note(LEFT_OUT, what))
    if missing and covariate.kind == "static":
        issues.append(error("covariates", f"no row of {listed(missing)}", "a row of every ticker"))
    elif missing:
        issues.append(note("covariates", f"no row of {listed(missing)}"))
    return issues


def _facts(covariate: Covariate, dataset: Dataset) -> list[DataIssue]:
    """Return a note on the rows, tickers and coverage of a covariate."""
    every = len(dataset.tickers)
    tickers = len(np.unique(covariate.tickers)) if covariate.by_ticker else every
    first = ""
    if covariate.moments is not None and len(covariate):
        what = "first available at" if covariate.kind == "dated" else "first for"
        first = f", {what} {covariate.moments.min()}"
    shares = [
        f"{column} {np.isfinite(covariate.at(column, dataset.tickers, dataset.times)).mean():.1%}"
        for column in covariate.values
    ]
    whose = f"{tickers} of {every} tickers"
    summary = f"{covariate.kind}, {len(covariate)} rows up to the last bar, {whose}{first}"
    return [note("covariates", f"{summary}; bars with a value: {', '.join(shares)}")]


def _named(name: str, finding: DataIssue) -> DataIssue:
    return replace(finding, found=f"covariates '{name}': {finding.found}")


def listed(names: Sequence[str], limit: int = 10) -> str:
    """Return the first names and the number of others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
