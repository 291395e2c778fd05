"""Train the chosen config on everything before the sealed test and register the candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from podium import registry
from podium.candidate import Candidate
from podium.evidence import Evidence, Scalar
from podium.hashing import digest, new_id
from podium.ledger import decisions, reads, writes
from podium.ledger.ledger import now
from podium.space import ConfigDict
from podium.split import Fold, Split
from podium.steps.candidates import final_files
from podium.steps.candidates.final_training import PHASE as PHASE
from podium.steps.candidates.final_training import FinalTraining, seeds_of
from podium.steps.data.bars import SlotData
from podium.steps.evidence import drift
from podium.steps.evidence.evidence import evidence_about
from podium.steps.evidence.leak_probe import probed_for_leaks
from podium.steps.search.analyze import analyze as _analyze
from podium.steps.search.results import Analysis
from podium.steps.trials import execute
from podium.steps.workspace.project import Project
from podium.study import Study
from podium.view import View

STEP = "finalize"
# What its split is called on record; a splitter of the registry makes one part of it.
FINAL = "final"


@dataclass(frozen=True, eq=False)
class Final:
    """A registered candidate and the analysis that chose its config.

    Parameters
    ----------
    fresh : bool
        Whether it was trained just now.
    folder : Path, optional
        Its ``final_model/``.
    """

    analysis: Analysis
    candidate: Candidate
    fresh: bool
    folder: Path | None = None


def finalize(project: Project, slot: str, *, take: bool = False) -> Final:
    """Train the chosen config twice and register it as a candidate in stage development.

    First with the last slice before the test held out, keeping the best epoch on it
    (``best_model``); then on all bars before the test (``final_model``), for as many epochs as were
    best on average over the walk-forward folds. Both trials end, and
    the candidate is registered with its validation evidence, in one transaction.
    """
    return finalized(project, _analyze(project, slot), take=take)


def finalized(project: Project, analysis: Analysis, *, take: bool = False) -> Final:
    """Finalize an analysis; a candidate made from the same inputs before is found again.

    Parameters
    ----------
    take : bool
        Let it have ``final_model/`` where a later candidate has that.
    """
    data = analysis.extension.tuned.forecast
    inputs = _inputs_hash(project, analysis)
    ledger = project.ledger
    with ledger.reading() as tx:
        known = reads.receipt(ledger, tx, data.slot, STEP, inputs)
        if known is not None:
            candidate = reads.candidate_by_id(ledger, tx, known["candidate"])
            told = reads.evidence_of(ledger, tx, candidate.id).get("validation")
    if known is None:
        chosen = analysis.chosen
        candidate = train_final(
            project,
            data,
            analysis.extension.tuned.study,
            chosen.family,
            chosen.config,
            project.config.finalize.epochs,
            chosen.epochs,
            inputs,
            lambda candidate: _validation(analysis, candidate),
        )
    else:
        _renew(project, told, _validation(analysis, candidate))
    probed_for_leaks(project, data, candidate)
    split = final_split(data.tuning, project.config.finalize.validation_fraction)
    folder = final_files.write(project, data, split, candidate, take=take)
    return Final(analysis, candidate, known is None, folder)


def on_record(project: Project, analysis: Analysis) -> tuple[Candidate | None, bool]:
    """The candidate made from the same inputs before, and whether its evidence says what is found.

    Nothing is written.
    """
    slot, ledger = analysis.extension.tuned.forecast.slot, project.ledger
    with ledger.reading() as tx:
        known = reads.receipt(ledger, tx, slot, STEP, _inputs_hash(project, analysis))
        if known is None:
            return None, False
        candidate = reads.candidate_by_id(ledger, tx, known["candidate"])
        told = reads.evidence_of(ledger, tx, candidate.id).get("validation")
    return candidate, _says(told, _validation(analysis, candidate))


def _renew(project: Project, told: Evidence | None, found: Evidence) -> None:
    """Append what is found now where the record says something else.

    More configs were looked at since, say; an earlier podium judged less.
    """
    if not _says(told, found):
        with project.ledger.transaction(durable=True) as tx:
            writes.put_evidence(project.ledger, tx, found)


def _says(told: Evidence | None, found: Evidence) -> bool:
    """Whether the record says what is found now."""
    # As text, since NaN is not equal to itself.
    said = [
        [e.notes, {k: repr(float(s.value)) for k, s in e.scalars.items()}] if e else None
        for e in (told, found)
    ]
    return said[0] == said[1]


def _inputs_hash(project: Project, analysis: Analysis) -> str:
    data, chosen = analysis.extension.tuned.forecast, analysis.chosen
    return inputs_of(
        project,
        data,
        chosen.family,
        chosen.config,
        chosen.epochs,
        analysis.extension.split.hash,
    )


def inputs_of(
    project: Project, data: SlotData, family: str, config: ConfigDict, epochs: int, split: str
) -> str:
    """Hash of all that a candidate is made from."""
    settings = asdict(project.config.finalize)
    if settings["seeds"] == 1:
        # As it was before there could be several.
        del settings["seeds"]
    return digest(
        [
            family,
            registry.family(family).VERSION,
            config,
            epochs,
            data.dataset.fingerprint,
            data.task_hash,
            data.test_interval[0],
            settings,
            project.config.tune.seed,
            split,
        ]
    )


def train_final(
    project: Project,
    data: SlotData,
    study: Study,
    family: str,
    config: ConfigDict,
    most: int,
    epochs: int,
    inputs: str,
    evidence: Callable[[Candidate], Evidence] | None = None,
) -> Candidate:
    """Train the two models, with every seed, and register what they are together.

    Parameters
    ----------
    most : int
        Epochs with the last slice held out, of which the best is kept.
    epochs : int
        Of the model that is served; 0: as many as were best with the last slice held out.
    """
    settings, seeds = project.config.finalize, seeds_of(project)
    split = final_split(data.tuning, settings.validation_fraction)
    heard = execute.Progress(project, f"{data.slot}: finalize", 2 * len(seeds))
    training = FinalTraining(project, data, split, family, seeds, inputs, heard)
    with training.place() as job:
        first = [execute.with_epochs(config, most)] * len(seeds)
        if epochs:
            then = [execute.with_epochs(config, epochs)] * len(seeds)
            held_out, whole = training.fit(job, {0: first, 1: then})
        else:
            [held_out] = training.fit(job, {0: first})
            then = [execute.with_epochs(config, one.best_epoch) for one in held_out]
            [whole] = training.fit(job, {1: then})
        fits = {"best_model": held_out, "final_model": whole}
        artifact_hash, path = training.store(job, fits)
    ledger, environment = project.ledger, project.environment
    # The first two are what a single seed gives; the served one of them is the candidate's trial.
    in_order = [one for pair in zip(held_out, whole, strict=True) for one in pair]
    with ledger.transaction(durable=True) as tx:
        ids = training.record(tx, study, in_order, artifact_hash, environment)
        id_ = new_id("c")
        candidate = decisions.register(
            ledger,
            tx,
            Candidate(
                id=id_,
                slot=data.slot,
                version=0,
                model_type="base",
                family=family,
                config=whole[0].task.config,
                study_id=study.id,
                trial_id=ids[1],
                artifact_hash=artifact_hash,
                artifact_path=path,
                dataset_fingerprint=data.dataset.fingerprint,
                trained_until=str(data.tuning.times[-1]),
                parent_id=None,
                root_id=id_,
                created_at=now(),
            ),
            project.actor,
        )
        if evidence is not None:
            writes.put_evidence(ledger, tx, evidence(candidate))
        drift.keep(project, tx, artifact_hash, data.tuning)
        writes.put_receipt(ledger, tx, data.slot, STEP, inputs, {"candidate": candidate.id})
    training.forget()
    return candidate


def final_split(tuning: View, fraction: float) -> Split:
    """Fold 0 holds the last slice out; fold 1 trains on every labelled bar."""
    split: Split = registry.load("splitters", "holdout").split(tuning, fraction=fraction)
    fold = split.folds[0]
    bars = np.arange(tuning.first_bar, tuning.last_labelled + 1, dtype=np.int64)
    whole = Fold(1, bars, bars[:0])
    return replace(split, name=FINAL, folds=(fold, whole))


def _validation(analysis: Analysis, candidate: Candidate) -> Evidence:
    data, metric = (
        analysis.extension.tuned.forecast,
        analysis.extension.tuned.forecast.section.metric,
    )
    against = analysis.against_naive
    chosen, naive = analysis.chosen, analysis.naive
    return evidence_about(
        candidate,
        "validation",
        "analyze",
        dataset=data.dataset.fingerprint,
        split=analysis.extension.split.hash,
        scalars={
            "loss": Scalar(chosen.mean, metric, "min"),
            "loss_standard_error": Scalar(chosen.standard_error, metric),
            "naive_loss": Scalar(naive.mean, metric, "min"),
            "dm_statistic": Scalar(against.statistic),
            "dm_p_value": Scalar(against.p_value, "probability"),
            "configs_looked_at": Scalar(analysis.looked_at, "configs"),
            **analysis.ranking.scalars(analysis.extension.configs.index(chosen)),
            **analysis.luck.scalars(),
        },
        notes={
            "metric": metric,
            "naive_method": naive_name(naive.config),
            "reason": analysis.reason,
            "distinguishable": analysis.distinguishable,
            **analysis.ranking.notes(),
            **analysis.luck.notes(),
        },
    )


def naive_name(config: ConfigDict) -> str:
    """How a naive config is called in a sentence.

    Examples
    --------
    >>> naive_name({"method": "ewma", "debias": True})
    'ewma (debiased)'
    """
    return str(config["method"]) + (" (debiased)" if config["debias"] else "")
