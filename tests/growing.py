"""A small project whose bars arrive bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import projects
from podium import demo

# The bars there are at first: the test ends here.
FIRST = "2002-07-01"
TICKERS = ("AAPL", "IBM")


def growing_project(folder: Path, **settings: Mapping[str, Any]) -> Path:
    """A small project with the bars before the first of July 2002."""
    open_end = {projects.SLOT: {"test_to": ""}}
    root = projects.small_project(folder, **projects.merge({"slots": open_end}, settings))
    arrive(root, FIRST)
    return root


def configured(root: Path, **settings: Mapping[str, Any]) -> None:
    """Other settings for such a project."""
    projects.configure(
        root, **projects.merge({"slots": {projects.SLOT: {"test_to": ""}}}, settings)
    )


def arrive(root: Path, before: str) -> None:
    """Let the bars be there that are older than a day."""
    for ticker in TICKERS:
        source = Path(demo.__path__[0]) / "us4" / f"{ticker}.csv"
        head, *lines = source.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line[:10] < before]
        (root / "data" / "us4" / f"{ticker}.csv").write_text("\n".join([head, *kept]) + "\n")


def swing(root: Path, days: int, size: float) -> None:
    """Append bars that rise and fall by so much in turn, as those of the training never did."""
    from datetime import date, timedelta

    for ticker in TICKERS:
        path = root / "data" / "us4" / f"{ticker}.csv"
        lines = path.read_text(encoding="utf-8").splitlines()
        day, price = date.fromisoformat(lines[-1][:10]), 100.0
        for n in range(days):
            day += timedelta(days=3 if day.weekday() == 4 else 1)
            close = price * (1 + size if n % 2 else 1 / (1 + size))
            high, low = max(price, close), min(price, close)
            lines.append(f"{day},{price},{high},{low},{close},1000000,{close}")
            price = close
        path.write_text("\n".join(lines) + "\n")
