"""Detects pickles that would run code, without running them.

podium opens no pickle: its models are JSON and torch files of plain tensors, which ``torch.load``
opens with ``weights_only``. Every other file of a model is scanned here first.
"""

from __future__ import annotations

import ast
import base64
import io
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
# First bytes of pickles of protocol 2 to 5; older protocols have no fixed start.
_BEGINNINGS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
# Modules from which torch's weights-only loader may accept names in a checkpoint.
_TORCHS = ("torch", "collections", "numpy", "_codecs")
_PLAIN = frozenset(
    {"builtins set", "builtins frozenset", "builtins bytearray", "builtins complex"}
    | {"__builtin__ set", "__builtin__ frozenset", "__builtin__ bytearray", "__builtin__ complex"}
)
# Structure of a checkpoint in torch's archives; it holds no tensors.
_TORCH_PART = "data.pkl"
_MOST = 2**26
# First bytes of an .npy file.
_ARRAY = b"\x93NUMPY"
# Archives in archives beyond this are refused unread.
_DEEPEST = 4


def reason_to_refuse(name: str, data: bytes) -> str:
    """Reason why a file may run code when Python opens it; empty if it cannot.

    Parameters
    ----------
    name : str
        The file's name, whose suffix alone may mark a pickle.
    data : bytes
        Its content.

    Examples
    --------
    >>> reason_to_refuse("model.pkl", b"")
    'its name is that of a pickle'
    >>> import pickle
    >>> reason_to_refuse("model.bin", pickle.dumps(print, protocol=4))
    'it is a pickle that imports builtins print'
    >>> reason_to_refuse("naive.json", b'{"offset": 1.0}')
    ''
    """
    if PurePosixPath(name).suffix.lower() in SUFFIXES:
        return "its name is that of a pickle"
    if _is_archive(data):
        return _in_archive(data, 0)
    if data.startswith(_ARRAY):
        return _in_array(data)
    names, whole = _read(data)
    if names or (whole and data.startswith(_BEGINNINGS)):
        return "it is a pickle" + (f" that imports {', '.join(sorted(names))}" if names else "")
    return ""


def imported(data: bytes) -> set[str]:
    """Every name a pickle would import, read opcode by opcode; empty if the bytes are no pickle."""
    return _read(data)[0]


def _in_array(data: bytes) -> str:
    """Reason to refuse an ``.npy`` file, whose objects are a pickle behind its header."""
    size = 2 if data[6:7] == b"\x01" else 4
    start = 8 + size + int.from_bytes(data[8 : 8 + size], "little")
    try:
        header = ast.literal_eval(data[8 + size : start].decode("latin-1").strip())
        types = list(_types(header["descr"]))
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, RecursionError, MemoryError):
        return "it is an array whose header cannot be read"
    if not any("O" in name or "object" in name.lower() for name in types):
        return ""
    names = _read(data[start:])[0]
    return "it is an array of objects" + (f" that imports {_listed(names)}" if names else "")


def _types(description: Any) -> Iterator[str]:
    """Names of the types in the description of an array, those of fields and subarrays included."""
    if isinstance(description, str):
        yield description
    elif isinstance(description, list):
        for field in description:
            yield from _types(field[1])
    else:
        yield from _types(description[0])


def _is_archive(data: bytes) -> bool:
    """Whether zipfile opens the bytes, also behind other bytes."""
    return data.startswith(b"PK") or zipfile.is_zipfile(io.BytesIO(data))


def _in_archive(data: bytes, depth: int) -> str:
    if depth > _DEEPEST:
        return "it is an archive in too many archives"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            torch_folders = {
                str(PurePosixPath(n).parent) for n in names if PurePosixPath(n).name == _TORCH_PART
            }
            parts = [name for name in names if not name.endswith("/")]
            contents = [(name, archive.open(name).read(_MOST)) for name in parts]
    except (
        zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, OSError, EOFError,
        zlib.error, KeyError,
    ) as error:  # fmt: skip
        return f"it is an archive that cannot be read ({str(error)[:80]})"
    for part, content in contents:
        path = PurePosixPath(part)
        if path.name == _TORCH_PART:
            names_of = {name for name in _read(content)[0] if not _of_torch(name)}
            reason = f"imports {_listed(names_of)}" if names_of else ""
        elif any(_is_tensor(path, folder) for folder in torch_folders):
            # The bytes of a tensor are arbitrary; torch does not unpickle them.
            continue
        elif path.suffix.lower() in SUFFIXES:
            reason = "has the name of a pickle"
        elif _is_archive(content):
            reason = _in_archive(content, depth + 1)
        elif content.startswith(_ARRAY):
            reason = _in_array(content)
        else:
            found, whole = _read(content)
            found |= _in_json(content)
            reason = f"imports {_listed(found)}" if found else ""
            if not found and whole and content.startswith(_BEGINNINGS):
                reason = "is a pickle"
        if reason:
            return f"its {part} {reason.replace('it is', 'is', 1)}"
    return ""


def _is_tensor(path: PurePosixPath, folder: str) -> bool:
    """Whether torch keeps the bytes of a tensor in a file of an archive."""
    return str(path.parent) == str(PurePosixPath(folder) / "data") and path.name.isdigit()


def _in_json(content: bytes) -> set[str]:
    """Names that pickles in the texts of a JSON file import, as Stable-Baselines3 stores them."""
    names = set[str]()
    if b":serialized:" in content:
        for text in re.findall(rb'":serialized:"\s*:\s*"([^"]*)"', content):
            try:
                names |= _read(base64.b64decode(text.replace(b"\\n", b"")))[0] or {"a pickle"}
            except ValueError:
                names.add("a pickle")
    return names


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _read(data: bytes) -> tuple[set[str], bool]:
    """Names that a pickle would import, and whether the bytes are a complete pickle."""
    names: set[str] = set()
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("GLOBAL", "INST"):
                names.add(str(argument))
            elif opcode.name == "STACK_GLOBAL":
                names.add(" ".join(texts[-2:]))
            elif opcode.name.startswith("EXT"):
                names.add(f"extension {argument}")
            elif isinstance(argument, str):
                texts.append(argument)
    except Exception:  # noqa: BLE001 - any error means an incomplete pickle
        # Opening it would fail too, but its first opcodes would have run by then.
        return (names if data.startswith(_BEGINNINGS) else set()), False
    return names, True


def _of_torch(name: str) -> bool:
    return name in _PLAIN or name.split(" ")[0].split(".")[0] in _TORCHS
