"""Workers: one copy of the bars for all, limits of a trial, devices, how a worker's end is told."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from podium.cli.main import run
from podium.environ import variables
from podium.errors import UsageError
from podium.runners._limits import GIB, TrialLimits, own_memory
from podium.runners._share import SharedJob, load_shared
from podium.runners.inline import InlineRunner
from podium.runners.local import THREADS, LocalRunner
from podium.steps.workspace.session import open_project
from podium.testing import fakes, runners
from podium.trial import State, Task
from projects import query, small_project


def mapped(job):
    """The job as a worker gets it."""
    shared = SharedJob(job)
    try:
        return load_shared(shared.head, shared.parts, os.dup(shared.file.fileno()))
    finally:
        shared.close()


def test_a_mapped_job_is_the_job():
    job = runners.small_job("naive")
    found = mapped(job)
    assert (found.family, found.metric, found.folds.keys()) == (
        job.family,
        job.metric,
        job.folds.keys(),
    )
    for name in ("features", "past", "times"):
        np.testing.assert_array_equal(getattr(found.view, name), getattr(job.view, name))
        assert getattr(found.view, name).dtype == getattr(job.view, name).dtype
    for number, fold in job.folds.items():
        np.testing.assert_array_equal(found.folds[number].train, fold.train)
        np.testing.assert_array_equal(found.folds[number].validation, fold.validation)


def test_changes_to_mapped_bars_stay_in_their_process():
    job = runners.small_job("naive")
    shared = SharedJob(job)
    one, other = (
        load_shared(shared.head, shared.parts, os.dup(shared.file.fileno())) for _ in range(2)
    )
    one.view.features[...] = 7.0
    assert not (other.view.features == 7.0).any()
    np.testing.assert_array_equal(other.view.features, job.view.features)
    shared.close()
    np.testing.assert_array_equal(other.view.features, job.view.features)


def test_the_bars_are_in_no_file_that_could_be_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("podium.runners._share.MEMORY", tmp_path)
    shared = SharedJob(runners.small_job("naive"))
    assert list(tmp_path.iterdir()) == []
    assert shared.file.seek(0, os.SEEK_END) > 0
    shared.close()


def test_without_room_in_memory_the_bars_are_in_a_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("podium.runners._share.MEMORY", tmp_path / "not there")
    np.testing.assert_array_equal(
        mapped(runners.small_job("naive")).view.features, runners.small_job("naive").view.features
    )


def test_a_worker_does_not_grow_with_the_bars():
    used = []
    for factor in (1, 30_000):
        job = runners.small_job("naive")
        object.__setattr__(job.view, "features", np.tile(job.view.features, (1, 1, factor)).copy())
        with LocalRunner(1) as running:
            task = Task("t", {"method": "last", "debias": False}, 0, seed=0)
            [ended] = running.run(job, [task])
            assert ended.state is State.COMPLETE, ended.reason
            used.append(own_memory(running._workers[0].process.pid))
    assert job.view.features.nbytes > 2**26
    assert used[1] - used[0] < 2**24


def test_the_reason_of_a_killed_worker_has_the_usual_causes():
    with fakes.installed() as family, LocalRunner(1) as running:
        job = runners.small_job(family)
        [ended] = running.run(job, [Task("t", {"does": fakes.DIES}, 0, seed=0)])
    assert ended.state is State.FAILED
    assert "SIGKILL" in ended.reason
    assert "memory ran out" in ended.reason
    assert ended.seconds > 0


def test_reasons_of_limits_name_their_settings():
    assert TrialLimits(seconds=60).exceeded(os.getpid(), 61) == (
        "took longer than 60 s (runner.max_seconds)"
    )
    assert TrialLimits(seconds=60).exceeded(os.getpid(), 59) == ""
    found = TrialLimits(memory=1).exceeded(os.getpid(), 0)
    assert found.startswith("used ")
    assert found.endswith("GiB allowed (runner.max_memory)")
    assert TrialLimits(memory=64 * GIB).exceeded(os.getpid(), 0) == ""
    assert not TrialLimits()


def test_the_memory_of_a_process_that_is_gone_is_unknown():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert own_memory(child) is None


# Devices -----------------------------------------------------------------------------------------

CONFIG = {
    "lstm_units": 4,
    "learning_rate": 0.01,
    "batch_size": 64,
    "dropout": 0.1,
    "weight_decay": 1e-4,
    "layers": 1,
    "max_epochs": 1,
}


def trained(count, **settings):
    """How trials of an LSTM ended in a local runner, and the devices of its workers."""
    tasks = [Task(f"t-{n}", CONFIG, 0, seed=n) for n in range(count)]
    with LocalRunner(2) as running:
        for name, value in settings.items():
            setattr(running, name, value)
        ended = list(running.run(runners.small_job("lstm"), tasks))
        return ended, [worker.device for worker in running._workers]


def test_each_device_has_one_worker():
    fits = Task("t", {"does": fakes.FITS}, 0, seed=0)
    for devices, count, expected in (
        (("one",), 3, ["one"]),
        (("one", "two", "three"), 3, ["one", "two"]),
        (("one", "two"), 1, ["one"]),
        ((), 3, ["", ""]),
    ):
        with fakes.installed() as family, LocalRunner(2) as running:
            running.devices = devices
            list(running.run(runners.small_job(family), [fits] * count))
            assert [worker.device for worker in running._workers] == expected


def test_a_family_with_device_support_trains_on_its_workers_device():
    pytest.importorskip("torch")
    [ended], devices = trained(1, devices=("tpu", "cpu"))
    assert devices == ["tpu"]
    assert ended.state is State.FAILED
    assert "device is 'tpu'" in ended.reason
    assert "usable here: " in ended.reason


@pytest.mark.parametrize("runner", [InlineRunner, LocalRunner])
def test_the_device_of_a_job_is_its_familys(runner):
    pytest.importorskip("torch")
    job = runners.small_job("lstm")
    with runner(1) as running:
        [away] = running.run(replace(job, device="tpu"), [Task("t-0", CONFIG, 0, seed=0)])
        [here] = running.run(job, [Task("t-1", CONFIG, 0, seed=0)])
    assert "device is 'tpu'" in away.reason
    assert here.state is State.COMPLETE


def test_a_replacement_worker_has_the_device_of_the_lost_one():
    job = Task("t", {"does": fakes.DIES}, 0, seed=0)
    with fakes.installed() as family, LocalRunner(2) as running:
        running.devices = ("one", "two")
        list(running.run(runners.small_job(family), [job, job, job]))
        assert [worker.device for worker in running._workers] == ["one", "two"]


@pytest.mark.slow
def test_the_device_of_the_cpu_changes_no_bit():
    pytest.importorskip("torch")
    (usual,), _ = trained(1)
    (named,), _ = trained(1, devices=("cpu",))
    assert usual.losses.tobytes() == named.losses.tobytes()


def test_missing_devices_are_refused_with_the_available_ones():
    torch = pytest.importorskip("torch")
    from podium.families._torch import devices_of

    assert devices_of("cpu") == ("cpu",)
    for name in ("cuda:99", "cuda:99,cuda:100", "tpu", "cpu:1"):
        with pytest.raises(UsageError, match=r"usable here: .*cpu"):
            devices_of(name)
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert devices_of("auto") == ("cpu",)
        with pytest.raises(UsageError, match=r"device is 'cuda', and this machine has none\."):
            devices_of("cuda")


def test_several_devices_are_distinguished(monkeypatch):
    torch = pytest.importorskip("torch")
    from podium.families._torch import devices_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert devices_of("cuda") == devices_of("auto") == ("cuda:0", "cuda:1", "cuda:2")
    assert devices_of("cuda:2,cuda:0,cuda:2") == ("cuda:2", "cuda:0")
    with pytest.raises(
        UsageError, match=r"device is 'cuda:3'.*usable here: cuda:0, cuda:1, cuda:2"
    ):
        devices_of("cuda:1,cuda:3")


def test_a_missing_device_stops_a_search_before_it_starts(tmp_path, capsys):
    pytest.importorskip("torch")
    root = small_project(tmp_path / "small", runner={"name": "local"})
    assert run(["tune", "--project", str(root), "--device", "cuda:99"]) == 2
    assert "device is 'cuda:99'" in capsys.readouterr().err
    assert query(root, "SELECT count(*) AS n FROM trial") == [{"n": 0}]
    assert run(["tune", "--project", str(root), "--device", "gpu"]) == 2
    assert "cpu, cuda, cuda:0,cuda:1, mps or auto" in capsys.readouterr().err


def test_the_device_is_recorded_with_the_environment(tmp_path, monkeypatch):
    root = small_project(tmp_path / "small", runner={"name": "local", "device": "cuda"})
    with open_project(root) as project:
        monkeypatch.setitem(project.__dict__, "devices", ("cuda:0", "cuda:1"))
        assert project.environment
        assert project.runner.devices == ("cuda:0", "cuda:1")
    [row] = query(root, "SELECT machine FROM environment")
    assert json.loads(row["machine"])["device"] == "cuda:0, cuda:1"


def test_without_a_device_the_record_says_cpu_and_one_thread(tmp_path):
    root = small_project(tmp_path / "small")
    with open_project(root) as project:
        assert project.environment
    [row] = query(root, "SELECT machine FROM environment")
    machine = json.loads(row["machine"])
    assert (machine["device"], machine["threads_a_trial"]) == ("cpu", 1)


def test_workers_have_one_thread_in_every_library():
    with variables(THREADS):
        found = {name: os.environ[name] for name in THREADS}
    assert set(found) >= {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    assert {value for name, value in found.items() if name.endswith("THREADS")} == {"1"}
    assert found["OMP_WAIT_POLICY"] == "PASSIVE"
