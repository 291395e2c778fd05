"""Small projects that classify: planted samples, a slot, and what tests ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import projects
from podium.steps.archive import init
from podium.steps.candidates.train import Trained, TrainingRequest, train
from podium.steps.decisions.evaluate import Evaluated, evaluate
from podium.steps.workspace.session import open_project

SLOT = "pumps/class"
STEPS, CLASSES = 6, ("calm", "rises", "falls")
SETTINGS: dict[str, Any] = {
    "project": {"name": "small", "id": "p-small", "default_slot": SLOT},
    "datasets": {
        "pumps": {"path": "data/train.npz", "validation": "data/val.npz", "reader": "npz"}
    },
    "slots": {SLOT: {"dataset": "pumps", "task": "classify"}},
    "tune": {
        "trials": 2,
        "generation": 2,
        "epochs": 2,
        "search": "tpe",
        "schedule": "none",
        "finalists": 0,
    },
    "paths": {"tuning": ""},
    "runner": {"name": "inline", "jobs": 1},
    "space": {"bilstm": {"hidden_size": [4], "batch_size": [32], "learning_rate": [0.02, 0.05]}},
}
# Enough to see that something is learned, in a fraction of a second.
QUICK = {"hidden_size": 4, "batch_size": 32, "max_epochs": 2, "learning_rate": 0.05}
# Enough to learn the planted rule.
LEARNS = {"max_epochs": 12}


def samples(n: int, seed: int, days: str) -> dict[str, Any]:
    """Noise whose last value tells the class: rare rises and falls among calm ones."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, STEPS, 2)).astype(np.float32)
    y = rng.choice(3, size=n, p=[0.6, 0.2, 0.2])
    x[:, -1, 0] += np.array([0.0, 4.0, -4.0])[y]
    groups = np.array([f"{days}{k % 12}" for k in range(n)])
    names = {"feature_names": np.array(["level", "flow"]), "class_names": np.array(CLASSES)}
    return {"X": x, "y": y, "groups": groups, **names}


def write(path: Path, arrays: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def project(folder: Path, **settings: Mapping[str, Any]) -> Path:
    """A project with training and validation samples; settings are merged by section."""
    root = init.init(folder)
    write(root / "data" / "train.npz", samples(160, 1, "a"))
    write(root / "data" / "val.npz", samples(96, 2, "b"))
    told = projects.toml(projects.merge(SETTINGS, settings))
    (root / "podium.toml").write_text(told, encoding="utf-8")
    return root


def trained(root: Path, *, reporter: Any = None, slot: str = SLOT, **request: Any) -> Trained:
    settings = {**QUICK, **request.pop("settings", {})}
    with open_project(root, reporter=reporter) as opened:
        return train(opened, slot, "bilstm", TrainingRequest(settings=settings, **request))


def evaluated(root: Path, candidate: str, **how: Any) -> Evaluated:
    with open_project(root) as opened:
        return evaluate(opened, candidate, **how)
