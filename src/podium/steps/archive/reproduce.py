"""Train a recorded trial or candidate again and say whether it is the same to the last bit."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from podium import artifact
from podium.errors import DataError, NotFoundError, Problem, RefusedError, UsageError
from podium.ledger import writes
from podium.ledger.record_reader import LOOKS, RecordReader
from podium.runners._files import store_files
from podium.steps.archive.differences import Part, ResultCheck, files, numbers
from podium.steps.archive.rebuild import Rebuilt, Row, rebuild
from podium.steps.candidates.final_model import PHASE as FINALIZE
from podium.steps.data.own_code import own_command
from podium.steps.workspace import environment
from podium.steps.workspace.project import Project
from podium.trial import State, Task

# What the trainings that gave a candidate have in common.
_SAME = (
    "config_hash", "family", "family_version", "dataset_fingerprint", "task_hash", "split_hash",
)  # fmt: skip


@dataclass(frozen=True)
class EnvironmentCheck:
    """One thing results may depend on besides the data: as recorded, and as it is now."""

    what: str
    recorded: str
    now: str

    @property
    def same(self) -> bool:
        """Whether it is as it was."""
        return self.recorded == self.now


@dataclass(frozen=True)
class Reproduction:
    """A trial or candidate trained again.

    Parameters
    ----------
    problems : tuple of Problem
        What makes it impossible; nothing was trained then.
    findings : tuple of Finding
        Empty when nothing was trained.
    data : str
        The bars it was trained on, and how they were found.
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
        """What came of it."""
        if self.problems:
            return f"{self.id} cannot be trained again as it was; nothing was trained"
        if not self.findings:
            return f"nothing was trained; what {self.id} stands on is here"
        bad = [f for f in self.findings if not f.same and not f.harmless]
        if bad:
            return f"{self.id} differs: " + "; ".join(f"{f.what}: {f.told}" for f in bad)
        odd = [f for f in self.findings if f.harmless]
        if odd:
            told = "; ".join(f"{f.what}: {f.told}" for f in odd)
            return f"{self.id} gives the same numbers; {told}"
        return f"{self.id} is bit-equal"


def reproduce(
    project: Project, name: str, *, dry_run: bool = False, note: bool = False
) -> Reproduction:
    """Hold code, packages, machine and data against the record, then train again and compare.

    The training happens beside the record: no trial, score or model of it is touched.

    Parameters
    ----------
    name : str
        Id of a trial or candidate, the beginning of one, or a run's name.
    dry_run : bool
        Check what it stands on and train nothing.
    note : bool
        Append what came of it to the thing's notes.

    Raises
    ------
    UsageError
        It is something else, or podium did not train it.
    NotFoundError
        There is none, or it has not ended.
    DataError
        The candidate's artefact is not what was judged.
    """
    reader = project.reader
    kind, found = reader.find(name)
    parts = _parts(project, reader, kind, found)
    grounds = tuple(_grounds(project, reader, parts[0].row))
    try:
        rebuilt = rebuild(project.config, reader, parts[0].row)
    except DataError as error:
        return Reproduction(found["id"], grounds, error.problems)
    findings: list[ResultCheck] = []
    if not dry_run:
        for number, part in enumerate(parts):
            project.reporter.progress(f"reproduce {found['id']}", number, len(parts))
            findings += _again(project, reader, rebuilt, part)
        project.reporter.progress(f"reproduce {found['id']}", len(parts), len(parts))
    done = Reproduction(found["id"], grounds, (), tuple(findings), rebuilt.told)
    if note and findings:
        told = f"reproduced: {done.sentence}{_told_grounds(grounds)}"
        project.ledger.write_durably(writes.put_note, done.id, told, project.actor)
    return done


def require_equal(found: Reproduction) -> None:
    """Refuse what could not be trained again, or came out different.

    Raises
    ------
    DataError
        The data, the family or the task are not what they were.
    RefusedError
        With what differs, and how to get what it was trained with.
    """
    if found.problems:
        raise DataError.of(found.problems)
    if found.findings and not found.equal:
        fix = "; ".join(f"{g.what}: {g.recorded}" for g in found.grounds if not g.same)
        raise RefusedError(
            found.sentence,
            "the recorded numbers to the last bit",
            f"go back to what it was trained with ({fix}) and run the same command"
            if fix
            else "nothing it stands on has changed: the record was, or the family is not "
            "deterministic; run: podium doctor",
        )


def _parts(project: Project, reader: RecordReader, kind: str, found: Row) -> list[Part]:
    if kind == "trials":
        _require_trained(reader, found)
        return [Part(found, *_kept(project, found))]
    if kind != "candidates":
        raise UsageError(f"{found['id']} is one of the {kind}", "a trial or a candidate")
    folder = project.store / found["artifact_path"]
    manifest = artifact.verify(folder, found["artifact_hash"])
    names = manifest["files"]
    rows = {"final_model": _trial(reader, found["trial_id"])}
    if not any(name.startswith("final_model/") for name in names):
        # A model that a search kept, which only one training gave.
        rows = {"best_model": rows["final_model"]}
    elif any(name.startswith("best_model/") for name in names):
        whole = rows["final_model"]
        rows = {"best_model": _training(reader, found, whole, 0, whole["seed"]), **rows}
    if members := manifest.get("members"):
        rows = {
            f"{checkpoint}/{member}": _training(reader, found, row, row["fold"], seed)
            for checkpoint, row in rows.items()
            for member, seed in zip(members, manifest["seeds"], strict=True)
        }
    for row in rows.values():
        _require_trained(reader, row)
    return [
        Part(row, folder, found["artifact_hash"], checkpoint) for checkpoint, row in rows.items()
    ]


def _require_trained(reader: RecordReader, row: Row) -> None:
    """Refuse what podium did not train, or did not train to an end."""
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
            "run that yourself with the trial's config and seed: podium show tells them",
        )
    if not State(row["state"]).ended:
        raise NotFoundError(
            f"{row['id']} is {row['state']} and has no result yet", fix="run: podium run"
        )


def _kept(project: Project, row: Row) -> tuple[Path | None, str, str]:
    """Where a trial's own model lies, if it was kept; removed ones have no checkpoint."""
    name, checkpoint = row["artifact_hash"], row["checkpoint"]
    if not name or not checkpoint:
        return None, "", ""
    folder = project.store / artifact.folder_of(name)
    artifact.verify(folder, name)
    inner = [part for part in Path(checkpoint).parts if part in artifact.CHECKPOINTS]
    return folder, name, inner[0]


def _training(reader: RecordReader, candidate: Row, whole: Row, fold: int, seed: int) -> Row:
    """One of the trainings that gave a candidate; fold 0 held the last slice out."""
    same = {name: whole[name] for name in _SAME}
    of = {"study_id": candidate["study_id"], "phase": FINALIZE, "fold": fold, "seed": seed}
    rows = reader.select(LOOKS, "id, artifact_hash", order="look", **of, **same)
    # Two candidates may share this training; the trial then names the artefact of the first.
    mine = [r for r in rows if r["artifact_hash"] == candidate["artifact_hash"]] or rows
    if not mine:
        raise NotFoundError(
            f"a training of {candidate['id']} is not on record", fix="run: podium doctor"
        )
    return _trial(reader, mine[-1]["id"])


def _trial(reader: RecordReader, id_: str) -> Row:
    return reader.find(id_)[1]


def _grounds(project: Project, reader: RecordReader, row: Row) -> list[EnvironmentCheck]:
    """Code, packages and machine, as recorded and as they are."""
    then = reader.first("environment", hash=row["environment_hash"])
    if then is None:
        raise NotFoundError(f"no environment of {row['id']} on record", fix="run: podium doctor")
    now = environment.capture(project.root)
    diff = now["git_diff"]
    pairs = [
        ("git commit", then["git_commit"], now["git_commit"]),
        ("uncommitted changes", then["git_diff_hash"], writes.text_hash(diff) if diff else None),
    ]
    for part in ("packages", "machine"):
        for what, known in then[part].items():
            pairs.append((what.replace("_", " "), known, now[part].get(what)))
    return [EnvironmentCheck(what, _text(known), _text(present)) for what, known, present in pairs]


def _text(value: object) -> str:
    text = "none" if value is None else str(value)
    return text[:12] if len(text) in (40, 64) else text


def _told_grounds(grounds: Sequence[EnvironmentCheck]) -> str:
    told = [f"{g.what} {g.now} instead of {g.recorded}" for g in grounds if not g.same]
    return f" (with {', '.join(told)})" if told else " (same code, packages and machine)"


def _again(
    project: Project, reader: RecordReader, rebuilt: Rebuilt, part: Part
) -> list[ResultCheck]:
    row = part.row
    task = Task(row["id"], row["config"], row["fold"], row["seed"])
    # Not below the project: what is left there after a kill belongs to other steps.
    with tempfile.TemporaryDirectory(prefix="podium-") as work:
        save_to = work if part.folder else ""
        job = rebuilt.job(row["family"], row["metric"], save_to)
        [ended] = store_files(job, project.runner.run(job, [task]))
        findings = numbers(reader, row, ended)
        if part.folder and ended.state is State.COMPLETE:
            findings += files(rebuilt, part, Path(work) / row["id"])
    return findings
