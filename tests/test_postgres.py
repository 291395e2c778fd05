"""The record on a PostgreSQL server: the same numbers, rules and verbs, and a server that fails."""

import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
import tomllib
from contextlib import closing

import numpy as np
import pytest

import postgres
import projects
from podium import config as configuration
from podium import resolve
from podium.cli.main import run
from podium.decision import Stage
from podium.errors import DataError, MissingExtraError, UsageError
from podium.ledger import ledger as ledgers
from podium.ledger import schema, writes
from podium.ledger.ledger import Ledger
from podium.ledger.record_reader import RecordReader
from podium.ledger.snapshot import snapshot
from podium.resolve import champion
from podium.steps.archive.backup import backup, naming
from podium.steps.archive.doctor import doctor
from podium.steps.archive.restore import restore
from podium.steps.workspace.project import Silent
from podium.steps.workspace.session import open_project
from podium.tracker import HyperparamTracker
from projects import LENIENT, SLOT, query, run_project, small_project
from records import ENVIRONMENT, broken_links, crown, decide, end, register, start, to_beta, trial

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def twins(server, tmp_path_factory):
    """The same project run twice: with its record on the server, and in a file."""
    place = tmp_path_factory.mktemp("twins")
    with server.database() as url:
        remote = small_project(place / "remote", policies=LENIENT, ledger={"url": url})
        run_project(remote)
        local = small_project(place / "local", policies=LENIENT)
        run_project(local)
        yield remote, local


@pytest.fixture
def remote(server, twins, tmp_path):
    """A copy of the finished project, its record on the server copied too."""
    root = shutil.copytree(twins[0], tmp_path / "remote")
    name = projects.url_of(root).rpartition("/")[2]
    with server.database(f"TEMPLATE {name}") as url:
        move_to(root, url)
        yield root


@pytest.fixture
def bare(database, tmp_path):
    """An empty record on the server."""
    projects.use(tmp_path, database)
    with closing(projects.open_ledger(tmp_path)) as found:
        yield found


def say(capsys, *words):
    code = run([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def move_to(root, url):
    """Point a finished project at another place; its own settings stay."""
    text = (root / "podium.toml").read_text()
    (root / "podium.toml").write_text(naming(text, url))


# The same as in a file


def test_a_whole_run_gives_the_same_as_in_a_file_to_the_bit(twins):
    remote, local = twins
    assert projects.outcome(remote) == projects.outcome(local)
    projects.assert_clean(remote)
    assert champion(SLOT, remote).source == "record"
    assert not (remote / "podium.db").exists()
    assert all(check.ok for check in doctor(remote)), doctor(remote)


def test_running_again_trains_nothing_new(remote):
    before = query(remote, "SELECT id, ended_at FROM trial ORDER BY seq")
    run_project(remote)
    assert query(remote, "SELECT id, ended_at FROM trial ORDER BY seq") == before


@pytest.mark.parametrize(
    ("kind", "where", "sort"),
    [
        ("trials", "", "score"),
        ("trials", "", "-val_loss"),
        ("trials", "family=lstm and score<1e9", "-score"),
        ("trials", "lstm_units=4 or debias=true", "key"),
        ("trials", "not lstm_units=5 and seed>0", "-lstm_units"),
        ("trials", "method~ew", "method"),
        ("trials", "reason=''", "family"),
        ("candidates", "stage=champion", "version"),
        ("decisions", "accepted=1", "to_stage"),
        ("evidence", "kind!=backtest", "kind"),
    ],
)
def test_a_listing_is_filtered_and_sorted_as_in_a_file(twins, kind, where, sort):
    found = []
    for root in twins:
        with open_project(root) as project:
            rows = project.reader.rows(kind, slot=SLOT, where=where, sort=sort)
        names = ("key", "score", "config", "version", "artifact_hash", "to_stage", "kind")
        found.append([{k: v for k, v in row.items() if k in names} for row in rows])
    assert found[0] == found[1]
    assert found[0]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--where", "famly=lstm"], 3, "did you mean 'family'"),
        (["--sort", "-val_los"], 3, "did you mean 'val_loss'"),
        (["--where", "lstm_unit=4"], 3, "did you mean 'lstm_units'"),
        (["--where", "family<3"], 2, "different types"),
        (["--where", "score=good"], 2, "different types"),
        (["--where", "family="], 2, "cannot be read"),
    ],
)
def test_a_filter_that_cannot_work_is_refused_with_what_would(twins, capsys, words, code, said):
    found = say(capsys, "list", "trials", *words, "--project", twins[0])
    assert found[:2] == (code, "")
    assert said in found[2].lower()


def test_a_database_without_a_record_says_so(database, tmp_path, capsys):
    root = small_project(tmp_path / "new", ledger={"url": database.replace("+psycopg", "")})
    for words in (["list", "trials"], ["show", "t-1"], ["resolve", SLOT]):
        code, _, err = say(capsys, *words, "--project", root)
        assert (code, "this database has no record yet" in err) == (3, True)
    assert say(capsys, "doctor", "--project", root)[0] == 0
    # Without the driver's name it is the same server.
    with open_project(root) as project:
        assert project.ledger.place.startswith("postgresql://")
    assert say(capsys, "list", "trials", "--project", root)[0] == 0


def test_readers_refuse_a_record_of_a_newer_podium(remote, capsys):
    config = configuration.load(remote)
    reader = RecordReader(config.ledger.url, remote, config.project.id)
    assert reader.champions()
    with closing(projects.connect(remote)) as raw:
        raw.execute("INSERT INTO schema_version VALUES (99, 'tomorrow')")
        raw.commit()
    # A connection from before the change is no exception.
    with pytest.raises(DataError, match="schema version 99"):
        reader.champions()
    for words in (["list", "trials"], ["show", SLOT], ["promote", SLOT], ["impact"]):
        code, out, err = say(capsys, *words, "--project", remote)
        assert (code, out) == (7, ""), words
        assert "schema version 99, written by a newer podium" in err
        assert "Expected at most 1" in err
        assert "pip install --upgrade podium" in err
    code, _, err = say(capsys, "doctor", "--project", remote)
    assert code == 7
    code, _, err = say(capsys, "resolve", SLOT, "--project", remote)
    assert (code, "schema version 99" in err) == (0, True)


def test_texts_sort_byte_by_byte_whatever_the_language_of_the_server(bare, tmp_path):
    names = ["b", "B", "a", "\N{LATIN SMALL LETTER A WITH DIAERESIS}", "_", "A-1", "A1"]
    study = projects.new_study(bare)
    start(bare, study, *(projects.new_trial(n, family=name) for n, name in enumerate(names)))
    reader = RecordReader(projects.url_of(tmp_path), tmp_path, "p-test")
    assert [row["family"] for row in reader.rows("trials", sort="family")] == sorted(names)
    collations = query(
        tmp_path,
        "SELECT DISTINCT collation_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type = 'text'",
    )
    assert collations == [{"collation_name": "C"}]


def test_what_sqlite_takes_postgresql_takes(bare, tmp_path):
    study = projects.new_study(bare)
    odd = {"name": "a\0b", "share": 2**40, "tail": 1e-300}
    ids = start(
        bare,
        study,
        projects.new_trial(0, seed=2**40, config=odd),
        projects.new_trial(1, config={"name": "plain", "share": 7}),
    )
    end(bare, ids[0], score=float("inf"), reason="a\0b", losses=np.zeros(3, np.float32))
    with bare.transaction() as tx:
        writes.put_note(tx, ids[0], "a\0b", "tester")
    assert trial(bare, ids[0]).reason == "a\N{SYMBOL FOR NULL}b"
    assert trial(bare, ids[0]).config == odd
    assert (trial(bare, ids[0]).seed, trial(bare, ids[0]).score) == (2**40, float("inf"))
    reader = RecordReader(projects.url_of(tmp_path), tmp_path, "p-test")
    # The odd one has no name that PostgreSQL could compare; the others are not lost for it.
    assert [row["id"] for row in reader.rows("trials", where="name=plain")] == [ids[1]]
    assert [row["id"] for row in reader.rows("trials", where="share=7")] == [ids[1]]


def test_every_reading_verb_answers(remote, capsys):
    [candidate] = query(remote, "SELECT id FROM candidate")
    [run_id] = query(remote, "SELECT run_id FROM trial WHERE run_id IS NOT NULL LIMIT 1")
    place = ["--project", remote]
    for words in (
        ["list", "trials"],
        ["list", "studies"],
        ["list", "slots"],
        ["list", "trials", "--where", "val_loss<1e9", "--sort", "val_loss", "-o", "csv"],
        ["show", SLOT],
        ["show", candidate["id"][:8]],
        ["show", run_id["run_id"]],
        ["show", "config"],
        ["resolve", SLOT],
        ["doctor"],
    ):
        code, out, err = say(capsys, *words, *place)
        assert code == 0, (words, err)
        assert out


def test_the_verbs_that_write_and_those_that_look_closely_answer_too(remote, tmp_path, capsys):
    [candidate] = query(remote, "SELECT id FROM candidate")
    named = query(remote, "SELECT id, run_id FROM trial WHERE run_id IS NOT NULL ORDER BY seq")
    bundle, elsewhere = tmp_path / "all.tar", small_project(tmp_path / "elsewhere")
    for words in (
        ["grid", "--set", "lstm_units=4", "--set", "learning_rate=0.001,0.01"],
        ["note", named[0]["run_id"], "looked at twice"],
        ["impact", "learning_rate"],
        ["report"],
        ["compare", named[0]["id"], named[1]["id"]],
        ["show", candidate["id"], "--lineage"],
        ["reproduce", candidate["id"]],
        ["reproduce", named[0]["id"], "--note"],
        ["sync"],
        ["gc", "--keep-best", "1", "--yes"],
        ["predict"],
        ["export", "--format", "sweep", "--to", tmp_path / "sweep.json"],
        ["export", "--bundle", bundle],
    ):
        code, out, err = say(capsys, *words, "--project", remote)
        assert code == 0, (words, out, err)
        # A model of so few bars finds the newest ones unusual.
        warned = [line for line in err.splitlines() if "warning" in line]
        assert not any("differ from the training bars" not in line for line in warned), (words, err)
    code, _, err = say(capsys, "import", bundle, "--project", elsewhere)
    assert code == 0, err
    code, _, err = say(capsys, "import", bundle, "--project", remote)
    assert code == 0, err
    ours, theirs = (
        query(root, "SELECT key FROM trial ORDER BY key") for root in (remote, elsewhere)
    )
    assert ours == theirs
    assert all(check.ok for check in doctor(remote)), doctor(remote)


def test_a_tracker_answers_as_it_does_on_a_file(remote, tmp_path):
    local = small_project(tmp_path / "local")
    told = []
    for root in (remote, local):
        with HyperparamTracker(root / "hyperparams" / "sweep_results.json") as tracker:
            for n, loss in enumerate([0.3, 0.1, float("nan"), 0.2, float("inf")]):
                tracker.log_run(
                    "toto",
                    {"patch": n, "name": f"run\0{n}", "odd": float("nan")},
                    {"val_pct_mae": loss},
                    notes=f"note\0{n}",
                )
            best = tracker.get_best_model(model_name="toto")
            top = tracker.get_top_k_models(3, model_name="toto")
            table = tracker.compare_models(["val_pct_mae"], ["toto"])
            impact = tracker.get_hyperparameter_impact("toto", "patch")
        told.append(
            (
                best.hyperparams["patch"],
                [run.hyperparams["patch"] for run in top],
                repr(table["val_pct_mae"].tolist()),
                repr(impact[["patch", "val_pct_mae"]].to_numpy().tolist()),
            )
        )
        runs = json.loads((root / "hyperparams" / "sweep_results.json").read_text())["runs"]
        assert [run["run_id"] for run in runs].count(best.run_id) == 1
    assert told[0] == told[1]
    assert told[0][:2] == (1, [1, 3, 0])


def test_a_promotion_and_its_way_back_move_the_head(remote, capsys):
    place = ["--project", remote]
    [held] = query(remote, "SELECT candidate_id FROM champion")
    back = ["promote", held["candidate_id"], "--to", "beta", "--reason", "look again"]
    assert say(capsys, *back, *place)[0] == 0
    assert query(remote, "SELECT * FROM champion") == []
    up = ["promote", held["candidate_id"], "--to", "champion", "--reason", "looked", "--json"]
    code, _, err = say(capsys, *up, *place)
    assert code == 0, err
    assert champion(SLOT, remote).champion.candidate_id == held["candidate_id"]
    assert all(check.ok for check in doctor(remote))


def test_a_backup_of_a_servers_record_restores_into_a_file_and_resolves(remote, tmp_path):
    with open_project(remote) as project:
        packed = backup(project, tmp_path / "b.tar")
    root = restore(packed.path, tmp_path / "elsewhere")
    assert projects.url_of(root) == "sqlite:///podium.db"
    assert champion(SLOT, root).champion == champion(SLOT, remote).champion
    assert all(check.ok for check in doctor(root)), doctor(root)
    for table in schema.metadata.sorted_tables:
        # The users' files were brought up to date after the backup.
        if "project_id" in table.c and table.name != "projection":
            rows = [query(place, f"SELECT * FROM {table.name}") for place in (root, remote)]
            assert sorted(map(repr, rows[0])) == sorted(map(repr, rows[1]))
    # Numbers go on where they were, and a run finds everything done.
    shutil.copytree(remote / "data", root / "data")
    run_project(root)
    assert projects.outcome(root) == projects.outcome(remote)


def test_a_backup_holds_one_project_of_several(bare, tmp_path):
    to_beta(bare, "a")
    crown(bare, "a")
    with closing(projects.open_ledger(tmp_path, "p-other")) as other:
        to_beta(other, "b")
    copy = tmp_path / "copy"
    copy.mkdir()
    snapshot(bare, copy / "podium.db")
    assert query(copy, "SELECT project_id, candidate_id FROM champion") == [
        {"project_id": "p-test", "candidate_id": "c-a"}
    ]
    assert query(copy, "SELECT DISTINCT project_id FROM decision") == [{"project_id": "p-test"}]
    assert broken_links(copy) == []
    with closing(projects.open_ledger(copy)) as again:
        decide(again, projects.move("c-a", Stage.CHAMPION, Stage.BETA))
    assert broken_links(copy) == []


@pytest.mark.parametrize(
    "settings",
    [
        '[ledger]\nurl = "postgresql://ann:pw@h/d" # here\n[tune]\ntrials = 3\n',
        "ledger.url = 'postgresql://h/d'\n",
        'ledger = { url = "postgresql://h/d" }\n',
        "[tune]\ntrials = 3",
        "",
    ],
)
def test_a_backups_settings_name_the_file_and_change_nothing_else(settings):
    text = naming(settings, "sqlite:///records/x.db")
    assert tomllib.loads(text)["ledger"] == {"url": "sqlite:///records/x.db"}
    assert "pw" not in text
    assert tomllib.loads(text).get("tune") == tomllib.loads(settings).get("tune")
    assert ("# here" in text) == ("# here" in settings)


def test_settings_that_cannot_be_rewritten_safely_are_refused():
    with pytest.raises(UsageError, match=r"ledger\.url"):
        naming('[ledger]\nurl = "postgresql:\\u002f/h/d"\n', "sqlite:///podium.db")


# What holds whoever asks


@pytest.mark.parametrize("table", schema.APPEND_ONLY)
def test_what_only_grows_cannot_be_emptied(bare, tmp_path, table):
    to_beta(bare, "a")
    words = f"podium: {table} is append-only"
    with closing(projects.connect(tmp_path)) as raw:
        for statement in (f"TRUNCATE {table}", f"TRUNCATE {table}, blob CASCADE"):
            with pytest.raises(Exception, match=words):
                raw.execute(statement)
            raw.rollback()


def test_a_decision_cannot_be_written_over_by_an_upsert(bare, tmp_path):
    to_beta(bare, "a")
    with (
        closing(projects.connect(tmp_path)) as raw,
        pytest.raises(Exception, match="append-only"),
    ):
        raw.execute(
            "INSERT INTO decision SELECT * FROM decision WHERE seq = 1 "
            "ON CONFLICT (seq) DO UPDATE SET reason = 'forged'"
        )


def test_a_view_of_the_record_does_not_move_while_others_write(bare, tmp_path):
    register(bare, "a")
    with bare.reading() as tx:
        seen = tx.connection.exec_driver_sql("SELECT count(*) FROM decision").scalar()
        with closing(projects.open_ledger(tmp_path)) as other:
            register(other, "b")
        assert tx.connection.exec_driver_sql("SELECT count(*) FROM decision").scalar() == seen == 1
        with pytest.raises(Exception, match="read-only transaction"):
            tx.connection.exec_driver_sql("DELETE FROM stage")


def test_tables_of_another_program_with_podiums_names_are_refused(server, tmp_path):
    with server.database() as url:
        projects.use(tmp_path, url)
        with closing(projects.connect(tmp_path)) as raw:
            raw.execute("CREATE TABLE trial (id int)")
            raw.execute("CREATE TABLE runs (id int)")
            raw.commit()
        with pytest.raises(DataError, match="other tables") as caught:
            projects.open_ledger(tmp_path)
        assert "runs" not in str(caught.value)
        with closing(projects.connect(tmp_path)) as raw:
            raw.execute("DROP TABLE trial")
            raw.commit()
        # Tables with other names are nobody's business.
        projects.open_ledger(tmp_path).close()


def test_a_database_that_stores_no_utf8_is_refused_with_the_command_that_helps(server, tmp_path):
    with (
        server.database("ENCODING SQL_ASCII TEMPLATE template0") as url,
        pytest.raises(DataError, match=r"SQL_ASCII.*createdb -E UTF8"),
    ):
        Ledger(url, tmp_path, "p", "p")


def test_a_copy_that_takes_no_writes_is_told_apart(server, tmp_path):
    with server.database() as url:
        server.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET transaction_read_only = on")
        server.execute(
            f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on"
        )
        with pytest.raises(DataError, match="is read-only"):
            Ledger(url, tmp_path, "p", "p")


def test_a_role_without_rights_is_told_what_it_lacks(server, database, tmp_path):
    name = database.rpartition("/")[2]
    with closing(projects.open_ledger(tmp_path)):
        pass
    url = server.url(name, f"{postgres.GUARDED}:{postgres.PASSWORD}")
    server.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    with pytest.raises(DataError, match="cannot be used") as caught:
        Ledger(url, tmp_path, "p", "p")
    assert postgres.PASSWORD not in str(caught.value)
    server.execute(f"GRANT CONNECT ON DATABASE {name} TO {postgres.GUARDED}")
    with pytest.raises(DataError, match="refuses podium's role") as caught:
        Ledger(url, tmp_path, "p", "p")
    assert postgres.PASSWORD not in str(caught.value)


# Passwords


def test_a_password_opens_the_record_and_is_shown_and_recorded_nowhere(
    server, database, tmp_path, capsys
):
    name = database.rpartition("/")[2]
    server.execute(f"ALTER DATABASE {name} OWNER TO {postgres.GUARDED}")
    url = server.url(name, f"{postgres.GUARDED}:{postgres.PASSWORD}")
    root = small_project(tmp_path / "p", policies=LENIENT, ledger={"url": url})
    run_project(root)
    place = ["--project", root]
    for words in (["show", "config"], ["doctor"], ["list", "trials", "--json"], ["show", SLOT]):
        code, out, err = say(capsys, *words, *place)
        assert code == 0
        assert postgres.PASSWORD not in out + err
    with open_project(root) as project:
        backup(project, root / "b.tar")
    for path in root.rglob("*"):
        if path.is_file() and path.name != "podium.toml":
            assert postgres.PASSWORD.encode() not in path.read_bytes(), path
    for table in schema.metadata.sorted_tables:
        assert postgres.PASSWORD not in repr(query(root, f"SELECT * FROM {table.name}"))


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql+psycopg://guarded:hunter2@127.0.0.1:{port}/{name}",
        "postgresql+psycopg://guarded@127.0.0.1:{port}/{name}?password=hunter2",
        "postgresql+psycopg://guarded:hunter2@127.0.0.1:{port}/not_there",
        "postgresql+psycopg://guarded:hunter2@127.0.0.1:{dead}/{name}",
        "postgresql+psycopg://guarded:hunter2@[::1/{name}",
        "postgresql+psycopg://guarded:hunter2@127.0.0.1:port/{name}",
        "postgresql+psycopg://guarded:hunter2@127.0.0.1:{port}/{name}?nonsense=1",
        "mysql+pymysql://guarded:hunter2@127.0.0.1/{name}",
    ],
)
def test_a_url_that_does_not_work_is_told_without_its_password(
    server, database, tmp_path, capsys, wrong
):
    name = database.rpartition("/")[2]
    url = wrong.format(port=server.port, dead=postgres.free_port(), name=name)
    root = small_project(tmp_path / "p", ledger={"url": url})
    for words in (["run"], ["list", "trials"], ["show", "t-1"], ["doctor"], ["resolve", SLOT]):
        code, out, err = say(capsys, *words, "--project", root)
        assert code in (2, 7) or words == ["doctor"], (words, err)
        assert "hunter2" not in out + err
        assert "a bug in podium" not in err
        assert "ledger.url" in out + err or "postgresql" in out + err
    for words in (["run"], ["list", "trials"]):
        _, out, err = say(capsys, *words, "--debug", "--project", root)
        assert "Traceback" in err
        assert "hunter2" not in out + err


def test_a_missing_driver_is_named_with_the_extra_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    url = "postgresql+psycopg://127.0.0.1/none"
    with pytest.raises(MissingExtraError, match=r"podium\[postgresql\]"):
        Ledger(url, tmp_path, "p", "p")
    with pytest.raises(MissingExtraError, match=r"podium\[postgresql\]"):
        RecordReader(url, tmp_path, "p").champions()


# A server that fails


def test_a_server_that_is_down_is_one_sentence_and_resolve_answers_from_its_cache(remote, capsys):
    held = champion(SLOT, remote).champion
    move_to(remote, f"postgresql+psycopg://ann:hunter2@127.0.0.1:{postgres.free_port()}/podium")
    for words in (["run"], ["list", "trials"], ["promote", held.candidate_id]):
        code, out, err = say(capsys, *words, "--project", remote)
        assert (code, out) == (7, "")
        [told] = [line for line in err.splitlines() if not line.startswith("log: ")]
        assert "cannot be used" in told
        assert "hunter2" not in err
    # This process asked before; another one is answered from .podium/champions.json.
    with pytest.warns(UserWarning, match="Answering from the last answer"):
        found = champion(SLOT, remote)
    assert (found.champion, found.source) == (held, "memory")
    resolve._last_answers.clear()
    with pytest.warns(UserWarning, match=r"Answering from .*champions\.json"):
        found = champion(SLOT, remote)
    assert (found.champion, found.source) == (held, "cache")
    code, out, err = say(capsys, "resolve", SLOT, "--project", remote)
    assert (code, out.strip()) == (0, str(found.path))
    assert "warning" in err
    assert "hunter2" not in err
    assert found.load().manifest["slot"] == SLOT


def test_a_server_that_does_not_answer_is_given_up_on(tmp_path, monkeypatch):
    # It takes the connection and says nothing, as one behind a broken network does.
    monkeypatch.setattr("podium.ledger.failures.CONNECT_SECONDS", 2)
    monkeypatch.setattr(ledgers, "CONNECT_SECONDS", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql+psycopg://ann@127.0.0.1:{silent.getsockname()[1]}/podium"
        for ask in (
            lambda: Ledger(url, tmp_path, "p", "p"),
            lambda: RecordReader(url, tmp_path, "p").champions(),
        ):
            started = time.monotonic()
            with pytest.raises(DataError, match="cannot be used"):
                ask()
            assert time.monotonic() - started < 8


class Meanwhile(Silent):
    """Does something once, when the second trial has ended."""

    def __init__(self, something):
        self.something = something
        self.calls = 0

    def progress(self, label, done, total, note=""):
        self.calls += 1
        if self.calls == 2:
            self.something()


def restart(server, how=signal.SIGINT):
    server.stop(how)
    server.start()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_a_run_lives_through_a_server_that_comes_back(server, twins, tmp_path, how):
    with server.database() as url:
        root = small_project(tmp_path / "p", policies=LENIENT, ledger={"url": url})
        run_project(root, reporter=Meanwhile(lambda: restart(server, how)))
        assert projects.outcome(root) == projects.outcome(twins[1])


def test_a_run_whose_server_goes_away_stops_with_a_sentence_and_goes_on_later(
    server, twins, tmp_path
):
    with server.database() as url:
        root = small_project(tmp_path / "p", policies=LENIENT, ledger={"url": url})
        try:
            with pytest.raises(DataError, match="cannot be used"):
                run_project(root, reporter=Meanwhile(server.stop))
        finally:
            server.start()
        ended = query(root, "SELECT id, ended_at FROM trial WHERE state = 'complete'")
        assert ended
        run_project(root)
        assert projects.outcome(root) == projects.outcome(twins[1])
        after = query(root, "SELECT id, ended_at FROM trial")
        assert all(row in after for row in ended)


def test_an_end_that_was_acknowledged_is_there_after_the_server_crashed(server, bare, tmp_path):
    study = projects.new_study(bare)
    ids = start(bare, study, *map(projects.new_trial, range(3)))
    for id_ in ids[:2]:
        end(bare, id_)
    restart(server, signal.SIGQUIT)
    states = [row["state"] for row in query(tmp_path, "SELECT state FROM trial ORDER BY seq")]
    # The start of the third was not flushed: it may be gone, and is then asked again.
    assert states[:2] == ["complete", "complete"]
    assert start(bare, study, projects.new_trial(0)) == ids[:1]


def test_a_door_that_is_kept_open_survives_a_restart_and_a_fork(server, remote):
    with open_project(remote) as project:
        reader = project.reader
    held = reader.champions()
    restart(server)
    assert reader.champions() == held
    child = os.fork()
    if child == 0:
        same = reader.champions() == held
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert reader.champions() == held


# Writers that do not end


def test_a_writer_that_never_ends_is_named_instead_of_waited_for(bare, tmp_path, monkeypatch):
    monkeypatch.setattr(ledgers, "BUSY_SECONDS", 1)
    with (
        closing(projects.open_ledger(tmp_path)) as other,
        other.transaction(),
        pytest.raises(DataError, match="was locked by another process"),
    ):
        projects.new_study(bare)
    projects.new_study(bare)


def test_a_writer_on_a_machine_that_vanished_is_ended_by_the_server(bare, tmp_path, monkeypatch):
    monkeypatch.setattr(ledgers, "IDLE_SECONDS", 1)
    vanished = projects.open_ledger(tmp_path)
    study = projects.new_study(bare)
    holding = threading.Event()
    told = []

    def write():
        try:
            with vanished.transaction() as tx:
                writes.start_trials(tx, study, [projects.new_trial(0)], ENVIRONMENT)
                holding.set()
                time.sleep(2)
        except DataError as error:
            told.append(str(error))

    writer = threading.Thread(target=write)
    writer.start()
    holding.wait(10)
    [id_] = start(bare, study, projects.new_trial(1))
    writer.join()
    vanished.close()
    assert "idle" in told[0]
    assert query(tmp_path, "SELECT id FROM trial") == [{"id": id_}]


def test_two_projects_of_one_database_do_not_wait_for_each_other(bare, tmp_path, monkeypatch):
    monkeypatch.setattr(ledgers, "BUSY_SECONDS", 1)
    with closing(projects.open_ledger(tmp_path, "p-other")) as other, other.transaction():
        projects.new_study(bare)


def test_json_of_a_servers_record_is_what_a_file_would_say(twins, capsys):
    told = []
    for root in twins:
        code, out, _ = say(capsys, "resolve", SLOT, "--json", "--project", root)
        assert code == 0
        [item] = json.loads(out)["items"]
        told.append((item["slot"], item["artifact_hash"], item["version"]))
    assert told[0] == told[1]
