"""Detects pickles that would run code, without running them.

podium opens no pickle: its models are JSON and torch files of plain tensors, which ``torch.load``
opens with ``weights_only``. Every other file of a model is scanned here first.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import PurePosixPath

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
    if data.startswith(b"PK"):
        return _in_archive(data)
    names, whole = _read(data)
    if names or (whole and data.startswith(_BEGINNINGS)):
        return "it is a pickle" + (f" that imports {', '.join(sorted(names))}" if names else "")
    return ""


def imported(data: bytes) -> set[str]:
    """Every name a pickle would import, read opcode by opcode; empty if the bytes are no pickle."""
    return _read(data)[0]


def _in_archive(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            tensors = any(PurePosixPath(n).name == _TORCH_PART for n in names)
            # The bytes of a tensor are arbitrary; torch does not unpickle them.
            parts = [n for n in names if not tensors or n.endswith((*SUFFIXES, "/"))]
            contents = [(n, archive.open(n).read(_MOST)) for n in parts]
    except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, OSError) as error:
        return f"it is an archive that cannot be read ({str(error)[:80]})"
    for part, content in contents:
        names_of = _read(content)[0]
        if PurePosixPath(part).name == _TORCH_PART:
            names_of = {name for name in names_of if not _of_torch(name)}
        elif PurePosixPath(part).suffix.lower() in SUFFIXES:
            return f"its {part} has the name of a pickle"
        if names_of:
            return f"its {part} imports {', '.join(sorted(names_of))}"
    return ""


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
