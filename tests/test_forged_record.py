"""Changes of the record with a database shell, and the check that names each changed row."""

import json
import shutil
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

import ladder as ladders
import podium
import projects
import records
from podium.cli.main import run as command
from podium.decision import Decision, Kind, Result, Stage, Verdict
from podium.errors import DataError, NotFoundError
from podium.evidence import Scalar
from podium.ledger import decisions, looks, reads, schema, writes
from podium.ledger.chain import row_hash
from podium.ledger.ledger import now
from podium.steps.archive.doctor import doctor
from podium.steps.decisions.promote import promote, write_champions
from podium.steps.decisions.rollback import rollback
from podium.steps.decisions.sign import sign
from podium.steps.evidence.evidence import evidence_about, put_arrays
from podium.steps.workspace.session import open_project

SLOT, OTHER = projects.SLOT, "us4/D/return"
LIMITS = {"max_drawdown": {"limit": 0.2}}


def judged(project, candidate, fall, first):
    """Look of a candidate at its own test, and the evidence of it."""
    with project.ledger.transaction(durable=True) as tx:
        marks = np.arange(first, first + 100)
        place = looks.count_look(tx, "us4", ("2002-01-01", "2002-06-30"), candidate, marks)
        evidence = evidence_about(
            candidate,
            "backtest",
            "test",
            dataset="d" * 64,
            scalars={
                "candidate:max_drawdown": Scalar(-fall, "fraction", "max"),
                "looks": Scalar(place, "candidates"),
            },
            series=put_arrays(project, tx, {"losses": np.full(5, fall)}),
        )
        writes.put_evidence(tx, evidence)
    return evidence


def build(root):
    """Project with a champion, a refused and a signed candidate, and one of another slot."""
    records.served(root, 1.0, 2.0)
    with open_project(root) as project:
        ledger = project.ledger
        ours, refused = (ledger.read(reads.candidate_by_id, f"c-{n}") for n in (1.0, 2.0))
        hash_, path = records.naive_artifact(root, 3.0)
        made = projects.new_candidate("other", OTHER)
        other = replace(made, artifact_hash=hash_, artifact_path=path)
        with ledger.transaction(durable=True) as tx:
            decisions.register(tx, other, "tester")
        about = {
            one.id: judged(project, one, fall, 1000 * n)
            for n, (one, fall) in enumerate([(ours, 0.1), (refused, 0.5), (other, 0.3)])
        }
        crowning = projects.move(ours.id, Stage.BETA, Stage.CHAMPION)
        refusal = projects.move(
            refused.id, Stage.BETA, Stage.CHAMPION, expected=ours.id, accepted=False
        )
        for move, result in ((crowning, Result.PASS), (refusal, Result.REFUSE)):
            verdicts = (Verdict("max_drawdown", result, "the fall", {"limit": 0.2}),)
            ids = (about[move.candidate_id].id,)
            new = replace(move, id=f"d-{result}", verdicts=verdicts, evidence=ids, policy=LIMITS)
            records.decide(ledger, new)
        write_champions(project)
    return root


def forged(root, *statements):
    """Run SQL without triggers, which exist again afterwards."""
    dialect = "postgresql" if projects.url_of(root).startswith("postgresql") else "sqlite"
    with closing(projects.connect(root)) as raw:
        for table in schema.APPEND_ONLY if dialect == "postgresql" else ():
            raw.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for name in schema.triggers("sqlite") if dialect == "sqlite" else ():
            raw.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            raw.execute(statement)
        for table in schema.APPEND_ONLY if dialect == "postgresql" else ():
            raw.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        for statement in schema.triggers("sqlite").values() if dialect == "sqlite" else ():
            raw.execute(statement)
        raw.commit()


def row_of(root, table, id_):
    [row] = projects.query(root, f"SELECT * FROM {table} WHERE id = ?", id_)
    return row


def evidence_id(root, candidate):
    sql = "SELECT id FROM evidence WHERE candidate_id = ? ORDER BY seq"
    return projects.query(root, sql, candidate)[0]["id"]


def insertion(table, row):
    """INSERT of a row whose values are texts and integers."""
    texts = [
        f"'{v}'" if isinstance(v, str) else "NULL" if v is None else str(v) for v in row.values()
    ]
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(texts)})"


def added_signature(root):
    """A signature with the right link to the evidence before it."""
    [last] = projects.query(root, "SELECT * FROM evidence ORDER BY seq DESC LIMIT 1")
    row = {**last, "id": "e-signed", "kind": "signature", "previous_hash": last["hash"]}
    row |= {"seq": last["seq"] + 1, "scalars": "{}"}
    return [insertion("evidence", {**row, "hash": row_hash(row)})]


def unregistered(root):
    row = row_of(root, "candidate", "c-1.0")
    new = {"id": "c-sly", "slot": OTHER, "version": 9, "seq": row["seq"] + 100}
    return [insertion("candidate", {**row, **new})]


def accepted_refusal(root):
    """The refusal as an acceptance whose own hash, link and heads are right."""
    row = row_of(root, "decision", "d-refuse")
    verdicts = json.loads(row["verdicts"])
    fields = {name: row[name] for name in Decision.__dataclass_fields__}
    fields |= {name: json.loads(row[name]) for name in ("policy", "evidence", "contents")}
    fields |= {"accepted": True, "verdicts": tuple(Verdict.read(one) for one in verdicts)}
    hash_ = Decision(**fields | {"evidence": tuple(fields["evidence"])}).hash
    since = f"decision_id = 'd-refuse', since = '{row['created_at']}'"
    return [
        f"UPDATE decision SET accepted = 1, hash = '{hash_}' WHERE id = 'd-refuse'",
        f"UPDATE champion SET candidate_id = 'c-2.0', {since}",
        f"UPDATE stage SET stage = 'champion', {since} WHERE candidate_id = 'c-2.0'",
        f"UPDATE stage SET stage = 'archived', {since} WHERE candidate_id = 'c-1.0'",
    ]


# By name: the check that finds it, the id in its message, and its statements.
FORGERIES = {
    "a champion inserted for a refused candidate": (
        "heads",
        "c-2.0",
        ["UPDATE champion SET candidate_id = 'c-2.0', decision_id = 'd-refuse'"],
    ),
    "an artefact swapped for another slot's": (
        "decisions",
        "c-1.0",
        [
            "UPDATE candidate SET (artifact_hash, artifact_path) = (SELECT artifact_hash, "
            "artifact_path FROM candidate WHERE id = 'c-other') WHERE id = 'c-1.0'"
        ],
    ),
    "a candidate's config changed": (
        "decisions",
        "c-2.0",
        ["""UPDATE candidate SET config = '{"a":1}' WHERE id = 'c-2.0'"""],
    ),
    "a candidate added": ("evidence", "c-sly", unregistered),
    "a candidate deleted": ("decisions", "c-2.0", ["DELETE FROM candidate WHERE id = 'c-2.0'"]),
    "evidence of a decision changed": (
        "evidence",
        lambda root: evidence_id(root, "c-2.0"),
        ["UPDATE evidence SET scalars = replace(scalars, '-0.5', '-0.1')"],
    ),
    "evidence that no decision names changed": (
        "evidence",
        lambda root: evidence_id(root, "c-other"),
        ["UPDATE evidence SET scalars = replace(scalars, '-0.3', '-0.1')"],
    ),
    "evidence deleted": (
        "decisions",
        "d-refuse",
        ["DELETE FROM evidence WHERE candidate_id = 'c-2.0'"],
    ),
    "the last decision deleted": (
        "evidence",
        "d-refuse",
        ["DELETE FROM decision WHERE id = 'd-refuse'"],
    ),
    "the decision of the champion deleted": (
        "decisions",
        "d-refuse",
        ["DELETE FROM decision WHERE id = 'd-pass'"],
    ),
    "all decisions deleted": ("heads", "c-1.0", ["DELETE FROM decision"]),
    "all decisions, heads and announcements deleted": (
        "evidence",
        "c-1.0",
        [f"DELETE FROM {table}" for table in ("decision", "stage", "champion", "latest", "outbox")],
    ),
    "looks deleted": ("evidence", "look 1", ["DELETE FROM test_look"]),
    "a look deleted together with its evidence": (
        "decisions",
        "d-pass",
        [
            f"DELETE FROM {table} WHERE candidate_id = 'c-other'"
            for table in ("test_look", "evidence")
        ],
    ),
    "the place of a look changed": (
        "evidence",
        "c-2.0",
        ["UPDATE test_look SET place = 2 WHERE candidate_id = 'c-2.0'"],
    ),
    "a policy's hash changed": (
        "decisions",
        "d-refuse",
        ["UPDATE decision SET policy_hash = 'f' WHERE id = 'd-refuse'"],
    ),
    "verdicts edited": (
        "decisions",
        "d-refuse",
        ["UPDATE decision SET verdicts = replace(verdicts, 'refuse', 'pass')"],
    ),
    "a refusal accepted with a right hash": ("decisions", "d-refuse", accepted_refusal),
    "a reason changed": (
        "decisions",
        "d-pass",
        ["UPDATE decision SET reason = 'x' WHERE id = 'd-pass'"],
    ),
    "a stage changed": (
        "heads",
        "c-2.0",
        ["UPDATE stage SET stage = 'development' WHERE candidate_id = 'c-2.0'"],
    ),
    "the latest of a model type changed": (
        "heads",
        "c-1.0",
        [f"UPDATE latest SET candidate_id = 'c-1.0' WHERE slot = '{SLOT}'"],
    ),
    "a signature added": ("evidence", "e-signed", added_signature),
    "a stored series changed": (
        "evidence",
        lambda root: evidence_id(root, "c-1.0"),
        ["UPDATE blob SET dtype = '<i8' WHERE dtype = '<f8'"],
    ),
}


def faults(root, anchor=None):
    """Messages of the checks with faults, by check."""
    return {one.check: one.finding for one in doctor(root, anchor) if not one.ok}


@pytest.fixture
def recorded(tmp_path):
    root = projects.small_project(tmp_path / "whole", policies={"deep": {"champion": LIMITS}})
    return build(root)


def assert_found(root, check, named, statements):
    named = named(root) if callable(named) else named
    forged(root, *(statements(root) if callable(statements) else statements))
    problems = faults(root)
    assert named in problems.get(check, ""), (check, named, problems)
    assert "podium doctor" not in " ".join(problems.values()), problems


def test_doctor_names_the_row_of_each_forgery(recorded, tmp_path):
    assert faults(recorded) == {}
    for name, forgery in FORGERIES.items():
        root = ladders.copied(recorded, tmp_path / "copy")
        try:
            assert_found(root, *forgery)
        except AssertionError as error:
            raise AssertionError(name) from error
        shutil.rmtree(root)


@pytest.mark.slow
def test_doctor_names_the_row_of_each_forgery_on_a_server(server, tmp_path):
    for number, (name, forgery) in enumerate(FORGERIES.items()):
        with server.database() as url:
            settings = {"ledger": {"url": url}, "policies": {"deep": {"champion": LIMITS}}}
            root = build(projects.small_project(tmp_path / str(number), **settings))
            assert faults(root) == {}
            try:
                assert_found(root, *forgery)
            except AssertionError as error:
                raise AssertionError(name) from error
            with closing(projects.connect(root)) as raw:
                raw.execute("ALTER TABLE note DISABLE TRIGGER note_no_delete")
                raw.commit()
            assert "note_no_delete" in faults(root)["triggers"]


@pytest.mark.slow
def test_no_verb_ends_in_a_bug_on_json_of_another_shape(recorded, tmp_path, capsys):
    columns = {
        "candidate": ("config",),
        "decision": ("policy", "verdicts", "evidence", "contents"),
        "evidence": ("scalars", "series", "notes"),
        "trial": ("config",),
        "study": ("question",),
    }
    verbs = [["doctor"], ["show", "c-1.0"], ["show", SLOT], ["promote", "c-2.0", "--dry-run"]]
    verbs += [["list", kind] for kind in ("candidates", "decisions", "evidence", "trials")]
    for table, names in columns.items():
        for name in names:
            for value in ("{", "[1]", "5"):
                root = ladders.copied(recorded, tmp_path / "copy")
                forged(root, f"UPDATE {table} SET {name} = '{value}'")
                for words in verbs:
                    code = command([*words, "--project", str(root)])
                    text = "".join(capsys.readouterr())
                    assert code != 1, (table, name, value, words, text)
                    named = table in ("candidate", "decision", "evidence")
                    assert words != ["doctor"] or not named or code == 7, (table, name, value)
                shutil.rmtree(root)


def test_stored_arrays_and_trials_of_another_shape_are_not_read(recorded):
    with open_project(recorded) as project:
        [row] = projects.query(recorded, "SELECT hash FROM blob WHERE dtype = '<f8' LIMIT 1")
        trial_id = projects.query(recorded, "SELECT id FROM trial")[0]["id"]
        for statement in ("UPDATE blob SET dtype = '<i8' WHERE dtype = '<f8'", "DELETE FROM blob"):
            assert project.ledger.read(reads.array, row["hash"]).size == 5
            with closing(projects.connect(recorded)) as raw:
                before = raw.execute("SELECT * FROM blob").fetchall()
                raw.execute(statement)
                raw.commit()
            for read in (
                lambda: project.ledger.read(reads.array, row["hash"]),
                lambda: project.reader.array(row["hash"]),
            ):
                with pytest.raises((DataError, NotFoundError), match=row["hash"][:12]):
                    read()
            with closing(projects.connect(recorded)) as raw:
                raw.execute("DELETE FROM blob")
                places = ", ".join("?" * len(before[0]))
                raw.executemany(f"INSERT INTO blob VALUES ({places})", before)
                raw.commit()
        forged(recorded, "UPDATE trial SET state = 'x'")
        with pytest.raises(DataError, match=trial_id):
            project.ledger.read(reads.trials_by_id, [trial_id])


def test_a_dropped_or_replaced_trigger_is_a_fault(recorded):
    with closing(projects.connect(recorded)) as raw:
        raw.execute("DROP TRIGGER evidence_no_update")
        raw.execute("DROP TRIGGER decision_no_delete")
        raw.execute(
            "CREATE TRIGGER decision_no_delete BEFORE DELETE ON decision BEGIN SELECT 1; END"
        )
        raw.commit()
    problem = faults(recorded)["triggers"]
    assert "evidence_no_update" in problem
    assert "decision_no_delete" in problem


def test_promotions_and_signatures_do_not_believe_changed_rows(recorded):
    id_ = evidence_id(recorded, "c-2.0")
    forged(recorded, "UPDATE evidence SET scalars = replace(scalars, '-0.5', '-0.1')")
    with open_project(recorded) as project:
        for how in ({"dry_run": True}, {}):
            with pytest.raises(DataError, match=id_):
                promote(project, "c-2.0", **how)
    row = row_of(recorded, "evidence", id_)
    # With a right hash of the changed row, the decisions about it still have the first one.
    forged(recorded, f"UPDATE evidence SET hash = '{row_hash(row)}' WHERE id = '{id_}'")
    before = projects.query(recorded, "SELECT id FROM decision")
    with open_project(recorded) as project:
        for how in ({"dry_run": True}, {}):
            with pytest.raises(DataError, match=id_):
                promote(project, "c-2.0", **how)
    assert projects.query(recorded, "SELECT id FROM decision") == before


def test_resolve_serves_no_champion_that_no_decision_made(recorded, tmp_path, capsys):
    assert podium.champion(SLOT, recorded).champion.candidate_id == "c-1.0"
    names = [
        "a champion inserted for a refused candidate",
        "an artefact swapped for another slot's",
        "the decision of the champion deleted",
    ]
    for number, name in enumerate(names):
        root = ladders.copied(recorded, tmp_path / str(number))
        forged(root, *FORGERIES[name][2])
        with pytest.raises(DataError, match="changed outside podium"):
            podium.champion(SLOT, root)
        assert command(["resolve", SLOT, "--project", str(root)]) == 7
        with open_project(root) as project, pytest.raises(DataError, match="c-"):
            promote(project, "c-2.0", reason="again")
    capsys.readouterr()


def test_forged_heads_stop_promote_sign_rollback_and_resolve(recorded, tmp_path):
    with open_project(recorded) as project:
        second = projects.move("c-2.0", Stage.BETA, Stage.CHAMPION, expected="c-1.0")
        records.decide(project.ledger, replace(second, id="d-second"))
        write_champions(project)
    calls = {
        "promote": lambda project: promote(project, "c-1.0", "beta"),
        "sign": lambda project: sign(project, "c-1.0", "seen"),
        "rollback": lambda project: rollback(project, SLOT, reason="drifts"),
        "resolve": lambda project: podium.champion(SLOT, project.root),
    }
    stage, everything = "UPDATE stage SET stage = '{}' WHERE candidate_id = '{}'", {*calls}
    forgeries = {
        stage.format("beta", "c-1.0"): everything - {"resolve"},
        "UPDATE stage SET decision_id = 'd-pass' WHERE candidate_id = 'c-1.0'": {"promote", "sign"},
        "DELETE FROM stage WHERE candidate_id = 'c-1.0'": everything - {"resolve"},
        stage.format("beta", "c-2.0"): {"rollback", "resolve"},
        # An earlier champion, by the decision that made it one.
        "UPDATE champion SET candidate_id = 'c-1.0', decision_id = 'd-pass'": everything - {"sign"},
        "DELETE FROM champion": everything - {"sign"},
        "UPDATE decision SET candidate_id = 'c-2.0' WHERE id = 'd-pass'": {"rollback"},
        "UPDATE decision SET accepted = 0 WHERE id = 'd-second'": everything,
    }
    for number, (statement, stopped) in enumerate(forgeries.items()):
        root = ladders.copied(recorded, tmp_path / str(number))
        forged(root, statement)
        rows = [row_of(root, "decision", id_) for id_ in ("d-pass", "d-second")]
        before = projects.query(root, "SELECT id FROM decision")
        with open_project(root) as project:
            for name in sorted(stopped):
                with pytest.raises(DataError, match="changed outside podium"):
                    calls[name](project)
        assert projects.query(root, "SELECT id FROM decision") == before
        assert [row_of(root, "decision", id_) for id_ in ("d-pass", "d-second")] == rows
    with open_project(recorded) as project:
        for call in calls.values():
            call(project)


def test_an_anchor_shows_the_end_of_the_record_cut_off(recorded, tmp_path):
    anchor = tmp_path / "elsewhere.json"
    assert faults(recorded, anchor) == {}
    first = json.loads(anchor.read_text())
    assert first["chains"]["decision"]["rows"] == 7
    root = ladders.copied(recorded, tmp_path / "copy")
    forged(
        root,
        *(
            f"DELETE FROM {t} WHERE {c} = 'd-refuse'"
            for t, c in (("decision", "id"), ("outbox", "subject_id"))
        ),
    )
    assert faults(root) == {}, "without an anchor, a shorter record is a whole one"
    assert "7 rows of decision" in faults(root, anchor)["anchor"]
    assert json.loads(anchor.read_text()) == first
    with open_project(recorded) as project:
        records.decide(project.ledger, projects.move("c-2.0", Stage.BETA, Stage.ARCHIVED))
    words = ["doctor", "--anchor", str(anchor), "--project", str(recorded)]
    assert command(words) == 0
    assert json.loads(anchor.read_text())["chains"]["decision"]["rows"] == 8
    forged(recorded, "UPDATE decision SET policy_hash = 'f' WHERE id = 'd-refuse'")
    assert command(words) == 7
    foreign = {**first, "project": "p-other"}
    for content in ("{}", "[1]", "{half", '{"kind": "anchor", "chains": 3}', json.dumps(foreign)):
        anchor.write_text(content)
        assert "not an anchor" in faults(recorded, anchor)["anchor"], content
        assert anchor.read_text() == content
    assert "not an anchor" in faults(recorded, tmp_path)["anchor"]


def test_an_anchor_that_cannot_be_written_is_a_fault(recorded):
    file = recorded / "podium.toml"
    assert "cannot be written" in faults(recorded, file / "anchor.json")["anchor"]


def test_a_signature_of_a_person_is_no_fault(recorded):
    with open_project(recorded) as project:
        candidate = project.ledger.read(reads.candidate_by_id, "c-2.0")
        signature = evidence_about(candidate, "signature", "sign", dataset="d" * 64)
        signed = replace(
            projects.move("c-2.0", Stage.BETA, Stage.BETA), kind=Kind.SIGN, evidence=(signature.id,)
        )
        with project.ledger.transaction(durable=True) as tx:
            writes.put_evidence(tx, signature)
            decisions.decide(tx, replace(signed, created_at=now()))
    assert faults(recorded) == {}


# A lost record.


def test_no_verb_begins_an_empty_record_beside_what_an_earlier_one_left(recorded, tmp_path, capsys):
    cache, store = ".podium/champions.json", "models/registry"
    for n, (gone, empty) in enumerate([("", 0), ("", 1), ("", 2), (cache, 0), (store, 1)]):
        root = ladders.copied(recorded, tmp_path / str(n))
        for path in root.glob("podium.db*"):
            path.unlink()
        if empty:
            (root / "podium.db").touch()
        if empty == 2:
            with closing(projects.connect(root)) as raw:
                raw.execute("PRAGMA journal_mode=WAL")
        if gone:
            (root / gone).rename(tmp_path / f"moved-{n}")
        before = [path.stat().st_size for path in root.glob("podium.db")]
        verbs = [["sync"], ["doctor"]]
        if not n:
            verbs += [["run"], ["promote", "c-1.0"], ["list", "trials"]]
        for words in verbs:
            assert command([*words, "--project", str(root)]) == 7, words
            out, err = capsys.readouterr()
            assert "podium restore BACKUP" in out + err, words
            assert "first release" not in out + err, words
        assert [path.stat().st_size for path in root.glob("podium.db")] == before
        # Production keeps its champion as long as the file of champions exists.
        assert command(["resolve", SLOT, "--project", str(root)]) == (7 if gone else 0), gone
        assert gone == store or "podium restore BACKUP" in capsys.readouterr().err


def test_a_project_without_a_record_begins_one(tmp_path):
    root = projects.small_project(tmp_path / "p")
    (root / ".podium").mkdir(exist_ok=True)
    (root / ".podium" / "champions.json").write_text('{"podium": 1, "champions": {}}')
    for name in (".half", "chosen_by_another_tool"):
        (root / "models" / "registry" / name).mkdir(parents=True)
    with open_project(root) as project:
        assert project.ledger.read(reads.champion_of, SLOT) is None
