"""Commands that podium prints or documents work after what they follow."""

import json
import os
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

import classes
import foreign
import projects
import quick
from podium.cli.main import run
from podium.cli.overview import verbs
from podium.sections import PathsSection
from podium.steps.candidates.finalize import finalize
from podium.steps.workspace.session import open_project
from projects import SLOT, query
from test_cli import TWO_SLOTS

pytestmark = pytest.mark.usefixtures("quick_family")

ROOT = Path(__file__).parents[1]
DONE, REFUSED = 0, 4
REASON = "seen"
# Verbs whose hints need a store, a program or another project of their own.
ELSEWHERE = {
    "sync": "test_mlflow.py",
    "select": "test_select.py",
    "_own": "test_own_code.py",
    "import": "test_bundle.py and test_importers.py",
    "data": "test_data_verbs.py",
    "grid": "test_grid_classes.py for classifiers",
}


class Shell:
    """Run commands of a document or a hint in this process, as a shell would."""

    def __init__(self, capsys, monkeypatch):
        self.capsys, self.chdir = capsys, monkeypatch.chdir
        # Programs of a document run in this environment, as after its activation.
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        self.run_so_far = {}

    def __call__(self, line, expected=(DONE,)):
        """Standard output and the hints of one line."""
        hints = []
        for command in line.split(" && "):
            words = shlex.split(command, comments=True)
            if words[0] == "cd":
                self.chdir(words[1])
                continue
            assert words[0] == "podium", line
            self.capsys.readouterr()
            code = run(words[1:])
            shown = self.capsys.readouterr()
            assert code in expected, f"{line}: exit code {code}\n{shown.err}"
            mine = hints_in(shown.err)
            self.run_so_far.setdefault(words[1], []).extend(mine)
            hints += mine
        return shown.out if words[0] == "podium" else "", hints


@pytest.fixture
def shell(capsys, monkeypatch):
    return Shell(capsys, monkeypatch)


def hints_in(text):
    """Commands of the lines that begin with ``next:``, and of those below them."""
    found, inside = [], False
    for line in text.splitlines():
        if line.startswith("next: "):
            inside = True
            found.append(line.removeprefix("next: "))
        elif inside and line.startswith("      "):
            found.append(line.strip())
        else:
            inside = False
    return found


def follow(shell, line, seen, places):
    """Run a command, then every hint it gives, then every hint of those."""
    here = Path.cwd()
    for mark, value in places.items():
        line = line.replace(mark, value)
    kind = re.sub(r"\b[csrt]-[0-9a-z]{12,}|\d{8}_\d{6}\S*", "ID", line)
    if kind in seen:
        return
    seen.add(kind)
    if line.startswith("cd "):
        shell.chdir(line.removeprefix("cd "))
        return
    _, hints = shell(line, (DONE, REFUSED))
    for hint in hints:
        follow(shell, hint, seen, places)
    if hints:
        shell.chdir(here)


@pytest.mark.slow
def test_every_hint_runs_after_the_command_that_gave_it(shell, ladder, tmp_path):
    files = {"best_config": "best_config.json", "final": "final_model", "tuning": "tuning"}
    slots = {SLOT: {"families": [quick.NAME]}}
    forecasts = ladder.copy(
        tmp_path / "forecasts", "made", slots=slots, paths=files, policies=projects.LENIENT
    )
    classifier = classes.project(tmp_path / "classifier")
    places = {
        '"..."': REASON, "GATE": "beats_baseline", "FILE.npz": "data/val.npz",
        " FOLDER": f" {tmp_path / 'restored'}", "OTHER": str(tmp_path / "other"), "NAME": "prices",
        "FILES": str(forecasts / "data" / "us4" / "IBM.csv"),
    }  # fmt: skip
    projects.init.init(tmp_path / "other")
    seen = set()
    journeys = {
        forecasts: [
            f"podium tune {SLOT}",
            "podium run --to extend",
            "podium run",
            "podium grid --set level=1,2 --family quick",
            f"podium sweep {SLOT} --max-runs 2",
            f"podium finalize {SLOT} --include-test",
            f"podium finalize {SLOT} --config best_config.json",
            "podium explain",
            f"podium backup {tmp_path / 'all.tar'}",
            f"podium export --bundle {tmp_path / 'bundle.tar'}",
            "podium clean --keep-best 1",
        ],
        classifier: [
            "podium run",
            "podium train bilstm --set hidden_size=4 --epochs 2",
        ],
    }
    for root, lines in journeys.items():
        shell.chdir(root)
        for line in lines:
            follow(shell, line, seen, places)
    shell.chdir(forecasts)
    holder = query(forecasts, "SELECT candidate_id FROM champion")[0]["candidate_id"]
    # Another search gives another candidate, which replaces the champion.
    shell(f"podium tune {SLOT} --seed 8")
    for verb in ("extend", "analyze", "finalize", "backtest"):
        shell(f"podium {verb} {SLOT}")
    judged = query(
        forecasts, "SELECT DISTINCT candidate_id AS id FROM evidence WHERE kind = 'test'"
    )
    other = next(row["id"] for row in judged if row["id"] != holder)
    follow(shell, f"podium note {holder} good", seen, places)
    follow(shell, f"podium shadow {SLOT} {other}", seen, places)
    follow(shell, f"podium promote {other} --reason better", seen, places)
    follow(shell, f"podium rollback {SLOT} --reason worse", seen, places)
    shell.chdir(tmp_path)
    follow(shell, "podium init mine", seen, places)
    giving = {
        path.stem.rstrip("_") for path in verbs().values() if ".hint(" in path.read_text("utf-8")
    }
    silent = giving - {name for name, hints in shell.run_so_far.items() if hints}
    assert silent <= {*ELSEWHERE}, f"no hint of these was run: {silent}"


# Documents

PROMPT = re.compile(r"^\$ (?P<line>podium (?:.*\\\n)*.*)", re.MULTILINE)
SLOT_TABLE = """
[slots."prices/D/volatility"]
dataset = "prices"
target = "volatility"
horizon = 5
window = 8
features = ["log_return"]
test_from = "2002-01-01"
[tune]
epochs = 1
[finalize]
epochs = 1
[space.lstm]
lstm_units = 4
batch_size = 256
"""
TRIALS = {"tune": {"trials": 3}, "extend": {"top": 2}}


def commands_of(page):
    """Lines with podium of the console blocks of a page, in their order."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    lines = [match["line"] for block in blocks for match in PROMPT.finditer(block)]
    return [line.replace("\\\n", "") for line in lines]


def promoted(ladder, tmp_path, **slots):
    """A project with a champion, another candidate, files and logs."""
    files = ("tuning", "extended", "best_config", "final", "backtesting", "plots")
    defaults = PathsSection()
    root = ladder.copy(
        tmp_path / "demo", "finished", slots=slots, policies=projects.LENIENT, **TRIALS,
        paths={name: getattr(defaults, name) for name in files},
    )  # fmt: skip
    (root / "mine.json").write_text(json.dumps({"config": {"lstm_units": 4, "batch_size": 256}}))
    with open_project(root) as project:
        finalize(project, SLOT, config=root / "mine.json")
    return root


def two_slots(ladder, tmp_path):
    """The same with the demo's other slot."""
    return promoted(ladder, tmp_path, **TWO_SLOTS)


def small(ladder, tmp_path):
    """A small project without trials."""
    return ladder.copy(tmp_path / "demo", "made", space={"lstm": {"batch_size": [256]}})


def old_project(ladder, tmp_path):
    """Folder of an older system with its log, its study and its MLflow store."""
    root = tmp_path / "old"
    (root / "experiments").mkdir(parents=True)
    (root / "hyperparameter_tuning_results").mkdir()
    foreign.log(root / "experiments" / "experiments_log.jsonl", foreign.LINE)
    foreign.pickled(root / "hyperparameter_tuning_results" / "optimization_study.pkl")
    shutil.copy(foreign.tracked(tmp_path / "mlflow.db"), root / "mlflow.db")
    return root


def empty(ladder, tmp_path):
    """An empty folder, for pages that make their project."""
    return tmp_path


PAGES = {
    "README.md": two_slots, "docs/pipeline.md": promoted, "docs/promotion.md": promoted,
    "docs/live.md": promoted, "docs/cli.md": promoted, "docs/record.md": promoted,
    "docs/migrating.md": old_project, "docs/own-code.md": empty, "docs/classification.md": empty,
    "docs/sweeps.md": small,
}  # fmt: skip


def fitted(line, root):
    """A documented command with ids, paths and lengths of this project."""
    if (root / "mine.json").exists():
        [study, *_] = query(root, "SELECT id FROM study ORDER BY created_at")
        [trial, *_] = query(root, "SELECT id FROM trial")
        [candidate, *_] = query(
            root, f"SELECT id FROM candidate WHERE slot = '{SLOT}' ORDER BY version DESC"
        )
        line = re.sub(r"\bs-[0-9a-z]{4,}", study["id"], line)
        line = re.sub(r"\bt-[0-9a-z]{4,}", trial["id"], line)
        line = re.sub(r"\bc-[0-9a-z]{4,}", candidate["id"], line)
        newest = max(path.stem for path in (root / ".podium" / "logs").glob("*.log"))
        line = re.sub(r"\b2026\d{4}_\d{4}\b", newest, line)
    line = line.replace("--timeframe 1H --model-version 2", "--timeframe D --model-version 1")
    line = line.replace("--timeframe 1H", "--timeframe D").replace("2013-02-01", "2002-06-01")
    line = line.replace("~/bars/*.csv", str(root / "data" / "us4" / "IBM.csv"))
    settings = Path("podium.toml")
    if line.startswith("podium run") and "slots" not in tomllib.loads(settings.read_text()):
        settings.write_text(settings.read_text() + SLOT_TABLE)
    if line.startswith("podium predict glucose"):
        # One epoch makes no champion.
        line += f" --candidate {query(Path.cwd(), 'SELECT id FROM candidate')[0]['id']}"
    # The same, shorter.
    if line.startswith("podium train"):
        line += " --set hidden_size=4 --set batch_size=512 --epochs 1"
    return re.sub(r"--epochs \d+", "--epochs 2", re.sub(r"--trials \d+", "--trials 4", line))


def test_every_page_with_commands_is_run():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    with_commands = {page.relative_to(ROOT).as_posix() for page in pages if commands_of(page)}
    assert with_commands == {*PAGES}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_documented_commands_run_in_their_order(page, shell, ladder, tmp_path):
    root = PAGES[page](ladder, tmp_path)
    shell.chdir(root)
    text = (ROOT / page).read_text("utf-8")
    for line in commands_of(ROOT / page):
        for command in line.split(" && "):
            if program := re.search(r"^```python\n(# train.py\n.*?)^```", text, re.M | re.S):
                Path("train.py").write_text(program[1])
            shell(fitted(command, root), (DONE, REFUSED))
