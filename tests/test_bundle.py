"""A bundle moves trials, candidates and models whole, or not at all; and exports say what is."""

import json
import shutil
import sqlite3

import pytest

import foreign
import podium
from podium import artifact
from podium.cli.main import run
from podium.errors import ConflictError, DataError, NotFoundError, UsageError
from podium.ledger import pieces, writes
from podium.ledger.record_reader import RecordReader
from podium.ledger.trial_facts import trials
from podium.steps.archive import bundle
from podium.steps.archive.doctor import doctor
from podium.steps.archive.export import export
from podium.steps.archive.import_ import import_
from podium.steps.workspace.session import open_project
from projects import LENIENT, SLOT, outcome, query, run_project, small_project


@pytest.fixture(scope="module")
def finished(ladder, tmp_path_factory):
    """A project with a champion, an imported run and notes."""
    root = ladder.copy(tmp_path_factory.mktemp("bundle") / "one", "finished", policies=LENIENT)
    with open_project(root) as project:
        import_(project, str(foreign.sweep(root.parent / "sweep_results.json", foreign.RUN)))
    [candidate] = query(root, "SELECT id, trial_id FROM candidate")
    with open_project(root) as project, project.ledger.transaction() as tx:
        for subject in (candidate["id"], candidate["trial_id"]):
            writes.put_note(tx, subject, "keep an eye on it", "ann")
    return root


@pytest.fixture(scope="module")
def packed(finished, tmp_path_factory):
    return pack(finished, tmp_path_factory.mktemp("packed") / "all.tar")


@pytest.fixture
def other(tmp_path):
    """An empty project with the same slot and another id."""
    return small_project(
        tmp_path / "other", policies=LENIENT, project={"id": "p-other", "name": "other"}
    )


def pack(root, path, *ids):
    with open_project(root) as project:
        return bundle.write(project, path, ids).path


def take(root, path, **how):
    with open_project(root) as project:
        return import_(project, str(path), **how).bundle


def contents(root):
    """Everything of a record that an import could change."""
    tables = [
        row["name"]
        for row in query(root, "SELECT name FROM sqlite_master WHERE type = 'table'")
        # How far the users' files have come is another matter.
        if not row["name"].startswith(("sqlite_", "projection"))
    ]
    return {table: query(root, f"SELECT * FROM {table}") for table in tables}


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted((root / "models").rglob("*"))
        if path.is_file()
    }


# Moving


def test_everything_arrives_with_scores_curves_notes_models_and_evidence(finished, packed, other):
    before = outcome(finished)
    took = take(other, packed)
    after = outcome(other)
    for part in ("trials", "epochs", "asked", "studies", "looks"):
        assert after[part] == before[part], part
    [old], [new] = before["candidates"], after["candidates"]
    assert (new.pop("stage"), old.pop("stage")) == ("development", "champion")
    assert new == old
    assert took.put.added["trial"] == len(before["trials"])
    # The hashes of a test's samples, by which later looks are counted, arrive too.
    [look] = _rows(other, "test_look")
    assert look["samples_hash"] in {row["hash"] for row in _rows(other, "blob")}
    for table in ("dataset", "split", "task", "environment", "result", "note"):
        mine, theirs = (_rows(root, table) for root in (other, finished))
        assert [row for row in theirs if row not in mine] == []
    arrived = {name for name in files(other) if "registry" in name}
    assert {name for name in files(finished) if "registry" in name} == arrived
    assert all(check.ok for check in doctor(other)), doctor(other)


def _rows(root, table):
    """Rows without what every project has of its own."""
    rows = query(root, f"SELECT * FROM {table}")
    return [{k: v for k, v in row.items() if k not in ("seq", "project_id")} for row in rows]


def test_evidence_arrives_word_for_word_and_says_where_it_is_from(finished, packed, other):
    take(other, packed)
    kept = ("id", "kind", "artifact_hash", "producer", "producer_version", "scalars", "series")
    sql = f"SELECT {', '.join(kept)} FROM evidence ORDER BY id"
    assert query(other, sql) == query(finished, sql)
    for row in query(other, "SELECT notes FROM evidence"):
        assert json.loads(row["notes"])["imported"] == "small (p-small), all.tar"


def test_decisions_of_the_other_project_stay_there(finished, packed, other):
    take(other, packed)
    [decision] = query(other, "SELECT * FROM decision")
    assert (decision["kind"], decision["to_stage"]) == ("register", "development")
    assert decision["reason"] == "imported from small (p-small), all.tar"
    assert query(other, "SELECT * FROM champion") == []


def test_rows_arrive_in_their_order_however_many_are_handled_at_once(
    finished, other, tmp_path, monkeypatch
):
    monkeypatch.setattr(pieces, "PIECE", 7)
    take(other, pack(finished, tmp_path / "small pieces.tar"))
    for sql in (
        "SELECT key FROM trial ORDER BY seq",
        "SELECT t.key, l.phase, l.number FROM study_trial l JOIN trial t ON t.id = l.trial_id "
        "ORDER BY l.seq",
        "SELECT id FROM evidence ORDER BY seq",
        "SELECT hash FROM blob ORDER BY seq",
        "SELECT trial_id, part, epoch, metric, value FROM score ORDER BY 1, 2, 3, 4",
    ):
        assert query(other, sql) == query(finished, sql)


def test_a_second_import_changes_nothing(packed, other):
    take(other, packed)
    before, models = contents(other), files(other)
    took = take(other, packed)
    assert sum(took.put.added.values()) == took.artifacts == 0
    assert contents(other) == before
    assert files(other) == models


def test_a_run_after_the_import_trains_nothing_and_promotes_what_arrived(finished, packed, other):
    take(other, packed)
    before = query(other, "SELECT id, ended_at FROM trial ORDER BY seq")
    run_project(other)
    assert query(other, "SELECT id, ended_at FROM trial ORDER BY seq") == before
    [mine], [theirs] = (query(r, "SELECT candidate_id FROM champion") for r in (other, finished))
    assert mine == theirs


def test_a_bundle_taken_back_by_its_own_project_is_known(finished, packed, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(finished, root)
    before = contents(root)
    took = take(root, packed)
    assert sum(took.put.added.values()) == 0
    assert contents(root) == before


def test_an_arrived_trial_is_shown_and_its_model_loads(packed, other, capsys):
    take(other, packed)
    [row] = query(other, "SELECT id, trial_id, artifact_path, artifact_hash FROM candidate")
    for subject in (row["id"], row["trial_id"]):
        assert run(["show", subject, "--project", str(other)]) == 0
        assert "keep an eye on it" in capsys.readouterr().out
    store = other / "models" / "registry"
    model = artifact.load(store / row["artifact_path"], row["artifact_hash"])
    assert model.tickers == ("AAPL", "IBM")


def test_what_is_here_already_is_left_alone_and_links_lead_to_it(finished, packed, other):
    # The same searches, run here: same keys, other ids.
    run_project(other)
    before = query(other, "SELECT * FROM trial ORDER BY seq")
    decisions = query(other, "SELECT * FROM decision")
    took = take(other, packed)
    rows = query(other, "SELECT * FROM trial ORDER BY seq")
    assert rows[: len(before)] == before
    assert took.put.known["trial"] == len(before)
    assert took.put.known["candidate"] == 1
    # The one new trial is the run that was imported there.
    assert [row["origin"][:6] for row in rows[len(before) :]] == ["import"]
    assert query(other, "SELECT * FROM decision") == decisions
    dangling = "SELECT * FROM study_trial WHERE trial_id NOT IN (SELECT id FROM trial)"
    assert query(other, dangling) == []
    notes = query(other, "SELECT subject_id FROM note")
    known = {row["id"] for table in ("trial", "candidate") for row in _ids(other, table)}
    assert len(notes) == 2
    assert {note["subject_id"] for note in notes} <= known


def _ids(root, table):
    return query(root, f"SELECT id FROM {table}")


def test_a_name_that_is_taken_gets_a_number(packed, other):
    with open_project(other) as project:
        mine = {**foreign.RUN, "notes": "another one"}
        import_(project, str(foreign.sweep(other / "sweep_results.json", mine)))
    took = take(other, packed)
    assert took.put.renamed == [("toto_20251112_030500", "toto_20251112_030500-2")]
    names = query(other, "SELECT run_id, notes FROM trial WHERE family = 'toto' ORDER BY seq")
    assert [row["run_id"] for row in names] == ["toto_20251112_030500", "toto_20251112_030500-2"]
    assert take(other, packed).put.renamed == []


def test_a_slot_nobody_declares_is_told_and_its_things_are_kept(packed, tmp_path, capsys):
    run(["init", str(tmp_path / "bare"), "-q"])
    code = run(["import", str(packed), "--project", str(tmp_path / "bare")])
    told = capsys.readouterr()
    assert code == 0
    assert f"declares no slot '{SLOT}'" in told.err
    assert "next: podium list candidates" in told.err
    assert len(_ids(tmp_path / "bare", "candidate")) == 1


def test_a_dry_run_tells_the_same_and_writes_nothing(packed, other):
    with open_project(other) as project:
        project.ledger.close()
    before = contents(other)
    dry = take(other, packed, dry_run=True)
    assert contents(other) == before
    assert not (other / "models").exists()
    wet = take(other, packed)
    assert (dry.put, dry.artifacts, dry.undeclared) == (wet.put, wet.artifacts, wet.undeclared)


def test_nothing_is_left_in_the_work_folder(packed, other):
    take(other, packed)
    assert list((other / ".podium" / "work").iterdir()) == []


def test_an_import_is_refused_while_a_step_is_at_work_on_its_slot(packed, other):
    with (
        open_project(other) as project,
        project.locked(SLOT, "run"),
        pytest.raises(ConflictError, match="podium run"),
    ):
        take(other, packed)


@pytest.mark.slow
def test_a_bundle_moves_to_a_server_and_on_into_a_file(finished, packed, database, other, tmp_path):
    project = {"id": "p-there", "name": "there"}
    there = small_project(tmp_path / "there", project=project, ledger={"url": database})
    for _ in range(2):
        take(there, packed)
    assert outcome(there)["trials"] == outcome(finished)["trials"]
    with open_project(there) as project:
        text = export(project, "jsonl").content
    take(other, pack(there, tmp_path / "on.tar"))
    for part in ("trials", "epochs", "asked", "studies", "looks"):
        assert outcome(other)[part] == outcome(finished)[part], part
    [trial, *_] = map(json.loads, text.splitlines())
    assert trial["packages"]["numpy"]


# Kept models


@pytest.mark.slow
def test_models_of_a_grid_arrive_where_this_project_keeps_its_own(tmp_path):
    root = small_project(tmp_path / "one")
    grid = ["grid", "--learning-rates", "0.01", "--set", "max_epochs=2", "-q"]
    assert run([*grid, "--project", str(root)]) == 0
    path = pack(root, tmp_path / "grid.tar")
    elsewhere = small_project(
        tmp_path / "other", project={"id": "p-other"}, paths={"registry": "store/here"}
    )
    take(elsewhere, path)
    sql = "SELECT checkpoint FROM trial WHERE checkpoint IS NOT NULL"
    [old], [new] = query(root, sql), query(elsewhere, sql)
    assert new["checkpoint"] == old["checkpoint"].replace("models/registry", "store/here")
    model = podium.load_model(elsewhere / new["checkpoint"])
    assert model.tickers == ("AAPL", "IBM")


def test_a_model_that_was_removed_is_told_and_its_trial_comes_without(tmp_path, other):
    root = small_project(tmp_path / "one")
    grid = ["grid", "--learning-rates", "0.01", "--set", "max_epochs=2", "-q"]
    assert run([*grid, "--project", str(root)]) == 0
    [row] = query(root, "SELECT artifact_hash FROM trial WHERE artifact_hash IS NOT NULL")
    shutil.rmtree(root / "models" / "registry" / row["artifact_hash"][:20])
    with open_project(root) as project:
        found = bundle.write(project, tmp_path / "grid.tar")
    [left] = found.left
    assert "is no longer in the store" in left
    assert take(other, found.path).artifacts == 0
    sql = "SELECT artifact_hash, checkpoint FROM trial WHERE run_id IS NOT NULL"
    assert query(other, sql) == [{"artifact_hash": None, "checkpoint": None}]


# Choosing


def test_a_candidate_brings_all_trials_of_its_study_and_no_others(finished, other, tmp_path):
    [candidate] = query(finished, "SELECT id, study_id FROM candidate")
    take(other, pack(finished, tmp_path / "one.tar.gz", candidate["id"]))
    theirs = query(
        finished,
        "SELECT DISTINCT t.key FROM trial t JOIN study_trial l ON l.trial_id = t.id "
        "WHERE l.study_id = ? ORDER BY t.key",
        candidate["study_id"],
    )
    assert query(other, "SELECT key FROM trial ORDER BY key") == theirs
    assert query(other, "SELECT id FROM trial WHERE family = 'toto'") == []


def test_a_trial_comes_alone_with_its_study(finished, other, tmp_path):
    [trial] = query(
        finished,
        "SELECT t.id FROM trial t JOIN study_trial l ON l.trial_id = t.id "
        "WHERE l.phase = 'tune' AND l.number = 0",
    )
    take(other, pack(finished, tmp_path / "one.tar", trial["id"]))
    assert _ids(other, "trial") == [trial]
    assert query(other, "SELECT trial_id AS id FROM study_trial") == [trial]
    assert _ids(other, "candidate") == []
    assert query(other, "SELECT count(*) AS n FROM score") != [{"n": 0}]
    # The search goes on where the other one was not.
    run_project(other)
    searched = "SELECT key, state, score FROM trial WHERE family != 'toto' ORDER BY key"
    assert query(other, searched) == query(finished, searched)


def test_a_run_is_named_by_its_run_id_too(finished, other, tmp_path):
    take(other, pack(finished, tmp_path / "one.tar", foreign.RUN["run_id"]))
    [row] = query(other, "SELECT * FROM trial")
    assert json.loads(row["config"]) == foreign.RUN["hyperparams"]
    with open_project(other) as project:
        assert json.loads(export(project, "sweep").content)["runs"] == [foreign.RUN]


def test_ancestors_come_along(finished, other, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(finished, root)
    child = enhanced(root)
    take(other, pack(root, tmp_path / "one.tar", child))
    rows = query(other, "SELECT id, parent_id, root_id, version FROM candidate ORDER BY version")
    [parent] = query(finished, "SELECT id FROM candidate")
    assert [(row["id"], row["parent_id"], row["root_id"]) for row in rows] == [
        (parent["id"], None, parent["id"]),
        (child, parent["id"], parent["id"]),
    ]


def enhanced(root):
    """A child of the project's candidate: the same model under another description."""
    with open_project(root) as project, project.ledger.transaction() as tx:
        from dataclasses import replace

        from podium.hashing import new_id
        from podium.ledger import decisions, reads

        [row] = query(root, "SELECT id, artifact_path FROM candidate")
        parent = reads.candidate_by_id(tx, row["id"])
        old = project.store / row["artifact_path"]
        folders = {name: old / name for name in ("best_model", "final_model")}
        manifest = json.loads((old / "manifest.json").read_bytes())
        manifest = {**manifest, "seed": 99}
        name, path = artifact.store(project.store, folders, manifest, writer="0" * 16)
        child = replace(
            parent,
            id=new_id("c"),
            model_type="continued",
            artifact_hash=name,
            artifact_path=path,
            parent_id=parent.id,
        )
        return decisions.register(tx, child, "ann").id


def test_what_has_not_ended_stays_and_is_told(finished, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(finished, root)
    with sqlite3.connect(root / "podium.db") as connection:
        connection.execute("UPDATE trial SET state = 'interrupted' WHERE family = 'toto'")
    connection.close()
    with open_project(root) as project:
        found = bundle.write(project, tmp_path / "all.tar")
    assert found.left == ("1 trials have not ended",)


def test_a_bundle_is_written_beside_and_never_over_a_file(finished, packed, tmp_path):
    path = tmp_path / "there.tar"
    path.write_bytes(b"mine")
    with pytest.raises(ConflictError, match="exists"):
        pack(finished, path)
    assert path.read_bytes() == b"mine"
    with pytest.raises(UsageError, match="is no tar file"):
        pack(finished, tmp_path / "bundle.zip")
    with pytest.raises(NotFoundError, match="no id starts with 't-nobody'"):
        pack(finished, tmp_path / "b.tar", "t-nobody")
    [decision, *_] = query(finished, "SELECT id FROM decision")
    with pytest.raises(UsageError, match="is one of the decisions"):
        pack(finished, tmp_path / "b.tar", decision["id"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there.tar"]


def test_a_project_without_trials_has_nothing_to_bundle(other, tmp_path):
    with pytest.raises(NotFoundError, match="no ended trial to export"):
        pack(other, tmp_path / "all.tar")
    assert not (tmp_path / "all.tar").exists()


def test_a_changed_model_is_not_exported(finished, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(finished, root)
    [row] = query(root, "SELECT artifact_path FROM candidate")
    (root / "models/registry" / row["artifact_path"] / "final_model/model.pt").write_bytes(b"x")
    with pytest.raises(DataError, match="differs from its manifest"):
        pack(root, tmp_path / "all.tar")
    assert not (tmp_path / "all.tar").exists()
    assert not list(tmp_path.glob(".*"))


# Exports


def test_lines_tell_config_results_curves_and_key_of_every_trial(finished, capsys):
    assert run(["export", "--project", str(finished)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows = query(finished, "SELECT * FROM trial ORDER BY seq")
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert line["config"] == json.loads(row["config"])
        assert line["key"]["split"] == row["split_hash"]
        assert line["score"] == row["score"]
        results = query(finished, "SELECT metric, value FROM result WHERE trial_id = ?", row["id"])
        assert line["results"] == {each["metric"]: each["value"] for each in results}
        assert [len(curve) for curve in line["curves"].values()] == [row["epochs"]] * len(
            line["curves"]
        )
    tuned = next(line for line in lines if line["model_name"] == "lstm" and line["run_id"])
    assert set(tuned["curves"]) >= {"train_loss", "val_loss"}
    assert tuned["studies"][0]["phase"] == "tune"
    assert tuned["packages"]["numpy"]


def test_a_table_has_a_column_a_parameter_and_a_metric(finished, tmp_path, capsys):
    path = tmp_path / "trials.csv"
    words = ["export", "--format", "csv", "--to", str(path), "--project", str(finished)]
    assert run(words) == 0
    import pandas as pd

    table = pd.read_csv(path)
    assert len(table) == len(_ids(finished, "trial"))
    toto = table[table.model_name == "toto"].iloc[0]
    assert toto["config.patch_size"] == 32
    assert toto["val_r2"] == -85.04
    # The same command after a kill finds its own file.
    assert run(words) == 0
    path.write_text("mine")
    assert run(words) == 6
    assert "exists" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_ids_choose_trials_of_an_export(finished):
    [candidate] = query(finished, "SELECT trial_id, study_id FROM candidate")
    reader = RecordReader("sqlite:///podium.db", finished, "p-small")
    assert [t["id"] for t in trials(reader, {candidate["trial_id"]})] == [candidate["trial_id"]]
    with open_project(finished) as project:
        of_study = export(project, "jsonl", [candidate["study_id"]])
        assert of_study.trials == len(_ids(finished, "trial")) - 1
        with pytest.raises(NotFoundError, match="no trial to export"):
            export(project, "sweep", [candidate["trial_id"]])


def test_a_journal_opens_in_optuna_with_a_study_for_each_of_ours(finished, tmp_path):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = tmp_path / "journal.log"
    assert (
        run(["export", "--format", "optuna-journal", "--to", str(path), "--project", str(finished)])
        == 0
    )
    storage = JournalStorage(JournalFileBackend(str(path)))
    studies = {s.study_name: s for s in optuna.study.get_all_study_summaries(storage)}
    [candidate] = query(finished, "SELECT study_id FROM candidate")
    study = optuna.load_study(study_name=f"{SLOT} {candidate['study_id']}", storage=storage)
    assert len(studies) == 2
    assert study.direction.name == "MINIMIZE"
    rows = {row["id"]: row for row in query(finished, "SELECT * FROM trial")}
    for trial in study.trials:
        row = rows[trial.user_attrs["podium.id"]]
        assert trial.params == json.loads(row["config"])
        if row["score"] is not None:
            assert trial.value == row["score"]
    # Fewest surprises: what Optuna calls best is what the record calls best.
    best = min((row for row in rows.values() if row["score"] is not None), key=lambda r: r["score"])
    assert study.best_trial.user_attrs["podium.id"] == best["id"]


def test_a_study_of_optuna_goes_back_as_it_came(other, tmp_path):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    source = foreign.journal(tmp_path / "journal.log")
    with open_project(other) as project:
        import_(project, str(source))
        (tmp_path / "back.log").write_bytes(export(project, "optuna-journal").content)
    there = JournalStorage(JournalFileBackend(str(source)))
    back = JournalStorage(JournalFileBackend(str(tmp_path / "back.log")))
    old = optuna.load_study(study_name="one", storage=there)
    [name] = [
        s.study_name for s in optuna.study.get_all_study_summaries(back) if len(s.directions) == 1
    ]
    new = optuna.load_study(study_name=name, storage=back)
    ended = [trial for trial in old.trials if trial.state.is_finished()]
    assert len(new.trials) == len(ended)
    for mine, theirs in zip(new.trials, ended, strict=True):
        assert mine.state == theirs.state
        assert mine.params == theirs.params
        assert mine.distributions == theirs.distributions
        assert mine.user_attrs["who"] == "ann"
        assert list(mine.intermediate_values.values()) == list(theirs.intermediate_values.values())
        assert mine.datetime_start == theirs.datetime_start
        if theirs.state.name == "COMPLETE":
            assert mine.value == theirs.value


def test_a_form_or_flags_that_do_not_fit_are_refused(finished, tmp_path, capsys):
    with open_project(finished) as project, pytest.raises(UsageError, match="no form 'xml'"):
        export(project, "xml")
    words = ["export", "--bundle", str(tmp_path / "b.tar"), "--format", "csv"]
    assert run([*words, "--project", str(finished)]) == 2
    assert "--bundle is given with --to or --format" in capsys.readouterr().err
