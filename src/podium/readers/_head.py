"""Dialect of a text table from its first lines: separator, header, decimal sign."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from podium.errors import DataError
from podium.readers._columns import USUAL, normal
from podium.readers._options import ReadOptions

SEPARATORS = ",;\t|"
HEAD_BYTES = 1 << 20
WHAT = "comma separated values with a header"
_HEAD_ROWS = 200
_FIELDS = frozenset(name for role in ("open", "high", "low", "close", "volume", "adj_close")
                    for name in USUAL[role])  # fmt: skip


@dataclass(frozen=True)
class Head:
    """Dialect of a text table.

    Parameters
    ----------
    skip : int
        Lines before the first row of data.
    sample : list of list of str
        Cells of the first rows of data.
    """

    names: tuple[str, ...]
    separator: str
    skip: int
    sample: list[list[str]]


def read_head(path: Path, text: str, *, whole: bool, options: ReadOptions) -> Head:
    """Infer the dialect of a file.

    Parameters
    ----------
    text : str
        Beginning of the file.
    whole : bool
        Whether ``text`` is the whole file.

    Raises
    ------
    DataError
        The file is empty, has one column, or has no header.
    """
    lines = re.split(r"\r\n|\n|\r", text)
    if not whole and len(lines) < 2:
        raise DataError(f"{path}: its first line is longer than {HEAD_BYTES:,} bytes", WHAT)
    if not whole:
        lines = lines[:-1]
    skip = 0
    separator = options.separator
    for line in lines:
        declared = re.fullmatch(r'"?sep=(.)"?', line.strip())
        if declared:  # a spreadsheet's declaration of the separator
            separator = separator or declared.group(1)
        elif line.strip() and not line.startswith("#"):
            break
        skip += 1
    body = lines[skip : skip + _HEAD_ROWS]
    if not body:
        raise DataError(f"{path} is empty", WHAT)
    try:
        separator = separator or _separator(body)
        rows = list(csv.reader(body, delimiter=separator))
    except csv.Error as error:
        raise DataError(f"{path}: {error}", WHAT) from None
    names, used = _names(rows)
    if len(names) < 2:
        fix = 'name another separator: separator = "|"' if options.separator else ""
        raise DataError(f"{path} has one column, '{names[0][:60] if names else ''}'", WHAT, fix)
    if all(_is_value(name) for name in names):
        what = f"{path} has no header: its first line is '{body[0][:60]}'"
        raise DataError(what, WHAT, "add a first line that names the columns")
    return Head(unique_names(names), separator, skip + used, rows[used:])


def _separator(body: Sequence[str]) -> str:
    """Return the separator that gives the header, and the most rows, the most cells."""

    def cells(sign: str) -> tuple[int, int]:
        rows = [len(row) for row in csv.reader(body[:20], delimiter=sign)]
        agree = sum(size == rows[0] for size in rows)
        return (rows[0] if rows[0] > 1 else 0, agree)

    return max(SEPARATORS, key=cells)


def _names(rows: Sequence[Sequence[str]]) -> tuple[list[str], int]:
    """Return the names of the columns and the number of header rows.

    Columns of two levels, as pandas writes them, have the field in one row and the ticker in the
    other; a third row may name the index.
    """
    first = [cell.strip() for cell in rows[0]]
    if len(rows) < 3 or len(rows[1]) != len(first) or len(set(first[1:])) == len(first[1:]):
        return first, 1
    second = [cell.strip() for cell in rows[1]]
    fields = [all(normal(cell) in _FIELDS for cell in row[1:]) for row in (first, second)]
    if not any(fields) or any(_is_value(cell) for cell in second[1:]):
        return first, 1
    names = [f"{one}|{two}" for one, two in zip(first[1:], second[1:], strict=True)]
    third = [cell.strip() for cell in rows[2]]
    if third[0] and not any(third[1:]):
        return [third[0], *names], 3
    return [second[0] if normal(second[0]) in USUAL["time"] else first[0], *names], 2


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return unique names: repeated ones get a number in brackets."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(unique)


def _is_value(cell: str) -> bool:
    """Return whether a cell is empty, a number or a stamp, and so no name."""
    return not cell.strip() or bool(re.fullmatch(r"[-+]?[\d.,:/TZ\s-]*\d[\d.,:/TZ\s-]*", cell))


def decimal_of(head: Head, numbers: Sequence[str]) -> str:
    """Return a comma if it is the decimal sign of the first rows beyond doubt, else empty."""
    places = [head.names.index(name) for name in numbers]
    cells = [row[at].strip() for row in head.sample for at in places if at < len(row)]
    with_comma = [cell for cell in cells if "," in cell]
    decimal = [c for c in with_comma if re.fullmatch(r"-?(\d*,(\d{1,2}|\d{4,})|(0|\d{4,}),\d+)", c)]
    other = [c for c in with_comma if "." in c or c.count(",") > 1]
    return "," if decimal and not other else ""
