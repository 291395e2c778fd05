"""Several processes on one record: nothing is lost, doubled or won twice."""

import multiprocessing as mp

import projects
from records import broken_links, to_beta


def in_processes(target, argument_lists):
    """What each process answered; each gets a barrier for all of them and a queue to answer on."""
    context = mp.get_context("spawn")
    barrier, answers = context.Barrier(len(argument_lists)), context.Queue()
    processes = [
        context.Process(target=target, args=(*arguments, barrier, answers))
        for arguments in argument_lists
    ]
    for process in processes:
        process.start()
    try:
        found = [answers.get(timeout=120) for _ in processes]
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * len(processes), found
        return found
    finally:
        for process in processes:
            process.kill()
            process.join()
        answers.close()


def test_four_processes_that_open_a_new_record_at_once_all_get_it(tmp_path):
    folders = [tmp_path / str(n) for n in range(25)]
    for folder in folders:
        folder.mkdir()
    assert in_processes(projects.open_many, [(folders,)] * 4) == [[]] * 4
    for folder in folders:
        assert len(projects.query(folder, "SELECT * FROM schema_version")) == 1
        assert len(projects.query(folder, "SELECT * FROM project")) == 1


def test_four_processes_write_fifty_trials_each_and_none_is_lost_or_doubled(tmp_path):
    arguments = [(tmp_path, worker, 50) for worker in range(4)]
    assert in_processes(projects.write_trials, arguments) == ["done"] * 4
    states = projects.query(tmp_path, "SELECT state, count(*) AS n FROM trial GROUP BY state")
    assert states == [{"state": "complete", "n": 200}]
    [counts] = projects.query(
        tmp_path,
        """SELECT count(DISTINCT key) AS keys, (SELECT count(*) FROM study) AS studies,
                  (SELECT count(*) FROM study_trial) AS links,
                  (SELECT count(*) FROM score) AS scores FROM trial""",
    )
    assert counts == {"keys": 200, "studies": 1, "links": 200, "scores": 600}
    assert projects.query(tmp_path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_of_two_processes_that_promote_at_once_exactly_one_wins(ledger, tmp_path):
    rounds = 20
    to_beta(ledger, *(f"{who}{n}" for who in "ab" for n in range(rounds)))
    found = in_processes(projects.promote_each_round, [(tmp_path, who, rounds) for who in "ab"])
    assert [sorted(pair) for pair in zip(*found, strict=True)] == [["conflict", "won"]] * rounds
    stages = projects.query(
        tmp_path, "SELECT stage, count(*) AS n FROM stage GROUP BY stage ORDER BY stage"
    )
    assert [tuple(row.values()) for row in stages] == [
        ("archived", rounds - 1),
        ("beta", rounds),
        ("champion", 1),
    ]
    assert broken_links(tmp_path) == []
