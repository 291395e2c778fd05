"""The users' sweep_results.json: everything of the record is in it, nothing of it is lost."""

import json
import multiprocessing
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import projects
from podium.config import load
from podium.errors import DataError
from podium.files import lock
from podium.hashing import json_text
from podium.ledger import foreign, runs, writes
from podium.ledger.ledger import Ledger
from podium.ledger.projections import sweep_results
from podium.ledger.projections.sweep_results import write
from podium.ledger.record_reader import RecordReader
from podium.ledger.sweep_file import FILE
from podium.record import Record
from podium.steps.archive import init
from podium.steps.search.extend import extend
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project

SEED = {
    "run_id": "toto_20251112_030500",
    "model_name": "toto",
    "timestamp": "2025-11-12T03:05:00",
    "hyperparams": {"patch_size": 32, "learning_rate": 0.0003, "context_length": 512},
    "metrics": {"val_pct_mae": 0.721, "test_pct_mae": 2.237, "val_r2": -85.04},
    "checkpoint_path": "path/to/checkpoint.pt",
    "training_time_seconds": 1800.5,
    "notes": "Improved hyperparams aligned with Toto paper",
}


def put(ledger, *found, origin=foreign.TRACKER):
    """Runs as a tracker logs them."""
    with ledger.transaction(durable=True) as tx:
        study = writes.put_study(tx, "", {"tracker": "t"})
        return [
            record
            for record, _ in foreign.put_records(
                tx, study, found, origin=origin, environment_hash="e" * 64
            )
        ]


def run(name="toto", value=0.5, **fields):
    return Record(
        **{
            "run_id": "",
            "model_name": name,
            "timestamp": "2025-11-12T03:05:00.000Z",
            "hyperparams": {"learning_rate": 0.001},
            "metrics": {"val_pct_mae": value},
            **fields,
        }
    )


def content(root):
    return json.loads((root / FILE).read_text(encoding="utf-8"))


def told(root):
    return content(root)["runs"]


def give(root, payload):
    """Somebody else writes the file."""
    (root / FILE).parent.mkdir(exist_ok=True)
    text = payload if isinstance(payload, str) else json.dumps(payload)
    (root / FILE).write_text(text, encoding="utf-8")


def of_record(ledger, root):
    reader = RecordReader(projects.url_of(root), root, ledger.project_id)
    return {record.run_id: record for record in runs.runs(reader)}


def same(one, other):
    """Equal as JSON, numbers by their kind and NaN by its name."""
    return json_text(one) == json_text(other)


@pytest.fixture
def ledger(tmp_path):
    """An empty record; files lie beside it."""
    found = projects.open_ledger(tmp_path)
    yield found
    found.close()


def test_a_project_that_never_logged_a_run_gets_no_file(ledger, tmp_path):
    study = projects.new_study(ledger)
    with ledger.transaction() as tx:
        [id_] = writes.start_trials(tx, study, [projects.new_trial(0)], "e" * 64)
        writes.end_trial(tx, projects.ended(id_), metric="mse", index_hash=None)
    assert write(ledger, tmp_path) == []
    assert not (tmp_path / "hyperparams").exists()


def test_a_logged_run_stands_in_the_file_with_the_fields_the_older_tracker_had(ledger, tmp_path):
    put(ledger, run(notes="first", training_time_seconds=2.5, checkpoint_path="ck/a.pt"))
    assert write(ledger, tmp_path) == ["hyperparams/sweep_results.json"]
    assert content(tmp_path) == {
        "runs": [
            {
                "run_id": "toto_20251112_030500",
                "model_name": "toto",
                "timestamp": "2025-11-12T03:05:00.000Z",
                "hyperparams": {"learning_rate": 0.001},
                "metrics": {"val_pct_mae": 0.5},
                "checkpoint_path": f"{tmp_path}/ck/a.pt",
                "training_time_seconds": 2.5,
                "notes": "first",
                "git_commit": None,
                "git_dirty": None,
                "git_diff_hash": None,
            }
        ]
    }
    first = (tmp_path / FILE).read_text(encoding="utf-8").splitlines()[1]
    assert first.startswith('{"run_id": "toto_20251112_030500", "model_name": "toto", "timestamp"')


def test_nothing_is_written_while_nothing_changes(ledger, tmp_path):
    put(ledger, run())
    write(ledger, tmp_path)
    before = (tmp_path / FILE).stat().st_mtime_ns
    assert write(ledger, tmp_path) == []
    assert (tmp_path / FILE).stat().st_mtime_ns == before


def test_a_file_that_somebody_deleted_comes_back(ledger, tmp_path):
    put(ledger, run())
    write(ledger, tmp_path)
    (tmp_path / FILE).unlink()
    assert write(ledger, tmp_path) == ["hyperparams/sweep_results.json"]
    assert len(told(tmp_path)) == 1


def test_trials_of_podiums_own_searches_are_in_the_file_too(tmp_path):
    root = projects.small_project(
        tmp_path / "small", tune={"trials": 2, "generation": 2}, extend={"top": 1}
    )
    give(root, {"runs": [SEED]})
    with open_project(root) as project:
        tune(project, projects.SLOT)
        extend(project, projects.SLOT)
    found = told(root)
    # Their folds, and the naive forecasts beside them, are nobody's runs.
    assert [r["model_name"] for r in found] == ["lstm", "lstm", "toto"]
    assert found[2] == SEED
    assert found[0]["metrics"]["val_mse"] > 0
    assert found[0]["hyperparams"]["lstm_units"] == 4
    assert re.fullmatch(r"lstm_\d{8}_\d{6}", found[0]["run_id"])


def test_an_imported_file_comes_back_word_for_word(ledger, tmp_path):
    odd = {
        **SEED,
        "run_id": "kronos_1",
        "model_name": "kronos",
        "metrics": {"val_pct_mae": float("nan"), "loss": float("inf"), "epochs": 3, "gone": None},
        "hyperparams": {"freeze": True, "lora": {"r": 16, "alpha": [1, 2.0, None]}, "näme": "χ²"},
        "training_time_seconds": 1800,
        "notes": None,
        "tags": ["a", {"b": -0.0}],
    }
    give(tmp_path, {"runs": [SEED, odd]})
    write(ledger, tmp_path)
    assert same(told(tmp_path), [SEED, odd])
    assert set(of_record(ledger, tmp_path)) == {"toto_20251112_030500", "kronos_1"}


# Zero bytes are refused, in words: no database takes them.
TEXT = st.characters(codec="utf-8", exclude_characters="\0")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(TEXT, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(TEXT, max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
NUMBER = st.none() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=True, allow_infinity=True)
NAME = st.text(TEXT, min_size=1, max_size=12)
FIELDS = {
    "timestamp": st.sampled_from(["2025-11-12T03:05:00", "2025-11-12 03:05:00+01:00", ""]),
    "hyperparams": st.dictionaries(st.text(TEXT, max_size=8), JSON, max_size=4),
    "metrics": st.dictionaries(NAME, NUMBER, max_size=4),
    "checkpoint_path": st.none() | st.text(TEXT, max_size=12),
    "training_time_seconds": NUMBER,
    "notes": st.none() | st.text(TEXT, max_size=20),
    "git_commit": st.none() | st.text(TEXT, max_size=10),
    "git_dirty": st.none() | st.booleans(),
    "git_diff_hash": st.none() | st.text(TEXT, max_size=10),
    "extra": JSON,
    "record": JSON,
    "extras": JSON,
}
RUN = st.fixed_dictionaries({"run_id": NAME, "model_name": NAME}, optional=FIELDS)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Makes empty records, each with a folder of its own; they share a database, for speed."""
    place = tmp_path_factory.mktemp("shared") / "podium.db"
    opened = []

    def make():
        folder = tmp_path_factory.mktemp("project")
        opened.append(Ledger(f"sqlite:///{place}", folder, f"p-{len(opened)}", "test"))
        return opened[-1], folder

    yield make
    for ledger in opened:
        ledger.close()


@given(st.lists(RUN, max_size=4, unique_by=lambda found: found["run_id"]))
@settings(max_examples=30)
def test_import_and_export_are_exact_for_whatever_a_file_holds(fresh, found):
    wanted = {"runs": found, "version": 2}
    ledger, root = fresh()
    give(root, wanted)
    said = []
    write(ledger, root, say=said.append)
    assert same(content(root), wanted), said
    # What podium wrote is no news to it.
    assert write(ledger, root) == []


def test_a_run_that_somebody_added_to_the_file_becomes_a_run_of_the_record(ledger, tmp_path):
    put(ledger, run())
    write(ledger, tmp_path)
    give(tmp_path, {"runs": [*told(tmp_path), {**SEED, "run_id": "mine"}]})
    put(ledger, run("kronos"))
    said = []
    write(ledger, tmp_path, slot="eurusd/1H", say=said.append)
    assert [r["run_id"] for r in told(tmp_path)] == [
        "toto_20251112_030500",
        "kronos_20251112_030500",
        "mine",
    ]
    assert told(tmp_path)[2] == {**SEED, "run_id": "mine"}
    assert said == [f"imported from {tmp_path / FILE}: 1 run"]
    [slot] = projects.query(tmp_path, "SELECT slot FROM study WHERE question LIKE '%import%'")
    assert slot == {"slot": "eurusd/1H"}


def test_a_run_that_somebody_took_out_of_the_file_stays_in_the_record_and_comes_back(
    ledger, tmp_path
):
    put(ledger, run(), run("kronos"))
    write(ledger, tmp_path)
    give(tmp_path, {"runs": told(tmp_path)[1:]})
    write(ledger, tmp_path)
    assert [r["model_name"] for r in told(tmp_path)] == ["toto", "kronos"]
    assert len(of_record(ledger, tmp_path)) == 2


def test_an_edited_run_becomes_a_run_beside_the_one_it_was_and_both_say_so(ledger, tmp_path):
    put(ledger, run(notes="as logged"))
    write(ledger, tmp_path)
    [mine] = told(tmp_path)
    give(tmp_path, {"runs": [{**mine, "metrics": {"val_pct_mae": 0.4}}]})
    write(ledger, tmp_path)
    first, second = told(tmp_path)
    assert (first["run_id"], second["run_id"]) == ("toto_20251112_030500", "toto_20251112_030500-2")
    assert (first["metrics"], second["metrics"]) == ({"val_pct_mae": 0.5}, {"val_pct_mae": 0.4})
    assert re.fullmatch(
        r"as logged\n\[\d{4}-\d\d-\d\d sweep_results.json\] "
        r"edited in hyperparams/sweep_results.json; since: toto_20251112_030500-2",
        first["notes"],
    )
    assert "before: toto_20251112_030500" in second["notes"]
    # It is the same file from now on.
    assert write(ledger, tmp_path) == []


def test_words_added_to_the_notes_in_the_file_become_a_dated_note(ledger, tmp_path):
    put(ledger, run(notes="as logged"))
    write(ledger, tmp_path)
    [mine] = told(tmp_path)
    give(tmp_path, {"runs": [{**mine, "notes": "as logged, and checked"}]})
    write(ledger, tmp_path)
    [record] = of_record(ledger, tmp_path).values()
    assert re.fullmatch(r"as logged\n\[.* sweep_results.json\] , and checked", record.notes)
    # Taking them away takes nothing away.
    give(tmp_path, {"runs": [{**mine, "notes": ""}]})
    write(ledger, tmp_path)
    assert told(tmp_path)[0]["notes"] == record.notes


def test_a_note_of_the_record_is_in_the_file(ledger, tmp_path):
    [record] = put(ledger, run(notes="as logged"))
    write(ledger, tmp_path)
    with ledger.transaction() as tx:
        writes.put_note(tx, record.trial_id, "better than it looks", "ann")
    write(ledger, tmp_path)
    notes = told(tmp_path)[0]["notes"]
    assert re.fullmatch(r"as logged\n\[\d{4}-\d\d-\d\d ann\] better than it looks", notes)


def test_an_imported_runs_note_is_added_to_what_was_imported(ledger, tmp_path):
    give(tmp_path, {"runs": [SEED]})
    write(ledger, tmp_path)
    [record] = of_record(ledger, tmp_path).values()
    with ledger.transaction() as tx:
        writes.put_note(tx, record.trial_id, "seen again", "ann")
    write(ledger, tmp_path)
    [mine] = told(tmp_path)
    assert mine["notes"].startswith(SEED["notes"] + "\n[")
    assert {**mine, "notes": SEED["notes"]} == SEED


def test_two_runs_with_one_id_in_the_file_are_both_kept(ledger, tmp_path):
    give(tmp_path, {"runs": [SEED, {**SEED, "metrics": {"val_pct_mae": 0.5}}]})
    write(ledger, tmp_path)
    ids = [r["run_id"] for r in told(tmp_path)]
    assert ids == ["toto_20251112_030500", "toto_20251112_030500-2"]


def test_a_run_that_cannot_be_read_is_told_and_the_file_it_stood_in_is_kept(ledger, tmp_path):
    text = json.dumps({"runs": [SEED, {"run_id": "x", "model_name": 5}]})
    give(tmp_path, text)
    said = []
    written = write(ledger, tmp_path, say=said.append)
    [kept] = tmp_path.glob("hyperparams/sweep_results.json.before-*")
    assert kept.read_text() == text
    assert kept.relative_to(tmp_path).as_posix() in written
    assert "run 1 (x)" in said[0]
    assert kept.name in said[0]
    assert told(tmp_path) == [SEED]


def test_a_damaged_file_that_podium_never_saw_whole_is_left_alone(ledger, tmp_path):
    put(ledger, run())
    give(tmp_path, '{"runs": [{"run_id":')
    with pytest.raises(
        DataError, match=r"podium has no earlier version of it.*[Rr]epair the file, or move it away"
    ):
        write(ledger, tmp_path)
    assert (tmp_path / FILE).read_text() == '{"runs": [{"run_id":'


def test_a_damaged_file_that_podium_wrote_is_kept_aside_and_written_again(ledger, tmp_path):
    put(ledger, run())
    write(ledger, tmp_path)
    good = (tmp_path / FILE).read_bytes()
    torn = good[: len(good) // 2]
    (tmp_path / FILE).write_bytes(torn)
    said = []
    write(ledger, tmp_path, say=said.append)
    assert (tmp_path / FILE).read_bytes() == good
    [kept] = tmp_path.glob("hyperparams/sweep_results.json.damaged-*")
    assert kept.read_bytes() == torn
    assert kept.name in said[0]
    assert write(ledger, tmp_path) == []


def test_a_file_written_while_podium_looked_at_it_is_not_overwritten(ledger, tmp_path, monkeypatch):
    put(ledger, run())
    write(ledger, tmp_path)
    put(ledger, run("kronos"))
    real, calls = sweep_results.rendered, []

    def slow(*arguments):
        if not calls:
            give(tmp_path, {"runs": [*told(tmp_path), {**SEED, "run_id": "late"}]})
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(sweep_results, "rendered", slow)
    write(ledger, tmp_path)
    assert {r["run_id"] for r in told(tmp_path)} == {
        "toto_20251112_030500",
        "kronos_20251112_030500",
        "late",
    }


def test_a_kill_between_import_and_writing_imports_nothing_twice(ledger, tmp_path, monkeypatch):
    put(ledger, run())
    write(ledger, tmp_path)
    [mine] = told(tmp_path)
    edited = {**mine, "metrics": {"val_pct_mae": 0.4}}
    noted = {**SEED, "run_id": "new", "notes": "n"}
    give(tmp_path, {"runs": [edited, noted], "version": 1})

    def dies(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sweep_results, "write_atomic", dies)
        with pytest.raises(KeyboardInterrupt):
            write(ledger, tmp_path)
    assert told(tmp_path) == [edited, noted]
    write(ledger, tmp_path)
    assert [r["run_id"] for r in told(tmp_path)] == [mine["run_id"], f"{mine['run_id']}-2", "new"]
    assert content(tmp_path)["version"] == 1
    notes = projects.query(tmp_path, "SELECT text FROM note")
    assert len(notes) == 2


def test_a_project_that_was_moved_tells_its_new_paths(tmp_path):
    root = init.init(tmp_path / "old")
    with open_project(root) as project:
        put(project.ledger, run(checkpoint_path="ck/a.pt"))
    assert told(root)[0]["checkpoint_path"] == f"{root}/ck/a.pt"
    moved = root.rename(tmp_path / "new")
    with open_project(moved) as project:
        project.ledger  # noqa: B018 - opening it brings the files up to date
    assert [r["checkpoint_path"] for r in told(moved)] == [f"{moved}/ck/a.pt"]


def test_a_file_edited_after_the_move_is_not_taken_for_other_runs(tmp_path):
    root = init.init(tmp_path / "old")
    with open_project(root) as project:
        put(project.ledger, run(checkpoint_path="ck/a.pt"))
    moved = root.rename(tmp_path / "new")
    mine = {**SEED, "run_id": "mine"}
    give(moved, {"runs": [*told(moved), mine]})
    with open_project(moved) as project:
        project.ledger  # noqa: B018 - opening it brings the files up to date
    first, second = told(moved)
    assert (first["checkpoint_path"], first["notes"]) == (f"{moved}/ck/a.pt", "")
    assert second == mine


def test_a_file_restored_with_an_older_record_loses_nothing(ledger, tmp_path):
    put(ledger, run())
    write(ledger, tmp_path)
    newer = told(tmp_path)
    other = tmp_path / "older"
    other.mkdir()
    give(other, {"runs": newer})
    older = projects.open_ledger(other)
    try:
        write(older, other)
        assert told(other) == newer
    finally:
        older.close()


def test_another_writer_is_waited_for_or_left_to_do_it(ledger, tmp_path, monkeypatch):
    put(ledger, run())
    monkeypatch.setattr(sweep_results, "PATIENCE_SECONDS", 0.05)
    with lock(tmp_path / ".podium" / "locks" / "sweep_results.lock", "another podium"):
        assert write(ledger, tmp_path, wait=False) == []
        assert write(ledger, tmp_path) == []
        assert not (tmp_path / FILE).exists()
    assert write(ledger, tmp_path, wait=False) == [FILE.as_posix()]


def _update(root: Path, barrier, answers) -> None:
    ledger = projects.open_ledger(root)
    barrier.wait(60)
    answers.put(write(ledger, root))
    ledger.close()


@pytest.mark.slow
def test_processes_that_write_the_file_together_leave_it_whole(ledger, tmp_path):
    put(ledger, *(run(value=n / 100) for n in range(100)))
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_update, args=(tmp_path, barrier, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    written = [answers.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert sum(map(len, written)) == 1
    assert len(told(tmp_path)) == 100


def test_a_step_brings_the_file_up_to_date_and_its_trouble_stops_nothing(tmp_path):
    root = init.init(tmp_path / "mine")
    give(root, "no JSON")

    class Heard:
        said: list[str] = []  # noqa: RUF012 - one reporter in this test

        def say(self, text):
            self.said.append(text)

        def progress(self, *arguments):
            """Nothing to hear."""

    with open_project(root, reporter=Heard()) as project:
        assert project.ledger.project_id == load(root).project.id
    assert any("sweep_results.json" in text and "no earlier version" in text for text in Heard.said)
    assert (root / FILE).read_text() == "no JSON"
