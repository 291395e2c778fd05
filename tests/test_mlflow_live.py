"""Curves in MLflow while trials run: from the first epoch, each point once, and the right end."""

import os
import shutil
from importlib.util import find_spec

import pytest

import projects
from mlflow_places import Place, client, runs
from podium.errors import DataError
from podium.ledger import writes
from podium.ledger.projections._mlflow_live import FOLDER, LiveFiles
from podium.ledger.projections._mlflow_pass import SyncPass
from podium.runners._live import LiveCurves, forget, read
from podium.runners.inline import InlineRunner
from podium.runners.local import LocalRunner
from podium.steps.data.bars import slot_data
from podium.steps.trials.execute import job_of
from podium.steps.workspace.session import open_project
from podium.testing.series import bars
from podium.trial import Epoch, State, Task

pytestmark = [
    pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed"),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def place(empty_store, tmp_path):
    root = tmp_path / "place"
    root.mkdir()
    shutil.copy(empty_store, root)
    found = Place(root)
    yield found
    found.close()


class Training:
    """A trial that runs, with its curve in a file as a runner writes it."""

    def __init__(self, place, number=1):
        self.place = place
        self.folder = place.root / FOLDER / str(os.getpid())
        self.folder.mkdir(parents=True, exist_ok=True)
        self.study = place.study()
        self.curves = LiveCurves(str(self.folder))
        self.files = LiveFiles(place.root)
        self.number = number
        self.start()

    def start(self):
        with self.place.ledger.transaction() as tx:
            new = [projects.new_trial(self.number)]
            [self.id] = writes.start_trials(tx, self.study, new, "e" * 64)

    def train(self, *epochs):
        for epoch in epochs:
            self.curves.add(self.id, epoch, scores(epoch))

    def send(self):
        sent = self.place.projection.drain(live=self.files)
        assert not sent.refused
        assert not sent.stopped

    def interrupt(self):
        self.place.ledger.write(writes.interrupt_trials, [self.id])
        forget(str(self.folder), self.id)

    def end(self, last):
        curve = tuple(Epoch(0, epoch, scores(epoch)) for epoch in range(1, last + 1))
        ended = projects.ended(self.id, epochs=curve, best_epoch=last)
        with self.place.ledger.transaction() as tx:
            writes.end_trial(tx, ended, metric="mse", index_hash=None)
        forget(str(self.folder), self.id)

    @property
    def run(self):
        return runs(self.place.target.uri)[self.id]

    def history(self, name="val_loss"):
        points = client(self.place.target.uri).get_metric_history(self.run.info.run_id, name)
        return [(point.step, point.value) for point in points]


def scores(epoch):
    return {"train_loss": 1 / epoch, "val_loss": 2 / epoch}


def curve(*epochs):
    return [(epoch, 2 / epoch) for epoch in epochs]


def test_a_run_is_there_at_the_first_epoch_and_each_point_once_at_the_end(place):
    training = Training(place)
    training.train(1)
    training.send()
    assert training.run.info.status == "RUNNING"
    assert training.run.data.params["dropout"] == "0.001"
    assert training.history() == curve(1)
    training.train(2, 3)
    training.send()
    training.send()
    assert training.history() == curve(1, 2, 3)
    training.end(5)
    training.send()
    assert training.run.info.status == "FINISHED"
    assert training.history() == curve(1, 2, 3, 4, 5)
    assert not projects.query(place.root, "SELECT * FROM projected WHERE target LIKE '% live'")


def test_an_interrupted_training_is_killed_in_mlflow_until_it_continues(place):
    training = Training(place)
    training.train(1, 2)
    training.send()
    training.interrupt()
    assert place.projection.left()
    training.send()
    assert training.run.info.status == "KILLED"
    assert not place.projection.left()
    training.start()
    # Another process, which trains from the start and does not know what was sent.
    training.curves, training.files = LiveCurves(str(training.folder)), LiveFiles(place.root)
    training.train(1, 2, 3)
    training.send()
    assert training.run.info.status == "RUNNING"
    assert training.history() == curve(1, 2, 3)
    training.end(3)
    training.send()
    assert training.run.info.status == "FINISHED"
    assert training.history() == curve(1, 2, 3)


def test_nothing_is_lost_while_the_store_is_away(place):
    training = Training(place)
    training.train(1)
    training.send()
    store = place.root / "mlflow.db"
    away = store.rename(place.root / "away")
    store.mkdir()
    training.train(2)
    with pytest.raises(DataError):
        place.projection.drain(live=training.files)
    training.train(3)
    store.rmdir()
    away.rename(store)
    training.send()
    assert training.history() == curve(1, 2, 3)


def test_a_run_that_a_kill_left_unrecorded_is_found_again(place, monkeypatch):
    training = Training(place)
    training.train(1)

    # Killed between MLflow's answer and the record.
    def killed(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SyncPass, "flush", killed)
        with pytest.raises(KeyboardInterrupt):
            place.projection.drain(live=training.files)
    place.trials(7, 8)
    training.end(2)
    training.send()
    assert training.history() == curve(1, 2)
    assert len(runs(place.target.uri)) == 4


def test_curves_of_ended_processes_are_removed(tmp_path):
    folder = tmp_path / FOLDER / "999999999"
    folder.mkdir(parents=True)
    LiveCurves(str(folder)).add("t-1", 1, {"val_loss": 0.5})
    assert not LiveFiles(tmp_path).trials()
    assert not folder.exists()


def test_a_half_line_of_a_killed_writer_is_ignored(tmp_path):
    curves = LiveCurves(str(tmp_path))
    curves.add("t-1", 1, {"val_loss": 0.5})
    path = tmp_path / "t-1.jsonl"
    path.write_text(path.read_text() + '[2, 17000, {"val')
    [row] = read(path)
    assert (row.epoch, row.scores) == (1, {"val_loss": 0.5})


@pytest.mark.slow
def test_runners_write_curves_only_where_they_are_sent(tmp_path):
    root = projects.small_project(tmp_path / "p")
    with open_project(root) as project:
        data = slot_data(project.config, projects.SLOT)
        split = data.held_out(0.3)
        job = job_of(data, split, "lstm")
    config = {**data.family("lstm").space(data.view).usual, "layers": 1, "max_epochs": 3}
    for kind in (InlineRunner, LocalRunner):
        for folder in ("", str(tmp_path / kind.__name__)):
            with kind(1) as runner:
                if folder:
                    (tmp_path / kind.__name__).mkdir()
                runner.live_to = folder
                [ended] = runner.run(job, [Task("t-1", config, 0, 7)])
            assert ended.state is State.COMPLETE
        rows = read(tmp_path / kind.__name__ / "t-1.jsonl")
        assert [(row.epoch, row.scores) for row in rows] == [
            (epoch.epoch, epoch.scores) for epoch in ended.epochs
        ]


def test_a_run_names_its_dataset_by_the_fingerprint_of_its_content(place):
    dataset, study = bars(99), place.study()
    with place.ledger.transaction() as tx:
        writes.put_dataset(tx, dataset)
        new = [projects.new_trial(1, dataset=dataset.fingerprint)]
        [trial] = writes.start_trials(tx, study, new, "e" * 64)
        writes.end_trial(tx, projects.ended(trial), metric="mse", index_hash=None)
    place.projection.drain()
    [put] = runs(place.target.uri)[trial].inputs.dataset_inputs
    assert (put.dataset.name, put.dataset.digest) == (dataset.name, dataset.fingerprint[:36])
    assert '"samples":99' in put.dataset.profile
    assert [(tag.key, tag.value) for tag in put.tags] == [
        ("mlflow.data.context", "training and validation")
    ]
