"""Hooks: others are told of reviews, failures and promotions, and no step depends on them."""

import http.server
import json
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import projects
from podium.errors import ConflictError, DataError, RefusedError, UsageError
from podium.steps.archive import logs
from podium.steps.decisions.promote import promote
from podium.steps.decisions.rollback import rollback
from podium.steps.decisions.sign import sign
from podium.steps.workspace.hooks import EVENTS, fire, named
from podium.steps.workspace.session import open_project
from projects import SLOT, Saying, query
from test_promotion import backtested, register

SIGNED = {"deep": {"champion": {"max_drawdown": {}, "signoff": {}}}}
# Writes what it was given into a file, and what it was called with.
NOTE = """
import json, os, sys
facts = json.load(sys.stdin)
told = {k: v for k, v in os.environ.items() if k.startswith("PODIUM_HOOK_")}
with open("heard.jsonl", "a") as file:
    file.write(json.dumps([facts, told, sys.argv[1:]]) + chr(10))
"""


def project_in(folder, *, gates=None, **hooks):
    root = projects.small_project(
        folder,
        slots={SLOT: {"policy": "deep"}},
        policies=gates or {"deep": {"champion": {"max_drawdown": {}}}},
        hooks=hooks,
    )
    (root / "note.py").write_text(NOTE)
    return root


def noting(*events):
    return {event: [sys.executable, "note.py", "a b", "$HOME"] for event in events}


def heard(root):
    path = root / "heard.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def ask(root, candidate, reporter=None, **how):
    with open_project(root, reporter=reporter) as project, project.locked(SLOT, "promote"):
        return promote(project, candidate.id, **how)


def test_a_promotion_is_told_as_json_and_in_the_environment_once_it_is_on_record(tmp_path):
    root = project_in(tmp_path / "p", **noting("promotion"))
    candidate = register(root, "one")
    ask(root, candidate, reason="it's better; $(touch pwned)")
    [[facts, told, words]] = heard(root)
    [last] = query(root, "SELECT * FROM decision WHERE to_stage = 'champion'")
    assert facts["podium"] == 1
    assert facts["event"] == "promotion"
    assert (facts["slot"], facts["candidate"]) == (SLOT, candidate.id)
    assert (facts["from"], facts["to"], facts["decision"]) == (
        "development",
        "champion",
        last["id"],
    )
    assert facts["reason"] == "it's better; $(touch pwned)"
    assert facts["replaced"] is None
    assert facts["verdicts"] == [{"gate": "max_drawdown", "result": "pass"}]
    assert "is champion" in facts["text"]
    assert told["PODIUM_HOOK_SLOT"] == SLOT
    assert told["PODIUM_HOOK_REASON"] == facts["reason"]
    assert told["PODIUM_HOOK_LOG"] == logs.logs(root)[0].id
    assert "PODIUM_HOOK_VERDICTS" not in told
    # No shell: words stay words, and nothing in the facts is run.
    assert words == ["a b", "$HOME"]
    assert not (root / "pwned").exists()


def test_the_same_request_again_tells_nobody_again(tmp_path):
    root = project_in(tmp_path / "p", **noting("promotion", "review"))
    candidate = register(root, "one")
    ask(root, candidate)
    ask(root, candidate)
    assert len(heard(root)) == 1
    ask(root, register(root, "two"), dry_run=True)
    assert len(heard(root)) == 1


def test_a_rollback_is_told_as_a_promotion(tmp_path):
    root = project_in(tmp_path / "p", **noting("promotion"))
    first, second = register(root, "one"), register(root, "two")
    ask(root, first)
    ask(root, second)
    with open_project(root) as project, project.locked(SLOT, "rollback"):
        rollback(project, SLOT, reason="two fails")
    assert [facts["replaced"] for facts, _, _ in heard(root)] == [None, first.id, second.id]
    assert heard(root)[-1][0]["kind"] == "rollback"
    assert heard(root)[-1][0]["candidate"] == first.id


def test_a_review_is_asked_for_only_where_nothing_but_signatures_is_missing(tmp_path):
    root = project_in(tmp_path / "p", gates=SIGNED, **noting("review"))
    good, bad = register(root, "good"), register(root, "bad", fall=0.5)
    assert ask(root, bad).refused
    assert heard(root) == []
    assert ask(root, good).refused
    [[facts, _, _]] = heard(root)
    assert facts["event"] == "review"
    assert facts["candidate"] == good.id
    assert facts["next"].startswith(f"podium sign {good.id}")
    assert ask(root, good).refused
    assert len(heard(root)) == 1


def test_who_said_no_is_not_asked_again(tmp_path):
    root = project_in(tmp_path / "p", gates=SIGNED, **noting("review"))
    candidate = register(root, "one")
    with open_project(root) as project:
        sign(project, candidate.id, "not good", approve=False)
    assert ask(root, candidate).refused
    assert heard(root) == []
    backtested(root, candidate, 0.2)
    assert ask(root, candidate).refused
    [[facts, _, _]] = heard(root)
    assert facts["event"] == "review"


def test_a_failure_on_a_slot_is_told_once_with_its_log(tmp_path):
    root = project_in(tmp_path / "p", **noting("failure"))
    with pytest.raises(DataError), open_project(root) as project, project.locked(SLOT, "tune"):
        raise DataError("the bars are torn", fix="copy them again")
    [[facts, told, _]] = heard(root)
    assert facts[
        "text"
    ] == f"podium tune on {SLOT} failed: The bars are torn. Copy them again." or (
        "the bars are torn" in facts["text"]
    )
    assert (facts["verb"], facts["kind"], facts["exit_code"]) == ("tune", "DataError", 7)
    assert facts["slots"] == [SLOT]
    assert facts["log"] == told["PODIUM_HOOK_LOG"] == logs.logs(root)[0].id


def test_an_unexpected_error_is_a_failure_too(tmp_path):
    root = project_in(tmp_path / "p", **noting("failure"))
    with (
        pytest.raises(ZeroDivisionError),
        open_project(root) as project,
        project.locked(SLOT, "tune"),
    ):
        raise ZeroDivisionError("deep down")
    [[facts, _, _]] = heard(root)
    assert facts["exit_code"] == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RefusedError("the gate says no")])
def test_a_refusal_or_a_stop_is_no_failure(tmp_path, error):
    root = project_in(tmp_path / "p", **noting("failure"))
    with pytest.raises(type(error)), open_project(root) as project, project.locked(SLOT, "tune"):
        raise error
    assert heard(root) == []


def test_being_too_late_for_a_slot_is_no_failure_of_its_step(tmp_path):
    root = project_in(tmp_path / "p", **noting("failure"))
    with (
        open_project(root) as first,
        first.locked(SLOT, "tune"),
        pytest.raises(ConflictError),
        open_project(root) as second,
        second.locked(SLOT, "tune"),
    ):
        pass
    assert heard(root) == []


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ([sys.executable, "-c", "print('no route'); raise SystemExit(3)"], "exit code 3: no route"),
        (["/no/such/program"], "it cannot be started: no such file"),
        (["./note.py"], "it cannot be started: permission denied"),
    ],
)
def test_a_hook_that_fails_is_told_logged_and_on_record_and_the_promotion_stands(
    tmp_path, hook, told
):
    root = project_in(tmp_path / "p", promotion=hook)
    reporter = Saying()
    candidate = register(root, "one")
    found = ask(root, candidate, reporter)
    assert found.stage == "champion"
    [said] = [text for text in reporter.said if "hook" in text]
    assert "the hook on promotion" in said
    assert told in said
    assert said in [f"{SLOT}: {line.text}" for line in logs.read(logs.find(root, "last"))]
    [row] = query(root, "SELECT * FROM receipt WHERE step = 'hook'")
    outcome = json.loads(row["outputs"])
    assert told in outcome["problem"]
    assert outcome["facts"]["candidate"] == candidate.id
    assert row["slot"] == SLOT


def test_a_hook_that_went_well_is_on_record_too(tmp_path):
    root = project_in(tmp_path / "p", **noting("promotion"))
    ask(root, register(root, "one"))
    [row] = query(root, "SELECT * FROM receipt WHERE step = 'hook'")
    assert json.loads(row["outputs"])["problem"] == ""


HANGING = """
import os, sys, time
if os.fork() == 0:
    open("child", "w").write(str(os.getpid()))
time.sleep(60)
"""


def test_a_hook_that_hangs_holds_nothing_up_beyond_its_timeout_and_leaves_nothing(tmp_path):
    root = project_in(tmp_path / "p", promotion=[sys.executable, "-c", HANGING], timeout=1.0)
    reporter = Saying()
    candidate = register(root, "one")
    began = time.monotonic()
    assert ask(root, candidate, reporter).stage == "champion"
    assert time.monotonic() - began < 20
    assert any("ended after 1 s (hooks.timeout)" in text for text in reporter.said)
    child = int((root / "child").read_text())
    for _ in range(100):
        if not is_alive(child):
            break
        time.sleep(0.05)
    assert not is_alive(child)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_text_is_cut_into_words_and_no_shell_sees_it(tmp_path):
    command = f"{sys.executable} note.py 'a b' $HOME ; touch pwned"
    root = project_in(tmp_path / "p", promotion=command)
    ask(root, register(root, "one"))
    [[_, _, words]] = heard(root)
    assert words == ["a b", "$HOME", ";", "touch", "pwned"]
    assert not (root / "pwned").exists()


# Webhooks.


@contextmanager
def listening(status=200, headers=(), *, slow=False):
    """A server on the loopback that keeps what it is sent; a slow one answers at its end only."""
    got, over = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, dict(self.headers), json.loads(body)))
            if slow:
                over.wait(60)
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", got
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_webhook_gets_the_facts_as_one_post_of_json(tmp_path):
    with listening() as (place, got):
        root = project_in(tmp_path / "p", promotion=f"http://ann:s%3Acret@{place}/services/T1?a=b")
        reporter = Saying()
        candidate = register(root, "one")
        ask(root, candidate, reporter)
    [(path, headers, facts)] = got
    assert path == "/services/T1?a=b"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Basic YW5uOnM6Y3JldA=="
    assert facts["candidate"] == candidate.id
    assert facts["text"]
    assert not [text for text in reporter.said if "hook" in text]


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/other", "file:///etc/passwd"])
def test_a_redirect_is_followed_nowhere(tmp_path, place):
    with listening() as (other, elsewhere):
        place = place.replace("127.0.0.1:1", other)
        with listening(302, [("Location", place)]) as (here, got):
            root = project_in(tmp_path / "p", promotion=f"http://{here}/x")
            reporter = Saying()
            ask(root, register(root, "one"), reporter)
    assert len(got) == 1
    assert elsewhere == []
    assert any("302" in text and "not followed" in text for text in reporter.said)


def test_a_webhook_that_is_away_slow_or_unwell_stops_nothing_and_its_url_stays_secret(tmp_path):
    reporter = Saying()
    with listening(500) as (place, _):
        root = project_in(tmp_path / "a", promotion=f"http://{place}/services/s3cret")
        assert ask(root, register(root, "one"), reporter).stage == "champion"
    with listening(slow=True) as (slow, _):
        root = project_in(tmp_path / "b", promotion=f"http://{slow}/services/s3cret", timeout=0.3)
        began = time.monotonic()
        assert ask(root, register(root, "one"), reporter).stage == "champion"
        assert time.monotonic() - began < 30
    root = project_in(tmp_path / "c", promotion=f"http://{place}/services/s3cret")
    assert ask(root, register(root, "one"), reporter).stage == "champion"
    problems = [text for text in reporter.said if "hook" in text]
    assert "answered 500" in problems[0]
    assert "within 0.3 s" in problems[1]
    assert "cannot be reached" in problems[2]
    assert not any("s3cret" in text for text in problems)
    for folder in ("a", "b", "c"):
        assert "s3cret" not in logs.find(tmp_path / folder, "last").read_text()
        [row] = query(tmp_path / folder, "SELECT outputs FROM receipt WHERE step = 'hook'")
        assert "s3cret" not in row["outputs"]


# podium.toml.


@pytest.mark.parametrize(
    "hook", ["ftp://x.example/a", "http://", "https://a b", "'open", [""], ["a", 1], 7, ["a\0b"]]
)
def test_a_hook_that_is_neither_command_nor_webhook_is_refused(tmp_path, hook):
    with pytest.raises(UsageError, match=r"hooks\.review"):
        open_project(project_in(tmp_path / "p", review=hook))


def test_without_a_hook_nothing_is_told_and_nothing_recorded(tmp_path):
    root = project_in(tmp_path / "p")
    ask(root, register(root, "one"))
    assert query(root, "SELECT * FROM receipt WHERE step = 'hook'") == []
    with open_project(root) as project:
        for event in EVENTS:
            fire(project, event, {"text": "nobody hears it"})


def test_a_hook_may_come_from_the_environment(tmp_path, monkeypatch):
    root = project_in(tmp_path / "p")
    monkeypatch.setenv("PODIUM_HOOKS_PROMOTION", f"{sys.executable} note.py")
    ask(root, register(root, "one"))
    assert len(heard(root)) == 1


def test_a_webhook_is_shown_by_its_host():
    assert named("https://ann:pw@hooks.example/services/T1/x") == "webhook at hooks.example"
    assert named(["notify", "a b"]) == "notify 'a b'"
