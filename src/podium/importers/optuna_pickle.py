"""Pickled Optuna studies (``optimization_study.pkl``), with permission: a pickle is code."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

from podium.errors import DataError, RefusedError
from podium.importers._base import Imported, as_file, head, whole
from podium.importers._optuna import imported

OPTIONS = ("trust_pickle",)


def recognizes(place: str | Path) -> bool:
    """Whether this is a file that begins like a pickle; nothing of it is run."""
    path = as_file(place)
    if path is None:
        return False
    start = head(path)
    # Zip files named .pkl are torch's, not a study's.
    named = path.suffix in (".pkl", ".pickle") and not start.startswith(b"PK")
    return bool(start) and (named or (start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5"))


def read(place: str | Path, *, trust_pickle: bool = False) -> list[Imported]:
    """The study of a pickle, if the user says that its code may run.

    Raises
    ------
    RefusedError
        Nobody said so; nothing was run.
    DataError
        It is no pickle, or not of a study.
    """
    name = Path(place).name
    data = whole(place)
    if not trust_pickle:
        raise RefusedError(
            f"{name} is a pickle: loading one runs whatever code its author put into it, with "
            "your rights",
            "an Optuna journal or database, or your word that you know where it comes from",
            "if you do, add --trust-pickle; it is recorded",
        )
    try:
        study = pickle.load(io.BytesIO(data))
        found = imported(study, f"trusted pickle {name}")
    except Exception as error:  # noqa: BLE001 - it runs what its author wrote
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{name} cannot be loaded as a pickled study: {told}", "an optuna.Study"
        ) from None
    return [found]
