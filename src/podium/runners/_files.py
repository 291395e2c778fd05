"""Files of trials that travel between machines: a folder as bytes by name, and a folder again.

A runner whose workers share the driver's files leaves models and states of paused trials where the
job says. One whose workers do not (``shares_files = False``) sends them: its driver's half hands
over tasks that :func:`sent` gave their states, its workers run :func:`work_apart` in a folder of
their own, and the steps put what came back in place with :func:`placed`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from podium.errors import DataError
from podium.files import flush, flush_folder
from podium.runners._base import work
from podium.trial import Ended, Files, Job, Task


def packed(folder: Path) -> dict[str, bytes]:
    """Contents of all files below a folder by their relative POSIX path.

    A folder is an entry of its own, without bytes, whose name ends with a slash.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            found[f"{name}/"] = b""
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def unpack(files: Files, folder: Path) -> None:
    """Let a folder hold these files, flushed, and nothing else.

    Parameters
    ----------
    files : str or mapping
        Path of a folder, or contents by name as :func:`packed` returns them.
    folder : Path

    Raises
    ------
    DataError
        A name leads out of the folder.
    """
    contents = packed(Path(files)) if isinstance(files, str) else files
    beside = folder.with_name(f".{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name, content in contents.items():
        plain = PurePosixPath(name)
        if plain.is_absolute() or ".." in plain.parts:
            raise DataError(f"a trial's file is named {name!r}", "a name inside of its folder")
        path = beside / plain
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    flush_folder(beside)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    flush(folder.parent)


def sent(job: Job, task: Task) -> Task:
    """The task with the state that it goes on from, for a worker without the driver's files."""
    folder = Path(job.pause_to) / task.trial_id
    if not job.pause_to or not folder.is_dir():
        return task
    return replace(task, resumes=packed(folder))


def work_apart(job: Job, tasks: Sequence[Task], folder: Path) -> Iterator[Ended]:
    """Fit tasks that :func:`sent` made, as ``work`` does, with all files below one folder.

    Parameters
    ----------
    job : Job
        Its folders are the driver's; they are not looked at.
    tasks : sequence of Task
    folder : Path
        A folder of the worker's own, which may be deleted afterwards.

    Yields
    ------
    Ended
        With the files of its model, or of its state, as bytes.
    """
    models, states = folder / "models", folder / "states"
    mine = replace(
        job,
        save_to=str(models) if job.save_to else "",
        pause_to=str(states) if job.pause_to else "",
        # Nobody would find them after a kill.
        leaves_states=False,
    )
    for task in tasks:
        if task.resumes:
            unpack(task.resumes, states / task.trial_id)
    for ended in work(mine, [replace(task, resumes="") for task in tasks]):
        yield replace(ended, model=_bytes(ended.model), paused=_bytes(ended.paused))


def placed(job: Job, ends: Iterator[Ended]) -> Iterator[Ended]:
    """The ends of a runner, with their models and states where the job wants them.

    What lies there already stays; what came as bytes, or lies elsewhere, is written there before
    its end is yielded.
    """
    for ended in ends:
        trial = ended.task.trial_id
        for files, place in ((ended.model, job.save_to), (ended.paused, job.pause_to)):
            target = Path(place) / trial
            if files and place and files != str(target):
                unpack(files, target)
        yield replace(
            ended,
            model=str(Path(job.save_to) / trial) if ended.model and job.save_to else "",
            paused=str(Path(job.pause_to) / trial) if ended.paused and job.pause_to else "",
        )


def _bytes(files: Files) -> Files:
    return packed(Path(files)) if isinstance(files, str) and files else files
