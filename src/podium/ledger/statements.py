"""Statements about the rows of one project: it is in each of them, so no caller names it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from podium.ledger.ledger import Ledger
from podium.ledger.pieces import in_pieces, is_many

# What is read: a table, a column, or several columns.
What = sa.FromClause | sa.ColumnElement[Any] | Sequence[sa.ColumnElement[Any]]
Condition = sa.ColumnElement[bool]
Order = sa.ColumnElement[Any] | Sequence[sa.ColumnElement[Any]]
# What columns hold, by their name: a value, or one of many.
Equal = Mapping[str, Any]


def mine(ledger: Ledger, what: What, /, *where: Condition, **equal: Any) -> sa.Select[Any]:
    """SELECT of what meets the conditions, from tables that are each read for this project alone.

    So tables are joined by a condition on what is equal in them besides the project.

    Parameters
    ----------
    equal : value, or collection of values
        What columns of the first table hold.
    """
    columns = list(what) if isinstance(what, Sequence) else [what]
    table = _table(columns[0])
    own = {**equal, "project_id": ledger.project_id}
    query = sa.select(*columns).where(*_conditions(table, own), *where)
    if not where and all(getattr(each, "table", each) is table for each in columns):
        # To look for the tables takes longer than to make the rest, and mostly there is one.
        return query
    others = [each for each in query.get_final_froms() if each is not table]
    return query.where(*(each.c.project_id == ledger.project_id for each in others))


def beside(
    ledger: Ledger, table: sa.Table, column: sa.Column[Any], *where: Condition
) -> sa.ScalarSelect[Any]:
    """Value of a column of another table for each row of a table; NULL where there is none."""
    return mine(ledger, column, *where).correlate(table).scalar_subquery()


def select(
    ledger: Ledger,
    tx: sa.Connection,
    what: What,
    /,
    *where: Condition,
    order: Order = (),
    limit: int | None = None,
    **equal: Any,
) -> list[dict[str, Any]]:
    """Rows that meet the conditions.

    Parameters
    ----------
    order : column or sequence of columns
    limit : int, optional
        At most so many.
    equal : value, or collection of values
        As :func:`mine` takes it; a long collection is read in pieces, each in the order.
    """
    ordered = order if isinstance(order, Sequence) else [order]
    found: list[dict[str, Any]] = []
    for some in in_pieces(equal):
        query = mine(ledger, what, *where, **some)
        # Each step of making a statement costs as much as a row or two.
        query = query.order_by(*ordered) if ordered else query
        query = query if limit is None else query.limit(limit)
        found += map(dict, tx.execute(query).mappings())
    return found


def first(
    ledger: Ledger,
    tx: sa.Connection,
    what: What,
    /,
    *where: Condition,
    order: Order = (),
    **equal: Any,
) -> dict[str, Any] | None:
    """The first of these rows; None where there is none."""
    # Without an order few rows hold it, mostly one; a limit would cost more.
    limit = None if isinstance(order, tuple) else 1
    found = select(ledger, tx, what, *where, order=order, limit=limit, **equal)
    return found[0] if found else None


def values(
    ledger: Ledger,
    tx: sa.Connection,
    column: sa.ColumnElement[Any],
    /,
    *where: Condition,
    order: Order = (),
    **equal: Any,
) -> list[Any]:
    """Values of a column in these rows."""
    found = select(ledger, tx, column, *where, order=order, **equal)
    return [value for row in found for value in row.values()]


def value(
    ledger: Ledger,
    tx: sa.Connection,
    column: sa.ColumnElement[Any],
    /,
    *where: Condition,
    order: Order = (),
    **equal: Any,
) -> Any | None:
    """Value of a column in the first of these rows; None where there is none."""
    row = first(ledger, tx, column, *where, order=order, **equal)
    return None if row is None else next(iter(row.values()))


def insert(
    ledger: Ledger, tx: sa.Connection, table: sa.Table, new: Iterable[Mapping[str, Any]]
) -> None:
    """Insert rows, each as one of this project."""
    if told := [{**row, "project_id": ledger.project_id} for row in new]:
        tx.execute(table.insert(), told)


def insert_missing(
    ledger: Ledger, tx: sa.Connection, table: sa.Table, new: Iterable[Mapping[str, Any]]
) -> None:
    """Insert rows as this project's, leaving those that are there (same unique key) alone."""
    if told := [{**row, "project_id": ledger.project_id} for row in new]:
        of_database = sqlite_insert if tx.dialect.name == "sqlite" else postgresql_insert
        tx.execute(of_database(table).on_conflict_do_nothing(), told)


def update(
    ledger: Ledger,
    tx: sa.Connection,
    table: sa.Table,
    new: Mapping[str, Any],
    /,
    *where: Condition,
    **equal: Any,
) -> int:
    """Give columns of the rows that meet the conditions other values; returns how many they are."""
    changed = 0
    for some in in_pieces({**equal, "project_id": ledger.project_id}):
        query = sa.update(table).where(*where, *_conditions(table, some)).values(new)
        changed += tx.execute(query).rowcount
    return changed


def upsert(
    ledger: Ledger, tx: sa.Connection, table: sa.Table, new: Mapping[str, Any], /, **equal: Any
) -> None:
    """Change the row that holds this, or add it."""
    if not update(ledger, tx, table, new, **equal):
        insert(ledger, tx, table, [{**equal, **new}])


def delete(ledger: Ledger, tx: sa.Connection, table: sa.Table, /, **equal: Any) -> None:
    """Delete the rows that hold this."""
    own = {**equal, "project_id": ledger.project_id}
    tx.execute(sa.delete(table).where(*_conditions(table, own)))


def fields(table: sa.Table, cls: type) -> list[sa.Column[Any]]:
    """Columns of a table that are fields of a dataclass."""
    return [table.c[field.name] for field in dataclasses.fields(cls) if field.name in table.c]


def _table(what: sa.FromClause | sa.ColumnElement[Any]) -> sa.FromClause:
    if isinstance(what, sa.Column):
        return what.table
    # SQLAlchemy's functions are both.
    return sa.select(what).get_final_froms()[0] if isinstance(what, sa.ColumnElement) else what


def _conditions(table: sa.FromClause, equal: Equal) -> list[Condition]:
    return [
        table.c[name].in_(told) if is_many(told) else table.c[name] == told
        for name, told in equal.items()
    ]
