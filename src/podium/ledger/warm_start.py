"""Warm start: recorded trials that a study with a changed search space starts from."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from podium.ledger import schema, writes
from podium.ledger.columns import json_column
from podium.ledger.ledger import Transaction
from podium.ledger.statements import mine, select, value, values
from podium.space import ConfigDict
from podium.study import Study
from podium.trial import BASELINES, State

KNOWN = "known"
# Phase of a search's best configs when they are trained with further seeds.
FINALISTS = "finalists"
# Parts of the question in which a study and its warm start may differ.
_SPACES = ("families", "distinct")
# Trials that differ in any of these are not comparable.
_COMPARABLE = {
    "dataset": "dataset_fingerprint",
    "task": "task_hash",
    "split": "split_hash",
    "metric": "metric",
}


def find_study(tx: Transaction, slot: str, question: Mapping[str, Any]) -> Study | None:
    """Recorded study with this question, or None."""
    study = Study("", slot, question)
    study_id = value(tx, schema.study.c.id, key=study.key)
    return None if study_id is None else replace(study, id=study_id)


def link_known_trials(
    tx: Transaction, study: Study, fits: Mapping[str, Callable[[ConfigDict], bool]]
) -> int:
    """Link to a new study, in phase ``known``, every recorded trial that answers its question.

    This happens once, at the start of a study whose question differs from that of another study of
    its slot in the search spaces only, for families of the same VERSION. The links never change, so
    a resumed study starts from the same trials whatever was trained meanwhile.

    Parameters
    ----------
    fits : mapping of family to function
        Whether a config lies in the family's space.

    Returns
    -------
    int
        Number of linked trials.
    """
    families = _same_families(tx, study)
    if not families:
        return 0
    trials = searched_trials(tx, study.question, families, [State.COMPLETE, State.FAILED])
    ids = [id_ for id_, family, config in trials if fits[family](config)]
    writes.link_trials(tx, study.id, KNOWN, ids)
    return len(ids)


def searched_trials(
    tx: Transaction,
    question: Mapping[str, Any],
    families: Mapping[str, int],
    states: Collection[State],
    *,
    without: Collection[str] = (),
) -> list[tuple[str, str, ConfigDict]]:
    """Trials of any search on the data, task, split and metric of a question, oldest first.

    Parameters
    ----------
    families : mapping of family to its VERSION
    without : collection of str
        Phases whose trials are left out, besides finalists and baselines.

    Returns
    -------
    list of (trial id, family, config)
    """
    trial, link = schema.trial.c, schema.study_trial.c
    # A finalist of another study is represented by its search trial, not by its best seed; a
    # baseline is no trial of a search.
    phases = (FINALISTS, *BASELINES, *without)
    of_families = [
        sa.and_(trial.family == name, trial.family_version == version)
        for name, version in families.items()
    ]
    rows = select(
        tx,
        [trial.id, trial.family, trial.config],
        sa.or_(*of_families),
        *(trial[column] == question[name] for name, column in _COMPARABLE.items()),
        trial.id.in_(mine(tx, link.trial_id, link.phase.not_in(phases))),
        order=trial.seq,
        fold=0,
        state=[*states],
    )
    return [(row["id"], row["family"], json_column(row, "config")) for row in rows]


def _same_families(tx: Transaction, study: Study) -> dict[str, int]:
    """Families, with their VERSION, of other studies whose question differs in the spaces only."""
    table = schema.study.c
    questions = values(tx, table.question, table.id != study.id, slot=study.slot)
    wanted = _without_spaces(study.question)
    versions = {name: version for name, (version, _) in study.question["families"].items()}
    families: dict[str, int] = {}
    for text in questions:
        other = json.loads(text)
        if "families" not in other or _without_spaces(other) != wanted:
            continue
        for name, (version, _) in other["families"].items():
            if versions.get(name) == version:
                families[name] = version
    return families


def _without_spaces(question: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in question.items() if name not in _SPACES}
