"""Filters and orders of listings: ``val_loss<0.02 and family=lstm`` as SQL with parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from podium.errors import UsageError

_TOKEN = re.compile(
    r"\s*(?:(?P<paren>[()])|(?P<op><=|>=|!=|<|>|=|~)|'(?P<quoted>[^']*)'|(?P<word>[^\s()<>=!~']+))"
)
_SQL_OPS = {"=": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
HELP = "terms such as  family=lstm  score<0.2  reason~'not finite'  joined by and, or, not, ( )"

Parameter = str | float


@dataclass(frozen=True)
class Sql:
    """SQL text with the values of its placeholders."""

    text: str
    values: tuple[Parameter, ...] = ()


class Column(Protocol):
    """Maps a name to SQL; ``number`` is true if it is compared with a number."""

    def __call__(self, name: str, *, number: bool) -> Sql:
        """SQL of the name, or NotFoundError."""


def condition(text: str, column: Column, contains: str = "instr({}, ?) > 0") -> Sql:
    """Condition of a filter.

    Parameters
    ----------
    text : str
        Terms ``name op value`` with ``= != < <= > >= ~`` (contains), joined by ``and``, ``or``,
        ``not`` and parentheses. A value with spaces is put in single quotes.
    column : callable
        SQL of a name; raises NotFoundError for an unknown one.
    contains : str
        The database's SQL for the operator ``~``.

    Raises
    ------
    UsageError
        The text cannot be read; the message names the place.

    Examples
    --------
    >>> condition("score<0.2 and not family=naive", lambda name, number: Sql(name))
    Sql(text='(score < ? AND NOT (family = ?))', values=(0.2, 'naive'))
    """
    return _Parser(text, column, contains).parse()


class _Parser:
    """Recursive descent: or, then and, then not, then one term or a parenthesis."""

    def __init__(self, text: str, column: Column, contains: str) -> None:
        self.text, self.column, self.contains, self.at = text, column, contains, 0

    def parse(self) -> Sql:
        sql = self._joined("or", lambda: self._joined("and", self._factor))
        if self.text[self.at :].strip():
            raise self._unreadable()
        return sql

    def _joined(self, word: str, part: Callable[[], Sql]) -> Sql:
        parts = [part()]
        while self._keyword(word):
            parts.append(part())
        if len(parts) == 1:
            return parts[0]
        text = f" {word.upper()} ".join(p.text for p in parts)
        return Sql(f"({text})", tuple(v for p in parts for v in p.values))

    def _factor(self) -> Sql:
        if self._keyword("not"):
            inner = self._factor()
            return Sql(f"NOT ({inner.text})", inner.values)
        if self._take("paren") == "(":
            inner = self._joined("or", lambda: self._joined("and", self._factor))
            if self._take("paren") != ")":
                raise self._unreadable()
            return inner
        name, op = self._take("word"), self._take("op")
        value = self._take("quoted")
        if value is None:
            value = self._take("word")
        if not name or not op or value is None:
            raise self._unreadable()
        if op == "~":
            column = self.column(name, number=False)
            return Sql(self.contains.format(column.text), (*column.values, value))
        operand = _number(value)
        column = self.column(name, number=isinstance(operand, float))
        return Sql(f"{column.text} {_SQL_OPS[op]} ?", (*column.values, operand))

    def _take(self, kind: str) -> str | None:
        match = _TOKEN.match(self.text, self.at)
        if match is None or match[kind] is None:
            return None
        self.at = match.end()
        return match[kind]

    def _keyword(self, word: str) -> bool:
        match = _TOKEN.match(self.text, self.at)
        if match is None or (match["word"] or "").lower() != word:
            return False
        self.at = match.end()
        return True

    def _unreadable(self) -> UsageError:
        rest = self.text[self.at :].strip()
        place = f"at '{rest}'" if rest else "at its end"
        return UsageError(f"the filter '{self.text}' cannot be read {place}", HELP)


def _number(text: str) -> Parameter:
    # JSON's true and false are 1 and 0 in SQLite.
    if text.lower() in ("true", "false"):
        return float(text.lower() == "true")
    try:
        return float(text)
    except ValueError:
        return text
