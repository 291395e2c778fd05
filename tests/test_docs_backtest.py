import inspect
import re
from pathlib import Path

import numpy as np

import podium.portfolio
from podium import registry
from podium.portfolio import simulate, summary

PAGE = (Path(__file__).parents[1] / "docs" / "backtest.md").read_text(encoding="utf-8")


def test_every_public_name_of_the_backtest_is_on_the_page():
    functions = {n for n, value in vars(podium.portfolio).items() if inspect.isfunction(value)}
    assert {"simulate", "summary", "win_rate"} <= functions
    assert functions - set(re.findall(r"`?(\w+)", PAGE)) == set()


def test_every_measure_of_a_summary_has_its_formula_on_the_page():
    for name in summary(simulate(np.ones((3, 1)), np.ones((3, 1))), 252):
        assert f"| `{name}` |" in PAGE


def test_every_signal_is_on_the_page():
    for name in registry.names("signals"):
        assert f"| `{name}` |" in PAGE


def test_the_example_of_the_page_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/backtest.md", "exec"), {})
