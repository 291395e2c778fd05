"""How an older record becomes one of this version: one function a step, each in one transaction."""

from __future__ import annotations

import re
from collections.abc import Callable

import sqlalchemy as sa

from podium.ledger import schema

# A record's tables as version 1 had them are not in schema.py any more; what is read from them
# here exists in both.
_NAMELESS = ("naive", "extend", "extend_naive", "finalize")


def _to_2(connection: sa.Connection) -> None:
    """Names of runs, results a metric, notes, the outbox."""
    quoted = connection.dialect.identifier_preparer.quote
    added = ("run_id", "origin", "said", "checkpoint", "notes", "epochs", "best_epoch")
    for name in added:
        column = sa.schema.CreateColumn(schema.trial.c[name]).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {quoted('trial')} ADD COLUMN {column}")
    schema.metadata.create_all(connection)
    for index in schema.trial.indexes:
        index.create(connection, checkfirst=True)
    _name_runs(connection)
    _fill_results(connection)
    _fill_outbox(connection)


def _to_3(connection: sa.Connection) -> None:
    """Forecasts that are kept, who makes them beside the champion, what they are held against."""
    schema.metadata.create_all(connection)


def _name_runs(connection: sa.Connection) -> None:
    trial, link = schema.trial, schema.study_trial
    searched = (
        sa.select(link.c.trial_id)
        .where(link.c.project_id == trial.c.project_id, link.c.phase.not_in(_NAMELESS))
        .correlate(trial)
    )
    rows = connection.execute(
        sa.select(trial.c.seq, trial.c.project_id, trial.c.family, trial.c.created_at)
        .where(trial.c.id.in_(searched))
        .order_by(trial.c.seq)
    ).all()
    taken: dict[tuple[str, str], int] = {}
    for row in rows:
        base = run_name(row.family, row.created_at)
        number = taken[row.project_id, base] = taken.get((row.project_id, base), 0) + 1
        connection.execute(
            sa.update(trial)
            .where(trial.c.seq == row.seq)
            .values(run_id=base if number == 1 else f"{base}-{number}")
        )


def _fill_results(connection: sa.Connection) -> None:
    """Each metric at the epoch with the lowest validation loss, else at the last epoch."""
    trial, score = schema.trial, schema.score
    rows = connection.execute(
        sa.select(score, trial.c.family, trial.c.metric.label("judged_by"))
        .join(
            trial,
            sa.and_(trial.c.project_id == score.c.project_id, trial.c.id == score.c.trial_id),
        )
        .where(trial.c.state == "complete")
        .order_by(score.c.project_id, score.c.trial_id, score.c.epoch)
    ).all()
    by_trial: dict[tuple[str, str], list[sa.Row[tuple[object, ...]]]] = {}
    for row in rows:
        by_trial.setdefault((row.project_id, row.trial_id), []).append(row)
    for (project_id, trial_id), scores in by_trial.items():
        values: dict[str, object] = {}
        family = scores[0].family
        epochs = [row.epoch for row in scores if row.part != "best"]
        curve = [(r.value, r.epoch) for r in scores if (r.part, r.metric) == ("val", "loss")]
        finite = [(value, epoch) for value, epoch in curve if value is not None]
        best = min(finite)[1] if finite else max(epochs, default=0)
        for row in scores:
            if row.part == "best":
                values[f"val_{row.judged_by}"] = row.value
            elif row.epoch == best:
                values[f"{row.part}_{row.metric}" if row.part else row.metric] = row.value
        connection.execute(
            schema.result.insert(),
            [
                {
                    "project_id": project_id,
                    "trial_id": trial_id,
                    "metric": metric,
                    "value": value,
                    "family": family,
                }
                for metric, value in values.items()
            ],
        )
        connection.execute(
            sa.update(trial)
            .where(trial.c.project_id == project_id, trial.c.id == trial_id)
            .values(epochs=max(epochs, default=0), best_epoch=best)
        )


def _fill_outbox(connection: sa.Connection) -> None:
    for kind, table, moment in (
        ("study", schema.study, schema.study.c.created_at),
        ("trial", schema.trial, schema.trial.c.ended_at),
        ("candidate", schema.candidate, schema.candidate.c.created_at),
        ("decision", schema.decision, schema.decision.c.created_at),
    ):
        connection.execute(
            schema.outbox.insert().from_select(
                ["project_id", "kind", "subject_id", "created_at"],
                sa.select(table.c.project_id, sa.literal(kind), table.c.id, moment)
                .where(moment.is_not(None))
                .order_by(table.c.seq),
            )
        )


def run_name(family: str, moment: str) -> str:
    """Name of a run as trackers write it, from an ISO 8601 moment.

    Examples
    --------
    >>> run_name("toto", "2025-11-12T03:05:00.000Z")
    'toto_20251112_030500'
    """
    date, clock = re.sub(r"[-:]", "", moment[:19]).split("T")
    return f"{family}_{date}_{clock}"


# Version n -> what takes a record from n to n + 1.
MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {1: _to_2, 2: _to_3}
