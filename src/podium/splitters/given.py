"""One predefined fold: one file trains, the other validates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from podium.dataset import Dataset
from podium.errors import DataError, Problem, Problems, UsageError
from podium.samples import HasSamples, Indices, Samples
from podium.split import Split
from podium.splitters._base import MINIMUM_BARS, build, drop_none

# Two files of rows have no order.
ORDERED = False
# Attribute that training and validation never share; default: label spans.
APART = "sources"


def split(data: HasSamples, *, validation_from: str = "", purge: int | None = None) -> Split:
    """Train on the samples of the first file, validate on those of the second.

    Parameters
    ----------
    data
        Samples with the file of each row (``Samples.joined``), or bars of two files in one dataset
        (:func:`joined`), of which the second begins at ``validation_from``.
    validation_from : str
        ISO 8601, for bars: close of the first bar that validates.
    purge : int, optional
        For samples with times: length of training labels in bars; default: their actual length.

    Raises
    ------
    DataError
        A file is empty, the files share rows or groups, or there are too few bars.
    UsageError
        ``validation_from`` is missing or no time, or a purge is shorter than a label.

    Notes
    -----
    Copies are detected if samples have contents. Samples with times and without groups are purged:
    training labels that overlap a validation label are dropped. Different groups never overlap.
    """
    samples = data.samples()
    if samples.sources is None:
        samples = replace(samples, sources=_from(samples, validation_from))
    elif validation_from:
        what = f"validation_from is {validation_from}, but the samples have a source file"
        raise UsageError(what, fix="omit validation_from")
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
    parameters = drop_none(validation_from=validation_from or None, purge=purge)
    minimum = MINIMUM_BARS if samples.horizon else 1
    cuts = [(train, validation)]
    return build("given", samples, parameters, cuts, purge=purge, minimum=minimum)


def joined(training: Dataset, validation: Dataset) -> tuple[Dataset, str]:
    """Join bars of two files; return the dataset and its ``validation_from``.

    Tickers and columns of the second file are matched by name.

    Raises
    ------
    DataError
        Different tickers, timeframes or columns, bars in both files, or validation bars before the
        end of training.
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
            what = f"{len(shared)} bars are in both files, the first at {shared[0]}"
            problems.add(what, "no bar in both", "remove them from one file")
        elif validation.times[0] < training.times[-1]:
            starts, ends = validation.times[0], training.times[-1]
            what = f"validation begins at {starts}, before training ends at {ends}"
            problems.add(what, "validation after training", "swap the files")
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
    """Return the file of each bar: 1 from ``validation_from`` on, else 0."""
    if samples.times is None:
        fix = "pass a training and a validation file"
        raise DataError("the samples have no source file", "samples of two files", fix)
    try:
        moment = np.array(validation_from, dtype="datetime64[s]")
    except ValueError:
        moment = np.array("NaT", dtype="datetime64[s]")
    if np.isnat(moment):
        expected = "the close of the first validation bar, such as 2009-01-02"
        raise UsageError(f"validation_from is '{validation_from}'", expected)
    return (samples.times[samples.index] >= moment).astype(np.int64)


def _shared(
    name: str, values: NDArray[np.generic], train: Indices, validation: Indices
) -> list[Problem]:
    """Return a problem if values are in both files."""
    copies = validation[np.isin(values[validation], values[train])]
    if not len(copies):
        return []
    first = values[copies[0]]
    if name == "groups":
        shared = np.unique(values[copies]).tolist()
        listed = ", ".join(map(str, shared[:5]))
        what = f"{len(shared)} groups are in both files: {listed}"
        return [Problem(what, "no group in both", "move each group to one file")]
    twin = int(train[values[train] == first][0])
    row = int(copies[0] - validation[0])
    what = (
        f"{len(copies)} of {len(validation)} validation rows are copies of training rows: row "
        f"{row} of the validation file is row {twin} of the training file"
    )
    return [Problem(what, "no row in both", "remove them from one file")]
