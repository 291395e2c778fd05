"""Answers of verbs: the sentence first, then one table with the names of the config."""

import re

import pytest

from podium.cli.main import run
from podium.steps.candidates.finalize import finalize
from podium.steps.decisions.backtest import backtest
from podium.steps.search.analyze import analyze
from podium.steps.search.extend import extend
from podium.steps.search.results import SHOWN
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project
from projects import SLOT

# What an older spelling made of batch_size, lstm_units and learning_rate.
SHORTENED = re.compile(r"(?<!_)\b(size|units|rate|decay) [\d.]")


@pytest.fixture(scope="module")
def root(ladder, tmp_path_factory):
    return ladder.copy(tmp_path_factory.mktemp("answers") / "small", "finished")


@pytest.mark.parametrize("verb", [tune, extend, analyze, finalize, backtest])
def test_an_answer_is_a_sentence_and_a_table_in_python_and_in_a_notebook(root, verb):
    with open_project(root) as project:
        result = verb(project, SLOT)
    assert result.sentence.startswith(f"{SLOT}: ")
    assert not SHORTENED.search(result.sentence)
    rows = result.rows()
    assert rows
    assert not SHORTENED.search(str(rows))
    # Every row has the same columns, so that they stand side by side.
    assert len({tuple(row) for row in rows}) == 1
    assert result._repr_html_().startswith("<p>")


@pytest.mark.parametrize("verb", ["tune", "extend", "analyze", "finalize", "backtest"])
def test_the_terminal_shows_the_sentence_first(root, capsys, verb):
    assert run([verb, SLOT, "--project", str(root)]) == 0
    sentence, empty, *table = capsys.readouterr().out.splitlines()
    assert sentence.startswith(f"{SLOT}: ")
    assert empty == ""
    assert table
    assert not SHORTENED.search("\n".join([sentence, *table]))


def test_a_backtest_has_few_rows_with_the_portfolios_side_by_side(root):
    with open_project(root) as project:
        result = backtest(project, SLOT)
    rows = {row.pop("figure"): row for row in result.rows()}
    assert len(rows) <= 15
    trading = result.evidence["backtest"]
    assert rows["volatility a year, %"]["candidate"] == pytest.approx(
        100 * trading.scalar("candidate:volatility")
    )
    assert rows["mse"]["baseline"] == result.evidence["test"].scalar("naive_loss")
    assert {*rows["mse"]} >= {"candidate", "baseline", "equal weight", "buy and hold"}


def test_a_search_shows_its_best_trials_and_settings_that_vary(root):
    with open_project(root) as project:
        result = tune(project, SLOT)
    *trials, reference = result.rows()
    assert len(trials) == min(SHOWN, len(result.trials))
    assert reference["trial"] == result.reference.id
    assert [row["trial"] for row in trials] == [row.id for row in result.ranked[:SHOWN]]
    shared = {
        name
        for name, value in result.best.config.items()
        if all(other.config.get(name) == value for other in result.ranked[:SHOWN])
    }
    shown = {part.split()[0] for part in trials[0]["config"].split(", ") if part}
    assert shown == {*result.best.config} - shared
