"""Train a recorded trial or candidate again and compare every result to the last bit."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import artifact
from podium.errors import DataError, NotFoundError, Problem, RefusedError, UsageError
from podium.ledger import writes
from podium.ledger.record_reader import LOOKS, RecordReader
from podium.render.answer import Answer
from podium.runners._files import store_files
from podium.steps.archive.differences import Part, ResultCheck, files, numbers
from podium.steps.archive.rebuild import Rebuilt, Row, rebuild
from podium.steps.candidates.final_model import PHASE as FINALIZE
from podium.steps.data.own_code import own_command
from podium.steps.workspace import environment
from podium.steps.workspace.project import Project
from podium.trial import State, Task

# Columns that all trainings of a candidate share.
_SAME = (
    "config_hash", "family", "family_version", "dataset_fingerprint", "task_hash", "split_hash",
)  # fmt: skip


@dataclass(frozen=True)
class EnvironmentCheck:
    """Recorded and present value of one part of the environment."""

    what: str
    recorded: str
    now: str

    @property
    def same(self) -> bool:
        """Whether the value has not changed."""
        return self.recorded == self.now


@dataclass(frozen=True)
class Reproduction(Answer):
    """Comparison of a trial or candidate with a new training of it.

    Parameters
    ----------
    problems : tuple of Problem
        Reasons why training again is impossible.
    findings : tuple of ResultCheck
        Empty when nothing was trained.
    data : str
        The data of the training, and where they are.
    """

    id: str
    grounds: tuple[EnvironmentCheck, ...]
    problems: tuple[Problem, ...] = ()
    findings: tuple[ResultCheck, ...] = ()
    data: str = ""

    @property
    def equal(self) -> bool:
        """Whether every number is the same to the last bit."""
        return bool(self.findings) and all(f.same or f.harmless for f in self.findings)

    @property
    def sentence(self) -> str:
        """Whether the new training equals the recorded one, and the differences."""
        if self.problems:
            return f"{self.id} cannot be trained again as it was; nothing was trained"
        if not self.findings:
            return f"nothing was trained; the data, the family and the task of {self.id} are here"
        bad = [f for f in self.findings if not f.same and not f.harmless]
        if bad:
            return f"{self.id} differs: " + "; ".join(f"{f.what}: {f.comparison}" for f in bad)
        harmless = "; ".join(f"{f.what}: {f.comparison}" for f in self.findings if f.harmless)
        if harmless:
            return f"{self.id} gives the same numbers; {harmless}"
        return f"{self.id} is bit-equal"

    def rows(self) -> list[dict[str, Any]]:
        """One row a result: trial, result, whether it is the same, and the comparison."""
        return [
            {"trial": f.trial, "result": f.what, "same": f.same, "comparison": f.comparison}
            for f in self.findings
        ]


def reproduce(
    project: Project, name: str, *, dry_run: bool = False, note: bool = False
) -> Reproduction:
    """Compare code, packages, machine and data with the record, then train again and compare.

    The record does not change: no trial, score or model is written.

    Parameters
    ----------
    name : str
        Id of a trial or candidate, its beginning, or the name of a run.
    dry_run : bool
        Compare the environment and the data, and train nothing.
    note : bool
        Append the result to the notes of the trial or candidate.

    Returns
    -------
    Reproduction

    Raises
    ------
    UsageError
        The id is of another kind, or podium did not train it.
    NotFoundError
        There is no such trial or candidate, or it has not ended.
    DataError
        The candidate's artefact is not the one that was judged.
    """
    reader = project.reader
    kind, row = reader.find(name)
    parts = _parts(project, reader, kind, row)
    grounds = tuple(_grounds(project, reader, parts[0].row))
    try:
        rebuilt = rebuild(project.config, reader, parts[0].row)
    except DataError as error:
        return Reproduction(row["id"], grounds, error.problems)
    findings: list[ResultCheck] = []
    if not dry_run:
        for number, part in enumerate(parts):
            project.reporter.progress(f"reproduce {row['id']}", number, len(parts))
            findings += _train_again(project, reader, rebuilt, part)
        project.reporter.progress(f"reproduce {row['id']}", len(parts), len(parts))
    result = Reproduction(row["id"], grounds, (), tuple(findings), rebuilt.description)
    if note and findings:
        text = f"reproduced: {result.sentence}{_changes(grounds)}"
        project.ledger.write_durably(writes.put_note, result.id, text, project.actor)
    return result


def require_equal(result: Reproduction) -> None:
    """Raise an error where training again was impossible, or gave other results.

    Raises
    ------
    DataError
        The data, the family or the task have changed.
    RefusedError
        The results differ; names the recorded environment.
    """
    if result.problems:
        raise DataError.of(result.problems)
    if result.findings and not result.equal:
        fix = "; ".join(f"{g.what}: {g.recorded}" for g in result.grounds if not g.same)
        raise RefusedError(
            result.sentence,
            "the recorded numbers to the last bit",
            f"restore the environment of the training ({fix}) and run the same command"
            if fix
            else "the environment has not changed: either the record has, or the family is not "
            "deterministic; run: podium doctor",
        )


def _parts(project: Project, reader: RecordReader, kind: str, subject: Row) -> list[Part]:
    if kind == "trials":
        _require_trained(reader, subject)
        return [Part(subject, *_own_model(project, subject))]
    if kind != "candidates":
        raise UsageError(f"{subject['id']} is one of the {kind}", "a trial or a candidate")
    folder = project.store / subject["artifact_path"]
    manifest = artifact.verify(folder, subject["artifact_hash"])
    names = manifest["files"]
    rows = {"final_model": reader.find(subject["trial_id"])[1]}
    if not any(name.startswith("final_model/") for name in names):
        # The model of a trial, from one training.
        rows = {"best_model": rows["final_model"]}
    elif any(name.startswith("best_model/") for name in names):
        whole = rows["final_model"]
        rows = {"best_model": _training(reader, subject, whole, 0, whole["seed"]), **rows}
    if members := manifest.get("members"):
        rows = {
            f"{checkpoint}/{member}": _training(reader, subject, row, row["fold"], seed)
            for checkpoint, row in rows.items()
            for member, seed in zip(members, manifest["seeds"], strict=True)
        }
    for row in rows.values():
        _require_trained(reader, row)
    return [
        Part(row, folder, subject["artifact_hash"], checkpoint) for checkpoint, row in rows.items()
    ]


def _require_trained(reader: RecordReader, row: Row) -> None:
    """Refuse a trial that podium did not train, or that has not ended."""
    if row["origin"]:
        raise UsageError(
            f"podium did not train {row['run_id'] or row['id']}: it came from {row['origin']}, so "
            "its data and its seed are not on record",
            "a trial of a search, or a candidate",
        )
    if command := own_command(reader, row["task_hash"]):
        raise UsageError(
            f"{row['id']} was trained by own code: {command}",
            "a trial of one of podium's families",
            "run the command yourself with the config and the seed that podium show prints",
        )
    if not State(row["state"]).ended:
        raise NotFoundError(
            f"{row['id']} is {row['state']} and has no result yet", fix="run: podium run"
        )


def _own_model(project: Project, row: Row) -> tuple[Path | None, str, str]:
    """Folder, hash and checkpoint of a trial's model; None where it was not stored or removed."""
    name, checkpoint = row["artifact_hash"], row["checkpoint"]
    if not name or not checkpoint:
        return None, "", ""
    folder = project.store / artifact.folder_of(name)
    artifact.verify(folder, name)
    inner = [part for part in Path(checkpoint).parts if part in artifact.CHECKPOINTS]
    return folder, name, inner[0]


def _training(reader: RecordReader, candidate: Row, whole: Row, fold: int, seed: int) -> Row:
    """One of a candidate's trainings; fold 0 held the last slice out."""
    same = {name: whole[name] for name in _SAME}
    of = {"study_id": candidate["study_id"], "phase": FINALIZE, "fold": fold, "seed": seed}
    rows = reader.select(LOOKS, "id, artifact_hash", order="look", **of, **same)
    # Two candidates may share a training, whose trial has the artefact of the first.
    mine = [r for r in rows if r["artifact_hash"] == candidate["artifact_hash"]] or rows
    if not mine:
        raise NotFoundError(
            f"a training of {candidate['id']} is not on record", fix="run: podium doctor"
        )
    return reader.find(mine[-1]["id"])[1]


def _grounds(project: Project, reader: RecordReader, row: Row) -> list[EnvironmentCheck]:
    """Recorded and present code, packages and machine."""
    then = reader.first("environment", hash=row["environment_hash"])
    if then is None:
        raise NotFoundError(f"no environment of {row['id']} on record", fix="run: podium doctor")
    now = environment.capture(project.root)
    pairs = [
        ("git commit", then["git_commit"], now["git_commit"]),
        ("uncommitted changes", then["git_diff_hash"], now["git_diff_hash"]),
    ]
    for part in ("packages", "machine"):
        for what, known in then[part].items():
            pairs.append((what.replace("_", " "), known, now[part].get(what)))
    return [EnvironmentCheck(what, _text(known), _text(present)) for what, known, present in pairs]


def _text(value: object) -> str:
    text = "none" if value is None else str(value)
    return text[:12] if len(text) in (40, 64) else text


def _changes(grounds: Sequence[EnvironmentCheck]) -> str:
    changed = [f"{g.what} {g.now} instead of {g.recorded}" for g in grounds if not g.same]
    return f" (with {', '.join(changed)})" if changed else " (same code, packages and machine)"


def _train_again(
    project: Project, reader: RecordReader, rebuilt: Rebuilt, part: Part
) -> list[ResultCheck]:
    row = part.row
    task = Task(row["id"], row["config"], row["fold"], row["seed"])
    # Outside the project, where other steps clean up after a kill.
    with tempfile.TemporaryDirectory(prefix="podium-") as work:
        save_to = work if part.folder else ""
        job = rebuilt.job(row["family"], row["metric"], save_to)
        [ended] = store_files(job, project.runner.run(job, [task]))
        findings = numbers(reader, row, ended)
        if part.folder and ended.state is State.COMPLETE:
            findings += files(rebuilt, part, Path(work) / row["id"])
    return findings
