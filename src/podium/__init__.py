"""podium takes time-series models from a search space to a champion you can defend.

The names below are imported when they are first used, so ``import podium`` costs nothing.
"""

TYPE_CHECKING = False
__version__ = "0.1.0"

_NAMES = {
    "HyperparamTracker": "podium.tracker",
    "Paused": "podium.reporting",
    "champion": "podium.resolve",
    "doctor": "podium.steps.archive.doctor",
    "get_active_model_path": "podium.resolve",
    "init": "podium.steps.archive.init",
    "load_model": "podium.resolve",
    "mlflow_manager": "podium.steps.serving.mlflow_manager",
    "open": "podium.steps.workspace.session",
    "report": "podium.reporting",
    "restore": "podium.steps.archive.restore",
    "search": "podium.steps.search.own",
}
# Functions of verbs; podium/verbs.py has their modules. `podium.signals` is the kind, and
# `podium.report` is for own code.
_VERBS = (
    "analyze", "backtest", "backup", "check", "classify", "compare", "evaluate", "export", "extend",
    "finalize", "grid", "impact", "import_", "leak", "note", "predict", "promote", "refresh",
    "reproduce", "rollback", "run", "select", "shadow", "sign", "store_forecasts", "sweep", "sync",
    "train", "tune",
)  # fmt: skip
__all__ = ["__version__", *_NAMES, *_VERBS]

if TYPE_CHECKING:
    from typing import Any

    from podium.reporting import Paused as Paused
    from podium.reporting import report as report
    from podium.resolve import champion as champion
    from podium.resolve import get_active_model_path as get_active_model_path
    from podium.resolve import load_model as load_model
    from podium.steps.archive.doctor import doctor as doctor
    from podium.steps.archive.init import init as init
    from podium.steps.archive.restore import restore as restore
    from podium.steps.search.own import search as search
    from podium.steps.serving.mlflow_manager import mlflow_manager as mlflow_manager
    from podium.steps.workspace.session import open_project as open  # noqa: A004, F401
    from podium.tracker import HyperparamTracker as HyperparamTracker


def __getattr__(name: str) -> "Any":
    # `from podium import plugin` asks for a name first, so other names must cost nothing.
    if name in _NAMES or name in _VERBS:
        from importlib import import_module

        if name in _VERBS:
            verbs = import_module("podium.verbs")
            return verbs.function_of(name, verbs.ALL[name])
        inside = "open_project" if name == "open" else name
        return getattr(import_module(_NAMES[name]), inside)
    raise AttributeError(f"module 'podium' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
