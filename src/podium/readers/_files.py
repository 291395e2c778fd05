"""Which files a dataset's path means."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from podium.errors import suggest
from podium.manifest import plain
from podium.readers._findings import DataIssue, error
from podium.readers._options import ReadLimits

_MAGIC = frozenset("*?[")


def is_pattern(path: Path) -> bool:
    """Whether a path names many files with ``*``, ``?`` or ``[``."""
    return bool(_MAGIC & set(str(path)))


def stem(path: Path, suffixes: Sequence[str]) -> str:
    """Name of a file without its suffix, which may have two parts.

    Examples
    --------
    >>> stem(Path("a/BRK.B.csv.gz"), (".csv", ".csv.gz"))
    'BRK.B'
    """
    for suffix in sorted(suffixes, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def matching(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files of a file, a folder or a pattern that end in one of the suffixes, by name."""
    if path.is_file():
        return [path]
    if path.is_dir():
        some = list(path.iterdir())
    elif is_pattern(path):
        # Path.glob takes no absolute pattern.
        some = [Path(found) for found in glob.glob(str(path), recursive=True)]  # noqa: PTH207
    else:
        return []
    endings = tuple(suffixes)
    return sorted(
        p
        for p in some
        if p.is_file() and p.name.lower().endswith(endings) and not p.name.startswith(".")
    )


def by_ticker(
    path: Path, tickers: Sequence[str], suffixes: Sequence[str]
) -> tuple[dict[str, Path], list[DataIssue]] | None:
    """File of each ticker in a folder, and which have none; None when no ticker has one."""
    if not path.is_dir():
        return None
    found: dict[str, Path] = {}
    for ticker in tickers:
        # A ticker is a name, never a way to a file elsewhere.
        for suffix in suffixes if plain(ticker) else ():
            if (path / f"{ticker}{suffix}").is_file():
                found.setdefault(ticker, path / f"{ticker}{suffix}")
    others = matching(path, suffixes)
    if not found and others:
        return None
    known = [stem(p, suffixes) for p in others]
    missing = [
        error(
            "files",
            f"ticker '{ticker}': no file {path / f'{ticker}{suffixes[0]}'}",
            fix=suggest(ticker, known),
        )
        for ticker in tickers
        if ticker not in found
    ]
    return found, missing


def too_many(files: Sequence[Path], limits: ReadLimits) -> list[DataIssue]:
    """A refusal when there are more files than the limit."""
    if len(files) <= limits.files:
        return []
    return [
        error("files", f"{len(files):,} files", f"at most {limits.files:,}", "name fewer of them")
    ]
