"""podium init --compat: scripts of the older systems run unchanged on podium's record."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import projects
from podium import HyperparamTracker
from podium.cli.main import run as podium
from podium.config import load
from podium.errors import ConflictError
from podium.ledger.sweep_file import FILE
from podium.split import Windows
from podium.steps.archive import init
from podium.steps.data.bars import slot_data
from podium.steps.pipeline.run import run
from podium.steps.search.grid import grid
from podium.steps.search.sweep import sweep
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project
from test_experiments_files import NOTEBOOK

# What the older guides tell people to type, word for word.
INFERENCE = """\
from hparams_tracker import HyperparamTracker

tracker = HyperparamTracker("hyperparams/sweep_results.json")
best = tracker.get_best_model(metric="val_pct_mae", model_name="toto")

print(f"Loading best model from: {best.checkpoint_path}")
# Load and use the model...
"""
COMPARE = """\
from hparams_tracker import HyperparamTracker

tracker = HyperparamTracker()

# Get comparison table
df = tracker.compare_models(
    metrics=["val_pct_mae", "test_pct_mae", "val_r2"],
    model_names=["toto", "kronos"]
)
print(df)

# Get top 5 models
top5 = tracker.get_top_k_models(k=5, metric="val_pct_mae")
for i, run in enumerate(top5, 1):
    print(f"{i}. {run.model_name}: val_pct_mae={run.metrics['val_pct_mae']:.4f}")
"""
IMPACT = """\
# See how learning rate affects performance
df = tracker.get_hyperparameter_impact(
    model_name="toto",
    hyperparam="learning_rate",
    metric="val_pct_mae"
)
print(df)
# Output:
#    run_id               learning_rate  val_pct_mae
# 0  toto_20251112_...   0.0001        0.8500
# 1  toto_20251112_...   0.0003        0.7208
# 2  toto_20251112_...   0.0005        0.9123
"""
REPORT = """\
tracker = HyperparamTracker()
report = tracker.generate_report("hyperparams/sweep_report.md")
print(report)
"""
TRADING = """\
from hparams_tracker import HyperparamTracker
import torch

# Get best model
tracker = HyperparamTracker()
best_toto = tracker.get_best_model(metric="val_pct_mae", model_name="toto")
best_kronos = tracker.get_best_model(metric="val_pct_mae", model_name="kronos")
best_chronos = tracker.get_best_model(metric="val_pct_mae", model_name="chronos2")

# Compare across all models
all_models = [best_toto, best_kronos, best_chronos]
best_overall = min(all_models, key=lambda m: m.metrics.get("val_pct_mae", float('inf')))

print(f"Best model overall: {best_overall.model_name}")
print(f"Val pct_MAE: {best_overall.metrics['val_pct_mae']:.4f}")

# Load the model
checkpoint = torch.load(best_overall.checkpoint_path)
model.load_state_dict(checkpoint['model_state_dict'])

# Use in forecaster...
"""
ENSEMBLE = """\
# Get top 3 models
top3 = tracker.get_top_k_models(k=3, metric="val_pct_mae")

# Load all three
models = []
for run in top3:
    model = load_model(run.checkpoint_path)
    models.append(model)

# Ensemble predictions
predictions = []
for model in models:
    pred = model.predict(data)
    predictions.append(pred)

# Average or weighted average
ensemble_pred = np.mean(predictions, axis=0)
"""
NEW_METRICS = """\
# During training:
tracker.log_run(
    model_name="toto",
    hyperparams=config,
    metrics={
        "val_pct_mae": 0.72,
        "val_sharpe_ratio": 1.5,  # Custom metric
        "val_max_drawdown": -0.15,  # Custom metric
        ...
    }
)

# At inference:
best = tracker.get_best_model(metric="val_sharpe_ratio", minimize=False)
"""
NEW_MODEL = """\
def run_my_model_training(config, tracker):
    # Training logic
    ...
    tracker.log_run("my_model", hyperparams=config, metrics=metrics)
"""
COUNT = (
    "from hparams_tracker import HyperparamTracker; t=HyperparamTracker(); "
    "print(f'{len(t.runs)} runs')"
)
ACTIVE = """\
from src.config import get_active_model_path
from src.model import load_model

model_path = get_active_model_path()
model = load_model(model_path)
"""
# Names that the guides leave to their readers.
READERS = "from hparams_tracker import HyperparamTracker\ntracker = HyperparamTracker()\n"
EACH = """
import contextlib, io, json, sys
told = {}
for name, (before, snippet, after) in json.load(sys.stdin).items():
    names, out = {}, io.StringIO()
    with contextlib.redirect_stdout(out):
        for text in (before, snippet, after):
            exec(compile(text, name, "exec"), names)
    told[name] = out.getvalue()
print(json.dumps(told))
"""


def runnable(snippet):
    """The snippet as Python: a line of dots in a dict is the guide's 'and so on'."""
    lines = snippet.splitlines(keepends=True)
    return "".join(line for line in lines if line != "        ...\n")


def outputs(root, **snippets):
    """What each snippet prints, all of them in one process that knows nothing but the project."""
    program = {
        name: (before, runnable(snippet), after)
        for name, (before, snippet, after) in snippets.items()
    }
    done = subprocess.run(
        [sys.executable, "-c", EACH],
        input=json.dumps(program),
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(root.parent)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


RUNS = [
    ("toto", {"learning_rate": 0.0005, "patch_size": 32}, 0.9123, 2.9, -90.1),
    ("toto", {"learning_rate": 0.0001, "patch_size": 32}, 0.85, 2.5, -88.0),
    ("toto", {"learning_rate": 0.0003, "patch_size": 32}, 0.7208, 2.2374, -85.04),
    ("kronos", {"learning_rate": 0.0003, "epochs": 100}, 0.8011, 2.4, -70.0),
    ("kronos", {"learning_rate": 0.0001, "epochs": 100}, float("nan"), 2.6, -71.0),
    ("chronos2", {"learning_rate": 0.00005, "lora_r": 16}, 0.6544, 2.1, -60.5),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project of somebody who comes from the older systems, with checkpoints on the disk."""
    import torch

    found = init.init(tmp_path_factory.mktemp("home") / "stock-prediction", compat=True)
    torch.manual_seed(0)
    with HyperparamTracker(found) as tracker:
        for number, (name, config, val, test, r2) in enumerate(RUNS):
            path = found / "checkpoints" / f"run{number}" / "rank1.pt"
            path.parent.mkdir(parents=True)
            state = torch.nn.Linear(4, 1).state_dict()
            torch.save({"model_state_dict": state, "epoch": 3}, path)
            tracker.log_run(
                model_name=name,
                hyperparams=config,
                metrics={"val_pct_mae": val, "test_pct_mae": test, "val_r2": r2},
                checkpoint_path=str(path),
                training_time_seconds=1800.5,
                notes="Improved hyperparams aligned with Toto paper",
            )
    return found


@pytest.fixture
def copy(root, tmp_path):
    """The same project for a test that adds to it; it lies in another place, too."""
    import shutil

    return shutil.copytree(root, tmp_path / "copy")


def test_reading_snippets_of_the_guide_run_word_for_word(root):
    told = outputs(
        root,
        inference=("", INFERENCE, ""),
        compare=("", COMPARE, ""),
        impact=(
            READERS,
            IMPACT,
            "\nprint(df['learning_rate'].tolist(), df['val_pct_mae'].tolist())",
        ),
        report=(READERS, REPORT, ""),
    )
    assert told["inference"] == (
        f"Loading best model from: {root / 'checkpoints' / 'run2' / 'rank1.pt'}\n"
    )
    table, best = told["compare"].splitlines()[:-5], told["compare"].splitlines()[-5:]
    assert table[0].split() == ["run_id", "model_name", "val_pct_mae", "test_pct_mae", "val_r2"]
    assert [line.split()[2:] for line in table[1:]] == [
        ["toto", "0.7208", "2.2374", "-85.04"],
        ["kronos", "0.8011", "2.4000", "-70.00"],
        ["toto", "0.8500", "2.5000", "-88.00"],
        ["toto", "0.9123", "2.9000", "-90.10"],
        ["kronos", "NaN", "2.6000", "-71.00"],
    ]
    assert best == [
        "1. chronos2: val_pct_mae=0.6544",
        "2. toto: val_pct_mae=0.7208",
        "3. kronos: val_pct_mae=0.8011",
        "4. toto: val_pct_mae=0.8500",
        "5. toto: val_pct_mae=0.9123",
    ]
    assert told["impact"].splitlines()[0].split() == ["run_id", "learning_rate", "val_pct_mae"]
    assert told["impact"].splitlines()[-1] == "[0.0001, 0.0003, 0.0005] [0.85, 0.7208, 0.9123]"
    assert told["report"].startswith("# Hyperparameter Sweep Report\n\nGenerated: ")
    for line in (
        "Total runs: 6",
        "## Best Models by Type (val_pct_mae)",
        "### TOTO",
        "- Val pct_MAE: 0.7208",
        "- Test pct_MAE: 2.2374",
        "- Val R²: -85.04",
        f"- Checkpoint: {root}/checkpoints/run2/rank1.pt",
        '    "patch_size": 32',
    ):
        assert line in told["report"].splitlines(), line
    report = (root / "hyperparams" / "sweep_report.md").read_text(encoding="utf-8")
    assert told["report"] == report + "\n"


@pytest.mark.slow
def test_models_are_loaded_from_their_checkpoints_as_the_guide_does_it(copy):
    linear = """
import numpy as np, torch
class Model(torch.nn.Linear):
    def predict(self, data):
        with torch.no_grad():
            return self(torch.as_tensor(data, dtype=torch.float32)).numpy()
def load_model(path):
    model = Model(4, 1)
    model.load_state_dict(torch.load(path)["model_state_dict"])
    return model
model = Model(4, 1)
data = np.arange(8.0).reshape(2, 4)
"""
    after = """
same = load_model(best_overall.checkpoint_path).predict(data)
assert np.array_equal(model.predict(data), same)
print(best_overall.checkpoint_path)
"""
    told = outputs(
        copy,
        trading=(linear, TRADING, after),
        ensemble=(READERS + linear, ENSEMBLE, "\nprint(len(models), ensemble_pred.shape)"),
    )
    # The project was moved, and so were its checkpoints.
    assert told["trading"].splitlines() == [
        "Best model overall: chronos2",
        "Val pct_MAE: 0.6544",
        str(copy / "checkpoints" / "run5" / "rank1.pt"),
    ]
    assert told["ensemble"] == "3 (2, 1)\n"


def test_writing_snippets_of_the_guide_run_word_for_word(copy):
    config = "config = {'learning_rate': 0.0002}\n"
    called = (
        "\nmetrics = {'val_pct_mae': 0.1}\nrun_my_model_training(config, tracker)\n"
        "print(tracker.get_best_model().model_name)"
    )
    told = outputs(
        copy,
        metrics=(READERS + config, NEW_METRICS, "\nprint(best.metrics['val_max_drawdown'])"),
        model=(READERS + config, NEW_MODEL, called),
    )
    assert told == {"metrics": "-0.15\n", "model": "my_model\n"}
    # The file is there for readers who open it themselves.
    assert len(json.loads((copy / FILE).read_text(encoding="utf-8"))["runs"]) == 8


@pytest.mark.slow
@pytest.mark.parametrize("verb", [tune, run], ids=["tune", "run"])
def test_every_snippet_runs_on_runs_of_podium(tmp_path, verb):
    root = init.init(tmp_path / "home", compat=True, demo=True)
    returns = {"target": "log_return", "signal": "sign", "window": 8, "horizon": 5}
    projects.configure(
        root,
        slots={projects.SLOT: returns},
        paths={"tuning": "hyperparameter_tuning_results"},
    )
    projects.keep_two_years(root)
    with open_project(root) as project:
        verb(project, *([] if verb is run else [projects.SLOT]))
        view = slot_data(project.config, projects.SLOT)
        windows = Windows.of(view.view, view.test_bars).inputs()
    (root / "notebooks").mkdir()
    np.save(root / "windows.npy", windows)

    def ours(snippet):
        for name in ("toto", "kronos", "chronos2"):
            snippet = snippet.replace(f'"{name}"', '"lstm"')
        return snippet

    before = (
        READERS
        + "import numpy as np, os\nfrom podium import load_model\n"
        + "data = np.load('windows.npy')\n"
        + "model = type('Net', (), {'load_state_dict': lambda self, s: print(sorted(s)[:1])})()\n"
    )
    told = outputs(
        root,
        inference=("", ours(INFERENCE), ""),
        compare=("", ours(COMPARE), "\nprint(len(df), df['test_pct_mae'].notna().sum())"),
        impact=(READERS, ours(IMPACT), "\nprint(len(df), df['val_pct_mae'].notna().all())"),
        report=(READERS, REPORT, ""),
        trading=(before, ours(TRADING), ""),
        ensemble=(before, ENSEMBLE, "\nprint(len(models), ensemble_pred.shape == data.shape[:1])"),
        metrics=(READERS + "config = {'a': 1}\n", NEW_METRICS, ""),
        count=("", COUNT, ""),
        active=("", ACTIVE, "\nimport os\nprint(os.path.isfile(model_path), model.tickers)"),
        log=("import os\nos.chdir('notebooks')\n", NOTEBOOK, "\nprint(len(df))\nos.chdir('..')"),
    )
    path = told["inference"].removeprefix("Loading best model from: ").strip()
    assert path.startswith(str(root))
    assert Path(path).is_file()
    count, tested = told["compare"].splitlines()[-1].split()
    assert (count, tested) == ("4", "1" if verb is run else "0")
    assert told["impact"].splitlines()[-1] == "4 True"
    assert "### LSTM" in told["report"]
    assert f"- Checkpoint: {path}" in told["report"]
    assert told["trading"].splitlines()[-1].startswith("[")
    assert told["ensemble"] == "3 True\n"
    assert told["active"] == "True ('AAPL', 'IBM')\n"
    assert int(told["log"].splitlines()[-1]) >= 4


@pytest.mark.slow
def test_every_snippet_runs_on_a_sweep_of_two_families(tmp_path):
    root = init.init(tmp_path / "home", compat=True, demo=True)
    returns = {"target": "log_return", "signal": "sign", "window": 8, "horizon": 5}
    projects.configure(root, slots={projects.SLOT: returns})
    projects.keep_two_years(root)
    with open_project(root) as project:
        for family in ("lstm", "ridge"):
            sweep(project, projects.SLOT, families=[family], max_runs=3)
        view = slot_data(project.config, projects.SLOT)
        windows = Windows.of(view.view, view.test_bars).inputs()
    np.save(root / "windows.npy", windows)

    def ours(snippet):
        # The three models of the guide are no families yet.
        for name, family in (("toto", "lstm"), ("kronos", "ridge"), ("chronos2", "lstm")):
            snippet = snippet.replace(f'"{name}"', f'"{family}"')
        return snippet

    before = (
        READERS
        + "import numpy as np\nfrom podium import load_model\ndata = np.load('windows.npy')\n"
        + "model = type('Net', (), {'load_state_dict': lambda self, s: print(len(s))})()\n"
    )
    every = """
for run in tracker.runs:
    print(run.model_name, load_model(run.checkpoint_path).predict(data).shape == data.shape[:1])
"""
    told = outputs(
        root,
        inference=("", ours(INFERENCE), ""),
        compare=("", ours(COMPARE), "\nprint(df['model_name'].tolist())"),
        impact=(READERS, ours(IMPACT), "\nprint(len(df), df['val_pct_mae'].notna().all())"),
        report=(READERS, REPORT, ""),
        trading=(before, ours(TRADING), "\nprint(best_kronos.model_name)"),
        ensemble=(before, ENSEMBLE, every + "print(ensemble_pred.shape == data.shape[:1])"),
        metrics=(READERS + "config = {'a': 1}\n", ours(NEW_METRICS), "\nprint(best.metrics)"),
        model=(
            READERS + "config = {'a': 1}\nmetrics = {'val_pct_mae': 9.0}\n",
            NEW_MODEL,
            "\nrun_my_model_training(config, tracker)\nprint(tracker.runs[-1].model_name)",
        ),
        count=("", COUNT, ""),
    )
    path = told["inference"].removeprefix("Loading best model from: ").strip()
    assert Path(path).is_file()
    names = ["lstm"] * 3 + ["ridge"]
    assert sorted(eval(told["compare"].splitlines()[-1])) == names
    assert told["compare"].splitlines()[0].split()[2:] == ["val_pct_mae", "test_pct_mae", "val_r2"]
    assert told["impact"].splitlines()[-1] == "3 True"
    assert told["impact"].splitlines()[0].split() == ["run_id", "learning_rate", "val_pct_mae"]
    for line in ("### LSTM", "### RIDGE", f"- Checkpoint: {path}", "Total runs: 4"):
        assert line in told["report"].splitlines(), line
    best, error, tensors, other = told["trading"].splitlines()
    assert (best, other) == ("Best model overall: lstm", "ridge")
    assert error.startswith("Val pct_MAE: ")
    assert int(tensors) > 0
    *each, ensembled = told["ensemble"].splitlines()
    assert sorted(each) == [f"{name} True" for name in names]
    assert ensembled == "True"
    assert "'val_sharpe_ratio': 1.5" in told["metrics"]
    assert told["model"] == "my_model\n"
    assert told["count"] == "6 runs\n"


def test_the_guides_one_liner_counts_the_runs(root):
    done = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=root, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("6 runs\n", "")


@pytest.mark.slow
def test_the_runbooks_snippet_loads_the_active_model_and_imports_torch_only_for_that(tmp_path):
    root = projects.small_project(tmp_path / "lstm", tune={"epochs": 1})
    init.init(root, compat=True)
    with open_project(root) as project:
        grid(project, projects.SLOT, {"learning_rate": [0.001]})
    only_the_path = """
import sys
from src.config import get_active_model_path
from src.model import load_model
get_active_model_path()
assert not {"torch", "numpy", "pandas"} & {*sys.modules}
"""
    told = outputs(
        root,
        active=(only_the_path, ACTIVE, "\nprint(model_path)\nprint(callable(model.predict))"),
    )
    path, can_predict = told["active"].splitlines()
    assert (root / "models" / "active_model.txt").read_text().strip() == path
    assert can_predict == "True"


def test_existing_files_are_left_and_named(tmp_path, capsys):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "config.py").write_text("REGISTRY = 'models'\n")
    (tmp_path / "hparams_tracker.py").write_text("class HyperparamTracker: ...\n")
    (tmp_path / ".gitignore").write_text("*.pyc")
    assert podium(["init", str(tmp_path), "--compat"]) == 0
    assert (tmp_path / "src" / "config.py").read_text() == "REGISTRY = 'models'\n"
    assert (tmp_path / "hparams_tracker.py").read_text() == "class HyperparamTracker: ...\n"
    assert (tmp_path / "src" / "model.py").read_text().startswith("from podium import load_model")
    assert not (tmp_path / "src" / "__init__.py").exists()
    assert (tmp_path / ".gitignore").read_text().startswith("*.pyc\n.podium/\n")
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}\n"
    assert err.splitlines()[:3] == [
        "hparams_tracker.py exists and is not changed; for scripts that import it, add the line: "
        "from podium import HyperparamTracker as HyperparamTracker",
        "src/config.py exists and is not changed; for scripts that import it, add the line: "
        "from podium import get_active_model_path as get_active_model_path",
        "wrote src/model.py",
    ]


def test_a_project_that_exists_gets_only_the_modules(tmp_path, capsys):
    root = init.init(tmp_path / "mine")
    settings = (root / "podium.toml").read_text()
    assert podium(["init", str(root), "--compat"]) == 0
    assert (root / "podium.toml").read_text() == settings
    assert (root / "hparams_tracker.py").is_file()
    assert (root / "src" / "__init__.py").is_file()
    assert "next:" not in capsys.readouterr().err
    # And nothing more the next time.
    assert podium(["init", str(root), "--compat"]) == 0
    assert capsys.readouterr().err == ""
    for flags in ({}, {"demo": True, "compat": True}):
        with pytest.raises(ConflictError, match=r"podium\.toml exists"):
            init.init(root, **flags)


def test_a_folders_name_may_hold_signs_that_mean_something_elsewhere(tmp_path):
    name = 'my "best" \\ näme 20% #1?'
    root = init.init(tmp_path / name)
    with HyperparamTracker(root) as tracker:
        tracker.log_run("toto", {}, {})
    assert load(root).project.name == name
    assert (root / FILE).is_file()


def test_of_several_who_make_a_project_at_once_one_succeeds(tmp_path, monkeypatch):
    real = init._ignore

    def another_is_faster(path):
        monkeypatch.setattr(init, "_ignore", real)
        init.init(path.parent)

    monkeypatch.setattr(init, "_ignore", another_is_faster)
    with pytest.raises(ConflictError, match=r"podium\.toml exists"):
        init.init(tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        ".gitignore",
        "podium.toml",
    ]
