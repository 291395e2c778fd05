"""The runtime door: who holds a slot, and its model, without the record's machinery.

Importing this module and asking it costs milliseconds; a model's framework is imported by
:meth:`Resolved.load` only.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium import config as configuration
from podium.errors import DataError, NotFoundError
from podium.ledger.door import Door
from podium.slot import Champion

if TYPE_CHECKING:
    from podium.artifact import LoadedModel


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

    def load(self, checkpoint: str = "final_model") -> LoadedModel:
        """The model, after the hashes of its manifest and of every file read were checked."""
        from podium import artifact

        return artifact.load(self.path, self.champion.artifact_hash, checkpoint)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able facts."""
        return {**vars(self.champion), "path": str(self.path), "source": self.source}


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
