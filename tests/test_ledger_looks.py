"""Looks at a test are counted by the content of its samples, in all projects of a record."""

from dataclasses import replace

import numpy as np

import projects
from podium.dataset import Dataset
from podium.ledger import looks, schema
from podium.ledger.statements import append, select, values

DAY = np.timedelta64(86400, "s")


def bars(seed=0, tickers=5, length=300, first="2010-01-01"):
    """Random walks of some tickers."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(0.01 * rng.standard_normal((length, tickers)), axis=0))
    times = np.datetime64(first, "s") + np.arange(length) * DAY
    names = tuple(f"T{n}" for n in range(tickers))
    return Dataset("bars", "D", names, times, {"close": close})


def place(ledger, name, dataset, start=0, stop=None):
    """Place of a candidate that looks at some bars."""
    stop = len(dataset) if stop is None else stop
    interval = str(dataset.times[start]), str(dataset.times[stop - 1])
    marks = dataset.marks(start, stop)
    with ledger.transaction(durable=True) as tx:
        candidate = projects.new_candidate(name)
        return looks.count_look(tx, dataset.name, interval, candidate, marks)


def test_marks_are_those_of_the_content(ledger):
    dataset = bars()
    marks = dataset.marks(100, 300)
    assert marks.dtype == np.int64
    assert marks.size == 200 * 5
    assert np.array_equal(marks, np.unique(marks))
    order = [3, 1, 0, 4, 2]
    shuffled = replace(
        dataset,
        name="other",
        tickers=("A", "B", "C", "D", "E"),
        # Dividends after the test scale all closes of a ticker.
        fields={"close": (dataset["close"] * [0.93, 1.0, 0.5, 0.87, 0.999])[:, order]},
    )
    assert np.array_equal(shuffled.marks(100, 300), marks)
    # The first bar of a dataset has no return, and bars without a change have no mark.
    assert dataset.marks(0, 300).size == 299 * 5
    still = replace(dataset, fields={"close": np.full_like(dataset["close"], 7.0)})
    assert still.marks(0, 300).size == 0
    # A ticker that is listed later has marks from its second bar.
    listed = dataset["close"].copy()
    listed[:150, 0] = np.nan
    assert replace(dataset, fields={"close": listed}).marks(100, 300).size == 200 * 4 + 149
    # Tests that follow each other share nothing.
    assert not np.isin(dataset.marks(100, 200), dataset.marks(200, 300)).any()


def test_other_names_orders_intervals_and_tickers_are_the_same_test(ledger):
    dataset = bars()
    assert place(ledger, "a", dataset) == 1
    assert place(ledger, "b", replace(dataset, name="renamed")) == 2
    some = replace(dataset, tickers=("X",), fields={"close": dataset["close"][:, 2:3] * 0.5})
    assert place(ledger, "c", some) == 3
    # Four of 100 bars are more than 1 %, one of 200 is less.
    assert place(ledger, "d", dataset, 0, 104) == 4
    later = bars(seed=1, first="2010-10-27")
    joined = replace(later, fields={"close": later["close"].copy()})
    joined["close"][:2] = dataset["close"][-2:]
    assert place(ledger, "e", joined) == 1
    # Other bars at the same times, and other times.
    assert place(ledger, "f", bars(seed=2)) == 1
    assert place(ledger, "g", bars(first="2015-01-01")) == 1


def test_a_candidate_keeps_its_place_for_the_same_content(ledger):
    dataset = bars()
    assert [place(ledger, name, dataset) for name in "abc"] == [1, 2, 3]
    assert [place(ledger, name, dataset) for name in "abc"] == [1, 2, 3]
    assert place(ledger, "d", dataset) == 4
    # A longer test is another content: two others looked at a part of it before.
    assert place(ledger, "a", bars(), 0, 290) == 4
    with ledger.reading() as tx:
        assert len(values(tx, schema.test_look.c.seq)) == 5


def test_looks_of_all_projects_of_a_record_count(ledger, folder):
    other = projects.open_ledger(folder, "p-other")
    dataset = bars()
    assert place(ledger, "a", dataset) == 1
    assert place(other, "b", dataset) == 2
    assert place(ledger, "c", dataset) == 3
    # The same model in another project is no further look.
    assert place(other, "a", dataset) == 1
    assert place(ledger, "d", dataset) == 4
    other.close()


def test_a_content_that_many_looked_at_is_compared_once(sqlite_ledger, monkeypatch):
    dataset, ledger = bars(), sqlite_ledger
    for n in range(3):
        place(ledger, f"a{n}", dataset, 10 * n)
    with ledger.transaction() as tx:
        [row, *_] = select(tx, schema.test_look)
        rows = [{**row, "seq": n, "artifact_hash": f"h-{n}"} for n in range(10, 1010)]
        append(tx, schema.test_look, rows)
    compared = []

    def counting(one, other, **how):
        compared.append(other)
        return intersect1d(one, other, **how)

    intersect1d = np.intersect1d
    monkeypatch.setattr(looks.np, "intersect1d", counting)
    assert place(ledger, "last", dataset, 50) == 1004
    assert len(compared) == 3
