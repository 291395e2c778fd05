"""Sections of podium.toml: every setting with its type, its default and its bounds."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any

from podium import project_file
from podium.errors import UsageError

TIMEFRAMES = ("1M", "5M", "15M", "30M", "1H", "4H", "D", "W")
TIME = re.compile(r"(\d+(?:\.\d+)?) ?([smhdw])")
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B")
DEVICE = r"auto|cpu|mps|cuda|cuda:\d+(,cuda:\d+)*"
CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
# A command as a list of words or as one text, or the URL of a webhook.
Command = tuple[str, ...] | str
Check = tuple[Callable[[Any], bool], str]


def _setting(default: Any = MISSING, *, check: Check) -> Any:
    return field(default=default, metadata={"check": check})


def _at_least(low: float) -> Check:
    return (lambda value: value >= low, f"at least {low}")


def _above_zero(what: str) -> Check:
    return (lambda value: value > 0, f"{what} above 0")


def _inside(low: float, high: float) -> Check:
    return (lambda value: low < value < high, f"between {low} and {high}, both excluded")


def _some(what: str) -> Check:
    return (lambda values: len(values) > 0, f"at least one {what}")


def _one_of(*known: str) -> Check:
    return (lambda value: value in known, f"one of {', '.join(known)}")


def _like(pattern: str, expected: str) -> Check:
    return (lambda text: re.fullmatch(pattern, text) is not None, expected)


def size_of(text: str) -> int:
    """Bytes of a size such as ``4GiB``; 0 for an empty text.

    Examples
    --------
    >>> size_of("1.5 GiB"), size_of("500MB"), size_of("")
    (1610612736, 500000000, 0)
    """
    match = SIZE.fullmatch(text)
    if not match:
        return 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** " KMGT".index(match[2]))


def seconds_of(value: object, name: str) -> float | None:
    """Seconds of a time such as ``2h``; a number is seconds, None stays None.

    Raises
    ------
    UsageError
        The value is neither; ``name`` is what it belongs to.

    Examples
    --------
    >>> seconds_of("2h", "--max-time"), seconds_of(90, "max_time")
    (7200.0, 90.0)
    """
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else float(value)
    match = TIME.fullmatch(str(value).strip())
    if match is None:
        raise UsageError(f"{name} is {value!r}", "a time such as 90s, 30m, 2h, 30d or 2w")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]


def is_webhook(command: Command) -> bool:
    """Whether a hook is a URL and not a command."""
    return isinstance(command, str) and "://" in command.partition(" ")[0]


def _is_hook(command: Command) -> bool:
    if is_webhook(command):
        return re.fullmatch(r"https?://[^\s/]+\S*", str(command)) is not None
    try:
        words = shlex.split(command) if isinstance(command, str) else command
    except ValueError:  # a quote that is not closed
        return False
    valid = all(isinstance(word, str) and "\0" not in word for word in words)
    return valid and (not words or words[0] != "")


_SIZE: Check = (lambda text: not text or size_of(text) > 0, "a size such as 4GiB")
HOOK: Check = (_is_hook, "a command, as a text or as a list of its words, or an http(s) URL")


@dataclass(frozen=True, kw_only=True)
class ProjectSection:
    """Identity of the project in a record that several projects may share."""

    name: str
    id: str
    default_slot: str = ""


@dataclass(frozen=True, kw_only=True)
class LedgerSection:
    """SQLAlchemy URL of the record; relative SQLite paths start at the project."""

    url: str = project_file.LEDGER_URL


@dataclass(frozen=True, kw_only=True)
class PathsSection:
    """Output paths, relative to the project."""

    registry: str = project_file.REGISTRY
    active_model: str = "models/active_model.txt"
    reports: str = "reports"
    tuning: str = "hyperparameter_tuning_results"
    extended: str = "extended_training_results"
    best_config: str = "best_config.json"
    plots: str = "analysis_plots"
    final: str = "final_model"
    backtesting: str = "backtesting_results"


@dataclass(frozen=True, kw_only=True)
class CovariateSection:
    """Covariates of a dataset's bars: a CSV or Parquet file, and when its rows become known."""

    path: str
    kind: str = _setting(check=_one_of("static", "known_ahead", "dated"))
    columns: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    date_format: str = ""


# Keys of a dataset's table: names of columns, fields that files may lack, repairs. A test compares
# them with the readers, which are not imported to read a configuration.
WORDS = {
    "columns": (
        "time", "open", "high", "low", "close", "volume", "adj_close", "factor", "ticker",
    ),
    "absent": ("open", "high", "low", "volume"),
    "repair": (
        "drop_doubtful", "sort", "drop_duplicates", "keep_last", "drop_zero_prices", "drop_nan",
        "clip_candles", "forward_fill", "intersect",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DatasetSection:
    """Bars of several tickers in a fixed order, or sequences."""

    path: str
    tickers: tuple[str, ...] = _setting((), check=_some("ticker"))
    timeframe: str = _setting("", check=_one_of(*TIMEFRAMES))
    reader: str = "csv"
    adjust: bool = True
    layout: str = _setting("", check=_one_of("", "files", "long", "wide"))
    columns: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    timezone: str = "UTC"
    exchange_timezone: str = ""
    stamp: str = _setting("", check=_one_of("", "open", "close"))
    date_format: str = ""
    separator: str = ""
    decimal: str = _setting("", check=_one_of("", ".", ","))
    thousands: str = ""
    repair: tuple[str, ...] = ()
    align: str = _setting("intersection", check=_one_of("intersection", "union"))
    members: str = ""
    resample: str = _setting("", check=_one_of("", *TIMEFRAMES))
    day_starts_at: str = _setting("00:00", check=_like(CLOCK, "a time such as 17:00"))
    week_ends: str = _setting("friday", check=_one_of("friday", "sunday"))
    validation: str = ""
    evaluation: str = ""
    covariates: Mapping[str, CovariateSection] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SlotSection:
    """A production task and the gates of its candidates.

    The task determines the keys that a slot needs and accepts.
    """

    dataset: str
    target: str = ""
    horizon: int = _setting(0, check=_at_least(1))
    features: tuple[str, ...] = _setting((), check=_some("feature"))
    test_from: str = ""
    test_to: str = ""
    task: str = "forecast"
    window: int = _setting(40, check=_at_least(2))
    path: bool = False
    families: tuple[str, ...] = _setting(("lstm",), check=_some("family"))
    # In addition to those of the task.
    baselines: tuple[str, ...] = ()
    metric: str = "mse"
    signal: str = "sign"
    policy: str = "forecast"


@dataclass(frozen=True, kw_only=True)
class TuneSection:
    """Search for a config, on a validation part before the sealed test."""

    trials: int = _setting(24, check=_at_least(1))
    search: str = "three_phase"
    schedule: str = "halving"
    finalists: int = _setting(4, check=_at_least(0))
    seeds: int = _setting(3, check=_at_least(1))
    epochs: int = _setting(12, check=_at_least(1))
    generation: int = _setting(8, check=_at_least(1))
    validation_fraction: float = _setting(0.25, check=_inside(0, 1))
    seed: int = _setting(7, check=_at_least(0))
    metric: str = ""
    where: str = ""
    keep_checkpoints: int = _setting(5, check=_at_least(0))


@dataclass(frozen=True, kw_only=True)
class ExtendSection:
    """Cross-validation of the best configs.

    An empty splitter means the default of the slot's task; 0 and -1 mean the splitter's default.
    """

    top: int = _setting(3, check=_at_least(1))
    folds: int = _setting(4, check=_at_least(2))
    epochs: int = _setting(12, check=_at_least(1))
    splitter: str = ""
    train_bars: int = _setting(0, check=_at_least(0))
    test_folds: int = _setting(0, check=_at_least(0))
    purge: int = _setting(0, check=_at_least(0))
    embargo: int = _setting(-1, check=_at_least(-1))


@dataclass(frozen=True, kw_only=True)
class AnalyzeSection:
    """Choice of a config from the folds.

    ``simplest`` chooses a baseline that no config significantly beats, ``searched`` never does.
    """

    choose: str = _setting("simplest", check=_one_of("simplest", "searched"))


@dataclass(frozen=True, kw_only=True)
class FinalizeSection:
    """Training on everything before the sealed test."""

    epochs: int = _setting(12, check=_at_least(1))
    validation_fraction: float = _setting(0.15, check=_inside(0, 1))
    seeds: int = _setting(1, check=_at_least(1))


@dataclass(frozen=True, kw_only=True)
class BacktestSection:
    """Trading the forecasts on the sealed test, with costs."""

    fee_bps: float = _setting(5.0, check=_at_least(0))
    slippage_bps: float = _setting(0.0, check=_at_least(0))
    execution: str = _setting("next_open", check=_one_of("next_open", "next_close"))
    spread_bps: float = _setting(0.0, check=_at_least(0))
    impact_bps: float = _setting(0.0, check=_at_least(0))
    initial_cash: float = _setting(1.0, check=_above_zero("an amount"))
    max_weight: float = _setting(0.0, check=_at_least(0))
    max_leverage: float = _setting(0.0, check=_at_least(0))
    max_turnover: float = _setting(0.0, check=_at_least(0))
    cash_rate: float = 0.0
    debt_rate: float = 0.0
    borrow_rate: float = 0.0
    refit_every: int = _setting(0, check=_at_least(0))
    refit_window: int = _setting(0, check=_at_least(0))


@dataclass(frozen=True, kw_only=True)
class DriftSection:
    """Test of the newest bars for drift from the training bars."""

    bars: int = _setting(63, check=_at_least(5))
    level: float = _setting(0.02, check=_inside(0, 1))


@dataclass(frozen=True, kw_only=True)
class RefreshSection:
    """The nightly job: interval of challengers, and length of their sealed test."""

    every_bars: int = _setting(21, check=_at_least(1))
    test_bars: int = _setting(0, check=_at_least(0))


@dataclass(frozen=True, kw_only=True)
class RunnerSection:
    """Execution of trials; ``jobs = 0`` means one per core."""

    name: str = "local"
    jobs: int = _setting(0, check=_at_least(0))
    max_seconds: float = _setting(0.0, check=_at_least(0))
    max_memory: str = _setting("", check=_SIZE)
    device: str = _setting("cpu", check=_like(DEVICE, "cpu, cuda, cuda:0,cuda:1, mps or auto"))


@dataclass(frozen=True, kw_only=True)
class PeopleSection:
    """People who may sign a candidate; an empty list allows everybody."""

    signers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MlflowSection:
    """MLflow server of the runs; an empty URI means the project's store, ``mlflow.db``."""

    enabled: bool = False
    tracking_uri: str = ""
    experiment: str = ""
    run_name: str = "{data_version}-{window_size}-{model_tag}-{run_id}"
    registered_model: str = "{slot}"


@dataclass(frozen=True, kw_only=True)
class LogsSection:
    """Number of command logs to keep, and the days to keep them."""

    keep: int = _setting(100, check=_at_least(1))
    days: float = _setting(30.0, check=_at_least(0))


@dataclass(frozen=True, kw_only=True)
class HooksSection:
    """Notifications: a command or a webhook for each event."""

    review: tuple[str, ...] | str = _setting("", check=HOOK)
    failure: tuple[str, ...] | str = _setting("", check=HOOK)
    promotion: tuple[str, ...] | str = _setting("", check=HOOK)
    timeout: float = _setting(10.0, check=_above_zero("seconds"))
