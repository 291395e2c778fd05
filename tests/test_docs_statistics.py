import re
from inspect import isfunction
from pathlib import Path

import podium.stats

PAGE = (Path(__file__).parents[1] / "docs" / "statistics.md").read_text(encoding="utf-8")


def test_every_public_function_of_the_statistics_is_on_the_page():
    named = set(re.findall(r"`(\w+)", PAGE))
    functions = {name for name, value in vars(podium.stats).items() if isfunction(value)}
    assert functions - named == set()


def test_the_example_of_the_page_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/statistics.md", "exec"), {})
