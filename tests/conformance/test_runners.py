"""Every file in runners/ keeps the contract; a new one is tested without a line here."""

import pytest

from podium import registry
from podium.runners._base import work
from podium.runners.inline import InlineRunner
from podium.testing import fakes, runners
from podium.trial import State, Task

CHECKS = [
    runners.check_every_task_ends_once,
    runners.check_failures_are_told,
    runners.check_a_failing_forecast_is_told,
    runners.check_a_forgotten_config_is_told,
    runners.check_lost_worker_costs_one_trial,
    runners.check_a_worker_lost_between_runs_costs_at_most_one_trial,
    runners.check_an_abandoned_run_is_forgotten,
    runners.check_a_halted_run_starts_nothing_new,
    runners.check_what_goes_beyond_its_limits_is_ended,
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
    expected = {end.task.trial_id: end.losses.tobytes() for end in work(job, tasks)}
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

    with pytest.raises(AssertionError, match="were to end once each"):
        runners.check_every_task_ends_once(Forgetful)


def test_the_kit_finds_a_runner_that_says_it_twice():
    class Stammering(InlineRunner):
        def run(self, job, tasks):
            for end in super().run(job, tasks):
                yield end
                yield end

    with pytest.raises(AssertionError, match="were to end once each"):
        runners.check_every_task_ends_once(Stammering)


def test_the_kit_gives_up_on_a_runner_that_says_nothing(monkeypatch):
    monkeypatch.setattr(runners, "PATIENCE", 0.1)

    class Silent(InlineRunner):
        def run(self, job, tasks):
            import time

            time.sleep(1.0)
            yield from super().run(job, tasks)

    with pytest.raises(AssertionError, match="nothing was heard"):
        runners.check_every_task_ends_once(Silent)


def test_the_misbehaving_family_is_gone_when_the_test_is():
    with fakes.installed() as name:
        assert registry.exists("families", name)
    assert not registry.exists("families", fakes.NAME)
