"""Add files as a dataset of the project, and create example data."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from podium import config as configuration
from podium import registry
from podium.config import FILE, holds_sequences
from podium.errors import ConflictError, DataError, NotFoundError, UsageError, suggest
from podium.files import full_disk_explained, lock, write_atomic
from podium.readers._bars import Inspection
from podium.readers._files import is_pattern, matching
from podium.readers._findings import DataIssue, problems
from podium.steps.data import glucose
from podium.steps.data.reading import inspect_path, reader_of
from podium.timeframe import is_dated

NAME = re.compile(r"[A-Za-z0-9_-]+")
MADE = {"demo": "us4", "glucose": "glucose"}


@dataclass(frozen=True)
class Added:
    """A dataset added to podium.toml.

    Parameters
    ----------
    table : str
        The text appended to podium.toml.
    found : mapping
        Facts about the files.
    findings : tuple of DataIssue
        Warnings and notes.
    assumed : tuple of str
        Assumptions about unset options.
    """

    name: str
    table: str
    found: Mapping[str, Any]
    findings: tuple[DataIssue, ...] = ()
    assumed: tuple[str, ...] = ()


def add(
    root: Path,
    name: str,
    paths: Sequence[Path],
    *,
    validation: Path | None = None,
    copy: bool = False,
    tickers: Sequence[str] = (),
    timeframe: str = "",
    adjust: bool | None = None,
    resample: str = "",
    day_starts_at: str = "",
    week_ends: str = "",
    **options: Any,
) -> Added:
    """Inspect files and append a ``[datasets.NAME]`` table for them to podium.toml.

    The rest of podium.toml is unchanged, comments included. Inferred options are written to the
    table, so that files added later do not change how the first ones are read. Intraday stamps
    are read as opens by default: a bar is then known later rather than earlier.

    Parameters
    ----------
    paths : sequence of Path
        A file, a folder or a pattern; several files must share folder and kind.
    validation : Path, optional
        Second file of sequences.
    copy : bool
        Copy the files into ``data/NAME`` instead of referring to them in place.
    adjust : bool, optional
        Default: adjust if the files have adjusted closes.
    resample, day_starts_at, week_ends, options
        As in a dataset's table.

    Raises
    ------
    ConflictError
        The name is taken.
    NotFoundError
        No such files.
    DataError
        Every error of the files, with the repairs for them. Nothing is written.
    UsageError
        An invalid name or setting.
    """
    _require_free(root, name)
    path = _one_path(paths)
    reader = reader_of(path)
    if holds_sequences(reader):
        return _add_sequences(reader, root, name, path, validation, copy=copy)
    if validation:
        raise UsageError("a validation file for bars", "sequences (.npz)", "leave it out")
    summary = inspect_path(
        reader, path, name=name, tickers=tickers, timeframe=timeframe, adjust=adjust,
        options=options,
    )  # fmt: skip
    result, settings = summary.result, summary.settings
    if result.dataset is None:
        raise DataError.of(problems(result.findings))
    if copy:
        path = _copied(root, name, result.files, path)
    keys: dict[str, Any] = {
        "path": _relative(root, path),
        "tickers": list(result.tickers),
        "timeframe": result.timeframe,
        "reader": "" if reader == "csv" else reader,
        "adjust": bool(adjust if adjust is not None else result.adjust),
        "layout": "" if result.layout == "files" else result.layout,
        **settings,
        "date_format": settings.get("date_format", result.form),
        "resample": resample,
        "day_starts_at": day_starts_at,
        "week_ends": week_ends,
    }
    table = append_table(root, f"datasets.{name}", keys)
    dataset = result.dataset
    facts = {
        "files": len(result.files),
        "layout": _LAYOUTS[result.layout],
        "tickers": ", ".join(result.tickers),
        "timeframe": result.timeframe,
        "bars": len(dataset),
        "from": str(dataset.times[0]),
        "to": str(dataset.times[-1]),
        "stamps": _stamps(result, settings),
        "adjusted": "by adj_close or factor" if keys["adjust"] else "not by podium",
        "fingerprint": dataset.fingerprint,
    }
    return Added(name, table, facts, tuple(result.findings), tuple(summary.assumed))


_LAYOUTS = {
    "files": "one file per ticker",
    "long": "a column of tickers",
    "wide": "columns of every ticker",
}


def make(root: Path, what: str, *, name: str = "") -> Added:
    """Write example data into the project and add them as a dataset.

    Parameters
    ----------
    what : {"demo", "glucose"}
        Daily bars of four US stocks; windows of a glucose sensor with three classes, from the
        package bokeh-sampledata.
    name : str
        Name of the dataset; default ``us4`` and ``glucose``.

    Raises
    ------
    ConflictError
        The name is taken, or files with other contents exist.
    MissingExtraError
        The package is not installed.
    NotFoundError
        No such data.
    """
    if what not in MADE:
        raise NotFoundError(f"no example data '{what}'", fix=suggest(what, MADE))
    name = name or MADE[what]
    _require_free(root, name)
    folder = root / "data" / name
    if what == "demo":
        shipped = files("podium.demo") / "us4"
        _write(folder, {entry.name: entry.read_bytes() for entry in shipped.iterdir()})
        return add(root, name, [folder], adjust=True)
    parts = glucose.sequences(glucose.readings())
    made = {f"{part}_sequences.npz": glucose.packed(arrays) for part, arrays in parts.items()}
    _write(folder, made)
    train, validation = (folder / file for file in made)
    return add(root, name, [train], validation=validation)


def _add_sequences(
    reader: str, root: Path, name: str, path: Path, validation: Path | None, *, copy: bool
) -> Added:
    read = registry.load("readers", reader).read
    places = [path, *([validation] if validation else [])]
    parts = [read(place, name=name) for place in places]
    if copy:
        places = [_copied(root, name, [place], place) for place in places]
    keys: dict[str, Any] = {"path": _relative(root, places[0]), "reader": reader}
    if validation:
        keys["validation"] = _relative(root, places[1])
    facts: dict[str, Any] = {}
    for label, part in zip(("samples", "validation samples"), parts, strict=False):
        facts[label] = len(part)
        if counts := part.class_counts:
            facts[f"classes of {label}"] = ", ".join(f"{key} {n}" for key, n in counts.items())
    facts["steps, features"] = ", ".join(map(str, parts[0].x.shape[1:]))
    facts["fingerprint"] = parts[0].fingerprint
    return Added(name, append_table(root, f"datasets.{name}", keys), facts)


def _require_free(root: Path, name: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(f"dataset name '{name}'", "letters, digits, _ and -")
    if name in configuration.load(root).datasets:
        fix = "choose another name, or edit its table; nothing was changed"
        raise ConflictError(f"{FILE} has a dataset '{name}'", "an unused name", fix)


def _one_path(paths: Sequence[Path]) -> Path:
    """Return one path for files that the shell may have expanded from a pattern."""
    if not paths:
        raise UsageError("no file", "a file, a folder or a pattern")
    if len(paths) == 1:
        path = paths[0].absolute()
        if not path.exists() and not is_pattern(path):
            raise NotFoundError(f"no file or folder {path}", "CSV, Parquet or .npz files")
        return path
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise NotFoundError(f"no file {', '.join(missing[:5])}", "files, or one folder")
    folders = {path.absolute().parent for path in paths}
    endings = {"".join(p.suffixes[-2 if p.suffix == ".gz" else -1 :]) for p in paths}
    if len(folders) == 1 and len(endings) == 1:
        pattern = folders.pop() / f"*{endings.pop()}"
        if {path.absolute() for path in paths} == set(matching(pattern, ("",))):
            return pattern
    expected = "a folder, or a pattern in quotes such as 'data/*.csv'"
    found = f"{len(paths)} files that no one pattern names"
    raise UsageError(found, expected, "put them into a separate folder")


def _stamps(result: Inspection, settings: Mapping[str, Any]) -> str:
    if is_dated(result.timeframe):
        return "dates" if not settings.get("stamp") else f"the {settings['stamp']} of each bar"
    clock = "in the files" if result.aware else str(settings.get("timezone", "UTC"))
    return f"the {settings.get('stamp', 'close')} of each bar, time zone {clock}"


def _copied(root: Path, name: str, sources: Sequence[Path], path: Path) -> Path:
    """Copy the files into ``data/NAME`` and return their new path."""
    folder = root / "data" / name
    with full_disk_explained(root):
        folder.mkdir(parents=True, exist_ok=True)
        copies = {file: folder / file.name for file in sources if file != folder / file.name}
        taken = [copy.name for copy in copies.values() if copy.exists()]
        if taken:
            found = f"{folder} has {', '.join(taken[:5])} already"
            raise ConflictError(found, "a folder without them")
        for file, copy in copies.items():
            shutil.copy2(file, copy)
    return folder if path.is_dir() else folder / path.name


def _relative(root: Path, path: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files; identical existing ones are accepted."""
    present = [name for name in contents if (folder / name).exists()]
    other = [name for name in present if (folder / name).read_bytes() != contents[name]]
    if other:
        found = f"{folder} has other files named {', '.join(other)}"
        fix = "move them away, or choose another --name"
        raise ConflictError(found, "a folder without them", fix)
    with full_disk_explained(folder):
        for name, data in contents.items():
            write_atomic(folder / name, data)


def append_table(root: Path, heading: str, keys: Mapping[str, Any], *, context: str = "") -> str:
    """Append a table to podium.toml after checking that the result is valid.

    ``context`` are tables that the new one refers to.
    """
    path = root / FILE
    lines = [f"{key} = {_toml(value)}" for key, value in keys.items() if value not in ("", (), [])]
    table = "\n".join([f"[{heading}]", *lines]) + "\n"
    with full_disk_explained(root), lock(root / ".podium" / "locks" / "toml.lock", "podium data"):
        before = path.read_bytes().decode("utf-8")
        end = "\r\n" if "\r\n" in before else "\n"
        gap = "" if before.endswith(("\n", "\r\n")) else end
        text = before + gap + end + table.replace("\n", end)
        _require_readable(root, text, context + table)
        write_atomic(path, text)
    return table


def _require_readable(root: Path, text: str, table: str) -> None:
    """Refuse to write an invalid podium.toml."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{FILE} cannot take another table at its end: {error}",
            fix=f"add this yourself where [datasets] is:\n{table}",
        ) from None
    minimal = '[project]\nname = "new"\nid = "p-new"\n'
    configuration.load(root, environ={}, text=minimal + table)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    # JSON writes text as TOML does, except for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
