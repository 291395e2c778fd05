"""Check that the demo's verdicts depend on the data.

``python benchmarks/verdicts.py`` runs the demo on its bars, on the same days in another order
(without anything to forecast), and on another period with other tickers.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from podium import config
from podium.dataset import FIELDS
from podium.steps.archive.init import init
from podium.steps.data.bars import load_dataset
from podium.steps.pipeline.run import run
from podium.steps.workspace.session import open_project
from podium.testing.series import shuffled


def replace(root: Path, *pairs: tuple[str, str]) -> None:
    """Replace text in a project's settings."""
    path = root / "podium.toml"
    text = path.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)


def shuffle(root: Path, seed: int) -> None:
    """Shuffle the days."""
    dataset = shuffled(load_dataset(config.load(root), "us4"), seed=seed)
    for n, ticker in enumerate(dataset.tickers):
        frame = pd.DataFrame({field: dataset[field][:, n] for field in FIELDS})
        frame.insert(0, "date", dataset.times)
        frame.to_csv(root / "data" / "us4" / f"{ticker}.csv", index=False)
    replace(root, ("adjust = true ", "adjust = false "))


def move(root: Path) -> None:
    """Use another period: without GOOG, which begins in 2004, the bars reach back to 2000."""
    replace(
        root,
        ('tickers = ["AAPL", "GOOG", "IBM", "MSFT"]', 'tickers = ["AAPL", "IBM", "MSFT"]'),
        ('test_from = "2010-01-01"', 'test_from = "2006-01-01"\ntest_to = "2008-12-31"'),
    )


def verdicts(root: Path) -> Mapping[str, Any]:
    """Outcome of a run for each slot."""
    with open_project(root) as project:
        return {slot.slot: slot for slot in run(project).report.slots}


def main() -> None:
    kinds: dict[str, Callable[[Path], None]] = {
        "the demo's bars": lambda root: None,
        "shuffled, seed 1": lambda root: shuffle(root, 1),
        "shuffled, seed 2": lambda root: shuffle(root, 2),
        "2006 to 2008, three tickers": move,
    }
    for name, change in kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            root = init(Path(folder) / "demo", demo=True)
            change(root)
            began = time.perf_counter()
            outcomes = verdicts(root)
            summary = ", ".join(f"{slot} {one.verdict}" for slot, one in outcomes.items())
            print(f"{name}: {summary} ({time.perf_counter() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
