"""Candidates with real artefacts, made in milliseconds, and what MLflow tells of them."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import projects
from mlflow_places import client
from podium import artifact
from podium.candidate import Candidate
from podium.decision import Stage
from podium.errors import ConflictError
from podium.ledger import decisions, writes
from podium.ledger.ledger import now
from podium.steps.workspace.session import open_project

MODEL = "us4.D.volatility"


def another(
    root: Path, name: str, *, model_type: str = "base", parent: Candidate | None = None
) -> Candidate:
    """A candidate with a trial of its own, whose model is that of the project's first one."""
    [first] = projects.query(root, "SELECT * FROM candidate WHERE version = 1")
    with open_project(root) as project:
        project.feeds = False
        source = project.store / first["artifact_path"]
        manifest = json.loads((source / "manifest.json").read_text())
        models = {folder.name: folder for folder in source.iterdir() if folder.is_dir()}
        hash_, folder = artifact.store(
            project.store, models, {**manifest, "made": name}, writer=name
        )
        study = projects.new_study(project.ledger)
        trial = projects.new_trial(len(name), config={"name": name})
        with project.ledger.transaction() as tx:
            [trial_id] = writes.start_trials(tx, study, [trial], "e" * 64)
        with project.ledger.transaction() as tx:
            ended = projects.ended(trial_id)
            writes.end_trial(tx, ended, metric="mse", index_hash=None)
            made = replace(
                projects.new_candidate(name, model_type=model_type),
                trial_id=trial_id,
                artifact_hash=hash_,
                artifact_path=folder,
                dataset_fingerprint=first["dataset_fingerprint"],
                parent_id=parent.id if parent else None,
                root_id=parent.root_id if parent else f"c-{name}",
                created_at=now(),
            )
            return decisions.register(tx, made, "trainer")


def moved(root: Path, candidate: str, *stages: Stage, expected: str | None = None) -> None:
    """Decisions that take a candidate through stages, the first of which is where it stands."""
    with open_project(root) as project:
        project.feeds = False
        for here, there in pairwise(stages):
            decision = projects.move(candidate, here, there, expected=expected)
            with project.ledger.transaction(durable=True) as tx:
                decisions.decide(tx, decision)


def told(root: Path) -> dict[str, Any]:
    """Every candidate's tags on its run and its version, that version, and the alias."""
    there = client(f"sqlite:///{root / 'mlflow.db'}")
    found: dict[str, Any] = {}
    for row in there.search_model_versions(f"name='{MODEL}'"):
        run = there.get_run(row.run_id)
        candidate = row.tags["podium.candidate_id"]
        assert candidate not in found, f"{candidate} is there twice"
        found[candidate] = {
            "version": dict(row.tags),
            "run": {key: run.data.tags.get(key) for key in row.tags},
            "number": str(row.version),
            "run_id": row.run_id,
            "is_champion": "champion" in there.get_model_version(MODEL, row.version).aliases,
        }
    return found


def contend(root: Path, mine: str, turns: int, barrier: Any, answers: Any) -> None:
    """Take a candidate towards the championship, turn by turn; how often it won."""

    def work() -> int:
        won = 0
        with open_project(root) as project:
            project.feeds = False
            barrier.wait(60)
            for _ in range(turns):
                here = Stage(project.reader.stages()[mine])
                holder = project.reader.champions().get(projects.SLOT)
                if here is Stage.CHAMPION:
                    # Somebody else's turn.
                    time.sleep(0.01)
                    continue
                there = Stage.CHAMPION if here is Stage.BETA else Stage.BETA
                expected = holder.candidate_id if holder else None
                decision = projects.move(mine, here, there, expected=expected)
                try:
                    with project.ledger.transaction(durable=True) as tx:
                        decisions.decide(tx, decision)
                except ConflictError:
                    continue
                won += there is Stage.CHAMPION
        return won

    projects._report(barrier, answers, work)
