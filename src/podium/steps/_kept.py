"""A model that a search kept, as a candidate: with its lineage, its bar to beat, its evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from podium import artifact
from podium.artifact import Place
from podium.candidate import Candidate
from podium.config import SlotSection
from podium.errors import DataError, UsageError
from podium.evidence import Evidence, Scalar
from podium.hashing import new_id
from podium.ledger import decisions, reads, writes
from podium.ledger.ledger import Ledger, now
from podium.ledger.reads import TrialRow
from podium.resolve import find_model
from podium.space import ConfigDict
from podium.stats import panel_loss
from podium.steps._evidence import evidence_about
from podium.steps._judgement import Ranking, ranking
from podium.steps._leak_probe import probed_for_leaks
from podium.steps._looks import luck_of
from podium.steps._project import Project
from podium.steps._task import SlotData, slot_data, task_hash
from podium.steps.finalize import naive_name
from podium.steps.tune import NAIVE, best_of, validation_split
from podium.trial import State


@dataclass(frozen=True, eq=False)
class Kept:
    """A candidate, the data it is judged on, and the naive config that was best beside it."""

    data: SlotData
    naive: ConfigDict
    candidate: Candidate


def kept_candidate(project: Project, path: Path, slot: str | None) -> Kept:
    """The candidate of a kept model, registered in stage development if it is not one yet.

    Parameters
    ----------
    path : Path
        Any path into the model's folder.
    slot : str, optional
        The slot it must be of.

    Raises
    ------
    UsageError
        It is of another slot, or not what would be served.
    DataError
        It answers another question than the slot asks by now, has seen bars of the test, lies
        outside the store, or no trial on record left it.
    """
    place = find_model(path)
    data = _require_fit(project, place, slot)
    ledger = project.ledger
    with ledger.reading() as tx:
        found = reads.trial_of_artifact(ledger, tx, place.artifact_hash)
        if found is None:
            raise DataError(
                f"no trial on record left {place.folder}",
                "a model of this project",
                "bring its record in as well: podium import",
            )
        trial, study_id = found
        naive = best_of(reads.trials_of(ledger, tx, study_id, NAIVE), data.slot, "grid")
    id_ = new_id("c")
    candidate = Candidate(
        id=id_,
        slot=data.slot,
        version=0,
        model_type="base",
        family=trial.family,
        config=trial.config,
        study_id=study_id,
        trial_id=trial.id,
        artifact_hash=place.artifact_hash,
        artifact_path=place.folder.name,
        dataset_fingerprint=str(place.manifest["dataset_fingerprint"]),
        trained_until=str(place.manifest["trained_until"]),
        parent_id=None,
        root_id=id_,
        created_at=now(),
    )
    with ledger.transaction(durable=True) as tx:
        candidate = decisions.register(ledger, tx, candidate, project.actor)
        told = reads.evidence_of(ledger, tx, candidate.id).get("validation")
        # An earlier podium judged less.
        if told is None or "n_trials" not in told.scalars:
            configs = [trial, *_others(ledger, tx, study_id, trial)]
            evidence = _validation(project, data, candidate, configs, naive, tx)
            writes.put_evidence(ledger, tx, evidence)
    probed_for_leaks(project, data, candidate)
    return Kept(data, naive.config, candidate)


def _require_fit(project: Project, place: Place, slot: str | None) -> SlotData:
    """Data of the model's slot, where the model may be judged on them."""
    manifest = place.manifest
    name = str(manifest["slot"])
    if slot not in (None, name):
        raise UsageError(f"{place.folder} is a model of {name}", slot or "")
    if place.folder.parent != project.store.resolve():
        raise DataError(f"{place.folder} lies outside {project.store}", "a model of this project")
    served = artifact.find(place.folder).checkpoint
    if served != place.checkpoint:
        raise UsageError(
            f"{place.checkpoint} of {place.folder} is not what is served", f"its {served}"
        )
    data = slot_data(project.config, name)
    section, tickers = artifact.section_of(manifest), tuple(manifest["tickers"])
    if task_hash(section) != data.task_hash or tickers != data.dataset.tickers:
        raise DataError(
            f"{place.folder} was trained on {_question(section, tickers)}",
            f"what {name} asks by now: {_question(data.section, data.dataset.tickers)}",
            f"run: podium grid {name}",
        )
    starts = data.view.times[data.test_start]
    if np.datetime64(str(manifest["trained_until"])) >= starts:
        raise DataError(
            f"{place.folder} has seen bars until {manifest['trained_until']}",
            f"nothing of the sealed test, which begins at {starts}",
            f"run: podium grid {name}",
        )
    return data


def _question(section: SlotSection, tickers: tuple[str, ...]) -> str:
    return (
        f"{section.target} of {section.horizon} bars from {section.window} bars of "
        f"{', '.join(section.features)} for {', '.join(tickers)}"
    )


def _validation(
    project: Project,
    data: SlotData,
    candidate: Candidate,
    trials: Sequence[TrialRow],
    naive: TrialRow,
    tx: sa.Connection,
) -> Evidence:
    """What the grid saw of it, the first of its configs, on the slice it was chosen on."""
    metric, trial = data.section.metric, trials[0]
    found = _ranking(project, data, trials, naive, tx)
    test = found.against_naive[0]
    interval = validation_split(project, data).validation_interval()
    n_trials = reads.luck(project.ledger, tx, data.slot, interval)
    luck = luck_of(project, data, tx, trial.config_hash, naive, n_trials)
    return evidence_about(
        candidate,
        "validation",
        "grid",
        dataset=candidate.dataset_fingerprint,
        split=trial.split_hash,
        scalars={
            "loss": Scalar(trial.score, metric, "min"),
            "naive_loss": Scalar(naive.score, metric, "min"),
            "dm_statistic": Scalar(test.statistic),
            "dm_p_value": Scalar(test.p_value, "probability"),
            "configs_looked_at": Scalar(n_trials, "configs"),
            **found.scalars(0),
            **luck.scalars(),
        },
        notes={
            "metric": metric,
            "naive_method": naive_name(naive.config),
            "reason": "kept by a grid; judged on the one validation slice it was chosen on",
            **found.notes(),
            **luck.notes(),
        },
    )


def _others(ledger: Ledger, tx: sa.Connection, study_id: str, trial: TrialRow) -> list[TrialRow]:
    """The other configs of the grid, on the windows of this one."""
    return [
        row
        for row in reads.trials_of(ledger, tx, study_id, trial.phase)
        if row.state is State.COMPLETE
        and math.isfinite(row.score)
        and row.index_hash == trial.index_hash
        and row.config_hash != trial.config_hash
    ]


def _ranking(
    project: Project,
    data: SlotData,
    trials: Sequence[TrialRow],
    naive: TrialRow,
    tx: sa.Connection,
) -> Ranking:
    """The grid's configs and naive on the validation slice, tickers of a day averaged."""
    names = [str(row.loss_hash) for row in (*trials, naive)]
    arrays = reads.arrays(project.ledger, tx, [*names, str(naive.index_hash)])
    index = arrays[str(naive.index_hash)]
    days = index[len(index) // 2 :]
    losses = [panel_loss(arrays[name].astype(np.float64), days)[1] for name in names]
    return ranking(np.column_stack(losses[:-1]), losses[-1], data.view.horizon)
