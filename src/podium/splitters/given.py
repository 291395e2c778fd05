"""One fold that somebody else decided: one file trains, the other validates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from podium.dataset import Dataset
from podium.errors import DataError, Problem, Problems, UsageError
from podium.samples import HasSamples, Indices, Samples
from podium.split import Split
from podium.splitters._base import MINIMUM_BARS, build, require, spelled

# Two files of rows have no order.
ORDERED = False
# What is never shared between training and validation; without it: label spans.
APART = "sources"


def split(data: HasSamples, *, validation_from: str = "", purge: int | None = None) -> Split:
    """Train on the samples of the first file, validate on those of the second.

    Parameters
    ----------
    data
        Rows of two files know their file (``Samples.joined``). Bars of two files are one dataset
        (:func:`joined`), and ``validation_from`` says where the second begins.
    validation_from : str
        ISO 8601, for bars: close of the first bar that validates.
    purge : int, optional
        For samples with times: bars that training labels are taken to be long; default: as long as
        they are.

    Raises
    ------
    DataError
        One file is empty; the files share rows or groups, with what is shared; too few bars.
    UsageError
        ``validation_from`` is missing or no time, or a purge is shorter than a label.

    Notes
    -----
    Copies are found where samples know their contents. Where samples have no groups their labels
    are compared by time, if they have times, and training labels that meet a validation label are
    purged; samples of different groups share nothing.
    """
    samples = data.samples()
    if samples.sources is None:
        samples = replace(samples, sources=_from(samples, validation_from))
    elif validation_from:
        require(
            Problem(
                f"validation_from is {validation_from} and the samples know their file",
                fix="leave validation_from out",
            )
        )
    sources = np.asarray(samples.sources)
    train, validation = np.flatnonzero(sources == 0), np.flatnonzero(sources == 1)
    problems = Problems(
        Problem(f"the {part} file has no sample", "at least one")
        for part, rows in (("training", train), ("validation", validation))
        if not len(rows)
    )
    for name, values in (("rows", samples.contents), ("groups", samples.groups)):
        if values is not None and len(train) and len(validation):
            problems += _shared(name, values, train, validation)
    DataError.raise_for(problems)
    if samples.groups is not None:
        samples = replace(samples, starts=None, ends=None, horizon=0)
    return build(
        "given",
        samples,
        spelled(validation_from=validation_from or None, purge=purge),
        [(train, validation)],
        purge=purge,
        minimum=MINIMUM_BARS if samples.horizon else 1,
    )


def joined(training: Dataset, validation: Dataset) -> tuple[Dataset, str]:
    """Bars of two files as one dataset, and the ``validation_from`` that keeps them apart.

    Columns of the second are taken by name in the order of the first.

    Raises
    ------
    DataError
        Other tickers, another timeframe or other columns; bars in both; validation bars before
        the end of training, all told at once.
    """
    problems = Problems(
        Problem(
            f"{what} of the training file: {ours}, of the validation file: {theirs}", "the same"
        )
        for what, ours, theirs in (
            ("tickers", ", ".join(sorted(training.tickers)), ", ".join(sorted(validation.tickers))),
            ("timeframe", training.timeframe, validation.timeframe),
            ("columns", ", ".join(sorted(training.fields)), ", ".join(sorted(validation.fields))),
        )
        if ours != theirs
    )
    problems += [
        Problem(f"the {part} file has no bar", "at least one")
        for part, dataset in (("training", training), ("validation", validation))
        if not len(dataset)
    ]
    if len(training) and len(validation):
        shared = np.intersect1d(training.times, validation.times)
        if len(shared):
            problems.add(
                f"{len(shared)} bars are in both files, the first at {shared[0]}",
                "no bar that both trains and validates",
                "remove them from one file",
            )
        elif validation.times[0] < training.times[-1]:
            problems.add(
                f"validation begins at {validation.times[0]}, before training ends at "
                f"{training.times[-1]}",
                "validation after training",
                "give the files in the order of time",
            )
    DataError.raise_for(problems)
    second = validation.select(training.tickers)
    fields = {
        name: np.concatenate([values, second[name]]) for name, values in training.fields.items()
    }
    times = np.concatenate([training.times, second.times])
    both = replace(training, times=times, fields=fields, members=None)
    members = [
        np.ones((len(part), len(part.tickers)), bool) if part.members is None else part.members
        for part in (training, second)
    ]
    return both.among(np.concatenate(members)), str(validation.times[0])


def _from(samples: Samples, validation_from: str) -> Indices:
    """File of each bar, from the moment that the second one begins."""
    if samples.times is None:
        raise DataError(
            "the samples do not know which file they are from",
            "samples of two files",
            "give a training and a validation file",
        )
    try:
        moment = np.array(validation_from, dtype="datetime64[s]")
    except ValueError:
        moment = np.array("NaT", dtype="datetime64[s]")
    if np.isnat(moment):
        raise UsageError(
            f"validation_from is '{validation_from}'",
            "when the first bar of the validation file closes, such as 2009-01-02",
        )
    return (samples.times[samples.index] >= moment).astype(np.int64)


def _shared(
    name: str, values: NDArray[np.generic], train: Indices, validation: Indices
) -> list[Problem]:
    """The problem of values that are in both files, if there are any."""
    copies = validation[np.isin(values[validation], values[train])]
    if not len(copies):
        return []
    first = values[copies[0]]
    if name == "groups":
        found = np.unique(values[copies]).tolist()
        told = f"{len(found)} groups are in both files: {', '.join(map(str, found[:5]))}"
        return [Problem(told, "no group in both", "move each group to one file")]
    twin = int(train[values[train] == first][0])
    row = int(copies[0] - validation[0])
    return [
        Problem(
            f"{len(copies)} of {len(validation)} validation rows are copies of training rows: row "
            f"{row} of the validation file is row {twin} of the training file",
            "no row in both",
            "remove them from one file",
        )
    ]
