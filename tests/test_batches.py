"""Batches: a family that trains several configs together is handed so many tasks at once."""

from collections import Counter, deque
from dataclasses import replace

import pytest

import trio
from podium import registry
from podium.runners._base import run_tasks
from podium.runners._limits import TrialLimits
from podium.runners.inline import InlineRunner
from podium.runners.local import LocalRunner
from podium.testing import families, runners
from podium.testing.tasks import forecast
from podium.trial import State, Task


@pytest.fixture(autouse=True)
def family():
    with trio.offered() as name:
        yield name


@pytest.fixture(params=registry.names("runners"))
def runner(request):
    return registry.load("runners", request.param).RUNNER


def batches(ended):
    """Seeds of the tasks of each batch, sorted."""
    bits = {int(end.epochs[-1].scores["batch"]) for end in ended}
    return sorted([n for n in range(9) if bit >> n & 1] for bit in bits)


def tasks(*does, fold=lambda n: 0, **more):
    """Tasks whose seeds are their numbers; the first of three ends an epoch before the others."""
    return [
        Task(f"t-{n}", {"does": what, "max_epochs": 1 if n % 3 == 0 else 4}, fold(n), n, **more)
        for n, what in enumerate(does)
    ]


def test_the_family_keeps_the_contract():
    made = registry.family(trio.NAME)
    families.check_name_and_space(made)
    families.check_modes(made)
    case = forecast.Case.planted()
    config = {"does": trio.FITS, "max_epochs": 3}
    alone = made.fit(config, case.train, None, seed=3, report=lambda epoch, scores: None)
    events = list(made.fit_many([config] * 3, case.train, None, seeds=[1, 2, 3]))
    assert events[-1].model.level == alone.level


def test_waiting_tasks_of_a_fold_are_one_batch(runner):
    with runner(1) as running:
        job = runners.small_job(trio.NAME)
        ended = list(running.run(job, tasks(*[trio.FITS] * 8, fold=lambda n: n % 2)))
    assert Counter(end.state for end in ended) == {State.COMPLETE: 8}
    assert batches(ended) == [[0, 2, 4], [1, 3, 5], [6], [7]]


@pytest.mark.parametrize("jobs", [1, 2])
def test_scores_equal_those_of_single_trials(runner, jobs):
    job, asked = runners.small_job(trio.NAME), tasks(*[trio.FITS] * 7, fold=lambda n: n // 5)
    alone = {task.trial_id: end for task in asked for end in run_tasks(job, [task])}
    with runner(jobs) as running:
        ended = {end.task.trial_id: end for end in running.run(job, asked)}
    assert ended.keys() == alone.keys()
    for id_, end in ended.items():
        assert (end.score, len(end.epochs)) == (alone[id_].score, len(alone[id_].epochs))
        assert end.losses.tobytes() == alone[id_].losses.tobytes()


def test_each_task_of_a_batch_is_yielded_as_it_ends(runner):
    with runner(1) as running:
        run = running.run(runners.small_job(trio.NAME), tasks(*[trio.FITS] * 3))
        assert next(run).task.trial_id == "t-0"
        if runner is LocalRunner:
            assert set(running.busy()) <= {"t-1", "t-2"}
        assert sorted(end.task.trial_id for end in run) == ["t-1", "t-2"]


def test_a_killed_worker_costs_the_unfinished_tasks_of_its_batch():
    asked = tasks(trio.FITS, trio.FITS, trio.DIES, *[trio.FITS] * 4)
    with LocalRunner(2) as running:
        ended = {end.task.trial_id: end for end in running.run(runners.small_job(trio.NAME), asked)}
    failed = {id_ for id_, end in ended.items() if end.state is State.FAILED}
    assert (len(ended), failed) == (7, {"t-1", "t-2"})
    assert all("SIGKILL" in ended[id_].reason for id_ in failed)


def test_a_batch_beyond_its_limits_keeps_its_ended_tasks():
    asked = tasks(trio.FITS, trio.HANGS, trio.FITS, trio.FITS)
    with LocalRunner(1) as running:
        running.limits = TrialLimits(seconds=1.0)
        ended = {end.task.trial_id: end for end in running.run(runners.small_job(trio.NAME), asked)}
    states = {id_: end.state is State.COMPLETE for id_, end in ended.items()}
    assert states == {"t-0": True, "t-1": False, "t-2": False, "t-3": True}
    assert "took longer than 1 s" in ended["t-1"].reason


def test_a_halt_ends_with_the_batch_that_is_running(runner):
    halted = False
    with runner(1) as running:
        running.halted = lambda: halted
        ended = []
        for end in running.run(runners.small_job(trio.NAME), tasks(*[trio.FITS] * 9)):
            ended.append(end)
            halted = True
    assert [end.task.trial_id for end in ended] == ["t-0", "t-1", "t-2"]
    assert batches(ended) == [[0, 1, 2]]


def test_tasks_of_a_batch_pause_each_at_its_epoch(runner, tmp_path):
    job = runners.small_job(trio.NAME)
    whole = {end.task.trial_id: end for end in run_tasks(job, tasks(*[trio.FITS] * 3))}
    job = replace(job, pause_to=str(tmp_path / "states"))
    asked = tasks(*[trio.FITS] * 3)
    with runner(1) as running:
        first = [replace(task, until=n) for n, task in enumerate(asked)]
        ended = {end.task.trial_id: end for end in running.run(job, first)}
        states = [ended[f"t-{n}"].state for n in range(3)]
        assert states == [State.COMPLETE, State.PAUSED, State.PAUSED]
        assert [len(ended[f"t-{n}"].epochs) for n in range(3)] == [1, 1, 2]
        for end in running.run(job, asked[1:]):
            expected = whole[end.task.trial_id]
            assert (end.score, len(end.epochs)) == (expected.score, 4)


def test_a_growing_deque_is_consumed_in_batches(runner):
    first, *later = tasks(*[trio.FITS] * 7)
    queue = deque([first])
    with runner(1) as running:
        ended = []
        for end in running.run(runners.small_job(trio.NAME), queue):
            ended.append(end)
            queue.extend(later)
            later = []
    assert sorted(end.task.trial_id for end in ended) == [f"t-{n}" for n in range(7)]
    assert batches(ended) == [[0], [1, 2, 3], [4, 5, 6]]


def test_a_family_without_together_receives_one_task_at_a_time():
    assert registry.family("naive").together == 1
    with InlineRunner(1) as running:
        queue = deque(Task(f"t-{n}", {"method": "last", "debias": False}, 0, n) for n in range(3))
        for left, _ in enumerate(running.run(runners.small_job("naive"), queue)):
            assert len(queue) == 2 - left
