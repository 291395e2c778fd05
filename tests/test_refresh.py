"""The nightly job: what it does with new bars, when it trains, and what it says to cron."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

import growing
import ladder as ladders
import projects
from podium.cli.main import run as podium
from podium.files import lock
from podium.runners.inline import InlineRunner
from podium.steps.decisions.sign import sign
from podium.steps.pipeline.refresh import refresh
from podium.steps.serving.shadow import put
from podium.steps.workspace.hooks import EVENTS
from podium.steps.workspace.session import open_project
from projects import SLOT, query

LATER = "2002-10-20"
HOOKS = dict.fromkeys(EVENTS, "true")
MOVING = {"test_bars": 120}
SIGNED = {"forecast": {"champion": {"fresh_evidence": {}, "signoff": {}}}}


@pytest.fixture(scope="module")
def promoted(ladder):
    """A project whose first night was gone through."""

    def build(folder):
        settings = {"policies": projects.LENIENT, "hooks": HOOKS}
        root = ladder.copy(folder / "small", "made", "growing", **settings)
        assert tonight(root).error is None

    return ladder.kept("first-night", build) / "small"


@pytest.fixture(scope="module")
def moved(ladder, promoted):
    """The same after a second night, on which a test that moves made another champion."""

    def build(folder):
        root = ladders.copied(promoted, folder / "small")
        growing.arrive(root, LATER)
        configured(root, policies=projects.LENIENT, refresh=MOVING)
        tonight(root)

    return ladder.kept("second-night", build) / "small"


@pytest.fixture(scope="module")
def unsigned(promoted, tmp_path_factory):
    """The same where the challenger lacks nothing but a signature, and what was said of it."""
    root = ladders.copied(promoted, tmp_path_factory.mktemp("unsigned") / "small")
    growing.arrive(root, LATER)
    configured(root, policies=SIGNED, refresh=MOVING)
    return root, tonight(root)


@pytest.fixture
def root(promoted, tmp_path):
    return ladders.copied(promoted, tmp_path / "copy")


@pytest.fixture
def trained(monkeypatch):
    """How many trials were run."""
    counted = []
    before = InlineRunner.run
    monkeypatch.setattr(
        InlineRunner,
        "run",
        lambda self, job, tasks, *rest, **more: (
            counted.extend(tasks),
            before(self, job, tasks, *rest, **more),
        )[1],
    )
    return counted


def tonight(root, **flags):
    with open_project(
        root, settings={k.replace("__", "."): v for k, v in flags.items()}
    ) as project:
        return refresh(project)


def dump(root):
    with closing(sqlite3.connect(root / "podium.db")) as connection:
        return list(connection.iterdump())


def configured(root, **settings):
    growing.configured(root, hooks=HOOKS, **settings)


def fired(root):
    """Whom hooks were called for, night after night: event and slot."""
    rows = query(root, "SELECT outputs FROM receipt WHERE step = 'hook' ORDER BY seq")
    told = [json.loads(row["outputs"]) for row in rows]
    return [(one["event"], one["facts"]["slot"]) for one in told]


def candidates(root):
    return query(root, "SELECT * FROM candidate ORDER BY version")


def champion(root):
    [row] = query(root, "SELECT candidate_id FROM champion")
    return row["candidate_id"]


def say(capsys, *words):
    capsys.readouterr()
    code = podium(list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_first_night_goes_the_whole_road_and_keeps_what_the_champion_says(promoted):
    assert len(candidates(promoted)) == 1
    assert champion(promoted) == candidates(promoted)[0]["id"]
    # The bars its test had no outcome for are the first ones it is asked about in use.
    assert len(query(promoted, "SELECT * FROM forecast")) == 2 * 5


def test_where_nothing_is_new_one_line_says_so_and_nothing_is_trained_or_written(
    root, trained, capsys
):
    before = dump(root)
    code, out, _ = say(capsys, "run", "--refresh", "--project", str(root))
    assert (code, out) == (0, f"{SLOT}: nothing new since 2002-06-28\n")
    assert (dump(root), trained) == (before, [])


def test_new_bars_are_spoken_of_and_do_not_move_a_test_that_begins_on_a_day(root, trained, capsys):
    growing.arrive(root, LATER)
    code, out, _ = say(capsys, "run", "--refresh", "--project", str(root))
    assert code == 0
    assert out.count("\n") == 1
    assert "bars until 2002-10-18; 156 forecasts of the champion stored" in out
    assert "no challenger: the test begins at 2002-01-01, and no bar before it is new" in out
    assert trained == []
    assert len(candidates(root)) == 1
    assert "nothing new" in say(capsys, "run", "--refresh", "--project", str(root))[1]


def test_a_moving_test_trains_a_challenger_on_newer_bars_that_the_champion_is_held_against(
    promoted, moved, tmp_path
):
    root = ladders.copied(moved, tmp_path / "copy")
    first = champion(promoted)
    old, new = candidates(root)
    assert new["trained_until"] > old["trained_until"]
    looks = query(root, "SELECT * FROM test_look ORDER BY seq")
    assert looks[-1]["interval_to"] == "2002-10-18T00:00:00"
    assert old["trained_until"] < new["trained_until"] < looks[-1]["interval_from"]
    [test] = query(
        root, "SELECT scalars FROM evidence WHERE kind = 'test' AND candidate_id = ?", new["id"]
    )
    # Both tests share bars, so this is the second look at them.
    assert json.loads(test["scalars"])["looks"][0] == 2
    [against] = query(root, "SELECT notes FROM evidence WHERE kind = 'against_champion'")
    assert json.loads(against["notes"])["champion"] == first
    assert champion(root) == new["id"]
    assert fired(root) == [("promotion", SLOT)] * 2
    assert "nothing new" in tonight(root).line


def test_a_challenger_waits_until_there_are_enough_new_bars(root, trained):
    configured(root, policies=projects.LENIENT, refresh={**MOVING, "every_bars": 60})
    growing.arrive(root, LATER)
    assert "no challenger: 77 of" not in tonight(root).line
    growing.arrive(root, "2002-11-01")
    trained.clear()
    assert "no challenger: 9 of 60 new bars to train on" in tonight(root).line
    assert trained == []


def test_a_test_never_begins_on_bars_the_champion_was_trained_on(moved, tmp_path):
    root = ladders.copied(moved, tmp_path / "copy")
    seen = candidates(root)[-1]["trained_until"]
    growing.arrive(root, "2002-12-01")
    # A longer test than before would reach back over what the champion has learned from.
    settings = {"test_bars": 400, "every_bars": 1}
    configured(root, policies=projects.LENIENT, refresh=settings)
    assert "no challenger: 0 of 1 new bars" in tonight(root).line
    assert candidates(root)[-1]["trained_until"] == seen


def test_too_short_a_test_makes_no_challenger_and_no_failure(root):
    growing.arrive(root, LATER)
    configured(root, policies=projects.LENIENT, refresh={"test_bars": 20})
    found = tonight(root)
    assert found.error is None
    assert "no challenger: only 20 bars to test it on" in found.line


@pytest.mark.slow
def test_a_challenger_that_was_cut_off_goes_on_and_the_settings_are_as_before(root, moved):
    growing.arrive(root, LATER)
    configured(root, policies=projects.LENIENT, refresh=MOVING)
    for after in (2, 6):
        with open_project(root, reporter=projects.Interrupting(after)) as project:
            before = project.config
            with pytest.raises(KeyboardInterrupt):
                refresh(project)
            assert project.config is before
    with open_project(root) as project:
        before = project.config
        refresh(project)
        assert project.config is before
    assert projects.outcome(root)["candidates"] == projects.outcome(moved)["candidates"]


# Signatures


@pytest.fixture
def waiting(unsigned, tmp_path):
    """A project with a challenger that lacks nothing but a signature, and what was said of it."""
    root, found = unsigned
    return shutil.copytree(root, tmp_path / "copy"), found


def test_a_challenger_that_needs_a_signature_is_a_review_request_told_each_night(waiting):
    root, found = waiting
    new = candidates(root)[-1]["id"]
    assert found.error is None
    assert f"waits for a signature: podium sign {new} --approve --reason TEXT" in found.line
    # The second one to beta.
    assert fired(root) == [("promotion", SLOT)] * 2 + [("review", SLOT)]
    again = tonight(root)
    assert "nothing new" in again.line
    assert f"podium sign {new}" in again.line
    assert fired(root)[3:] == []
    assert champion(root) != new


def test_a_signature_is_enough_for_the_next_night_to_promote(waiting, monkeypatch, trained):
    root, _ = waiting
    new = candidates(root)[-1]["id"]
    trained.clear()
    monkeypatch.setenv("PODIUM_ACTOR", "ann")
    with open_project(root) as project:
        sign(project, new, "looked at the curves")
    tonight(root)
    assert champion(root) == new
    assert fired(root)[3:] == [("promotion", SLOT)]
    assert trained == []


def test_one_who_says_no_is_not_asked_again(waiting, monkeypatch):
    root, _ = waiting
    new = candidates(root)[-1]["id"]
    monkeypatch.setenv("PODIUM_ACTOR", "ann")
    with open_project(root) as project:
        sign(project, new, "the spring is missing", approve=False)
    found = tonight(root)
    assert "rejected by ann" in found.line
    assert fired(root)[3:] == []
    assert champion(root) != new
    assert tonight(root).line == f"{SLOT}: nothing new since 2002-10-18"


def test_a_refusal_is_a_result_told_once(root, capsys):
    growing.arrive(root, LATER)
    policies = {
        "forecast": {"champion": {"fresh_evidence": {}, "beats_baseline": {"p_value": 1e-9}}}
    }
    configured(root, policies=policies, refresh=MOVING)
    code, out, _ = say(capsys, "run", "--refresh", "--project", str(root))
    assert code == 0
    assert "stays in beta, because" in out
    assert out.count("\n") == 1
    assert "stays in beta" not in say(capsys, "run", "--refresh", "--project", str(root))[1]


# Under cron


def test_a_second_job_beside_the_first_is_a_conflict_in_one_line(root, capsys):
    # The lock belongs to whoever opened its file, also within one process.
    with lock(root / ".podium" / "refresh.lock", "podium run --refresh"):
        code, out, err = say(capsys, "run", "--refresh", "--project", str(root))
    assert (code, out, err.count("\n")) == (6, "", 1)
    assert "podium run --refresh (process" in err


def test_a_slot_somebody_is_at_work_on_is_left_alone_and_that_is_no_failure(root):
    growing.arrive(root, LATER)
    configured(root, policies=projects.LENIENT, refresh=MOVING)
    with open_project(root) as other, other.locked(SLOT, "tune"):
        found = tonight(root)
    assert found.error.exit_code == 6
    assert "skipped: podium tune" in found.line
    assert fired(root)[1:] == []


def test_one_slot_that_fails_stops_no_other_and_gives_its_exit_code(root, capsys):
    broken = {"missing": {"path": "data/none", "tickers": ["AAPL"], "timeframe": "D"}}
    section = {**projects.SMALL["slots"][SLOT], "dataset": "missing"}
    growing.arrive(root, LATER)
    settings = {"datasets": broken, "slots": {"a/D/broken": section}}
    configured(root, policies=projects.LENIENT, **settings)
    words = ["run", "--refresh", SLOT, "a/D/broken", "--project", str(root)]
    code, out, err = say(capsys, *words)
    assert code in (3, 7)
    assert out.count("\n") == 1
    first, second = out.split(" | ")
    assert "156 forecasts of the champion stored" in first
    assert second.startswith("a/D/broken: failed: ")
    assert err.startswith("podium: ") or "\npodium: " in err
    assert fired(root)[1:] == [("failure", "a/D/broken")]


def test_dirty_bars_are_a_failure_told_in_one_line(root, capsys):
    path = root / "data" / "us4" / "IBM.csv"
    path.write_text(path.read_text() + "2002-07-01,1,2,3,4,5,6\nnonsense\n")
    code, out, err = say(capsys, "run", "--refresh", "--project", str(root))
    assert code == 7
    assert out.startswith(f"{SLOT}: failed: ")
    assert out.count("\n") == 1
    assert "Traceback" not in err


def test_the_outcome_is_given_as_json(root, capsys):
    code, out, _ = say(capsys, "run", "--refresh", "--json", "--project", str(root))
    [item] = json.loads(out)["items"]
    assert (code, item["slot"], item["failed"]) == (0, SLOT, False)


def test_a_shadow_speaks_every_night(moved, tmp_path):
    root = ladders.copied(moved, tmp_path / "copy")
    old = candidates(root)[0]["id"]
    with open_project(root) as project:
        put(project, SLOT, old)
    growing.arrive(root, "2002-10-26")
    found = tonight(root)
    assert "10 forecasts of the champion stored; 10 forecasts of the shadow stored" in found.line


def test_a_project_without_slots_is_told_what_to_add(tmp_path, capsys):
    assert say(capsys, "init", str(tmp_path / "p"))[0] == 0
    code, _, err = say(capsys, "run", "--refresh", "--project", str(tmp_path / "p"))
    assert code == 2
    assert "declares no slot" in err
