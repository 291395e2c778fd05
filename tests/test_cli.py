import json
import os
import signal
import subprocess
import sys
import time
import weakref

import pytest

from podium.cli import main as cli_main
from podium.cli.main import run
from podium.steps.trials import baselines
from projects import SLOT, SMALL, long_project, query, small_project

RETURN = "us4/D/return"
TWO_SLOTS = {RETURN: {**SMALL["slots"][SLOT], "target": "log_return", "signal": "sign"}}


@pytest.fixture(scope="module")
def finished(ladder, tmp_path_factory):
    """A small project that was run once; verbs may find again what they did."""
    return ladder.copy(tmp_path_factory.mktemp("cli") / "demo", "finished", slots=TWO_SLOTS)


@pytest.fixture
def project(tmp_path):
    return long_project(tmp_path / "demo", slots=TWO_SLOTS)


def say(capsys, *arguments):
    code = run(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def candidate_of(root, capsys, slot):
    _, out, _ = say(capsys, "list", "candidates", "--slot", slot, "--json", "--project", str(root))
    return json.loads(out)["items"][0]


def test_init_lays_out_a_project_and_refuses_to_write_over_one(tmp_path, capsys):
    code, out, err = say(capsys, "init", str(tmp_path / "mine"), "--demo")
    assert code == 0
    assert out.strip() == str(tmp_path / "mine")
    assert "next: cd" in err
    before = (tmp_path / "mine" / "podium.toml").read_bytes()
    code, out, err = say(capsys, "init", str(tmp_path / "mine"))
    assert code == 6
    assert not out
    assert "exists" in err
    assert (tmp_path / "mine" / "podium.toml").read_bytes() == before


def test_a_project_made_without_demo_says_that_it_has_no_slots(tmp_path, capsys):
    run(["init", str(tmp_path / "mine"), "-q"])
    capsys.readouterr()
    code, _, err = say(capsys, "tune", "--project", str(tmp_path / "mine"))
    assert code == 2
    assert "slot" in err


def test_run_prints_the_table_on_stdout_and_the_rest_on_stderr(finished, capsys):
    code, out, err = say(capsys, "run", "--project", str(finished))
    assert code == 0
    sentence, _, header = out.splitlines()[:3]
    assert sentence.startswith("2 slots: ")
    assert header.split()[:3] == ["slot", "best", "config"]
    assert "us4/D/volatility" in out
    assert "report:" in err
    assert "next: podium list candidates" in err
    assert (finished / "reports" / "run.html").is_file()


def test_list_slots_tells_name_champion_and_since_when(finished, capsys):
    code, out, _ = say(capsys, "list", "slots", "--json", "--project", str(finished))
    assert code == 0
    told = json.loads(out)
    assert (told["podium"], told["kind"]) == (1, "slots")
    assert {item["slot"] for item in told["items"]} == {"us4/D/volatility", "us4/D/return"}
    for item in told["items"]:
        assert (item["champion"] is None) == (item["since"] is None)


@pytest.mark.parametrize(
    "kind", ["trials", "studies", "candidates", "decisions", "evidence", "datasets", "gates"]
)
def test_every_kind_can_be_listed_as_a_table_and_as_json(finished, capsys, kind):
    code, out, _ = say(capsys, "list", kind, "--project", str(finished))
    assert code == 0
    assert len(out.splitlines()) > 2
    code, out, _ = say(capsys, "list", kind, "--json", "--project", str(finished))
    assert json.loads(out)["kind"] == kind


def test_show_finds_a_thing_by_the_beginning_of_its_id(finished, capsys):
    candidate = candidate_of(finished, capsys, "us4/D/volatility")
    code, out, _ = say(capsys, "show", candidate["id"][:8], "--project", str(finished))
    assert code == 0
    assert candidate["id"] in out
    assert "test evidence" in out
    assert "decisions, newest first" in out


def test_show_slot_tells_who_decided_what_and_why(finished, capsys):
    code, out, _ = say(capsys, "show", "us4/D/return", "--project", str(finished))
    assert code == 0
    assert "new -> development" in out
    assert "beats_baseline" in out


def test_show_config_names_the_origin_of_every_value(finished, capsys, monkeypatch):
    monkeypatch.setenv("PODIUM_TUNE_SEED", "11")
    _, out, _ = say(capsys, "show", "config", "--json", "--project", str(finished))
    origins = {item["key"]: item["origin"] for item in json.loads(out)["items"]}
    assert origins["tune.seed"] == "env PODIUM_TUNE_SEED"
    assert origins["tune.trials"] == "podium.toml"
    assert origins["tune.seeds"] == "default"


def test_each_step_is_a_verb_that_finds_its_work_done(finished, capsys):
    for verb in ("tune", "extend", "analyze", "finalize", "backtest"):
        code, out, err = say(capsys, verb, "us4/D/return", "--project", str(finished))
        assert code == 0, verb
        assert out, verb
        assert "next: podium" in err, verb


def test_a_refused_promotion_ends_with_four_and_says_why(finished, capsys):
    code, out, err = say(capsys, "promote", "us4/D/return", "--project", str(finished))
    if code == 0:
        pytest.skip("the tiny return model happened to pass")
    assert code == 4
    assert "refuse" in out
    assert "stays in beta, because" in out
    assert "is refused by" in err


def test_predict_names_the_rule_and_answers_for_every_ticker(finished, capsys):
    candidate = candidate_of(finished, capsys, "us4/D/return")
    words = ["predict", "us4/D/return", "--candidate", candidate["id"], "--json"]
    code, out, err = say(capsys, *words, "--project", str(finished))
    assert code == 0
    assert "named explicitly" in err
    items = json.loads(out)["items"]
    assert [item["ticker"] for item in items] == ["AAPL", "IBM"]
    last = (finished / "data" / "us4" / "IBM.csv").read_text().splitlines()[-1]
    assert {item["decided_at"] for item in items} == {f"{last[:10]}T00:00:00"}


def test_predict_refuses_a_candidate_of_another_slot(finished, capsys):
    candidate = candidate_of(finished, capsys, "us4/D/return")
    words = ["predict", "us4/D/volatility", "--candidate", candidate["id"]]
    code, _, err = say(capsys, *words, "--project", str(finished))
    assert code == 3
    assert "belongs to us4/D/return" in err


def test_doctor_finds_nothing_wrong_and_then_a_changed_artefact(finished, capsys):
    code, out, _ = say(capsys, "doctor", "--project", str(finished))
    assert code == 0, out
    candidate = candidate_of(finished, capsys, "us4/D/return")
    folder = finished / "models" / "registry" / candidate["artifact_path"]
    path = folder / "final_model" / "model.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        code, out, _ = say(capsys, "doctor", "--project", str(finished))
        assert code == 7
        assert "differs from its manifest" in out
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["bogus"], 2, "no verb 'bogus'"),
        (["tun"], 2, "did you mean 'tune'?"),
        (["run", "--bogus"], 2, "No such option"),
        (["list", "candidate"], 3, "did you mean 'candidates'?"),
        (["tune", "us4/D/volatilty"], 3, "did you mean 'us4/D/volatility'?"),
        (["show", "c-nothing"], 3, "no id starts with"),
        (["promote", "c-nothing"], 3, "no id starts with"),
        (["promote", "us4/D/return", "--to", "chmpion"], 3, "did you mean 'champion'?"),
        (["predict", "us4/D/return", "--bars", "0"], 2, "bars is 0"),
        (["tune", "--trials", "0"], 2, "tune.trials (flag) is 0"),
        (["tune", "--search", "annealing"], 2, "tune.search is 'annealing'"),
    ],
)
def test_a_mistake_gets_one_sentence_and_its_exit_code(finished, capsys, words, code, said):
    place = ["--project", str(finished)] if words[0] not in ("bogus", "tun") else []
    found, out, err = say(capsys, *words, *place)
    assert (found, out) == (code, "")
    assert said.lower() in err.lower()
    assert "Traceback" not in err


def test_outside_a_project_the_way_in_is_told(tmp_path, capsys):
    code, _, err = say(capsys, "run", "--project", str(tmp_path))
    assert code == 3
    assert "podium init" in err


def test_all_problems_of_podium_toml_are_told_at_once(project, capsys):
    path = project / "podium.toml"
    text = path.read_text().replace('families = ["lstm"]', 'families = ["lstn"]')
    path.write_text(text + "\n[tunee]\ntrials = 3\n")
    code, _, err = say(capsys, "run", "--project", str(project))
    assert code == 2
    assert "'lstn'" in err
    assert "did you mean 'lstm'?" in err.lower()
    assert "unknown key 'tunee'" in err
    assert not (project / "podium.db").exists()


def test_bad_data_is_told_by_line_and_leaves_no_trial(project, capsys):
    path = project / "data" / "us4" / "AAPL.csv"
    lines = path.read_text().splitlines()
    day, *values = lines[2000].split(",")
    lines[2000] = ",".join([day, "", *values[1:]])
    path.write_text("\n".join(lines))
    code, _, err = say(capsys, "run", "--project", str(project))
    assert code == 7
    assert "AAPL.csv line 2001" in err
    assert "Traceback" not in err


def test_too_few_bars_are_refused_with_the_number_that_would_do(project, capsys):
    path = project / "podium.toml"
    lines = [
        'test_from = "2000-08-01"' if line.startswith("test_from") else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines))
    for name in ("AAPL", "IBM"):
        file = project / "data" / "us4" / f"{name}.csv"
        file.write_text("\n".join(file.read_text().splitlines()[:200]))
    code, _, err = say(capsys, "run", "--project", str(project))
    assert code == 7
    assert "at least" in err


@pytest.mark.slow
def test_a_second_run_beside_the_first_is_a_conflict(project):
    words = [sys.executable, "-m", "podium", "run", "--project", str(project)]
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        lock = project / ".podium" / "locks"
        _wait(lambda: lock.is_dir() and any(p.read_text() for p in lock.iterdir()))
        second = subprocess.run(words, capture_output=True, text=True)
    finally:
        out, _ = first.communicate()
    assert second.returncode == 6
    assert "is at work here" in second.stderr
    assert first.returncode == 0
    assert b"us4/D/return" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_an_interrupted_run_ends_with_130_and_goes_on(project, number):
    words = [sys.executable, "-m", "podium", "run", "--project", str(project)]
    running = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    _wait((project / "podium.db").is_file)
    time.sleep(0.2)
    os.kill(running.pid, number)
    _, err = running.communicate()
    assert running.returncode == 130, err
    assert b"the same command continues" in err.lower()
    assert b"Traceback" not in err
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr


def test_a_reader_that_leaves_is_no_error(finished):
    words = f"{sys.executable} -m podium list trials --json --project {finished}"
    done = subprocess.run(
        ["bash", "-c", f"{words} | head -c 1; exit ${{PIPESTATUS[0]}}"], capture_output=True
    )
    assert done.returncode in (0, 141)
    assert done.stderr == b""


def _wait(happened, seconds=60):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_a_project_without_slots_cannot_run_and_says_what_to_add(tmp_path, capsys):
    run(["init", str(tmp_path / "mine"), "-q"])
    capsys.readouterr()
    code, _, err = say(capsys, "run", "--project", str(tmp_path / "mine"))
    assert code == 2
    assert "declares no slot" in err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"extend": {"folds": 500}}, "use at most"),
        ({"space": {"lstmm": {"lstm_units": [4]}}}, "did you mean 'lstm'?"),
        (
            {"policies": {"forecast": {"champion": {"beats_naive": {}}}}},
            "did you mean 'beats_baseline'?",
        ),
        ({"policies": {"forecast": {"champion": {"beats_baseline": {"p": 0.1}}}}}, "no limit 'p'"),
        ({"space": {"lstm": {"lstm_unit": [4]}}}, "did you mean 'lstm_units'?"),
    ],
)
def test_what_would_stop_a_later_step_is_refused_before_anything_is_trained(
    tmp_path, capsys, settings, said
):
    root = small_project(tmp_path / "demo", **settings)
    code, _, err = say(capsys, "run", "--project", str(root))
    assert code in (2, 7)
    assert said in err.lower()
    assert not (root / "models").exists()
    if (root / "podium.db").exists():
        beside = baselines.families("forecast")
        assert not query(root, f"SELECT * FROM trial WHERE family NOT IN {beside}")


def test_a_ctrl_c_that_python_would_forget_is_sent_again(monkeypatch):
    class Thing:
        pass

    def callback(_):
        os.kill(os.getpid(), signal.SIGINT)
        # The signal is seen between two steps of this very callback, which swallows it.
        for _ in range(1000):
            pass

    monkeypatch.setattr(sys, "unraisablehook", cli_main._repeat_interrupt)
    thing = Thing()
    reference = weakref.ref(thing, callback)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it comes in either line
        del thing
        time.sleep(5)
    assert reference() is None
