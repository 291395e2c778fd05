"""The record opens safely or not at all, and belongs to one project."""

import os
import signal
import sqlite3
import threading
from contextlib import closing

import pytest

import projects
from podium.decision import Stage
from podium.errors import DataError
from podium.ledger import decisions, reads, schema, writes
from podium.ledger.ledger import now
from records import champion, crown, decide, register, stage, to_beta


def test_a_new_record_carries_its_schema_version_and_its_project(ledger, tmp_path):
    assert projects.query(tmp_path, "SELECT version FROM schema_version") == [
        {"version": schema.VERSION}
    ]
    assert projects.query(tmp_path, "SELECT project_id, name FROM project") == [
        {"project_id": "p-test", "name": "test"}
    ]


def test_opening_a_record_again_changes_nothing_in_it(ledger, tmp_path):
    to_beta(ledger, "a")
    ledger.close()
    names = [table.name for table in schema.metadata.sorted_tables]
    before = {name: projects.query(tmp_path, f"SELECT * FROM {name}") for name in names}
    projects.open_ledger(tmp_path).close()
    assert {name: projects.query(tmp_path, f"SELECT * FROM {name}") for name in names} == before


def test_the_record_is_in_write_ahead_mode(sqlite_ledger):
    with sqlite_ledger.reading() as tx:
        assert tx.connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_record_of_a_newer_podium_is_refused(ledger, tmp_path):
    with ledger.transaction() as tx:
        tx.execute(
            schema.schema_version.insert().values(version=schema.VERSION + 1, applied_at=now())
        )
    with pytest.raises(DataError, match="newer podium"):
        projects.open_ledger(tmp_path)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("content", [b"date,close\n2010-01-04,1.0\n" * 100, b"\x00" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path, content):
    (tmp_path / "podium.db").write_bytes(content)
    before = files_of(tmp_path)
    with pytest.raises(DataError, match=r"podium\.db"):
        projects.open_ledger(tmp_path)
    assert files_of(tmp_path) == before


def test_the_database_of_another_program_is_refused_and_left_as_it_was(tmp_path):
    other = sqlite3.connect(tmp_path / "podium.db")
    other.execute("CREATE TABLE runs (id TEXT)")
    other.execute("INSERT INTO runs VALUES ('one')")
    other.commit()
    other.close()
    before = files_of(tmp_path)
    with pytest.raises(DataError, match="runs"):
        projects.open_ledger(tmp_path)
    assert files_of(tmp_path) == before


def test_a_record_cut_in_half_is_refused_and_left_as_it_was(sqlite_ledger, tmp_path):
    register(sqlite_ledger, *"abcdefgh")
    sqlite_ledger.close()
    whole = (tmp_path / "podium.db").read_bytes()
    (tmp_path / "podium.db").write_bytes(whole[: len(whole) // 2])
    before = files_of(tmp_path)
    with pytest.raises(DataError, match=r"podium\.db"):
        projects.open_ledger(tmp_path)
    assert files_of(tmp_path) == before


def test_a_record_in_a_folder_that_is_not_there_is_an_error_with_its_place(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        projects.open_ledger(tmp_path / "nowhere")


def test_opening_a_new_record_waits_for_the_process_that_is_making_it(tmp_path):
    maker = sqlite3.connect(tmp_path / "podium.db", check_same_thread=False)
    maker.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, maker.commit)
    release.start()
    try:
        projects.open_ledger(tmp_path).close()
    finally:
        release.join()
        maker.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_asks_a_process_to_end_waits_for_the_transaction(ledger, tmp_path, number):
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - where it is raised is the question
            with ledger.transaction() as tx:
                os.kill(os.getpid(), number)
                decisions.register(tx, projects.new_candidate("a"), "tester")
            pytest.fail("it was forgotten")
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert len(projects.query(tmp_path, "SELECT id FROM candidate")) == 1


def test_whoever_asks_twice_is_not_held_off(ledger, tmp_path):
    with pytest.raises(KeyboardInterrupt), ledger.transaction() as tx:  # noqa: PT012
        decisions.register(tx, projects.new_candidate("a"), "tester")
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it was held off")
    register(ledger, "b")
    assert [row["id"] for row in projects.query(tmp_path, "SELECT id FROM candidate")] == ["c-b"]


def test_two_projects_in_one_record_do_not_see_each_other(ledger, tmp_path):
    to_beta(ledger, "a")
    crown(ledger, "a")
    other = projects.open_ledger(tmp_path, "p-other")
    try:
        assert champion(other) is None
        assert stage(other, "c-a") is None
        [candidate] = register(other, "a")
        assert candidate.version == 1
        decide(other, projects.move("c-a", Stage.DEVELOPMENT, Stage.BETA))
        crown(other, "a")
        assert champion(ledger) == champion(other) == "c-a"
    finally:
        other.close()


def test_a_record_from_before_the_first_release_is_refused_in_one_sentence(tmp_path):
    projects.open_ledger(tmp_path).close()
    with closing(projects.connect(tmp_path)) as record, record:
        record.execute("ALTER TABLE test_look DROP COLUMN hash")
    with pytest.raises(DataError) as caught:
        projects.open_ledger(tmp_path)
    [problem] = caught.value.problems
    assert "was made before podium's first release" in problem.found
    assert "move it away" in problem.fix


def test_receipts_of_a_step_come_newest_first_and_all_of_them_without_a_limit(ledger):
    with ledger.transaction() as tx:
        for n in (1, 2, 3):
            writes.put_receipt(tx, "a/D/b", "tune", {"n": n}, {"study": f"s-{n}"})
        writes.put_receipt(tx, "a/D/b", "extend", {"n": 9}, {})
    with ledger.reading() as tx:
        [newest] = reads.newest_receipts(tx, "a/D/b", "tune")
        every = reads.newest_receipts(tx, "a/D/b", "tune", None)
        assert reads.receipt(tx, "a/D/b", "tune", {"n": 2}) == {"study": "s-2"}
    assert (newest.inputs, newest.outputs) == ({"n": 3}, {"study": "s-3"})
    assert [one.inputs["n"] for one in every] == [3, 2, 1]
