"""`podium run`: which steps it does, what is up to date, what it says, what it refuses."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

import brisk
import classes
import projects
import quick
from looped import rest_slow
from podium.cli.main import run as podium
from podium.errors import DataError, NotFoundError, UsageError
from podium.ledger import ledger as clock
from podium.steps.pipeline import preflight
from podium.steps.pipeline.run import FAILED, WAITS, explain, run
from podium.steps.pipeline.slot_pipeline import SlotPipeline
from podium.steps.search import extend
from podium.steps.search.tune import tune, tuned
from podium.steps.trials import baselines, execute
from podium.steps.trials.context import StudyContext
from podium.steps.workspace.session import open_project
from podium.tasks.forecast import SlotData
from projects import SLOT, Saying, configure, merge, outcome, query

OTHER = "us4/D/return"
QUICK = {
    "slots": {SLOT: {"families": [quick.NAME]}},
    "tune": {"trials": 4, "generation": 2, "epochs": 3, "search": "random"},
    "space": {},
}
BOTH = {
    "slots": {
        SLOT: {"families": [quick.NAME]},
        OTHER: {
            **projects.SMALL["slots"][SLOT],
            "families": [quick.NAME],
            "target": "log_return",
            "horizon": 3,
        },
    }
}
FAMILIES = {"slots": {SLOT: {"families": [quick.NAME, brisk.NAME]}}}
STEPS = ["tune", "extend", "analyze", "finalize", "backtest", "promote"]


@pytest.fixture(autouse=True)
def families(quick_family):
    """Families that train in no time."""


def project_in(folder, *settings):
    """A small project with two years of bars; reading them is most of what a run does here."""
    return projects.small_project(folder, **merge(QUICK, *settings))


@pytest.fixture
def root(tmp_path):
    return project_in(tmp_path / "small")


@pytest.fixture
def done(ladder, tmp_path):
    """Such a project after one run."""
    return ladder.copy(tmp_path / "small", "finished", **QUICK)


@pytest.fixture(scope="module")
def whole(ladder):
    """The same for a test that only looks."""
    return ladder.project("finished", **QUICK)


def going(root, slots=None, **asked):
    """One run, and what it said."""
    reporter = Saying()
    with open_project(root, reporter=reporter) as project:
        return run(project, slots, **asked), reporter.said


def planned(root, **asked):
    """Why each step has something to do, or how it stands, by slot and step."""
    with open_project(root) as project:
        return {
            (one.slot, one.step): (one.state, one.progress, one.why)
            for one in explain(project, **asked)
        }


def states(found):
    return [(one.step, one.state) for one in found.outcomes]


def reset(root, *settings):
    configure(root, **merge(QUICK, *settings))


def files(root):
    """Every file of a project but SQLite's own beside the record, with its bytes."""
    return {
        path.relative_to(root): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


# Up to date


def test_a_second_run_says_of_each_step_that_it_is_up_to_date_and_how_much_there_is(root):
    first, said = going(root)
    assert states(first) == [(step, "done") for step in STEPS]
    again, said = going(root)
    assert states(again) == [(step, "up to date") for step in STEPS]
    assert f"{SLOT}: tune is up to date (4 trials)" in said
    assert f"{SLOT}: extend is up to date (4 folds)" in said
    candidate = again.report.slots[0].candidate
    assert f"{SLOT}: finalize is up to date ({candidate} (version 1))" in said
    assert not [line for line in said if "checked" in line]
    assert [one.progress for one in first.outcomes] == [one.progress for one in again.outcomes]


def test_more_trials_let_the_search_go_on_and_what_follows_with_it(done):
    root = done
    reset(root, {"tune": {"trials": 7}})
    plan = planned(root)
    why = "tune.trials is 7, 4 of quick on record"
    assert plan[SLOT, "tune"] == ("resumes", "4 of 7 trials", why)
    assert plan[SLOT, "extend"] == ("to do", "", "after tune")
    before = quick.TRAINED.copy()
    found, said = going(root)
    assert found.outcomes[0].progress == "7 trials"
    assert any(line.startswith(f"{SLOT}: tune: 4 of 7 trials, {why}; checked: ") for line in said)
    tuned_now = query(root, "SELECT * FROM study_trial WHERE phase LIKE 'tune%'")
    assert len({row["trial_id"] for row in tuned_now}) == 7
    assert len(quick.TRAINED) > len(before)
    assert planned(root)[SLOT, "promote"][0] == "up to date"


@pytest.mark.parametrize(
    ("settings", "step", "why"),
    rest_slow(
        [
            ({"extend": {"top": 3}}, "extend", "extend.top was 2, is 3"),
            ({"finalize": {"epochs": 4}}, "finalize", "finalize.epochs was 2, is 4"),
            # The bias of choosing a config is computed after costs.
            ({"backtest": {"fee_bps": 9.0}}, "validation", "findings was"),
            ({"slots": {SLOT: {"features": ["log_return"]}}}, "tune", "is log_return"),
            ({"slots": {SLOT: {"policy": "trading"}}}, "promote", "policy.champion was"),
            ({"extend": {"epochs": 3}}, "extend", "extend.epochs was 2, is 3"),
            ({"extend": {"folds": 3}}, "extend", "extend.folds was 2, is 3"),
            ({"slots": {SLOT: {"signal": "sign"}}}, "validation", "findings was"),
            ({"tune": {"seed": 8}}, "tune", "tune.seed was 7, is 8"),
            ({"slots": {SLOT: {"horizon": 4}}}, "tune", "horizon was 5, is 4"),
            ({"space": {"quick": {"level": [1, 2]}}}, "tune", "space of quick was"),
            (FAMILIES, "tune", "families was quick, is quick, brisk"),
        ],
        fast=5,
    ),
)
def test_what_changed_is_told_with_the_first_step_that_it_concerns_and_redone(
    done, settings, step, why
):
    root = done
    reset(root, settings)
    plan = planned(root)
    state, _, told = plan[SLOT, step]
    assert state != "up to date"
    assert why in told
    # Evidence from validation comes after the candidate.
    number = STEPS.index("finalize" if step == "validation" else step) + (step == "validation")
    assert all(plan[SLOT, before][0] == "up to date" for before in STEPS[:number])
    later = [after for after in STEPS[number:] if after != step]
    assert all(plan[SLOT, after][2].split(";")[0] == f"after {step}" for after in later)
    found, _ = going(root)
    ended = dict(states(found))
    assert all(ended[before] == "up to date" for before in STEPS[:number])
    assert ended.get(step, "done") == "done"
    assert {state for state, _, _ in planned(root).values()} == {"up to date"}


def test_what_changed_for_later_steps_is_named_before_the_first_is_done(done):
    reset(done, {"extend": {"epochs": 3}, "backtest": {"fee_bps": 9.0, "execution": "next_close"}})
    plan = planned(done)
    assert plan[SLOT, "extend"][2].startswith("extend.epochs was 2, is 3")
    assert plan[SLOT, "finalize"][2] == "after extend"
    assert plan[SLOT, "backtest"][2] == (
        "after extend; backtest.fee_bps was 5.0, is 9.0; "
        "backtest.execution was next_open, is next_close"
    )


def test_what_a_backtest_adds_is_a_stage_that_is_to_be_done(done):
    reset(done, {"backtest": {"refit_every": 60}})
    plan = planned(done)
    assert plan[SLOT, "backtest"][0] == "up to date"
    assert plan[SLOT, "refit"] == ("to do", "", "nothing is on record yet")
    assert plan[SLOT, "promote"][2] == "after refit"
    going(done)
    assert {state for state, _, _ in planned(done).values()} == {"up to date"}
    assert len(query(done, "SELECT id FROM evidence WHERE kind = 'refit'")) == 1


def test_changed_data_are_told_by_both_fingerprints_and_the_older_results_stay(done):
    root = done
    before = {row["id"] for row in query(root, "SELECT id FROM trial")}
    [old] = query(root, "SELECT fingerprint FROM dataset")
    for path in (root / "data" / "us4").glob("*.csv"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with open_project(root) as project:
        now = _data(project).dataset.fingerprint
    told = planned(root)[SLOT, "tune"][2]
    assert told == f"data was {old['fingerprint'][:8]}, is {now[:8]}"
    going(root)
    assert before < {row["id"] for row in query(root, "SELECT id FROM trial")}
    assert len(query(root, "SELECT id FROM candidate")) == 2


def _data(project) -> SlotData:
    from podium.steps.data.bars import slot_data

    return slot_data(project.config, SLOT)


# --explain


def test_explain_writes_nothing_not_even_a_record(root):
    before = files(root)
    plan = planned(root)
    assert plan[SLOT, "tune"] == ("to do", "", "nothing is on record yet")
    assert plan[SLOT, "extend"][2] == "after tune"
    assert files(root) == before
    going(root)
    reset(root, {"slots": {SLOT: {"features": ["log_return"]}}})
    before = files(root)
    assert planned(root)[SLOT, "tune"][0] == "to do"
    assert files(root) == before


def test_explain_tells_what_was_cut_off_trial_by_trial(root):
    with (
        pytest.raises(KeyboardInterrupt),
        open_project(root, reporter=projects.Interrupting(2)) as project,
    ):
        run(project)
    state, told, why = planned(root)[SLOT, "tune"]
    assert (state, told) == ("resumes", "3 of 4 trials")
    assert why == "tune.trials is 4, 3 of quick on record"


def test_explain_on_the_command_line_is_a_table_and_as_json_a_plan(root, capsys):
    assert podium(["run", "--explain", "--json", "--project", str(root)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "plan"
    assert [item["step"] for item in told["items"]] == STEPS
    assert podium(["run", "--explain", "--project", str(root)]) == 0
    assert "nothing is on record yet" in capsys.readouterr().out


# --from and --to


def test_a_run_up_to_a_step_ends_there_and_names_the_next_command(root, capsys):
    assert podium(["run", "--to", "tune", "--project", str(root)]) == 0
    shown = capsys.readouterr()
    assert f"next: podium extend {SLOT}" in shown.err
    assert "promote" not in shown.out
    assert query(root, "SELECT id FROM candidate") == []
    found, _ = going(root, last="finalize")
    [candidate] = query(root, "SELECT id FROM candidate")
    assert found.next == [f"podium backtest {SLOT}"]
    found, _ = going(root, last="evaluate")
    assert found.next == [f"podium promote {candidate['id']}"]
    assert not (root / "reports").exists()


@pytest.mark.slow
def test_a_run_in_two_parts_ends_as_one_that_was_never_divided(whole, root):
    going(root, last="analyze")
    going(root, first="finalize")
    assert outcome(root) == outcome(whole)


def test_from_a_step_is_refused_where_an_earlier_one_is_not_complete_with_the_command(root):
    with pytest.raises(NotFoundError, match=f"podium tune {SLOT}"):
        going(root, first="extend")
    going(root, last="tune")
    with pytest.raises(NotFoundError) as caught:
        going(root, first="backtest")
    [problem] = caught.value.problems
    assert "extend is not complete (0 of 4 folds, nothing is on record yet)" in problem.found
    assert problem.fix == f"run: podium extend {SLOT}"
    assert query(root, "SELECT * FROM study_trial WHERE phase = 'extend'") == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"first": "tun"}, "--from is 'tun'.*did you mean 'tune'"),
        ({"last": "predict"}, "--to is 'predict', which is no step"),
        ({"first": "backtest", "last": "tune"}, "--from backtest comes after --to tune"),
        ({"only": ["bisk"]}, "--only bisk: no chosen slot has that family"),
        ({"only": ["quick"], "first": "extend"}, "takes the search from the record"),
    ],
)
def test_steps_and_families_there_are_not_are_refused_before_anything_is_done(root, asked, message):
    with pytest.raises(UsageError, match=f"(?i){message}"):
        going(root, **asked)
    assert not (root / "podium.db").exists()


@pytest.mark.slow
def test_a_slot_that_classifies_has_the_same_steps_and_is_evaluated_where_bars_are_traded(tmp_path):
    root = classes.project(tmp_path / "p", extend={"folds": 2, "top": 1, "epochs": 2})
    found, _ = going(root, last="tune")
    assert found.next == [f"podium extend {classes.SLOT}"]
    found, _ = going(root, last="finalize")
    [candidate] = query(root, "SELECT id FROM candidate")
    assert found.next == [f"podium evaluate {candidate['id']}"]
    verbs = ["tune", "extend", "analyze", "finalize"]
    assert states(found) == [("tune", "up to date"), *((verb, "done") for verb in verbs[1:])]
    assert planned(root)[classes.SLOT, "backtest"][:3] == ("to do", "", "nothing is on record yet")
    going(root, first="evaluate")
    plan = planned(root)
    assert [step for _, step in plan] == [*verbs, "backtest", "promote"]
    assert {state for state, _, _ in plan.values()} == {"up to date"}


# --only


def test_families_searched_one_at_a_time_are_the_same_search_and_decided_together(tmp_path):
    whole, parts = (project_in(tmp_path / name, FAMILIES) for name in ("whole", "parts"))
    going(whole)
    found, said = going(parts, only=[brisk.NAME])
    assert [(one.step, one.state) for one in found.outcomes] == [("tune", WAITS)]
    assert any("quick lacks 4 trials; a config is chosen among all families" in s for s in said)
    assert found.next == [f"podium run {SLOT} --only quick"]
    families = {row["family"] for row in query(parts, "SELECT family FROM trial")}
    assert families == {brisk.NAME, *baselines.families("forecast")}
    # The same again trains nothing and says the same.
    before = outcome(parts)
    again, _ = going(parts, only=[brisk.NAME])
    assert again.outcomes[0].state == WAITS
    assert outcome(parts) == before
    found, _ = going(parts, only=[quick.NAME])
    assert [one.step for one in found.outcomes] == STEPS
    assert outcome(parts) == outcome(whole)


def test_a_slot_without_the_family_is_left_out_and_that_is_said(tmp_path):
    root = project_in(tmp_path / "small", BOTH, {"slots": {OTHER: {"families": [brisk.NAME]}}})
    found, said = going(root, only=[brisk.NAME])
    assert {one.slot for one in found.outcomes} == {OTHER}
    assert f"{SLOT}: skipped, as it has none of these families" in said
    assert len(found.report.slots) == 1


# --keep-going


def broken(root):
    """The other slot's search fails in every trial."""
    reset(root, BOTH, {"slots": {OTHER: {"families": ["chronos"]}}})
    plugin = root / "plugins" / "families" / "chronos.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(
        '"""Never fits."""\n'
        "from quick import QuickFamily\n"
        "class Never(QuickFamily):\n"
        "    name = 'chronos'\n"
        "    def fit(self, *args, **more):\n"
        "        raise ValueError('no luck today')\n"
        "FAMILY = Never\n"
    )
    return root


@pytest.mark.slow
def test_a_slot_that_fails_does_not_stop_the_others_and_its_exit_code_is_the_runs(root, capsys):
    broken(root)
    with pytest.raises(NotFoundError, match="no luck today"):
        going(root, [OTHER, SLOT])
    assert query(root, "SELECT id FROM candidate") == []
    found, _ = going(root, [OTHER, SLOT], keep_going=True)
    assert [one.slot for one in found.report.slots] == [SLOT]
    assert [(one.slot, one.step) for one in found.outcomes if one.state == FAILED] == [
        (OTHER, "tune")
    ]
    told = json.loads((root / "reports" / "run.json").read_text())
    assert "no luck today" in told["provenance"][f"{OTHER} failed"]
    assert podium(["run", "--keep-going", "--project", str(root)]) == 3
    shown = capsys.readouterr()
    assert f"{OTHER}: failed: " in shown.err
    assert SLOT in shown.out


def test_the_first_failure_ends_a_run_and_what_was_done_and_not_begun_is_said(root):
    broken(root)
    reporter = Saying()
    with open_project(root, reporter=reporter) as project, pytest.raises(NotFoundError):
        run(project, [SLOT, OTHER])
    assert f"{OTHER} failed in tune; done before: {SLOT}" in reporter.said
    reporter = Saying()
    with open_project(root, reporter=reporter) as project, pytest.raises(NotFoundError):
        run(project, [OTHER, SLOT])
    assert f"{OTHER} failed in tune; not begun: {SLOT}" in reporter.said


def test_a_slot_whose_data_cannot_be_read_leaves_the_others_alone(root):
    other = {"path": "data/other", "tickers": ["AAPL"], "timeframe": "D"}
    reset(root, BOTH, {"datasets": {"other": other}, "slots": {OTHER: {"dataset": "other"}}})
    with pytest.raises((DataError, NotFoundError)):
        going(root)
    assert query(root, "SELECT id FROM trial") == [] if (root / "podium.db").exists() else True
    found, _ = going(root, keep_going=True)
    assert [one.slot for one in found.report.slots] == [SLOT]
    assert len(found.failures) == 1


# Side by side


@pytest.mark.slow
def test_folds_of_all_configs_at_once_are_those_of_one_config_after_the_other(tmp_path, root):
    one_by_one = project_in(tmp_path / "other")
    for place in (root, one_by_one):
        with open_project(place) as project:
            tune(project, SLOT)
    with open_project(root) as project:
        extend.extend(project, SLOT)
    with open_project(one_by_one) as project:
        found = tuned(project, SLOT)
        split = extend.folds_of(project.config.extend, found.forecast.tuning)
        for asked in reversed(extend.planned(project, found, split)):
            job = execute.job_of(found.forecast, split, asked.row.family)
            execute.run(StudyContext(project, found.study, found.forecast, split), job, asked.plans)
        trained = quick.TRAINED.copy()
        extend.extend(project, SLOT)
        assert trained == quick.TRAINED
    assert outcome(root) == outcome(one_by_one)


# The checklist

Usage = namedtuple("Usage", "total used free")


def test_a_disk_too_small_for_the_checkpoints_is_told_with_the_numbers_before_anything(
    root, monkeypatch
):
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: Usage(10**9, 0, 200_000))
    reset(root, {"paths": {"tuning": "tuning"}, "tune": {"keep_checkpoints": 3}})
    with pytest.raises(DataError) as caught:
        going(root)
    told = str(caught.value)
    assert "200 kB are free" in told
    assert "3 checkpoints of at most 66 kB each" in told
    assert "2 models" in told
    assert query(root, "SELECT id FROM trial") == []


def test_the_largest_model_of_a_space_is_found_whatever_its_usual_one_is(root):
    units = {"lstm": {"lstm_units": [4, 64, 8], "layers": [1, 2]}}
    reset(root, {"slots": {SLOT: {"families": ["lstm"]}}, "space": units})
    with open_project(root) as project:
        slot = SlotPipeline(project, SLOT)
        found = preflight.largest(slot, "lstm") - preflight.OVERHEAD
        wide = {"lstm_units": 64, "layers": 2, "dropout": 0.0}
        assert found == 4 * int(slot.data.family("lstm").complexity(wide, 2))


def test_all_that_is_wrong_with_all_slots_is_told_at_once(root):
    reset(root, BOTH, {"extend": {"folds": 500}, "runner": {"device": "cuda"}})
    with pytest.raises(UsageError) as caught:
        going(root)
    told = [problem.found for problem in caught.value.problems]
    assert len(told) >= 2
    assert any("cuda" in one for one in told)
    assert any("bars" in one for one in told), told
    assert not (root / "podium.db").exists()


def test_a_read_only_project_is_told_before_anything_is_read(small_disk):
    root = project_in(small_disk / "small")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DataError, match="cannot be written to") as caught:
        going(root)
    assert str(root) in str(caught.value)
    # Looking is not writing.
    assert planned(root)[SLOT, "tune"][0] == "to do"


# What people do to files


def test_a_damaged_checkpoint_is_told_and_nothing_is_decided_on_it(done):
    root = done
    [row] = query(root, "SELECT artifact_path FROM candidate")
    place = root / "models" / "registry" / row["artifact_path"] / "best_model"
    [model] = (file for file in place.glob("*.json") if file.name != "intervals.json")
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + b" ")
    before = outcome(root)
    with pytest.raises(DataError, match=model.name):
        going(root)
    assert outcome(root) == before
    model.write_bytes(whole)
    assert {state for _, state in states(going(root)[0])} == {"up to date"}


@pytest.mark.slow
def test_files_that_were_deleted_are_written_again_and_nothing_is_trained(root):
    reset(root, {"paths": {"tuning": "tuning"}})
    going(root)
    before = outcome(root)
    history = root / "tuning" / "optimization_history.json"
    told, trained = history.read_bytes(), quick.TRAINED.copy()
    for gone in ([history], [root / "reports"], [root / "tuning", root / ".podium"]):
        for path in gone:
            path.unlink() if path.is_file() else shutil.rmtree(path)
        found, _ = going(root)
        assert {state for _, state in states(found)} == {"up to date"}
        assert history.read_bytes() == told
        assert (root / "reports" / "run.html").is_file()
    assert outcome(root) == before
    assert trained == quick.TRAINED


def test_a_clock_that_was_set_back_changes_no_result(whole, root, monkeypatch):
    with (
        pytest.raises(KeyboardInterrupt),
        open_project(root, reporter=projects.Interrupting(3)) as project,
    ):
        run(project)

    class Earlier(clock.dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) - clock.dt.timedelta(days=400)

    class Times:
        datetime, UTC, timedelta = Earlier, clock.dt.UTC, clock.dt.timedelta

    monkeypatch.setattr(clock, "dt", Times)
    going(root)
    assert outcome(root) == outcome(whole)
    assert {state for _, state in states(going(root)[0])} == {"up to date"}


# Nothing changed at all


def on_the_command_line(root, *flags):
    """A run in a process of its own: whether it held every step against the record."""
    code = (
        "import sys; from podium.cli.main import run; code = run(sys.argv[1:]); "
        "sys.exit(code or 100 * ('podium.steps.pipeline.run' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", *flags, "--project", str(root)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode in (0, 7, 100), done.stderr
    return done


LSTM = {
    "slots": {SLOT: {"families": ["lstm"]}},
    "tune": {"trials": 2, "epochs": 1},
    "space": {"lstm": {"lstm_units": [4], "batch_size": [256]}},
    "extend": {"top": 1, "epochs": 1},
    "finalize": {"epochs": 1},
    "paths": {"tuning": "tuning"},
    "policies": projects.LENIENT,
}


@pytest.mark.slow
def test_nothing_is_imported_that_trains_where_nothing_changed_since_the_last_run(tmp_path):
    root = project_in(tmp_path / "small", LSTM)
    assert on_the_command_line(root).returncode == 100
    before = files(root)
    again = on_the_command_line(root)
    assert again.returncode == 0
    assert f"{SLOT}: tune is up to date (2 trials)" in again.stderr
    assert "champion unchanged" in again.stdout
    assert files(root) == before
    looked = on_the_command_line(root, "--explain", "--json")
    assert looked.returncode == 0
    assert {i["state"] for i in json.loads(looked.stdout)["items"]} == {"up to date"}
    # What it tells is what a run that looks at everything tells.
    (root / ".podium" / "unchanged.json").unlink()
    slow = on_the_command_line(root)
    assert (slow.returncode, slow.stdout) == (100, again.stdout)
    assert slow.stderr.partition("log: ")[0] == again.stderr
    told = [on_the_command_line(root, "--json").stdout]
    (root / ".podium" / "unchanged.json").unlink()
    told.append(on_the_command_line(root, "--json").stdout)
    assert told[0] == told[1]


def _touch_data(root):
    path = root / "data" / "us4" / "IBM.csv"
    path.write_text(path.read_text() + "\n")


def _new_plugin(root):
    (root / "plugins" / "metrics").mkdir(parents=True)
    (root / "plugins" / "metrics" / "mine.py").write_text('"""Mine."""\n')


def _add_a_note(root):
    [row] = query(root, "SELECT id FROM candidate")
    assert podium(["rollback", SLOT, "--reason", "a look", "--project", str(root)]) in (0, 3, 4)
    assert podium(["promote", row["id"], "--to", "archived", "--project", str(root)]) == 0


CHANGES = {
    "a byte of the data": _touch_data,
    "a setting": lambda root: configure(root, **merge(QUICK, LSTM, {"tune": {"trials": 3}})),
    "a plugin": _new_plugin,
    "a decision": _add_a_note,
    "a report that is gone": lambda root: (root / "reports" / "run.html").unlink(),
    "a file of the search": lambda root: (root / "tuning" / "trial_results.json").unlink(),
    "a file that is no JSON": lambda root: (root / ".podium" / "unchanged.json").write_text("{"),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A project whose last run is kept."""
    with quick.offered():
        root = project_in(tmp_path_factory.mktemp("kept") / "small", LSTM)
        assert on_the_command_line(root).returncode == 100
    return root


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changed_is_looked_at_again(kept, tmp_path, change):
    root = shutil.copytree(kept, tmp_path / "small")
    assert on_the_command_line(root).returncode == 0
    CHANGES[change](root)
    assert on_the_command_line(root).returncode == 100
    assert on_the_command_line(root).returncode == 0


@pytest.mark.slow
def test_a_damaged_model_is_told_also_where_nothing_else_changed(kept, tmp_path):
    root = shutil.copytree(kept, tmp_path / "small")
    [row] = query(root, "SELECT artifact_path FROM candidate")
    model = root / "models" / "registry" / row["artifact_path"] / "best_model" / "model.pt"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    done = on_the_command_line(root)
    assert done.returncode == 7
    assert "model.pt" in done.stderr
    assert "Traceback" not in done.stderr
