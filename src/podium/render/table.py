"""Tables as text, Markdown and HTML, with a common format of numbers."""

from __future__ import annotations

import html as _html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import zip_longest
from typing import Any
from unicodedata import combining, east_asian_width

import numpy as np

from podium.errors import DataError

# Control characters break XML or move a terminal's cursor; direction marks and line breaks can
# disguise the text of a cell.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")
_NUMERIC = re.compile(r"[<>]?[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?%?|-|nan|[+-]?inf")
_MARKDOWN = re.compile(r"([\\`*|<>\[\]])")
# Columns of several words are not made narrower than this.
_WRAPPED = 24


class Safe(str):
    """HTML that is already escaped, which `html` does not escape again."""

    __slots__ = ()


def number(value: float | None) -> str:
    """Four significant digits of a number, '-' for None.

    Integers are written in full; the integer part of a large number is never rounded.

    Parameters
    ----------
    value : float or None

    Examples
    --------
    >>> number(0.00482134), number(1.5), number(123456.7), number(0.0000123), number(12)
    ('0.004821', '1.500', '123,457', '1.230e-05', '12')
    >>> number(None), number(float("nan"))
    ('-', 'nan')
    """
    if value is None:
        return "-"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    real = float(value)
    if not math.isfinite(real):
        return str(real)
    if real == 0:
        return "0"
    if abs(real) >= 999.95:
        return f"{real:,.0f}"
    return f"{real:.3e}" if abs(real) < 0.0001 else f"{real:#.4g}"


def p_value(value: float | None) -> str:
    """Four decimals of a probability, '<0.0001' below that, '-' for None.

    Parameters
    ----------
    value : float or None

    Examples
    --------
    >>> p_value(0.03127), p_value(0.0000004), p_value(None)
    ('0.0313', '<0.0001', '-')
    """
    if value is None:
        return "-"
    return "<0.0001" if value < 0.0001 else f"{float(value):.4f}"


def p_clause(value: float | None) -> str:
    """A p-value in a sentence: ``p = 0.0313``, ``p < 0.0001``."""
    shown = p_value(value)
    return f"p < {shown[1:]}" if shown.startswith("<") else f"p = {shown}"


def percent(value: float | None) -> str:
    """A share as a percentage with one decimal, more for small ones.

    Parameters
    ----------
    value : float or None
        0.1 is 10%.

    Examples
    --------
    >>> percent(0.1234), percent(-0.0042), percent(None)
    ('12.3%', '-0.42%', '-')
    """
    if value is None:
        return "-"
    hundred = float(value) * 100
    if not math.isfinite(hundred):
        return str(hundred)
    if abs(hundred) >= 0.995 or abs(hundred) < 1e-9:
        return f"{hundred + 0.0:,.1f}%".replace("-0.0%", "0.0%")
    return f"{hundred:.2g}%"


def escape(value: object) -> str:
    """Text that is safe in elements and attributes of HTML and XML.

    Parameters
    ----------
    value : object

    Examples
    --------
    >>> escape('<b a="1">')
    '&lt;b a=&quot;1&quot;&gt;'
    """
    return _html.escape(_CONTROL.sub(" ", str(value)), quote=True)


def cell(value: object) -> str:
    r"""One line of plain text for any value of a table.

    Parameters
    ----------
    value : object
        Numbers are formatted by `number`, None is '-', control characters become a space.

    Examples
    --------
    >>> cell(0.5), cell(True), cell("two\nlines"), cell(None)
    ('0.5000', 'yes', 'two lines', '-')
    """
    if value is None or isinstance(value, bool | int | float | np.number | np.bool_):
        return number(value)  # type: ignore[arg-type]
    return _CONTROL.sub(" ", str(value))


def plain(value: Any) -> Any:
    """A value as JSON types; None for a number that is not finite.

    Parameters
    ----------
    value : object
        Dataclasses, arrays, times, mappings and sequences; other types become text.

    Examples
    --------
    >>> plain({"mse": np.array([0.5, math.inf]), 1: (True, None)})
    {'mse': [0.5, None], '1': [True, None]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        array: Any = value
        if value.dtype.kind == "M":
            array = np.where(np.isnat(array), None, np.datetime_as_string(array))
        return plain(array.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def cut(words: str, width: int) -> str:
    """The words, cut to a width with an ellipsis as the last character.

    Parameters
    ----------
    words : str
    width : int
        Columns of a terminal; East Asian wide characters take two.

    Examples
    --------
    >>> cut("learning_rate=0.003", 10), cut("short", 10)
    ('learning_…', 'short')
    """
    if _columns(words) <= width:
        return words
    start, width_left = "", width - 1
    for sign in words:
        width_left -= _columns(sign)
        if width_left < 0:
            break
        start += sign
    return start.rstrip() + "…" if width > 0 else ""


def middle_cut(words: str, width: int) -> str:
    """Words shortened in the middle, as long names often differ at their ends.

    Parameters
    ----------
    words : str
    width : int
        Letters, 3 or more.

    Examples
    --------
    >>> middle_cut("category_number_12", 9), middle_cut("none", 9)
    ('cate…r_12', 'none')
    """
    half = width // 2
    return words if len(words) <= width else f"{words[: width - half - 1]}…{words[-half:]}"


def wrapped(words: str, width: int) -> list[str]:
    """Lines of at most a width, broken at spaces; a longer word is broken inside.

    Parameters
    ----------
    words : str
    width : int
        Columns of a terminal, 2 or more.

    Examples
    --------
    >>> wrapped("layers=1, learning_rate=0.003", 12)
    ['layers=1,', 'learning_rat', 'e=0.003']
    """
    lines, line = [], ""
    for word in words.split(" "):
        if line and _columns(line) + 1 + _columns(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
        while _columns(line) > width:
            end = next(n for n in range(1, len(line) + 1) if _columns(line[: n + 1]) > width)
            lines.append(line[:end])
            line = line[end:]
    return [*lines, line]


def text(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, width: int | None = None
) -> str:
    """A table for a terminal: numbers right-aligned, words left-aligned.

    Parameters
    ----------
    columns : sequence of str, shape (C,)
    rows : sequence of sequences, shape (R, C)
    width : int, optional
        Maximum width of a line. Cells of several words wrap; the widest columns that do not fit
        beside the others are lines below each row.

    Examples
    --------
    >>> print(text(["slot", "rmse"], [["eurusd/1H", 0.004821], ["us4/D", None]]))
    slot           rmse
    ---------  --------
    eurusd/1H  0.004821
    us4/D             -
    >>> print(text(["gate", "finding"], [["cost", "loses 0.3 bps a day"]], width=18))
    gate
    ----
    cost
      finding: loses
      0.3 bps a day
    """
    right = _right(columns, rows)
    grid = [[cell(name) for name in columns], *_cells(columns, rows)]
    sizes = [max(map(_columns, cells)) for cells in zip(*grid, strict=True)]
    longest = [
        max(_columns(word) for words in cells for word in words.split(" "))
        for cells in zip(*grid, strict=True)
    ]
    narrowest = [
        word if numeric else max(word, min(size, _WRAPPED))
        for size, word, numeric in zip(sizes, longest, right, strict=True)
    ]
    beside = list(range(len(columns)))

    def is_too_wide(widths: Sequence[int]) -> bool:
        total = sum(widths[c] for c in beside) + 2 * (len(beside) - 1)
        return width is not None and total > width

    while is_too_wide(narrowest) and len(beside) > 1:
        beside.remove(max(beside[1:], key=lambda c: (narrowest[c], sizes[c])))
    while is_too_wide(sizes):
        flexible = [c for c in beside if sizes[c] > narrowest[c]] or beside
        sizes[max(flexible, key=lambda c: sizes[c])] -= 1
    lines = []
    for place, row in enumerate(grid):
        parts = [wrapped(row[c], sizes[c]) for c in beside]
        for cells in zip_longest(*parts, fillvalue=""):
            padded = (
                _pad(words, sizes[c], right[c]) for words, c in zip(cells, beside, strict=True)
            )
            lines.append("  ".join(padded).rstrip())
        if place == 0:
            lines.append("  ".join("-" * sizes[c] for c in beside))
            continue
        for c in sorted({*range(len(columns))} - {*beside}):
            below = wrapped(f"{grid[0][c]}: {row[c]}", (width or 0) - 2)
            lines += [f"  {part}".rstrip() for part in below]
    return "\n".join(lines)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    r"""A table in Markdown, escaped.

    Parameters
    ----------
    columns : sequence of str, shape (C,)
    rows : sequence of sequences, shape (R, C)

    Examples
    --------
    >>> print(markdown(["a|b", "n"], [["x", 1.5]]))
    | a\|b | n |
    | --- | ---: |
    | x | 1.500 |
    """
    rule = ["---:" if numeric else "---" for numeric in _right(columns, rows)]
    grid = [
        [plain_markdown(name) for name in columns],
        rule,
        *([plain_markdown(words) for words in line] for line in _cells(columns, rows)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in grid)


def plain_markdown(words: object) -> str:
    r"""Text with Markdown characters escaped.

    Parameters
    ----------
    words : object

    Examples
    --------
    >>> print(plain_markdown("*bold* <0.01"))
    \*bold\* \<0.01
    """
    return _MARKDOWN.sub(r"\\\1", cell(words))


def html(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    caption: str = "",
    stacked: bool = False,
) -> str:
    """A table in HTML, escaped, with class "num" on numbers.

    Parameters
    ----------
    columns : sequence of str, shape (C,)
    rows : sequence of sequences, shape (R, C)
        A `Safe` cell is not escaped.
    caption : str
        For screen readers; hidden on the page.
    stacked : bool
        Whether a narrow screen shows each row as a list, for tables of many columns.

    Examples
    --------
    >>> print(html(["part"], [["<test>"]]).splitlines()[-2])
    <tr><th scope="row">&lt;test&gt;</th></tr>
    """

    def role(name: str) -> str:
        # A table laid out as blocks needs roles for screen readers.
        return f' role="{name}"' if stacked else ""

    right = _right(columns, rows)
    number_class = [' class="num"' if numeric else "" for numeric in right]
    heads = "".join(
        f'<th scope="col"{role("columnheader")}{number_class[c]}>{escape(name)}</th>'
        for c, name in enumerate(columns)
    )
    body = []
    for row, words in zip(rows, _cells(columns, rows), strict=True):
        line = ""
        for c, (value, plain) in enumerate(zip(row, words, strict=True)):
            inner = str(value) if isinstance(value, Safe) else escape(plain)
            if c == 0:
                line += f'<th scope="row"{role("rowheader")}{number_class[0]}>{inner}</th>'
                continue
            named = f' data-label="{escape(columns[c])}"' if stacked else ""
            line += f"<td{role('cell')}{number_class[c]}{named}>{inner}</td>"
        body.append(f"<tr{role('row')}>{line}</tr>")
    group = role("rowgroup")
    return "\n".join(
        [
            f"<table{role('table')}" + (' class="stacked">' if stacked else ">"),
            *([f"<caption>{escape(caption)}</caption>"] if caption else []),
            f"<thead{group}><tr{role('row')}>{heads}</tr></thead><tbody{group}>",
            *body,
            "</tbody></table>",
        ]
    )


def _cells(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[list[str]]:
    for place, row in enumerate(rows):
        if len(row) != len(columns):
            raise DataError(
                f"row {place} of the table has {len(row)} cells",
                f"{len(columns)} cells, one for each of {', '.join(columns)}",
            )
    return [[cell(value) for value in row] for row in rows]


def _right(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[bool]:
    cells = _cells(columns, rows)
    return [
        any(line[c] != "-" for line in cells) and all(_NUMERIC.fullmatch(line[c]) for line in cells)
        for c in range(len(columns))
    ]


def _columns(words: str) -> int:
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in words)


def _pad(words: str, size: int, right: bool) -> str:
    space = " " * (size - _columns(words))
    return space + words if right else words + space


def size(count: float) -> str:
    """Size in bytes as text.

    Examples
    --------
    >>> size(640), size(25_000), size(1_250_000_000)
    ('640 bytes', '25 kB', '1.2 GB')
    """
    units = ["bytes", "kB", "MB", "GB", "TB"]
    power = 0
    while count >= 1000 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    digits = f"{count:.2g}" if count < 10 and power else f"{count:.0f}"
    return f"{digits} {units[power]}"


def counted(count: int, noun: str) -> str:
    """A number and its noun, in the plural unless it is 1.

    Examples
    --------
    >>> counted(1, "trial"), counted(2400, "trial")
    ('1 trial', '2,400 trials')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def duration(seconds: float) -> str:
    """Duration as text.

    Examples
    --------
    >>> [duration(seconds) for seconds in (12.3, 400, 10_000)]
    ['12 s', '7 min', '2.8 h']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
