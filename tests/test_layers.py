"""Who may import whom: read from every import statement, in functions and TYPE_CHECKING too."""

import ast
from pathlib import Path

import pytest

import podium
from podium import registry

SRC = Path(podium.__file__).parent

LAYERS = [
    {"errors", "project_file", "config", "registry", "plugin", "hashing", "files", "reporting"},
    {
        "dataset",
        "view",
        "split",
        "prediction",
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
        "timeframe",
        "resample",
        "sequences",
        "samples",
        "classifier",
        "feature_stats",
        "covariates",
        "own",
    },
    {"stats", "backtest"},
    {*registry.KINDS, "schedules", "enhancements"},
    {"ledger"},
    {"report"},
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
# podium itself and the door to the command line hold no ideas of their own.
DOORS = {"podium", "podium.__main__"}
DATA = {"demo"}

FENCES = {
    "torch": lambda part: part == "families",
    "optuna": lambda part: part in ("searches", "importers"),
    "sqlalchemy": lambda part: part == "ledger",
    "click": lambda part: part == "cli",
    "matplotlib": lambda part: part == "report",
    "mlflow": lambda part: part in ("ledger", "importers"),
    "pandas": lambda part: part not in NOUNS,
}

# The record knows nothing of MLflow but here.
MLFLOW = ("podium.ledger.projections._mlflow", "podium.ledger.projections.mlflow")

# Where a Gaussian process is held to one thread; Optuna imports torch for it anyway.
THREADS = "podium.searches._optuna"

# Arrows that are known to be wrong, each with what would end it.
DEBTS: set[tuple[str, str]] = set()


def module_name(path):
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree, module):
    """(imported module, line) of every import; names of a package count as its modules."""
    package = module.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level], *filter(None, [base])])
            for alias in node.names:
                inner = SRC.parent.joinpath(*base.split("."), alias.name)
                is_module = inner.with_suffix(".py").is_file() or inner.is_dir()
                yield (f"{base}.{alias.name}" if is_module else base), node.lineno
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute | ast.Name)
            and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module"
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value), node.lineno


def wrong_arrow(source, target):
    """Why a module may not import another of podium; empty when it may."""
    part = source.split(".")[1]
    _, other, *other_inside = target.split(".")
    if part not in RANK:
        return f"'{part}' is in no layer: place it in this test"
    if other not in RANK:
        return "" if other in DATA else f"'{other}' is in no layer: place it in this test"
    if part == "testing" and other != "testing" and RANK[other] > TESTING:
        return "testing stands on the kinds and what is below them"
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


def only_in_annotations(tree, package):
    """Whether whatever is imported from a package is used for types alone."""
    names = {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).partition(".")[0] == package
    }
    typed = set()
    for node in ast.walk(tree):
        spots = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for spot in filter(None, spots):
            typed |= {id(inner) for inner in ast.walk(spot)}
    return all(
        id(node) in typed
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in names
    )


def broken_fence(source, target, tree):
    """Why a module may not import a package of others; empty when it may."""
    package = target.partition(".")[0]
    part = source.split(".")[1] if "." in source else ""
    if package == "mlflow" and part == "ledger" and not source.startswith(MLFLOW):
        return f"mlflow does not live in {source}"
    if package == "torch" and source == THREADS:
        return ""
    if package not in FENCES or FENCES[package](part):
        return ""
    if package == "sqlalchemy" and part == "steps" and only_in_annotations(tree, package):
        return ""
    return f"{package} does not live in {part or 'podium'}"


def violations(source, text):
    tree = ast.parse(text)
    for target, line in imports(tree, source):
        reason = broken_fence(source, target, tree)
        if not reason and target.startswith("podium.") and source not in DOORS:
            reason = wrong_arrow(source, target)
        if reason:
            yield source, target, f"{source} line {line} imports {target}: {reason}"


FILES = {module_name(path): path for path in sorted(SRC.rglob("*.py"))}


def test_the_walk_finds_the_package():
    assert {"podium", "podium.trial", "podium.families.naive", "podium.steps.search.tune"} <= set(
        FILES
    )


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_from_layers_before_its_own(module):
    found = [
        told
        for source, target, told in violations(module, FILES[module].read_text(encoding="utf-8"))
        if (source, target) not in DEBTS
    ]
    assert not found, "\n".join(found)


def test_no_debt_is_listed_that_was_paid():
    owed = {
        (source, target)
        for module, path in FILES.items()
        for source, target, _ in violations(module, path.read_text(encoding="utf-8"))
    }
    assert owed >= DEBTS


def test_the_public_names_are_imported_when_asked_for():
    tree = ast.parse(FILES["podium"].read_text(encoding="utf-8"))
    top = ast.Module([node for node in tree.body if not isinstance(node, ast.FunctionDef)], [])
    for node in ast.walk(top):
        # What only a type checker reads costs nobody a second.
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    eager = [target for target, _ in imports(top, "podium") if target.startswith("podium")]
    assert eager == []


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("podium.dataset", "from podium.families import lstm"),
        ("podium.dataset", "def f():\n    from podium.ledger.reads import x"),
        ("podium.split", "if TYPE_CHECKING:\n    from podium.steps import tune"),
        ("podium.split", "import podium.stats.diebold_mariano"),
        ("podium.split", "from .stats import diebold_mariano"),
        ("podium.split", "import_module('podium.gates._base')"),
        ("podium.stats.pbo", "from podium.backtest import simulate"),
        ("podium.families.lstm", "from podium.metrics.mse import losses"),
        ("podium.families.lstm", "from podium.families.naive import FAMILY"),
        ("podium.families.lstm", "from .naive import FAMILY"),
        ("podium.families.lstm", "from podium.families import naive"),
        ("podium.runners._base", "from podium.families._base import Family"),
        ("podium.gates.beats_naive", "from podium.ledger import reads"),
        ("podium.ledger.reads", "from podium import report"),
        ("podium.report.page", "from podium.steps.search.tune import tune"),
        ("podium.testing.families", "from podium.steps.search.tune import tune"),
        ("podium.testing.gates", "from podium.ledger.reads import x"),
        ("podium.resolve", "from podium.steps.search.tune import tune"),
        ("podium.steps.search.tune", "from podium.cli.main import main"),
        ("podium.steps.search.tune", "from podium.tracker import HyperparamTracker"),
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
        ("podium.tracker", "import sqlalchemy as sa\ndef f(x: sa.Engine) -> None: ..."),
        ("podium.cli.main", "import mlflow"),
        ("podium.steps.workspace.feeder", "import mlflow"),
        ("podium.ledger.reads", "from mlflow import MlflowClient"),
        ("podium", "import torch"),
    ],
)
def test_a_wrong_arrow_is_found(source, text):
    assert list(violations(source, text))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("podium.dataset", "from podium.errors import DataError\nimport numpy as np"),
        ("podium.split", "from podium.view import View"),
        ("podium.config", "from podium import registry, __version__"),
        ("podium.families.lstm", "from podium.families._torch import gather\nimport torch"),
        ("podium.families.lstm", "from ._base import Family\nfrom podium.trial import BUDGET"),
        ("podium.runners._preload", "import podium.families.lstm"),
        ("podium.signals.sign", "from podium.backtest import simulate"),
        ("podium.searches.tpe", "import optuna\nfrom optuna.distributions import X"),
        ("podium.importers.optuna", "import optuna\nfrom podium.importers._optuna import imported"),
        ("podium.importers.mlflow", "from mlflow.tracking import MlflowClient"),
        ("podium.ledger.projections.x", "from podium.importers.sweep_results import to_json"),
        ("podium.ledger.reads", "import sqlalchemy as sa\nsa.select()"),
        (
            "podium.steps.search.tune",
            "from podium.ledger import reads\nfrom podium.steps import _trials",
        ),
        (
            "podium.steps.search.tune",
            "import sqlalchemy as sa\ndef f(x: sa.Engine) -> sa.Table: ...",
        ),
        ("podium.testing.runners", "from podium.runners._base import Runner"),
        ("podium.readers.csv", "import pandas as pd"),
        ("podium.ledger.projections._mlflow_client", "from mlflow import MlflowClient"),
        ("podium.cli.main", "import click\nfrom podium.steps.search.tune import tune"),
    ],
)
def test_a_right_arrow_is_let_through(source, text):
    assert not list(violations(source, text))
