"""Where MLflow tells something else of a candidate than the record; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from podium.artifact import folder_of
from podium.ledger import outbox
from podium.ledger.ledger import Ledger
from podium.ledger.projections import _mlflow_candidates as candidates
from podium.ledger.projections._mlflow_candidates import CandidateState, is_told
from podium.ledger.projections._mlflow_client import (
    Found,
    MlflowRefusedError,
    MlflowStoppedError,
    NoRegistryError,
    StumbledError,
)
from podium.ledger.projections._mlflow_registry import ALIAS, Registry, Version
from podium.ledger.projections._mlflow_runs import told_tags
from podium.ledger.projections._mlflow_target import Target


def differing(
    ledger: Ledger,
    target: Target,
    registry: Registry,
    store: Path,
    run: Callable[[str], Found | None],
) -> dict[str, list[str]]:
    """Candidates whose tags, improvement, version or alias are not as recorded, and what is wrong.

    What waits to be sent or was refused is told as that; what a person deleted stays deleted.

    Parameters
    ----------
    run : callable
        A run by its id, None when it is gone.

    Raises
    ------
    StoppedError
        MLflow does not answer.
    """
    with ledger.reading() as tx:
        items = outbox.waiting(ledger, tx, target.key, kinds=("candidate", "decision"))
        items += [one.item for one in outbox.stuck(ledger, tx, target.key)]
        later = {id_ for item in items for id_ in candidates.touched(ledger, tx, item)}
        trials = candidates.trials(ledger, tx)
        standings = [
            standing
            for id_ in trials
            if id_ not in later and (standing := candidates.of(ledger, tx, id_, target.key))
        ]
        sent = {
            s.id: outbox.remote_id(ledger, tx, target.key, trials[s.id]) or "" for s in standings
        }
        holders = candidates.champions(ledger, tx)
    found: dict[str, list[str]] = {}
    versions: dict[str, dict[str, Version]] = {}
    aliases: dict[str, str | None] = {}
    # Where one training left two candidates, its run tells of the newer one.
    newest = {trial: id_ for id_, trial in trials.items()}
    try:
        for one in standings:
            there = run(sent[one.id]) if sent[one.id] else None
            if there is None or there.deleted:
                continue
            told = []
            if newest[trials[one.id]] == one.id:
                told = _wrong("run", there.tags, one) + _lacking(there.metrics, one.figures)
            if one.model not in versions:
                try:
                    versions[one.model] = registry.versions(one.model)
                    aliases[one.model] = registry.alias(one.model)
                except NoRegistryError:
                    versions[one.model], aliases[one.model] = {}, None
            version = versions[one.model].get(one.id)
            if version is not None and run(version.run_id) is not None:
                where = f"{one.model} version {version.number}"
                told += _wrong(where, version.tags, one)
                named = aliases[one.model] == version.number
                if named != (holders.get(one.row["slot"]) == one.id):
                    told.append(f"{where} is {'' if named else 'not '}called {ALIAS}")
            elif (store / folder_of(one.row["artifact_hash"])).is_dir():
                told.append(f"{one.model} has no version of it")
            if told:
                found[one.id] = told
    except (MlflowRefusedError, StumbledError) as error:
        raise MlflowStoppedError(
            f"MLflow at {target.shown} fails: {error}", "a registry that answers"
        ) from error
    return found


def _wrong(where: str, there: Mapping[str, str], standing: CandidateState) -> list[str]:
    """Tags that are not what a candidate's standing says."""
    tags = told_tags(standing.tags)
    told = []
    for name in sorted({*tags, *filter(is_told, there)}):
        found, wanted = there.get(name), tags.get(name)
        if found != wanted:
            said = "is missing" if found is None else f"is '{found}'"
            told.append(f"{where}: tag {name} {said}, {wanted or 'none'} in the record")
    return told


def _lacking(there: Mapping[str, float], figures: Mapping[str, float]) -> list[str]:
    """Metrics of a run that the record has and MLflow lacks.

    A value that somebody logged over one at a later step is theirs: MLflow shows the latest.
    """
    return [
        f"run: metric {name} is missing, {value} in the record"
        for name, value in figures.items()
        if name not in there
    ]
