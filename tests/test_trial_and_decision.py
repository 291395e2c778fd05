"""Trials move as their states allow and are named by what they trained; stages by nine moves."""

import itertools
from dataclasses import fields, replace

import pytest

from looped import looped
from podium.decision import (
    STAGE_MOVES,
    Decision,
    Kind,
    Result,
    Stage,
    Verdict,
    require_move,
)
from podium.errors import RefusedError
from podium.trial import MOVES, Key, State, config_hash, trial_seed

ALLOWED = {
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


@looped(("start", "end"), list(itertools.product(Stage, Stage)))
def test_of_sixteen_pairs_of_stages_nine_are_moves(start, end):
    assert len(ALLOWED) == 9
    if (start, end) in ALLOWED:
        require_move(start, end)
        return
    with pytest.raises(RefusedError, match=f"{start} cannot move to {end}") as caught:
        require_move(start, end)
    assert caught.value.exit_code == 4
    for stage in STAGE_MOVES[start]:
        assert str(stage) in str(caught.value)


def test_nobody_becomes_champion_but_out_of_beta():
    assert [s for s in Stage if Stage.CHAMPION in STAGE_MOVES[s]] == [Stage.BETA]


def test_no_stage_is_a_dead_end():
    assert all(STAGE_MOVES[stage] for stage in Stage)


def test_what_is_complete_or_pruned_never_runs_again():
    assert not MOVES[State.COMPLETE]
    assert MOVES[State.PRUNED] == {State.RUNNING}, "somebody else may want it whole"


def test_every_state_is_reached_and_only_running_completes():
    reached = set().union(*MOVES.values())
    assert reached == set(State) - {State.CREATED}
    assert set(MOVES) == set(State)
    for end in (State.COMPLETE, State.FAILED):
        assert [state for state in State if end in MOVES[state]] == [State.RUNNING]


def test_whatever_was_cut_off_can_go_on():
    for state in State:
        if not state.ended:
            assert state is State.INTERRUPTED or State.INTERRUPTED in MOVES[state]
    assert State.RUNNING in MOVES[State.INTERRUPTED]
    assert State.RUNNING in MOVES[State.FAILED]


def test_ended_are_those_that_do_not_go_on_by_themselves():
    assert {s for s in State if s.ended} == {State.COMPLETE, State.PRUNED, State.FAILED}


KEY = Key("lstm", 1, {"units": 16, "rate": 0.1}, "data", "task", "split", 0, 7)


@looped(
    "changed",
    [
        {"family": "naive"},
        {"family_version": 2},
        {"config": {"units": 16, "rate": 0.2}},
        {"config": {"units": 16, "rate": 0.1, "more": 1}},
        {"dataset": "data2"},
        {"task": "task2"},
        {"split": "split2"},
        {"fold": 1},
        {"seed": 8},
    ],
)
def test_a_key_changes_with_each_of_its_parts(changed):
    assert replace(KEY, **changed).hash != KEY.hash


def test_a_key_s_every_part_is_tried_above():
    parts = {field.name for field in fields(Key)}
    assert parts == {
        "family",
        "family_version",
        "config",
        "dataset",
        "task",
        "split",
        "fold",
        "seed",
    }


def test_a_key_knows_no_commit_and_no_order():
    assert not {"commit", "git", "environment"} & {field.name for field in fields(Key)}
    turned = replace(KEY, config={"rate": 0.1, "units": 16})
    assert turned.hash == KEY.hash


def test_two_parts_never_flow_into_one_another():
    assert replace(KEY, dataset="a", task="bc").hash != replace(KEY, dataset="ab", task="c").hash


def test_a_config_counts_once_however_long_it_trains():
    short = config_hash("lstm", {"units": 16, "max_epochs": 3})
    assert short == config_hash("lstm", {"units": 16, "max_epochs": 300})
    assert short == config_hash("lstm", {"units": 16})
    assert short != config_hash("lstm", {"units": 32, "max_epochs": 3})
    assert short != config_hash("gru", {"units": 16, "max_epochs": 3})


def test_seeds_of_trials_are_spread_and_always_the_same():
    seeds = [trial_seed(study, number) for study in range(20) for number in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert trial_seed(7, 0) == trial_seed(7, 0)


DECISION = Decision(
    id="d-1",
    kind=Kind.MOVE,
    slot="us4/D/volatility",
    candidate_id="c-1",
    from_stage=Stage.BETA,
    to_stage=Stage.CHAMPION,
    accepted=True,
    actor="ann",
    reason="better",
    expected_champion=None,
    policy={"beats_baseline": {"p_value": 0.05}},
    verdicts=(Verdict("beats_baseline", Result.PASS, "it does", {"p_value": 0.05}),),
    evidence=("e-1",),
    created_at="2020-01-01T00:00:00+00:00",
    previous_hash="0" * 64,
)


CHANGES = [
    {"id": "d-2"},
    {"kind": Kind.WAIVE},
    {"slot": "us4/D/return"},
    {"candidate_id": "c-2"},
    {"from_stage": None},
    {"to_stage": Stage.ARCHIVED},
    {"accepted": False},
    {"actor": "bob"},
    {"reason": "worse"},
    {"expected_champion": "c-0"},
    {"policy": {}},
    {"verdicts": (Verdict("beats_baseline", Result.REFUSE, "it does", {"p_value": 0.05}),)},
    {"evidence": ("e-1", "e-2")},
    {"created_at": "2021-01-01T00:00:00+00:00"},
    {"previous_hash": "1" * 64},
    {"contents": {"c-1": "2" * 64}},
]


@looped("changed", CHANGES)
def test_a_decision_s_hash_covers_every_field(changed):
    assert replace(DECISION, **changed).hash != DECISION.hash


def test_a_decision_s_every_field_is_tried_above():
    assert {name for case in CHANGES for name in case} == {f.name for f in fields(Decision)}


def test_only_a_pass_or_a_waiver_lets_a_candidate_through():
    passed = [r for r in Result if Verdict("any", r, "because").passed]
    assert passed == [Result.PASS, Result.WAIVED]


def test_a_policy_s_hash_is_of_its_text_alone():
    assert replace(DECISION, actor="bob").policy_hash == DECISION.policy_hash
    stricter = replace(DECISION, policy={"beats_baseline": {"p_value": 0.01}})
    assert stricter.policy_hash != DECISION.policy_hash
