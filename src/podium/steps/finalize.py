"""Train the chosen config on everything before the sealed test and register the candidate."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace

import numpy as np

from podium import artifact, registry
from podium.candidate import Candidate
from podium.errors import DataError
from podium.evidence import Evidence, Scalar
from podium.files import full_disk_explained
from podium.hashing import digest, new_id
from podium.ledger import decisions, reads, writes
from podium.ledger.ledger import now
from podium.space import ConfigDict
from podium.split import Fold, Split
from podium.steps import _trials
from podium.steps._errors import of_trial
from podium.steps._evidence import evidence_about
from podium.steps._leak_probe import probed_for_leaks
from podium.steps._project import Project
from podium.steps.analyze import Analysis
from podium.steps.analyze import analyze as _analyze
from podium.trial import BUDGET, Ended, Job, State, Task, trial_seed
from podium.view import View

PHASE, STEP = "finalize", "finalize"
# What its split is called on record; a splitter of the registry makes one part of it.
FINAL = "final"


@dataclass(frozen=True, eq=False)
class Final:
    """A registered candidate and the analysis that chose its config."""

    analysis: Analysis
    candidate: Candidate
    fresh: bool


def finalize(project: Project, slot: str) -> Final:
    """Train the chosen config twice and register it as a candidate in stage development.

    First with the last slice before the test held out, keeping the best epoch on it
    (``best_model``); then on all bars before the test (``final_model``), for as many epochs as were
    best on average over the walk-forward folds. Both trials end, and
    the candidate is registered with its validation evidence, in one transaction.
    """
    return finalized(project, _analyze(project, slot))


def finalized(project: Project, analysis: Analysis) -> Final:
    """Finalize an analysis; a candidate made from the same inputs before is found again."""
    data = analysis.extension.tuned.forecast
    inputs = _inputs_hash(project, analysis)
    ledger = project.ledger
    with ledger.reading() as tx:
        known = reads.receipt(ledger, tx, data.slot, STEP, inputs)
        if known is not None:
            candidate = reads.candidate_by_id(ledger, tx, known["candidate"])
            told = reads.evidence_of(ledger, tx, candidate.id).get("validation")
    if known is None:
        candidate = _train(project, analysis, inputs)
    else:
        _renew(project, told, _validation(analysis, candidate))
    probed_for_leaks(project, data, candidate)
    return Final(analysis, candidate, fresh=known is None)


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
    version = registry.family(chosen.family).VERSION
    return digest(
        [
            chosen.family,
            version,
            chosen.config,
            chosen.epochs,
            data.dataset.fingerprint,
            data.task_hash,
            data.test_interval[0],
            asdict(project.config.finalize),
            project.config.tune.seed,
            analysis.extension.split.hash,
        ]
    )


def _train(project: Project, analysis: Analysis, inputs: str) -> Candidate:
    data = analysis.extension.tuned.forecast
    study, chosen = analysis.extension.tuned.study, analysis.chosen
    split = final_split(data.tuning, project.config.finalize.validation_fraction)
    family = registry.family(chosen.family)
    seed = trial_seed(project.config.tune.seed, 0)
    work = project.state / "work" / digest(data.slot)[:16]
    job = replace(_trials.job_of(data, split, chosen.family), save_to=str(work))
    heard = _trials.Progress(project, f"{data.slot}: finalize", 2)
    config = _trials.with_epochs(chosen.config, project.config.finalize.epochs)
    with full_disk_explained(project.root):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            held_out = _fit(project, job, config, fold=0, seed=seed)
            heard(held_out.score)
            config = _trials.with_epochs(chosen.config, chosen.epochs or held_out.best_epoch)
            whole = _fit(project, job, config, fold=1, seed=seed)
            heard(held_out.score)
            folders = {"best_model": work / held_out.task.trial_id}
            folders["final_model"] = work / whole.task.trial_id
            artifact_hash, path = artifact.store(
                project.store,
                folders,
                _trials.manifest(
                    project,
                    data,
                    chosen.family,
                    family.VERSION,
                    whole.task,
                    int(whole.task.config.get(BUDGET, 0)),
                ),
                writer=work.name,
            )
        finally:
            shutil.rmtree(work, ignore_errors=True)
    plans = [
        _trials.Planned(PHASE, n, ended.task.config, n, seed)
        for n, ended in enumerate((held_out, whole))
    ]
    new = [
        writes.NewTrial(
            _trials.key_of(data, split, chosen.family, family.VERSION, plan),
            PHASE,
            plan.number,
            data.section.metric,
        )
        for plan in plans
    ]
    ledger, environment = project.ledger, project.environment
    with ledger.transaction(durable=True) as tx:
        writes.put_split(ledger, tx, split)
        ids = writes.start_trials(ledger, tx, study, new, environment)
        known = reads.trials_by_id(ledger, tx, ids)
        for id_, ended in zip(ids, (held_out, whole), strict=True):
            if known[id_].state.ended:
                # Another candidate came from the same training; it gave the same model then.
                continue
            mine = replace(ended, task=replace(ended.task, trial_id=id_))
            errors = of_trial(data, split, mine)
            writes.end_trial(
                ledger, tx, mine, metric=data.section.metric, index_hash=None, errors=errors
            )
            writes.set_artifact(ledger, tx, id_, artifact_hash)
        id_ = new_id("c")
        candidate = decisions.register(
            ledger,
            tx,
            Candidate(
                id=id_,
                slot=data.slot,
                version=0,
                model_type="base",
                family=chosen.family,
                config=whole.task.config,
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
        writes.put_evidence(ledger, tx, _validation(analysis, candidate))
        writes.put_receipt(ledger, tx, data.slot, STEP, inputs, {"candidate": candidate.id})
    return candidate


def final_split(tuning: View, fraction: float) -> Split:
    """Fold 0 holds the last slice out; fold 1 trains on every labelled bar."""
    split: Split = registry.load("splitters", "holdout").split(tuning, fraction=fraction)
    fold = split.folds[0]
    bars = np.arange(tuning.first_bar, tuning.last_labelled + 1, dtype=np.int64)
    whole = Fold(1, bars, bars[:0])
    return replace(split, name=FINAL, folds=(fold, whole))


def _fit(project: Project, job: Job, config: ConfigDict, fold: int, seed: int) -> Ended:
    task = Task(new_id("t"), config, fold, seed)
    [ended] = project.runner.run(job, [task])
    if ended.state is not State.COMPLETE:
        raise DataError(
            f"the final training failed: {ended.reason.strip().splitlines()[-1]}",
            "a config that trains to the end",
            "look at the failed trials of the study: podium list trials",
        )
    return ended


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
