"""Who holds a slot, answered by the standard library alone, whatever happens meanwhile."""

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import tomllib
import warnings
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import podium
from podium import config as configuration
from podium import project_file, resolve
from podium.cli.main import run
from podium.errors import DataError, NotFoundError, PodiumError, UsageError
from podium.steps.archive.init import init
from podium.steps.decisions.promote import promote
from podium.steps.workspace.session import open_project
from projects import SLOT, query
from records import enthrone, served

HEAVY = {"re", "typing", "pathlib", "dataclasses", "inspect", "json", "tomllib", "click", "numpy"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = init(tmp_path_factory.mktemp("reader") / "demo", demo=True)
    served(root, 1.0, 2.0)
    enthrone(root, 1.0)
    return root


@pytest.fixture
def root(made, tmp_path, monkeypatch):
    """A project whose slot is held by ``c-1.0``; ``c-2.0`` waits in beta."""
    monkeypatch.setattr(resolve, "_last_answers", {})
    copy = tmp_path / "demo"
    subprocess.run(["cp", "-r", str(made), str(copy)], check=True)
    return copy


def holder(*arguments):
    return podium.champion(*arguments).champion.candidate_id


def doubted(root):
    """Holder and source of an answer that comes with a warning."""
    with pytest.warns(UserWarning, match="Answering from"):
        found = podium.champion(SLOT, root)
    return found.champion.candidate_id, found.source


# Where the project is


def test_the_project_is_the_argument_else_the_variable_else_the_nearest(
    root, tmp_path, monkeypatch
):
    other = init(tmp_path / "other", demo=True)
    served(other, 3.0)
    enthrone(other, 3.0)
    below = root / "data"
    monkeypatch.chdir(below)
    assert holder(SLOT) == "c-1.0"
    monkeypatch.setenv("PODIUM_PROJECT", str(other / "data"))
    assert holder(SLOT) == "c-3.0"
    assert holder(SLOT, below) == holder(SLOT, str(root)) == "c-1.0"
    monkeypatch.setenv("PODIUM_PROJECT", "")
    assert holder(SLOT) == "c-1.0"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=r"no podium\.toml in"):
        podium.champion(SLOT)


def test_the_command_knows_the_variable_too(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODIUM_PROJECT", str(root))
    assert run(["resolve", SLOT, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["items"][0]
    assert told == podium.champion(SLOT).as_dict()


# What it costs


def test_an_answer_imports_next_to_nothing_and_a_load_is_free_to(root):
    program = """
import sys
before = set(sys.modules)
from podium.cli.main import run
code = run(["resolve", sys.argv[1]])
print(*sorted(set(sys.modules) - before), file=sys.stderr)
sys.exit(code)
"""
    words = [sys.executable, "-c", program, SLOT]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(podium.champion(SLOT, root).path)
    assert {name.partition(".")[0] for name in done.stderr.split()} & HEAVY == set()


# What is written plainly is what TOML says, and nothing else is read

PLAIN = st.sampled_from(
    [
        "[project]", "[ledger]", "[paths]  # places", "[datasets.us4]", '[slots."us4/D/return"]',
        "[slots.bare]", '["ledger"]', "[ledger.more]", "[[paths]]", "[ paths ]", '[slots."a]b"]',
        'id = "p-1"', "id='p-2' # x", 'url = "sqlite:///other.db"', "url = 'a#b'", 'url = "a#b"',
        r'registry = "a\\b"', r'registry = "\u0061"', 'registry = "x" ', "id = 5", '"id" = "p-3"',
        'ledger.url = "dotted"', 'ledger = {url = "inline"}', "tickers = [", '  "AAPL",', "]",
        '  ["ledger"],', "  [1.5]", '  ["slots", "x"]', "# [ledger]", "", "x = '''", "[ledger]",
        "'''", "x = 1979-05-27", r'["\u006cedger"]', "url = ''", 'url = ""', '\t id\t=\t"tab"',
    ]
)  # fmt: skip


@given(st.lists(PLAIN, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_read_plainly_is_what_toml_says(lines, end):
    text = end.join(lines)
    found = project_file.parse_plain(text)
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    if found is None:
        return
    texts, slots = found
    wanted = {
        f"{section}.{key}": value
        for section in ("project", "ledger", "paths")
        for key, value in told.get(section, {}).items()
    }
    assert texts == wanted
    assert slots <= set(told.get("slots", {}))


def test_the_plain_way_is_the_way_init_writes(root, tmp_path):
    for folder in (root, init(tmp_path / "bare")):
        text = (folder / "podium.toml").read_text()
        found = project_file.parse_plain(text)
        assert found is not None
        assert found[0]["project.id"] == configuration.load(folder).project.id
        assert found[1] == set(configuration.load(folder).slots)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PODIUM_LEDGER_URL": "sqlite:///else.db", "PODIUM_PROJECT_ID": "p-else"},
        {"MODEL_REGISTRY_DIR": "old"},
        {"MODEL_REGISTRY_DIR": "old", "PODIUM_PATHS_REGISTRY": "new"},
        {"PODIUM_PATHS_REGISTRY": ""},
    ],
)
@pytest.mark.parametrize("line", ["", '[paths]\nregistry = "store"', 'paths = {registry = "s"}'])
def test_the_settings_are_those_of_the_whole_configuration(root, monkeypatch, environ, line):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    path = root / "podium.toml"
    text = path.read_text()
    path.write_text(line + "\n" + text if line.startswith("paths") else f"{text}\n{line}\n")
    whole = configuration.load(root)
    assert resolve._settings(str(root), SLOT) == (
        whole.ledger.url,
        whole.project.id,
        whole.paths.registry,
    )


def test_a_slot_that_is_not_declared_is_not_found_with_near_names(root):
    with pytest.raises(NotFoundError, match=f"Did you mean '{SLOT}'"):
        podium.champion(SLOT + "y", root)
    (root / "podium.toml").write_text("[project]\n")
    with pytest.raises(UsageError, match="'id' is missing"):
        podium.champion(SLOT, root)


# What is served


def test_the_next_call_follows_a_promotion(root):
    before = podium.champion(SLOT, root)
    assert before.load().model.offset == 1.0
    enthrone(root, 2.0)
    after = podium.champion(SLOT, root)
    assert after.load().model.offset == 2.0
    assert (before.champion.version, after.champion.version) == (1, 2)


def test_a_changed_manifest_is_refused_at_once_and_a_changed_file_when_it_is_loaded(root):
    found = podium.champion(SLOT, root)
    file = found.path / "final_model" / "naive.json"
    file.write_text(file.read_text().replace("1.0", "9.0"))
    with pytest.raises(DataError, match=r"naive\.json differs from its manifest"):
        podium.champion(SLOT, root).load()
    manifest = found.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace("naive", "knave"))
    with pytest.raises(DataError, match="has hash"):
        podium.champion(SLOT, root)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"no database at all, but long enough to be looked at"),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_without_its_record_the_last_good_champion_is_served_with_a_warning(
    root, spoil, monkeypatch
):
    for end in ("-wal", "-shm"):
        (root / f"podium.db{end}").unlink(missing_ok=True)
    spoil(root / "podium.db")
    assert doubted(root) == ("c-1.0", "cache")
    (root / ".podium" / "champions.json").write_text("{half")
    assert doubted(root) == ("c-1.0", "memory")
    monkeypatch.setattr(resolve, "_last_answers", {})
    with pytest.raises(PodiumError, match=r"podium\.db"):
        podium.champion(SLOT, root)


def test_what_this_process_was_told_outlives_an_older_file(root):
    cache = root / ".podium" / "champions.json"
    old = cache.read_bytes()
    enthrone(root, 2.0)
    new = cache.read_bytes()
    cache.write_bytes(old)
    assert holder(SLOT, root) == "c-2.0"
    (root / "podium.db").rename(root / "away.db")
    assert doubted(root) == ("c-2.0", "memory")
    resolve._last_answers.clear()
    assert doubted(root) == ("c-1.0", "cache")
    # Somebody else decided after this process's answer.
    cache.write_bytes(new)
    assert doubted(root)[0] == "c-2.0"


def test_the_order_of_decisions_counts_and_not_their_clocks(root):
    cache = root / ".podium" / "champions.json"
    assert holder(SLOT, root) == "c-1.0"
    enthrone(root, 2.0)
    # The machine that decided has a slow clock.
    content = json.loads(cache.read_text())
    content["champions"][SLOT]["since"] = "2001-01-01T00:00:00+00:00"
    cache.write_text(json.dumps(content))
    (root / "podium.db").rename(root / "away.db")
    assert doubted(root) == ("c-2.0", "cache")


def test_a_champion_that_was_archived_is_served_from_no_place(root, tmp_path):
    assert holder(SLOT, root) == "c-1.0"
    old = (root / ".podium" / "champions.json").read_bytes()
    with open_project(root) as project:
        promote(project, "c-1.0", "archived", reason="it fails")
    away = (root / "podium.db").rename(tmp_path / "away.db")
    # This process read the record before that decision, and the file after it.
    with pytest.raises(NotFoundError, match=r"has no champion.*Answering from"):
        podium.champion(SLOT, root)
    away.rename(root / "podium.db")
    with pytest.raises(NotFoundError, match="has no champion"):
        podium.champion(SLOT, root)
    # Another machine wrote the file before that decision.
    (root / "podium.db").rename(away)
    (root / ".podium" / "champions.json").write_bytes(old)
    with pytest.raises(NotFoundError, match="has no champion"):
        podium.champion(SLOT, root)


def test_a_reader_of_a_folder_it_may_not_write_to_is_answered(root, tmp_path):
    place = tmp_path / "seen"
    place.mkdir()
    mounted = ["mount", "--bind", str(root), str(place)]
    again = ["mount", "-o", "remount,ro,bind", str(place)]
    for command in (mounted, again):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount a folder read-only: {done.stderr.strip()}")
    try:
        with pytest.raises(OSError, match="Read-only"):
            (place / "x").touch()
        for _ in range(2):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert holder(SLOT, place) == "c-1.0"
                assert podium.champion(SLOT, place).load().model.offset == 1.0
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_record_that_may_not_be_opened_is_one_that_cannot_be_read():
    # Not under pytest's own folder, which nobody else may enter.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "podium.db"
    path.touch(mode=0)
    program = """
import os, sys
from podium.errors import DataError
from podium.ledger import champions
if os.getuid() == 0:
    os.setuid(65534)
try:
    champions.rows(sys.argv[1], "SELECT 1", ())
except DataError as error:
    print(error)
"""
    try:
        words = [sys.executable, "-c", program, str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    finally:
        shutil.rmtree(folder)
    assert "unable to open database file" in done.stdout


def test_while_champions_change_every_answer_is_one_of_them_whole(root):
    stop, found, failed = threading.Event(), set(), []

    def ask():
        while not stop.is_set():
            try:
                one = podium.champion(SLOT, root)
                found.add((one.champion.candidate_id, one.load().model.offset, one.source))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                failed.append(error)
                return

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for turn in range(8):
            enthrone(root, 1.0 if turn % 2 else 2.0)
    finally:
        stop.set()
        asking.join()
    assert failed == []
    assert found <= {("c-1.0", 1.0, "record"), ("c-2.0", 2.0, "record")}
    assert query(root, "SELECT candidate_id FROM champion") == [{"candidate_id": "c-1.0"}]


def test_a_record_that_names_a_folder_outside_the_store_is_refused(root):
    with closing(sqlite3.connect(root / "podium.db")) as connection, connection:
        connection.execute("UPDATE candidate SET artifact_path = '../../' || artifact_path")
    with pytest.raises(DataError, match="changed outside podium"):
        podium.champion(SLOT, root)
    (root / "podium.db").unlink()
    cache = root / ".podium" / "champions.json"
    cache.write_text(cache.read_text().replace('"artifact_path": "', '"artifact_path": "../../'))
    with pytest.raises(DataError, match="the artefact path of"):
        podium.champion(SLOT, root)
