"""A record of schema 1 becomes one of today's: whole or not at all, once, and nothing is lost."""

import json
import math
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from podium.ledger.migrations import MIGRATIONS

import nursery
import projects
from podium.errors import DataError
from podium.ledger import outbox, runs, schema, writes
from podium.ledger.door import Door
from podium.steps.archive.doctor import doctor
from podium.trial import State
from records import broken_links, start, trial

OLD = Path(__file__).parent / "data" / "record_v1.sql"
PROJECT = "p-old"
TODAY = schema.VERSION


def lay_out(folder):
    """The old record in a folder, as it was when podium 0.1.0 closed it."""
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "podium.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(OLD.read_text(encoding="utf-8"))
    return folder


@pytest.fixture
def old(tmp_path):
    return lay_out(tmp_path / "old")


@pytest.fixture
def migrated(old):
    with closing(projects.open_ledger(old, PROJECT)) as found:
        yield found


def dumped(folder):
    with closing(projects.connect(folder)) as connection:
        return list(connection.iterdump())


def version(folder):
    return [row["version"] for row in projects.query(folder, "SELECT version FROM schema_version")]


def columns_before():
    """Columns of each table of the old record."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(OLD.read_text(encoding="utf-8"))
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            for (name,) in tables
            if not name.startswith("sqlite_") and name != "schema_version"
        }


def test_there_is_a_way_from_every_older_version():
    assert sorted(MIGRATIONS) == list(range(1, TODAY))


def test_every_row_of_an_older_record_is_as_it_was(old):
    tables = columns_before()
    asked = {name: f"SELECT {','.join(names)} FROM {name}" for name, names in tables.items()}
    before = {name: projects.query(old, sql) for name, sql in asked.items()}
    assert sum(map(len, before.values())) > 80
    projects.open_ledger(old, PROJECT).close()
    assert {name: projects.query(old, sql) for name, sql in asked.items()} == before
    assert version(old) == list(range(1, TODAY + 1))
    assert projects.query(old, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_a_migrated_record_has_the_tables_of_a_new_one(migrated, old, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    projects.open_ledger(new, PROJECT).close()
    assert described(old) == described(new)


def described(folder):
    """Tables with columns, defaults and keys; indexes with their columns; triggers word by word."""
    with closing(projects.connect(folder)) as connection:

        def rows(sql):
            return connection.execute(sql).fetchall()

        tables = [n for (n,) in rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {f"table {n}": sorted(rows(f"PRAGMA table_info({n})")) for n in sorted(tables)}
        for table in tables:
            for _, name, unique, origin, partial in rows(f"PRAGMA index_list({table})"):
                inside = [row[2] for row in rows(f"PRAGMA index_info({name})")]
                # SQLite numbers the indexes of UNIQUE constraints by itself.
                key = name if origin == "c" else f"{origin} {','.join(inside)}"
                found[f"index {table} {key}"] = [(inside, unique, partial)]
        for name, sql in rows("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"):
            # The keys of a table came in any order.
            keys = sorted(re.findall(r"\([^()]*NEW[^()]*\)", sql))
            found[f"trigger {name}"] = [keys, re.sub(r"WHERE .*\) BEGIN", "", sql)]
        return found


def test_runs_get_the_names_that_trackers_write(migrated, old):
    rows = projects.query(
        old,
        "SELECT t.seq, t.run_id, t.family, t.created_at, l.phase FROM trial t "
        "JOIN study_trial l ON l.trial_id = t.id ORDER BY t.seq",
    )
    named = {row["seq"]: row["run_id"] for row in rows if row["phase"] == "tune"}
    others = [row for row in rows if row["seq"] not in named]
    assert others
    assert all(row["run_id"] is None for row in others)
    assert len(set(named.values())) == len(named) == 7
    for row in rows:
        if row["seq"] in named:
            moment = re.sub(r"[-:]", "", row["created_at"][:19]).replace("T", "_")
            assert re.fullmatch(rf"{row['family']}_{moment}(-\d+)?", row["run_id"])
    # The first of a second has no number, the next ones have.
    ends = sorted(name.partition("-")[2] for name in named.values() if name.startswith("lstm"))
    assert ends[0] == ""
    assert ends[1:] == [str(n) for n in range(2, len(ends) + 1)]


def test_results_are_those_of_the_epoch_with_the_lowest_validation_loss(migrated, old):
    for row in projects.query(old, "SELECT * FROM trial"):
        scores = projects.query(old, "SELECT * FROM score WHERE trial_id = ?", row["id"])
        found = {
            r["metric"]: r["value"]
            for r in projects.query(old, "SELECT * FROM result WHERE trial_id = ?", row["id"])
        }
        if row["state"] != "complete":
            assert found == {}
            continue
        curve = {
            s["epoch"]: s["value"] for s in scores if (s["part"], s["metric"]) == ("val", "loss")
        }
        known = {epoch: value for epoch, value in curve.items() if value is not None}
        best = min(known, key=lambda epoch: known[epoch]) if known else 0
        expected = {"val_mse": row["score"]}
        for s in scores:
            if s["part"] != "best" and s["epoch"] == best:
                name = f"{s['part']}_{s['metric']}" if s["part"] else s["metric"]
                expected[name] = s["value"]
        assert found == expected
        assert (row["best_epoch"], row["epochs"]) == (best, max(curve, default=0))


def test_everything_that_happened_waits_in_the_outbox_once(migrated, old):
    with migrated.reading() as tx:
        items = outbox.waiting(migrated, tx, "anybody")
    told = [(item.kind, item.subject_id) for item in items]
    assert len(set(told)) == len(told)
    ended = projects.query(old, "SELECT id FROM trial WHERE ended_at IS NOT NULL ORDER BY seq")
    for kind, rows in {
        "study": projects.query(old, "SELECT id FROM study ORDER BY seq"),
        "trial": ended,
        "candidate": projects.query(old, "SELECT id FROM candidate ORDER BY seq"),
        "decision": projects.query(old, "SELECT id FROM decision ORDER BY seq"),
    }.items():
        assert [subject for k, subject in told if k == kind] == [row["id"] for row in rows]
        assert rows


def test_the_chain_of_decisions_holds_and_goes_on(migrated, old):
    assert broken_links(old, PROJECT) == []
    projects.configure(old, project={"id": PROJECT})
    [check] = [check for check in doctor(old) if check.check == "decisions"]
    assert (check.ok, check.finding.split()[0]) == (True, "7")
    assert (
        Door("sqlite:///podium.db", old, PROJECT).champions()[projects.SLOT].candidate_id == "c-b"
    )


def test_work_on_a_migrated_record_goes_on_where_it_was(migrated, old):
    door = Door("sqlite:///podium.db", old, PROJECT)
    [best] = runs.top(door, "val_loss", 1, minimize=True)
    assert (best.metrics["val_loss"], best.hyperparams["dropout"]) == (0.3, 0.1)
    # What was running is started again under its own id and name, and ends.
    [row] = projects.query(old, "SELECT * FROM trial WHERE state = 'running' AND family = 'lstm'")
    study = projects.new_study(migrated)
    same = projects.new_trial(4, config=json.loads(row["config"]), split=row["split_hash"])
    assert start(migrated, study, same) == [row["id"]]
    with migrated.transaction(durable=True) as tx:
        writes.end_trial(
            migrated, tx, projects.ended(row["id"], 0.2), metric="mse", index_hash=None
        )
    assert trial(migrated, row["id"]).state is State.COMPLETE
    assert [run.run_id for run in runs.top(door, "val_loss", 1, minimize=True)] == [row["run_id"]]
    # An infinite loss stays what it was, and wins nothing.
    scores = [run.metrics.get("val_mse") for run in runs.runs(door)]
    assert math.inf in scores


@pytest.mark.parametrize("number", [TODAY + 1, 99])
def test_a_record_of_a_newer_podium_is_refused_and_left_as_it_was(old, number):
    with closing(projects.connect(old)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (?, 'later')", (number,))
        connection.commit()
    before = dumped(old)
    with pytest.raises(DataError, match=f"schema version {number}.*newer podium"):
        projects.open_ledger(old, PROJECT)
    assert dumped(old) == before


def test_a_listing_says_how_an_older_record_is_brought_up_to_date(old):
    with pytest.raises(DataError, match="podium sync"):
        Door("sqlite:///podium.db", old, PROJECT).rows("trials", sort="val_loss")


# Killed, and at once


def open_and_die(folder, place):
    """Open a record; die before the n-th statement of the transaction, the last one its commit."""
    count = 0

    def step(*_):
        nonlocal count
        if count == place:
            nursery.die()
        count += 1

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", step)
    sa.event.listen(sa.engine.Engine, "commit", step)
    projects.open_ledger(Path(folder), PROJECT).close()
    nursery.tell(str(count))


@pytest.mark.slow
def test_a_migration_that_is_killed_at_any_statement_leaves_the_record_as_it_was(old, tmp_path):
    before = dumped(old)
    with nursery.Nursery("test_migration") as children:
        killed = 0
        for place in range(1000):
            copy = lay_out(tmp_path / str(place))
            child = children.run("test_migration:open_and_die", copy, place)
            if not child.was_killed:
                break
            killed += 1
            assert version(copy) == [1]
            assert dumped(copy) == before
            # And the next one gets through.
            if place % 10 == 0:
                projects.open_ledger(copy, PROJECT).close()
                assert version(copy) == list(range(1, TODAY + 1))
        assert (child.code, child.error) == (0, "")
        assert killed == int(child.told[0]) > 40


@pytest.mark.slow
def test_four_processes_that_open_an_older_record_at_once_migrate_it_once(tmp_path):
    folders = [lay_out(tmp_path / str(n)) for n in range(5)]
    assert projects.in_processes(projects.open_many, [(folders,)] * 4) == [[]] * 4
    for folder in folders:
        assert version(folder) == list(range(1, TODAY + 1))
        [counted] = projects.query(
            folder, "SELECT count(*) AS n, count(DISTINCT subject_id) AS things FROM outbox"
        )
        assert counted["n"] == counted["things"] > 0
        results = projects.query(folder, "SELECT * FROM result")
        assert len(results) == len({(row["trial_id"], row["metric"]) for row in results}) > 0
