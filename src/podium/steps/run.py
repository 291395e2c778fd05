"""The whole road for every slot: tune, extend, analyze, finalize, backtest, promote, report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from podium import __version__, registry
from podium.errors import PodiumError
from podium.files import full_disk_explained, write_atomic
from podium.hashing import canonical
from podium.ledger.ledger import now
from podium.report.blocks import short
from podium.report.found import SlotReport
from podium.report.run import RunReport, run_dict, run_markdown, run_page
from podium.steps import _report
from podium.steps._project import Project
from podium.steps._samples import ClassData, task_data
from podium.steps.analyze import analyzed
from podium.steps.backtest import judged
from podium.steps.evaluate import evaluate
from podium.steps.extend import extend, folds_of
from podium.steps.finalize import finalized
from podium.steps.promote import demoted, policy_of, promote
from podium.steps.train import Wish, train
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
    if not project.config.slots:
        project.default_slot(None)
    chosen = [project.default_slot(name) for name in slots or project.config.slots]
    with ExitStack() as stack, full_disk_explained(project.root):
        for slot in chosen:
            stack.enter_context(project.locked(slot, "run"))
        _require_ready(project, chosen)
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


def _require_ready(project: Project, slots: Sequence[str]) -> None:
    """Refuse what would stop a later step, before the first one trains anything."""
    errors: list[PodiumError] = []
    for slot in slots:
        try:
            data = task_data(project.config, slot)
            policy_of(project.config, slot)
            if isinstance(data, ClassData):
                continue
            for section in (project.config.tune, project.config.finalize):
                fraction = section.validation_fraction
                registry.load("splitters", "holdout").split(data.tuning, fraction=fraction)
            folds_of(project.config.extend, data.tuning)
        except PodiumError as error:
            errors.append(error)
    if errors:
        # Slots that share a dataset have its problems in common; each is told once.
        problems = dict.fromkeys(problem for error in errors for problem in error.problems)
        raise type(errors[0]).of(problems)


def _one(project: Project, slot: str) -> SlotReport:
    if project.config.slot(slot).task == "classify":
        return _classified(project, slot)
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
    promotion = demoted(project, final.candidate) or promote(
        project, final.candidate.id, reason="podium run"
    )
    return _report.slot_report(project, analysis, verdict, promotion)


def _classified(project: Project, slot: str) -> SlotReport:
    """A slot that classifies: search, train the best config, evaluate it, ask for promotion."""
    say = project.reporter.say
    tuned = tune(project, slot)
    metric, naive = tuned.data.section.metric, tuned.best_naive
    say(
        f"{slot}: best of {len(tuned.trials)} trials {tuned.best.score:.4g}, naive "
        f"{naive.score:.4g} ({metric} on validation)"
    )
    trained = train(project, tuned.best.family, slot, Wish(settings={}, best=True))
    candidate = trained.candidate
    verb = "trained" if trained.fresh else "is up to date"
    say(f"{slot}: candidate {candidate.id} (version {candidate.version}) {verb}")
    evaluated = evaluate(project, candidate.id)
    promotion = demoted(project, candidate) or promote(project, candidate.id, reason="podium run")
    return _report.class_report(tuned, trained, evaluated, promotion)
