"""MLflow behind a server, in PostgreSQL, and brought over from files; each starts slowly."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import pytest

import projects
from mlflow_places import Place, client, everything, in_child, runs, served
from podium.cli.main import run as podium
from podium.errors import ConflictError
from podium.ledger.projections._mlflow_client import environment
from podium.ledger.projections._mlflow_pass import save_progress
from podium.steps.workspace.session import open_project
from podium.steps.workspace.sync import sync

pytestmark = [
    pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
]


def own_server(folder):
    """MLflow's own server on a store of its own."""
    folder.mkdir()
    return served(f"sqlite:///{folder}/server.db", folder)


def test_a_server_gets_the_same_as_a_file(tmp_path, capfd):
    root = projects.small_project(tmp_path / "p")
    projects.run_project(root)
    projects.configure(root, mlflow={"enabled": True})
    with open_project(root) as project:
        assert sync(project).is_whole
    in_file = everything(f"sqlite:///{root / 'mlflow.db'}")
    with own_server(tmp_path / "server") as address:
        projects.configure(root, mlflow={"enabled": True, "tracking_uri": address})
        with open_project(root) as project:
            capfd.readouterr()
            assert sync(project).is_whole
        # MLflow likes to print where each run can be seen; answers of commands go there.
        assert capfd.readouterr().out == ""
        there = everything(address)
        # Ids are given by each store; a run's own id of its parent is one of them.
        for told in (*in_file.values(), *there.values()):
            told[5].pop("mlflow.parentRunId", None)
        assert there == in_file
        [candidate] = projects.query(root, "SELECT * FROM candidate")
        run = runs(address)[candidate["trial_id"]]
        place = client(address).download_artifacts(run.info.run_id, "last.pt")
        stored = root / "models" / "registry" / candidate["artifact_path"] / "final_model"
        assert Path(place).read_bytes() == (stored / "model.pt").read_bytes()
        # A version that a server hands out works like one in a file.
        import mlflow

        before = mlflow.get_tracking_uri()
        # MLflow tells its URI to later processes through the environment, and podium listens there.
        with mock.patch.dict(os.environ):
            try:
                mlflow.set_tracking_uri(address)
                served = mlflow.pyfunc.load_model("models:/us4.D.volatility/1")
                assert list(served.predict(served.input_example)["ticker"]) == ["AAPL", "IBM"]
            finally:
                mlflow.set_tracking_uri(before)


def test_a_kill_while_a_server_is_fed_doubles_nothing(tmp_path):
    with own_server(tmp_path / "server") as address:
        place = Place(tmp_path / "p", tracking_uri=address)
        ids = place.trials(*range(6))

        def killed():
            mine = Place(place.root, tracking_uri=address)
            write = mine.projection.write

            def die(work, *arguments):
                if work is save_progress:
                    os._exit(9)
                return write(work, *arguments)

            mine.projection.write = die
            mine.projection.drain()

        with environment(place.target):
            import mlflow  # noqa: F401 - before the fork, so that the child need not
        assert in_child(killed) == 9
        place.projection.drain()
        there = runs(address)
        assert set(ids) <= set(there)
        assert place.waiting() == 0
        place.close()


def test_runs_in_files_come_over_with_the_command_that_is_told(tmp_path, capsys):
    root = projects.small_project(tmp_path / "p")
    settings = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    made = (
        "import mlflow; mlflow.set_tracking_uri('./mlruns'); mlflow.set_experiment('component-x')\n"
        "with mlflow.start_run(run_name='val2025w48-l128-biLSTM-baseline-run4'):\n"
        "    mlflow.log_metric('val_loss', 0.5)\n"
    )
    subprocess.run([sys.executable, "-c", made], cwd=root, env=settings, check=True)
    at = ["--project", str(root)]
    assert podium(["sync", "--mlflow", *at]) == 7
    said = capsys.readouterr().err
    assert podium(["sync", "--mlflow-tracking-uri", "./mlruns", *at]) == 2
    assert "migrate-filestore" in capsys.readouterr().err
    command = said[said.lower().index("mlflow migrate") :].partition("   (or")[0].split()
    command = [sys.executable, "-m", "mlflow", *command[1:]]
    subprocess.run(command, cwd=tmp_path, env=settings, check=True)
    assert podium(["sync", "--mlflow", *at]) == 0
    there = client(f"sqlite:///{root / 'mlflow.db'}")
    older = there.get_experiment_by_name("component-x").experiment_id
    [run] = there.search_runs([older])
    assert run.info.run_name == "val2025w48-l128-biLSTM-baseline-run4"


def test_mlflow_may_keep_its_store_in_postgresql(tmp_path, database):
    url = database.replace("postgresql+psycopg://", "postgresql://")
    place = Place(tmp_path / "p", tracking_uri=url)
    ids = place.trials(1, 2)
    assert place.projection.drain().stopped == ""
    there = runs(place.target.uri)
    assert [there[id_].info.run_name for id_ in ids] == ["lstm-run1", "lstm-run2"]
    assert there[ids[0]].info.artifact_uri.startswith((place.root / "mlartifacts").as_uri())
    place.close()


def test_machines_that_share_a_record_send_one_at_a_time(tmp_path, database):
    store = f"sqlite:///{tmp_path}/shared.db"
    here, there = (
        Place(tmp_path / name, record=database, tracking_uri=store) for name in ("here", "there")
    )
    here.trials(1, 2)
    assert there.waiting() == 3
    with here.projection._turn(), pytest.raises(ConflictError, match="another machine"):
        there.projection.drain()
    assert there.projection.drain().sent == 3
    assert here.projection.drain().sent == 0
    assert len(runs(store)) == 3
    for place in (here, there):
        place.close()


def test_a_record_on_a_server_is_fed_beside_a_step(tmp_path, database):
    place = Place(tmp_path / "p", record=database)
    with open_project(place.root) as project:
        study = projects.new_study(project.ledger)
        [id_] = place.trials(1, study=study)
    give_up = time.monotonic() + 300
    while place.waiting():
        assert time.monotonic() < give_up, "the feeder does not get on"
        time.sleep(0.2)
    assert set(runs(place.target.uri)) == {study.id, id_}
    place.close()
