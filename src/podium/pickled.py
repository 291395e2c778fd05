"""Whether bytes are a pickle that would run code, found without running any of it.

podium opens no pickle: its models are torch files of plain tensors, which ``torch.load`` opens with
``weights_only``, and JSON. What a model's folder holds besides is looked at here first.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import PurePosixPath

SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
# How a pickle of protocol 2 to 5 begins; older ones begin like anything.
_BEGINNINGS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
# Whose names torch's weights-only loader may accept inside a checkpoint; it decides which of them.
_TORCHS = ("torch", "collections", "numpy", "_codecs")
_PLAIN = frozenset(
    {"builtins set", "builtins frozenset", "builtins bytearray", "builtins complex"}
    | {"__builtin__ set", "__builtin__ frozenset", "__builtin__ bytearray", "__builtin__ complex"}
)
# A checkpoint's structure inside torch's own archives, which holds no tensors.
_TORCH_PART = "data.pkl"
_MOST = 2**26


def found_in(name: str, data: bytes) -> str:
    """Why a file may run code when Python opens it; empty where it cannot.

    Parameters
    ----------
    name : str
        The file's name; a pickle may be told by it alone.
    data : bytes
        Its content.

    Examples
    --------
    >>> found_in("model.pkl", b"")
    'its name says that it is a pickle'
    >>> import pickle
    >>> found_in("model.bin", pickle.dumps(print, protocol=4))
    'it is a pickle that imports builtins print'
    >>> found_in("naive.json", b'{"offset": 1.0}')
    ''
    """
    if PurePosixPath(name).suffix.lower() in SUFFIXES:
        return "its name says that it is a pickle"
    if data.startswith(b"PK"):
        return _in_archive(data)
    names, whole = _read(data)
    if names or (whole and data.startswith(_BEGINNINGS)):
        return "it is a pickle" + (f" that imports {', '.join(sorted(names))}" if names else "")
    return ""


def imported(data: bytes) -> set[str]:
    """Every name a pickle would import, read opcode by opcode; empty when the bytes are none."""
    return _read(data)[0]


def _in_archive(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            tensors = any(PurePosixPath(n).name == _TORCH_PART for n in names)
            # A tensor's bytes may begin like anything; torch does not unpickle them.
            parts = [n for n in names if not tensors or n.endswith((*SUFFIXES, "/"))]
            contents = [(n, archive.open(n).read(_MOST)) for n in parts]
    except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, OSError) as error:
        return f"it is an archive that cannot be read ({str(error)[:80]})"
    for part, content in contents:
        names_of = _read(content)[0]
        if PurePosixPath(part).name == _TORCH_PART:
            names_of = {name for name in names_of if not _of_torch(name)}
        elif PurePosixPath(part).suffix.lower() in SUFFIXES:
            return f"its {part} says by its name that it is a pickle"
        if names_of:
            return f"its {part} imports {', '.join(sorted(names_of))}"
    return ""


def _read(data: bytes) -> tuple[set[str], bool]:
    """Names that a pickle would import, and whether the bytes are one from beginning to end."""
    found: set[str] = set()
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("GLOBAL", "INST"):
                found.add(str(argument))
            elif opcode.name == "STACK_GLOBAL":
                found.add(" ".join(texts[-2:]))
            elif opcode.name.startswith("EXT"):
                found.add(f"extension {argument}")
            elif isinstance(argument, str):
                texts.append(argument)
    except Exception:  # noqa: BLE001 - whatever is wrong with the bytes, they are no whole pickle
        # It would fail when it is opened too, but what comes first would have run by then.
        return (found if data.startswith(_BEGINNINGS) else set()), False
    return found, True


def _of_torch(name: str) -> bool:
    return name in _PLAIN or name.split(" ")[0].split(".")[0] in _TORCHS
