"""SQL statements that are restricted to the rows of the ledger's project."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from podium.ledger.chain import first_link, row_hash
from podium.ledger.ledger import Transaction
from podium.ledger.pieces import in_pieces, is_many

# A table, a column, or several columns.
What = sa.FromClause | sa.ColumnElement[Any] | Sequence[sa.ColumnElement[Any]]
Condition = sa.ColumnElement[bool]
Order = sa.ColumnElement[Any] | Sequence[sa.ColumnElement[Any]]
# Accepted value, or collection of accepted values, by column name.
Equal = Mapping[str, Any]


def mine(tx: Transaction, what: What, /, *where: Condition, **equal: Any) -> sa.Select[Any]:
    """SELECT of the rows that meet the conditions, with every table restricted to the project.

    A join needs conditions on the other equal columns only.

    Parameters
    ----------
    equal : value, or collection of values
        Accepted values of columns of the first table.
    """
    columns = list(what) if isinstance(what, Sequence) else [what]
    table = _table(columns[0])
    own = {**equal, "project_id": tx.project_id}
    query = sa.select(*columns).where(*_conditions(table, own), *where)
    if not where and all(getattr(each, "table", each) is table for each in columns):
        # The search for further tables takes longer than the rest, so skip it for one table.
        return query
    others = [each for each in query.get_final_froms() if each is not table]
    return query.where(*(each.c.project_id == tx.project_id for each in others))


def correlated(
    tx: Transaction, table: sa.Table, column: sa.Column[Any], *where: Condition
) -> sa.ScalarSelect[Any]:
    """Correlated subquery: column value of another table for each row; NULL if there is none."""
    return mine(tx, column, *where).correlate(table).scalar_subquery()


def select(
    tx: Transaction,
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
        Largest number of rows.
    equal : value, or collection of values
        See :func:`mine`; a long collection is read in pieces, each in the order.
    """
    ordered = order if isinstance(order, Sequence) else [order]
    rows: list[dict[str, Any]] = []
    for some in in_pieces(equal):
        query = mine(tx, what, *where, **some)
        # Each clause costs as much to build as reading a row or two.
        query = query.order_by(*ordered) if ordered else query
        query = query if limit is None else query.limit(limit)
        rows += map(dict, tx.execute(query).mappings())
    return rows


def select_everywhere(
    tx: Transaction,
    what: Sequence[sa.ColumnElement[Any]],
    /,
    *where: Condition,
    limit: int | None = None,
    **equal: Any,
) -> list[dict[str, Any]]:
    """Rows of all projects of the record that meet the conditions; distinct without a limit.

    Joined rows belong to the same project; the parameters are those of :func:`select`.
    """
    rows: list[dict[str, Any]] = []
    for some in in_pieces(equal):
        query = sa.select(*what).where(*_conditions(_table(what[0]), some), *where)
        query = query.distinct() if limit is None else query.limit(limit)
        first_table, *others = query.get_final_froms()
        joined = (one.c.project_id == first_table.c.project_id for one in others)
        rows += map(dict, tx.execute(query.where(*joined)).mappings())
    return rows


def first(
    tx: Transaction, what: What, /, *where: Condition, order: Order = (), **equal: Any
) -> dict[str, Any] | None:
    """The first of the rows of :func:`select`, or None."""
    # Calls without an order match few rows, mostly one; a limit would cost more.
    limit = None if isinstance(order, tuple) else 1
    rows = select(tx, what, *where, order=order, limit=limit, **equal)
    return rows[0] if rows else None


def values(
    tx: Transaction,
    column: sa.ColumnElement[Any],
    /,
    *where: Condition,
    order: Order = (),
    **equal: Any,
) -> list[Any]:
    """Values of a column in the rows of :func:`select`."""
    rows = select(tx, column, *where, order=order, **equal)
    return [value for row in rows for value in row.values()]


def value(
    tx: Transaction,
    column: sa.ColumnElement[Any],
    /,
    *where: Condition,
    order: Order = (),
    **equal: Any,
) -> Any | None:
    """Value of a column in the first of the rows of :func:`select`; None if there is no row."""
    row = first(tx, column, *where, order=order, **equal)
    return None if row is None else next(iter(row.values()))


def insert(tx: Transaction, table: sa.Table, new: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows."""
    if rows := [{**row, "project_id": tx.project_id} for row in new]:
        tx.execute(table.insert(), rows)


def append(tx: Transaction, table: sa.Table, new: Iterable[Mapping[str, Any]]) -> None:
    """Append rows to a chained table: each gets the hash of the row before it and its own."""
    newest, rows = value(tx, table.c.hash, order=table.c.seq.desc()), []
    last = newest or first_link(tx.project_id)
    for row in new:
        linked = {**row, "previous_hash": last}
        last = row_hash(linked)
        rows.append({**linked, "hash": last})
    insert(tx, table, rows)


def insert_missing(tx: Transaction, table: sa.Table, new: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows whose unique key is not in the table."""
    if rows := [{**row, "project_id": tx.project_id} for row in new]:
        of_database = sqlite_insert if tx.ledger.is_sqlite else postgresql_insert
        tx.execute(of_database(table).on_conflict_do_nothing(), rows)


def update(
    tx: Transaction, table: sa.Table, new: Mapping[str, Any], /, *where: Condition, **equal: Any
) -> int:
    """Set columns of the rows that meet the conditions; returns the number of rows."""
    changed = 0
    for some in in_pieces({**equal, "project_id": tx.project_id}):
        query = sa.update(table).where(*where, *_conditions(table, some)).values(new)
        changed += tx.execute(query).rowcount
    return changed


def upsert(tx: Transaction, table: sa.Table, new: Mapping[str, Any], /, **equal: Any) -> None:
    """Update the rows that meet the conditions, or insert one."""
    if not update(tx, table, new, **equal):
        insert(tx, table, [{**equal, **new}])


def delete(tx: Transaction, table: sa.Table, /, **equal: Any) -> None:
    """Delete the rows that meet the conditions."""
    own = {**equal, "project_id": tx.project_id}
    tx.execute(sa.delete(table).where(*_conditions(table, own)))


def fields(table: sa.Table, cls: type) -> list[sa.Column[Any]]:
    """Columns of a table that are fields of a dataclass."""
    return [table.c[field.name] for field in dataclasses.fields(cls) if field.name in table.c]


def _table(what: sa.FromClause | sa.ColumnElement[Any]) -> sa.FromClause:
    if isinstance(what, sa.Column):
        return what.table
    # SQLAlchemy's functions are both FromClause and ColumnElement.
    return sa.select(what).get_final_froms()[0] if isinstance(what, sa.ColumnElement) else what


def _conditions(table: sa.FromClause, equal: Equal) -> list[Condition]:
    return [
        table.c[name].in_(accepted) if is_many(accepted) else table.c[name] == accepted
        for name, accepted in equal.items()
    ]
