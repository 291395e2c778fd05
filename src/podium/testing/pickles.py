"""A test of a family's files calls ``check_no_pickled_object(path)``; ``check_family`` does too.

>>> import tempfile
>>> import numpy as np
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder) / "weights.npz"
...     np.savez(path, weights=np.zeros(3))
...     check_no_pickled_object(path)
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from podium.pickled import imported
from podium.testing._base import require

# Names that torch's weights-only loader accepts in a checkpoint of plain tensors.
PLAIN_GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch Size",
    "torch device",
}


def check_no_pickled_object(path: Path) -> None:
    """A file holds no pickled objects but plain tensors.

    Every pickle, also inside a zip such as torch's ``.pt`` or numpy's ``.npz``, is scanned opcode
    by opcode without running it.
    """
    data = path.read_bytes()
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
    else:
        parts = {path.name: data}
    for name, content in parts.items():
        objects = sorted(imported(content) - PLAIN_GLOBALS)
        unknown = [o for o in objects if not (o.startswith("torch ") and o.endswith("Storage"))]
        require(not unknown, f"{path} ({name}) runs code when it is opened: {unknown}")
        header = content[:4096] if content.startswith(b"\x93NUMPY") else b""
        require(b"'|O'" not in header, f"{path} ({name}) is an array of Python objects")
