"""The page about Python runs from top to bottom; so does the notebook, in a kernel of its own."""

import ast
import re
from pathlib import Path

import pytest

from podium import verbs

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"
NOTEBOOK = ROOT / "examples" / "pipeline.ipynb"


def blocks():
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


def shown(code, names):
    """Run a block; the value of its last line, as a notebook shows it."""
    tree = ast.parse(code)
    last = tree.body[-1] if isinstance(tree.body[-1], ast.Expr) else None
    if last is not None:
        tree.body.pop()
    exec(compile(tree, str(PAGE), "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "", "eval"), names)


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__page__"}
    values = [shown(code, names) for code in blocks()]
    frames = [value for value in values if hasattr(value, "columns")]
    assert len(frames) >= 7
    assert all(len(frame) for frame in frames)
    assert values[-1] == {"x": 2}
    for name in ("search", "folds", "analysis", "test", "decision", "forecast", "weights", "run"):
        assert "<table>" in names[name]._repr_html_(), name


def test_the_page_names_every_verb():
    text = PAGE.read_text("utf-8")
    for of, table in (("a slot", verbs.ON_SLOT), ("a project", verbs.ON_PROJECT)):
        row = re.search(rf"^\| {of} \| (.*) \|$", text, re.M)
        assert re.findall(r"`(\w+)`", row[1]) == [*table]


@pytest.mark.slow
def test_the_notebook_runs_and_shows_its_results_as_tables_and_bars(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without outputs"
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    tables = [
        output for output in outputs if "<table" in output.get("data", {}).get("text/html", "")
    ]
    assert len(tables) >= 7
    assert any("image/png" in output.get("data", {}) for output in outputs)
    printed = "".join(output.get("text", "") for output in outputs)
    assert "tune" in printed + str([o.get("data") for o in outputs])
