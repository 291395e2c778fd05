"""Files of trials that are sent between machines as bytes by name.

A runner whose workers share the driver's files leaves models and states of paused trials at the
job's paths. A runner with ``shares_files = False`` sends them: :func:`with_state` adds states to
the tasks, its workers call :func:`run_tasks_apart` in a separate folder, and the steps write the
returned files with :func:`store_files`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from podium.errors import DataError
from podium.files import flush, flush_folder
from podium.runners._base import run_tasks
from podium.trial import Ended, Files, Job, Task


def read_folder(folder: Path) -> dict[str, bytes]:
    """Contents of all files below a folder by their relative POSIX path.

    A folder is an entry without bytes whose name ends with a slash.
    """
    contents = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            contents[f"{name}/"] = b""
        elif path.is_file():
            contents[name] = path.read_bytes()
    return contents


def write_folder(files: Files, folder: Path) -> None:
    """Replace a folder by these files, flushed.

    Parameters
    ----------
    files : str or mapping
        Path of a folder, or contents by name as :func:`read_folder` returns them.
    folder : Path

    Raises
    ------
    DataError
        A name leads out of the folder.
    """
    contents = read_folder(Path(files)) if isinstance(files, str) else files
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, content in contents.items():
        plain = PurePosixPath(name)
        if plain.is_absolute() or ".." in plain.parts:
            raise DataError(f"a trial's file is named {name!r}", "a name inside of its folder")
        path = temporary / plain
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    flush_folder(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    flush(folder.parent)


def with_state(job: Job, task: Task) -> Task:
    """Return the task with its paused state, for a worker without the driver's files."""
    folder = Path(job.pause_to) / task.trial_id
    if not job.pause_to or not folder.is_dir():
        return task
    return replace(task, resumes=read_folder(folder))


def run_tasks_apart(job: Job, tasks: Sequence[Task], folder: Path) -> Iterator[Ended]:
    """Fit tasks of :func:`with_state` as ``run_tasks`` does, with all files below one folder.

    Parameters
    ----------
    job : Job
        Its folders are the driver's and are ignored.
    tasks : sequence of Task
    folder : Path
        A folder of the worker, which may be deleted afterwards.

    Yields
    ------
    Ended
        With the files of its model or state as bytes.
    """
    models, states = folder / "models", folder / "states"
    mine = replace(
        job,
        save_to=str(models) if job.save_to else "",
        pause_to=str(states) if job.pause_to else "",
        # The next worker could not read them after a kill.
        leaves_states=False,
    )
    for task in tasks:
        if task.resumes:
            write_folder(task.resumes, states / task.trial_id)
    for ended in run_tasks(mine, [replace(task, resumes="") for task in tasks]):
        yield replace(ended, model=_bytes(ended.model), paused=_bytes(ended.paused))


def store_files(job: Job, ends: Iterator[Ended]) -> Iterator[Ended]:
    """Yield the ends of a runner with their models and states at the job's paths.

    Bytes, and files at other paths, are written there before their end is yielded.
    """
    for ended in ends:
        trial = ended.task.trial_id
        for files, place in ((ended.model, job.save_to), (ended.paused, job.pause_to)):
            target = Path(place) / trial
            if files and place and files != str(target):
                write_folder(files, target)
        yield replace(
            ended,
            model=str(Path(job.save_to) / trial) if ended.model and job.save_to else "",
            paused=str(Path(job.pause_to) / trial) if ended.paused and job.pause_to else "",
        )


def _bytes(files: Files) -> Files:
    return read_folder(Path(files)) if isinstance(files, str) and files else files
