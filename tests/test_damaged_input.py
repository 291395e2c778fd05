"""What is damaged or forged is refused with a sentence: nothing runs, nothing is overwritten."""

import base64
import gzip
import io
import json
import os
import pickle
import shutil
import sqlite3
import tarfile
import zlib

import pytest

import foreign
from podium.cli.main import run
from podium.hashing import canonical, digest, digest_bytes
from podium.importers import optuna
from podium.steps.archive import bundle
from podium.steps.archive.init import init
from podium.steps.workspace.session import open_project
from projects import LENIENT, query, small_project


@pytest.fixture
def root(tmp_path):
    return init(tmp_path / "mine")


@pytest.fixture(scope="module")
def packed(ladder, tmp_path_factory):
    """A bundle of a project with a champion and a diff of uncommitted changes on record."""
    with open_project(ladder.project("finished", policies=LENIENT)) as project:
        return bundle.write(project, tmp_path_factory.mktemp("damaged") / "whole.tar").path


def refused(capsys, root, *words):
    """(exit code, what was said) of an import that must not change the project."""
    before = everything(root)
    code = run(["import", *map(str, words), "--project", str(root)])
    told = capsys.readouterr()
    assert everything(root) == before
    assert told.out == ""
    assert "bug in podium" not in told.err
    return code, told.err


NOTED = (".lock", ".log")


def everything(root):
    """Rows of the record, and every other file of the project but locks and logs."""
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith("podium.db") and path.suffix not in NOTED
    }
    if not (root / "podium.db").is_file():
        return files, {}
    tables = ("trial", "study", "study_trial", "score", "blob", "candidate", "decision", "evidence")
    rows = {table: query(root, f"SELECT * FROM {table}") for table in tables}
    return files, {table: found for table, found in rows.items() if found}


# Files of others


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("sweep_results.json", b'{"runs": [{"run_id": ', "is no JSON from line 1, column 22"),
        ("sweep_results.json", b'{"runs": {}}', "has no list 'runs'"),
        ("sweep_results.json", b'{"runs": [\xff]}', "is no text: byte 10"),
        ("sweep_results.json", b'{"runs": ' + b"[" * 100_000, "is nested too deeply"),
        ("journal.log", b'{"op_code": 0}\n{"op_\n{"op_code": 1}\n', "line 2 is no JSON"),
        ("journal.log", b'{"op_code": 0}\n', "cannot be read as an Optuna storage"),
        ("study.db", b"SQLite format 3\0" + b"x" * 5000, "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused_with_its_place(root, tmp_path, capsys, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    code, err = refused(capsys, root, path)
    assert code == 7
    assert told in err
    assert name in err
    assert path.read_bytes() == content


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_cut_off_database_is_refused(root, tmp_path, capsys, tracked, searched, part):
    for name, source in (("mlflow.db", tracked), ("study.db", searched)):
        data = source.read_bytes()
        (tmp_path / name).write_bytes(data[: int(len(data) * part)])
        code, err = refused(capsys, root, tmp_path / name)
        assert code == 7
        assert f"{name} cannot be read" in err


def test_a_database_with_other_columns_is_told_apart(root, tmp_path, capsys):
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as connection:
        for table in ("experiments", "runs", "params", "metrics", "tags"):
            connection.execute(f"CREATE TABLE {table} (run_uuid TEXT, key TEXT, value TEXT)")
    connection.close()
    code, err = refused(capsys, root, path)
    assert code == 7
    assert "its table experiments has no experiment_id, name" in err
    assert "mlflow db upgrade" in err


def test_a_database_of_a_newer_optuna_is_refused(root, tmp_path, capsys, searched):
    path = tmp_path / "study.db"
    shutil.copy(searched, path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    connection.close()
    code, err = refused(capsys, root, path)
    assert code == 7
    assert "schema v99.0.0.a, written by a newer Optuna" in err
    assert "pip install --upgrade optuna" in err


def test_the_last_line_of_a_journal_may_be_torn(root, tmp_path):
    path = foreign.journal(tmp_path / "journal.log")
    path.write_bytes(path.read_bytes() + b'{"op_code": 4, "worker')
    found = optuna.read(path)
    assert [len(group.records) for group in found] == [12, 2, 0]
    [problem] = found[-1].problems
    assert problem.endswith(": torn")


class Code:
    """What a pickle can do: this one makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch '{self.path}'",))


@pytest.mark.parametrize("how", [(), ("--as", "optuna_pickle"), ("--dry-run",)])
def test_a_pickle_with_code_is_refused_and_its_code_not_run(root, tmp_path, capsys, how):
    path = tmp_path / "optimization_study.pkl"
    path.write_bytes(pickle.dumps(Code(tmp_path / "ran")))
    code, err = refused(capsys, root, path, *how)
    assert code == 4
    assert "loading it runs its author's code" in err
    assert "--trust-pickle" in err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("other", ["sweep_results", "experiments_log", "optuna", "mlflow"])
def test_no_other_importer_runs_a_pickle(root, tmp_path, capsys, other):
    path = tmp_path / "optimization_study.pkl"
    path.write_bytes(pickle.dumps(Code(tmp_path / "ran")))
    run(["import", str(path), "--as", other, "--trust-pickle", "--project", str(root)])
    run(["import", str(path), "--as", other, "--project", str(root)])
    assert "bug in podium" not in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [b"\x80\x04.", b"", pickle.dumps({"no": "study"})])
def test_a_trusted_pickle_that_is_no_study_is_refused(root, tmp_path, capsys, value):
    path = tmp_path / "study.pkl"
    path.write_bytes(value)
    code, err = refused(capsys, root, path, "--trust-pickle", "--as", "optuna_pickle")
    assert code == 7
    assert "study.pkl cannot be loaded as a pickled study" in err


def test_a_record_of_a_newer_podium_takes_nothing_in(root, tmp_path, capsys):
    with open_project(root) as project:
        project.ledger.close()
    with sqlite3.connect(root / "podium.db") as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, 'tomorrow')")
    connection.close()
    path = foreign.sweep(tmp_path / "sweep_results.json", foreign.RUN)
    code, err = refused(capsys, root, path)
    assert code == 7
    assert "schema version 99, written by a newer podium" in err


# Bundles


def members(path):
    with tarfile.open(path) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}


def forged(source, target, change, *, honest=True):
    """The bundle after ``change(files)``; its list of contents made to agree unless not honest."""
    files = members(source)
    listed = json.loads(files.pop("bundle.json"))
    change(files, listed)
    if honest:
        listed["files"] = {name: digest_bytes(data) for name, data in files.items()}
    files["bundle.json"] = canonical(listed).encode()
    with tarfile.open(target, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return target


def row(table, **values):
    """Change of the first row of a table that says something there already."""

    def change(files, listed):
        name = f"rows/{table}.jsonl"
        rows = [json.loads(line) for line in files[name].splitlines()]
        told = [each for each in rows if all(each.get(v, "") is not None for v in values)]
        (told or rows)[0].update(values)
        files[name] = b"".join(json.dumps(each).encode() + b"\n" for each in rows)

    return change


def model(files):
    return next(name for name in files if name.endswith("final_model/model.pt"))


def flip(files, listed):
    name = model(files)
    files[name] = bytes([files[name][0] ^ 1]) + files[name][1:]


def drop(files, listed):
    del files[model(files)]


def lie(files, listed):
    listed["files"][model(files)] = "0" * 64


def add(files, listed):
    files["extra"] = b"x"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (flip, "final_model/model.pt differs from the list of contents"),
        (drop, "final_model/model.pt is missing"),
        (lie, "final_model/model.pt differs from the list of contents"),
        (add, "extra differs from the list of contents"),
        (lambda files, listed: listed.update(podium=2), "bundle has schema 2, written by a newer"),
        (
            lambda files, listed: listed.update(record=99),
            "record with schema 99, of a newer podium",
        ),
        (lambda files, listed: listed.update(kind="backup"), "bundle.json cannot be read"),
        (lambda files, listed: listed.update(files=[]), "bundle.json cannot be read"),
        (lambda files, listed: listed.pop("record"), "no version of the record"),
    ],
)
def test_a_bundle_that_is_not_as_it_says_is_refused(root, tmp_path, capsys, packed, change, told):
    path = forged(packed, tmp_path / "bundle.tar", change, honest=False)
    code, err = refused(capsys, root, path)
    assert code == 7
    assert told in err
    assert not (root / "models").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        # The list of contents agrees with all of these.
        (flip, "final_model/model.pt differs from its manifest"),
        (drop, "final_model/model.pt is missing"),
        (row("trial", config='{"lstm_units":99}'), "does not match its hash"),
        (row("trial", state="running"), "is running, not ended"),
        (row("trial", surprise=1), "has 'surprise', which a newer podium may have written"),
        (row("trial", fold="first"), "'fold' is 'first'"),
        (row("trial", score="low"), "'score' is 'low'"),
        (row("trial", seconds=True), "'seconds' is True"),
        (row("trial", epochs=2**70), "'epochs' is too large a number"),
        (row("trial", config="{"), "'config' is not JSON"),
        (row("trial", checkpoint="/etc/passwd"), "'checkpoint' is '/etc/passwd'"),
        (row("trial", artifact_hash="../../../etc"), "'artifact_hash' is '../../../etc'"),
        (row("candidate", artifact_hash="0" * 64), "lacks the artefact 000000000000"),
        (row("candidate", slot=None), "'slot' is None"),
        (row("candidate", trial_id="t-nobody"), "refers to t-nobody, which is not in it"),
        (row("study", question='{"other":1}'), "does not match its hash"),
        (row("environment", packages="{}"), "does not match its hash"),
        (row("blob", data=base64.b64encode(b"0" * 8).decode()), "does not match its hash"),
        (row("blob", data="no base"), "'data' is not base 64"),
        (row("blob", dtype="text"), "is damaged"),
        (row("evidence", schema=99), "has schema 99, of a newer podium"),
        (row("evidence", notes="\ud800"), "'notes' is"),
        (lambda files, listed: files.update({"rows/trial.jsonl": b'{"id": '}), "line 1 is no JSON"),
        (lambda files, listed: files.update({"rows/trial.jsonl": b"[1]\n"}), "is not an object"),
        (lambda files, listed: files.pop("rows/study.jsonl"), "which is not in it"),
    ],
)
def test_a_forged_bundle_with_a_list_that_agrees_is_refused(
    root, tmp_path, capsys, packed, change, told
):
    path = forged(packed, tmp_path / "bundle.tar", change)
    code, err = refused(capsys, root, path)
    assert code == 7
    assert told in err
    assert not list((root / "models").rglob("*.pt"))


def test_a_manifest_that_names_files_outside_is_refused(root, tmp_path, capsys, packed):
    (tmp_path / "secret").write_bytes(b"secret")

    def change(files, listed):
        old = next(name for name in files if name.endswith("manifest.json"))
        manifest = json.loads(files.pop(old))
        outside = f"{'../' * 30}{tmp_path}/secret"
        manifest["files"][outside] = digest_bytes(b"secret")
        data = canonical(manifest).encode()
        name = digest_bytes(data)
        for inner in [each for each in files if each.startswith("artifacts/")]:
            files[f"artifacts/{name[:20]}/{inner.split('/', 2)[2]}"] = files.pop(inner)
        files[f"artifacts/{name[:20]}/manifest.json"] = data
        row("candidate", artifact_hash=name)(files, listed)
        row("trial", artifact_hash=name)(files, listed)

    path = forged(packed, tmp_path / "bundle.tar", change)
    code, err = refused(capsys, root, path)
    assert code == 7
    assert "is not a manifest" in err


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "rows/../../outside"])
def test_a_name_that_leaves_the_folder_is_refused(root, tmp_path, capsys, packed, name):
    path = forged(packed, tmp_path / "b.tar", lambda files, listed: files.update({name: b"x"}))
    code, err = refused(capsys, root, path)
    assert code == 7
    assert "no plain file inside the project" in err
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_links_and_devices_are_refused(root, tmp_path, capsys, packed, kind):
    path = tmp_path / "b.tar"
    shutil.copy(packed, path)
    with tarfile.open(path, "a") as tar:
        entry = tarfile.TarInfo("artifacts/link")
        entry.type, entry.linkname = kind, "/etc/passwd"
        tar.addfile(entry)
    code, err = refused(capsys, root, path)
    assert code == 7
    assert "'artifacts/link', which is no plain file" in err


@pytest.mark.parametrize("part", [0.0, 0.4, 0.9])
def test_a_cut_off_bundle_is_refused(root, tmp_path, capsys, packed, part):
    data = packed.read_bytes()
    # The end of a tar is filled up; what counts is before.
    size = packed.stat().st_size - 10240
    for name, whole in (("b.tar", data[:size]), ("b.tar.gz", gzip.compress(data[:size]))):
        path = tmp_path / name
        path.write_bytes(whole[: int(len(whole) * part)])
        code, err = refused(capsys, root, path)
        assert code == 7
        assert "complete file written by podium export --bundle" in err


def test_two_files_of_one_name_are_refused(root, tmp_path, capsys, packed):
    path = tmp_path / "b.tar"
    shutil.copy(packed, path)
    with tarfile.open(path, "a") as tar:
        entry = tarfile.TarInfo("rows/trial.jsonl")
        tar.addfile(entry, io.BytesIO(b""))
    code, err = refused(capsys, root, path)
    assert code == 7
    assert "'rows/trial.jsonl'" in err


def test_a_backup_is_no_bundle(root, tmp_path, capsys, packed):
    from podium.steps.archive.backup import backup

    source = small_project(tmp_path / "source")
    with open_project(source) as project:
        project.ledger.close()
        path = backup(project, tmp_path / "backup.tar").path
    code, err = refused(capsys, root, path)
    assert code == 7
    assert "bundle.json cannot be read" in err


def test_a_text_that_would_fill_the_memory_is_refused(root, tmp_path, capsys, packed, monkeypatch):
    from podium.ledger import bundle_check

    monkeypatch.setattr(bundle_check, "MOST_TEXT", 1000)
    text = b"0" * 100_000
    data = {"hash": digest_bytes(b"text", text), "dtype": "text"}
    data["data"] = base64.b64encode(zlib.compress(text)).decode()

    def change(files, listed):
        files["rows/blob.jsonl"] += json.dumps(data).encode() + b"\n"

    code, err = refused(capsys, root, forged(packed, tmp_path / "b.tar", change))
    assert code == 7
    assert "does not match its hash" in err


def test_a_changed_artefact_here_stops_the_import_before_it_is_needed(tmp_path, capsys, packed):
    other = small_project(tmp_path / "other", project={"id": "p-other"})
    assert run(["import", str(packed), "--project", str(other), "-q"]) == 0
    [found] = (other / "models" / "registry").glob("*/final_model/model.pt")
    found.write_bytes(b"changed")
    third = small_project(tmp_path / "third", project={"id": "p-third"})
    with open_project(third) as project:
        assert project.ledger, "models without a record would be those of a lost one"
    shutil.copytree(other / "models", third / "models")
    capsys.readouterr()
    code, err = refused(capsys, third, packed)
    assert code == 7
    assert "differs from its manifest" in err


def test_the_hashes_of_a_bundle_are_those_of_its_files(packed):
    files = members(packed)
    listed = json.loads(files.pop("bundle.json"))
    assert listed["files"] == {name: digest_bytes(data) for name, data in files.items()}
    assert (listed["podium"], listed["kind"], listed["record"]) == (1, "bundle", 1)
    assert digest(listed["project_id"])
