"""Tickers that changed since training: realigned by name or refused, never silently misread."""

import json

import numpy as np
import pandas as pd
import pytest

import ladder as ladders
from podium.errors import DataError
from podium.ledger import reads
from podium.steps.candidates.finalize import finalize
from podium.steps.decisions.backtest import backtest
from podium.steps.search.extend import extend
from podium.steps.search.tune import tune
from podium.steps.serving.predict import predict
from podium.steps.serving.signals import signals
from podium.steps.workspace.session import open_project
from projects import SLOT, Saying, configure, long_project, query

# What the model came to on the test when it was trained, on any machine.
LOSS = 0.2335
TWO = ["AAPL", "IBM"]


@pytest.fixture(scope="module")
def judged(ladder):
    """A project whose candidate was judged on AAPL and IBM, in this order."""
    return ladder.project("judged", "long")


@pytest.fixture
def copied(judged, tmp_path):
    """A copy of it to change the tickers of."""
    return ladders.copied(judged, tmp_path / "copied")


def model_of(root):
    [row] = query(root, "SELECT artifact_path FROM candidate")
    return root / "models" / "registry" / row["artifact_path"]


def tickers(root, *names, **dataset):
    configure(root, datasets={"us4": {"tickers": list(names), **dataset}})


def again(root):
    """What the same model comes to now, and what was said."""
    said = Saying()
    with open_project(root, reporter=said) as project:
        found = backtest(project, model_path=model_of(root))
    return found, " ".join(said.said)


def recorded(root):
    [row] = query(root, "SELECT id, scalars FROM evidence WHERE kind = 'test'")
    return row["id"], json.loads(row["scalars"])["loss"][0]


def rename(root, old, new):
    data = root / "data" / "us4"
    (data / f"{old}.csv").rename(data / f"{new}.csv")


def test_reordered_tickers_are_put_back_in_order_and_give_the_very_number(copied):
    before = recorded(copied)
    tickers(copied, "IBM", "AAPL")
    found, said = again(copied)
    assert "taken by name in the order AAPL, IBM (dataset 'us4' has IBM, AAPL)" in said
    assert (found.evidence["test"].id, found.evidence["test"].scalar("loss")) == before
    assert before[1] == pytest.approx(LOSS, abs=1e-3)
    assert len(query(copied, "SELECT * FROM test_look")) == 1


def test_an_extra_ticker_is_left_out_by_name_and_takes_no_bar_away(copied):
    before = recorded(copied)
    list_a_shorter_one(copied)
    found, said = again(copied)
    assert "left out: MSFT" in said
    assert (found.evidence["test"].id, found.evidence["test"].scalar("loss")) == before


def list_a_shorter_one(root):
    """List a ticker with fewer bars: with it the bars in common would be fewer too."""
    place = root / "data" / "us4" / "MSFT.csv"
    lines = place.read_text().splitlines()
    place.write_text("\n".join([lines[0], *lines[600:1800]]) + "\n")
    tickers(root, "MSFT", "AAPL", "IBM")


def test_an_extra_ticker_takes_no_bar_from_what_is_forecast(copied):
    def newest():
        with open_project(copied) as project:
            return predict(project, model_path=model_of(copied), bars=3).rows()

    before = newest()
    list_a_shorter_one(copied)
    assert newest() == before


def test_a_missing_ticker_is_refused_by_name(copied):
    tickers(copied, "AAPL")
    with pytest.raises(DataError, match="trained on ticker 'IBM', which dataset 'us4' does not"):
        again(copied)
    with open_project(copied) as project, pytest.raises(DataError, match="ticker 'IBM'"):
        signals(project, model_path=model_of(copied))


def test_a_renamed_ticker_is_refused_with_its_likely_new_name(copied):
    rename(copied, "IBM", "IBMX")
    tickers(copied, "AAPL", "IBMX")
    with pytest.raises(DataError, match=r"ticker 'IBM'.*if it was renamed to IBMX"):
        again(copied)
    before = recorded(copied)
    rename(copied, "IBMX", "IBM")
    tickers(copied, *TWO)
    found, _ = again(copied)
    assert (found.evidence["test"].id, found.evidence["test"].scalar("loss")) == before


def end_on(root, ticker, last):
    place = root / "data" / "us4" / f"{ticker}.csv"
    frame = pd.read_csv(place, dtype=str)
    time = frame.columns[0]
    frame[frame[time] <= last].to_csv(place, index=False)


def test_a_delisted_ticker_ends_the_test_and_is_told_by_name(copied):
    before = recorded(copied)
    end_on(copied, "IBM", "2002-04-30")
    found, said = again(copied)
    assert "bars of IBM (2002-04-30T00:00:00) end before those of the others (2002-06-28" in said
    assert "so the test ends at 2002-04-30T00:00:00" in said
    # Another number, and new evidence that says why; the old one stays.
    test = found.evidence["test"]
    assert test.id != before[0]
    assert test.notes["to"] < "2002-04-30"
    assert "IBM (2002-04-30" in found.evidence["backtest"].notes["tickers"]
    # The windows there are were judged as before.
    [old] = query(copied, "SELECT series FROM evidence WHERE id = ?", before[0])
    with open_project(copied) as project, project.ledger.reading() as tx:
        shorter = reads.array(tx, test.series["loss"])
        longer = reads.array(tx, json.loads(old["series"])["loss"])
    assert (shorter == longer[: len(shorter)]).all()


@pytest.mark.slow
def test_a_delisted_ticker_of_a_universe_is_sold_at_its_last_price_and_told_by_name(tmp_path):
    root = long_project(tmp_path / "small", datasets={"us4": {"align": "union"}})
    end_on(root, "IBM", "2002-04-30")
    said = Saying()
    with open_project(root, reporter=said) as project:
        tune(project, SLOT)
        extend(project, SLOT)
        finalize(project, SLOT)
        found = backtest(project, SLOT)
    told = "IBM (2002-04-30T00:00:00); their positions are sold at the last price"
    assert any(told in one for one in said.said)
    assert told in found.evidence["backtest"].notes["tickers"]
    with open_project(root) as project, project.ledger.reading() as tx:
        series = found.evidence["backtest"].series
        item, quantity = (
            reads.array(tx, series[f"trades:{name}"]) for name in ("item", "quantity")
        )
    assert np.sum(quantity[item == 1]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.slow
def test_a_ticker_that_ends_with_the_test_is_no_news(copied):
    end_on(copied, "IBM", "2002-06-28")
    _, said = again(copied)
    assert "end before" not in said
