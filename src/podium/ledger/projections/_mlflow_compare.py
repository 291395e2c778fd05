"""Differences between MLflow and the record about candidates; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from podium.artifact import folder_of
from podium.ledger import outbox
from podium.ledger.ledger import Ledger
from podium.ledger.projections import _mlflow_candidates as candidates
from podium.ledger.projections._mlflow_candidates import CandidateState, is_state_tag
from podium.ledger.projections._mlflow_client import (
    MlflowFailedError,
    MlflowRefusedError,
    MlflowStoppedError,
    NoRegistryError,
    RemoteRun,
)
from podium.ledger.projections._mlflow_registry import ALIAS, Registry, Version
from podium.ledger.projections._mlflow_runs import tag_values
from podium.ledger.projections._mlflow_target import Target


def differing(
    ledger: Ledger,
    target: Target,
    registry: Registry,
    store: Path,
    run: Callable[[str], RemoteRun | None],
) -> dict[str, list[str]]:
    """Candidates whose tags, improvement, version or alias differ from the record, with messages.

    Candidates with waiting or refused items are skipped, and so are deleted runs.

    Parameters
    ----------
    run : callable
        Returns a run by its id, or None if it does not exist.

    Raises
    ------
    MlflowStoppedError
        MLflow does not answer.
    """
    with ledger.reading() as tx:
        items = outbox.waiting(tx, target.key, kinds=("candidate", "decision"))
        items += [one.item for one in outbox.stuck(tx, target.key)]
        later = {id_ for item in items for id_ in candidates.touched(tx, item)}
        trials = candidates.trials(tx)
        states = [
            state
            for id_ in trials
            if id_ not in later and (state := candidates.of(tx, id_, target.key))
        ]
        sent = {s.id: outbox.remote_id(tx, target.key, trials[s.id]) or "" for s in states}
        holders = candidates.champions(tx)
    differences: dict[str, list[str]] = {}
    versions: dict[str, dict[str, Version]] = {}
    aliases: dict[str, str | None] = {}
    # If one training produced two candidates, its run shows the newer one.
    newest = {trial: id_ for id_, trial in trials.items()}
    try:
        for one in states:
            remote = run(sent[one.id]) if sent[one.id] else None
            if remote is None or remote.deleted:
                continue
            messages = []
            if newest[trials[one.id]] == one.id:
                messages = _wrong("run", remote.tags, one) + _lacking(remote.metrics, one.figures)
            model = target.model_of(one.row["slot"])
            if model not in versions:
                try:
                    versions[model] = registry.versions(model)
                    aliases[model] = registry.alias(model)
                except NoRegistryError:
                    versions[model], aliases[model] = {}, None
            version = versions[model].get(one.id)
            if version is not None and run(version.run_id) is not None:
                where = f"{model} version {version.number}"
                messages += _wrong(where, version.tags, one)
                has_alias = aliases[model] == version.number
                if has_alias != (holders.get(one.row["slot"]) == one.id):
                    verb = "has" if has_alias else "lacks"
                    messages.append(f"{where} {verb} the alias {ALIAS}")
            elif (store / folder_of(one.row["artifact_hash"])).is_dir():
                messages.append(f"{model} has no version of the candidate")
            if messages:
                differences[one.id] = messages
    except (MlflowRefusedError, MlflowFailedError) as error:
        raise MlflowStoppedError(
            f"MLflow at {target.shown} fails: {error}", "a registry that answers"
        ) from error
    return differences


def _wrong(where: str, remote: Mapping[str, str], state: CandidateState) -> list[str]:
    """Messages for tags that differ from a candidate's state."""
    tags = tag_values(state.tags)
    messages = []
    for name in sorted({*tags, *filter(is_state_tag, remote)}):
        actual, expected = remote.get(name), tags.get(name)
        if actual != expected:
            verb = "is missing" if actual is None else f"is '{actual}'"
            messages.append(f"{where}: tag {name} {verb}, {expected or 'none'} in the record")
    return messages


def _lacking(remote: Mapping[str, float], figures: Mapping[str, float]) -> list[str]:
    """Messages for metrics that MLflow lacks.

    Other values are accepted: a user may log a metric at a later step, which MLflow then shows.
    """
    return [
        f"run: metric {name} is missing, {value} in the record"
        for name, value in figures.items()
        if name not in remote
    ]
