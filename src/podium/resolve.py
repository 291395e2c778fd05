"""The runtime door: who holds a slot, and its model, without the record's machinery.

Importing this module and asking it costs milliseconds; a model's framework is imported by
:meth:`Resolved.load` only.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium import config as configuration
from podium.errors import DataError, NotFoundError
from podium.files import rerooted
from podium.ledger.door import Door
from podium.slot import Champion

if TYPE_CHECKING:
    from podium.artifact import Loaded, Place


# Rewritten after each decision; answers when the record cannot be read.
CACHE = Path(".podium") / "champions.json"


@dataclass(frozen=True)
class Resolved:
    """A slot's champion and where its artefact lies.

    Parameters
    ----------
    champion : Champion
    path : Path
        The artefact's folder.
    source : str
        ``record``, or ``cache`` when the record could not be read.
    """

    champion: Champion
    path: Path
    source: str

    def load(self, checkpoint: str = "") -> Loaded:
        """The model, after the hashes of its manifest and of every file read were checked."""
        from podium import artifact

        return artifact.load(self.path, self.champion.artifact_hash, checkpoint)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able facts."""
        return {**vars(self.champion), "path": str(self.path), "source": self.source}


def get_active_model_path(root: Path | str = ".", *, slot: str = "") -> Path:
    """File of the model that the grids found best: what ``models/active_model.txt`` names.

    Parameters
    ----------
    root : path
        The project's folder or one below it.
    slot : str, optional
        Another slot than the default one; its file lies under ``slots/``.

    Returns
    -------
    Path
        Absolute; where the project has moved, the file's place now.

    Raises
    ------
    NotFoundError
        No grid was run yet, or the model is gone.

    Examples
    --------
    >>> from podium.steps import init
    >>> import tempfile
    >>> root = init.init(Path(tempfile.mkdtemp()) / "mine", demo=True)
    >>> try:
    ...     get_active_model_path(root)
    ... except NotFoundError as error:
    ...     print(error.problems[0].fix)
    run: podium grid
    """
    project = configuration.find_root(Path(root))
    config = configuration.load(project)
    pointer = project / config.paths.active_model
    if slot not in ("", config.root_slot):
        config.slot(slot)
        pointer = project / "slots" / slot / "models" / "active_model.txt"
    try:
        told = pointer.read_text(encoding="utf-8").strip()
    except OSError:
        raise NotFoundError(
            f"there is no active model yet: no {pointer}", fix="run: podium grid"
        ) from None
    path = rerooted(told.partition("\n")[0].strip(), project)
    if not told or not path.exists():
        raise NotFoundError(
            f"{pointer} names {told or 'nothing'!r}, which is not there",
            "the path of a model",
            "run: podium grid, or write the path of a model into it",
        )
    return path


def load_model(path: Path | str) -> Loaded:
    """Model ready to predict from frames, arrays and windows, its hashes checked.

    Parameters
    ----------
    path : path
        Any that podium writes: an artefact's folder, a checkpoint's in it, or a file in that; a
        path from a project that has moved is found again from inside the project.

    Raises
    ------
    NotFoundError
        There is no such path.
    DataError
        Not podium's, or something is missing or changed.
    """
    from podium import artifact

    return artifact.load_place(find_model(path))


def find_model(path: Path | str) -> Place:
    """Where a model lies that a path leads to; nothing of it is loaded.

    Parameters
    ----------
    path : path
        As :func:`load_model` takes it.
    """
    from podium import artifact

    place = Path(path)
    if not place.exists():
        with contextlib.suppress(NotFoundError):
            place = rerooted(str(place), configuration.find_root(Path()))
    return artifact.find(place)


def champion(slot: str, root: Path | str = ".") -> Resolved:
    """Champion of a slot.

    Parameters
    ----------
    slot : str
        For example ``us4/D/volatility``.
    root : path
        The project's folder or one below it.

    Raises
    ------
    NotFoundError
        No such slot, or nobody holds it.
    DataError
        The artefact's manifest is missing or not what was judged.

    Warns
    -----
    UserWarning
        The record could not be read and the answer is that of ``.podium/champions.json``, written
        after the last decision.
    """
    project = configuration.find_root(Path(root))
    config = configuration.load(project)
    config.slot(slot)
    source = "record"
    try:
        holders = Door(config.ledger.url, project, config.project.id).champions()
    except (NotFoundError, DataError) as error:
        cache = project / CACHE
        if not cache.is_file():
            raise
        warnings.warn(f"{error} Answering from {cache}.", stacklevel=2)
        found = json.loads(cache.read_text(encoding="utf-8"))["champions"]
        holders = {name: Champion(**facts) for name, facts in found.items()}
        source = "cache"
    if slot not in holders:
        raise NotFoundError(
            f"slot {slot} has no champion", fix=f"see what was decided: podium show {slot}"
        )
    holder = holders[slot]
    # Imported here: an answer from a cache on a broken disk should still name the holder first.
    from podium.candidate import require_hash

    path = project / config.paths.registry / holder.artifact_path
    require_hash(path, holder.artifact_hash)
    return Resolved(holder, path, source)


def main(arguments: list[str]) -> int:
    """``podium resolve SLOT [--json] [--project DIR]``, before click is imported."""
    import sys

    words = [a for a in arguments if a != "--json"]
    root = "."
    if "--project" in words:
        place = words.index("--project")
        root = words[place + 1]
        del words[place : place + 2]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        resolved = champion(words[0], root)
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps({"podium": 1, "kind": "champion", "items": [resolved.as_dict()]}))
    else:
        print(resolved.path)
    return 0
