"""What a command must not import; checked by names, not by the clock."""

import json
import subprocess
import sys

import pytest

from podium.steps.archive.init import init

HEAVY = ("numpy", "pandas", "scipy", "torch", "optuna", "sqlalchemy", "mlflow")
CHECK = """
import io, json, sys
sys.argv = ["podium", *sys.argv[1:]]
from podium.cli.main import run
real, sys.stdout = sys.stdout, io.StringIO()
code = run(sys.argv[1:])
sys.stdout = real
print(json.dumps({"code": code, "modules": sorted(sys.modules)}))
"""


def _modules(*arguments, cwd="."):
    done = subprocess.run(
        [sys.executable, "-c", CHECK, *arguments], cwd=cwd, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    return found["code"], {m.partition(".")[0] for m in found["modules"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return init(tmp_path_factory.mktemp("start") / "demo", demo=True)


@pytest.mark.parametrize("word", ["--help", "help"])
def test_help_imports_neither_click_nor_anything_heavy(word):
    code, modules = _modules(word)
    assert code == 0
    assert not modules & {*HEAVY, "click"}


def test_resolve_imports_neither_click_nor_anything_heavy(project):
    code, modules = _modules("resolve", "us4/D/volatility", cwd=project)
    assert code == 3
    assert not modules & {*HEAVY, "click"}


@pytest.mark.parametrize("words", [["list", "families"], ["list", "slots"], ["show", "config"]])
def test_reading_verbs_import_no_framework(project, words):
    code, modules = _modules(*words, cwd=project)
    assert code == 0
    # Tables use numpy to recognize numbers; nothing heavier may come with them.
    assert not modules & {*HEAVY} - {"numpy"}


def test_import_podium_imports_nothing_heavy():
    program = "import podium, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert not {m.partition(".")[0] for m in json.loads(done.stdout)} & {*HEAVY, "click"}
