"""Studies with a schedule: the same for any jobs and after any kill; pruned trials; finalists."""

import json
import math

import pytest

import classes
import projects
import quick
from looped import rest_slow
from podium.errors import NotFoundError, UsageError
from podium.ledger import reads, writes
from podium.ledger.projections import experiments
from podium.searches.random import RandomSearch
from podium.steps.archive import gc
from podium.steps.data.bars import slot_data
from podium.steps.evidence.looks import count_configs
from podium.steps.search.extend import _top
from podium.steps.search.grid import grid
from podium.steps.search.sweep import sweep
from podium.steps.search.tune import tune, tuned
from podium.steps.trials import baselines, finalists
from podium.steps.workspace.session import open_project
from podium.trial import State
from projects import SLOT, Saying, outcome, query

pytestmark = pytest.mark.usefixtures("quick_family")


@pytest.fixture
def root(tmp_path):
    return project_in(tmp_path / "small")


def settings(space=None, **tune):
    return {
        "slots": {SLOT: {"families": [quick.NAME]}},
        "tune": {
            "trials": 16,
            "generation": 8,
            "epochs": 5,
            "search": "random",
            "schedule": "halving",
            "finalists": 0,
            **tune,
        },
        "space": {quick.NAME: space or {}},
    }


def project_in(folder, **given):
    return projects.small_project(folder, **projects.merge(settings(), given))


@pytest.fixture(scope="module")
def whole(ladder):
    """A project whose search nobody disturbed, in one process; tests only look at it."""
    return lambda **given: ladder.project("searched", **projects.merge(settings(), given))


def searched(root, reporter=None, **flags):
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    with open_project(root, settings=dotted, reporter=reporter) as project:
        return tune(project, SLOT)


def read(root, **flags):
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    with open_project(root, settings=dotted) as project:
        return tuned(project, SLOT)


def seen(found):
    return [(r.number, r.config, r.state, r.epochs, repr(r.score)) for r in found.trials]


def states(root):
    beside = baselines.families("forecast")
    rows = query(
        root, f"SELECT state, count(*) AS n FROM trial WHERE family NOT IN {beside} GROUP BY 1"
    )
    return {row["state"]: row["n"] for row in rows}


# What it costs and what it says


def test_halving_of_sixty_trials_of_twenty_epochs_trains_two_hundred_epochs(root):
    found = searched(root, tune__trials=60, tune__epochs=20, tune__finalists=4, tune__seeds=1)
    assert len(quick.TRAINED) == 200
    assert states(root) == {"complete": 4, "pruned": 56}
    whole = sorted(r.config["factor"] * r.config["level"] for r in found.trials)[:4]
    kept = [r for r in found.trials if r.state is State.COMPLETE]
    assert sorted(r.config["factor"] * r.config["level"] for r in kept) == whole


def test_saved_epochs_are_reported_and_epochs_of_pruned_trials_are_on_record(root):
    reporter = Saying()
    found = searched(root, reporter)
    epochs = sum(row.epochs for row in found.trials)
    assert epochs == len(quick.TRAINED) == 16 + 8 + 4 * 2 + 2 * 1
    told = f"halving pruned 14 of 16 trials of quick: {epochs} epochs instead of 80"
    assert any(told in said for said in reporter.said)
    pruned = [row for row in found.trials if row.state is State.PRUNED]
    reasons = {f"pruned after epoch {row.epochs} by halving" for row in pruned}
    assert {row.reason for row in pruned} == reasons
    for row in pruned:
        with open_project(root) as project, project.ledger.reading() as tx:
            assert len(reads.epochs_of(tx, row.id)) == row.epochs


def test_an_unused_schedule_changes_no_question_and_no_number(tmp_path):
    plain = project_in(tmp_path / "plain", tune={"schedule": "none"})
    found = searched(plain)
    assert {"schedule", "finalists", "kept"}.isdisjoint(found.study.question)
    assert {row.state for row in found.trials} == {State.COMPLETE}
    assert not (plain / ".podium" / "work" / "paused").exists()


def test_an_unknown_schedule_is_refused(root):
    with pytest.raises(UsageError, match="the schedule is 'halfing'"):
        searched(root, tune__schedule="halfing")


@pytest.mark.parametrize("budget", rest_slow([2, 1, 3, 9], fast=1))
def test_a_budget_smaller_than_a_rung_is_trained_to_its_end(root, budget):
    found = searched(root, tune__epochs=budget)
    rungs = [rung for rung in (1, 2, 4, 8) if rung < budget]
    assert {r.epochs for r in found.trials if r.state is State.PRUNED} <= set(rungs)
    assert {r.epochs for r in found.trials if r.state is State.COMPLETE} == {budget}
    assert any(r.state is State.PRUNED for r in found.trials) == bool(rungs)


def test_a_family_that_cannot_pause_is_not_pruned_and_has_a_message(root, monkeypatch):
    monkeypatch.setattr(quick.QuickFamily, "resumable", False)
    reporter = Saying()
    assert {r.state for r in searched(root, reporter).trials} == {State.COMPLETE}
    [told] = [said for said in reporter.said if "cannot pause" in said]
    assert "quick" in told


def test_a_family_without_epochs_has_no_schedule(root):
    naive = {"slots": {SLOT: {"families": ["naive"]}}, "space": {}}
    projects.configure(root, **projects.merge(settings(), naive))
    assert {r.state for r in searched(root).trials} == {State.COMPLETE}


# The same study, whatever happens


@pytest.mark.parametrize(
    ("search", "schedule", "jobs"),
    rest_slow(
        [
            ("tpe", "halving", 2),
            ("random", "halving", 1),
            ("random", "halving", 2),
            ("random", "median", 2),
            ("tpe", "hyperband", 2),
        ],
        fast=1,
    ),
)
def test_any_runner_and_any_number_of_jobs_gives_the_same_study(
    whole, tmp_path, search, schedule, jobs
):
    given = {"tune": {"search": search, "schedule": schedule, "finalists": 2, "seeds": 2}}
    one, other = whole(**given), project_in(tmp_path / "other", **given)
    again = searched(other, runner__name="local", runner__jobs=jobs)
    assert outcome(one) == outcome(other)
    found = read(one)
    assert seen(found) == seen(again)
    assert found.best.config == again.best.config


@pytest.mark.parametrize("search", ["random", "tpe"])
@pytest.mark.slow
def test_a_study_interrupted_anywhere_ends_the_same(whole, tmp_path, search):
    given = {"tune": {"search": search, "finalists": 2, "seeds": 2}}
    for after in (0, 5, 11, 15):
        root = project_in(tmp_path / f"after-{after}", **given)
        with pytest.raises(KeyboardInterrupt):
            searched(root, projects.Interrupting(after))
        searched(root)
        assert outcome(root) == outcome(whole(**given)), after


@pytest.mark.parametrize(
    ("act", "after", "state"),
    rest_slow(
        [
            *((act, 2, "kept") for act in ("pause_trial", "prune_trials", "end_trial")),
            *((act, 0, "kept") for act in ("pause_trial", "prune_trials", "end_trial")),
            *(("pause_trial", 19, state) for state in ("kept", "lost", "torn")),
            *(("end_trial", 9, state) for state in ("kept", "lost", "torn")),
        ],
        fast=1,
    ),
)
def test_a_kill_between_any_two_writes_changes_nothing(
    whole, tmp_path, monkeypatch, act, after, state
):
    given = {"tune": {"search": "random", "finalists": 2, "seeds": 2}}
    undisturbed, root = outcome(whole(**given)), project_in(tmp_path / "cut", **given)
    done = getattr(writes, act)
    left = [after]

    def dies(*arguments, **more):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return done(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(writes, act, dies)
        # Whoever is killed marks nothing as interrupted.
        patch.setattr(writes, "interrupt_trials", lambda *_: None)
        try:
            searched(root)
        except KeyboardInterrupt:
            pass
        else:
            assert left[0] >= 0
    for path in (root / ".podium" / "work" / "paused").rglob("state"):
        if state == "lost":
            path.unlink()
        elif state == "torn":
            path.write_bytes(path.read_bytes()[:-1])
    found = searched(root)
    assert outcome(root) == undisturbed
    assert seen(found) == seen(searched(root)) == seen(read(root))
    assert not list((root / ".podium" / "work" / "paused").rglob("state"))


def test_a_paused_trial_trains_no_epoch_twice(root):
    with pytest.raises(KeyboardInterrupt):
        searched(root, projects.Interrupting(9))
    searched(root)
    assert len(quick.TRAINED) == 16 + 8 + 4 * 2 + 2 * 1


def test_added_trials_are_a_separate_cohort(root):
    first = searched(root, tune__trials=8)
    more = searched(root, tune__trials=16)
    kept = seen(first)
    assert seen(more)[: len(kept)] == kept
    assert sum(row.state is State.COMPLETE for row in more.trials[8:]) == 1
    assert seen(searched(root, tune__trials=16)) == seen(more)


# Ties, failures, what is not a number


def test_of_equal_trials_the_earlier_ones_survive(root):
    projects.configure(root, **settings({"factor": 1.0, "level": [2, 4]}, trials=2, epochs=2))
    found = searched(root)
    assert [row.state for row in found.trials].count(State.COMPLETE) == 1


def broken(monkeypatch, when, what):
    fit = quick.QuickFamily.fit

    def breaks(self, config, train, validation, *, seed, report, keep=None):
        if not when(config):
            return fit(self, config, train, validation, seed=seed, report=report, keep=keep)
        return what(self, config, train, validation, seed=seed, report=report, keep=keep)

    monkeypatch.setattr(quick.QuickFamily, "fit", breaks)


def raises(*_, **__):
    raise RuntimeError("as it was told")


def test_failed_trials_never_survive_and_take_no_place(root, monkeypatch):
    broken(monkeypatch, lambda config: config["level"] == 1, raises)
    found = searched(root)
    bad = [row for row in found.trials if row.config["level"] == 1]
    assert bad
    assert {row.state for row in bad} == {State.FAILED}
    assert len([r for r in found.trials if r.state is State.COMPLETE]) >= 1
    assert seen(read(root)) == seen(found)


def test_a_study_of_failed_trials_has_a_message_and_is_finished(root, monkeypatch):
    broken(monkeypatch, lambda config: True, raises)
    with pytest.raises(NotFoundError, match="as it was told"):
        searched(root)
    assert states(root) == {"failed": 16}


def test_a_curve_of_nan_is_pruned_first(root, monkeypatch):
    fit = quick.QuickFamily.fit

    def silent(self, config, train, validation, *, seed, report, keep=None):
        def told(epoch, scores):
            report(epoch, dict.fromkeys(scores, math.nan))

        return fit(self, config, train, validation, seed=seed, report=told, keep=keep)

    broken(monkeypatch, lambda config: config["level"] < 4, silent)
    found = searched(root)
    bad = [row for row in found.trials if row.config["level"] < 4]
    assert {(row.state, row.epochs) for row in bad} == {(State.PRUNED, 1)}


# Others want the same trials


def test_a_pruned_trial_of_another_study_is_trained_further(root):
    before = searched(root)
    trained = len(quick.TRAINED)
    plain = searched(root, tune__schedule="none")
    assert {row.state for row in plain.trials} == {State.COMPLETE}
    assert {row.id for row in plain.trials} == {row.id for row in before.trials}
    # States of pruned trials are gone: those are trained from their start, to the same numbers.
    assert len(quick.TRAINED) == trained + 14 * 5
    assert seen(searched(root)) == seen(before) == seen(read(root))
    assert len(quick.TRAINED) == trained + 14 * 5


def test_a_schedule_decides_the_same_on_fully_trained_trials(tmp_path):
    alone, after = project_in(tmp_path / "alone"), project_in(tmp_path / "after")
    searched(after, tune__schedule="none")
    trained = len(quick.TRAINED)
    found = searched(after)
    assert len(quick.TRAINED) == trained
    assert seen(found) == seen(searched(alone))
    assert found.best.state is State.COMPLETE


def test_a_grid_has_no_schedule_by_default(root):
    values = {"factor": [0.5, 0.7, 0.9, 1.1], "level": [1, 2, 3, 4]}
    with open_project(root) as project:
        halved = grid(project, SLOT, values, family=quick.NAME, budget="halving")
        whole = grid(project, SLOT, values, family=quick.NAME)
    assert [row.state for row in whole.trials] == [State.COMPLETE] * 16
    assert [row.state for row in halved.trials].count(State.COMPLETE) == 2
    assert "schedule" not in whole.study.question
    summaries = [
        line
        for line in map(json.loads, (root / experiments.LOG).read_text().splitlines())
        if line["phase"] == experiments.SUMMARY
    ]
    assert [line["num_failed"] for line in summaries] == [0, 0]


def test_the_log_has_a_trial_when_it_is_pruned_and_again_when_it_is_complete(root):
    def swept(**flags):
        dotted = {key.replace("__", "."): value for key, value in flags.items()}
        with open_project(root, settings=dotted) as project:
            found = sweep(project, SLOT, "full", space={"factor": [0.8, 1.0, 1.2, 1.4]})
        lines = (root / experiments.LOG).read_text().splitlines()
        return found, [json.loads(line) for line in lines]

    found, lines = swept()
    pruned = {row.id: row.epochs for row in found.trials if row.state is State.PRUNED}
    assert len(pruned) > 8
    told = {line["id"]: line["epochs_trained"] for line in lines if line["state"] == "pruned"}
    assert told == {f"{id_}/pruned-{epochs}": epochs for id_, epochs in pruned.items()}
    swept(tune__schedule="none")
    _, lines = swept(tune__schedule="none")
    ids = [line["id"] for line in lines]
    assert len(set(ids)) == len(ids) == 2 * len(pruned) + (len(found.trials) - len(pruned))
    assert set(pruned) <= {line["id"] for line in lines if line["state"] == "complete"}


def test_gc_keeps_states_of_paused_trials_only(root):
    with pytest.raises(KeyboardInterrupt):
        searched(root, projects.Interrupting(9))
    place = root / ".podium" / "work" / "paused"
    kept = {path.name for path in place.iterdir()}
    assert kept
    (place / "t-nobody").mkdir()
    (place / "t-nobody" / "state").write_bytes(b"left over")
    with open_project(root) as project:
        gc.collect(project, gc.plan(project))
    assert {path.name for path in place.iterdir()} == kept


# Finalists


def scores_by_seed(monkeypatch, table):
    """Let the model of a config depend on its seed."""
    fit = quick.QuickFamily.fit

    def seeded(self, config, train, validation, *, seed, report, keep=None):
        model = fit(self, config, train, validation, seed=seed, report=report, keep=keep)
        model.factor += table(seed)
        return model

    monkeypatch.setattr(quick.QuickFamily, "fit", seeded)


FINAL = {"tune__schedule": "none", "tune__finalists": 4, "tune__seeds": 3}


def test_finalists_are_the_best_configs_with_further_seeds_and_no_further_looks(root):
    reporter = Saying()
    found = searched(root, reporter, **FINAL)
    assert len(found.finalists) == 4
    assert all(len(one.scores) == 3 for one in found.finalists)
    ranked = sorted(found.trials, key=lambda row: row.score)
    assert {one.row.id for one in found.finalists} == {row.id for row in ranked[:4]}
    rows = query(root, "SELECT phase, number FROM study_trial WHERE phase = 'finalists'")
    assert sorted(row["number"] for row in rows) == list(range(8))
    assert len(found.trials) == 16
    with open_project(root) as project, project.ledger.reading() as tx:
        interval = found.split.validation_interval()
        assert count_configs(tx, slot_data(project.config, SLOT), interval) == 16
    named = query(root, "SELECT id FROM trial WHERE run_id IS NOT NULL")
    assert {row["id"] for row in named} == {row.id for row in found.trials}
    assert any("best of 4 finalists over 3 seeds" in said for said in reporter.said)


def test_a_family_that_ignores_its_seed_is_no_reason_to_fail(root):
    found = searched(root, **FINAL)
    assert [one.sd for one in found.finalists] == [0.0] * 4
    assert found.best.id == min(found.trials, key=lambda row: row.score).id


def test_the_winner_is_the_best_mean_and_not_the_luckiest_seed(root, monkeypatch):
    projects.configure(root, **settings({"factor": [0.6, 0.8, 1.0, 1.2], "level": 4}, trials=4))
    rows = searched(root, tune__schedule="none").trials
    first, second, third, _ = sorted(rows, key=lambda row: row.score)
    monkeypatch.setattr(quick.QuickFamily, "VERSION", 2)
    # With the search's own seed the best config looks like the third.
    unlucky = third.config["factor"] - first.config["factor"]
    scores_by_seed(monkeypatch, lambda seed: unlucky if seed == first.seed else 0.0)
    final = {**FINAL, "tune__seeds": 9}
    found = searched(root, **final)
    assert min(found.trials, key=lambda row: row.score).config == second.config
    assert found.best.config == first.config
    assert read(root, **final).best.id == found.best.id


def test_a_search_without_its_finals_is_not_finished(root):
    searched(root, tune__schedule="none")
    with pytest.raises(NotFoundError, match=r"finalists of .* are not trained"):
        read(root, **FINAL)
    found = searched(root, **FINAL)
    assert seen(read(root, **FINAL)) == seen(found)


def test_a_wider_search_does_not_receive_the_further_seeds(root):
    first = searched(root, **FINAL)
    projects.configure(root, **settings({"level": [1, 2, 3]}))
    wider = searched(root, **FINAL)
    known = [row for row in wider.trials if row.phase == "known"]
    assert known
    assert {row.id for row in known} <= {row.id for row in first.trials}


def test_a_finalist_with_a_failed_seed_does_not_win(root, monkeypatch):
    best = searched(root, tune__schedule="none").best
    broken(
        monkeypatch,
        lambda config: config["factor"] == best.config["factor"],
        raises,
    )
    found = searched(root, **FINAL)
    assert math.isnan(found.finalists[-1].mean)
    assert found.finalists[-1].row.id == best.id
    assert found.best.id != best.id


def test_extend_takes_the_finalists_in_the_order_of_their_means_then_the_rest(root):
    found = searched(root, **FINAL)
    first = [one.row for one in found.finalists][::-1]
    top = _top(first, found.trials, 6, found.data.direction)
    ranked = sorted(found.trials, key=lambda row: row.score)
    assert [row.id for row in top] == [row.id for row in [*first, *ranked[4:6]]]


def test_a_sweep_has_finals_too(root):
    with open_project(root, settings={"tune.finalists": 2, "tune.seeds": 2}) as project:
        found = sweep(project, SLOT, "full", space={"factor": [0.8, 1.0, 1.2, 1.4]})
    assert len(found.finalists) == 2
    assert found.best.id == found.finalists[0].row.id
    assert all(one.row.state is State.COMPLETE for one in found.finalists)


def test_the_best_is_chosen_in_the_metrics_own_direction():
    row = reads.TrialRow(
        "a", "", 0, "f", {}, "c", "", 0, 0, State.COMPLETE, 1.0, *[None] * 4, 0.0, "", "m", None, 0
    )
    pair = [finalists.Finalist(row, (1.0, 2.0)), finalists.Finalist(row, (2.0, 3.0))]
    assert finalists.ranked(pair, "max")[0].mean == 2.5
    assert finalists.ranked(pair, "min")[0].mean == 1.5


# A real network


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["inline", "local"])
def test_a_paused_lstm_equals_one_without_a_pause(tmp_path, runner):
    given = {
        "slots": {SLOT: {"families": ["lstm"]}},
        "tune": {"trials": 6, "generation": 6, "epochs": 3},
    }
    whole = project_in(tmp_path / "whole", **given)
    halved = project_in(tmp_path / "halved", **given)
    searched(whole, tune__schedule="none")
    searched(halved, runner__name=runner, runner__jobs=2)
    kept = """SELECT key, score, loss_hash, prediction_hash, epochs, best_epoch FROM trial
              WHERE state = 'complete' AND family = 'lstm' ORDER BY key"""
    survivors = query(halved, kept)
    assert 0 < len(survivors) < 6
    assert [row for row in query(whole, kept) if row["key"] in {r["key"] for r in survivors}] == (
        survivors
    )


@pytest.mark.slow
def test_classifiers_are_paused_and_pruned_too(tmp_path):
    given = {"trials": 4, "generation": 4, "epochs": 3, "schedule": "halving", "finalists": 1}
    settings = {"tune": {**given, "search": "random"}}
    one = classes.project(tmp_path / "one", **settings)
    other = classes.project(tmp_path / "other", **settings, runner={"name": "local", "jobs": 2})
    for root in (one, other):
        with open_project(root) as project:
            found = tune(project, classes.SLOT)
        assert {row.state for row in found.trials} == {State.COMPLETE, State.PRUNED}
        assert len(found.finalists) == 1
        assert len(found.finalists[0].scores) == 3
    assert outcome(one) == outcome(other)


# ASHA


@pytest.mark.parametrize(("runner", "jobs"), rest_slow([("local", 2), ("inline", 1)], fast=1))
def test_asha_decides_as_trials_arrive_and_its_decisions_stay(tmp_path, runner, jobs):
    root = project_in(tmp_path / "small", tune={"schedule": "asha", "finalists": 2, "seeds": 2})
    flags = {"runner__name": runner, "runner__jobs": jobs}
    found = searched(root, **flags)
    ends = {row.state for row in found.trials}
    assert ends == {State.COMPLETE, State.PRUNED}
    assert {row.epochs for row in found.trials if row.state is State.PRUNED} <= {1, 3}
    assert {row.epochs for row in found.trials if row.state is State.COMPLETE} == {5}
    # The first two to arrive had nobody to be compared with.
    assert sum(row.state is State.COMPLETE for row in found.trials) >= 2
    assert seen(searched(root, **flags)) == seen(found) == seen(read(root))


@pytest.mark.slow
def test_asha_interrupted_anywhere_continues_to_its_end(tmp_path):
    for after in (0, 5, 11):
        root = project_in(tmp_path / f"after-{after}", tune={"schedule": "asha"})
        with pytest.raises(KeyboardInterrupt):
            searched(root, projects.Interrupting(after))
        before = {row["id"] for row in query(root, "SELECT id FROM trial WHERE state = 'pruned'")}
        found = searched(root)
        assert {row.state for row in found.trials} == {State.COMPLETE, State.PRUNED}
        assert before <= {row.id for row in found.trials if row.state is State.PRUNED}
        assert len(read(root).trials) == 16


# What a search is told


def told_of(monkeypatch, root, **flags):
    heard = {}
    tell = RandomSearch.tell

    def tells(self, number, config, score):
        heard[number] = score
        tell(self, number, config, score)

    monkeypatch.setattr(RandomSearch, "tell", tells)
    return searched(root, **flags), heard


def test_a_search_receives_the_best_score_of_a_pruned_trial(root, monkeypatch):
    # What others trained of it later is nothing a search may know.
    searched(root, tune__schedule="none")
    found, heard = told_of(monkeypatch, root)
    pruned = [row for row in found.trials if row.state is State.PRUNED]
    assert {row.epochs for row in pruned} == {1, 2, 4}
    for row in pruned:
        factor = row.config["factor"] * row.config["level"] / 4
        shown = [factor + abs(epoch - 2) for epoch in range(1, row.epochs + 1)]
        assert heard[row.number] == min(shown)


def test_a_pruned_trial_with_a_curve_in_another_metric_has_the_worst_score(root, monkeypatch):
    found, heard = told_of(monkeypatch, root, tune__metric="mae")
    complete = [row.score for row in found.trials if row.state is State.COMPLETE]
    assert complete
    told = {heard[row.number] for row in found.trials if row.state is State.PRUNED}
    assert told == {max(complete)}
