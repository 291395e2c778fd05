"""Roles of columns by their usual names, and the layout of a table."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from podium.dataset import FIELDS
from podium.readers._findings import DataIssue, error
from podium.readers._options import ReadOptions

USUAL = {
    "time": (
        "date", "datetime", "time", "timestamp", "ts", "dt", "stamp", "date_time", "bar_time",
        "open_time", "close_time", "gmt_time", "utc_time", "time_utc", "local_time", "day",
        "trade_date", "trading_date", "price_date", "index_level_0",
    ),
    "open": ("open", "o", "open_price", "px_open", "opening_price"),
    "high": ("high", "h", "high_price", "px_high"),
    "low": ("low", "l", "low_price", "px_low"),
    "close": ("close", "c", "close_price", "px_last", "close_last", "last", "closing_price"),
    "volume": ("volume", "v", "vol", "qty", "tick_volume", "tickvol", "px_volume", "volumes"),
    "adj_close": ("adj_close", "adjclose", "adjusted_close", "close_adj", "adj_close_price"),
    "factor": ("factor", "adj_factor", "adjustment_factor"),
    "ticker": ("ticker", "symbol", "sym", "instrument", "asset", "ric", "isin", "permno", "pair"),
}  # fmt: skip
ROLES = tuple(USUAL)
NUMBERS = (*FIELDS, "adj_close", "factor")
_ROLE_OF = {usual: role for role, names in USUAL.items() for usual in names}
_TIME_OF_DAY = ("time", "hour", "time_of_day")
_WIDE = re.compile(r"[\s_.|:/-]+")
# A single letter is a field only if the table has the other fields too; else it may be a ticker.
_LETTERS = frozenset("ohlcv")


@dataclass(frozen=True)
class Layout:
    """Layout of a table of bars.

    Parameters
    ----------
    kind : {"files", "long", "wide"}
    times : tuple of str
        The column of stamps, or a column of dates and one of times of day.
    ticker : str
        Ticker column of a long table.
    fields : mapping of ticker to mapping of role to column
        The ticker is empty unless the table is wide.
    """

    kind: str
    times: tuple[str, ...]
    ticker: str = ""
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def numbers(self) -> list[str]:
        """The required number columns."""
        return list(dict.fromkeys(c for roles in self.fields.values() for c in roles.values()))


def normal(name: str) -> str:
    """Return a column's name without case, brackets and separators.

    Examples
    --------
    >>> normal("Time (EET)"), normal("<CLOSE>"), normal("Adj Close"), normal("Close/Last")
    ('time', 'close', 'adj_close', 'close_last')
    """
    flat = "_".join(filter(None, _levels(name))) or name
    bare = re.sub(r"[(\[].*?[)\]]", "", flat).strip(" <>'\"\t").lower()
    return re.sub(r"[^a-z0-9]+", "_", bare).strip("_")


def _levels(name: str) -> list[str]:
    """Return the parts of a name that pandas wrote as a tuple; empty for other names."""
    if not name.startswith("("):
        return []
    try:
        pieces = ast.literal_eval(name)
    except (ValueError, SyntaxError):
        return []
    return [str(piece) for piece in pieces] if isinstance(pieces, tuple) else []


def zone_in_name(name: str) -> str:
    """Return the time zone in a column's name, empty if there is none.

    Examples
    --------
    >>> zone_in_name("Time (EET)"), zone_in_name("Gmt time"), zone_in_name("date")
    ('EET', 'UTC', '')
    """
    inside = re.search(r"[(\[]\s*([A-Za-z]+(?:/[A-Za-z_]+)?)\s*[)\]]", name)
    text = inside.group(1) if inside else name
    if re.search(r"(?i)(^|[\s_])(gmt|utc)($|[\s_])", text):
        return "UTC"
    return text if inside else ""


def stamp_in_name(name: str) -> str:
    """Return ``open`` or ``close`` if a column's name contains it, else empty."""
    return {"open_time": "open", "close_time": "close"}.get(normal(name), "")


def find_layout(
    names: Sequence[str],
    options: ReadOptions,
    *,
    tickers: Sequence[str],
    adjust: bool | None,
    where: str,
    kind: str = "",
) -> tuple[Layout | None, list[DataIssue]]:
    """Return the layout of a table, or None and the errors.

    Parameters
    ----------
    names : sequence of str
        The table's columns.
    tickers : sequence of str
        Empty: all tickers of the table.
    adjust : bool or None
        Whether adjusted closes are required; None: used if the table has them.
    where : str
        Name of the table in messages.
    kind : str
        Overrides the layout of the options.
    """
    explicit = kind or options.layout
    given, problems = named_columns(names, options.columns, where)
    column_of = dict(given)
    rest = [name for name in names if name not in given.values()]
    candidates: dict[str, list[str]] = {}
    for name in rest:
        role = _ROLE_OF.get(normal(name))
        if role and role not in column_of:
            candidates.setdefault(role, []).append(name)
    times = _times(column_of, candidates, names, where, problems)
    for role, some in candidates.items():
        if role != "time":
            column_of[role] = choose_column(role, some, where, problems)
    if problems:
        return None, problems
    kind = explicit or ("long" if "ticker" in column_of else "files")
    others = [name for name in rest if name not in times]
    if kind == "wide":
        fields = _wide(others, tickers, explicit=bool(explicit))
    else:
        unnamed = not any(role in column_of for role in FIELDS) and not set(given) - {"time"}
        if not explicit and unnamed and _wide(others, tickers):
            return find_layout(
                names, options, tickers=tickers, adjust=adjust, where=where, kind="wide"
            )
        fields = {"": {role: column_of[role] for role in NUMBERS if role in column_of}}
    if adjust is False:
        keep = [role for role in NUMBERS if role not in ("adj_close", "factor")]
        fields = {t: {r: c for r, c in roles.items() if r in keep} for t, roles in fields.items()}
    layout = Layout(kind, times, column_of.get("ticker", "") if kind == "long" else "", fields)
    problems = _missing(layout, names, tickers, bool(adjust), options.absent, where)
    if problems:
        return None, problems
    # A factor is redundant where there is an adjusted close.
    fields = {
        t: {r: c for r, c in roles.items() if r != "factor" or "adj_close" not in roles}
        for t, roles in fields.items()
    }
    return replace(layout, fields=fields), []


def named_columns(
    names: Sequence[str], columns: Mapping[str, str], where: str
) -> tuple[dict[str, str], list[DataIssue]]:
    """Return the columns of the ``columns`` option by role."""
    column_of, problems = {}, []
    for role, name in columns.items():
        same = [known for known in names if known == name]
        same = same or [known for known in names if normal(known) == normal(name)]
        if len(same) == 1:
            column_of[role] = same[0]
            continue
        near = get_close_matches(name, names, n=1)
        what = f"{where} has no column '{name}', which columns names as {role} "
        what += f"(found: {_listed(names)})"
        fix = f"did you mean '{near[0]}'?" if near else "name one of its columns"
        problems.append(error("columns", what, fix=fix))
    return column_of, problems


def _times(
    column_of: Mapping[str, str],
    candidates: Mapping[str, list[str]],
    names: Sequence[str],
    where: str,
    problems: list[DataIssue],
) -> tuple[str, ...]:
    """Return the column of stamps, or the columns of dates and times of day."""
    if "time" in column_of:
        return (column_of["time"],)
    some = candidates.get("time", [])
    if not some and names and normal(names[0]) in ("", "unnamed_0", "index"):
        # An unnamed index.
        return (names[0],)
    if len(some) == 2 and normal(some[0]) in ("date", "day") and normal(some[1]) in _TIME_OF_DAY:
        return (some[0], some[1])
    exact = [name for name in some if normal(name) == "date"] if len(some) > 1 else some
    if len(exact) > 1 or (some and not exact):
        problems.append(_ambiguous(where, "time", some))
    return tuple(exact[:1])


def _wide(
    names: Sequence[str], tickers: Sequence[str], *, explicit: bool = False
) -> dict[str, dict[str, str]]:
    """Return the columns of every ticker of a wide table.

    Names are ``close_AAPL``, ``AAPL close``, ``('Close', 'AAPL')`` or ``AAPL``. Tickers may contain
    separators (``BRK.B``): the field precedes the first separator or follows the last.
    """
    columns: dict[str, dict[str, str]] = {}
    letters: dict[str, dict[str, str]] = {}
    for name in names:
        role, ticker, short = _parts(name, tickers)
        if role:
            (letters if short else columns).setdefault(ticker, {})[role] = name
    for ticker, roles in letters.items():
        if set(roles) >= {"open", "high", "low", "close"}:
            columns.setdefault(ticker, {}).update(roles)
    if columns:
        return {t: r for t, r in columns.items() if not tickers or t in tickers}
    if tickers:
        return {ticker: {"close": ticker} for ticker in tickers if ticker in names}
    if not explicit and any(_ROLE_OF.get(normal(name)) in FIELDS for name in names):
        return {}
    return {name: {"close": name} for name in names if name}


def _parts(name: str, tickers: Sequence[str]) -> tuple[str, str, bool]:
    """Return role and ticker in a column's name, and whether the role is a single letter."""
    if normal(name) in _ROLE_OF:
        return "", "", False
    pieces = _levels(name)
    if pieces:
        halves = [(pieces[0], pieces[1])] if len(pieces) == 2 else []
    else:
        halves = [(name[: gap.start()], name[gap.end() :]) for gap in _WIDE.finditer(name)]
    for word, ticker in (pair for left, right in halves for pair in ((left, right), (right, left))):
        role = _ROLE_OF.get(normal(word), "")
        if role in NUMBERS and ticker and (not tickers or ticker in tickers):
            # A single letter may be a share class, as in BF_B.
            return role, ticker, normal(word) in _LETTERS
    return "", "", False


def _missing(
    layout: Layout,
    names: Sequence[str],
    tickers: Sequence[str],
    adjust: bool,
    absent: Sequence[str],
    where: str,
) -> list[DataIssue]:
    """Return an error for each column that a layout lacks."""
    problems: list[DataIssue] = []

    def has(what: str, expected: str = "", fix: str = "") -> None:
        if what.startswith("no "):
            what += f" (found: {_listed(names)})"
        problems.append(error("columns", f"{where} has {what}", expected, fix))

    needed = {"time": layout.times, **({"ticker": layout.ticker} if layout.kind == "long" else {})}
    for role in [role for role, column in needed.items() if not column]:
        usual = f"a name such as {', '.join(USUAL[role][: 4 if role == 'time' else 3])}"
        has(f"no column of {role}s", usual, f'name it: columns = {{{role} = "..."}}')
    if layout.kind == "wide":
        unknown = [ticker for ticker in tickers if ticker not in layout.fields]
        if unknown or not layout.fields:
            whose = ", ".join(unknown[:5]) or "any ticker"
            has(f"no columns of {whose}", "columns such as close_AAPL, or one per ticker")
    lacking: dict[str, list[str]] = {}
    for ticker, roles in layout.fields.items():
        there = [role for role in absent if role in roles]
        if there and not problems:
            lists = "absent to list columns that the files lack"
            has(f"{', '.join(there)}, which absent lists", lists)
        missing = [role for role in FIELDS if role not in roles and role not in absent]
        if adjust and not {"adj_close", "factor"} & set(roles):
            missing.append("adj_close")
        if missing:
            lacking[ticker] = missing
    for ticker, missing in list(lacking.items())[:1]:
        more = f" and of {len(lacking) - 1} more tickers" if len(lacking) > 1 else ""
        of = f" of {ticker}{more}" if ticker else ""
        has(f"no column {', '.join(missing)}{of}", fix=_remedy(missing))
    return problems


def _remedy(lacking: Sequence[str]) -> str:
    if lacking == ["adj_close"]:
        return "set adjust = false for prices that are adjusted already"
    rest = [role for role in lacking if role not in ("volume", "adj_close")]
    if rest not in ([], ["open", "high", "low"]):
        return f'rename the columns, or name them: columns = {{{rest[0]} = "..."}}'
    listed = ", ".join(f'"{role}"' for role in lacking if role != "adj_close")
    what = "open, high and low are then the close" if rest else ""
    what += " and " if rest and "volume" in lacking else ""
    what += "the volume is then 0" if "volume" in lacking else ""
    return f"rename the columns, or declare that there are none: absent = [{listed}] ({what})"


def choose_column(role: str, names: Sequence[str], where: str, problems: list[DataIssue]) -> str:
    """Return the column that has the role's exact name, or the only candidate."""
    exact = [name for name in names if normal(name) == role]
    chosen = exact if len(exact) == 1 else names
    if len(chosen) > 1:
        problems.append(_ambiguous(where, role, chosen))
    return chosen[0]


def _ambiguous(where: str, role: str, names: Sequence[str]) -> DataIssue:
    what = f"{where} has {len(names)} columns that may be the {role}: {_listed(names)}"
    return error("columns", what, "one", f'choose one: columns = {{{role} = "{names[0]}"}}')


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more
