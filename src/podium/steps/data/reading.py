"""The reader of a path, and its inspection of the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from podium import registry
from podium.errors import NotFoundError, UsageError
from podium.readers._bars import Inspection
from podium.readers._files import is_pattern, matching
from podium.timeframe import is_dated, zone


def reader_of(path: Path) -> str:
    """Return the name of the reader for a file, folder or pattern, by the suffixes of the files.

    Raises
    ------
    NotFoundError
        No file has a known suffix.
    UsageError
        There are files of several kinds.
    """
    by_suffix = {
        name: endings
        for name in registry.names("readers")
        if (endings := getattr(registry.load("readers", name), "SUFFIXES", ()))
    }
    if path.is_file():
        known = [kind for kind, endings in by_suffix.items() if path.name.endswith(tuple(endings))]
        # A file with another suffix may be text.
        return known[0] if known else "csv"
    counts = {kind: len(matching(path, endings)) for kind, endings in by_suffix.items()}
    present = [kind for kind, count in counts.items() if count]
    if not present:
        what = "file matches" if is_pattern(path) else "data in"
        expected = "CSV, Parquet or .npz files"
        raise NotFoundError(f"no {what} {path}", expected, "name the file, or its folder")
    if len(present) > 1:
        listed = ", ".join(f"{counts[kind]} of {kind}" for kind in present)
        fix = f"name a pattern such as {path}/*.{present[0]}"
        raise UsageError(f"{path} has files of several kinds: {listed}", "one kind", fix)
    return present[0]


@dataclass(frozen=True)
class PathSummary:
    """Inspection of a path that is not a dataset of podium.toml.

    Parameters
    ----------
    settings : dict
        Given and assumed options, as keys of a dataset's table.
    assumed : list of str
        Descriptions of the assumptions.
    """

    result: Inspection
    settings: dict[str, Any]
    assumed: list[str]


def inspect_path(
    reader: str,
    path: Path,
    *,
    name: str,
    tickers: Sequence[str],
    timeframe: str,
    adjust: bool | None,
    options: Mapping[str, Any],
) -> PathSummary:
    """Inspect a path with safe assumptions for unset options.

    Intraday stamps are read as opens: most vendors write opens, and a bar is then known later
    rather than earlier. Stamps without a zone are UTC unless the name of their column has another.
    """
    examine = partial(registry.load("readers", reader).examine, path, name=name, adjust=adjust)
    examine = partial(examine, tickers=tickers, timeframe=timeframe)
    settings = {key: value for key, value in options.items() if value}
    result: Inspection = examine(**settings)
    if not result.timeframe or is_dated(result.timeframe):
        return PathSummary(result, settings, [])
    assumed: dict[str, str] = {}
    words: list[str] = []
    if not settings.get("stamp"):
        assumed["stamp"] = result.stamp or "open"
        words.append(
            f"stamps are read as the {assumed['stamp']} of their bar; set --stamp "
            f"{'close' if assumed['stamp'] == 'open' else 'open'} if they are not"
        )
    given, named = settings.get("timezone"), result.zone
    if given and named and given != named and _is_zone(named) and not result.aware:
        words.append(
            f"stamps are read as {given}, but the name of their column has {named}; the zone of "
            "the exchange is --exchange-timezone"
        )
    if not given and not result.aware:
        assumed["timezone"] = named if _is_zone(named) else "UTC"
        words.append(
            f"stamps name no time zone and are read as {assumed['timezone']}; set --timezone if "
            "they are local times"
        )
    settings |= assumed
    return PathSummary(examine(**settings), settings, words)


def _is_zone(name: str) -> bool:
    try:
        zone(name)
    except UsageError:
        return False
    return bool(name)
