"""Trials on record that a study whose space was changed is told before it asks for any."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from podium.ledger import schema, writes
from podium.ledger.ledger import Ledger
from podium.ledger.statements import mine, select, value, values
from podium.space import ConfigDict
from podium.study import Study
from podium.trial import BASELINES, State

KNOWN = "known"
# Phase of a search's best configs when they are trained with further seeds.
FINALISTS = "finalists"
# What may differ between the questions of a study and of the one it widens.
_SPACES = ("families", "distinct")
# How a trial was judged; those that differ in any of these are about different things.
_JUDGED = {
    "dataset": "dataset_fingerprint",
    "task": "task_hash",
    "split": "split_hash",
    "metric": "metric",
}


def known(
    ledger: Ledger, tx: sa.Connection, slot: str, question: Mapping[str, Any]
) -> Study | None:
    """The study that asks this already, or None."""
    study = Study("", slot, question)
    found = value(ledger, tx, schema.study.c.id, key=study.key)
    return None if found is None else replace(study, id=found)


def link_known_trials(
    ledger: Ledger,
    tx: sa.Connection,
    study: Study,
    fits: Mapping[str, Callable[[ConfigDict], bool]],
) -> int:
    """Link to a new study, in phase ``known``, every trial on record that answers its question.

    That is done once, when a study is begun whose question differs from another one's of its slot
    in its spaces alone, and for families of the same VERSION. What is linked never changes, so a
    study that is gone on with is told the same whatever else was trained meanwhile.

    Parameters
    ----------
    fits : mapping of family to function
        Whether a config lies in the family's space.

    Returns
    -------
    int
        How many trials were linked.
    """
    families = _same_families(ledger, tx, study)
    if not families:
        return 0
    trial, link = schema.trial.c, schema.study_trial.c
    # A config that was a finalist elsewhere is known by its own trial, not by its luckiest seed;
    # a baseline is no trial of a search.
    searched = mine(ledger, link.trial_id, link.phase.not_in((FINALISTS, *BASELINES)))
    of_families = [
        sa.and_(trial.family == name, trial.family_version == version)
        for name, version in families.items()
    ]
    rows = select(
        ledger,
        tx,
        [trial.id, trial.family, trial.config],
        sa.or_(*of_families),
        *(trial[column] == study.question[name] for name, column in _JUDGED.items()),
        trial.id.in_(searched),
        order=trial.seq,
        fold=0,
        state=[State.COMPLETE, State.FAILED],
    )
    found = [row["id"] for row in rows if fits[row["family"]](json.loads(row["config"]))]
    writes.link_trials(ledger, tx, study.id, KNOWN, found)
    return len(found)


def _same_families(ledger: Ledger, tx: sa.Connection, study: Study) -> dict[str, int]:
    """Families, with their VERSION, that another study asked the same of but for the space."""
    table = schema.study.c
    questions = values(ledger, tx, table.question, table.id != study.id, slot=study.slot)
    asked = _but_spaces(study.question)
    versions = {name: version for name, (version, _) in study.question["families"].items()}
    found: dict[str, int] = {}
    for text in questions:
        other = json.loads(text)
        if "families" not in other or _but_spaces(other) != asked:
            continue
        for name, (version, _) in other["families"].items():
            if versions.get(name) == version:
                found[name] = version
    return found


def _but_spaces(question: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in question.items() if name not in _SPACES}
