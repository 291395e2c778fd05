"""Models of searched runs: their own, or of candidates made from their configs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from podium.files import rerooted
from podium.ledger.record_reader import RecordReader
from podium.record import Record

_CANDIDATES = """
    SELECT c.id, c.artifact_path, c.config AS own, t.id AS trial_id, t.config
    FROM candidate c
    JOIN study_trial l ON l.project_id = c.project_id AND l.study_id = c.study_id
    JOIN trial t ON t.project_id = l.project_id AND t.id = l.trial_id AND t.family = c.family
    WHERE c.project_id = ? AND t.run_id IS NOT NULL AND t.state = 'complete' ORDER BY c.seq"""


def candidates(reader: RecordReader) -> dict[str, dict[str, Any]]:
    """Newest candidate made from the config of each run, by trial id."""
    rows = reader.query(_CANDIDATES, reader.project_id)
    return {row["trial_id"]: row for row in rows if _config(row["own"]) == _config(row["config"])}


def checkpoints(reader: RecordReader, tuning: str, registry: str) -> dict[str, Path]:
    """File of each searched run's model, else of a candidate made from its config, by trial id.

    Parameters
    ----------
    tuning, registry : str
        Folder of a search's files and store of artefacts, relative to the project.
    """
    made, root = candidates(reader), reader.root
    tops = [root / tuning, *(root / "slots").glob(f"**/{tuning}")] if tuning else []
    kept = {
        path.name.rpartition("_")[2]: path
        for top in tops
        for path in top.glob("**/trial_*_*")
        if path.is_dir()
    }
    if not made and not kept:
        return {}
    # Imported late: most readers of runs need no models.
    from podium.artifact import CHECKPOINTS, opened_file

    folders: dict[str, Path] = {}
    for trial_id, row in made.items():
        store = root / registry / row["artifact_path"]
        places = [store / name for name in CHECKPOINTS]
        folders.update((trial_id, place) for place in places[::-1] if place.is_dir())
    trials = reader.select("trial", "id", order="") if kept else []
    for trial_id in (row["id"] for row in trials):
        folder = kept.get(trial_id.rpartition("-")[2])
        folders |= {} if folder is None else {trial_id: folder}
    return {trial_id: folder / opened_file(folder) for trial_id, folder in folders.items()}


def completed(
    reader: RecordReader, records: Sequence[Record], tuning: str, registry: str
) -> list[Record]:
    """Runs with the file of their model, as far as known.

    Parameters
    ----------
    tuning, registry : str
        As of :func:`checkpoints`.
    """
    files, complete = checkpoints(reader, tuning, registry), []
    for run in records:
        path = _openable(reader, run.checkpoint_path, files.get(run.trial_id))
        complete.append(replace(run, checkpoint_path=path))
    return complete


def _openable(reader: RecordReader, stored: str | None, other: Path | None) -> str | None:
    """Absolute path of a run's checkpoint where it exists, else of the other file, if any."""
    try:
        if stored and Path(stored).is_absolute() and Path(stored).exists():
            return stored
        inside = rerooted(stored, reader.root) if stored else None
        if inside is not None and inside.exists():
            return str(inside)
    except OSError:
        # Not a valid file name.
        return stored
    return stored if other is None else str(other)


def _config(text: str) -> dict[str, Any]:
    """A config without its number of epochs, which a final training sets."""
    from podium.trial import BUDGET

    config = json.loads(text)
    return {name: value for name, value in config.items() if name != BUDGET}
