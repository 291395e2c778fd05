"""Shorthand for a test of the record: one transaction a call, and what is wrong with the chain."""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import projects
from podium import artifact
from podium.decision import Decision, Result, Stage, Verdict
from podium.hashing import digest
from podium.ledger import decisions, reads, writes
from podium.steps.decisions.promote import write_champions
from podium.steps.workspace.session import open_project

ENVIRONMENT = "e" * 64


def start(ledger, study, *trials):
    with ledger.transaction() as tx:
        return writes.start_trials(tx, study, trials, ENVIRONMENT)


def end(ledger, trial_id, **how):
    with ledger.transaction(durable=True) as tx:
        writes.end_trial(tx, projects.ended(trial_id, **how), metric="mse", index_hash=None)


def trial(ledger, trial_id):
    with ledger.reading() as tx:
        return reads.trials_by_id(tx, [trial_id])[trial_id]


def register(ledger, *names, **how):
    with ledger.transaction(durable=True) as tx:
        return [
            decisions.register(tx, projects.new_candidate(name, **how), "tester") for name in names
        ]


def decide(ledger, *moves):
    with ledger.transaction(durable=True) as tx:
        return [decisions.decide(tx, decision) for decision in moves]


def to_beta(ledger, *names):
    """Registered candidates in stage beta."""
    for name in names:
        register(ledger, name)
        decide(ledger, projects.move(f"c-{name}", Stage.DEVELOPMENT, Stage.BETA))


def crown(ledger, name, expected=None):
    decide(ledger, projects.move(f"c-{name}", Stage.BETA, Stage.CHAMPION, expected=expected))


def champion(ledger, slot=projects.SLOT):
    with ledger.reading() as tx:
        return reads.champion_of(tx, slot)


def stage(ledger, candidate_id):
    with ledger.reading() as tx:
        return reads.stage_of(tx, candidate_id)


def broken_links(folder, project_id="p-test") -> list[str]:
    """What is wrong with the chain of decisions, from the rows alone."""
    found = []
    expected = digest(["podium", project_id])
    for row in projects.query(folder, "SELECT * FROM decision ORDER BY seq"):
        verdicts = tuple(
            Verdict(v["gate"], Result(v["result"]), v["finding"], v["limits"])
            for v in json.loads(row["verdicts"])
        )
        decision = Decision(
            **{
                name: row[name]
                for name in Decision.__dataclass_fields__
                if name not in ("policy", "verdicts", "evidence", "contents", "accepted")
            },
            accepted=bool(row["accepted"]),
            policy=json.loads(row["policy"]),
            verdicts=verdicts,
            evidence=tuple(json.loads(row["evidence"])),
            contents=json.loads(row["contents"]),
        )
        if decision.hash != row["hash"]:
            found.append(f"{row['id']}: content")
        if row["previous_hash"] != expected:
            found.append(f"{row['id']}: link")
        if decision.policy_hash != row["policy_hash"]:
            found.append(f"{row['id']}: policy")
        expected = row["hash"]
    return found


def naive_artifact(root, offset):
    """Hash and path of a real artefact that loads: the naive model with this offset."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "naive.json").write_text(json.dumps({"method": "last", "offset": offset}))
        task = {"task": "forecast", "dataset": "us4", "target": "return", "horizon": 5}
        about = {"family": "naive", "family_version": 1, "task": task, "tickers": ["AAPL"]}
        store = root / "models" / "registry"
        return artifact.store(store, {"final_model": folder}, about, writer=f"test-{os.getpid()}")


def served(root, *offsets):
    """Candidates ``c-<offset>`` of a project in stage beta, each with an artefact that loads."""
    with open_project(root) as project:
        study = projects.new_study(project.ledger)
        for number, offset in enumerate(offsets):
            artifact_hash, path = naive_artifact(root, offset)
            [trial_id] = start(project.ledger, study, projects.new_trial(number))
            end(project.ledger, trial_id)
            made = replace(
                projects.new_candidate(str(offset)),
                artifact_hash=artifact_hash,
                artifact_path=path,
                study_id=study.id,
                trial_id=trial_id,
            )
            with project.ledger.transaction(durable=True) as tx:
                decisions.register(tx, made, "tester")
            decide(project.ledger, projects.move(made.id, Stage.DEVELOPMENT, Stage.BETA))


def enthrone(root, offset):
    """Let ``c-<offset>`` become champion as ``promote`` does, whoever was it before."""
    with open_project(root) as project:
        expected = champion(project.ledger)
        name = str(offset)
        if stage(project.ledger, f"c-{name}") == Stage.ARCHIVED:
            decide(project.ledger, projects.move(f"c-{name}", Stage.ARCHIVED, Stage.BETA))
        crown(project.ledger, name, expected)
        write_champions(project)
