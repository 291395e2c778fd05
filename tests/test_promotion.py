"""Asking for a stage, waiving, signing, rolling back, and who held a slot when."""

import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest

import projects
from podium import artifact
from podium.cli.main import run as podium
from podium.decision import Kind, Stage
from podium.errors import (
    ConflictError,
    DataError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from podium.evidence import Scalar
from podium.ledger import decisions, reads, writes
from podium.steps.archive import doctor
from podium.steps.archive.lineage import _decided
from podium.steps.decisions.promote import promote, require_promoted
from podium.steps.decisions.rollback import rollback
from podium.steps.decisions.sign import sign
from podium.steps.evidence.evidence import evidence_about
from podium.steps.search.history import at, history
from podium.steps.workspace.candidates import chosen
from podium.steps.workspace.session import open_project

SLOT = projects.SLOT
DEEP = {"policy": "deep"}


@pytest.fixture
def root(tmp_path):
    return projects.small_project(
        tmp_path / "p",
        slots={SLOT: DEEP},
        policies={"deep": {"champion": {"max_drawdown": {}}}},
    )


def register(root, name, fall=0.1, slot=SLOT, pickled=False):
    """A candidate with a real artefact, and a backtest that fell so far."""
    model = root / "made" / name
    model.mkdir(parents=True)
    (model / "model.txt").write_text(name)
    if pickled:
        (model / "model.pkl").write_bytes(pickle.dumps({"weights": [1.0]}))
    with open_project(root) as project:
        # The record exists before the first artefact, as in every verb.
        ledger = project.ledger
        hash_, folder = artifact.store(
            project.store, {"model": model}, {"name": name}, writer="test"
        )
        found = replace(
            projects.new_candidate(name, slot), artifact_hash=hash_, artifact_path=folder
        )
        with ledger.transaction(durable=True) as tx:
            decisions.register(tx, found, "trainer")
    backtested(root, found, fall)
    return found


def backtested(root, candidate, fall):
    scalars = {"candidate:max_drawdown": Scalar(-fall, "fraction", "max")}
    evidence = evidence_about(
        candidate, "backtest", "test", dataset="d" * 64, notes={}, scalars=scalars
    )
    with open_project(root) as project, project.ledger.transaction(durable=True) as tx:
        writes.put_evidence(tx, evidence)
    return evidence


def ask(root, candidate, **how):
    with open_project(root) as project:
        return promote(project, candidate.id, **how)


def back(root, **how):
    with open_project(root) as project:
        return rollback(project, SLOT, **{"reason": "it fails", **how})


def stages(root):
    with open_project(root) as project:
        return {id_[2:]: str(stage) for id_, stage in project.reader.stages().items()}


def holder(root):
    with open_project(root) as project:
        champion = project.reader.champions().get(SLOT)
    return champion.candidate_id if champion else None


def reigns(root):
    with open_project(root) as project:
        return history(project.reader, SLOT)


def told(root):
    return projects.query(
        root, "SELECT candidate_id, kind, from_stage, to_stage FROM decision ORDER BY seq"
    )


# Gates.


def test_a_fall_deeper_than_the_limit_refuses_and_one_as_deep_passes(root):
    assert ask(root, register(root, "deep", fall=0.31)).refused
    assert not ask(root, register(root, "flat", fall=0.3)).refused


def test_a_stage_requested_again_is_answered_by_the_decision_that_gave_it(root):
    candidate = register(root, "a", fall=0.5)
    assert not ask(root, candidate, to="beta", reason="first look").refused
    assert ask(root, candidate).refused
    again = ask(root, candidate, to="beta", reason="another")
    assert (again.refused, again.fresh) == (False, False)
    assert "is beta: first look" in again.sentence
    assert len(told(root)) == 3


def test_a_refused_championship_names_the_move_before_it(root):
    found = ask(root, register(root, "a", fall=0.5))
    assert found.refused
    assert "moved from development to beta and stays in beta, because" in found.sentence
    with pytest.raises(RefusedError, match="is beta and is refused by max_drawdown"):
        require_promoted(found)


def test_a_refusal_is_on_record_once_for_each_reason_and_person(root, monkeypatch, capsys):
    candidate = register(root, "a", fall=0.5)
    ask(root, candidate, to="beta")
    requests = [*((who, "it is better") for who in ("ann", "ann", "bob")), ("bob", "")]
    fresh = []
    for actor, reason in requests:
        monkeypatch.setenv("PODIUM_ACTOR", actor)
        found = ask(root, candidate, reason=reason)
        assert found.refused
        fresh.append(found.fresh)
    assert fresh == [True, False, True, False]
    refused = projects.query(root, "SELECT actor, reason FROM decision WHERE accepted = 0")
    assert [(row["actor"], row["reason"]) for row in refused] == requests[::2]
    assert podium(["show", candidate.id, "--project", str(root)]) == 0
    assert "it is better; max_drawdown: " in capsys.readouterr().out


@pytest.mark.slow
def test_a_request_waits_for_another_one_and_both_are_on_record(root):
    one, two = register(root, "a"), register(root, "b")
    with open_project(root) as project, ThreadPoolExecutor() as pool:
        with project.locked(SLOT, "backtest"):
            waiting = [pool.submit(ask, root, candidate, to="beta") for candidate in (one, two)]
            time.sleep(1.0)
            assert not any(request.done() for request in waiting)
        assert not any(request.result().refused for request in waiting)
    assert stages(root) == {"a": "beta", "b": "beta"}


def test_a_dry_run_shows_every_verdict_and_leaves_no_trace(root):
    candidate = register(root, "a", fall=0.5)
    before = told(root)
    found = ask(root, candidate, dry_run=True)
    assert found.refused
    assert "would stay in development" in found.sentence
    assert [v.gate for v in found.verdicts] == ["max_drawdown"]
    assert told(root) == before
    assert stages(root) == {"a": "development"}
    assert ask(root, candidate, waive=["max_drawdown"], reason="r", dry_run=True).sentence.endswith(
        "would be champion; nothing was put on record."
    )
    assert told(root) == before


def test_a_move_that_is_not_one_of_the_nine_is_refused_in_a_dry_run_too(root):
    candidate = register(root, "a")
    ask(root, candidate, to="archived")
    ask(root, candidate, to="development")
    ask(root, candidate, to="beta")
    ask(root, candidate, to="champion")
    with pytest.raises(RefusedError, match="archived, beta"):
        ask(root, candidate, to="development", dry_run=True)


def test_a_waived_gate_lets_through_and_is_shown_for_ever(root):
    candidate = register(root, "a", fall=0.5)
    assert ask(root, candidate).refused
    found = ask(root, candidate, waive=["max_drawdown"], reason="the fall was a data error")
    assert not found.refused
    [verdict] = [v for v in found.verdicts if v.gate == "max_drawdown"]
    assert verdict.result == "waived"
    assert "the fall was a data error" in verdict.finding
    assert "fell by at most 50.0%" in verdict.finding
    [waiver] = projects.query(root, "SELECT * FROM decision WHERE kind = 'waive'")
    assert (waiver["reason"], waiver["actor"]) == ("the fall was a data error", found_actor(root))
    assert "waived by" in reigns(root)[-1].verdicts[0]["finding"]


def found_actor(root):
    with open_project(root) as project:
        return project.actor


def test_a_waiver_needs_a_reason_and_a_gate_that_is_asked(root):
    candidate = register(root, "a", fall=0.5)
    with pytest.raises(UsageError) as problem:
        ask(root, candidate, waive=["max_drawdwn"])
    assert "max_drawdown" in str(problem.value)
    assert "without a reason" in str(problem.value)
    assert stages(root) == {"a": "development"}


def test_what_was_found_of_another_artefact_does_not_count(root):
    candidate = register(root, "a")
    other = replace(candidate, artifact_hash="f" * 64)
    backtested(root, other, 0.9)
    assert not ask(root, candidate).refused


def test_a_stage_s_gates_may_be_set_for_every_slot_at_once(tmp_path):
    root = projects.small_project(tmp_path / "p", policy={"champion": {"max_drawdown": {}}})
    found = ask(root, register(root, "a"), dry_run=True)
    # beta is as by default.
    assert [v.gate for v in found.verdicts] == ["fresh_evidence", "max_drawdown"]
    with pytest.raises(UsageError, match=r"\[policy.champion\]"):
        open_project(
            projects.small_project(tmp_path / "q", policy={"champion": {"max_drawdwn": {}}})
        )


def test_a_model_that_may_run_code_is_not_made_champion_but_may_be_put_away(root):
    candidate = register(root, "a", pickled=True)
    for to in ("beta", "champion"):
        with pytest.raises(RefusedError, match=r"model\.pkl.*a pickle runs"):
            ask(root, candidate, to=to)
    assert stages(root) == {"a": "development"}
    ask(root, candidate, to="archived")
    assert stages(root) == {"a": "archived"}


def test_nor_is_it_put_back(root):
    pickled, other = register(root, "a", pickled=True), register(root, "b")
    with open_project(root) as project, project.ledger.transaction(durable=True) as tx:
        # As before podium looked for pickles.
        for here, there in pairwise([Stage.DEVELOPMENT, Stage.BETA, Stage.CHAMPION]):
            decisions.decide(tx, projects.move(pickled.id, here, there))
    ask(root, other)
    with pytest.raises(RefusedError, match=r"model\.pkl"):
        back(root)
    assert holder(root) == other.id


def test_what_a_person_only_said_is_told_as_that(root, capsys):
    candidate = register(root, "a", fall=0.5)
    place = ["--project", str(root)]
    words = ["--reason", "a data error", *place]
    assert podium(["promote", candidate.id, "--waive", "max_drawdown", *words]) == 0
    assert podium(["sign", candidate.id, "--reject", "--reason", "spikes", *place]) == 0
    capsys.readouterr()
    with open_project(root) as project:
        said = [_decided(row) for row in project.reader.select("decision")]
    assert f"max_drawdown waived by {found_actor(root)}" in said
    assert f"rejected by {found_actor(root)}" in said
    assert podium(["show", candidate.id, *place]) == 0
    assert "a data error (max_drawdown: " in capsys.readouterr().out


def test_a_reason_that_several_gates_give_is_said_once(tmp_path):
    gates = {"same_data": {}, "beats_baseline": {}, "fresh_evidence": {}}
    root = projects.small_project(
        tmp_path / "p", slots={SLOT: DEEP}, policies={"deep": {"champion": gates}}
    )
    told = ask(root, register(root, "a"), dry_run=True).sentence
    assert told.count("there is no validation and no test evidence yet") == 1


# Signatures.


@pytest.fixture
def signed_root(tmp_path):
    gates = {"signoff": {"n": 2, "not_author": 1}}
    return projects.small_project(
        tmp_path / "p", slots={SLOT: DEEP}, policies={"deep": {"champion": gates}}
    )


def put_name(root, candidate, monkeypatch, who, **how):
    monkeypatch.setenv("PODIUM_ACTOR", who)
    with open_project(root) as project:
        return sign(project, candidate.id, how.pop("reason", "looked at it"), **how)


def verdict_of(root, candidate):
    [verdict] = [v for v in ask(root, candidate, dry_run=True).verdicts if v.gate == "signoff"]
    return verdict.result.value, verdict.finding


def test_two_people_who_did_not_train_it_must_sign(signed_root, monkeypatch):
    candidate = register(signed_root, "a")
    assert verdict_of(signed_root, candidate)[0] == "unsigned"
    for who, result in (
        ("trainer", "unsigned"),
        ("ann", "unsigned"),
        ("ann", "unsigned"),
        ("bob", "pass"),
    ):
        put_name(signed_root, candidate, monkeypatch, who)
        assert verdict_of(signed_root, candidate)[0] == result, who
    assert "trainer, ann, bob" in verdict_of(signed_root, candidate)[1]


def test_one_who_rejects_stands_until_he_says_otherwise(signed_root, monkeypatch):
    candidate = register(signed_root, "a")
    put_name(signed_root, candidate, monkeypatch, "bob", approve=False, reason="spikes")
    assert verdict_of(signed_root, candidate) == ("refuse", "rejected by bob: spikes")
    for who in ("ann", "eve"):
        put_name(signed_root, candidate, monkeypatch, who)
        assert verdict_of(signed_root, candidate)[0] == "refuse"
    put_name(signed_root, candidate, monkeypatch, "bob")
    assert verdict_of(signed_root, candidate)[0] == "pass"


def test_findings_that_change_void_every_signature(signed_root, monkeypatch):
    candidate = register(signed_root, "a")
    for who in ("ann", "bob"):
        put_name(signed_root, candidate, monkeypatch, who)
    backtested(signed_root, candidate, 0.2)
    result, finding = verdict_of(signed_root, candidate)
    assert (result, "evaluated again since" in finding) == ("unsigned", True)
    put_name(signed_root, candidate, monkeypatch, "ann")
    assert "2 people" in verdict_of(signed_root, candidate)[1]


def test_an_artefact_that_was_changed_is_not_signed(signed_root, monkeypatch):
    candidate = register(signed_root, "a")
    folder = signed_root / "models" / "registry" / candidate.artifact_path
    [model] = folder.rglob("model.txt")
    model.chmod(0o644)
    model.write_text("other")
    with pytest.raises(DataError):
        put_name(signed_root, candidate, monkeypatch, "ann")


def test_the_same_words_about_the_same_findings_are_one_signature(signed_root, monkeypatch):
    candidate = register(signed_root, "a")
    first = put_name(signed_root, candidate, monkeypatch, "ann")
    assert put_name(signed_root, candidate, monkeypatch, "ann") == first
    assert put_name(signed_root, candidate, monkeypatch, "ann", reason="other") != first
    assert put_name(signed_root, candidate, monkeypatch, "bob") != first
    signed = projects.query(signed_root, "SELECT actor FROM decision WHERE kind = 'sign'")
    assert [row["actor"] for row in signed] == ["ann", "ann", "bob"]


def test_only_those_named_may_sign(tmp_path, monkeypatch):
    root = projects.small_project(tmp_path / "p", people={"signers": ["ann"]})
    candidate = register(root, "a")
    put_name(root, candidate, monkeypatch, "ann")
    with pytest.raises(RefusedError, match="one of ann"):
        put_name(root, candidate, monkeypatch, "mallory")


def test_a_signature_is_a_link_of_the_chain(signed_root, monkeypatch):
    candidate = register(signed_root, "a")
    signature = put_name(signed_root, candidate, monkeypatch, "ann")
    [row] = projects.query(signed_root, "SELECT * FROM decision WHERE kind = 'sign'")
    assert signature.id in json.loads(row["evidence"])
    with open_project(signed_root) as project:
        [check] = [c for c in doctor.doctor(project.root) if c.check == "decisions"]
    assert check.ok, check
    assert stages(signed_root) == {"a": "development"}


# Rolling back.


@pytest.fixture
def replaced(root):
    """A champion that replaced another one."""
    first, second = register(root, "a"), register(root, "b")
    ask(root, first)
    ask(root, second, reason="better")
    return root, first, second


def test_a_rollback_puts_the_one_before_back_in_three_decisions(replaced):
    root, first, second = replaced
    before = len(told(root))
    found = back(root)
    assert holder(root) == first.id == found.candidate.id
    assert found.replaced.id == second.id
    assert [tuple(row.values()) for row in told(root)[before:]] == [
        ("c-b", "rollback", "champion", "archived"),
        ("c-a", "rollback", "archived", "beta"),
        ("c-a", "rollback", "beta", "champion"),
    ]
    assert stages(root) == {"a": "champion", "b": "archived"}


def test_rolled_back_twice_a_slot_is_where_it_was(replaced):
    root, _, second = replaced
    back(root)
    back(root)
    assert holder(root) == second.id


def test_named_by_its_artefact_whoever_is_back_is_not_rolled_back_again(replaced, capsys):
    root, first, second = replaced
    words = ["rollback", SLOT, "--reason", "it fails", "--project", str(root)]
    words += ["--artifact", first.artifact_hash[:12]]
    assert podium(words) == 0
    before = told(root)
    (root / ".podium" / "champions.json").unlink()
    assert podium(words) == 0
    assert "by an earlier rollback" in "".join(capsys.readouterr())
    assert (holder(root), told(root)) == (first.id, before)
    assert json.loads((root / ".podium" / "champions.json").read_text())["champions"]
    # Where nobody put it back it is a mistake.
    back(root, artifact_hash=second.artifact_hash[:12])
    ask(root, first)
    with pytest.raises(DataError, match=r"artefact \w+ \(--artifact\)"):
        back(root, artifact_hash=first.artifact_hash[:12])


def test_an_emptied_slot_rolled_back_by_the_same_command_twice_keeps_its_champion(root):
    only = register(root, "a")
    ask(root, only)
    ask(root, only, to="beta")
    for _ in range(2):
        back(root, artifact_hash=only.artifact_hash[:12])
        assert holder(root) == only.id


def test_an_emptied_slot_is_rolled_back_to_its_last_champion(replaced):
    root, _, second = replaced
    ask(root, second, to="beta")
    back(root)
    assert holder(root) == second.id


def test_a_rollback_asks_for_a_reason_and_checks_the_bytes(replaced):
    root, first, second = replaced
    with pytest.raises(UsageError, match="reason"):
        back(root, reason=" ")
    with pytest.raises(DataError, match=r"artefact \w+ \(--artifact\)"):
        back(root, artifact_hash=second.artifact_hash[:12])
    [model] = (root / "models" / "registry" / first.artifact_path).rglob("model.txt")
    model.chmod(0o644)
    model.write_text("other")
    with pytest.raises(DataError):
        back(root, artifact_hash=first.artifact_hash[:12])
    assert holder(root) == second.id


def test_a_slot_nobody_held_cannot_be_rolled_back(root):
    ask(root, register(root, "a"))
    with pytest.raises(NotFoundError, match="has no previous champion"):
        back(root)


def test_a_rollback_against_yesterdays_champion_is_a_conflict(replaced, monkeypatch):
    root, first, _ = replaced
    third = register(root, "c")
    really, before = artifact.require_servable, []

    def somebody_is_faster(*given):
        # Between the look at who holds the slot and the decision.
        monkeypatch.setattr(artifact, "require_servable", really)
        with open_project(root) as elsewhere:
            # Without the lock, as from another machine that shares the record alone.
            promote.__wrapped__(elsewhere, third.id)
        before.extend(told(root))
        return really(*given)

    monkeypatch.setattr(artifact, "require_servable", somebody_is_faster)
    with pytest.raises(ConflictError, match="archived"):
        back(root)
    assert holder(root) == third.id
    assert stages(root)[first.id[2:]] == "archived"
    assert told(root) == before


def test_a_run_does_not_put_back_what_was_rolled_back(replaced):
    from podium.steps.decisions.promote import demoted

    root, _, second = replaced
    back(root, reason="loses money")
    with open_project(root) as project, project.ledger.reading() as tx:
        candidate = reads.candidate_by_id(tx, second.id)
    with open_project(root) as project:
        assert "loses money" in demoted(project, candidate).sentence


# History.


def test_the_history_says_who_held_a_slot_from_when_to_when_and_why(replaced):
    root, first, second = replaced
    back(root, reason="it fails")
    one, two, three = reigns(root)
    assert [r.candidate_id for r in (one, two, three)] == [first.id, second.id, first.id]
    assert one.until == two.since
    assert two.until <= three.since
    assert three.until == ""
    assert (two.reason, two.ended_reason, two.kind) == ("better", "it fails", "move")
    assert three.kind == "rollback"
    assert one.ended_reason == f"replaced by {second.id}"
    assert len(two.evidence) == 1


def test_a_moment_has_one_champion(replaced):
    root, first, second = replaced
    one, two = reigns(root)
    assert at([one, two], one.since).candidate_id == first.id
    assert at([one, two], two.since).candidate_id == second.id
    assert at([one, two], two.since[:10]).candidate_id == second.id
    with pytest.raises(NotFoundError, match="the slot had no champion"):
        at([one, two], "2001-01-01")
    with pytest.raises(UsageError, match="no date"):
        at([one, two], "yesterday")


def test_the_history_is_shown(replaced, capsys):
    root, _, second = replaced
    assert podium(["show", SLOT, "--history", "--project", str(root)]) == 0
    shown = capsys.readouterr().out
    assert shown.index(second.id) < shown.index("replaced by")
    assert "pass max_drawdown: on the sealed test" in shown
    day = reigns(root)[-1].since[:10]
    assert podium(["show", SLOT, "--at", day, "--json", "--project", str(root)]) == 0
    assert second.id in capsys.readouterr().out


# Which candidate is meant.


def test_a_candidate_is_chosen_by_timeframe_and_version(replaced):
    root, first, second = replaced
    with open_project(root) as project:
        assert chosen(project, timeframe="D")["id"] == second.id
        assert chosen(project, timeframe="D", version=1)["id"] == first.id
        assert chosen(project, SLOT, version=1)["id"] == first.id
        assert chosen(project, second.id)["id"] == second.id
        with pytest.raises(NotFoundError, match="one of 2, 1"):
            chosen(project, SLOT, version=3)
        with pytest.raises(NotFoundError, match=r"timeframe 1H.*Known: D\.$"):
            chosen(project, timeframe="1H")
        with pytest.raises(UsageError):
            chosen(project, SLOT, timeframe="D")
        with pytest.raises(UsageError):
            chosen(project, second.id, version=1)


def test_a_timeframe_of_several_slots_lists_them(tmp_path):
    other = {**projects.SMALL["slots"][SLOT], "target": "log_return"}
    root = projects.small_project(tmp_path / "p", slots={"us4/D/return": other})
    with open_project(root) as project, pytest.raises(UsageError, match="us4/D/return"):
        chosen(project, timeframe="D")


def test_models_are_listed_by_timeframe_and_stage(replaced, capsys):
    root, first, second = replaced
    place = ["--project", str(root), "--json"]
    assert podium(["list", "models", "--stage", "champion", *place]) == 0
    [found] = json.loads(capsys.readouterr().out)["items"]
    assert (found["id"], found["version_type"]) == (second.id, "latest")
    assert podium(["list", "models", "--stage", "archived", *place]) == 0
    [found] = json.loads(capsys.readouterr().out)["items"]
    assert (found["id"], found["version_type"]) == (first.id, "old")
    assert podium(["list", "trials", "--stage", "archived", *place]) == 2


def test_the_verbs_do_what_the_steps_do(replaced, capsys):
    root, first, second = replaced
    place = ["--project", str(root)]
    assert podium(["rollback", SLOT, "--reason", "it fails", *place]) == 0
    assert first.id in capsys.readouterr().out
    assert podium(["sign", second.id, "--reject", "--reason", "no", *place]) == 0
    assert "reject" in capsys.readouterr().out
    again = ["promote", "--timeframe", "D", "--model-version", "2", "--target-stage", "champion"]
    assert podium([*again, "--reason", "fixed", "--dry-run", *place]) == 0
    assert "would be champion" in "".join(capsys.readouterr())
    assert holder(root) == first.id
    assert podium([*again, "--reason", "fixed", *place]) == 0
    assert holder(root) == second.id


def test_kinds_that_only_say_something_move_nothing(root):
    candidate = register(root, "a")
    with open_project(root) as project, project.ledger.transaction(durable=True) as tx:
        for kind in (Kind.SIGN, Kind.WAIVE):
            said = projects.move(candidate.id, Stage.DEVELOPMENT, Stage.CHAMPION)
            decisions.decide(tx, replace(said, kind=kind))
    assert stages(root) == {"a": "development"}
    assert holder(root) is None
