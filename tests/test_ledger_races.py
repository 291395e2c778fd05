"""Several processes on one record: nothing is lost, doubled or won twice."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

import projects
from podium.decision import Stage
from podium.ledger.record_reader import RecordReader
from podium.steps.search.history import history
from projects import in_processes
from records import broken_links, decide, register


@pytest.mark.slow
def test_four_processes_that_open_a_new_record_at_once_all_get_it(tmp_path):
    folders = [tmp_path / str(n) for n in range(25)]
    for folder in folders:
        folder.mkdir()
    assert_opened_at_once(folders)


@pytest.mark.slow
def test_four_processes_that_open_a_new_database_at_once_all_get_it(server, tmp_path):
    with ExitStack() as databases:
        folders = [tmp_path / str(n) for n in range(10)]
        for folder in folders:
            folder.mkdir()
            projects.use(folder, databases.enter_context(server.database()))
        assert_opened_at_once(folders)


def assert_opened_at_once(folders):
    assert in_processes(projects.open_many, [(folders,)] * 4) == [[]] * 4
    for folder in folders:
        assert len(projects.query(folder, "SELECT * FROM schema_version")) == 1
        assert len(projects.query(folder, "SELECT * FROM project")) == 1


def write_at_once(folder, each):
    """Let four processes write trials; what somebody who reads the outbox meanwhile gets to see."""
    seen: list[tuple[int, str]] = []
    newest = "SELECT seq, subject_id FROM outbox WHERE seq > ? ORDER BY seq"
    projects.open_ledger(folder).close()
    with ThreadPoolExecutor(1) as beside:
        arguments = [(folder, worker, each) for worker in range(4)]
        answers = beside.submit(in_processes, projects.write_trials, arguments)
        while True:
            over = answers.done()
            fresh = projects.query(folder, newest, seen[-1][0] if seen else 0)
            seen += [(row["seq"], row["subject_id"]) for row in fresh]
            if over:
                break
            time.sleep(0.05)
    assert answers.result() == ["done"] * 4
    return seen


def assert_all_there(folder, seen, total):
    states = projects.query(folder, "SELECT state, count(*) AS n FROM trial GROUP BY state")
    assert states == [{"state": "complete", "n": total}]
    [counts] = projects.query(
        folder,
        """SELECT count(DISTINCT key) AS keys, count(DISTINCT run_id) AS names,
                  (SELECT count(*) FROM study) AS studies,
                  (SELECT count(*) FROM study_trial) AS links,
                  (SELECT count(*) FROM score) AS scores,
                  (SELECT count(*) FROM result) AS results FROM trial""",
    )
    assert counts == {
        "keys": total,
        "names": total,
        "studies": 1,
        "links": total,
        "scores": 3 * total,
        "results": 2 * total,
    }
    # Whoever reads on from where they stopped misses nothing: items appear in their order.
    items = projects.query(folder, "SELECT seq, subject_id, created_at FROM outbox ORDER BY seq")
    assert seen == [(row["seq"], row["subject_id"]) for row in items]
    assert len({subject for _, subject in seen}) == len(seen) == total + 1
    moments = [row["created_at"] for row in items]
    assert moments == sorted(moments)


@pytest.mark.slow
def test_four_processes_write_fifty_trials_each_and_none_is_lost_or_doubled(tmp_path):
    assert_all_there(tmp_path, write_at_once(tmp_path, 50), 200)
    assert projects.query(tmp_path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


@pytest.mark.slow
def test_four_processes_write_a_thousand_trials_and_none_is_lost_or_doubled(folder):
    assert_all_there(folder, write_at_once(folder, 250), 1000)


def assert_one_wins_each_round(ledger, folder, rounds):
    """Four processes ask for one slot at once, each for its own candidate, again and again."""
    names = [f"{who}{n}" for who in "abcd" for n in range(rounds)]
    register(ledger, *names)
    decide(ledger, *(projects.move(f"c-{n}", Stage.DEVELOPMENT, Stage.BETA) for n in names))
    found = in_processes(
        projects.promote_each_round, [(folder, who, rounds) for who in "abcd"], patience=600
    )
    told = [sorted(map(str, answers)) for answers in zip(*found, strict=True)]
    assert told == [["6", "6", "6", "won"]] * rounds
    won = projects.query(
        folder, "SELECT candidate_id, id FROM decision WHERE to_stage = 'champion' ORDER BY seq"
    )
    assert [row["candidate_id"][3:] for row in won] == [str(n) for n in range(rounds)]
    reigns = history(RecordReader(projects.url_of(folder), folder, "p-test"), projects.SLOT)
    assert [(r.candidate_id, r.decision_id) for r in reigns] == [tuple(r.values()) for r in won]
    assert [r.ended_decision for r in reigns] == [*(r.decision_id for r in reigns[1:]), ""]
    stages = projects.query(
        folder, "SELECT stage, count(*) AS n FROM stage GROUP BY stage ORDER BY stage"
    )
    assert [tuple(row.values()) for row in stages] == [
        ("archived", rounds - 1),
        ("beta", 3 * rounds),
        ("champion", 1),
    ]
    assert broken_links(folder) == []


@pytest.mark.slow
def test_of_four_processes_that_promote_at_once_exactly_one_wins(sqlite_ledger, tmp_path):
    assert_one_wins_each_round(sqlite_ledger, tmp_path, 20)


@pytest.mark.slow
def test_of_four_processes_that_promote_200_times_exactly_one_wins_each_time(ledger, folder):
    assert_one_wins_each_round(ledger, folder, 200)
