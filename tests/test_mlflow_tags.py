"""The tags of a candidate as they are made from the record, in the formats of before."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import projects
from podium.decision import STAGE_MOVES, Kind, Stage
from podium.ledger import decisions, outbox, writes
from podium.ledger.models import models
from podium.ledger.projections import _mlflow_candidates as candidates
from podium.ledger.projections._mlflow_candidates import Move, _promotions
from podium.ledger.record_reader import RecordReader
from podium.trial import Epoch

TARGET = "mlflow somewhere"
DEVELOPMENT, BETA, CHAMPION = Stage.DEVELOPMENT, Stage.BETA, Stage.CHAMPION


@pytest.fixture
def ledger(tmp_path):
    found = projects.open_ledger(tmp_path)
    yield found
    found.close()


def register(ledger, name, *, steps=None, **other):
    """A candidate and the trial that trained it."""
    study = projects.new_study(ledger)
    with ledger.transaction() as tx:
        trial = projects.new_trial(0, config={"name": name})
        [trial_id] = writes.start_trials(tx, study, [trial], "e" * 64)
    counted = {} if steps is None else {"total_timesteps": float(steps)}
    epochs = (Epoch(0, 1, {"train_loss": 0.5, **counted}),)
    with ledger.transaction() as tx:
        ended = projects.ended(trial_id, epochs=epochs, best_epoch=1)
        writes.end_trial(tx, ended, metric="mse", index_hash=None)
        made = replace(projects.new_candidate(name), trial_id=trial_id, **other)
        return decisions.register(tx, made, "ann")


def tags(ledger, candidate):
    with ledger.reading() as tx:
        found = candidates.of(tx, candidate.id, TARGET).tags
    return {name: value for name, value in found.items() if value not in (None, "")}


def decide(ledger, candidate, *stages, **how):
    for here, there in pairwise(stages):
        decision = replace(projects.move(candidate.id, here, there), **how)
        with ledger.transaction() as tx:
            decisions.decide(tx, decision)


def test_steps_are_told_where_trainings_counted_them(ledger):
    base = register(ledger, "base", steps=100_000)
    child = register(ledger, "child", steps=150_000, parent_id=base.id, model_type="continued")
    assert "previous_timesteps" not in tags(ledger, base)
    assert tags(ledger, base)["total_timesteps"] == 100_000
    told = tags(ledger, child)
    assert (told["previous_timesteps"], told["total_timesteps"]) == (100_000, 150_000)


def test_a_base_is_named_by_its_run_once_there_is_one(ledger):
    base = register(ledger, "base")
    child = register(
        ledger,
        "child",
        parent_id=base.id,
        model_type="replay",
        created_at="2025-06-10T14:17:59.999Z",
    )
    assert "base_model_run_id" not in tags(ledger, child)
    with ledger.transaction() as tx:
        outbox.remember(tx, TARGET, base.trial_id, "abc123")
    told = tags(ledger, child)
    assert told["base_model_run_id"] == "abc123"
    assert told["base_model_path"] == "runs:/abc123/models/model.zip"
    assert told["enhancement_type"] == "replay"
    assert told["enhancement_timestamp"] == "20250610_1417"


def test_only_accepted_moves_leave_tags(ledger):
    one = register(ledger, "one")
    decide(ledger, one, DEVELOPMENT, BETA, accepted=False)
    decide(ledger, one, DEVELOPMENT, CHAMPION, kind=Kind.SIGN)
    assert not [name for name in tags(ledger, one) if name.startswith("promotion_2")]
    assert tags(ledger, one)["promotion_stage"] == "development"


def test_moves_of_one_minute_are_numbered_in_their_order():
    at = ["2025-06-10T14:17:01.000Z", "2025-06-10T14:17:02.000Z", "2025-06-10T14:18:00.000Z"]
    told = _promotions(
        [
            Move(DEVELOPMENT, BETA, at[0], "passed validation"),
            Move(BETA, DEVELOPMENT, at[1], "a mistake"),
            Move(DEVELOPMENT, BETA, at[2], "again"),
        ]
    )
    assert told == {
        "promotion_20250610_1417": "development -> beta",
        "promotion_20250610_1417-2": "beta -> development",
        "promotion_20250610_1418": "development -> beta",
        "last_promoted_at": "20250610_1418",
        "promotion_reason": "again",
        "demotion_timestamp": "20250610_1417",
        "demotion_reason": "a mistake",
    }


@given(st.lists(st.tuples(st.sampled_from(list(Stage)), st.integers(0, 3)), max_size=40))
def test_no_move_is_lost_however_many_share_a_minute(asked):
    here, moves = DEVELOPMENT, []
    for there, minute in asked:
        if there in STAGE_MOVES[here]:
            moves.append(Move(here, there, f"2025-06-10T14:1{minute}:00.000Z", "so"))
            here = there
    told = _promotions(moves)
    said = [value for name, value in told.items() if name.startswith("promotion_2")]
    assert sorted(said) == sorted(f"{move.here} -> {move.there}" for move in moves)
    assert all(candidates.is_state_tag(name) for name in told)


@given(
    st.lists(
        st.tuples(st.sampled_from(["base", "continued", "replay"]), st.integers(0, 9)), max_size=8
    )
)
@pytest.mark.slow
def test_versions_are_as_old_as_the_record_says(tmp_path_factory, asked):
    folder = tmp_path_factory.mktemp("p")
    ledger = projects.open_ledger(folder)
    made = []
    for number, (model_type, parent) in enumerate(asked):
        of = made[parent % len(made)] if made and model_type != "base" else None
        other = {"parent_id": of.id} if of else {}
        made.append(register(ledger, f"c{number}", model_type=model_type, **other))
    listed = models(RecordReader("sqlite:///podium.db", folder, "p-test"))
    told = {c.id: tags(ledger, c)["version_type"] for c in made}
    assert told == {row["id"]: row["version_type"] for row in listed}
    newest = {c.model_type: c.id for c in made}
    assert [
        id_ for id_, said in told.items() if said == "latest" and id_ not in newest.values()
    ] == []
    ledger.close()


def test_a_new_champion_touches_the_one_before(ledger):
    first, second = register(ledger, "first"), register(ledger, "second")
    decide(ledger, first, DEVELOPMENT, BETA)
    decide(ledger, first, BETA, CHAMPION)
    decide(ledger, second, DEVELOPMENT, BETA)
    decide(ledger, second, BETA, CHAMPION, expected_champion=first.id)
    with ledger.reading() as tx:
        item = outbox.waiting(tx, TARGET, kinds=["decision"])[-1]
        assert candidates.touched(tx, item) == [first.id, second.id]
    told = tags(ledger, first)
    assert told["demotion_reason"] == f"New champion promoted: {second.id}"
    assert told["promotion_reason"] == "test"
    assert told["promotion_stage"] == "archived"


def test_a_newcomer_touches_its_parent_and_the_one_before_it_of_its_type(ledger):
    base = register(ledger, "base")
    one = register(ledger, "one", parent_id=base.id, model_type="continued")
    two = register(ledger, "two", parent_id=base.id, model_type="continued")
    with ledger.reading() as tx:
        item = outbox.waiting(tx, TARGET, kinds=["candidate"])[-1]
        assert candidates.touched(tx, item) == [base.id, one.id, two.id]
