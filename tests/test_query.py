"""Filters of listings: read as people mean them, refused where they cannot be read."""

import csv
import io
import json

import pytest

from looped import looped
from podium.cli.main import run
from podium.errors import NotFoundError, UsageError
from podium.ledger.query import Sql, condition
from podium.ledger.record_reader import RecordReader
from projects import SLOT, SMALL

RETURN = "us4/D/return"
TWO_SLOTS = {RETURN: {**SMALL["slots"][SLOT], "target": "log_return", "signal": "sign"}}


@pytest.fixture(scope="module")
def finished(ladder):
    return ladder.project("finished", slots=TWO_SLOTS)


@pytest.fixture(scope="module")
def reader(finished):
    return RecordReader("sqlite:///podium.db", finished, "p-small")


def plain(name, *, number):
    return Sql(name)


def say(capsys, *arguments):
    code = run(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@looped(
    ("text", "sql", "values"),
    [
        ("a=1", "a = ?", (1.0,)),
        ("a = b", "a = ?", ("b",)),
        ("a!='two words'", "a != ?", ("two words",)),
        ("a<1 and b>=2e-3", "(a < ? AND b >= ?)", (1.0, 0.002)),
        ("a=1 or b=2 and c=3", "(a = ? OR (b = ? AND c = ?))", (1.0, 2.0, 3.0)),
        ("(a=1 or b=2) and c=3", "((a = ? OR b = ?) AND c = ?)", (1.0, 2.0, 3.0)),
        ("not a=true", "NOT (a = ?)", (1.0,)),
        ("reason~killed", "instr(reason, ?) > 0", ("killed",)),
        ("order=1 AND android=2", "(order = ? AND android = ?)", (1.0, 2.0)),
    ],
)
def test_a_filter_reads_as_it_is_meant(text, sql, values):
    assert condition(text, plain) == Sql(sql, values)


@looped("text", ["a=", "=1", "a=1 b=2", "(a=1", "a=1)", "a==1", "", "and", "a 1"])
def test_what_cannot_be_read_is_refused_with_its_place(text):
    with pytest.raises(UsageError, match="cannot be read at"):
        condition(text, plain)


def test_a_value_is_never_part_of_the_sql(reader):
    assert reader.rows("trials", where="family='x; DROP TABLE trial'") == []
    assert reader.rows("trials", where="family=lstm")


def test_columns_parameters_metrics_and_stages_can_be_asked_for(reader):
    every = reader.rows("trials")
    families = {row["family"] for row in every}
    assert {"lstm", "naive", "har"} <= families
    of = [reader.rows("trials", where=f"family={family}") for family in families]
    assert sum(map(len, of)) == len(every)
    small = reader.rows("trials", where="lstm_units=4")
    assert {row["family"] for row in small} == {"lstm"}
    assert reader.rows("trials", where="debias=true and method=ewma")
    [best] = reader.rows("trials", slot=SLOT, where="val_loss<1e9", sort="val_loss", limit=1)
    assert best["family"] == "lstm"
    staged = reader.rows("candidates", where="stage=beta or stage=champion")
    assert {row["slot"] for row in staged} == {SLOT, RETURN}


def test_a_name_that_nothing_has_is_refused_with_a_near_one(reader):
    with pytest.raises(NotFoundError, match=r"(?i)did you mean 'family'"):
        reader.rows("trials", where="famly=lstm")
    with pytest.raises(NotFoundError, match=r"(?i)did you mean 'score'"):
        reader.rows("trials", sort="-scor")


def test_rows_without_a_value_come_last_in_either_order(reader):
    for sort in ("score", "-score"):
        scores = [row["score"] for row in reader.rows("trials", sort=sort)]
        known = [score for score in scores if score is not None]
        assert scores[: len(known)] == known
        assert known == sorted(known, reverse=sort.startswith("-"))


def test_a_slot_names_its_own_trials_and_evidence(reader):
    mine, other = (
        {row["id"] for row in reader.rows("trials", slot=slot)} for slot in (SLOT, RETURN)
    )
    assert mine
    assert other
    assert not mine & other
    kinds = {row["kind"] for row in reader.rows("evidence", slot=SLOT)}
    assert kinds == {"validation", "leak_probe", "test", "backtest"}


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "md", "ids"])
def test_every_form_lists_the_same_things(finished, capsys, form):
    words = ["list", "candidates", "-o", form, "--project", str(finished)]
    code, out, _ = say(capsys, *words)
    assert code == 0
    reader = RecordReader("sqlite:///podium.db", finished, "p-small")
    ids = [row["id"] for row in reader.rows("candidates")]
    if form == "json":
        assert [item["id"] for item in json.loads(out)["items"]] == ids
    elif form == "jsonl":
        assert [json.loads(line)["id"] for line in out.splitlines()] == ids
    elif form == "csv":
        assert [row["id"] for row in csv.DictReader(io.StringIO(out))] == ids
    elif form == "ids":
        assert out.split() == ids
    else:
        assert all(id_ in out for id_ in ids)


def test_ranking_trials_that_were_judged_differently_is_warned_of(finished, capsys):
    place = ["--project", str(finished)]
    _, _, err = say(capsys, "list", "trials", "--sort", "score", *place)
    assert "their scores are not comparable" in err
    one_split = "val_loss<1e9 and fold=0 and max_epochs=2 and seed!=0"
    words = ["--slot", SLOT, "--where", one_split, "--sort", "score", "--limit", "1"]
    _, _, err = say(capsys, "list", "trials", *words, *place)
    assert "not comparable" not in err


def test_a_filter_that_fits_nothing_says_so(finished, capsys):
    words = ["list", "trials", "--where", "score<-1", "--project", str(finished)]
    code, _, err = say(capsys, *words)
    assert code == 0
    assert "no trials match score<-1" in err
