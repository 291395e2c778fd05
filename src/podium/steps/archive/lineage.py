"""Where a trial, candidate or study comes from and what came of it, from the record alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podium import registry
from podium.candidate import MANIFEST
from podium.decision import Kind
from podium.errors import NotFoundError, UsageError
from podium.ledger.door import Door
from podium.ledger.runs import told_note
from podium.report.table import number
from podium.report.tree import Branch
from podium.steps.workspace.moments import day_of
from podium.study import CHOICES, choices_of
from podium.tasks._base import SlotTask

KINDS = ("trials", "candidates", "studies")
# Columns that are facts of a node as they are.
_OF_TRIAL = (
    "run_id", "phase", "number", "family", "family_version", "fold", "seed", "state", "metric",
    "score", "seconds", "epochs", "best_epoch", "origin", "environment_hash", "artifact_hash",
    "checkpoint",
)  # fmt: skip
_OF_CANDIDATE = (
    "slot", "version", "model_type", "family", "study_id", "trial_id", "artifact_hash",
    "artifact_path", "dataset_fingerprint", "trained_until", "parent_id", "root_id", "created_at",
)  # fmt: skip


@dataclass(frozen=True)
class Node:
    """One thing of the record with what came of it.

    Parameters
    ----------
    kind : str
        ``dataset``, ``study``, ``trial`` or ``candidate``.
    here : bool
        Whether it is the thing that was asked about.
    facts : mapping
        What the record says of it.
    title : str
    told : sequence of (str, str)
        The facts as label and words.
    """

    kind: str
    id: str
    here: bool
    facts: dict[str, Any]
    title: str
    told: Sequence[tuple[str, str]]
    children: Sequence[Node] = ()

    def item(self) -> dict[str, Any]:
        """All facts as one nested value, ready for JSON."""
        children = [child.item() for child in self.children]
        return {
            "kind": self.kind,
            "id": self.id,
            "here": self.here,
            **self.facts,
            "children": children,
        }

    def branch(self) -> Branch:
        """The same for a terminal."""
        title = f"{'this ' if self.here else ''}{self.kind} {self.title}"
        return Branch(title, self.told, [child.branch() for child in self.children])


def lineage(door: Door, name: str, store: Path) -> Node:
    """Tree from the data a thing was trained on down to everything that came of it.

    Parameters
    ----------
    name : str
        Id of a trial, candidate or study, the beginning of one, or a run's name.
    store : Path
        Folder of the artefacts; they are only looked for, not read.

    Raises
    ------
    NotFoundError
        Nothing, or more than one thing, is called so.
    UsageError
        It is something else, a decision, say.
    """
    kind, row = door.find(name)
    if kind not in KINDS:
        raise UsageError(f"{row['id']} is one of the {kind}", "a trial, a candidate or a study")
    return _Tree(door, store, row["id"]).of(kind, row)


@dataclass
class _Tree:
    """What is known about one tree while it is put together."""

    door: Door
    store: Path
    here: str
    # The first config of the tree; others are told by how they differ from it.
    config: dict[str, Any] = field(default_factory=dict)
    # Code and environment are said once.
    said: set[str] = field(default_factory=set)

    def of(self, kind: str, row: dict[str, Any]) -> Node:
        if kind == "studies":
            configs = self._configs_of(row)
            return self._dataset(row["question"].get("dataset"), [self._study(row, configs)])
        if kind == "candidates":
            root = self._one("candidate", row["root_id"])
            row = self._one("trial", root["trial_id"])
        links = self._rows(
            "SELECT study_id FROM study_trial WHERE project_id = ? AND trial_id = ? "
            "GROUP BY study_id ORDER BY min(seq)",
            row["id"],
        )
        studies = [self._one("study", link["study_id"]) for link in links]
        children = [self._study(study, [row["config_hash"]]) for study in studies]
        return self._dataset(row["dataset_fingerprint"], children)

    def _dataset(self, fingerprint: str | None, children: Sequence[Node]) -> Node:
        """The data; things that podium did not train name none."""
        found = self._rows(
            "SELECT * FROM dataset WHERE project_id = ? AND fingerprint = ?", fingerprint or ""
        )
        if not found:
            if len(children) == 1:
                return children[0]
            return Node("dataset", "", False, {}, "not on record", (), children)
        data = found[0]
        tickers = json.loads(data["tickers"])
        facts = {name: data[name] for name in ("name", "timeframe", "bars", "first_at", "last_at")}
        title = f"{data['name']}  {data['timeframe']}, {', '.join(tickers)}"
        size = ("bars", f"{data['bars']}, {day_of(data['first_at'])} to {day_of(data['last_at'])}")
        if not tickers:
            title, size = data["name"], ("samples", str(data["bars"]))
        told = [size, ("fingerprint", data["fingerprint"][:20])]
        facts = {**facts, "tickers": tickers}
        return Node("dataset", data["fingerprint"], False, facts, title, told, children)

    def _study(self, study: dict[str, Any], configs: Sequence[str]) -> Node:
        question = _value(study["question"])
        counted = self._rows(
            "SELECT l.phase, t.state, count(*) AS n, min(t.score) AS lowest, "
            "max(t.score) AS highest, t.metric "
            "FROM study_trial l JOIN trial t ON t.project_id = l.project_id AND t.id = l.trial_id "
            "WHERE l.project_id = ? AND l.study_id = ? GROUP BY l.phase, t.state, t.metric "
            "ORDER BY min(l.seq)",
            study["id"],
        )
        for row in counted:
            best = row.pop("lowest"), row.pop("highest")
            row["best"] = best[_direction(question, row["metric"]) == "max"]
        chose = self._chose(study, question)
        told = [
            *self._asks(question),
            *chose,
            ("trials", ", ".join(map(_counted, counted)) or "none"),
        ]
        facts = {"slot": study["slot"], "question": question, "trials": counted}
        children = [node for config in configs for node in self._trials_of(study["id"], config)]
        title = f"{study['id']}  {study['slot']}"
        return self._node("study", study["id"], facts, title, told, children)

    def _node(
        self,
        kind: str,
        id_: str,
        facts: dict[str, Any],
        title: str,
        told: Sequence[tuple[str, str]],
        children: Sequence[Node],
        own_note: str = "",
    ) -> Node:
        """A node with its notes, that of its own row before those added since."""
        notes = [*filter(None, [own_note]), *self._notes(id_)]
        facts = {**facts, "notes": notes}
        told = [*told, *(("note", note) for note in notes)]
        return Node(kind, id_, id_ == self.here, facts, title, told, children)

    def _asks(self, question: dict[str, Any]) -> list[tuple[str, str]]:
        """What a study wants to know."""
        if "families" not in question:
            return [(str(name), str(value)) for name, value in question.items()]
        families = ", ".join(question["families"])
        # A search that is a plugin is recorded with its version behind it.
        search = question["search"].partition("@")[0]
        seed = f", seed {question['seed']}" if "seed" in question else ""
        told = [("search", f"{search} of {families}{seed}")]
        specs = self._rows(
            "SELECT spec FROM task WHERE project_id = ? AND hash = ?", question["task"]
        )
        if specs:
            told.insert(0, _task(json.loads(specs[0]["spec"])))
        return told

    def _chose(self, study: dict[str, Any], question: dict[str, Any]) -> list[tuple[str, str]]:
        """What a search chose itself when the study was begun, and why."""
        told = []
        for family in question.get("families", ()):
            rows = self._rows(
                "SELECT outputs FROM receipt WHERE project_id = ? AND step = ? AND inputs_hash = ?",
                CHOICES,
                choices_of(study["key"], family),
            )
            for chosen in (_value(row["outputs"])["chosen"] for row in rows):
                phases = [f"{count} {name} {by}" for name, by, count in chosen["phases"]]
                told.append((f"{family} by", f"{', '.join(phases)} ({chosen['why']})"))
        return told

    def _configs_of(self, study: dict[str, Any]) -> list[str]:
        """Configs of a study that became candidates; where none did, its best one."""
        question = _value(study["question"])
        way = _direction(question, str(question.get("metric", "")))
        order = "DESC" if way == "max" else "ASC"
        rows = self._rows(
            "SELECT t.config_hash FROM candidate c JOIN trial t "
            "ON t.project_id = c.project_id AND t.id = c.trial_id "
            "WHERE c.project_id = ? AND c.study_id = ? GROUP BY t.config_hash ORDER BY min(c.seq)",
            study["id"],
        ) or self._rows(
            "SELECT t.config_hash FROM study_trial l JOIN trial t "
            "ON t.project_id = l.project_id AND t.id = l.trial_id WHERE l.project_id = ? "
            "AND l.study_id = ? AND t.run_id IS NOT NULL AND t.score IS NOT NULL "
            f"ORDER BY t.score {order}, l.seq LIMIT 1",
            study["id"],
        )
        return [row["config_hash"] for row in rows]

    def _trials_of(self, study_id: str, config_hash: str) -> list[Node]:
        """A config's trials in the order a study looked at them, with their candidates."""
        rows = self._rows(
            "SELECT t.*, l.phase, min(l.number) AS number FROM study_trial l JOIN trial t "
            "ON t.project_id = l.project_id AND t.id = l.trial_id "
            "WHERE l.project_id = ? AND l.study_id = ? AND t.config_hash = ? "
            "GROUP BY t.seq, l.phase ORDER BY min(l.seq)",
            study_id,
            config_hash,
        )
        return [self._trial(row) for row in rows]

    def _trial(self, row: dict[str, Any]) -> Node:
        config = _value(row["config"])
        found = self._rows(
            "SELECT * FROM environment WHERE project_id = ? AND hash = ?", row["environment_hash"]
        )
        code = found[0] if found else {}
        told = [*self._told_config(config), *self._told_code(row["environment_hash"], code)]
        if row["run_id"]:
            told.insert(0, ("run", row["run_id"]))
        if row["checkpoint"]:
            told.append(("model", row["checkpoint"]))
        if row["reason"]:
            told.append(("reason", row["reason"].strip().splitlines()[-1]))
        facts = {
            **{name: row[name] for name in _OF_TRIAL},
            "config": config,
            "git_commit": code.get("git_commit"),
            "git_diff_hash": code.get("git_diff_hash"),
        }
        children = [
            self._candidate(candidate)
            for candidate in self._rows(
                "SELECT * FROM candidate WHERE project_id = ? AND trial_id = ? ORDER BY seq",
                row["id"],
            )
        ]
        return self._node("trial", row["id"], facts, _called(row), told, children, row["notes"])

    def _told_config(self, config: dict[str, Any]) -> list[tuple[str, str]]:
        other = {k: v for k, v in config.items() if self.config.get(k, ...) != v}
        if not self.config:
            self.config = config
            return [("config", _assigned(config))]
        return [("config", f"the same but {_assigned(other)}")] if other else []

    def _told_code(self, name: str, code: dict[str, Any]) -> list[tuple[str, str]]:
        if not code or name in self.said:
            return []
        self.said.add(name)
        commit, changes = code["git_commit"], code["git_diff_hash"]
        told = f"commit {commit[:12]}" if commit else "in no git repository"
        told += f" with uncommitted changes {changes[:12]}" if changes else ""
        packages, machine = json.loads(code["packages"]), json.loads(code["machine"])
        made = [f"{k} {packages[k]}" for k in ("podium", "torch", "numpy") if packages.get(k)]
        made += [f"python {machine['python']}"] if "python" in machine else []
        return [("code", told), ("environment", ", ".join([name[:12], *made]))]

    def _candidate(self, row: dict[str, Any]) -> Node:
        id_ = row["id"]
        stages = self._rows(
            "SELECT stage FROM stage WHERE project_id = ? AND candidate_id = ?", id_
        )
        stage = stages[0]["stage"] if stages else None
        evidence = self._rows(
            "SELECT id, kind, created_at FROM evidence WHERE project_id = ? "
            "AND candidate_id = ? ORDER BY seq",
            id_,
        )
        decisions = self._rows(
            "SELECT * FROM decision WHERE project_id = ? AND candidate_id = ? ORDER BY seq", id_
        )
        folder = self.store / row["artifact_path"]
        there = (folder / MANIFEST).is_file()
        told = [
            ("artefact", row["artifact_hash"][:20] + ("" if there else f", MISSING at {folder}")),
            ("trained", f"by {row['trial_id']}, until {day_of(row['trained_until'])}"),
            ("evidence", ", ".join(dict.fromkeys(e["kind"] for e in evidence)) or "none"),
            *((day_of(d["created_at"]), _decided(d)) for d in decisions),
        ]
        facts = {
            **{name: row[name] for name in _OF_CANDIDATE},
            "config": _value(row["config"]),
            "stage": stage,
            "artifact_there": there,
            "evidence": evidence,
            "decisions": [_plain(d) for d in decisions],
        }
        children = [
            self._candidate(child)
            for child in self._rows(
                "SELECT * FROM candidate WHERE project_id = ? AND parent_id = ? ORDER BY seq", id_
            )
        ]
        title = f"{id_}  version {row['version']}, {row['model_type']}, {stage}"
        return self._node("candidate", id_, facts, title, told, children)

    def _notes(self, id_: str) -> list[str]:
        rows = self._rows(
            "SELECT * FROM note WHERE project_id = ? AND subject_id = ? ORDER BY seq", id_
        )
        return [told_note(row) for row in rows]

    def _one(self, table: str, id_: str) -> dict[str, Any]:
        found = self._rows(f"SELECT * FROM {table} WHERE project_id = ? AND id = ?", id_)
        if not found:
            raise NotFoundError(
                f"the record refers to {id_} and has none", fix="run: podium doctor"
            )
        return found[0]

    def _rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        return self.door.query(sql, self.door.project_id, *values)


def _task(spec: dict[str, Any]) -> tuple[str, str]:
    """What a study's models are for, in words."""
    task: SlotTask = registry.load("tasks", spec.get("task", "forecast")).TASK
    return task.describe(spec)


def _direction(question: dict[str, Any], metric: str) -> str:
    """Which way a metric is better; a study of own code says so itself."""
    said: str = question.get("direction") or registry.direction(metric)
    return said


def _value(column: Any) -> Any:
    """Value of a JSON column, decoded already or not."""
    return json.loads(column) if isinstance(column, str) else column


def _assigned(config: dict[str, Any]) -> str:
    return ", ".join(
        f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in config.items()
    )


def _counted(row: dict[str, Any]) -> str:
    return f"{row['n']} {row['phase']}" + _unless_complete(row)


def _unless_complete(row: dict[str, Any]) -> str:
    return "" if row["state"] == "complete" else f" {row['state']}"


def _called(row: dict[str, Any]) -> str:
    place = f"{row['phase']} {row['number']}, fold {row['fold']}{_unless_complete(row)}"
    score = "" if row["score"] is None else f", {row['metric']} {number(row['score'])}"
    epochs = f", epoch {row['best_epoch']} of {row['epochs']}" if row["epochs"] else ""
    return f"{row['id']}  {place}{score}{epochs}"


def _decided(row: dict[str, Any]) -> str:
    """A decision in one line; who refused it is told, why is in ``podium show``."""
    if row["kind"] == Kind.SIGN:
        return f"{'signed' if row['accepted'] else 'rejected'} by {row['actor']}"
    if row["kind"] == Kind.WAIVE:
        waived = ", ".join(v["gate"] for v in _value(row["verdicts"]))
        return f"{waived} waived by {row['actor']}"
    move = f"{row['from_stage'] or 'new'} -> {row['to_stage']}"
    if row["accepted"]:
        return f"{move} by {row['actor']}"
    against = [v["gate"] for v in _value(row["verdicts"]) if v["result"] != "pass"]
    return f"{move} refused to {row['actor']}" + (f" by {', '.join(against)}" if against else "")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A decision without what only the database needs."""
    decoded = {name: _value(row[name]) for name in ("policy", "verdicts", "evidence")}
    return {**{k: v for k, v in row.items() if k not in ("seq", "project_id")}, **decoded}
