"""``artifacts/best.pt`` and ``best.json``: champion of a classifying slot, and its facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from podium.config import Config
from podium.files import write_atomic
from podium.hashing import read_json
from podium.manifest import read_checked, require_hash
from podium.steps.workspace.project import Project

NAME, ABOUT = "best.pt", "best.json"
# Files of the served checkpoint, where that is one model.
INSIDE = ("final_model/best.pt", "best_model/best.pt")


def classifying(config: Config) -> list[str]:
    """Slots that classify, in the order of podium.toml."""
    return [name for name, section in config.slots.items() if section.task == "classify"]


def own_slot(config: Config) -> str:
    """Classifying slot whose files are in the project's folder: the default one, else the only one.

    Empty where several slots classify and none of them is the default.
    """
    slots = classifying(config)
    if config.root_slot in slots:
        return config.root_slot
    return slots[0] if len(slots) == 1 else ""


def place(config: Config, slot: str) -> Path:
    """Folder of a slot's ``best.pt``."""
    root = config.root if slot == own_slot(config) else config.root / "slots" / slot
    return root / "artifacts"


def write(project: Project) -> list[str]:
    """Write each classifying slot's champion, and its facts to ``best.json``.

    Where a slot has no champion any more, the model file stays and ``best.json`` tells so.

    Returns
    -------
    list of str
        Written files, relative to the project.
    """
    written: list[str] = []
    slots = classifying(project.config)
    holders = project.reader.champions() if slots and project.reader.exists else {}
    for slot in slots:
        folder, holder = place(project.config, slot), holders.get(slot)
        about: dict[str, Any] = {"podium": 1, "slot": slot}
        files: dict[str, Any] = {}
        if holder is not None:
            artifact = project.store / holder.artifact_path
            files = json.loads(require_hash(artifact, holder.artifact_hash))["files"]
        inside = next((name for name in INSIDE if name in files), None)
        if holder is None or inside is None:
            # No champion, or one of several models or of a family with other files.
            before = read_json(folder / ABOUT)
            if (folder / NAME).is_file() and before.get("champion"):
                _put(folder / ABOUT, {**before, "champion": False})
                written.append(project.shown(folder / ABOUT))
            continue
        about |= {
            "champion": True,
            "candidate": holder.candidate_id,
            "version": holder.version,
            "artifact_hash": holder.artifact_hash,
            "sha256": files[inside],
        }
        if read_json(folder / ABOUT) == about and (folder / NAME).is_file():
            continue
        data = read_checked(artifact, files, inside)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / NAME, data)
        _put(folder / ABOUT, about)
        written.append(project.shown(folder / NAME))
    return written


def _put(path: Path, about: dict[str, Any]) -> None:
    write_atomic(path, json.dumps(about, indent=2, sort_keys=True) + "\n")
