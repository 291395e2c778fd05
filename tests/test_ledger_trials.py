"""Trials in the record: what was acknowledged stays, and nothing that ended moves."""

import contextlib
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

import projects
from podium.errors import NotFoundError, PodiumError
from podium.evidence import Evidence, Scalar
from podium.ledger import reads, writes
from podium.ledger.ledger import now
from podium.trial import State
from records import ENVIRONMENT, end, register, start, trial


def test_an_end_that_was_acknowledged_is_there_after_the_power_was_cut(sqlite_ledger, tmp_path):
    study = projects.new_study(sqlite_ledger)
    [id_] = start(sqlite_ledger, study, projects.new_trial(0))
    losses = np.arange(5, dtype=np.float32)
    end(sqlite_ledger, id_, score=0.25, losses=losses)
    # What is on the disk at this moment, taken away from under the open connection.
    there = tmp_path / "there"
    there.mkdir()
    for path in tmp_path.glob("podium.db*"):
        shutil.copy(path, there)
    again = projects.open_ledger(there)
    try:
        row = trial(again, id_)
        assert (row.state, row.score) == (State.COMPLETE, 0.25)
        with again.reading() as tx:
            assert reads.array(tx, row.loss_hash).tolist() == losses.tolist()
            [same] = reads.trials_of(tx, study.id, "tune")
        assert same.id == id_
    finally:
        again.close()


def test_ends_and_decisions_are_flushed_and_starts_are_not(ledger):
    # PRAGMA synchronous: 1 is NORMAL, 2 is FULL.
    ask, levels = ("PRAGMA synchronous", {True: 2, False: 1})
    if not ledger.is_sqlite:
        ask, levels = ("SHOW synchronous_commit", {True: "on", False: "off"})
    for durable in (True, False, True):
        with ledger.transaction(durable=durable) as tx:
            assert tx.connection.exec_driver_sql(ask).scalar() == levels[durable]


def test_a_transaction_that_fails_leaves_nothing(ledger, tmp_path):
    study = projects.new_study(ledger)

    def fail_after_the_start():
        with ledger.transaction() as tx:
            writes.start_trials(tx, study, [projects.new_trial(0)], ENVIRONMENT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_the_start()
    assert projects.query(tmp_path, "SELECT id FROM trial") == []
    assert projects.query(tmp_path, "SELECT * FROM study_trial") == []


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, 1e-300, 0.1 + 0.2])
def test_a_score_reads_as_it_was_written(ledger, tmp_path, score):
    [id_] = start(ledger, projects.new_study(ledger), projects.new_trial(0))
    end(ledger, id_, score=score)
    assert repr(trial(ledger, id_).score) == repr(score)
    kept = projects.query(tmp_path, "SELECT part, value FROM score ORDER BY part")
    assert [row["part"] for row in kept] == ["best", "train", "val"]
    for row in kept:
        value = math.nan if row["value"] is None else row["value"]
        assert repr(value) == repr(score)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1 + 0.2])
def test_a_scalar_of_evidence_reads_as_it_was_written(ledger, value):
    [candidate] = register(ledger, "a")
    finding = Evidence(
        id="e-1",
        kind="backtest",
        candidate_id=candidate.id,
        artifact_hash=candidate.artifact_hash,
        dataset_fingerprint="d" * 64,
        split_hash="s" * 64,
        producer="test",
        producer_version="1",
        created_at=now(),
        scalars={"calmar": Scalar(value, "a year", "max")},
        series={"equity": "b" * 64},
        notes={"costs": "5 bps"},
    )
    with ledger.transaction(durable=True) as tx:
        writes.put_evidence(tx, finding)
    with ledger.reading() as tx:
        found = reads.evidence_of(tx, candidate.id)["backtest"]
    assert repr(found.scalars["calmar"]) == repr(Scalar(value, "a year", "max"))
    assert (found.series, found.notes) == (finding.series, finding.notes)


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.5, np.nan, np.inf, -0.0], np.float32),
        np.arange(3, dtype=np.int64),
        np.array(["2010-01-04", "2010-01-05"], "datetime64[s]"),
        np.empty(0, np.float32),
    ],
    ids=lambda a: str(a.dtype),
)
def test_a_stored_series_reads_as_it_was_written_and_is_stored_once(ledger, tmp_path, array):
    with ledger.transaction() as tx:
        name = writes.put_array(tx, array)
        assert writes.put_array(tx, array.copy()) == name
    with ledger.reading() as tx:
        found = reads.array(tx, name)
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()
    assert projects.query(tmp_path, "SELECT count(*) AS n FROM blob") == [{"n": 1}]


def test_a_series_that_was_never_stored_is_not_found(ledger):
    with ledger.reading() as tx, pytest.raises(NotFoundError):
        reads.array(tx, "0" * 64)


def test_the_same_question_is_the_same_study(ledger):
    first = projects.new_study(ledger)
    assert projects.new_study(ledger).id == first.id
    assert projects.new_study(ledger, question="another").id != first.id
    assert projects.new_study(ledger, slot="us4/D/return").id != first.id


def test_starting_a_trial_twice_starts_it_once(ledger, tmp_path):
    study = projects.new_study(ledger)
    batch = [projects.new_trial(n) for n in range(3)]
    ids = start(ledger, study, *batch)
    assert start(ledger, study, *batch) == ids
    assert start(ledger, study, *reversed(batch)) == ids[::-1]
    assert projects.query(tmp_path, "SELECT count(*) AS n FROM trial") == [{"n": 3}]
    assert projects.query(tmp_path, "SELECT count(*) AS n FROM study_trial") == [{"n": 3}]


def test_one_config_asked_twice_in_a_batch_is_one_trial_with_two_numbers(ledger, tmp_path):
    study = projects.new_study(ledger)
    first = projects.new_trial(0)
    ids = start(ledger, study, first, replace(first, number=5))
    assert ids[0] == ids[1]
    with ledger.reading() as tx:
        rows = reads.trials_of(tx, study.id, "tune")
    assert [(row.id, row.number) for row in rows] == [(ids[0], 0), (ids[0], 5)]


def test_two_studies_share_a_trial_and_both_see_how_it_ended(ledger, tmp_path):
    one, two = projects.new_study(ledger), projects.new_study(ledger, question="wider")
    [id_] = start(ledger, one, projects.new_trial(0))
    end(ledger, id_, score=0.25)
    assert start(ledger, two, projects.new_trial(0)) == [id_]
    with ledger.reading() as tx:
        for study in (one, two):
            [row] = reads.trials_of(tx, study.id, "tune")
            assert (row.id, row.state, row.score) == (id_, State.COMPLETE, 0.25)
    assert projects.query(tmp_path, "SELECT count(*) AS n FROM trial") == [{"n": 1}]


@pytest.mark.parametrize(
    "part", ["family", "family_version", "config", "dataset", "task", "split", "fold", "seed"]
)
def test_every_part_of_the_key_makes_another_trial(ledger, part):
    other = {"config": {"dropout": 0.5}, "family_version": 2, "fold": 1, "seed": 1}
    study = projects.new_study(ledger)
    ids = start(
        ledger,
        study,
        projects.new_trial(0),
        replace(projects.new_trial(0, **{part: other.get(part, "other")}), number=1),
    )
    assert ids[0] != ids[1]


@pytest.mark.parametrize("state", [State.COMPLETE, State.FAILED])
def test_a_trial_that_ended_is_never_moved_back(ledger, state):
    study = projects.new_study(ledger)
    [id_] = start(ledger, study, projects.new_trial(0))
    end(ledger, id_, state=state, score=0.25, reason="as it was")
    start(ledger, study, projects.new_trial(0))
    with ledger.transaction() as tx:
        writes.interrupt_trials(tx, [id_])
    row = trial(ledger, id_)
    assert (row.state, row.score, row.reason) == (state, 0.25, "as it was")


def test_a_complete_trial_does_not_end_a_second_time(ledger):
    # A driver that was thought dead, or a trial that another study trained as well.
    [id_] = start(ledger, projects.new_study(ledger), projects.new_trial(0))
    end(ledger, id_, score=0.25)
    # Saying so is as good as ignoring it.
    with contextlib.suppress(PodiumError):
        end(ledger, id_, state=State.FAILED, score=math.nan, reason="too late")
    row = trial(ledger, id_)
    assert (row.state, row.score) == (State.COMPLETE, 0.25)


def test_a_driver_killed_between_start_and_end_leaves_a_trial_that_starts_again(ledger, tmp_path):
    study = projects.new_study(ledger)
    ids = start(ledger, study, projects.new_trial(0), projects.new_trial(1))
    end(ledger, ids[0])
    ledger.close()
    again = projects.open_ledger(tmp_path)
    try:
        assert [trial(again, id_).state for id_ in ids] == [State.COMPLETE, State.RUNNING]
        same = start(again, projects.new_study(again), projects.new_trial(0), projects.new_trial(1))
        assert same == ids
        end(again, ids[1])
        assert trial(again, ids[1]).state is State.COMPLETE
    finally:
        again.close()


def test_an_interrupted_trial_starts_again_under_its_own_id(ledger):
    study = projects.new_study(ledger)
    [id_] = start(ledger, study, projects.new_trial(0))
    with ledger.transaction() as tx:
        writes.interrupt_trials(tx, [id_])
    assert trial(ledger, id_).state is State.INTERRUPTED
    assert start(ledger, study, projects.new_trial(0)) == [id_]
    assert trial(ledger, id_).state is State.RUNNING


def test_a_failed_trial_is_retried_under_its_own_id_and_every_study_remembers(ledger, tmp_path):
    one, two = projects.new_study(ledger), projects.new_study(ledger, question="wider")
    [id_, good] = start(ledger, one, projects.new_trial(0), projects.new_trial(1))
    start(ledger, two, projects.new_trial(0))
    end(ledger, id_, state=State.FAILED, score=math.nan, reason="no memory")
    end(ledger, good, score=0.5)
    with ledger.transaction() as tx:
        writes.retry_trials(tx, [id_, good], "ann")
    assert (trial(ledger, id_).state, trial(ledger, id_).reason) == (State.RUNNING, "")
    assert (trial(ledger, good).state, trial(ledger, good).score) == (State.COMPLETE, 0.5)
    end(ledger, id_, score=0.25)
    with ledger.reading() as tx:
        for study in (one, two):
            [row] = reads.trials_of(tx, study.id, writes.RETRIED)
            assert (row.id, row.number, row.state, row.score) == (id_, 0, State.COMPLETE, 0.25)
    [note] = projects.query(tmp_path, "SELECT subject_id, text, actor FROM note")
    assert note["subject_id"] == id_
    assert "no memory" in note["text"]
    assert note["actor"] == "ann"
