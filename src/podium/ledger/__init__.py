"""The record: append-only tables, current states that decisions change, and light-weight reads.

``statements`` builds the SQL of one project; ``writes``, ``decisions`` and ``reads`` use it.
``record_reader``, ``runs``, ``notes``, ``trial_facts`` and ``query`` read without SQLAlchemy,
``champions`` with ``sqlite3`` alone. ``projections`` writes files and stores from the record.

Decisions
---------
- SQLite in WAL mode is the source of truth, and only the driver opens it for writing. Commits of
  ends and decisions are flushed (`synchronous=FULL`), others are not.
- SQL is in `ledger/` only; a test checks it. Steps hold a `Transaction` and pass it on, or run one
  query: `ledger.read(reads.trials_of, ...)`.
- `project_id` is in every table and unique index.
- A signal never interrupts a write transaction (`deferred_signals`): interrupted there, the
  database's library leaves it open, and marking the trials waits for its own lock.
- The schema is version 1. A record from before the first release, or of a newer podium, is
  refused.
- On PostgreSQL an advisory lock serializes the writers of a project, so sequence numbers appear in
  the order of commits.
- `result` holds one row a metric, at the trial's best epoch. Its index finds the best of very many
  trials without reading them.
"""
