"""Lineage of a trial, candidate or study, from the record alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podium import registry
from podium.decision import Kind
from podium.errors import NotFoundError, UsageError
from podium.hashing import canonical
from podium.ledger.notes import note_line
from podium.ledger.record_reader import LOOKS, RecordReader
from podium.manifest import MANIFEST
from podium.own import describe as describe_code
from podium.render.table import number
from podium.render.tree import Branch
from podium.steps.workspace.moments import day_of
from podium.study import CHOICES, choices_of

KINDS = ("trials", "candidates", "studies")
# Columns that become facts of a node.
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
    """One item of the record with the items made from it.

    Parameters
    ----------
    kind : str
        ``dataset``, ``study``, ``trial`` or ``candidate``.
    here : bool
        Whether it is the requested item.
    facts : mapping
        Values of the record.
    title : str
    lines : sequence of (str, str)
        The facts as label and text.
    """

    kind: str
    id: str
    here: bool
    facts: dict[str, Any]
    title: str
    lines: Sequence[tuple[str, str]]
    children: Sequence[Node] = ()

    def item(self) -> dict[str, Any]:
        """All facts as one nested value for JSON."""
        children = [child.item() for child in self.children]
        about = {"kind": self.kind, "id": self.id, "here": self.here}
        return {**about, **self.facts, "children": children}

    def branch(self) -> Branch:
        """Title and lines as a branch for a terminal."""
        title = f"{'this ' if self.here else ''}{self.kind} {self.title}"
        return Branch(title, self.lines, [child.branch() for child in self.children])


def lineage(reader: RecordReader, name: str, store: Path) -> Node:
    """Tree from the data of an item down to everything made from it.

    Parameters
    ----------
    name : str
        Id of a trial, candidate or study, its beginning, or the name of a run.
    store : Path
        Folder of the artefacts, of which only the presence is checked.

    Raises
    ------
    NotFoundError
        No item, or more than one, has this name.
    UsageError
        The item is of another kind, such as a decision.
    """
    kind, row = reader.find(name)
    if kind not in KINDS:
        raise UsageError(f"{row['id']} is one of the {kind}", "a trial, a candidate or a study")
    return _Tree(reader, store, row["id"]).of(kind, row)


@dataclass
class _Tree:
    """State of one tree while it is built."""

    reader: RecordReader
    store: Path
    here: str
    # First config of the tree; others are shown by their differences from it.
    config: dict[str, Any] = field(default_factory=dict)
    # Environments that are shown already.
    shown: set[str] = field(default_factory=set)

    def of(self, kind: str, row: dict[str, Any]) -> Node:
        if kind == "studies":
            configs = self._configs_of(row)
            return self._dataset(row["question"].get("dataset"), [self._study(row, configs)])
        if kind == "candidates":
            root = self._one("candidate", row["root_id"])
            row = self._one("trial", root["trial_id"])
        links = self.reader.select("study_trial", "study_id", trial_id=row["id"])
        ids = dict.fromkeys(link["study_id"] for link in links)
        studies = [self._one("study", id_) for id_ in ids]
        children = [self._study(study, [row["config_hash"]]) for study in studies]
        return self._dataset(row["dataset_fingerprint"], children)

    def _dataset(self, fingerprint: str | None, children: Sequence[Node]) -> Node:
        """Node of the data; items that podium did not train have none."""
        data = self.reader.first("dataset", fingerprint=fingerprint or "")
        if data is None:
            if len(children) == 1:
                return children[0]
            return Node("dataset", "", False, {}, "not on record", (), children)
        tickers = data["tickers"]
        facts = {name: data[name] for name in ("name", "timeframe", "bars", "first_at", "last_at")}
        title = f"{data['name']}  {data['timeframe']}, {', '.join(tickers)}"
        size = ("bars", f"{data['bars']}, {day_of(data['first_at'])} to {day_of(data['last_at'])}")
        if not tickers:
            title, size = data["name"], ("samples", str(data["bars"]))
        lines = [size, ("fingerprint", data["fingerprint"][:20])]
        facts = {**facts, "tickers": tickers}
        return Node("dataset", data["fingerprint"], False, facts, title, lines, children)

    def _study(self, study: dict[str, Any], configs: Sequence[str]) -> Node:
        question = study["question"]
        counted = self._counted(study["id"], question)
        trials = ("trials", ", ".join(map(_counted, counted)) or "none")
        lines = [*self._question(question), *self._chose(study, question), trials]
        facts = {"slot": study["slot"], "question": question, "trials": counted}
        children = [node for config in configs for node in self._trials_of(study["id"], config)]
        title = f"{study['id']}  {study['slot']}"
        return self._node("study", study["id"], facts, title, lines, children)

    def _node(
        self,
        kind: str,
        id_: str,
        facts: dict[str, Any],
        title: str,
        lines: Sequence[tuple[str, str]],
        children: Sequence[Node],
        own_note: str = "",
    ) -> Node:
        """Node with its notes: that of its row, then those added later."""
        since = self.reader.select("note", subject_id=id_)
        notes = [*filter(None, [own_note]), *map(note_line, since)]
        facts = {**facts, "notes": notes}
        lines = [*lines, *(("note", note) for note in notes)]
        return Node(kind, id_, id_ == self.here, facts, title, lines, children)

    def _counted(self, study_id: str, question: dict[str, Any]) -> list[dict[str, Any]]:
        """Number of a study's trials and the best score, by phase, state and metric."""
        groups = ("phase", "state", "metric")
        scores: dict[tuple[str, ...], list[float | None]] = {}
        for row in self.reader.select(
            LOOKS, f"{', '.join(groups)}, score", order="look", study_id=study_id
        ):
            scores.setdefault(tuple(row[name] for name in groups), []).append(row["score"])
        counted = []
        for (phase, state, metric), of_group in scores.items():
            known = [score for score in of_group if score is not None]
            row = {"phase": phase, "state": state, "n": len(of_group), "metric": metric}
            counted.append({**row, "best": _best(question, metric)(known, default=None)})
        return counted

    def _question(self, question: dict[str, Any]) -> list[tuple[str, str]]:
        """Lines about the question of a study."""
        if "families" not in question:
            return [(str(name), str(value)) for name, value in question.items()]
        families = ", ".join(question["families"])
        # The name of a plugin has its version behind it.
        search = question["search"].partition("@")[0]
        seed = f", seed {question['seed']}" if "seed" in question else ""
        lines = [("search", f"{search} of {families}{seed}")]
        task = self.reader.first("task", hash=question["task"])
        return [_task(task["spec"]), *lines] if task else lines

    def _chose(self, study: dict[str, Any], question: dict[str, Any]) -> list[tuple[str, str]]:
        """Lines about the choices of the search, with their reasons."""
        lines = []
        for family in question.get("families", ()):
            key = choices_of(study["key"], family)
            for row in self.reader.select("receipt", step=CHOICES, inputs_hash=key):
                chosen = row["outputs"]["chosen"]
                phases = [f"{count} {name} {by}" for name, by, count in chosen["phases"]]
                lines.append((f"{family} by", f"{', '.join(phases)} ({chosen['why']})"))
        return lines

    def _configs_of(self, study: dict[str, Any]) -> list[str]:
        """Configs of a study that became candidates, else its best one."""
        candidates = self.reader.select("candidate", "trial_id", study_id=study["id"])
        trials = [
            row for each in candidates for row in self.reader.select("trial", id=each.values())
        ]
        if not trials:
            question = study["question"]
            best = _best(question, str(question.get("metric", "")))
            looks = self.reader.select(LOOKS, order="look", study_id=study["id"])
            runs = [row for row in looks if row["run_id"] and row["score"] is not None]
            trials = [best(runs, key=lambda row: row["score"])] if runs else []
        return list(dict.fromkeys(row["config_hash"] for row in trials))

    def _trials_of(self, study_id: str, config_hash: str) -> list[Node]:
        """Trials of a config in the order of the study, with their candidates."""
        looks = self.reader.select(LOOKS, order="look", study_id=study_id, config_hash=config_hash)
        first: dict[tuple[str, str], dict[str, Any]] = {}
        for row in looks:
            known = first.setdefault((row["id"], row["phase"]), row)
            known["number"] = min(known["number"], row["number"])
        return [self._trial(row) for row in first.values()]

    def _trial(self, row: dict[str, Any]) -> Node:
        config = row["config"]
        code = self.reader.first("environment", hash=row["environment_hash"]) or {}
        lines = [*self._config_lines(config), *self._code_lines(row["environment_hash"], code)]
        if row["run_id"]:
            lines.insert(0, ("run", row["run_id"]))
        if row["checkpoint"]:
            lines.append(("model", row["checkpoint"]))
        if row["reason"]:
            lines.append(("reason", row["reason"].strip().splitlines()[-1]))
        facts = {
            **{name: row[name] for name in _OF_TRIAL},
            "config": config,
            "git_commit": code.get("git_commit"),
            "git_diff_hash": code.get("git_diff_hash"),
        }
        children = [
            self._candidate(candidate)
            for candidate in self.reader.select("candidate", trial_id=row["id"])
        ]
        return self._node("trial", row["id"], facts, _called(row), lines, children, row["notes"])

    def _config_lines(self, config: dict[str, Any]) -> list[tuple[str, str]]:
        other = {k: v for k, v in config.items() if self.config.get(k, ...) != v}
        if not self.config:
            self.config = config
            return [("config", _assigned(config))]
        return [("config", f"the same but {_assigned(other)}")] if other else []

    def _code_lines(self, name: str, code: dict[str, Any]) -> list[tuple[str, str]]:
        if not code or name in self.shown:
            return []
        self.shown.add(name)
        commit, changes = code["git_commit"], code["git_diff_hash"]
        text = f"commit {commit[:12]}" if commit else "in no git repository"
        text += f" with uncommitted changes {changes[:12]}" if changes else ""
        packages, machine = code["packages"], code["machine"]
        made = [f"{k} {packages[k]}" for k in ("podium", "torch", "numpy") if packages.get(k)]
        made += [f"python {machine['python']}"] if "python" in machine else []
        return [("code", text), ("environment", ", ".join([name[:12], *made]))]

    def _candidate(self, row: dict[str, Any]) -> Node:
        id_ = row["id"]
        stage = self.reader.stages().get(id_)
        evidence = self.reader.select("evidence", "id, kind, created_at", candidate_id=id_)
        decisions = self.reader.select("decision", candidate_id=id_)
        folder = self.store / row["artifact_path"]
        there = (folder / MANIFEST).is_file()
        lines = [
            ("artefact", row["artifact_hash"][:20] + ("" if there else f", MISSING at {folder}")),
            ("trained", f"by {row['trial_id']}, until {day_of(row['trained_until'])}"),
            ("evidence", ", ".join(dict.fromkeys(e["kind"] for e in evidence)) or "none"),
            *((day_of(d["created_at"]), _decided(d)) for d in decisions),
        ]
        facts = {
            **{name: row[name] for name in _OF_CANDIDATE},
            "config": row["config"],
            "stage": stage,
            "artifact_there": there,
            "evidence": evidence,
            "decisions": [_plain(d) for d in decisions],
        }
        children = [
            self._candidate(child) for child in self.reader.select("candidate", parent_id=id_)
        ]
        title = f"{id_}  version {row['version']}, {row['model_type']}, {stage}"
        return self._node("candidate", id_, facts, title, lines, children)

    def _one(self, table: str, id_: str) -> dict[str, Any]:
        row = self.reader.first(table, id=id_)
        if row is None:
            raise NotFoundError(
                f"the record refers to {id_} and lacks it", fix="run: podium doctor"
            )
        return row


def _task(spec: dict[str, Any]) -> tuple[str, str]:
    """Line about the task of a study."""
    words = registry.constant("tasks", spec.get("task", "forecast"), "WORDS")
    if words is None:
        return ("trains", describe_code(spec))
    parts = {name: ", ".join(v) if isinstance(v, list) else v for name, v in spec.items()}
    return (words[0], words[1].format_map(parts))


def _best(question: dict[str, Any], metric: str) -> Callable[..., Any]:
    """Better direction of a metric; a study of own code has its own."""
    return max if (question.get("direction") or registry.direction(metric)) == "max" else min


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
    """A decision in one line with the gates that refused it; ``podium show`` has the reasons."""
    if row["kind"] == Kind.SIGN:
        return f"{'signed' if row['accepted'] else 'rejected'} by {row['actor']}"
    if row["kind"] == Kind.WAIVE:
        waived = ", ".join(v["gate"] for v in row["verdicts"])
        return f"{waived} waived by {row['actor']}"
    move = f"{row['from_stage'] or 'new'} -> {row['to_stage']}"
    if row["accepted"]:
        return f"{move} by {row['actor']}"
    against = [v["gate"] for v in row["verdicts"] if v["result"] != "pass"]
    return f"{move} refused to {row['actor']}" + (f" by {', '.join(against)}" if against else "")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A decision without what only the database needs."""
    plain = {name: value for name, value in row.items() if name != "seq"}
    return {**plain, "contents": canonical(row["contents"])}
