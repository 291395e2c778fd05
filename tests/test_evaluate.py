"""podium evaluate, sign and promote: evidence, the bundle, a person's name, and best.pt."""

import csv
import json
import shutil

import numpy as np
import pytest
from sklearn import metrics

import classes
import projects
from classes import SLOT, evaluated, samples, trained, write
from podium import load_model
from podium.cli.main import run as podium
from podium.errors import DataError, NotFoundError, UsageError
from podium.steps.decisions.promote import promote
from podium.steps.decisions.sign import sign, verify_bundle
from podium.steps.workspace.session import open_project
from podium.steps.workspace.user_files import sync_files

# As by default without the baselines: the planted samples are easy for them.
POLICY = {
    "evaluation_bundle": {},
    "macro_f1": {"above_baseline": 0.0},
    "minority_recall": {},
    "signoff": {},
}
POLICIES = {"classify": {"champion": POLICY}}


@pytest.fixture(scope="module")
def judged(ladder, tmp_path_factory):
    """A project with a candidate that learned something, evaluated a second time."""
    place = tmp_path_factory.mktemp("evaluate") / "p"
    root = ladder.copy(place, "evaluated", "classes", policies=POLICIES)
    found = trained(root, settings=classes.LEARNS)
    return root, found, evaluated(root, found.candidate.id)


@pytest.fixture
def ready(ladder, tmp_path):
    """A copy of its own for a test, before the evaluation."""
    return only(ladder.copy(tmp_path / "p", "trained", "classes", policies=POLICIES))


@pytest.fixture
def looked_at(ladder, tmp_path):
    """A copy of its own for a test, after the evaluation."""
    return only(ladder.copy(tmp_path / "p", "evaluated", "classes", policies=POLICIES))


def only(root):
    """A project and the one candidate it has."""
    [row] = projects.query(root, "SELECT id FROM candidate")
    return root, row["id"]


def evidence_of(root):
    """What the record has of evaluations, the last one last."""
    sql = "SELECT * FROM evidence WHERE kind = 'evaluation' ORDER BY seq"
    return projects.query(root, sql)


def bundle_of(root):
    """Folder of the last evaluation."""
    return root / json.loads(evidence_of(root)[-1]["notes"])["folder"]


def asked(root, candidate):
    with open_project(root) as project:
        found = promote(project, candidate, reason="test")
    return found, {v.gate: v.result.value for v in found.verdicts}


def signed(root, candidate, reason="looked at all of it"):
    with open_project(root) as project:
        return sign(project, candidate, reason)


def predictions(folder):
    with (folder / "predictions.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    truth = np.array([int(row["truth"]) for row in rows])
    names = [name for name in rows[0] if name.startswith("probability_")]
    return truth, np.array([[float(row[name]) for name in names] for row in rows])


def test_the_bundles_figures_are_scikit_learns(judged):
    _, _, found = judged
    truth, probabilities = predictions(found.folder)
    chosen = probabilities.argmax(axis=1)
    told = json.loads((found.folder / "metrics.json").read_text())["metrics"]
    for name, real in {
        "macro_f1": metrics.f1_score(truth, chosen, average="macro"),
        "weighted_f1": metrics.f1_score(truth, chosen, average="weighted"),
        "accuracy": metrics.accuracy_score(truth, chosen),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, chosen),
        "log_loss": metrics.log_loss(truth, probabilities),
    }.items():
        assert told[name] == pytest.approx(real, abs=1e-12), name
        assert found.evidence.scalar(name) == told[name]


def test_the_bundle_holds_what_a_person_looks_at(judged):
    _, _, found = judged
    names = {p.name for p in found.folder.iterdir()}
    assert names >= {
        "metrics.json", "classification_report.json", "confusion_matrix.png", "pr_curves.png",
        "roc_curves.png", "confusion_matrix.csv", "pr_curves.csv", "roc_curves.csv",
        "predictions.csv", "thresholds.csv", "calibration.png", "evaluation.html", "manifest.json",
    }  # fmt: skip
    page = (found.folder / "evaluation.html").read_text()
    assert "rises" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_evaluated_again_it_is_the_same_evidence(judged):
    root, _, again = judged
    assert not again.fresh
    assert [row["id"] for row in evidence_of(root)] == [again.evidence.id]


def test_the_best_baseline_and_every_other_one_are_scored_on_the_same_samples(judged):
    _, found, done = judged
    best = done.evidence.scalar("naive_macro_f1")
    assert best == pytest.approx(found.reference.score)
    every = [name for name in done.evidence.scalars if name.startswith("baseline_")]
    names = (
        "logistic", "logistic (balanced)", "naive majority", "naive prior", "naive trend",
    )  # fmt: skip
    assert sorted(every) == [f"baseline_macro_f1:{name}" for name in names]
    assert max(map(done.evidence.scalar, every)) == best
    assert done.report.figures["naive"].samples == done.report.model.samples == 96


@pytest.mark.slow
def test_what_other_data_say_is_no_evidence_for_gates(judged, tmp_path):
    root, found, first = judged
    other = write(tmp_path / "other.npz", samples(80, 9, "z"))
    done = evaluated(root, found.candidate.id, data=other)
    assert done.evidence.kind == "evaluation_other"
    assert done.folder != first.folder
    assert verify_bundle_of(root, first)


def verify_bundle_of(root, done):
    with open_project(root) as project:
        return verify_bundle(project, done.evidence) == done.folder


def test_a_model_is_not_judged_on_what_it_was_trained_on(tmp_path):
    root = classes.project(tmp_path / "p")
    both = [samples(160, 1, "a"), samples(96, 2, "b")]
    whole = {name: np.concatenate([part[name] for part in both]) for name in ("X", "y", "groups")}
    names = {name: both[0][name] for name in ("feature_names", "class_names")}
    everything = write(tmp_path / "all.npz", {**whole, **names})
    other = write(tmp_path / "other.npz", samples(40, 3, "c"))
    candidate = trained(root, training=everything, validation=other).candidate.id
    with pytest.raises(DataError) as caught:
        evaluated(root, candidate)
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 2
    assert "trained on 96 of the 96 distinct samples" in told[0]
    assert "trained on 12 of the 12 groups" in told[1]
    assert evaluated(root, candidate, data=other).report.model.samples == 40


@pytest.mark.slow
def test_a_file_of_its_own_is_what_candidates_are_judged_on(tmp_path):
    root = classes.project(tmp_path / "p", datasets={"pumps": {"evaluation": "data/test.npz"}})
    write(root / "data" / "test.npz", samples(70, 5, "t"))
    done = evaluated(root, trained(root).candidate.id)
    assert done.evidence.kind == "evaluation"
    assert done.report.model.samples == 70
    assert done.evidence.notes["data"] == "data/test.npz"


@pytest.mark.slow
def test_a_cost_matrix_is_counted(looked_at, tmp_path):
    root, candidate = looked_at
    table = tmp_path / "cost.csv"
    table.write_text("0,1,1\n5,0,5\n5,5,0\n")
    command = ["evaluate", candidate, "--cost", str(table), "--project", str(root)]
    assert podium([*command, "--quiet"]) == 0
    truth, probabilities = predictions(bundle_of(root))
    chosen = probabilities.argmax(axis=1)
    wrong = np.where(truth == 0, 1.0, 5.0) * (truth != chosen)
    value, _, direction = json.loads(evidence_of(root)[-1]["scalars"])["cost"]
    assert value == pytest.approx(wrong.mean())
    assert direction == "min"


def test_each_missing_condition_refuses_and_names_itself(ready):
    root, candidate = ready
    found, gates = asked(root, candidate)
    assert found.refused
    assert gates == {"evaluation_bundle": "missing"}
    evaluated(root, candidate)
    found, gates = asked(root, candidate)
    assert found.refused
    assert gates["signoff"] == "unsigned"
    assert gates["macro_f1"] == "pass"
    assert "signature" in found.sentence
    signed(root, candidate)
    found, gates = asked(root, candidate)
    assert not found.refused
    assert set(gates.values()) == {"pass"}


def test_the_champions_file_is_artifacts_best_pt(looked_at):
    root, candidate = looked_at
    assert not (root / "artifacts" / "best.pt").exists()
    signed(root, candidate)
    asked(root, candidate)
    [row] = projects.query(root, f"SELECT * FROM candidate WHERE id = '{candidate}'")
    kept = root / "models" / "registry" / row["artifact_path"] / "best_model" / "best.pt"
    best = root / "artifacts" / "best.pt"
    assert best.read_bytes() == kept.read_bytes()
    about = json.loads((root / "artifacts" / "best.json").read_text())
    assert about["candidate"] == candidate
    assert about["champion"] is True
    best.unlink()
    with open_project(root) as project:
        sync_files(project)
    assert best.read_bytes() == kept.read_bytes()


def test_an_archived_champion_leaves_its_file_and_says_so(looked_at):
    root, candidate = looked_at
    signed(root, candidate)
    asked(root, candidate)
    with open_project(root) as project:
        promote(project, candidate, to="archived", reason="out of date")
    assert (root / "artifacts" / "best.pt").is_file()
    assert json.loads((root / "artifacts" / "best.json").read_text())["champion"] is False


@pytest.mark.slow
def test_a_model_evaluated_again_is_signed_again(looked_at):
    root, candidate = looked_at
    signed(root, candidate)
    evaluated(root, candidate, cost=np.ones((3, 3)))
    found, gates = asked(root, candidate)
    assert found.refused
    assert gates["signoff"] == "unsigned"


@pytest.mark.slow
def test_a_newcomer_is_held_against_the_champion_on_the_same_samples(looked_at):
    root, candidate = looked_at
    signed(root, candidate)
    asked(root, candidate)
    worse = trained(root, settings={"max_epochs": 1, "learning_rate": 0.0001}).candidate.id
    done = evaluated(root, worse)
    assert done.against.notes["champion"] == candidate
    own = evaluated(root, candidate).evidence.scalar("macro_f1")
    assert done.against.scalar("champion_macro_f1") == pytest.approx(own)
    assert (done.folder / "differences.csv").is_file()
    signed(root, worse)
    found, gates = asked(root, worse)
    assert found.refused
    assert gates["macro_f1"] == "refuse"
    assert gates["minority_recall"] == "refuse"
    about = json.loads((root / "artifacts" / "best.json").read_text())
    assert about["candidate"] == candidate


@pytest.mark.slow
def test_the_best_baseline_must_be_beaten_by_default(tmp_path):
    root = classes.project(tmp_path / "p")
    candidate = trained(root, settings={"max_epochs": 1, "learning_rate": 0.0001}).candidate.id
    evaluated(root, candidate)
    signed(root, candidate)
    found, gates = asked(root, candidate)
    assert gates["macro_f1"] == "refuse"
    assert "of the baseline naive trend" in found.sentence


@pytest.mark.slow
def test_a_signature_needs_something_to_sign_and_a_reason(ready):
    root, candidate = ready
    with pytest.raises(NotFoundError, match="was not evaluated"):
        signed(root, candidate)
    done = evaluated(root, candidate)
    with pytest.raises(UsageError, match="no reason"):
        signed(root, candidate, " ")
    (done.folder / "metrics.json").write_text("{}")
    with pytest.raises(DataError, match=r"metrics.json differs"):
        signed(root, candidate)


def test_who_signs_is_on_record(looked_at, monkeypatch):
    root, candidate = looked_at
    monkeypatch.setenv("PODIUM_ACTOR", "ann")
    assert signed(root, candidate).notes["signer"] == "ann"
    found, _ = asked(root, candidate)
    [verdict] = [v for v in found.verdicts if v.gate == "signoff"]
    assert "signed by ann" in verdict.finding


def test_a_bundle_made_elsewhere_is_checked_and_taken(looked_at, tmp_path):
    root, candidate = looked_at
    copy = shutil.copytree(bundle_of(root), tmp_path / "bundle")
    done = evaluated(root, candidate, attach=copy)
    assert done.evidence.producer == "attached"
    own = json.loads(evidence_of(root)[0]["scalars"])["macro_f1"][0]
    assert done.evidence.scalar("macro_f1") == own


def test_a_bundle_whose_figures_are_not_its_predictions_is_refused(looked_at, tmp_path):
    root, candidate = looked_at
    copy = shutil.copytree(bundle_of(root), tmp_path / "bundle")
    told = json.loads((copy / "metrics.json").read_text())
    told["metrics"]["macro_f1"] = 0.999
    (copy / "metrics.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"macro_f1 is 0.999"):
        evaluated(root, candidate, attach=copy)


def test_a_bundle_of_another_model_is_refused(looked_at, tmp_path):
    root, _ = looked_at
    other = trained(root, settings={"max_epochs": 1}).candidate.id
    with pytest.raises(DataError, match="off the candidate"):
        evaluated(root, other, attach=bundle_of(root))


@pytest.mark.slow
def test_a_bundle_of_other_samples_is_refused(ready, tmp_path):
    root, candidate = ready
    other = write(tmp_path / "other.npz", samples(80, 9, "z"))
    elsewhere = evaluated(root, candidate, data=other)
    with pytest.raises(DataError, match="80 samples whose classes are not those of"):
        evaluated(root, candidate, attach=elsewhere.folder)


def test_a_loaded_classifier_answers_arrays(judged):
    root, found, done = judged
    model = load_model(root / found.trial.checkpoint)
    arrays = samples(96, 2, "b")
    _, probabilities = predictions(done.folder)
    assert model.class_names == classes.CLASSES
    assert model.predict(arrays["X"]) == pytest.approx(probabilities, abs=1e-6)
    with pytest.raises(DataError, match="level, flow"):
        model.predict(arrays["X"][:, :, :1])


@pytest.mark.slow
def test_candidates_are_compared_on_the_same_samples_only(looked_at, capsys):
    root, candidate = looked_at
    other = trained(root, settings={"max_epochs": 1}).candidate.id
    evaluated(root, other)
    capsys.readouterr()
    assert podium(["compare", candidate, other, "--project", str(root)]) == 0
    told = capsys.readouterr()
    assert "macro_f1" in told.out
    assert "macro-F1" in told.err + told.out


@pytest.mark.slow
def test_a_run_takes_a_classifying_slot_to_a_decision(tmp_path, capsys):
    root = classes.project(tmp_path / "p", extend={"folds": 2, "top": 1, "epochs": 2})
    assert podium(["run", "--project", str(root), "--quiet"]) == 0
    assert podium(["run", "--project", str(root), "--quiet"]) == 0
    [row] = projects.query(root, "SELECT count(*) AS n FROM candidate")
    assert row["n"] == 1
    page = (root / "reports" / "run.html").read_text()
    assert "evaluation.html" in page
    assert "macro_f1" in page
    trials = projects.query(root, "SELECT * FROM trial WHERE family = 'bilstm'")
    # Two of the search, a config on two folds; the candidate is a baseline, which is no new look.
    assert len(trials) == 4
    evidence = projects.query(root, "SELECT scalars FROM evidence WHERE kind = 'validation'")
    assert [json.loads(one["scalars"])["configs_looked_at"][0] for one in evidence] == [2]
    # A baseline is compared with simpler ones.
    [judged] = evidence_of(root)
    assert json.loads(judged["notes"])["naive_method"] in ("naive majority", "naive prior")


def test_a_backup_takes_the_bundle_along(looked_at, tmp_path):
    root, candidate = looked_at
    folder = bundle_of(root)
    signed(root, candidate)
    assert podium(["backup", str(tmp_path / "b.tar"), "--project", str(root), "--quiet"]) == 0
    assert podium(["restore", str(tmp_path / "b.tar"), str(tmp_path / "again"), "--quiet"]) == 0
    inner = folder.relative_to(root)
    for path in folder.iterdir():
        assert (tmp_path / "again" / inner / path.name).read_bytes() == path.read_bytes()


def test_a_champion_classifies_the_samples_of_a_file(looked_at, tmp_path, capsys):
    root, candidate = looked_at
    signed(root, candidate)
    asked(root, candidate)
    arrays = samples(20, 4, "n")
    capsys.readouterr()
    command = ["predict", "--data", str(write(tmp_path / "new.npz", arrays)), "--json"]
    assert podium([*command, "--project", str(root)]) == 0
    told = capsys.readouterr()
    items = json.loads(told.out)["items"]
    assert len(items) == 20
    assert {item["class"] for item in items} <= set(classes.CLASSES)
    for item in items:
        assert sum(item[name] for name in classes.CLASSES) == pytest.approx(1, abs=1e-6)
        assert item[item["class"]] == max(item[name] for name in classes.CLASSES)
    assert f"champion of {SLOT}" in told.err
    arrays["feature_names"] = np.array(["flow", "level"])
    write(tmp_path / "new.npz", arrays)
    assert podium([*command, "--project", str(root)]) == 7
    assert "level, flow" in capsys.readouterr().err
