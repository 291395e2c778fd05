"""Things side by side: the better figure is marked only where the figures are of one kind."""

import json

import pytest

from podium.cli.main import run
from podium.errors import NotFoundError, UsageError
from podium.steps.decisions.compare import compare
from podium.steps.workspace.session import open_project
from projects import SLOT, SMALL, configure, run_project

RETURN = "us4/D/return"
TWO_SLOTS = {RETURN: {**SMALL["slots"][SLOT], "target": "log_return", "signal": "sign"}}


@pytest.fixture(scope="module")
def root(ladder, tmp_path_factory):
    """Two slots with a candidate each, and a second candidate of the first slot."""
    root = ladder.copy(tmp_path_factory.mktemp("compare") / "small", "finished", slots=TWO_SLOTS)
    configure(root, slots=TWO_SLOTS, tune={"trials": 4, "generation": 2, "epochs": 2, "seed": 11})
    run_project(root)
    return root


def ids(root, kind, **filters):
    with open_project(root) as project:
        return [row["id"] for row in project.reader.rows(kind, **filters)]


def compared(root, *names):
    with open_project(root) as project:
        return compare(project, names)


def by_name(found):
    return {row.what: row for row in found.facts}


def test_the_better_of_two_trials_is_marked_figure_by_figure(root):
    names = ids(root, "trials", slot=SLOT, where="family=lstm and val_loss<1e9", sort="score")
    with open_project(root) as project:
        rows = {row["id"]: row for row in project.reader.rows("trials")}
    split = rows[names[0]]["split_hash"], rows[names[0]]["fold"]
    same = [n for n in names if (rows[n]["split_hash"], rows[n]["fold"]) == split]
    found = compared(root, same[0], same[1])
    assert found.differing == ()
    score = by_name(found)["score"]
    assert score.values == (rows[same[0]]["score"], rows[same[1]]["score"])
    assert score.best == 0
    assert by_name(compared(root, same[1], same[0]))["score"].best == 1
    assert by_name(found)["seconds"].best is None


def test_trials_of_another_split_are_shown_and_not_ranked(root):
    with open_project(root) as project:
        rows = project.reader.rows("trials", slot=SLOT, where="family=lstm and val_loss<1e9")
    one = rows[0]
    other = next(row for row in rows if row["split_hash"] != one["split_hash"])
    found = compared(root, one["id"], other["id"])
    assert "split_hash" in found.differing
    assert all(row.best is None for row in found.facts)
    assert "cannot be ranked" in found.sentence


def test_two_candidates_of_a_slot_are_held_against_chance(root):
    names = ids(root, "candidates", slot=SLOT)
    assert len(names) == 2
    found = compared(root, *names)
    assert found.differing == ()
    assert "on the sealed test" in found.sentence
    assert "p = " in found.sentence
    loss = by_name(found)["test loss"]
    assert loss.best == loss.values.index(min(loss.values))
    assert by_name(found)["test naive_loss"].best is None
    sharpe = by_name(found)["backtest candidate:sharpe"]
    assert sharpe.best == sharpe.values.index(max(sharpe.values))


def test_candidates_of_two_slots_are_not_ranked(root):
    one, other = ids(root, "candidates", slot=SLOT)[0], ids(root, "candidates", slot=RETURN)[0]
    found = compared(root, one, other)
    assert found.differing == ("slot",)
    assert all(row.best is None for row in found.facts)


def test_what_cannot_be_compared_is_refused(root):
    candidate, trial = ids(root, "candidates")[0], ids(root, "trials")[0]
    with pytest.raises(UsageError, match="two or more"):
        compared(root, candidate)
    with pytest.raises(UsageError, match="candidates, trials"):
        compared(root, candidate, trial)
    with pytest.raises(UsageError, match="candidates only, or trials only"):
        compared(root, *ids(root, "studies")[:2])
    with pytest.raises(NotFoundError):
        compared(root, candidate, "c-nothing")


def test_the_verb_prints_what_differs_and_with_all_what_does_not(root, capsys):
    names = ids(root, "candidates", slot=SLOT)
    place = ["--project", str(root)]
    assert run(["compare", *names, *place]) == 0
    out, err = capsys.readouterr()
    sentence, _, *table = out.splitlines()
    assert "sealed test" in sentence
    assert not err.startswith("on the sealed test")
    assert " *" in out
    assert "lstm_units" not in out
    assert 3 < len(table) <= 17
    assert run(["compare", *names, "--all", *place]) == 0
    assert "lstm_units" in capsys.readouterr().out
    assert run(["compare", *names, "--json", *place]) == 0
    [facts] = json.loads(capsys.readouterr().out)["items"]
    assert facts["ids"] == names
