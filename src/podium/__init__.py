"""podium takes time-series models from a search space to a champion you can defend.

The names below are imported when they are first used, so ``import podium`` costs nothing.
"""

TYPE_CHECKING = False
__version__ = "0.1.0"

_NAMES = {
    "HyperparamTracker": "podium.tracker",
    "Paused": "podium.reporting",
    "analyze": "podium.steps.search.analyze",
    "champion": "podium.resolve",
    "check": "podium.steps.data.check",
    "doctor": "podium.steps.archive.doctor",
    "extend": "podium.steps.search.extend",
    "finalize": "podium.steps.candidates.finalize",
    "get_active_model_path": "podium.resolve",
    "grid": "podium.steps.search.grid",
    "init": "podium.steps.archive.init",
    "load_model": "podium.resolve",
    "mlflow_manager": "podium.steps.serving.mlflow_manager",
    "open": "podium.steps.workspace.session",
    "predict": "podium.steps.serving.predict",
    "promote": "podium.steps.decisions.promote",
    "report": "podium.reporting",
    "run": "podium.steps.pipeline.run",
    "search": "podium.steps.search.own",
    "sweep": "podium.steps.search.sweep",
    "tune": "podium.steps.search.tune",
}
__all__ = ["__version__", *_NAMES]

if TYPE_CHECKING:
    from typing import Any

    from podium.reporting import Paused as Paused
    from podium.reporting import report as report
    from podium.resolve import champion as champion
    from podium.resolve import get_active_model_path as get_active_model_path
    from podium.resolve import load_model as load_model
    from podium.steps.archive.doctor import doctor as doctor
    from podium.steps.archive.init import init as init
    from podium.steps.candidates.finalize import finalize as finalize
    from podium.steps.data.check import check as check
    from podium.steps.decisions.promote import promote as promote
    from podium.steps.pipeline.run import run as run
    from podium.steps.search.analyze import analyze as analyze
    from podium.steps.search.extend import extend as extend
    from podium.steps.search.grid import grid as grid
    from podium.steps.search.own import search as search
    from podium.steps.search.sweep import sweep as sweep
    from podium.steps.search.tune import tune as tune
    from podium.steps.serving.mlflow_manager import mlflow_manager as mlflow_manager
    from podium.steps.serving.predict import predict as predict
    from podium.steps.workspace.session import open_project as open  # noqa: A004, F401
    from podium.tracker import HyperparamTracker as HyperparamTracker


def __getattr__(name: str) -> "Any":
    if name in _NAMES:
        from importlib import import_module

        inside = "open_project" if name == "open" else name
        return getattr(import_module(_NAMES[name]), inside)
    raise AttributeError(f"module 'podium' has no attribute {name!r}")
