"""A model's tickers in the current dataset: by name, in the order of its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from podium.config import Config
from podium.dataset import Dataset
from podium.errors import DataError, Problems, suggest
from podium.steps.data.bars import dataset_section, load_dataset
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData


def bars_of(config: Config, name: str, tickers: Sequence[str]) -> tuple[Dataset, str]:
    """Return the bars of a model's tickers in its order, and a message about differences.

    Only these are read, so that tickers added later cost no bars. The message is empty if the
    dataset lists the same tickers in the same order.

    Raises
    ------
    DataError
        A ticker is missing; the message lists unknown tickers, since one may be a new name.
    """
    section = dataset_section(config, name)
    require_listed(name, section.tickers, tickers)
    if section.members:
        # The table lists every ticker, and members have separate histories.
        return load_dataset(config, name).realign(tickers)
    mine = replace(section, tickers=tuple(tickers))
    dataset = load_dataset(replace(config, datasets={**config.datasets, name: mine}), name)
    if section.tickers == mine.tickers:
        return dataset, ""
    extra = [ticker for ticker in section.tickers if ticker not in tickers]
    return dataset, (
        f"tickers taken by name in the order {', '.join(tickers)} (dataset '{name}' has "
        f"{', '.join(section.tickers)})"
    ) + (f"; left out: {', '.join(extra)}" if extra else "")


def require_listed(name: str, listed: Sequence[str], tickers: Sequence[str]) -> None:
    """Refuse a dataset that lacks a ticker of a model.

    Examples
    --------
    >>> try:
    ...     require_listed("us", ["AAA", "BBX"], ["AAA", "BBB"])
    ... except DataError as error:
    ...     print(error.problems[0].found)
    the model was trained on ticker 'BBB', which dataset 'us' does not list
    """
    unknown = [ticker for ticker in listed if ticker not in tickers]
    problems = Problems()
    for ticker in tickers:
        if ticker not in listed:
            fix = suggest(ticker, unknown or listed)
            if unknown:
                renamed = f"if it was renamed to {' or '.join(unknown[:3])}"
                fix += f"; {renamed}, restore the old name, or train again"
            what = f"the model was trained on ticker '{ticker}', which dataset '{name}'"
            problems.add(f"{what} does not list", "every ticker of the model", fix)
    DataError.raise_for(problems)


def ends_early(project: Project, data: SlotData) -> str:
    """Return a message about tickers whose bars end before the test; empty if there are none.

    In an intersection of tickers the test ends with the first of them.
    """
    section, view = data.section, data.view
    if view.members is not None:
        alive = data.dataset.alive[: len(view)]
        # A ticker without bars gets the last row and is not reported.
        last = len(view) - 1 - alive[::-1].argmax(axis=0)
        gone = [
            f"{ticker} ({view.times[row]})"
            for ticker, row in zip(view.tickers, last.tolist(), strict=True)
            if data.test_start <= row < len(view) - 1
        ]
        sold = "their positions are sold at the last price"
        return f"bars end before the test: {', '.join(gone)}; {sold}" if gone else ""
    if project.config.datasets[section.dataset].align != "intersection":
        return ""
    apart = _apart(project.config, section.dataset, view.tickers)
    if apart is None:
        return ""
    until = np.datetime64(section.test_to, "s") if section.test_to else apart.times[-1]
    newest = apart.times[np.searchsorted(apart.times, until, "right") - 1]
    rows = len(apart) - 1 - apart.alive[::-1].argmax(axis=0)
    ends = dict(zip(apart.tickers, apart.times[rows], strict=True))
    gone = [f"{ticker} ({ends[ticker]})" for ticker in view.tickers if ends[ticker] < newest]
    if not gone:
        return ""
    return (
        f"bars of {', '.join(gone)} end before those of the others ({newest}); only bars that all "
        f'tickers have are kept, so the test ends at {view.times[-1]}: set align = "union" in '
        f"[datasets.{section.dataset}] to test the others to the end"
    )


def _apart(config: Config, name: str, tickers: tuple[str, ...]) -> Dataset | None:
    """Return the dataset with align = "union"; None if the files have errors."""
    section = replace(
        config.datasets[name], tickers=tickers, align="union", members="", covariates={}
    )
    try:
        return load_dataset(replace(config, datasets={**config.datasets, name: section}), name)
    except DataError:
        # Gaps that the intersection hides.
        return None
