"""Heads are unique, and what was decided is chained."""

from contextlib import closing
from dataclasses import replace

import pytest

import projects
from podium.decision import Result, Stage, Verdict
from podium.errors import ConflictError, PodiumError
from podium.ledger import decisions, schema
from records import broken_links, champion, crown, decide, register, stage, to_beta


def test_the_tables_themselves_allow_one_champion_a_slot(ledger, tmp_path):
    to_beta(ledger, "a", "b")
    crown(ledger, "a")
    again = "INSERT INTO champion SELECT project_id, slot, 'c-b', decision_id, since FROM champion"
    with closing(projects.connect(tmp_path)) as raw, pytest.raises(Exception, match=r"(?i)unique"):
        raw.execute(again)


def test_the_tables_themselves_allow_one_latest_a_slot_and_model_type(ledger, tmp_path):
    register(ledger, "a")
    register(ledger, "b", model_type="noise")
    assert len(projects.query(tmp_path, "SELECT * FROM latest")) == 2
    again = (
        "INSERT INTO latest SELECT project_id, slot, 'base', 'c-b', decision_id, since "
        "FROM latest WHERE model_type = 'noise'"
    )
    with closing(projects.connect(tmp_path)) as raw, pytest.raises(Exception, match=r"(?i)unique"):
        raw.execute(again)


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
        assert decisions.register(tx, copy, "tester") == first
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


def history(ledger):
    """A few decisions of several kinds, one of them a refusal."""
    to_beta(ledger, "a", "b")
    crown(ledger, "a")
    verdict = Verdict("beats_baseline", Result.REFUSE, "no better: p = 0.2", {"p_value": 0.05})
    refusal = projects.move("c-b", Stage.BETA, Stage.CHAMPION, expected="c-a", accepted=False)
    policy = {"beats_baseline": {"p_value": 0.05}}
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


def columns_of(folder, table):
    """Names of a table's columns without its sequence number."""
    with closing(projects.connect(folder)) as raw:
        return [c[0] for c in raw.execute(f"SELECT * FROM {table} LIMIT 0").description][1:]


@pytest.mark.parametrize("table", schema.APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE {} SET created_at = ''", "DELETE FROM {}"])
def test_what_was_decided_found_or_noted_cannot_be_changed(ledger, tmp_path, table, verb):
    history(ledger)
    names = columns_of(tmp_path, table)
    with closing(projects.connect(tmp_path)) as raw:
        if table != "decision":
            values = ",".join(
                "1" if name in ("schema", "value", "place") else "'x'" for name in names
            )
            raw.execute(f"INSERT INTO {table} ({','.join(names)}) VALUES ({values})")
            raw.commit()
        before = projects.query(tmp_path, f"SELECT * FROM {table}")
        assert before
        with pytest.raises(Exception, match=f"podium: {table} is append-only"):
            raw.execute(verb.format(table))
        raw.commit()
    assert projects.query(tmp_path, f"SELECT * FROM {table}") == before


def test_a_decision_cannot_be_replaced_in_place(sqlite_ledger, tmp_path):
    # REPLACE deletes without firing delete triggers, unless recursive triggers are on.
    history(sqlite_ledger)
    columns = ",".join(["seq", *columns_of(tmp_path, "decision")]).replace("reason,", "")
    with (
        closing(projects.connect(tmp_path)) as raw,
        pytest.raises(Exception, match="append-only"),
    ):
        raw.execute(
            f"INSERT OR REPLACE INTO decision ({columns}, reason) "
            f"SELECT {columns}, 'forged' FROM decision WHERE seq = 3"
        )


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
    where = "" if ledger.is_sqlite else " ON decision"
    with closing(projects.connect(tmp_path)) as raw:
        for name in ("decision_no_update", "decision_no_delete"):
            raw.execute(f"DROP TRIGGER {name}{where}")
        assert raw.execute(forgery).rowcount > 0
        raw.commit()
    assert broken_links(tmp_path) != []


def test_two_decisions_cannot_follow_the_same_one(ledger, tmp_path):
    history(ledger)
    names = columns_of(tmp_path, "decision")
    copied = ",".join("'d-forged'" if name == "id" else name for name in names)
    second = f"INSERT INTO decision ({','.join(names)}) SELECT {copied} FROM decision WHERE seq = 2"
    with (
        closing(projects.connect(tmp_path)) as raw,
        pytest.raises(Exception, match=r"append-only|previous_hash"),
    ):
        raw.execute(second)
