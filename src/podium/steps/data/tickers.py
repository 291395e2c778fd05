"""A model's tickers among those there are by now: by name, in the order of its training."""

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
    """Bars of exactly a model's tickers in its order, and what is otherwise by now, in words.

    Only these are read, so that a ticker which came later takes no bar from them. The words are
    empty where the dataset lists them as the model has them.

    Raises
    ------
    DataError
        One is missing, with those that are there and the model does not know, since a renamed
        ticker is one of them.
    """
    section = dataset_section(config, name)
    require_listed(name, section.tickers, tickers)
    if section.members:
        # Its table names every ticker, and members have histories of their own.
        return load_dataset(config, name).realign(tickers)
    mine = replace(section, tickers=tuple(tickers))
    found = load_dataset(replace(config, datasets={**config.datasets, name: mine}), name)
    if section.tickers == mine.tickers:
        return found, ""
    extra = [ticker for ticker in section.tickers if ticker not in tickers]
    return found, (
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
    strangers = [ticker for ticker in listed if ticker not in tickers]
    problems = Problems()
    for ticker in tickers:
        if ticker not in listed:
            fix = suggest(ticker, strangers or listed)
            if strangers:
                fix += (
                    f"; if it is called {' or '.join(strangers[:3])} by now, give it its old name, "
                    "or train again"
                )
            told = f"the model was trained on ticker '{ticker}', which dataset '{name}'"
            problems.add(f"{told} does not list", "it: no other stands in for it", fix)
    DataError.raise_for(problems)


def ends_early(project: Project, data: SlotData) -> str:
    """Tickers whose bars end before the test does, and what comes of that, in words.

    Where only bars that all tickers have are kept, the test ends with the first of them.
    """
    section, view = data.section, data.view
    if view.members is not None:
        alive = data.dataset.alive[: len(view)]
        # Of one that never had a bar: its last row, so it is not among those that ended.
        last = len(view) - 1 - alive[::-1].argmax(axis=0)
        gone = [
            f"{ticker} ({view.times[row]})"
            for ticker, row in zip(view.tickers, last.tolist(), strict=True)
            if data.test_start <= row < len(view) - 1
        ]
        return (
            f"bars end before the test does: {', '.join(gone)}; what is held then is sold at the "
            "last price"
            if gone
            else ""
        )
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
        f"[datasets.{section.dataset}] to judge the others to the end"
    )


def _apart(config: Config, name: str, tickers: tuple[str, ...]) -> Dataset | None:
    """Each ticker's own history; None where the files cannot be read as such."""
    section = replace(
        config.datasets[name], tickers=tickers, align="union", members="", covariates={}
    )
    try:
        return load_dataset(replace(config, datasets={**config.datasets, name: section}), name)
    except DataError:
        # Holes that only bars in common hide.
        return None
