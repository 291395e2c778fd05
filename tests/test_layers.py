"""Who may import whom: read from every import statement, in functions and TYPE_CHECKING too."""

import ast
import re

import structure
from podium import registry

LAYERS = [
    {
        "errors",
        "project_file",
        "config",
        "sections",
        "registry",
        "plugin",
        "hashing",
        "files",
        "environ",
        "reporting",
        "verbs",
    },
    {
        "arrays",
        "dataset",
        "view",
        "split",
        "index",
        "prediction",
        "intervals",
        "space",
        "study",
        "trial",
        "record",
        "candidate",
        "manifest",
        "pickled",
        "evidence",
        "decision",
        "slot",
        "artifact",
        "frames",
        "timeframe",
        "resample",
        "sequences",
        "samples",
        "classifier",
        "forecaster",
        "feature_stats",
        "covariates",
        "own",
    },
    {"stats", "portfolio"},
    {*registry.KINDS, "schedules", "enhancements"},
    {"ledger"},
    {"render"},
    {"resolve", "pyfunc"},
    {"testing"},
    {"steps"},
    {"tracker"},
    {"cli", "board"},
]
BASE, NOUNS, _, KINDS, *_ = LAYERS
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
# Parts of one layer that are one thing together; elsewhere neighbours are strangers.
FLAT = (BASE, NOUNS)
# The kits are shipped to authors of kinds, so they stand on no more than kinds do.
TESTING = RANK["ledger"] - 1
DATA = {"demo"}

# Rooms of the steps, lowest first; those of one line are strangers.
ROOMS = [
    {"workspace"},
    {"data"},
    {"trials"},
    {"evidence"},
    {"search"},
    {"candidates"},
    {"decisions"},
    {"serving", "archive"},
    {"pipeline"},
]
FLOOR = {name: floor for floor, rooms in enumerate(ROOMS) for name in rooms}

FENCES = {
    "torch": lambda part: part in ("families", "losses"),
    "lightgbm": lambda part: part == "families",
    "optuna": lambda part: part in ("searches", "importers"),
    "sqlalchemy": lambda part: part == "ledger",
    "click": lambda part: part == "cli",
    "matplotlib": lambda part: part == "render",
    "mlflow": lambda part: part in ("ledger", "importers"),
    "pandas": lambda part: part not in NOUNS,
}

# The record knows nothing of MLflow but here.
MLFLOW = ("podium.ledger.projections._mlflow", "podium.ledger.projections.mlflow")

# Where a Gaussian process is held to one thread; Optuna imports torch for it anyway.
THREADS = "podium.searches._optuna"


def wrong_arrow(source, target):
    """Why a module may not import another of podium; empty when it may."""
    _, part, *inside = source.split(".")
    _, other, *other_inside = target.split(".")
    if part not in RANK:
        return f"'{part}' is in no layer: place it in this test"
    if other not in RANK:
        return "" if other in DATA else f"'{other}' is in no layer: place it in this test"
    if part == "testing" and other != "testing" and RANK[other] > TESTING:
        return "testing stands on the kinds and what is below them"
    if part == other == "steps":
        return wrong_wall(inside, other_inside)
    if part == other:
        if part in KINDS and other_inside and not other_inside[0].startswith("_"):
            return "members of a kind do not know each other, only the folder's _*.py"
        return ""
    if source == "podium.runners._preload" and other == "families":
        return ""
    if RANK[other] > RANK[part]:
        return f"{part} comes before {other}"
    if RANK[other] == RANK[part] and not any(part in layer for layer in FLAT):
        return f"{part} and {other} are neighbours in one layer"
    return ""


def wrong_wall(inside, other_inside):
    """Why a file of one room may not import one of another; empty when it may."""
    if not inside or not other_inside or inside[0] == other_inside[0]:
        return ""
    room, other = inside[0], other_inside[0]
    if room not in FLOOR or other not in FLOOR:
        return f"steps/ holds rooms alone: {room}, {other}"
    if FLOOR[other] > FLOOR[room]:
        return f"the room {room} comes before {other}"
    return f"{room} and {other} do not know each other" if FLOOR[other] == FLOOR[room] else ""


def broken_fence(source, target):
    """Why a module may not import a package of others; empty when it may."""
    package = target.partition(".")[0]
    part = source.split(".")[1] if "." in source else ""
    if package == "mlflow" and part == "ledger" and not source.startswith(MLFLOW):
        return f"mlflow does not live in {source}"
    if package == "torch" and source == THREADS:
        return ""
    if package not in FENCES or FENCES[package](part):
        return ""
    return f"{package} does not live in {part or 'podium'}"


def violations(source, text):
    """One line for each import of a module that its place forbids."""
    tree = structure.parsed(text)
    for target, line in structure.imports(tree, source):
        reason = broken_fence(source, target)
        if not reason and target.startswith("podium.") and source not in structure.DOORS:
            reason = wrong_arrow(source, target)
        if reason:
            yield f"{source} line {line} imports {target}: {reason}"


WRONG = [
    ("podium.dataset", "from podium.families import lstm"),
    ("podium.dataset", "def f():\n    from podium.ledger.reads import x"),
    ("podium.split", "if TYPE_CHECKING:\n    from podium.steps.search import tune"),
    ("podium.split", "import podium.stats.diebold_mariano"),
    ("podium.split", "from .stats import diebold_mariano"),
    ("podium.split", "import_module('podium.gates._base')"),
    ("podium.stats.pbo", "from podium.portfolio import simulate"),
    ("podium.families.lstm", "from podium.metrics.mse import losses"),
    ("podium.families.lstm", "from podium.families.naive import FAMILY"),
    ("podium.families.lstm", "from .naive import FAMILY"),
    ("podium.families.lstm", "from podium.families import naive"),
    ("podium.runners._base", "from podium.families._base import Family"),
    ("podium.gates.beats_baseline", "from podium.ledger import reads"),
    ("podium.ledger.reads", "from podium import render"),
    ("podium.render.page", "from podium.steps.search.tune import tune"),
    ("podium.testing.families", "from podium.steps.search.tune import tune"),
    ("podium.testing.gates", "from podium.ledger.reads import x"),
    ("podium.resolve", "from podium.steps.search.tune import tune"),
    ("podium.steps.search.tune", "from podium.cli.main import main"),
    ("podium.steps.search.tune", "from podium.tracker import HyperparamTracker"),
    ("podium.steps.search.tune", "from podium.steps.decisions.promote import promote"),
    ("podium.steps.search.tune", "from podium.steps.decisions import promote"),
    ("podium.steps.search.tune", "if TYPE_CHECKING:\n    from podium.steps.archive import export"),
    ("podium.steps.serving.predict", "from podium.steps.archive import doctor"),
    ("podium.steps.archive.doctor", "from podium.steps.serving import predict"),
    ("podium.steps.tune", "from podium.steps.workspace.project import Project"),
    ("podium.utils", "from podium.errors import DataError"),
    ("podium.errors", "from podium.trial import State"),
    ("podium.dataset", "import pandas as pd"),
    ("podium.dataset", "import torch"),
    ("podium.runners.local", "import torch.multiprocessing"),
    ("podium.testing.families", "import torch"),
    ("podium.families.lstm", "import optuna"),
    ("podium.steps.archive.export", "import optuna"),
    ("podium.importers.optuna", "from podium.importers import optuna_pickle"),
    ("podium.importers.sweep_results", "from podium.ledger import writes"),
    ("podium.steps.search.tune", "import click"),
    ("podium.steps.search.tune", "import sqlalchemy as sa\nsa.select()"),
    ("podium.steps.search.tune", "import sqlalchemy as sa\ndef f(x: sa.Connection) -> None: ..."),
    ("podium.tracker", "import sqlalchemy as sa\ndef f(x: sa.Engine) -> None: ..."),
    ("podium.cli.main", "import mlflow"),
    ("podium.steps.workspace.feeder", "import mlflow"),
    ("podium.ledger.reads", "from mlflow import MlflowClient"),
    ("podium", "import torch"),
]
RIGHT = [
    ("podium.dataset", "from podium.errors import DataError\nimport numpy as np"),
    ("podium.split", "from podium.view import View"),
    ("podium.config", "from podium import registry, __version__"),
    ("podium.families.lstm", "from podium.families._torch import device_of\nimport torch"),
    ("podium.families.lstm", "from ._base import Family\nfrom podium.trial import BUDGET"),
    ("podium.runners._preload", "import podium.families.lstm"),
    ("podium.signals.sign", "from podium.portfolio import simulate"),
    ("podium.searches.tpe", "import optuna\nfrom optuna.distributions import X"),
    ("podium.importers.optuna", "import optuna\nfrom podium.importers._optuna import imported"),
    ("podium.importers.mlflow", "from mlflow.tracking import MlflowClient"),
    ("podium.ledger.projections.x", "from podium.importers.sweep_results import to_json"),
    ("podium.ledger.reads", "import sqlalchemy as sa\nsa.select()"),
    (
        "podium.steps.search.tune",
        "from podium.ledger import reads\nfrom podium.steps.trials import execute",
    ),
    ("podium.steps.pipeline.run", "from podium.steps.archive import doctor"),
    ("podium.testing.runners", "from podium.runners._base import Runner"),
    ("podium.readers.csv", "import pandas as pd"),
    ("podium.ledger.projections._mlflow_client", "from mlflow import MlflowClient"),
    ("podium.cli.main", "import click\nfrom podium.steps.search.tune import tune"),
]


def test_every_module_imports_only_what_its_layer_and_its_room_may():
    assert {"podium", "podium.trial", "podium.families.naive", "podium.steps.search.tune"} <= set(
        structure.FILES
    )
    found = [
        line
        for module, path in structure.FILES.items()
        for line in violations(module, path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)
    assert [text for text in WRONG if not list(violations(*text))] == []
    assert [line for text in RIGHT for line in violations(*text)] == []


def test_sql_stands_in_the_record_and_where_files_of_others_are_read():
    sql = re.compile(r"\b(SELECT\b.+\bFROM|INSERT INTO|UPDATE\b.+\bSET|DELETE FROM)\b", re.DOTALL)
    found = [
        f"{module} line {node.lineno}: {node.value[:60]}"
        for module, path in structure.FILES.items()
        if not module.startswith(("podium.ledger.", "podium.importers."))
        for node in ast.walk(structure.parsed(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and sql.search(node.value)
    ]
    assert not found, "\n".join(found)


def test_no_modules_import_each_other_in_a_circle():
    assert structure.circles(structure.graph()) == []
    assert structure.circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "c"}}) == [["b", "c"]]


def test_steps_are_rooms_alone_and_each_says_what_it_is_for():
    steps = structure.SRC / "steps"
    assert [path.name for path in steps.glob("*.py")] == ["__init__.py"]
    rooms = {path.parent.name: path for path in steps.glob("*/__init__.py")}
    assert set(rooms) == set(FLOOR)
    charters = {
        room: ast.get_docstring(structure.parsed(path.read_text(encoding="utf-8")))
        for room, path in rooms.items()
    }
    for floor, names in enumerate(ROOMS):
        for room in names:
            # The charter names no room that the test does not let it import.
            may = {other for other, at in FLOOR.items() if at < floor}
            [line] = [x for x in charters[room].splitlines() if x.startswith("May import: ")]
            named = line.removeprefix("May import: ").rstrip(".").split(", ")
            assert {name for name in named if name in FLOOR} <= may, room


def test_code_is_counted_without_comments_docstrings_and_blank_lines():
    module = '"""Doc.\n\nMore.\n"""\n\n# why\nX = """a\nb"""\n'
    function = 'def f():\n    """Doc."""\n    return 1\n'
    assert structure.code_lines(module) == 2
    assert structure.code_lines(module + "\n\n" + function) == 4


def test_the_public_names_are_imported_when_asked_for():
    tree = structure.parsed(structure.FILES["podium"].read_text(encoding="utf-8"))
    top = ast.Module([node for node in tree.body if not isinstance(node, ast.FunctionDef)], [])
    for node in ast.walk(top):
        # What only a type checker reads costs nobody a second.
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    eager = [
        target for target, _ in structure.imports(top, "podium") if target.startswith("podium")
    ]
    assert eager == []
