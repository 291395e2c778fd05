"""Report of the runs of a slot: Markdown with the older tracker's headings, and a page."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from podium import registry
from podium.errors import NotFoundError, UsageError
from podium.files import full_disk_explained, write_atomic
from podium.index import Index
from podium.ledger import run_models, runs, trial_facts
from podium.ledger.record_reader import RecordReader
from podium.ledger.runs import Observation, SearchedTrial
from podium.own import TASK
from podium.record import Record, finite, lower_is_better, nan_if_null
from podium.render import sweep_report as pages
from podium.render.answer import Answer, differing
from podium.render.blocks import short
from podium.render.sweep import best_of, chosen_by
from podium.render.table import cell, counted, cut, number
from podium.stats import diebold_mariano, holm, improvement_of_losses
from podium.steps.evidence.comparison import by_period
from podium.steps.search.impact import USUAL, fair_epoch, ranked
from podium.steps.trials import baselines
from podium.steps.workspace.project import Project
from podium.trial import BASELINE, config_hash

FOLDER = "hyperparams"
# Runs of the comparison, beside the best of each family; candidates with intervals.
COMPARED, CANDIDATES = 5, 8
# Figures of quantiles, in the scalars of evidence and in the metrics of runs.
_FIGURES = ("coverage_", "width_", "crps", "wql", "mase")


@dataclass(frozen=True, eq=False)
class Report(Answer):
    """A written report: the result of ``report``.

    Parameters
    ----------
    content : SweepReport
    markdown, html : Path
        The written files.
    """

    content: pages.SweepReport
    markdown: Path
    html: Path

    @property
    def sentence(self) -> str:
        """The number of runs and the best one."""
        of, metric = self.content, self.content.chosen
        text = f"{of.slot or of.project}: {counted(len(of.records), 'run')}"
        best = best_of(of.records, metric, of.declared)
        if best is None:
            return f"{text}; none has a metric with a known direction"
        return f"{text}; the best is {best.run_id}, {metric} {number(best.metrics[metric])}"

    def rows(self) -> list[dict[str, Any]]:
        """The best run of each family, best first."""
        metric = self.content.chosen
        return [
            {
                "family": name,
                "runs": count,
                "run_id": run and run.run_id,
                metric: None if run is None else run.metrics.get(metric),
                "config": short(run.hyperparams) if run else "",
            }
            for name, count, run in self.content.best
        ]


def report(project: Project, slot: str | None = None, out: str | Path | None = None) -> Report:
    """Write a report of the runs on record as Markdown, and beside it as a page with charts.

    Nothing is trained and no test is read. Runs on other data, task or split than the newest one
    are left out.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot; all runs in a project without slots.
    out : path, optional
        Of the Markdown file, or of the page; the other one lies beside it. Default:
        ``hyperparams/sweep_report_<stamp>.md`` in the project.

    Returns
    -------
    Report

    Raises
    ------
    NotFoundError
        No complete run is on record.
    UsageError
        ``out`` is neither a ``.md`` nor an ``.html`` file.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.report("us4/D/return").sentence
    'us4/D/return: 24 runs; the best is lstm_20261121_170502, val_mse 0.003029'
    """
    slot = slot_of_runs(project, slot) or None
    moment = time.gmtime()
    text, page = _places(project, out, time.strftime("%Y%m%d_%H%M%S", moment))
    content = replace(
        _content(project, slot), generated=time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
    )
    with full_disk_explained(text):
        text.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(text, pages.report_markdown(content))
        write_atomic(page, pages.report_page(content))
    return Report(content, text, page)


def _places(project: Project, out: str | Path | None, stamp: str) -> tuple[Path, Path]:
    """Markdown file and page."""
    if out is None:
        path = project.root / FOLDER / f"sweep_report_{stamp}.md"
    else:
        path = Path(out).absolute()
    if path.suffix not in (".md", ".html") or path.is_dir():
        raise UsageError(
            f"the report's path is '{out}'",
            "a file that ends with .md or .html",
            f"--out {FOLDER}/sweep_report.md",
        )
    return path.with_suffix(".md"), path.with_suffix(".html")


def _content(project: Project, slot: str | None) -> pages.SweepReport:
    config, reader = project.config, project.reader
    if not reader.exists:
        raise no_runs(reader, slot)
    among, slots, others = runs.comparable(reader, slot=slot)
    if slots:
        raise UsageError(
            f"the runs are of {len(slots)} slots with other data or tasks: {', '.join(slots)}",
            "runs of one slot",
            f"run: podium report {slots[0]}",
        )
    records = run_models.completed(
        reader, runs.runs(reader, among=among), config.paths.tuning, config.paths.registry
    )
    if not records:
        raise no_runs(reader, slot)
    section = config.slots.get(slot or "")
    metric, declared = USUAL, dict(config.metrics)
    if section is not None:
        metric = f"val_{section.metric}"
        declared.setdefault(metric, registry.direction(section.metric).value)
    metric = chosen_by(records, metric, declared) or metric
    content = pages.SweepReport(
        project=config.project.name,
        slot=slot or "",
        generated="",
        metric=metric,
        declared=declared,
        records=records,
        notes=[f"{counted(others, 'run')} on other data, another task or split are left out."]
        if others
        else [],
    )
    searched = runs.searched(reader, among)
    leaders = [run for _, _, run in content.best if run is not None]
    content = replace(
        content,
        associations=_associations(reader, content, searched),
        learning=_learning(reader, leaders),
        calibrated=_calibrated(reader, slot, leaders),
    )
    if section is None or not searched:
        return content
    return _against_baselines(project, content, section, searched, leaders)


def _units(project: Project, slot: str, index: NDArray[Any]) -> NDArray[Any]:
    """Independent unit of each window or sample of a stored index."""
    if registry.constant("tasks", project.config.slots[slot].task, "HOLDS") == "bars":
        return Index.unpack(index).seconds
    # Groups of samples are in the data alone. Imported late: bars need no pandas here.
    from podium.steps.data.sequences import task_data

    return task_data(project.config, slot, say=project.reporter.say).units(index)


def slot_of_runs(project: Project, name: str | None) -> str:
    """Slot of a name, which may be that of own code; empty in a project without slots.

    Slots of own code are on record alone.
    """
    reader = project.reader
    if name and name not in project.config.slots and reader.exists:
        studies = reader.select("study", "slot", slot=[name, f"{TASK}/{name}"])
        if studies:
            return str(studies[0]["slot"])
    return project.default_slot(name) if project.config.slots or name else ""


def no_runs(reader: RecordReader, slot: str | None) -> NotFoundError:
    """Error of a slot, or a project, without a complete run; it has the searched trials."""
    of_slot = f" of {slot}" if slot else ""
    verb = f"podium sweep {slot}" if slot else "podium sweep, or log one: HyperparamTracker.log_run"
    searched = _states(reader, slot) if reader.exists else "the project has no record yet"
    return NotFoundError(f"no complete run{of_slot} is on record: {searched}", fix=f"run: {verb}")


def _states(reader: RecordReader, slot: str | None) -> str:
    """Numbers of the trials of a slot by state."""
    states = Counter(row["state"] for row in reader.rows("trials", slot=slot or None))
    if not states:
        return "there are no trials"
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f"searched {counted(states.total(), 'trial')} ({counts}), folds and baselines too"


def _associations(
    reader: RecordReader, content: pages.SweepReport, searched: Sequence[SearchedTrial]
) -> list[pages.Association]:
    """Association of each varied hyperparameter with the metric, by family, strongest first."""
    metric, rows = content.metric, list[pages.Association]()
    declared = content.declared
    values = {run.trial_id: run.metrics.get(metric, math.nan) for run in content.records}
    by_family: dict[str, list[SearchedTrial]] = {}
    for trial in searched:
        by_family.setdefault(trial.family, []).append(trial)
    for name, _, leader in content.best:
        mine = by_family.get(name, [])
        epoch = fair_epoch([(trial.epochs, trial.is_complete) for trial in mine])
        scores = _early(reader, content, mine, epoch) if epoch else values
        known = [trial for trial in mine if finite(scores.get(trial.id))]
        varied = _varied([trial.config for trial in known])
        observed = [
            Observation(
                trial.run_id,
                name,
                {key: trial.config[key] for key in varied if key in trial.config},
                ("", "", ""),
                scores[trial.id],
            )
            for trial in known
        ]
        basis = f"{len(known)} of {counted(len(mine), 'run')}"
        basis += f", at epoch {epoch}, the last that enough of them reached" if epoch else ""
        for one in ranked(observed, metric, declared) if observed else []:
            ids = [id_ for id_, *_ in one.runs]
            best = ids.index(leader.run_id) if leader and leader.run_id in ids else None
            columns = ([row[1] for row in one.runs], [row[2] for row in one.runs])
            enough = one.strength >= 0
            rows.append(
                pages.Association(
                    name,
                    one.hyperparam,
                    basis,
                    epoch,
                    one.finding,
                    *(columns if enough else ([], [])),
                    best if enough else None,
                )
            )
    return rows


def _early(
    reader: RecordReader,
    content: pages.SweepReport,
    trials: Sequence[SearchedTrial],
    epoch: int,
) -> dict[str, float]:
    """Best score in the first epochs of each trial that reached the last of them."""
    curves = _reported(reader, [trial.id for trial in trials])
    lower = lower_is_better(content.metric, content.declared)
    scores: dict[str, float] = {}
    for trial in trials:
        mine = curves[trial.id]
        curve = mine.get(content.metric) or (mine.get("val_loss") if lower else None) or []
        shown = [value for value in curve[:epoch] if math.isfinite(value)]
        if shown and (trial.is_complete or trial.epochs >= epoch):
            scores[trial.id] = (min if lower else max)(shown)
    return scores


def _varied(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Hyperparameters with more than one value."""
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if len({str(config.get(name)) for config in configs}) > 1]


def _learning(reader: RecordReader, leaders: Sequence[Record]) -> list[pages.Learning]:
    reported = _reported(reader, [run.trial_id for run in leaders])
    curves = []
    for run in leaders:
        mine = reported[run.trial_id]
        shown = {name: mine[name] for name in ("val_loss", "train_loss") if mine.get(name)}
        if any(len(values) > 1 for values in shown.values()):
            curves.append(pages.Learning(run.model_name, run.run_id, shown))
    return curves


def _reported(reader: RecordReader, ids: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Values of each reported metric by epoch, by trial."""
    curves: dict[str, dict[str, list[float]]] = {}
    for id_, rows in trial_facts.scores(reader, ids).items():
        curves[id_] = {}
        for row in rows:
            curves[id_].setdefault(row["name"], []).append(nan_if_null(row["value"]))
    return curves


def _calibrated(
    reader: RecordReader, slot: str | None, leaders: Sequence[Record]
) -> list[pages.Calibrated]:
    """Figures of quantiles of the newest candidates of a slot, and of the best runs."""
    rows = [
        pages.Calibrated(run.run_id, "validation", figures)
        for run in leaders
        if (figures := _figures(run.metrics))
    ]
    candidates = reader.rows("candidates", slot=slot, limit=CANDIDATES) if slot else []
    names = {
        row["id"]: f"{row['family']} {row['id']}, version {row['version']}" for row in candidates
    }
    newest: dict[tuple[str, str], Mapping[str, float]] = {}
    for row in reader.select("evidence", "candidate_id, kind, scalars", candidate_id=[*names]):
        scalars = {name: nan_if_null(value) for name, (value, *_) in row["scalars"].items()}
        if figures := _figures(scalars):
            newest[row["candidate_id"], row["kind"]] = figures
    return rows + [
        pages.Calibrated(names[id_], kind, figures) for (id_, kind), figures in newest.items()
    ]


def _figures(values: Mapping[str, float]) -> dict[str, float]:
    """Figures of quantiles without the part of their data in their names.

    They are empty without a coverage: forecasts without quantiles have a MASE too.
    """
    named = {name.removeprefix("val_"): value for name, value in values.items() if finite(value)}
    figures = {name: value for name, value in named.items() if name.startswith(_FIGURES)}
    return figures if any(name.startswith("coverage_") for name in figures) else {}


def _against_baselines(
    project: Project,
    content: pages.SweepReport,
    section: Any,
    searched: Sequence[SearchedTrial],
    leaders: Sequence[Record],
) -> pages.SweepReport:
    """The report with the ladder, and the best runs against the best baseline."""
    reader, metric = project.reader, section.metric
    by_id = {trial.id: trial for trial in searched}
    newest = next((t for t in reversed(searched) if t.grounds[1]), None)
    if newest is None:
        return content
    sign = registry.direction(metric).sign
    rungs = {
        config_hash(one.family, one.config): one
        for one in runs.baselines(reader, content.slot, BASELINE)
        if one.grounds == newest.grounds and one.metric == metric and math.isfinite(one.score)
    }
    ladder = sorted(rungs.values(), key=lambda one: sign * one.score)
    if not ladder:
        return content
    reference = ladder[0]
    top = sorted(
        (run for run in content.records if finite(run.metrics.get(content.metric))),
        key=lambda run: sign * run.metrics[content.metric],
    )
    chosen = {run.trial_id: run for run in (*leaders, *top[:COMPARED]) if run.trial_id in by_id}
    ordered = sorted(
        chosen.values(), key=lambda run: sign * run.metrics.get(content.metric, sign * math.inf)
    )
    configs = {config_hash(trial.family, trial.config) for trial in searched}
    task = registry.load("tasks", section.task).TASK
    compared = _compared(
        project,
        content,
        [(by_id[run.trial_id], run) for run in ordered],
        reference,
        getattr(section, "horizon", 1) or 1,
        len(configs),
    )
    return replace(
        content,
        ladder=[(baselines.label_of(one), one.score) for one in ladder],
        reference=baselines.label_of(reference),
        loss=task.loss or metric,
        searched=len(configs),
        compared=compared,
    )


def _compared(
    project: Project,
    content: pages.SweepReport,
    chosen: Sequence[tuple[SearchedTrial, Record]],
    reference: SearchedTrial,
    horizon: int,
    searched: int,
) -> list[pages.Compared]:
    # Other windows, as where a context is longer, are not comparable in pairs.
    paired = [pair for pair in chosen if pair[0].index_hash == reference.index_hash]
    if not (paired and reference.loss_hash and reference.index_hash):
        return []
    reader = project.reader
    periods = _units(project, content.slot, reader.array(reference.index_hash))
    theirs = by_period(reader.array(reference.loss_hash), periods)
    rows = []
    labels = differing([trial.config for trial, _ in paired])[1]
    for (trial, run), config in zip(paired, labels, strict=True):
        mine = by_period(reader.array(trial.loss_hash or ""), periods)
        change = improvement_of_losses(theirs, mine, horizon=horizon)
        test = diebold_mariano(mine, theirs, horizon)
        label = cut(cell(f"{trial.family} {short(config)}".strip()), 100)
        score = run.metrics.get(content.metric, math.nan)
        reason = change.reason or change.interval_reason or test.reason or ""
        figures = (change.percent, change.low, change.high, test.p_value)
        rows.append(pages.Compared(label, score, *figures, math.nan, reason))
    corrected = holm([one.p_value for one in rows], of=max(searched, len(rows), 1))
    return [replace(one, p_corrected=float(p)) for one, p in zip(rows, corrected, strict=True)]
