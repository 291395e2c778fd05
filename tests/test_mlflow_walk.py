"""The walk of the MLflow guide, from a training to a rollback; MLflow ends equal to the record.

A model of the same name that others registered is there before, and MLflow is away for two steps.
"""

import json
import re
import shutil
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

import classes
import postgres
import projects
from mlflow_places import client, runs, served
from podium.decision import Stage
from podium.errors import PodiumError
from podium.hashing import digest_bytes
from podium.steps.decisions.promote import promote
from podium.steps.decisions.rollback import rollback
from podium.steps.decisions.sign import sign
from podium.steps.workspace.session import open_project
from podium.steps.workspace.sync import check, sync

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed"),
    pytest.mark.filterwarnings("default"),
]

POLICIES = {"classify": {"champion": {"signoff": {}}}}
OWN = "team.pumps"
MOVE = re.compile(r"promotion_\d{8}_\d{4}(-\d+)?")


class InFile:
    """MLflow's store in the project's file."""

    def __init__(self, root, empty_store):
        self.file = root / "mlflow.db"
        shutil.copy(empty_store, root)
        self.address = f"sqlite:///{self.file}"
        self.settings = {"mlflow.enabled": True}

    @contextmanager
    def away(self):
        """A folder is where the file was."""
        away = self.file.rename(self.file.with_name("away"))
        self.file.mkdir()
        yield
        self.file.rmdir()
        away.rename(self.file)

    def close(self):
        pass


class OnServer:
    """MLflow's own server."""

    def __init__(self, root, empty_store):
        self.folder, self.port = root / "server", postgres.free_port()
        self.folder.mkdir()
        self.stack = ExitStack()
        self.address = self._start()
        self.settings = {"mlflow.tracking_uri": self.address}

    def _start(self):
        store = f"sqlite:///{self.folder}/server.db"
        return self.stack.enter_context(served(store, self.folder, port=self.port))

    @contextmanager
    def away(self):
        """It does not run."""
        self.stack.close()
        yield
        self._start()

    def close(self):
        self.stack.close()


@pytest.mark.parametrize("kind", [InFile, OnServer])
def test_mlflow_equals_the_record_after_the_walk_of_the_guide(kind, empty_store, tmp_path):
    root = classes.project(tmp_path / "p", policies=POLICIES)
    store = kind(root, empty_store)
    try:
        walk(root, store)
    finally:
        store.close()


def walk(root, store):
    there = client(store.address)
    # The name that podium gives the slot's model by default.
    name = classes.SLOT.replace("/", ".")
    foreign = there.create_registered_model(name, tags={"owner": "others"})
    others = there.create_run(there.create_experiment("others")).info
    version = there.create_model_version(name, f"{others.artifact_uri}/model", others.run_id)
    there.set_registered_model_alias(name, "champion", version.version)

    first = classes.trained(root, settings=classes.LEARNS).candidate
    classes.evaluated(root, first.id)
    # The registration is refused, the runs are sent.
    refused = synced(root, store).refused
    assert refused
    assert all("belongs to no project of podium" in line for line in refused), refused
    assert runs(store.address)[first.trial_id].data.tags["podium.candidate_id"] == first.id
    store.settings["mlflow.registered_model"] = OWN

    do(root, store, lambda: signed(root, first))
    do(root, store, lambda: promoted(root, first))
    second = do(root, store, lambda: classes.trained(root, settings={"max_epochs": 14})).candidate
    with store.away():
        # Nothing is sent, and no verb fails.
        do(root, store, lambda: classes.evaluated(root, second.id), sends=False)
        do(root, store, lambda: signed(root, second), sends=False)
    do(root, store, lambda: promoted(root, second))
    do(root, store, lambda: rolled_back(root))

    assert_equals_record(root, store, [first, second], champion=first)
    kept = there.get_registered_model(name)
    assert kept.tags == foreign.tags
    assert kept.aliases == {"champion": version.version}
    assert [one.run_id for one in there.search_model_versions(f"name='{name}'")] == [others.run_id]


def do(root, store, verb, *, sends=True):
    """Result of a verb, which is sent afterwards, as the process beside a command does."""
    result = verb()
    with suppress(*([] if sends else [PodiumError])):
        assert (synced(root, store).waiting == 0) == sends
    return result


def synced(root, store):
    with open_project(root, settings=store.settings) as project:
        return sync(project)


def signed(root, candidate):
    with open_project(root) as project:
        return sign(project, candidate.id, "the plots were inspected")


def promoted(root, candidate):
    with open_project(root) as project:
        made = promote(project, candidate.id, reason="the better macro-F1")
    assert made.stage is Stage.CHAMPION, made.sentence
    return made


def rolled_back(root):
    with open_project(root) as project:
        return rollback(project, classes.SLOT, reason="it failed in use")


def assert_equals_record(root, store, candidates, champion):
    import mlflow

    address = store.address
    there = client(address)
    with open_project(root, settings=store.settings) as project:
        state = check(project)
    assert state.is_whole, state
    versions = {
        row.tags["podium.candidate_id"]: row for row in there.search_model_versions(f"name='{OWN}'")
    }
    assert set(versions) == {one.id for one in candidates}
    alias = there.get_model_version_by_alias(OWN, "champion")
    assert alias.tags["podium.candidate_id"] == champion.id
    all_runs = runs(address)
    for candidate in candidates:
        run, version = all_runs[candidate.trial_id], versions[candidate.id]
        # Tags.
        assert version.tags["promotion_stage"] == (
            "champion" if candidate.id == champion.id else "archived"
        )
        assert {k: run.data.tags.get(k) for k in version.tags} == version.tags
        moves = [value for key, value in sorted(version.tags.items()) if MOVE.fullmatch(key)]
        # A replaced champion has no decision of its own, one that was rolled back has.
        expected = moves_of(root, candidate.id)
        if candidate.id == champion.id:
            expected.insert(2, "champion -> archived")
        assert moves == expected
        # The registered bundle is the artefact of the record, file by file.
        folder = Path(there.download_artifacts(run.info.run_id, "evaluation"))
        assert folder.is_dir()
        place = Path(mlflow.artifacts.download_artifacts(version.source, tracking_uri=address))
        [manifest] = place.rglob("manifest.json")
        data = manifest.read_bytes()
        assert digest_bytes(data) == candidate.artifact_hash
        for file, sha in json.loads(data)["files"].items():
            assert digest_bytes((manifest.parent / file).read_bytes()) == sha
        # Curves: every metric of every epoch.
        rows = projects.query(
            root,
            "SELECT CASE part WHEN '' THEN metric ELSE part || '_' || metric END AS name, epoch, "
            "value FROM score WHERE trial_id = ? AND part != 'best'",
            candidate.trial_id,
        )
        last = max(row["epoch"] for row in rows)
        for name in {row["name"] for row in rows}:
            history = there.get_metric_history(run.info.run_id, name)
            sent = sorted((p.step, p.value) for p in history if p.step <= last)
            assert sent == sorted((r["epoch"], r["value"]) for r in rows if r["name"] == name)


def moves_of(root, candidate_id):
    """Moves of a candidate in the words of its tags, in their order."""
    sql = "SELECT * FROM decision WHERE candidate_id = ? AND accepted = 1 ORDER BY seq"
    return [
        f"{row['from_stage']} -> {row['to_stage']}"
        for row in projects.query(root, sql, candidate_id)
        if row["from_stage"] not in (None, row["to_stage"])
    ]
