"""Stored forecasts, shadows and baselines in the record: said once, in both databases."""

import math
from contextlib import closing

import pytest

import projects
from podium.ledger import forecasts

ABOUT = {
    "slot": projects.SLOT,
    "candidate_id": "c-a",
    "artifact_hash": "a" * 64,
    "role": "champion",
    "data_until": "2013-03-01T00:00:00",
}
PLACE = ("AAPL", "2013-03-01T00:00:00")


def put(ledger, values, **about):
    with ledger.transaction() as tx:
        return forecasts.put_forecasts(tx, {**ABOUT, **about}, values)


def kept(ledger, candidate="c-a", **asked):
    with ledger.reading() as tx:
        return forecasts.stored_forecasts(tx, candidate, **asked)


def test_a_forecast_is_kept_to_the_bit_with_who_made_it_and_when(ledger):
    assert put(ledger, {PLACE: 0.1 + 0.2, ("IBM", PLACE[1]): math.nan}) == 2
    found = kept(ledger)
    assert found[PLACE].value == 0.1 + 0.2
    assert (found[PLACE].role, found[PLACE].data_until) == ("champion", ABOUT["data_until"])
    assert math.isnan(found["IBM", PLACE[1]].value)


def test_what_was_said_once_is_not_said_again_nor_changed(ledger):
    put(ledger, {PLACE: 1.0})
    later = (PLACE[0], "2013-03-04T00:00:00")
    assert put(ledger, {PLACE: 2.0, later: 3.0}, role="shadow") == 1
    assert [one.value for one in kept(ledger).values()] == [1.0, 3.0]
    assert put(ledger, {PLACE: 2.0}) == 0


def test_the_same_bar_of_another_candidate_is_another_forecast(ledger):
    put(ledger, {PLACE: 1.0})
    assert put(ledger, {PLACE: 2.0}, candidate_id="c-b") == 1
    assert kept(ledger, "c-b")[PLACE].value == 2.0


def test_more_forecasts_than_one_statement_takes_are_all_kept(ledger):
    values = {(f"T{n}", PLACE[1]): float(n) for n in range(1201)}
    assert put(ledger, values) == 1201
    assert {place: one.value for place, one in kept(ledger).items()} == values
    with ledger.reading() as tx:
        assert forecasts.last_decided(tx, "c-a") == PLACE[1]
        assert forecasts.last_decided(tx, "c-b") == ""
    assert kept(ledger, since="2013-03-02T00:00:00") == {}


def test_two_of_one_place_cannot_be_stored_whoever_writes(ledger, folder):
    put(ledger, {PLACE: 1.0})
    ledger.close()
    with closing(projects.connect(folder)) as raw:
        names = [c[0] for c in raw.execute("SELECT * FROM forecast LIMIT 0").description][1:]
        columns = ",".join(names)
        with pytest.raises(Exception, match=r"append-only|unique|duplicate"):
            raw.execute(f"INSERT INTO forecast ({columns}) SELECT {columns} FROM forecast")


def shadow_of(ledger, slot=projects.SLOT):
    with ledger.reading() as tx:
        return forecasts.shadow_of(tx, slot)


def test_the_newest_word_on_a_shadow_counts_and_all_of_them_are_kept(ledger, folder):
    assert shadow_of(ledger) is None
    for candidate in ("c-a", "c-b", ""):
        with ledger.transaction() as tx:
            forecasts.put_shadow(tx, projects.SLOT, candidate, "ann", "why not")
        found = shadow_of(ledger)
        assert (found.candidate_id if found else "") == candidate
    assert shadow_of(ledger, "us4/D/return") is None
    rows = projects.query(folder, "SELECT candidate_id, actor FROM shadow ORDER BY seq")
    assert [row["candidate_id"] for row in rows] == ["c-a", "c-b", ""]
    assert {row["actor"] for row in rows} == {"ann"}


def test_a_model_has_one_baseline_and_the_first_stays(ledger):
    for told in ({"window": 5, "edges": [[0.1]]}, {"window": 6}):
        with ledger.transaction() as tx:
            forecasts.put_baseline(tx, "a" * 64, told)
    with ledger.reading() as tx:
        assert forecasts.baseline(tx, "a" * 64) == {"window": 5, "edges": [[0.1]]}
        assert forecasts.baseline(tx, "b" * 64) is None
