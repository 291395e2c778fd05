"""Candidates of a small record in MLflow: each has its own tags, and one refusal stops no other."""

import re
import shutil
from dataclasses import replace
from importlib.util import find_spec

import pytest

import projects
from mlflow_models import MODEL
from mlflow_places import Place, client, runs
from podium import artifact
from podium.decision import Stage
from podium.errors import UsageError
from podium.evidence import Scalar
from podium.ledger import decisions, writes
from podium.ledger.projections._mlflow_pass import SyncPass
from podium.steps.evidence.evidence import evidence_about
from podium.trial import Epoch

pytestmark = [
    pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed"),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def place(empty_store, tmp_path, monkeypatch):
    """A record with its own, empty store; a model is one small file."""

    def write_model(self, state, run_id, folder):
        del self, run_id
        model = folder / "models" / state.id / "MLmodel"
        model.parent.mkdir(parents=True)
        model.write_text("model")
        (folder / "models" / "model.zip").write_text("model")

    monkeypatch.setattr(SyncPass, "_copy_model", write_model)
    root = tmp_path / "place"
    root.mkdir()
    shutil.copy(empty_store, root)
    made = Place(root)
    yield made
    made.close()


def registered(place, name, trial_id, **columns):
    """A candidate of a trial, with a folder for its artefact."""
    candidate = replace(projects.new_candidate(name), trial_id=trial_id, **columns)
    folder = place.root / "models" / "registry" / artifact.folder_of(candidate.artifact_hash)
    folder.mkdir(parents=True)
    with place.ledger.transaction() as tx:
        return decisions.register(tx, candidate, "ann")


def evaluated(place, candidate, folder, **scalars):
    """Evidence of an evaluation whose files are in a folder."""
    files = place.root / "source"
    files.mkdir()
    (files / "confusion.csv").write_text("a,b")
    digest, stored = artifact.store(place.root, {folder: files}, {}, writer="test")
    notes = {"folder": stored, "bundle": digest}
    evidence = evidence_about(
        candidate,
        "evaluation",
        "evaluate",
        dataset="d" * 64,
        notes=notes,
        scalars={name: Scalar(number) for name, number in scalars.items()},
    )
    with place.ledger.transaction() as tx:
        writes.put_evidence(tx, evidence)
        writes.announce(tx, "candidate", [candidate.id])


def test_a_refused_registration_keeps_no_other_candidate_out(place):
    there = client(place.target.uri)
    there.create_registered_model(MODEL)
    one, two = place.trials(1, 2)
    parent = registered(place, "parent", one)
    child = registered(place, "child", two, parent_id=parent.id, model_type="continued")
    place.projection.drain()
    evaluated(place, child, "evaluation", macro_f1=0.75)
    done = place.projection.drain()
    assert done.waiting == 0
    assert f"the registered model {MODEL} belongs to no project" in done.refused[0]
    run = runs(place.target.uri)[two]
    assert run.data.metrics["evaluation/macro_f1"] == 0.75
    assert run.data.tags["podium.candidate_id"] == child.id
    files = [
        file.path
        for folder in ("evaluation/evaluation", "models")
        for file in there.list_artifacts(run.info.run_id, folder)
    ]
    assert {"evaluation/evaluation/confusion.csv", "models/model.zip"} <= set(files)
    assert there.search_model_versions(f"name='{MODEL}'") == []


def test_the_tags_of_two_candidates_of_one_trial_do_not_mix(place):
    [trial] = place.trials(1)
    first = registered(place, "first", trial)
    with place.ledger.transaction() as tx:
        decisions.decide(tx, projects.move(first.id, Stage.DEVELOPMENT, Stage.BETA))
    place.projection.drain()
    assert "promotion_reason" in runs(place.target.uri)[trial].data.tags
    second = registered(place, "second", trial)
    assert place.projection.drain().refused == []
    tags = runs(place.target.uri)[trial].data.tags
    assert tags["podium.candidate_id"] == second.id
    assert not [name for name in tags if name.startswith("promotion_") and "stage" not in name]
    there = client(place.target.uri)
    versions = there.search_model_versions(f"name='{MODEL}'")
    by_candidate = {version.tags["podium.candidate_id"]: version.tags for version in versions}
    assert by_candidate[first.id]["promotion_stage"] == "beta"
    assert "promotion_reason" not in by_candidate[second.id]


def test_a_metric_of_a_run_is_that_of_its_best_epoch(place):
    series = [0.5, 0.9, 0.7]
    epochs = tuple(Epoch(0, n, {"val_macro_f1": f1}) for n, f1 in enumerate(series, start=1))
    [best] = place.trials(1, epochs=epochs, best_epoch=2)
    [last] = place.trials(2, epochs=epochs[:2], best_epoch=2)
    place.projection.drain()
    there = runs(place.target.uri)
    assert there[best].data.metrics["val_macro_f1"] == 0.9
    histories = [
        [
            (point.step, point.value)
            for point in client(place.target.uri).get_metric_history(
                there[trial].info.run_id, "val_macro_f1"
            )
        ]
        for trial in (best, last)
    ]
    assert histories == [[(1, 0.5), (2, 0.9), (3, 0.7), (4, 0.9)], [(1, 0.5), (2, 0.9)]]


def test_the_source_of_a_run_is_the_command_that_ran(place):
    place.ledger.verb = "run"
    [by_run] = place.trials(1)
    place.ledger.verb = ""
    [unknown] = place.trials(2)
    place.projection.drain()
    there = runs(place.target.uri)
    sources = [there[trial].data.tags["mlflow.source.name"] for trial in (by_run, unknown)]
    assert sources == ["podium run", "podium tune"]


def test_a_setting_names_the_registered_model(place):
    [trial] = place.trials(1)
    candidate = registered(place, "one", trial)
    place.projection.drain()
    renamed = Place(place.root, registered_model="team-{slot}")
    assert renamed.projection.check().differing == {
        candidate.id: [f"team-{MODEL} has no version of the candidate"]
    }
    assert renamed.projection.restore_candidates().refused == []
    assert renamed.projection.check().differing == {}
    there = client(place.target.uri)
    [version] = there.search_model_versions(f"name='team-{MODEL}'")
    assert version.tags["podium.candidate_id"] == candidate.id
    renamed.close()


def test_slots_do_not_share_a_registered_model(place):
    shared = Place(place.root, registered_model="team")
    one, two = shared.trials(1, 2)
    registered(shared, "one", one)
    registered(shared, "two", two, slot="us4/D/return")
    done = shared.projection.drain()
    assert all(f"belongs to the slot {projects.SLOT}" in line for line in done.refused)
    assert done.refused
    shared.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [("a/{slot}", "has /"), ("{slots}", "'{slots}'"), (" ", "is empty"), ("{", "Single '{'")],
)
def test_a_name_that_mlflow_does_not_take_is_refused(place, name, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        Place(place.root, registered_model=name)
