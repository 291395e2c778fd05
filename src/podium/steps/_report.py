"""A slot's findings gathered for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping

from podium.decision import Stage
from podium.evidence import Evidence
from podium.ledger import reads
from podium.report.blocks import short
from podium.report.found import (
    EquityCurves,
    FoldRow,
    GateRow,
    SlotReport,
    TuningPoint,
    Verdict,
)
from podium.steps._project import Project
from podium.steps.analyze import Analysis
from podium.steps.backtest import BENCHMARKS, Judged
from podium.steps.extend import Extended
from podium.steps.finalize import naive_name
from podium.steps.promote import Promotion


def slot_report(
    project: Project, analysis: Analysis, judged: Judged, promotion: Promotion
) -> SlotReport:
    """Everything a reader needs to agree or disagree with the verdict on one slot."""
    candidate = judged.candidate
    tuned = analysis.extension.tuned
    data, section = tuned.data, tuned.data.section
    test, trading = judged.evidence["test"], judged.evidence["backtest"]
    p_value, looks = test.scalar("dm_p_value"), int(test.scalar("looks"))
    return SlotReport(
        slot=data.slot,
        task=section.task,
        target=section.target,
        horizon=section.horizon,
        dataset=data.dataset.name,
        tickers=data.dataset.tickers,
        bars=len(data.dataset),
        period=(_day(data.dataset.times[0]), _day(data.dataset.times[-1])),
        test_period=(_day(data.test_interval[0]), _day(data.test_interval[1])),
        metric=section.metric,
        metric_direction="lower",
        verdict=_verdict(promotion),
        sentence=promotion.sentence,
        gates=[
            GateRow(v.gate, v.result.value, v.finding, _limits(v.limits))
            for v in promotion.verdicts
        ],
        family=candidate.family,
        config=candidate.config,
        candidate=candidate.id,
        version=candidate.version,
        trials_counted=analysis.looked_at,
        test_looks=looks,
        naive_method=test.notes["naive_method"],
        validation=(analysis.chosen.mean, analysis.naive.mean),
        test=(test.scalar("loss"), test.scalar("naive_loss")),
        dm_statistic=_finite(test.scalar("dm_statistic")),
        dm_p_value=_finite(p_value),
        dm_p_adjusted=_finite(min(1.0, p_value * looks)),
        tuning=[
            TuningPoint(row.number, row.family, _finite(row.score), row.state.value)
            for row in tuned.trials
        ],
        tuning_naive=tuned.best_naive.score,
        folds=[_fold(e, e is analysis.chosen) for e in analysis.extension.configs]
        + [_fold(analysis.naive, False)],
        folds_naive_mean=analysis.naive.mean,
        distinguishable=f"Chosen: {analysis.reason}; {analysis.distinguishable}.",
        equity=_curves(project, trading),
        trading={
            who: {
                name.partition(":")[2]: _finite(scalar.value)
                for name, scalar in trading.scalars.items()
                if name.startswith(f"{who}:")
            }
            for who in ("candidate", *BENCHMARKS)
        },
        costs=trading.notes["costs"],
        execution=trading.notes["execution"],
        loss_by_ticker=[
            (t, test.scalar(f"loss:{t}"), test.scalar(f"naive_loss:{t}"))
            for t in data.dataset.tickers
            if f"loss:{t}" in test.scalars
        ],
        lineage=[
            f"dataset {data.dataset.name} {data.dataset.fingerprint[:12]}",
            f"study {tuned.study.id}",
            f"trial {candidate.trial_id}",
            f"candidate {candidate.id}, version {candidate.version}",
            f"artefact {candidate.artifact_hash[:12]}",
        ],
        commands=_commands(data.slot, candidate.id, promotion.stage),
    )


def _verdict(promotion: Promotion) -> Verdict:
    if promotion.refused:
        return "refused"
    if promotion.stage is not Stage.CHAMPION:
        return "waiting"
    return "promoted" if promotion.fresh else "champion unchanged"


def _commands(slot: str, candidate_id: str, stage: Stage) -> list[str]:
    """What to type next, with the real names."""
    predict = f"podium predict {slot}" + (
        "" if stage is Stage.CHAMPION else f" --candidate {candidate_id}"
    )
    return ["podium list candidates", f"podium show {candidate_id}", predict]


def _curves(project: Project, trading: Evidence) -> EquityCurves:
    with project.ledger.reading() as tx:
        times, mine, equal, hold = (
            reads.array(project.ledger, tx, trading.series[name])
            for name in ("times", "candidate", *BENCHMARKS)
        )
    return EquityCurves(times, mine, equal, hold)


def _fold(extended: Extended, chosen: bool) -> FoldRow:
    label = (
        f"naive {naive_name(extended.config)}"
        if extended.family == "naive"
        else f"{extended.family} {short(extended.config)}"
    )
    return FoldRow(label, extended.scores, extended.mean, chosen)


def _limits(limits: Mapping[str, float]) -> str:
    return ", ".join(f"{k} {v:g}" for k, v in limits.items())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _day(moment: object) -> str:
    return str(moment)[:10]
