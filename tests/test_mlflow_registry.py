"""Candidates in MLflow's registry: tags, versions, the champion's alias, models that predict."""

import datetime as dt
import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import warnings
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

import podium
import projects
from mlflow_models import MODEL, another, contend, moved, told
from mlflow_places import client
from podium import pyfunc, resolve
from podium.cli.main import run as cli
from podium.decision import Stage
from podium.evidence import Scalar
from podium.ledger import outbox, writes
from podium.steps.decisions.rollback import rollback
from podium.steps.evidence.evidence import evidence_about
from podium.steps.workspace import projections
from podium.steps.workspace.session import open_project
from podium.steps.workspace.sync import check, sync

pytestmark = [
    pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed"),
    pytest.mark.filterwarnings("default"),
]
DEVELOPMENT, BETA, CHAMPION = Stage.DEVELOPMENT, Stage.BETA, Stage.CHAMPION
# What the older system called a run's and a version's tags.
MINUTE = re.compile(r"\d{8}_\d{4}")


@pytest.fixture(scope="module")
def made(ladder, empty_store, tmp_path_factory):
    """A project with a champion, before anything was sent."""
    place = tmp_path_factory.mktemp("made") / "small"
    root = ladder.copy(place, "finished", "long", policies=projects.LENIENT)
    shutil.copy(empty_store, root)
    projects.configure(root, policies=projects.LENIENT, mlflow={"enabled": True})
    return root


@pytest.fixture(scope="module")
def sent(made, tmp_path_factory):
    """The same after a sync, for tests that only look."""
    root = shutil.copytree(made, tmp_path_factory.mktemp("sent") / "small")
    synced(root)
    return root


@pytest.fixture
def root(sent, tmp_path):
    """A copy to be changed; what MLflow has of it so far lies in the first one's folder."""
    return shutil.copytree(sent, tmp_path / "small")


def synced(root, **how):
    with open_project(root) as project:
        found = sync(project, **how)
    assert found.is_whole, found
    return found


def differing(root):
    with open_project(root) as project:
        return check(project).differing


def champion_of(root):
    [row] = projects.query(root, "SELECT * FROM candidate WHERE version = 1")
    return row


def uri(root):
    return f"sqlite:///{root / 'mlflow.db'}"


@pytest.fixture
def ask():
    """MLflow's own ways to a model, its settings put back afterwards."""
    import mlflow

    before = mlflow.get_tracking_uri()
    environment = dict(os.environ)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

    def loaded(root, name=f"models:/{MODEL}@champion"):
        mlflow.set_tracking_uri(uri(root))
        return mlflow.pyfunc.load_model(name)

    yield loaded
    mlflow.set_tracking_uri(before)
    os.environ.clear()
    os.environ.update(environment)


def bars(root, n=120):
    frames = [
        pd.read_csv(root / "data" / "us4" / f"{ticker}.csv").tail(n).assign(ticker=ticker)
        for ticker in ("AAPL", "IBM")
    ]
    return pd.concat(frames).rename(columns={"date": "time"})


# Tags


def test_run_and_version_tell_the_same_of_a_champion_in_the_words_of_before(sent):
    row = champion_of(sent)
    [(candidate, there)] = told(sent).items()
    tags = there["version"]
    assert candidate == row["id"]
    assert there["run"] == tags
    expected = {
        "timeframe": "D",
        "model_type": "base",
        "version_type": "latest",
        "promotion_stage": "champion",
        "podium.version": "1",
        "podium.artifact_hash": row["artifact_hash"],
    }
    assert {name: tags[name] for name in expected} == expected
    assert MINUTE.fullmatch(tags["last_promoted_at"])
    assert tags["promotion_reason"] == "podium run"
    moves = [value for name, value in sorted(tags.items()) if name.startswith("promotion_2")]
    assert moves == ["development -> beta", "beta -> champion"]
    assert not {"enhancement_type", "base_model_path", "demotion_reason"} & set(tags)


def test_an_enhanced_model_names_its_base_whose_version_turns_old(root, ask):
    base = another(root, "base")
    child = another(root, "child", model_type="continued", parent=base)
    synced(root)
    there = told(root)
    tags = there[child.id]["version"]
    assert there[child.id]["run"] == tags
    assert tags["model_type"] == tags["enhancement_type"] == "continued"
    assert tags["version_type"] == "latest"
    assert tags["base_model_run_id"] == there[base.id]["run_id"]
    assert tags["base_model_path"] == f"runs:/{there[base.id]['run_id']}/models/D/model.zip"
    made = dt.datetime.fromisoformat(child.created_at)
    assert tags["enhancement_timestamp"] == made.strftime("%Y%m%d_%H%M")
    # Nobody counted steps.
    assert not {"total_timesteps", "previous_timesteps"} & set(tags)
    for old in (base.id, champion_of(root)["id"]):
        assert there[old]["version"]["version_type"] == "old"
        assert there[old]["run"]["version_type"] == "old"


def improved(root, child, at="2026-01-01T00:00:00.000Z", **scalars):
    """Evidence of a child over its parent."""
    notes = {
        "parent": child.parent_id,
        "of": at,
        "improvement_sharpe": "none: the parent is 0",
        "sign_changes": "r2",
    }
    found = evidence_about(
        child,
        "improvement",
        "backtest",
        dataset=child.dataset_fingerprint,
        notes=notes,
        scalars={name: Scalar(value) for name, value in scalars.items()},
    )
    with open_project(root) as project, project.ledger.transaction(durable=True) as tx:
        project.feeds = False
        writes.put_evidence(tx, replace(found, created_at=at))
        writes.announce(tx, "candidate", [child.id])


def figures(root, candidate_id):
    run = client(uri(root)).get_run(told(root)[candidate_id]["run_id"])
    return {k: v for k, v in run.data.metrics.items() if k.startswith(("improvement", "delta"))}


@pytest.mark.slow
def test_the_improvement_over_a_parent_is_a_metric_of_the_run_and_its_absence_a_tag(root):
    base = another(root, "base")
    child = another(root, "child", model_type="continued", parent=base)
    improved(root, child, improvement_loss=12.5, delta_loss=-0.01, delta_sharpe=1.0)
    synced(root)
    expected = {"improvement_loss": 12.5, "delta_loss": -0.01, "delta_sharpe": 1.0}
    assert figures(root, child.id) == expected
    assert figures(root, base.id) == {}
    there = told(root)[child.id]
    assert there["version"]["podium.no_improvement"] == "sharpe: the parent is 0"
    assert there["version"]["podium.sign_changes"] == "r2"
    assert there["run"] == there["version"]
    # What is found later counts, also where it is less.
    improved(root, child, at="2026-02-01T00:00:00.000Z", improvement_loss=3.0, delta_loss=-0.002)
    synced(root)
    assert figures(root, child.id) == {**expected, "improvement_loss": 3.0, "delta_loss": -0.002}
    # The version that was sent is found by it.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager = podium.mlflow_manager(slot=projects.SLOT, root=root)
        found = manager.find_best_model(model_type="continued", metric="improvement_loss")
    assert found == (there["run_id"], f"runs:/{there['run_id']}/models/D/model.zip")


@pytest.mark.slow
def test_an_improvement_that_mlflow_lost_is_told_by_a_check_and_sent_by_a_sync(root):
    child = another(root, "child", model_type="continued", parent=another(root, "base"))
    improved(root, child, improvement_loss=12.5)
    synced(root)
    run = told(root)[child.id]["run_id"]
    with sqlite3.connect(root / "mlflow.db") as store:
        store.execute("DELETE FROM latest_metrics WHERE run_uuid = ? AND key LIKE 'impr%'", [run])
        store.execute("DELETE FROM metrics WHERE run_uuid = ? AND key LIKE 'impr%'", [run])
    store.close()
    assert differing(root) == {
        child.id: ["run: metric improvement_loss is missing, 12.5 in the record"]
    }
    synced(root)
    assert figures(root, child.id) == {"improvement_loss": 12.5}
    assert differing(root) == {}


@pytest.mark.slow
@pytest.mark.parametrize("code", ["ENDPOINT_NOT_FOUND", "FEATURE_DISABLED"])
def test_without_a_registry_the_runs_are_sent_and_the_versions_when_there_is_one(
    made, empty_store, tmp_path, monkeypatch, code
):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode

    root = shutil.copytree(made, tmp_path / "small")
    shutil.copy(empty_store, root)

    def unknown(*_, **__):
        raise MlflowException("no such endpoint", error_code=ErrorCode.Value(code))

    with monkeypatch.context() as patch:
        for name in dir(MlflowClient):
            if "registered_model" in name or "model_version" in name:
                patch.setattr(MlflowClient, name, unknown)
        with open_project(root) as project:
            found = sync(project)
            checked = check(project)
        candidate = champion_of(root)["id"]
        assert not found.stopped
        assert found.waiting == 0
        assert all("has no model registry" in line for line in found.refused)
        assert any(candidate in line for line in found.refused)
        assert checked.missing == []
    [run] = projects.query(
        root,
        "SELECT remote_id FROM projected WHERE target LIKE 'mlflow %' AND subject_id = ?",
        champion_of(root)["trial_id"],
    )
    tags = client(uri(root)).get_run(run["remote_id"]).data.tags
    assert tags["promotion_stage"] == "champion"
    synced(root)
    assert told(root)[candidate]["is_champion"]
    assert differing(root) == {}


def test_the_path_of_a_base_resolves_to_a_model_that_podium_loads(root, tmp_path, ask):
    import mlflow

    base = another(root, "base")
    child = another(root, "child", model_type="continued", parent=base)
    synced(root)
    place = told(root)[child.id]["version"]["base_model_path"]
    mlflow.set_tracking_uri(uri(root))
    packed = mlflow.artifacts.download_artifacts(place, dst_path=str(tmp_path))
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "out")
    assert podium.load_model(tmp_path / "out" / base.artifact_path).tickers == ("AAPL", "IBM")


@pytest.mark.slow
def test_a_base_that_was_never_sent_is_sent_before_what_was_made_of_it(root):
    base = another(root, "base")
    child = another(root, "child", model_type="continued", parent=base)
    with open_project(root) as project:
        project.feeds = False
        [first] = projects.query(
            root, "SELECT seq FROM outbox WHERE subject_id = ?", child.trial_id
        )
        with project.ledger.transaction() as tx:
            # The child is the first that is sent.
            key = projections.target_of(project).key
            outbox.advance(tx, key, first["seq"] - 1)
    synced(root)
    sql = "SELECT remote_id FROM projected WHERE target LIKE 'mlflow %' AND subject_id = ?"
    [run] = projects.query(root, sql, base.trial_id)
    there = told(root)
    assert there[child.id]["version"]["base_model_run_id"] == run["remote_id"]
    assert there[child.id]["run"]["base_model_run_id"] == run["remote_id"]
    # Its own candidate was passed over, and is found missing by the same sync.
    assert there[base.id]["run_id"] == run["remote_id"]


@pytest.mark.slow
def test_a_replaced_champion_says_who_replaced_it_and_a_rolled_back_one_why(root):
    first = champion_of(root)["id"]
    second = another(root, "second").id
    moved(root, second, DEVELOPMENT, BETA)
    moved(root, second, BETA, CHAMPION, expected=first)
    synced(root)
    there = told(root)
    assert there[first]["version"]["promotion_stage"] == "archived"
    assert there[first]["version"]["demotion_reason"] == f"New champion promoted: {second}"
    assert MINUTE.fullmatch(there[first]["version"]["demotion_timestamp"])
    assert "champion -> archived" in there[first]["version"].values()
    assert [id_ for id_ in there if there[id_]["is_champion"]] == [second]
    with open_project(root) as project:
        rollback(project, projects.SLOT, reason="it loses money")
    synced(root)
    there = told(root)
    assert there[second]["run"]["demotion_reason"] == "it loses money"
    assert there[second]["run"]["promotion_stage"] == "archived"
    assert there[first]["run"]["promotion_reason"] == "it loses money"
    assert [id_ for id_ in there if there[id_]["is_champion"]] == [first]


def test_moves_of_one_minute_are_numbered_and_all_there(root):
    first = champion_of(root)["id"]
    moved(root, first, CHAMPION, BETA, DEVELOPMENT, BETA, DEVELOPMENT, BETA)
    synced(root)
    tags = told(root)[first]["run"]
    said = [value for name, value in tags.items() if re.match(r"promotion_\d", name)]
    assert len(said) == 2 + 5
    assert sorted(said)[-1] == "development -> beta"
    # Nobody holds the slot any more, so no version has the alias.
    assert not told(root)[first]["is_champion"]
    assert "promotion_stage" in tags
    assert differing(root) == {}


# Models


def test_a_champion_loaded_by_its_alias_forecasts_what_podium_forecasts(sent, ask):
    frame = bars(sent)
    own = resolve.champion(projects.SLOT, sent).load().predict(frame)
    newest = own[own["decided_at"] == own["decided_at"].max()].reset_index(drop=True)
    served = ask(sent)
    pd.testing.assert_frame_equal(served.predict(frame), newest)
    stamped = frame.assign(time=pd.to_datetime(frame["time"]))
    pd.testing.assert_frame_equal(served.predict(stamped), newest)
    # Taken at its word: of prices that are not adjusted another forecast is made.
    bare = served.predict(frame.drop(columns="adj_close"))
    assert not bare["forecast"].equals(newest["forecast"])


def test_the_example_that_is_logged_beside_a_model_is_answered(sent, ask):
    served = ask(sent)
    found = served.predict(served.input_example)
    assert list(found["ticker"]) == ["AAPL", "IBM"]
    assert found["forecast"].notna().all()
    names = [column.name for column in served.metadata.signature.inputs]
    expected = ["time", "ticker", "open", "high", "low", "close", "volume", "adj_close", "factor"]
    assert names == expected


def test_tickers_that_belong_together_are_answered_at_their_last_common_bar(sent, ask):
    frame = bars(sent)
    last = frame["time"].max()
    found = ask(sent).predict(frame[(frame["ticker"] != "IBM") | (frame["time"] < last)])
    before = frame.loc[frame["time"] < last, "time"].max()
    assert list(found["decided_at"].dt.strftime("%Y-%m-%d")) == [before, before]


def test_of_a_universe_each_ticker_is_answered_at_its_own_newest_bar():
    class Universe:
        def predict(self, frame):
            days = pd.to_datetime(["2024-01-02", "2024-01-02", "2024-01-03"])
            return pd.DataFrame({"ticker": ["A", "B", "A"], "decided_at": days, "forecast": frame})

    found = pyfunc.Served(Universe()).predict([1.0, 2.0, 3.0])
    assert list(zip(found["ticker"], found["forecast"], strict=True)) == [("B", 2.0), ("A", 3.0)]


def test_a_directory_is_registered_and_nothing_in_it_is_a_pickled_object(sent):
    import torch

    there = client(uri(sent))
    [version] = there.search_model_versions(f"name='{MODEL}'")
    folder = Path(version.source.removeprefix("file://"))
    assert (folder / "MLmodel").is_file()
    files = [path for path in folder.parent.parent.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        data = path.read_bytes()
        assert path.suffix not in (".pkl", ".pickle", ".joblib", ".cloudpickle")
        assert not data.startswith(b"\x80"), "the first byte of a pickle"
        assert b"python_model" not in data
        if path.suffix == ".pt":
            # Tensors and plain values only: this reader refuses every other object.
            torch.load(io.BytesIO(data), weights_only=True)
    assert "loader_module: podium.pyfunc" in (folder / "MLmodel").read_text()


@pytest.mark.slow
def test_what_lies_beside_the_files_of_an_artefact_goes_nowhere(root):
    mine = another(root, "mine")
    stray = root / "models" / "registry" / mine.artifact_path / "final_model" / "stray.pkl"
    stray.write_bytes(b"\x80\x04N.")
    synced(root)
    there = client(uri(root))
    version = there.get_model_version(MODEL, told(root)[mine.id]["number"])
    run = there.get_run(version.run_id).info.artifact_uri
    model, files = (Path(place.removeprefix("file://")) for place in (version.source, run))
    assert [path.name for place in (model, files) for path in place.rglob("*.pkl")] == []
    with zipfile.ZipFile(files / "models" / "D" / "model.zip") as packed:
        names = {Path(name).name for name in packed.namelist()}
    assert names == {"manifest.json", "model.pt", "intervals.json"}


def test_one_changed_byte_is_refused_whatever_mlflow_thinks(root, ask):
    mine = another(root, "mine").id
    synced(root)
    version = client(uri(root)).get_model_version(MODEL, told(root)[mine]["number"])
    folder = Path(version.source.removeprefix("file://"))
    [weights] = folder.glob("data/*/best_model/model.pt")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(podium.errors.DataError, match="differs from its manifest"):
        ask(root, f"models:/{MODEL}/{version.version}")


@pytest.mark.slow
def test_a_process_that_has_podium_and_no_project_predicts(sent, tmp_path):
    frame = tmp_path / "bars.csv"
    bars(sent).to_csv(frame, index=False)
    code = (
        "import mlflow, pandas\n"
        f"mlflow.set_tracking_uri({uri(sent)!r})\n"
        f"model = mlflow.pyfunc.load_model('models:/{MODEL}@champion')\n"
        f"print(model.predict(pandas.read_csv({str(frame)!r})).to_csv(index=False))\n"
    )
    place = tmp_path / "nothing"
    place.mkdir()
    settings = {**os.environ, "PYTHONPATH": str(Path(podium.__file__).parents[1])}
    settings |= {"MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env=settings,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.split()
    assert lines[0] == "ticker,decided_at,forecast"
    assert [line.partition(",")[0] for line in lines[1:]] == ["AAPL", "IBM"]
    assert list(place.iterdir()) == []


# Where MLflow differs


@pytest.mark.slow
def test_what_somebody_changed_in_mlflow_is_told_and_set_right(root, capsys):
    first = champion_of(root)["id"]
    second = another(root, "second").id
    third = another(root, "third").id
    synced(root)
    before, there = told(root), client(uri(root))
    assert differing(root) == {}
    there.set_registered_model_alias(MODEL, "champion", before[second]["number"])
    there.set_model_version_tag(MODEL, before[first]["number"], "promotion_stage", "beta")
    there.set_tag(before[first]["run_id"], "model_type", "adaptive")
    there.set_tag(before[second]["run_id"], "demotion_reason", "I say so")
    there.set_tag(before[second]["run_id"], "owner", "ann")
    there.delete_tag(before[second]["run_id"], "timeframe")
    there.delete_model_version(MODEL, before[third]["number"])
    found = differing(root)
    assert {id_: len(words) for id_, words in found.items()} == {first: 3, second: 3, third: 1}
    assert cli(["sync", "--check", "--project", str(root)]) == 4
    said = capsys.readouterr().err
    number = before[first]["number"]
    assert f"{MODEL} version {number}: tag promotion_stage is 'beta', champion" in said
    assert f"{MODEL} version {number} lacks the alias champion" in said
    assert f"{MODEL} has no version of the candidate" in said
    assert "tag demotion_reason is 'I say so', none in the record" in said
    assert cli(["sync", "--project", str(root)]) == 0
    assert differing(root) == {}
    after = told(root)
    fresh = str(1 + max(int(one["number"]) for one in before.values()))
    assert after == {**before, third: {**before[third], "number": fresh}}
    assert there.get_run(before[second]["run_id"]).data.tags["owner"] == "ann"
    assert synced(root).sent == 0


@pytest.mark.slow
def test_sending_everything_again_changes_nothing(root):
    another(root, "child", model_type="continued", parent=another(root, "base"))
    synced(root)
    before = told(root)
    with open_project(root) as project:
        project.feeds = False
        with project.ledger.transaction() as tx:
            # As a kill leaves it that came before anything was remembered.
            tx.connection.exec_driver_sql("DELETE FROM projected")
            outbox.advance(tx, projections.target_of(project).key, 0)
    synced(root)
    assert told(root) == before


def test_a_run_that_is_gone_comes_back_with_a_version_of_its_own(root):
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    [(candidate, before)] = told(root).items()
    client(uri(root)).delete_run(before["run_id"])
    # A person deleted it: it stays deleted, and nothing is said about it.
    assert differing(root) == {}
    store = SqlAlchemyStore(uri(root), (root / "mlartifacts").as_uri())
    store._hard_delete_run(before["run_id"])
    store.engine.dispose()
    synced(root, repair=True)
    [(again, after)] = told(root).items()
    assert again == candidate
    assert after["run_id"] != before["run_id"]
    assert after["version"] == before["version"]
    assert after["is_champion"]


@pytest.mark.slow
def test_a_model_that_is_somebody_elses_is_refused_and_the_rest_goes_on(made, tmp_path):
    root = shutil.copytree(made, tmp_path / "small")
    there = client(uri(root))
    there.create_registered_model(MODEL, tags={"podium.project_id": "p", "podium.project": "ours"})
    with open_project(root) as project:
        found = sync(project)
    assert found.waiting == 0
    [told_, *_] = found.refused
    assert f"the registered model {MODEL} belongs to another project, ours" in told_
    row = champion_of(root)
    runs = there.search_runs(["1"], f"tags.`podium.candidate_id` = '{row['id']}'")
    assert runs[0].data.tags["promotion_stage"] == "champion"
    assert there.get_registered_model(MODEL).aliases == {}


@pytest.mark.slow
def test_many_who_sync_at_once_leave_one_version_a_candidate(root):
    for name in ("one", "two", "three"):
        moved(root, another(root, name).id, DEVELOPMENT, BETA)
    command = [sys.executable, "-m", "podium", "sync", "--project", str(root)]
    settings = {**os.environ, "PYTHONPATH": str(Path(podium.__file__).parents[1])}
    running = [subprocess.Popen(command, env=settings) for _ in range(3)]
    assert [process.wait(300) for process in running] == [0, 0, 0]
    assert len(told(root)) == 4
    assert differing(root) == {}


@pytest.mark.slow
def test_after_a_race_for_a_slot_mlflow_says_what_the_record_says(root):
    mine = [champion_of(root)["id"], *(another(root, name).id for name in ("one", "two", "three"))]
    before = len(projects.query(root, "SELECT id FROM decision WHERE to_stage = 'champion'"))
    won = projects.in_processes(contend, [(root, candidate, 25) for candidate in mine])
    crowned = projects.query(root, "SELECT id FROM decision WHERE to_stage = 'champion'")
    assert sum(won) == len(crowned) - before > 1
    synced(root)
    assert differing(root) == {}
    [champion] = projects.query(root, "SELECT candidate_id FROM champion")
    stages = projects.query(root, "SELECT candidate_id, stage FROM stage")
    there = told(root)
    assert [id_ for id_, one in there.items() if one["is_champion"]] == [champion["candidate_id"]]
    assert {id_: one["version"]["promotion_stage"] for id_, one in there.items()} == {
        row["candidate_id"]: row["stage"] for row in stages
    }


def test_a_version_is_a_logged_model_with_its_run_its_results_and_its_dataset(sent):
    there, candidate = client(uri(sent)), champion_of(sent)
    [version] = there.search_model_versions(f"name='{MODEL}'")
    number = there.get_experiment_by_name("small").experiment_id
    [model] = there.search_logged_models([number])
    assert model.source_run_id == version.run_id
    assert model.artifact_location == version.source
    assert (model.model_type, str(model.status)) == (candidate["family"], "READY")
    assert model.tags["podium.candidate_id"] == candidate["id"]
    run = there.get_run(version.run_id)
    [data] = run.inputs.dataset_inputs
    assert candidate["dataset_fingerprint"].startswith(data.dataset.digest)
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert model.metrics
    for metric in model.metrics:
        assert run.data.metrics[metric.key] == metric.value
        assert (metric.dataset_name, metric.dataset_digest) == (
            data.dataset.name,
            data.dataset.digest,
        )
