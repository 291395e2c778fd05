"""Life after promotion: forecasts kept, outcomes joined, drift, a challenger in the shadow."""

import json
import math
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

import growing
import ladder as ladders
import projects
from podium import artifact
from podium.cli.main import run as podium
from podium.errors import NotFoundError, UsageError
from podium.ledger import forecasts, reads
from podium.split import Windows
from podium.stats import block_bootstrap_mean, diebold_mariano, panel_loss
from podium.steps.evidence.drift import RECOMPUTED, STORED, training_drift
from podium.steps.serving import shadow
from podium.steps.serving.check_slot import WARNING, _difference, check_slot
from podium.steps.serving.forecast_log import served_models
from podium.steps.serving.predict import predict, store_forecasts
from podium.steps.trials import baselines
from podium.steps.workspace.session import open_project
from projects import SLOT, query, run_project

LATER = "2002-10-20"


@pytest.fixture(scope="module")
def promoted(ladder):
    """A project with a champion, and no bars newer than its test."""
    return ladder.project("finished", "growing", policies=projects.LENIENT)


@pytest.fixture
def root(promoted, tmp_path):
    return ladders.copied(promoted, tmp_path / "copy")


@pytest.fixture
def later(root):
    """The same with more than three months of new bars."""
    growing.arrive(root, LATER)
    return root


def dump(root):
    with closing(sqlite3.connect(root / "podium.db")) as connection:
        return list(connection.iterdump())


def say(capsys, *words):
    capsys.readouterr()
    code = podium(list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def stored(root):
    return query(root, "SELECT * FROM forecast ORDER BY seq")


def checked(root):
    with open_project(root) as project:
        return check_slot(project, SLOT)


@pytest.mark.slow
def test_a_false_growth_of_the_error_is_as_rare_as_the_docs_say():
    """A year of looks at losses that each keep half of the error before, 4 of 100 looks wrong."""
    looks, grown = [], []
    for seed in range(60):
        shocks = np.random.default_rng(seed).standard_normal(370 + 252 + 100)
        errors = np.zeros_like(shocks)
        for t in range(1, len(shocks)):
            errors[t] = 0.5 * errors[t - 1] + math.sqrt(0.75) * shocks[t]
        losses = errors[100:] ** 2
        before = block_bootstrap_mean(losses[:370])
        ends = range(400, 622, 24)
        lows = [_difference(block_bootstrap_mean(losses[370:end]), before)[1] for end in ends]
        looks.append(np.mean([low > 0 for low in lows]))
        lows = [_difference(block_bootstrap_mean(1.5 * losses[370:e]), before)[1] for e in ends]
        grown.append(any(low > 0 for low in lows))
    assert np.mean(looks) == pytest.approx(0.04, abs=0.03)
    assert np.mean(grown) > 0.75


def finding(found, what):
    [one] = [one for one in found.findings if one.what == what]
    return one


def kept_until_now(root, since=""):
    with open_project(root) as project:
        return store_forecasts(project, SLOT, since)


# Keeping forecasts


def test_who_only_looks_writes_nothing(later, capsys):
    before = dump(later)
    for words in (["predict", SLOT], ["predict", SLOT, "--since", "2002-10-01"], ["check", SLOT]):
        code, out, _ = say(capsys, *words, "--project", str(later))
        assert (code, bool(out)) == (0, True)
    assert dump(later) == before


def test_every_bar_newer_than_the_test_is_kept_once_with_the_model_that_spoke(later, capsys):
    code, out, err = say(capsys, "predict", SLOT, "--store", "--json", "--project", str(later))
    assert code == 0
    assert len(json.loads(out)["items"]) == 2
    rows = stored(later)
    assert f"{len(rows)} new forecasts stored, bars until 2002-10-18" in err
    [candidate] = query(later, "SELECT * FROM candidate")
    assert {row["candidate_id"] for row in rows} == {candidate["id"]}
    assert {row["artifact_hash"] for row in rows} == {candidate["artifact_hash"]}
    assert {row["role"] for row in rows} == {"champion"}
    [test] = query(later, "SELECT notes FROM evidence WHERE kind = 'test'")
    assert min(row["decided_at"] for row in rows) > json.loads(test["notes"])["to"]
    with open_project(later) as project:
        said = predict(project, SLOT, since="2002-06-24")
    assert {(row["ticker"], row["decided_at"]): row["value"] for row in rows} == pytest.approx(
        {(r["ticker"], r["decided_at"]): r["forecast"] for r in said.rows()}
    )
    say(capsys, "predict", SLOT, "--store", "--project", str(later))
    assert stored(later) == rows


def test_only_bars_that_are_new_are_forecast(root, monkeypatch):
    kept_until_now(root)
    growing.arrive(root, "2002-07-06")
    asked = []
    before = artifact.LoadedModel._of_windows
    monkeypatch.setattr(
        artifact.LoadedModel,
        "_of_windows",
        lambda self, windows: (asked.append(len(windows)), before(self, windows))[1],
    )
    [found] = kept_until_now(root)
    assert found.forecasts == sum(asked) == 2 * 4
    kept_until_now(root)
    assert sum(asked) == 2 * 4


def test_a_date_fills_the_bars_since_and_none_of_the_training(later):
    kept_until_now(later, "2002-10-10")
    assert len(stored(later)) == 2 * 7
    kept_until_now(later, "2000-01-01")
    rows = stored(later)
    [candidate] = query(later, "SELECT trained_until FROM candidate")
    assert min(row["decided_at"] for row in rows) > candidate["trained_until"]
    assert len({(row["ticker"], row["decided_at"]) for row in rows}) == len(rows) > 300


@pytest.mark.parametrize("wrong", ["yesterday", "2002-13-01", "2002"])
def test_what_is_no_date_is_refused(root, capsys, wrong):
    for words in (["predict", SLOT], ["predict", SLOT, "--store"]):
        code, _, err = say(capsys, *words, "--since", wrong, "--project", str(root))
        assert code == 2
        assert f"'{wrong}' is no date" in err


def test_a_date_after_the_newest_bar_has_nothing_to_forecast(root, capsys):
    code, _, err = say(capsys, "predict", SLOT, "--since", "2030-01-01", "--project", str(root))
    assert code == 3
    assert "the newest is of 2002-06-28" in err


def test_forecasts_of_a_model_that_is_named_are_not_kept(root, capsys):
    [candidate] = query(root, "SELECT id FROM candidate")
    words = ["predict", "--candidate", candidate["id"], "--store", "--project", str(root)]
    code, _, err = say(capsys, *words)
    assert code == 2
    assert "podium shadow" in err


def test_a_slot_without_champion_keeps_nothing(tmp_path):
    root = growing.growing_project(tmp_path / "p")
    with pytest.raises(NotFoundError, match="has no champion"):
        kept_until_now(root)


def test_a_revised_bar_changes_no_word_and_is_told(later):
    kept_until_now(later)
    before = stored(later)
    path = later / "data" / "us4" / "IBM.csv"
    lines = path.read_text().splitlines()
    day, *numbers = lines[-20].split(",")
    lines[-20] = ",".join([day, *(str(float(number) * 1.1) for number in numbers)])
    path.write_text("\n".join(lines) + "\n")
    kept_until_now(later)
    assert stored(later) == before
    found = finding(checked(later), "revised")
    assert found.severity == WARNING
    # Its own bar and those whose window of 8, with a feature over 21 bars, it is in; of one ticker.
    assert found.figures["revised"] == 20


# Outcomes


def test_on_the_bars_of_its_test_a_champion_scores_as_in_its_test(root):
    with open_project(root) as project, project.ledger.reading() as tx:
        holder = reads.champion_of(tx, SLOT)
        test = reads.evidence_of(tx, holder)["test"]
    figures = finding(checked(root), "baseline").figures
    assert figures["since_training_bars"] == test.scalar("days")
    assert figures["since_training_loss"] == pytest.approx(test.scalar("loss"))
    assert figures["since_training_naive_loss"] == pytest.approx(test.scalar("naive_loss"))
    assert figures["since_training_p_value"] == pytest.approx(test.scalar("dm_p_value"))
    assert figures["newer_bars"] == 0


def test_too_few_outcomes_are_no_answer(root):
    growing.arrive(root, "2002-07-20")
    found = checked(root)
    assert found.beats_baseline is None
    told = finding(found, "baseline").found
    assert "undecidable on the 14 bars newer than its test: 14 periods, at least 30" in told
    assert math.isnan(finding(found, "baseline").figures["newer_p_value"])
    assert "at least 30" in finding(found, "error").found


def test_outcomes_are_joined_and_scored_as_by_hand(later):
    """Losses, those of the baseline and their difference, from the bars."""
    kept_until_now(later)
    found = checked(later)
    with open_project(later) as project:
        [champion] = served_models(project, SLOT)
    view = champion.view
    first = int(np.searchsorted(view.times, champion.tested_until)) + 1
    truth = view.target[first : view.last_labelled + 1]
    rows = {(row["ticker"], row["decided_at"]): row["value"] for row in stored(later)}
    mine = np.array(
        [[rows[t, str(at)] for t in view.tickers] for at in view.times[first : first + len(truth)]]
    )
    stop = int(np.searchsorted(view.times, champion.trained_until)) + 1
    reference = baselines.from_notes(champion.judged["test"].notes)
    assert f"of the baseline {baselines.label_of(reference)}" in finding(found, "baseline").found
    model = baselines.fit(reference, baselines.labelled(view.until(stop)))
    newer = Windows.of(view.blind(), np.arange(first, first + len(truth)))
    theirs = model.predict(newer).mean.reshape(truth.shape)
    losses = [((truth - values) ** 2).mean(axis=1) for values in (mine, theirs)]
    figures = finding(found, "baseline").figures
    assert figures["newer_bars"] == len(truth) == 78
    assert figures["newer_loss"] == pytest.approx(losses[0].mean())
    assert figures["newer_naive_loss"] == pytest.approx(losses[1].mean())
    by_hand = diebold_mariano(*losses, view.horizon).p_value
    assert figures["newer_p_value"] == pytest.approx(by_hand)
    counts = finding(found, "forecasts").figures
    # Five bars of two tickers wait; all were stored when the newest bar was there.
    assert counts == {"stored": 156, "early": 0, "waiting": 10}


def test_a_kept_forecast_counts_as_it_was_made(later):
    before = finding(checked(later), "baseline").figures["newer_loss"]
    with open_project(later) as project:
        [champion] = served_models(project, SLOT)
        place = ("IBM", "2002-08-01T00:00:00")
        about = {"slot": SLOT, "candidate_id": champion.candidate.id, "role": "champion"}
        about |= {"artifact_hash": champion.candidate.artifact_hash, "data_until": place[1]}
        with project.ledger.transaction() as tx:
            forecasts.put_forecasts(tx, about, {place: 10.0})
    found = checked(later)
    assert finding(found, "baseline").figures["newer_loss"] > before + 0.5
    assert finding(found, "forecasts").figures == {"stored": 1, "early": 1, "waiting": 10}
    assert finding(found, "revised").figures == {"revised": 1}


def test_forecasts_that_waited_are_told_from_those_made_afterwards(root):
    kept_until_now(root)
    growing.arrive(root, "2002-07-20")
    kept_until_now(root)
    figures = finding(checked(root), "forecasts").figures
    # The five bars before July, and of July those that had no outcome on the 19th: none has yet.
    assert figures == {"stored": 28, "early": 10, "waiting": 10}


def test_an_error_that_grew_is_told_with_its_interval(root):
    growing.arrive(root, FIRST_OF_SWING)
    growing.swing(root, 60, 0.3)
    found = finding(checked(root), "error")
    assert found.severity == WARNING
    assert "its error has grown" in found.found
    assert 0 < found.figures["error_low"] < found.figures["error_difference"]
    assert found.figures["error_difference"] < found.figures["error_high"]


def test_an_error_like_that_of_the_test_is_told_with_its_interval(later):
    found = finding(checked(later), "error")
    assert found.severity == "note"
    assert found.figures["error_low"] < 0 < found.figures["error_high"]


# Drift

FIRST_OF_SWING = growing.FIRST


def test_bars_unlike_those_of_the_training_are_warned_of_in_one_line(root, capsys):
    code, _, err = say(capsys, "predict", SLOT, "--project", str(root))
    assert code == 0
    assert "warning" not in err
    growing.swing(root, 30, 0.3)
    code, out, err = say(capsys, "predict", SLOT, "--project", str(root))
    assert code == 0
    assert out
    [line] = [line for line in err.splitlines() if "warning" in line]
    assert "differ from the training bars; log_return drifted most" in line
    found = finding(checked(root), "drift")
    assert found.severity == WARNING
    assert STORED in found.found
    assert found.figures["stability_index:log_return"] > 1.0


def test_the_stored_baseline_equals_the_recomputed_one(root):
    with open_project(root) as project:
        [champion] = served_models(project, SLOT)
        hash_, manifest = champion.candidate.artifact_hash, champion.model.manifest
        kept = training_drift(project, hash_, manifest, champion.view)
        seen = training_drift(project, "f" * 64, manifest, champion.view)
    assert (kept.source, seen.source) == (STORED, RECOMPUTED)
    assert kept.result.index == pytest.approx(seen.result.index)
    assert kept.result.p_value == seen.result.p_value


def test_the_baseline_of_another_window_is_recomputed_from_the_bars(root):
    growing.configured(root, policies=projects.LENIENT, drift={"bars": 10})
    found = finding(checked(root), "drift")
    assert "the newest 10 bars" in found.found
    assert RECOMPUTED in found.found


def test_a_p_value_above_the_level_is_no_warning(root):
    growing.swing(root, 30, 0.3)
    growing.configured(root, policies=projects.LENIENT, drift={"level": 0.001})
    assert finding(checked(root), "drift").severity == "note"


def test_drift_from_too_short_a_training_is_unknown(root, monkeypatch):
    with open_project(root) as project:
        [champion] = served_models(project, SLOT)
        manifest = {**champion.model.manifest, "trained_from": "2001-10-01T00:00:00"}
        found = training_drift(project, "f" * 64, manifest, champion.view)
    assert not found.alarm
    assert "is unknown" in found.sentence
    assert "at least 100" in found.sentence


# A challenger in the shadow


@pytest.fixture(scope="module")
def succeeded(promoted, tmp_path_factory):
    """A project whose first champion was replaced, with new bars."""
    root = ladders.copied(promoted, tmp_path_factory.mktemp("two") / "copy")
    growing.configured(
        root, policies=projects.LENIENT, finalize={"epochs": 3}, extend={"epochs": 3}
    )
    run_project(root)
    growing.arrive(root, LATER)
    return root


@pytest.fixture
def two(succeeded, tmp_path):
    """Copy of it, its champion and the candidate before."""
    root = shutil.copytree(succeeded, tmp_path / "copy")
    ids = [row["id"] for row in query(root, "SELECT id FROM candidate ORDER BY version")]
    [holder] = query(root, "SELECT candidate_id FROM champion")
    assert [holder["candidate_id"]] == ids[1:]
    return root, *reversed(ids)


def test_a_shadow_speaks_beside_the_champion_and_both_are_compared_on_the_same_bars(two, capsys):
    root, champion, other = two
    words = ["shadow", SLOT, other, "--reason", "was better in spring", "--project", str(root)]
    assert say(capsys, *words)[0] == 0
    [row] = query(root, "SELECT * FROM shadow")
    assert (row["candidate_id"], row["reason"]) == (other, "was better in spring")
    assert row["actor"]
    code, _, err = say(capsys, "predict", SLOT, "--store", "--project", str(root))
    assert code == 0
    assert f"shadow {other}:" in err
    rows = stored(root)
    by_role = {
        role: {(r["ticker"], r["decided_at"]): r["value"] for r in rows if r["role"] == role}
        for role in ("champion", "shadow")
    }
    assert {r["candidate_id"] for r in rows if r["role"] == "shadow"} == {other}
    assert by_role["champion"].keys() == by_role["shadow"].keys()
    found = checked(root)
    assert found.candidate_id == champion
    figures = finding(found, "shadow").figures
    with open_project(root) as project:
        view = served_models(project, SLOT)[0].view
    bars = {str(at): n for n, at in enumerate(view.times)}
    losses = []
    for said in by_role.values():
        known = [
            (bars[at], (view.target[bars[at], view.tickers.index(t)] - value) ** 2)
            for (t, at), value in said.items()
            if bars[at] <= view.last_labelled
        ]
        losses.append(panel_loss([loss for _, loss in known], [at for at, _ in known])[1])
    assert figures["champion_loss"] == pytest.approx(losses[0].mean())
    assert figures["shadow_loss"] == pytest.approx(losses[1].mean())
    by_hand = diebold_mariano(losses[1], losses[0], view.horizon)
    assert figures["shadow_p_value"] == pytest.approx(by_hand.p_value)


def test_a_shadow_is_told_and_ends(two, capsys):
    root, _, other = two
    project = ["--project", str(root)]
    code, _, err = say(capsys, "shadow", SLOT, *project)
    assert (code, f"podium shadow {SLOT} CANDIDATE" in err) == (3, True)
    say(capsys, "shadow", SLOT, other, *project)
    assert other in say(capsys, "shadow", SLOT, *project)[1]
    assert say(capsys, "shadow", SLOT, "--end", "--reason", "enough", *project)[0] == 0
    say(capsys, "predict", SLOT, "--store", *project)
    assert {row["role"] for row in stored(root)} == {"champion"}
    assert say(capsys, "shadow", SLOT, "--end", *project)[0] == 3


def test_asking_for_the_same_shadow_again_changes_nothing(two):
    root, _, other = two
    with open_project(root) as project:
        first = shadow.put(project, SLOT, other)
        assert shadow.put(project, SLOT, other, "again") == first
    assert len(query(root, "SELECT * FROM shadow")) == 1


def test_a_champion_is_nobodys_shadow(two):
    root, champion, _ = two
    with open_project(root) as project, pytest.raises(UsageError, match="is the champion"):
        shadow.put(project, SLOT, champion)


def test_a_shadow_answers_the_champions_question(two, monkeypatch):
    root, _, other = two
    before = shadow._question
    monkeypatch.setattr(
        shadow,
        "_question",
        lambda project, one: {
            **before(project, one),
            **({"horizon": 9} if one.id == other else {}),
        },
    )
    with open_project(root) as project, pytest.raises(UsageError, match="horizon is 9"):
        shadow.put(project, SLOT, other)
    with open_project(root) as project, pytest.raises(NotFoundError, match="c-nobody"):
        shadow.put(project, SLOT, "c-nobody")


# The verb


def test_a_name_of_a_slot_and_of_a_dataset_is_asked_about(root, capsys):
    settings = {"slots": {"us4": {**projects.SMALL["slots"][SLOT]}}}
    growing.configured(root, policies=projects.LENIENT, **settings)
    code, _, err = say(capsys, "check", "us4", "--project", str(root))
    assert code == 2
    assert "is a slot and a dataset" in err
    code, out, _ = say(capsys, "check", "us4", "--as", "dataset", "--project", str(root))
    assert (code, "fingerprint" in out) == (0, True)
    code, _, err = say(capsys, "check", "us4", "--as", "slot", "--project", str(root))
    assert (code, "has no champion" in err) == (3, True)


def test_a_slot_that_is_misspelt_is_suggested(root, capsys):
    code, _, err = say(capsys, "check", "us4/D/volatilty", "--project", str(root))
    assert code == 3
    assert f"Did you mean '{SLOT}'?" in err


def test_findings_are_given_as_json_with_their_figures(later, capsys):
    code, out, _ = say(capsys, "check", SLOT, "--json", "--project", str(later))
    assert code == 0
    items = {item["what"]: item for item in json.loads(out)["items"]}
    assert list(items) == ["champion", "forecasts", "baseline", "error", "drift"]
    assert items["baseline"]["figures"]["newer_bars"] == 78
