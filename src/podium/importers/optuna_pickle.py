"""Pickled Optuna studies (``optimization_study.pkl``), with permission: a pickle is code."""

from __future__ import annotations

import pickle
from pathlib import Path

from podium.errors import DataError, RefusedError
from podium.importers._base import Imported, as_file, head, read_bytes
from podium.importers._optuna import imported

OPTIONS = ("trust_pickle",)


def recognizes(place: str | Path) -> bool:
    """Return whether a file begins like a pickle, without running it."""
    path = as_file(place)
    if path is None:
        return False
    start = head(path)
    # Zip files named .pkl are files of torch.
    named = path.suffix in (".pkl", ".pickle") and not start.startswith(b"PK")
    return bool(start) and (named or (start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5"))


def read(place: str | Path, *, trust_pickle: bool = False) -> list[Imported]:
    """Import the study of a pickle, which runs its code.

    Raises
    ------
    RefusedError
        Without ``trust_pickle``; nothing was run.
    DataError
        The file is no pickle of a study.
    """
    name = Path(place).name
    data = read_bytes(place)
    if not trust_pickle:
        found = f"{name} is a pickle: loading it runs its author's code with your rights"
        expected = "an Optuna journal or database, or a pickle of a trusted source"
        raise RefusedError(found, expected, "add --trust-pickle if you trust it; this is recorded")
    try:
        return [imported(pickle.loads(data), f"trusted pickle {name}")]
    except Exception as error:  # noqa: BLE001 - the author's code may raise anything
        message = (str(error).strip() or type(error).__name__).splitlines()[0]
        found = f"{name} cannot be loaded as a pickled study: {message}"
        raise DataError(found, "an optuna.Study") from None
