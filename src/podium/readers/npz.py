"""Sequences in .npz files: X, y and optional lengths, mask, groups, times, names; no pickles."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from podium.errors import DataError, Problems, suggest
from podium.readers._options import ReadLimits, require_count, require_size
from podium.sequences import Sequences

SUFFIXES = (".npz",)
HOLDS = "sequences"
ARRAYS = ("lengths", "mask", "groups", "times", "ends")
ENTRIES = ("X", "y", *ARRAYS, "feature_names", "class_names")
_WHAT = "an .npz file of numpy.savez with X and y"
Array = NDArray[Any]


def read(path: Path, *, name: str, limits: ReadLimits | None = None) -> Sequences:
    """Read the samples of one file.

    Each entry's size is checked against its header and the limits before memory is allocated, so a
    small file cannot unpack to a huge one; entries with Python objects are refused.

    Parameters
    ----------
    path : Path
        With ``X`` (samples, time, features), ``y``, and optionally ``lengths`` or ``mask``,
        ``groups``, ``times``, ``ends``, ``feature_names``, ``class_names``; see
        :meth:`podium.sequences.Sequences.of`.

    Raises
    ------
    DataError
        The file is no archive, an entry is missing, unknown, too large or pickled, or the arrays
        are inconsistent.
    """
    limits = limits or ReadLimits()
    if not path.is_file():
        raise DataError(f"dataset '{name}': no file {path}", _WHAT)
    require_size(path, limits)
    arrays = _arrays(path, limits)
    present = ", ".join(arrays) or "none"
    problems = Problems()
    for entry in sorted({"X", "y"} - arrays.keys()):
        problems.add(f"{path} has no entry '{entry}' (found: {present})", _WHAT)
    for entry in [entry for entry in arrays if entry not in ENTRIES]:
        problems.add(f"{path} has an entry '{entry}'", fix=suggest(entry, ENTRIES))
    DataError.raise_for(problems)
    more: dict[str, Any] = {entry: arrays.get(entry) for entry in ARRAYS}
    more |= {entry: _names(path, entry, arrays) for entry in ("feature_names", "class_names")}
    return Sequences.of(name, arrays["X"], arrays["y"], **more)


def _arrays(path: Path, limits: ReadLimits) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            require_count(path, len(members), limits.entries, "entries")
            unpacked = sum(member.file_size for member in members)
            require_count(path, unpacked, limits.bytes, "bytes, unpacked")
            arrays: dict[str, Array] = {}
            for member in members:
                entry = member.filename.removesuffix(".npy")
                if entry in arrays:
                    raise DataError(f"{path} has two entries '{entry}'", "unique entries")
                with archive.open(member) as handle:
                    arrays[entry] = _array(path, entry, handle, member.file_size)
            return arrays
    except (
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError
    ) as error:  # fmt: skip
        raise DataError(f"{path}: {error}", _WHAT) from None


def _array(path: Path, entry: str, handle: IO[bytes], size: int) -> Array:
    try:
        version = npy.read_magic(handle)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = header(handle)
    except ValueError as error:
        raise DataError(f"{path}: entry '{entry}': {str(error).splitlines()[0]}", _WHAT) from None
    if dtype.hasobject:
        raise DataError(
            f"{path}: entry '{entry}' holds Python objects, which run code when they are loaded",
            "plain numbers or texts",
            f"store it as an array of numbers, or of texts: {entry}.astype('U')",
        )
    data = handle.read()
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise DataError(
            f"{path}: entry '{entry}' has shape {shape} of {dtype} and {len(data):,} bytes "
            f"({size:,} with its header)",
            f"{math.prod(shape) * dtype.itemsize:,} bytes",
        )
    flat: Array = np.frombuffer(data, dtype=dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _names(path: Path, entry: str, arrays: dict[str, Array]) -> tuple[str, ...]:
    names = arrays.get(entry)
    if names is None:
        return ()
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise DataError(
            f"{path}: entry '{entry}' has shape {names.shape} and type {names.dtype}",
            "a list of texts",
        )
    return tuple(names.astype(np.str_).tolist())
