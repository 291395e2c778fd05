"""Which reader a path needs, and what it finds there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import registry
from podium.errors import NotFoundError, UsageError
from podium.readers._bars import Inspection
from podium.readers._files import is_pattern, matching
from podium.timeframe import is_dated, zone


def reader_of(path: Path) -> str:
    """Name of the reader for a file, a folder or a pattern, by the endings of the files.

    Raises
    ------
    NotFoundError
        There is no file of a known kind.
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
        # A file of another name may well be text.
        return known[0] if known else "csv"
    found = {kind: len(matching(path, endings)) for kind, endings in by_suffix.items()}
    present = [kind for kind, count in found.items() if count]
    if not present:
        what = "file matches" if is_pattern(path) else "data in"
        raise NotFoundError(
            f"no {what} {path}",
            "CSV, Parquet or .npz files",
            "name the file, or its folder",
        )
    if len(present) > 1:
        told = ", ".join(f"{found[kind]} of {kind}" for kind in present)
        raise UsageError(
            f"{path} holds files of several kinds: {told}",
            "one kind",
            f"name a pattern such as {path}/*.{present[0]}",
        )
    return present[0]


@dataclass(frozen=True)
class PathSummary:
    """What a reader of bars found in a path of which no table says anything yet.

    Parameters
    ----------
    settings : dict
        What was said and what was assumed, as keys of a dataset's table.
    assumed : list of str
        The assumptions in words.
    """

    found: Inspection
    settings: dict[str, Any]
    assumed: list[str]


def examine(
    reader: str,
    path: Path,
    *,
    name: str,
    tickers: Sequence[str],
    timeframe: str,
    adjust: bool | None,
    options: Mapping[str, Any],
) -> Inspection:
    """What a reader of bars finds; nothing is raised for dirty files."""
    examined: Inspection = registry.load("readers", reader).examine(
        path, name=name, tickers=tickers, timeframe=timeframe, adjust=adjust, **options
    )
    return examined


def look(
    reader: str,
    path: Path,
    *,
    name: str,
    tickers: Sequence[str],
    timeframe: str,
    adjust: bool | None,
    options: Mapping[str, Any],
) -> PathSummary:
    """What a reader finds when what nobody said is assumed on the safe side.

    Stamps of intraday bars are taken for their opens: most vendors write opens, and taken so a bar
    is known later rather than earlier. Stamps without a zone are UTC unless the name of their
    column tells another.
    """

    def seen(settings: Mapping[str, Any]) -> Inspection:
        return examine(
            reader, path, name=name, tickers=tickers, timeframe=timeframe, adjust=adjust,
            options=settings,
        )  # fmt: skip

    settings = {key: value for key, value in options.items() if value}
    found = seen(settings)
    if not found.timeframe or is_dated(found.timeframe):
        return PathSummary(found, settings, [])
    assumed: dict[str, str] = {}
    words: list[str] = []
    if not settings.get("stamp"):
        assumed["stamp"] = found.stamp or "open"
        words.append(
            f"stamps are taken for the {assumed['stamp']} of their bar; say --stamp "
            f"{'close' if assumed['stamp'] == 'open' else 'open'} if they are not"
        )
    told = settings.get("timezone")
    if told and found.zone and told != found.zone and _is_zone(found.zone) and not found.aware:
        words.append(
            f"stamps are taken as {told}, though the name of their column says {found.zone}; the "
            "zone of the exchange is --exchange-timezone"
        )
    if not told and not found.aware:
        assumed["timezone"] = found.zone if _is_zone(found.zone) else "UTC"
        words.append(
            f"stamps name no time zone and are taken as {assumed['timezone']}; say --timezone if "
            "they are local times"
        )
    return PathSummary(seen({**settings, **assumed}), {**settings, **assumed}, words)


def _is_zone(name: str) -> bool:
    try:
        zone(name)
    except UsageError:
        return False
    return bool(name)
