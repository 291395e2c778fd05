"""podium note: dated words about anything on record."""

import json
import re

import pytest

import projects
from podium import HyperparamTracker
from podium.cli.main import run
from podium.errors import NotFoundError, UsageError
from podium.evidence import Evidence, Scalar
from podium.ledger import writes
from podium.steps.archive import init
from podium.steps.archive.note import note
from podium.steps.workspace.session import open_project
from records import end, register, start

EVIDENCE = Evidence(
    id="e-first",
    kind="test",
    candidate_id="c-first",
    artifact_hash="a" * 64,
    dataset_fingerprint="d" * 64,
    split_hash="s" * 64,
    producer="test",
    producer_version="1",
    created_at="2025-11-12T03:05:00Z",
    scalars={"mse": Scalar(0.5, "", "min")},
    series={},
    notes={},
)


@pytest.fixture
def podium(monkeypatch, capsys):
    """The command line as ann: what it printed, after its exit code was checked."""
    monkeypatch.setenv("PODIUM_ACTOR", "ann")

    def call(root, *words, code=0):
        capsys.readouterr()
        assert run([*words, "--project", str(root)]) == code
        return capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project with one thing of each kind; tests add notes to it and take none away."""
    found = init.init(tmp_path_factory.mktemp("note") / "mine")
    with open_project(found) as project:
        ledger = project.ledger
        study = projects.new_study(ledger)
        for id_ in start(ledger, study, projects.new_trial(0), projects.new_trial(1)):
            end(ledger, id_)
        register(ledger, "first")
        with ledger.transaction() as tx:
            writes.put_evidence(tx, EVIDENCE)
    return found


@pytest.mark.parametrize("table", ["trial", "candidate", "study", "decision", "evidence"])
def test_anything_with_an_id_can_be_noted_and_shows_it(root, table, podium):
    [row] = projects.query(root, f"SELECT id FROM {table} ORDER BY seq LIMIT 1")
    with open_project(root) as project:
        found = note(project, row["id"][:12], "  looks right  ")
    assert (found.subject_id, found.actor, found.text) == (row["id"], "ann", "looks right")
    shown = podium(root, "show", row["id"]).out
    assert re.search(r"^\[\d{4}-\d\d-\d\d ann\] looks right$", shown, re.MULTILINE)
    [item] = json.loads(podium(root, "show", row["id"], "--json").out)["items"]
    assert [said["text"] for said in item["dated_notes"]] == ["looks right"]


def test_a_run_is_noted_by_its_run_id_from_the_command_line(tmp_path, podium):
    root = init.init(tmp_path / "mine")
    with HyperparamTracker(root) as tracker:
        run_id = tracker.log_run("toto", {}, {"val_pct_mae": 1.0}, notes="as logged")
    done = podium(root, "note", run_id, "beats", "the paper")
    assert re.fullmatch(rf"{run_id}  \[\d{{4}}-\d\d-\d\d ann\] beats the paper\n", done.out)
    assert done.err == f"next: podium show {run_id}\n"
    podium(root, "note", run_id, "and again")
    [found] = tracker.runs
    assert re.sub(r"\[.{10} ann\]", "[]", found.notes) == (
        "as logged\n[] beats the paper\n[] and again"
    )
    [line] = podium(root, "list", "trials", "-o", "jsonl").out.splitlines()
    assert [said["text"] for said in json.loads(line)["dated_notes"]] == [
        "beats the paper",
        "and again",
    ]
    answered = json.loads(podium(root, "note", run_id, "x", "--json").out)
    assert answered["items"][0]["text"] == "x"


def test_an_empty_note_is_refused(root, podium):
    with open_project(root) as project, pytest.raises(UsageError, match="the note is empty"):
        note(project, "t-", " \n ")
    assert "the note is empty" in podium(root, "note", "t-", "  ", code=2).err


def test_a_note_about_nothing_or_about_several_things_is_refused(root, tmp_path):
    with open_project(root) as project:
        with pytest.raises(NotFoundError, match="no id starts with 'zzz'"):
            note(project, "zzz", "words")
        with pytest.raises(NotFoundError, match="several ids start with 't-'"):
            note(project, "t-", "words")
    empty = init.init(tmp_path / "empty")
    with (
        open_project(empty) as project,
        pytest.raises(NotFoundError, match="nothing is on record yet"),
    ):
        note(project, "t-1", "words")
    assert not (empty / "podium.db").exists()


def test_a_note_stays_as_it_was_said(root):
    with open_project(root) as project:
        [row] = projects.query(root, "SELECT id FROM trial ORDER BY seq DESC LIMIT 1")
        note(project, row["id"], "first")
    with projects.connect(root) as connection:
        for change in ("UPDATE note SET text = 'x'", "DELETE FROM note"):
            with pytest.raises(Exception, match="note is append-only"):
                connection.execute(change)
    connection.close()
