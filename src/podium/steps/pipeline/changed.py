"""Why a step has something to do: what is asked now against what was asked before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from podium.candidate import Candidate
from podium.ledger import reads
from podium.steps.data.sequences import TaskData
from podium.steps.search.extend import PHASE, folds_of
from podium.steps.search.results import Analysis, Tuned
from podium.steps.trials import execute
from podium.steps.workspace.project import Project
from podium.trial import BUDGET

FIRST = "nothing is on record yet"
_SETTINGS = ("metric", "search", "generation", "seed", "where", "schedule", "finalists")


def search(project: Project, slot: str, question: Mapping[str, Any], data: TaskData) -> str:
    """What a search asks that the slot's newest one did not."""
    rows = project.door.rows("studies", slot=slot)
    before = next((row["question"] for row in rows if "generation" in row["question"]), None)
    if before is None:
        return FIRST
    found = []
    if before["dataset"] != question["dataset"]:
        found.append(
            f"data changed: fingerprint was {before['dataset'][:8]}, is {question['dataset'][:8]}"
        )
    if before["task"] != question["task"]:
        found += _of_task(project, before["task"], execute.spec_of(data))
    if not found and before["split"] != question["split"]:
        found.append("the validation slice changed")
    found += _of_families(before["families"], question["families"])
    found += [
        f"tune.{name} was {_shown(before, name)}, is {_shown(question, name)}"
        for name in _SETTINGS
        if before.get(name) != question.get(name)
    ]
    return "; ".join(found) or "it is asked in another way"


def _of_task(project: Project, task: str, now: Mapping[str, Any]) -> list[str]:
    rows = project.door.query(
        "SELECT spec FROM task WHERE project_id = ? AND hash = ?", project.config.project.id, task
    )
    spec = json.loads(rows[0]["spec"]) if rows else {}
    # Both as JSON, since a tuple comes back as a list.
    other = json.loads(json.dumps(now))
    found = [name for name in other if spec.get(name) != other[name]]
    # Other features have other versions.
    return [f"{name} changed" for name in found if name != "versions" or len(found) == 1]


def _of_families(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    if before.keys() != now.keys():
        return [f"families were {', '.join(before)}, are {', '.join(now)}"]
    found = []
    for name, (version, space) in now.items():
        had, its = before[name]
        if had != version:
            found.append(f"{name} has version {version}, had {had}")
        elif its != json.loads(json.dumps(space)):
            found.append(f"the space of {name} changed")
    return found


def _shown(question: Mapping[str, Any], name: str) -> str:
    # A plugin is named with the hash of its file.
    return str(question.get(name, "none"))[:60]


def folds(project: Project, found: Tuned, done: int) -> str:
    """Why folds are left to train."""
    with project.ledger.reading() as tx:
        rows = reads.trials_of(project.ledger, tx, found.study.id, PHASE)
    if not rows:
        return "no fold is on record yet"
    settings = project.config.extend
    if all(row.split_hash != folds_of(settings, found.forecast.tuning).hash for row in rows):
        return "the folds changed: [extend]"
    budgets = {row.config[BUDGET] for row in rows if BUDGET in row.config}
    if budgets and settings.epochs not in budgets:
        return f"extend.epochs is {settings.epochs}, was {max(budgets)}"
    return (
        f"extend.top is {settings.top}, {done} folds are on record"
        if done
        else "other configs are the best ones now"
    )


def final(project: Project, analysis: Analysis) -> str:
    """Why a candidate is to be trained."""
    slot = analysis.extension.tuned.data.slot
    rows = project.door.rows("candidates", slot=slot, limit=1)
    if not rows:
        return "there is no candidate yet"
    before, chosen = rows[0], analysis.chosen
    fingerprint = analysis.extension.tuned.data.dataset.fingerprint
    if before["dataset_fingerprint"] != fingerprint:
        told = f"fingerprint was {before['dataset_fingerprint'][:8]}, is {fingerprint[:8]}"
        return f"data changed: {told}"
    same = {**before["config"], BUDGET: 0} == {**chosen.config, BUDGET: 0}
    if before["family"] != chosen.family or not same:
        return f"another config is chosen than that of {before['id']}"
    return f"what {before['id']} was made from changed: folds, seed or [finalize]"


def judgement(project: Project, candidate: Candidate, kind: str, terms: str) -> str:
    """Why a candidate is to be judged."""
    with project.ledger.reading() as tx:
        known = reads.evidence_of(project.ledger, tx, candidate.id)
    if kind not in known:
        return f"{candidate.id} was not judged yet"
    return f"{terms}, the signal or the test changed since {candidate.id} was judged"
