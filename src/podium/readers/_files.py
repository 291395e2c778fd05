"""Files of a dataset's path."""

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
    """Return whether a path contains ``*``, ``?`` or ``[``."""
    return bool(_MAGIC & set(str(path)))


def stem(path: Path, suffixes: Sequence[str]) -> str:
    """Return a file's name without its suffix, which may have two parts.

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
    """Return the files of a file, folder or pattern with one of the suffixes, sorted by name."""
    if path.is_file():
        return [path]
    if path.is_dir():
        some = list(path.iterdir())
    elif is_pattern(path):
        # Path.glob takes no absolute pattern.
        some = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207
    else:
        return []
    endings = tuple(suffixes)
    named = [p for p in some if p.name.lower().endswith(endings) and not p.name.startswith(".")]
    return sorted(p for p in named if p.is_file())


def by_ticker(
    path: Path, tickers: Sequence[str], suffixes: Sequence[str]
) -> tuple[dict[str, Path], list[DataIssue]] | None:
    """Return the file of each ticker in a folder, and the missing ones; None if all are missing."""
    if not path.is_dir():
        return None
    file_of: dict[str, Path] = {}
    for ticker in tickers:
        # A ticker must not be a path to a file elsewhere.
        for suffix in suffixes if plain(ticker) else ():
            if (path / f"{ticker}{suffix}").is_file():
                file_of.setdefault(ticker, path / f"{ticker}{suffix}")
    others = matching(path, suffixes)
    if not file_of and others:
        return None
    known, missing = [stem(p, suffixes) for p in others], []
    for ticker in tickers:
        if ticker not in file_of:
            what = f"ticker '{ticker}': no file {path / f'{ticker}{suffixes[0]}'}"
            missing.append(error("files", what, fix=suggest(ticker, known)))
    return file_of, missing


def too_many(files: Sequence[Path], limits: ReadLimits) -> list[DataIssue]:
    """Return an error if there are more files than the limit."""
    if len(files) <= limits.files:
        return []
    most = f"at most {limits.files:,}"
    return [error("files", f"{len(files):,} files", most, "name fewer of them")]
