"""Tables of the record, and the triggers that keep decisions and evidence append-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from podium.ledger.champions import CHAMPION_MOVES as CHAMPION_MOVES
from podium.ledger.champions import MOVES as MOVES
from podium.ledger.champions import VERSION as VERSION

metadata = sa.MetaData()


class _Visible(sa.types.TypeDecorator[str]):
    """Text for PostgreSQL, which cannot store NUL: the symbol U+2400 replaces it."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Text with every NUL replaced."""
        del dialect
        return value.replace("\0", "\N{SYMBOL FOR NULL}") if value else value


# Texts are compared byte by byte, so both databases sort alike whatever the server's locale.
_TEXT = sa.Text().with_variant(_Visible(collation="C"), "postgresql")
# SQLite's integers always have 64 bits.
_INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def _table(
    name: str, *columns: sa.schema.SchemaItem, unique: Sequence[Sequence[str]] = ()
) -> sa.Table:
    """Table with the project's id and a sequence number, which defines the order, not a clock.

    Each of the keys in ``unique`` is unique within a project.
    """
    return sa.Table(
        name,
        metadata,
        sa.Column("seq", _INTEGER, primary_key=True, autoincrement=True),
        sa.Column("project_id", _TEXT, nullable=False),
        *columns,
        *(sa.UniqueConstraint("project_id", *key) for key in unique),
        sqlite_autoincrement=True,
    )


def _keyed(name: str, *columns: sa.schema.SchemaItem, key: Sequence[str], **how: Any) -> sa.Table:
    """Table with the project's id and a primary key of it and some columns, in no order."""
    primary = sa.PrimaryKeyConstraint("project_id", *key)
    return sa.Table(name, metadata, _text("project_id"), *columns, primary, **how)


def _some(name: str, *columns: str, where: str) -> sa.Index:
    """Index of the rows that meet a condition; a SELECT uses it if it has the same condition."""
    condition = sa.text(where)
    return sa.Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


def _text(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=null, server_default=default)


def _texts(*names: str, null: bool = False) -> list[sa.Column[str]]:
    return [_text(name, null=null) for name in names]


def _integer(name: str, *, null: bool = False, default: int | None = None) -> sa.Column[int]:
    server_default = None if default is None else str(default)
    return sa.Column(name, _INTEGER, nullable=null, server_default=server_default)


def _real(name: str) -> sa.Column[float]:
    # SQLite stores NaN as NULL, so NULL is read as NaN in both databases.
    return sa.Column(name, sa.Double, nullable=True)


schema_version = sa.Table(
    "schema_version",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    _text("applied_at"),
)
project = _table("project", *_texts("name", "created_at"), unique=[[]])
dataset = _table(
    "dataset",
    *_texts("fingerprint", "name", "timeframe", "tickers"),
    _integer("bars"),
    *_texts("first_at", "last_at", "created_at"),
    unique=[["fingerprint", "name"]],
)
split = _table(
    "split", *_texts("hash", "name", "spec", "validation_from", "validation_to"), unique=[["hash"]]
)
task = _table(
    # Spec that turns bars into samples: features, target, horizon, window, and their versions.
    "task",
    *_texts("hash", "spec"),
    unique=[["hash"]],
)
environment = _table(
    "environment",
    _text("hash"),
    # Hash of all uncommitted changes, and the stored diff of the files that podium ran.
    *_texts("git_commit", "git_diff_hash", "code_diff_hash", null=True),
    _integer("git_dirty", null=True),
    *_texts("packages", "machine"),
    unique=[["hash"]],
)
blob = _table(
    # Arrays and texts by content hash: losses per window, their index, predictions, diffs, hashes
    # of a test's samples.
    "blob",
    *_texts("hash", "dtype"),
    sa.Column("data", sa.LargeBinary, nullable=False),
    unique=[["hash"]],
)
study = _table(
    "study", *_texts("id", "key", "slot", "question", "created_at"), unique=[["id"], ["key"]]
)
trial = _table(
    "trial",
    *_texts("id", "key", "family"),
    _integer("family_version"),
    *_texts("config", "config_hash", "dataset_fingerprint", "task_hash", "split_hash"),
    _integer("fold"),
    _integer("seed"),
    *_texts("state", "metric"),
    _real("score"),
    *_texts("loss_hash", "index_hash", "prediction_hash", "artifact_hash", null=True),
    _text("environment_hash"),
    _real("seconds"),
    *_texts("reason", "created_at"),
    _text("ended_at", null=True),
    # Id in trackers; NULL for folds and baselines.
    _text("run_id", null=True),
    # Empty: trained by podium; else "tracker", or the source of the import.
    _text("origin", default=""),
    # Fields of an imported record without a column, for an identical export; else user values.
    _text("extras", null=True),
    _text("checkpoint", null=True),
    _text("notes", default=""),
    _integer("epochs", default=0),
    _integer("best_epoch", default=0),
    sa.Index("trial_config", "project_id", "config_hash"),
    sa.Index("trial_run", "project_id", "run_id", unique=True),
    unique=[["id"], ["key"]],
)
study_trial = _table(
    # Looks of studies at trials. Two studies, or two numbers of one study with the same config,
    # may look at the same trial, which is trained once.
    "study_trial",
    *_texts("study_id", "phase"),
    _integer("number"),
    _text("trial_id"),
    sa.Index("study_trial_by_trial", "project_id", "trial_id"),
    unique=[["study_id", "phase", "number", "trial_id"]],
)
score = _keyed(
    "score",
    *_texts("trial_id", "part"),
    _integer("fold"),
    _integer("epoch"),
    _text("metric"),
    _real("value"),
    key=["trial_id", "part", "fold", "epoch", "metric"],
    sqlite_with_rowid=False,
)
result = _keyed(
    # Final metrics of a trial, one row per metric, at the trial's best epoch. The index finds the
    # best trials of a family without reading the others.
    "result",
    *_texts("trial_id", "metric"),
    _real("value"),
    _text("family"),
    sa.Index("result_best", "project_id", "metric", "value", "family", "trial_id"),
    key=["trial_id", "metric"],
    sqlite_with_rowid=False,
)
note = _table(
    "note",
    *_texts("subject_id", "text", "actor", "created_at"),
    sa.Index("note_by_subject", "project_id", "subject_id"),
)
outbox = _table(
    # Changes in the order of commits; each projection reads on from its position, so no pending
    # change is lost or sent out of order.
    "outbox",
    *_texts("kind", "subject_id", "created_at"),
)
projection = _keyed(
    # Position of a target (an MLflow store, a file) in the outbox.
    "projection",
    *_texts("target"),
    _integer("position"),
    # State of the target as podium left it, to detect changes by others.
    _text("mark", default=""),
    _text("updated_at"),
    key=["target"],
)
projected = _keyed(
    # Id and name of a subject at a target.
    "projected",
    *_texts("target", "subject_id", "remote_id"),
    _text("remote_name", default=""),
    key=["target", "subject_id"],
)
stuck = _keyed(
    # Items that a target refused, which `podium sync` sends again.
    "stuck",
    *_texts("target"),
    _integer("position"),
    _text("error"),
    _integer("attempts", default=1),
    _text("updated_at"),
    key=["target", "position"],
)
receipt = _table(
    # Inputs of a completed step by name, their hash, and its outputs.
    "receipt",
    *_texts("slot", "step", "inputs", "inputs_hash", "outputs", "created_at"),
    sa.Index("receipt_by_step", "project_id", "slot", "step", "inputs_hash"),
)
candidate = _table(
    "candidate",
    *_texts("id", "slot"),
    _integer("version"),
    *_texts("model_type", "family", "config"),
    # Trained, given, command or enhanced. The last three may have no study; a candidate trained
    # elsewhere has no trial.
    _text("made_by"),
    *_texts("study_id", "trial_id", null=True),
    *_texts("artifact_hash", "artifact_path", "dataset_fingerprint", "trained_until"),
    _text("parent_id", null=True),
    *_texts("root_id", "created_at"),
    unique=[["id"], ["slot", "version"], ["slot", "artifact_hash"]],
)
evidence = _table(
    "evidence",
    *_texts("id", "kind", "candidate_id", "artifact_hash", "dataset_fingerprint"),
    *_texts("split_hash", "producer", "producer_version"),
    _integer("schema"),
    *_texts("scalars", "series", "notes", "created_at", "previous_hash", "hash"),
    sa.Index("evidence_by_candidate", "project_id", "candidate_id", "kind"),
    unique=[["id"], ["previous_hash"]],
)
test_look = _table(
    # Looks of candidates at sealed tests. The samples are a blob of their hashes: looks are counted
    # by content over all projects. The place counts from 1 and never changes.
    "test_look",
    *_texts("dataset", "interval_from", "interval_to", "candidate_id"),
    *_texts("artifact_hash", "samples_hash"),
    _integer("place"),
    *_texts("created_at", "previous_hash", "hash"),
    sa.Index("test_look_by_artifact", "artifact_hash", "samples_hash"),
    unique=[["previous_hash"]],
)
forecast = _table(
    # Forecasts of candidates, never changed when bars are revised later.
    "forecast",
    *_texts("slot", "candidate_id", "artifact_hash", "role", "ticker", "decided_at"),
    _real("value"),
    # Time of the newest bar at the forecast, which shows whether the outcome was known.
    *_texts("data_until", "created_at"),
    unique=[["candidate_id", "ticker", "decided_at"]],
)
shadow = _table(
    # Shadow candidates of slots; the newest row counts, an empty candidate ends it.
    "shadow",
    *_texts("slot", "candidate_id", "actor", "reason", "created_at"),
    sa.Index("shadow_by_slot", "project_id", "slot"),
)
baseline = _table(
    # Feature statistics of a model's training bars, the reference for drift.
    "baseline",
    *_texts("artifact_hash", "statistics", "created_at"),
    unique=[["artifact_hash"]],
)
decision = _table(
    "decision",
    *_texts("id", "kind", "slot", "candidate_id"),
    _text("from_stage", null=True),
    _text("to_stage"),
    _integer("accepted"),
    *_texts("actor", "reason"),
    _text("expected_champion", null=True),
    *_texts("policy", "policy_hash", "verdicts", "evidence"),
    # SHA-256 of the candidate's row and of each evidence row by id, and of the newest evidence and
    # look by the name of their table.
    *_texts("contents", "created_at", "previous_hash", "hash"),
    sa.Index("decision_by_candidate", "project_id", "candidate_id"),
    _some("decision_moves", "project_id", "candidate_id", where=MOVES),
    _some("decision_champions", "project_id", "slot", where=CHAMPION_MOVES),
    unique=[["id"], ["previous_hash"]],
)


def _head(name: str, *keys: str) -> sa.Table:
    """Table of current holders, changed by decisions; its primary key allows one holder each."""
    return _keyed(name, *_texts(*keys, "candidate_id", "decision_id", "since"), key=keys)


champion = _head("champion", "slot")
latest = _head("latest", "slot", "model_type")
stage = _keyed(
    "stage", *_texts("candidate_id", "stage", "decision_id", "since"), key=["candidate_id"]
)

APPEND_ONLY = ("decision", "evidence", "test_look", "note", "forecast", "shadow", "baseline")


# Body of the function that PostgreSQL's triggers call.
REFUSAL = " BEGIN RAISE EXCEPTION 'podium: % is append-only', TG_TABLE_NAME; END "


def triggers(dialect: str) -> dict[str, str]:
    """Statements of the triggers that refuse changes and deletions of rows, by trigger name."""
    verbs = {"UPDATE": "FOR EACH ROW ", "DELETE": "FOR EACH ROW "}
    if dialect == "sqlite":
        refuse = "BEGIN SELECT RAISE(ABORT, 'podium: {} is append-only'); END"
        verbs = dict.fromkeys(verbs, "")
    else:
        refuse = "EXECUTE FUNCTION podium_append_only()"
        # TRUNCATE fires statement triggers only.
        verbs["TRUNCATE"] = "FOR EACH STATEMENT "
    statements = {
        f"{table}_no_{verb.lower()}": f"CREATE TRIGGER {table}_no_{verb.lower()} "
        f"BEFORE {verb} ON {table} {each}{refuse.format(table)}"
        for table in APPEND_ONLY
        for verb, each in verbs.items()
    }
    if dialect == "sqlite":
        # INSERT OR REPLACE deletes in SQLite without firing delete triggers.
        statements |= {
            f"{table}_no_replace": f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {_same_row(metadata.tables[table])}) "
            f"{refuse.format(table)}"
            for table in APPEND_ONLY
        }
    return statements


def _same_row(table: sa.Table) -> str:
    """Condition that a row has a key of the new row."""
    unique = [c for c in table.constraints if isinstance(c, sa.UniqueConstraint)]
    keys = [["seq"], *sorted([column.name for column in key.columns] for key in unique)]
    return " OR ".join("(" + " AND ".join(f"{k} = NEW.{k}" for k in key) + ")" for key in keys)


def _listen(dialect: str, statement: str) -> None:
    # DDL formats its statement with %.
    ddl = sa.DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    sa.event.listen(metadata, "after_create", ddl.execute_if(dialect=dialect))


_listen(
    "postgresql",
    "CREATE OR REPLACE FUNCTION podium_append_only() RETURNS trigger "
    f"AS $${REFUSAL}$$ LANGUAGE plpgsql",
)
for _dialect in ("sqlite", "postgresql"):
    for _statement in triggers(_dialect).values():
        _listen(_dialect, _statement)
