"""Every file in runners/ keeps the contract; a new one is tested without a line here."""

from collections import deque
from dataclasses import replace

import pytest

from podium import registry
from podium.runners._base import run_tasks
from podium.runners.inline import InlineRunner
from podium.testing import fakes, runners
from podium.trial import State, Task

CHECKS = [
    runners.check_every_task_ends_once,
    runners.check_a_failure_costs_one_trial,
    runners.check_a_worker_lost_between_runs_costs_at_most_one_trial,
    runners.check_an_abandoned_run_is_forgotten,
    runners.check_a_halted_run_starts_nothing_new,
    runners.check_what_goes_beyond_its_limits_is_ended,
    runners.check_files_of_trials_come_back,
]


@pytest.fixture(params=registry.names("runners"))
def runner(request):
    return registry.load("runners", request.param).RUNNER


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_runner_keeps_the_contract(runner, check):
    check(runner)


def test_every_runner_gives_the_same_scores_to_the_bit(runner):
    pytest.importorskip("torch")
    job = runners.small_job("lstm")
    config = {
        "lstm_units": 8,
        "learning_rate": 0.01,
        "batch_size": 64,
        "dropout": 0.1,
        "weight_decay": 1e-4,
        "layers": 1,
        "max_epochs": 2,
    }
    tasks = [Task(f"t-{n}", config, n % 2, seed=n) for n in range(3)]
    expected = {end.task.trial_id: end.losses.tobytes() for end in run_tasks(job, tasks)}
    with runner(2) as running:
        found = {end.task.trial_id: end.losses.tobytes() for end in running.run(job, tasks)}
    assert found == expected


def test_models_are_left_in_a_folder_a_trial(runner, tmp_path):
    base = runners.small_job("naive")
    job = type(base)(base.family, base.metric, base.view, base.folds, save_to=str(tmp_path))
    task = Task("t-7", {"method": "last", "debias": True}, 0, seed=0)
    with runner(1) as running:
        (end,) = running.run(job, [task])
    assert end.state is State.COMPLETE
    assert (tmp_path / "t-7" / "naive.json").is_file()


def test_the_kit_finds_a_runner_that_loses_a_task():
    class Forgetful(InlineRunner):
        def run(self, job, tasks):
            return super().run(job, tasks[:-1])

    with pytest.raises(AssertionError, match="had to end once each"):
        runners.check_every_task_ends_once(Forgetful)


def test_the_kit_finds_a_runner_that_yields_an_end_twice():
    class Stammering(InlineRunner):
        def run(self, job, tasks):
            for end in super().run(job, tasks):
                yield end
                yield end

    with pytest.raises(AssertionError, match="had to end once each"):
        runners.check_every_task_ends_once(Stammering)


def test_the_kit_times_out_on_a_silent_runner(monkeypatch):
    monkeypatch.setattr(runners, "PATIENCE", 0.1)

    class Silent(InlineRunner):
        def run(self, job, tasks):
            import time

            time.sleep(1.0)
            yield from super().run(job, tasks)

    with pytest.raises(AssertionError, match="no event for"):
        runners.check_every_task_ends_once(Silent)


def test_the_misbehaving_family_is_removed_after_the_test():
    with fakes.installed() as name:
        assert registry.exists("families", name)
    assert not registry.exists("families", fakes.NAME)


LSTM = {
    "lstm_units": 4, "learning_rate": 0.01, "batch_size": 64, "dropout": 0.1,
    "weight_decay": 1e-4, "layers": 1, "max_epochs": 3,
}  # fmt: skip


def test_every_runner_pauses_and_resumes_a_task_to_the_bit(runner, tmp_path):
    pytest.importorskip("torch")
    job = replace(runners.small_job("lstm"), pause_to=str(tmp_path))
    with runner(2) as running:
        [whole] = running.run(runners.small_job("lstm"), [Task("t-0", LSTM, 0, 5)])
        [paused] = running.run(job, [Task("t-0", LSTM, 0, 5, until=2)])
        assert paused.state is State.PAUSED
        assert paused.epochs == whole.epochs[:2]
        # Asked again, it is there already; nothing is trained.
        [again] = running.run(job, [Task("t-0", LSTM, 0, 5, until=1)])
        assert (again.state, again.epochs) == (State.PAUSED, whole.epochs[:1])
        [end] = running.run(job, [Task("t-0", LSTM, 0, 5)])
    assert (end.state, end.score, end.epochs) == (State.COMPLETE, whole.score, whole.epochs)
    assert end.losses.tobytes() == whole.losses.tobytes()


def test_every_runner_accepts_tasks_added_while_it_runs(runner):
    job = runners.small_job("naive")
    configs = [{"method": name, "debias": False} for name in ("last", "zero", "history", "ewma")]
    later = deque(Task(f"t-{n}", config, 0, n) for n, config in enumerate(configs))
    queue = deque([later.popleft()])
    with runner(2) as running:
        ended = []
        for end in running.run(job, queue):
            ended.append(end.task.trial_id)
            if later:
                queue.append(later.popleft())
    assert sorted(ended) == ["t-0", "t-1", "t-2", "t-3"]
