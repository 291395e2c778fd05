"""The whole road for every slot: tune, extend, analyze, finalize, backtest, promote, report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from podium import __version__
from podium.files import full_disk_explained, write_atomic
from podium.hashing import canonical
from podium.ledger.ledger import now
from podium.report.blocks import short
from podium.report.found import SlotReport
from podium.report.run import RunReport, run_dict, run_markdown, run_page
from podium.steps import _report
from podium.steps._project import Project
from podium.steps.analyze import analyzed
from podium.steps.backtest import judged
from podium.steps.extend import extend
from podium.steps.finalize import finalized
from podium.steps.promote import promote
from podium.steps.tune import tune


@dataclass(frozen=True, eq=False)
class Run:
    """What a run found, and the page that tells it."""

    report: RunReport
    page: Path


def run(project: Project, slots: Sequence[str] | None = None) -> Run:
    """Take each slot from its search space to a decision, doing only what is not done yet.

    Killed at any point and run again, it ends with the same result: trials are found by their
    key, candidates by their inputs, evidence and decisions by what they were made from.

    Parameters
    ----------
    slots : sequence of str, optional
        Default: all, in the order of podium.toml.

    Raises
    ------
    ConflictError
        Another command is at work on one of the slots.
    """
    chosen = [project.default_slot(name) for name in slots] if slots else list(project.config.slots)
    with ExitStack() as stack, full_disk_explained(project.root):
        for slot in chosen:
            stack.enter_context(project.locked(slot, "run"))
        reports = [_one(project, slot) for slot in chosen]
        found = RunReport(
            project=project.config.project.name,
            created_at=now(),
            slots=reports,
            provenance={
                "podium": __version__,
                "project": project.config.project.id,
                "environment": project.environment[:12],
            },
        )
        place = project.root / project.config.paths.reports
        page = place / "run.html"
        write_atomic(page, run_page(found))
        write_atomic(place / "run.md", run_markdown(found))
        write_atomic(place / "run.json", canonical(run_dict(found)) + "\n")
    return Run(found, page)


def _one(project: Project, slot: str) -> SlotReport:
    say = project.reporter.say
    tuned = tune(project, slot)
    say(
        f"{slot}: best of {len(tuned.trials)} trials {tuned.best.score:.4g}, naive "
        f"{tuned.best_naive.score:.4g} ({tuned.data.section.metric} on validation)"
    )
    analysis = analyzed(project, extend(project, slot))
    say(f"{slot}: chosen {short(analysis.chosen.config)}: {analysis.reason}")
    final = finalized(project, analysis)
    verb = "trained" if final.fresh else "is up to date"
    say(f"{slot}: candidate {final.candidate.id} (version {final.candidate.version}) {verb}")
    verdict = judged(project, final)
    promotion = promote(project, final.candidate.id, reason="podium run")
    return _report.slot_report(project, verdict, promotion)
