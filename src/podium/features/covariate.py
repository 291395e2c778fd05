"""A covariate of the dataset as it was known: covariate:NAME.COLUMN, and the lead."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.covariates import MOST_LEAD
from podium.dataset import Dataset
from podium.errors import Problems, UsageError, suggest
from podium.timeframe import SECONDS


def compute(dataset: Dataset, which: str, lead: int = 0) -> Floats:
    """Return the value in force at each bar's stamp, (T, S); NaN before a ticker's first one.

    Parameters
    ----------
    which : str
        ``earnings.eps``: column ``eps`` of ``[datasets.NAME.covariates.earnings]``.
    lead : int, 0 to 100
        Bars ahead, only for the kind known_ahead: the value in force at the stamp plus that many
        lengths of a bar, in clock time, since the stamps of later bars are the future.

    Raises
    ------
    UsageError
        An unknown covariate or column, or an invalid lead.
    """
    name, _, column = which.partition(".")
    spec = f"feature 'covariate:{which}{f':{lead}' if lead else ''}'"
    if name not in dataset.covariates:
        what = f"{spec}: dataset '{dataset.name}' has no covariates '{name}'"
        expected = f"a table [datasets.{dataset.name}.covariates.{name}]; for a frame, "
        expected += f"predict(frame, covariates=...) or a column '{spec[9:-1]}'"
        raise UsageError(what, expected, suggest(name, dataset.covariates))
    covariate = dataset.covariates[name]
    problems = Problems()
    if column not in covariate.values:
        what = f"no column '{column}'" if column else "columns, and none is named"
        problems.add(f"{spec}: '{name}' has {what}", fix=suggest(column, covariate.values))
    if lead and covariate.kind != "known_ahead":
        problems.add(f"{spec}: '{name}' is {covariate.kind}", "no lead")
    if lead > MOST_LEAD:
        problems.add(f"{spec} has a lead of {lead} bars", f"at most {MOST_LEAD}")
    UsageError.raise_for(problems)
    ahead = np.timedelta64(lead * SECONDS[dataset.timeframe], "s")
    return covariate.at(column, dataset.tickers, dataset.times + ahead)
