"""Name files as a dataset of the project, and make the data that podium can make itself."""

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
from podium.steps.data.reading import look, reader_of
from podium.timeframe import is_dated

NAME = re.compile(r"[A-Za-z0-9_-]+")
MADE = {"demo": "us4", "glucose": "glucose"}


@dataclass(frozen=True)
class Added:
    """A dataset that was named.

    Parameters
    ----------
    table : str
        The text that was appended to podium.toml.
    found : mapping
        What the files hold, in words.
    findings : tuple of Finding
        What is remarkable in them; nothing that would be refused.
    assumed : tuple of str
        What nobody said and had to be known.
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
    """Look at files and append a ``[datasets.NAME]`` table for them to podium.toml.

    The rest of podium.toml stays as it is, comments too. Everything that was found out is written
    down, so that another file in the folder cannot change how the first ones are read. Stamps of
    intraday bars are taken for their opens unless something says otherwise: taken so, a bar is
    known later rather than earlier.

    Parameters
    ----------
    paths : sequence of Path
        A file, a folder or a pattern; several files when they are all of one folder and kind.
    validation : Path, optional
        Second file of sequences.
    copy : bool
        Copy the files into ``data/NAME`` instead of referring to them where they are.
    adjust : bool, optional
        Default: when the files have adjusted closes.
    resample, day_starts_at, week_ends, options
        As in a dataset's table.

    Raises
    ------
    ConflictError
        The name is taken.
    NotFoundError
        No such files.
    DataError
        The files would be refused when loaded: all of it, with the repairs that would help.
        Nothing is written.
    UsageError
        A name or a setting that cannot be used.
    """
    _require_free(root, name)
    path = _one_path(paths)
    reader = reader_of(path)
    if holds_sequences(reader):
        return _add_sequences(reader, root, name, path, validation, copy=copy)
    if validation:
        raise UsageError("a validation file for bars", "sequences (.npz)", "leave it out")
    looked = look(
        reader, path, name=name, tickers=tickers, timeframe=timeframe, adjust=adjust,
        options=options,
    )  # fmt: skip
    found, settings = looked.found, looked.settings
    if found.dataset is None:
        raise DataError.of(problems(found.findings))
    if copy:
        path = _copied(root, name, found.files, path)
    keys: dict[str, Any] = {
        "path": _told_path(root, path),
        "tickers": list(found.tickers),
        "timeframe": found.timeframe,
        "reader": "" if reader == "csv" else reader,
        "adjust": bool(adjust if adjust is not None else found.adjust),
        "layout": "" if found.layout == "files" else found.layout,
        **settings,
        "date_format": settings.get("date_format", found.form),
        "resample": resample,
        "day_starts_at": day_starts_at,
        "week_ends": week_ends,
    }
    table = append_table(root, f"datasets.{name}", keys)
    dataset = found.dataset
    facts = {
        "files": len(found.files),
        "layout": _LAYOUTS[found.layout],
        "tickers": ", ".join(found.tickers),
        "timeframe": found.timeframe,
        "bars": len(dataset),
        "from": str(dataset.times[0]),
        "to": str(dataset.times[-1]),
        "stamps": _stamps(found, settings),
        "adjusted": "by adj_close or factor" if keys["adjust"] else "not by podium",
        "fingerprint": dataset.fingerprint,
    }
    return Added(name, table, facts, tuple(found.findings), tuple(looked.assumed))


_LAYOUTS = {
    "files": "one file a ticker",
    "long": "a column of tickers",
    "wide": "columns of every ticker",
}


def make(root: Path, what: str, *, name: str = "") -> Added:
    """Write data that podium brings or can make into the project, and name them.

    Parameters
    ----------
    what : {"demo", "glucose"}
        Daily bars of four US stocks; windows of a glucose sensor with three classes, from the
        package bokeh-sampledata.
    name : str
        Of the dataset; default ``us4`` and ``glucose``.

    Raises
    ------
    ConflictError
        The name is taken, or files with other contents are in the place.
    MissingExtraError
        The package is not installed.
    NotFoundError
        No such data.
    """
    if what not in MADE:
        raise NotFoundError(f"no data '{what}' to make", fix=suggest(what, MADE))
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
    keys: dict[str, Any] = {"path": _told_path(root, places[0]), "reader": reader}
    if validation:
        keys["validation"] = _told_path(root, places[1])
    facts: dict[str, Any] = {}
    for label, part in zip(("samples", "validation samples"), parts, strict=False):
        facts[label] = len(part)
        facts[f"classes of {label}"] = ", ".join(
            f"{key} {count}" for key, count in part.class_counts.items()
        )
    facts["steps, features"] = ", ".join(map(str, parts[0].x.shape[1:]))
    facts["fingerprint"] = parts[0].fingerprint
    return Added(
        name,
        append_table(root, f"datasets.{name}", keys),
        {k: v for k, v in facts.items() if v != ""},
    )


def _require_free(root: Path, name: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(f"dataset name '{name}'", "letters, digits, _ and -")
    if name in configuration.load(root).datasets:
        raise ConflictError(
            f"{FILE} has a dataset '{name}'",
            "a name that is free",
            "choose another one, or edit its table; nothing was changed",
        )


def _one_path(paths: Sequence[Path]) -> Path:
    """One file, folder or pattern for what the shell may have spelled out."""
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
    endings = {"".join(path.suffixes[-2:]) for path in paths if path.suffix == ".gz"}
    endings |= {path.suffix for path in paths if path.suffix != ".gz"}
    if len(folders) == 1 and len(endings) == 1:
        pattern = folders.pop() / f"*{endings.pop()}"
        if {path.absolute() for path in paths} == set(matching(pattern, ("",))):
            return pattern
    raise UsageError(
        f"{len(paths)} files that no one pattern names",
        "a folder, or a pattern in quotes such as 'data/*.csv'",
        "put them into a folder of their own",
    )


def _stamps(found: Inspection, settings: Mapping[str, Any]) -> str:
    if is_dated(found.timeframe):
        return "dates" if not settings.get("stamp") else f"the {settings['stamp']} of each bar"
    clock = "in the files" if found.aware else str(settings.get("timezone", "UTC"))
    return f"the {settings.get('stamp', 'close')} of each bar, time zone {clock}"


def _copied(root: Path, name: str, found: Sequence[Path], path: Path) -> Path:
    """The files beside the project's other data, and the path that now means them."""
    folder = root / "data" / name
    with full_disk_explained(root):
        folder.mkdir(parents=True, exist_ok=True)
        taken = [p.name for p in found if (folder / p.name).exists() and p != folder / p.name]
        if taken:
            raise ConflictError(
                f"{folder} has {', '.join(taken[:5])} already", "a folder without them"
            )
        for file in found:
            if file != folder / file.name:
                shutil.copy2(file, folder / file.name)
    if path.is_dir():
        return folder
    return folder / path.name


def _told_path(root: Path, path: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files that are not there; the same ones may be."""
    other = [
        name
        for name, data in contents.items()
        if (folder / name).exists() and (folder / name).read_bytes() != data
    ]
    if other:
        raise ConflictError(
            f"{folder} has other files named {', '.join(other)}",
            "a place for the data",
            "move them away, or choose another --name",
        )
    with full_disk_explained(folder):
        for name, data in contents.items():
            write_atomic(folder / name, data)


def append_table(root: Path, heading: str, keys: Mapping[str, Any], *, beside: str = "") -> str:
    """Append a table to podium.toml; the file is read as a whole before anything is written.

    ``beside`` are tables of it that the new one speaks of.
    """
    path = root / FILE
    lines = [f"{key} = {_toml(value)}" for key, value in keys.items() if value not in ("", (), [])]
    table = "\n".join([f"[{heading}]", *lines]) + "\n"
    with full_disk_explained(root), lock(root / ".podium" / "locks" / "toml.lock", "podium data"):
        before = path.read_bytes().decode("utf-8")
        end = "\r\n" if "\r\n" in before else "\n"
        gap = "" if before.endswith(("\n", "\r\n")) else end
        text = before + gap + end + table.replace("\n", end)
        _require_readable(root, text, beside + table)
        write_atomic(path, text)
    return table


def _require_readable(root: Path, text: str, table: str) -> None:
    """Refuse to write what could not be read again."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{FILE} cannot take another table at its end: {error}",
            fix=f"add this yourself where [datasets] is:\n{table}",
        ) from None
    bare = '[project]\nname = "new"\nid = "p-new"\n'
    configuration.load(root, environ={}, text=bare + table)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    # JSON writes text as TOML does, but for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
