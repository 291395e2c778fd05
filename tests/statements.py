"""Compiled statements that all records of a process share."""

from __future__ import annotations

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

# Every record has an engine, and every engine a cache, whose keys begin with its dialect.
_SHARED: LRUCache = LRUCache(2000)


def share_compiled() -> None:
    """Compile a statement of SQLite once a process and not once a record."""
    begin = Engine.__init__

    def __init__(self: Engine, *args: object, **settings: object) -> None:  # noqa: N807
        begin(self, *args, **settings)
        self._compiled_cache = _SHARED

    Engine.__init__ = __init__
    SQLiteDialect_pysqlite.__eq__ = lambda self, other: type(self) is type(other)
    SQLiteDialect_pysqlite.__hash__ = lambda self: hash(type(self))
