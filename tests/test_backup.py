"""A backup is of one moment and whole; what is restored is what was backed up, or nothing."""

import io
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading

import pytest

import ladder as ladders
from podium.errors import ConflictError, DataError, NotFoundError, UsageError
from podium.hashing import digest_bytes
from podium.resolve import champion
from podium.steps.archive.backup import CONTENTS, backup
from podium.steps.archive.doctor import doctor
from podium.steps.archive.restore import restore
from podium.steps.serving.predict import predict
from podium.steps.workspace.session import open_project
from projects import LENIENT, SLOT, query, run_project


@pytest.fixture(scope="module")
def finished(ladder):
    return ladder.project("finished", policies=LENIENT)


@pytest.fixture(scope="module")
def packed(finished, tmp_path_factory):
    with open_project(finished) as project:
        return backup(project, tmp_path_factory.mktemp("packed") / "small.tar").path


def repacked(source, target, change):
    """The same backup after ``change(name, data) -> data or None`` had its way with every file."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for entry in old:
            data = change(entry.name, old.extractfile(entry).read())
            if data is not None:
                entry.size = len(data)
                new.addfile(entry, io.BytesIO(data))
    return target


def test_a_restored_project_resolves_the_same_champion_on_an_empty_machine(
    finished, packed, tmp_path
):
    root = restore(packed, tmp_path / "elsewhere")
    old, new = champion(SLOT, finished), champion(SLOT, root)
    assert new.champion == old.champion
    assert new.source == "record"
    assert new.path.is_relative_to(root)
    assert all(check.ok for check in doctor(root))
    # With the bars put back the champion forecasts the same numbers.
    shutil.copytree(finished / "data", root / "data")
    forecasts = []
    for place in (finished, root):
        with open_project(place) as project:
            forecasts.append(predict(project, SLOT).rows())
    assert forecasts[0] == forecasts[1]


def test_a_run_in_the_restored_project_trains_nothing_new(finished, packed, tmp_path):
    root = restore(packed, tmp_path / "elsewhere")
    shutil.copytree(finished / "data", root / "data")
    before = query(root, "SELECT id, state FROM trial ORDER BY seq")
    run_project(root)
    assert query(root, "SELECT id, state FROM trial ORDER BY seq") == before


@pytest.mark.parametrize("name", ["small.tar", "small.tar.gz"])
def test_both_kinds_of_tar_files_can_be_restored(finished, tmp_path, name):
    with open_project(finished) as project:
        found = backup(project, tmp_path / name)
    assert found.artifacts == 1
    assert found.bytes == found.path.stat().st_size
    assert (restore(found.path, tmp_path / "back") / "podium.db").is_file()


def test_a_backup_beside_a_writer_is_a_whole_record_of_one_moment(finished, tmp_path):
    root = ladders.copied(finished, tmp_path / "busy")
    stop = threading.Event()

    def write():
        connection = sqlite3.connect(root / "podium.db", timeout=30)
        while not stop.is_set():
            # Two rows that only ever appear together.
            with connection:
                for _ in range(2):
                    connection.execute(
                        "INSERT INTO test_look (project_id, dataset, interval_from, interval_to, "
                        "candidate_id, artifact_hash, samples_hash, place, created_at, "
                        "previous_hash, hash) VALUES ('x', 'd', 'a', 'b', 'c', 'h', 's', 1, 'now', "
                        "hex(randomblob(16)), 'h')"
                    )
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with open_project(root) as project:
            packed = [backup(project, tmp_path / f"{n}.tar").path for n in range(3)]
    finally:
        stop.set()
        writer.join()
    for n, path in enumerate(packed):
        copy = restore(path, tmp_path / f"copy{n}")
        [row] = query(copy, "SELECT count(*) AS n FROM test_look WHERE project_id = 'x'")
        assert row["n"] % 2 == 0
        assert query(copy, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_an_existing_destination_is_left_as_it_is(finished, packed, tmp_path):
    taken = tmp_path / "taken.tar"
    taken.write_text("mine")
    with open_project(finished) as project:
        with pytest.raises(ConflictError, match="exists"):
            backup(project, taken)
        with pytest.raises(UsageError, match=r"\.tar"):
            backup(project, tmp_path / "backup.zip")
    assert taken.read_text() == "mine"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(ConflictError, match="exists"):
        restore(packed, tmp_path / "full")
    with pytest.raises(NotFoundError):
        restore(tmp_path / "no.tar", tmp_path / "new")


def test_a_changed_artefact_is_not_backed_up(finished, tmp_path):
    root = ladders.copied(finished, tmp_path / "changed")
    [path] = (root / "models" / "registry").glob("*/final_model/model.pt")
    path.write_bytes(path.read_bytes() + b"!")
    with open_project(root) as project, pytest.raises(DataError, match=r"final_model/model\.pt"):
        backup(project, tmp_path / "b.tar")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["changed"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, data: data + b" " if name == "podium.toml" else data, "podium.toml differs"),
        (lambda name, data: None if name.endswith("manifest.json") else data, "is missing"),
        (lambda name, data: None if name == CONTENTS else data, "cannot be read"),
        (lambda name, data: b"[1]" if name == CONTENTS else data, "cannot be read"),
    ],
)
def test_a_damaged_backup_leaves_nothing_behind(packed, tmp_path, change, said):
    bad = repacked(packed, tmp_path / "bad.tar", change)
    with pytest.raises(DataError, match=said):
        restore(bad, tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.tar"]


def test_a_cut_off_backup_is_refused(packed, tmp_path):
    bad = tmp_path / "bad.tar"
    bad.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    with pytest.raises(DataError):
        restore(bad, tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.tar"]


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "models/../../outside"])
def test_a_name_that_leaves_the_folder_is_refused(packed, tmp_path, name):
    bad = tmp_path / "bad.tar"
    shutil.copy(packed, bad)
    with tarfile.open(bad, "a") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(DataError, match="no plain file inside the project"):
        restore(bad, tmp_path / "inner" / "new")
    assert not (tmp_path / "outside").exists()


def test_a_link_is_refused(packed, tmp_path):
    bad = tmp_path / "bad.tar"
    shutil.copy(packed, bad)
    link = tarfile.TarInfo("models/registry/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(bad, "a") as tar:
        tar.addfile(link)
    with pytest.raises(DataError, match="no plain file"):
        restore(bad, tmp_path / "new")


def test_a_backup_of_a_newer_podium_is_refused(packed, tmp_path):
    def newer(name, data):
        return json.dumps({**json.loads(data), "podium": 99}).encode() if name == CONTENTS else data

    bad = repacked(packed, tmp_path / "bad.tar", newer)
    with pytest.raises(DataError, match="newer podium"):
        restore(bad, tmp_path / "new")


def test_the_list_of_contents_holds_the_hash_of_every_file(packed):
    with tarfile.open(packed) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar}
    listed = json.loads(files.pop(CONTENTS))["files"]
    assert listed == {name: digest_bytes(data) for name, data in files.items()}


@pytest.mark.slow
def test_the_verbs_pack_and_unpack(finished, tmp_path):
    def podium(*words):
        command = [sys.executable, "-m", "podium", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True)

    done = podium("backup", tmp_path / "b.tar", "--project", finished)
    assert (done.returncode, "artefacts" in done.stdout) == (0, True)
    done = podium("restore", tmp_path / "b.tar", tmp_path / "new")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "new"))
    assert podium("backup", tmp_path / "b.tar", "--project", finished).returncode == 6
    done = podium("resolve", SLOT, "--project", tmp_path / "new")
    assert done.returncode == 0
