"""Report of a sweep as Markdown: the best run of each model, in the older tracker's format."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from podium.errors import UsageError
from podium.record import Record, finite, lower_is_better
from podium.render.page import Block
from podium.render.table import cell, markdown, plain_markdown

_WRITTEN = {"r2": "R²", "f1": "F1", "auc": "AUC", "pct": "pct"}
_ERRORS = ("mae", "mse", "rmse", "mape", "smape", "mase", "crps")
# Metrics of a run that are shown besides the one that chose it.
_SHOWN = ("pct_mae", "price_mae", "r2")


def label(metric: str) -> str:
    """Label of a metric in the report.

    Examples
    --------
    >>> label("val_pct_mae"), label("test_r2"), label("val_sharpe_ratio"), label("naive_mae")
    ('Val pct_MAE', 'Test R²', 'Val sharpe_ratio', 'naive_MAE')
    """
    part, _, rest = metric.partition("_")
    if part not in ("train", "val", "test") or not rest:
        part, rest = "", metric
    words = [w.upper() if w in _ERRORS else _WRITTEN.get(w, w) for w in rest.split("_")]
    return " ".join(filter(None, [part.capitalize(), "_".join(words)]))


def best_of(records: Sequence[Record], metric: str, declared: Mapping[str, str]) -> Record | None:
    """The best run by a metric; None if no run has it or its direction is unknown."""
    with_metric = [r for r in records if finite(r.metrics.get(metric))]
    try:
        lower = lower_is_better(metric, declared)
    except UsageError:
        return None
    return min(with_metric, key=lambda r: r.metrics[metric] * (1 if lower else -1), default=None)


def chosen_by(records: Sequence[Record], metric: str, declared: Mapping[str, str]) -> str | None:
    """The metric, or a substitute where no run has it; None if none has a direction.

    Validation metrics come first and those of the test, which is for reporting, last.

    Examples
    --------
    >>> run = Record("a_1", "a", "2025-11-12T03:05:00Z", {}, {"test_mae": 1.0, "val_loss": 2.0})
    >>> chosen_by([run], "val_pct_mae", {})
    'val_loss'
    """
    names = dict.fromkeys(name for record in records for name in record.metrics)
    parts = ("val_", "", "train_", "test_")

    def order(name: str) -> int:
        return next((n for n, part in enumerate(parts) if part and name.startswith(part)), 1)

    for name in [metric, *sorted(names, key=order)]:
        if name in names and best_of(records, name, declared) is not None:
            return name
    return None


def sweep_markdown(
    records: Sequence[Record],
    *,
    metric: str,
    declared: Mapping[str, str],
    generated: str,
    blocks: Sequence[Block] = (),
) -> str:
    """Best run of each model, models in alphabetical order, then further tables.

    Parameters
    ----------
    records : sequence of Record
    metric : str
        Metric of the choice; models whose runs lack it are judged by another one, which is shown.
    declared : mapping of metric to ``min`` or ``max``
    generated : str
        Time, ISO 8601.
    blocks : sequence of Block
        Tables after the best runs, each under a heading of the second level.

    Examples
    --------
    >>> run = Record("toto_20251112_030500", "toto", "2025-11-12T03:05:00Z", {"patch_size": 32},
    ...              {"val_pct_mae": 0.7208, "val_r2": -85.04}, checkpoint_path="best/model.pt")
    >>> print(sweep_markdown([run], metric="val_pct_mae", declared={}, generated="2025-11-12"))
    # Hyperparameter Sweep Report
    <BLANKLINE>
    Generated: 2025-11-12
    <BLANKLINE>
    Total runs: 1
    <BLANKLINE>
    ## Best Models by Type (val_pct_mae)
    <BLANKLINE>
    ### TOTO
    - Run ID: toto_20251112_030500
    - Val pct_MAE: 0.7208
    - Val R²: -85.04
    - Checkpoint: best/model.pt
    - Hyperparams: {
        "patch_size": 32
      }
    <BLANKLINE>
    """
    overall = chosen_by(records, metric, declared) or metric
    parts = [
        "# Hyperparameter Sweep Report",
        f"Generated: {generated}",
        f"Total runs: {len(records)}",
        f"## Best Models by Type ({overall})",
    ]
    if not records:
        parts.append("No runs yet.")
    by_model = by_family(records)
    parts += [_section(name, by_model[name], overall, declared) for name in sorted(by_model)]
    for block in blocks:
        parts.append(f"## {_line(block.title)}")
        parts.append(markdown(block.columns, block.rows) if block.rows else block.missing)
        parts += [plain_markdown(line) for line in block.after]
    return "\n\n".join(parts) + "\n"


def by_family(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Runs by the name of their model."""
    by_model: dict[str, list[Record]] = {}
    for record in records:
        by_model.setdefault(record.model_name, []).append(record)
    return by_model


def _section(
    name: str, records: Sequence[Record], overall: str, declared: Mapping[str, str]
) -> str:
    lines = [f"### {_line(name).upper()}"]
    metric = chosen_by(records, overall, declared)
    best = best_of(records, metric, declared) if metric else None
    if metric is None or best is None:
        note = f"- None of its runs ({len(records)}) has a metric with a known direction."
        return "\n".join([*lines, note])
    lines.append(f"- Run ID: {_line(best.run_id)}")
    if metric != overall:
        lines.append(f"- Judged by: {_line(metric)} (no run has {overall})")
    metrics = [f"{part}_{what}" for what in _SHOWN for part in ("val", "test")]
    shown = dict.fromkeys([metric, *(m for m in metrics if m in best.metrics)])
    lines += [f"- {_line(label(m))}: {_number(best.metrics[m])}" for m in shown]
    others = [m for m in best.metrics if m not in shown]
    if others:
        rest = ", ".join(f"{_line(m)} {_number(best.metrics[m])}" for m in others)
        lines.append(f"- Other metrics: {rest}")
    lines.append(f"- Checkpoint: {_line(best.checkpoint_path or 'none')}")
    if best.training_time_seconds is not None:
        lines.append(f"- Training time: {best.training_time_seconds:.1f} s")
    if best.notes:
        lines.append(f"- Notes: {_line(best.notes)}")
    params = json.dumps(dict(best.hyperparams), indent=2, ensure_ascii=False)
    lines.append("- Hyperparams: " + params.replace("\n", "\n  "))
    return "\n".join(lines)


def _number(value: float) -> str:
    """Four decimals without trailing zeros; four digits for a small number.

    Examples
    --------
    >>> _number(0.72080), _number(-85.04), _number(0.0000123456), _number(float("nan"))
    ('0.7208', '-85.04', '1.235e-05', 'nan')
    """
    if not math.isfinite(value) or value == 0:
        return str(value)
    if abs(value) < 0.1:
        return f"{value:.4g}"
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _line(text: str) -> str:
    """Text in one line, so that no part of it reads as a heading."""
    return " ".join(cell(text).split())
