"""A column of the dataset's covariates as it was known: covariate:NAME.COLUMN, and the lead."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.covariates import MOST_LEAD
from podium.dataset import Dataset
from podium.errors import Problems, UsageError, suggest
from podium.timeframe import SECONDS


def compute(dataset: Dataset, which: str, lead: int = 0) -> Floats:
    """Value in force at each bar's stamp; NaN before a ticker's first one.

    Parameters
    ----------
    which : str
        ``earnings.eps``: column ``eps`` of ``[datasets.NAME.covariates.earnings]``.
    lead : int, 0 to 100
        Bars ahead, for what is known ahead alone: the value in force at the stamp plus that many
        lengths of a bar. It is counted on the clock: the stamps of later bars are the future.

    Raises
    ------
    UsageError
        No such covariate or column, or a lead that it cannot have.
    """
    name, _, column = which.partition(".")
    spec = f"feature 'covariate:{which}{f':{lead}' if lead else ''}'"
    if name not in dataset.covariates:
        raise UsageError(
            f"{spec}: dataset '{dataset.name}' has no covariates '{name}'",
            f"a table [datasets.{dataset.name}.covariates.{name}]; for a frame, what "
            "predict(frame, covariates=...) is given",
            suggest(name, dataset.covariates),
        )
    found = dataset.covariates[name]
    problems = Problems()
    if column not in found.values:
        what = f"no column '{column}'" if column else "columns, and none is named"
        problems.add(f"{spec}: '{name}' has {what}", fix=suggest(column, found.values))
    if lead and found.kind != "known_ahead":
        problems.add(f"{spec}: '{name}' is {found.kind}", "no lead")
    if lead > MOST_LEAD:
        problems.add(f"{spec} has a lead of {lead} bars", f"at most {MOST_LEAD}")
    UsageError.raise_for(problems)
    ahead = np.timedelta64(lead * SECONDS[dataset.timeframe], "s")
    return found.at(column, dataset.tickers, dataset.times + ahead)
