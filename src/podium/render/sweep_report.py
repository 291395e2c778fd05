"""Report of a sweep: its tables, as Markdown and as a page with charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from podium.record import Record, finite, finite_or_none, lower_is_better
from podium.render import axis, svg
from podium.render.blocks import short
from podium.render.page import Block, figures, page, section
from podium.render.sweep import best_of, by_family, chosen_by, sweep_markdown
from podium.render.table import cell, counted, cut, escape, number, p_value
from podium.render.values import FoldRow

# Largest page, in bytes; charts and rows are left out above it.
LIMIT = 300_000
# Families with rows and charts on the page, from most to fewest until the page is small enough.
_FAMILIES = (12, 8, 5, 3, 1, 0)
_CONFIG, _NAME = 160, 40
# Hyperparameters of a model type with a row and with a chart on the page, and dots in a chart.
_ROWS, _CHARTS, _DOTS = 6, 4, 250
# Model types and baselines in their chart, each.
_DRAWN = 6


@dataclass(frozen=True)
class Compared:
    """A run against the best baseline on the same windows.

    Parameters
    ----------
    label : str
        Its family and config.
    score : float
        Its metric on validation.
    percent, low, high : float
        Change of the mean loss in per cent of the baseline's, above 0 where it is better, with its
        95 % interval; NaN where undecidable.
    p_value, p_corrected : float
        Diebold-Mariano against the baseline, and with Holm's correction for every config.
    reason : str
        Why a figure is NaN.
    """

    label: str
    score: float
    percent: float
    low: float
    high: float
    p_value: float
    p_corrected: float
    reason: str = ""


@dataclass(frozen=True)
class Calibrated:
    """Figures of the quantiles of a candidate or a run.

    Parameters
    ----------
    label, basis : str
        Its name, and the windows that the figures are of.
    values : mapping of name to float
        ``coverage_80``, ``width_80``, ``crps`` and so on; ``coverage_80_low`` and ``_high`` are an
        interval.
    """

    label: str
    basis: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Association:
    """A hyperparameter of the runs of a family and a metric.

    Parameters
    ----------
    basis : str
        The runs, and the epoch of their scores.
    epoch : int
        Epoch of the scores; 0: those of the whole trainings.
    finding : str
        The association in words.
    values, scores : sequences of the same length
        One of each per run.
    best : int, optional
        Place of the best run.
    """

    family: str
    hyperparam: str
    basis: str
    epoch: int
    finding: str
    values: Sequence[Any]
    scores: Sequence[float]
    best: int | None = None


@dataclass(frozen=True)
class Learning:
    """Curves of a run over its epochs, by name."""

    family: str
    run_id: str
    curves: Mapping[str, Sequence[float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class SweepReport:
    """The runs of a slot or a project, and what is known about them.

    Parameters
    ----------
    project, slot, generated : str
        Empty slot: a project without one. The time is in ISO 8601.
    metric : str
        Metric of the choice, ``val_mse``.
    declared : mapping of metric to ``min`` or ``max``
    records : sequence of Record
        Every complete run.
    ladder : sequence of (label, score)
        Baselines on the same windows, best first.
    reference : str
        The best baseline; empty without any.
    loss : str
        Name of the compared loss.
    searched : int
        Configs whose number corrects the p-values.
    notes : sequence of str
        Sentences on runs that are left out.
    """

    project: str
    slot: str
    generated: str
    metric: str
    declared: Mapping[str, str]
    records: Sequence[Record]
    ladder: Sequence[tuple[str, float]] = ()
    reference: str = ""
    loss: str = ""
    searched: int = 0
    compared: Sequence[Compared] = ()
    calibrated: Sequence[Calibrated] = ()
    associations: Sequence[Association] = ()
    learning: Sequence[Learning] = ()
    notes: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def chosen(self) -> str:
        """The metric, or the one that replaces it where no run has it."""
        return chosen_by(self.records, self.metric, self.declared) or self.metric

    @property
    def best(self) -> list[tuple[str, int, Record | None]]:
        """Each family, the number of its runs and the best one; best family first."""
        rows: list[tuple[str, int, Record | None]] = []
        for name, records in sorted(by_family(self.records).items()):
            own = chosen_by(records, self.chosen, self.declared)
            rows.append((name, len(records), best_of(records, own, self.declared) if own else None))
        leader = best_of(self.records, self.chosen, self.declared)
        if leader is None:
            return rows
        sign = 1 if lower_is_better(self.chosen, self.declared) else -1

        def order(row: tuple[str, int, Record | None]) -> tuple[bool, float]:
            value = math.nan if row[2] is None else row[2].metrics.get(self.chosen, math.nan)
            return (False, sign * value) if finite(value) else (True, 0.0)

        return sorted(rows, key=order)

    @property
    def better(self) -> str:
        """Whether a lower or a higher value of the metric is better, in words."""
        if best_of(self.records, self.chosen, self.declared) is None:
            return ""
        lower = lower_is_better(self.chosen, self.declared)
        return f"{'lower' if lower else 'higher'} is better"


def report_markdown(report: SweepReport) -> str:
    """The report as Markdown, with the headings of the older tracker's.

    Parameters
    ----------
    report : SweepReport

    Examples
    --------
    >>> empty = {"slot": "", "generated": "2025-11-12", "metric": "val_mse", "declared": {}}
    >>> text = report_markdown(SweepReport(project="demo", records=[], **empty))
    >>> [line for line in text.splitlines() if line.startswith("#")][:2]
    ['# Hyperparameter Sweep Report', '## Best Models by Type (val_mse)']
    """
    return sweep_markdown(
        report.records,
        metric=report.metric,
        declared=report.declared,
        generated=report.generated,
        blocks=[block(report) for block in (_ladder, _comparison, _coverage, _quantiles, _impact)],
    )


def report_page(report: SweepReport) -> str:
    """The report as a self-contained HTML file of at most 300 KB.

    Parameters
    ----------
    report : SweepReport

    Examples
    --------
    >>> empty = {"slot": "", "generated": "2025-11-12", "metric": "val_mse", "declared": {}}
    >>> "Total runs: 0" in report_page(SweepReport(project="demo", records=[], **empty))
    True
    """
    text = ""
    for families in _FAMILIES:
        text = _page(report, families)
        if len(text.encode()) <= LIMIT:
            break
    return text


def _page(report: SweepReport, families: int) -> str:
    """The page with the rows and charts of the best families."""
    best = report.best
    names = [name for name, *_ in best[:families]]
    kept = replace(
        report,
        compared=report.compared[: 2 * families],
        calibrated=report.calibrated[:families],
        associations=[
            one for name in names for one in _strongest(report.associations, name, _ROWS)
        ],
        learning=[one for one in report.learning if one.family in names],
    )
    about = [f"Generated: {report.generated}", f"Total runs: {len(report.records)}"]
    if report.slot:
        about.append(report.slot)
    notes = list(report.notes)
    if len(kept.associations) < len(report.associations):
        notes.append("The table of hyperparameters is whole in the Markdown file of this report.")
    if len(best) > families:
        missing = counted(len(best) - families, "more model type")
        notes.append(f"{missing}: in the Markdown file of this report.")
    parts = [
        f'<p class="about">{escape("; ".join(about))}</p>',
        *(f"<p>{escape(note)}</p>" for note in notes),
        '<section aria-labelledby="runs">',
        f'<h2 id="runs">{escape(report.slot or report.project)}</h2>',
    ]
    tables = [
        (_best(report, families), []),
        (_ladder(kept), _ladder_chart(kept)),
        (_comparison(kept), _comparison_chart(kept)),
        (_coverage(kept), _coverage_chart(kept)),
        (_quantiles(kept), []),
        (_impact(kept), _charts(kept, names)),
        (_learning(kept), [_curves(one) for one in kept.learning]),
    ]
    for block, charts in tables:
        parts += section(block, block.title)
        parts += [figures(charts)] if charts else []
    body = "\n".join([*parts, "</section>"])
    return page(
        f"{report.project}: Hyperparameter Sweep Report", body, provenance=report.provenance
    )


def _best(report: SweepReport, families: int) -> Block:
    rows: list[list[object]] = []
    after = [f"{report.chosen}: {report.better}."] if report.better else []
    for name, count, run in report.best[:families]:
        label = cut(cell(name), _NAME)
        if run is None:
            rows.append([label, count, None, None, "no metric with a known direction", ""])
            continue
        value = run.metrics.get(report.chosen)
        of_test = run.metrics.get(report.chosen.replace("val_", "test_", 1))
        config = cut(cell(short(run.hyperparams)), _CONFIG)
        rows.append([label, count, value, of_test, cell(run.run_id), config])
        if run.checkpoint_path:
            after.append(f"Checkpoint of {label}: {cut(cell(run.checkpoint_path), 2 * _CONFIG)}")
    columns = ["model type", "runs", report.chosen, "on the test", "run", "config"]
    title = f"Best Models by Type ({report.chosen})"
    return Block(title, columns, rows, after, "No runs yet.", stacked=True)


def _ladder(report: SweepReport) -> Block:
    rows: list[list[object]] = [[label, score] for label, score in report.ladder]
    after = []
    leader = best_of(report.records, report.chosen, report.declared)
    if rows and leader is not None:
        mine = f"{leader.model_name}, {number(leader.metrics[report.chosen])}"
        after.append(f"The best run is {mine}; the best baseline {report.reference}.")
    missing = "No baseline is on record for the windows of these runs."
    return Block("Baselines", ["baseline", report.metric], rows, after, missing)


def _comparison(report: SweepReport) -> Block:
    rows: list[list[object]] = []
    for one in report.compared:
        spread = f"{one.low:+.1f} to {one.high:+.1f}" if finite(one.low) else one.reason
        change = f"{one.percent:+.1f}" if finite(one.percent) else ""
        tests = [p_value(finite_or_none(p)) for p in (one.p_value, one.p_corrected)]
        rows.append([one.label, one.score, change, spread, *tests])
    columns = ["config", report.metric, "change, %", "95 % interval", "p", "p, corrected"]
    after = []
    if rows:
        after = [
            f"Change of the mean {report.loss} against {report.reference} on the same validation "
            "windows, above 0 where the config is better; paired block bootstrap. p: "
            f"Diebold-Mariano, two-sided; corrected for {counted(report.searched, 'config')} "
            "(Holm). The configs were chosen on these windows, so the changes are optimistic."
        ]
    missing = "No run has stored losses on the windows of a baseline."
    title = "Comparison with the best baseline"
    return Block(title, columns, rows, after, missing, stacked=True)


def _levels(one: Calibrated) -> list[int]:
    """Nominal levels, in per cent, of the intervals of a model."""
    known = (name.removeprefix("coverage_") for name in one.values if name.startswith("coverage_"))
    return sorted({int(level) for level in known if level.isdigit()})


def _coverage(report: SweepReport) -> Block:
    rows: list[list[object]] = []
    for one in report.calibrated:
        for level in _levels(one):
            name = f"coverage_{level}"
            adaptive, width = one.values.get(f"{name}_adaptive"), one.values.get(f"width_{level}")
            spread = _spread(one.values, name)
            figures = [one.values[name], spread, adaptive, width]
            rows.append([one.label, one.basis, f"{level} %", *figures])
    missing = "No candidate or run with intervals is on record."
    columns = ["model", "windows", "interval", "coverage", "95 % interval", "adaptive", "width"]
    after = ["Coverage is the share of outcomes inside the interval."] if rows else []
    return Block("Coverage of intervals", columns, rows, after, missing, stacked=True)


def _quantiles(report: SweepReport) -> Block:
    names = [
        name
        for name in dict.fromkeys(name for one in report.calibrated for name in one.values)
        if not name.startswith(("coverage_", "width_")) and not name.endswith(("_low", "_high"))
    ]
    rows: list[list[object]] = [
        [one.label, one.basis, name, one.values[name], _spread(one.values, name)]
        for one in report.calibrated
        for name in names
        if name in one.values
    ]
    columns = ["model", "windows", "score", "value", "95 % interval"]
    missing = "No candidate or run with scores of quantiles is on record."
    return Block("Scores of quantiles", columns, rows, (), missing, stacked=True)


def _spread(values: Mapping[str, float], name: str) -> str:
    """The interval of a figure; empty without one."""
    low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
    return f"{number(low)} to {number(high)}" if low is not None and high is not None else ""


def _impact(report: SweepReport) -> Block:
    # Hyperparameters with the same finding, such as too few runs, are one row.
    named: dict[tuple[str, str, str], list[str]] = {}
    for one in report.associations:
        named.setdefault((one.family, one.finding, one.basis), []).append(one.hyperparam)
    rows: list[list[object]] = [
        [family, cut(cell(", ".join(names)), _CONFIG), finding, basis]
        for (family, finding, basis), names in named.items()
    ]
    missing = "No hyperparameter varies among the runs of a model type."
    columns = ["model type", "hyperparameter", "association with the metric", "runs"]
    return Block("Impact of hyperparameters", columns, rows, (), missing, stacked=True)


def _learning(report: SweepReport) -> Block:
    rows: list[list[object]] = [
        [one.family, one.run_id, max(map(len, one.curves.values()))] for one in report.learning
    ]
    columns = ["model type", "best run", "epochs"]
    missing = "No best run is trained in epochs."
    return Block("Learning curves", columns, rows, (), missing)


def _ladder_chart(report: SweepReport) -> list[str]:
    rows = [
        FoldRow(name, [], run.metrics.get(report.chosen))
        for name, _, run in report.best
        if run is not None and finite(run.metrics.get(report.chosen))
    ][:_DRAWN]
    if not report.ladder or not rows:
        return []
    rows[0] = replace(rows[0], chosen=True)
    rows += [FoldRow(f"baseline: {label}", [], score) for label, score in report.ladder[:_DRAWN]]
    title, label = "Best of each model type, and baselines", f"{report.metric}, {report.better}"
    reference = report.ladder[0][1]
    return [svg.dots(rows, title=title, x_label=label, reference=reference)]


def _comparison_chart(report: SweepReport) -> list[str]:
    rows = [
        FoldRow(one.label, [one.low, one.high], one.percent)
        for one in report.compared
        if finite(one.low)
    ]
    if not rows:
        return []
    label = f"change of the mean {report.loss}, %: ○ ends of the interval"
    return [svg.dots(rows, title="Against the best baseline", x_label=label, reference=0.0)]


def _coverage_chart(report: SweepReport) -> list[str]:
    rows = []
    for one in report.calibrated:
        for level in _levels(one):
            name = f"coverage_{level}"
            ends = [one.values.get(f"{name}{end}", math.nan) for end in ("", "_low", "_high")]
            mean, *around = (100 * value - level for value in ends)
            rows.append(FoldRow(f"{level} %, {one.label}", around, mean))
    if not rows:
        return []
    title, label = "Coverage less nominal", "points: ○ ends of the 95 % interval"
    return [svg.dots(rows, title=title, x_label=label, reference=0.0, reference_name="nominal")]


def _strongest(associations: Sequence[Association], family: str, count: int) -> list[Association]:
    """The first associations of a family, which are the strongest."""
    return [one for one in associations if one.family == family][:count]


def _charts(report: SweepReport, families: Sequence[str]) -> list[str]:
    """A chart of each of the strongest associations that are of enough runs."""
    decided = [one for one in report.associations if len(one.scores)]
    strongest = [one for name in families for one in _strongest(decided, name, _CHARTS)]
    return [_scatter(report, one) for one in strongest]


def _scatter(report: SweepReport, one: Association) -> str:
    # The best run is always among the dots.
    step = -(-len(one.scores) // _DOTS)
    places = [k for k in range(len(one.scores)) if k % step == 0 or k == one.best]
    best = None if one.best is None else places.index(one.best)
    when = f" at epoch {one.epoch}" if one.epoch else ""
    label = f"{report.metric}{when}, {report.better}"
    label += "" if best is None else ", ● the best run"
    return svg.scatter(
        [one.values[k] for k in places],
        [one.scores[k] for k in places],
        title=f"{one.family}: {one.hyperparam}",
        y_label=label,
        best=best,
    )


def _curves(one: Learning) -> str:
    longest = max(map(len, one.curves.values()))
    epochs = list(range(1, longest + 1))
    lines = [
        svg.Curve(
            name,
            axis.floats([*values, *[None] * (longest - len(values))]),
            "candidate" if name.startswith("val") else "reference",
        )
        for name, values in sorted(one.curves.items())
    ]
    return svg.lines(
        epochs, lines, title=f"{one.family}: {one.run_id}", y_label="loss after each epoch"
    )
