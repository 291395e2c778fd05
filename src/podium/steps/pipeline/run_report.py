"""Collect the findings about a slot for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from podium.decision import Stage
from podium.evidence import Evidence
from podium.ledger import reads
from podium.record import finite_or_none
from podium.render import values
from podium.stats import p_value_of_look
from podium.steps.decisions.backtest import BENCHMARKS, BacktestResult
from podium.steps.decisions.evaluate import Evaluated
from podium.steps.decisions.promote import Promotion
from podium.steps.search.results import Analysis
from podium.steps.trials import baselines
from podium.steps.workspace.moments import day_of
from podium.steps.workspace.project import Project
from podium.tasks._base import TaskData
from podium.tasks.forecast import SlotData

# Figures of a classifier in the table of a run, beside its metric.
FIGURES = ("macro_f1", "accuracy", "balanced_accuracy", "log_loss")


def slot_report(project: Project, made: Mapping[str, Any]) -> values.SlotReport:
    """Report on one slot: all figures behind its verdict.

    Parameters
    ----------
    made : mapping of stage to its product
    """
    analysis: Analysis = made["analyze"]
    promotion: Promotion = made["promote"]
    tuned, candidate = analysis.extension.tuned, made["finalize"].candidate
    ranking, every = analysis.ranked(), analysis.extension.entries
    data, chosen = tuned.data, analysis.chosen
    # A task with neither a test nor an evaluation has the figures of the folds.
    judged: dict[str, Any] = {"target": data.subject, "horizon": data.horizon}
    if isinstance(data, SlotData) and "results" in made:
        judged = _sealed_test(project, data, made["results"], promotion)
    elif isinstance(made.get("backtest"), Evaluated):
        judged = _evaluation(data, made["backtest"], promotion)
    return values.SlotReport(
        slot=data.slot,
        task=data.section.task,
        dataset=data.dataset.name,
        bars=len(data.dataset),
        metric=data.section.metric,
        metric_direction="higher" if data.direction == "max" else "lower",
        verdict=_verdict(promotion),
        sentence=promotion.sentence,
        gates=[
            values.GateRow(v.gate, v.result.value, v.finding, _limits(v.limits))
            for v in promotion.verdicts
        ],
        family=candidate.family,
        config=candidate.config,
        label=baselines.label_of(chosen) if chosen in analysis.extension.baselines else "",
        candidate=candidate.id,
        version=candidate.version,
        trials_counted=analysis.looked_at,
        validation=(analysis.chosen.mean, analysis.reference.mean),
        tuning=[
            values.TuningPoint(row.number, row.family, finite_or_none(row.score), row.state.value)
            for row in tuned.trials
        ],
        tuning_naive=tuned.reference_score,
        folds=[
            values.FoldRow(row.label, one.scores, one.mean, row.chosen)
            for row, one in zip(ranking, every, strict=True)
        ],
        folds_naive_mean=analysis.reference.mean,
        classes=[
            values.ClassRow(one.name, **{k: finite_or_none(v) for k, v in one.figures().items()})
            for one in analysis.chosen.classes
        ],
        ranking=ranking,
        ladder=[(baselines.label_of(one), one.mean) for one in analysis.extension.ladder],
        luck=luck_rows(analysis),
        luck_basis=luck_basis(analysis),
        lineage=[
            f"dataset {data.dataset.name} {candidate.dataset_fingerprint[:12]}",
            f"study {candidate.study_id}",
            f"trial {candidate.trial_id}",
            f"candidate {candidate.id}, version {candidate.version}",
            f"artefact {candidate.artifact_hash[:12]}",
        ],
        **{"distinguishable": f"Chosen: {analysis.reason}; {analysis.distinguishable}.", **judged},
    )


def _sealed_test(
    project: Project, data: SlotData, judged: BacktestResult, promotion: Promotion
) -> dict[str, Any]:
    """Figures of a forecast on the sealed test, and of its trades."""
    section = data.section
    test, trading = judged.evidence["test"], judged.evidence["backtest"]
    looks = int(test.scalar("looks"))
    adjusted = p_value_of_look(test.scalar("dm_p_value_one_sided"), looks)
    return {
        "target": section.target,
        "horizon": section.horizon,
        "tickers": data.dataset.tickers,
        "period": (day_of(data.dataset.times[0]), day_of(data.dataset.times[-1])),
        "test_period": (day_of(data.test_interval[0]), day_of(data.test_interval[1])),
        "test_looks": looks,
        "naive_method": test.notes["naive_method"],
        "test": (test.scalar("loss"), test.scalar("naive_loss")),
        "dm_statistic": finite_or_none(test.scalar("dm_statistic")),
        "dm_p_value": finite_or_none(test.scalar("dm_p_value")),
        "dm_p_adjusted": finite_or_none(adjusted),
        "equity": _curves(project, trading),
        "trading": {
            who: {name: finite_or_none(value) for name, value in trading.part(who).items()}
            for who in ("candidate", *BENCHMARKS)
        },
        "costs": trading.notes["costs"],
        "execution": trading.notes["execution"],
        "loss_by_ticker": [
            (t, test.scalar(f"loss:{t}"), test.scalar(f"naive_loss:{t}"))
            for t in data.dataset.tickers
            if f"loss:{t}" in test.scalars
        ],
        "commands": _commands(data.slot, judged.candidate.id, promotion.stage),
    }


def _evaluation(data: TaskData, judged: Evaluated, promotion: Promotion) -> dict[str, Any]:
    """Figures of a classifier on the evaluation data; its curves are on a separate page."""
    evidence, metric, id_ = judged.evidence, data.section.metric, judged.candidate.id
    commands = [
        f"open {judged.folder / 'evaluation.html'}",
        f'podium sign {id_} --reason "..."',
        f"podium promote {id_}",
    ]
    pair = (metric, f"naive_{metric}")
    return {
        "target": f"into {', '.join(data.class_names)}",
        "horizon": 0,
        "naive_method": evidence.notes["naive_method"],
        "test": tuple(map(evidence.scalar, pair)) if {*pair} <= {*evidence.scalars} else None,
        "figures": {
            name.replace("_", " "): finite_or_none(evidence.scalar(name))
            for name in FIGURES
            if name in evidence.scalars and name != metric
        },
        "distinguishable": f"Evaluated on {evidence.notes['data']}: macro-F1 "
        f"{evidence.scalar('macro_f1'):.4g}, the baseline "
        f"{evidence.notes['naive_method']} {evidence.scalar('naive_macro_f1'):.4g}.",
        "commands": commands if promotion.stage is not Stage.CHAMPION else commands[:1],
    }


def luck_rows(analysis: Analysis) -> list[values.SelectionBiasRow]:
    """Figures on the selection bias of the choice among all configs ever scored."""
    luck, data = analysis.luck, analysis.extension.tuned.data
    loss = "loses money" if luck.basis == "returns" else "loses more than the baseline"
    any_of = "in any study, log or import of the slot on overlapping samples; failed and pruned too"
    figures: list[tuple[str, float, str]] = [
        ("configs scored", luck.n_trials, any_of),
        ("with known results", luck.judged, f"on {luck.bars:,} {data.unit} of validation"),
    ]
    if luck.basis == "returns" and isinstance(data, SlotData):
        a_year = math.sqrt(data.periods_per_year)
        best = "per year, of the best of that many configs without skill"
        exceeds = "probability that the true Sharpe ratio exceeds the expected maximum"
        figures += [
            ("Sharpe ratio per year", luck.sharpe * a_year, "of the chosen config"),
            ("that of equal weight", luck.equal_weight_sharpe * a_year, "without forecasts"),
            ("expected maximum Sharpe ratio", luck.luck_sharpe * a_year, best),
            ("deflated Sharpe", luck.deflated_sharpe, luck.sharpe_reason or exceeds),
        ]
    half = f"share of splits in which the best on half of the {data.unit} {loss} on the other half"
    below = "share in which it is below the median there; about 0.5 also where all are equally good"
    apart = "configs; at 0, PBO has no meaning"
    figures += [
        ("probability of loss", luck.probability_of_loss, luck.reason or half),
        ("PBO", luck.pbo, luck.reason or below),
        ("distinguishable from the best", luck.distinguishable, apart),
    ]
    return [values.SelectionBiasRow(name, finite_or_none(v), why) for name, v, why in figures]


def luck_basis(analysis: Analysis) -> str:
    """Basis of the figures, as a sentence."""
    section = analysis.extension.tuned.data.section
    if loss := analysis.extension.tuned.data.loss:
        return f"From the {loss} of every config against that of the baseline."
    if analysis.luck.basis == "losses":
        return "From losses against the baseline, as no forecasts of the trials are stored."
    return (
        f"Forecasts of every config traded by the signal '{section.signal}' on the validation "
        "bars, costs as in the backtest."
    )


def _verdict(promotion: Promotion) -> values.Verdict:
    if promotion.refused:
        return "refused"
    if promotion.stage is not Stage.CHAMPION:
        return "waiting"
    return "promoted" if promotion.fresh else "champion unchanged"


def _commands(slot: str, candidate_id: str, stage: Stage) -> list[str]:
    """Commands to type next, with the ids filled in."""
    predict = f"podium predict {slot}" + (
        "" if stage is Stage.CHAMPION else f" --candidate {candidate_id}"
    )
    return ["podium list candidates", f"podium show {candidate_id}", predict]


def _curves(project: Project, trading: Evidence) -> values.EquityCurves:
    with project.ledger.reading() as tx:
        times, mine, equal, hold = (
            reads.array(tx, trading.series[name]) for name in ("times", "candidate", *BENCHMARKS)
        )
    return values.EquityCurves(times, mine, equal, hold)


def _limits(limits: Mapping[str, float]) -> str:
    return ", ".join(f"{k} {v:g}" for k, v in limits.items())
