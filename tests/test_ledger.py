"""The record: what was acknowledged stays, what was decided is chained, and heads are unique."""

import contextlib
import json
import math
import multiprocessing as mp
import shutil
import sqlite3
import threading
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

import projects
from podium.decision import Decision, Result, Stage, Verdict
from podium.errors import ConflictError, DataError, NotFoundError, PodiumError, RefusedError
from podium.evidence import Evidence, Scalar
from podium.hashing import digest
from podium.ledger import reads, schema, writes
from podium.ledger.ledger import Ledger, now
from podium.split import Fold, Split
from podium.trial import State

ENVIRONMENT = "e" * 64


@pytest.fixture
def ledger(tmp_path):
    found = projects.open_ledger(tmp_path)
    yield found
    found.close()


def start(ledger, study, *trials):
    with ledger.transaction() as tx:
        return writes.start_trials(ledger, tx, study, trials, ENVIRONMENT)


def end(ledger, trial_id, **how):
    with ledger.transaction(durable=True) as tx:
        writes.end_trial(ledger, tx, projects.ended(trial_id, **how), metric="mse", index_hash=None)


def trial(ledger, trial_id):
    with ledger.reading() as tx:
        return reads.trials_by_id(ledger, tx, [trial_id])[trial_id]


def register(ledger, *names, **how):
    with ledger.transaction(durable=True) as tx:
        return [
            writes.register(ledger, tx, projects.new_candidate(name, **how), "tester")
            for name in names
        ]


def decide(ledger, *moves):
    with ledger.transaction(durable=True) as tx:
        return [writes.decide(ledger, tx, decision) for decision in moves]


def to_beta(ledger, *names):
    """Registered candidates in stage beta."""
    for name in names:
        register(ledger, name)
        decide(ledger, projects.move(f"c-{name}", Stage.DEVELOPMENT, Stage.BETA))


def crown(ledger, name, expected=None):
    decide(ledger, projects.move(f"c-{name}", Stage.BETA, Stage.CHAMPION, expected=expected))


def champion(ledger, slot=projects.SLOT):
    with ledger.reading() as tx:
        return reads.champion_of(ledger, tx, slot)


def stage(ledger, candidate_id):
    with ledger.reading() as tx:
        return reads.stage_of(ledger, tx, candidate_id)


def broken_links(folder) -> list[str]:
    """What is wrong with the chain of decisions, from the rows alone."""
    found = []
    expected = digest(["podium", "p-test"])
    for row in projects.query(folder, "SELECT * FROM decision ORDER BY seq"):
        verdicts = tuple(
            Verdict(v["gate"], Result(v["result"]), v["finding"], v["limits"])
            for v in json.loads(row["verdicts"])
        )
        decision = Decision(
            **{
                name: row[name]
                for name in Decision.__dataclass_fields__
                if name not in ("policy", "verdicts", "evidence", "accepted")
            },
            accepted=bool(row["accepted"]),
            policy=json.loads(row["policy"]),
            verdicts=verdicts,
            evidence=tuple(json.loads(row["evidence"])),
        )
        if decision.hash != row["hash"]:
            found.append(f"{row['id']}: content")
        if row["previous_hash"] != expected:
            found.append(f"{row['id']}: link")
        if decision.policy_hash != row["policy_hash"]:
            found.append(f"{row['id']}: policy")
        expected = row["hash"]
    return found


# Opening a record


def test_a_new_record_carries_its_schema_version_and_its_project(ledger, tmp_path):
    assert projects.query(tmp_path, "SELECT version FROM schema_version") == [
        {"version": schema.VERSION}
    ]
    assert projects.query(tmp_path, "SELECT project_id, name FROM project") == [
        {"project_id": "p-test", "name": "test"}
    ]


def test_opening_a_record_again_changes_nothing_in_it(ledger, tmp_path):
    ledger.close()
    before = list(sqlite3.connect(tmp_path / "podium.db").iterdump())
    projects.open_ledger(tmp_path).close()
    assert list(sqlite3.connect(tmp_path / "podium.db").iterdump()) == before


def test_the_record_is_in_write_ahead_mode(ledger):
    with ledger.reading() as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


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


def test_a_record_cut_in_half_is_refused_and_left_as_it_was(ledger, tmp_path):
    register(ledger, *"abcdefgh")
    ledger.close()
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


# Trials


def test_an_end_that_was_acknowledged_is_there_after_the_power_was_cut(ledger, tmp_path):
    study = projects.new_study(ledger)
    [id_] = start(ledger, study, projects.new_trial(0))
    losses = np.arange(5, dtype=np.float32)
    end(ledger, id_, score=0.25, losses=losses)
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
            assert reads.array(again, tx, row.loss_hash).tolist() == losses.tolist()
            [same] = reads.trials_of(again, tx, study.id, "tune")
        assert same.id == id_
    finally:
        again.close()


def test_ends_and_decisions_are_flushed_and_starts_are_not(ledger):
    # PRAGMA synchronous: 1 is NORMAL, 2 is FULL.
    for durable, level in ((True, 2), (False, 1), (True, 2)):
        with ledger.transaction(durable=durable) as tx:
            assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == level


def test_a_transaction_that_fails_leaves_nothing(ledger, tmp_path):
    study = projects.new_study(ledger)

    def fail_after_the_start():
        with ledger.transaction() as tx:
            writes.start_trials(ledger, tx, study, [projects.new_trial(0)], ENVIRONMENT)
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
        writes.put_evidence(ledger, tx, finding)
    with ledger.reading() as tx:
        found = reads.evidence_of(ledger, tx, candidate.id)["backtest"]
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
        name = writes.put_array(ledger, tx, array)
        assert writes.put_array(ledger, tx, array.copy()) == name
    with ledger.reading() as tx:
        found = reads.array(ledger, tx, name)
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()
    assert projects.query(tmp_path, "SELECT count(*) AS n FROM blob") == [{"n": 1}]


def test_a_series_that_was_never_stored_is_not_found(ledger):
    with ledger.reading() as tx, pytest.raises(NotFoundError):
        reads.array(ledger, tx, "0" * 64)


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
        rows = reads.trials_of(ledger, tx, study.id, "tune")
    assert [(row.id, row.number) for row in rows] == [(ids[0], 0), (ids[0], 5)]


def test_two_studies_share_a_trial_and_both_see_how_it_ended(ledger, tmp_path):
    one, two = projects.new_study(ledger), projects.new_study(ledger, question="wider")
    [id_] = start(ledger, one, projects.new_trial(0))
    end(ledger, id_, score=0.25)
    assert start(ledger, two, projects.new_trial(0)) == [id_]
    with ledger.reading() as tx:
        for study in (one, two):
            [row] = reads.trials_of(ledger, tx, study.id, "tune")
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


@pytest.mark.parametrize("state", [State.COMPLETE, State.FAILED, State.PRUNED])
def test_a_trial_that_ended_is_never_moved_back(ledger, state):
    study = projects.new_study(ledger)
    [id_] = start(ledger, study, projects.new_trial(0))
    end(ledger, id_, state=state, score=0.25, reason="as it was")
    start(ledger, study, projects.new_trial(0))
    with ledger.transaction() as tx:
        writes.interrupt_trials(ledger, tx, [id_])
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
        writes.interrupt_trials(ledger, tx, [id_])
    assert trial(ledger, id_).state is State.INTERRUPTED
    assert start(ledger, study, projects.new_trial(0)) == [id_]
    assert trial(ledger, id_).state is State.RUNNING


# Luck and looks


def split_of(first: int, last: int, *, folds: int = 1) -> Split:
    """Split that validates on bars ``first`` to ``last`` of a hundred days, in some folds."""
    times = np.datetime64("2009-01-01", "s") + np.arange(100) * np.timedelta64(86400, "s")
    parts = np.array_split(np.arange(first, last + 1), folds)
    return Split(
        "given",
        {},
        tuple(Fold(n, np.arange(5), part) for n, part in enumerate(parts)),
        times,
        1,
    )


def look(ledger, split, configs, *, slot=projects.SLOT, question="q", **key):
    """Let a study look at configs on a split."""
    study = projects.new_study(ledger, slot, question)
    with ledger.transaction() as tx:
        writes.put_split(ledger, tx, split)
    for dropout in configs:
        config = {"dropout": dropout, **key.get("config", {})}
        start(
            ledger,
            study,
            projects.new_trial(0, split=split.hash, **{**key, "config": config}),
        )


def luck(ledger, split, slot=projects.SLOT):
    with ledger.reading() as tx:
        return reads.luck(ledger, tx, slot, split.validation_interval())


def test_luck_counts_a_config_once_whatever_its_folds_seeds_and_epochs(ledger):
    split = split_of(50, 90, folds=2)
    look(ledger, split, [0.1, 0.2])
    for key in ({"fold": 1}, {"seed": 99}, {"config": {"max_epochs": 3}}, {"family_version": 2}):
        look(ledger, split, [0.1, 0.2], **key)
    assert luck(ledger, split) == 2
    look(ledger, split, [0.3], config={"max_epochs": 3})
    assert luck(ledger, split) == 3


def test_luck_counts_over_all_studies_of_the_slot_and_no_other_slot(ledger):
    split = split_of(50, 90)
    look(ledger, split, [0.1, 0.2])
    look(ledger, split, [0.2, 0.3], question="another search")
    look(ledger, split, [0.4, 0.5, 0.6], slot="us4/D/return")
    assert luck(ledger, split) == 3
    assert luck(ledger, split, "us4/D/return") == 3


def test_luck_counts_what_was_seen_on_an_overlapping_interval_only(ledger):
    mine = split_of(50, 70)
    look(ledger, mine, [0.1])
    look(ledger, split_of(70, 90), [0.2])
    look(ledger, split_of(40, 95), [0.3])
    look(ledger, split_of(71, 90), [0.4])
    look(ledger, split_of(20, 49), [0.5])
    assert luck(ledger, mine) == 3


def test_luck_does_not_count_the_naive_family_and_counts_what_failed(ledger):
    split = split_of(50, 90)
    look(ledger, split, [0.1], family="naive")
    assert luck(ledger, split) == 0
    look(ledger, split, [0.1], family="bilstm")
    look(ledger, split, [0.1])
    study = projects.new_study(ledger)
    with ledger.reading() as tx:
        [first, *_] = reads.trials_of(ledger, tx, study.id, "tune")
    end(ledger, first.id, state=State.FAILED, score=math.nan)
    assert luck(ledger, split) == 2


def test_a_look_at_the_test_is_counted_by_candidate_and_by_overlap(ledger):
    def count(candidate, start, stop, dataset="us4"):
        with ledger.transaction(durable=True) as tx:
            return writes.count_look(ledger, tx, dataset, (start, stop), candidate)

    assert count("c-1", "2010-01-04T00:00:00", "2011-12-30T00:00:00") == 1
    assert count("c-2", "2010-01-04T00:00:00", "2011-12-30T00:00:00") == 2
    assert count("c-2", "2010-01-04T00:00:00", "2011-12-30T00:00:00") == 2
    # One bar in common is a look at the same test; none is another test.
    assert count("c-3", "2011-12-30T00:00:00", "2012-12-31T00:00:00") == 3
    assert count("c-4", "2012-01-03T00:00:00", "2012-06-29T00:00:00") == 2
    assert count("c-5", "2009-01-02T00:00:00", "2009-12-31T00:00:00") == 1
    assert count("c-6", "2010-01-04T00:00:00", "2011-12-30T00:00:00", dataset="fx") == 1


# Heads


def test_the_tables_themselves_allow_one_champion_a_slot(ledger, tmp_path):
    to_beta(ledger, "a", "b")
    crown(ledger, "a")
    raw = sqlite3.connect(tmp_path / "podium.db")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        raw.execute(
            "INSERT INTO champion SELECT project_id, slot, 'c-b', decision_id, since FROM champion"
        )
    raw.close()


def test_the_tables_themselves_allow_one_latest_a_slot_and_model_type(ledger, tmp_path):
    register(ledger, "a")
    register(ledger, "b", model_type="noise")
    raw = sqlite3.connect(tmp_path / "podium.db")
    assert raw.execute("SELECT count(*) FROM latest").fetchone() == (2,)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        raw.execute(
            "INSERT INTO latest SELECT project_id, slot, 'base', 'c-b', decision_id, since "
            "FROM latest WHERE model_type = 'noise'"
        )
    raw.close()


def test_the_newest_of_a_model_type_is_its_latest(ledger, tmp_path):
    register(ledger, "a", "b")
    register(ledger, "c", model_type="noise")
    latest = projects.query(tmp_path, "SELECT model_type, candidate_id FROM latest ORDER BY 1")
    assert [tuple(row.values()) for row in latest] == [("base", "c-b"), ("noise", "c-c")]


def test_versions_count_within_a_slot(ledger):
    found = register(ledger, "a", "b") + register(ledger, "x", slot="us4/D/return")
    assert [c.version for c in found] == [1, 2, 1]


def test_the_same_artefact_registered_again_is_the_candidate_it_was(ledger, tmp_path):
    [first] = register(ledger, "a")
    copy = replace(projects.new_candidate("a"), id="c-copy", root_id="c-copy")
    with ledger.transaction(durable=True) as tx:
        assert writes.register(ledger, tx, copy, "tester") == first
    assert projects.query(tmp_path, "SELECT count(*) AS n FROM decision") == [{"n": 1}]


def test_a_new_champion_archives_the_one_before(ledger):
    to_beta(ledger, "a", "b")
    crown(ledger, "a")
    crown(ledger, "b", expected="c-a")
    assert champion(ledger) == "c-b"
    assert (stage(ledger, "c-a"), stage(ledger, "c-b")) == (Stage.ARCHIVED, Stage.CHAMPION)


def test_a_champion_moved_away_leaves_the_slot_empty(ledger):
    to_beta(ledger, "a")
    crown(ledger, "a")
    decide(ledger, projects.move("c-a", Stage.CHAMPION, Stage.BETA))
    assert champion(ledger) is None


def test_a_champion_of_another_slot_is_left_alone(ledger):
    to_beta(ledger, "a")
    crown(ledger, "a")
    register(ledger, "x", slot="us4/D/return")
    other = {"slot": "us4/D/return"}
    decide(
        ledger,
        projects.move("c-x", Stage.DEVELOPMENT, Stage.BETA, **other),
        projects.move("c-x", Stage.BETA, Stage.CHAMPION, **other),
    )
    assert (champion(ledger), champion(ledger, "us4/D/return")) == ("c-a", "c-x")


def test_a_candidate_cannot_become_champion_of_a_slot_it_was_not_trained_for(ledger):
    to_beta(ledger, "a")
    with pytest.raises(PodiumError):
        decide(ledger, projects.move("c-a", Stage.BETA, Stage.CHAMPION, slot="us4/D/return"))


def test_a_decision_against_yesterdays_champion_is_a_conflict_and_leaves_no_trace(ledger, tmp_path):
    to_beta(ledger, "a", "b")
    crown(ledger, "a")
    before = projects.query(tmp_path, "SELECT count(*) AS n FROM decision")
    with pytest.raises(ConflictError, match="c-a"):
        crown(ledger, "b", expected=None)
    assert (champion(ledger), stage(ledger, "c-b")) == ("c-a", Stage.BETA)
    assert projects.query(tmp_path, "SELECT count(*) AS n FROM decision") == before
    assert broken_links(tmp_path) == []


# The chain


def history(ledger):
    """A few decisions of several kinds, one of them a refusal."""
    to_beta(ledger, "a", "b")
    crown(ledger, "a")
    verdict = Verdict("beats_naive", Result.REFUSE, "no better: p = 0.2", {"p_value": 0.05})
    refusal = projects.move("c-b", Stage.BETA, Stage.CHAMPION, expected="c-a", accepted=False)
    policy = {"beats_naive": {"p_value": 0.05}}
    decide(ledger, replace(refusal, verdicts=(verdict,), evidence=("e-1", "e-2"), policy=policy))
    crown(ledger, "b", expected="c-a")


def test_the_chain_of_decisions_verifies_link_by_link(ledger, tmp_path):
    history(ledger)
    rows = projects.query(tmp_path, "SELECT kind, accepted FROM decision ORDER BY seq")
    assert [row["kind"] for row in rows].count("register") == 2
    assert [row["accepted"] for row in rows].count(0) == 1
    assert broken_links(tmp_path) == []


def test_a_refused_request_moves_no_head(ledger):
    to_beta(ledger, "a", "b")
    crown(ledger, "a")
    decide(
        ledger,
        projects.move("c-b", Stage.BETA, Stage.CHAMPION, expected="c-a", accepted=False),
    )
    assert (champion(ledger), stage(ledger, "c-b")) == ("c-a", Stage.BETA)


@pytest.mark.parametrize("table", ["decision", "evidence", "test_look"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET created_at = ''", "DELETE FROM {}"])
def test_what_was_decided_or_found_cannot_be_changed(ledger, tmp_path, table, verb):
    history(ledger)
    raw = sqlite3.connect(tmp_path / "podium.db")
    columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
    if table != "decision":
        values = ["x" if c != "schema" else 1 for c in columns[1:]]
        marks = ",".join("?" * len(values))
        raw.execute(f"INSERT INTO {table} ({','.join(columns[1:])}) VALUES ({marks})", values)
        raw.commit()
    before = raw.execute(f"SELECT * FROM {table}").fetchall()
    assert before
    with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        raw.execute(verb.format(table))
    assert raw.execute(f"SELECT * FROM {table}").fetchall() == before
    raw.close()


def test_a_decision_cannot_be_replaced_in_place(ledger, tmp_path):
    # REPLACE deletes without firing delete triggers, unless recursive triggers are on.
    history(ledger)
    raw = sqlite3.connect(tmp_path / "podium.db")
    columns = ",".join(
        row[1] for row in raw.execute("PRAGMA table_info(decision)") if row[1] != "reason"
    )
    with pytest.raises(sqlite3.DatabaseError, match="append-only"):
        raw.execute(
            f"INSERT OR REPLACE INTO decision ({columns}, reason) "
            f"SELECT {columns}, 'forged' FROM decision WHERE seq = 3"
        )
    raw.close()


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE decision SET reason = 'forged' WHERE seq = 3",
        "UPDATE decision SET actor = 'somebody' WHERE seq = 1",
        "UPDATE decision SET verdicts = replace(verdicts, 'refuse', 'pass') WHERE accepted = 0",
        "UPDATE decision SET accepted = 1 WHERE accepted = 0",
        "UPDATE decision SET policy_hash = hash WHERE seq = 2",
        "DELETE FROM decision WHERE seq = 3",
        "DELETE FROM decision WHERE seq = 1",
    ],
)
def test_a_forged_row_is_noticed_even_by_someone_who_drops_the_triggers(ledger, tmp_path, forgery):
    history(ledger)
    raw = sqlite3.connect(tmp_path / "podium.db")
    for name in ("decision_no_update", "decision_no_delete"):
        raw.execute(f"DROP TRIGGER {name}")
    raw.execute(forgery)
    raw.commit()
    assert raw.total_changes > 0
    raw.close()
    assert broken_links(tmp_path) != []


def test_two_decisions_cannot_follow_the_same_one(ledger, tmp_path):
    history(ledger)
    raw = sqlite3.connect(tmp_path / "podium.db")
    columns = [row[1] for row in raw.execute("PRAGMA table_info(decision)")]
    copied = ",".join("'d-forged'" if c == "id" else c for c in columns if c != "seq")
    with pytest.raises(sqlite3.IntegrityError, match="append-only|previous_hash"):
        raw.execute(
            f"INSERT INTO decision ({','.join(columns[1:])}) SELECT {copied} "
            "FROM decision WHERE seq = 2"
        )
    raw.close()


# Several processes


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


# Any sequence of requests

NINE = {
    ("development", "beta"),
    ("development", "archived"),
    ("beta", "development"),
    ("beta", "champion"),
    ("beta", "archived"),
    ("champion", "beta"),
    ("champion", "archived"),
    ("archived", "development"),
    ("archived", "beta"),
}


class Stages(RuleBasedStateMachine):
    """Requests to one slot of a real record, beside what the rules say must come of them."""

    candidates = Bundle("candidates")
    slots = 0

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger
        Stages.slots += 1
        self.slot = f"slot{Stages.slots}"
        self.stages: dict[str, str] = {}
        self.champion: str | None = None
        self.decided = 0

    @rule(target=candidates)
    def register(self):
        name = f"{self.slot}-{len(self.stages)}"
        register(self.ledger, name, slot=self.slot)
        self.stages[f"c-{name}"] = "development"
        self.decided += 1
        return f"c-{name}"

    @rule(
        candidate=candidates,
        to=st.sampled_from(Stage),
        accepted=st.sampled_from([True, True, True, False]),
        claimed=st.one_of(st.none(), st.sampled_from(Stage)),
        stale=st.sampled_from([False, False, False, True]),
    )
    def ask_for_anything(self, candidate, to, accepted, claimed, stale):
        self.ask(candidate, to, accepted, claimed, stale)

    @rule(candidate=candidates, steps=st.integers(1, 2), stale=st.booleans())
    def climb(self, candidate, steps, stale):
        # What people mostly ask for; anything at random seldom replaces a champion.
        up = {"development": Stage.BETA, "beta": Stage.CHAMPION, "archived": Stage.BETA}
        for _ in range(steps):
            if (to := up.get(self.stages[candidate])) is not None:
                self.ask(candidate, to, stale=stale)

    def ask(self, candidate, to, accepted=True, claimed=None, stale=False):
        current = self.stages[candidate]
        from_stage = current if claimed is None else claimed.value
        expected = "c-nobody" if stale else self.champion
        wanted = self.expected_error(current, from_stage, to.value, stale) if accepted else None
        request = projects.move(
            candidate,
            Stage(from_stage),
            to,
            expected=expected,
            slot=self.slot,
            accepted=accepted,
        )
        if wanted is not None:
            with pytest.raises(wanted):
                decide(self.ledger, request)
            return
        decide(self.ledger, request)
        self.decided += 1
        if not accepted:
            return
        if to is Stage.CHAMPION and self.champion:
            self.stages[self.champion] = "archived"
        if "champion" in (current, to.value):
            self.champion = candidate if to is Stage.CHAMPION else None
        self.stages[candidate] = to.value

    @staticmethod
    def expected_error(current, from_stage, to, stale):
        if from_stage != current:
            return ConflictError
        if (current, to) not in NINE:
            return RefusedError
        return ConflictError if stale and to == "champion" else None

    @rule(candidate=consumes(candidates))
    def forget(self, candidate):
        """Draw from fewer candidates, so that champions are replaced and not only made."""

    @invariant()
    def the_record_agrees_with_the_rules(self):
        head = schema.stage.c
        with self.ledger.reading() as tx:
            rows = tx.execute(
                sa.select(head.candidate_id, head.stage).where(
                    head.candidate_id.in_(list(self.stages))
                )
            )
            assert {row.candidate_id: row.stage for row in rows} == self.stages
            assert reads.champion_of(self.ledger, tx, self.slot) == self.champion
            decisions = schema.decision.c
            count = sa.select(sa.func.count()).where(decisions.slot == self.slot)
            assert tx.execute(count).scalar() == self.decided
        assert list(self.stages.values()).count("champion") == (self.champion is not None)


def test_no_sequence_of_requests_breaks_the_rules_of_stages(ledger, tmp_path):
    run_state_machine_as_test(
        lambda: Stages(ledger),
        settings=settings(
            max_examples=30,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert broken_links(tmp_path) == []
